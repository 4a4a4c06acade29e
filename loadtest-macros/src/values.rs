//! Single values of keys: literals are read here, anything else is left to the compiler and to run time.
//!
//! The main type is [`Value`]. A mistake is returned without a place: the caller knows the expression.

use std::time::Duration;

use loadtest_core::Error;
use loadtest_core::options::Stage;
use loadtest_core::units::{format_duration, parse_duration};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, ExprUnary, Lit, LitStr, Path, UnOp};

/// A value: what it is, if it is written out, and the tokens that make it at run time.
#[derive(Debug)]
pub(crate) struct Value<T> {
    pub(crate) known: Option<T>,
    pub(crate) tokens: TokenStream,
}

impl<T> Value<T> {
    fn known(value: T, tokens: impl ToTokens) -> Self {
        Self { known: Some(value), tokens: tokens.into_token_stream() }
    }

    fn constant(expression: &Expr) -> Self {
        Self { known: None, tokens: expression.to_token_stream() }
    }
}

/// What an expression looks like.
enum Looks {
    Text(LitStr),
    Number(String),
    Negative(String),
    OtherLiteral(String),
    Expression,
}

/// The expression without the invisible groups of macros and without parentheses.
pub(crate) fn bare(expression: &Expr) -> &Expr {
    match expression {
        Expr::Group(group) => bare(&group.expr),
        Expr::Paren(paren) => bare(&paren.expr),
        other => other,
    }
}

fn looks(expression: &Expr) -> Looks {
    match bare(expression) {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) => Looks::Text(text.clone()),
            Lit::Int(number) => Looks::Number(number.to_string()),
            Lit::Float(number) => Looks::Number(number.to_string()),
            other => Looks::OtherLiteral(other.to_token_stream().to_string()),
        },
        Expr::Unary(ExprUnary { op: UnOp::Neg(_), expr, .. }) => match looks(expr) {
            Looks::Number(number) => Looks::Negative(number),
            _ => Looks::Expression,
        },
        _ => Looks::Expression,
    }
}

/// A time.
pub(crate) fn duration(expression: &Expr) -> Result<Value<Duration>, Error> {
    match looks(expression) {
        Looks::Text(text) => {
            let duration = parse_duration(&text.value())?;
            Ok(Value::known(duration, LitStr::new(&format_duration(duration), text.span())))
        }
        Looks::Number(number) => Err(unquoted_duration(&number)),
        Looks::Negative(number) => Err(Error::new(format!("the duration `-{number}` is negative"))
            .hint("durations count forward: write for example `\"30s\"`")),
        Looks::OtherLiteral(literal) => {
            Err(Error::new(format!("`{literal}` is not a duration")).hint("write for example `\"1m30s\"`"))
        }
        Looks::Expression => Ok(Value::constant(expression)),
    }
}

/// What is wrong with a duration that is a number to the compiler.
fn unquoted_duration(number: &str) -> Error {
    match parse_duration(number) {
        Err(error) if number.contains(|c: char| c.is_alphabetic()) => error,
        Err(error) => Error::new(error.message())
            .hint(format!("write `\"{number}s\"` for seconds or `\"{number}ms\"` for milliseconds")),
        Ok(duration) => Error::new(format!("the duration `{number}` is not quoted"))
            .hint(format!("write `\"{}\"`", format_duration(duration))),
    }
}

