//! Failovers: who serves when a primary has gone, how long nobody does, and whether what was acknowledged is still there.

use crate::cluster::Cluster;
use crate::deaths::{NEVER, pairs};
use crate::node::Node;
use crate::reply::{self, text_of};
use crate::wait::{EndAtLast, pause, until, until_true};
use rustix::process::Signal;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Keys of the slots of nodes 0, 1 and 2, and of their replicas.
const TAGS: [&str; 3] = ["{b}", "{c}", "{a}"];
fn is_primary(node: &Node) -> bool {
    node.try_ask("INFO replication").is_ok_and(|text| text.contains("role:master"))
}

fn key(at: usize, number: usize) -> String {
    format!("{}{number}", TAGS[at])
}

/// Writes so many keys of this node's slots and waits for its replica to have them.
fn fill(cluster: &Cluster, at: usize, count: usize) {
    for number in 0..count {
        assert_eq!(cluster.nodes[at].ask(&format!("SET {} {number}", key(at, number))), "OK");
    }
    in_sync(cluster, at);
}

/// Waits until the replica of this primary has all that it has.
fn in_sync(cluster: &Cluster, at: usize) {
    let offset = |node: &Node, field: &str| {
        let text = node.ask("INFO replication");
        text.lines().find_map(|line| line.strip_prefix(field)).map(str::to_owned)
    };
    until("the replica to have everything", || {
        let text = cluster.nodes[at + 3].ask("INFO replication");
        let ends = [&cluster.nodes[at], &cluster.nodes[at + 3]].map(|node| offset(node, "master_repl_offset:"));
        if text.contains("master_link_status:up") && ends[0] == ends[1] { Ok(()) } else { Err(format!("{ends:?} {text}")) }
    });
}

/// Whether all of those keys are there.
fn has_all(node: &Node, at: usize, count: usize) {
    for number in 0..count {
        until(&format!("key {number} to be served"), || match node.try_ask(&format!("GET {}", key(at, number))) {
            Ok(text) => {
                assert_eq!(text, number.to_string());
                Ok(())
            }
            Err(error) => Err(error),
        });
    }
}

/// One client that sets a key again and again, wherever the cluster sends it.
struct Writer<'a> {
    nodes: [&'a Node; 2],
    tag: &'a str,
    /// The last number that was acknowledged.
    acknowledged: &'a AtomicU64,
    ended: &'a AtomicBool,
}

impl Writer<'_> {
    /// Writes until it is told to end; error replies that were no redirections.
    fn run(&self) -> Vec<String> {
        let (mut at, mut connection, mut errors, mut number) = (0, None, Vec::new(), 0);
        while !self.ended.load(Ordering::Relaxed) {
            let kept = match connection.take() {
                Some(kept) => Ok(kept),
                None => self.nodes[at].try_connect(),
            };
            let Ok(mut kept) = kept else {
                at = 1 - at;
                continue;
            };
            match reply::ask(&mut kept, &format!("SET {}writer {}", self.tag, number + 1)).and_then(text_of) {
                Ok(_) => {
                    number += 1;
                    self.acknowledged.store(number, Ordering::Relaxed);
                    connection = Some(kept);
                }
                Err(error) if error.starts_with("MOVED") => at = 1 - at,
                Err(error) => {
                    errors.push(error);
                    at = 1 - at;
                    pause(Duration::from_millis(1));
                }
            }
        }
        errors
    }
}

/// What becomes of a writer to the slots of node `at` while `work` goes on, before and after: the last number that was acknowledged, and
/// its errors.
fn beside_writer(cluster: &Cluster, at: usize, work: impl FnOnce()) -> (u64, Vec<String>) {
    let (acknowledged, ended) = (AtomicU64::new(0), AtomicBool::new(false));
    let writer = Writer { nodes: [&cluster.nodes[at], &cluster.nodes[at + 3]], tag: TAGS[at], acknowledged: &acknowledged, ended: &ended };
    let some_more = || {
        let enough = acknowledged.load(Ordering::Relaxed) + 50;
        until_true("writes to be acknowledged", || acknowledged.load(Ordering::Relaxed) >= enough);
    };
    let errors = std::thread::scope(|scope| {
        let ending = EndAtLast(&ended);
        let running = scope.spawn(|| writer.run());
        some_more();
        work();
        some_more();
        drop(ending);
        running.join().expect("the writer does not panic")
    });
    (acknowledged.into_inner(), errors)
}

#[test]
fn a_replica_takes_over_from_a_killed_primary() {
    for leads in [false, true] {
        let mut cluster = pairs(&[NEVER]);
        let leader = cluster.leader();
        let at = (0..3).find(|at| (*at == leader) == leads).expect("the first node leads: it founded the cluster");
        fill(&cluster, at, 50);
        cluster.nodes[at].kill();
        let replica = &cluster.nodes[at + 3];
        until("a write to be acknowledged", || replica.try_ask(&format!("SET {}new 1", TAGS[at])));
        has_all(replica, at, 50);
        // The old primary comes back as a replica of the new one and has what that has.
        cluster.nodes[at].start();
        until_true("it to be a replica", || !is_primary(&cluster.nodes[at]));
        until("it to have everything", || {
            let digest = |node: &Node| node.ask("DBSIZE");
            let text = cluster.nodes[at].ask("INFO replication");
            let equal = digest(&cluster.nodes[at]) == digest(&cluster.nodes[at + 3]);
            if equal && text.contains("master_link_status:up") { Ok(()) } else { Err(text) }
        });
        cluster.ok();
    }
}

