//! What replicas are told of commands.

use super::*;
use crate::keyspace::key_slot;
use crate::values::{Place, Value};

/// A desk whose changes are recorded, with these commands asked.
fn desk(lines: &[&str]) -> Desk {
    let mut desk = Desk::new();
    desk.stream.record(ReplId::from_bytes([1; 20]), &mut desk.keyspace);
    desk.told();
    for line in lines {
        desk.ask(line);
    }
    desk
}

impl Desk {
    /// The stream's commands since the last call, without lengths.
    fn told(&mut self) -> String {
        let backlog = self.stream.backlog().unwrap();
        let text = std::str::from_utf8(backlog.piece(self.read).unwrap()).unwrap().to_owned();
        self.read = backlog.end();
        let words = text.split("\r\n").filter(|line| !line.starts_with('$') && !line.is_empty());
        let words: String = words.map(|word| if word.starts_with('*') { "| ".to_owned() } else { format!("{word} ") }).collect();
        words.replacen("| SELECT 0 ", "", 1).trim_start_matches("| ").trim_end().to_owned()
    }
}

#[test]
fn a_command_goes_as_it_came_if_it_changed_something() {
    let mut desk =
        desk(&["SET a 1", "get a", "SET a 2 NX", "incr a", "DEL b", "APPEND a x", "set c 1 GET", "MSET a 1 a 2", "setnx c 2", "flushall"]);
    assert_eq!(desk.told(), "SET a 1 | incr a | APPEND a x | set c 1 | MSET a 1 a 2 | flushall");
    assert_eq!(desk.client.written.offset, desk.stream.offset());
    for line in ["HSET h a 1", "HSET h a 1", "HSETNX h a 2", "HDEL h b", "HINCRBY h a 5", "HINCRBY h a x", "HDEL h a b", "HGETALL h"] {
        desk.ask(line);
    }
    assert_eq!(desk.told(), "HSET h a 1 | HSET h a 1 | HINCRBY h a 5 | HDEL h a b");
    desk.ask("flushall");
    desk.ask("persist a");
    desk.ask("getex a");
    assert_eq!(desk.told(), "");
}

/// As at Valkey: replicas read nothing.
#[test]
fn what_reads_too_is_told_as_what_it_writes() {
    let cases = [
        ("SET k w GET", "SET k w"),
        ("SET k w GET XX KEEPTTL get", "SET k w XX KEEPTTL"),
        ("SET k get GET", "SET k get"),
        ("SET k w NX GET", ""),
        ("GETSET k w", "SET k w"),
        ("GETDEL k", "DEL k"),
        ("GETDEL nope", ""),
        ("TOUCH k", ""),
    ];
    for (line, told) in cases {
        let mut desk = desk(&["SET k v"]);
        desk.told();
        desk.ask(line);
        assert_eq!(desk.told(), told, "{line}");
    }
}

#[test]
fn what_a_write_found_gone_is_waited_for_as_what_it_changed() {
    let mut desk = desk(&["SET a 1 PX 5"]);
    desk.told();
    desk.now.wall += 10;
    assert_eq!(desk.ask("DEL a"), ":0\r\n");
    assert_eq!(desk.told(), "DEL a", "its time was over, and replicas still have it");
    assert_eq!(desk.client.written.offset, desk.stream.offset(), "WAIT goes by the end of it");
}

#[test]
fn nothing_is_told_without_a_replica() {
    let mut desk = Desk::new();
    desk.ask("SET a 1 EX 10");
    assert!(desk.stream.backlog().is_none() && desk.client.written.offset == 0);
}

#[test]
fn times_are_told_as_points_in_time() {
    let end = 1_700_000_015_000u64;
    for (line, told) in [
        ("SET k v EX 10", format!("SET k v PXAT {end}")),
        ("SET k v NX GET PX 10000", format!("SET k v PXAT {end}")),
        ("SET k v KEEPTTL", "SET k v KEEPTTL".to_owned()),
        ("SETEX k 10 v", format!("SET k v PXAT {end}")),
        ("PSETEX k 10000 v", format!("SET k v PXAT {end}")),
    ] {
        let mut desk = desk(&[line]);
        assert_eq!(desk.told(), told, "{line}");
    }
    for (line, told) in [
        ("EXPIRE k 10 NX", format!("PEXPIREAT k {end}")),
        ("PEXPIRE k 10000", format!("PEXPIREAT k {end}")),
        ("EXPIREAT k 1700000015", format!("PEXPIREAT k {end}")),
        ("EXPIRE k -1", "UNLINK k".to_owned()),
        ("PEXPIREAT k -5", "UNLINK k".to_owned()),
        ("EXPIRE k 10 XX", String::new()),
        ("EXPIRE x 10", String::new()),
        ("GETEX k EX 10", format!("PEXPIREAT k {end}")),
        ("GETEX k PXAT 5", "UNLINK k".to_owned()),
        ("GETDEL k", "DEL k".to_owned()),
        ("INCRBYFLOAT k 0.5", "SET k 1.5 KEEPTTL".to_owned()),
    ] {
        let mut desk = desk(&["SET k 1"]);
        desk.told();
        desk.ask(line);
        assert_eq!(desk.told(), told, "{line}");
    }
    let mut desk = desk(&["SET k 1 EX 10"]);
    desk.told();
    desk.ask("GETEX k PERSIST");
    assert_eq!(desk.told(), "PERSIST k");
}

