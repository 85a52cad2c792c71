//! What each machine's process holds of the keys that are written.
//!
//! Owns: the number that a key stands for. One that is there stands for its value. One that is not was removed by a DEL, which has a number
//! of its own, or because its time was over, or it was never there: which of these is known only between bounds, and by watching.

use crate::sim::machine::Machine;
use crate::sim::writers::{FIELD, KEYS};
use pontoon::node::Node;
use pontoon::store::MemoryDisk;
use pontoon::types::{LogIndex, Millis};
use pontoon::values::Hash;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Digits of a value's number, at most.
const LONGEST_NUMBER: usize = 20;

/// The number that a key stands for at a node: no less than the one, no more than the other. Equal where the key is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Held {
    /// What may be asked of others because of it.
    pub least: u64,
    /// What is believed of it.
    pub most: u64,
}

impl Held {
    fn exactly(number: u64) -> Self {
        Self { least: number, most: number }
    }
}

/// Of every key.
pub type Holdings = [Held; KEYS.len()];

/// Why a key may be gone.
#[derive(Default)]
struct Ends {
    /// The numbers of each DEL that was sent.
    deletes: BTreeSet<u64>,
    /// Values that were given a short life.
    fleeting: BTreeSet<u64>,
    /// Values whose time was over by a primary's clock: it removed them, or reads them as gone.
    expired: BTreeSet<u64>,
    /// When the values end that were ever seen (wall ms).
    expiries: BTreeMap<u64, Millis>,
}

impl Ends {
    /// The latest number that an absent key can stand for.
    fn most(&self) -> u64 {
        self.deletes.last().max(self.expired.last()).copied().unwrap_or(0)
    }

    /// Which value's time is over at a key that was this one and is not there any more: its own, or that of one which came and went in the
    /// same turn.
    fn ended(&self, number: u64, expiry: Option<Millis>, wall: Millis) -> Option<u64> {
        let is_over = expiry.is_some_and(|expiry| wall > expiry);
        if is_over { Some(number) } else { self.fleeting.last().copied().filter(|last| *last > number) }
    }

    /// A replica may hear of a value in the very turn in which it takes over, and removes it if its time is over by its own clock.
    fn inherited(&mut self, wall: Millis) {
        let over = self.expiries.iter().filter(|(_, expiry)| wall > **expiry).map(|(number, _)| *number);
        self.expired.extend(over);
    }

    /// What a key stands for that is not there any more after it was this number.
    fn least_after(&self, number: u64) -> u64 {
        if self.expired.contains(&number) { number } else { self.deletes.range(number..).next().copied().unwrap_or(0) }
    }
}

/// What a machine's process holds, and its machine ever held.
#[derive(Default)]
pub struct Copy {
    /// The process.
    pub process: u64,
    /// So much was committed when it began.
    pub began: LogIndex,
    /// And when it first went by a state that was the newest: it served, or had its primary's keys.
    pub certain: Option<LogIndex>,
    /// After its last turn.
    pub now: Holdings,
    /// The highest numbers that were ever seen here.
    pub ever: [u64; KEYS.len()],
    /// The values that are there: their numbers, and when they end (wall ms).
    there: [Option<(u64, Option<Millis>)>; KEYS.len()],
    /// Whether its keys were those of its shard, after its last turn.
    pub in_sync: bool,
    /// Whether it decides over expired keys.
    decides: bool,
}

impl Copy {
    /// The number of the value that is there.
    pub fn value(&self, key: usize) -> Option<u64> {
        self.there[key].map(|(number, _)| number)
    }
}

/// See the module.
#[derive(Default)]
pub struct Watch {
    ends: [Ends; KEYS.len()],
    /// Values that ended because their time was over.
    pub expirations: u64,
}

impl Watch {
    /// A DEL of this number is sent.
    pub fn deletes(&mut self, key: usize, number: u64) {
        self.ends[key].deletes.insert(number);
    }

    /// A value is sent that lives so short that the turn in which it is written may be its last.
    pub fn passes(&mut self, key: usize, number: u64) {
        self.ends[key].fleeting.insert(number);
    }

