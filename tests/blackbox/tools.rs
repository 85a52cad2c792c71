//! redis-cli's cluster tools and redis-py's cluster client, unmodified.

use crate::cluster::{CALM, Cluster, lines};
use crate::node::{Node, command};
use crate::wait::until;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Output;

/// Runs a program to its end.
#[track_caller]
pub fn run(program: &str, args: &[String]) -> (bool, String) {
    let Output { status, stdout, stderr } =
        command(program).args(args).output().unwrap_or_else(|error| panic!("{program} is needed here: {error}"));
    let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    (status.success(), text)
}

/// `redis-cli --cluster ...`, which must end well; what it printed.
#[track_caller]
pub fn cluster_cli(line: &str) -> String {
    let args: Vec<String> = std::iter::once("--cluster").chain(line.split(' ')).map(str::to_owned).collect();
    let (good, text) = run("redis-cli", &args);
    // All of these nodes are on one host.
    let told = text.replace("[WARNING] Some slaves are in the same host as their master", "");
    assert!(good && !told.contains("[ERR]") && !told.contains("[WARNING]"), "redis-cli --cluster {line}\n{text}");
    text
}

pub fn at(node: &Node) -> String {
    format!("127.0.0.1:{}", node.number())
}

/// Six nodes, put together by redis-cli alone.
fn created() -> Cluster {
    let cluster = Cluster::strangers(6, &[CALM]);
    let all: Vec<String> = cluster.nodes.iter().map(at).collect();
    let text = cluster_cli(&format!("create {} --cluster-replicas 0 --cluster-yes", all.join(" ")));
    assert!(text.contains("[OK] All 16384 slots covered."), "{text}");
    cluster
}

#[test]
fn redis_cli_creates_a_cluster_and_looks_after_it() {
    let cluster = created();
    cluster.ok();
    cluster.agreed();
    let first = at(&cluster.nodes[0]);
    let check = cluster_cli(&format!("check {first}"));
    assert!(check.contains("[OK] All nodes agree about slots configuration."), "{check}");
    assert!(check.contains("[OK] All 16384 slots covered."), "{check}");
    let info = cluster_cli(&format!("info {first}"));
    assert!(info.contains("[OK] 0 keys in 6 masters."), "{info}");
    let call = cluster_cli(&format!("call {first} CLUSTER MYID"));
    for node in &cluster.nodes {
        assert!(call.contains(&format!("{}: {}", at(node), node.id())), "{call}");
    }
    cluster_cli(&format!("set-timeout {first} 7000"));
    for node in &cluster.nodes {
        assert_eq!(node.ask("CONFIG GET cluster-node-timeout"), "[cluster-node-timeout 7000]");
        let file = std::fs::read_to_string(node.config_file()).unwrap();
        assert!(file.contains("cluster-node-timeout 7000") && !file.contains(CALM), "{file}");
        assert!(file.contains(&format!("port {}", node.number())), "{file}");
    }
}

#[test]
fn redis_cli_follows_redirections() {
    let cluster = Cluster::with_slots(3, &[CALM]);
    for key in ["a", "b", "c", "d", "e", "f"] {
        let args =
            |words: &str| -> Vec<String> { format!("-c -p {} {words}", cluster.nodes[1].number()).split(' ').map(str::to_owned).collect() };
        let (good, text) = run("redis-cli", &args(&format!("set {key} value-of-{key}")));
        assert!(good && text.trim_end().ends_with("OK"), "{text}");
        let (good, text) = run("redis-cli", &args(&format!("get {key}")));
        assert!(good && text.contains(&format!("value-of-{key}")), "{text}");
    }
}

/// What redis-cli prints for a list of maps, each beginning with `node`: one map a row.
fn printed(node: &Node, line: &str) -> Vec<BTreeMap<String, String>> {
    let args: Vec<String> = format!("-p {} {line}", node.number()).split(' ').map(str::to_owned).collect();
    let (good, text) = run("redis-cli", &args);
    assert!(good, "{text}");
    let mut rows: Vec<BTreeMap<String, String>> = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for pair in lines.chunks(2) {
        let [key, value] = pair else { panic!("keys and values come in pairs: {text}") };
        if *key == "node" {
            rows.push(BTreeMap::new());
        }
        rows.last_mut().expect("a row begins with its node").insert((*key).to_owned(), (*value).to_owned());
    }
    rows
}

