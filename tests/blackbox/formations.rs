//! Every way in which nodes come together: who meets whom, in which order, with what in their hands.

use crate::cluster::{CALM, Cluster, agreed, lines, own_slots};
use crate::node::Node;
use crate::wait::until;
use rustix::process::Signal;

#[test]
fn star() {
    let cluster = Cluster::formed(6, &[CALM]);
    cluster.voters(5);
}

#[test]
fn reverse_star() {
    let cluster = Cluster::strangers(5, &[CALM]);
    for node in &cluster.nodes[1..] {
        node.meet(&cluster.nodes[0]);
    }
    cluster.agreed();
    cluster.voters(5);
}

#[test]
fn chain() {
    let cluster = Cluster::strangers(5, &[CALM]);
    for pair in cluster.nodes.windows(2) {
        pair[0].meet(&pair[1]);
    }
    cluster.agreed();
}

#[test]
fn everybody_is_told_to_meet_everybody_at_once() {
    let cluster = Cluster::strangers(4, &[CALM]);
    std::thread::scope(|scope| {
        for (at, node) in cluster.nodes.iter().enumerate() {
            for other in cluster.nodes[at + 1..].iter().chain(&cluster.nodes[..at]) {
                // Some of them come too late or too early: both are in a cluster by then. Only pairs have to come out right (below).
                scope.spawn(move || node.try_ask(&format!("CLUSTER MEET 127.0.0.1 {}", other.number())));
            }
        }
    });
    until("one cluster, by asking again where two have formed", || {
        for node in &cluster.nodes[1..] {
            let _ = cluster.nodes[0].try_ask(&format!("CLUSTER MEET 127.0.0.1 {}", node.number()));
        }
        let known: Vec<String> = cluster.nodes.iter().map(|node| node.field("cluster_known_nodes")).collect();
        if known.iter().all(|known| known == "4") || known.iter().all(|known| known == "2") { Ok(()) } else { Err(format!("{known:?}")) }
    });
}

#[test]
fn crossing_meets_make_one_cluster() {
    for _ in 0..3 {
        let cluster = Cluster::strangers(2, &[CALM]);
        let (a, b) = (&cluster.nodes[0], &cluster.nodes[1]);
        std::thread::scope(|scope| {
            let there = scope.spawn(|| a.ask(&format!("CLUSTER MEET 127.0.0.1 {}", b.number())));
            let back = scope.spawn(|| b.ask(&format!("CLUSTER MEET 127.0.0.1 {}", a.number())));
            assert_eq!((there.join().unwrap(), back.join().unwrap()), ("OK".to_owned(), "OK".to_owned()));
        });
        cluster.agreed();
    }
}

#[test]
fn meeting_oneself_or_a_member_changes_nothing() {
    let cluster = Cluster::formed(3, &[CALM]);
    let a = &cluster.nodes[0];
    let before = lines(a);
    a.meet(a);
    a.meet(&cluster.nodes[1]);
    cluster.nodes[1].meet(&cluster.nodes[2]);
    cluster.agreed();
    assert_eq!(lines(a), before);
    let alone = Node::started(&[CALM]);
    alone.meet(&alone);
    agreed(&[&alone]);
}

#[test]
fn nobody_answers_a_meet() {
    let node = Node::started(&[CALM]);
    let nobody = Node::new(&[]);
    let refused = node.error(&format!("CLUSTER MEET 127.0.0.1 {}", nobody.number()));
    assert!(refused.starts_with("ERR ") || refused.starts_with("TIMEOUT "), "{refused}");
    // A stopped process accepts connections and says nothing.
    let stopped = Node::started(&[CALM]);
    stopped.signal(Signal::STOP);
    let silent = node.error(&format!("CLUSTER MEET 127.0.0.1 {}", stopped.number()));
    assert!(silent.starts_with("TIMEOUT ") || silent.starts_with("ERR "), "{silent}");
    agreed(&[&node]);
    for bad in ["nohost 7000", "127.0.0.1 0", "127.0.0.1 70000", "127.0.0.1 abc"] {
        let error = node.error(&format!("CLUSTER MEET {bad}"));
        assert!(error.starts_with("ERR Invalid "), "{bad}: {error}");
    }
}

