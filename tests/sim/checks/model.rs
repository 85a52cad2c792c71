//! What the committed log means for members and slots: a second, small state machine, written from docs/protocol.md alone.
//!
//! Owns: members with their primaries, shards with their epochs, voters, slot owners, proposals seen.

use crate::sim::writers::KEYS;
use pontoon::cluster::change::{Failover, NodeFail, NodeForget, NodeJoin, NodeRecover, SetReplicaOf, SlotChange};
use pontoon::cluster::{Change, ClusterEntry, FailoverKind, State};
use pontoon::raft::{Body, Origin, ProposalId};
use pontoon::types::{LogIndex, NodeId, SLOT_COUNT, ShardId, Slot, SlotRange};
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
    pub ranges: Vec<SlotRange>,
    /// The client's change that it answers, once that is known.
    pub explained: bool,
}

impl Effect {
    /// Whether the slot is among them.
    pub fn names(&self, slot: Slot) -> bool {
        self.ranges.iter().any(|range| range.contains(slot))
    }
}

/// From when on a node owns a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tenure {
    /// The entry.
    pub index: LogIndex,
    /// The owner.
    pub owner: Option<NodeId>,
    /// How it became so.
    pub by: By,
}

/// What makes a node the owner of a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// The slot was moved, without its keys.
    Move,
    /// It takes over from its primary.
    Failover(NodeId, FailoverKind),
}

/// A replica takes over.
#[derive(Clone, Debug)]
struct Succession {
    index: LogIndex,
    replica: NodeId,
    primary: NodeId,
    kind: FailoverKind,
    ranges: Vec<SlotRange>,
}

/// A member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Its shard.
    pub shard: ShardId,
    /// Whom it replicates.
    pub primary: Option<NodeId>,
}

/// The state that the committed log makes.
#[derive(Clone)]
pub struct Model {
    /// The last entry applied.
    pub applied: LogIndex,
    /// The members.
    pub members: BTreeMap<NodeId, Place>,
    /// The shards and their epochs.
    shards: BTreeMap<ShardId, LogIndex>,
    /// The voting set.
    pub voters: BTreeSet<NodeId>,
    /// Members that are flagged as failed.
    pub failed: BTreeSet<NodeId>,
    /// When each member came to its shard by itself, whatever it was before.
    arrivals: BTreeMap<NodeId, LogIndex>,
    /// When they were last.
    failures: BTreeMap<NodeId, LogIndex>,
    /// When each member's flag was last taken back.
    recoveries: BTreeMap<NodeId, LogIndex>,
    /// Those of replicas, one after another.
    successions: Vec<Succession>,
    /// The past of the slots of the keys that are written.
    tenures: BTreeMap<Slot, Vec<Tenure>>,
    /// Every effective change of owners so far.
    pub effects: Vec<Effect>,
    /// The slots that the last entry changed.
    touched: Vec<SlotRange>,
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
            shards: BTreeMap::new(),
            voters: BTreeSet::new(),
            failed: BTreeSet::new(),
            arrivals: BTreeMap::new(),
            failures: BTreeMap::new(),
            recoveries: BTreeMap::new(),
            successions: Vec::new(),
            tenures: KEYS.iter().map(|key| (key.slot(), Vec::new())).collect(),
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

