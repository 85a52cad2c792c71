//! Bytes changed, lost or added anywhere: the snapshot part is refused, the tail loads a prefix that holds every append followed by a
//! surviving `synced` line, or is refused.

use crate::model::Model;
use crate::{FILE, founded, open, persist};
use pontoon::rng::Rng;
use pontoon::store::{MemoryDisk, check, nodes_conf};
use proptest::prelude::*;
use std::path::Path;

/// A file with a long tail: entries of the rewrite, two appends, an idle line, a last append.
fn file(seed: u64) -> (Vec<u8>, Model) {
    let mut rng = Rng::new(seed);
    let (disk, mut store, mut model) = founded(&mut rng);
    (0..3).for_each(|_| model.push_any(&mut rng));
    model.applied = 3;
    model.standing = model.any_standing(&mut rng);
    persist(&mut store, &disk, &model, true).unwrap();
    for round in 0..3 {
        (0..=rng.below(3)).for_each(|_| model.push_any(&mut rng));
        persist(&mut store, &disk, &model, false).unwrap();
        // Not before the last append: its `synced` line is to stand right behind a `log` line.
        if round == 0 {
            store.idle_synced().unwrap();
        }
    }
    (disk.durable(Path::new(FILE)).unwrap(), model)
}

thread_local! {
    /// The files that the drawn cases damage.
    static FILES: Vec<(Vec<u8>, Model)> = (0..4).map(file).collect();
}

/// A clone of one of [`FILES`].
fn drawn_file(seed: usize) -> (Vec<u8>, Model) {
    FILES.with(|files| files[seed].clone())
}

/// The `synced` records of a good file: where each begins and ends, and its index.
fn synced_records(bytes: &[u8]) -> Vec<(usize, usize, u64)> {
    let mut offset = 0;
    let mut records = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if let Some(rest) = std::str::from_utf8(line).unwrap().strip_prefix("synced ") {
            records.push((offset, offset + line.len(), rest[9..].trim_end().parse().unwrap()));
        }
        offset += line.len();
    }
    records
}

/// Loads the bytes; if they load, they are `model` up to some index, which is returned.
fn loads_as(model: &Model, bytes: Vec<u8>, what: &dyn Fn() -> String) -> Option<u64> {
    let loaded = open(&MemoryDisk::with_file(FILE, bytes)).ok()?.1.expect("the file is there");
    let last = loaded.log.last_index();
    assert!(model.is(&loaded, last), "{}: loads as something that never was", what());
    Some(last)
}

fn snapshot_end(bytes: &[u8]) -> usize {
    nodes_conf::read(bytes).unwrap().snapshot_bytes + "crc 00000000\n".len()
}

/// Holds a damaged file against the rule: `from..to` of the old bytes are changed or gone.
fn judge(model: &Model, old: &[u8], damaged: Vec<u8>, (from, to): (usize, usize)) {
    let what = || format!("bytes {from}..{to} of {}", old.len());
    let survivor = synced_records(old).into_iter().filter(|(start, end, _)| *end <= from || *start >= to).map(|record| record.2).max();
    let in_snapshot = from < snapshot_end(old);
    let Some(last) = loads_as(model, damaged, &what) else { return };
    assert!(!in_snapshot, "{}: damage in the snapshot part loads", what());
    assert!(Some(last) >= survivor, "{}: loads up to {last}, though {survivor:?} is proved", what());
}

#[test]
fn any_changed_byte_is_refused_or_costs_only_what_was_never_proved() {
    for seed in 0..3 {
        let (bytes, model) = file(seed);
        assert_eq!(loads_as(&model, bytes.clone(), &String::new), Some(model.last()));
        for at in 0..bytes.len() {
            let old = bytes[at];
            let values = [old ^ 1, b'\n', old ^ 2, old ^ 4, old ^ 0x20, old ^ 0x80, 0, 0xff, b' ', b'0', b'a', b'\r'];
            let tried = if seed == 0 { values.len() } else { 2 };
            for value in values.into_iter().take(tried) {
                if value != old {
                    let mut damaged = bytes.clone();
                    damaged[at] = value;
                    judge(&model, &bytes, damaged, (at, at + 1));
                }
            }
        }
    }
}

