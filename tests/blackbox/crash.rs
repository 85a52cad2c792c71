//! kill -9 of one, some, all; and the signals that end a node in order. What was acknowledged is there afterwards.

use crate::cluster::{CALM, Cluster, agreed, insist, lines};
use crate::ledger::Ledger;
use crate::node::Node;
use crate::reply::Raw;
use crate::wait::{EndAtLast, until, until_true};
use rustix::process::Signal;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

/// What a restart must not change.
fn identity(node: &Node) -> (String, String) {
    (node.id(), node.ask("CLUSTER MYSHARDID"))
}

fn identities(cluster: &Cluster) -> Vec<(String, String)> {
    cluster.nodes.iter().map(identity).collect()
}

fn term(node: &Node) -> u64 {
    node.field("cluster_raft_current_term").parse().expect("a term is a number")
}

/// Who owns what, by what every node says; they must say the same.
fn ownership(cluster: &Cluster) -> Vec<(String, String)> {
    let of = |node: &Node| {
        let mut pairs: Vec<_> = lines(node).into_iter().map(|line| (line.id, line.slots)).collect();
        pairs.sort();
        pairs
    };
    let first = of(&cluster.nodes[0]);
    assert!(cluster.nodes.iter().all(|node| of(node) == first), "the nodes disagree about slots");
    first
}

#[test]
fn any_single_node_may_die_and_come_back() {
    let mut cluster = Cluster::with_slots(5, &["cluster-node-timeout 2500"]);
    cluster.voters(5);
    let before = identities(&cluster);
    let leader = cluster.leader();
    for (round, victim) in [leader, (leader + 1) % 5].into_iter().enumerate() {
        let last_term = term(&cluster.nodes[victim]);
        cluster.nodes[victim].kill();
        let other = (victim + 2) % 5;
        let slot = 100 + round;
        assert_eq!(insist(&cluster.nodes[other], &format!("CLUSTER SETSLOT {slot} NODE {}", before[other].0)), "OK");
        cluster.nodes[victim].start();
        cluster.ok();
        cluster.agreed();
        assert!(term(&cluster.nodes[victim]) >= last_term, "terms never go down");
        assert_eq!(identities(&cluster), before);
        let owner = ownership(&cluster).into_iter().find(|(id, _)| *id == before[other].0).expect("it is a member");
        assert!(owner.1.split(' ').any(|range| range == slot.to_string() || range.starts_with("100-")), "{owner:?}");
    }
}

#[test]
fn two_of_three_voters_go_on_and_one_does_not() {
    let mut cluster = Cluster::with_slots(3, &["cluster-node-timeout 1500"]);
    cluster.voters(3);
    let ids: Vec<String> = cluster.nodes.iter().map(Node::id).collect();
    cluster.nodes[2].kill();
    for slot in 0..10 {
        assert_eq!(insist(&cluster.nodes[slot % 2], &format!("CLUSTER SETSLOT {slot} NODE {}", ids[1])), "OK");
    }
    until_true("the dead node to be flagged", || lines(&cluster.nodes[0]).iter().any(|line| line.id == ids[2] && line.has_failed()));
    assert_eq!(cluster.nodes[0].field("cluster_state"), "fail", "a failed node owns slots");
    cluster.nodes[1].kill();
    let error = cluster.nodes[0].error(&format!("CLUSTER SETSLOT 20 NODE {}", ids[1]));
    assert!(error.starts_with("TIMEOUT "), "one of three decides nothing: {error}");
    cluster.start_all();
    cluster.ok();
    cluster.agreed();
    let slots = ownership(&cluster).into_iter().find(|(id, _)| *id == ids[1]).expect("it is a member").1;
    assert!(slots.starts_with("0-9 "), "{slots}");
    until_true("all to be reached", || lines(&cluster.nodes[0]).iter().all(|line| !line.flags.contains("fail")));
}

