//! A primary that gives its slots up: to a replica that asks for them, before it ends, and when it has come back without its keys.
//!
//! Owns: the pause that a replica asked for, where the stream ended, and why this primary does not serve its slots. Must not: choose the successor (the
//! leader does). Contract: docs/protocol.md, "Failover".

use crate::cluster::change::Succession;
use crate::cluster::{FailoverKind, WishKind};
use crate::node::Node;
use crate::store::Disk;
use crate::types::{Extent, Millis, NodeId, SlotRange};

/// See the module.
#[derive(Default)]
pub(in crate::node) struct Yielding {
    /// An entry in the log makes a replica the owner of our slots: the stream stands still.
    pub deposed: bool,
    /// They went while this process ran, and its keys are still those that it had then.
    bequest: Option<Bequest>,
    /// Who has said last that it has so much of it, since it stands still.
    inherited: Option<(NodeId, Extent)>,
    /// This process began without keys, and replicas may have them.
    bereft: Option<Bereft>,
    /// Own ranges that entries in the log's tail take away: refused until those are applied or truncated (docs/protocol.md, "The gate").
    pub leaving: Vec<SlotRange>,
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
    claim: Claim,
}

/// Whether the successor waits for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Claim {
    /// It goes on with what it had.
    None,
    /// By a snapshot it is not known in which way it has taken over.
    Possible,
    /// It serves nobody before it has all of it.
    All,
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
    pub(in crate::node) fn prepare_failover(&mut self, from: NodeId, pause: Millis) -> Extent {
        let is_ours = self.metadata.state.member(&from).is_some_and(|member| member.primary == Some(self.metadata.me));
        if is_ours && pause > 0 {
            self.out.hold_writes_for(from, self.view.now.mono + pause.min(self.view.config.cluster_manual_failover_timeout));
        } else if pause == 0 && !self.is_handing_over() {
            self.out.release_writes_for(from);
        }
        match self.dataset.succession.yielding.bequest {
            // What others have is newer.
            _ if self.dataset.succession.yielding.is_bereft() => Extent::default(),
            _ if is_ours => self.extent(),
            Some(Bequest { to, end, .. }) if to == from => end,
            // A process that has never served these slots has nothing of them that anybody lacks.
            _ => Extent::default(),
        }
    }

    /// Whether an entry in the log gives this node's slots to a replica: its keys and its stream do not change any more.
    pub(in crate::node) fn is_handing_over(&self) -> bool {
        self.dataset.succession.yielding.deposed
    }

    /// A FAILOVER from this node to `successor` was applied; its kind is not known if a snapshot says so. Who has come back without its keys leaves nothing,
    /// whatever it has loaded.
    pub(in crate::node) fn handed_over(&mut self, successor: NodeId, kind: Option<FailoverKind>) {
        let claim = match kind {
            // It stays so until its state is the newest: the slots may have come back since.
            _ if self.dataset.succession.yielding.is_bereft() => Claim::None,
            None => Claim::Possible,
            Some(FailoverKind::Manual) => Claim::All,
            Some(FailoverKind::Auto | FailoverKind::Force | FailoverKind::Takeover) => Claim::None,
        };
        let end = if self.dataset.succession.yielding.is_bereft() { Extent::default() } else { self.extent() };
        self.dataset.succession.yielding.bequest = Some(Bequest { to: successor, end, claim });
        self.disinherit();
        self.dataset.foreign.follows();
        self.out.release_writes();
    }

    /// Whether this node was the primary of the shard, and still has the keys as they were at the end of that.
    pub(in crate::node) fn has_bequest(&self) -> bool {
        self.dataset.succession.yielding.bequest.is_some_and(|bequest| bequest.end.reign > 0)
    }

    /// Whether `successor` will have all keys that this node has, and nobody has changed any of them yet without that.
    pub(in crate::node) fn is_awaited_by(&self, successor: &NodeId) -> bool {
        self.dataset.succession.yielding.bequest.is_some_and(|bequest| bequest.claim == Claim::All && bequest.to == *successor)
    }

    /// Whether a successor may still need what this node has: until a sync with it is complete.
    pub(in crate::node) fn is_awaited(&self) -> bool {
        self.dataset.succession.yielding.bequest.is_some_and(|bequest| bequest.claim == Claim::All)
    }

    /// The keys are others', or this node's own again.
    pub(in crate::node) fn forget_bequest(&mut self) {
        self.dataset.succession.yielding.bequest = None;
    }

    /// Own ranges that entries in the log's tail would take away, or whose keys this node does not have (yet).
    pub(in crate::node) fn refresh_leaving(&mut self) {
        let stopped = std::mem::take(&mut self.dataset.succession.yielding.deposed);
        let summoned = self.dataset.succession.summoned.take();
        let tail = self.metadata.tail();
        self.dataset.succession.yielding.leaving = tail.taken_from(&self.metadata.me, &self.metadata.state);
        for Succession { successor, predecessor, kind } in tail.successions() {
            if predecessor == self.metadata.me {
                self.dataset.succession.yielding.deposed = true;
            } else if successor == self.metadata.me && kind == FailoverKind::Manual {
                self.dataset.succession.summoned = Some(predecessor);
            }
        }
        self.out.todo.connect |= self.dataset.succession.summoned != summoned;
        if self.dataset.succession.yielding.deposed && !stopped {
            self.dataset.succession.yielding.inherited = None;
        }
        if self.dataset.succession.yielding.deposed || self.lacks_keys() {
            self.dataset.succession.yielding.leaving = self.metadata.state.ranges_of(&self.metadata.me);
        }
    }

    /// Whether the keys of this node's slots are elsewhere: it has taken over and not caught up, or it has come back without them.
    pub(in crate::node) fn lacks_keys(&self) -> bool {
        self.dataset.succession.predecessor().is_some() || self.dataset.succession.yielding.is_bereft()
    }

    /// The slots are ours, or may be by the newest state, and the keys may be with others: so it is when a process starts without keys, or with
    /// those of its last save. Replicas, which may have more, would lose that to it.
    pub(in crate::node) fn become_bereft(&mut self) {
        self.dataset.succession.yielding.bereft = Some(Bereft::Unasked);
    }

    /// Once a turn: the leader is asked to promote the best replica. If there is none that has the keys, or nothing comes of it for node-timeout although
    /// somebody leads, what was lost is lost.
    pub(in crate::node) fn tend_bereft(&mut self) {
        let Some(bereft) = self.dataset.succession.yielding.bereft else { return };
        let over = match bereft {
            // By an older state it may be without the replicas that it has, and without a leader nobody says who has the keys.
            _ if !self.metadata.knows_newest_state() || self.metadata.is_leaderless(&self.view) => {
                self.dataset.succession.yielding.bereft = Some(Bereft::Unasked);
                return self.metadata.proposals.take_handover_back(&self.metadata.me);
            }
            _ if self.metadata.state.slot_count_of(&self.metadata.me) == 0
                || self.metadata.state.replicas_of(&self.metadata.me).is_empty() =>
            {
                true
            }
            Bereft::Unasked => {
                log::info!(
                    "This primary has just started, and its replicas may have newer keys: it serves when the leader has found out who has them"
                );
                self.dataset.succession.yielding.bereft = Some(Bereft::Until(self.view.now.mono + self.view.config.cluster_node_timeout));
                self.out.hold_writes(self.view.now.mono + self.view.config.cluster_manual_failover_timeout);
                !self.ask_for_successor()
            }
            // What it wishes for is in its log: it serves nobody until that is decided.
            Bereft::Until(_) if self.is_handing_over() => false,
            // Without a lease it would serve nobody, and overwrite what its replicas have all the same.
            Bereft::Until(until) => {
                until <= self.view.now.mono && self.dataset.lease.at(self.view.now.mono).is_some()
                    || !self.metadata.proposals.gives_up(&self.metadata.me)
            }
        };
        if over {
            if let Some(Bereft::Until(until)) = self.dataset.succession.yielding.bereft {
                self.tell_settled(until);
            }
            self.dataset.succession.yielding.bereft = None;
            self.lead_loaded_keys();
            self.drop_foreign_keys();
            self.refresh_leaving();
            self.out.release_writes();
        }
    }

    fn tell_settled(&self, until: Millis) {
        match self.metadata.state.slot_count_of(&self.metadata.me) {
            0 => log::info!("A replica has this shard's newest keys: it is the primary now"),
            _ if until <= self.view.now.mono => {
                log::warn!("It was not settled within cluster-node-timeout who has the newest keys: this primary goes on with its own");
            }
            _ => log::info!("No replica can take over with newer keys: this primary goes on with its own"),
        }
    }

    /// The leader is to promote our best replica. It knows whether one that is flagged as failed is coming back \[N49\]. False if there is none, or it has
    /// said so already.
    pub(in crate::node) fn ask_for_successor(&mut self) -> bool {
        if self.metadata.state.willing_replicas(&self.metadata.me).next().is_some() {
            self.with_metadata(|metadata, view, out| metadata.wish(WishKind::HandOver, metadata.me, None, view, out));
        }
        self.metadata.proposals.gives_up(&self.metadata.me)
    }

    /// FAILOVER_DONE came: who has taken over says what it has of this node's data.
    pub(in crate::node) fn receive_failover_done(&mut self, from: NodeId, has: Extent) {
        self.dataset.succession.yielding.inherited = Some((from, has));
    }

    /// Whether this node has what its successor may need, which has not said that it has all of it. That it has is also seen by a sync of this node's own
    /// with it, by which this node has nothing more to leave.
    pub(in crate::node) fn owes_inheritance(&self) -> bool {
        let Some(Bequest { to, end, claim }) = self.dataset.succession.yielding.bequest else { return false };
        let successor = self.metadata.state.member(&self.metadata.me).and_then(|me| me.primary).unwrap_or(to);
        let has_all = self.dataset.succession.yielding.inherited.is_some_and(|(by, has)| by == successor && has >= end);
        end.reign > 0 && claim != Claim::None && !has_all
    }
}

#[cfg(test)]
mod tests;