    /// Whether a process may hold this number of a key, or its machine ever did, or a later one. What it has not, it may have lacked when a
    /// DEL came that changed nothing.
    pub fn may_hold(&self, copy: &Copy, key: usize, number: u64) -> bool {
        copy.ever[key] >= number || copy.there[key].is_none() && self.ends[key].most() >= number
    }

    /// What a key stands for that is not there, at a process that held this before.
    pub fn absent(&self, key: usize, before: Held) -> Held {
        Held { least: before.least, most: self.ends[key].most() }
    }

    /// The process on this machine has had a turn, which ended at `wall` by its clock. Returns what it held before.
    pub fn look(&mut self, copy: &mut Copy, machine: &Machine, node: &Node<MemoryDisk>, committed: LogIndex, wall: Millis) -> Holdings {
        if copy.process != machine.starts {
            *copy = Copy { process: machine.starts, began: committed, ever: copy.ever, ..Copy::default() };
        }
        let before = copy.now;
        let decided = std::mem::replace(&mut copy.decides, is_primary(node));
        for (key, ends) in self.ends.iter_mut().enumerate() {
            let entry = entry(node, key);
            let was = std::mem::replace(&mut copy.there[key], entry);
            ends.expiries.extend(entry.and_then(|(number, expiry)| Some((number, expiry?))));
            if copy.decides && !decided && entry.is_none() {
                ends.inherited(wall);
            }
            // While it holds writes, for a pause or to hand over, it leaves such a one in its place, and reads it as gone.
            let over = entry.filter(|(_, expiry)| copy.decides && expiry.is_some_and(|expiry| wall > expiry));
            self.expirations += over.map_or(0, |(number, _)| u64::from(ends.expired.insert(number)));
            let replaced = was.filter(|(number, _)| entry.is_some_and(|(present, _)| present != *number));
            if let Some((number, Some(expiry))) = replaced
                && copy.decides
                && wall > expiry
            {
                // It may have been read as gone in this turn, before it was written anew.
                ends.expired.insert(number);
            }
            copy.now[key] = match (entry, was) {
                (Some((number, _)), _) => Held::exactly(number),
                (None, None) => Held { most: ends.most(), ..before[key] },
                (None, Some((number, expiry))) => {
                    if decided || copy.decides {
                        let ended = ends.ended(number, expiry, wall);
                        self.expirations += ended.map_or(0, |number| u64::from(ends.expired.insert(number)));
                    }
                    Held { least: ends.least_after(number), most: ends.most() }
                }
            };
            copy.ever[key] = copy.ever[key].max(copy.now[key].most);
        }
        before
    }

    /// A write of this number was acknowledged. Its time may have been over in the very turn that made it.
    pub fn acknowledged(&mut self, copy: Option<&Copy>, key: usize, number: u64) {
        let ends = &mut self.ends[key];
        if copy.is_some_and(|copy| copy.now[key].most < number) && ends.fleeting.contains(&number) {
            ends.expired.insert(number);
        }
    }
}

/// Whether the node decides over expired keys, by its own state.
fn is_primary(node: &Node<MemoryDisk>) -> bool {
    node.state().member(&node.id()).is_none_or(|member| member.primary.is_none())
}

/// The number that stands in a key, if the key is there, and when it ends (wall ms).
fn entry(node: &Node<MemoryDisk>, key: usize) -> Option<(u64, Option<Millis>)> {
    let name = KEYS[key].0.as_bytes();
    let mut entries = node.keyspace().entries_in_slot(KEYS[key].slot());
    entries.find(|entry| entry.key == name).map(|entry| {
        let mut buffer = Vec::new();
        let field = entry.value.of::<Hash>().ok().and_then(|hash| hash.get(FIELD.as_bytes(), &mut buffer));
        // Only the beginning of a long one is looked at.
        let string = entry.value.string().ok().map(|string| string.bytes(0..string.len().min(LONGEST_NUMBER)));
        let written = field.map(Cow::Borrowed).or(string).expect("a key is written as a string, or in a field");
        (number(&written), entry.expiry)
    })
}

/// The number at the beginning of a value.
pub fn number(bytes: &[u8]) -> u64 {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len());
    std::str::from_utf8(&bytes[..end])
        .ok()
        .and_then(|text| text.parse().ok())
        .expect("the value of a key that is written begins with a number")
}
