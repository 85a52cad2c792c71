//! MULTI in all its ways to go wrong, and EXEC over commands that wait. MEMORY USAGE stands for a read, CONFIG REWRITE for what waits.

use super::*;
use crate::cluster::Reason;
use crate::keyspace::{Expiry, key_slot};

const ABORTED: &str = "-EXECABORT Transaction discarded because of previous errors.\r\n";

fn set(desk: &mut Desk, key: &str) {
    desk.keyspace.set_string(key_slot(key.as_bytes()), key.as_bytes(), b"v", Expiry::Never, desk.now.wall);
}

#[test]
fn queued_commands_run_in_order() {
    let mut desk = Desk::new();
    assert_eq!(desk.ask("multi"), "+OK\r\n");
    assert_eq!(desk.ask("ping"), "+QUEUED\r\n");
    assert_eq!(desk.ask("echo a"), "+QUEUED\r\n");
    assert!(desk.ask("memory usage foo").starts_with("+QUEUED"));
    assert_eq!(desk.client.multi.as_ref().map(|queue| queue.len()), Some(3));
    assert_eq!(desk.ask("exec"), "*3\r\n+PONG\r\n$1\r\na\r\n$-1\r\n");
    assert!(desk.client.multi.is_none());
    assert_eq!(desk.ask("exec"), "-ERR EXEC without MULTI\r\n");
    desk.ask("multi");
    assert_eq!(desk.ask("exec"), "*0\r\n");
}

#[test]
fn errors_inside_do_not_stop_the_rest() {
    let mut desk = Desk::new();
    desk.ask("multi");
    desk.ask("select 1");
    desk.ask("ping");
    assert_eq!(desk.ask("exec"), "*2\r\n-ERR SELECT is not allowed in cluster mode\r\n+PONG\r\n");
}

#[test]
fn what_is_refused_while_queueing_aborts() {
    for refused in ["nosuch", "echo", "config nope", "shutdown", "watch foo bar"] {
        let mut desk = Desk::new();
        desk.ask("multi");
        desk.ask("ping");
        assert!(desk.ask(refused).starts_with('-'), "{refused}");
        assert_eq!(desk.ask("ping"), "+QUEUED\r\n");
        assert_eq!(desk.ask("exec"), ABORTED, "{refused}");
        assert_eq!(desk.ask("ping"), "+PONG\r\n");
    }
}

#[test]
fn misuse_in_redis_words() {
    let mut desk = Desk::new();
    assert_eq!(desk.ask("discard"), "-ERR DISCARD without MULTI\r\n");
    desk.ask("multi");
    for line in ["multi", "watch a"] {
        assert_eq!(desk.ask(line), "-ERR Command not allowed inside a transaction\r\n");
        assert_eq!(desk.ask("exec"), ABORTED, "as in Valkey");
        desk.ask("multi");
    }
    desk.ask("discard");
    desk.ask("multi");
    assert_eq!(desk.ask("exec now"), "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n");
    assert!(desk.client.multi.is_none());
    desk.ask("multi");
    assert_eq!(desk.ask("shutdown"), "-ERR Command not allowed inside a transaction\r\n");
    assert_eq!(desk.ask("discard"), "+OK\r\n");
    desk.ask("multi");
    assert_eq!(desk.ask("quit"), "+OK\r\n", "never queued");
}

#[test]
fn keys_of_a_transaction_are_of_one_slot_which_is_still_here_at_exec() {
    let mut desk = Desk::new();
    desk.ask("multi");
    desk.ask("memory usage foo");
    desk.ask("memory usage bar");
    assert_eq!(desk.ask("exec"), "-CROSSSLOT Keys in request don't hash to the same slot\r\n");
    assert!(desk.client.multi.is_none());
    desk.ask("multi");
    desk.ask("memory usage foo");
    desk.add_other();
    desk.give_slots(Some(ME), Some(OTHER), 12182, 12182);
    assert_eq!(desk.ask("exec"), "-MOVED 12182 127.0.0.1:7002\r\n");
    desk.ask("multi");
    assert_eq!(desk.ask("memory usage foo"), "-MOVED 12182 127.0.0.1:7002\r\n");
    assert_eq!(desk.ask("exec"), ABORTED);
}

