//! Hashes: Valkey's own replies, and what they cannot show: large ones, over several turns; what replicas are told; transactions.

use super::keys::check;
use super::*;
use crate::values::Thresholds;

#[test]
fn replies_are_those_of_valkey() {
    assert!(check(include_str!("hashes.txt")) > 100);
}

/// A desk with a hash of so many fields, and how many bytes the reply to HGETALL has.
fn large(fields: usize) -> (Desk, usize) {
    let mut desk = Desk::new();
    let mut length = format!("*{}\r\n", 2 * fields).len();
    for first in (0..fields).step_by(1000) {
        let pairs: String = (first..first + 1000).map(|field| format!(" field:{field:07} value:{field:07}")).collect();
        assert_eq!(desk.ask(&format!("HSET h{pairs}")), ":1000\r\n");
        length += 1000 * 2 * "$13\r\nfield:0000000\r\n".len();
    }
    (desk, length)
}

/// Writes on at the reply that is under way, in slices of so many bytes; how many there were, and all that was written.
fn rest(desk: &mut Desk, slice: usize) -> (usize, Vec<u8>) {
    let (mut slices, mut out) = (0, Vec::new());
    while let Some(mut reply) = desk.client.long_reply.take() {
        slices += 1;
        let before = out.len();
        if !reply.go_on(slice, &mut Reply::new(&mut out, false)) {
            desk.client.long_reply = Some(reply);
        }
        assert!(out.len() - before < 2 * slice + 100, "a slice is bounded");
    }
    (slices, out)
}

#[test]
fn a_large_hash_is_answered_over_several_turns_as_it_was() {
    let (mut desk, length) = large(20_000);
    assert_eq!(desk.ask("object encoding h"), "$9\r\nhashtable\r\n");
    let mut reply = desk.ask("hgetall h");
    assert!(desk.client.is_busy() && reply.len() < length / 4);
    let mut long = desk.client.long_reply.take().unwrap();
    long.after.extend(b">push");
    for line in ["hset h field:0000001 changed", "hdel h field:0000002", "del h", "hset h new 1"] {
        desk.ask(line);
    }
    desk.client.long_reply = Some(long);
    let (slices, more) = rest(&mut desk, 10_000);
    reply.push_str(std::str::from_utf8(&more).unwrap());
    assert!(slices > 50 && !desk.client.is_busy());
    let reply = reply.strip_suffix(">push").expect("pushes follow the reply");
    assert!(reply.len() == length && reply.contains("value:0000001") && reply.contains("field:0000002") && !reply.contains("changed"));
    for line in ["hkeys h", "hvals h", "hgetall h"] {
        desk.ask(line);
        assert!(!desk.client.is_busy(), "small ones are answered at once");
    }
}

#[test]
fn within_a_transaction_it_is_answered_at_once() {
    let (mut desk, length) = large(20_000);
    desk.ask("multi");
    desk.ask("hgetall h");
    desk.ask("hlen h");
    assert_eq!(desk.ask("exec").len(), "*2\r\n".len() + length + ":20000\r\n".len());
    assert!(!desk.client.is_busy());
}

#[test]
fn a_scan_of_a_large_hash_shows_every_field_once() {
    let (mut desk, _) = large(3000);
    let (mut cursor, mut seen) = ("0".to_owned(), Vec::new());
    loop {
        let reply = desk.ask(&format!("hscan h {cursor} count 100 novalues"));
        let words: Vec<&str> = reply.split("\r\n").filter(|word| !word.is_empty() && !word.starts_with(['*', '$'])).collect();
        cursor = words[0].to_owned();
        seen.extend(words[1..].iter().map(|word| (*word).to_owned()));
        if cursor == "0" {
            break;
        }
    }
    seen.sort();
    let expected: Vec<String> = (0..3000).map(|field| format!("field:{field:07}")).collect();
    assert!(seen == expected);
}

#[test]
fn thresholds_decide_the_form() {
    let mut desk = Desk::new();
    let mut thresholds = Thresholds::SHIPPED;
    (thresholds.hash.entries, thresholds.hash.value) = (2, 3);
    desk.keyspace.set_thresholds(thresholds);
    for (line, encoding) in
        [("hset a 1 1 2 2", "listpack"), ("hset a 3 3", "hashtable"), ("hset b 1 123", "listpack"), ("hset b 1 1234", "hashtable")]
    {
        desk.ask(line);
        let key = &line[5..6];
        assert!(desk.ask(&format!("object encoding {key}")).contains(encoding), "{line}");
    }
    desk.ask("hdel a 3 2");
    assert!(desk.ask("object encoding a").contains("hashtable"), "what was a table stays one");
}

#[test]
fn a_hash_that_is_changed_touches_those_that_watch_it() {
    let mut desk = Desk::new();
    desk.ask("hset h a 1");
    for (line, touches) in
        [("hset h a 1", true), ("hdel h none", false), ("hincrby h a 1", true), ("hsetnx h a 1", false), ("hdel h a", true)]
    {
        desk.ask("watch h");
        desk.ask(line);
        desk.ask("multi");
        assert_eq!(desk.ask("exec") == "*-1\r\n", touches, "{line}");
    }
}

#[test]
fn idle_time_is_since_the_last_use() {
    let mut desk = Desk::new();
    desk.keyspace.prepare(desk.now.wall, true);
    desk.ask("set k v");
    desk.keyspace.prepare(desk.now.wall + 30_000, true);
    assert_eq!(desk.ask("object idletime k"), ":30\r\n");
    for no_use in ["exists k", "type k", "ttl k", "object encoding k", "dbsize"] {
        desk.ask(no_use);
        assert_eq!(desk.ask("object idletime k"), ":30\r\n", "{no_use}");
    }
    desk.ask("get k");
    assert_eq!(desk.ask("object idletime k"), ":0\r\n");
    desk.ask("set {k}other v");
    desk.client.no_touch = true;
    desk.keyspace.prepare(desk.now.wall + 90_000, false);
    desk.ask("get k");
    assert_eq!(desk.ask("object idletime k"), ":60\r\n");
    assert_eq!(desk.ask("touch k {k}nope"), ":1\r\n");
    assert_eq!(desk.ask("object idletime k"), ":0\r\n", "TOUCH is a use whatever was asked for");
    desk.ask("get {k}other");
    assert_eq!(desk.ask("object idletime {k}other"), ":60\r\n", "nor is what follows it");
}
