//! What is written is what is read, in whatever pieces; what is damaged is refused, whatever it is. The real redis-server has its say in
//! `tests/blackbox/rdb.rs`.

use super::*;
use crate::keyspace::{Entry, Expiry, Keyspace, WalkStep, key_slot};
use crate::rdb::{CRC, opcode};
use crate::types::{Millis, ReplId};
use proptest::prelude::*;
use std::collections::BTreeMap;

const PLAIN: Format = Format { compress: false, checksum: true };
const PACKED: Format = Format { compress: true, checksum: true };
const ABOUT: About = About { ctime: 1_700_000_000, used_memory: 1_234_567, replication: Some((ReplId::from_bytes([0xab; 20]), 77)) };

type Contents = BTreeMap<Vec<u8>, (Vec<u8>, Option<Millis>)>;

fn keyspace(contents: &Contents) -> Keyspace {
    let mut keyspace = Keyspace::new(1);
    for (key, (value, expiry)) in contents {
        assert!(keyspace.add(key_slot(key), Entry::string(key, value, *expiry)));
    }
    keyspace
}

fn contents(keyspace: &mut Keyspace) -> Contents {
    let mut contents = Contents::new();
    let walk = keyspace.begin_walk().unwrap();
    let mut visit = |Entry { key, value, expiry, .. }: Entry<'_>| {
        let value = value.string().unwrap();
        let value = value.bytes(0..value.len());
        contents.insert(key.to_vec(), (value.to_vec(), expiry));
    };
    assert_eq!(keyspace.step_walk(walk, usize::MAX, &mut visit), WalkStep::Done);
    keyspace.end_walk(walk);
    contents
}

fn write(keyspace: &mut Keyspace, about: &About, format: Format, budget: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::begin(keyspace, about, format).unwrap();
    while writer.step(keyspace, budget, &mut out) == WalkStep::More {}
    writer.end(keyspace);
    out
}

fn load(bytes: &[u8]) -> Result<Loaded, RdbError> {
    let mut loader = Loader::new(Keyspace::new(2));
    loader.feed(bytes)?;
    loader.finish()
}

/// The few keys that every form is needed for.
fn few() -> Contents {
    let texts = [
        "",
        "0",
        "-1",
        "127",
        "-128",
        "128",
        "32767",
        "-32769",
        "2147483647",
        "-2147483648",
        "2147483648",
        "007",
        "+1",
        "-0",
        "12345678901",
        "text",
        "not long enough",
        "aaaaaaaaaaaaaaaaaaaa",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ];
    let mut contents: Contents = texts.iter().map(|text| (format!("k{text}").into_bytes(), (text.as_bytes().to_vec(), None))).collect();
    contents.insert(b"123".to_vec(), (b"the key is an integer".to_vec(), Some(1_800_000_000_000)));
    contents.insert(b"long".repeat(300), (b"both are compressed".repeat(100), None));
    contents.insert(b"63".to_vec(), (vec![1; 63], Some(1)));
    contents.insert(b"64".to_vec(), ((0..64).collect(), None));
    contents
}

/// A file of version 10 with these parts, and a good checksum.
fn file(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = b"REDIS0010".to_vec();
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes.push(opcode::END);
    bytes.extend(CRC.checksum(&bytes).to_le_bytes());
    bytes
}

fn problem(bytes: &[u8]) -> Problem {
    load(bytes).err().expect("it is bad").problem
}

#[test]
fn the_bytes_are_those_of_the_format() {
    let mut keyspace = keyspace(&[(b"key".to_vec(), (b"value".to_vec(), Some(0x0102)))].into());
    let about = About { ctime: 100, used_memory: 70_000, replication: None };
    let mut expected = b"REDIS0010\xfa\x09redis-ver\x057.2.4\xfa\x0aredis-bits\xc0\x40\xfa\x05ctime\xc0\x64".to_vec();
    expected.extend(b"\xfa\x08used-mem\xc2\x70\x11\x01\x00\xfa\x08aof-base\xc0\x00\xfe\x00\xfb\x01\x01");
    expected.extend(b"\xfc\x02\x01\0\0\0\0\0\0\x00\x03key\x05value\xff");
    let plain = Format { compress: false, checksum: false };
    assert_eq!(write(&mut keyspace, &about, plain, 1000), [&expected[..], &[0; 8]].concat());
    let sum = CRC.checksum(&expected).to_le_bytes();
    assert_eq!(write(&mut keyspace, &about, PLAIN, 1), [&expected[..], &sum].concat());
    let empty = write(&mut Keyspace::new(1), &about, PLAIN, 1000);
    assert!(empty.ends_with(&[b"\x08aof-base\xc0\x00\xff", &empty[empty.len() - 8..]].concat()));
}

