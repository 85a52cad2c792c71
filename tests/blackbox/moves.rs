//! Slots that are moved away while a replica takes over: nobody keeps a key of a slot that is another's, for what that one has is newer
//! [N56 moved-and-back].

use crate::cluster::{CALM, Cluster, insist};
use crate::node::Node;
use crate::reply::{ask, text_of};
use crate::wait::{until, until_true};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many clients move slots at once.
const STREAMS: usize = 12;
/// How many slots have a key.
const SLOTS: usize = 291;

/// Gives these slots to a node, by as many clients, each at it, and again until it is done; `moved` counts.
fn give(slots: &[usize], node: &Node, moved: &AtomicUsize) {
    let id = node.id();
    std::thread::scope(|scope| {
        for stream in 0..STREAMS {
            let id = &id;
            scope.spawn(move || {
                let mut connection = node.try_connect().expect("it answers");
                for slot in slots.iter().skip(stream).step_by(STREAMS) {
                    let line = format!("CLUSTER SETSLOT {slot} NODE {id}");
                    until("the slot to be moved", || ask(&mut connection, &line));
                    moved.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
}

/// What a node answers to one command for each slot.
fn all(node: &Node, lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut connection = node.try_connect().expect("it answers");
    lines.map(|line| ask(&mut connection, &line).and_then(text_of).unwrap_or_else(|error| error)).collect()
}

/// Keys in many slots of the first node, by slot.
fn keys(node: &Node) -> BTreeMap<usize, String> {
    let names = (0..).map(|number| format!("key:{number}"));
    let slot_of = |slot: String| slot.parse().expect("a number");
    let names: Vec<String> = names.take(4 * SLOTS).collect();
    let slots = all(node, names.iter().map(|name| format!("CLUSTER KEYSLOT {name}")));
    let mut keys: BTreeMap<usize, String> = slots.into_iter().map(slot_of).zip(names).filter(|(slot, _)| *slot < 8192).collect();
    while keys.len() > SLOTS {
        keys.pop_last();
    }
    assert_eq!(keys.len(), SLOTS);
    keys
}

#[test]
fn slots_that_are_moved_away_while_a_replica_takes_over_leave_no_keys_behind() {
    let cluster = Cluster::formed(3, &[CALM]);
    cluster.voters(3);
    let [primary, other, replica] = &cluster.nodes[..] else { panic!("three nodes") };
    assert_eq!(insist(primary, "CLUSTER ADDSLOTSRANGE 0 8191"), "OK");
    assert_eq!(insist(other, "CLUSTER ADDSLOTSRANGE 8192 16383"), "OK");
    cluster.ok();
    let keys = keys(primary);
    let slots: Vec<usize> = keys.keys().copied().collect();
    until("the first to serve", || primary.try_ask(&format!("SET {} old", keys[&slots[0]])));
    assert!(all(primary, keys.values().map(|key| format!("SET {key} old"))).iter().all(|answer| answer == "OK"));
    assert_eq!(insist(replica, &format!("CLUSTER REPLICATE {}", primary.id())), "OK");
    until_true("its copy", || replica.ask("DBSIZE") == SLOTS.to_string());

    let moved = AtomicUsize::new(0);
    let mut failovers = 0;
    std::thread::scope(|scope| {
        let moving = scope.spawn(|| give(&slots, other, &moved));
        until_true("some to be moved", || moved.load(Ordering::Relaxed) > STREAMS);
        while !moving.is_finished() {
            let heir = [replica, primary][failovers % 2];
            until("a failover", || match heir.try_ask("CLUSTER FAILOVER") {
                // Whose answer has come too late.
                Err(error) if error.contains("to a replica") => Ok(()),
                answer => answer.map(drop),
            });
            failovers += 1;
        }
    });
    cluster.agreed();
    // The last one to own what is left.
    let heir = [primary, replica][failovers % 2];
    for node in [replica, primary] {
        let count = || -> Vec<String> {
            let counts = all(node, slots.iter().map(|slot| format!("CLUSTER COUNTKEYSINSLOT {slot}")));
            slots.iter().zip(counts).filter(|(_, count)| count != "0").map(|(slot, count)| format!("{slot}: {count}")).collect()
        };
        until("no keys of others' slots", || if count().is_empty() { Ok(()) } else { Err(format!("{:?}", count())) });
    }
    // What is written and deleted there does not come back with the slot.
    until("the other to serve", || other.try_ask(&format!("SET {} new", keys[&slots[0]])));
    assert!(all(other, keys.values().map(|key| format!("SET {key} new"))).iter().all(|answer| answer == "OK"));
    assert!(all(other, keys.values().map(|key| format!("DEL {key}"))).iter().all(|answer| answer == "1"));
    give(&slots, heir, &moved);
    cluster.agreed();
    until("the slots to be served", || heir.try_ask(&format!("GET {}", keys[&slots[0]])));
    let found = all(heir, keys.values().map(|key| format!("GET {key}")));
    assert!(found.iter().all(|value| value == "nil"), "{found:?}");
}