#[test]
fn half_of_the_primaries_die_at_once() {
    let mut cluster = pairs(&[NEVER]);
    let leader = cluster.leader();
    for at in 0..3 {
        fill(&cluster, at, 10);
    }
    let dead: Vec<usize> = [leader, (leader + 1) % 3].into_iter().filter(|at| *at < 3).collect();
    dead.iter().for_each(|at| cluster.nodes[*at].kill());
    for &at in &dead {
        has_all(&cluster.nodes[at + 3], at, 10);
    }
}

#[test]
fn nobody_loses_anything_when_an_operator_has_a_replica_take_over() {
    let cluster = pairs(&[NEVER]);
    fill(&cluster, 0, 50);
    for (primary, replica) in [(0, 3), (3, 0)] {
        let (number, errors) = beside_writer(&cluster, 0, || {
            assert_eq!(cluster.nodes[replica].ask("CLUSTER FAILOVER"), "OK");
        });
        assert!(errors.is_empty(), "{errors:?}");
        assert!(is_primary(&cluster.nodes[replica]));
        assert_eq!(cluster.nodes[replica].ask(&format!("GET {}writer", TAGS[0])), number.to_string());
        until_true("the old primary to be a replica", || !is_primary(&cluster.nodes[primary]));
        until("it to follow the new one", || {
            let text = cluster.nodes[primary].ask("INFO replication");
            if text.contains("master_link_status:up") { Ok(()) } else { Err(text) }
        });
        has_all(&cluster.nodes[replica], 0, 50);
    }
}

#[test]
fn an_operator_has_a_replica_take_over_without_its_primary() {
    let cluster = pairs(&[NEVER]);
    assert_eq!(cluster.nodes[0].error("CLUSTER FAILOVER"), "ERR You should send CLUSTER FAILOVER to a replica");
    for (way, primary, replica) in [("FORCE", 0, 3), ("TAKEOVER", 3, 0)] {
        assert_eq!(cluster.nodes[replica].ask(&format!("CLUSTER FAILOVER {way}")), "OK");
        assert!(is_primary(&cluster.nodes[replica]));
        until_true("the old primary to be a replica", || !is_primary(&cluster.nodes[primary]));
        cluster.agreed();
        cluster.ok();
        let tells = |node: &Node, who: &str| {
            let log = node.log();
            assert!(log.lines().any(|line| line.contains(who) && line.contains(&format!("CLUSTER FAILOVER {way}"))), "{log}");
        };
        cluster.nodes.iter().for_each(|node| tells(node, " takes over from "));
        tells(&cluster.nodes[replica], &format!("This node takes over from {}", cluster.nodes[primary].id()));
        tells(&cluster.nodes[primary], &format!("{} (127.0.0.1:", cluster.nodes[replica].id()));
        let log = cluster.nodes[primary].log();
        assert!(log.contains(&format!("This node is a replica of {}", cluster.nodes[replica].id())), "{log}");
        assert!(log.contains(":S "), "{log}");
    }
}

#[test]
fn a_primary_that_is_told_to_end_hands_over_first() {
    for leads in [false, true] {
        let mut cluster = pairs(&[NEVER]);
        let leader = cluster.leader();
        let at = (0..3).find(|at| (*at == leader) == leads).expect("the first node leads: it founded the cluster");
        fill(&cluster, at, 50);
        let (number, errors) = beside_writer(&cluster, at, || cluster.nodes[at].signal(Signal::TERM));
        assert!(cluster.nodes[at].exit_status().success(), "{errors:?}");
        let replica = &cluster.nodes[at + 3];
        until("the last write to be there", || match replica.try_ask(&format!("GET {}writer", TAGS[at])) {
            Ok(found) if found.parse::<u64>().is_ok_and(|found| found >= number) => Ok(()),
            other => Err(format!("{other:?}, not {number}")),
        });
        has_all(replica, at, 50);
    }
}

#[test]
fn a_primary_that_comes_back_without_its_keys_lets_a_replica_take_over() {
    let mut cluster = pairs(&[NEVER, "cluster-fast-failure-detection no"]);
    let leader = cluster.leader();
    let at = (0..3).find(|at| *at != leader).expect("two others are primaries");
    fill(&cluster, at, 50);
    cluster.nodes[at].kill();
    cluster.nodes[at].start();
    until_true("the replica to own the slots", || is_primary(&cluster.nodes[at + 3]));
    has_all(&cluster.nodes[at + 3], at, 50);
    // Where nobody has anything left, it serves.
    let mut cluster = pairs(&[NEVER, "cluster-fast-failure-detection no"]);
    [1, 4].iter().for_each(|at| cluster.nodes[*at].kill());
    cluster.start_all();
    until("a write to be acknowledged", || cluster.nodes[1].try_ask(&format!("SET {}new 1", TAGS[1])));
}
