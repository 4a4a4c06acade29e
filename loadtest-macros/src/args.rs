//! The attribute's tokens as options, with the places of their mistakes kept.
//!
//! The main type is [`Args`]. Every key is read, whatever was wrong with those before it, so that all
//! mistakes are reported at once. What options mean together is for core to say, on those that are
//! written out; a constant stands for some value that is not wrong.

mod lists;

use std::collections::BTreeMap;
use std::time::Duration;

use loadtest_core::Error;
use loadtest_core::options::{ExecutorKind, Options, Search, Stage, option, parse_stages};
use loadtest_core::units::format_duration;
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::discouraged::Speculative;
use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{Expr, Ident, LitStr, Path, Token};

use self::lists::binaries;
use crate::keys;
use crate::problems::Problems;
use crate::values::{self, Value, bare};

/// What an attribute says.
#[derive(Default)]
pub(crate) struct Args {
    /// The key `crate`.
    pub(crate) runtime: Option<Path>,
    /// The key `reset`, if it is a function and no command.
    pub(crate) reset: Option<Path>,
    pub(crate) setup: Option<Path>,
    pub(crate) vu_init: Option<Path>,
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

/// What another attribute says of one key that is written out as text: nothing, if it is not as it should be,
/// which is that attribute's own matter.
pub(crate) fn literal(attribute: TokenStream, key: &str) -> Option<LitStr> {
    let entries = entries(attribute, &mut Problems::default());
    let entry = entries.iter().find(|entry| entry.name == key)?;
    values::name(key, &entry.value).ok()
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
        "hosts" => "write `hosts = [(\"example.org\", \"127.0.0.1\")]`".to_owned(),
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
            "iterations" | "rate" | "start_rate" | "max_rate" | "step" => {
                let count = values::count(value, u64::MAX);
                let count = count.map_err(|error| here(per_time_unit(key, error)))?;
                self.call(entry, &count.tokens);
                let count = Some(self.shapes(count, 1));
                match key {
                    "iterations" => self.options.iterations = count,
                    "rate" => self.options.rate = count,
                    "start_rate" => self.options.start_rate = count,
                    "max_rate" => self.options.max_rate = count,
                    _ => self.options.step = count,
                }
            }
            "vus" | "start_vus" | "pre_allocated_vus" | "max_vus" | "rps" => {
                let count = values::count(value, u32::MAX.into()).map_err(here)?;
                self.call(entry, &count.tokens);
                let count = u32::try_from(self.shapes(count, 1)).ok();
                match key {
                    "vus" => self.options.vus = count,
                    "start_vus" => self.options.start_vus = count,
                    "pre_allocated_vus" => self.options.pre_allocated_vus = count,
                    "max_vus" => self.options.max_vus = count,
                    _ => self.options.rps = count,
                }
            }
            "max_duration" | "duration" | "graceful_ramp_down" | "time_unit" | "probe_duration" => {
                let duration = values::duration(value).map_err(here)?;
                self.call(entry, &duration.tokens);
                let duration = Some(self.shapes(duration, Duration::from_secs(1)));
                match key {
                    "max_duration" => self.options.max_duration = duration,
                    "duration" => self.options.duration = duration,
                    "graceful_ramp_down" => self.options.graceful_ramp_down = duration,
                    "time_unit" => self.options.time_unit = duration,
                    _ => self.options.probe_duration = duration,
                }
            }
            "start_time" | "graceful_stop" | "min_iteration_duration" | "warm_up" => {
                let duration = values::duration(value).map_err(here)?;
                self.call(entry, &duration.tokens);
                self.note(duration);
            }
            "compare_duration" => {
                let duration = values::duration(value).map_err(here)?;
                if let Some(known) = duration.known {
                    self.told(key, &format_duration(known)).map_err(here)?;
                }
                self.call(entry, &duration.tokens);
                self.note(duration);
            }
            "runs" | "min_effect" | "equivalence" | "alpha" => {
                let text = values::text_or_number(value, example(key)).map_err(here)?;
                if let Some(known) = &text.known {
                    self.told(key, known).map_err(|error| here(in_quotes(value, known, error)))?;
                }
                self.call(entry, &text.tokens);
                self.note(text);
            }
            "max_redirects" | "batch" | "batch_per_host" => {
                let count = values::count(value, u32::MAX.into()).map_err(here)?;
                self.call(entry, &count.tokens);
                let count = u32::try_from(self.stands_for(count, 1)).ok();
                match key {
                    "max_redirects" => self.options.http.max_redirects = count,
                    "batch" => self.options.http.batch = count,
                    _ => self.options.http.batch_per_host = count,
                }
            }
            "discard_response_bodies"
            | "insecure_skip_tls_verify"
            | "no_connection_reuse"
            | "no_vu_connection_reuse" => {
                let switch = values::switch(value).map_err(here)?;
                self.call(entry, &switch.tokens);
                self.note(switch);
            }
            "tls_auth" | "local_ips" | "block_ips" | "block_hostnames" | "allow" | "gate" => {
                self.list(entry)?
            }
            "search" | "preflight" | "user_agent" | "http_version" | "tls_version" | "dns" | "cookies"
            | "http_debug" => self.option_text(entry).map_err(here)?,
            "reset" => match bare(value) {
                Expr::Lit(literal) if matches!(literal.lit, syn::Lit::Str(_)) => {
                    self.option_text(entry).map_err(here)?;
                }
                _ => {
                    let wrong = |error: Error| {
                        let takes =
                            "`reset` takes the path of an async function, or a shell command in quotes";
                        here(Error::new(takes).hint(error.hint_text().unwrap_or_default()))
                    };
                    self.reset = Some(values::function(key, value).map_err(wrong)?);
                }
            },
            "executor" => {
                let name = values::literal_text(key, "\"ramping-vus\"", value).map_err(here)?;
                self.options.executor = Some(name.value().parse::<ExecutorKind>().map_err(here)?);
                self.call(entry, &name);
            }
            "stages" => self.stages(entry)?,
            "thresholds" => self.thresholds(entry)?,
            "tags" | "env" | "hosts" => self.pairs(entry)?,
            "setup" => self.setup = Some(values::function(key, value).map_err(here)?),
            "vu_init" => self.vu_init = Some(values::function(key, value).map_err(here)?),
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

    /// An option whose text core reads.
    fn option_text(&mut self, entry: &Entry) -> Result<(), Error> {
        let text = values::text(&entry.value)?;
        self.call(entry, &text.tokens);
        match (option(&entry.name), &text.known) {
            (Some(option), Some(text)) => (option.set)(&mut self.options, text)?,
            // A constant: one of the values that are not wrong.
            _ if entry.name == "search" => {
                let constant = Value { known: None, tokens: text.tokens };
                self.options.search = Some(self.shapes(constant, Search::Binary));
            }
            _ => self.note(text),
        }
        Ok(())
    }

    /// Sets an option whose text core reads, and which is right or wrong by itself.
    fn told(&mut self, key: &str, text: &str) -> Result<(), Error> {
        option(key).map_or(Ok(()), |option| (option.set)(&mut self.options, text))
    }

    /// The value of an option that shapes the load, or a stand-in for a constant.
    fn shapes<T>(&mut self, value: Value<T>, placeholder: T) -> T {
        value.known.unwrap_or_else(|| {
            self.execution_is_known = false;
            self.constants.push(value.tokens);
            placeholder
        })
    }

    /// The value of an option that is right or wrong by itself, or a stand-in for a constant.
    fn stands_for<T>(&mut self, value: Value<T>, placeholder: T) -> T {
        value.known.unwrap_or_else(|| {
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
            // It is as many, if it is not given.
            .chain(error.message().starts_with("`max_vus`").then_some("pre_allocated_vus"))
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

/// A value of an option as an attribute has it.
fn example(key: &str) -> &'static str {
    option(key).map_or("", |option| option.example)
}

/// Mistakes with the tokens that they are shown at.
type Mistakes = Vec<(TokenStream, Error)>;

fn one(place: &Expr, error: Error) -> Mistakes {
    vec![(place.to_token_stream(), error)]
}

/// What to write instead of a number that lacks its `%`, which Rust reads only in quotes.
fn in_quotes(value: &Expr, number: &str, error: Error) -> Error {
    match bare(value) {
        Expr::Lit(literal)
            if !matches!(literal.lit, syn::Lit::Str(_)) && error.message().ends_with("no `%`") =>
        {
            Error::new(error.message()).hint(format!("write `\"{number}%\"` for {number} %"))
        }
        _ => error,
    }
}

/// What to write instead of half a start, or of a rate with its unit.
fn per_time_unit(key: &str, error: Error) -> Error {
    if key.ends_with("rate") && error.message().ends_with("is not a whole number") {
        let hint =
            format!("it counts starts per `time_unit`: write for example `{key} = 1, time_unit = \"2s\"`");
        return Error::new(error.message()).hint(hint);
    }
    error
}

#[cfg(test)]
mod tests;
