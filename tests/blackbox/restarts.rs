//! What a node has kept of its keys when it starts again, as a replica or as a primary: it goes on from there, and takes nothing from those
//! who have more.

use crate::cluster::Cluster;
use crate::copies::{equal, replication, write};
use crate::deaths::NEVER;
use crate::node::Node;
use crate::wait::{now, until, until_true};
use rustix::process::Signal;
use std::time::Duration;

/// Node 0 has all slots and node 1 for its replica; node 2 leads. Keys are saved at an ordered end, or when somebody says so.
fn pair() -> Cluster {
    let mut cluster = Cluster::formed(3, &[NEVER, "cluster-fast-failure-detection no", "save 3600 1000000"]);
    cluster.voters(3);
    let leader = cluster.leader();
    cluster.nodes.swap(2, leader);
    assert_eq!(cluster.nodes[0].ask("CLUSTER ADDSLOTSRANGE 0 16383"), "OK");
    let primary = cluster.nodes[0].id();
    assert_eq!(cluster.nodes[1].ask(&format!("CLUSTER REPLICATE {primary}")), "OK");
    cluster.ok();
    (0..3).for_each(|round| write(&cluster.nodes[0], round));
    equal(&cluster.nodes[0], &cluster.nodes[1]);
    cluster
}

/// How many full syncs and how many partial ones a node has given.
fn syncs(node: &Node) -> [String; 2] {
    let mut fields = replication(node);
    ["sync_full", "sync_partial_ok"].map(|name| fields.remove(name).unwrap_or_default())
}

fn end_in_order(node: &mut Node) {
    node.signal(Signal::TERM);
    assert_eq!(node.exit_status().code(), Some(0));
}

#[test]
fn a_replica_goes_on_from_its_own_file() {
    let mut cluster = pair();
    end_in_order(&mut cluster.nodes[1]);
    write(&cluster.nodes[0], 3);
    cluster.nodes[1].start();
    equal(&cluster.nodes[0], &cluster.nodes[1]);
    assert_eq!(syncs(&cluster.nodes[0]), ["1", "1"]);
    // From an older one too, as far as the backlog goes back.
    assert_eq!(cluster.nodes[1].ask("SAVE"), "OK");
    write(&cluster.nodes[0], 4);
    equal(&cluster.nodes[0], &cluster.nodes[1]);
    cluster.nodes[1].kill();
    write(&cluster.nodes[0], 5);
    cluster.nodes[1].start();
    equal(&cluster.nodes[0], &cluster.nodes[1]);
    assert_eq!(syncs(&cluster.nodes[0]), ["1", "2"]);
}

#[test]
fn a_primary_that_has_handed_over_and_ended_comes_back_with_its_keys() {
    let mut cluster = pair();
    end_in_order(&mut cluster.nodes[0]);
    assert_eq!(cluster.nodes[1].ask("SET new 1"), "OK");
    write(&cluster.nodes[1], 3);
    cluster.nodes[0].start();
    equal(&cluster.nodes[1], &cluster.nodes[0]);
    assert_eq!(syncs(&cluster.nodes[1])[0], "0");
}

#[test]
fn an_old_file_costs_nobody_anything() {
    let mut cluster = pair();
    assert_eq!(cluster.nodes[0].ask("SET key old"), "OK");
    let its_end = until("a key to be saved and made to last before it expires", || {
        assert_eq!(cluster.nodes[0].ask("SET gone soon PX 3000"), "OK");
        let its_end = now() + Duration::from_secs(3);
        assert_eq!(cluster.nodes[0].ask("SAVE"), "OK");
        if cluster.nodes[0].ask("PERSIST gone") == "1" { Ok(its_end) } else { Err("it has expired".to_owned()) }
    });
    assert_eq!(cluster.nodes[0].ask("SET key new"), "OK");
    write(&cluster.nodes[0], 3);
    equal(&cluster.nodes[0], &cluster.nodes[1]);
    // Gone and back before anybody can have noticed, and its file is older than what the replica has.
    cluster.nodes[0].kill();
    until_true("a key of the old file to expire", || now() > its_end);
    cluster.nodes[0].start();
    until_true("the replica to serve", || cluster.nodes[1].try_ask("GET key") == Ok("new".to_owned()));
    write(&cluster.nodes[1], 4);
    equal(&cluster.nodes[1], &cluster.nodes[0]);
    assert_eq!(cluster.nodes[1].ask("GET gone"), "soon");
    assert_eq!(syncs(&cluster.nodes[1]), ["0", "1"], "what it had was the beginning of what there is");
    // When all are gone at once, what the primary's file holds is what there is.
    assert_eq!(cluster.nodes[1].ask("SAVE"), "OK");
    assert_eq!(cluster.nodes[1].ask("SET key newest"), "OK");
    equal(&cluster.nodes[1], &cluster.nodes[0]);
    cluster.nodes.iter_mut().for_each(Node::kill);
    cluster.start_all();
    until_true("the primary to serve", || cluster.nodes[1].try_ask("GET key") == Ok("new".to_owned()));
    equal(&cluster.nodes[1], &cluster.nodes[0]);
}
