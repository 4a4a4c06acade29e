//! Keys with several values: limits, pairs, and lists of texts.
//!
//! Every element is read, whatever was wrong with those before it, and each mistake is shown at its own. What an
//! element means is core's.

use loadtest_core::Error;
use loadtest_core::metric::{Builtin, MetricDef};
use loadtest_core::options::http::{HostAddress, HostPattern};
use loadtest_core::options::{Options, option};
use loadtest_core::threshold::Threshold;
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, Ident, LitStr};

use super::{Args, Entry, Mistakes, hint_for_pairs, one};
use crate::values::{self, Value, bare};

impl Args {
    pub(super) fn thresholds(&mut self, entry: &Entry) -> Result<(), Mistakes> {
        let elements: Vec<&Expr> = match bare(&entry.value) {
            Expr::Array(array) => array.elems.iter().collect(),
            _ => vec![&entry.value],
        };
        let mut mistakes = Vec::new();
        for element in elements {
            let read = values::text(element).and_then(|text| {
                // A constant stands for some limit, as options may need one.
                let limit = threshold(text.known.as_deref().unwrap_or("checks: rate>0"))?;
                Ok((text, limit))
            });
            match read {
                Ok((text, limit)) => {
                    self.options.thresholds.push(limit);
                    let tokens = &text.tokens;
                    self.calls.extend(quote_spanned!(element.span()=> .threshold(#tokens)));
                    self.note(text);
                }
                Err(error) => mistakes.push((element.to_token_stream(), error)),
            }
        }
        if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
    }

    /// Texts that core reads one by one, in brackets or a single one.
    pub(super) fn list(&mut self, entry: &Entry) -> Result<(), Mistakes> {
        let elements: Vec<&Expr> = match bare(&entry.value) {
            Expr::Array(array) => array.elems.iter().collect(),
            _ => vec![&entry.value],
        };
        let spec = option(&entry.name);
        if elements.is_empty() {
            let error = Error::new(format!("`{}` is empty", entry.name));
            let example = spec.map(|option| option.example).unwrap_or_default();
            let hint = format!("leave it out, or write for example `{} = {example}`", entry.name);
            return Err(one(&entry.value, error.hint(hint)));
        }
        let mut mistakes = Vec::new();
        let mut texts = TokenStream::new();
        for element in elements {
            let read = values::text(element).and_then(|text| {
                if let (Some(option), Some(known)) = (spec, &text.known) {
                    (option.set)(&mut Options::default(), known)?;
                }
                Ok(text)
            });
            match read {
                Ok(text) => {
                    let tokens = &text.tokens;
                    texts.extend(quote_spanned!(element.span()=> #tokens,));
                    self.note(text);
                }
                Err(error) => mistakes.push((element.to_token_stream(), error)),
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        self.call(entry, &quote_spanned!(entry.value.span()=> &[#texts]));
        Ok(())
    }

    /// `tags`, `env` and `hosts`.
    pub(super) fn pairs(&mut self, entry: &Entry) -> Result<(), Mistakes> {
        let not_pairs = |place: &Expr| {
            let error = Error::new(format!("`{}` takes a list of pairs", entry.name));
            one(place, error.hint(hint_for_pairs(&entry.name)))
        };
        let Expr::Array(array) = bare(&entry.value) else { return Err(not_pairs(&entry.value)) };
        let method = match entry.name.as_str() {
            "tags" => "tag",
            "hosts" => "host",
            other => other,
        };
        let method = Ident::new(method, Span::mixed_site());
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
                    mistakes.extend(host(entry, (key, &name), (value, &text)));
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
}

pub(super) fn binaries(entry: &Entry) -> Result<Vec<LitStr>, Mistakes> {
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

/// What is wrong with one of the `hosts`, at its name or at its address.
fn host(entry: &Entry, name: (&Expr, &Value<String>), address: (&Expr, &Value<String>)) -> Mistakes {
    if entry.name != "hosts" {
        return Mistakes::new();
    }
    let wrong_name = name.1.known.as_ref().and_then(|text| text.parse::<HostPattern>().err());
    let wrong_address = address.1.known.as_ref().and_then(|text| text.parse::<HostAddress>().err());
    // An empty name has been told.
    let wrong_name = wrong_name.filter(|_| name.1.known.as_ref().is_some_and(|text| !text.trim().is_empty()));
    let name = wrong_name.map(|error| (name.0.to_token_stream(), error));
    name.into_iter().chain(wrong_address.map(|error| (address.0.to_token_stream(), error))).collect()
}

/// Reads a threshold; one on a built-in metric must fit it. Other metrics are known at run time only.
fn threshold(text: &str) -> Result<Threshold, Error> {
    let threshold: Threshold = text.parse()?;
    let builtin = Builtin::ALL.iter().map(|metric| metric.spec()).find(|spec| spec.0 == threshold.metric);
    if let Some((name, kind, unit)) = builtin {
        threshold.check_kind(&MetricDef { name: name.to_owned(), kind, unit })?;
    }
    Ok(threshold)
}