    /// Any majority of the old set meets any majority of the new one, except when a single voter takes two in: then it is in both
    /// [N15 one-to-three].
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
            Change::NodeJoin(NodeJoin { id, address, .. }) => {
                let shard = address.shard_id().filter(|shard| !self.shards.contains_key(shard) && !self.members.contains_key(id));
                if let Some(shard) = shard {
                    self.members.insert(*id, Place { shard, primary: None });
                    self.arrivals.insert(*id, self.applied);
                    self.shards.insert(shard, self.applied);
                }
            }
            Change::NodeForget(NodeForget { id, epoch }) => {
                if self.is_epoch(id, *epoch) && !self.voters.contains(id) && self.leaves_nothing(id) {
                    let shard = self.members.remove(id).map(|place| place.shard);
                    self.changed(shard);
                    self.failed.remove(id);
                    self.low_marks.remove(id);
                }
            }
            Change::SlotChange(SlotChange { source, target, ranges }) => {
                let sides = [source, target].into_iter().flatten();
                let (from, to) = (source.map(|(id, _)| id), target.map(|(id, _)| id));
                let fresh = sides.fold(true, |fresh, (id, epoch)| fresh && self.is_epoch(id, *epoch));
                let may_own = to.is_none_or(|to| self.members.get(&to).is_some_and(|place| place.primary.is_none()));
                if fresh && may_own && self.all_owned_by(from, ranges) {
                    self.assign(to, ranges, By::Move);
                    self.effects.push(Effect {
                        index: self.applied,
                        proposer,
                        source: from,
                        target: to,
                        ranges: ranges.clone(),
                        explained: false,
                    });
                }
            }
            Change::SetReplicaOf(SetReplicaOf { id, source, primary, target }) => {
                if self.epoch(id) == Some(*source) && self.leaves_nothing(id) && self.may_follow(id, *primary, *target) {
                    self.follow(*id, *primary, target.0);
                }
            }
            Change::Failover(Failover { replica, primary, shard, epoch, kind }) => {
                let follows = self.members.get(replica).is_some_and(|place| place.primary == Some(*primary));
                let due = *kind != FailoverKind::Auto || self.failed.contains(primary);
                if self.epoch(primary) == Some((*shard, *epoch)) && follows && due {
                    self.fail_over(*replica, *primary, *kind);
                }
            }
            Change::NodeFail(NodeFail { id }) if self.members.contains_key(id) => {
                self.failed.insert(*id);
                self.failures.insert(*id, self.applied);
            }
            Change::NodeFail(_) => {}
            Change::NodeRecover(NodeRecover { id }) if self.failed.remove(id) => drop(self.recoveries.insert(*id, self.applied)),
            Change::NodeRecover(_) => {}
            Change::NodeInfo(_) => {}
        }
    }

    /// The member's shard, and that shard's epoch.
    fn epoch(&self, id: &NodeId) -> Option<(ShardId, LogIndex)> {
        let shard = self.members.get(id)?.shard;
        Some((shard, *self.shards.get(&shard)?))
    }

    fn is_epoch(&self, id: &NodeId, epoch: LogIndex) -> bool {
        self.epoch(id).is_some_and(|(_, now)| now == epoch)
    }

    /// The shard has changed; without members it is no more.
    fn changed(&mut self, shard: Option<ShardId>) {
        let Some(shard) = shard else { return };
        self.shards.remove(&shard);
        if self.members.values().any(|place| place.shard == shard) {
            self.shards.insert(shard, self.applied);
        }
    }

    /// Neither slots nor replicas.
    fn leaves_nothing(&self, id: &NodeId) -> bool {
        !self.owns_slots(id) && self.replicas_of(id).is_empty()
    }

    /// How a replica took over by the last entry, if one did.
    pub fn failover(&self) -> Option<FailoverKind> {
        self.successions.last().filter(|last| last.index == self.applied).map(|last| last.kind)
    }

    /// Whether a node has been in its shard since this entry.
    pub fn has_stayed_since(&self, id: &NodeId, index: LogIndex) -> bool {
        self.arrivals.get(id).is_some_and(|at| *at <= index)
    }

    /// Whether a node is flagged as failed, or was after this entry.
    pub fn has_failed_since(&self, id: &NodeId, index: LogIndex) -> bool {
        self.failed.contains(id) || self.failures.get(id).is_some_and(|at| *at > index)
    }

    /// The entry that took a member's flag back last.
    pub fn recovered_at(&self, id: &NodeId) -> Option<LogIndex> {
        self.recoveries.get(id).copied()
    }

    /// The entries behind this one by which TAKEOVER took this slot from a node.
    pub fn takeovers_from(&self, id: NodeId, slot: Slot, applied: LogIndex) -> impl Iterator<Item = LogIndex> {
        let names = move |range: &SlotRange| range.contains(slot);
        let newer = self.successions.iter().filter(move |it| it.primary == id && it.kind == FailoverKind::Takeover && it.index > applied);
        newer.filter(move |it| it.ranges.iter().any(names)).map(|it| it.index)
    }

    /// The newest TAKEOVER.
    pub fn last_takeover(&self) -> Option<LogIndex> {
        self.successions.iter().rev().find(|it| it.kind == FailoverKind::Takeover).map(|it| it.index)
    }

    /// Whether a node ever owned this slot because it took over from its primary.
    pub fn has_inherited(&self, id: NodeId, slot: Slot) -> bool {
        let names = |range: &SlotRange| range.contains(slot);
        self.successions.iter().any(|it| it.replica == id && it.ranges.iter().any(names))
    }

    /// Who replicates this node.
    pub fn replicas_of(&self, id: &NodeId) -> Vec<NodeId> {
        self.members.iter().filter(|(_, place)| place.primary == Some(*id)).map(|(id, _)| *id).collect()
    }

    /// A replica has a primary in the shard that it enters; a new primary enters a new shard.
    fn may_follow(&self, id: &NodeId, primary: Option<NodeId>, target: (ShardId, LogIndex)) -> bool {
        match primary {
            Some(primary) => {
                let is_primary = self.members.get(&primary).is_some_and(|place| place.primary.is_none());
                primary != *id && is_primary && self.epoch(&primary) == Some(target)
            }
            None => !self.shards.contains_key(&target.0) && target.1 == 0,
        }
    }

    fn follow(&mut self, id: NodeId, primary: Option<NodeId>, shard: ShardId) {
        let place = Place { shard, primary };
        let before = self.members.insert(id, place);
        if before.is_some_and(|before| before.primary != primary) {
            self.arrivals.insert(id, self.applied);
            self.changed(before.map(|place| place.shard));
            self.changed(Some(shard));
        } else if let Some(before) = before {
            self.members.insert(id, before);
        }
    }

    fn fail_over(&mut self, replica: NodeId, primary: NodeId, kind: FailoverKind) {
        let ranges = self.ranges_of(&primary);
        self.assign(Some(replica), &ranges, By::Failover(primary, kind));
        self.successions.push(Succession { index: self.applied, replica, primary, kind, ranges });
        let shard = self.members.get(&replica).map(|place| place.shard);
        for (id, place) in self.members.iter_mut().filter(|(_, place)| Some(place.shard) == shard) {
            place.primary = Some(replica).filter(|replica| replica != id);
        }
        self.changed(shard);
    }

    fn name_of(&self, id: &NodeId) -> Option<u16> {
        self.names.iter().position(|name| name == id).map(|place| place as u16)
    }

    fn owns_slots(&self, id: &NodeId) -> bool {
        let place = self.name_of(id);
        place.is_some() && self.owners.contains(&place)
    }

    fn ranges_of(&self, id: &NodeId) -> Vec<SlotRange> {
        let place = self.name_of(id);
        let owned = |slot: &Slot| place.is_some() && self.owners[slot.index()] == place;
        Slot::all().filter(owned).map(SlotRange::from).collect()
    }

    fn all_owned_by(&self, owner: Option<NodeId>, ranges: &[SlotRange]) -> bool {
        numbers(ranges).all(|slot| self.owner(slot) == owner)
    }

    fn assign(&mut self, target: Option<NodeId>, ranges: &[SlotRange], by: By) {
        let place = target.map(|id| self.place(id));
        for slot in numbers(ranges) {
            self.owners[slot.index()] = place;
            // Who is given what it has has not lost it.
            let is_lost = |tenures: &&mut Vec<Tenure>| by != By::Move || tenures.last().is_none_or(|last| last.owner != target);
            if let Some(tenures) = self.tenures.get_mut(&slot).filter(is_lost) {
                tenures.push(Tenure { index: self.applied, owner: target, by });
            }
        }
        self.touched = ranges.to_vec();
    }

    /// The newest tenure of this owner, as of an index, of the slot of a key that is written.
    pub fn tenure(&self, slot: Slot, owner: NodeId, at: LogIndex) -> Option<Tenure> {
        let tenures = self.tenures.get(&slot)?.iter().rev();
        tenures.copied().find(|tenure| tenure.index <= at && tenure.owner == Some(owner))
    }

    /// How the slot of a key that is written changed hands after one entry, up to another.
    pub fn changes(&self, slot: Slot, after: LogIndex, until: LogIndex) -> Vec<By> {
        let tenures = self.tenures.get(&slot).into_iter().flatten();
        tenures.filter(|tenure| tenure.index > after && tenure.index <= until).map(|tenure| tenure.by).collect()
    }

    /// The first entry after one that moved the slot of a key that is written to somebody else than its owner of this tenure, before that
    /// began. What was nobody's meanwhile keeps its keys.
    pub fn first_move(&self, slot: Slot, after: LogIndex, present: Tenure) -> Option<LogIndex> {
        let others = |tenure: &&Tenure| tenure.by == By::Move && tenure.owner.is_some() && tenure.owner != present.owner;
        let tenures = self.tenures.get(&slot)?.iter().filter(others);
        tenures.map(|tenure| tenure.index).find(|index| (after + 1..=present.index).contains(index))
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
        let place = |id| state.member(id).map(|member| Place { shard: member.shard, primary: member.primary });
        for (id, known) in &self.members {
            assert_eq!(place(id), Some(*known), "who replicates whom is what the committed log says");
            let epoch = self.epoch(id).map(|(_, epoch)| epoch);
            assert_eq!(state.epoch_of(id), epoch, "a shard's epoch is the index of the entry that made or changed it");
        }
        let all: Vec<SlotRange> = Slot::ranges(Slot::all());
        for slot in numbers(if whole { &all } else { &self.touched }) {
            assert_eq!(state.owner(slot), self.owner(slot), "slot {slot} is owned as the committed log says");
        }
    }
}

fn numbers(ranges: &[SlotRange]) -> impl Iterator<Item = Slot> + '_ {
    ranges.iter().flat_map(|range| range.slots())
}