#[test]
fn a_watched_key_that_changes_stops_exec() {
    let mut desk = Desk::new();
    desk.ask("watch foo");
    set(&mut desk, "foo");
    desk.ask("multi");
    desk.ask("ping");
    assert_eq!(desk.ask("exec"), "*-1\r\n");
    assert!(desk.client.watched.is_empty());
    for forget in ["unwatch", "multi", "reset"] {
        desk.ask("watch foo");
        desk.ask(forget);
        if forget == "multi" {
            assert_eq!(desk.ask("discard"), "+OK\r\n");
        }
        set(&mut desk, "foo");
        desk.ask("multi");
        assert_eq!(desk.ask("exec"), "*0\r\n", "{forget}");
    }
    desk.ask("hello 3");
    desk.ask("watch foo foo other{foo}");
    assert_eq!(desk.client.watched.len(), 2);
    set(&mut desk, "unrelated{foo}");
    desk.ask("multi");
    assert_eq!(desk.ask("exec"), "*0\r\n");
    desk.ask("watch foo");
    set(&mut desk, "foo");
    desk.ask("multi");
    assert_eq!(desk.ask("exec"), "_\r\n", "a null in RESP3");
}

#[test]
fn a_client_that_goes_leaves_no_watch_behind() {
    let mut desk = Desk::new();
    desk.ask("watch foo");
    desk.client.discard(&mut desk.keyspace);
    let version = desk.keyspace.watch(slot(12182), b"foo", 0);
    assert!(!desk.keyspace.is_touched(slot(12182), b"foo", version, 0));
    assert!(desk.client.watched.is_empty());
}

/// A node with a configuration file, so that CONFIG REWRITE waits.
fn waiting_desk() -> Desk {
    let mut desk = Desk::new();
    desk.config.file = Some("/etc/pontoon.conf".into());
    desk
}

#[test]
fn a_wait_alone() {
    let mut desk = waiting_desk();
    assert_eq!(desk.wait("config rewrite"), Wait::RewriteConfig);
    assert_eq!(desk.resume(WaitOutcome::Done), (Flow::Done, "+OK\r\n".to_owned()));
    assert!(desk.client.waiting.is_none());
    desk.wait("config rewrite");
    assert_eq!(desk.resume(WaitOutcome::Failed("ERR disk".to_owned())).1, "-ERR disk\r\n");
    desk.wait("config rewrite");
    let timeout = desk.resume(WaitOutcome::Timeout).1;
    assert!(timeout.starts_with("-TIMEOUT ") && timeout.contains("may still be applied"), "{timeout}");
    assert_eq!(desk.server.stats.errors().collect::<Vec<_>>(), [("ERR", 1), ("TIMEOUT", 1)]);
}

#[test]
fn of_several_changes_the_first_error_counts() {
    use ChangeOutcome::{Applied, Refused, Rejected, Stale, Timeout};
    let mut desk = waiting_desk();
    for (outcomes, start) in [
        (vec![], "+OK"),
        (vec![Applied, Applied], "+OK"),
        (vec![Applied, Rejected(Reason::UnknownNode), Timeout], "-ERR Unknown node\r\n"),
        (vec![Stale, Timeout], "-TRYAGAIN "),
        (vec![Timeout], "-TIMEOUT "),
        (vec![Refused("CLUSTERDOWN no leader".to_owned())], "-CLUSTERDOWN no leader\r\n"),
    ] {
        desk.wait("config rewrite");
        let (flow, reply) = desk.resume(WaitOutcome::Changes(outcomes));
        assert!(flow == Flow::Done && reply.starts_with(start), "{reply}");
    }
}

#[test]
fn exec_is_suspended_and_resumed_command_by_command() {
    let mut desk = waiting_desk();
    desk.ask("asking");
    desk.ask("multi");
    for line in ["ping", "config rewrite", "memory usage foo", "config rewrite", "ping"] {
        desk.ask(line);
    }
    let (flow, reply) = desk.request(["exec"]);
    assert_eq!((flow, reply), (Flow::Wait(Wait::RewriteConfig), b"*5\r\n+PONG\r\n".to_vec()));
    assert!(desk.client.asking && desk.client.execution.is_some() && desk.client.multi.is_none());
    let again = Flow::Wait(Wait::RewriteConfig);
    assert_eq!(desk.resume(WaitOutcome::Failed("ERR first".to_owned())), (again, "-ERR first\r\n$-1\r\n".to_owned()));
    assert_eq!(desk.resume(WaitOutcome::Done), (Flow::Done, "+OK\r\n+PONG\r\n".to_owned()));
    assert!(!desk.client.asking && desk.client.execution.is_none() && desk.client.waiting.is_none());
    assert_eq!(desk.ask("ping"), "+PONG\r\n");
}

