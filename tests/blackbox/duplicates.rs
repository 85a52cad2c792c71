//! One identity, two processes: they are told apart, and an operator hears of it.

use crate::cluster::Cluster;
use crate::node::Node;
use crate::wait::until;
use std::fs;

#[test]
fn two_processes_with_one_id_are_reported() {
    let cluster = Cluster::formed(3, &["cluster-node-timeout 2000"]);
    cluster.voters(3);
    let copied = &cluster.nodes[(cluster.leader() + 1) % 3];
    let mut copy = Node::new(&["cluster-node-timeout 2000"]);
    fs::copy(copied.nodes_conf(), copy.nodes_conf()).unwrap();
    copy.start();
    let report = format!("Two processes call themselves {}", copied.id());
    until("somebody to say so", || {
        let heard = cluster.nodes.iter().any(|node| node.log().contains(&report) && node.field("cluster_stats_duplicate_ids_seen") != "0");
        if heard { Ok(()) } else { Err("not a word".to_owned()) }
    });
}

/// Links to one nodes.conf from two directories: the file that is meant is locked, and rewritten.
#[test]
fn two_names_of_one_file_are_one_file() {
    let first = Node::started(&[crate::cluster::CALM]);
    let mut second = Node::new(&[crate::cluster::CALM]);
    std::os::unix::fs::symlink(first.nodes_conf(), second.nodes_conf()).unwrap();
    second.spawn();
    assert!(!second.exit_status().success());
    assert!(second.log().contains("in use by another process"), "{}", second.log());
    drop(first);
}
