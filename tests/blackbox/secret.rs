//! The cluster's secret: who knows it is a node, in all ways that nodes speak; who does not is told what is missing, and nothing else.

use crate::cluster::Cluster;
use crate::hosts::{ADDRESSES, Hosts};
use crate::node::{Node, command};
use crate::reply::Raw;
use crate::wait::{EndAtLast, until, until_true};
use rustix::process::Signal;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use tempfile::TempDir;

const OLD: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const NEW: &str = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";
/// As long as a node-timeout here; short, for some of what is watched takes several.
const TIMES: &str = "cluster-node-timeout 2000\ncluster-raft-election-timeout 400";

/// A file of secrets that nodes share.
struct Secrets(TempDir);

impl Secrets {
    fn of(lines: &[&str]) -> Self {
        let secrets = Self(TempDir::with_prefix("pontoon-secret-").expect("a directory can be made"));
        secrets.write(lines);
        secrets
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("secret")
    }

    fn write(&self, lines: &[&str]) {
        fs::write(self.path(), lines.join("\n")).expect("it can be written");
    }

    fn option(&self) -> String {
        format!("cluster-secret-file \"{}\"", self.path().display())
    }
}

/// A primary with all slots, and a replica that is in step, with one more member.
fn keyed(secrets: &Secrets) -> Cluster {
    let cluster = Cluster::formed(3, &[TIMES, &secrets.option()]);
    assert_eq!(cluster.nodes[0].ask("CLUSTER ADDSLOTSRANGE 0 16383"), "OK");
    cluster.agreed();
    assert_eq!(cluster.nodes[1].ask(&format!("CLUSTER REPLICATE {}", cluster.nodes[0].id())), "OK");
    until_true("the replica to be in step", || in_step(&cluster.nodes[1]));
    cluster
}

fn in_step(node: &Node) -> bool {
    node.ask("INFO replication").contains("master_link_status:up")
}

fn turned_away(node: &Node) -> u64 {
    node.field("cluster_stats_links_turned_away").parse().expect("it is a number")
}

/// What a stranger has back who says this to a port.
fn answer(port: u16, said: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the port is open");
    stream.set_read_timeout(Some(crate::wait::PATIENCE)).expect("a timeout can be set");
    stream.write_all(said).expect("it is taken");
    let mut heard = Vec::new();
    // A reset ends it as well as an end does.
    let _ = stream.read_to_end(&mut heard);
    heard
}

fn frame(line: &str) -> Vec<u8> {
    [b"RAFT", &(line.len() as u32 + 8).to_be_bytes()[..], line.as_bytes()].concat()
}

#[test]
fn who_does_not_know_the_secret_is_no_node() {
    let secrets = Secrets::of(&[OLD]);
    let cluster = keyed(&secrets);
    let node = &cluster.nodes[0];
    let bus = node.number() + 10_000;
    let (cluster_id, before) = (node.field("cluster_raft_cluster_id"), turned_away(node));
    // A greeting of this cluster, garbage, and an offer by another secret.
    let greeting = format!("HELLO {} 127.0.0.1:1@10001 {cluster_id} 2 - - 7\n", "a".repeat(40));
    assert_eq!(answer(bus, &frame(&greeting)), b"RAFT\xffKEY", "no word but that a secret is wanted");
    assert_eq!(answer(bus, b"GET / HTTP/1.1\r\n\r\n"), b"RAFT\xffKEY");
    assert_eq!(answer(bus, &[&b"RAFT\xffKEY"[..], &[7; 48]].concat()), b"");
    assert_eq!(turned_away(node), before + 3);
    until_true("the log to say so", || node.log().contains("Turned 127.0.0.1 away: "));
    // Nodes without it, or with another one, in both directions.
    let other = Secrets::of(&[NEW]);
    for stranger in [Node::started(&[TIMES]), Node::started(&[TIMES, &other.option()])] {
        let known = node.field("cluster_known_nodes");
        for (from, to) in [(node, &stranger), (&stranger, node)] {
            let error = from.error(&format!("CLUSTER MEET 127.0.0.1 {}", to.number()));
            assert!(error.contains("No link with the node to meet: ") && error.contains("secret"), "{error}");
        }
        assert_eq!((node.field("cluster_known_nodes"), stranger.field("cluster_known_nodes").as_str()), (known, "1"));
        assert!(stranger.log().contains("secret"), "it is told what is missing");
    }
    // A member's words without the channel are a stranger's on the client port too.
    let mut client = Raw::connect(node.number());
    assert_eq!(
        client.say(&format!("REPLCONF cluster-id {cluster_id}")),
        "-ERR This node takes members by the cluster's secret only (cluster-secret-file)"
    );
    cluster.ok();
}

