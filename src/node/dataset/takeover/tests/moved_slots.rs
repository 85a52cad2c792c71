//! Nodes in one process: slots that go to another shard while their shard has a new primary, or hears of it late \[N56 moved-and-back\].

use super::*;
use crate::cluster::change::SlotChange;
use crate::store::Disk;
use crate::types::{LogIndex, Slot};

/// P owns all slots, with one key, R replicates it, node 2 leads.
fn three() -> Net {
    let mut net = Net::with_members(4);
    net.until("three voters", |net| net.nodes.iter().all(|node| node.metadata.raft.voters().len() == 3));
    let primary = net.nodes[P].metadata.me;
    assert_eq!(net.ask(R, &format!("CLUSTER REPLICATE {primary}")), "+OK\r\n");
    if !net.nodes[LEADER].metadata.raft.is_leader() {
        assert_eq!(net.ask(LEADER, "CLUSTER RAFT TRANSFER"), "+OK\r\n");
    }
    assert_eq!(net.ask(P, "SET last 1"), "+OK\r\n");
    net.until("a copy", |net| net.in_sync(R) && net.nodes[R].dataset.keyspace.len() == 1);
    net
}

fn slot() -> Slot {
    crate::keyspace::key_slot(b"last")
}

/// The leader appends the change of the slot's owner.
fn append_move(net: &mut Net, from: usize, to: usize) -> LogIndex {
    let end =
        |of: usize| net.nodes[LEADER].metadata.state.epoch_of(&net.nodes[of].metadata.me).map(|epoch| (net.nodes[of].metadata.me, epoch));
    let change = Change::SlotChange(SlotChange { source: end(from), target: end(to), ranges: vec![slot().into()] });
    net.nodes[LEADER].metadata.raft.append(None, change).unwrap()
}

/// What the slot holds is written over and deleted where it is now. Then it goes back.
#[track_caller]
fn is_not_there_when_the_slot_comes_back(net: &mut Net, to: usize) {
    net.until("node 2 to serve the slot", |net| serves(net, LEADER));
    assert_eq!(net.ask(LEADER, "SET last 2"), "+OK\r\n");
    assert_eq!(net.ask(LEADER, "DEL last"), ":1\r\n");
    append_move(net, LEADER, to);
}

#[track_caller]
fn serves_nothing_old(net: &mut Net, at: usize) {
    net.until("the slot to be served", |net| serves(net, at));
    assert_eq!(net.ask(at, "GET last"), "$-1\r\n");
    assert_eq!(net.ask(at, "DBSIZE"), ":0\r\n");
}

/// The primary hears of both at once, so its stream never says that the slot's keys go.
#[test]
fn a_successor_drops_the_keys_of_a_slot_that_its_predecessor_had_lost() {
    for kind in [FailoverKind::Manual, FailoverKind::Force] {
        let mut net = three();
        append_move(&mut net, P, LEADER);
        net.fail_over(R, P, kind);
        net.until("R to serve the rest", |net| net.nodes[R].accepts_writes(Slot::new(0).unwrap(), net.now));
        assert_eq!(net.nodes[R].dataset.keyspace.len(), 0);
        is_not_there_when_the_slot_comes_back(&mut net, R);
        serves_nothing_old(&mut net, R);
    }
}

#[test]
fn a_slot_that_has_gone_and_come_back_before_its_owner_heard_of_it_is_empty() {
    let mut net = three();
    net.hold(P, LEADER, Port::Bus);
    let index = append_move(&mut net, P, LEADER);
    net.until("the entry", |net| net.nodes[P].metadata.raft.log().last_index() >= index);
    net.hold(LEADER, P, Port::Bus);
    net.release(P, LEADER, Port::Bus);
    is_not_there_when_the_slot_comes_back(&mut net, P);
    net.until("it to be back", |net| net.nodes[LEADER].metadata.state.owner(slot()) == Some(net.nodes[P].metadata.me));
    assert!(net.nodes[P].metadata.state.last_applied() < index);
    net.release(LEADER, P, Port::Bus);
    serves_nothing_old(&mut net, P);
    net.until("R to follow", |net| net.nodes[R].dataset.keyspace.is_empty());
}

/// It owns the slot while it has not got the predecessor's keys, loses it, and gets it back before it has them.
#[test]
fn an_heir_drops_the_keys_of_a_slot_that_went_and_came_back_meanwhile() {
    let mut net = three();
    net.hold(P, R, Port::Client);
    assert_eq!(net.ask(P, "SET last 1"), "+OK\r\n");
    net.fail_over(R, P, FailoverKind::Manual);
    append_move(&mut net, R, LEADER);
    is_not_there_when_the_slot_comes_back(&mut net, R);
    net.until("it to be back", |net| net.nodes[R].metadata.state.owner(slot()) == Some(net.nodes[R].metadata.me));
    assert!(net.nodes[R].dataset.role.lacks_keys());
    net.release(P, R, Port::Client);
    serves_nothing_old(&mut net, R);
}

/// Its file shows the slot as it was before it went.
#[test]
fn a_slot_that_has_gone_and_come_back_while_its_owner_was_down_is_empty() {
    let mut net = three();
    let replica = net.nodes[R].metadata.me;
    assert_eq!(net.ask(R, "CLUSTER REPLICATE NO ONE"), "+OK\r\n");
    assert_eq!(net.ask(LEADER, "CONFIG SET cluster-require-full-coverage no"), "+OK\r\n");
    assert_eq!(net.ask(P, "SET kept 1"), "+OK\r\n");
    assert_eq!(net.ask(P, "SAVE"), "+OK\r\n");
    net.kill(P);
    append_move(&mut net, P, LEADER);
    is_not_there_when_the_slot_comes_back(&mut net, P);
    net.until("it to be back", |net| net.nodes[LEADER].metadata.state.owner(slot()) == Some(net.nodes[P].metadata.me));
    assert_eq!(net.nodes[LEADER].metadata.state.member(&replica).unwrap().primary, None);
    net.start(P);
    net.until("the slot to be served", |net| serves(net, P));
    assert_eq!(net.ask(P, "GET last"), "$-1\r\n");
    assert_eq!(net.ask(P, "GET kept"), "$1\r\n1\r\n");
}

/// As if it were another node's: what is not this node's goes, and may be nowhere else [N58 last-copy].
#[test]
fn a_file_with_keys_of_others_slots_stays_beside_the_next_one() {
    let mut net = three();
    assert_eq!(net.ask(R, "CLUSTER REPLICATE NO ONE"), "+OK\r\n");
    assert_eq!(net.ask(P, "SET kept 1"), "+OK\r\n");
    assert_eq!(net.ask(P, "SAVE"), "+OK\r\n");
    net.kill(P);
    append_move(&mut net, P, LEADER);
    net.until("the slot to be gone", |net| net.nodes[LEADER].metadata.state.owner(slot()) == Some(net.nodes[LEADER].metadata.me));
    net.start(P);
    net.until("the key to go", |net| net.nodes[P].dataset.keyspace.len() == 1);
    let beside = net.nodes[P].dataset.foreign.unsaved().expect("the file may be the last that has it");
    let beside = std::path::PathBuf::from(format!("dump.rdb{beside}"));
    assert_eq!(net.nodes[P].files.read(&beside).unwrap(), None);
    assert_eq!(net.ask(P, "SAVE"), "+OK\r\n");
    assert!(net.nodes[P].files.read(&beside).unwrap().is_some());
    assert_eq!(net.nodes[P].dataset.foreign.unsaved(), None, "the next save has all that there is");
}
