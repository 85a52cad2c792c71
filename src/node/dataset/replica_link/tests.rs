//! What becomes of histories and keys when a replica takes over.

use super::*;
use crate::cluster::FailoverKind;
use crate::node::net::Net;
use crate::node::{Closed, Port, Signal};
use crate::replication::History;
use crate::types::ReplId;
use crate::types::numbers::RDB_OFFSET;

#[test]
fn who_takes_over_goes_on_with_the_history_and_the_others_follow_without_a_full_sync() {
    let mut net = Net::with_replicas();
    net.all_equal(0);
    let before = net.history(0);
    net.fail_over(1, 0, FailoverKind::Manual);
    net.all_equal(1);
    let after = net.history(1);
    assert_eq!(after.second, Some((before.id, before.offset + 1)));
    assert_eq!(net.ask(1, "SET key:0 new"), "+OK\r\n");
    net.all_equal(1);
    for at in [0, 2] {
        assert!(net.ask(at, "READONLY\r\nGET key:0").ends_with("$3\r\nnew\r\n"));
        assert_eq!(net.history(at), net.history(1));
    }
    assert_eq!((net.info(1, "sync_full"), net.info(1, "sync_partial_ok")), (0, 2));
    // And back again.
    net.fail_over(0, 1, FailoverKind::Manual);
    net.all_equal(0);
    assert_eq!((net.info(0, "sync_full"), net.info(0, "sync_partial_ok")), (2, 2));
}

#[test]
fn who_has_more_than_its_successor_gets_all_keys() {
    let mut net = Net::with_replicas();
    net.all_equal(0);
    // The link breaks, and the primary writes on: its successor knows nothing of that.
    let link = net.nodes[1].dataset.replica_link.conn.unwrap();
    net.nodes[1].close(link);
    net.nodes[1].dataset.replica_link.redial.at = Millis::MAX;
    assert_eq!(net.ask(0, "SET lost 1"), "+OK\r\n");
    assert!(net.nodes[1].dataset.role.is_in_sync() && net.history(1).offset < net.history(0).offset);
    net.fail_over(1, 0, FailoverKind::Force);
    net.all_equal(1);
    assert_eq!(net.ask(1, "EXISTS lost"), ":0\r\n");
    assert_eq!(net.info(1, "sync_full"), 2);
}

