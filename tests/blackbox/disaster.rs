//! Disks that are old, wiped or gone: what is noticed, what goes on, and CLUSTER RECOVER QUORUM as the last resort.

use crate::cluster::{CALM, Cluster, agreed, insist, lines};
use crate::node::Node;
use crate::wait::until;
use std::fs;

/// Short enough that a lost leader counts as lost soon. Long enough that on a busy machine none is lost before that, and that who starts
/// finds one in time.
const HASTY: &str = "cluster-node-timeout 5000\ncluster-raft-election-timeout 400";

fn cluster_id(node: &Node) -> String {
    node.field("cluster_raft_cluster_id")
}

/// A change that only a leader with a quorum can make.
#[track_caller]
fn change(node: &Node) {
    assert_eq!(insist(node, &format!("CLUSTER SETSLOT 0 NODE {}", node.id())), "OK");
}

#[track_caller]
fn until_leader(node: &Node) {
    until("a leader", || match node.field("cluster_raft_leader").as_str() {
        "-" | "" => Err(format!("{:?}", node.info())),
        _ => Ok(()),
    });
}

#[test]
fn an_old_copy_of_a_voters_file_is_noticed_and_not_believed() {
    let mut cluster = Cluster::formed(3, &[CALM]);
    cluster.voters(3);
    let leader = cluster.leader();
    let victim = (leader + 1) % 3;
    let copy = fs::read(cluster.nodes[victim].nodes_conf()).expect("it is there");
    for _ in 0..10 {
        change(&cluster.nodes[leader]);
    }
    cluster.agreed();
    cluster.nodes[victim].kill();
    fs::write(cluster.nodes[victim].nodes_conf(), copy).expect("it can be written");
    cluster.nodes[victim].start();
    until("the leader to notice", || {
        let log = cluster.nodes[leader].log();
        if log.contains("has lost what it had acknowledged") { Ok(()) } else { Err(log) }
    });
    // Demoted, brought up from the beginning, and made a voter again: told by the log, for a snapshot soon takes the entries' place in
    // nodes.conf.
    until("the demotion and the promotion", || {
        let (log, id) = (cluster.nodes[leader].log(), cluster.nodes[victim].id());
        let demoted = log.find(&format!("Changing who votes: DEL_VOTER {id}"));
        let promoted = log.rfind(&format!("Changing who votes: ADD_VOTER {id}"));
        if demoted.is_some() && promoted > demoted { Ok(()) } else { Err(log) }
    });
    cluster.voters(3);
    cluster.agreed();
    assert_eq!(cluster.leader(), leader, "the leader was not troubled");
}

