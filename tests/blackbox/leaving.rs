//! Every way to leave and to come back: by whom, as what, reachable or not.

use crate::cluster::{CALM, Cluster, agreed, insist};
use crate::node::Node;
use crate::reply::Raw;
use crate::wait::{now, pause, until};
use rustix::process::Signal;
use std::time::Duration;

const QUICK: &str = "cluster-node-timeout 2500";

/// Has every one of these nodes forget `id`, as the tools do.
#[track_caller]
fn forget(nodes: &[Node], id: &str) {
    for node in nodes {
        assert_eq!(insist(node, &format!("CLUSTER FORGET {id}")), "OK");
    }
}

#[test]
fn every_role_leaves_by_every_way_and_comes_back() {
    let mut cluster = Cluster::formed(5, &[CALM, "cluster-raft-voters 3"]);
    cluster.voters(3);
    for role in ["learner", "follower", "leader"] {
        for way in ["FORGET", "RESET SOFT", "RESET HARD"] {
            let mut leaver = cluster.nodes.remove(cluster.place_of(role));
            let id = leaver.id();
            match way {
                "FORGET" => forget(&cluster.nodes, &id),
                reset => assert_eq!(insist(&leaver, &format!("CLUSTER {reset}")), "OK"),
            }
            agreed(&[&leaver]);
            assert_eq!(leaver.id() == id, way != "RESET HARD", "{role}, {way}");
            cluster.agreed();
            cluster.voters(3);
            // By itself it does not come back.
            leaver.kill();
            leaver.start();
            agreed(&[&leaver]);
            cluster.agreed();
            // The one asks the other, or the other way round.
            if role == "learner" {
                leaver.meet(&cluster.nodes[0])
            } else {
                cluster.nodes[1].meet(&leaver)
            }
            cluster.nodes.push(leaver);
            cluster.agreed();
            cluster.voters(3);
        }
    }
}

#[test]
fn dead_nodes_are_forgotten_and_their_votes_with_them() {
    let mut cluster = Cluster::formed(5, &[QUICK]);
    cluster.voters(5);
    // A voter, then the leader, then a voter again: each leaves behind a majority of those that are there.
    let mut gone = Vec::new();
    for (role, left) in [("follower", 3), ("leader", 3), ("follower", 1)] {
        let mut dead = cluster.nodes.remove(cluster.place_of(role));
        let id = dead.id();
        dead.kill();
        forget(&cluster.nodes, &id);
        cluster.agreed();
        cluster.voters(left);
        gone.push((dead, id));
    }
    assert_eq!(insist(&cluster.nodes[0], "CLUSTER ADDSLOTS 0"), "OK", "two nodes and one vote are enough");
    for (mut node, id) in gone {
        node.start();
        agreed(&[&node]);
        assert_eq!(node.id(), id);
        cluster.nodes[1].meet(&node);
        cluster.nodes.push(node);
        cluster.agreed();
    }
    cluster.voters(5);
}

#[test]
fn who_gets_a_snapshot_knows_who_was_forgotten() {
    let mut cluster = Cluster::formed(4, &[QUICK, "cluster-raft-voters 3"]);
    cluster.voters(3);
    let leaver = cluster.nodes.remove(cluster.place_of("learner"));
    let id = leaver.id();
    let behind = cluster.place_of("follower");
    cluster.nodes[behind].signal(Signal::STOP);
    let node = &cluster.nodes[(behind + 1) % 3];
    assert_eq!(insist(node, &format!("CLUSTER FORGET {id}")), "OK");
    for change in 0..200 {
        assert_eq!(insist(node, &format!("CLUSTER {} 0", if change % 2 == 0 { "ADDSLOTS" } else { "DELSLOTS" })), "OK");
    }
    cluster.nodes[behind].signal(Signal::CONT);
    cluster.agreed();
    assert_eq!(cluster.nodes[behind].ask(&format!("CLUSTER FORGET {id}")), "OK", "the tools send it to every node");
    agreed(&[&leaver]);
}

