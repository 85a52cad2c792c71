//! Nodes in one process: slots that change hands, and what breaks on the way.

use super::*;
use crate::cluster::Change;
use crate::cluster::change::{Failover, NodeForget};
use crate::node::net::Net;
use crate::node::{Port, Signal};
use crate::types::ShardId;

mod calling_off;
mod flagged;
mod forgotten;
mod moved_slots;
mod pauses;

const P: usize = 0;
const R: usize = 1;
const LEADER: usize = 2;

/// Node 0 is the primary, node 1 the replica of interest, node 2 another one that leads.
fn net() -> Net {
    Net::with_a_leading_replica()
}

/// R is the owner by the log, and the last write of P is nowhere else yet.
fn half_done(net: &mut Net) {
    for replica in [R, LEADER] {
        net.hold(P, replica, Port::Client);
    }
    assert_eq!(net.ask(P, "SET last 1"), "+OK\r\n");
    net.fail_over(R, P, FailoverKind::Manual);
    assert!(net.nodes[R].dataset.role.lacks_keys() && !serves(net, R));
}

fn let_streams_go(net: &mut Net) {
    for replica in [R, LEADER] {
        net.release(P, replica, Port::Client);
    }
}

/// Whether it would answer a client that asks for a key.
fn serves(net: &Net, at: usize) -> bool {
    let slot = crate::keyspace::key_slot(b"last");
    net.nodes[at].accepts_writes(slot, net.now)
}

/// Nothing is said of who it is.
#[track_caller]
fn whoever_serves_has_all(net: &mut Net) {
    let owner = |net: &Net| (P..=LEADER).find(|at| serves(net, *at));
    net.until("somebody to serve", |net| owner(net).is_some());
    let primary = owner(net).expect("somebody serves");
    nothing_is_lost(net, primary);
}

#[track_caller]
fn nothing_is_lost(net: &mut Net, primary: usize) {
    net.until("the keys to be served", |net| serves(net, primary));
    assert_eq!(net.ask(primary, "GET last"), "$1\r\n1\r\n");
    assert_eq!(net.ask(primary, "DBSIZE"), ":51\r\n");
    net.all_equal(primary);
}

#[test]
fn a_successor_waits_for_what_was_written_after_the_pause_ran_out() {
    let mut net = net();
    for at in [P, R] {
        assert_eq!(net.ask(at, "CONFIG SET cluster-manual-failover-timeout 300"), "+OK\r\n");
    }
    // The proposal is on its way for longer than the primary holds its clients' writes.
    net.hold(R, LEADER, Port::Bus);
    let asker = net.say(R, "CLUSTER FAILOVER");
    net.until("the pause", |net| net.nodes[P].out.clients.pauses.in_force().is_some());
    let writer = net.say(P, "SET last 1");
    net.hold(P, R, Port::Client);
    net.until("the pause to end", |net| net.nodes[P].out.clients.pauses.in_force().is_none());
    net.until("the write", |net| net.nodes[P].dataset.keyspace.len() == 51);
    assert_eq!(net.answer(P, writer).as_deref(), Some("+OK\r\n"));
    let late = net.answer(R, asker).expect("the attempt is given up");
    assert!(late.starts_with("-TIMEOUT"), "{late}");
    net.release(R, LEADER, Port::Bus);
    let successor = net.nodes[R].metadata.me;
    net.until("the slots", |net| (0..3).all(|at| net.nodes[at].metadata.state.slot_count_of(&successor) > 0));
    for _ in 0..100 {
        net.step();
        assert!(!serves(&net, R) && !serves(&net, P));
    }
    net.release(P, R, Port::Client);
    nothing_is_lost(&mut net, R);
}