/// A whole number up to `most`.
pub(crate) fn count(expression: &Expr, most: u64) -> Result<Value<u64>, Error> {
    let not_a_number = |literal: &str| Error::new(format!("`{literal}` is not a whole number"));
    match looks(expression) {
        Looks::Number(literal) => {
            let Expr::Lit(syn::ExprLit { lit: Lit::Int(number), .. }) = bare(expression) else {
                return Err(not_a_number(&literal).hint("write for example `10`"));
            };
            let digits = number.base10_digits();
            let known = ["", "u8", "u16", "u32", "u64", "usize", "i32", "i64"].contains(&number.suffix());
            match digits.parse() {
                Ok(value) if known && value <= most => {
                    let tokens = quote_spanned!(expression.span()=> #value);
                    Ok(Value::known(value, tokens))
                }
                _ if known => {
                    Err(Error::new(format!("`{literal}` is too large")).hint(format!("the most is {most}")))
                }
                _ => Err(not_a_number(&literal).hint(format!("write `{digits}`"))),
            }
        }
        Looks::Text(text) => {
            let error = not_a_number(&text.token().to_string());
            Err(match text.value().trim().parse::<u64>() {
                Ok(number) => error.hint(format!("write `{number}` without quotes")),
                Err(_) => error.hint("write for example `10`"),
            })
        }
        Looks::Negative(number) => {
            Err(Error::new(format!("`-{number}` is negative")).hint("it counts from 0"))
        }
        Looks::OtherLiteral(literal) => Err(not_a_number(&literal).hint("write for example `10`")),
        Looks::Expression => Ok(Value::constant(expression)),
    }
}

/// `true` or `false`, or a constant.
pub(crate) fn switch(expression: &Expr) -> Result<Value<bool>, Error> {
    if let Expr::Lit(syn::ExprLit { lit: Lit::Bool(value), .. }) = bare(expression) {
        return Ok(Value::known(value.value, value));
    }
    let wrong = |shown: &str| Error::new(format!("`{shown}` is neither `true` nor `false`"));
    match looks(expression) {
        Looks::Text(text) => Err(wrong(&text.token().to_string()).hint(match text.value().trim() {
            value @ ("true" | "false") => format!("write `{value}` without quotes"),
            _ => "write `true` or `false`".to_owned(),
        })),
        Looks::Number(literal) | Looks::OtherLiteral(literal) => {
            Err(wrong(&literal).hint("write `true` or `false`"))
        }
        Looks::Negative(number) => Err(wrong(&format!("-{number}")).hint("write `true` or `false`")),
        Looks::Expression => Ok(Value::constant(expression)),
    }
}

/// Text, or a constant of it.
pub(crate) fn text(expression: &Expr) -> Result<Value<String>, Error> {
    match looks(expression) {
        Looks::Text(text) => Ok(Value::known(text.value(), text)),
        Looks::Number(literal) | Looks::OtherLiteral(literal) => {
            Err(Error::new(format!("`{literal}` is not text"))
                .hint(format!("write `\"{}\"`", literal.trim_matches(['\'', '"']))))
        }
        Looks::Negative(number) => {
            Err(Error::new(format!("`-{number}` is not text")).hint(format!("write `\"-{number}\"`")))
        }
        Looks::Expression => Ok(Value::constant(expression)),
    }
}

/// Text, or a number as text, or a constant of either. `example` is a value as an attribute has it.
pub(crate) fn text_or_number(expression: &Expr, example: &str) -> Result<Value<String>, Error> {
    let known = |text: String| {
        let literal = LitStr::new(&text, expression.span());
        Ok(Value::known(text, literal))
    };
    // What is behind a number says what it is to the compiler, and nothing here.
    let digits = |expression: &Expr| match bare(expression) {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Int(number) if is_type(number.suffix()) => Some(number.base10_digits().to_owned()),
            Lit::Float(number) if is_type(number.suffix()) => Some(number.base10_digits().to_owned()),
            _ => None,
        },
        _ => None,
    };
    match looks(expression) {
        Looks::Text(text) => Ok(Value::known(text.value(), text)),
        Looks::Number(number) => known(digits(expression).unwrap_or(number)),
        Looks::Negative(number) => known(format!("-{number}")),
        Looks::OtherLiteral(literal) => Err(Error::new(format!("`{literal}` is neither text nor a number"))
            .hint(format!("write for example `{example}`"))),
        Looks::Expression => Ok(Value::constant(expression)),
    }
}

/// Whether what is behind the digits of a number is nothing or its type.
fn is_type(suffix: &str) -> bool {
    ["", "u8", "u16", "u32", "u64", "usize", "i32", "i64", "f32", "f64"].contains(&suffix)
}

