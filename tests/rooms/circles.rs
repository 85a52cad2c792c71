//! Who imports whom among the files and folders of one folder, and the circles in that.
//!
//! A folder's `mod.rs` stands above its files: it may name all of them, and what is its own any of them. What it only hands on
//! (`pub use child::Name`) counts as its child's.

use crate::source::Source;
use std::collections::{BTreeMap, BTreeSet};

/// Importer and imported, with the first place where that is so.
pub type Edges = BTreeMap<(String, String), String>;

/// The imports between the children of a folder (`src/node`), a child being a file or a folder with all that is in it.
pub fn edges(dir: &str, sources: &[Source]) -> Edges {
    let prefix: Vec<&str> = dir.split('/').skip(1).collect();
    let child = |source: &Source| source.module().strip_prefix(&prefix[..]).and_then(|below| below.first()).map(ToString::to_string);
    let children: BTreeSet<String> = sources.iter().filter_map(child).collect();
    let head = sources.iter().find(|source| source.module() == prefix);
    let handed_on: BTreeMap<String, String> = head.map_or_else(BTreeMap::new, |head| {
        let uses = head.uses().into_iter().filter(|path| children.contains(&path[0]));
        uses.filter_map(|path| Some((path.last()?.clone(), path[0].clone()))).collect()
    });
    let mut edges = Edges::new();
    for source in sources {
        let Some(importer) = child(source) else { continue };
        for (line, path) in source.paths() {
            let Some(name) =
                path.iter().map(String::as_str).collect::<Vec<_>>().strip_prefix(&prefix[..]).and_then(|below| below.first().copied())
            else {
                continue;
            };
            let imported = if children.contains(name) { Some(name) } else { handed_on.get(name).map(String::as_str) };
            if let Some(imported) = imported.filter(|imported| *imported != importer) {
                edges.entry((importer.clone(), imported.to_owned())).or_insert_with(|| format!("{}:{line}", source.path));
            }
        }
    }
    edges
}

/// Each circle among the children of a folder as a line: the imports that it is made of.
pub fn circles(dir: &str, sources: &[Source]) -> Vec<String> {
    let edges = edges(dir, sources);
    let reached: BTreeMap<&str, BTreeSet<&str>> = edges.keys().map(|(from, _)| (from.as_str(), reached_from(from, &edges))).collect();
    let in_circle = |from: &str, to: &str| reached.get(to).is_some_and(|others| others.contains(from));
    let mut circles: BTreeMap<BTreeSet<&str>, Vec<String>> = BTreeMap::new();
    for ((from, to), place) in edges.iter().filter(|((from, to), _)| in_circle(from, to)) {
        let members = reached[from.as_str()].iter().copied().filter(|other| in_circle(from, other)).collect();
        circles.entry(members).or_default().push(format!("{from} -> {to} ({place})"));
    }
    circles.into_values().map(|imports| format!("{dir}: a circle: {}", imports.join(", "))).collect()
}

fn reached_from<'e>(start: &str, edges: &'e Edges) -> BTreeSet<&'e str> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![start]);
    while let Some(from) = next.pop() {
        for (_, to) in edges.keys().filter(|(importer, _)| importer == from) {
            if reached.insert(to.as_str()) {
                next.push(to);
            }
        }
    }
    reached
}

#[test]
fn circles_are_found_through_groups_super_and_what_is_handed_on() {
    let file = |path: &str, text: &str| Source::new(path.to_owned(), text.to_owned());
    let sources = [
        file("src/room/mod.rs", "pub use low::{Thing, other::Item};\nuse crate::types::Slot;\npub struct Head;"),
        file("src/room/top.rs", "use super::{Head, Thing};\nuse crate::types::Slot;"),
        file("src/room/low/mod.rs", "use super::Head;"),
        file("src/room/low/other.rs", "use crate::room::{Head, side::{self, One}};"),
        file("src/room/side.rs", "fn f() { super::super::room::Item::new() } // super::top"),
    ];
    let edges: Vec<(String, String)> = edges("src/room", &sources).into_keys().collect();
    let edges: Vec<(&str, &str)> = edges.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
    assert_eq!(edges, [("low", "side"), ("side", "low"), ("top", "low")]);
    let circles = circles("src/room", &sources);
    assert_eq!(circles, ["src/room: a circle: low -> side (src/room/low/other.rs:1), side -> low (src/room/side.rs:1)"]);
}
