//! The write lease: who is cut off, or was stopped, acknowledges nothing after it; who merely loses the leader goes on.

use crate::cluster::{Cluster, insist};
use crate::node::Node;
use crate::reply::Raw;
use crate::wait::{PATIENCE, now, until, until_true};
use rustix::process::Signal;
use std::io::Read;
use std::time::Duration;

const SHORT: &str = "cluster-node-timeout 2000";
/// The lease is as long as node-timeout; a primary uses 98 % of it.
const LEASE: Duration = Duration::from_millis(2000);

/// The node at `at` owns every slot.
fn owned_by(at: usize, lines: &[&str]) -> Cluster {
    let cluster = Cluster::formed(3, lines);
    cluster.voters(3);
    assert_eq!(cluster.nodes[at].ask("CLUSTER ADDSLOTSRANGE 0 16383"), "OK");
    cluster.ok();
    cluster
}

fn others(cluster: &Cluster, at: usize) -> impl Iterator<Item = &Node> {
    cluster.nodes.iter().enumerate().filter(move |(other, _)| *other != at).map(|(_, node)| node)
}

#[test]
fn a_primary_that_is_cut_off_refuses_after_its_lease_and_serves_when_it_is_back() {
    let cluster = owned_by(1, &[SHORT]);
    let primary = &cluster.nodes[1];
    until("writes to be served", || primary.try_ask("SET k 1"));
    let lapses: u64 = primary.field("cluster_lease_lapses").parse().unwrap();
    until_true("a lease, which is no longer than it can be", || {
        let remaining: u64 = primary.field("cluster_lease_remaining_ms").parse().unwrap();
        assert!(remaining <= LEASE.as_millis() as u64, "{remaining}");
        remaining > 0
    });
    others(&cluster, 1).for_each(|node| node.signal(Signal::STOP));
    let stopped = now();
    until("writes to be refused", || {
        let begun = stopped.elapsed();
        let answer = primary.try_ask("SET k 1");
        assert!(answer.is_err() || begun < LEASE, "a write that came {begun:?} after the last word of a leader was acknowledged");
        answer.map_or(Ok(()), Err)
    });
    assert_eq!(primary.field("cluster_lease_remaining_ms"), "0");
    assert!(primary.field("cluster_lease_lapses").parse::<u64>().unwrap() > lapses);
    for line in ["SET k 3", "GET k", "FLUSHALL"] {
        assert_eq!(primary.error(line), "CLUSTERDOWN The cluster is down");
    }
    assert_eq!(primary.field("cluster_state"), "fail");
    assert_eq!(primary.ask("PING"), "PONG");
    assert_eq!(primary.ask("CONFIG SET cluster-allow-reads-when-down yes"), "OK");
    assert_eq!(primary.ask("GET k"), "1");
    assert_eq!(primary.error("SET k 4"), "CLUSTERDOWN The cluster is down and only accepts read commands");
    others(&cluster, 1).for_each(|node| node.signal(Signal::CONT));
    until("writes to be served again", || primary.try_ask("SET k 5"));
    cluster.ok();
}

#[test]
fn a_primary_that_was_stopped_acknowledges_nothing_that_had_waited() {
    let cluster = owned_by(1, &[SHORT]);
    let primary = &cluster.nodes[1];
    let mut client = Raw::connect(primary.number());
    until_true("writes to be served", || client.say("SET k 0") == "+OK");
    let (asked, remaining) = (now(), primary.field("cluster_lease_remaining_ms").parse().map(Duration::from_millis).unwrap());
    primary.signal(Signal::STOP);
    let writes: String = (1..=1000).map(|n| format!("SET k{n} {n}\r\n")).collect();
    client.send(writes.as_bytes());
    let observer = &cluster.nodes[0];
    until_true("the primary to be flagged", || observer.ask("CLUSTER NODES").contains(" master,fail "));
    assert!(asked.elapsed() >= remaining, "flagged while it has a lease: {:?} of {remaining:?}", asked.elapsed());
    primary.signal(Signal::CONT);
    // One refusal for each, or the end of the connection before.
    let (mut answers, mut room) = (Vec::new(), [0; 65536]);
    while answers.iter().filter(|byte| **byte == b'\n').count() < 1000 {
        match client.stream().read(&mut room) {
            Ok(0) | Err(_) => break,
            Ok(count) => answers.extend_from_slice(&room[..count]),
        }
    }
    // The connection may have ended within a line.
    let whole = answers.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let answers = String::from_utf8(answers[..whole].to_vec()).unwrap();
    assert!(answers.lines().all(|line| line == "-CLUSTERDOWN The cluster is down"), "{answers}");
    until("writes to be served again", || primary.try_ask("SET k 1"));
}

#[test]
fn a_lease_that_an_election_may_outlast_is_warned_of() {
    const CAUTION: &str = "the write lease (4000 ms) is below five election timeouts (1000 ms)";
    let node = &Cluster::formed(1, &["cluster-raft-election-timeout 1000"]).nodes[0];
    assert_eq!(node.field("cluster_lease_remaining_ms"), "-1", "nobody else votes");
    assert!(!node.log().contains("election timeouts"));
    assert_eq!(node.ask("CONFIG SET cluster-write-lease 4000"), "OK");
    until_true("the warning", || node.log().contains(CAUTION));
    assert_eq!(node.ask("CONFIG SET timeout 100"), "OK");
    let told = &Cluster::formed(1, &["cluster-raft-election-timeout 1000", "cluster-write-lease 4000"]).nodes[0];
    assert!(told.log().contains(CAUTION));
    assert_eq!(node.log().matches(CAUTION).count(), 1, "not when something else is set");
}

#[test]
fn the_election_of_a_leader_stops_no_writes() {
    // An election may take long on a busy machine, but not so long.
    let mut cluster = owned_by(1, &["cluster-raft-election-timeout 500", "cluster-write-lease 8000"]);
    if cluster.leader() == 1 {
        assert_eq!(insist(&cluster.nodes[0], "CLUSTER RAFT TRANSFER"), "OK");
    }
    let leader = until("another to lead", || Some(cluster.leader()).filter(|at| *at != 1).ok_or("the primary leads".to_owned()));
    let mut client = Raw::connect(cluster.nodes[1].number());
    assert_eq!(client.say("SET k 0"), "+OK");
    cluster.nodes[leader].kill();
    let (old, begun) = (cluster.nodes[1].field("cluster_raft_current_term"), now());
    while cluster.nodes[1].field("cluster_raft_current_term") == old || begun.elapsed() < Duration::from_secs(10) {
        assert_eq!(client.say("SET k 1"), "+OK", "after {:?}", begun.elapsed());
        assert!(begun.elapsed() < PATIENCE, "nobody was elected");
    }
}