/// Text that must be written out, because it is needed before anything runs.
pub(crate) fn literal_text(key: &str, example: &str, expression: &Expr) -> Result<LitStr, Error> {
    let hint = || format!("write for example `{key} = {example}`");
    match looks(expression) {
        Looks::Text(text) if text.value().trim().is_empty() => {
            Err(Error::new(format!("`{key}` is empty")).hint(hint()))
        }
        Looks::Text(text) => Ok(text),
        _ => Err(Error::new(format!("`{key}` is written out, as text in quotes")).hint(hint())),
    }
}

/// A name that becomes a part of the identity `package/target/path::name`.
pub(crate) fn name(key: &str, expression: &Expr) -> Result<LitStr, Error> {
    let literal = literal_text(key, "\"ticket rush\"", expression)?;
    let value = literal.value();
    let bad = value.chars().find(|c| c.is_control() || matches!(c, '/' | ':'));
    if let Some(bad) = bad {
        return Err(Error::new(format!("{bad:?} can't stand in a name"))
            .hint("names take letters, digits, spaces, `-`, `_` and `.`: `/` and `::` separate them"));
    }
    if value.trim() != value {
        return Err(Error::new("the name has spaces around it").hint(format!("write `{:?}`", value.trim())));
    }
    Ok(literal)
}

/// The path of a function.
pub(crate) fn function(key: &str, expression: &Expr) -> Result<Path, Error> {
    let shown = |path: &Path| path.to_token_stream().to_string().replace(' ', "");
    let hint = match bare(expression) {
        Expr::Path(path) if path.qself.is_none() => return Ok(path.path.clone()),
        Expr::Call(call) if call.args.is_empty() => match bare(&call.func) {
            Expr::Path(path) => format!("write `{key} = {}`, without the parentheses", shown(&path.path)),
            _ => format!("write `{key} = path::to::an_async_fn`"),
        },
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) if text.parse::<Path>().is_ok() => {
                format!("write `{key} = {}`, without quotes", text.value())
            }
            _ => format!("write `{key} = path::to::an_async_fn`"),
        },
        Expr::Closure(_) => {
            let takes = if key == "vu_init" { "vu: &mut Vu" } else { "" };
            format!("give it a name: `async fn {key}({takes}) {{ … }}`, then `{key} = {key}`")
        }
        _ => format!("write `{key} = path::to::an_async_fn`"),
    };
    Err(Error::new(format!("`{key}` takes the path of an async function")).hint(hint))
}

/// Mistakes, each with the expression that makes it.
type Placed<'a> = Vec<(&'a Expr, Error)>;

/// One element of an array of stages.
pub(crate) fn stage(expression: &Expr) -> Result<(Value<Duration>, Value<u64>), Placed<'_>> {
    let example = "a stage is (duration, target), for example `(\"1m30s\", 100)`";
    let error = match bare(expression) {
        Expr::Tuple(tuple) if tuple.elems.len() == 2 => {
            let (at_duration, at_target) = (&tuple.elems[0], &tuple.elems[1]);
            return match (duration(at_duration), count(at_target, u64::MAX)) {
                (Ok(duration), Ok(target)) => Ok((duration, target)),
                (duration, target) => {
                    let duration = duration.err().map(|error| (at_duration, error));
                    Err(duration.into_iter().chain(target.err().map(|error| (at_target, error))).collect())
                }
            };
        }
        Expr::Tuple(tuple) => {
            Error::new(format!("this has {} values instead of two", tuple.elems.len())).hint(example)
        }
        other => match looks(other) {
            Looks::Text(text) => {
                Error::new("this is not a stage").hint(match text.value().parse::<Stage>() {
                    Ok(stage) => {
                        format!("write `(\"{}\", {})`", format_duration(stage.duration), stage.target)
                    }
                    Err(_) => example.to_owned(),
                })
            }
            _ => Error::new("this is not a stage").hint(example),
        },
    };
    Err(vec![(expression, error)])
}