#[test]
fn with_most_voters_wiped_a_survivor_goes_on_alone_and_the_other_survivors_come_over() {
    let mut cluster = Cluster::with_slots(5, &[HASTY]);
    cluster.voters(5);
    let (before, ids) = (cluster_id(&cluster.nodes[0]), cluster.nodes.iter().map(Node::id).collect::<Vec<_>>());
    assert!(cluster.nodes[0].error("CLUSTER RECOVER QUORUM").starts_with("ERR There is nothing to recover"));
    assert!(cluster.nodes[0].error("CLUSTER RECOVER").starts_with("ERR wrong number of arguments"));
    assert_eq!(cluster.nodes[0].error("CLUSTER RECOVER everything"), "ERR syntax error");
    for node in &mut cluster.nodes[2..] {
        node.kill();
        fs::remove_file(node.nodes_conf()).expect("it is there");
        node.start();
    }
    until("the recovery to be allowed", || cluster.nodes[0].try_ask("CLUSTER RECOVER QUORUM").map(drop));
    change(&cluster.nodes[0]);
    until("the other survivor to come over", || {
        let (ours, theirs) = (cluster_id(&cluster.nodes[0]), cluster_id(&cluster.nodes[1]));
        let joined = cluster.nodes[1].field("cluster_raft_role");
        if ours == theirs && joined != "joiner" { Ok(()) } else { Err(format!("{ours} {theirs} {joined}")) }
    });
    assert_ne!(cluster_id(&cluster.nodes[0]), before);
    assert_eq!(cluster.nodes[1].field("cluster_raft_recoveries"), "1");
    assert_eq!(cluster.nodes[1].id(), ids[1]);
    let owned = lines(&cluster.nodes[0]).into_iter().find(|line| line.id == ids[1]).expect("it is a member still");
    assert_eq!(owned.slots, "3276-6552", "what it owned it owns");
    // What the lost ones owned is given to others, then they are forgotten, and their machines come back as new nodes.
    for (lost, (first, last)) in [(2, (6553, 9829)), (3, (9830, 13106)), (4, (13107, 16383))] {
        let mut connection = cluster.nodes[0].try_connect().expect("it answers");
        let mut moves = redis::pipe();
        for slot in first..=last {
            moves.cmd("CLUSTER").arg("SETSLOT").arg(slot).arg("NODE").arg(&ids[0]);
        }
        moves.query::<Vec<String>>(&mut connection).expect("every slot can be moved");
        assert_eq!(insist(&cluster.nodes[0], &format!("CLUSTER FORGET {}", ids[lost])), "OK");
    }
    for lost in 2..5 {
        cluster.nodes[0].meet(&cluster.nodes[lost]);
    }
    cluster.ok();
    cluster.agreed();
    cluster.voters(5);
    // It all survives a restart of everybody.
    cluster.nodes.iter_mut().for_each(Node::kill);
    cluster.start_all();
    cluster.ok();
    cluster.agreed();
    assert_eq!(cluster.nodes[4].field("cluster_raft_recoveries"), "1");
}

#[test]
fn who_has_a_leader_is_not_taken_over_by_a_recovered_cluster_and_who_has_none_is() {
    let mut cluster = Cluster::formed(3, &[HASTY]);
    cluster.voters(3);
    let before = cluster_id(&cluster.nodes[0]);
    cluster.nodes[1..].iter_mut().for_each(Node::kill);
    until("the recovery to be allowed", || cluster.nodes[0].try_ask("CLUSTER RECOVER QUORUM").map(drop));
    until_leader(&cluster.nodes[0]);
    let recovered = cluster_id(&cluster.nodes[0]);
    // The lost ones were not lost: they are a majority of the old cluster, and stay what they are.
    cluster.nodes[1..].iter_mut().for_each(Node::spawn);
    cluster.nodes[1..].iter_mut().for_each(Node::start);
    for node in &cluster.nodes[1..] {
        until_leader(node);
    }
    change(&cluster.nodes[1]);
    until("both to be asked, and to decline", || {
        let declined = |node: &Node| node.log().contains("not going over");
        if cluster.nodes[1..].iter().all(declined) { Ok(()) } else { Err(cluster.nodes[1].log()) }
    });
    change(&cluster.nodes[0]);
    assert_eq!((cluster_id(&cluster.nodes[1]), cluster_id(&cluster.nodes[2])), (before.clone(), before));
    // One of them alone has no leader, and comes over; then the other.
    cluster.nodes[2].kill();
    agreed_in(&recovered, &[&cluster.nodes[0], &cluster.nodes[1]]);
    cluster.nodes[2].start();
    agreed_in(&recovered, &[&cluster.nodes[0], &cluster.nodes[1], &cluster.nodes[2]]);
    agreed(&cluster.nodes.iter().collect::<Vec<_>>());
    cluster.voters(3);
}

#[track_caller]
fn agreed_in(cluster: &str, nodes: &[&Node]) {
    for node in nodes {
        until("everybody in the recovered cluster", || {
            let (id, role) = (cluster_id(node), node.field("cluster_raft_role"));
            if id == cluster && role != "joiner" { Ok(()) } else { Err(format!("node {}: {id} {role}", node.number())) }
        });
    }
}
