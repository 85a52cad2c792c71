//! Strings and keys: Redis' own replies, and what they cannot show: time, transactions, walks over many keys.

use super::*;
use crate::config::glob_matches;
use std::collections::BTreeSet;

impl Desk {
    /// The reply as `keys.txt` shows it.
    pub fn shown(&mut self, line: &str) -> String {
        let (flow, reply) = self.request(line.split(' '));
        assert_eq!(flow, Flow::Done, "{line}");
        let text = String::from_utf8(reply).unwrap();
        let text = text.strip_suffix("\r\n").expect("a reply ends with CR LF");
        text.replace("\r\n", " ").replace('\0', "~")
    }

    fn pass(&mut self, millis: u64) {
        self.now.wall += millis;
        self.now.mono += millis;
    }
}

#[test]
fn replies_are_those_of_redis() {
    assert!(check(include_str!("keys.txt")) > 300);
}

/// Asks what stands in the text, and compares the replies; how many there are.
#[track_caller]
pub fn check(text: &str) -> usize {
    let mut desk = Desk::new();
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let (pairs, rest) = lines.as_chunks::<2>();
    assert!(rest.is_empty(), "requests and replies in turn");
    let mut wrong = Vec::new();
    for [request, reply] in pairs {
        let answer = desk.shown(request);
        if Some(answer.as_str()) != reply.strip_prefix("    ") {
            wrong.push(format!("{request}\n  redis{}\n  here    {answer}", &reply[2..]));
        }
        desk.keyspace.check();
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    pairs.len()
}

#[test]
fn keys_die_on_time() {
    let mut desk = Desk::new();
    desk.shown("set k v px 1500");
    assert_eq!((desk.shown("ttl k"), desk.shown("pttl k")), (":2".to_owned(), ":1500".to_owned()), "seconds are rounded");
    desk.pass(1001);
    assert_eq!((desk.shown("ttl k"), desk.shown("pttl k")), (":0".to_owned(), ":499".to_owned()));
    desk.pass(499);
    assert_eq!((desk.shown("get k"), desk.shown("pttl k")), ("$1 v".to_owned(), ":0".to_owned()), "its last millisecond");
    desk.pass(1);
    for (line, reply) in
        [("exists k", ":0"), ("get k", "$-1"), ("pttl k", ":-2"), ("type k", "+none"), ("expire k 10", ":0"), ("del k", ":0")]
    {
        assert_eq!(desk.shown(line), reply, "{line}");
    }
    desk.shown("set k v px 5");
    desk.pass(6);
    for (line, reply) in [("dbsize", ":1"), ("keys *", "*0"), ("scan 0", "*2 $1 0 *0"), ("randomkey", "$-1")] {
        assert_eq!(desk.shown(line), reply, "{line}: expired, not looked at");
    }
    assert_eq!(desk.shown("set k w xx"), "$-1");
    desk.shown("set k 5 px 5");
    desk.pass(6);
    assert_eq!((desk.shown("incr k"), desk.shown("ttl k")), (":1".to_owned(), ":-1".to_owned()), "a new key");
    desk.shown("set k 5 px 5");
    desk.pass(6);
    assert_eq!((desk.shown("append k 6"), desk.shown("ttl k")), (":1".to_owned(), ":-1".to_owned()), "a new key");
}

/// As valkey-server 8.1: redis-server 7.0 sets the key, which then has expired.
#[test]
fn what_has_expired_already_is_never_set() {
    let mut desk = Desk::new();
    for line in ["set k v exat 1", "set k v pxat 999", "set k v nx exat 1"] {
        assert_eq!((desk.shown(line), desk.keyspace.len(), desk.keyspace.dirty()), ("+OK".to_owned(), 0, 0), "{line}");
    }
    for line in ["set k w exat 1", "set k w xx exat 1", "set k w get exat 1", "getex k exat 1", "expire k -1"] {
        desk.shown("set k v");
        desk.shown(line);
        assert_eq!(desk.keyspace.len(), 0, "{line}");
    }
    assert_eq!(desk.keyspace.expired_count(), 5);
}

#[test]
fn an_empty_key_matches_no_pattern_but_the_one_for_all() {
    let mut desk = Desk::new();
    assert_eq!(desk.request([&b"set"[..], b"", b"v"]).0, Flow::Done);
    for line in ["keys *", "scan 0 match *"] {
        assert!(desk.shown(line).ends_with("*1 $0 "), "{line}");
    }
    for line in ["keys **", "scan 0 match **", "keys ?"] {
        assert!(desk.shown(line).ends_with("*0"), "{line}");
    }
}

#[test]
fn texts_end_at_a_nul() {
    let mut desk = Desk::new();
    desk.shown("set k v");
    for (words, text) in [
        (&[&b"expire"[..], b"k", b"100", b"fo\0o"][..], "-ERR Unsupported option fo\r\n"),
        (&[b"fo\0o", b"a", b"b\0c"], "-ERR unknown command 'fo', with args beginning with: 'a' 'b' \r\n"),
        (&[b"scan", b"0", b"type", b"no\0pe"], "-ERR unknown type name 'no'\r\n"),
    ] {
        assert_eq!(String::from_utf8(desk.request(words.iter().copied()).1).unwrap(), text);
    }
}

#[test]
fn exec_notices_what_happened_to_watched_keys() {
    let run = |before: &[&str], during: &str, millis: u64| {
        let mut desk = Desk::new();
        before.iter().for_each(|line| assert_eq!(desk.shown(line), "+OK"));
        desk.shown("watch {t}k");
        desk.shown(during);
        desk.pass(millis);
        desk.shown("multi");
        desk.shown("get {t}k");
        desk.shown("exec") != "*-1"
    };
    assert!(run(&["set {t}k v"], "ping", 0));
    assert!(run(&["set {t}k v"], "set {t}other v", 0));
    assert!(run(&["set {t}k v"], "get {t}k", 0));
    assert!(run(&[], "del {t}k", 0));
    assert!(run(&[], "flushall", 0));
    assert!(run(&["set {t}k v"], "persist {t}k", 0), "nothing to persist");
    assert!(!run(&["set {t}k v"], "set {t}k v", 0));
    assert!(!run(&["set {t}k v"], "append {t}k x", 0));
    assert!(!run(&["set {t}k v"], "expire {t}k 100", 0));
    assert!(!run(&["set {t}k v"], "expire {t}k -1", 0));
    assert!(!run(&["set {t}k v"], "flushall", 0));
    assert!(!run(&["set {t}k v px 10"], "ping", 11), "it expired");
    assert!(run(&["set {t}k v px 10"], "ping", 10));
}

#[test]
fn a_scan_of_many_keys_shows_each_once() {
    let mut desk = Desk::new();
    for number in 0..2000 {
        let tag = if number % 2 == 0 { "{same}" } else { "" };
        desk.shown(&format!("set {tag}key:{number} v"));
    }
    let (mut cursor, mut steps, mut seen) = ("0".to_owned(), 0, Vec::new());
    loop {
        let reply = desk.shown(&format!("scan {cursor} match *key:* count 20"));
        let mut words = reply.split(' ').filter(|word| !word.starts_with(['*', '$']));
        words.next().unwrap().clone_into(&mut cursor);
        seen.extend(words.map(str::to_owned));
        steps += 1;
        if cursor == "0" {
            break;
        }
    }
    assert!((20..=100).contains(&steps), "{steps}");
    assert_eq!((seen.len(), seen.iter().collect::<BTreeSet<_>>().len()), (2000, 2000));
    assert!(desk.shown("keys *key:*").starts_with("*2000 "));
    assert!(desk.shown("keys {same}key:19?8").starts_with("*10 "));
    assert_eq!(desk.shown("scan 18446744073709551615"), "*2 $1 0 *0");
    assert_eq!(desk.shown("scan 18446744073709551616"), "-ERR invalid cursor");
}

#[test]
fn reads_count_hits_and_misses() {
    let mut desk = Desk::new();
    for line in ["set {t}a 1", "get {t}a", "mget {t}a {t}b", "exists {t}b", "strlen {t}a", "ttl {t}a", "incr {t}a", "append {t}c x"] {
        desk.shown(line);
    }
    assert_eq!((desk.server.stats.keyspace_hits, desk.server.stats.keyspace_misses), (4, 2));
}

/// What KEYS on redis-server 7.0.15 answered for keys `-`, `]`, `\`, `ab`, `a-`, `b]`.
#[test]
fn patterns_match_as_in_redis() {
    for (pattern, matched) in [
        ("[", ""),
        ("[]", ""),
        ("[^]", "- ] \\"),
        ("[]]", ""),
        ("[\\]]", "]"),
        ("[^\\]", "- \\"),
        ("\\", "\\"),
        ("\\\\", "\\"),
        ("a[", ""),
        ("a[^", "ab a-"),
        ("a[-b]", "ab a-"),
        ("a[b-]", "ab"),
        ("[a-b]?", "ab a- b]"),
        ("[b-a]?", "ab a- b]"),
        ("?[^-]", "ab b]"),
        ("*[b]", "ab"),
        ("**", "- ] \\ ab a- b]"),
        ("*b*", "ab b]"),
        ("??*", "ab a- b]"),
    ] {
        let shown: Vec<&str> =
            ["-", "]", "\\", "ab", "a-", "b]"].into_iter().filter(|key| glob_matches(pattern.as_bytes(), key.as_bytes(), false)).collect();
        assert_eq!(shown.join(" "), matched, "{pattern}");
    }
}
