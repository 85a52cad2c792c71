//! Keys of slots that another shard owns. They go, for what that shard has is newer: also if the slot has come back by the time that this
//! node acts \[N56 moved-and-back\].
//!
//! Owns: which keys those are, and when they go. Must not: decide who owns a slot (the replicated state says it), or touch a replica's
//! keys: they are its primary's, whose log may be ahead of its own or behind, and whose stream says when they go. Contract:
//! docs/protocol.md, "Replication".

use crate::node::dataset::Dataset;
use crate::node::metadata::Metadata;
use crate::node::view::View;
use crate::types::{LogIndex, Millis, NodeId, SLOT_COUNT, Slot, SlotRange};
use std::collections::BTreeSet;

/// Of how many slots the invariant is looked at after each turn, one in so many: it is broken for longer than that if at all.
const CHECKED: usize = 16;

/// See the module.
pub(in crate::node) struct Foreign {
    /// Since its process began, or since it came into its cluster, no leader has brought this node's log up to what the cluster knows.
    uncertain: bool,
    /// Entries up to here may be older than the keys, which are from the disk.
    old: LogIndex,
    /// Slots that were another's since this node is its shard's primary, by the log, and before it decided over the keys: what they hold is
    /// of before that.
    void: BTreeSet<Slot>,
    /// What has gone and was not logged yet.
    dropped: Dropped,
    /// Since when (wall ms) the file of the keys may be the last that has some: they were not this node's when it first knew.
    unsaved: Option<Millis>,
}

#[derive(Clone, Copy, Default)]
struct Dropped {
    slots: usize,
    keys: usize,
}

impl Foreign {
    /// Of a process that has just begun with a log up to there, or a node that comes into a cluster with none.
    pub fn unknown(old: LogIndex) -> Self {
        Self { uncertain: true, old, void: BTreeSet::new(), dropped: Dropped::default(), unsaved: None }
    }

    /// What the old file is to be named besides, before a save takes its place; none if nothing would be lost with it.
    pub fn unsaved(&self) -> Option<String> {
        self.unsaved.map(|since| format!(".foreign.{}", since / 1000))
    }

    /// The old file is kept.
    pub fn saved(&mut self) {
        self.unsaved = None;
    }

    /// The keys are another primary's by the log.
    pub fn follows(&mut self) {
        self.void.clear();
    }
}

impl Dataset {
    /// Whether this node decides what its shard's keys are: it is the primary, has them, and knows what the cluster knows.
    fn decides_over_keys(&self, metadata: &Metadata) -> bool {
        self.is_primary_by_log(metadata) && self.role.decides_over_keys() && !self.foreign.uncertain && !self.is_loading()
    }

    /// An entry was applied by which these slots are another's, or were. Their keys go before the next entry is applied, which may give the
    /// slots back, or make a replica the primary, which is to hear of this by the stream.
    pub fn part_with(&mut self, index: LogIndex, ranges: &[SlotRange], metadata: &Metadata) {
        let slots = ranges.iter().flat_map(|range| range.slots());
        if self.decides_over_keys(metadata) {
            self.drop_keys_of(slots);
        } else if self.is_primary_by_log(metadata) && (!self.foreign.uncertain || index > self.foreign.old) {
            self.foreign.void.extend(slots);
        }
    }

    /// Who decides over its shard's keys from now on, or is told of all slots at once, has none in slots that are another's, or were so
    /// meanwhile.
    pub fn drop_foreign_keys(&mut self, metadata: &Metadata) {
        if self.decides_over_keys(metadata) {
            let slots = self.foreign_slots(&metadata.me, metadata);
            self.foreign.void.clear();
            self.drop_keys_of(slots.into_iter());
            self.tell_dropped();
        }
    }

    /// Slots with keys here that are not this primary's, or were another's meanwhile.
    fn foreign_slots(&self, primary: &NodeId, metadata: &Metadata) -> Vec<Slot> {
        let is_foreign =
            |slot: &Slot| self.foreign.void.contains(slot) || metadata.state.owner(*slot).is_some_and(|owner| owner != *primary);
        Slot::all().filter(|slot| self.keyspace.count_in_slot(*slot) > 0 && is_foreign(slot)).collect()
    }

    /// Their memory is freed a slice a turn.
    fn drop_keys_of(&mut self, slots: impl Iterator<Item = Slot>) {
        for slot in slots {
            let keys = self.keyspace.count_in_slot(slot);
            if keys > 0 {
                self.keyspace.clear_slot(slot);
                self.stream.feed(["CLUSTER", "FLUSHSLOT", &slot.to_string()].iter().map(|word| word.as_bytes()));
                self.foreign.dropped.slots += 1;
                self.foreign.dropped.keys += keys;
            }
        }
    }

    /// One line for all that has gone since the last one.
    pub fn tell_dropped(&mut self) {
        let Dropped { slots, keys } = std::mem::take(&mut self.foreign.dropped);
        if slots > 0 {
            log::info!("Other shards own slots that had keys here, which are dropped: {keys} keys in {slots} slots");
        }
    }

    /// This node comes into another cluster.
    pub fn doubt_owners(&mut self) {
        self.foreign = Foreign { unsaved: self.foreign.unsaved, ..Foreign::unknown(0) };
    }

    /// Once a turn: the state from the disk may be older than the keys. When it is known whose every slot is, keys of others' slots go; not
    /// before the stream can say so, or whoever has the same history would keep them. A replica's go with its next full sync. The keys were
    /// in the file, it may be by an operator's error.
    pub fn settle_owners(&mut self, metadata: &Metadata, view: &View) {
        let Some(member) = metadata.state.member(&metadata.me).filter(|_| self.foreign.uncertain) else { return };
        let primary = member.primary.unwrap_or(metadata.me);
        if !metadata.knows_newest_state() || self.is_loading() || self.role.lacks_keys() {
            return;
        }
        self.foreign.uncertain = false;
        let slots = self.foreign_slots(&primary, metadata);
        if !slots.is_empty() {
            self.foreign.unsaved = Some(view.now.wall);
            let keys: usize = slots.iter().map(|slot| self.keyspace.count_in_slot(*slot)).sum();
            let (slots, file, suffix) = (slots.len(), view.config.dbfilename.display(), self.foreign.unsaved().unwrap_or_default());
            log::warn!(
                "{keys} keys here are in {slots} slots of other shards, and go. Is {file} another node's? It is kept as {file}{suffix} when the keys are saved next"
            );
        }
        self.drop_foreign_keys(metadata);
    }

    /// Asserts that no key is where another shard's are newer.
    pub fn check_foreign(&self, metadata: &Metadata, view: &View) {
        if !self.keyspace.is_empty() && self.decides_over_keys(metadata) {
            let from = u16::try_from(view.now.mono % CHECKED as u64).unwrap_or_default();
            let slots = (from..SLOT_COUNT).step_by(CHECKED).filter_map(Slot::new);
            for slot in slots.filter(|slot| self.keyspace.count_in_slot(*slot) > 0) {
                let owner = metadata.state.owner(slot);
                assert!(
                    owner.is_none_or(|owner| owner == metadata.me),
                    "a primary that has its shard's keys holds none of a slot that another owns"
                );
            }
        }
    }
}
