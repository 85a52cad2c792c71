//! Nodes in one process: whom a leader chooses, by what it was told and when.

use super::*;
use crate::cluster::Change;
use crate::cluster::change::{Failover, SetReplicaOf};
use crate::node::Port;
use crate::node::net::Net;
use crate::replication::History;
use crate::types::{LogIndex, ReplId};

const P: usize = 0;
const R: usize = 1;
const LEADER: usize = 2;

impl Net {
    fn owns_slots(&self, at: usize) -> bool {
        self.nodes[LEADER].metadata.state.slot_count_of(&self.nodes[at].metadata.me) > 0
    }

    /// The leader appends a change. `at` has the entry, and hears no more of it.
    fn append_unheard(&mut self, at: usize, change: Change) -> LogIndex {
        self.hold(at, LEADER, Port::Bus);
        let index = self.nodes[LEADER].metadata.raft.append(None, change).unwrap();
        self.until("the entry", |net| net.nodes[at].metadata.raft.log().last_index() >= index);
        self.hold(LEADER, at, Port::Bus);
        self.release(at, LEADER, Port::Bus);
        index
    }

    /// Only `to` hears what else the primary has in its stream, by now and from now on.
    fn stream_to(&mut self, to: usize, other: usize) {
        self.release(P, to, Port::Client);
        self.hold(P, other, Port::Client);
        self.nodes[P].dataset.stream.feed(["SET", "last", "1"].iter().map(|word| word.as_bytes()));
        self.until("a copy", |net| net.history(to).offset == net.history(P).offset);
        assert!(self.history(to).offset > self.history(other).offset);
    }
}

/// R has got something since its last answer, and the leader, which others would choose for its priority, has not. R's answers are held up.
fn with_one_that_has_most() -> Net {
    let mut net = Net::with_members(5);
    net.until("five voters", |net| net.nodes.iter().all(|node| node.metadata.raft.voters().len() == 5));
    assert_eq!(net.ask(LEADER, "CLUSTER RAFT TRANSFER"), "+OK\r\n");
    let (primary, leader) = (net.nodes[P].metadata.me, net.nodes[LEADER].metadata.me);
    for at in [R, LEADER] {
        assert_eq!(net.ask(at, &format!("CLUSTER REPLICATE {primary}")), "+OK\r\n");
    }
    assert_eq!(net.ask(LEADER, "CONFIG SET replica-priority 1"), "+OK\r\n");
    assert_eq!(net.ask(P, "SET first 1"), "+OK\r\n");
    net.until("copies", |net| [R, LEADER].iter().all(|at| net.in_sync(*at) && net.nodes[*at].dataset.keyspace.len() == 1));
    net.until("the leader to be preferred", |net| {
        net.nodes[LEADER].metadata.state.member(&leader).unwrap().address.replica_priority() == 1
    });
    // Both have said that they have the same.
    (0..20).for_each(|_| net.step());
    net.hold(P, LEADER, Port::Client);
    net.hold(R, LEADER, Port::Bus);
    net.say(P, "SET last 1");
    net.until("a copy", |net| net.nodes[R].dataset.keyspace.len() == 2);
    net
}

/// The primary is killed. How long after the search began the leader or R owned the slots, if R was heard again after so many ms.
fn chosen_after(net: &mut Net, heard_after: Millis) -> Millis {
    net.kill(P);
    net.until("the search", |net| !net.nodes[LEADER].metadata.leading.failovers.searches.is_empty());
    let begun = net.now.mono;
    while !net.owns_slots(R) && !net.owns_slots(LEADER) {
        if net.now.mono - begun >= heard_after {
            net.release(R, LEADER, Port::Bus);
        }
        net.step();
    }
    net.now.mono - begun
}

#[test]
fn the_replicas_are_asked_when_the_primary_has_failed() {
    let mut net = with_one_that_has_most();
    let took = chosen_after(&mut net, 5);
    assert!(net.owns_slots(R) && took <= 40, "after {took} ms");
}

