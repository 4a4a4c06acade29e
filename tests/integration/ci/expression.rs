//! The part of GitHub's expressions that the files here use.
//!
//! The main functions are [`evaluate`] and [`interpolate`]. Anything else panics: then this part has to grow.

use serde_json::Value;

/// Replaces every `${{ … }}` in a text.
pub(super) fn interpolate(text: &str, contexts: &Value) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${{") {
        let (expression, tail) = after.split_once("}}").unwrap_or_else(|| panic!("no end: {text}"));
        result.push_str(before);
        result.push_str(&string(&evaluate(expression, contexts)));
        rest = tail;
    }
    result + rest
}

/// The value of an expression. Contexts that are not there are null, as GitHub has it.
pub(super) fn evaluate(expression: &str, contexts: &Value) -> Value {
    let mut parser = Parser { tokens: tokens(expression), at: 0, contexts };
    let value = parser.or();
    assert_eq!(parser.at, parser.tokens.len(), "not understood: {expression}");
    value
}

/// Whether a value counts as true.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

fn string(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Text(String),
    Word(String),
    Sign(&'static str),
}

const SIGNS: [&str; 10] = ["==", "!=", "&&", "||", "!", "(", ")", "[", "]", ","];

fn tokens(expression: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            found.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        } else if first == '\'' {
            let mut text = String::new();
            let mut tail = &rest[1..];
            loop {
                let (part, after) = tail.split_once('\'').unwrap_or_else(|| panic!("no end: {expression}"));
                text.push_str(part);
                match after.strip_prefix('\'') {
                    Some(more) => {
                        text.push('\'');
                        tail = more;
                    }
                    None => {
                        rest = after;
                        break;
                    }
                }
            }
            found.push(Token::Text(text));
        } else {
            let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            assert!(end > 0, "not understood: {rest}");
            found.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    found
}

struct Parser<'a> {
    tokens: Vec<Token>,
    at: usize,
    contexts: &'a Value,
}

impl Parser<'_> {
    fn takes(&mut self, sign: &'static str) -> bool {
        let is = self.tokens.get(self.at) == Some(&Token::Sign(sign));
        self.at += usize::from(is);
        is
    }

    fn or(&mut self) -> Value {
        let mut value = self.and();
        while self.takes("||") {
            let other = self.and();
            value = if is_true(&value) { value } else { other };
        }
        value
    }

    fn and(&mut self) -> Value {
        let mut value = self.equality();
        while self.takes("&&") {
            let other = self.equality();
            value = if is_true(&value) { other } else { value };
        }
        value
    }

    fn equality(&mut self) -> Value {
        let value = self.unary();
        if self.takes("==") {
            return Value::Bool(equal(&value, &self.unary()));
        }
        if self.takes("!=") {
            return Value::Bool(!equal(&value, &self.unary()));
        }
        value
    }

    fn unary(&mut self) -> Value {
        if self.takes("!") {
            return Value::Bool(!is_true(&self.unary()));
        }
        if self.takes("(") {
            let value = self.or();
            assert!(self.takes(")"), "a parenthesis is open");
            return value;
        }
        let token = self.tokens.get(self.at).cloned().unwrap_or_else(|| panic!("ends too early"));
        self.at += 1;
        match token {
            Token::Text(text) => Value::String(text),
            Token::Word(word) if self.takes("(") => self.call(&word),
            Token::Word(word) => match word.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                path => self.path(path),
            },
            Token::Sign(sign) => panic!("unexpected {sign}"),
        }
    }

    fn path(&mut self, path: &str) -> Value {
        let step = |value: Value, key: &str| value.get(key).cloned().unwrap_or(Value::Null);
        let mut value = path.split('.').fold(self.contexts.clone(), step);
        while self.takes("[") {
            let Some(Token::Word(index)) = self.tokens.get(self.at).cloned() else { panic!("no index") };
            self.at += 1;
            assert!(self.takes("]"), "an index is open");
            let index: usize = index.parse().expect("an index");
            value = value.get(index).cloned().unwrap_or(Value::Null);
            if let Some(Token::Word(rest)) = self.tokens.get(self.at).cloned()
                && let Some(rest) = rest.strip_prefix('.')
            {
                self.at += 1;
                value = rest.split('.').fold(value, step);
            }
        }
        value
    }

    fn call(&mut self, name: &str) -> Value {
        let mut arguments = Vec::new();
        while !self.takes(")") {
            arguments.push(string(&self.or()));
            self.takes(",");
        }
        let failed = self.contexts["job"]["failed"] == true;
        match (name, arguments.as_slice()) {
            ("always", []) => Value::Bool(true),
            ("success", []) => Value::Bool(!failed),
            ("failure", []) => Value::Bool(failed),
            ("hashFiles", [_, ..]) => Value::String("0123".to_owned()),
            ("format", [template, values @ ..]) => {
                let fill =
                    |text: String, (n, value): (usize, &String)| text.replace(&format!("{{{n}}}"), value);
                Value::String(values.iter().enumerate().fold(template.clone(), fill))
            }
            _ => panic!("unknown function {name}"),
        }
    }
}

/// Null is the empty text, and case does not matter.
fn equal(a: &Value, b: &Value) -> bool {
    string(a).eq_ignore_ascii_case(&string(b))
}

#[test]
fn expressions_mean_what_they_mean_to_github() {
    let contexts = serde_json::json!({
        "inputs": { "a-b": "x", "empty": "" },
        "github": { "event": { "list": [{ "number": 7 }], "none": [] }, "base_ref": "main" },
        "job": { "failed": true },
    });
    let text = |expression: &str| interpolate(expression, &contexts);
    assert_eq!(text("${{ inputs.a-b }} ${{ inputs.empty || github.base_ref }}"), "x main");
    assert_eq!(text("${{ github.event.list[0].number }}${{ github.event.none[0].number }}"), "7");
    assert_eq!(text("${{ github.x.y == 'z' && 'it''s' || format('{0}-{1}', 'a', 'b') }}"), "a-b");
    assert!(is_true(&evaluate("always() && inputs.a-b == 'X' && steps.x.outputs.y == ''", &contexts)));
    assert!(!is_true(&evaluate("success() || !failure() || inputs.empty != ''", &contexts)));
}
