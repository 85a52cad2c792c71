//! Nodes in one process: what a leader says of who fell silent, and of itself.

use super::super::net::Net;
use super::*;
use crate::wire::bus::PROTOCOL_VERSION;

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

#[test]
fn an_entry_type_is_appended_once_every_member_has_said_that_it_knows_it() {
    const OLD: usize = 1;
    let mut net = Net::with_members(3);
    net.until("the leader to know all", |net| net.nodes[0].all_speak(PROTOCOL_VERSION));
    assert!(!net.nodes[0].all_speak(PROTOCOL_VERSION + 1));
    // As a binary of version 1 announces itself: it goes on saying so while that stands in the log only, and after.
    let (id, mut address) = (net.nodes[OLD].me, net.nodes[OLD].own_address.clone());
    address.keys.remove("protocol-version");
    net.nodes[0].raft.append(None, Change::NodeInfo { id, address, nofailover: false }).unwrap();
    assert!(!net.nodes[0].all_speak(PROTOCOL_VERSION) && net.nodes[0].all_speak(OLDEST_VERSION));
    net.until("it to be applied", |net| {
        net.nodes.iter().all(|node| node.state.member(&id).unwrap().address.protocol_version() == OLDEST_VERSION)
    });
    assert!(!net.nodes[0].all_speak(PROTOCOL_VERSION));
    net.until("the node to say otherwise", |net| net.nodes[0].all_speak(PROTOCOL_VERSION));
}
