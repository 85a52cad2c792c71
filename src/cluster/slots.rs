//! Who owns each slot.
//!
//! Owns: the map from slot to owner, two bytes a slot, and its runs. Must not: know members or epochs. Contract: docs/protocol.md.

use crate::types::{NodeId, SLOT_COUNT, Slot, SlotRange};
use std::collections::BTreeMap;

/// Place 0 of the owners' table: nobody.
const NOBODY: u16 = 0;

/// The owner of every slot.
#[derive(Clone, Debug)]
pub(super) struct SlotMap {
    /// For each slot its owner's place in `owners`, or [`NOBODY`]; always [`SLOT_COUNT`] long.
    places: Box<[u16]>,
    /// Place `p` stands at `p - 1`. A free one has count 0 and its id says nothing; there are never more than slots, so `u16` holds a
    /// place.
    owners: Vec<(NodeId, u16)>,
    /// The place of every node that owns a slot, and of no other.
    by_id: BTreeMap<NodeId, u16>,
    /// Exactly the places with count 0.
    free: Vec<u16>,
}

impl SlotMap {
    pub fn new() -> Self {
        Self { places: vec![NOBODY; usize::from(SLOT_COUNT)].into(), owners: Vec::new(), by_id: BTreeMap::new(), free: Vec::new() }
    }

    pub fn owner(&self, slot: Slot) -> Option<NodeId> {
        self.at(self.places[slot.index()])
    }

    fn at(&self, place: u16) -> Option<NodeId> {
        usize::from(place).checked_sub(1).map(|at| self.owners[at].0)
    }

    pub fn count_of(&self, id: &NodeId) -> u16 {
        self.by_id.get(id).map_or(0, |place| self.owners[usize::from(*place) - 1].1)
    }

    /// How many slots have an owner.
    pub fn assigned(&self) -> usize {
        self.by_id.values().map(|place| usize::from(self.owners[usize::from(*place) - 1].1)).sum()
    }

    pub fn owners(&self) -> impl Iterator<Item = &NodeId> + Clone {
        self.by_id.keys()
    }

    /// Gives the slots to `owner`, or to nobody.
    pub fn assign(&mut self, range: SlotRange, owner: Option<NodeId>) {
        let place = owner.map_or(NOBODY, |id| self.place_for(id));
        for slot in range.first().index()..=range.last().index() {
            let old = std::mem::replace(&mut self.places[slot], place);
            if old == place {
                continue;
            }
            if place != NOBODY {
                self.owners[usize::from(place) - 1].1 += 1;
            }
            self.leave(old);
        }
    }

    /// One slot less for the owner at `place`; its place is free when it has none left.
    fn leave(&mut self, place: u16) {
        if place == NOBODY {
            return;
        }
        let (id, count) = &mut self.owners[usize::from(place) - 1];
        *count -= 1;
        if *count == 0 {
            self.by_id.remove(id);
            self.free.push(place);
        }
    }

    /// The node's place, a free one if it has none. The caller gives it at least one slot.
    fn place_for(&mut self, id: NodeId) -> u16 {
        if let Some(place) = self.by_id.get(&id) {
            return *place;
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.owners.push((id, 0));
            u16::try_from(self.owners.len()).expect("there are never more owners than slots, and one in the making")
        });
        self.owners[usize::from(place) - 1].0 = id;
        self.by_id.insert(id, place);
        place
    }

    /// Maximal runs of slots with one owner, ascending: the same text on every node comes from these.
    pub fn runs(&self) -> impl Iterator<Item = (NodeId, SlotRange)> + '_ {
        let mut slots = Slot::all();
        self.places.chunk_by(|one, next| one == next).filter_map(move |run| {
            let first = slots.next()?;
            let last = if run.len() > 1 { slots.nth(run.len() - 2)? } else { first };
            Some((self.at(run[0])?, SlotRange::new(first, last)?))
        })
    }

    /// Panics with the invariant that does not hold.
    pub fn check(&self) {
        assert_eq!(self.places.len(), usize::from(SLOT_COUNT), "every slot has a place");
        let mut counts = vec![0u16; self.owners.len()];
        self.places.iter().filter(|place| **place != NOBODY).for_each(|place| counts[usize::from(*place) - 1] += 1);
        for (at, (id, count)) in self.owners.iter().enumerate() {
            assert_eq!(*count, counts[at], "an owner's count is the number of its slots");
            let known = self.by_id.get(id).is_some_and(|place| usize::from(*place) == at + 1);
            assert!(known || *count == 0, "who owns slots is found by its id");
        }
        assert_eq!(self.by_id.len(), counts.iter().filter(|count| **count > 0).count(), "who owns nothing has no place");
        assert_eq!(self.free.len(), counts.iter().filter(|count| **count == 0).count(), "a place without slots is free");
        assert!(self.free.iter().all(|place| counts[usize::from(*place) - 1] == 0), "a free place has no slots");
    }
}

/// Equal when every slot has the same owner; places are nobody's business.
impl PartialEq for SlotMap {
    fn eq(&self, other: &Self) -> bool {
        self.runs().eq(other.runs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(number: u16) -> Slot {
        Slot::new(number).unwrap()
    }

    #[test]
    fn runs_are_merged_whatever_the_order_of_assignment() {
        let (a, b) = (NodeId::from_bytes([1; 20]), NodeId::from_bytes([2; 20]));
        let (mut one, mut other) = (SlotMap::new(), SlotMap::new());
        one.assign(SlotRange::new(slot(0), slot(9)).unwrap(), Some(a));
        one.assign(slot(5).into(), Some(b));
        for number in [9, 8, 7, 6, 4, 3, 2, 1, 0] {
            other.assign(slot(number).into(), Some(a));
            other.check();
        }
        assert_ne!(one, other);
        other.assign(slot(5).into(), Some(b));
        assert_eq!(one, other);
        assert_eq!(
            one.runs().map(|(_, range)| (range.first().number(), range.last().number())).collect::<Vec<_>>(),
            [(0, 4), (5, 5), (6, 9)]
        );
        assert_eq!((one.count_of(&a), one.count_of(&b), one.assigned()), (9, 1, 10));
    }

    #[test]
    fn places_are_used_again() {
        let mut map = SlotMap::new();
        for n in 0..100 {
            map.assign(SlotRange::new(slot(0), slot(16383)).unwrap(), Some(NodeId::from_bytes([n; 20])));
            map.check();
        }
        assert!(map.owners.len() <= 2);
        map.assign(SlotRange::new(slot(0), slot(16383)).unwrap(), None);
        assert_eq!((map.assigned(), map.runs().count(), map.owner(slot(5))), (0, 0, None));
        map.check();
    }

    #[test]
    fn every_slot_can_have_an_owner_of_its_own() {
        let mut map = SlotMap::new();
        for slot in Slot::all() {
            let mut bytes = [0; 20];
            bytes[..2].copy_from_slice(&slot.number().to_be_bytes());
            map.assign(slot.into(), Some(NodeId::from_bytes(bytes)));
        }
        map.check();
        assert_eq!(map.runs().count(), 16384);
    }
}
