//! The attribute's tokens as options, with the places of their mistakes kept.
//!
//! The main type is [`Args`]. Every key is read, whatever was wrong with those before it, so that all
//! mistakes are reported at once. What options mean together is for core to say, on those that are
//! written out; a constant stands for some value that is not wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use loadtest_core::Error;
use loadtest_core::metric::{Builtin, MetricDef};
use loadtest_core::options::{ExecutorKind, Options, Stage, parse_stages};
use loadtest_core::threshold::Threshold;
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::discouraged::Speculative;
use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{Expr, Ident, LitStr, Path, Token};

use crate::keys;
use crate::problems::Problems;
use crate::values::{self, Value, bare};

/// What an attribute says.
#[derive(Default)]
pub(crate) struct Args {
    /// The key `crate`.
    pub(crate) runtime: Option<Path>,
    pub(crate) setup: Option<Path>,
    pub(crate) teardown: Option<Path>,
    pub(crate) test: Option<LitStr>,
    pub(crate) name: Option<LitStr>,
    pub(crate) binaries: Vec<LitStr>,
    /// Calls on `Attribute` that make the options at run time: `.vus(3u64)`.
    pub(crate) calls: TokenStream,
    /// Values that are not written out.
    pub(crate) constants: Vec<TokenStream>,
    options: Options,
    execution_is_known: bool,
}

struct Entry {
    key: Ident,
    name: String,
    value: Expr,
}

/// Reads the attribute.
pub(crate) fn read(attribute: TokenStream, problems: &mut Problems) -> Args {
    let mut args = Args { execution_is_known: true, ..Args::default() };
    let entries = entries(attribute, problems);
    let mut seen: BTreeMap<&str, &Entry> = BTreeMap::new();
    let mut sound = true;
    for entry in &entries {
        if let Err(error) = keys::known(&entry.name) {
            problems.core(&entry.key, error);
            sound = false;
        } else if seen.contains_key(entry.name.as_str()) {
            let message = format!("the key `{}` is given twice", entry.name);
            problems.at(&entry.key, message, "leave one of them out");
        } else {
            seen.insert(&entry.name, entry);
            sound &= args.take(entry, problems);
        }
    }
    if sound {
        args.check_together(&seen, problems);
    }
    args
}