#[test]
fn a_cluster_of_one_keeps_what_it_acknowledged() {
    let mut node = Node::started(&[CALM]);
    let before = identity(&node);
    for round in 0..5 {
        assert_eq!(node.ask(&format!("CLUSTER ADDSLOTS {round}")), "OK");
        node.kill();
        node.start();
        until("its own commit", || match crate::cluster::own_slots(&node) {
            slots if slots == if round == 0 { "0".to_owned() } else { format!("0-{round}") } => Ok(()),
            slots => Err(slots),
        });
        assert_eq!(identity(&node), before);
    }
}

#[test]
fn acknowledged_changes_survive_kill_9_in_the_middle_of_them() {
    let mut cluster = Cluster::with_slots(5, &["cluster-node-timeout 2000"]);
    cluster.voters(5);
    let before = identities(&cluster);
    let ports = cluster.nodes.iter().map(Node::number).collect();
    let ledger = Mutex::new(Ledger::new(ports, before.iter().map(|(id, _)| id.clone()).collect()));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stopped = EndAtLast(&stop);
        scope.spawn(|| Ledger::move_slots(&ledger, &stop));
        for victims in [&[0][..], &[1, 3], &[0, 2, 4], &[0, 1, 2, 3, 4]] {
            let enough = ledger.lock().unwrap().acknowledged() + 40;
            until_true("more changes to be acknowledged", || ledger.lock().unwrap().acknowledged() >= enough);
            let terms: Vec<u64> = victims.iter().map(|at| term(&cluster.nodes[*at])).collect();
            victims.iter().for_each(|at| cluster.nodes[*at].kill());
            cluster.start_all();
            for (at, before) in victims.iter().zip(terms) {
                assert!(term(&cluster.nodes[*at]) >= before, "terms never go down");
            }
        }
        drop(stopped);
    });
    cluster.ok();
    cluster.agreed();
    assert_eq!(identities(&cluster), before);
    ownership(&cluster);
    ledger.into_inner().unwrap().compare(&lines(&cluster.nodes[0]));
}

#[test]
fn an_ordered_end_leaves_a_compacted_file() {
    let mut cluster = Cluster::with_slots(5, &[CALM]);
    cluster.voters(5);
    let leader = cluster.leader();
    let order = [(leader + 1) % 5, (leader + 2) % 5, leader];
    for (at, how) in order.into_iter().zip(["SIGTERM", "SIGINT", "SHUTDOWN"]) {
        let running: Vec<&Node> = cluster.nodes.iter().filter(|node| node.try_ask("PING").is_ok()).collect();
        until("everything to be applied, also that those before are gone", || {
            let info = running[0].info();
            let failed = lines(running[0]).iter().filter(|line| line.has_failed()).count();
            if failed + running.len() < cluster.nodes.len() {
                return Err(format!("{failed} failed"));
            }
            let seen: Vec<_> =
                running.iter().map(|node| (node.field("cluster_raft_last_index"), node.field("cluster_raft_last_applied"))).collect();
            let last = (info["cluster_raft_last_index"].clone(), info["cluster_raft_last_index"].clone());
            if seen.iter().all(|pair| *pair == last) { Ok(()) } else { Err(format!("{seen:?}")) }
        });
        let node = &mut cluster.nodes[at];
        match how {
            "SIGTERM" => node.signal(Signal::TERM),
            "SIGINT" => node.signal(Signal::INT),
            _ => {
                let mut client = Raw::connect(node.number());
                client.send("SHUTDOWN\r\n");
                assert_eq!(client.rest(), b"", "SHUTDOWN answers by its end");
            }
        }
        assert_eq!(node.exit_status().code(), Some(0), "{how}");
        let file = std::fs::read_to_string(node.nodes_conf()).unwrap();
        let tail: Vec<&str> = file.lines().skip_while(|line| !line.starts_with("crc ")).skip(1).collect();
        assert!(tail.len() == 1 && tail[0].starts_with("synced "), "{how}: {file}");
    }
    cluster.start_all();
    cluster.ok();
    agreed(&cluster.nodes.iter().collect::<Vec<_>>());
}
