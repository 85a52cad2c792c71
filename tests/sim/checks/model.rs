//! What the committed log means for members and slots: a second, small state machine, written from docs/protocol.md alone.
//!
//! Owns: members with their shards' epochs, voters, slot owners, proposals seen. Without replicas: no simulated client makes any.

use pontoon::cluster::{Change, ClusterEntry, State};
use pontoon::raft::{Body, Origin, ProposalId};
use pontoon::types::{LogIndex, NodeId, SLOT_COUNT, Slot};
use std::collections::{BTreeMap, BTreeSet};

/// A change of slot owners that took effect.
#[derive(Clone, Debug)]
pub struct Effect {
    /// The entry.
    pub index: LogIndex,
    /// Who proposed it.
    pub proposer: Option<NodeId>,
    /// The owner before.
    pub source: Option<NodeId>,
    /// The owner from then on.
    pub target: Option<NodeId>,
    /// Inclusive.
    pub ranges: Vec<(Slot, Slot)>,
    /// The client's change that it answers, once that is known.
    pub explained: bool,
}

impl Effect {
    /// Whether the slot is among them.
    pub fn names(&self, slot: Slot) -> bool {
        self.ranges.iter().any(|(first, last)| (*first..=*last).contains(&slot))
    }
}

/// The state that the committed log makes.
#[derive(Clone)]
pub struct Model {
    /// The last entry applied.
    pub applied: LogIndex,
    /// Members and the epochs of their shards; without replicas a shard has one member.
    pub members: BTreeMap<NodeId, LogIndex>,
    /// The voting set.
    pub voters: BTreeSet<NodeId>,
    /// Members that are flagged as failed.
    failed: BTreeSet<NodeId>,
    /// Every effective change of owners so far.
    pub effects: Vec<Effect>,
    /// The slots that the last entry changed.
    touched: Vec<(Slot, Slot)>,
    owners: Vec<Option<u16>>,
    names: Vec<NodeId>,
    seen: BTreeSet<ProposalId>,
    /// By proposer: incarnation and lowest outstanding.
    low_marks: BTreeMap<NodeId, (u64, u64)>,
}

impl Model {
    /// Before the first entry.
    pub fn new() -> Self {
        Self {
            applied: 0,
            members: BTreeMap::new(),
            voters: BTreeSet::new(),
            failed: BTreeSet::new(),
            effects: Vec::new(),
            touched: Vec::new(),
            owners: vec![None; usize::from(SLOT_COUNT)],
            names: Vec::new(),
            seen: BTreeSet::new(),
            low_marks: BTreeMap::new(),
        }
    }

    /// Applies the next committed entry.
    pub fn apply(&mut self, entry: &ClusterEntry) {
        self.applied += 1;
        self.touched.clear();
        let before = self.voters.clone();
        entry.body.change_voters(&mut self.voters);
        self.check_overlap(&before);
        let Body::App(change) = &entry.body else { return };
        match &entry.origin {
            Some(origin) if !self.is_first(origin) => {}
            origin => self.change(change, origin.as_ref().map(|origin| origin.id.proposer)),
        }
    }

    /// Whether this entry, which comes next, is a leader's own removal of a voter that has failed.
    pub fn replaces(&self, body: &Body<Change>) -> bool {
        matches!(body, Body::DelVoter { id, by_hand: false } if self.failed.contains(id))
    }

    /// Any majority of the old set meets any majority of the new one, except when a single voter takes two in: then it is in both [N15].
    fn check_overlap(&self, before: &BTreeSet<NodeId>) {
        let moved = before.symmetric_difference(&self.voters).count();
        let widened = before.len() == 1 && self.voters.len() == 3 && before.is_subset(&self.voters);
        assert!(
            before.is_empty() || moved <= 1 || widened,
            "voting sets of consecutive configurations overlap: {before:?} then {:?}",
            self.voters
        );
    }

    /// At most once: whether this proposal was not seen before and is still waited for by a member.
    fn is_first(&mut self, origin: &Origin) -> bool {
        let Origin { id, lowest } = *origin;
        if !self.members.contains_key(&id.proposer) {
            return false;
        }
        let mark = self.low_marks.entry(id.proposer).or_insert((id.incarnation, 0));
        if (id.incarnation, id.n) < *mark {
            return false;
        }
        let first = self.seen.insert(id);
        if first {
            *mark = (*mark).max((id.incarnation, lowest));
        }
        first
    }

