//! Keyspace notifications: which events each command has, in which order. Recorded from Redis 7.0.15 with `notify-keyspace-events AKEnm`.

use super::*;
use crate::session::Scope;

/// A request, and the events of it as `event key`.
const EVENTS: &[(&str, &str)] = &[
    ("SET k v", "new k, set k"),
    ("SET k v2", "set k"),
    ("SET k v EX 100", "set k, expire k"),
    ("SET k v KEEPTTL", "set k"),
    ("SET k v NX", ""),
    ("SET new v XX", ""),
    ("SET new v NX", "new new, set new"),
    ("SET k v GET", "set k"),
    ("SET new2 v GET", "keymiss new2, new new2, set new2"),
    ("GETSET new3 v", "keymiss new3, new new3, set new3"),
    ("GETSET new3 v", "set new3"),
    ("GETDEL new3", "del new3"),
    ("GETDEL new3", "keymiss new3"),
    ("SETNX new2 v", ""),
    ("SETNX new3 v", "new new3, set new3"),
    ("SETEX k 100 v", "set k, expire k"),
    ("PSETEX k2 100000 v", "new k2, set k2, expire k2"),
    ("GETEX k", ""),
    ("GETEX k PERSIST", "persist k"),
    ("GETEX k PERSIST", ""),
    ("GETEX k EX 100", "expire k"),
    ("GETEX none EX 100", "keymiss none"),
    ("GETEX k PXAT 1", "expired k"),
    ("PERSIST k", ""),
    ("SET k v", "new k, set k"),
    ("EXPIRE k 100", "expire k"),
    ("EXPIRE k 200 NX", ""),
    ("PERSIST k", "persist k"),
    ("PERSIST k", ""),
    ("EXPIRE k -1", "expired k"),
    ("EXPIRE k 10", ""),
    ("SET k v", "new k, set k"),
    ("PEXPIREAT k 1", "expired k"),
    ("HSET h a 1", "new h, hset h"),
    ("HSET h a 1 b 2", "hset h"),
    ("HSETNX h a 2", ""),
    ("HSETNX h c 2", "hset h"),
    ("HMSET h a 1", "hset h"),
    ("HINCRBY h a 1", "hincrby h"),
    ("HINCRBY h2 a 1", "new h2, hincrby h2"),
    ("HDEL h none", ""),
    ("HDEL h a none", "hdel h"),
    ("HDEL h b c", "hdel h, del h"),
    ("HDEL none a", ""),
    ("HGET h2 none", ""),
    ("HGET none a", "keymiss none"),
    ("HGETALL none", "keymiss none"),
    ("HSCAN none 0", "keymiss none"),
    ("GET h2", ""),
    ("DEL h2", "del h2"),
    ("APPEND a x", "new a, append a"),
    ("APPEND a y", "append a"),
    ("SETRANGE a 1 zz", "setrange a"),
    ("SETRANGE r 1 zz", "new r, setrange r"),
    ("INCR n", "new n, incrby n"),
    ("DECR n", "incrby n"),
    ("DECRBY n 3", "incrby n"),
    ("INCRBYFLOAT n 1.5", "incrbyfloat n"),
    ("INCR a", ""),
    ("MSET {t}1 a {t}2 b", "new {t}1, set {t}1, new {t}2, set {t}2"),
    ("MSETNX {t}1 a {t}3 b", ""),
    ("MSETNX {t}4 a {t}3 b", "new {t}4, set {t}4, new {t}3, set {t}3"),
    ("MGET {t}1 {t}9", "keymiss {t}9"),
    ("GET nope", "keymiss nope"),
    ("STRLEN nope", "keymiss nope"),
    ("EXISTS nope", "keymiss nope"),
    ("TOUCH nope", "keymiss nope"),
    ("TYPE nope", "keymiss nope"),
    ("TTL nope", "keymiss nope"),
    ("PEXPIRETIME nope", "keymiss nope"),
    ("GETRANGE nope 0 1", "keymiss nope"),
    ("MEMORY USAGE nope", ""),
    ("DEL nope", ""),
    ("DEL {t}1 {t}2 {t}2", "del {t}1, del {t}2"),
    ("UNLINK {t}3 {t}4 {t}9", "del {t}3, del {t}4"),
    ("FLUSHALL", ""),
];

fn desk(classes: &str) -> Desk {
    let mut desk = Desk::new();
    desk.config.set(&[("notify-keyspace-events", classes)]).unwrap();
    desk.listen(1, Scope::Pattern, "__key*__:*");
    desk
}

impl Desk {
    /// The events since this was last asked, as `event key`, each of which must come by both channels.
    fn events(&mut self) -> String {
        let pushed = self.pushed();
        let (pairs, rest) = pushed.as_chunks::<2>();
        assert_eq!(rest, [""; 0]);
        let last = |text: &str, channel: &str| {
            let words: Vec<&str> = text.split(' ').collect();
            let [.., about, _, what] = words[..] else { panic!("{text}") };
            (about.strip_prefix(channel).unwrap_or_else(|| panic!("{text}")).to_owned(), what.to_owned())
        };
        let event = |[keyspace, keyevent]: &[String; 2]| {
            let (key, event) = last(keyspace, "__keyspace@0__:");
            assert_eq!(last(keyevent, "__keyevent@0__:"), (event.clone(), key.clone()));
            format!("{event} {key}")
        };
        pairs.iter().map(event).collect::<Vec<_>>().join(", ")
    }
}

#[test]
fn events_are_those_of_redis() {
    let mut desk = desk("AKEnm");
    for (line, events) in EVENTS {
        desk.ask(line);
        assert_eq!(desk.events(), *events, "{line}");
    }
    desk.ask("MULTI");
    for line in ["SET z 1", "INCR z", "DEL z"] {
        desk.ask(line);
    }
    assert_eq!(desk.events(), "");
    desk.ask("EXEC");
    assert_eq!(desk.events(), "new z, set z, incrby z, del z");
}

#[test]
fn a_key_found_expired_is_told_of_first() {
    let mut desk = desk("AKEnm");
    for (line, events) in [("SET k v", "expired k, new k, set k"), ("GET k", "expired k, keymiss k"), ("DEL k", "expired k")] {
        desk.ask("SET k v PX 5");
        desk.events();
        desk.now.wall += 6;
        desk.ask(line);
        assert_eq!(desk.events(), events, "{line}");
        desk.ask("DEL k");
        desk.events();
    }
}

#[test]
fn classes_and_kinds_of_channels_are_chosen_by_letter() {
    for (classes, line, count) in [
        ("KEg", "SET k v", 0),
        ("KEg", "DEL k", 2),
        ("K$", "SET k v", 1),
        ("E$", "SET k v", 1),
        ("$", "SET k v", 0),
        ("KEA", "GET none", 0),
    ] {
        let mut desk = desk(classes);
        desk.ask("SET k v");
        desk.pushed();
        desk.ask(line);
        assert_eq!(desk.pushed().len(), count, "{classes} {line}");
    }
}
