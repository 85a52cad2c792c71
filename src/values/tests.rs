//! Values against models, and each form against the others: RDBs and commands give back what was there.

use super::*;
use crate::rdb::opcode;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn rules() -> Rules {
    let mut thresholds = Thresholds::SHIPPED;
    (thresholds.hash.entries, thresholds.hash.value) = (8, 20);
    Rules { thresholds, hasher: Hasher::new(5), rubble: Rubble::default() }
}

impl Value {
    /// Its strings, as a walk in slices tells them.
    pub fn told(&self, budget: usize) -> Vec<Vec<u8>> {
        let (mut strings, mut place): (Vec<Vec<u8>>, _) = (Vec::new(), Some(Place::default()));
        while let Some(from) = place {
            place = self.walk(from, Parts::Both, budget, &mut |piece| {
                if piece.begins() {
                    strings.push(Vec::new());
                }
                strings.last_mut().unwrap().extend_from_slice(piece.bytes);
                assert!(strings.last().unwrap().len() < piece.length || piece.ends());
            });
        }
        strings
    }

    /// Whether it is of the same type and form, and holds the same, in any order.
    pub fn is_same(&self, other: &Self) -> bool {
        let strings = |value: &Self| {
            let mut strings = value.told(usize::MAX);
            strings.sort_unstable();
            strings
        };
        (self.type_name(), self.encoding(), strings(self)) == (other.type_name(), other.encoding(), strings(other))
    }
}

fn model(hash: &Hash) -> Model {
    let strings = Value::from(hash.clone()).told(100);
    let pairs: Vec<_> = strings.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    let count = pairs.len();
    let model: Model = pairs.into_iter().collect();
    assert_eq!((model.len(), hash.len()), (count, count), "each field once");
    model
}

fn saved(value: &Value, budget: usize) -> Vec<u8> {
    let (mut bytes, mut place) = (Vec::new(), Some(Place::default()));
    while let Some(from) = place {
        let before = bytes.len();
        place = value.save(from, &mut Output::new(&mut bytes, &mut Some(Vec::new()), budget));
        assert!(bytes.len() - before <= budget.saturating_add(256 << 10), "a slice is bounded");
    }
    bytes
}

/// Reads an RDB form that comes in pieces.
fn loaded(form: u8, bytes: &[u8], piece: usize, rules: &Rules) -> Result<Option<Value>, Stop> {
    let (mut load, mut here, mut at) = (Value::load(form, rules).unwrap(), 0, 0);
    while here < bytes.len() {
        here = bytes.len().min(here + piece);
        loop {
            let mut reader = Reader::new(&bytes[at..here]);
            match load.read(&mut reader) {
                Ok(Some(value)) => return Ok(Some(value)),
                Ok(None) => at += reader.position(),
                Err(Stop::Incomplete) => break,
                Err(stop) => return Err(stop),
            }
        }
    }
    Ok(None)
}

fn hash(value: Value) -> Hash {
    Hash::of(&value).unwrap().clone()
}

fn strings() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop::collection::vec(any::<u8>(), 0..20),
        4 => (0..300u32).prop_map(|number| number.to_string().into_bytes()),
        1 => (any::<u8>(), 20..3000usize).prop_map(|(byte, length)| vec![byte; length]),
    ]
}

