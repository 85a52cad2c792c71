//! Nodes that were away: stopped, forgotten, moved to another port, far behind. They find their way back, or learn that there is none.

use crate::cluster::{Cluster, agreed, insist, lines, own_slots};
use crate::wait::{until, until_true};
use rustix::process::Signal;
use std::fs;

#[test]
fn a_stopped_leader_is_replaced_and_follows_when_it_goes_on() {
    let cluster = Cluster::with_slots(3, &["cluster-node-timeout 2000"]);
    cluster.voters(3);
    let leader = cluster.leader();
    let (one, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let stopped = &cluster.nodes[leader];
    let term: u64 = stopped.field("cluster_raft_current_term").parse().unwrap();
    stopped.signal(Signal::STOP);
    let target = cluster.nodes[other].id();
    assert_eq!(insist(&cluster.nodes[one], &format!("CLUSTER SETSLOT {} NODE {target}", 16384 * one / 3)), "OK");
    stopped.signal(Signal::CONT);
    cluster.ok();
    cluster.agreed();
    assert!(stopped.field("cluster_raft_current_term").parse::<u64>().unwrap() > term);
    let line = lines(stopped).into_iter().find(|line| line.id == target).expect("it is a member");
    assert!(line.slots.split(' ').any(|range| range.split('-').next() == Some(&(16384 * one / 3).to_string())), "{line:?}");
}

#[test]
fn a_node_that_was_forgotten_while_it_was_down_learns_it() {
    let mut cluster = Cluster::formed(4, &["cluster-node-timeout 2500"]);
    cluster.voters(3);
    let away = (cluster.leader() + 1) % 4;
    let mut away = cluster.nodes.remove(away);
    let id = away.id();
    away.kill();
    for node in &cluster.nodes {
        assert_eq!(insist(node, &format!("CLUSTER FORGET {id}")), "OK");
    }
    cluster.agreed();
    away.start();
    agreed(&[&away]);
    assert_eq!(away.id(), id);
    cluster.nodes[0].meet(&away);
    cluster.nodes.push(away);
    cluster.agreed();
}

#[test]
fn a_node_on_another_port_is_found_again() {
    let mut cluster = Cluster::with_slots(3, &["cluster-node-timeout 2500"]);
    cluster.voters(3);
    let id = cluster.nodes[2].id();
    cluster.nodes[2].kill();
    cluster.nodes[2].move_to_another_port();
    cluster.nodes[2].start();
    cluster.ok();
    cluster.agreed();
    let address = format!("127.0.0.1:{}@{}", cluster.nodes[2].number(), cluster.nodes[2].port.bus());
    for node in &cluster.nodes {
        until("the new address", || match lines(node).into_iter().find(|line| line.id == id) {
            Some(line) if line.address.starts_with(&address) => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }
    assert_eq!(cluster.nodes[0].error("GET foo"), format!("MOVED 12182 127.0.0.1:{}", cluster.nodes[2].number()));
}

#[test]
fn a_member_whose_file_was_lost_is_another_node() {
    let mut cluster = Cluster::formed(4, &["cluster-node-timeout 1500"]);
    cluster.voters(3);
    let lost = (cluster.leader() + 1) % 4;
    let mut lost = cluster.nodes.remove(lost);
    let old = lost.id();
    lost.kill();
    fs::remove_file(lost.nodes_conf()).unwrap();
    lost.start();
    assert_ne!(lost.id(), old);
    until("the old id to be flagged", || match lines(&cluster.nodes[0]).into_iter().find(|line| line.id == old) {
        Some(line) if line.has_failed() => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(insist(&cluster.nodes[0], &format!("CLUSTER FORGET {old}")), "OK");
    cluster.agreed();
    cluster.nodes[0].meet(&lost);
    cluster.nodes.push(lost);
    cluster.agreed();
}

#[test]
fn a_client_that_leaves_while_it_waits_leaves_nothing_behind() {
    let mut cluster = Cluster::with_slots(3, &["cluster-node-timeout 1500"]);
    cluster.voters(3);
    let left = (cluster.leader() + 1) % 3;
    for at in (0..3).filter(|at| *at != left) {
        cluster.nodes[at].kill();
    }
    let slot = 16384 * left / 3;
    for _ in 0..50 {
        let mut client = crate::reply::Raw::connect(cluster.nodes[left].number());
        client.send(format!("CLUSTER DELSLOTS {slot}\r\nPING\r\n"));
    }
    let node = &cluster.nodes[left];
    until_true("the clients to be gone", || node.ask("CLIENT LIST").lines().count() == 1);
    cluster.start_all();
    cluster.agreed();
    assert!(own_slots(&cluster.nodes[left]).contains('-'));
}
