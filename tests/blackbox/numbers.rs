//! Numbers without room, from whoever can say one: a stranger on the bus, a file, a primary [N59 runaway-term] [N60 false-forgotten]
//! [N62 number-bounds]. The cluster goes on, and starts again.

use crate::cluster::{CALM, Cluster, insist};
use crate::copies::{Fake, ID, copied, linked, rdb_of, replica_of, send};
use crate::node::Node;
use crate::reply::Raw;
use crate::wait::until;
use std::fs;
use std::io::Write;

const STRANGER: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
/// What fits into 63 bits.
const GREATEST: u64 = i64::MAX as u64;
/// The last term that there is.
const LAST_TERM: u64 = (1 << 62) - 1;

fn frame(payload: &str) -> Vec<u8> {
    [b"RAFT", &(payload.len() as u32 + 8).to_be_bytes()[..], payload.as_bytes()].concat()
}

fn number(node: &Node, field: &str) -> u64 {
    node.field(field).parse().expect("it is a number")
}

/// Where a log ends; its leader has an entry of its own term.
#[derive(Clone, Copy)]
struct End {
    term: u64,
    index: u64,
}

/// The state as a snapshot from the stranger, a term later, with this last index and largest lease.
fn snapshot(node: &Node, end: End, last_index: u64, lease: u64) -> String {
    let file = fs::read_to_string(node.nodes_conf()).expect("it is there");
    let (state, _) = file.split_once("\ncrc ").expect("the state ends there");
    let mut text = String::new();
    for line in state.replace("myself,", "").lines() {
        let mut words: Vec<&str> = line.split(' ').collect();
        let (index, term, lease) = (last_index.to_string(), end.term.to_string(), lease.to_string());
        for at in 0..words.len() {
            match words[at] {
                "lastApplied" => words[at + 1] = &index,
                "snapshotTerm" => words[at + 1] = &term,
                "maxLease" => words[at + 1] = &lease,
                // A node's own.
                "incarnation" | "currentTerm" | "votedFor" => words[at..at + 2].fill(""),
                _ => {}
            }
        }
        words.retain(|word| !word.is_empty());
        text.push_str(&words.join(" "));
        text.push('\n');
    }
    let (next, crc) = (end.term + 1, crc32fast::hash(text.as_bytes()));
    format!("INSTALL_SNAPSHOT {STRANGER} {next} {last_index} {} 1 {} {crc:08x}\n{text}", end.term, text.len())
}

/// One frame's payload, by what a stranger can know.
type Word = fn(&Node, End) -> String;

/// The words of a stranger who has read the cluster's id.
const WORDS: [(&str, Word); 7] = [
    ("the last term", |_, _| format!("VOTE_REQ {STRANGER} {LAST_TERM} {LAST_TERM} {LAST_TERM} 1 transfer")),
    ("a term beyond it", |_, _| format!("VOTE_REQ {STRANGER} {GREATEST} {GREATEST} {GREATEST} 1 transfer")),
    ("a log of the last term", |_, _| format!("FORGOTTEN {LAST_TERM} {} -", 1u64 << 41)),
    ("a lease without end", |_, End { term, index }| {
        let next = term + 1;
        format!("AE {STRANGER} {next} {index} {term} 0 {} 1 1 - - 5000\n{next} NOOP {GREATEST}\n", index + 1)
    }),
    ("a leader's lease without end", |_, End { term, index }| {
        format!("AE {STRANGER} {} {index} {term} 0 {index} 0 1 - - {GREATEST}", term + 1)
    }),
    ("a snapshot of everything", |node, end| snapshot(node, end, GREATEST, 5000)),
    ("a snapshot with a lease without end", |node, end| snapshot(node, end, end.index + 1, GREATEST)),
];

/// Says it to everybody, and waits until it was heard.
fn say(cluster: &Cluster, word: Word) {
    let node = &cluster.nodes[0];
    assert_eq!(node.ask("CLUSTER SAVECONFIG"), "OK");
    let word = word(node, End { term: number(node, "cluster_raft_current_term"), index: number(node, "cluster_raft_last_index") });
    let hello = frame(&format!("HELLO {STRANGER} :7000@17000 {} 1 - -", node.field("cluster_raft_cluster_id")));
    for node in &cluster.nodes {
        let mut raw = Raw::connect(node.port.bus());
        raw.send(&hello);
        let _ = raw.stream().write_all(&frame(&word));
    }
    // A word that closes no link is handled by the time that a later one is answered.
    for node in &cluster.nodes {
        let mut raw = Raw::connect(node.port.bus());
        raw.send(&hello);
        assert!(!raw.line().is_empty(), "HI");
    }
}

/// The largest lease that a node's file knows.
fn largest_lease(node: &Node) -> String {
    assert_eq!(node.ask("CLUSTER SAVECONFIG"), "OK");
    let file = fs::read_to_string(node.nodes_conf()).expect("it is there");
    let (_, lease) = file.split_once(" maxLease ").expect("it says one");
    lease.split(' ').next().expect("a number").to_owned()
}