#[test]
fn two_clusters_never_merge() {
    let ours = Cluster::formed(3, &[CALM]);
    let theirs = Cluster::formed(2, &[CALM]);
    let meet = |from: &Node, to: &Node| from.error(&format!("CLUSTER MEET 127.0.0.1 {}", to.number()));
    assert!(meet(&ours.nodes[0], &theirs.nodes[0]).starts_with("ERR The node to meet is in another cluster"));
    assert!(meet(&theirs.nodes[1], &ours.nodes[2]).starts_with("ERR The node to meet is in another cluster"));
    ours.agreed();
    theirs.agreed();
}

#[test]
fn slots_on_both_sides_are_kept_and_their_keys_too() {
    let cluster = Cluster::strangers(2, &[CALM, "cluster-require-full-coverage no"]);
    let (a, b) = (&cluster.nodes[0], &cluster.nodes[1]);
    // foo is in slot 12182, bar in 5061, hello in 866.
    assert_eq!(a.ask("CLUSTER ADDSLOTSRANGE 0 8000"), "OK");
    assert_eq!(b.ask("CLUSTER ADDSLOTSRANGE 4000 16383"), "OK");
    until("the nodes to serve their slots", || a.try_ask("SET bar on-a").and(b.try_ask("SET foo on-b")).and(b.try_ask("SET bar on-b")));
    a.meet(b);
    cluster.agreed();
    until("the claims", || match (own_slots(a).as_str(), own_slots(b).as_str()) {
        ("0-8000", "8001-16383") | ("0-3999", "4000-16383") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    cluster.agreed();
    until("the claimed slot's key", || match b.try_ask("GET foo") {
        Ok(value) if value == "on-b" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let (winner, loser, value) = if own_slots(a) == "0-8000" { (a, b, "on-a") } else { (b, a, "on-b") };
    let found = until("the winner to serve", || winner.try_ask("GET bar"));
    assert_eq!(found, value, "the key of the slot that both had is its owner's");
    assert_eq!(loser.error("GET bar"), format!("MOVED 5061 127.0.0.1:{}", winner.number()));
    until("the loser's keys of that slot to go", || match loser.ask("CLUSTER COUNTKEYSINSLOT 5061").as_str() {
        "0" => Ok(()),
        count => Err(format!("it holds {count}")),
    });
}

#[test]
fn a_joiner_whose_sponsor_dies_goes_back_to_its_own_cluster() {
    let mut cluster = Cluster::formed(3, &[CALM, "cluster-require-full-coverage no"]);
    // It waits for four times as long.
    let joiner = Node::started(&["cluster-node-timeout 3000", "cluster-require-full-coverage no"]);
    let id = joiner.id();
    assert_eq!(joiner.ask("CLUSTER ADDSLOTSRANGE 0 16383"), "OK");
    until("the node to serve its slots", || joiner.try_ask("SET foo kept"));
    let shard = joiner.ask("CLUSTER MYSHARDID");
    // A follower that has no leader promises to take the node in and can do nothing about it: the node hears from no leader.
    let sponsor = (cluster.leader() + 1) % 3;
    for at in (0..3).filter(|at| *at != sponsor) {
        cluster.nodes[at].kill();
    }
    cluster.nodes[sponsor].meet(&joiner);
    assert_eq!(joiner.field("cluster_raft_role"), "joiner");
    assert!(joiner.error("GET foo").starts_with("CLUSTERDOWN "), "a joiner serves nothing");
    cluster.nodes[sponsor].kill();
    until("the node to be a cluster of its own again", || match joiner.field("cluster_raft_role").as_str() {
        "leader" => Ok(()),
        role => Err(role.to_owned()),
    });
    assert_eq!((joiner.id(), joiner.ask("CLUSTER MYSHARDID")), (id, shard));
    assert_eq!(own_slots(&joiner), "0-16383");
    until("the key", || match joiner.try_ask("GET foo") {
        Ok(value) if value == "kept" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    agreed(&[&joiner]);
}