#[test]
fn a_file_comes_back_whole_whatever_the_pieces() {
    let mut few = few();
    few.insert(b"16384".to_vec(), ((0..16384u32).map(|number| (number * number / 128) as u8).collect(), None));
    for format in [PLAIN, PACKED] {
        let bytes = write(&mut keyspace(&few), &ABOUT, format, 100);
        for piece in [1, 2, 7, 100, bytes.len()] {
            let mut loader = Loader::new(Keyspace::new(2));
            // What follows belongs to somebody else.
            let mut rest = [&bytes[..], b"$EOF"].concat();
            while !loader.is_complete() {
                let given = rest.len().min(piece);
                let taken = loader.feed(&rest[..given]).unwrap();
                assert!(taken == given || loader.is_complete());
                rest.drain(..taken);
            }
            assert_eq!(rest, b"$EOF");
            assert_eq!((loader.bytes_read(), loader.keys()), (bytes.len() as u64, few.len()));
            let mut loaded = loader.finish().unwrap();
            assert_eq!(contents(&mut loaded.keyspace), few);
            assert_eq!(loaded.replication, ABOUT.replication);
        }
    }
}

/// Values of which a loader gets only a part at a time, one of them compressed.
fn long() -> Contents {
    let noise: Vec<u8> = (0..200_000u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut long: Contents = [(b"noise".to_vec(), (noise, Some(1_800_000_000_000)))].into();
    long.insert(b"packed".to_vec(), (b"again and ".repeat(20_000), None));
    long.insert(b"65536".to_vec(), (vec![7; 65_536], Some(1)));
    long.insert(b"65535".to_vec(), (vec![7; 65_535], None));
    long
}

#[test]
fn long_values_come_back_whole_whatever_the_pieces() {
    for format in [PLAIN, PACKED] {
        let bytes = write(&mut keyspace(&long()), &ABOUT, format, 100);
        for piece in [1000, 65_536, bytes.len()] {
            let mut loader = Loader::new(Keyspace::new(2));
            bytes.chunks(piece).for_each(|piece| assert_eq!(loader.feed(piece).unwrap(), piece.len()));
            assert_eq!(loader.bytes_read(), bytes.len() as u64);
            let mut loaded = loader.finish().unwrap();
            assert_eq!(contents(&mut loaded.keyspace), long());
            loaded.keyspace.check();
        }
        for end in (0..bytes.len()).step_by(9973) {
            let error = load(&bytes[..end]).err().expect("something is missing");
            assert_eq!(error, RdbError { offset: end as u64, problem: Problem::Truncated });
            let flipped = [&bytes[..end], &[bytes[end] ^ 4], &bytes[end + 1..]].concat();
            assert!(load(&flipped).is_err(), "byte {end}");
        }
    }
    let twice = file(&[b"\x00\x01a\x01b", b"\x00\x01a\x80\x00\x01\x00\x00", &[b'x'; 65_536]]);
    assert_eq!(problem(&twice), Problem::Duplicate("a".into()));
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let bytes = write(&mut keyspace(&few()), &ABOUT, PACKED, 1000);
    for end in 0..bytes.len() {
        let error = load(&bytes[..end]).err().expect("something is missing");
        assert_eq!(error, RdbError { offset: end as u64, problem: Problem::Truncated });
    }
}

#[test]
fn a_flipped_bit_is_found() {
    let bytes = write(&mut keyspace(&few()), &ABOUT, PACKED, 1000);
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        // The end itself may become something that goes on.
        assert!(load(&bytes).is_err(), "bit {bit}");
    }
}

#[test]
fn a_walk_that_is_voided_says_so() {
    let mut keyspace = keyspace(&few());
    let mut writer = Writer::begin(&mut keyspace, &ABOUT, PACKED).unwrap();
    assert_eq!(writer.step(&mut keyspace, 1, &mut Vec::new()), WalkStep::More);
    keyspace.clear();
    assert_eq!(writer.step(&mut keyspace, 1, &mut Vec::new()), WalkStep::Voided);
    writer.end(&mut keyspace);
    let writers: Vec<_> = std::iter::from_fn(|| Writer::begin(&mut keyspace, &ABOUT, PACKED)).collect();
    assert_eq!(writers.len(), 8, "the walk of the first one ended with it");
}

#[test]
fn what_has_no_meaning_here_is_passed_over() {
    let parts: &[&[u8]] = &[
        b"\xfa\x03any\x05thing",
        b"\xfa\x07repl-id\x03bad",
        b"\xfa\x0brepl-offset\xc0\x05",
        b"\xfe\x03",
        b"\xfe\x00",
        b"\xfb\x80\xff\xff\xff\xff\x81\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xf4\x40\xff\x01\x00",
        b"\xfd\x05\0\0\0",
        b"\xf8\x41\x00",
        b"\xf9\x07",
        b"\x00\x01a\x01b",
        b"\xfc\xff\xff\xff\xff\xff\xff\xff\xff\x00\x01n\x00",
    ];
    let mut loaded = load(&file(parts)).unwrap();
    assert_eq!(loaded.replication, None);
    let expected: Contents = [(b"a".to_vec(), (b"b".to_vec(), Some(5000))), (b"n".to_vec(), (Vec::new(), Some(0)))].into();
    assert_eq!(contents(&mut loaded.keyspace), expected);
    // Before version 5 there was no checksum.
    assert_eq!(load(b"REDIS0003\xfe\x00\x00\x01a\x01b\xff").unwrap().keyspace.len(), 1);
    assert_eq!(load(b"REDIS0012\xff\0\0\0\0\0\0\0\0").unwrap().keyspace.len(), 0);
}