/// The last that it hears of the leader is nothing of its being the successor. P asks it for data, and keeps what it has.
#[test]
fn a_predecessor_waits_until_its_successor_knows_that_it_is_one() {
    let mut net = net();
    for replica in [R, LEADER] {
        net.hold(P, replica, Port::Client);
    }
    assert_eq!(net.ask(P, "SET last 1"), "+OK\r\n");
    net.hold(LEADER, R, Port::Bus);
    let (replica, primary) = (net.nodes[R].metadata.me, net.nodes[P].metadata.me);
    let state = &net.nodes[LEADER].metadata.state;
    let shard = state.member(&primary).unwrap().shard;
    let change = Change::Failover(Failover { replica, primary, shard, epoch: state.epoch(&shard), kind: FailoverKind::Manual });
    net.nodes[LEADER].metadata.raft.append(None, change).unwrap();
    net.until("the old primary to follow", |net| net.nodes[P].metadata.state.slot_count_of(&replica) > 0);
    let_streams_go(&mut net);
    net.break_off(R, net.nodes[R].dataset.replica_link.conn().unwrap());
    for _ in 0..100 {
        net.step();
        assert_eq!(net.nodes[P].dataset.keyspace.len(), 51);
    }
    net.release(LEADER, R, Port::Bus);
    whoever_serves_has_all(&mut net);
}

/// R hears of all of it at once: that it was to take over by hand, that P has its slots again, and that R has them by force. What it was to
/// wait for is over.
#[test]
fn an_heir_that_has_lost_the_slots_meanwhile_waits_for_nobody() {
    let mut net = net();
    let (replica, primary) = (net.nodes[R].metadata.me, net.nodes[P].metadata.me);
    net.hold(LEADER, R, Port::Bus);
    net.hold(P, R, Port::Client);
    let takeovers =
        [(replica, primary, FailoverKind::Manual), (primary, replica, FailoverKind::Takeover), (replica, primary, FailoverKind::Force)];
    for (to, from, kind) in takeovers {
        let state = &net.nodes[LEADER].metadata.state;
        let shard = state.member(&from).unwrap().shard;
        let change = Change::Failover(Failover { replica: to, primary: from, shard, epoch: state.epoch(&shard), kind });
        net.nodes[LEADER].metadata.raft.append(None, change).unwrap();
        net.until("the slots to go", |net| net.nodes[P].metadata.state.slot_count_of(&to) > 0);
    }
    net.release(LEADER, R, Port::Bus);
    net.until("R to serve", |net| serves(net, R));
}

/// The primary's answer has overtaken the last of its stream. From then on R hears nothing but that.
fn only_the_stream_is_missing(net: &mut Net) -> u64 {
    net.until("the answer", |net| net.nodes[R].dataset.takeover.question.is_some_and(|question| question.end.is_some()));
    net.hold(LEADER, R, Port::Bus);
    (0..3).for_each(|_| net.step());
    let_streams_go(net);
    net.now.mono
}

#[test]
fn a_replica_proposes_as_soon_as_it_has_caught_up() {
    let mut net = net();
    net.hold(P, R, Port::Client);
    assert_eq!(net.ask(P, "SET last 1"), "+OK\r\n");
    net.say(R, "CLUSTER FAILOVER");
    let begun = only_the_stream_is_missing(&mut net);
    net.until("the proposal", |net| !net.nodes[R].metadata.proposals.is_empty());
    assert!(net.now.mono - begun <= 10, "after {} ms", net.now.mono - begun);
    net.release(LEADER, R, Port::Bus);
    nothing_is_lost(&mut net, R);
}

#[test]
fn a_successor_serves_as_soon_as_it_has_everything() {
    let mut net = net();
    half_done(&mut net);
    let begun = only_the_stream_is_missing(&mut net);
    net.until("it to serve", |net| serves(net, R));
    assert!(net.now.mono - begun <= 10, "after {} ms", net.now.mono - begun);
}

#[test]
fn a_manual_failover_waits_for_no_timer() {
    let mut net = net();
    for run in 0..20 {
        let (from, to) = if run % 2 == 0 { (P, R) } else { (R, P) };
        net.all_equal(from);
        // At every place between two heartbeats.
        (0..run).for_each(|_| net.step());
        net.say(to, "CLUSTER FAILOVER");
        let writer = net.say(from, "SET last 1");
        net.until("the pause", |net| net.nodes[from].out.clients.pauses.in_force().is_some());
        let begun = net.now.mono;
        net.until("the successor to serve", |net| serves(net, to));
        assert!(net.now.mono - begun <= 25, "{run}: after {} ms", net.now.mono - begun);
        net.until("the redirection", |net| net.nodes[from].out.clients.pauses.in_force().is_none());
        net.disconnect(from, writer, crate::node::Closed::Eof);
    }
}