/// A slot is moved on, at all of them, and nothing has grown beyond use.
#[track_caller]
fn goes_on(cluster: &Cluster, ids: &[String], why: &str, round: usize) {
    cluster.agreed();
    for (at, node) in cluster.nodes.iter().enumerate() {
        let target = &ids[(at + round) % 3];
        until(&format!("a change, after {why}"), || node.try_ask(&format!("CLUSTER SETSLOT {at} NODE {target}")));
    }
    cluster.agreed();
    cluster.ok();
    for (node, id) in cluster.nodes.iter().zip(ids) {
        assert_eq!((&node.id(), largest_lease(node).as_str()), (id, "5000"), "{why}");
        let term = number(node, "cluster_raft_current_term");
        assert!(term < 900, "{why}: a stranger's term was believed: {term}");
    }
}

#[test]
fn one_frame_of_a_stranger_with_great_numbers_changes_nothing_for_good() {
    let mut cluster = Cluster::with_slots(3, &[CALM]);
    cluster.voters(3);
    let ids: Vec<String> = cluster.nodes.iter().map(Node::id).collect();
    let said = |node: &Node| node.log().matches("closing a bus link with ").count() + node.log().matches("asking its members").count();
    for (round, (what, word)) in WORDS.into_iter().enumerate() {
        let before: Vec<usize> = cluster.nodes.iter().map(said).collect();
        say(&cluster, word);
        for (node, before) in cluster.nodes.iter().zip(before) {
            assert!(said(node) > before, "{what}: the log says nothing of it");
        }
        // The last one looks as if there was another leader: there will be one after the restart.
        if round + 1 < WORDS.len() {
            goes_on(&cluster, &ids, what, round + 1);
        }
    }
    // It all loads again; and a lease that an earlier binary has taken is an hour.
    cluster.nodes.iter_mut().for_each(Node::kill);
    for node in &cluster.nodes {
        with_a_lease_without_end(node);
    }
    cluster.start_all();
    cluster.ok();
    cluster.agreed();
    for node in &cluster.nodes {
        assert_eq!(largest_lease(node), "3600000");
    }
}

fn with_a_lease_without_end(node: &Node) {
    let file = fs::read_to_string(node.nodes_conf()).expect("it is there");
    let (state, tail) = file.split_once("crc ").expect("the state ends there");
    assert!(state.contains(" maxLease 5000 "), "{state}");
    let state = state.replace(" maxLease 5000 ", &format!(" maxLease {GREATEST} "));
    let text = format!("{state}crc {:08x}\n{}", crc32fast::hash(state.as_bytes()), tail.split_once('\n').expect("a line").1);
    fs::write(node.nodes_conf(), text).expect("it can be written");
}

/// A primary's file, or its word, has it that its stream is as long as numbers go.
#[test]
fn a_history_without_room_is_not_gone_on_with() {
    let mut cluster = Cluster::formed(3, &[CALM]);
    cluster.voters(3);
    let leader = cluster.leader();
    let (primary, replica) = ((leader + 1) % 3, (leader + 2) % 3);
    assert_eq!(insist(&cluster.nodes[primary], "CLUSTER ADDSLOTSRANGE 0 16383"), "OK");
    cluster.ok();
    cluster.nodes[primary].kill();
    let offset = (GREATEST - 10).to_string();
    fs::write(cluster.nodes[primary].dump(), rdb_of(&[("repl-id", ID), ("repl-offset", &offset)], "k", "1")).expect("it can be written");
    cluster.nodes[primary].start();
    let id = cluster.nodes[primary].id();
    until("its replica", || cluster.nodes[replica].try_ask(&format!("CLUSTER REPLICATE {id}")));
    linked(&cluster.nodes[replica]);
    until("a write", || cluster.nodes[primary].try_ask("SET l 2"));
    copied(&cluster.nodes[replica], "l", "2");
    copied(&cluster.nodes[replica], "k", "1");
    until("the leader to hear what both have", || {
        let shards = cluster.nodes[leader].ask("CLUSTER SHARDS");
        if shards.matches("health online").count() == 3 { Ok(()) } else { Err(shards) }
    });
    for node in &cluster.nodes {
        assert!(!node.log().contains("closing a bus link"), "healthy nodes understand each other");
    }
    assert!(cluster.nodes[primary].log().contains("The RDB's repl-offset leaves no room to go on from"));
}

#[test]
fn a_full_sync_up_to_the_end_of_all_numbers_is_not_taken() {
    let fake = Fake::new();
    let cluster = replica_of(fake.port.number, &[]);
    let (file, replica) = (rdb_of(&[], "k", "1"), &cluster.nodes[1]);
    for offset in [GREATEST, GREATEST - 10, (1 << 62) + 1] {
        let (mut stream, _) = fake.psync();
        send(&mut stream, &format!("+FULLRESYNC {ID} {offset}\r\n${}\r\n", file.len()), &file);
        until("it to say so", || if replica.log().contains(&format!("FULLRESYNC {ID} {offset}")) { Ok(()) } else { Err(replica.log()) });
    }
    let (mut stream, asked) = fake.psync();
    assert_eq!((asked.as_str(), replica.ask("DBSIZE").as_str()), ("? -1", "0"));
    send(&mut stream, &format!("+FULLRESYNC {ID} {}\r\n${}\r\n", 1u64 << 62, file.len()), &file);
    copied(replica, "k", "1");
    send(&mut stream, "", b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\n2\r\n");
    copied(replica, "k", "2");
    cluster.agreed();
    assert!(!cluster.nodes[0].log().contains("closing a bus link"), "it understands what its replica has");
}
