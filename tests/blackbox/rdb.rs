//! RDB files, ours and those of a real redis-server: each reads what the other writes, and redis-check-rdb finds nothing wrong with ours.

use crate::redis_server::RedisServer;
use pontoon::keyspace::{Entry, Keyspace, WalkStep, key_slot};
use pontoon::replication::rdb::{About, Format, Loader, Writer};
use pontoon::types::ReplId;
use pontoon::values::Hash;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

/// Far away, so that nothing expires under the test.
const EXPIRY: u64 = 4_000_000_000_123;

type Contents = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

/// Strings of every form: integers of every width and their neighbours, lengths around each border, compressible or not.
fn contents() -> Contents {
    let mut values: Vec<Vec<u8>> = Vec::new();
    for number in [0i64, 127, 128, 255, 256, 32767, 32768, 65536, 2147483647, 2147483648, i64::MAX] {
        values.extend([number, -number, -number - 1].map(|number| number.to_string().into_bytes()));
    }
    for length in [0, 1, 11, 12, 20, 21, 32, 33, 63, 64, 264, 265, 8191, 8192, 8193, 16383, 16384, 70_000, 2_000_000] {
        values.push(vec![b'a'; length]);
        values.push((0..length as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect());
        values.push(b"a JSON-like text with some words ".iter().copied().cycle().take(length).collect());
    }
    values.extend(["007", "+1", "-0", "1.5", "\0\r\n"].map(|text| text.as_bytes().to_vec()));
    let numbered = values.into_iter().enumerate();
    let mut contents: Contents =
        numbered.map(|(at, value)| (format!("key:{at}").into_bytes(), (value, at.is_multiple_of(3).then_some(EXPIRY)))).collect();
    for key in [&b"17"[..], b"", b"\xff\0", &b"long key ".repeat(50)] {
        contents.insert(key.to_vec(), (b"value".to_vec(), None));
    }
    contents.extend((0..20_000u32).map(|number| (format!("many:{number}").into_bytes(), (number.to_string().into_bytes(), None))));
    contents
}

fn written(contents: &Contents, format: Format) -> Vec<u8> {
    let mut keyspace = Keyspace::new(1);
    for (key, (value, expiry)) in contents {
        assert!(keyspace.add(key_slot(key), Entry::string(key, value, *expiry)));
    }
    let about = About { ctime: 1_700_000_000, used_memory: 1 << 20, replication: Some((ReplId::from_bytes([0xc; 20]), 12_345)) };
    let (mut bytes, mut writer) = (Vec::new(), Writer::begin(&mut keyspace, &about, format).expect("nobody else walks"));
    while writer.step(&mut keyspace, 10_000, &mut bytes) == WalkStep::More {}
    bytes
}

fn loaded(bytes: &[u8]) -> (Contents, Option<(ReplId, u64)>) {
    let mut loader = Loader::new(Keyspace::new(2));
    for piece in bytes.chunks(10_000) {
        assert_eq!(loader.feed(piece).expect("it is good"), piece.len());
    }
    let mut loaded = loader.finish().expect("it is whole");
    let (mut contents, walk) = (Contents::new(), loaded.keyspace.begin_walk().expect("nobody else walks"));
    let end = loaded.keyspace.step_walk(walk, usize::MAX, &mut |Entry { key, value, expiry, .. }| {
        let value = value.string().expect("it is a string");
        contents.insert(key.to_vec(), (value.bytes(0..value.len()).into_owned(), expiry));
    });
    assert_eq!(end, WalkStep::Done);
    (contents, loaded.replication)
}

#[test]
fn redis_server_loads_what_we_write() {
    let contents = contents();
    for compress in [true, false] {
        for checksum in [true, false] {
            let bytes = written(&contents, Format { compress, checksum });
            let server = RedisServer::started(&[], |dir| fs::write(dir.join("dump.rdb"), &bytes).expect("a file can be written"));
            let check = Command::new("redis-check-rdb").arg(server.dump()).output().expect("redis-check-rdb can be started");
            let said = String::from_utf8_lossy(&check.stdout);
            assert!(check.status.success() && said.contains("RDB looks OK!"), "{said}");
            let mut connection = server.connect();
            assert_eq!(redis::cmd("DBSIZE").query(&mut connection), Ok(contents.len()));
            for (key, (value, expiry)) in &contents {
                let mut both = redis::pipe();
                both.cmd("GET").arg(key).cmd("PEXPIRETIME").arg(key);
                let (found, ends): (Vec<u8>, i64) = both.query(&mut connection).expect("it answers");
                assert!(found == *value && ends == expiry.map_or(-1, |expiry| expiry as i64), "{}", key.escape_ascii());
            }
        }
    }
}

#[test]
fn we_load_what_redis_server_writes() {
    let contents = contents();
    for option in ["yes", "no"] {
        let server = RedisServer::started(&["--rdbcompression", option, "--rdbchecksum", option], |_| ());
        let mut connection = server.connect();
        for (key, (value, expiry)) in &contents {
            let mut set = redis::cmd("SET");
            set.arg(key).arg(value);
            if let Some(expiry) = expiry {
                set.arg("PXAT").arg(expiry);
            }
            assert_eq!(set.query(&mut connection), Ok("OK".to_owned()));
        }
        assert_eq!(redis::cmd("SAVE").query(&mut connection), Ok("OK".to_owned()));
        let (found, _) = loaded(&fs::read(server.dump()).expect("it was saved"));
        assert!(found == contents);
    }
}

type Fields = BTreeMap<Vec<u8>, Vec<u8>>;

/// Hashes of both forms, with integers and strings of every length.
fn hashes() -> BTreeMap<Vec<u8>, Fields> {
    let values = contents().into_iter().filter(|(key, _)| key.starts_with(b"key:")).map(|(key, (value, _))| (key, value));
    let values: Vec<(Vec<u8>, Vec<u8>)> = values.collect();
    let short = |limit: usize| values.iter().filter(move |(_, value)| value.len() <= limit).cloned();
    let many = (0..100_000u32).map(|number| (number.to_string().into_bytes(), format!("value {number}").into_bytes()));
    [
        (b"one".to_vec(), [(b"field".to_vec(), b"value".to_vec())].into()),
        (b"packed".to_vec(), short(64).collect()),
        // The other way round, for the fields.
        (b"fields".to_vec(), short(64).map(|(key, value)| (value, key)).collect()),
        (b"table".to_vec(), values.clone().into_iter().collect()),
        (b"many".to_vec(), many.collect()),
    ]
    .into()
}

#[test]
fn redis_server_loads_the_hashes_that_we_write() {
    let mut keyspace = Keyspace::new(1);
    for (key, fields) in &hashes() {
        for (field, value) in fields {
            let set = keyspace.edit(key_slot(key), key, 0, |hash: &mut Hash, rules| Some(hash.set(field, value, rules)));
            assert_eq!(set, Ok(Some(true)));
        }
    }
    for compress in [true, false] {
        let about = About { ctime: 1_700_000_000, used_memory: 1 << 20, replication: None };
        let mut writer = Writer::begin(&mut keyspace, &about, Format { compress, checksum: true }).expect("nobody else walks");
        let mut bytes = Vec::new();
        while writer.step(&mut keyspace, 10_000, &mut bytes) == WalkStep::More {}
        writer.end(&mut keyspace);
        let server = RedisServer::started(&[], |dir| fs::write(dir.join("dump.rdb"), &bytes).expect("a file can be written"));
        let check = Command::new("redis-check-rdb").arg(server.dump()).output().expect("redis-check-rdb can be started");
        assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
        let mut connection = server.connect();
        for (key, fields) in &hashes() {
            let found: Fields = redis::cmd("HGETALL").arg(key).query(&mut connection).expect("it answers");
            assert!(found == *fields, "{}", key.escape_ascii());
        }
        for (key, encoding) in [("packed", "listpack"), ("fields", "listpack"), ("table", "hashtable"), ("many", "hashtable")] {
            assert_eq!(redis::cmd("OBJECT").arg("ENCODING").arg(key).query(&mut connection), Ok(encoding.to_owned()));
        }
    }
}

#[test]
fn we_load_the_hashes_that_redis_server_writes() {
    for option in ["yes", "no"] {
        let server = RedisServer::started(&["--rdbcompression", option], |_| ());
        let mut connection = server.connect();
        for (key, fields) in &hashes() {
            for pairs in fields.iter().collect::<Vec<_>>().chunks(1000) {
                let mut set = redis::cmd("HSET");
                set.arg(key);
                pairs.iter().for_each(|(field, value)| _ = set.arg(field).arg(value));
                set.exec(&mut connection).expect("it writes");
            }
        }
        assert_eq!(redis::cmd("SAVE").query(&mut connection), Ok("OK".to_owned()));
        let mut loader = Loader::new(Keyspace::new(2));
        for piece in fs::read(server.dump()).expect("it was saved").chunks(10_000) {
            assert_eq!(loader.feed(piece).expect("it is good"), piece.len());
        }
        let mut loaded = loader.finish().expect("it is whole").keyspace;
        for (key, fields) in &hashes() {
            let hash = loaded.read::<Hash>(key_slot(key), key, 0).expect("it is a hash").expect("it is there");
            assert_eq!(hash.len(), fields.len());
            assert!(fields.iter().all(|(field, value)| hash.get(field, &mut Vec::new()) == Some(value)), "{}", key.escape_ascii());
        }
        loaded.check();
    }
}

#[test]
fn what_redis_server_holds_and_we_do_not_is_named() {
    let server = RedisServer::started(&[], |_| ());
    let mut connection = server.connect();
    for (words, text) in [
        (&["RPUSH", "l", "a"][..], "the key 'l' holds a list"),
        (&["SADD", "s", "a"], "the key 's' holds a set"),
        (&["ZADD", "z", "1", "a"], "the key 'z' holds a sorted set"),
        (&["XADD", "x", "*", "a", "b"], "the key 'x' holds a stream"),
        (&["FUNCTION", "LOAD", "#!lua name=f\nredis.register_function('f', function() end)"], "it holds functions"),
    ] {
        let ask =
            |connection: &mut redis::Connection, words: &[&str]| redis::cmd(words[0]).arg(&words[1..]).query::<redis::Value>(connection);
        ask(&mut connection, &["FLUSHALL"]).expect("it answers");
        ask(&mut connection, words).expect("it answers");
        ask(&mut connection, &["SAVE"]).expect("it answers");
        let error = Loader::new(Keyspace::new(2)).feed(&fs::read(server.dump()).expect("it was saved")).err();
        assert!(error.as_ref().is_some_and(|error| error.to_string().contains(text)), "{words:?}: {error:?}");
    }
}

#[test]
fn a_history_is_read_as_redis_server_writes_it() {
    let primary = RedisServer::started(&["--repl-diskless-sync-delay", "0"], |_| ());
    let replica = RedisServer::started(&["--replicaof", "127.0.0.1", &primary.port.number.to_string()], |_| ());
    let mut connection = replica.connect();
    crate::wait::until("the replica to be in sync", || {
        let info: String = redis::cmd("INFO").arg("replication").query(&mut connection).map_err(|error| error.to_string())?;
        if info.contains("master_link_status:up") { Ok(()) } else { Err(info) }
    });
    assert_eq!(redis::cmd("SAVE").query(&mut connection), Ok("OK".to_owned()));
    let info: String = redis::cmd("INFO").arg("replication").query(&mut connection).expect("it answers");
    let (id, _) = loaded(&fs::read(replica.dump()).expect("it was saved")).1.expect("a replica knows its history");
    assert!(info.contains(&format!("master_replid:{id}")), "{info}");
    // Ours survives a round through it, too.
    assert_eq!(
        loaded(&written(&Contents::new(), Format { compress: true, checksum: true })).1,
        Some((ReplId::from_bytes([0xc; 20]), 12_345))
    );
}