/// Its disk takes long, or its network: longer than a dead one is waited for [N57 slow-answers].
#[test]
fn a_replica_that_has_answered_lately_is_waited_for() {
    let mut net = with_one_that_has_most();
    let took = chosen_after(&mut net, 150);
    assert!(net.owns_slots(R), "somebody else was chosen after {took} ms");
}

#[test]
fn one_that_was_silent_already_is_not_waited_for_that_long() {
    let mut net = with_one_that_has_most();
    (0..60).for_each(|_| net.step());
    let took = chosen_after(&mut net, 180);
    assert!(net.owns_slots(LEADER) && (100..=130).contains(&took), "after {took} ms");
}

/// Nobody but the primary had a connection with it, so that nobody can confirm its death [N51 shared-host].
#[test]
fn one_that_has_died_with_the_primary_is_not_waited_for_that_long() {
    let mut net = with_one_that_has_most();
    net.kill(R);
    let took = chosen_after(&mut net, 0);
    assert!(net.owns_slots(LEADER) && took <= 130, "after {took} ms");
}

#[test]
fn behind_a_proxy_the_end_of_a_connection_says_nothing() {
    let mut net = with_one_that_has_most();
    net.release(R, LEADER, Port::Bus);
    assert_eq!(net.ask(R, "CONFIG SET cluster-fast-failure-detection no"), "+OK\r\n");
    let replica = net.nodes[R].metadata.me;
    net.until("the leader to know", |net| !net.nodes[LEADER].metadata.addresses[&replica].refuses_for_itself());
    net.kill(R);
    let took = chosen_after(&mut net, 0);
    assert!(net.owns_slots(LEADER) && took > 130, "after {took} ms");
}

#[test]
fn one_successor_is_chosen_once() {
    let mut net = Net::with_a_leading_replica();
    let before = net.nodes[LEADER].metadata.raft.log().last_index();
    net.kill(P);
    net.until("a successor", |net| net.owns_slots(R) || net.owns_slots(LEADER));
    (0..100).for_each(|_| net.step());
    let entries = net.nodes[LEADER].metadata.raft.log().iter_from(before + 1);
    assert_eq!(entries.filter(|(_, entry)| entry.body.payload().is_some_and(|change| change.succession().is_some())).count(), 1);
}

/// Its stream is longer than anything that there is of the primary, and another one's. It hears in one turn that it is a replica, and the
/// question [N39 former-offset].
#[test]
fn what_a_replica_had_before_is_nothing_of_its_primary_s() {
    let mut net = Net::with_members(5);
    net.until("five voters", |net| net.nodes.iter().all(|node| node.metadata.raft.voters().len() == 5));
    assert_eq!(net.ask(LEADER, "CLUSTER RAFT TRANSFER"), "+OK\r\n");
    net.until("it to lead", |net| net.nodes[LEADER].metadata.raft.leader_ready(net.nodes[LEADER].metadata.state.last_applied()));
    net.nodes[R].dataset.stream.restart(History::new(ReplId::from_bytes([9; 20]), 5000));
    assert_eq!(net.nodes[R].promised_extent().offset, 5000);
    let (primary, replica) = (net.nodes[P].metadata.me, net.nodes[R].metadata.me);
    let state = &net.nodes[LEADER].metadata.state;
    let end = |id: &NodeId| (state.member(id).unwrap().shard, state.epoch_of(id).unwrap());
    let change = Change::SetReplicaOf(SetReplicaOf { id: replica, source: end(&replica), primary: Some(primary), target: end(&primary) });
    let index = net.append_unheard(R, change);
    net.until("it to be a replica", |net| net.nodes[LEADER].metadata.state.last_applied() >= index);
    net.kill(P);
    net.until("the search", |net| !net.nodes[LEADER].metadata.leading.failovers.searches.is_empty());
    (0..2).for_each(|_| net.step());
    assert!(net.nodes[R].metadata.state.last_applied() < index);
    net.release(LEADER, R, Port::Bus);
    for _ in 0..100 {
        net.step();
        assert!(!net.owns_slots(R));
    }
}