proptest! {
    #[test]
    fn a_hash_does_what_a_map_does(steps in prop::collection::vec((0..4u8, strings(), strings()), 1..300), piece in 1..5000usize) {
        let (mut hash_, mut map, rules) = (Hash::default(), Model::new(), rules());
        let mut shown = Vec::new();
        for (at, (kind, field, value)) in steps.into_iter().enumerate() {
            if kind == 0 {
                prop_assert_eq!(hash_.remove(&field), map.remove(&field).is_some());
            } else {
                prop_assert_eq!(hash_.set(&field, &value, &rules), map.insert(field.clone(), value).is_none());
            }
            let mut buffer = Vec::new();
            prop_assert_eq!(hash_.get(&field, &mut buffer), map.get(&field).map(Vec::as_slice));
            // Somebody looks at it as it was.
            if at % 37 == 0 {
                shown.push((hash_.clone(), map.clone()));
            }
        }
        for (old, map) in shown {
            prop_assert_eq!(model(&old), map);
        }
        prop_assert_eq!(model(&hash_), map.clone());
        if let Hash::Table(table) = &hash_ {
            let cost: usize = (0..table.chunks()).map(|number| table.chunk(number).unwrap().cost()).sum();
            prop_assert_eq!(table.cost(), size_of::<table::Table>() + cost + table.chunks() * 8);
        }
        if map.is_empty() {
            return Ok(());
        }
        let value = Value::from(hash_);
        let bytes = saved(&value, piece);
        prop_assert_eq!(&bytes, &saved(&value, usize::MAX));
        let again = loaded(value.rdb_form(), &bytes, piece, &rules).unwrap().unwrap();
        prop_assert_eq!(model(&hash(again)), map.clone());
        prop_assert!(loaded(value.rdb_form(), &bytes[..bytes.len() - 1], piece, &rules).unwrap().is_none());
        let (mut told, mut place) = (Hash::default(), Some(Place::default()));
        while let Some(from) = place {
            place = value.command(from, &mut |words| {
                assert_eq!(words[0], b"HSET");
                words[1..].chunks(2).for_each(|pair| assert!(told.set(pair[0], pair[1], &rules)));
            });
        }
        prop_assert_eq!(model(&told), map);
    }

    #[test]
    fn a_scan_visits_what_is_there_throughout_once(fields in 1..2000u32, changes in prop::collection::vec((any::<bool>(), 0..4000u32), 0..200), count in 1..200usize) {
        let (mut hash, rules) = (Hash::default(), rules());
        let name = |number: u32| format!("field:{number}").into_bytes();
        (0..fields).for_each(|number| _ = hash.set(&name(number), b"", &rules));
        let (mut cursor, mut seen, mut changes) = (0, BTreeMap::<Vec<u8>, usize>::new(), changes.into_iter());
        loop {
            cursor = hash.scan(cursor, count, &mut |field, _| *seen.entry(field.to_vec()).or_default() += 1);
            if cursor == 0 {
                break;
            }
            for (adds, number) in changes.by_ref().take(20) {
                // What is there throughout has an even number.
                if adds { hash.set(&name(number * 2 + 1), b"", &rules); } else { hash.remove(&name(number * 2 + 1)); }
            }
        }
        for number in (0..fields).step_by(2) {
            prop_assert!(seen.get(&name(number)).copied() == Some(1), "{number}");
        }
    }

    #[test]
    fn any_bytes_are_a_hash_or_none(form in prop_oneof![Just(4u8), Just(16u8)], bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        _ = loaded(form, &bytes, 7, &rules());
    }
}

#[test]
fn what_is_large_is_shared_and_freed_in_slices() {
    let rules = rules();
    let mut large = Hash::default();
    (0..100_000).for_each(|number: u32| _ = large.set(&number.to_be_bytes(), b"value", &rules));
    large.set(b"long", &vec![1; 3 << 20], &rules);
    let clone = large.clone();
    large.set(b"more", b"1", &rules);
    assert_eq!((clone.len(), large.len()), (100_001, 100_002));
    drop((clone, large));
    let mut slices = 0;
    while !rules.rubble.free_some(&mut 1000) {
        slices += 1;
    }
    assert!((5..500).contains(&slices) && rules.rubble.is_done(), "{slices}");
}

fn bytes(value: &Value) -> Vec<u8> {
    let text = Text::of(value).unwrap().read();
    text.bytes(0..text.len()).into_owned()
}

#[test]
fn what_is_packed_is_small_whatever_the_thresholds_say() {
    let mut open = rules();
    (open.thresholds.hash.entries, open.thresholds.hash.value) = (u64::MAX, u64::MAX);
    let (mut many, mut one) = (Hash::default(), Hash::default());
    (0..200).for_each(|number: u32| _ = many.set(&number.to_be_bytes(), &[b'x'; 1000], &open));
    assert_eq!(many.encoding(), "listpack");
    (200..300).for_each(|number: u32| _ = many.set(&number.to_be_bytes(), &[b'x'; 1000], &open));
    one.set(b"field", b"short", &open);
    one.set(b"field", &vec![b'x'; 300_000], &open);
    assert_eq!((many.encoding(), one.encoding()), ("hashtable", "hashtable"));
    // Another server may have packed more.
    let mut pack = super::listpack::Listpack::default();
    (0..600).for_each(|number: u32| pack.push(&vec![b'a' + (number % 2) as u8; 300 + number as usize]));
    let (mut bytes, rdb) = (Vec::new(), pack.as_bytes());
    Output::new(&mut bytes, &mut None, usize::MAX).string(rdb);
    let loaded = hash(loaded(16, &bytes, usize::MAX >> 1, &open).unwrap().unwrap());
    assert_eq!((rdb.len() > 300_000, loaded.len(), loaded.encoding()), (true, 300, "hashtable"));
}