#[test]
fn what_there_is_no_place_for_is_named() {
    let cases: &[(&[u8], &str)] = &[
        (b"\x0e\x04list\x01\x00", "byte 9: the key 'list' holds a list, which is not supported"),
        (b"\x11\x02z\n\x00", "byte 9: the key 'z\\n' holds a sorted set, which is not supported"),
        (b"\x13\xc0\x07", "byte 9: the key '7' holds a stream, which is not supported"),
        (b"\x63\x01a", "byte 9: unknown type or opcode 99"),
        (b"\xf5\x01a", "byte 9: it holds functions, which are not supported: FUNCTION FLUSH where it comes from"),
        (b"\xf7\x01", "byte 9: it holds the data of a module: modules are not supported"),
        (b"\xfe\x03\x00\x01a\x01b", "byte 11: the key 'a' is in database 3: a cluster has only database 0"),
        (b"\x00\x01a\x01b\x00\x01a\x01b", "byte 14: the key 'a' is there twice"),
    ];
    for (part, text) in cases {
        assert_eq!(load(&file(&[part])).err().map(|error| error.to_string()).as_deref(), Some(*text));
    }
    assert_eq!(problem(b"REDIS0013"), Problem::Version(13));
    assert_eq!(problem(b"REDIS0000"), Problem::Version(0));
    assert_eq!(problem(b"REDIS+010"), Problem::Magic);
    assert_eq!(problem(b"VALKEY080"), Problem::Magic);
    assert_eq!(problem(b""), Problem::Truncated);
}

#[test]
fn hostile_lengths_are_refused_before_memory_is_asked_for() {
    for length in [&b"\x81\0\0\0\x01\0\0\0\x01"[..], b"\x81\xff\xff\xff\xff\xff\xff\xff\xff"] {
        for part in [&b"\x00"[..], b"\x00\x01k", b"\xfa", b"\x00\xc3", b"\x00\xc3\x01", b"\x0e"] {
            assert!(matches!(problem(&file(&[part, length])), Problem::Length(_)), "{part:?} {length:?}");
        }
    }
    // As long as can be: what has not come of it costs nothing.
    for length in [&b"\x80\x20\0\0\x01"[..], b"\x80\xff\xff\xff\xff", b"\x81\0\0\0\x01\0\0\0\0"] {
        for part in [&b"\x00"[..], b"\x00\x01k", b"\xfa", b"\x00\xc3", b"\x0e"] {
            assert_eq!(problem(&[b"REDIS0010", part, length, &[b'x'; 100]].concat()), Problem::Truncated, "{part:?} {length:?}");
        }
    }
    // Three packed bytes cannot become so many.
    assert_eq!(problem(&file(&[b"\x00\x01k\xc3\x03\x41\x10\xe0\xff\x00"])), Problem::Compressed);
    assert_eq!(problem(&file(&[b"\x00\x01k\xc3\x02\x02\x00a"])), Problem::Compressed);
    assert_eq!(problem(&file(&[b"\x00\x01k\xc4"])), Problem::NoLength(4));
    assert_eq!(problem(&file(&[b"\x00\x01k\x82"])), Problem::NoLength(0x82));
    assert_eq!(problem(&file(&[b"\xfe\xc0\x00"])), Problem::NoLength(0));
}

fn strings() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..100),
        (proptest::collection::vec(0..3u8, 0..40), 1..30usize).prop_map(|(bytes, times)| bytes.repeat(times)),
        any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        any::<i32>().prop_map(|number| (number >> (number & 31)).to_string().into_bytes()),
    ]
}

proptest! {
    #[test]
    fn any_keys_come_back(
        before in proptest::collection::btree_map(strings(), (strings(), proptest::option::of(0..1u64 << 63)), 0..80), compress: bool, checksum: bool, budget in 1..5000usize,
    ) {
        let mut keyspace = keyspace(&before);
        let mut writer = Writer::begin(&mut keyspace, &ABOUT, Format { compress, checksum }).unwrap();
        // Written over while they are saved.
        let mut out = Vec::new();
        let mut keys = before.keys();
        while writer.step(&mut keyspace, budget, &mut out) == WalkStep::More {
            if let Some(key) = keys.next_back() {
                keyspace.set_string(key_slot(key), key, b"later", Expiry::Never, 0);
            }
        }
        writer.end(&mut keyspace);
        let mut loaded = load(&out).unwrap();
        prop_assert_eq!(contents(&mut loaded.keyspace), before);
        loaded.keyspace.check();
    }

    #[test]
    fn any_bytes_load_or_not(parts in proptest::collection::vec(strings(), 0..6), opcodes in proptest::collection::vec(prop_oneof![0..30u8, 240..=255u8], 6)) {
        let parts: Vec<Vec<u8>> = parts.iter().zip(opcodes).map(|(part, opcode)| [&[opcode][..], part].concat()).collect();
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        _ = load(&file(&parts));
    }
}
