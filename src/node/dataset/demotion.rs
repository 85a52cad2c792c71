//! A primary that gives its slots up: to a replica that asks for them, before it ends, and when it has come back without its keys.
//!
//! Owns: the pause that a replica asked for, where the stream ended, and why this primary does not serve its slots. Must not: choose the
//! successor (the leader does). Contract: docs/protocol.md, "Failover".

use crate::cluster::change::Succession;
use crate::cluster::{FailoverKind, LeaderRequestKind};
use crate::node::dataset::Dataset;
use crate::node::dataset::role::{FinalOffset, Unsettled};
use crate::node::metadata::Metadata;
use crate::node::view::{Effects, View};
use crate::types::{Extent, Millis, NodeId, SlotRange};

/// See the module.
#[derive(Default)]
pub(in crate::node) struct Demotion {
    /// Who has said last that it has so much of it, since it stands still.
    caught_up: Option<(NodeId, Extent)>,
    /// Who may take over by hand, as far as this process knows.
    planned: Planned,
    /// Own ranges that entries in the log's tail take away: refused until those are applied or truncated (docs/protocol.md, "The gate").
    pub leaving: Vec<SlotRange>,
}

/// A planned failover is one that the primary has been asked about, or has asked for.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Planned {
    #[default]
    No,
    /// This replica has asked where the stream ends.
    By(NodeId),
    /// Several have, or the leader was asked to choose one.
    ByAny,
}

impl Planned {
    fn also_by(self, replica: NodeId) -> Self {
        if self == Self::No || self == Self::By(replica) { Self::By(replica) } else { Self::ByAny }
    }

    fn may_be_by(self, replica: NodeId) -> bool {
        self == Self::ByAny || self == Self::By(replica)
    }
}

impl Dataset {
    /// FAILOVER_PREPARE came: where our stream ends. No pause ends the one that was asked for before, unless what it was for is in the log
    /// already.
    pub fn prepare_failover(&mut self, from: NodeId, pause: Millis, metadata: &Metadata, view: &View, out: &mut Effects) -> Extent {
        let is_ours = metadata.state.member(&from).is_some_and(|member| member.primary == Some(metadata.me));
        if is_ours && pause > 0 {
            self.takeover.demotion.planned = self.takeover.demotion.planned.also_by(from);
            out.hold_writes_for(from, view.now.mono + pause.min(view.config.cluster_manual_failover_timeout));
        } else if pause == 0 && !self.role.is_handing_over() {
            out.release_writes_for(from);
        }
        match self.role.final_offset() {
            // What others have is newer.
            _ if self.role.is_unsettled() => Extent::default(),
            _ if is_ours => self.extent(),
            Some(FinalOffset { to, end, .. }) if to == from => end,
            // A process that has never served these slots has nothing of them that anybody lacks.
            _ => Extent::default(),
        }
    }

    /// A FAILOVER from this node to `successor` was applied. Its kind is not known if a snapshot says so; but nobody takes over by hand
    /// without this primary's word.
    pub fn handed_over(&mut self, successor: NodeId, kind: Option<FailoverKind>, out: &mut Effects) {
        let is_planned = std::mem::take(&mut self.takeover.demotion.planned).may_be_by(successor);
        let likely = if is_planned { FailoverKind::Manual } else { FailoverKind::Force };
        self.role.hand_over(successor, kind.unwrap_or(likely), self.extent());
        self.stop_catching_up();
        self.foreign.follows();
        out.release_writes();
    }

    /// Own ranges that entries in the log's tail would take away, or whose keys this node does not have (yet).
    pub fn refresh_leaving(&mut self, metadata: &Metadata, out: &mut Effects) {
        let next_predecessor = self.takeover.next_predecessor.take();
        let (tail, mut handing_over) = (metadata.tail(), false);
        self.takeover.demotion.leaving = tail.taken_from(&metadata.me, &metadata.state);
        for Succession { successor, predecessor, kind } in tail.successions() {
            if predecessor == metadata.me {
                handing_over = true;
            } else if successor == metadata.me && kind == FailoverKind::Manual {
                self.takeover.next_predecessor = Some(predecessor);
            }
        }
        out.todo.connect |= self.takeover.next_predecessor != next_predecessor;
        if self.role.stand_still(handing_over) {
            self.takeover.demotion.caught_up = None;
        }
        if handing_over || self.role.lacks_keys() {
            self.takeover.demotion.leaving = metadata.state.ranges_of(&metadata.me);
        }
    }

