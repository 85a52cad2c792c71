//! Nodes in one process: what a leader says of who fell silent, and of itself.

use super::super::net::Net;

#[test]
fn a_leader_takes_its_own_flag_back() {
    const LEADER: usize = 0;
    const SURVIVOR: usize = 1;
    let mut net = Net::with_members(3);
    net.until("three voters", |net| net.nodes.iter().all(|node| node.raft.voters().len() == 3));
    assert!(net.nodes[LEADER].raft.is_leader());
    let survivor = net.nodes[SURVIVOR].me;
    let flagged = |net: &Net, at: usize| net.nodes[at].state.member(&survivor).is_some_and(|member| member.failed);
    net.stopped = Some(SURVIVOR);
    net.until("the flag", |net| flagged(net, LEADER));
    net.stopped = None;
    net.until("it to know", |net| flagged(net, SURVIVOR));
    // Nobody has had the time to hear that it answers again.
    net.kill(LEADER);
    net.kill(2);
    net.until("the recovery to be allowed", |net| net.nodes[SURVIVOR].raft.leader().is_none());
    while net.ask(SURVIVOR, "CLUSTER RECOVER QUORUM") != "+OK\r\n" {}
    net.until("it to lead", |net| net.nodes[SURVIVOR].raft.is_leader());
    net.until("the flag to go", |net| !flagged(net, SURVIVOR));
}
