//! Rust sources as text without comments and literals: enough to see imports, words and the length of functions.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

pub struct Source {
    /// From the repository's root, as `src/node/mod.rs`.
    pub path: String,
    /// The file as it is.
    pub text: String,
    /// The same lines with comments, literals and (for product code) test modules blanked out.
    code: String,
}

/// Every file below a directory of the repository.
pub fn all_sources(dir: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    collect(&root.join(dir), &mut paths);
    paths.sort();
    let source = |path: String| {
        let text = fs::read_to_string(&path).expect("a source can be read");
        Source::new(path.strip_prefix(&format!("{}/", root.display())).expect("it lies below the root").to_owned(), text)
    };
    paths.into_iter().map(source).collect()
}

/// The files below a directory that are product code, their test modules blanked out.
pub fn sources(dir: &str) -> Vec<Source> {
    let mut all = all_sources(dir);
    let tests: BTreeSet<String> = all.iter_mut().flat_map(Source::cut_tests).collect();
    all.retain(|source| !tests.iter().any(|test| source.path == format!("{test}.rs") || source.path.starts_with(&format!("{test}/"))));
    all
}

fn collect(dir: &Path, paths: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries {
        let path = entry.expect("a directory can be read").path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path.to_str().expect("names are UTF-8").to_owned());
        }
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

impl Source {
    pub fn new(path: String, text: String) -> Self {
        let code = without_literals(&text);
        Self { path, text, code }
    }

    /// `node` for `src/node/mod.rs`, `types` for `src/types.rs`.
    pub fn room(&self) -> &str {
        let name = self.path.split('/').nth(1).expect("a source lies in src");
        name.strip_suffix(".rs").unwrap_or(name)
    }

    /// Blanks everything from `#[cfg(test)]` to the end of what it stands before; the paths of test modules in files of their own.
    fn cut_tests(&mut self) -> Vec<String> {
        let mut modules = Vec::new();
        while let Some(start) = self.code.find("#[cfg(test)]") {
            let rest = &self.code[start..];
            let semicolon = rest.find(';').unwrap_or(rest.len());
            let length = match rest.find('{').filter(|brace| *brace < semicolon) {
                Some(brace) => brace + block_length(&rest[brace..]),
                None => semicolon + 1,
            };
            let item = &rest[..length.min(rest.len())];
            if let Some(name) = item.strip_suffix(';').and_then(|item| item.rsplit("mod ").next()).filter(|name| name.chars().all(is_word))
            {
                modules.push(format!("{}/{name}", self.module_dir()));
            }
            let blank: String = item.chars().map(|character| if character == '\n' { '\n' } else { ' ' }).collect();
            self.code.replace_range(start..start + item.len(), &blank);
        }
        modules
    }

    /// Where the files of this file's modules lie.
    pub fn module_dir(&self) -> String {
        let path = self.path.strip_suffix(".rs").expect("it is a source");
        path.strip_suffix("/mod").or(path.strip_suffix("/lib")).or(path.strip_suffix("/main")).unwrap_or(path).to_owned()
    }

    /// The modules that it says lie in files of their own, as [`Source::module_dir`] names those.
    pub fn modules(&self) -> Vec<String> {
        let name = |at: usize| self.code[at + 4..].split_once(';').map(|(name, _)| name).filter(|name| name.chars().all(is_word));
        self.places("mod ").into_iter().filter_map(name).map(|name| format!("{}/{name}", self.module_dir())).collect()
    }

    /// Its module, from the crate's root: `node`, `links` for `src/node/links.rs`.
    pub fn module(&self) -> Vec<&str> {
        let path = self.path.strip_suffix(".rs").expect("it is a source");
        path.strip_suffix("/mod").unwrap_or(path).split('/').skip(1).collect()
    }

    /// Every path that begins with `crate` or `super`, from the crate's root, with its line; a group is as many paths.
    pub fn paths(&self) -> Vec<(usize, Vec<String>)> {
        let module = self.module();
        let mut found = Vec::new();
        for prefix in ["crate::", "super::"] {
            for at in self.places(prefix).into_iter().filter(|at| !self.code[..*at].ends_with("::")) {
                let rest = self.code[at..].trim_start_matches("super::");
                let up = (self.code.len() - at - rest.len()) / "super::".len();
                let base = if up > 0 { &module[..module.len().saturating_sub(up)] } else { &[] };
                for path in all_paths(rest.strip_prefix("crate::").unwrap_or(rest)) {
                    found.push((self.line_of(at), base.iter().map(ToString::to_string).chain(path).collect()));
                }
            }
        }
        found
    }

    /// The paths of its `use` lines as they stand there, a group as many paths.
    pub fn uses(&self) -> Vec<Vec<String>> {
        self.places("use ").into_iter().flat_map(|at| all_paths(&self.code[at + 4..])).filter(|path| !path.is_empty()).collect()
    }

    fn line_of(&self, at: usize) -> usize {
        self.code[..at].matches('\n').count() + 1
    }

    /// The crate's rooms that it names, with the line: `crate::room`, `crate::{room, other::x}`, `pontoon::room`.
    pub fn imports(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for prefix in ["crate::", "pontoon::"] {
            for at in self.places(prefix) {
                let rest = &self.code[at + prefix.len()..];
                for name in first_names(rest) {
                    found.push((self.line_of(at), name));
                }
            }
        }
        found
    }