    fn change(&mut self, change: &Change, proposer: Option<NodeId>) {
        match change {
            Change::NodeJoin { id, .. } => {
                self.members.entry(*id).or_insert(self.applied);
            }
            Change::NodeForget { id, epoch } => {
                if self.is_epoch(id, *epoch) && !self.voters.contains(id) && !self.owns_slots(id) {
                    self.members.remove(id);
                    self.failed.remove(id);
                    self.low_marks.remove(id);
                }
            }
            Change::SlotChange { source, target, ranges } => {
                let sides = [source, target].into_iter().flatten();
                let (from, to) = (source.map(|(id, _)| id), target.map(|(id, _)| id));
                if sides.fold(true, |fresh, (id, epoch)| fresh && self.is_epoch(id, *epoch)) && self.all_owned_by(from, ranges) {
                    self.assign(from, to, ranges, proposer);
                }
            }
            Change::SetReplicaOf { .. } | Change::Failover { .. } => panic!("no simulated client makes replicas"),
            Change::NodeFail { id } => self.failed.extend(self.members.contains_key(id).then_some(*id)),
            Change::NodeRecover { id } => drop(self.failed.remove(id)),
            Change::NodeInfo { .. } => {}
        }
    }

    fn is_epoch(&self, id: &NodeId, epoch: LogIndex) -> bool {
        self.members.get(id) == Some(&epoch)
    }

    fn owns_slots(&self, id: &NodeId) -> bool {
        let place = self.names.iter().position(|name| name == id).map(|place| place as u16);
        place.is_some() && self.owners.contains(&place)
    }

    fn all_owned_by(&self, owner: Option<NodeId>, ranges: &[(Slot, Slot)]) -> bool {
        numbers(ranges).all(|slot| self.owner(slot) == owner)
    }

    fn assign(&mut self, source: Option<NodeId>, target: Option<NodeId>, ranges: &[(Slot, Slot)], proposer: Option<NodeId>) {
        let place = target.map(|id| self.place(id));
        for slot in numbers(ranges) {
            self.owners[slot.index()] = place;
        }
        self.touched = ranges.to_vec();
        self.effects.push(Effect { index: self.applied, proposer, source, target, ranges: ranges.to_vec(), explained: false });
    }

    fn place(&mut self, id: NodeId) -> u16 {
        let place = self.names.iter().position(|name| *name == id).unwrap_or(self.names.len());
        if place == self.names.len() {
            self.names.push(id);
        }
        place as u16
    }

    /// Who owns the slot.
    pub fn owner(&self, slot: Slot) -> Option<NodeId> {
        self.owners[slot.index()].map(|place| self.names[usize::from(place)])
    }

    /// Compares a node's state at the same index with this one: what the last entry touched, or (`whole`) every slot.
    pub fn compare(&self, state: &State, whole: bool) {
        assert!(state.members().map(|member| member.id).eq(self.members.keys().copied()), "the members are those of the committed log");
        assert!(*state.voters() == self.voters, "the voters are those of the committed log");
        let failed = state.members().filter(|member| member.failed).map(|member| &member.id);
        assert!(failed.eq(&self.failed), "who is flagged as failed is what the committed log says");
        for (id, epoch) in &self.members {
            assert_eq!(state.epoch_of(id), Some(*epoch), "a shard's epoch is the index of the entry that made or changed it");
        }
        let all: Vec<(Slot, Slot)> = Slot::new(0).zip(Slot::new(SLOT_COUNT - 1)).into_iter().collect();
        for slot in numbers(if whole { &all } else { &self.touched }) {
            assert_eq!(state.owner(slot), self.owner(slot), "slot {slot} is owned as the committed log says");
        }
    }
}

fn numbers(ranges: &[(Slot, Slot)]) -> impl Iterator<Item = Slot> + '_ {
    ranges.iter().flat_map(|(first, last)| first.number()..=last.number()).filter_map(Slot::new)
}