#[test]
fn a_successor_whose_link_breaks_goes_on_with_its_predecessor() {
    let mut net = net();
    half_done(&mut net);
    let link = net.nodes[R].dataset.replica_link.conn().unwrap();
    net.break_off(R, link);
    for _ in 0..50 {
        net.step();
        assert!(!serves(&net, R));
    }
    let_streams_go(&mut net);
    nothing_is_lost(&mut net, R);
    assert_eq!(net.info(P, "sync_full"), 2, "it went on where it was");
}

#[test]
fn a_successor_that_restarts_as_a_replica_gets_all_keys_from_its_predecessor() {
    let mut net = net();
    half_done(&mut net);
    net.kill(R);
    net.start(R);
    assert!(net.nodes[R].metadata.state.member(&net.nodes[R].metadata.me).unwrap().primary.is_some(), "the entry is in its log only");
    let_streams_go(&mut net);
    net.until("somebody to serve", |net| serves(net, R) || serves(net, P));
    let primary = if serves(&net, R) { R } else { P };
    nothing_is_lost(&mut net, primary);
}

#[test]
fn a_successor_that_restarts_as_the_primary_gives_the_slots_back() {
    let mut net = net();
    half_done(&mut net);
    // So long that its file says that it owns the slots.
    (0..300).for_each(|_| net.step());
    net.kill(R);
    net.start(R);
    assert!(net.nodes[R].metadata.state.slot_count_of(&net.nodes[R].metadata.me) > 0);
    let_streams_go(&mut net);
    nothing_is_lost(&mut net, P);
}

#[test]
fn a_successor_that_dies_before_it_has_all_gives_way_to_its_predecessor() {
    let mut net = net();
    half_done(&mut net);
    net.kill(R);
    net.until("the keys to be served", |net| serves(net, P));
    assert_eq!(net.ask(P, "GET last"), "$1\r\n1\r\n");
}

#[test]
fn a_successor_that_came_back_without_keys_leaves_the_slots_to_another_replica() {
    let mut net = net();
    net.kill(P);
    net.until("a successor", |net| serves(net, R) || serves(net, LEADER));
    let (successor, other) = if serves(&net, R) { (R, LEADER) } else { (LEADER, R) };
    // Before the other one has heard from it.
    net.kill(successor);
    net.start(successor);
    net.until("somebody to serve", |net| serves(net, successor) || serves(net, other));
    assert_eq!(net.ask(other, "DBSIZE"), ":50\r\n");
    assert!(serves(&net, other));
}

