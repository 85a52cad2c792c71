//! Who belongs and who votes: FORGET, RESET, coming back, ADDVOTER, DELVOTER.

use crate::cluster::{CALM, Cluster, agreed, insist, lines, own_slots};
use crate::node::Node;
use crate::wait::until;

fn alone(node: &Node) {
    until("the node to be alone", || match (node.field("cluster_known_nodes").as_str(), node.field("cluster_raft_role").as_str()) {
        ("1", "leader") => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

fn voters(node: &Node) -> Vec<String> {
    node.field("cluster_raft_voter_ids").split(',').map(str::to_owned).collect()
}

#[test]
fn forget_on_every_node_and_come_back() {
    let mut cluster = Cluster::formed(4, &[CALM]);
    cluster.voters(3);
    // The leader itself is the one to go: it hands over first.
    let leaver = cluster.leader();
    let leaver = cluster.nodes.remove(leaver);
    let id = leaver.id();
    for node in &cluster.nodes {
        assert_eq!(insist(node, &format!("CLUSTER FORGET {id}")), "OK", "also where it is forgotten already");
    }
    cluster.agreed();
    cluster.voters(3);
    alone(&leaver);
    assert_eq!(leaver.id(), id);
    cluster.nodes[1].meet(&leaver);
    cluster.nodes.push(leaver);
    cluster.agreed();
}

#[test]
fn forget_refuses_in_valkeys_words() {
    let cluster = Cluster::with_slots(3, &[CALM]);
    let ids: Vec<String> = cluster.nodes.iter().map(Node::id).collect();
    let node = &cluster.nodes[0];
    assert_eq!(node.error(&format!("CLUSTER FORGET {}", ids[0])), "ERR I tried hard but I can't forget myself...");
    assert_eq!(node.error(&format!("CLUSTER FORGET {}", "a".repeat(40))), format!("ERR Unknown node {}", "a".repeat(40)));
    assert_eq!(node.error("CLUSTER FORGET abc"), "ERR Unknown node abc");
    assert_eq!(node.error(&format!("CLUSTER FORGET {}", ids[1])), "ERR The node owns slots: move or delete them first");
    cluster.agreed();
}

#[test]
fn reset_soft_of_a_member_leaves_and_it_may_come_back() {
    let mut cluster = Cluster::with_slots(4, &[CALM]);
    let leader = cluster.leader();
    let leaver = cluster.nodes.remove((leader + 1) % 4);
    let id = leaver.id();
    assert_eq!(insist(&leaver, "CLUSTER RESET"), "OK");
    alone(&leaver);
    assert_eq!((leaver.id(), own_slots(&leaver)), (id, String::new()));
    cluster.agreed();
    assert_eq!(cluster.nodes[0].field("cluster_slots_assigned"), "12288", "its slots have no owner now");
    cluster.nodes[0].meet(&leaver);
    cluster.nodes.push(leaver);
    cluster.agreed();
}

#[test]
fn reset_hard_of_the_leader_takes_a_new_id() {
    let mut cluster = Cluster::formed(4, &[CALM]);
    let leader = cluster.leader();
    let leaver = cluster.nodes.remove(leader);
    let id = leaver.id();
    assert_eq!(insist(&leaver, "CLUSTER RESET HARD"), "OK");
    alone(&leaver);
    assert_ne!(leaver.id(), id);
    cluster.agreed();
    assert!(lines(&cluster.nodes[0]).iter().all(|line| line.id != id));
    leaver.meet(&cluster.nodes[0]);
    cluster.nodes.push(leaver);
    cluster.agreed();
}

#[test]
fn the_only_voter_leaves_in_favour_of_the_other_node() {
    let cluster = Cluster::formed(2, &[CALM]);
    let (first, second) = (&cluster.nodes[0], &cluster.nodes[1]);
    assert_eq!(voters(second), [first.id()]);
    assert_eq!(insist(second, &format!("CLUSTER FORGET {}", first.id())), "OK");
    alone(first);
    alone(second);
    second.meet(first);
    cluster.agreed();
    let id = second.id();
    assert_eq!(voters(first).join(","), id);
    assert_eq!(insist(second, "CLUSTER RESET HARD"), "OK");
    alone(first);
    alone(second);
    assert_ne!(second.id(), id);
}

#[test]
fn reset_of_a_node_that_is_alone() {
    let mut node = Node::started(&[CALM]);
    assert_eq!(node.ask("CLUSTER ADDSLOTSRANGE 0 16383"), "OK");
    until("the node to serve", || node.try_ask("SET foo bar"));
    assert_eq!(node.error("CLUSTER RESET"), "ERR CLUSTER RESET can't be called with master nodes containing keys");
    assert_eq!(node.error("CLUSTER RESET MAYBE"), "ERR syntax error");
    assert_eq!(node.ask("FLUSHALL"), "OK");
    let id = node.id();
    assert_eq!(node.ask("CLUSTER RESET SOFT"), "OK");
    assert_eq!((node.id(), own_slots(&node)), (id.clone(), String::new()));
    assert_eq!(node.ask("CLUSTER RESET HARD"), "OK");
    let new = node.id();
    assert_ne!(new, id);
    node.kill();
    node.start();
    assert_eq!(node.id(), new, "it is on disk");
    agreed(&[&node]);
}

#[test]
fn reset_without_a_leader() {
    let mut cluster = Cluster::formed(3, &["cluster-node-timeout 1000"]);
    cluster.voters(3);
    let left = (cluster.leader() + 1) % 3;
    for at in (0..3).filter(|at| *at != left) {
        cluster.nodes[at].kill();
    }
    let node = &cluster.nodes[left];
    let id = node.id();
    until("the leader to be missed", || match node.try_ask("CLUSTER RESET SOFT") {
        Err(error) if error.starts_with("ERR CLUSTER RESET SOFT needs the cluster's leader") => Ok(()),
        Err(error) if error.starts_with("TIMEOUT ") => Err(error),
        other => panic!("a member that forgets what it acknowledged under the same id: {other:?}"),
    });
    assert_eq!(node.ask("CLUSTER RESET HARD"), "OK");
    alone(node);
    assert_ne!(node.id(), id);
}

#[test]
fn voters_rest_on_an_odd_number() {
    let mut cluster = Cluster::formed(2, &[CALM]);
    cluster.voters(1);
    for expected in [3, 3, 5, 5] {
        let newcomer = Node::started(&[CALM]);
        cluster.nodes[0].meet(&newcomer);
        cluster.nodes.push(newcomer);
        cluster.agreed();
        cluster.voters(expected);
    }
    assert_eq!(cluster.nodes[3].field("cluster_raft_learners"), "1");
}

#[test]
fn a_healthy_voter_leaves_while_another_is_down() {
    let mut cluster = Cluster::formed(4, &["cluster-node-timeout 2500"]);
    cluster.voters(3);
    let leader = cluster.leader();
    let voting = voters(&cluster.nodes[leader]);
    let mut others = (0..4).filter(|at| *at != leader && voting.contains(&cluster.nodes[*at].id()));
    let (down, leaver) = (others.next().expect("three vote"), others.next().expect("three vote"));
    cluster.nodes[down].kill();
    // Without a new voter first, the leader and the one that is down would be left to decide: nothing, ever again.
    let id = cluster.nodes[leaver].id();
    assert_eq!(insist(&cluster.nodes[leader], &format!("CLUSTER FORGET {id}")), "OK");
    alone(&cluster.nodes[leaver]);
    cluster.nodes[down].start();
    cluster.nodes.remove(leaver);
    cluster.agreed();
    cluster.voters(3);
}

#[test]
fn a_voter_that_cannot_be_spared_stays() {
    let mut cluster = Cluster::formed(3, &["cluster-node-timeout 1000"]);
    cluster.voters(3);
    let leader = cluster.leader();
    let (down, wanted) = ((leader + 1) % 3, (leader + 2) % 3);
    let id = cluster.nodes[wanted].id();
    cluster.nodes[down].kill();
    for request in ["FORGET", "DELVOTER"] {
        let error = cluster.nodes[leader].error(&format!("CLUSTER {request} {id}"));
        assert!(error.starts_with("TIMEOUT "), "{request}: {error}");
    }
    assert_eq!(insist(&cluster.nodes[wanted], "CLUSTER ADDSLOTS 0"), "OK", "two of three go on");
    cluster.nodes[down].start();
    cluster.agreed();
}

#[test]
fn a_smaller_cluster_rests_on_an_odd_number_too() {
    let mut cluster = Cluster::formed(3, &[CALM]);
    cluster.voters(3);
    let leaver = cluster.nodes.remove((cluster.leader() + 1) % 3);
    assert_eq!(insist(&cluster.nodes[0], &format!("CLUSTER FORGET {}", leaver.id())), "OK");
    cluster.agreed();
    cluster.voters(1);
}

#[test]
fn five_nodes_forget_one_after_the_other() {
    let mut cluster = Cluster::formed(5, &[CALM]);
    cluster.voters(5);
    for expected in [3, 3, 1, 1] {
        let leaver = cluster.nodes.remove(cluster.leader());
        let id = leaver.id();
        for node in &cluster.nodes {
            assert_eq!(insist(node, &format!("CLUSTER FORGET {id}")), "OK");
        }
        cluster.agreed();
        cluster.voters(expected);
        alone(&leaver);
    }
}

#[test]
fn voters_by_hand() {
    let cluster = Cluster::formed(5, &[CALM, "cluster-raft-voters 3"]);
    cluster.voters(3);
    let ids: Vec<String> = cluster.nodes.iter().map(Node::id).collect();
    let node = &cluster.nodes[0];
    let demoted = &ids[cluster.leader()];
    let learner = ids.iter().find(|id| !voters(node).contains(id)).expect("three of five vote");
    assert_eq!(node.error(&format!("CLUSTER ADDVOTER {demoted}")), format!("ERR Node {demoted} is already a voter"));
    assert_eq!(node.error(&format!("CLUSTER DELVOTER {learner}")), format!("ERR Node {learner} is not a voter"));
    assert_eq!(node.error("CLUSTER ADDVOTER abc"), "ERR Unknown node abc");
    // The leader goes and a learner takes its place; by itself the leader does not come back.
    assert_eq!(insist(node, &format!("CLUSTER DELVOTER {demoted}")), "OK");
    cluster.voters(3);
    cluster.agreed();
    assert!(!voters(node).contains(demoted), "{:?}", voters(node));
    assert_eq!(insist(node, &format!("CLUSTER ADDVOTER {demoted}")), "OK");
    // Another makes room.
    until("three to vote again", || Some(voters(node)).filter(|ids| ids.len() != 3).map_or(Ok(()), |ids| Err(format!("{ids:?}"))));
    assert!(voters(node).contains(demoted), "{:?}", voters(node));
    let other = voters(node).into_iter().find(|id| id != demoted).expect("three vote");
    assert_eq!(insist(node, &format!("CLUSTER DELVOTER {other}")), "OK");
    cluster.voters(3);
    cluster.agreed();
    assert!(!voters(node).contains(&other), "{:?}", voters(node));
}

#[test]
fn the_last_voter_stays() {
    let node = Node::started(&[CALM]);
    assert_eq!(node.error(&format!("CLUSTER DELVOTER {}", node.id())), "ERR The last voter cannot be demoted");
    let cluster = Cluster::formed(3, &[CALM, "cluster-raft-voters 1"]);
    let ids: Vec<String> = cluster.nodes.iter().map(Node::id).collect();
    assert_eq!(voters(&cluster.nodes[2]), [ids[0].clone()]);
    assert_eq!(cluster.nodes[1].error(&format!("CLUSTER DELVOTER {}", ids[0])), "ERR The last voter cannot be demoted");
    // Where one votes, an operator's choice takes its place: the leader hands over to it.
    assert_eq!(insist(&cluster.nodes[1], &format!("CLUSTER ADDVOTER {}", ids[2])), "OK");
    cluster.voters(1);
    cluster.agreed();
    assert_eq!(voters(&cluster.nodes[0]), [ids[2].clone()]);
}