#[test]
fn any_byte_lost_or_added_is_refused_or_costs_only_what_was_never_proved() {
    let (bytes, model) = file(4);
    for at in 0..bytes.len() {
        let mut lost = bytes.clone();
        // Of several equal bytes in a row it does not matter which is lost.
        let mut run = at;
        while run + 1 < bytes.len() && bytes[run + 1] == bytes[at] {
            run += 1;
        }
        lost.remove(at);
        judge(&model, &bytes, lost, (at, run + 1));
        for value in [0, b'\n', b' ', b's', 0xff] {
            let mut added = bytes.clone();
            added.insert(at, value);
            if at >= snapshot_end(&bytes) {
                loads_as(&model, added, &|| format!("{value} before {at}"));
            } else {
                assert_eq!(loads_as(&model, added, &String::new), None, "{value} before {at}");
            }
        }
    }
}

#[test]
fn a_file_cut_anywhere_loads_as_a_prefix_or_not_at_all() {
    let (bytes, model) = file(5);
    for length in 0..bytes.len() {
        judge(&model, &bytes, bytes[..length].to_vec(), (length, bytes.len()));
    }
}

#[test]
fn what_follows_the_last_line_is_cut_off() {
    let (bytes, model) = file(6);
    for rest in [&b"\0"[..], &[0; 4096], b"log", b"garbage\n", b"crc 00000000\n", b"synced 00000000 1\n", b"\n\n", b"\xff\xfe\n"] {
        assert_eq!(loads_as(&model, [&bytes, rest].concat(), &String::new), Some(model.last()), "{rest:?}");
    }
    assert_eq!(loads_as(&model, [&bytes[..], &bytes].concat(), &String::new), None, "the file twice");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn damage_of_any_kind_never_loads_as_something_else(seed in 0usize..4, from in 0.0f64..1.0, length in 0usize..600, filling in proptest::collection::vec(any::<u8>(), 0..600)) {
        let (bytes, model) = drawn_file(seed);
        let from = (from * bytes.len() as f64) as usize;
        let to = (from + length).min(bytes.len());
        let damaged = [&bytes[..from], &filling, &bytes[to..]].concat();
        loads_as(&model, damaged, &|| format!("seed {seed}, {from}..{to}"));
    }

    #[test]
    fn lines_out_of_order_never_load_as_something_else(seed in 0usize..4, a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>(), twice: bool) {
        let (bytes, model) = drawn_file(seed);
        let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        let (a, b) = (a.index(lines.len()), b.index(lines.len()));
        if twice {
            lines.insert(a, lines[b]);
        } else {
            lines.swap(a, b);
        }
        loads_as(&model, lines.concat(), &|| format!("seed {seed}, lines {a} and {b}"));
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000), words in proptest::collection::vec(prop::sample::select(vec!["crc ", "log ", "synced ", "vars ", "joiner ", "claims ", "fallback ", "00000000", "\n", " ", "myself", "-", "é"]), 0..60)) {
        prop_assert!(nodes_conf::read(&bytes).is_err());
        prop_assert!(nodes_conf::read(words.concat().as_bytes()).is_err());
    }

    /// Under a good checksum too: the reader of the lines is on its own there.
    #[test]
    fn nonsense_under_a_good_checksum_never_panics(seed in 0usize..4, at in any::<prop::sample::Index>(), filling in proptest::collection::vec(any::<u8>(), 0..40), length in 0usize..40) {
        let (bytes, _) = drawn_file(seed);
        let end = snapshot_end(&bytes) - "crc 00000000\n".len();
        let from = at.index(end);
        let mut damaged = [&bytes[..from], &filling, &bytes[(from + length).min(end)..end]].concat();
        let crc = format!("crc {:08x}\n", crc32fast::hash(&damaged));
        damaged.extend_from_slice(crc.as_bytes());
        damaged.extend_from_slice(&bytes[snapshot_end(&bytes)..]);
        let _ = check::report(&damaged);
    }
}