#[test]
fn copies_for_others_are_what_the_option_says() {
    let secrets = Secrets::of(&[OLD]);
    let cluster = keyed(&secrets);
    let node = &cluster.nodes[0];
    let copy = |path: &Path| {
        let mut redis_cli = command("redis-cli");
        redis_cli.args(["-p", &node.number().to_string(), "--rdb"]).arg(path);
        redis_cli.output().expect("redis-cli is there").status.success() && path.exists()
    };
    let dir = TempDir::new().expect("a directory can be made");
    assert!(copy(&dir.path().join("first.rdb")));
    assert_eq!(node.ask("CONFIG SET cluster-secret-foreign-sync no"), "OK");
    assert!(Raw::connect(node.number()).say("PSYNC ? -1").starts_with("-NOPERM "));
    assert!(!copy(&dir.path().join("second.rdb")));
    // Members are no others.
    assert_eq!(cluster.nodes[2].ask(&format!("CLUSTER REPLICATE {}", node.id())), "OK");
    until_true("the second replica to be in step", || in_step(&cluster.nodes[2]));
}

#[test]
fn a_secret_that_cannot_be_read_starts_nothing_and_changes_nothing() {
    let secrets = Secrets::of(&["too short"]);
    let mut node = Node::new(&[TIMES, &secrets.option()]);
    node.spawn();
    assert!(!node.exit_status().success());
    assert!(node.log().contains("a cluster secret has 32 to 1024 characters"), "{}", node.log());
    secrets.write(&[OLD]);
    node.start();
    secrets.write(&[]);
    let error = node.error(&format!("CONFIG SET {}", secrets.option().replace('"', "")));
    assert!(error.contains("related to argument 'cluster-secret-file'") && error.contains("there is no cluster secret in it"), "{error}");
    node.signal(Signal::HUP);
    until_true("the log to say so", || node.log().contains("the cluster's secrets stay as they are"));
}

/// Counts writes that a client makes to the primary, one after another, while `change` happens; none may fail.
fn under_load(node: &Node, change: impl FnOnce()) {
    let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut client = Raw::connect(node.number());
    thread::scope(|scope| {
        let _end = EndAtLast(&stop);
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let reply = client.say("INCR written");
                assert!(reply.starts_with(':'), "{reply}");
                written.fetch_add(1, Ordering::Relaxed);
            }
        });
        change();
        let seen = written.load(Ordering::Relaxed);
        until_true("writes after it", || written.load(Ordering::Relaxed) > seen + 100);
    });
}

fn all_linked(cluster: &Cluster) {
    cluster.ok();
    until("all links to be up", || {
        let lists: Vec<String> = cluster.nodes.iter().map(|node| node.ask("CLUSTER NODES")).collect();
        if lists.iter().all(|list| !list.contains("disconnected") && !list.contains("fail")) { Ok(()) } else { Err(lists.concat()) }
    });
    until_true("the replica to be in step", || in_step(&cluster.nodes[1]));
}

