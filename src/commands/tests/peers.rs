//! What Valkey 8.1 answers where Pontoon once differed: `scripts/lockstep` found it.

use super::*;
use crate::commands::engine::parse::MOST_SHOWN;

const CROSSSLOT: &str = "-CROSSSLOT Keys in request don't hash to the same slot\r\n";

impl Desk {
    fn bytes(&mut self, words: &[&[u8]]) -> Vec<u8> {
        let (flow, reply) = self.request(words.iter().copied());
        assert_eq!(flow, Flow::Done);
        reply
    }

    fn field(&mut self, section: &str, name: &str) -> String {
        let text = self.ask(&format!("info {section}"));
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.expect("it is there").to_owned()
    }
}

#[test]
fn errors_have_arguments_byte_for_byte() {
    let mut desk = Desk::new();
    for (words, text) in [
        (&[&b"caf\xe9"[..], b"\xff"][..], &b"-ERR unknown command 'caf\xe9', with args beginning with: '\xff' \r\n"[..]),
        (&[b"client", b"\xff"], b"-ERR unknown subcommand '\xff'. Try CLIENT HELP.\r\n"),
        (&[b"expire", b"k", b"100", b"\xff"], b"-ERR Unsupported option \xff\r\n"),
        (&[b"scan", b"0", b"type", b"\xff"], b"-ERR unknown type name '\xff'\r\n"),
        (&[b"hello", b"3", b"\xff"], b"-ERR Syntax error in HELLO option '\xff'\r\n"),
        (&[b"config", b"set", b"\xff", b"1"], b"-ERR Unknown option or number of arguments for CONFIG SET - '\xff'\r\n"),
        (&[b"config", b"set", b"n\0x", b"1"], b"-ERR Unknown option or number of arguments for CONFIG SET - 'n'\r\n"),
        (&[b"client", b"setinfo", b"LIB-Ver", b"a b"], b"-ERR LIB-Ver cannot contain spaces, newlines or special characters.\r\n"),
        (&[b"cluster", b"forget", b"\xff\r\n"], b"-ERR Unknown node \xff  \r\n"),
    ] {
        assert_eq!(desk.bytes(words).escape_ascii().to_string(), text.escape_ascii().to_string());
    }
    let long = "x".repeat(200);
    assert_eq!(desk.ask(&format!("expire k 100 {long}")), format!("-ERR Unsupported option {long}\r\n"), "all of it");
    let (most, longer) = ("x".repeat(MOST_SHOWN), "x".repeat(MOST_SHOWN + 1));
    assert_eq!(desk.ask(&format!("expire k 100 {longer}")), format!("-ERR Unsupported option {most}\r\n"));
    assert_eq!(desk.ask(&format!("client {long}")), format!("-ERR unknown subcommand '{}'. Try CLIENT HELP.\r\n", &long[..128]));
}

#[test]
fn an_exec_that_is_refused_is_an_abort_without_multi_too() {
    let mut desk = Desk::new();
    desk.ask("watch k");
    let refused = "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n";
    assert_eq!(desk.ask("exec x"), refused);
    assert!(desk.client.watched.is_empty(), "nothing is watched any more");
    desk.ask("subscribe c");
    assert!(desk.ask("exec").starts_with("-EXECABORT Transaction discarded because of: Can't execute 'exec': only "));
}

#[test]
fn a_watched_key_that_has_changed_comes_before_the_slots_of_the_queue() {
    for (changes, reply) in [(true, "*-1\r\n"), (false, CROSSSLOT)] {
        let mut desk = Desk::new();
        desk.ask("watch {a}k");
        for line in [if changes { "set {a}k v" } else { "get {a}k" }, "multi", "get {a}k", "get {b}k"] {
            desk.ask(line);
        }
        assert_eq!(desk.ask("exec"), reply);
        assert!(desk.client.multi.is_none() && desk.client.watched.is_empty());
    }
}

#[test]
fn what_a_key_is_comes_before_a_time() {
    let mut desk = Desk::new();
    desk.ask("hset {t}h f v");
    desk.ask("set {t}s v");
    assert!(desk.ask("getex {t}h ex 0").starts_with("-WRONGTYPE"));
    assert_eq!(desk.ask("getex {t}s ex 0"), "-ERR invalid expire time in 'getex' command\r\n");
    assert_eq!(desk.ask("getex {t}none ex 0"), "$-1\r\n");
}

#[test]
fn cursors_are_read_as_c_reads_numbers() {
    use crate::commands::engine::parse::cursor;
    for (text, number) in [
        (&b"0"[..], Some(0)),
        (b" 1", Some(1)),
        (b"\t\x0b+01", Some(1)),
        (b"1\0x", Some(1)),
        (b"18446744073709551615", Some(u64::MAX)),
        (b" -1", Some(u64::MAX)),
        (b"-18446744073709551615", Some(1)),
        (b"-1", None),
        (b"18446744073709551616", None),
        (b"", None),
        (b" ", None),
        (b"+", None),
        (b"--1", None),
        (b"1 ", None),
        (b"0x10", None),
        (b"\0", None),
    ] {
        assert_eq!(cursor(text), number, "{:?}", text.escape_ascii().to_string());
    }
    let mut desk = Desk::new();
    desk.ask("hset h f v");
    for words in [&[&b"scan"[..], b" 0"][..], &[b"hscan", b"h", b" 0"]] {
        assert!(desk.bytes(words).starts_with(b"*2\r\n"));
    }
}

