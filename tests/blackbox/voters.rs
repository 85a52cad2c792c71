//! Voters look after themselves: replacement, `cluster-raft-voters` at run time, availability zones.

use crate::cluster::{CALM, Cluster, insist};
use crate::node::Node;
use crate::wait::{now, until};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Who votes, as a node sees it.
fn voters(node: &Node) -> BTreeSet<String> {
    node.field("cluster_raft_voter_ids").split(',').map(str::to_owned).collect()
}

/// Waits until the voters that this node names are such.
#[track_caller]
fn until_voters(node: &Node, what: &str, fit: impl Fn(&BTreeSet<String>) -> bool) {
    until(what, || Some(voters(node)).filter(|voters| !fit(voters)).map_or(Ok(()), |voters| Err(format!("{voters:?}"))));
}

#[test]
fn a_voter_that_stays_failed_is_replaced() {
    let mut cluster = Cluster::formed(6, &["cluster-node-timeout 1500"]);
    cluster.voters(5);
    let leader = cluster.leader();
    let before = voters(&cluster.nodes[leader]);
    let voting = |at: &usize| before.contains(&cluster.nodes[*at].id());
    let sixth = (0..6).find(|at| !voting(at)).expect("five of six vote");
    let lost = (0..6).find(|at| *at != leader && voting(at)).expect("five vote");
    let (sixth, gone) = (cluster.nodes[sixth].id(), cluster.nodes[lost].id());
    let began = now();
    cluster.nodes[lost].kill();
    let expected: BTreeSet<String> = before.iter().filter(|id| **id != gone).cloned().chain([sixth]).collect();
    let watched = &cluster.nodes[leader];
    until("the sixth to take its place", || {
        let now = voters(watched);
        if now == expected { Ok(()) } else { Err(format!("{now:?}, not {expected:?}")) }
    });
    assert!(began.elapsed() >= Duration::from_millis(4 * 1500 - 500), "not before it has been failed for long: {:?}", began.elapsed());
    cluster.nodes[lost].start();
    cluster.agreed();
    cluster.voters(5);
    assert_eq!(voters(&cluster.nodes[lost]), expected, "it came back as a learner");
}

#[test]
fn failure_alone_removes_nobody() {
    let mut cluster = Cluster::formed(3, &["cluster-node-timeout 500"]);
    cluster.voters(3);
    let leader = cluster.leader();
    let before = voters(&cluster.nodes[leader]);
    let began = now();
    cluster.nodes[(leader + 1) % 3].kill();
    until("eight node-timeouts to pass", || if began.elapsed() > Duration::from_secs(4) { Ok(()) } else { Err("not yet".to_owned()) });
    let left = &cluster.nodes[(leader + 2) % 3];
    assert_eq!(voters(left), before);
    assert_eq!(insist(left, "CLUSTER ADDSLOTS 0"), "OK", "two of three go on");
}

#[test]
fn how_many_vote_changes_at_run_time() {
    let cluster = Cluster::formed(5, &[CALM]);
    cluster.voters(5);
    let leader = &cluster.nodes[cluster.leader()];
    for (wanted, voting) in [("3", 3), ("5", 5), ("2", 1), ("4", 3)] {
        assert_eq!(leader.ask(&format!("CONFIG SET cluster-raft-voters {wanted}")), "OK");
        cluster.voters(voting);
        assert!(voters(leader).contains(&leader.id()), "the leader stays");
    }
    // Whom an operator adds takes another's place.
    let before = voters(leader);
    let added = cluster.nodes.iter().map(Node::id).find(|id| !before.contains(id)).expect("three of five vote");
    assert_eq!(insist(&cluster.nodes[0], &format!("CLUSTER ADDVOTER {added}")), "OK");
    until_voters(leader, "another to make room", |voters| voters.len() == 3 && voters.contains(&added));
    assert!(voters(leader).contains(&leader.id()), "the leader stays");
    cluster.agreed();
}

#[test]
fn voters_spread_over_zones_that_are_announced() {
    let mut cluster = Cluster::formed(5, &[CALM, "cluster-raft-voters 3"]);
    let mut newcomer = Node::new(&[CALM, "cluster-raft-voters 3", "availability-zone c"]);
    newcomer.start();
    cluster.nodes[0].meet(&newcomer);
    cluster.nodes.push(newcomer);
    cluster.agreed();
    // Announced one by one while the set is there already: who votes is in one zone at first.
    let mut zone_of: BTreeMap<String, &str> = BTreeMap::new();
    let order = voters(&cluster.nodes[0]);
    let mut nodes: Vec<&Node> = cluster.nodes[..5].iter().collect();
    nodes.sort_by_key(|node| !order.contains(&node.id()));
    for (node, zone) in nodes.into_iter().zip(["a", "a", "a", "b", "b"]) {
        assert_eq!(node.ask(&format!("CONFIG SET availability-zone {zone}")), "OK");
        zone_of.insert(node.id(), zone);
    }
    zone_of.insert(cluster.nodes[5].id(), "c");
    let leader = &cluster.nodes[cluster.leader()];
    until_voters(leader, "one voter in each zone", |voters| {
        let zones: BTreeSet<&str> = voters.iter().filter_map(|id| zone_of.get(id)).copied().collect();
        (voters.len(), zones.len()) == (3, 3)
    });
    cluster.agreed();
    until("the zones to be shown everywhere", || {
        let shards = cluster.nodes[1].ask("CLUSTER SHARDS");
        if shards.matches("availability-zone").count() == 6 { Ok(()) } else { Err(shards) }
    });
    assert!(cluster.nodes[5].ask("INFO server").contains("availability_zone:c\r\n"));
}