#[test]
fn a_secret_is_exchanged_under_load_and_who_misses_it_is_out() {
    let secrets = Secrets::of(&[OLD]);
    let cluster = keyed(&secrets);
    let late = Secrets::of(&[OLD]);
    let left_behind = Node::started(&[TIMES, &late.option()]);
    cluster.nodes[0].meet(&left_behind);
    under_load(&cluster.nodes[0], || {
        for pass in [&[OLD, NEW][..], &[NEW, OLD], &[NEW]] {
            secrets.write(pass);
            for node in &cluster.nodes {
                node.signal(Signal::HUP);
                all_linked_but(&cluster, &left_behind);
            }
        }
    });
    until("the one that has missed it to be out", || match cluster.nodes[0].ask("CLUSTER NODES") {
        list if list.lines().any(|line| line.contains(&left_behind.id()) && line.contains("fail")) => Ok(()),
        list => Err(list),
    });
    assert!(turned_away(&cluster.nodes[0]) > 0);
}

fn all_linked_but(cluster: &Cluster, other: &Node) {
    let id = other.id();
    until("all other links to be up", || {
        let lists: Vec<String> = cluster.nodes.iter().map(|node| node.ask("CLUSTER NODES")).collect();
        let is_up = |line: &str| line.contains(&id) || !line.contains("disconnected") && !line.contains("fail");
        if lists.iter().all(|list| list.lines().all(is_up)) { Ok(()) } else { Err(lists.concat()) }
    });
    until_true("the replica to be in step", || in_step(&cluster.nodes[1]));
}

#[test]
fn a_cluster_gets_its_first_secret_under_load() {
    let cluster = Cluster::formed(3, &[TIMES]);
    assert_eq!(cluster.nodes[0].ask("CLUSTER ADDSLOTSRANGE 0 16383"), "OK");
    cluster.agreed();
    assert_eq!(cluster.nodes[1].ask(&format!("CLUSTER REPLICATE {}", cluster.nodes[0].id())), "OK");
    until_true("the replica to be in step", || in_step(&cluster.nodes[1]));
    under_load(&cluster.nodes[0], || {
        for node in &cluster.nodes {
            assert_eq!(node.ask(&format!("CONFIG SET cluster-secret {OLD} cluster-secret-required no")), "OK");
            all_linked(&cluster);
        }
        for node in &cluster.nodes {
            assert_eq!(node.ask("CONFIG SET cluster-secret-required yes"), "OK");
            all_linked(&cluster);
        }
    });
    let node = &cluster.nodes[0];
    let shown = node.ask("CONFIG GET cluster-secret");
    assert!(shown.contains("<hidden>") && !shown.contains(OLD), "who may ask need not be one that knows it: {shown}");
    assert_eq!(answer(node.number() + 10_000, b"RAFT\0\0\0\x10CLOSING\n"), b"RAFT\xffKEY");
}

#[test]
fn without_a_secret_nodes_of_one_host_only_are_linked() {
    let Some(hosts) = Hosts::make() else { return };
    hosts.enter(0);
    let node = Node::started(&[TIMES, "bind 0.0.0.0", "protected-mode no"]);
    hosts.enter(1);
    let other = Node::started(&[TIMES, "bind 0.0.0.0", "protected-mode no"]);
    let beside = Node::started(&[TIMES, "bind 0.0.0.0", "protected-mode no"]);
    let error = other.error(&format!("CLUSTER MEET {} {}", ADDRESSES[0], node.number()));
    assert!(error.contains("set 'cluster-secret-file' on every node"), "{error}");
    // By its own address it is the same host.
    assert_eq!(other.ask(&format!("CLUSTER MEET {} {}", ADDRESSES[1], beside.number())), "OK");
    let stranger = TcpStream::connect((ADDRESSES[0], node.number() + 10_000)).expect("the port is open");
    stranger.set_read_timeout(Some(crate::wait::PATIENCE)).expect("a timeout can be set");
    assert_eq!((&stranger).read(&mut [0; 8]).unwrap_or(0), 0);
    hosts.enter(0);
    until_true("it to be counted", || turned_away(&node) > 0);
    assert_eq!(node.ask(&format!("CONFIG SET cluster-secret {OLD}")), "OK");
    hosts.enter(1);
    for node in [&other, &beside] {
        assert_eq!(node.ask(&format!("CONFIG SET cluster-secret {OLD}")), "OK");
    }
    assert_eq!(other.ask(&format!("CLUSTER MEET {} {}", ADDRESSES[0], node.number())), "OK");
}
