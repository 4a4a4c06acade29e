//! Several `#[load_test]` on one function: scenarios that must differ, and what their entries are called.
//!
//! The attribute that is expanded first sees those after it on the item; the last one sees none. So nothing
//! here depends on how many there are: an entry's name is made of what its own attribute says.

use proc_macro2::{Ident, Span};
use quote::{ToTokens, format_ident};
use syn::ext::IdentExt;
use syn::{Attribute, LitStr, Meta};

use crate::args::{self, Args};
use crate::function::Function;
use crate::hash;
use crate::problems::Problems;

/// Reports the next `#[load_test]` on the function that makes the same scenario of the same test as `args`.
/// Only the next: that one reports the one after it.
pub(crate) fn check(args: &Args, function: &Function, problems: &mut Problems) {
    let own = Identity::new(function, args.test.as_ref(), args.name.as_ref());
    let twin = function.attributes.iter().filter_map(|attribute| {
        let (test, name) = names(attribute)?;
        let same = Identity::new(function, test.as_ref(), name.as_ref()) == own;
        same.then(|| name.map_or_else(|| attribute.to_token_stream(), |name| name.to_token_stream()))
    });
    if let Some(place) = twin.into_iter().next() {
        problems.at(
            place,
            format!("this function is the scenario `{}` of the test `{}` already", own.scenario, own.test),
            "give each `#[load_test]` on it a `name = \"…\"` of its own",
        );
    }
}

/// The module of the entry: named after the function, and after what the attribute calls test and scenario.
pub(crate) fn entry_module(args: &Args, function: &Function) -> Ident {
    let name = function.signature.ident.unraw();
    let said: Vec<String> = [&args.test, &args.name].into_iter().flatten().map(LitStr::value).collect();
    if said.is_empty() {
        return format_ident!("__load_test_{name}", span = Span::mixed_site());
    }
    let readable = |text: &String| {
        text.chars().take(32).map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect::<String>()
    };
    let readable: Vec<String> = said.iter().map(readable).collect();
    // Different names may read alike.
    let identity = Identity::new(function, args.test.as_ref(), args.name.as_ref());
    let hash = hash::text(&format!("{}\0{}\0{name}", identity.test, identity.scenario));
    format_ident!("__load_test_{name}_{}_{}", readable.join("_"), &hash[..8], span = Span::mixed_site())
}

/// What tells a scenario from the others of a module.
#[derive(PartialEq)]
struct Identity {
    test: String,
    scenario: String,
}

impl Identity {
    fn new(function: &Function, test: Option<&LitStr>, name: Option<&LitStr>) -> Self {
        let or_function = |text: Option<&LitStr>| {
            text.map_or_else(|| function.signature.ident.unraw().to_string(), LitStr::value)
        };
        Self { test: or_function(test), scenario: or_function(name) }
    }
}

/// The keys `test` and `name` of another `#[load_test]`.
fn names(attribute: &Attribute) -> Option<(Option<LitStr>, Option<LitStr>)> {
    let tokens = match &attribute.meta {
        Meta::Path(_) => Default::default(),
        Meta::List(list) => list.tokens.clone(),
        Meta::NameValue(_) => return None,
    };
    let last = attribute.path().segments.last()?;
    let found = || (args::literal(tokens.clone(), "test"), args::literal(tokens, "name"));
    (last.ident == "load_test").then(found)
}
