//! The house rules that are tests (docs/architecture.md, "Rooms"): who may import whom, which rooms are pure, that what is cited exists,
//! how long files and functions may grow, and how wide comments. It reads the sources as text; test code inside of rooms is left out where
//! it says so.

#[path = "rooms/circles.rs"]
mod circles;
#[path = "rooms/citations.rs"]
mod citations;
#[path = "rooms/source.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};

use circles::{circles, edges};
use citations::{citations, documents, prose, sections};
use source::{Source, sources};

/// The layers from top to bottom: a room imports only from rooms below its own line. Rooms of one line do not know each other.
const LAYERS: &[&[&str]] = &[
    &["main"],
    &["server"],
    &["node"],
    &["commands"],
    &["session"],
    &["replication"],
    &["store"],
    &["wire"],
    &["channel"],
    &["cluster"],
    &["raft"],
    &["keyspace", "config"],
    &["values"],
    &["rdb"],
    &["rng"],
    &["types"],
];

/// The same inside of rooms, for the files and folders that are named.
const LAYERS_INSIDE: &[(&str, &[&[&str]])] = &[
    ("src/commands", &[&["families"], &["engine"]]),
    ("src/node", &[NODE, &["serve"], &["dataset"], &["clients"], &["metadata"], &["io"]]),
];
/// Where the parts of a node are put together: nothing else knows it.
const NODE: &[&str] = &["before_sleep", "connections", "consequences", "frames", "replica_stream", "shutdown"];
/// Folders whose files and folders know nothing of each other.
const STRANGERS: &[&str] = &["src/commands/families"];
/// Folders whose files and folders import each other in one direction only.
const WITHOUT_CIRCLES: &[&str] = &[
    "src/commands",
    "src/commands/engine",
    "src/commands/families/cluster",
    "src/commands/families/connection",
    "src/commands/families/generic",
    "src/commands/families/server",
    "src/commands/families/string",
    "src/session",
];

/// Rooms that do system calls; every other one is pure, but for the files below.
const IMPURE_ROOMS: &[&str] = &["main", "server"];
/// The one file of a pure room that may use the file system.
const IMPURE_FILES: &[&str] = &["src/store/disk.rs"];

/// What a pure room may not name. Addresses (`std::net::IpAddr`, `SocketAddr`) and `std::env::consts` are plain data.
const IMPURE: &[&str] = &[
    "std::fs",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "UnixDatagram",
    "Instant",
    "SystemTime",
    "std::thread",
    "thread_local",
    "std::process",
    "std::env",
    "RandomState",
    "libc",
    "rustix",
    "mio",
    "socket2",
    "signal_hook",
    "env_logger",
];

const MAX_FILE_LINES: usize = 450;
const MAX_TEST_LINES: usize = 500;
const MAX_FUNCTION_LINES: usize = 60;
/// Files and functions (`path: name`) that are longer for a reason.
const MAY_BE_LONG: &[&str] = &[];

fn layer(room: &str) -> usize {
    LAYERS.iter().position(|rooms| rooms.contains(&room)).unwrap_or_else(|| panic!("the room {room} has no layer yet: give it one"))
}

/// Sources of the crate that are compiled into the product, without the library's own map.
fn rooms() -> Vec<Source> {
    let product = sources("src");
    assert!(product.len() > 50, "the sources are where this test looks for them");
    product.into_iter().filter(|source| source.path != "src/lib.rs").collect()
}

