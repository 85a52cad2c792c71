//! The write lease: who is cut off, or was stopped, acknowledges nothing after it; who merely loses the leader goes on.

use crate::cluster::Cluster;
use crate::node::Node;
use crate::reply::Raw;
use crate::wait::{now, until, until_true};
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
    assert_eq!(primary.ask("SET k 1"), "OK");
    let lapses: u64 = primary.field("cluster_lease_lapses").parse().unwrap();
    let remaining: u64 = primary.field("cluster_lease_remaining_ms").parse().unwrap();
    assert!((1..=LEASE.as_millis() as u64).contains(&remaining), "{remaining}");
    let begun = now();
    others(&cluster, 1).for_each(|node| node.signal(Signal::STOP));
    until_true("writes to be refused", || primary.try_ask("SET k 2").is_err());
    assert!(begun.elapsed() < LEASE + Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(
        (primary.field("cluster_lease_remaining_ms"), primary.field("cluster_lease_lapses")),
        ("0".to_owned(), (lapses + 1).to_string())
    );
    for line in ["SET k 3", "GET k", "FLUSHALL"] {
        assert_eq!(primary.error(line), "CLUSTERDOWN The cluster is down");
    }
    assert_eq!(primary.field("cluster_state"), "fail");
    assert_eq!(primary.ask("PING"), "PONG");
    assert_eq!(primary.ask("CONFIG SET cluster-allow-reads-when-down yes"), "OK");
    assert_eq!(primary.ask("GET k"), "2");
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
    assert_eq!(client.say("SET k 0"), "+OK");
    primary.signal(Signal::STOP);
    let begun = now();
    let writes: String = (1..=1000).map(|n| format!("SET k{n} {n}\r\n")).collect();
    client.send(writes.as_bytes());
    let observer = &cluster.nodes[0];
    until_true("the primary to be flagged", || observer.ask("CLUSTER NODES").contains(" master,fail "));
    assert!(begun.elapsed() >= LEASE, "flagged while it may have a lease: {:?}", begun.elapsed());
    primary.signal(Signal::CONT);
    // One refusal for each, or the end of the connection before.
    client.stream().set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let (mut answers, mut room) = (Vec::new(), [0; 65536]);
    while answers.iter().filter(|byte| **byte == b'\n').count() < 1000 {
        match client.stream().read(&mut room) {
            Ok(0) | Err(_) => break,
            Ok(count) => answers.extend_from_slice(&room[..count]),
        }
    }
    let answers = String::from_utf8(answers).unwrap();
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
    let mut cluster = owned_by(1, &[]);
    if cluster.leader() == 1 {
        assert_eq!(cluster.nodes[0].ask("CLUSTER RAFT TRANSFER"), "OK");
    }
    let leader = until("another to lead", || Some(cluster.leader()).filter(|at| *at != 1).ok_or("the primary leads".to_owned()));
    let mut client = Raw::connect(cluster.nodes[1].number());
    assert_eq!(client.say("SET k 0"), "+OK");
    cluster.nodes[leader].kill();
    let (old, begun) = (cluster.nodes[1].field("cluster_raft_current_term"), now());
    while cluster.nodes[1].field("cluster_raft_current_term") == old || begun.elapsed() < Duration::from_secs(7) {
        assert_eq!(client.say("SET k 1"), "+OK", "after {:?}", begun.elapsed());
        assert!(begun.elapsed() < Duration::from_secs(20), "nobody was elected");
    }
}
