//! What may carry the attribute: a plain async function over `()`, `(&mut Vu)`, `(&mut Vu, &T)`,
//! `(&mut Vu, &mut S)` or `(&mut Vu, &T, &mut S)`.
//!
//! The body is kept as tokens and never parsed, so that syntax newer than this crate passes through.

use proc_macro2::{Group, TokenStream};
use quote::ToTokens;
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, FnArg, PatType, Safety, Signature, Token, Type, Visibility, token};

use crate::problems::Problems;

/// A function: what the attribute looks at, and the rest as it stands.
pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) signature: Signature,
    pub(crate) body: Group,
    /// The types that it takes.
    pub(crate) arguments: Arguments,
}

/// The types of a load test's arguments, as written: for the places of errors.
#[derive(Default)]
pub(crate) struct Arguments {
    pub(crate) vu: Option<Type>,
    /// What `setup` returns.
    pub(crate) data: Option<Type>,
    /// What `vu_init` returns.
    pub(crate) state: Option<Type>,
}

/// Where a load test's arguments come from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sources {
    pub(crate) setup: bool,
    pub(crate) vu_init: bool,
}

impl Parse for Function {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        input.parse::<Visibility>()?;
        let signature = input.parse()?;
        if !input.peek(token::Brace) {
            return Err(input.error("expected a body"));
        }
        Ok(Self { attributes, signature, body: input.parse()?, arguments: Arguments::default() })
    }
}

const GOES_ON: &str = "`#[load_test]` goes on an async function";

/// Reads the item under the attribute and checks it. `None` if the expansion can't go on.
pub(crate) fn read(item: &TokenStream, sources: Sources, problems: &mut Problems) -> Option<Function> {
    let Ok(mut function) = syn::parse2::<Function>(item.clone()) else {
        // The keyword is a better place than the whole item.
        let first = item_keyword(item);
        problems.at(first, GOES_ON, "write for example `async fn browse(vu: &mut Vu) { … }`");
        return None;
    };
    function.arguments = check(&function, sources, problems)?;
    Some(function)
}

/// Reports everything about the function that does not fit.
fn check(function: &Function, sources: Sources, problems: &mut Problems) -> Option<Arguments> {
    let signature = &function.signature;
    let name = &signature.ident;
    let mut fits = true;
    let mut wrong = |tokens: &dyn ToTokens, message: &str, hint: String| {
        problems.at(tokens, message, hint);
        fits = false;
    };
    for attribute in &function.attributes {
        let last = attribute.path().segments.last();
        if last.is_some_and(|segment| segment.ident == "test") {
            let hint = "remove this attribute: `#[load_test]` adds an ignored test by itself".to_owned();
            wrong(attribute, "a load test is not a unit test", hint);
        }
    }
    if let Some(constness) = &signature.constness {
        wrong(constness, "a load test can't be `const`", format!("write `async fn {name}(…)`"));
    }
    if let Safety::Unsafe(keyword) = &signature.safety {
        let hint = format!("write `async fn {name}(…)`, with an `unsafe` block inside");
        wrong(keyword, "a load test can't be `unsafe`", hint);
    }
    if let Some(abi) = &signature.abi {
        wrong(abi, "a load test can't be `extern`", format!("write `async fn {name}(…)`"));
    }
    if signature.asyncness.is_none() {
        wrong(&signature.fn_token, "a load test is an async function", format!("write `async fn {name}(…)`"));
    }
    let generics = &signature.generics;
    if !generics.params.is_empty() || generics.where_clause.is_some() {
        let hint = "write the types themselves; the lifetimes of references need no names";
        match &generics.where_clause {
            Some(clause) if generics.params.is_empty() => {
                wrong(clause, "a load test can't be generic", hint.to_owned());
            }
            _ => wrong(generics, "a load test can't be generic", hint.to_owned()),
        }
    }
    if let Some(variadic) = &signature.variadic {
        wrong(variadic, TOO_MANY, takes(name));
    }
    let arguments = arguments(signature, sources, problems);
    arguments.filter(|_| fits)
}

const TOO_MANY: &str = "a load test takes at most `vu`, `data` and `state`";

fn takes(name: &syn::Ident) -> String {
    format!(
        "write `async fn {name}()` or `async fn {name}(vu: &mut Vu)`, then `data: &T` for what `setup` returns and `state: &mut S` for what `vu_init` returns"
    )
}