#[test]
fn long_strings_within_a_hash_are_freed_in_slices() {
    let rules = rules();
    let mut hash = Hash::default();
    (0..300).for_each(|number: u32| _ = hash.set(&number.to_be_bytes(), &vec![1; 100_000], &rules));
    let clone = hash.clone();
    hash.set(b"more", b"1", &rules);
    drop((hash, clone));
    let mut slices = 0;
    while !rules.rubble.free_some(&mut 1000) {
        slices += 1;
    }
    assert!((5..50).contains(&slices), "{slices}");
}

#[test]
fn long_strings_come_in_slices() {
    let (rules, long) = (rules(), (0..1_000_000u32).map(|number| (number >> 4) as u8).collect::<Vec<_>>());
    for length in [0, 1, LONG - 1, LONG, 200_000, 300_000, 1_000_000] {
        let mut text = Text::of_buffer(long[..length].to_vec(), &rules);
        let value = Value::from(text.clone());
        let saved_bytes = saved(&value, 10_000);
        let again = loaded(0, &saved_bytes, 9999, &rules).unwrap().unwrap();
        assert_eq!(bytes(&again), &long[..length]);
        text.overwrite(length + 3, &b"x".into(), &rules);
        text.overwrite(0, &b"yy".into(), &rules);
        let changed = Value::from(text);
        let model = [b"yy", &long[2.min(length)..length], &[0, 0, 0][2usize.saturating_sub(length)..], b"x"].concat();
        assert!(bytes(&changed) == model && saved(&changed, 10_000) == saved(&changed, usize::MAX));
        assert_eq!(bytes(&value), &long[..length], "who holds it sees it as it was");
        let (mut told, mut place) = (Vec::new(), Some(Place::default()));
        while let Some(from) = place {
            place = value.command(from, &mut |words| {
                assert_eq!(words[0], if told.is_empty() && from.byte == 0 { &b"SET"[..] } else { b"APPEND" });
                told.extend_from_slice(words[1]);
            });
        }
        assert_eq!(told, long[..length]);
    }
}

#[test]
fn damaged_hashes_are_refused() {
    // No pair; a field twice, in both forms; a field alone.
    for (form, bytes) in [
        (4, &b"\x00"[..]),
        (4, b"\x02\x01a\x01b\x01a\x01c"),
        (16, b"\x07\x07\0\0\0\0\0\xff"),
        (16, b"\x0f\x0f\0\0\0\x04\0\x01\x01\x02\x01\x01\x01\x02\x01\xff"),
        (16, b"\x09\x09\0\0\0\x01\0\x01\x01\xff"),
        (16, b"\x03abc"),
    ] {
        assert!(matches!(loaded(form, bytes, 100, &rules()), Err(Stop::Bad(_))), "{bytes:?}");
    }
}

#[test]
fn every_form_is_told_saved_and_read_in_slices() {
    let rules = rules();
    for value in Value::samples(&rules) {
        let (shown, form) = (format!("a {}, {}", value.type_name(), value.encoding()), value.rdb_form());
        assert!(value.told(1000) == value.told(usize::MAX), "{shown}");
        let bytes = saved(&value, 1000);
        assert!(bytes == saved(&value, usize::MAX), "{shown}");
        for piece in [1000, bytes.len()] {
            assert!(loaded(form, &bytes, piece, &rules).unwrap().is_some_and(|again| again.is_same(&value)), "{shown}");
        }
        assert!(loaded(form, &bytes[..bytes.len() - 1], 1000, &rules).unwrap().is_none(), "{shown}");
    }
}

#[test]
fn types_are_told_apart() {
    let forms: Vec<u8> = Value::FORMS.concat();
    assert!(forms.iter().all(|form| *form < opcode::SLOT_INFO), "a form is no opcode");
    assert_eq!(forms.iter().collect::<BTreeSet<_>>().len(), forms.len(), "a form is one type's");
    assert_eq!(Value::NAMES.iter().collect::<BTreeSet<_>>().len(), Value::NAMES.len());
}
