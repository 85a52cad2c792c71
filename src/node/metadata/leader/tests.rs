//! Nodes in one process: what a leader says of who fell silent, and of itself, and what it takes for a member's proposal.

use super::*;
use crate::cluster::change::{NodeInfo, NodeRecover};
use crate::node::net::Net;
use crate::wire::bus::PROTOCOL_VERSION;

#[test]
fn a_leader_takes_its_own_flag_back() {
    const LEADER: usize = 0;
    const SURVIVOR: usize = 1;
    let mut net = Net::with_members(3);
    net.until("three voters", |net| net.nodes.iter().all(|node| node.metadata.raft.voters().len() == 3));
    assert!(net.nodes[LEADER].metadata.raft.is_leader());
    let survivor = net.nodes[SURVIVOR].metadata.me;
    let flagged = |net: &Net, at: usize| net.nodes[at].metadata.state.member(&survivor).is_some_and(|member| member.failed);
    net.stopped = Some(SURVIVOR);
    net.until("the flag", |net| flagged(net, LEADER));
    net.stopped = None;
    net.until("it to know", |net| flagged(net, SURVIVOR));
    // Nobody has had the time to hear that it answers again.
    net.kill(LEADER);
    net.kill(2);
    net.until("the recovery to be allowed", |net| net.nodes[SURVIVOR].metadata.raft.leader().is_none());
    while net.ask(SURVIVOR, "CLUSTER RECOVER QUORUM") != "+OK\r\n" {}
    net.until("it to lead", |net| net.nodes[SURVIVOR].metadata.raft.is_leader());
    net.until("the flag to go", |net| !flagged(net, SURVIVOR));
}

#[test]
fn an_entry_type_is_appended_once_every_member_has_said_that_it_knows_it() {
    const OLD: usize = 1;
    let mut net = Net::with_members(3);
    net.until("the leader to know all", |net| net.nodes[0].metadata.all_speak(PROTOCOL_VERSION, &net.nodes[0].out));
    assert!(!net.nodes[0].metadata.all_speak(PROTOCOL_VERSION + 1, &net.nodes[0].out));
    // As a binary of version 1 announces itself: it goes on saying so while that stands in the log only, and after.
    let (id, mut address) = (net.nodes[OLD].metadata.me, net.nodes[OLD].metadata.own_address.clone());
    address.keys.remove("protocol-version");
    net.nodes[0].metadata.raft.append(None, Change::NodeInfo(NodeInfo { id, address, nofailover: false })).unwrap();
    assert!(
        !net.nodes[0].metadata.all_speak(PROTOCOL_VERSION, &net.nodes[0].out)
            && net.nodes[0].metadata.all_speak(OLDEST_VERSION, &net.nodes[0].out)
    );
    net.until("it to be applied", |net| {
        net.nodes.iter().all(|node| node.metadata.state.member(&id).unwrap().address.protocol_version() == OLDEST_VERSION)
    });
    assert!(!net.nodes[0].metadata.all_speak(PROTOCOL_VERSION, &net.nodes[0].out));
    net.until("the node to say otherwise", |net| net.nodes[0].metadata.all_speak(PROTOCOL_VERSION, &net.nodes[0].out));
}

/// Three members, all of whom vote; who leads, and one that does not and has proposed a change.
fn with_a_follower() -> (Net, usize, usize) {
    let mut net = Net::with_members(3);
    net.until("three voters", |net| net.nodes.iter().all(|node| node.metadata.raft.voters().len() == 3));
    let leader = net.nodes.iter().position(|node| node.metadata.raft.is_leader()).unwrap();
    let at = (leader + 1) % 3;
    assert_eq!(net.ask(at, "CLUSTER DELSLOTS 9"), "+OK\r\n");
    (net, leader, at)
}

/// A PROPOSE that changes nothing, in the name of this node.
fn proposal(of: &NodeId, incarnation: u64, n: u64, lowest: u64) -> String {
    format!("PROPOSE\n0 id={of}:{incarnation}.{n}:{lowest} NODE_RECOVER {of}\n")
}

#[test]
fn nobody_proposes_in_another_s_name_or_in_an_incarnation_beyond_reason() {
    let (mut net, leader, at) = with_a_follower();
    let (member, other) = (net.nodes[at].metadata.me, net.nodes[(leader + 2) % 3].metadata.me);
    let newest = |net: &Net| net.nodes[leader].metadata.state.newest_proposal(&member);
    let before = newest(&net).unwrap();
    let beyond = before.0 + INCARNATION_LEAD + 1;
    net.hear(leader, other, &[&proposal(&member, before.0 + 1, 1, 1)]);
    net.hear(leader, member, &[&proposal(&member, beyond, 1, 1), &proposal(&member, 1 << 62, 1, 1)]);
    (0..40).for_each(|_| net.step());
    assert_eq!(newest(&net), Some(before));
    net.hear(leader, member, &[&proposal(&member, beyond - 1, 1, 1)]);
    net.until("the last one that can be", |net| newest(net).is_some_and(|(incarnation, _)| incarnation >= beyond - 1));
}

