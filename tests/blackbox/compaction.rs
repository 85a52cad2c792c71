//! The log stays short, in memory and on disk, and who needs what is gone from it gets a snapshot.

use crate::cluster::Cluster;
use crate::deaths::NEVER;
use crate::node::Node;
use crate::reply;
use crate::wait::until;
use std::fs;

/// How many clients make changes side by side.
const CLIENTS: usize = 50;
/// Applied entries in memory: trimmed beyond so many.
const HELD: u64 = 128;

fn number(node: &Node, field: &str) -> u64 {
    let value = node.field(field);
    value.parse().unwrap_or_else(|_| panic!("node {}: {field} is {value:?}", node.number()))
}

/// Makes so many changes of slot owners through `node`, many at a time; each client has a slot of its own.
fn make_changes(node: &Node, ids: &[String], count: usize) {
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || {
                let mut connection = node.try_connect().expect("the node takes connections");
                for round in 0..count.div_ceil(CLIENTS) {
                    let change = format!("CLUSTER SETSLOT {} NODE {}", client * 3, ids[(client + round) % ids.len()]);
                    assert_eq!(reply::ask(&mut connection, &change).and_then(reply::text_of), Ok("OK".to_owned()), "{change}");
                }
            });
        }
    });
}

/// What is in memory and on disk is a matter of the cluster's size, not of how much has happened.
fn is_short(node: &Node) -> Result<(), String> {
    let (first, applied) = (number(node, "cluster_raft_first_index"), number(node, "cluster_raft_last_applied"));
    if applied - first >= HELD + CLIENTS as u64 {
        return Err(format!("node {} holds entries {first} to {applied}", node.number()));
    }
    let file = fs::read_to_string(node.nodes_conf()).expect("it is there");
    let lines = file.lines().filter(|line| line.starts_with("log ") || line.starts_with("synced ")).count();
    // A hundred appended entries with a `synced` line each, behind what was not applied at the last rewrite.
    let limit = 2 * (100 + CLIENTS) + 1;
    if lines <= limit { Ok(()) } else { Err(format!("node {} has {lines} lines behind its snapshot", node.number())) }
}

/// A follower is down while so many changes are made.
fn miss(count: usize) {
    let mut cluster = Cluster::with_slots(3, &[NEVER]);
    cluster.voters(3);
    let leader = cluster.leader();
    let behind = (leader + 1) % 3;
    let ids: Vec<String> = cluster.nodes.iter().map(Node::id).collect();
    cluster.nodes[behind].kill();
    make_changes(&cluster.nodes[leader], &ids, count);
    let sent = number(&cluster.nodes[leader], "cluster_raft_snapshots_sent");
    cluster.nodes[behind].start();
    cluster.ok();
    cluster.agreed();
    assert_eq!(number(&cluster.nodes[behind], "cluster_raft_snapshots_installed"), 1, "one snapshot, and the tail");
    assert_eq!(number(&cluster.nodes[leader], "cluster_raft_snapshots_sent"), sent + 1, "and it was sent once");
    // Its file is good for another start, which needs none.
    cluster.nodes[behind].kill();
    cluster.nodes[behind].start();
    cluster.agreed();
    assert_eq!(number(&cluster.nodes[behind], "cluster_raft_snapshots_installed"), 0);
}

#[test]
fn who_missed_140_changes_catches_up_by_one_snapshot() {
    miss(140);
}

#[test]
fn who_missed_10000_changes_catches_up_by_one_snapshot() {
    miss(10_000);
}

#[test]
fn log_and_file_stay_short_over_100000_changes() {
    let cluster = Cluster::with_slots(3, &[NEVER]);
    cluster.voters(3);
    let leader = &cluster.nodes[cluster.leader()];
    let ids: Vec<String> = cluster.nodes.iter().map(Node::id).collect();
    for _ in 0..10 {
        make_changes(leader, &ids, 10_000);
        cluster.agreed();
        for node in &cluster.nodes {
            // Who had fallen behind has rewritten its file with much that was not applied: the next rewrite ends that.
            until("a short log and file", || is_short(node).inspect_err(|_| make_changes(leader, &ids, 2 * CLIENTS)));
        }
    }
    assert!(number(leader, "cluster_raft_last_applied") > 100_000);
}

#[test]
fn a_newcomer_joins_a_leader_whose_log_was_trimmed_or_whose_cluster_was_restarted() {
    let mut cluster = Cluster::with_slots(3, &[NEVER]);
    cluster.voters(3);
    let ids: Vec<String> = cluster.nodes.iter().map(Node::id).collect();
    make_changes(&cluster.nodes[0], &ids, 300);
    assert!(number(&cluster.nodes[cluster.leader()], "cluster_raft_first_index") > 100, "what a newcomer would begin with is gone");
    meet_newcomer(&mut cluster);
    // After a restart the log is in the snapshot as a whole.
    for node in &cluster.nodes {
        assert_eq!(node.ask("CLUSTER SAVECONFIG"), "OK");
    }
    cluster.nodes.iter_mut().for_each(Node::kill);
    cluster.start_all();
    cluster.ok();
    meet_newcomer(&mut cluster);
}

fn meet_newcomer(cluster: &mut Cluster) {
    let newcomer = Node::started(&[NEVER]);
    cluster.nodes[0].meet(&newcomer);
    cluster.nodes.push(newcomer);
    cluster.agreed();
    let newest = cluster.nodes.last().expect("one was met");
    until("the newcomer to have been sent a snapshot", || match number(newest, "cluster_raft_snapshots_installed") {
        1 => Ok(()),
        other => Err(format!("{other} snapshots")),
    });
}