    /// Once a turn: the leader is asked to promote the best replica. If there is none that has the keys, or nothing comes of it for
    /// node-timeout although somebody leads, what was lost is lost.
    pub fn tend_awaited_failover(&mut self, metadata: &mut Metadata, view: &View, out: &mut Effects) {
        let Some(unsettled) = self.role.unsettled() else { return };
        let over = match unsettled {
            // By an older state it may be without the replicas that it has, and without a leader nobody says who has the keys.
            _ if !metadata.knows_newest_state() || metadata.is_leaderless(view) => {
                self.role.find_out(Unsettled::Unasked);
                return metadata.proposals.take_handover_back(&metadata.me);
            }
            _ if metadata.state.slot_count_of(&metadata.me) == 0 || metadata.state.replicas_of(&metadata.me).is_empty() => true,
            Unsettled::Unasked => {
                log::info!(
                    "This primary has just started, and its replicas may have newer keys: it serves when the leader has found out who has them"
                );
                self.role.find_out(Unsettled::Until(view.now.mono + view.config.cluster_node_timeout));
                out.hold_writes(view.now.mono + view.config.cluster_manual_failover_timeout);
                !self.ask_for_successor(metadata, view, out)
            }
            // What it requests for is in its log: it serves nobody until that is decided.
            Unsettled::Until(_) if self.role.is_handing_over() => false,
            // Without a lease it would serve nobody, and overwrite what its replicas have all the same.
            Unsettled::Until(until) => {
                until <= view.now.mono && self.lease.at(view.now.mono).is_some() || !metadata.proposals.gives_up(&metadata.me)
            }
        };
        if over {
            if let Some(Unsettled::Until(until)) = self.role.unsettled() {
                self.tell_settled(until, metadata, view);
            }
            self.role.settled();
            self.lead_loaded_keys(metadata, out);
            self.drop_foreign_keys(metadata);
            self.refresh_leaving(metadata, out);
            out.release_writes();
        }
    }

    fn tell_settled(&self, until: Millis, metadata: &Metadata, view: &View) {
        match metadata.state.slot_count_of(&metadata.me) {
            0 => log::info!("A replica has this shard's newest keys: it is the primary now"),
            _ if until <= view.now.mono => {
                log::warn!("It was not settled within cluster-node-timeout who has the newest keys: this primary goes on with its own");
            }
            _ => log::info!("No replica can take over with newer keys: this primary goes on with its own"),
        }
    }

    /// The leader is to promote our best replica. It knows whether one that is flagged as failed is coming back \[N49 returning-replica\].
    /// False if there is none, or it has said so already.
    pub fn ask_for_successor(&mut self, metadata: &mut Metadata, view: &View, out: &mut Effects) -> bool {
        if metadata.state.willing_replicas(&metadata.me).next().is_some() {
            self.takeover.demotion.planned = Planned::ByAny;
            metadata.ask_leader(LeaderRequestKind::HandOver, metadata.me, None, view, out);
        }
        metadata.proposals.gives_up(&metadata.me)
    }

    /// FAILOVER_DONE came: who has taken over says what it has of this node's data.
    pub fn receive_failover_done(&mut self, from: NodeId, has: Extent) {
        self.takeover.demotion.caught_up = Some((from, has));
    }

    /// Whether this node has what its successor may need, which has not said that it has all of it. That it has is also seen by a sync of
    /// this node's own with it, by which this node has nothing more to leave.
    pub fn owes_final_offset(&self, metadata: &Metadata) -> bool {
        let Some(FinalOffset { to, end, awaited }) = self.role.final_offset() else { return false };
        let successor = metadata.state.member(&metadata.me).and_then(|me| me.primary).unwrap_or(to);
        let has_all = self.takeover.demotion.caught_up.is_some_and(|(by, has)| by == successor && has >= end);
        end.reign > 0 && awaited && !has_all
    }
}

#[cfg(test)]
mod tests;