#[track_caller]
fn none(violations: Vec<String>) {
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

#[test]
fn imports_go_down_only() {
    let (mut violations, mut seen) = (Vec::new(), 0);
    for source in rooms() {
        let room = source.room();
        for (line, other) in source.imports() {
            seen += 1;
            if other != room && layer(&other) <= layer(room) {
                violations.push(format!("{}:{line}: {room} must not use {other}", source.path));
            }
        }
        for line in source.ways_out() {
            violations.push(format!("{}:{line}: `super` leads out of the room: say `crate::`", source.path));
        }
    }
    assert!(seen > 100, "imports are written as this test reads them");
    none(violations);
}

#[test]
fn imports_inside_of_rooms_go_one_way() {
    let sources = rooms();
    let mut violations: Vec<String> = WITHOUT_CIRCLES.iter().flat_map(|dir| circles(dir, &sources)).collect();
    for dir in STRANGERS {
        violations.extend(edges(dir, &sources).iter().map(|((from, to), place)| format!("{place}: {from} must not know {to}")));
    }
    for (dir, layers) in LAYERS_INSIDE {
        let layer = |child: &str| layers.iter().position(|children| children.contains(&child));
        let upward = |from: &str, to: &str| layer(from).zip(layer(to)).is_some_and(|(from, to)| to <= from);
        let wrong = edges(dir, &sources).into_iter().filter(|((from, to), _)| upward(from, to));
        violations.extend(wrong.map(|((from, to), place)| format!("{place}: {from} must not use {to}")));
    }
    none(violations);
}

/// Its parts own what they work on; they are given each other to look at, and never the whole.
#[test]
fn only_the_files_that_put_a_node_together_know_it() {
    let files = NODE.iter().chain(&["serve", "mod"]);
    let files: Vec<String> = files.map(|file| format!("src/node/{file}.rs")).collect();
    let knows = |source: &Source| files.contains(&source.path);
    let mut violations = Vec::new();
    for source in rooms().into_iter().filter(|source| source.path.starts_with("src/node/") && !knows(source)) {
        for word in ["Node<D>", "Node<"] {
            violations.extend(source.lines_with(word).into_iter().map(|line| format!("{}:{line}: a part knows the node", source.path)));
        }
    }
    none(violations);
}

#[test]
fn pure_rooms_do_no_system_call() {
    let mut violations = Vec::new();
    for source in rooms() {
        if IMPURE_ROOMS.contains(&source.room()) || IMPURE_FILES.contains(&source.path.as_str()) {
            continue;
        }
        for word in IMPURE {
            for line in source.lines_with(word) {
                violations.push(format!("{}:{line}: {word} in a pure room", source.path));
            }
        }
    }
    none(violations);
}

/// What an entry means is a property of its type: who asks does it by name, so that a new type cannot be left out of a match.
#[test]
fn no_other_room_tells_the_types_of_entries_apart() {
    let mut violations = Vec::new();
    for source in rooms().into_iter().filter(|source| source.room() != "cluster") {
        for line in source.variants_of("Change") {
            violations.push(format!(
                "{}:{line}: a type of entry is a struct of `cluster::change`, and what it means one of its facts",
                source.path
            ));
        }
    }
    none(violations);
}

/// A value is of a type, and what that means its face says. Strings alone may lie with their keys.
#[test]
fn no_other_room_tells_the_types_of_values_apart() {
    const STRINGS: &[&str] = &["src/keyspace/bucket.rs", "src/keyspace/owned.rs"];
    let mut violations = Vec::new();
    for source in rooms().into_iter().filter(|source| source.room() != "values" && !STRINGS.contains(&source.path.as_str())) {
        let lines = source.variants_of("Value");
        violations.extend(lines.iter().map(|line| format!("{}:{line}: a type of value is told by its `Face`", source.path)));
    }
    none(violations);
}

/// What no `mod` names is not compiled, and nothing else would say so.
#[test]
fn every_file_is_part_of_the_crate() {
    let sources = source::all_sources("src");
    let named: BTreeSet<String> = sources.iter().flat_map(Source::modules).collect();
    let lost = sources.iter().map(Source::module_dir).filter(|path| path != "src" && !named.contains(path));
    none(lost.map(|path| format!("{path}: no `mod` names it")).collect());
}

/// What is treated in its own way is a property in the command's declaration: only the table and COMMAND look at names.
#[test]
fn no_command_is_told_by_its_name() {
    const BY_NAME: &[&str] = &["src/commands/engine/table.rs", "src/commands/families/server/command.rs"];
    let others = rooms().into_iter().filter(|source| !BY_NAME.contains(&source.path.as_str()));
    let by_name = others.flat_map(|source| {
        let lines = source.lines_with("command.name");
        lines.into_iter().map(move |line| format!("{}:{line}: a command is told by its name: give it a `Flag`", source.path))
    });
    none(by_name.collect());
}

#[test]
fn one_file_knows_kinds_of_sockets() {
    // Signals come by a pair of sockets within the process.
    let homes = [("TcpStream", "src/server/stream.rs"), ("UnixStream", "src/server/signals.rs")];
    let mut violations = Vec::new();
    for source in sources("src") {
        for (word, _) in homes.iter().filter(|(_, home)| source.path != *home) {
            violations.extend(source.lines_with(word).iter().map(|line| format!("{}:{line}: {word}, not a Stream", source.path)));
        }
    }
    none(violations);
}

/// A rule of docs/why.md is cited by its number and its word, so that who reads the citation need not look it up.
#[test]
fn rules_are_cited_with_their_words() {
    let read = |path: &str| std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).expect("it can be read");
    let why = read("docs/why.md");
    let names = why.lines().filter_map(|line| line.strip_prefix("### N").or(line.strip_prefix("| N"))?.split(" |").next());
    let names: Vec<String> = names.map(|name| name.replace('*', "")).collect();
    assert!(names.len() > 50 && names.iter().all(|name| name.contains(' ')), "each rule has a number and a word");
    let code = ["src", "tests"].into_iter().flat_map(source::all_sources).map(|source| (source.path, source.text));
    let docs = ["architecture", "nodes-conf", "operations", "protocol", "testing", "why"].map(|name| format!("docs/{name}.md"));
    let scenarios = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/raft")).expect("it is there");
    let scenarios = scenarios.filter_map(|entry| Some(format!("tests/raft/{}", entry.ok()?.file_name().to_str()?)));
    let scenarios = scenarios.filter(|path| path.ends_with(".txt"));
    let texts: Vec<_> = code.chain(docs.into_iter().chain(scenarios).map(|path| (path.clone(), read(&path)))).collect();
    let mut violations = Vec::new();
    for (path, text) in &texts {
        let cited = text.split("[N").skip(1).filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
        for name in cited.filter_map(|rest| rest.split([']', '\\']).next()).filter(|name| !names.iter().any(|known| known == name)) {
            violations.push(format!("{path}: no rule of docs/why.md is named {name:?}"));
        }
    }
    none(violations);
}