#[test]
fn a_predecessor_that_was_forgotten_and_came_again_has_nothing_to_leave() {
    let mut net = Net::with_members(5);
    net.until("five voters", |net| net.nodes.iter().all(|node| node.metadata.raft.voters().len() == 5));
    assert_eq!(net.ask(LEADER, "CLUSTER RAFT TRANSFER"), "+OK\r\n");
    let (old, successor) = (net.nodes[P].metadata.me, net.nodes[R].metadata.me);
    assert_eq!(net.ask(R, &format!("CLUSTER REPLICATE {old}")), "+OK\r\n");
    assert_eq!(net.ask(P, "SET last 1"), "+OK\r\n");
    net.until("a copy", |net| net.in_sync(R) && net.nodes[R].dataset.keyspace.len() == 1);
    // R hears of all this only when it is over.
    let state = &net.nodes[LEADER].metadata.state;
    let shard = state.member(&old).unwrap().shard;
    let change =
        Change::Failover(Failover { replica: successor, primary: old, shard, epoch: state.epoch(&shard), kind: FailoverKind::Manual });
    net.nodes[LEADER].metadata.raft.append(None, change).unwrap();
    net.stopped = Some(R);
    net.until("it to hand over", |net| net.nodes[P].metadata.state.slot_count_of(&old) == 0);
    assert_eq!(net.ask(LEADER, &format!("CLUSTER DELVOTER {old}")), "+OK\r\n");
    // As a leader does that asks nobody [N55 forgotten-predecessor].
    let epoch = net.nodes[LEADER].metadata.state.epoch(&shard);
    net.nodes[LEADER].metadata.raft.append(None, Change::NodeForget(NodeForget { id: old, epoch })).unwrap();
    net.until("it to leave", |net| net.nodes[P].metadata.state.member_count() == 1);
    assert_eq!(net.ask(LEADER, "CLUSTER MEET 10.0.0.1 7000"), "+OK\r\n");
    net.until("it to join", |net| net.nodes[P].metadata.state.member(&successor).is_some() && net.nodes[P].metadata.knows_newest_state());
    assert_eq!(net.ask(P, &format!("CLUSTER REPLICATE {successor}")), "+OK\r\n");
    assert!(!net.nodes[P].dataset.role.has_final_offset(), "what it gave away in its earlier life is long gone");
    net.stopped = None;
    net.until("the keys to be served", |net| serves(net, R));
    assert_eq!(net.ask(R, "GET last"), "$1\r\n1\r\n");
}

#[test]
fn a_successor_that_restarts_and_has_served_gives_the_slots_back() {
    let mut net = net();
    net.fail_over(R, P, FailoverKind::Manual);
    net.until("the keys to be served", |net| serves(net, R));
    assert_eq!(net.ask(R, "SET last 1"), "+OK\r\n");
    net.all_equal(R);
    net.kill(R);
    net.start(R);
    assert!(net.nodes[R].metadata.state.member(&net.nodes[R].metadata.me).unwrap().primary.is_some(), "the entry is in its log only");
    whoever_serves_has_all(&mut net);
}

#[test]
fn a_successor_that_restarts_and_was_the_primary_before_gives_the_slots_back() {
    let mut net = net();
    for (from, to) in [(P, R), (R, P), (P, R)] {
        net.fail_over(to, from, FailoverKind::Manual);
        net.until("the keys to be served", |net| serves(net, to));
        net.all_equal(to);
    }
    assert_eq!(net.ask(R, "SET last 1"), "+OK\r\n");
    net.all_equal(R);
    net.kill(R);
    net.start(R);
    assert!(net.nodes[R].metadata.state.member(&net.nodes[R].metadata.me).unwrap().primary.is_some(), "all of that is in its log only");
    whoever_serves_has_all(&mut net);
}

#[test]
fn keys_of_slots_that_others_own_by_now_go_by_the_stream() {
    let mut net = Net::with_members(5);
    net.until("five voters", |net| net.nodes.iter().all(|node| node.metadata.raft.voters().len() == 5));
    assert_eq!(net.ask(LEADER, "CLUSTER RAFT TRANSFER"), "+OK\r\n");
    let (primary, other) = (net.nodes[P].metadata.me, net.nodes[LEADER].metadata.me);
    assert_eq!(net.ask(R, &format!("CLUSTER REPLICATE {primary}")), "+OK\r\n");
    for key in ["kept", "last"] {
        assert_eq!(net.ask(P, &format!("SET {key} 1")), "+OK\r\n");
    }
    net.until("a copy", |net| net.in_sync(R) && net.nodes[R].dataset.keyspace.len() == 2);
    for at in [P, R] {
        assert_eq!(net.ask(at, "SAVE"), "+OK\r\n");
    }
    net.kill(R);
    let slot = crate::keyspace::key_slot(b"last");
    assert_eq!(net.ask(LEADER, &format!("CLUSTER SETSLOT {slot} NODE {other}")), "+OK\r\n");
    // Both come back with what they had before that, of one history.
    net.kill(P);
    net.start(P);
    net.start(R);
    net.until("another sync", |net| {
        net.in_sync(R) && net.nodes[R].dataset.replica_link.conn().is_some() && net.nodes[P].dataset.keyspace.len() == 1
    });
    (0..100).for_each(|_| net.step());
    assert_eq!((net.nodes[R].dataset.keyspace.len(), net.info(P, "sync_partial_ok")), (1, 1));
}

