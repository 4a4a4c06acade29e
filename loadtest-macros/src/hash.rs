//! Hashes of tokens: whether an attribute or a body changed, layout and comments aside.

use std::fmt::Write;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// FNV-1a, 64 bits, of the tokens, in hexadecimal. It is stable over platforms and compilers; it tells a
/// change from none and guards against no one.
pub(crate) fn tokens(stream: TokenStream) -> String {
    let mut hash = Fnv(OFFSET);
    hash.stream(stream);
    format!("{:016x}", hash.0)
}

/// The same of a text.
pub(crate) fn text(text: &str) -> String {
    let mut hash = Fnv(OFFSET);
    // Writing to a hash can't fail.
    _ = hash.write_str(text);
    format!("{:016x}", hash.0)
}

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

struct Fnv(u64);

impl Fnv {
    fn stream(&mut self, stream: TokenStream) {
        for tree in stream {
            match tree {
                TokenTree::Group(group) => {
                    let (open, close) = match group.delimiter() {
                        Delimiter::Parenthesis => ("(", ")"),
                        Delimiter::Brace => ("{", "}"),
                        Delimiter::Bracket => ("[", "]"),
                        Delimiter::None => ("", ""),
                    };
                    self.token(open);
                    self.stream(group.stream());
                    self.token(close);
                }
                // Writing to a hash can't fail.
                TokenTree::Ident(ident) => _ = write!(self, "{ident}\0"),
                TokenTree::Punct(punct) => _ = write!(self, "{}\0", punct.as_char()),
                TokenTree::Literal(literal) => _ = write!(self, "{literal}\0"),
            }
        }
    }

    fn token(&mut self, text: &str) {
        _ = write!(self, "{text}\0");
    }
}

impl Write for Fnv {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::tokens;

    #[test]
    fn hashes_are_of_the_tokens_alone_and_the_same_forever() {
        let parsed = "a ( b ,\n\n 'c' )".parse().expect("tokens");
        assert_eq!(tokens(quote!(a(b, 'c'))), tokens(parsed));
        assert_ne!(tokens(quote!(a(b))), tokens(quote!(a[b])));
        assert_ne!(tokens(quote!(a b)), tokens(quote!(ab)));
        assert_eq!(tokens(quote!()), "cbf29ce484222325");
        assert_eq!(tokens(quote!(a)), "089be207b544f1e4");
    }
}
