//! Many things at once, and things that happen just when something else does.

use crate::cluster::{CALM, Cluster, agreed, lines, own_slots, try_insist};
use crate::node::Node;
use crate::reply::{self, Raw};
use crate::wait::until;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::fs;

#[test]
fn many_clients_change_slots_at_once() {
    const CLIENTS: usize = 24;
    let cluster = Cluster::with_slots(3, &[CALM]);
    let ids: Vec<String> = cluster.nodes.iter().map(Node::id).collect();
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (node, ids) = (&cluster.nodes[number % 3], &ids);
            scope.spawn(move || {
                let mut connection = node.try_connect().expect("the node takes connections");
                for round in 0..12 {
                    // Each client has a slot of its own, which it sends around.
                    let target = &ids[(number + round) % 3];
                    let answer = reply::ask(&mut connection, &format!("CLUSTER SETSLOT {} NODE {target}", number * 600));
                    assert_eq!(answer.and_then(reply::text_of), Ok("OK".to_owned()), "client {number}, round {round}");
                }
            });
        }
    });
    cluster.agreed();
    for (at, id) in ids.iter().enumerate() {
        let line = lines(&cluster.nodes[0]).into_iter().find(|line| line.id == *id).expect("it is a member");
        let owned = |slot: usize| {
            line.slots.split(' ').any(|range| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                (first.parse().unwrap()..=last.parse().unwrap()).contains(&slot)
            })
        };
        for number in (0..CLIENTS).filter(|number| (number + 11) % 3 == at) {
            assert!(owned(number * 600), "slot {} is not where it was last sent: {line:?}", number * 600);
        }
    }
}

#[test]
fn a_pipeline_of_changes_is_answered_in_order() {
    let cluster = Cluster::formed(3, &[CALM]);
    let follower = &cluster.nodes[(cluster.leader() + 1) % 3];
    let mut client = Raw::connect(follower.number());
    let mut requests = String::new();
    for slot in 0..100 {
        requests += &format!("CLUSTER ADDSLOTS {slot}\r\nECHO {slot}\r\nCLUSTER ADDSLOTS {slot}\r\nCLUSTER DELSLOTS {slot}\r\n");
    }
    client.send(requests);
    for slot in 0..100 {
        let replies: Vec<String> = (0..5).map(|_| client.line()).collect();
        let (length, busy) = (format!("${}", slot.to_string().len()), format!("-ERR Slot {slot} is already busy"));
        assert_eq!(replies, ["+OK".to_owned(), length, slot.to_string(), busy, "+OK".to_owned()]);
    }
    cluster.agreed();
    assert_eq!(own_slots(follower), "");
}

#[test]
fn two_clusters_meet_the_same_node_at_once() {
    for _ in 0..3 {
        let (ours, theirs) = (Cluster::formed(2, &[CALM]), Cluster::formed(2, &[CALM]));
        let wanted = Node::started(&[CALM]);
        let meet = |cluster: &Cluster| try_insist(&cluster.nodes[0], &format!("CLUSTER MEET 127.0.0.1 {}", wanted.number()));
        let (one, other) = std::thread::scope(|scope| {
            let one = scope.spawn(|| meet(&ours));
            let other = scope.spawn(|| meet(&theirs));
            (one.join().unwrap(), other.join().unwrap())
        });
        assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
        let (winner, loser) = if one.is_ok() { (&ours, &theirs) } else { (&theirs, &ours) };
        agreed(&[&winner.nodes[0], &winner.nodes[1], &wanted]);
        loser.agreed();
    }
}

#[test]
fn a_joiner_killed_at_any_moment_joins_when_it_is_back() {
    let mut cluster = Cluster::formed(3, &["cluster-node-timeout 2500"]);
    cluster.voters(3);
    for _ in 0..4 {
        let mut joiner = Node::started(&["cluster-node-timeout 2500", "cluster-require-full-coverage no"]);
        assert_eq!(joiner.ask("CLUSTER ADDSLOTS 1 2 3"), "OK");
        let id = joiner.id();
        cluster.nodes[0].meet(&joiner);
        joiner.kill();
        joiner.start();
        cluster.nodes.push(joiner);
        cluster.agreed();
        let joiner = cluster.nodes.last().expect("it was pushed");
        assert_eq!(joiner.id(), id);
        until("its claim", || match lines(&cluster.nodes[0]).into_iter().find(|line| line.id == id) {
            Some(line) if line.slots == "1-3" => Ok(()),
            other => Err(format!("{other:?}")),
        });
        assert_eq!(joiner.ask("CLUSTER DELSLOTS 1 2 3"), "OK");
    }
}

#[test]
fn a_sponsor_killed_at_any_moment_leaves_one_cluster_or_two() {
    for _ in 0..4 {
        let mut sponsor = Node::started(&["cluster-node-timeout 500"]);
        let joiner = Node::started(&["cluster-node-timeout 500"]);
        assert_eq!(joiner.ask("CLUSTER ADDSLOTS 7"), "OK");
        sponsor.meet(&joiner);
        sponsor.kill();
        sponsor.start();
        // The NODE_JOIN was on the sponsor's disk, or the joiner goes back to what it was (also if the sponsor was away for too long): then
        // they may meet again.
        let went_back = until("the joiner to be something", || match joiner.field("cluster_raft_role").as_str() {
            "leader" => Ok(true),
            "follower" | "learner" => Ok(false),
            other => Err(other.to_owned()),
        });
        if went_back {
            agreed(&[&joiner]);
            assert_eq!(own_slots(&joiner), "7");
            sponsor.meet(&joiner);
        }
        agreed(&[&sponsor, &joiner]);
        until("the claim", || if own_slots(&joiner) == "7" { Ok(()) } else { Err(own_slots(&joiner)) });
    }
}

#[test]
fn without_file_descriptors_those_who_are_in_are_served() {
    let node = Node::started(&[CALM]);
    // Nothing is left to be rewritten: a rewrite needs a descriptor, and without one the process would have to end.
    assert_eq!(node.ask("CLUSTER SAVECONFIG"), "OK");
    let mut known = Raw::connect(node.number());
    assert_eq!(known.say("PING"), "+PONG");
    let limit = Rlimit { current: Some(40), maximum: Some(4096) };
    prlimit(Pid::from_raw(node.pid() as i32), Resource::Nofile, limit).expect("a child's limit can be set");
    let crowd: Vec<Raw> = (0..100).map(|_| Raw::connect(node.number())).collect();
    until("the node to say that it is full", || if node.log().contains("Accepting connections") { Ok(()) } else { Err(node.log()) });
    assert_eq!(known.say("PING"), "+PONG");
    drop(crowd);
    until("room for others", || node.try_ask("PING"));
}

#[test]
fn a_disk_that_fails_ends_the_process_before_it_promises() {
    let mut cluster = Cluster::with_slots(3, &["cluster-node-timeout 2500"]);
    cluster.voters(3);
    // A directory stands where the rewritten file is to be made.
    let obstacle = cluster.nodes[1].dir().join("nodes.conf.tmp");
    fs::create_dir(&obstacle).unwrap();
    let lost = cluster.nodes[1].try_ask("CLUSTER SAVECONFIG");
    assert!(lost.is_err(), "{lost:?}");
    let status = cluster.nodes[1].exit_status();
    assert!(status.code().is_some_and(|code| code != 0), "{status}");
    assert!(cluster.nodes[1].log().contains("nodes.conf"), "{}", cluster.nodes[1].log());
    fs::remove_dir(&obstacle).unwrap();
    cluster.nodes[1].start();
    cluster.ok();
    cluster.agreed();
}