#[test]
fn who_has_nothing_says_so_and_who_does_not_know_yet_says_nothing() {
    let mut net = net();
    let (primary, replica) = (net.nodes[P].metadata.me, net.nodes[R].metadata.me);
    net.nodes[R].dataset.role.diverged();
    let Extent { reign, offset } = net.nodes[R].promised_extent();
    assert!(reign > 0 && offset == 0);
    // It has the entry, and is not told yet that it is committed.
    let shard = net.nodes[LEADER].metadata.state.member(&primary).unwrap().shard;
    let change = Change::Failover(Failover { replica, primary, shard, epoch: 1, kind: FailoverKind::Manual });
    net.nodes[LEADER].metadata.raft.append(None, change).unwrap();
    net.until("the entry", |net| net.nodes[P].metadata.raft.log().last_index() > net.nodes[P].metadata.state.last_applied());
    assert_eq!(net.nodes[P].promised_extent(), Extent::default());
}

#[test]
fn what_a_replica_says_while_its_shard_changes_is_no_answer() {
    let mut net = net();
    let (primary, successor) = (net.nodes[P].metadata.me, net.nodes[R].metadata.me);
    assert_eq!(net.ask(LEADER, "CONFIG SET replica-priority 0"), "+OK\r\n");
    net.until("one that may take over", |net| net.nodes[LEADER].metadata.state.willing_replicas(&primary).count() == 1);
    net.nodes[P].shutdown(Signal::Term);
    net.until("the request", |net| net.nodes[LEADER].metadata.leading.handovers().next().is_some());
    let shard = net.nodes[P].metadata.state.member(&primary).unwrap().shard;
    let stale = Change::Failover(Failover { replica: successor, primary, shard, epoch: 1, kind: FailoverKind::Manual });
    net.nodes[LEADER].metadata.raft.append(None, stale).unwrap();
    net.until("a successor", |net| {
        let is_done = net.nodes[P].metadata.state.slot_count_of(&primary) == 0;
        assert!(is_done || net.nodes[P].metadata.proposals.gives_up(&primary), "nobody has said that there is none");
        is_done
    });
}

#[test]
fn a_primary_whose_file_does_not_name_its_replicas_takes_nothing_from_them() {
    let mut net = Net::with_members(3);
    net.until("three voters", |net| net.nodes.iter().all(|node| node.metadata.raft.voters().len() == 3));
    assert_eq!(net.ask(LEADER, "CLUSTER RAFT TRANSFER"), "+OK\r\n");
    // So long that its file says all of this.
    (0..300).for_each(|_| net.step());
    let primary = net.nodes[P].metadata.me;
    for at in [R, LEADER] {
        assert_eq!(net.ask(at, &format!("CLUSTER REPLICATE {primary}")), "+OK\r\n");
    }
    assert_eq!(net.ask(P, "SAVE"), "+OK\r\n");
    for number in 1..51 {
        assert_eq!(net.ask(P, &format!("SET key:{number} 1")), "+OK\r\n");
    }
    assert_eq!(net.ask(P, "SET last 1"), "+OK\r\n");
    net.all_equal(P);
    net.kill(P);
    net.start(P);
    assert!(net.nodes[P].metadata.state.replicas_of(&net.nodes[P].metadata.me).is_empty(), "that is in its log only");
    whoever_serves_has_all(&mut net);
}

/// What it requests for does not reach the leader, nor does a token. It waits for longer than node-timeout: it could not serve anybody yet.
#[test]
fn who_came_back_without_keys_overwrites_nothing_before_it_may_serve() {
    let mut net = net();
    assert_eq!(net.ask(P, "SET last 1"), "+OK\r\n");
    net.all_equal(P);
    assert_eq!(net.ask(LEADER, "CONFIG SET cluster-node-timeout 5000"), "+OK\r\n");
    net.kill(P);
    net.start(P);
    net.until("the leader to be heard", |net| net.nodes[P].metadata.raft.leader().is_some());
    net.hold(P, LEADER, Port::Bus);
    for _ in 0..600 {
        net.step();
        assert_eq!(net.nodes[R].dataset.keyspace.len(), 51);
    }
    net.release(P, LEADER, Port::Bus);
    whoever_serves_has_all(&mut net);
}

