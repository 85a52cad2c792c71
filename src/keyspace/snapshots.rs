//! Walks over all keys as they were at one moment, in steps, while commands go on changing them.
//!
//! Owns: which keys a walk has passed, and the old entries of those that change before it comes to them. Must not: cost anything while
//! nobody walks. Contract: docs/architecture.md, "Keyspace".
//!
//! A walk goes through the slots, and within a slot through the places (see the dictionary). Before a key that it has not passed changes,
//! its old entry is put aside, to be visited next, and the key is remembered, so that it is not visited again. What is put aside is
//! therefore as much as was changed since the last step, each key once.

use super::Keyspace;
use super::dictionary::Dictionary;
use super::owned::Owned;
use super::value::Entry;
use super::walks::next_used;
use crate::types::{SLOT_COUNT, Slot};
use crate::values::{Hasher, KeyHash, Rules, Str};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Walks at a time: each keeps old entries of its own.
const WALKS_MAX: usize = 8;
/// What a visit counts beside the bytes of key and value.
const VISIT_COST: usize = 16;

/// Names a walk. Never given twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WalkId(u64);

/// How a step of a walk ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum WalkStep {
    /// There may be more.
    More,
    /// Every key has been visited.
    Done,
    /// Keys that were to come were cleared or replaced as a whole: this walk cannot go on, and what it has visited is of no use.
    Voided,
}

/// All walks.
#[derive(Default)]
pub(super) struct Snapshots {
    /// At most [`WALKS_MAX`].
    walks: Vec<Walk>,
    /// The last id given.
    last: u64,
}

struct Walk {
    id: WalkId,
    /// Passed are the slots below this one, and of this one the places below `place`.
    slot: u16,
    place: u32,
    /// Old entries to be visited next.
    aside: VecDeque<Owned>,
    /// Keys not passed that changed, or came to be, since the walk began. No set is empty, and none is of a slot that was passed.
    changed: BTreeMap<u16, BTreeSet<Box<[u8]>>>,
    /// It will not be continued, and nothing is put aside for it.
    voided: bool,
}

impl Walk {
    fn has_passed(&self, slot: Slot, hash: KeyHash) -> bool {
        (self.slot, self.place) > (slot.number(), hash.place())
    }

    fn put_aside(&mut self, slot: Slot, key: &[u8], old: Option<Entry<'_>>, rules: &Rules) {
        let changed = self.changed.entry(slot.number()).or_default();
        if !changed.contains(key) {
            changed.insert(key.into());
            self.aside.extend(old.map(|old| Owned::of(old, rules)));
        }
    }

    /// Visits what was put aside while `left` is not used up.
    fn visit_aside(&mut self, left: &mut usize, visit: &mut dyn FnMut(Entry<'_>)) {
        while *left > 0
            && let Some(old) = self.aside.pop_front()
        {
            *left = left.saturating_sub(cost(&old.read()));
            visit(old.read());
        }
    }

    /// Visits the next keys of the dictionary of slot `number`, but those that have been put aside.
    fn visit_slot(&mut self, number: u16, dictionary: &Dictionary, hasher: &Hasher, left: &mut usize, visit: &mut dyn FnMut(Entry<'_>)) {
        if number != self.slot {
            self.go_to(number);
        }
        let mut changed = self.changed.get_mut(&number);
        let next = dictionary.scan_some(self.place, hasher, &mut |entry| {
            *left = left.saturating_sub(cost(&entry));
            if !changed.as_mut().is_some_and(|changed| changed.remove(entry.key)) {
                visit(entry);
            }
            *left > 0
        });
        match next {
            Some(place) => self.place = place,
            None => self.go_to(number + 1),
        }
    }

    /// Passes every slot before this one.
    fn go_to(&mut self, slot: u16) {
        (self.slot, self.place) = (slot, 0);
        self.changed = self.changed.split_off(&slot);
    }
}

fn cost(entry: &Entry<'_>) -> usize {
    let value = entry.value.string().map_or_else(|_| entry.value.cost(), Str::len);
    VISIT_COST + entry.key.len() + value
}

impl Snapshots {
    /// True if nobody walks.
    pub fn is_empty(&self) -> bool {
        self.walks.is_empty()
    }

    /// True if nothing is kept for a walk: what it is to be at its end.
    #[cfg(test)]
    pub fn is_drained(&self, id: WalkId) -> bool {
        self.walks.iter().all(|walk| walk.id != id || walk.aside.is_empty() && walk.changed.is_empty())
    }

    /// Before a key changes that holds `old`.
    pub fn put_aside(&mut self, slot: Slot, hash: KeyHash, key: &[u8], old: Option<Entry<'_>>, rules: &Rules) {
        for walk in self.walks.iter_mut().filter(|walk| !walk.voided && !walk.has_passed(slot, hash)) {
            walk.put_aside(slot, key, old, rules);
        }
    }

    /// Before keys of a slot go without being put aside one by one: no walk that has not passed it can go on.
    pub fn void(&mut self, slot: u16) {
        for walk in self.walks.iter_mut().filter(|walk| walk.slot <= slot) {
            walk.voided = true;
            walk.aside.clear();
            walk.changed.clear();
        }
    }
}

impl Keyspace {
    /// Begins a walk over the keys as they are now; none if too many are under way. Each is to be ended by [`Keyspace::end_walk`], whatever
    /// its steps return.
    pub fn begin_walk(&mut self) -> Option<WalkId> {
        let Snapshots { walks, last } = &mut self.snapshots;
        if walks.len() >= WALKS_MAX {
            return None;
        }
        *last += 1;
        let id = WalkId(*last);
        walks.push(Walk { id, slot: 0, place: 0, aside: VecDeque::new(), changed: BTreeMap::new(), voided: false });
        Some(id)
    }

    /// One step of a walk: visits keys of about `budget` bytes, each key once, in no order, with what it held when the walk began. Expired
    /// keys are visited too. A value is shown as a whole: of a large one the visitor takes a clone, and goes on with
    /// it by itself.
    pub fn step_walk(&mut self, id: WalkId, budget: usize, visit: &mut dyn FnMut(Entry<'_>)) -> WalkStep {
        let Self { snapshots, slots, rules: Rules { hasher, .. }, .. } = self;
        let Some(walk) = snapshots.walks.iter_mut().find(|walk| walk.id == id && !walk.voided) else { return WalkStep::Voided };
        let mut left = budget.max(1);
        walk.visit_aside(&mut left, visit);
        while left > 0 {
            let Some((number, dictionary)) = next_used(slots, walk.slot) else {
                walk.go_to(SLOT_COUNT);
                return WalkStep::Done;
            };
            walk.visit_slot(number, dictionary, hasher, &mut left, visit);
        }
        WalkStep::More
    }

    /// Forgets a walk.
    pub fn end_walk(&mut self, id: WalkId) {
        self.snapshots.walks.retain(|walk| walk.id != id);
    }
}
