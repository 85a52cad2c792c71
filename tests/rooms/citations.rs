//! What comments and documents cite of docs/*.md (`docs/protocol.md, "Known dead"`), and the sections that are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A section that is named somewhere.
#[derive(PartialEq, Eq, Debug)]
pub struct Citation {
    /// `protocol.md`
    pub document: String,
    /// As it is named.
    pub section: String,
}

/// The text of a source's comments, or of a document, with its lines joined: a citation may stand across them.
pub fn prose(path: &str, text: &str) -> String {
    let is_source = path.ends_with(".rs");
    let line = |line: &str| {
        let line = line.trim_start();
        let words = if is_source { line.find("//").map_or("", |at| line[at..].trim_start_matches(['/', '!'])) } else { line };
        words.trim().to_owned()
    };
    text.lines().map(line).collect::<Vec<_>>().join(" ")
}

/// Every `NAME.md, "Section"` of a text, with the further sections of `NAME.md, "One" and "Another"`.
pub fn citations(prose: &str) -> Vec<Citation> {
    let mut found = Vec::new();
    for (at, _) in prose.match_indices(".md") {
        let start = prose[..at].rfind(|character: char| !character.is_alphanumeric() && character != '-').map_or(0, |before| before + 1);
        let document = format!("{}.md", &prose[start..at]);
        let mut rest = &prose[at + ".md".len()..];
        while let Some((section, after)) = next_section(rest) {
            found.push(Citation { document: document.clone(), section: section.to_owned() });
            rest = after;
        }
    }
    found
}

fn next_section(rest: &str) -> Option<(&str, &str)> {
    let joints = [", and \"", ", \"", " and \""];
    joints.iter().find_map(|joint| rest.strip_prefix(joint))?.split_once('"')
}

/// The names of a document's sections: its headings without their numbers, and what stands in bold at the beginning of a paragraph or an
/// item.
pub fn sections(text: &str) -> BTreeSet<String> {
    let mut is_code = false;
    let mut names = BTreeSet::new();
    for line in text.lines() {
        is_code ^= line.starts_with("```");
        if !is_code {
            names.extend(heading(line).or_else(|| lead_in(line)));
        }
    }
    names
}

fn heading(line: &str) -> Option<String> {
    let name = line.strip_prefix('#')?.trim_start_matches('#').trim();
    Some(name.trim_start_matches(|character: char| character.is_ascii_digit()).trim_start_matches(". ").to_owned())
}

fn lead_in(line: &str) -> Option<String> {
    let line = line.strip_prefix("- ").unwrap_or(line);
    let (name, _) = line.strip_prefix("**")?.split_once("**")?;
    Some(name.trim_end_matches(['.', ':']).to_owned())
}

/// The documents of the repository: path and text.
pub fn documents() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).expect("there are documents").map(|entry| entry.expect("they can be listed").path());
    let mut paths: Vec<_> = docs.chain([root.join("README.md")]).collect();
    paths.sort();
    let name = |path: &Path| path.strip_prefix(root).expect("it lies below the root").display().to_string();
    paths.into_iter().map(|path| (name(&path), fs::read_to_string(&path).expect("a document can be read"))).collect()
}

#[test]
fn citations_are_found() {
    let text =
        prose("a.rs", "//! Contract: docs/protocol.md, \"Known\n//! dead\" and \"Gate\".\nlet a = 1; // nodes-conf.md, \"X\", \"Y\"\n");
    let cited = |(document, section): (&str, &str)| Citation { document: document.to_owned(), section: section.to_owned() };
    assert_eq!(
        citations(&text),
        [("protocol.md", "Known dead"), ("protocol.md", "Gate"), ("nodes-conf.md", "X"), ("nodes-conf.md", "Y")].map(cited)
    );
    let names = sections("## 2. Log entries\n**Outcomes.** The\n- **Zones**: a\n```\n# no\n```\n");
    assert_eq!(names.iter().collect::<Vec<_>>(), ["Log entries", "Outcomes", "Zones"]);
}
