//! Processes that end without a word: their kernels refuse connections, and nobody waits for node-timeout.

use crate::cluster::{Cluster, lines};
use crate::node::Node;
use crate::wait::{now, until_true};
use rustix::process::Signal;
use std::time::Duration;

/// So long that no silence is ever taken for a failure here: longer than any test waits for anything. And nobody is elected but in place of
/// the dead.
pub const NEVER: &str = "cluster-node-timeout 60000\ncluster-raft-election-timeout 3000";

/// Three primaries with a replica each; nodes 3, 4 and 5 are the replicas of 0, 1 and 2.
pub fn pairs(lines: &[&str]) -> Cluster {
    let cluster = Cluster::formed(6, lines);
    for (at, range) in ["0 5460", "5461 10922", "10923 16383"].iter().enumerate() {
        assert_eq!(cluster.nodes[at].ask(&format!("CLUSTER ADDSLOTSRANGE {range}")), "OK");
        assert_eq!(cluster.nodes[at + 3].ask(&format!("CLUSTER REPLICATE {}", cluster.nodes[at].id())), "OK");
    }
    cluster.voters(5);
    cluster.agreed();
    cluster
}

/// Whether every other node says of this one that it has failed.
fn is_failed(cluster: &Cluster, at: usize, id: &str) -> bool {
    let others = cluster.nodes.iter().enumerate().filter(|(other, _)| *other != at);
    let shown = |text: String| text.lines().any(|line| line.starts_with(id) && line.contains("fail "));
    others.map(|(_, node)| node.try_ask("CLUSTER NODES")).all(|text| text.is_ok_and(shown))
}

/// Kills the first of them that does not lead, which the others know at once, and starts it again: any word of it ends that.
fn kill_and_start(among: std::ops::Range<usize>, when_failed: impl Fn(&Cluster, usize, &str)) {
    let mut cluster = pairs(&[NEVER]);
    let leader = cluster.leader();
    let at = among.into_iter().find(|at| *at != leader).expect("two of three do not lead");
    let id = cluster.nodes[at].id();
    cluster.nodes[at].kill();
    until_true("the others to know it", || is_failed(&cluster, at, &id));
    when_failed(&cluster, leader, &id);
    cluster.nodes[at].start();
    until_true("the others to see it again", || !is_failed(&cluster, at, &id));
    // Nor is anybody waited for who ends in order: by now it is a replica in any case, and its stream ends with its process.
    let in_step = |node: &Node| node.ask("INFO replication").contains("master_link_status:up");
    until_true("it to be in step", || in_step(&cluster.nodes[at]));
    cluster.nodes[at].signal(Signal::TERM);
    cluster.nodes[at].exit_status();
    until_true("the others to know that it has ended", || is_failed(&cluster, at, &id));
}

#[test]
fn a_killed_primary_is_failed_at_once() {
    kill_and_start(0..3, |cluster, leader, id| {
        let log = cluster.nodes[leader].log();
        assert!(log.contains(&format!("The process of {id} is gone")), "{log}");
    });
}

/// Clients that read from replicas are not sent to it any more.
#[test]
fn a_killed_replica_is_failed_at_once() {
    kill_and_start(3..6, |cluster, _, id| assert!(!cluster.nodes[0].ask("CLUSTER SLOTS").contains(id)));
}

#[test]
fn a_new_leader_looks_for_whom_it_does_not_reach() {
    let mut cluster = pairs(&[NEVER]);
    let leader = cluster.leader();
    let other = (0..3).find(|at| *at != leader).expect("two others are primaries");
    // Both at once: the old leader, and one whose end no leader has seen.
    let dead = if leader < 3 { vec![leader, other] } else { vec![other] };
    let ids: Vec<String> = cluster.nodes.iter().map(Node::id).collect();
    dead.iter().for_each(|at| cluster.nodes[*at].kill());
    for at in &dead {
        let living = cluster.nodes.iter().enumerate().find(|(at, _)| !dead.contains(at)).expect("most live").1;
        until_true("the dead to be failed", || lines(living).iter().any(|line| line.id == ids[*at] && line.has_failed()));
    }
}

#[test]
fn a_stopped_process_is_not_dead() {
    let cluster = pairs(&["cluster-node-timeout 3000"]);
    let leader = cluster.leader();
    let at = (0..3).find(|at| *at != leader).expect("two others are primaries");
    let id = cluster.nodes[at].id();
    cluster.nodes[at].signal(Signal::STOP);
    let begun = now();
    until_true("its silence to be taken for a failure", || is_failed(&cluster, at, &id));
    assert!(begun.elapsed() >= Duration::from_millis(2000), "after {:?}", begun.elapsed());
    assert!(!cluster.nodes[leader].log().contains("is gone"));
    cluster.nodes[at].signal(Signal::CONT);
    until_true("it to be back", || !is_failed(&cluster, at, &id));
}