/// A cluster of three of which one was down while newcomers took the others' places; it was forgotten meanwhile.
/// Gives the cluster, those who left, and the one that is down.
fn replaced(keep: usize) -> (Cluster, Vec<Node>, Node) {
    let mut cluster = Cluster::formed(3, &[QUICK]);
    cluster.voters(3);
    let mut away = cluster.nodes.pop().expect("there are three");
    let id = away.id();
    away.kill();
    forget(&cluster.nodes, &id);
    cluster.agreed();
    let newcomer = Node::started(&[QUICK]);
    cluster.nodes[0].meet(&newcomer);
    cluster.nodes.insert(0, newcomer);
    cluster.agreed();
    cluster.voters(3);
    let left: Vec<Node> = cluster.nodes.drain(1 + keep..).collect();
    for node in &left {
        forget(&cluster.nodes, &node.id());
    }
    let newcomer = &cluster.nodes[0];
    until("the newcomer to lead", || {
        // What the leader has done by itself already is refused.
        let _ = newcomer.try_ask(&format!("CLUSTER ADDVOTER {}", newcomer.id()));
        for node in &cluster.nodes[1..] {
            let _ = newcomer.try_ask(&format!("CLUSTER DELVOTER {}", node.id()));
        }
        let role = newcomer.field("cluster_raft_role");
        if role == "leader" && newcomer.field("cluster_raft_voters") == "1" { Ok(()) } else { Err(role) }
    });
    cluster.agreed();
    (cluster, left, away)
}

#[test]
fn a_member_that_does_not_lead_can_tell_that_one_was_forgotten() {
    let (mut cluster, _left, mut away) = replaced(1);
    away.start();
    agreed(&[&away]);
    away.meet(&cluster.nodes[0]);
    cluster.nodes.push(away);
    cluster.agreed();
}

/// Whom nobody can tell that it knows, its own operator tells: it does not believe others' words.
#[test]
fn when_all_that_it_knew_have_left_a_meet_of_its_own_tells() {
    let (mut cluster, _left, mut away) = replaced(0);
    away.start();
    until("the leader to be missed", || match away.try_ask("CLUSTER RESET SOFT") {
        Err(error) if error.starts_with("ERR CLUSTER RESET SOFT needs the cluster's leader") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let error = cluster.nodes[0].error(&format!("CLUSTER MEET 127.0.0.1 {}", away.number()));
    assert!(error.starts_with("ERR The node to meet was forgotten and has not heard of it from a member that it knows"), "{error}");
    away.meet(&cluster.nodes[0]);
    cluster.nodes.push(away);
    cluster.agreed();
}

#[test]
fn a_joiner_asks_again_by_itself_after_a_restart() {
    let mut cluster = Cluster::formed(3, &[CALM]);
    cluster.voters(3);
    // Not the leader: that has the NODE_JOIN in its log on disk.
    let sponsor = cluster.place_of("follower");
    for at in (0..3).filter(|at| *at != sponsor) {
        cluster.nodes[at].kill();
    }
    let mut joiner = Node::started(&[CALM]);
    let mut client = Raw::connect(cluster.nodes[sponsor].number());
    client.send(format!("CLUSTER MEET 127.0.0.1 {}\r\n", joiner.number()));
    until("it to step down", || match std::fs::read_to_string(joiner.nodes_conf()).unwrap_or_default() {
        text if text.lines().any(|line| line.starts_with("joiner cluster ")) => Ok(()),
        text => Err(text),
    });
    // What the sponsor had proposed is lost with its process.
    cluster.nodes[sponsor].kill();
    joiner.kill();
    cluster.start_all();
    joiner.start();
    cluster.nodes.push(joiner);
    cluster.agreed();
}

#[test]
fn an_old_wish_does_not_take_younger_ones_with_it() {
    let mut cluster = Cluster::formed(3, &["cluster-node-timeout 1000"]);
    cluster.voters(3);
    let leader = cluster.leader();
    let (down, wanted) = ((leader + 1) % 3, (leader + 2) % 3);
    let id = cluster.nodes[wanted].id();
    cluster.nodes[down].kill();
    let mut clients = [(); 2].map(|()| Raw::connect(cluster.nodes[leader].number()));
    clients[0].send(format!("CLUSTER FORGET {id}\r\n"));
    pause(Duration::from_millis(1500));
    let asked = now();
    clients[1].send(format!("CLUSTER FORGET {id}\r\n"));
    for client in &mut clients {
        let answer = client.line();
        assert!(answer.starts_with("-TIMEOUT "), "{answer}");
    }
    assert!(asked.elapsed() >= Duration::from_millis(2900), "three node-timeouts for each: {:?}", asked.elapsed());
}