#[test]
fn redis_cli_shows_the_consensus() {
    let cluster = Cluster::formed(4, &[CALM, "cluster-raft-voters 3"]);
    cluster.voters(3);
    let (at, ids) = (cluster.leader(), cluster.nodes.iter().map(Node::id).collect::<Vec<_>>());
    let (leader, follower) = (&cluster.nodes[at], &cluster.nodes[(at + 1) % 4]);
    let last = until("every node to have the whole log", || {
        let (last, rows) = (leader.field("cluster_raft_last_index"), printed(leader, "cluster raft peers"));
        let done = rows.iter().all(|row| row["match"] == last && row["in-flight"] == "0");
        if done { Ok(last) } else { Err(format!("{last}: {rows:?}")) }
    });
    let rows = printed(leader, "cluster raft peers");
    let named: BTreeSet<&str> = rows.iter().map(|row| row["node"].as_str()).collect();
    assert_eq!(named, ids.iter().map(String::as_str).filter(|id| *id != ids[at]).collect());
    assert_eq!(rows.iter().filter(|row| row["role"] == "learner").count(), 1);
    for row in &rows {
        let keys: Vec<&str> = row.keys().map(String::as_str).collect();
        let wanted = [
            "address",
            "clock",
            "clock-millionths",
            "failed",
            "in-flight",
            "last-ack-ms",
            "linked",
            "match",
            "next",
            "node",
            "role",
            "state",
        ];
        assert_eq!(keys, wanted);
        assert_eq!((row["state"].as_str(), row["linked"].as_str(), row["failed"].as_str()), ("pipeline", "1", "0"), "{row:?}");
        assert!((0..5000).contains(&row["last-ack-ms"].parse::<i64>().unwrap()), "{row:?}");
    }
    let rows = printed(follower, "cluster raft peers");
    assert_eq!((rows.len(), &rows[0]["node"], rows[0]["state"].as_str(), rows[0]["role"].as_str()), (1, &ids[at], "leader", "voter"));
    until("the follower to have applied the last entry", || match follower.ask("CLUSTER RAFT LOG 1") {
        log if log.starts_with(&format!("[{last} ")) && log.contains(" applied ") => Ok(()),
        log => Err(log),
    });
}

#[test]
fn cluster_info_counts_what_changes_cost() {
    let cluster = Cluster::formed(3, &[CALM]);
    cluster.voters(3);
    let (leader, follower) = (&cluster.nodes[cluster.leader()], &cluster.nodes[(cluster.leader() + 1) % 3]);
    let count = |node: &Node, name: &str| node.field(name).parse::<i64>().unwrap_or_else(|error| panic!("{name}: {error}"));
    let names = ["cluster_raft_appends", "cluster_raft_fsyncs", "cluster_stats_bytes_sent", "cluster_stats_bytes_received"];
    let before = names.map(|name| count(leader, name));
    assert_eq!(leader.ask("CLUSTER ADDSLOTS 1"), "OK");
    for (name, before) in names.into_iter().zip(before) {
        assert!(count(leader, name) > before, "{name}");
    }
    assert_eq!(count(leader, "cluster_raft_last_contact_ms"), 0);
    assert!((0..5000).contains(&count(follower, "cluster_raft_last_contact_ms")));
    for name in ["cluster_raft_rewrites", "cluster_raft_appends", "cluster_raft_fsyncs", "cluster_stats_bytes_sent"] {
        assert!(count(follower, name) > 0, "{name}");
    }
    assert!(count(follower, "cluster_raft_fsync_p99_us") >= 0);
}

#[test]
fn redis_cli_adds_a_node_and_removes_it() {
    let mut cluster = Cluster::with_slots(3, &[CALM]);
    let newcomer = Node::started(&[CALM]);
    let text = cluster_cli(&format!("add-node {} {}", at(&newcomer), at(&cluster.nodes[0])));
    assert!(text.contains("[OK] New node added correctly."), "{text}");
    cluster.nodes.push(newcomer);
    cluster.agreed();
    let id = cluster.nodes[3].id();
    cluster_cli(&format!("del-node {} {id}", at(&cluster.nodes[0])));
    let newcomer = cluster.nodes.pop().expect("it was pushed");
    cluster.agreed();
    until("the removed node to be alone", || match newcomer.field("cluster_known_nodes").as_str() {
        "1" => Ok(()),
        other => Err(format!("it knows {other}")),
    });
    assert_eq!(newcomer.id(), id, "CLUSTER RESET SOFT keeps the id");
    assert_eq!(lines(&newcomer).len(), 1);
    cluster_cli(&format!("check {}", at(&cluster.nodes[2])));
}

#[test]
fn redis_py_uses_all_slots_in_both_protocols() {
    let cluster = Cluster::with_slots(3, &[CALM]);
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/blackbox/redis_py.py");
    for protocol in ["2", "3"] {
        let args = [script, &cluster.nodes[0].number().to_string(), protocol].map(str::to_owned);
        let (good, text) = run(&python, &args);
        assert!(good && text.trim_end().ends_with("all good"), "protocol {protocol}\n{text}");
    }
    let keys: u64 = cluster.nodes.iter().map(|node| node.ask("DBSIZE").parse::<u64>().unwrap()).sum();
    assert_eq!(keys, 16384, "one key for each slot");
}
