//! Nodes in one process: a predecessor that is to leave the cluster while its successor still lacks what it has
//! \[N55 forgotten-predecessor\].

use super::*;

/// R replicates P, node 2 leads, node 3 is nobody's replica.
fn four() -> (Net, String) {
    let mut net = Net::with_members(4);
    net.until("three voters", |net| net.nodes.iter().all(|node| node.metadata.raft.voters().len() == 3));
    let old = net.nodes[P].metadata.me.to_string();
    assert_eq!(net.ask(R, &format!("CLUSTER REPLICATE {old}")), "+OK\r\n");
    net.until("a copy", |net| net.in_sync(R));
    if !net.nodes[LEADER].metadata.raft.is_leader() {
        assert_eq!(net.ask(LEADER, "CLUSTER RAFT TRANSFER"), "+OK\r\n");
    }
    (net, old)
}

/// R is the owner by the log and lacks the last write.
fn half_done_of_four() -> (Net, String) {
    let (mut net, old) = four();
    net.hold(P, R, Port::Client);
    assert_eq!(net.ask(P, "SET last 1"), "+OK\r\n");
    net.fail_over(R, P, FailoverKind::Manual);
    assert!(net.nodes[R].dataset.role.lacks_keys() && !serves(&net, R));
    (net, old)
}

fn is_member(net: &Net, id: &str) -> bool {
    net.nodes[LEADER].metadata.state.members().any(|member| member.id.to_string() == id)
}

/// What is asked of one node is granted as soon as R has the last write, and not before.
#[track_caller]
fn waits_for_the_successor(at: usize, request: impl Fn(&str) -> String) {
    let (mut net, old) = half_done_of_four();
    let asker = net.say(at, &request(&old));
    for _ in 0..100 {
        net.step();
        assert!(is_member(&net, &old) && !serves(&net, R));
        assert_eq!(net.answer(at, asker), None, "it waits");
    }
    net.release(P, R, Port::Client);
    let begun = net.now.mono;
    net.until("it to leave", |net| !is_member(net, &old));
    assert!(net.now.mono - begun <= 100, "after {} ms", net.now.mono - begun);
    let answer = (0..400).find_map(|_| {
        net.step();
        net.answer(at, asker)
    });
    assert_eq!(answer.as_deref(), Some("+OK\r\n"));
    assert_eq!(net.ask(R, "GET last"), "$1\r\n1\r\n");
}

#[test]
fn a_predecessor_is_forgotten_when_its_successor_has_all_that_it_has() {
    for at in [R, LEADER, 3] {
        waits_for_the_successor(at, |old| format!("CLUSTER FORGET {old}"));
    }
}

#[test]
fn a_predecessor_is_reset_when_its_successor_has_all_that_it_has() {
    for mode in ["SOFT", "HARD"] {
        waits_for_the_successor(P, |_| format!("CLUSTER RESET {mode}"));
    }
}

/// The next leader does not know what anybody holds.
#[test]
fn a_new_leader_asks_before_it_forgets_a_predecessor() {
    let (mut net, old) = half_done_of_four();
    net.say(R, &format!("CLUSTER FORGET {old}"));
    (0..10).for_each(|_| net.step());
    let next = net.nodes[LEADER]
        .metadata
        .raft
        .voters()
        .iter()
        .find(|id| **id != net.nodes[LEADER].metadata.me && **id != net.nodes[P].metadata.me)
        .copied();
    let next = net.nodes.iter().position(|node| Some(node.metadata.me) == next).unwrap();
    assert_eq!(net.ask(next, "CLUSTER RAFT TRANSFER"), "+OK\r\n");
    for _ in 0..100 {
        net.step();
        assert!(is_member(&net, &old) && !serves(&net, R));
    }
    net.release(P, R, Port::Client);
    net.until("it to leave", |net| !is_member(net, &old));
    assert_eq!(net.ask(R, "GET last"), "$1\r\n1\r\n");
}

#[test]
fn a_predecessor_that_is_dead_is_not_waited_for() {
    let (mut net, old) = half_done_of_four();
    let asker = net.say(LEADER, &format!("CLUSTER FORGET {old}"));
    (0..10).for_each(|_| net.step());
    net.kill(P);
    net.until("it to leave", |net| !is_member(net, &old));
    net.until("R to serve", |net| serves(net, R));
    assert_eq!(net.answer(LEADER, asker).as_deref(), Some("+OK\r\n"));
}

/// It may be the only one that has everything: its primary's process has just begun.
#[test]
fn a_replica_of_a_primary_without_keys_is_not_forgotten() {
    let (mut net, _) = four();
    assert_eq!(net.ask(P, "SET last 1"), "+OK\r\n");
    net.until("a copy", |net| net.nodes[R].dataset.keyspace.len() == 1);
    let replica = net.nodes[R].metadata.me.to_string();
    net.kill(P);
    net.start(P);
    // Meanwhile nobody can be chosen.
    net.hold(R, LEADER, Port::Bus);
    net.say(LEADER, &format!("CLUSTER FORGET {replica}"));
    (0..30).for_each(|_| net.step());
    net.release(R, LEADER, Port::Bus);
    net.until("somebody to serve", |net| serves(net, P) || serves(net, R));
    assert!(serves(&net, R) && is_member(&net, &replica));
    assert_eq!(net.ask(R, "GET last"), "$1\r\n1\r\n");
}

#[test]
fn without_a_leader_a_predecessor_is_not_reset() {
    let (mut net, _) = half_done_of_four();
    for at in [LEADER, 3] {
        net.hold(at, P, Port::Bus);
    }
    net.until("no leader", |net| net.nodes[P].metadata.raft.leader().is_none());
    assert_eq!(net.ask(P, "CLUSTER RESET HARD"), "-ERR The successor of this node may not have all of its keys yet\r\n");
    assert_eq!(net.nodes[P].dataset.keyspace.len(), 1);
}
