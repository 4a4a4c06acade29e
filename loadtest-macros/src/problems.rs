//! The mistakes of one attribute, all reported at once.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;

/// Mistakes so far, each at its own token.
#[derive(Default)]
pub(crate) struct Problems(Option<syn::Error>);

impl Problems {
    /// Reports a mistake at `tokens`: a message and the next thing to type.
    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: impl Into<String>, hint: impl Into<String>) {
        self.core(tokens, loadtest_core::Error::new(message).hint(hint));
    }

    /// Reports what one of core's parsers said, at `tokens`.
    pub(crate) fn core(&mut self, tokens: impl ToTokens, error: loadtest_core::Error) {
        let tokens = tokens.into_token_stream();
        self.push(if tokens.is_empty() {
            syn::Error::new(Span::call_site(), error)
        } else {
            syn::Error::new_spanned(tokens, error)
        });
    }

    /// Reports what `syn` said.
    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(all) => all.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// Whether nothing is wrong so far.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Nothing, or one `compile_error!` for each mistake.
    pub(crate) fn into_compile_errors(self) -> Option<TokenStream> {
        self.0.map(|error| error.into_compile_error())
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.0.iter().flatten().count()
    }
}