#[test]
fn a_slot_that_goes_while_exec_waits_is_not_served() {
    let mut desk = waiting_desk();
    desk.ask("multi");
    desk.ask("config rewrite");
    desk.ask("memory usage foo");
    assert_eq!(desk.request(["exec"]).0, Flow::Wait(Wait::RewriteConfig));
    desk.give_slots(Some(ME), None, 12182, 12182);
    assert_eq!(desk.resume(WaitOutcome::Done), (Flow::Done, "+OK\r\n-CLUSTERDOWN Hash slot not served\r\n".to_owned()));
}

/// What `redis-cli --cluster fix` sends for a slot that nobody owns; Valkey's answer is measured (an error, OK, STILL n).
#[test]
fn the_transaction_of_cluster_fix() {
    let mut desk = Desk::new();
    desk.give_slots(Some(ME), None, 101, 101);
    desk.ask("multi");
    for line in ["cluster delslots 101", "cluster addslots 101", "cluster bumpepoch"] {
        assert_eq!(desk.ask(line), "+QUEUED\r\n");
    }
    let (flow, reply) = desk.request(["exec"]);
    let Flow::Wait(Wait::Changes(changes)) = flow else { panic!("{flow:?}") };
    assert_eq!(String::from_utf8(reply).unwrap(), "*3\r\n-ERR Slot 101 is already unassigned\r\n");
    changes.into_iter().for_each(|change| desk.apply(change));
    assert_eq!(desk.state.owner(slot(101)), Some(ME));
    let (flow, reply) = desk.resume(WaitOutcome::Changes(vec![ChangeOutcome::Applied]));
    assert!(flow == Flow::Done && reply.starts_with("+OK\r\n+STILL "), "{reply}");
}

#[test]
fn changes_of_the_cluster_and_keys_are_no_transaction() {
    let mut desk = Desk::new();
    for lines in [["set {t}a 1", "cluster addslots 1"], ["cluster meet 10.0.0.1 7009", "get {t}a"], ["dbsize", "cluster saveconfig"]] {
        desk.ask("multi");
        lines.iter().for_each(|line| assert_eq!(desk.ask(line), "+QUEUED\r\n"));
        let refused = desk.ask("exec");
        assert!(refused.starts_with("-EXECABORT Transaction discarded because of: CLUSTER commands"), "{refused}");
        assert!(desk.client.multi.is_none() && desk.keyspace.is_empty());
    }
    desk.ask("multi");
    for line in ["set {t}a 1", "cluster countkeysinslot 1", "cluster info", "cluster bumpepoch"] {
        desk.ask(line);
    }
    assert!(desk.ask("exec").starts_with("*4\r\n+OK\r\n"), "what only looks waits for nobody");
}

#[test]
fn keys_in_transactions() {
    let mut desk = Desk::new();
    desk.ask("multi");
    for line in ["set {t}a 1", "incr {t}a", "get {t}a", "get"] {
        desk.ask(line);
    }
    assert_eq!(desk.ask("exec"), ABORTED);
    assert_eq!(desk.ask("exists {t}a"), ":0\r\n");
    desk.ask("watch {t}a");
    desk.ask("multi");
    for line in ["set {t}a 1", "incr {t}a", "get {t}a"] {
        assert_eq!(desk.ask(line), "+QUEUED\r\n");
    }
    assert_eq!(desk.ask("exec"), "*3\r\n+OK\r\n:2\r\n$1\r\n2\r\n");
    desk.usable = false;
    desk.config.cluster_allow_reads_when_down = true;
    assert_eq!(desk.ask("get {t}a"), "$1\r\n2\r\n");
    assert_eq!(desk.ask("set {t}a 3"), "-CLUSTERDOWN The cluster is down and only accepts read commands\r\n");
}
