//! A stream of slot changes, and what became of each by what the client was told.
//!
//! Each slot is moved once, so that what a node says later can be compared without knowing any order:
//! acknowledged means it is there, anything else means it may be.

use crate::cluster::Line;
use crate::reply;
use crate::wait::{PATIENCE, pause};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const SLOTS: usize = 16384;

pub struct Ledger {
    ports: Vec<u16>,
    ids: Vec<String>,
    /// By slot: who owns it then, and whether that was acknowledged.
    moved: BTreeMap<usize, (String, bool)>,
}

impl Ledger {
    /// Of nodes that hold the slots in equal shares, in this order.
    pub fn new(ports: Vec<u16>, ids: Vec<String>) -> Self {
        Self { ports, ids, moved: BTreeMap::new() }
    }

    pub fn acknowledged(&self) -> usize {
        self.moved.values().filter(|(_, acknowledged)| *acknowledged).count()
    }

    fn first_owner(&self, slot: usize) -> usize {
        (0..self.ids.len()).find(|at| slot < SLOTS * (at + 1) / self.ids.len()).expect("the shares cover all slots")
    }

    /// Asks node after node to give away slot after slot, until it is told to stop.
    pub fn move_slots(ledger: &Mutex<Self>, stop: &AtomicBool) {
        for slot in 0..SLOTS {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            // Every other step goes to another node, the slots come from all over the range.
            let (port, slot, target) = {
                let ledger = ledger.lock().expect("no holder has panicked");
                let count = ledger.ids.len();
                let slot = slot * 4099 % SLOTS;
                let target = (ledger.first_owner(slot) + 1 + slot % (count - 1)) % count;
                (ledger.ports[slot % count], slot, ledger.ids[target].clone())
            };
            if let Some(acknowledged) = ask(port, slot, &target) {
                ledger.lock().expect("no holder has panicked").moved.insert(slot, (target, acknowledged));
            }
            // There are slots enough for a minute and a half, however fast the disk is.
            pause(Duration::from_millis(5));
        }
    }

    /// Whether the slots are where the ledger says they are.
    #[track_caller]
    pub fn compare(&self, lines: &[Line]) {
        let number = |text: &str| text.parse().expect("a slot is a number");
        let mut owners = vec![""; SLOTS];
        for line in lines {
            for range in line.slots.split(' ').filter(|range| !range.is_empty()) {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                let (first, last): (usize, usize) = (number(first), number(last));
                owners[first..=last].fill(&line.id);
            }
        }
        for (slot, owner) in owners.into_iter().enumerate() {
            let before = self.ids[self.first_owner(slot)].as_str();
            match self.moved.get(&slot) {
                None => assert_eq!(owner, before, "slot {slot} was never moved"),
                Some((target, true)) => assert_eq!(owner, target, "slot {slot}: an acknowledged change is gone"),
                Some((target, false)) => assert!(owner == target || owner == before, "slot {slot} is at {owner}"),
            }
        }
    }
}

/// Whether the change was acknowledged; nothing if the node was not there to be asked.
fn ask(port: u16, slot: usize, target: &str) -> Option<bool> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/")).expect("the address is one");
    let mut connection = client.get_connection_with_timeout(Duration::from_secs(2)).ok()?;
    connection.set_read_timeout(Some(PATIENCE)).ok()?;
    Some(reply::ask(&mut connection, &format!("CLUSTER SETSLOT {slot} NODE {target}")).is_ok())
}