/// Splits the attribute into keys and values. A part that is neither is reported and left out.
fn entries(attribute: TokenStream, problems: &mut Problems) -> Vec<Entry> {
    let mut entries = Vec::new();
    let split = |input: ParseStream| {
        while !input.is_empty() {
            match entry(input) {
                Ok(entry) => entries.push(entry),
                Err(error) => {
                    problems.push(error);
                    while !input.is_empty() && !input.peek(Token![,]) {
                        input.parse::<proc_macro2::TokenTree>()?;
                    }
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(())
    };
    if let Err(error) = split.parse2(attribute) {
        problems.push(error);
    }
    entries
}

fn entry(input: ParseStream) -> syn::Result<Entry> {
    let problem = |span: Span, message: String, hint: String| {
        Err(syn::Error::new(span, Error::new(message).hint(hint)))
    };
    if !input.peek(Ident::peek_any) {
        let hint = "write for example `vus = 10, duration = \"30s\"`".to_owned();
        return problem(input.span(), "expected a key".to_owned(), hint);
    }
    let key = input.call(Ident::parse_any)?;
    let name = key.unraw().to_string();
    if !input.peek(Token![=]) {
        // An unknown key says so rather than how its value is written.
        return match keys::known(&name) {
            Err(error) => Err(syn::Error::new(key.span(), error)),
            Ok(()) => {
                problem(key.span(), format!("the key `{name}` has no value"), format!("write `{name} = …`"))
            }
        };
    }
    input.parse::<Token![=]>()?;
    if input.is_empty() || input.peek(Token![,]) {
        return problem(key.span(), format!("the key `{name}` has no value"), format!("write `{name} = …`"));
    }
    // A struct-like `{ a = b }` is no expression: its key knows what to write instead.
    if input.peek(syn::token::Brace) && !input.peek2(Token![.]) {
        let value = input.parse::<proc_macro2::Group>()?;
        return match keys::known(&name) {
            Err(error) => Err(syn::Error::new(key.span(), error)),
            Ok(()) => problem(value.span(), format!("`{name}` takes no braces"), hint_for_pairs(&name)),
        };
    }
    // On a fork, so that a mistake leaves the input where the next comma can be found.
    let ahead = input.fork();
    let value = match ahead.parse::<Expr>() {
        Err(_) if ahead.is_empty() => {
            let message = format!("the value of `{name}` is not complete");
            return problem(key.span(), message, "write a literal or a constant".to_owned());
        }
        value => value?,
    };
    input.advance_to(&ahead);
    if !input.is_empty() && !input.peek(Token![,]) {
        return problem(input.span(), "expected a comma between two keys".to_owned(), "write `,`".to_owned());
    }
    Ok(Entry { key, name, value })
}

fn hint_for_pairs(key: &str) -> String {
    match key {
        "tags" | "env" => format!("write `{key} = [(\"key\", \"value\")]`"),
        _ => "write a literal or a constant".to_owned(),
    }
}

impl Args {
    /// Reads one key; says whether it is right.
    fn take(&mut self, entry: &Entry, problems: &mut Problems) -> bool {
        match self.read(entry) {
            Ok(()) => true,
            Err(mistakes) => {
                for (place, error) in mistakes {
                    problems.core(place, error);
                }
                false
            }
        }
    }

    fn read(&mut self, entry: &Entry) -> Result<(), Mistakes> {
        let value = &entry.value;
        let here = |error: Error| vec![(value.to_token_stream(), error)];
        let key = entry.name.as_str();
        match key {
            "vus" | "start_vus" | "iterations" => {
                let most = if key == "iterations" { u64::MAX } else { u32::MAX.into() };
                let count = values::count(value, most).map_err(here)?;
                self.call(entry, &count.tokens);
                let count = self.shapes(count, 1);
                match key {
                    "vus" => self.options.vus = u32::try_from(count).ok(),
                    "start_vus" => self.options.start_vus = u32::try_from(count).ok(),
                    _ => self.options.iterations = Some(count),
                }
            }
            "max_duration" | "duration" | "graceful_ramp_down" | "graceful_stop" | "warm_up" => {
                let duration = values::duration(value).map_err(here)?;
                self.call(entry, &duration.tokens);
                let placeholder = Duration::from_secs(1);
                match key {
                    "max_duration" => self.options.max_duration = Some(self.shapes(duration, placeholder)),
                    "duration" => self.options.duration = Some(self.shapes(duration, placeholder)),
                    "graceful_ramp_down" => {
                        self.options.graceful_ramp_down = Some(self.shapes(duration, placeholder));
                    }
                    _ => self.note(duration),
                }
            }
            "executor" => {
                let name = values::literal_text(key, "\"ramping-vus\"", value).map_err(here)?;
                self.options.executor = Some(name.value().parse::<ExecutorKind>().map_err(here)?);
                self.call(entry, &name);
            }
            "stages" => self.stages(entry)?,
            "thresholds" => self.thresholds(entry)?,
            "tags" | "env" => self.pairs(entry)?,
            "setup" => self.setup = Some(values::function(key, value).map_err(here)?),
            "teardown" => self.teardown = Some(values::function(key, value).map_err(here)?),
            "test" => self.test = Some(values::name(key, value).map_err(here)?),
            "name" => self.name = Some(values::name(key, value).map_err(here)?),
            "binaries" => self.binaries = binaries(entry)?,
            "crate" => match bare(value) {
                Expr::Path(path) if path.qself.is_none() => self.runtime = Some(path.path.clone()),
                _ => {
                    let error =
                        Error::new("`crate` takes the name that this crate has for `loadtest_runtime`");
                    return Err(here(error.hint("write for example `crate = lt`, without quotes")));
                }
            },
            _ => unreachable!("the table of keys has been asked"),
        }
        Ok(())
    }

    fn call(&mut self, entry: &Entry, value: &impl ToTokens) {
        let method = Ident::new(&entry.name, Span::mixed_site().located_at(entry.value.span()));
        self.calls.extend(quote!(.#method(#value)));
    }

    /// The value of an option that shapes the load, or a stand-in for a constant.
    fn shapes<T>(&mut self, value: Value<T>, placeholder: T) -> T {
        value.known.unwrap_or_else(|| {
            self.execution_is_known = false;
            self.constants.push(value.tokens);
            placeholder
        })
    }

    fn note<T>(&mut self, value: Value<T>) {
        if value.known.is_none() {
            self.constants.push(value.tokens);
        }
    }

    fn stages(&mut self, entry: &Entry) -> Result<(), Mistakes> {
        let value = &entry.value;
        let elements = match bare(value) {
            Expr::Array(array) => &array.elems,
            Expr::Lit(_) => {
                let text = values::text(value).map_err(|_| {
                    let error = Error::new("this is not a list of stages");
                    one(value, error.hint("write for example `[(\"1m30s\", 100)]` or `\"1m30s:100\"`"))
                })?;
                self.call(entry, &text.tokens);
                let stages = parse_stages(&text.known.unwrap_or_default());
                self.options.stages = Some(stages.map_err(|error| one(value, error))?);
                return Ok(());
            }
            _ => {
                self.call(entry, value);
                let placeholder = Stage { duration: Duration::from_secs(1), target: 1 };
                let constant = Value { known: None, tokens: value.to_token_stream() };
                self.options.stages = Some(self.shapes(constant, vec![placeholder]));
                return Ok(());
            }
        };
        let mut mistakes = Vec::new();
        let mut stages = Vec::new();
        for (n, element) in elements.iter().enumerate() {
            match values::stage(element) {
                Ok((duration, target)) => {
                    let (for_duration, for_target) = (&duration.tokens, &target.tokens);
                    self.calls.extend(quote_spanned!(element.span()=> .stage(#for_duration, #for_target)));
                    stages.push(Stage {
                        duration: self.shapes(duration, Duration::from_secs(1)),
                        target: self.shapes(target, 1),
                    });
                }
                Err(errors) => mistakes.extend(errors.into_iter().map(|(place, error)| {
                    (place.to_token_stream(), error.context(format_args!("stage {}", n + 1)))
                })),
            }
        }
        self.options.stages = Some(stages);
        if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
    }

    fn thresholds(&mut self, entry: &Entry) -> Result<(), Mistakes> {
        let elements: Vec<&Expr> = match bare(&entry.value) {
            Expr::Array(array) => array.elems.iter().collect(),
            _ => vec![&entry.value],
        };
        let mut mistakes = Vec::new();
        for element in elements {
            let read = values::text(element).and_then(|text| {
                text.known.as_deref().map_or(Ok(()), check_threshold)?;
                Ok(text)
            });
            match read {
                Ok(text) => {
                    let tokens = &text.tokens;
                    self.calls.extend(quote_spanned!(element.span()=> .threshold(#tokens)));
                    self.note(text);
                }
                Err(error) => mistakes.push((element.to_token_stream(), error)),
            }
        }
        if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
    }

    /// `tags` and `env`.
    fn pairs(&mut self, entry: &Entry) -> Result<(), Mistakes> {
        let not_pairs = |place: &Expr| {
            let error = Error::new(format!("`{}` takes a list of pairs", entry.name));
            one(place, error.hint(hint_for_pairs(&entry.name)))
        };
        let Expr::Array(array) = bare(&entry.value) else { return Err(not_pairs(&entry.value)) };
        let method = Ident::new(if entry.name == "env" { "env" } else { "tag" }, Span::mixed_site());
        let mut seen: Vec<String> = Vec::new();
        let mut mistakes = Vec::new();
        for element in &array.elems {
            let Expr::Tuple(tuple) = bare(element) else {
                mistakes.extend(not_pairs(element));
                continue;
            };
            let [key, value] = [tuple.elems.first(), tuple.elems.get(1)];
            let (Some(key), Some(value), 2) = (key, value, tuple.elems.len()) else {
                mistakes.extend(not_pairs(element));
                continue;
            };
            match (values::text(key), values::text(value)) {
                (Ok(name), Ok(text)) => {
                    match &name.known {
                        Some(name) if name.trim().is_empty() => {
                            mistakes.extend(one(key, Error::new("the key is empty").hint("give it a name")));
                        }
                        Some(name) if seen.contains(name) => {
                            let error = Error::new(format!("`{name}` is given twice"));
                            mistakes.extend(one(key, error.hint("leave one of them out")));
                        }
                        name => seen.extend(name.clone()),
                    }
                    let (for_name, for_text) = (&name.tokens, &text.tokens);
                    self.calls.extend(quote_spanned!(element.span()=> .#method(#for_name, #for_text)));
                    self.note(name);
                    self.note(text);
                }
                (name, text) => {
                    mistakes.extend(name.err().map(|error| (key.to_token_stream(), error)));
                    mistakes.extend(text.err().map(|error| (value.to_token_stream(), error)));
                }
            }
        }
        if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
    }

    /// Reports what the options, each right by itself, do not mean together.
    fn check_together(&self, seen: &BTreeMap<&str, &Entry>, problems: &mut Problems) {
        let keys = self.options.executor();
        let of_keys = keys.is_err();
        let error = match keys {
            Err(error) => error,
            Ok(_) if !self.execution_is_known => return,
            Ok(_) => match self.options.resolve() {
                Ok(_) => return,
                Err(error) => error,
            },
        };
        // Core names options in backquotes. One that an executor does not take comes last in its message;
        // one with a wrong value comes first.
        let named: Vec<&Entry> = error
            .message()
            .split('`')
            .skip(1)
            .step_by(2)
            .chain(error.message().contains("stage target").then_some("stages"))
            .filter_map(|word| seen.get(word).copied())
            .collect();
        let culprit = if of_keys { named.last() } else { named.first() };
        match culprit.or(seen.get("executor")) {
            Some(entry) if of_keys && culprit.is_some() => problems.core(&entry.key, error),
            Some(entry) => problems.core(&entry.value, error),
            None => problems.core(TokenStream::new(), error),
        }
    }
}

/// Mistakes with the tokens that they are shown at.
type Mistakes = Vec<(TokenStream, Error)>;

fn one(place: &Expr, error: Error) -> Mistakes {
    vec![(place.to_token_stream(), error)]
}

/// Reads a threshold; one on a built-in metric must fit it. Other metrics are known at run time only.
fn check_threshold(text: &str) -> Result<(), Error> {
    let threshold: Threshold = text.parse()?;
    let builtin = Builtin::ALL.iter().map(|metric| metric.spec()).find(|spec| spec.0 == threshold.metric);
    match builtin {
        None => Ok(()),
        Some((name, kind, unit)) => threshold.check_kind(&MetricDef { name: name.to_owned(), kind, unit }),
    }
}

fn binaries(entry: &Entry) -> Result<Vec<LitStr>, Mistakes> {
    let Expr::Array(array) = bare(&entry.value) else {
        let error = Error::new("`binaries` takes a list of names");
        return Err(one(&entry.value, error.hint("write for example `binaries = [\"concert\"]`")));
    };
    let mut names: Vec<LitStr> = Vec::new();
    let mut mistakes = Vec::new();
    for element in &array.elems {
        match values::literal_text("binaries", "[\"concert\"]", element) {
            Ok(name) if names.iter().any(|other| other.value() == name.value()) => {
                let error = Error::new(format!("`{}` is given twice", name.value()));
                mistakes.extend(one(element, error.hint("leave one of them out")));
            }
            Ok(name) => names.push(name),
            Err(error) => mistakes.extend(one(element, error)),
        }
    }
    if mistakes.is_empty() { Ok(names) } else { Err(mistakes) }
}

#[cfg(test)]
mod tests {
    use quote::{format_ident, quote};

    use super::*;

    fn mistakes(attribute: TokenStream) -> usize {
        let mut problems = Problems::default();
        let args = read(attribute, &mut problems);
        assert!(args.setup.is_none());
        problems.count()
    }

    #[test]
    fn every_key_is_read_and_documented() {
        let documentation = include_str!("lib.rs");
        for key in keys::KEYS {
            let ident = format_ident!("{key}");
            assert_eq!(mistakes(quote!(#ident = '?')), 1, "{key}");
            assert!(documentation.contains(&format!("/// | `{key}` | ")), "{key}");
        }
    }

    #[test]
    fn a_constant_is_checked_for_what_is_known_of_it() {
        assert_eq!(mistakes(quote!(vus = USERS, iterations = 3)), 0);
        assert_eq!(mistakes(quote!(vus = USERS, stages = RAMP)), 1);
        assert_eq!(mistakes(quote!(stages = [("1s", USERS), (RAMP, 3)], graceful_stop = STOP)), 0);
    }

    #[test]
    fn mistakes_do_not_hide_each_other() {
        assert_eq!(mistakes(quote!(a = , vus = -1 +, 3, stages = [("1", "2")], duration = )), 6);
    }
}
