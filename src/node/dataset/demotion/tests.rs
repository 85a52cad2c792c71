//! Nodes in one process: a primary that something is taken from.

use super::*;
use crate::cluster::Change;
use crate::cluster::change::{Failover, SetReplicaOf, SlotChange};
use crate::node::Port;
use crate::node::net::Net;

const P: usize = 0;
const R: usize = 1;
const LEADER: usize = 2;

/// It has the entry, and nobody knows that yet.
#[test]
fn what_an_entry_takes_away_is_not_served_though_it_is_not_applied() {
    let slot = crate::keyspace::key_slot(b"last");
    for kind in 0..3 {
        let mut net = Net::with_a_leading_replica();
        let (id, replica) = (net.nodes[P].metadata.me, net.nodes[R].metadata.me);
        let state = &net.nodes[LEADER].metadata.state;
        let (shard, epoch) = (state.member(&id).unwrap().shard, state.epoch_of(&id).unwrap());
        let change = match kind {
            0 => Change::SlotChange(SlotChange { source: Some((id, epoch)), target: None, ranges: vec![slot.into()] }),
            1 => Change::SetReplicaOf(SetReplicaOf { id, source: (shard, epoch), primary: Some(replica), target: (shard, epoch) }),
            _ => Change::Failover(Failover { replica, primary: id, shard, epoch, kind: FailoverKind::Manual }),
        };
        net.hold(P, LEADER, Port::Bus);
        let index = net.nodes[LEADER].metadata.raft.append(None, change).unwrap();
        net.until("the entry", |net| net.nodes[P].metadata.raft.log().last_index() >= index);
        net.say(P, "SET last 1");
        for _ in 0..20 {
            net.step();
            assert!(net.nodes[P].metadata.state.last_applied() < index && !net.nodes[P].accepts_writes(slot, net.now), "{kind}");
        }
        assert_eq!(net.nodes[P].dataset.keyspace.len(), 50);
    }
}

/// Node 0 hears by a snapshot that node `successor` has taken over, after node 1 has asked it, or not.
fn awaited(asked: bool, successor: usize) -> bool {
    let mut net = Net::with_replicas();
    let (primary, id) = (net.nodes[0].metadata.me, net.nodes[successor].metadata.me);
    if asked {
        net.say(1, "CLUSTER FAILOVER");
        net.until("its question", |net| net.nodes[0].dataset.takeover.demotion.planned != Planned::No);
    }
    let node = &mut net.nodes[0];
    assert!(node.metadata.state.slot_count_of(&primary) > 0, "nothing is applied yet");
    node.with_dataset(|dataset, _, _, out| dataset.handed_over(id, None, out));
    node.dataset.role.is_awaited()
}

#[test]
fn a_snapshot_that_tells_of_a_successor_may_tell_of_a_planned_failover_only_if_one_was_planned() {
    assert_eq!([awaited(true, 1), awaited(true, 2), awaited(false, 1)], [true, false, false]);
}