#[test]
fn an_expired_key_is_deleted_by_name_before_what_found_it() {
    let mut desk = desk(&["SET a 1 PX 5", "SET b 1 PX 5", "SET c 1 PX 5", "SET d 1 PX 5"]);
    desk.told();
    desk.now.wall += 10;
    desk.ask("get a");
    desk.ask("SET b 2 PX 7");
    desk.ask("append c x");
    let end = desk.now.wall + 7;
    assert_eq!(desk.told(), format!("DEL a | DEL b | SET b 2 PXAT {end} | DEL c | append c x"));
    desk.keyspace.expire_some(desk.now.wall, 1000);
    desk.stream.feed_expired(&desk.keyspace.take_notes());
    assert_eq!(desk.told(), "DEL d");
}

#[test]
fn a_transaction_is_one_for_replicas_if_it_changed_more_than_one_thing() {
    let mut desk = desk(&["multi", "set a 1", "get a", "exec"]);
    assert_eq!(desk.told(), "set a 1");
    for line in ["multi", "set a 1", "get a", "expire a 10", "del {a}x", "exec"] {
        desk.ask(line);
    }
    let end = desk.now.wall + 10_000;
    assert_eq!(desk.told(), format!("MULTI | set a 1 | PEXPIREAT a {end} | EXEC"));
    assert_eq!(desk.client.written.offset, desk.stream.offset());
}

#[test]
fn a_transaction_that_waits_is_told_in_parts() {
    let mut desk = desk(&["multi", "set a 1", "set a 2", "client unpause", "set a 3"]);
    assert_eq!(desk.request(["exec"]).0, Flow::Wait(Wait::Unpause));
    assert_eq!(desk.told(), "MULTI | set a 1 | set a 2 | EXEC");
    assert_eq!(desk.resume(WaitOutcome::Done).0, Flow::Done);
    assert_eq!(desk.told(), "set a 3");
    assert_eq!(desk.client.written.offset, desk.stream.offset(), "WAIT goes by the end of it");
}

#[test]
fn a_replica_runs_its_primarys_commands_on_keys_that_its_own_clock_takes_for_expired() {
    let mut desk = Desk::new();
    desk.stream.follow(&mut desk.keyspace);
    let now = desk.now;
    let past = now.wall - 1000;
    let at = |desk: &mut Desk, wall, line: &str| {
        desk.now.wall = wall;
        desk.ask(line)
    };
    at(&mut desk, 0, &format!("SET n 7 PXAT {past}"));
    at(&mut desk, 0, &format!("PEXPIREAT n {past}"));
    assert_eq!(at(&mut desk, now.wall, "get n"), "$-1\r\n");
    assert_eq!(desk.keyspace.expire_some(now.wall, 1000), 0);
    assert_eq!(desk.keyspace.next_expiry(), None);
    assert_eq!(at(&mut desk, 0, "incr n"), ":8\r\n");
    assert_eq!(at(&mut desk, now.wall, "exists n"), ":0\r\n");
    assert_eq!((desk.keyspace.len(), at(&mut desk, 0, "del n")), (1, ":1\r\n".to_owned()));
    assert!(desk.keyspace.is_empty());
    desk.keyspace.check();
}

#[test]
fn every_value_is_what_the_commands_make_that_it_tells() {
    let mut desk = Desk::new();
    let rules = desk.keyspace.rules().clone();
    for value in Value::samples(&rules) {
        let (shown, mut place) = (format!("a {}, {}", value.type_name(), value.encoding()), Some(Place::default()));
        desk.ask("del key");
        while let Some(from) = place {
            place = value.command(from, &mut |words| {
                let (flow, reply) = desk.request(words[..1].iter().chain([&&b"key"[..]]).chain(&words[1..]));
                assert!(flow == Flow::Done && !reply.starts_with(b"-"), "{shown}: {reply:?}");
            });
        }
        let made = desk.keyspace.entry(key_slot(b"key"), b"key", desk.now.wall).map(|entry| entry.value.to_value(&rules));
        assert!(made.is_some_and(|made| made.is_same(&value)), "{shown}");
    }
}