#[test]
fn command_info_in_its_words() {
    let mut desk = Desk::new();
    let exec = desk.ask("command info exec");
    assert!(exec.contains("+skip_commandlog\r\n"), "{exec}");
    for (line, notes) in
        [("set", "RW and ACCESS due to the optional `GET` argument"), ("getex", "RW and UPDATE because it changes the TTL")]
    {
        let told = desk.ask(&format!("command info {line}"));
        assert!(told.contains(&format!("*8\r\n$5\r\nnotes\r\n${}\r\n{notes}\r\n$5\r\nflags\r\n", notes.len())), "{told}");
    }
    for line in ["psync", "sync"] {
        let told = desk.ask(&format!("command info {line}"));
        assert!(told.contains("+no_async_loading\r\n") && !told.contains("+stale\r\n"), "{told}");
    }
    desk.ask("hello 3");
    assert_eq!(desk.ask("command info nope"), "*1\r\n_\r\n");
    assert!(desk.ask("command info get").ends_with("~0\r\n"), "subcommands are a set");
}

#[test]
fn lookups_count_whatever_comes_of_them() {
    let mut desk = Desk::new();
    desk.ask("set {t}s v");
    desk.ask("hset {t}h f v");
    let found = ["hget {t}s f", "object encoding {t}s", "object freq {t}s", "hscan {t}h 0 count x", "hscan {t}h 0 nope", "getex {t}s ex 0"];
    found.iter().for_each(|line| _ = desk.ask(line));
    ["object encoding {t}none", "object freq {t}none"].iter().for_each(|line| _ = desk.ask(line));
    assert_eq!((desk.server.stats.keyspace_hits, desk.server.stats.keyspace_misses), (found.len() as u64, 2));
    desk.ask("memory usage {t}s");
    assert_eq!(desk.server.stats.keyspace_hits, found.len() as u64);
}

#[test]
fn resetstat_forgets_how_many_keys_have_expired() {
    let mut desk = Desk::new();
    desk.ask("set k v");
    desk.ask("expire k -1");
    assert_eq!(desk.field("stats", "expired_keys"), "1");
    desk.ask("config resetstat");
    assert_eq!(desk.field("stats", "expired_keys"), "0");
}

#[test]
fn config_set_judges_names_before_values() {
    let mut desk = Desk::new();
    let failed = |name: &str, reason: &str| format!("-ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}\r\n");
    let unknown = "-ERR Unknown option or number of arguments for CONFIG SET - 'nope'\r\n";
    assert_eq!(desk.ask("config set timeout x nope 1"), unknown);
    assert_eq!(desk.ask("config set timeout x timeout 1"), failed("timeout", "duplicate parameter"));
    assert_eq!(desk.ask("config set cluster-enabled 1 nope 1"), failed("cluster-enabled", "can't set immutable config"));
    assert_eq!(
        desk.bytes(&[b"config", b"set", b"cluster-enabled", b"1", b"\xff", b"1"]),
        failed("cluster-enabled", "can't set immutable config").into_bytes()
    );
    for (name, reason) in [
        ("timeout", "argument couldn't be parsed into an integer"),
        ("hash-max-listpack-value", "argument must be a memory value"),
        ("rdbcompression", "argument must be 'yes' or 'no'"),
        ("notify-keyspace-events", "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."),
    ] {
        let reply = desk.bytes(&[b"config", b"set", name.as_bytes(), b"caf\xe9"]);
        assert_eq!(String::from_utf8(reply).unwrap(), failed(name, reason));
    }
    let text = "argument must be between 0 and 9223372036854775807 inclusive";
    for word in ["18446744073709551617", "99999999999999999999gb"] {
        assert_eq!(desk.ask(&format!("config set hash-max-listpack-value {word}")), failed("hash-max-listpack-value", text));
    }
}

#[test]
fn small_words() {
    let mut desk = Desk::new();
    desk.ask("hello 3");
    desk.bytes(&[b"subscribe", b""]);
    assert_eq!(desk.ask("pubsub channels"), "*1\r\n$0\r\n\r\n");
    assert_eq!(desk.ask("pubsub channels *"), "*0\r\n");
    let wrong = "-ERR unknown subcommand or wrong number of arguments for 'RESTORE'. Try FUNCTION HELP.\r\n";
    assert_eq!(desk.ask("function RESTORE a b c"), wrong);
    desk.ask("multi");
    desk.ask("ssubscribe c");
    assert_eq!(desk.ask("exec"), "*1\r\n-ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client\r\n");
}