/// The leader has applied the FAILOVER. Who alone can take over next hears that, and the question, in one turn [N45 zero-offset].
#[test]
fn who_does_not_act_on_an_entry_yet_is_waited_for() {
    let mut net = Net::with_a_leading_replica();
    assert_eq!(net.ask(LEADER, "CONFIG SET replica-priority 0"), "+OK\r\n");
    let (primary, replica) = (net.nodes[P].metadata.me, net.nodes[R].metadata.me);
    net.until("one that may take over", |net| net.nodes[LEADER].metadata.state.willing_replicas(&primary).count() == 1);
    let shard = net.nodes[LEADER].metadata.state.member(&primary).unwrap().shard;
    let epoch = net.nodes[LEADER].metadata.state.epoch(&shard);
    let change = Change::Failover(Failover { replica, primary, shard, epoch, kind: FailoverKind::Manual });
    let index = net.append_unheard(P, change);
    net.until("it to be applied", |net| net.owns_slots(R));
    let request = LeaderRequest::new(crate::cluster::LeaderRequestKind::HandOver, replica, &net.nodes[LEADER].metadata.state);
    net.nodes[LEADER].with_metadata(|metadata, view, out| metadata.take_request(request, None, view, out));
    (0..2).for_each(|_| net.step());
    assert!(net.nodes[P].metadata.state.last_applied() < index);
    net.release(LEADER, P, Port::Bus);
    for _ in 0..100 {
        assert!(net.owns_slots(P) || net.nodes[LEADER].metadata.leading.handovers().next().is_some(), "nobody has said that there is none");
        net.step();
    }
    assert!(net.owns_slots(P));
}

/// R leads, and waits for the leases of the leader before it. Node 2 has most when it looks for a successor, and R when the gate opens
/// [N47 gated-failover].
#[test]
fn the_successor_is_chosen_when_the_gate_opens() {
    let mut net = Net::with_a_leading_replica();
    let primary = net.nodes[P].metadata.me;
    // Node 2 first.
    let allow = |net: &mut Net, word: &str, counts: [usize; 2]| {
        for (at, count) in [LEADER, R].into_iter().zip(counts) {
            assert_eq!(net.ask(at, &format!("CONFIG SET cluster-replica-no-failover {word}")), "+OK\r\n");
            net.until("both to know", |net| {
                [R, LEADER].iter().all(|at| net.nodes[*at].metadata.state.willing_replicas(&primary).count() == count)
            });
        }
    };
    allow(&mut net, "yes", [1, 0]);
    for at in [R, LEADER] {
        net.hold(P, at, Port::Bus);
        net.hold(at, P, Port::Bus);
    }
    net.until("the flag", |net| net.nodes[LEADER].metadata.state.member(&primary).unwrap().failed);
    net.stream_to(LEADER, R);
    assert_eq!(net.ask(R, "CLUSTER RAFT TRANSFER"), "+OK\r\n");
    allow(&mut net, "no", [1, 2]);
    net.until("the search", |net| !net.nodes[R].metadata.leading.failovers.searches.is_empty());
    (0..30).for_each(|_| net.step());
    net.stream_to(R, LEADER);
    assert!(!net.nodes[R].metadata.raft.gate_is_open(&primary, net.now.mono));
    net.until("the gate", |net| net.nodes[R].metadata.raft.gate_is_open(&primary, net.now.mono));
    let opened = net.now.mono;
    net.until("a successor", |net| net.owns_slots(R) || net.owns_slots(LEADER));
    assert!(net.owns_slots(R) && net.now.mono - opened <= 25, "after {} ms", net.now.mono - opened);
}
