//! Keys do not move with their slots: who is given a slot begins without any, also who had it before.
//!
//! Owns: under which owner each number was first served, and which entries a node has not applied one by one. Whoever loses a slot drops
//! its keys when it applies that; it cannot know of a slot that went and came back while it was away, by a snapshot or while its process
//! was down.

use crate::sim::checks::model::{By, Model, Tenure};
use crate::sim::writers::KEYS;
use pontoon::node::Node;
use pontoon::store::MemoryDisk;
use pontoon::types::{ClusterId, LogIndex, Slot};
use std::collections::BTreeMap;

/// See the module.
#[derive(Default)]
pub struct Moves {
    /// By cluster, key and number: the entry that had made its owner that.
    served: BTreeMap<(ClusterId, usize, u64), LogIndex>,
    /// By machine: what the last snapshots have brought, from after an index to another.
    leaps: BTreeMap<usize, Vec<(LogIndex, LogIndex)>>,
}

impl Moves {
    /// A process begins.
    pub fn started(&mut self, machine: usize) {
        self.leaps.remove(&machine);
    }

    /// A snapshot has brought what lies between these two.
    pub fn leapt(&mut self, machine: usize, after: LogIndex, to: LogIndex) {
        self.leaps.entry(machine).or_default().push((after, to));
    }

    /// The process on this machine, whose state was certain when so much was committed, serves this number of a key: the slot has not been
    /// moved since that was first served.
    pub fn serves(
        &mut self,
        model: &Model,
        (cluster, key): (ClusterId, usize),
        number: u64,
        tenure: Tenure,
        (machine, certain): (usize, LogIndex),
    ) {
        let since = *self.served.entry((cluster, key, number)).or_insert(tenure.index);
        let loss = model.first_move(KEYS[key].slot(), since, tenure).filter(|_| tenure.by == By::Move);
        let is_told = |loss: &LogIndex| certain < *loss && !self.has_leapt_over(machine, *loss, tenure.index);
        if let Some(loss) = loss.filter(is_told) {
            let (name, gain) = (KEYS[key].0, tenure.index);
            panic!(
                "keys do not move with slots: {number} of {name} was served by entry {since}, its slot moved by entry {loss}, and is served by entry {gain} with it"
            );
        }
    }

    fn has_leapt_over(&self, machine: usize, loss: LogIndex, gain: LogIndex) -> bool {
        self.leaps.get(&machine).into_iter().flatten().any(|(after, to)| *after < loss && gain <= *to)
    }
}

/// A slot that another shard owns, and of which this primary has keys.
pub fn foreign_slot(node: &Node<MemoryDisk>) -> Option<Slot> {
    let (state, me) = (node.state(), node.id());
    let is_primary = state.member(&me).is_some_and(|member| member.primary.is_none());
    let is_foreign = |slot: &Slot| node.keyspace().count_in_slot(*slot) > 0 && state.owner(*slot).is_some_and(|owner| owner != me);
    Slot::all().filter(|_| is_primary && !node.keyspace().is_empty()).find(is_foreign)
}