/// By a lie, or by its own word after its nodes.conf was put back to an older one. Incarnation and numbers alike.
#[test]
fn a_member_goes_on_above_what_was_proposed_in_its_name() {
    let (mut net, leader, at) = with_a_follower();
    let me = net.nodes[at].metadata.me;
    for slot in 0..8 {
        let said = |net: &Net| net.nodes[leader].metadata.state.newest_proposal(&me).unwrap();
        let (incarnation, next) = said(&net);
        let lie = if slot % 2 == 0 { proposal(&me, incarnation + 1000, 1, 1) } else { proposal(&me, incarnation, 1 << 50, 1 << 50) };
        net.hear(leader, me, &[&lie]);
        net.until("it to be believed", |net| said(net).0 > incarnation || said(net).1 > next);
        if slot > 3 {
            net.kill(at);
            net.start(at);
        }
        net.until("it to know", |net| {
            net.nodes[at].metadata.state.newest_proposal(&me) == net.nodes[leader].metadata.state.newest_proposal(&me)
        });
        assert_eq!(net.ask(at, &format!("CLUSTER DELSLOTS {slot}")), "+OK\r\n");
        assert_eq!(net.nodes[at].metadata.incarnation, if slot > 3 { slot - 2 } else { 1 }, "reigns are counted by that");
    }
}

#[test]
fn after_a_recovery_nobody_has_proposed_anything() {
    let (mut net, leader, at) = with_a_follower();
    let me = net.nodes[at].metadata.me;
    // A leader of version 1 appends it.
    let origin = crate::raft::Origin { id: ProposalId { proposer: me, incarnation: 1 << 62, n: 1 }, lowest: 1 };
    net.nodes[leader].metadata.raft.append(Some(origin), Change::NodeRecover(NodeRecover { id: me })).unwrap();
    net.until("it to be applied", |net| {
        net.nodes[at].metadata.state.newest_proposal(&me).is_some_and(|(incarnation, _)| incarnation == 1 << 62)
    });
    assert_ne!(net.ask(at, "CLUSTER DELSLOTS 5"), "+OK\r\n", "there is no higher one");
    (0..3).filter(|other| *other != at).for_each(|other| net.kill(other));
    net.until("the leader to be missed", |net| net.nodes[at].metadata.is_leaderless(&net.nodes[at].view));
    assert_eq!(net.ask(at, "CLUSTER RECOVER QUORUM"), "+OK\r\n");
    net.until("it to lead", |net| net.nodes[at].metadata.raft.is_leader());
    assert_eq!(net.ask(at, "CLUSTER DELSLOTS 5"), "+OK\r\n");
}

#[test]
fn a_leader_appends_no_more_than_others_take() {
    let (mut net, leader, at) = with_a_follower();
    let (id, mut address) = (net.nodes[at].metadata.me, net.nodes[at].metadata.own_address.clone());
    (0..7).for_each(|n| drop(address.keys.insert(format!("k{n}"), "x".repeat(250))));
    let change = Change::NodeInfo(NodeInfo { id, address, nofailover: false });
    let node = &mut net.nodes[leader];
    while node.metadata.raft.tail_has_room() {
        node.metadata.raft.append(None, change.clone()).unwrap();
    }
    assert!(node.metadata.raft.log().len() > 4096);
    let one_more = Entry { term: 0, origin: None, body: Body::App(Change::NodeRecover(NodeRecover { id })) };
    assert!(matches!(node.metadata.try_append(&one_more, &node.view, &node.out), Err(RejectReason::Busy)));
    net.until("room", |net| net.nodes[leader].metadata.raft.tail_has_room());
    assert!(net.nodes[leader].with_metadata(|metadata, view, out| metadata.try_append(&one_more, view, out)).is_ok());
}

/// Version 1 applies it, and cannot load what it has written then.
#[test]
fn an_address_that_leaves_no_room_is_not_appended_and_applied_by_everybody() {
    let (mut net, leader, at) = with_a_follower();
    let (id, mut address) = (net.nodes[at].metadata.me, net.nodes[at].metadata.own_address.clone());
    address.keys = (0..16).map(|n| (format!("k{n}"), "v".to_owned())).collect();
    assert!(address.is_valid());
    let change = Change::NodeInfo(NodeInfo { id, address: address.clone(), nofailover: false });
    let entry = Entry { term: 0, origin: None, body: Body::App(change.clone()) };
    assert!(matches!(
        net.nodes[leader].with_metadata(|metadata, view, out| metadata.try_append(&entry, view, out)),
        Err(RejectReason::Rejected(Some(Reason::BadAddress)))
    ));
    assert_eq!(net.nodes[leader].metadata.state.would(&change), Outcome::Applied);
    let index = net.nodes[leader].metadata.raft.append(None, change).unwrap();
    net.until("it to be applied", |net| net.nodes.iter().all(|node| node.metadata.state.last_applied() >= index));
    let mut text = String::new();
    net.nodes[at].metadata.state.write_snapshot(None, &mut text);
    assert_eq!(crate::cluster::parse_snapshot(&text, false).unwrap().0, net.nodes[at].metadata.state);
}

/// A member goes back to an older binary: it says so in its greeting, and in the log only when somebody has proposed that for it.
#[test]
fn what_a_member_says_as_it_greets_counts_before_the_log_tells_it() {
    let (mut net, leader, at) = with_a_follower();
    let id = net.nodes[at].metadata.me;
    let node = &mut net.nodes[leader];
    assert!(node.metadata.all_speak(PROTOCOL_VERSION, &node.out) && !node.metadata.all_speak(PROTOCOL_VERSION + 1, &node.out));
    let conn = node.metadata.links.up(&id).unwrap();
    node.out.io.sessions.bus_mut(conn).unwrap().peer.as_mut().unwrap().version = OLDEST_VERSION;
    assert!(!node.metadata.all_speak(PROTOCOL_VERSION, &node.out) && node.metadata.all_speak(OLDEST_VERSION, &node.out));
}