#[test]
fn what_was_received_is_run_before_a_replica_leads() {
    let mut net = Net::with_replicas();
    net.all_equal(0);
    // In the receive buffer, with half a command behind it, when the primary is gone.
    let (link, before) = (net.nodes[1].dataset.replica_link.conn.unwrap(), net.history(1).offset);
    net.give(1, link, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n*1\r\n$5\r\nMULTI\r\n*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n*2\r\n$3\r\nDEL\r\n$1");
    net.nodes[1].disconnected(link, Closed::Eof);
    assert_eq!((net.history(1).offset, net.nodes[1].dataset.keyspace.len()), (before + 27, 51));
    assert!(net.nodes[1].dataset.role.is_in_sync() && net.nodes[1].dataset.extent().offset == before + 27);
}

/// Words of a request, and its bytes.
fn request(line: &str) -> Vec<u8> {
    let words: Vec<&str> = line.split(' ').collect();
    let bulks: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    format!("*{}\r\n{bulks}", words.len()).into_bytes()
}

#[test]
fn what_no_primary_sends_ends_its_link_and_is_not_run() {
    let foreign: &[&[&str]] = &[
        &["CONFIG SET requirepass secret"],
        &["MULTI", "SET k 2", "CONFIG SET requirepass secret", "EXEC"],
        &["CLUSTER RESET SOFT"],
        &["CLUSTER"],
        &["SHUTDOWN NOSAVE"],
        &["PUBLISH channel word"],
        &["GET k"],
        &["SELECT 1"],
        &["EXEC"],
        &["MULTI", "MULTI"],
        &["REPLCONF ACK 1"],
        &["PSYNC ? -1"],
        &["NOSUCH k"],
        &["CLUSTER NOSUCH 1"],
    ];
    let mut net = Net::with_replicas();
    for lines in foreign {
        net.all_equal(0);
        net.hold(0, 1, Port::Client);
        let (link, before) = (net.nodes[1].dataset.replica_link.conn.unwrap(), net.history(1).offset);
        let good = request("SET key:0 1");
        let bytes: Vec<u8> =
            good.iter().copied().chain(lines.iter().flat_map(|line| request(line))).chain(request("SET key:0 3")).collect();
        net.give(1, link, &bytes);
        net.step();
        assert_ne!(net.nodes[1].dataset.replica_link.conn, Some(link), "{lines:?}");
        assert_eq!(net.history(1).offset, before + good.len() as u64, "{lines:?}: what came before it counts");
        assert_eq!(net.nodes[1].view.config.requirepass, b"", "{lines:?}");
        // The primary knows nothing of that write: it goes on where it is, with as many bytes.
        net.nodes[0].dataset.stream.feed(["SET", "key:0", "1"].map(str::as_bytes).into_iter());
        net.release(0, 1, Port::Client);
    }
    net.all_equal(0);
    assert!(net.ask(1, "READONLY\r\nGET key:0").ends_with("$1\r\n1\r\n"));
}

#[test]
fn a_long_value_of_the_stream_is_whole_and_its_buffer_is_not_kept() {
    let mut net = Net::with_replicas();
    net.all_equal(0);
    let long = "v".repeat(3 << 20);
    let bulk = format!("${}\r\n{long}", long.len());
    assert_eq!(net.ask(0, &format!("*3\r\n$3\r\nSET\r\n$4\r\nlong\r\n{bulk}\r\nSET key:0 behind")), "+OK\r\n+OK\r\n");
    assert_eq!(net.ask(0, &format!("MULTI\r\nSET {{t}}a 1\r\n*3\r\n$3\r\nSET\r\n$4\r\n{{t}}b\r\n{bulk}\r\nEXEC")).matches("OK").count(), 3);
    assert_eq!(net.ask(0, &format!("*3\r\n$6\r\nAPPEND\r\n$5\r\nkey:1\r\n{bulk}")), format!(":{}\r\n", long.len() + 1));
    net.all_equal(0);
    for at in [0, 1, 2] {
        for (key, length) in [("long", 3 << 20), ("{t}b", 3 << 20), ("key:1", (3 << 20) + 1), ("key:0", 6)] {
            let slot = crate::keyspace::key_slot(key.as_bytes());
            let value = net.nodes[at].dataset.keyspace.get(slot, key.as_bytes(), 0);
            assert!(value.is_some_and(|value| value.string().is_ok_and(|string| string.len() == length)), "{at} {key}");
        }
        net.nodes[at].dataset.keyspace.check();
    }
    for at in [1, 2] {
        let link = net.nodes[at].dataset.replica_link.conn.unwrap();
        let kept = net.nodes[at].out.io.sessions.get_mut(link).unwrap().receive.capacity();
        assert!(kept < 1 << 20, "{kept} bytes");
    }
}

#[test]
fn a_primary_that_sends_it_again_and_again_is_dialled_once_a_second_and_named_once() {
    let mut net = Net::with_replicas();
    net.all_equal(0);
    net.nodes[0].dataset.stream.feed(["CONFIG", "SET", "requirepass", "x"].map(str::as_bytes).into_iter());
    let (mut links, mut last) = (0, None);
    for _ in 0..2000 {
        net.step();
        let link = net.nodes[1].dataset.replica_link.conn;
        links += usize::from(link.is_some() && link != last);
        last = link;
    }
    assert!((5..=25).contains(&links), "{links} in 10 s");
    assert!(!net.nodes[1].dataset.replica_link.fault.is_empty(), "it is remembered, so that the log says it once");
    assert!(net.nodes[1].dataset.role.is_in_sync(), "what it has is a copy up to there");
}

/// Its stream is a client of the replica, as in Redis: shown as `M`, and killed on demand. The link is made again, and nobody is failed.
#[test]
fn a_replica_shows_and_kills_the_link_to_its_primary() {
    let mut net = Net::with_replicas();
    let shown = |net: &mut Net, filter: &str| net.ask(1, &format!("CLIENT LIST {filter}")).matches(" flags=M ").count();
    assert_eq!((shown(&mut net, "TYPE master"), shown(&mut net, "TYPE normal"), shown(&mut net, "SKIPME yes")), (1, 0, 1));
    let (copies, link) = (net.nodes[0].out.server.stats.sync_full, net.nodes[1].dataset.replica_link.conn());
    assert_eq!(net.ask(1, "CLIENT KILL TYPE primary"), ":1\r\n");
    assert_eq!(net.ask(0, "SET k v"), "+OK\r\n");
    net.until("the link again", |net| net.in_sync(1) && net.nodes[1].dataset.replica_link.conn().is_some_and(|conn| Some(conn) != link));
    net.all_equal(0);
    assert_eq!(net.nodes[0].out.server.stats.sync_full, copies, "it went on where it was");
}

#[test]
fn a_primary_that_is_told_to_end_does_not_before_its_successor_was_sent_everything() {
    let mut net = Net::with_replicas();
    net.all_equal(0);
    let long = "x".repeat(12 << 20);
    assert_eq!(net.ask(0, &format!("*3\r\n$3\r\nSET\r\n$4\r\nlong\r\n${}\r\n{long}", long.len())), "+OK\r\n");
    net.nodes[0].shutdown(Signal::Term);
    let successor = |net: &Net| {
        (1..3).find(|at| {
            net.nodes[*at].metadata.state.slot_count_of(&net.nodes[*at].metadata.me) > 0 && !net.nodes[*at].dataset.role.lacks_keys()
        })
    };
    net.until("a successor", |net| successor(net).is_some());
    let at = successor(&net).unwrap();
    assert_eq!(net.ask(at, "EXISTS long"), ":1\r\n");
}

#[test]
fn a_failover_by_request_waits_for_the_link() {
    let mut net = Net::with_replicas();
    net.all_equal(0);
    let link = net.nodes[1].dataset.replica_link.conn.unwrap();
    net.break_off(1, link);
    net.nodes[1].dataset.replica_link.redial.at = Millis::MAX;
    // The primary has another history, and less of it.
    net.nodes[0].dataset.stream.restart(crate::replication::History::new(crate::types::ReplId::from_bytes([9; 20]), 5));
    assert!(net.ask(1, "CLUSTER FAILOVER").starts_with("-TIMEOUT"));
    assert_eq!(net.nodes[1].metadata.state.slot_count_of(&net.nodes[0].metadata.me), 16384);
}

#[test]
fn an_answer_to_an_earlier_question_is_none_to_the_last() {
    let mut net = Net::with_replicas();
    net.all_equal(0);
    let (end, primary) = (net.nodes[0].dataset.extent(), net.nodes[0].metadata.me);
    net.hold(0, 1, Port::Client);
    assert_eq!(net.ask(0, "SET late 1"), "+OK\r\n");
    net.fail_over(1, 0, FailoverKind::Manual);
    // It was told this when it called an earlier attempt off, and that was long on its way.
    let mut stale = Vec::new();
    crate::wire::bus::encode(&crate::wire::bus::Frame::FailoverOffset { end, number: 0 }, 1, &mut stale).unwrap();
    for _ in 0..3 {
        let link = net.nodes[1].metadata.links.up(&primary).unwrap();
        net.give(1, link, &stale);
        net.step();
    }
    net.release(0, 1, Port::Client);
    net.all_equal(1);
    assert_eq!(net.ask(1, "EXISTS late"), ":1\r\n");
}

#[test]
fn a_primary_whose_rdb_cannot_be_loaded_is_asked_less_and_less_often() {
    let mut net = Net::with_replicas();
    net.all_equal(0);
    // It answers nothing by itself.
    net.hold(0, 1, Port::Client);
    let link = net.nodes[1].dataset.replica_link.conn.unwrap();
    net.break_off(1, link);
    let mut pauses = Vec::new();
    for _ in 0..15 {
        net.nodes[1].dataset.replica_link.redial.at = 0;
        net.nodes[1].out.todo.connect = true;
        net.until("a link", |net| net.nodes[1].dataset.replica_link.conn.is_some());
        let link = net.nodes[1].dataset.replica_link.conn.unwrap();
        let id = "1".repeat(40);
        net.give(1, link, format!("+PONG\r\n+OK 1\r\n+OK 7\r\n+OK\r\n+OK\r\n+OK\r\n+FULLRESYNC {id} 5\r\n$9\r\nNO RDB AT").as_bytes());
        net.until("its end", |net| net.nodes[1].dataset.replica_link.conn != Some(link));
        pauses.push(net.nodes[1].dataset.replica_link.redial.at.saturating_sub(net.now.mono));
    }
    assert!(pauses[0] <= 100 && pauses[14] > 29_000 && pauses[14] <= 60_000, "{pauses:?}");
    net.release(0, 1, Port::Client);
    net.nodes[1].dataset.replica_link.redial.at = 0;
    net.nodes[1].out.todo.connect = true;
    net.all_equal(0);
    // A link that has stood for a while and merely breaks is soon there again.
    (0..250).for_each(|_| net.step());
    let link = net.nodes[1].dataset.replica_link.conn.unwrap();
    net.break_off(1, link);
    assert!(net.nodes[1].dataset.replica_link.redial.at <= net.now.mono + 50);
}

/// Nodes 1 and 2 replicate node 0 as before, and will not take over from it.
fn with_faithful_replicas() -> Net {
    let mut net = Net::with_replicas();
    net.all_equal(0);
    for at in [1, 2] {
        assert_eq!(net.ask(at, "CONFIG SET cluster-replica-no-failover yes"), "+OK\r\n");
        let id = net.nodes[at].metadata.me;
        net.until("all to know", |net| {
            net.nodes.iter().all(|node| node.metadata.state.member(&id).is_some_and(|member| member.nofailover))
        });
    }
    net
}

#[test]
fn a_stranger_at_its_primary_s_address_is_not_copied() {
    let mut net = with_faithful_replicas();
    let before = net.history(1);
    net.replace(0);
    (0..1000).for_each(|_| net.step());
    assert_eq!(net.info(0, "connected_slaves"), 0);
    assert_eq!((net.info(0, "sync_full"), net.info(0, "sync_partial_ok"), net.info(0, "sync_partial_err")), (0, 0, 0));
    for at in [1, 2] {
        assert_eq!((net.history(at), net.nodes[at].dataset.keyspace.len()), (before, 50));
        assert!(net.nodes[at].dataset.role.primary().is_some() && !net.in_sync(at), "it tries again and again");
    }
}

/// The bus between these and that one carries nothing, their client ports are reached.
fn hold_bus(net: &mut Net, apart: usize) {
    for other in (0..3).filter(|other| *other != apart) {
        net.hold(apart, other, Port::Bus);
        net.hold(other, apart, Port::Bus);
    }
}

#[test]
fn who_is_in_another_cluster_is_no_primary_any_more() {
    for recovered in [2, 0] {
        let mut net = with_faithful_replicas();
        hold_bus(&mut net, recovered);
        (0..400).for_each(|_| net.step());
        assert_eq!(net.info(0, "connected_slaves"), 2, "no leader is needed to go on");
        assert_eq!(net.ask(recovered, "CLUSTER RECOVER QUORUM"), "+OK\r\n");
        let clusters = [0, 1, 2].map(|at| net.nodes[at].metadata.state.cluster_id());
        (0..1000).for_each(|_| net.step());
        let left = [1, 2].into_iter().filter(|at| clusters[*at] == clusters[0]).count() as u64;
        assert_eq!(net.info(0, "connected_slaves"), left);
        net.nodes[0].dataset.stream.feed([&b"SET"[..], b"late", b"1"].into_iter());
        (0..200).for_each(|_| net.step());
        for at in [1, 2] {
            let fellow = clusters[at] == clusters[0];
            assert_eq!((net.in_sync(at), net.history(at).offset == net.history(0).offset), (fellow, fellow), "{recovered} {at}");
            assert_eq!(net.nodes[at].dataset.role.primary(), Some(net.nodes[0].metadata.me));
        }
    }
}

/// Whoever of the two has the slots.
fn owner(net: &Net, among: [usize; 2]) -> Option<usize> {
    among.into_iter().find(|at| net.nodes[*at].metadata.state.slot_count_of(&net.nodes[*at].metadata.me) > 0)
}

#[test]
fn who_has_more_of_what_nobody_goes_on_with_does_not_take_over() {
    let mut net = Net::with_replicas();
    net.all_equal(0);
    net.hold(0, 2, Port::Client);
    let long = "x".repeat(10_000);
    assert_eq!(net.ask(0, &format!("SET gone {long}")), "+OK\r\n");
    net.until("a copy", |net| net.history(1).offset == net.history(0).offset);
    // Node 2 takes over with less, and node 1 does not get what it goes on with.
    net.hold(2, 1, Port::Client);
    net.fail_over(2, 0, FailoverKind::Force);
    net.release(0, 2, Port::Client);
    net.until("the other replica to be in sync", |net| net.in_sync(0) && net.history(0).id == net.history(2).id);
    assert_eq!(net.ask(2, "SET last 1"), "+OK\r\n");
    net.until("a copy", |net| net.history(0).offset == net.history(2).offset);
    assert!(net.nodes[1].dataset.role.is_in_sync() && net.history(1).offset > net.history(0).offset);
    net.kill(2);
    net.until("a successor", |net| owner(net, [0, 1]).is_some());
    assert_eq!((owner(&net, [0, 1]), net.ask(0, "EXISTS last")), (Some(0), ":1\r\n".to_owned()));
}

/// As above. The primary has come back without its keys, and goes on without, for nobody would take over; node 1 gets nothing of that.
fn with_an_emptied_primary() -> Net {
    let mut net = with_faithful_replicas();
    net.kill(0);
    net.hold(0, 1, Port::Client);
    net.start(0);
    net.until("the primary to serve without its keys", |net| {
        net.in_sync(2) && net.history(2).id == net.history(0).id && !net.nodes[0].dataset.role.lacks_keys()
    });
    while net.ask(0, "SET last 1") != "+OK\r\n" {}
    net.until("a copy", |net| net.history(2).offset == net.history(0).offset);
    assert!(net.nodes[1].dataset.role.is_in_sync() && net.history(1).offset > net.history(2).offset);
    net
}

#[test]
fn who_has_what_a_primary_lost_does_not_take_over_from_what_it_has_now() {
    let mut net = with_an_emptied_primary();
    for at in [1, 2] {
        assert_eq!(net.ask(at, "CONFIG SET cluster-replica-no-failover no"), "+OK\r\n");
        let id = net.nodes[at].metadata.me;
        net.until("all to know", |net| {
            net.nodes.iter().all(|node| node.metadata.state.member(&id).is_some_and(|member| !member.nofailover))
        });
    }
    net.kill(0);
    net.until("a successor", |net| owner(net, [1, 2]).is_some());
    assert_eq!((owner(&net, [1, 2]), net.ask(2, "EXISTS last")), (Some(2), ":1\r\n".to_owned()));
}

#[test]
fn who_has_what_its_predecessor_lost_waits_for_what_that_one_has_now() {
    let mut net = with_an_emptied_primary();
    net.fail_over(1, 0, FailoverKind::Manual);
    (0..200).for_each(|_| net.step());
    assert!(net.nodes[1].dataset.role.lacks_keys());
    net.release(0, 1, Port::Client);
    net.all_equal(1);
    assert_eq!((net.ask(1, "EXISTS last"), net.ask(1, "DBSIZE")), (":1\r\n".to_owned(), ":1\r\n".to_owned()));
}

/// Nothing is committed while it is away, and by its file it has been the primary all along [N44 longest-stream].
#[test]
fn each_process_of_a_primary_reigns_anew() {
    let mut net = Net::with_a_leading_replica();
    for (from, to) in [(0, 1), (1, 0)] {
        net.fail_over(to, from, FailoverKind::Manual);
        net.all_equal(to);
    }
    let before = net.nodes[0].dataset.role.reign();
    assert_eq!(before >> 20, net.nodes[0].metadata.state.last_applied());
    net.kill(0);
    net.start(0);
    assert!(net.nodes[0].metadata.state.last_applied() < before >> 20 && net.nodes[0].dataset.role.primary().is_none());
    net.until("its reign", |net| net.nodes[0].dataset.role.reign() > 0);
    assert!(net.nodes[0].dataset.role.reign() > before);
    assert_eq!(net.nodes[0].dataset.role.reign() >> 20, before >> 20, "only the process is another one");
}

#[test]
fn a_reign_is_numbered_by_the_log_of_its_cluster() {
    let mut net = Net::with_members(2);
    let joined = net.nodes[1].metadata.state.epoch_of(&net.nodes[1].metadata.me).unwrap();
    net.until("its reign", |net| net.nodes[1].dataset.role.reign() > 0);
    assert!(net.nodes[1].dataset.role.reign() >> 20 >= joined, "it began in a cluster of one, earlier in another log");
}

#[test]
fn a_primary_is_dialled_by_the_newest_state_only() {
    let mut net = with_faithful_replicas();
    net.kill(1);
    hold_bus(&mut net, 1);
    net.start(1);
    for _ in 0..100 {
        net.step();
        assert!(net.nodes[1].dataset.replica_link.conn.is_none(), "its file may be old");
    }
    let mut net = with_faithful_replicas();
    hold_bus(&mut net, 1);
    (0..300).for_each(|_| net.step());
    let link = net.nodes[1].dataset.replica_link.conn.unwrap();
    net.break_off(1, link);
    for _ in 0..300 {
        net.step();
        assert!(net.nodes[1].dataset.replica_link.conn.is_none(), "it has heard no leader for long");
    }
}

#[test]
fn who_gets_another_history_has_nothing_before_that_is_whole() {
    let mut net = Net::with_replicas();
    // More than leaves in one turn.
    let long = "x".repeat(10_000);
    for number in 0..100 {
        assert_eq!(net.ask(0, &format!("SET long:{number} {long}")), "+OK\r\n");
    }
    net.all_equal(0);
    net.nodes[0].dataset.stream.restart(crate::replication::History::new(crate::types::ReplId::from_bytes([9; 20]), 5));
    let link = net.nodes[1].dataset.replica_link.conn.unwrap();
    net.break_off(1, link);
    assert!(net.nodes[1].dataset.extent().offset > 0, "a broken link changes nothing");
    net.until("the news", |net| net.nodes[1].dataset.extent().offset == 0);
    net.until("all of it", |net| net.in_sync(1));
}

#[test]
fn who_comes_to_another_shard_has_nothing_of_it() {
    let mut net = Net::with_members(3);
    let (first, second) = (net.nodes[0].metadata.me, net.nodes[2].metadata.me);
    assert_eq!(net.ask(1, &format!("CLUSTER REPLICATE {first}")), "+OK\r\n");
    assert_eq!(net.ask(0, "SET key 1"), "+OK\r\n");
    net.until("a copy", |net| net.in_sync(1) && net.nodes[1].dataset.keyspace.len() == 1);
    net.hold(2, 1, Port::Client);
    assert_eq!(net.ask(1, &format!("CLUSTER REPLICATE {second}")), "+OK\r\n");
    net.until("the other primary", |net| net.nodes[1].dataset.role.primary() == Some(second));
    assert_eq!(net.nodes[1].dataset.extent().offset, 0);
}

/// After a start its log's tail is not applied: it is a primary without slots that may change its keys, which are no more where its
/// primary's stream goes on.
#[test]
fn whoever_changes_keys_of_the_disk_before_it_knows_whose_they_are_gets_all_keys() {
    let mut net = Net::with_replicas();
    net.all_equal(0);
    assert_eq!(net.ask(1, "SAVE"), "+OK\r\n");
    net.kill(1);
    for other in [0, 2] {
        net.hold(other, 1, Port::Bus);
        net.hold(1, other, Port::Bus);
    }
    net.start(1);
    net.until("the keys of the disk", |net| net.nodes[1].dataset.keyspace.len() == 50 && !net.nodes[1].dataset.is_loading());
    assert_eq!((net.ask(1, "FLUSHALL"), net.ask(1, "DBSIZE")), ("+OK\r\n".to_owned(), ":0\r\n".to_owned()));
    for other in [0, 2] {
        net.release(other, 1, Port::Bus);
        net.release(1, other, Port::Bus);
    }
    net.all_equal(0);
    assert_eq!(net.ask(1, "DBSIZE"), ":50\r\n");
}

/// An RDB may say the greatest offset that is taken from a file. What becomes of it is taken by the next replica too.
#[test]
fn a_history_that_begins_at_the_greatest_offset_of_a_file_goes_on() {
    let mut net = Net::with_members(3);
    net.nodes[0].dataset.stream.restart(History::new(ReplId::from_bytes([7; 20]), RDB_OFFSET.greatest));
    let primary = net.nodes[0].metadata.me;
    for replica in [1, 2] {
        assert_eq!(net.ask(replica, &format!("CLUSTER REPLICATE {primary}")), "+OK\r\n");
        net.until("it to be in sync", |net| net.in_sync(replica));
        assert_eq!(net.ask(0, "SET k 1"), "+OK\r\n");
    }
    assert!(net.history(0).offset > RDB_OFFSET.greatest);
}

#[test]
fn clients_are_shown_whom_it_replicates_as_an_option() {
    let mut net = Net::with_replicas();
    let answers: Vec<String> = (0..net.nodes.len()).map(|at| net.ask(at, "CONFIG GET slaveo*")).collect();
    for (at, answer) in answers.iter().enumerate() {
        let is_replica = net.nodes[at].dataset.role.primary().is_some();
        let is_shown = answer.starts_with("*2\r\n$7\r\nslaveof\r\n$13\r\n10.0.0.1 700");
        assert!(is_shown == is_replica && is_replica != answer.ends_with("\r\n$0\r\n\r\n"), "{answer}");
    }
    assert!(answers.iter().any(|answer| answer.contains("10.0.0.1 700")));
}