fn arguments(signature: &Signature, sources: Sources, problems: &mut Problems) -> Option<Arguments> {
    let name = &signature.ident;
    let mut typed: Vec<&PatType> = Vec::new();
    for argument in &signature.inputs {
        match argument {
            FnArg::Receiver(receiver) => {
                let hint = "move it out of the `impl` block; what it needs comes from `setup`";
                problems.at(receiver, "a load test is a free function, without `self`", hint);
                return None;
            }
            FnArg::Typed(argument) => typed.push(argument),
        }
    }
    let found = |vu: &PatType, data: Option<&PatType>, state: Option<&PatType>| {
        let ty = |argument: &PatType| (*argument.ty).clone();
        Some(Arguments { vu: Some(ty(vu)), data: data.map(ty), state: state.map(ty) })
    };
    match typed[..] {
        [] => Some(Arguments::default()),
        [vu] => is_vu(vu, name, problems).then(|| found(vu, None, None))?,
        [first, second] if mutability(&first.ty) == Some(false) && mutability(&second.ty) == Some(true) => {
            let message = "the virtual user comes first, then the data";
            problems.at(first, message, format!("write `async fn {name}(vu: &mut Vu, data: &T)`"));
            None
        }
        [vu, state] if mutability(&state.ty) == Some(true) => {
            let both = is_vu(vu, name, problems) & is_state(state, sources, problems);
            both.then(|| found(vu, None, Some(state)))?
        }
        [vu, data] => {
            let both = is_vu(vu, name, problems) & is_data(data, sources, problems);
            both.then(|| found(vu, Some(data), None))?
        }
        [_, second, third]
            if mutability(&second.ty) == Some(true) && mutability(&third.ty) == Some(false) =>
        {
            let message = "the data of `setup` comes before the state of `vu_init`";
            problems.at(
                second,
                message,
                format!("write `async fn {name}(vu: &mut Vu, data: &T, state: &mut S)`"),
            );
            None
        }
        [vu, data, state] => {
            let all = is_vu(vu, name, problems)
                & is_data(data, sources, problems)
                & is_state(state, sources, problems);
            all.then(|| found(vu, Some(data), Some(state)))?
        }
        [_, _, _, fourth, ..] => {
            problems.at(fourth, TOO_MANY, takes(name));
            None
        }
    }
}

fn is_vu(argument: &PatType, name: &syn::Ident, problems: &mut Problems) -> bool {
    let message = match mutability(&argument.ty) {
        Some(true) => return true,
        Some(false) => "the virtual user is taken by `&mut`",
        None => "the virtual user is taken by `&mut`, not by value",
    };
    problems.at(&argument.ty, message, format!("write `async fn {name}(vu: &mut Vu)`"));
    false
}

fn is_data(argument: &PatType, sources: Sources, problems: &mut Problems) -> bool {
    let ty = &argument.ty;
    match mutability(ty) {
        Some(false) if sources.setup => return true,
        Some(false) if sources.vu_init => problems.at(
            ty,
            "the data comes from `setup`, and this load test has none",
            "take what `vu_init` returns by `&mut`, or add `setup = path::to::an_async_fn` to the attribute",
        ),
        Some(false) => problems.at(
            ty,
            "the data comes from `setup`, and this load test has none",
            "add `setup = path::to::an_async_fn` to the attribute",
        ),
        Some(true) => problems.at(ty, SHARED, "take it by `&`; put what changes into a `Mutex` or an atomic"),
        None => problems.at(
            ty,
            "the data is shared by all virtual users and is taken by reference",
            format!("write `&{}`", spaceless(ty)),
        ),
    }
    false
}

const SHARED: &str = "the data is shared by all virtual users and can't be taken by `&mut`";

fn is_state(argument: &PatType, sources: Sources, problems: &mut Problems) -> bool {
    let ty = &argument.ty;
    match mutability(ty) {
        Some(true) if sources.vu_init => return true,
        Some(true) if sources.setup => problems.at(
            ty,
            SHARED,
            "take it by `&`; what is each virtual user's own comes from `vu_init = path::to::an_async_fn`",
        ),
        Some(true) => problems.at(
            ty,
            "the state of a virtual user comes from `vu_init`, and this load test has none",
            "add `vu_init = path::to::an_async_fn` to the attribute",
        ),
        Some(false) => problems.at(
            ty,
            "the state is the virtual user's own and is taken by `&mut`",
            "write `&mut` for what `vu_init` returns",
        ),
        None => problems.at(
            ty,
            "the state is kept for the next iteration and is taken by `&mut`",
            format!("write `&mut {}`", spaceless(ty)),
        ),
    }
    false
}

/// Whether a reference is mutable; `None` if it is no reference.
fn mutability(ty: &Type) -> Option<bool> {
    match ty {
        Type::Reference(reference) => Some(reference.mutability.is_some()),
        Type::Group(group) => mutability(&group.elem),
        Type::Paren(paren) => mutability(&paren.elem),
        _ => None,
    }
}

/// A type as people write it.
fn spaceless(ty: &Type) -> String {
    ty.to_token_stream().to_string().replace(" :: ", "::").replace(" < ", "<").replace(" >", ">")
}

/// The first token of an item that is neither an attribute nor its visibility.
fn item_keyword(item: &TokenStream) -> TokenStream {
    let keyword = |input: ParseStream| {
        input.call(Attribute::parse_outer)?;
        input.parse::<Visibility>()?;
        let keyword: Option<proc_macro2::TokenTree> =
            if input.peek(Token![;]) || input.is_empty() { None } else { Some(input.parse()?) };
        input.parse::<TokenStream>()?;
        Ok(keyword.to_token_stream())
    };
    syn::parse::Parser::parse2(keyword, item.clone()).unwrap_or_default()
}
