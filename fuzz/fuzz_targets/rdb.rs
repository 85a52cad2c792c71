//! Any bytes as an RDB: at once and in two pieces they must load the same, and what is loaded must come back from what is written of it.
//! The first byte says where to cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pontoon::keyspace::{Entry, Keyspace, WalkStep};
use pontoon::replication::rdb::{About, Format, Loaded, Loader, RdbError, Writer};

fn load(pieces: &[&[u8]]) -> Result<Loaded, RdbError> {
    let mut loader = Loader::new(Keyspace::new(1));
    for piece in pieces {
        loader.feed(piece)?;
    }
    loader.finish()
}

fn write(keyspace: &mut Keyspace) -> Vec<u8> {
    let about = About { ctime: 0, used_memory: 0, replication: None };
    let (mut out, format) = (Vec::new(), Format { compress: true, checksum: true });
    let mut writer = Writer::begin(keyspace, &about, format).expect("nobody else walks");
    while writer.step(keyspace, 1000, &mut out) == WalkStep::More {}
    writer.end(keyspace);
    out
}

type Key = (Vec<u8>, Vec<u8>, Option<u64>);

fn keys(keyspace: &mut Keyspace) -> Vec<Key> {
    let mut keys = Vec::new();
    let walk = keyspace.begin_walk().expect("nobody else walks");
    let mut visit = |Entry { key, value, expiry, .. }: Entry<'_>| {
        // Of another type only that it is one: the order of its parts depends on the keyspace's seed.
        let bytes = value.string().map_or_else(|_| value.type_name().into(), |string| string.bytes(0..string.len()).into_owned());
        keys.push((key.to_vec(), bytes, expiry));
    };
    assert!(keyspace.step_walk(walk, usize::MAX, &mut visit) == WalkStep::Done);
    keyspace.end_walk(walk);
    keys.sort();
    keys
}

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, bytes)) = bytes.split_first() else { return };
    let (front, back) = bytes.split_at(usize::from(*cut).min(bytes.len()));
    match (load(&[bytes]), load(&[front, back])) {
        (Ok(mut loaded), Ok(mut again)) => {
            let expected = keys(&mut loaded.keyspace);
            assert_eq!(keys(&mut again.keyspace), expected);
            let written = write(&mut loaded.keyspace);
            assert_eq!(keys(&mut load(&[&written]).expect("what we write we load").keyspace), expected);
        }
        (one, other) => assert_eq!(one.err(), other.err()),
    }
});