    /// Lines where a chain of `super` leads to the crate's root or beyond.
    pub fn ways_out(&self) -> Vec<usize> {
        let depth = self.module_dir().split('/').count() - 1;
        let chain = "super::".repeat(depth.max(1));
        self.places(&chain).into_iter().filter(|at| !self.code[..*at].ends_with("::")).map(|at| self.line_of(at)).collect()
    }

    /// Lines with this word or path; `std::env::consts` is not `std::env`.
    pub fn lines_with(&self, word: &str) -> Vec<usize> {
        let whole = |at: &usize| {
            let rest = &self.code[at + word.len()..];
            !rest.starts_with(is_word) && !rest.starts_with("::consts")
        };
        self.places(word).into_iter().filter(whole).map(|at| self.line_of(at)).collect()
    }

    /// Lines that name a variant of this enum.
    pub fn variants_of(&self, name: &str) -> Vec<usize> {
        let path = format!("{name}::");
        let variant = |at: &usize| self.code[at + path.len()..].starts_with(|character: char| character.is_uppercase());
        self.places(&path).into_iter().filter(variant).map(|at| self.line_of(at)).collect()
    }

    /// Where a text stands that no other word runs into.
    fn places(&self, text: &str) -> Vec<usize> {
        self.code.match_indices(text).map(|(at, _)| at).filter(|at| !self.code[..*at].ends_with(is_word)).collect()
    }

    /// Every function with a body: name, line, length in lines.
    pub fn functions(&self) -> Vec<(String, usize, usize)> {
        let mut found = Vec::new();
        for at in self.places("fn ") {
            let rest = &self.code[at + 3..];
            let name: String = rest.chars().take_while(|character| is_word(*character)).collect();
            let brace = rest.find('{').unwrap_or(rest.len());
            if name.is_empty() || rest.find(';').is_some_and(|end| end < brace && !rest[..end].contains('[')) {
                continue;
            }
            let end = brace + block_length(&rest[brace..]);
            found.push((name, self.line_of(at), rest[..end].matches('\n').count() + 1));
        }
        found
    }
}

/// Length of the block that begins with the brace at the start.
fn block_length(code: &str) -> usize {
    let mut depth = 0;
    for (at, character) in code.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// The first name of a path, or of each path in a group.
fn first_names(path: &str) -> Vec<String> {
    let name = |text: &str| text.trim_start().chars().take_while(|character| is_word(*character)).collect::<String>();
    if !path.starts_with('{') {
        return vec![name(path)];
    }
    top_level_items(&path[1..block_length(path) - 1]).into_iter().map(name).collect()
}

/// The path at the start, or each of those that its groups stand for.
fn all_paths(text: &str) -> Vec<Vec<String>> {
    let text = text.trim_start();
    if text.starts_with('{') {
        let group = &text[1..block_length(text) - 1];
        return top_level_items(group).into_iter().flat_map(all_paths).collect();
    }
    let name: String = text.chars().take_while(|character| is_word(*character)).collect();
    match text[name.len()..].strip_prefix("::") {
        _ if name.is_empty() => vec![Vec::new()],
        None => vec![vec![name]],
        Some(rest) => all_paths(rest).into_iter().map(|path| [vec![name.clone()], path].concat()).collect(),
    }
}

/// What stands between the commas that are in no inner group.
fn top_level_items(group: &str) -> Vec<&str> {
    let mut depth = 0;
    let items = group.split(|character| {
        depth += i32::from(character == '{') - i32::from(character == '}');
        character == ',' && depth == 0
    });
    items.filter(|item| !item.trim().is_empty()).collect()
}

/// Comments, strings and characters become spaces; lines stay where they are.
fn without_literals(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after_word = out.ends_with(is_word);
        let length = literal_length(rest, after_word);
        if length == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            out.extend(rest[..length].chars().map(|character| if character == '\n' { '\n' } else { ' ' }));
            rest = &rest[length..];
        }
    }
    out
}

/// Length of the comment or literal at the start; 0 if there is none.
fn literal_length(text: &str, after_word: bool) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return text.find("*/").map_or(text.len(), |end| end + 2);
    }
    if text.starts_with('"') {
        return quoted_length(text, '"');
    }
    if text.starts_with('\'') {
        return character_length(text);
    }
    let raw = text.strip_prefix("br").or(text.strip_prefix('r')).filter(|_| !after_word);
    raw.map_or(0, |raw| raw_length(raw, text.len() - raw.len()))
}

fn quoted_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A character, not a lifetime.
fn character_length(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match (characters.next(), characters.next()) {
        (Some((_, '\\')), _) => quoted_length(text, '\''),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

/// What follows `r`: hashes, a string, as many hashes.
fn raw_length(raw: &str, prefix: usize) -> usize {
    let hashes = raw.len() - raw.trim_start_matches('#').len();
    if !raw[hashes..].starts_with('"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    raw[hashes + 1..].find(&end).map_or(0, |at| prefix + hashes + 1 + at + end.len())
}

#[test]
fn literals_and_comments_are_not_code() {
    let code = without_literals("a(\"x // y\", 'z', b'\\'', '\"'); // fn\nfn f<'a>(x: &'a str) { r#\"}\"#; /* } */ }\n");
    assert_eq!(code.split_whitespace().collect::<String>(), "a(,,b,);fnf<'a>(x:&'astr){;}");
    assert_eq!(first_names("{a, b::{c, d}, e}; f"), ["a", "b", "e"]);
    assert_eq!(first_names("a::b"), ["a"]);
}