#[test]
fn every_file_says_what_it_owns() {
    let silent = sources("src").into_iter().filter(|source| !source.text.starts_with("//!"));
    none(silent.map(|source| format!("{}: no `//!` header", source.path)).collect());
}

#[test]
fn what_is_cited_is_there() {
    let documents = documents();
    let name = |path: &str| path.rsplit('/').next().expect("a path has a name").to_owned();
    let there: BTreeMap<String, BTreeSet<String>> = documents.iter().map(|(path, text)| (name(path), sections(text))).collect();
    let sources = ["src", "tests", "benches"].into_iter().flat_map(source::all_sources).map(|source| (source.path, source.text));
    let (mut missing, mut seen) = (Vec::new(), 0);
    for (path, text) in sources.chain(documents).filter(|(path, _)| !path.starts_with("tests/rooms/")) {
        for cited in citations(&prose(&path, &text)) {
            seen += 1;
            if !there.get(&cited.document).is_some_and(|sections| sections.contains(&cited.section)) {
                missing.push(format!("{path}: {}, {:?} is no section", cited.document, cited.section));
            }
        }
    }
    assert!(seen > 100, "citations are written as this test reads them");
    none(missing);
}

/// rustfmt wraps code only.
#[test]
fn comments_are_as_wide_as_code() {
    let settings = include_str!("../rustfmt.toml");
    let width = settings.lines().find_map(|line| line.strip_prefix("max_width = ")?.parse().ok()).expect("rustfmt.toml says it");
    let mut wide = Vec::new();
    for source in ["src", "tests", "benches", "fuzz/fuzz_targets"].into_iter().flat_map(source::all_sources) {
        let is_wide = |line: &str| line.trim_start().starts_with("//") && line.chars().count() > width;
        let lines = source.text.lines().enumerate().filter(|(_, line)| is_wide(line));
        wide.extend(lines.map(|(at, _)| format!("{}:{}: scripts/wrap-comments", source.path, at + 1)));
    }
    none(wide);
}

#[test]
fn files_and_functions_stay_short() {
    let product: BTreeSet<String> = sources("src").into_iter().map(|source| source.path).collect();
    let mut violations = Vec::new();
    for source in ["src", "tests", "benches"].into_iter().flat_map(source::all_sources) {
        let lines = source.text.lines().count();
        if lines > if product.contains(&source.path) { MAX_FILE_LINES } else { MAX_TEST_LINES } {
            violations.push((source.path.clone(), format!("{}: {lines} lines, split it by mechanism", source.path)));
        }
        for (name, line, length) in source.functions() {
            if length > MAX_FUNCTION_LINES {
                violations.push((format!("{}: {name}", source.path), format!("{}:{line}: {name} has {length} lines", source.path)));
            }
        }
    }
    for allowed in MAY_BE_LONG {
        assert!(violations.iter().any(|(name, _)| name == allowed), "{allowed} is short by now: strike it off the list");
    }
    none(violations.into_iter().filter(|(name, _)| !MAY_BE_LONG.contains(&name.as_str())).map(|(_, text)| text).collect());
}
