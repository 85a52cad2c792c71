//! Nodes whose address changes: announced otherwise at run time, or started again with another IP or port. The others find them again.

use crate::cluster::{CALM, Cluster, insist, lines};
use crate::node::Node;
use crate::wait::until;
use std::fs;

const QUICK: &str = "cluster-node-timeout 2500";

/// Waits until every node shows this member under an address that begins so.
#[track_caller]
fn shown(cluster: &Cluster, id: &str, address: &str) {
    for node in &cluster.nodes {
        until(&format!("node {} to show {address}", node.number()), || match lines(node).into_iter().find(|line| line.id == id) {
            Some(line) if line.address.starts_with(address) => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }
}

/// Stops a node, has it listen on another port and IP, and starts it.
fn restart_at(node: &mut Node, ip: &str) {
    node.kill();
    node.move_to_another_port();
    node.move_to(ip);
    node.start();
}

#[test]
fn what_a_node_announces_changes_at_run_time() {
    let cluster = Cluster::with_slots(4, &[CALM, "bind 0.0.0.0"]);
    cluster.voters(3);
    for at in 0..4 {
        let node = &cluster.nodes[at];
        let id = node.id();
        assert_eq!(node.ask(&format!("CONFIG SET cluster-announce-hostname host-{at}.example cluster-announce-port 70{at}0")), "OK");
        assert_eq!(node.ask("CONFIG SET cluster-announce-human-nodename blue cluster-replica-no-failover yes"), "OK");
        let bus = node.port.bus();
        shown(&cluster, &id, &format!("127.0.0.1:70{at}0@{bus},host-{at}.example"));
        assert_eq!(node.ask("CONFIG SET cluster-announce-ip 127.0.0.9 cluster-announce-bus-port 0"), "OK");
        shown(&cluster, &id, &format!("127.0.0.9:70{at}0@{bus},host-{at}.example"));
        for other in &cluster.nodes {
            until("the flag", || match lines(other).into_iter().find(|line| line.id == id) {
                Some(line) if line.flags.contains("nofailover") => Ok(()),
                other => Err(format!("{other:?}")),
            });
            for command in ["CLUSTER SHARDS", "CLUSTER SLOTS"] {
                let reply = other.ask(command);
                assert!(reply.contains("127.0.0.9") && reply.contains(&format!("host-{at}.example")), "{command}: {reply}");
            }
            assert_eq!(other.ask("CLUSTER SAVECONFIG"), "OK");
            let file = fs::read_to_string(other.nodes_conf()).unwrap();
            let line = file.lines().find(|line| line.starts_with(&id)).expect("a node line");
            assert!(line.contains("human-nodename=blue"), "{line}");
        }
        // Taken back, it is found out again: the leader's link says where this node is.
        assert_eq!(node.ask("CONFIG SET cluster-announce-ip  cluster-announce-port 0 cluster-announce-hostname "), "OK");
        shown(&cluster, &id, &format!("127.0.0.1:{}@{bus}", node.number()));
    }
    assert_eq!(insist(&cluster.nodes[0], "CLUSTER DELSLOTS 0"), "OK");
    cluster.agreed();
}

#[test]
fn a_wrong_address_is_put_right_at_run_time() {
    let cluster = Cluster::formed(3, &[QUICK, "bind 0.0.0.0"]);
    cluster.voters(3);
    let leader = cluster.leader();
    let (node, heir) = (&cluster.nodes[(leader + 1) % 3], &cluster.nodes[(leader + 2) % 3]);
    let id = node.id();
    assert_eq!(node.ask("CONFIG SET cluster-announce-bus-port 1"), "OK");
    shown(&cluster, &id, &format!("127.0.0.1:{}@1", node.number()));
    // The present leader's link stays up; the next one dials where nobody is. By then the node has greeted everybody, wrongly.
    assert_eq!(insist(heir, "CLUSTER RAFT TRANSFER"), "OK");
    until("the node to be flagged", || match lines(heir).into_iter().find(|line| line.id == id) {
        Some(line) if line.has_failed() => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(node.ask("CONFIG SET cluster-announce-bus-port 0"), "OK");
    shown(&cluster, &id, &format!("127.0.0.1:{}@{}", node.number(), node.port.bus()));
    cluster.agreed();
}

#[test]
fn a_node_at_another_ip_and_port_is_reached_again() {
    let mut cluster = Cluster::formed(4, &[QUICK]);
    cluster.voters(3);
    for (role, ip) in [("learner", "127.0.0.2"), ("follower", "127.0.0.3"), ("leader", "127.0.0.4")] {
        let at = cluster.place_of(role);
        let id = cluster.nodes[at].id();
        restart_at(&mut cluster.nodes[at], ip);
        let (port, bus) = (cluster.nodes[at].number(), cluster.nodes[at].port.bus());
        shown(&cluster, &id, &format!("{ip}:{port}@{bus}"));
        cluster.agreed();
    }
    assert_eq!(insist(&cluster.nodes[0], "CLUSTER ADDSLOTS 0"), "OK");
    cluster.agreed();
}

#[test]
fn the_only_voter_at_another_address_is_reached_again() {
    let mut cluster = Cluster::formed(2, &[QUICK]);
    let (id, other) = (cluster.nodes[0].id(), cluster.nodes[1].id());
    assert_eq!(cluster.nodes[0].field("cluster_raft_role"), "leader");
    restart_at(&mut cluster.nodes[0], "127.0.0.5");
    let (port, bus) = (cluster.nodes[0].number(), cluster.nodes[0].port.bus());
    shown(&cluster, &id, &format!("127.0.0.5:{port}@{bus}"));
    // The learner's changes find their way to it.
    assert_eq!(insist(&cluster.nodes[1], "CLUSTER ADDSLOTS 0"), "OK");
    restart_at(&mut cluster.nodes[1], "127.0.0.6");
    let (port, bus) = (cluster.nodes[1].number(), cluster.nodes[1].port.bus());
    shown(&cluster, &other, &format!("127.0.0.6:{port}@{bus}"));
    cluster.agreed();
}

#[test]
fn all_nodes_at_other_addresses_meet_again() {
    let mut cluster = Cluster::formed(3, &[QUICK]);
    cluster.voters(3);
    let ids: Vec<String> = cluster.nodes.iter().map(Node::id).collect();
    cluster.nodes.iter_mut().for_each(Node::kill);
    for node in &mut cluster.nodes {
        node.move_to_another_port();
        node.move_to("127.0.0.7");
    }
    cluster.start_all();
    // Each knows the others by what they were; nobody can be reached until an operator says where one is.
    for at in [1, 2] {
        cluster.nodes[0].meet(&cluster.nodes[at]);
    }
    cluster.agreed();
    for (at, id) in ids.iter().enumerate() {
        assert_eq!(cluster.nodes[at].id(), *id);
        let (port, bus) = (cluster.nodes[at].number(), cluster.nodes[at].port.bus());
        shown(&cluster, id, &format!("127.0.0.7:{port}@{bus}"));
    }
}
