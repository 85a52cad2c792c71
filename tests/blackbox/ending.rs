//! A primary that is told to end, with a replica that is not in step: what was acknowledged is with its successor, or the log says what is
//! left behind.

use crate::cluster::{CALM, Cluster};
use crate::node::Node;
use crate::wait::{now, until, until_true};
use rustix::process::Signal;
use std::time::Duration;

const MARKERS: usize = 500;
/// No key is ever on a disk.
const NO_SAVES: &str = "save \"\"";

/// Node 0 owns all slots, node 1 is to be its replica, node 2 is one voter more.
fn formed(lines: &[&str]) -> Cluster {
    let cluster = Cluster::formed(3, &[&[CALM, NO_SAVES], lines].concat());
    assert_eq!(cluster.nodes[0].ask("CLUSTER ADDSLOTSRANGE 0 16383"), "OK");
    cluster.voters(3);
    cluster.ok();
    cluster
}

fn replicate(cluster: &Cluster) {
    assert_eq!(cluster.nodes[1].ask(&format!("CLUSTER REPLICATE {}", cluster.nodes[0].id())), "OK");
}

/// So many megabytes, in values of 100 KB.
fn fill(node: &Node, megabytes: usize) {
    let mut connection = node.try_connect().expect("the node takes connections");
    let value = "x".repeat(100_000);
    for part in 0..megabytes {
        let mut pipe = redis::pipe();
        (0..10).for_each(|number| _ = pipe.set(format!("large:{part}:{number}"), &value).ignore());
        pipe.query::<()>(&mut connection).expect("it is acknowledged");
    }
}

/// Writes markers, each of which is acknowledged.
fn mark(node: &Node) {
    let mut connection = node.try_connect().expect("the node takes connections");
    for number in 0..MARKERS {
        redis::cmd("SET").arg(format!("marker:{number}")).arg(number).query::<()>(&mut connection).expect("it is acknowledged");
    }
}

#[test]
fn a_replica_that_has_just_begun_a_full_sync_has_every_acknowledged_write_in_the_end() {
    let mut cluster = formed(&["shutdown-timeout 30"]);
    fill(&cluster.nodes[0], 64);
    replicate(&cluster);
    until("the sync to begin", || match cluster.nodes[0].ask("INFO replication") {
        text if text.contains("state=send_bulk") => Ok(()),
        text => Err(text),
    });
    // It is not through before all of this has happened.
    cluster.nodes[1].signal(Signal::STOP);
    mark(&cluster.nodes[0]);
    cluster.nodes[0].signal(Signal::TERM);
    let primary = &mut cluster.nodes[0];
    until_true("it to wait, or to have ended", || {
        primary.log().contains("Waiting for replicas before shutting down") || !primary.is_running()
    });
    cluster.nodes[1].signal(Signal::CONT);
    assert!(cluster.nodes[0].exit_status().success());
    let log = cluster.nodes[0].log();
    assert!(!log.contains("leaves behind"), "{log}");
    let successor = &cluster.nodes[1];
    until_true("it to be served", || successor.try_ask("SET new 1").is_ok());
    for number in 0..MARKERS {
        assert_eq!(successor.ask(&format!("GET marker:{number}")), number.to_string());
    }
    assert_eq!(successor.ask("DBSIZE"), (640 + MARKERS + 1).to_string());
}

#[test]
fn a_primary_whose_replica_hangs_says_what_it_leaves_behind() {
    let mut cluster = formed(&["shutdown-timeout 2"]);
    replicate(&cluster);
    until("the replica to be in step", || match cluster.nodes[1].ask("INFO replication") {
        text if text.contains("master_link_status:up") => Ok(()),
        text => Err(text),
    });
    assert_eq!(cluster.nodes[0].ask("WAIT 1 0"), "1");
    cluster.nodes[1].signal(Signal::STOP);
    mark(&cluster.nodes[0]);
    let begun = now();
    cluster.nodes[0].signal(Signal::TERM);
    assert!(cluster.nodes[0].exit_status().success());
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    let log = cluster.nodes[0].log();
    assert!(log.contains(&format!("leaves behind {MARKERS} writes (")) && log.contains("Lagging replica"), "{log}");
    cluster.nodes[1].signal(Signal::CONT);
}

#[test]
fn signals_end_a_node_as_it_was_told() {
    let mut node = Node::new(&[NO_SAVES, "shutdown-on-sigint save", "shutdown-on-sigterm nosave safe"]);
    node.start();
    for (option, words) in [("shutdown-on-sigterm", "nosave safe"), ("shutdown-on-sigint", "save")] {
        assert_eq!(node.ask(&format!("CONFIG GET {option}")), format!("[{option} {words}]"));
    }
    until_true("it to own slots", || {
        node.try_ask("CLUSTER ADDSLOTSRANGE 0 16383").is_ok() || node.field("cluster_slots_assigned") == "16384"
    });
    until_true("it to serve", || node.try_ask("SET key 1").is_ok());
    node.signal(Signal::TERM);
    until_true("it to refuse", || node.log().contains("can't exit"));
    assert_eq!(node.ask("PING"), "PONG");
    assert!(!node.dump().exists());
    node.signal(Signal::INT);
    assert!(node.exit_status().success());
    assert!(node.dump().exists());
}