#[test]
fn a_primary_that_answers_again_keeps_its_slots() {
    let mut net = net();
    net.hold(P, LEADER, Port::Bus);
    let id = net.nodes[P].metadata.me;
    net.until("the flag", |net| net.nodes[LEADER].metadata.state.member(&id).unwrap().failed);
    net.hold(R, LEADER, Port::Bus);
    net.release(P, LEADER, Port::Bus);
    let answers = |net: &Net| net.nodes[LEADER].metadata.raft.progress(&id).unwrap().answers(net.now.mono, 100);
    net.until("an answer", answers);
    // From now on all is there that a successor was sought for.
    net.release(R, LEADER, Port::Bus);
    let begun = net.now.mono;
    net.until("the flag to go", |net| net.nodes.iter().all(|node| !node.metadata.state.member(&id).unwrap().failed));
    assert!(net.now.mono - begun <= 25, "after {} ms", net.now.mono - begun);
    (0..100).for_each(|_| net.step());
    assert!(serves(&net, P) && net.nodes[P].metadata.state.slot_count_of(&id) > 0);
}

#[test]
fn a_request_to_hand_over_waits_at_the_gate() {
    let mut net = net();
    let id = net.nodes[P].metadata.me;
    assert_eq!(net.ask(P, "SET last 1"), "+OK\r\n");
    net.nodes[P].shutdown(Signal::Term);
    net.until("the request", |net| net.nodes[LEADER].metadata.leading.handovers().next().is_some());
    net.hold(P, LEADER, Port::Bus);
    net.until("it to follow no more", |net| !net.nodes[LEADER].metadata.raft.gate_is_open(&id, net.now.mono));
    let index = net.nodes[LEADER].metadata.raft.log().last_index();
    for _ in 0..10 {
        net.step();
        assert_eq!(net.nodes[LEADER].metadata.raft.log().last_index(), index, "it is not known to hold what it lacks");
    }
    net.release(P, LEADER, Port::Bus);
    net.until("a successor", |net| serves(net, R) || serves(net, LEADER));
    let successor = if serves(&net, R) { R } else { LEADER };
    assert_eq!(net.ask(successor, "DBSIZE"), ":51\r\n");
}

#[test]
fn a_former_primary_that_shows_clients_nothing_feeds_its_successor() {
    let mut net = net();
    assert_eq!(net.ask(P, "CONFIG SET replica-serve-stale-data no"), "+OK\r\n");
    half_done(&mut net);
    let link = net.nodes[R].dataset.replica_link.conn().unwrap();
    net.break_off(R, link);
    let_streams_go(&mut net);
    nothing_is_lost(&mut net, R);
}

#[test]
fn a_successor_whose_predecessor_dies_goes_on_with_what_it_has() {
    let mut net = net();
    half_done(&mut net);
    net.kill(P);
    net.until("it to serve", |net| serves(net, R));
    assert_eq!(net.ask(R, "DBSIZE"), ":50\r\n");
}

#[test]
fn who_was_chosen_for_keys_that_it_has_no_more_leaves_the_slots_to_others() {
    for kind in [FailoverKind::Force, FailoverKind::Manual] {
        let mut net = net();
        net.hold(P, R, Port::Client);
        net.nodes[R].dataset.role.diverged();
        net.fail_over(R, P, kind);
        assert!(!serves(&net, R));
        if kind == FailoverKind::Manual {
            // Its predecessor, who has them, dies.
            net.kill(P);
        }
        net.until("somebody to serve", |net| (P..=LEADER).any(|at| net.is_up(at) && serves(net, at)));
        assert!(!serves(&net, R));
    }
}
