//! Nodes in one process: for how long a primary's clients are held for a failover.

use super::*;
use crate::cluster::change::SetReplicaOf;
use crate::node::Closed;

#[test]
fn a_failover_that_is_given_up_ends_the_pause() {
    let mut net = net();
    assert_eq!(net.ask(R, "CONFIG SET cluster-manual-failover-timeout 300"), "+OK\r\n");
    net.hold(R, LEADER, Port::Bus);
    let asker = net.say(R, "CLUSTER FAILOVER");
    net.until("the pause", |net| net.nodes[P].out.clients.pauses.in_force().is_some());
    assert!(net.ask(R, "CLUSTER FAILOVER").starts_with("-ERR A failover is in progress already"));
    let began = net.now.mono;
    net.until("its end", |net| net.nodes[P].out.clients.pauses.in_force().is_none());
    assert!(net.now.mono - began <= 320, "by itself it would have lasted longer");
    assert!(net.answer(R, asker).is_some_and(|answer| answer.starts_with("-TIMEOUT")));
    // So does the end of the connection that asked.
    let asker = net.say(R, "CLUSTER FAILOVER");
    net.until("the pause", |net| net.nodes[P].out.clients.pauses.in_force().is_some());
    net.disconnect(R, asker, Closed::Eof);
    net.until("its end", |net| net.nodes[P].out.clients.pauses.in_force().is_none());
    assert!(serves(&net, P));
}

#[test]
fn a_primary_is_not_held_before_its_replica_follows_it() {
    let mut net = net();
    let link = net.nodes[R].dataset.replica_link.conn().unwrap();
    net.hold(P, R, Port::Client);
    net.break_off(R, link);
    net.say(R, "CLUSTER FAILOVER");
    for _ in 0..100 {
        net.step();
        assert!(net.nodes[P].out.clients.pauses.in_force().is_none());
    }
    assert_eq!(net.ask(P, "SET last 1"), "+OK\r\n");
    net.release(P, R, Port::Client);
    nothing_is_lost(&mut net, R);
}

#[test]
fn a_refused_failover_ends_the_pause() {
    let mut net = net();
    // The leader has taken R out of the shard, and R does not know.
    net.hold(LEADER, R, Port::Bus);
    let (state, replica) = (&net.nodes[LEADER].metadata.state, net.nodes[R].metadata.me);
    let shard = state.member(&replica).unwrap().shard;
    let (source, target) = ((shard, state.epoch(&shard)), (ShardId::from_bytes([9; 20]), 0));
    net.nodes[LEADER]
        .metadata
        .raft
        .append(None, Change::SetReplicaOf(SetReplicaOf { id: replica, source, primary: None, target }))
        .unwrap();
    net.until("it to be applied", |net| net.nodes[P].metadata.state.member(&replica).unwrap().is_primary());
    let asker = net.say(R, "CLUSTER FAILOVER");
    net.until("its question", |net| net.nodes[R].dataset.takeover.attempt.is_some());
    net.release(LEADER, R, Port::Bus);
    net.until("the answer", |net| net.nodes[R].dataset.takeover.attempt.is_none());
    let answer = net.answer(R, asker).expect("it was decided");
    assert!(answer.starts_with("-"), "{answer}");
    net.until("the end of the pause", |net| net.nodes[P].out.clients.pauses.in_force().is_none());
}

#[test]
fn a_pause_is_ended_by_who_asked_for_it() {
    let mut net = net();
    let (replica, other) = (net.nodes[R].metadata.me, net.nodes[LEADER].metadata.me);
    let is_paused = |net: &Net| net.nodes[P].out.clients.pauses.in_force().is_some();
    net.nodes[P].with_dataset(|dataset, metadata, view, out| dataset.prepare_failover(replica, 300, metadata, view, out));
    net.nodes[P].with_dataset(|dataset, metadata, view, out| dataset.prepare_failover(other, 0, metadata, view, out));
    assert!(is_paused(&net), "another replica has asked for nothing");
    net.nodes[P].with_dataset(|dataset, metadata, view, out| dataset.prepare_failover(other, 100, metadata, view, out));
    net.nodes[P].with_dataset(|dataset, metadata, view, out| dataset.prepare_failover(replica, 0, metadata, view, out));
    assert!(is_paused(&net), "the other one is still at it");
    net.nodes[P].with_dataset(|dataset, metadata, view, out| dataset.prepare_failover(other, 0, metadata, view, out));
    assert!(!is_paused(&net));
    // Each has its own time, and so has the node itself.
    let begun = net.nodes[P].view.now.mono;
    net.nodes[P].with_dataset(|dataset, metadata, view, out| dataset.prepare_failover(replica, 200, metadata, view, out));
    net.nodes[P].with_dataset(|dataset, metadata, view, out| dataset.prepare_failover(other, 100, metadata, view, out));
    net.until("the end", |net| !is_paused(net));
    assert!(net.now.mono - begun >= 200);
    net.nodes[P].out.hold_writes(begun + 500);
    net.nodes[P].with_dataset(|dataset, metadata, view, out| dataset.prepare_failover(replica, 50, metadata, view, out));
    net.nodes[P].with_dataset(|dataset, metadata, view, out| dataset.prepare_failover(replica, 0, metadata, view, out));
    assert!(is_paused(&net), "it holds them for itself");
}
