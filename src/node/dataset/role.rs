//! What this node may do with its shard's keys: the one state machine of that.
//!
//! Owns: whose keys are here, what of those of its own slots it has, whether they may change, and what it leaves to a successor. Must not:
//! find anything out: the other files tell it what was applied, heard or completed. Contract: docs/protocol.md, "Failover".
//!
//! Three facts that do not exclude each other make up a role: a process that has just begun may be a replica by its file and own slots by
//! the newest state, and an entry may give those away before any of it is settled.
//!
//! | | serves its slots | feeds replicas | how much it says that it holds |
//! |---|---|---|---|
//! | own keys, slots held | yes | yes | its stream's end |
//! | own keys, handing over | no, and nothing changes | yes | its stream's end |
//! | a copy in step, slots held | it has none | yes | the copy's end |
//! | a copy to be, slots held | it has none | with a final offset | nothing |
//! | unsettled, or catching up | no | no | with slots no answer, else as above |

use crate::cluster::FailoverKind;
use crate::types::{Extent, Millis, NodeId, ShardId};

/// See the module.
#[derive(Clone, Debug)]
pub(in crate::node) struct Role {
    source: Source,
    own_slots: OwnSlots,
    /// An entry in the log's tail gives this node's slots to a replica: keys and stream stand still until it is applied or truncated.
    handing_over: bool,
    final_offset: Option<FinalOffset>,
    /// Whose reign the keys here are of \[N44 longest-stream\]: this primary's own, or for a replica that of the primary which it last had
    /// a sync with. 0 while it is not known.
    reign: u64,
}

/// Whose keys are here.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// This node's: nobody is copied.
    Own,
    Copy {
        primary: NodeId,
        /// The shard that both are in.
        shard: ShardId,
        /// A sync with one of the shard's primaries was completed, or this node was that primary and has handed over, and what the present
        /// one has is no other history.
        in_step: bool,
    },
}

/// What this node has of the keys of its own slots, if it has slots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum OwnSlots {
    /// All that anybody is known to have.
    Held,
    /// Its process has begun without them, or with those of its last save: replicas may have newer ones \[N46 restarted-primary\].
    Unsettled(Unsettled),
    /// It has taken over from this one, whose last changes are not here yet \[N25 failover-offset\].
    CatchingUp { predecessor: NodeId },
}

/// How far it is found out who has the newest keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::node) enum Unsettled {
    /// Whether it has slots, and replicas, is not known for certain yet.
    Unasked,
    /// A leader is asked to promote a replica; until then (mono ms).
    Until(Millis),
}

/// What a former primary leaves to its successor.
#[derive(Clone, Copy, Debug)]
pub(in crate::node) struct FinalOffset {
    pub to: NodeId,
    /// Where its stream ended.
    pub end: Extent,
    /// Whether it serves nobody before it has all of that; if not, it goes on with what it had.
    pub awaited: bool,
}

impl Role {
    /// Of a process that has just begun: by its file alone it may not own its slots, or know of its replicas \[N41 old-file\].
    pub fn of_new_process() -> Self {
        Self { source: Source::Own, own_slots: OwnSlots::Unsettled(Unsettled::Unasked), handing_over: false, final_offset: None, reign: 0 }
    }
}

/// What happens to it.
impl Role {
    /// This one's keys are copied from now on: the log says so, or this node has taken over from it and catches up. A successor waits for
    /// no primary that has `failed`.
    pub fn follow(&mut self, primary: NodeId, shard: ShardId, failed: bool) {
        let in_step = match self.source {
            Source::Copy { shard: before, in_step, .. } => in_step && before == shard,
            Source::Own => self.is_awaited_by(&primary) && !failed,
        };
        self.source = Source::Copy { primary, shard, in_step };
    }

    /// What is here is this node's own from now on.
    pub fn lead(&mut self) {
        self.source = Source::Own;
        self.final_offset = None;
    }

    /// This primary numbers its reign.
    pub fn begin_reign(&mut self, reign: u64) {
        self.reign = reign;
    }

    /// This node comes into another cluster, whose log numbers other reigns. What a replica holds stays what it is.
    pub fn end_reign(&mut self) {
        if !self.is_replica() {
            self.reign = 0;
        }
    }

    /// A sync with the primary of this reign is complete: the stream comes, and what this node had before is others'.
    pub fn synced(&mut self, reign: u64) {
        if let Source::Copy { in_step, .. } = &mut self.source {
            *in_step = true;
        }
        self.reign = reign;
        self.final_offset = None;
    }

    /// The primary has another history than this node: what is here is no copy of its keys.
    pub fn diverged(&mut self) {
        if let Source::Copy { in_step, .. } = &mut self.source {
            *in_step = false;
        }
    }

    /// What the log's tail says by now. Returns whether the keys stand still from now on.
    pub fn stand_still(&mut self, handing_over: bool) -> bool {
        let before = std::mem::replace(&mut self.handing_over, handing_over);
        handing_over && !before
    }

    /// A FAILOVER from this node to `successor` was applied. `end` is where the stream stands. Who has come back without its keys leaves
    /// nothing, whatever it has loaded; it stays so until its state is the newest, for the slots may have come back since.
    pub fn hand_over(&mut self, successor: NodeId, kind: FailoverKind, end: Extent) {
        let (awaited, end) = match kind {
            _ if self.is_unsettled() => (false, Extent::default()),
            FailoverKind::Manual => (true, end),
            FailoverKind::Auto | FailoverKind::Force | FailoverKind::Takeover => (false, end),
        };
        self.final_offset = Some(FinalOffset { to: successor, end, awaited });
    }

