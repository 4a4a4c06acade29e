//! The expansion: the function as it was written, and under `cfg(test)` its registration and its entry.
//!
//! Everything that the expansion names is reached through `__private` of the runtime, because the user's
//! scope may give `std`, `Some` or `Vec` any meaning; closures are used where functions would be named, because
//! names of items are not hygienic. There is no `unsafe` and no `allow` in it, which `forbid` would refuse.
//! The registration stands in the user's own scope, where the paths of the attribute mean what they say;
//! the entry, which libtest wants as a function, stands in a module, where its name collides with nothing.

use loadtest_core::wire::{MARKER, MARKER_END};
use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Path, ReturnType};

use crate::args::{self, Args};
use crate::function::{self, Function, Sources};
use crate::hash;
use crate::problems::Problems;
use crate::siblings::{self, entry_module};

/// Expands `#[load_test(attribute)] item`.
pub(crate) fn load_test(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let mut problems = Problems::default();
    let args = args::read(attribute.clone(), &mut problems);
    let sources = Sources { setup: args.setup.is_some(), vu_init: args.vu_init.is_some() };
    let read = function::read(&item, sources, &mut problems);
    if let Some(function) = read.as_ref().filter(|_| problems.is_empty()) {
        siblings::check(&args, function, &mut problems);
    }
    if let Some(errors) = problems.into_compile_errors() {
        // The item stays, so that calls to it are no errors too.
        return quote!(#item #errors);
    }
    let Some(function) = read else { return item };
    let used = used(&args, &function);
    let registration = registration(&attribute, &args, &function);
    let entry = entry(&args, &function);
    quote!(#item #used #registration #entry)
}

/// Uses all that the attribute names, as values: without `cfg(test)`, where nothing is registered, it would
/// be dead code, and functions that are only called can be told to drop their `async` and `mut`.
fn used(args: &Args, function: &Function) -> TokenStream {
    let cfgs = cfgs(&function.attributes);
    let name = &function.signature.ident;
    let paths = [&args.reset, &args.setup, &args.vu_init, &args.teardown].into_iter().flatten();
    let constants = &args.constants;
    let private = args.runtime.as_ref().map(|path| private(Some(path), 0)).into_iter();
    quote! {
        #(#cfgs)*
        const _: fn() = || {
            let _ = #name;
            #(let _ = #private::entry;)*
            #(let _ = #paths;)*
            #(let _ = #constants;)*
        };
    }
}

fn registration(attribute: &TokenStream, args: &Args, function: &Function) -> TokenStream {
    let private = private(args.runtime.as_ref(), 0);
    let cfgs = cfgs(&function.attributes);
    let name = function.signature.ident.unraw().to_string();
    let entry = entry_module(args, function).to_string();
    let line = line(&function.signature.ident);
    let option = |text: &Option<syn::LitStr>| match text {
        Some(text) => quote!(#private::Option::Some(#text)),
        None => quote!(#private::Option::None),
    };
    let (test, scenario_name) = (option(&args.test), option(&args.name));
    let binaries = &args.binaries;
    let calls = &args.calls;
    let scenario = scenario(&private, args, function);
    let id = |path: &Option<Path>| match path {
        Some(path) => quote!(|| #private::id_of(&#path)),
        None => quote!(|| #private::Option::None),
    };
    let [reset_id, setup_id, teardown_id] = [&args.reset, &args.setup, &args.teardown].map(id);
    let attribute_hash = hash::tokens(attribute.clone());
    let (signature, body) = (&function.signature, &function.body);
    let body_hash = hash::tokens(quote!(#signature #body));
    quote! {
        #(#cfgs)*
        #[cfg(test)]
        const _: () = {
            #private::inventory::submit! {
                #private::Registration {
                    marker: #private::concat!(
                        #MARKER, #private::module_path!(), "::", #entry, "::load_test", #MARKER_END
                    ),
                    module_path: #private::module_path!(),
                    function: #name,
                    package: #private::env!("CARGO_PKG_NAME"),
                    file: #private::file!(),
                    line: #line,
                    test: #test,
                    name: #scenario_name,
                    binaries: &[#(#binaries),*],
                    options: || #private::Attribute::new() #calls .finish(),
                    scenario: || #scenario,
                    reset_id: #reset_id,
                    setup_id: #setup_id,
                    teardown_id: #teardown_id,
                    attribute_hash: #attribute_hash,
                    body_hash: #body_hash,
                }
            }
        };
    }
}

/// Calls of the user's functions in closures whose types the runtime fixes one after the other. The tokens
/// stand where the user wrote the types, so that the compiler's errors do too.
fn scenario(private: &TokenStream, args: &Args, function: &Function) -> TokenStream {
    let reset = args.reset.as_ref().map(|path| {
        let context = Ident::new("context", at(path));
        let private = placed(private, path);
        quote_spanned!(at(path)=> .reset(async |#context| #private::reset(#path, #context).await))
    });
    let setup = match &args.setup {
        None => quote!(.setup(async |_| #private::Result::Ok(()))),
        Some(path) => {
            let context = Ident::new("context", at(path));
            let private = placed(private, path);
            quote_spanned! {at(path)=>
                .setup(async |#context| {
                    use #private::ReturnedValue as _;
                    #private::Returned(#private::set_up(#path, #context).await).data()
                })
            }
        }
    };
    let vu_init = match &args.vu_init {
        None => quote!(.vu_init(async |_, _| #private::Result::Ok(()))),
        Some(path) => {
            let [vu, data] = ["vu", "data"].map(|name| Ident::new(name, at(path)));
            let private = placed(private, path);
            quote_spanned! {at(path)=>
                .vu_init(async |#vu, #data| {
                    use #private::ReturnedValue as _;
                    #private::Returned(#private::init_vu(#path, #vu, #data).await).data()
                })
            }
        }
    };
    let teardown = match &args.teardown {
        None => quote!(async |_| #private::Result::Ok(())),
        Some(path) => {
            let data = Ident::new("data", at(path));
            let private = placed(private, path);
            quote_spanned!(at(path)=> async |#data| #private::tear_down(#path, #data).await)
        }
    };
    let name = &function.signature.ident;
    let output: &dyn ToTokens = match &function.signature.output {
        ReturnType::Default => name,
        ReturnType::Type(_, ty) => ty,
    };
    let arguments = &function.arguments;
    let types = [("vu", &arguments.vu), ("data", &arguments.data), ("state", &arguments.state)];
    let [vu, data, state] = types.map(|(name, ty)| match ty {
        Some(_) => Ident::new(name, Span::mixed_site()).into_token_stream(),
        None => quote!(_),
    });
    let passed = types.into_iter().filter_map(|(name, ty)| Some(Ident::new(name, at(ty.as_ref()?))));
    let outcome = placed(private, output);
    let iterate = quote_spanned! {at(output)=>
        async |#vu, #data, #state| {
            let returned = #name(#(#passed),*).await;
            #outcome::Outcome::into_result(returned)
        }
    };
    // What `setup` returns is shared with threads here, so this is where it is told if it can't be.
    let finish = match &args.setup {
        None => quote!(.teardown(#teardown)),
        Some(path) => quote_spanned!(at(path)=> .teardown(#teardown)),
    };
    quote! {
        #private::builder() #reset #setup #vu_init .iterate(#iterate) #finish
    }
}

fn entry(args: &Args, function: &Function) -> TokenStream {
    let private = private(args.runtime.as_ref(), 1);
    let cfgs = cfgs(&function.attributes);
    let module = entry_module(args, function);
    quote! {
        #(#cfgs)*
        #[cfg(test)]
        #[doc(hidden)]
        mod #module {
            #[#private::test]
            #[ignore = "load test: run with cargo loadtest"]
            fn load_test() {
                #private::entry();
            }
        }
    }
}

/// `::loadtest_runtime::__private`, or that of the key `crate`, as seen from `depth` modules further in. A
/// path that does not begin in this crate begins with a dependency.
fn private(runtime: Option<&Path>, depth: usize) -> TokenStream {
    let Some(path) = runtime else { return quote!(::loadtest_runtime::__private) };
    let first = path.segments.first().map(|segment| segment.ident.to_string()).unwrap_or_default();
    let out = std::iter::repeat_n(quote!(super::), depth);
    match first.as_str() {
        _ if path.leading_colon.is_some() => quote!(#path::__private),
        "crate" => quote!(#path::__private),
        "super" => quote!(#(#out)* #path::__private),
        "self" if depth > 0 => {
            let rest = path.segments.iter().skip(1);
            quote!(#(#out)* #(#rest::)* __private)
        }
        "self" => quote!(#path::__private),
        _ => quote!(::#path::__private),
    }
}

/// The conditions under which the function exists, for what refers to it.
fn cfgs(attributes: &[Attribute]) -> Vec<&Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")).collect()
}

/// The place of a type or a path for the compiler's errors: its name rather than the `&` before it.
fn at(tokens: &(impl ToTokens + ?Sized)) -> Span {
    let named = tokens.to_token_stream().into_iter().find(|tree| matches!(tree, TokenTree::Ident(_)));
    Span::mixed_site().located_at(named.map_or_else(|| tokens.to_token_stream().span(), |tree| tree.span()))
}

/// Tokens that mean what they meant and stand where [`at`] says.
fn placed(tokens: &TokenStream, place: &(impl ToTokens + ?Sized)) -> TokenStream {
    let place = at(place);
    let move_token = |mut tree: TokenTree| {
        tree.set_span(tree.span().located_at(place));
        tree
    };
    tokens.clone().into_iter().map(move_token).collect()
}

/// The line of a token, from one.
fn line(ident: &Ident) -> u32 {
    u32::try_from(ident.span().unwrap().line()).unwrap_or(u32::MAX)
}
