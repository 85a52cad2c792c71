//! Replicas: who becomes one, and what they answer.

use crate::cluster::{CALM, Cluster, agreed, lines};
use crate::node::Node;
use crate::tools::{at, cluster_cli};
use crate::wait::until;
use std::collections::BTreeSet;

/// For each replica that this node knows its primary, by id.
fn pairs(node: &Node) -> BTreeSet<(String, String)> {
    let shown = node.ask("CLUSTER NODES");
    let words = shown.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    words.filter(|words| words[2].contains("slave")).map(|words| (words[0].to_owned(), words[3].to_owned())).collect()
}

#[test]
fn redis_cli_gives_every_primary_a_replica() {
    let cluster = Cluster::strangers(6, &[CALM]);
    let all: Vec<String> = cluster.nodes.iter().map(at).collect();
    let text = cluster_cli(&format!("create {} --cluster-replicas 1 --cluster-yes", all.join(" ")));
    assert!(text.contains("[OK] All 16384 slots covered."), "{text}");
    cluster.ok();
    cluster.agreed();
    let check = cluster_cli(&format!("check {}", all[5]));
    assert!(
        check.contains("[OK] All nodes agree about slots configuration.") && check.matches("1 additional replica(s)").count() == 3,
        "{check}"
    );
    let found = pairs(&cluster.nodes[0]);
    assert_eq!(found.len(), 3);
    assert_eq!(found.iter().map(|(_, primary)| primary).collect::<BTreeSet<_>>().len(), 3);
    for node in &cluster.nodes {
        assert_eq!(pairs(node), found);
    }
    let (replica, primary) = found.first().expect("there are three");
    let shown = cluster.nodes[0].ask(&format!("CLUSTER REPLICAS {primary}"));
    assert!(shown.contains(replica) && shown.contains(&format!("slave {primary}")), "{shown}");
    let replica = cluster.nodes.iter().find(|node| node.id() == *replica).expect("it is one of them");
    assert!(replica.ask("INFO replication").starts_with("# Replication\r\nrole:slave\r\n"));
    assert_eq!(replica.error(&format!("CLUSTER REPLICAS {}", replica.id())), "ERR The specified node is not a master");
}

#[test]
fn redis_cli_adds_a_replica_and_removes_it() {
    let mut cluster = Cluster::with_slots(3, &[CALM]);
    let newcomer = Node::started(&[CALM]);
    let primary = cluster.nodes[1].id();
    let add = format!("add-node {} {} --cluster-slave --cluster-master-id {primary}", at(&newcomer), at(&cluster.nodes[0]));
    let text = cluster_cli(&add);
    assert!(text.contains("[OK] New node added correctly."), "{text}");
    cluster.nodes.push(newcomer);
    cluster.agreed();
    let newcomer = &cluster.nodes[3];
    assert_eq!(pairs(&cluster.nodes[0]), BTreeSet::from([(newcomer.id(), primary)]));
    cluster_cli(&format!("del-node {} {}", at(&cluster.nodes[0]), newcomer.id()));
    until("the removed node to be alone", || match newcomer.field("cluster_known_nodes").as_str() {
        "1" => Ok(()),
        other => Err(format!("it knows {other}")),
    });
    assert!(lines(newcomer)[0].flags.contains("master"));
    agreed(&cluster.nodes[..3].iter().collect::<Vec<_>>());
}

#[test]
fn a_node_may_change_its_primary_and_be_one_again() {
    let mut cluster = Cluster::with_slots(3, &[CALM]);
    cluster.nodes.push(Node::started(&[CALM]));
    cluster.nodes[0].meet(&cluster.nodes[3]);
    cluster.agreed();
    let (node, ids) = (&cluster.nodes[3], cluster.nodes.iter().map(Node::id).collect::<Vec<_>>());
    assert_eq!(
        cluster.nodes[0].error(&format!("CLUSTER REPLICATE {}", ids[1])),
        "ERR To set a master the node must be empty and without assigned slots."
    );
    for primary in [&ids[0], &ids[0], &ids[2]] {
        assert_eq!(node.ask(&format!("CLUSTER REPLICATE {primary}")), "OK");
        cluster.agreed();
        assert_eq!(pairs(&cluster.nodes[1]), BTreeSet::from([(ids[3].clone(), primary.clone())]));
    }
    assert_eq!(cluster.nodes[1].error(&format!("CLUSTER REPLICATE {}", ids[3])), "ERR I can only replicate a master, not a replica.");
    assert_eq!(node.ask("CLUSTER REPLICATE NO ONE"), "OK");
    cluster.agreed();
    assert_eq!(pairs(&cluster.nodes[1]), BTreeSet::new());
    assert_eq!(node.ask(&format!("CLUSTER REPLICATE {}", ids[1])), "OK");
    assert_eq!(node.ask("CLUSTER REPLICATE no one"), "OK");
}
