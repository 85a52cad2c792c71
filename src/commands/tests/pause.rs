//! CLIENT PAUSE: what it takes, and what waits while it lasts.

use super::*;

fn paused(held: Held) -> Desk {
    let mut desk = Desk::new();
    desk.pause = Some(Pause { held, until: desk.now.mono + 1000 });
    desk
}

fn is_held(desk: &mut Desk, line: &str) -> bool {
    let (flow, reply) = desk.request(line.split(' '));
    assert!(flow != Flow::Held || reply.is_empty(), "what is held says nothing");
    flow == Flow::Held
}

#[test]
fn arguments_as_redis_takes_them() {
    let mut desk = Desk::new();
    let pause = |held, ms: Millis| Wait::Pause(Pause { held, until: 5000 + ms });
    for (line, expected) in [
        ("client pause 100", pause(Held::All, 100)),
        ("CLIENT PAUSE 0 write", pause(Held::Writes, 0)),
        ("client pause 7 ALL", pause(Held::All, 7)),
        ("client unpause", Wait::Unpause),
    ] {
        assert_eq!(desk.wait(line), expected);
        assert_eq!(desk.resume(WaitOutcome::Done), (Flow::Done, "+OK\r\n".to_owned()));
    }
    let refused = |desk: &mut Desk, line: &str, text: &str| assert_eq!(desk.ask(line), format!("-ERR {text}\r\n"));
    refused(&mut desk, "client pause", "wrong number of arguments for 'client|pause' command");
    refused(&mut desk, "client pause abc", "timeout is not an integer or out of range");
    refused(&mut desk, "client pause -1", "timeout is negative");
    refused(&mut desk, "client pause 100 foo", "CLIENT PAUSE mode must be WRITE or ALL");
    refused(&mut desk, "client pause 100 all x", "unknown subcommand or wrong number of arguments for 'pause'. Try CLIENT HELP.");
}

#[test]
fn writes_wait_and_reads_go_on() {
    let mut desk = paused(Held::Writes);
    for line in ["set a 1", "del a", "flushall", "getex a ex 5"] {
        assert!(is_held(&mut desk, line), "{line}");
    }
    for line in ["get a", "ping", "multi"] {
        assert!(!is_held(&mut desk, line), "{line}");
    }
    assert!(is_held(&mut desk, "set a 1"), "a write is not even queued");
    assert!(!is_held(&mut desk, "get a") && !is_held(&mut desk, "exec"), "a transaction of reads");
    assert_eq!(desk.keyspace.len(), 0);
}

#[test]
fn a_queued_write_waits_at_exec() {
    let mut desk = Desk::new();
    assert_eq!((desk.ask("multi"), desk.ask("set a 1")), ("+OK\r\n".to_owned(), "+QUEUED\r\n".to_owned()));
    desk.pause = paused(Held::Writes).pause;
    assert!(is_held(&mut desk, "exec"));
    desk.pause = None;
    assert_eq!(desk.ask("exec"), "*1\r\n+OK\r\n");
}

#[test]
fn all_wait_but_for_what_is_refused_anyway() {
    let mut desk = paused(Held::All);
    assert!(is_held(&mut desk, "ping") && is_held(&mut desk, "client unpause") && is_held(&mut desk, "get a"));
    assert!(desk.ask("nonsense").starts_with("-ERR unknown command"));
    assert!(desk.ask("get").starts_with("-ERR wrong number of arguments"));
}

#[test]
fn info_says_what_is_paused() {
    let mut desk = paused(Held::Writes);
    let text = desk.ask("info clients");
    assert!(text.contains("paused_reason:client_pause\r\npaused_actions:write\r\npaused_timeout_milliseconds:1000\r\n"), "{text}");
    desk.pause = None;
    assert!(desk.ask("info clients").contains("paused_reason:none\r\npaused_actions:none\r\npaused_timeout_milliseconds:0\r\n"));
}
