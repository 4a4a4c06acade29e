//! Which paths the code of a crate names: what it imports and what it calls by a full path.
//!
//! The main function is [`named`]. It reads tokens, not types: `use` trees are followed, a name that one of
//! them or a `mod` brought into a file is replaced by its path, and `self`, `super` and `crate` are resolved.
//! It does not know what a method is called on, nor what a macro expands to. Code under `#[cfg(test)]` is
//! left out.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// A name in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// The file, relative to the crate's `src`.
    pub file: PathBuf,
    /// `crate::…` for what is in the crate, `std::…` and the like for what is not, `name!` for a macro that is
    /// called by its mere name, `.name()` for a method.
    pub path: String,
}

impl Named {
    /// Whether the path is this one, or within it.
    pub fn within(&self, path: &str) -> bool {
        self.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    }
}

/// All names in the module tree below `src/lib.rs` and, if there is one, in `src/main.rs`.
///
/// # Panics
/// If a file can't be read, is not Rust, or a module has no file.
pub fn named(src: &Path) -> Vec<Named> {
    let mut found = Vec::new();
    for root in ["lib.rs", "main.rs"] {
        if src.join(root).exists() {
            file(src, Path::new(root), &["crate".to_owned()], &mut found);
        }
    }
    found
}

fn file(src: &Path, path: &Path, module: &[String], found: &mut Vec<Named>) {
    let text = fs::read_to_string(src.join(path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let tokens: TokenStream = text.parse().unwrap_or_else(|e| panic!("{} is not Rust: {e}", path.display()));
    let mut reader =
        Reader { module: module.to_vec(), names: HashMap::new(), found: Vec::new(), files: Vec::new() };
    reader.declare(tokens.clone());
    reader.read(tokens);
    found.extend(reader.found.into_iter().map(|name| Named { file: path.to_owned(), path: name }));
    for child in reader.files {
        // `crate::a::b` is `a/b.rs` or `a/b/mod.rs`.
        let at: PathBuf = child[1..].iter().collect();
        let flat = at.with_extension("rs");
        let next = if src.join(&flat).exists() { flat } else { at.join("mod.rs") };
        file(src, &next, &child, found);
    }
}

/// Reads the tokens of one file.
struct Reader {
    module: Vec<String>,
    /// What names mean here.
    names: HashMap<String, String>,
    found: Vec<String>,
    /// Modules in files of their own.
    files: Vec<Vec<String>>,
}

impl Reader {
    /// Learns the modules and the imports of a module before anything is resolved by them.
    fn declare(&mut self, tokens: TokenStream) {
        let mut tokens = without_tests(tokens).into_iter().peekable();
        while let Some(token) = tokens.next() {
            let TokenTree::Ident(word) = token else { continue };
            match (word.to_string().as_str(), tokens.peek().cloned()) {
                ("mod", Some(TokenTree::Ident(name))) => {
                    let mut path = self.module.clone();
                    path.push(name.to_string());
                    self.names.insert(name.to_string(), path.join("::"));
                }
                ("use", Some(_)) => {
                    let tree: Vec<_> = tokens.by_ref().take_while(|token| !is(token, ';')).collect();
                    self.import(&tree, "", false);
                }
                _ => {}
            }
        }
    }

    fn read(&mut self, tokens: TokenStream) {
        let tokens = without_tests(tokens);
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.read(group.stream()),
                TokenTree::Ident(word) if word == "use" => {
                    let end =
                        tokens[at..].iter().position(|token| is(token, ';')).map_or(tokens.len(), |n| at + n);
                    self.import(&tokens[at + 1..end], "", true);
                    at = end;
                }
                TokenTree::Ident(word) if word == "mod" => match (tokens.get(at + 1), tokens.get(at + 2)) {
                    (Some(TokenTree::Ident(name)), Some(TokenTree::Group(body))) => {
                        self.inline(name.to_string(), body);
                        at += 2;
                    }
                    (Some(TokenTree::Ident(name)), Some(end)) if is(end, ';') => {
                        let mut path = self.module.clone();
                        path.push(name.to_string());
                        self.files.push(path);
                        at += 2;
                    }
                    _ => {}
                },
                TokenTree::Ident(_) => at = self.path(&tokens, at),
                TokenTree::Punct(dot) if dot.as_char() == '.' => {
                    if let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(_))) =
                        (tokens.get(at + 1), tokens.get(at + 2))
                    {
                        self.found.push(format!(".{name}()"));
                        at += 1;
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// A module within the file, which sees only its own imports.
    fn inline(&mut self, name: String, body: &Group) {
        let names = std::mem::take(&mut self.names);
        self.module.push(name);
        self.declare(body.stream());
        self.read(body.stream());
        self.module.pop();
        self.names = names;
    }

    /// A path that begins at `at`; returns where it ends.
    fn path(&mut self, tokens: &[TokenTree], at: usize) -> usize {
        let mut segments = vec![tokens[at].to_string()];
        let mut end = at;
        while let [colon, another, TokenTree::Ident(next), ..] = &tokens[end + 1..]
            && is(colon, ':')
            && is(another, ':')
        {
            segments.push(next.to_string());
            end += 3;
        }
        let path = segments.join("::");
        let called = matches!(&tokens[end + 1..], [not, TokenTree::Group(_), ..] if is(not, '!'));
        if segments.len() > 1 {
            let path = self.resolve(&path);
            self.found.push(path);
        } else if called {
            self.found.push(format!("{path}!"));
        }
        end
    }

    /// One `use` tree: its paths are found, or its names are learned.
    fn import(&mut self, tree: &[TokenTree], prefix: &str, find: bool) {
        let mut path = prefix.to_owned();
        let mut rest = tree;
        while let [first, tail @ ..] = rest {
            match first {
                TokenTree::Punct(_) => {}
                TokenTree::Group(group) => {
                    let inner: Vec<_> = group.stream().into_iter().collect();
                    for branch in inner.split(|token| is(token, ',')).filter(|branch| !branch.is_empty()) {
                        self.import(branch, &path, find);
                    }
                    return;
                }
                TokenTree::Ident(word) if word == "as" => {
                    let name = tail.first().map(ToString::to_string).unwrap_or_default();
                    return self.imported(&path, name, find);
                }
                // `{self, …}` means what the prefix says.
                TokenTree::Ident(word) if word == "self" && !path.is_empty() => {}
                TokenTree::Ident(word) if path.is_empty() => path = word.to_string(),
                TokenTree::Ident(word) => path = format!("{path}::{word}"),
                TokenTree::Literal(_) => {}
            }
            rest = tail;
        }
        let name = path.rsplit("::").next().unwrap_or_default().to_owned();
        self.imported(&path, name, find);
    }

    fn imported(&mut self, path: &str, name: String, find: bool) {
        let path = self.resolve(path);
        if find {
            self.found.push(path);
        } else {
            self.names.insert(name, path);
        }
    }

    /// The path from the crate's root, or from another crate's name.
    fn resolve(&self, path: &str) -> String {
        let mut module = self.module.as_slice();
        let mut rest = path;
        while let Some(("super", tail)) = rest.split_once("::") {
            module = &module[..module.len().saturating_sub(1).max(1)];
            rest = tail;
        }
        if rest.len() < path.len() {
            return format!("{}::{rest}", module.join("::"));
        }
        let (first, tail) = path.split_once("::").unwrap_or((path, ""));
        let start = match (first, self.names.get(first)) {
            ("crate", _) => return path.to_owned(),
            ("self", _) => module.join("::"),
            // Only a whole path is one: a `use` of a name that it brings in itself stays as it is.
            (_, Some(known)) if known != path => known.clone(),
            _ => return path.to_owned(),
        };
        if tail.is_empty() { start } else { format!("{start}::{tail}") }
    }
}

/// The tokens but for the items under `#[cfg(test)]`.
fn without_tests(tokens: TokenStream) -> Vec<TokenTree> {
    let mut kept: Vec<TokenTree> = Vec::new();
    let mut tokens = tokens.into_iter();
    while let Some(token) = tokens.next() {
        let attribute = matches!(&token, TokenTree::Group(group)
            if group.delimiter() == Delimiter::Bracket && group.to_string().replace(' ', "") == "[cfg(test)]");
        if attribute && kept.last().is_some_and(|before| is(before, '#')) {
            kept.pop();
            // Up to the end of the item: its body, or its semicolon.
            tokens.by_ref().find(|token| {
                is(token, ';')
                    || matches!(token, TokenTree::Group(body) if body.delimiter() == Delimiter::Brace)
            });
        } else {
            kept.push(token);
        }
    }
    kept
}

fn is(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_followed_to_where_they_come_from() {
        let crate_ = tempfile::tempdir().expect("a directory");
        let src = crate_.path();
        fs::create_dir(src.join("report")).expect("writes");
        let lib = "
            //! Doc: std::net::A
            mod report;
            #[cfg(test)] mod tests;
            fn f() { report::show(\"std::net::B\"); println!(\"x\") }
        ";
        let report = "
            use std::{fs::{self, File as F}, io};
            use crate::stats as s;
            use super::compare::Verdict;
            fn g(path: &Path) -> io::Result<()> {
                fs::read(path)?; F::open(path)?; s::mean(); ::std::process::exit(3);
                vec![super::verdict::judge(), path.exists()]
            }
            mod inner { fn h() { super::super::stats::x(); fs::y(); self::z(); } }
            #[cfg(test)] mod tests { use std::thread; }
            #[cfg(test)] use std::thread;
        ";
        fs::write(src.join("lib.rs"), lib).expect("writes");
        fs::write(src.join("report/mod.rs"), report).expect("writes");
        let found = named(src);
        let of = |file: &str| -> Vec<&str> {
            found
                .iter()
                .filter(|named| named.file == Path::new(file))
                .map(|named| named.path.as_str())
                .collect()
        };
        assert_eq!(of("lib.rs"), ["crate::report::show", "println!"]);
        assert_eq!(
            of("report/mod.rs"),
            [
                "std::fs",
                "std::fs::File",
                "std::io",
                "crate::stats",
                "crate::compare::Verdict",
                "std::io::Result",
                "std::fs::read",
                "std::fs::File::open",
                "crate::stats::mean",
                "std::process::exit",
                "vec!",
                "crate::verdict::judge",
                ".exists()",
                "crate::stats::x",
                "fs::y",
                "crate::report::inner::z",
            ]
        );
        assert!(found[0].within("crate::report") && !found[0].within("crate::rep"));
    }
}
