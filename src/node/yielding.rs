//! A primary that gives its slots up: to a replica that asks for them, before it ends, and when it has come back without its keys.
//!
//! Owns: the pause that a replica asked for, where the stream ended, and why this primary does not serve its slots. Must not: choose the successor (the
//! leader does). Contract: docs/protocol.md, "Failover".

use super::Node;
use crate::cluster::{Change, FailoverKind, WishKind};
use crate::raft::{Body, Payload};
use crate::store::Disk;
use crate::types::{ConnId, Millis, NodeId};
use crate::wire::bus::Frame;

/// See the module.
#[derive(Default)]
pub(super) struct Yielding {
    /// An entry in the log makes a replica the owner of our slots: the stream stands still.
    pub deposed: bool,
    /// To whom they went while this process ran, and where our stream ended.
    last: Option<(NodeId, u64)>,
    /// Who was told where it ends for good.
    told: Option<NodeId>,
    /// This process began without keys, and replicas may have them.
    bereft: Option<Bereft>,
}

#[derive(Clone, Copy, Debug)]
enum Bereft {
    /// No leader has been heard yet.
    Unasked,
    /// A leader is asked to promote a replica; until then (mono ms).
    Until(Millis),
}

impl<D: Disk> Node<D> {
    /// FAILOVER_PREPARE came by `conn`. No pause ends one, unless what it was for is in the log already.
    pub(super) fn receive_failover_prepare(&mut self, conn: ConnId, from: NodeId, pause: Millis) {
        let is_ours = self.state.member(&from).is_some_and(|member| member.primary == Some(self.me));
        if is_ours && pause > 0 {
            self.hold_writes(self.now.mono + pause.min(self.config.cluster_manual_failover_timeout));
        } else if is_ours && !self.is_handing_over() {
            self.release_writes();
        }
        if self.is_handing_over() || !is_ours {
            self.succession.yielding.told = Some(from);
        }
        let offset = match self.succession.yielding.last {
            _ if is_ours => self.stream.offset(),
            Some((to, offset)) if to == from => offset,
            // A process that has never served these slots has nothing of them that anybody lacks.
            _ => 0,
        };
        self.outbox.push(conn, Frame::FailoverOffset { offset });
    }

    /// Whether an entry in the log gives this node's slots to a replica: its keys and its stream do not change any more.
    pub(super) fn is_handing_over(&self) -> bool {
        self.succession.yielding.deposed
    }

    /// A FAILOVER from this node to `successor` was applied. Only who was given the slots asks what else there was.
    pub(super) fn handed_over(&mut self, successor: NodeId, kind: FailoverKind) {
        self.succession.yielding.last = Some((successor, self.stream.offset()));
        if kind != FailoverKind::Manual {
            self.succession.yielding.told = Some(successor);
        }
        self.succession.yielding.bereft = None;
        self.release_writes();
    }

    /// Own ranges that entries in the log's tail would take away, or whose keys this node does not have (yet).
    pub(super) fn refresh_leaving(&mut self) {
        self.leaving_ranges.clear();
        let stopped = std::mem::take(&mut self.succession.yielding.deposed);
        for (_, entry) in self.raft.log().iter_from(self.state.last_applied() + 1) {
            match &entry.body {
                Body::App(change @ Change::SlotChange { ranges, .. }) if change.deposes() == Some(self.me) => {
                    self.leaving_ranges.extend(ranges);
                }
                Body::App(Change::SetReplicaOf { id, .. }) if *id == self.me => self.leaving_ranges.extend(self.state.ranges_of(&self.me)),
                Body::App(Change::Failover { primary, .. }) if *primary == self.me => self.succession.yielding.deposed = true,
                _ => {}
            }
        }
        if self.succession.yielding.deposed && !stopped {
            self.succession.yielding.told = None;
        }
        if self.succession.yielding.deposed || self.lacks_keys() {
            self.leaving_ranges = self.state.ranges_of(&self.me);
        }
    }

    /// Whether the keys of this node's slots are elsewhere: it has taken over and not caught up, or it has come back without them.
    pub(super) fn lacks_keys(&self) -> bool {
        self.succession.predecessor().is_some() || self.succession.yielding.bereft.is_some()
    }

    /// A primary starts without keys, or with those of its last save: its replicas, which may have more, would lose that to it.
    pub(super) fn start_bereft(&mut self) {
        let has_replicas = !self.state.replicas_of(&self.me).is_empty();
        if has_replicas && self.state.slot_count_of(&self.me) > 0 {
            self.succession.yielding.bereft = Some(Bereft::Unasked);
        }
    }

    /// Once a turn: the leader is asked to promote the best replica. If there is none that has the keys, or nothing is heard of it for node-timeout, what
    /// was lost is lost.
    pub(super) fn tend_bereft(&mut self) {
        let Some(bereft) = self.succession.yielding.bereft else { return };
        let over = match bereft {
            _ if self.state.slot_count_of(&self.me) == 0 => true,
            Bereft::Unasked if self.raft.leader().is_none() => return,
            Bereft::Unasked => {
                log::warn!("This primary has come back without its newest keys: a replica that has them is to take over");
                self.succession.yielding.bereft = Some(Bereft::Until(self.now.mono + self.config.cluster_node_timeout));
                self.hold_writes(self.now.mono + self.config.cluster_manual_failover_timeout);
                !self.ask_for_successor()
            }
            Bereft::Until(until) => until <= self.now.mono || !self.proposals.gives_up(&self.me),
        };
        if over {
            self.succession.yielding.bereft = None;
            self.refresh_leaving();
            self.release_writes();
        }
    }

    /// The leader is to promote our best replica. False if there is none that could be.
    fn ask_for_successor(&mut self) -> bool {
        let has_heirs = self.state.willing_replicas(&self.me).next().is_some();
        if has_heirs {
            self.wish(WishKind::HandOver, self.me, None);
        }
        has_heirs
    }

    /// This node is about to end: holds its clients' writes and has its best replica promoted, if there is anything to give and anybody to take it.
    pub(super) fn give_slots_up(&mut self, until: Millis) {
        if self.state.slot_count_of(&self.me) > 0 && self.raft.leader().is_some() && self.ask_for_successor() {
            self.hold_writes(until);
        }
    }

    /// Whether it is still to be waited for: nobody has taken the slots yet, or its successor does not know that it has everything.
    pub(super) fn is_giving_slots_up(&self) -> bool {
        match self.state.slot_count_of(&self.me) {
            0 => self.succession.yielding.last.is_some_and(|(successor, _)| self.succession.yielding.told != Some(successor)),
            _ => self.is_handing_over() || self.proposals.gives_up(&self.me),
        }
    }
}