    /// A FAILOVER from `primary` to this node was applied. One by hand is from a primary that may have changed keys until it had that
    /// entry.
    /// Returns whether this node is to catch up with it.
    pub fn take_over(&mut self, primary: NodeId, kind: FailoverKind) -> bool {
        match kind {
            // It may have been applied by an earlier process, whose keys are with others by now.
            _ if self.is_unsettled() => false,
            FailoverKind::Manual => {
                self.own_slots = OwnSlots::CatchingUp { predecessor: primary };
                true
            }
            FailoverKind::Auto | FailoverKind::Force | FailoverKind::Takeover => {
                self.rely_on_copy();
                false
            }
        }
    }

    /// Nobody else's keys are waited for. Who has no copy was chosen for keys that it had, and its process has ended since.
    pub fn rely_on_copy(&mut self) {
        if !self.has_copy() {
            self.find_out(Unsettled::Unasked);
        }
    }

    /// What its predecessor had is here, or will not come, or the slots are somebody else's again. Returns whether it was waited for.
    pub fn caught_up(&mut self) -> bool {
        let waited = self.predecessor().is_some();
        if waited {
            self.own_slots = OwnSlots::Held;
        }
        waited
    }

    /// How far it is found out who has the newest keys.
    pub fn find_out(&mut self, unsettled: Unsettled) {
        self.own_slots = OwnSlots::Unsettled(unsettled);
    }

    /// What is here is the newest, or others have newer keys and the slots.
    pub fn settled(&mut self) {
        self.own_slots = OwnSlots::Held;
    }
}

/// What it means.
impl Role {
    /// Whose keys this node holds copies of; none for a primary.
    pub fn primary(&self) -> Option<NodeId> {
        match self.source {
            Source::Own => None,
            Source::Copy { primary, .. } => Some(primary),
        }
    }

    /// Whether this node copies another one's keys.
    pub fn is_replica(&self) -> bool {
        self.primary().is_some()
    }

    /// Whether this is a replica that has a copy of its shard's keys.
    pub fn has_copy(&self) -> bool {
        matches!(self.source, Source::Copy { in_step: true, .. })
    }

    /// Whether this node's keys are those of its shard: always for a primary, for a replica once a sync with its primary is complete.
    pub fn is_in_sync(&self) -> bool {
        matches!(self.source, Source::Own | Source::Copy { in_step: true, .. })
    }

    /// The reign that the keys here are of; 0 while that is not known.
    pub fn reign(&self) -> u64 {
        self.reign
    }

    /// How much of its shard's data this node holds, whose stream has come to `offset`, to be compared with what others hold. A replica
    /// that has nothing worth promoting says offset 0, any other at least 1.
    pub fn extent(&self, offset: u64) -> Extent {
        let offset = match self.source {
            Source::Own => offset,
            Source::Copy { in_step: true, .. } => offset.max(1),
            Source::Copy { in_step: false, .. } => 0,
        };
        Extent { reign: self.reign, offset }
    }

    /// Whether the keys of this node's slots are elsewhere: it has taken over and not caught up, or it has come back without them.
    pub fn lacks_keys(&self) -> bool {
        self.own_slots != OwnSlots::Held
    }

    /// How far it is found out who has the newest keys; `None` if that is settled.
    pub fn unsettled(&self) -> Option<Unsettled> {
        match self.own_slots {
            OwnSlots::Unsettled(unsettled) => Some(unsettled),
            OwnSlots::Held | OwnSlots::CatchingUp { .. } => None,
        }
    }

    /// Whether its process began without keys, and it is not settled who has them.
    pub fn is_unsettled(&self) -> bool {
        self.unsettled().is_some()
    }

    /// From whom this node has taken over without having all that it had.
    pub fn predecessor(&self) -> Option<NodeId> {
        match self.own_slots {
            OwnSlots::CatchingUp { predecessor } => Some(predecessor),
            OwnSlots::Held | OwnSlots::Unsettled(_) => None,
        }
    }

    /// Whether an entry in the log gives this node's slots to a replica: its keys and its stream do not change any more.
    pub fn is_handing_over(&self) -> bool {
        self.handing_over
    }

    /// Whether what is here is its shard's keys, and may be given to replicas: also a former primary's, as they were at the end of that.
    pub fn may_feed(&self) -> bool {
        (self.is_in_sync() || self.has_final_offset()) && !self.lacks_keys()
    }

    /// Whether this node, if it is its shard's primary by the log, says what the shard's keys are.
    pub fn decides_over_keys(&self) -> bool {
        !self.is_replica() && !self.lacks_keys()
    }
}

/// What it leaves.
impl Role {
    pub fn final_offset(&self) -> Option<FinalOffset> {
        self.final_offset
    }

    /// Whether this node was the primary of the shard, and still has the keys as they were at the end of that.
    pub fn has_final_offset(&self) -> bool {
        self.final_offset.is_some_and(|final_offset| final_offset.end.reign > 0)
    }

    /// Whether a successor may still need what this node has: until a sync with it is complete.
    pub fn is_awaited(&self) -> bool {
        self.final_offset.is_some_and(|final_offset| final_offset.awaited)
    }

    /// Whether `successor` will have all keys that this node has, and nobody has changed any of them yet without that.
    fn is_awaited_by(&self, successor: &NodeId) -> bool {
        self.is_awaited() && self.final_offset.is_some_and(|final_offset| final_offset.to == *successor)
    }
}

#[cfg(test)]
mod tests;
