//! A primary that gives its slots up: to a replica that asks for them, before it ends, and when it has come back without its keys.
//!
//! Owns: the pause that a replica asked for, where the stream ended, and why this primary does not serve its slots. Must not: choose the successor (the
//! leader does). Contract: docs/protocol.md, "Failover".

use super::Node;
use crate::cluster::{Change, FailoverKind, WishKind};
use crate::raft::{Body, Payload};
use crate::store::Disk;
use crate::types::{Extent, Millis, NodeId};

/// See the module.
#[derive(Default)]
pub(super) struct Yielding {
    /// An entry in the log makes a replica the owner of our slots: the stream stands still.
    pub deposed: bool,
    /// They went while this process ran, and its keys are still those that it had then.
    bequest: Option<Bequest>,
    /// Who was told where it ends for good.
    told: Option<NodeId>,
    /// This process began without keys, and replicas may have them.
    bereft: Option<Bereft>,
}

impl Yielding {
    /// Whether this process began without keys, and it is not settled who has them.
    pub fn is_bereft(&self) -> bool {
        self.bereft.is_some()
    }
}

/// What a former primary leaves to its successor.
#[derive(Clone, Copy, Debug)]
struct Bequest {
    to: NodeId,
    /// Where its stream ended.
    end: Extent,
    /// The successor serves nobody before it has all of it.
    awaited: bool,
}

#[derive(Clone, Copy, Debug)]
enum Bereft {
    /// Whether it has slots, and replicas, is not known for certain yet.
    Unasked,
    /// A leader is asked to promote a replica; until then (mono ms).
    Until(Millis),
}

impl<D: Disk> Node<D> {
    /// FAILOVER_PREPARE came: where our stream ends. No pause ends the one that was asked for before, unless what it was for is in the log already.
    pub(super) fn prepare_failover(&mut self, from: NodeId, pause: Millis) -> Extent {
        let is_ours = self.state.member(&from).is_some_and(|member| member.primary == Some(self.me));
        if is_ours && pause > 0 {
            self.hold_writes_for(from, self.now.mono + pause.min(self.config.cluster_manual_failover_timeout));
        } else if pause == 0 && !self.is_handing_over() {
            self.release_writes_for(from);
        }
        if self.is_handing_over() || !is_ours {
            self.succession.yielding.told = Some(from);
        }
        match self.succession.yielding.bequest {
            // What others have is newer.
            _ if self.succession.yielding.is_bereft() => Extent::default(),
            _ if is_ours => self.extent(),
            Some(Bequest { to, end, .. }) if to == from => end,
            // A process that has never served these slots has nothing of them that anybody lacks.
            _ => Extent::default(),
        }
    }

    /// Whether an entry in the log gives this node's slots to a replica: its keys and its stream do not change any more.
    pub(super) fn is_handing_over(&self) -> bool {
        self.succession.yielding.deposed
    }

    /// A FAILOVER from this node to `successor` was applied. Who has come back without its keys leaves nothing, whatever it has loaded.
    pub(super) fn handed_over(&mut self, successor: NodeId, kind: FailoverKind) {
        // It stays so until its state is the newest: the slots may have come back since.
        let bereft = self.succession.yielding.is_bereft();
        let (end, awaited) = if bereft { (Extent::default(), false) } else { (self.extent(), kind == FailoverKind::Manual) };
        self.succession.yielding.bequest = Some(Bequest { to: successor, end, awaited });
        self.disinherit();
        self.release_writes();
    }

    /// Whether this node was the primary of the shard, and still has the keys as they were at the end of that.
    pub(super) fn has_bequest(&self) -> bool {
        self.succession.yielding.bequest.is_some_and(|bequest| bequest.end.reign > 0)
    }

    /// Whether `successor` will have all keys that this node has, and nobody has changed any of them yet without that.
    pub(super) fn is_awaited_by(&self, successor: &NodeId) -> bool {
        self.succession.yielding.bequest.is_some_and(|bequest| bequest.awaited && bequest.to == *successor)
    }

    /// Whether a successor may still need what this node has: until a sync with it is complete.
    pub(super) fn is_awaited(&self) -> bool {
        self.succession.yielding.bequest.is_some_and(|bequest| bequest.awaited)
    }

    /// The keys are others', or this node's own again.
    pub(super) fn forget_bequest(&mut self) {
        self.succession.yielding.bequest = None;
    }

    /// Own ranges that entries in the log's tail would take away, or whose keys this node does not have (yet).
    pub(super) fn refresh_leaving(&mut self) {
        self.leaving_ranges.clear();
        let stopped = std::mem::take(&mut self.succession.yielding.deposed);
        let summoned = self.succession.summoned.take();
        for (_, entry) in self.raft.log().iter_from(self.state.last_applied() + 1) {
            match &entry.body {
                Body::App(change @ Change::SlotChange { ranges, .. }) if change.deposes() == Some(self.me) => {
                    self.leaving_ranges.extend(ranges);
                }
                Body::App(Change::SetReplicaOf { id, .. }) if *id == self.me => self.leaving_ranges.extend(self.state.ranges_of(&self.me)),
                Body::App(Change::Failover { primary, .. }) if *primary == self.me => self.succession.yielding.deposed = true,
                Body::App(Change::Failover { replica, primary, kind: FailoverKind::Manual, .. }) if *replica == self.me => {
                    self.succession.summoned = Some(*primary);
                }
                _ => {}
            }
        }
        self.todo.connect |= self.succession.summoned != summoned;
        if self.succession.yielding.deposed && !stopped {
            self.succession.yielding.told = None;
        }
        if self.succession.yielding.deposed || self.lacks_keys() {
            self.leaving_ranges = self.state.ranges_of(&self.me);
        }
    }

    /// Whether the keys of this node's slots are elsewhere: it has taken over and not caught up, or it has come back without them.
    pub(super) fn lacks_keys(&self) -> bool {
        self.succession.predecessor().is_some() || self.succession.yielding.is_bereft()
    }

    /// The slots are ours, or may be by the newest state, and the keys may be with others: so it is when a process starts without keys, or with
    /// those of its last save. Replicas, which may have more, would lose that to it.
    pub(super) fn become_bereft(&mut self) {
        self.succession.yielding.bereft = Some(Bereft::Unasked);
    }

    /// Once a turn: the leader is asked to promote the best replica. If there is none that has the keys, or nothing comes of it for node-timeout although
    /// somebody leads, what was lost is lost.
    pub(super) fn tend_bereft(&mut self) {
        let Some(bereft) = self.succession.yielding.bereft else { return };
        let over = match bereft {
            // By an older state it may be without the replicas that it has, and without a leader nobody says who has the keys.
            _ if !self.knows_newest_state() || self.is_leaderless() => {
                self.succession.yielding.bereft = Some(Bereft::Unasked);
                return self.proposals.take_handover_back(&self.me);
            }
            _ if self.state.slot_count_of(&self.me) == 0 || self.state.replicas_of(&self.me).is_empty() => true,
            Bereft::Unasked => {
                log::info!(
                    "This primary has just started, and its replicas may have newer keys: it serves when the leader has found out who has them"
                );
                self.succession.yielding.bereft = Some(Bereft::Until(self.now.mono + self.config.cluster_node_timeout));
                self.hold_writes(self.now.mono + self.config.cluster_manual_failover_timeout);
                !self.ask_for_successor()
            }
            // What it wishes for is in its log: it serves nobody until that is decided.
            Bereft::Until(_) if self.is_handing_over() => false,
            // Without a lease it would serve nobody, and overwrite what its replicas have all the same.
            Bereft::Until(until) => until <= self.now.mono && self.lease.at(self.now.mono).is_some() || !self.proposals.gives_up(&self.me),
        };
        if over {
            if let Some(Bereft::Until(until)) = self.succession.yielding.bereft {
                self.tell_settled(until);
            }
            self.succession.yielding.bereft = None;
            self.lead_loaded_keys();
            self.refresh_leaving();
            self.release_writes();
        }
    }

    fn tell_settled(&self, until: Millis) {
        match self.state.slot_count_of(&self.me) {
            0 => log::info!("A replica has this shard's newest keys: it is the primary now"),
            _ if until <= self.now.mono => {
                log::warn!("It was not settled within cluster-node-timeout who has the newest keys: this primary goes on with its own");
            }
            _ => log::info!("No replica can take over with newer keys: this primary goes on with its own"),
        }
    }

    /// The leader is to promote our best replica. It knows whether one that is flagged as failed is coming back \[N49\]. False if there is none, or it has
    /// said so already.
    fn ask_for_successor(&mut self) -> bool {
        if self.state.willing_replicas(&self.me).next().is_some() {
            self.wish(WishKind::HandOver, self.me, None);
        }
        self.proposals.gives_up(&self.me)
    }

    /// This node is about to end: holds its clients' writes and has its best replica promoted, if there is anything to give and anybody to take it.
    pub(super) fn give_slots_up(&mut self, until: Millis) {
        if self.state.slot_count_of(&self.me) > 0 && !self.lacks_keys() && self.raft.leader().is_some() && self.ask_for_successor() {
            self.hold_writes(until);
        }
    }

    /// Whether it is still to be waited for: nobody has taken the slots yet, or its successor, if it lives, does not know what everything is, or has
    /// not been sent it.
    pub(super) fn is_giving_slots_up(&self) -> bool {
        match self.state.slot_count_of(&self.me) {
            0 => {
                let lives = |id: &NodeId| self.state.member(id).is_some_and(|member| !member.failed);
                let untold = |bequest: &Bequest| self.succession.yielding.told != Some(bequest.to) && lives(&bequest.to);
                self.succession.yielding.bequest.as_ref().is_some_and(|bequest| untold(bequest) || self.owes_replicas())
            }
            _ => self.is_handing_over() || self.proposals.gives_up(&self.me),
        }
    }
}

#[cfg(test)]
mod tests;
