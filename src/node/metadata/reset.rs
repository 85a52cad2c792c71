//! How a member leaves: RESET, being forgotten, and telling others that they were.
//!
//! Owns: a RESET in progress, and who was forgotten lately. Must not: forget anybody (the leader's NODE_FORGET does).
//! Contract: docs/protocol.md, "Lost memory".

use crate::cluster::change::SlotChange;
use crate::cluster::{LeaderRequestKind, Reason};
use crate::commands::{ChangeOutcome, WaitOutcome};
use crate::node::metadata::Metadata;
use crate::node::metadata::membership_check::MembershipCheck;
use crate::node::metadata::proposals::Part;
use crate::node::view::{Effects, View};
use crate::types::{ConnId, Millis, NodeId};
use crate::wire::bus::Frame;
use std::collections::BTreeMap;

/// How long FORGET of a forgotten node answers OK (ms). As in Redis.
const FORGOTTEN_FOR: Millis = 60_000;
/// How many forgotten nodes are remembered; the oldest go.
const MAX_FORGOTTEN: usize = 1024;

/// Members that were forgotten, the latest life of each.
#[derive(Debug, Default)]
pub(in crate::node) struct ForgottenMembers {
    by_node: BTreeMap<NodeId, ForgottenMember>,
    /// Whether this node is one of them is being asked.
    pub check: Option<MembershipCheck>,
}

#[derive(Clone, Copy, Debug)]
struct ForgottenMember {
    /// Of the life that is over.
    join_nonce: Option<u64>,
    /// Mono ms.
    at: Millis,
}

impl ForgottenMembers {
    pub fn add(&mut self, id: NodeId, join_nonce: Option<u64>, now: Millis) {
        if self.by_node.len() >= MAX_FORGOTTEN {
            let oldest = self.by_node.iter().min_by_key(|(_, forgotten)| forgotten.at).map(|(id, _)| *id);
            oldest.map(|id| self.by_node.remove(&id));
        }
        self.by_node.insert(id, ForgottenMember { join_nonce, at: now });
    }

    /// Whether FORGET of it still answers OK.
    fn is_recent(&self, id: &NodeId, now: Millis) -> bool {
        self.by_node.get(id).is_some_and(|forgotten| now.saturating_sub(forgotten.at) < FORGOTTEN_FOR)
    }

    /// The join nonce of the life in which it was forgotten.
    fn nonce(&self, id: &NodeId) -> Option<u64> {
        self.by_node.get(id)?.join_nonce
    }
}

/// CLUSTER RESET of a member, from its first step to the one-node cluster.
#[derive(Clone, Copy, Debug)]
pub(in crate::node) struct Reset {
    client: ConnId,
    hard: bool,
    /// The leader has been asked to forget us.
    asked: bool,
    /// Mono ms.
    since: Millis,
}

impl Metadata {
    /// CLUSTER FORGET. The tools send it to every node, so that one just forgotten answers OK.
    pub fn forget_member(&mut self, id: NodeId, part: Part, view: &View, out: &mut Effects) {
        if self.state.member(&id).is_none() && !self.forgotten.is_recent(&id, view.now.mono) {
            return out.clients.waiting.decide(part, ChangeOutcome::Refused(format!("ERR Unknown node {id}")));
        }
        self.ask_leader(LeaderRequestKind::Forget, id, Some(part), view, out);
    }

    /// CLUSTER RESET. A member leaves through the leader first, so that nobody counts on what it forgets.
    pub fn begin_reset(&mut self, client: ConnId, hard: bool, view: &View, out: &mut Effects) {
        if self.is_singleton() || (self.is_joiner() && self.raft.term() == 0) {
            self.reset_now(hard, view, out);
            return out.clients.waiting.finish(client, WaitOutcome::Done);
        }
        if self.raft.leader().is_none() || self.is_leaderless(view) {
            if view.held.is_awaited {
                return out
                    .clients
                    .waiting
                    .finish(client, WaitOutcome::Failed("ERR The successor of this node may not have all of its keys yet".to_owned()));
            }
            if hard {
                // Under a new id nothing that the old one acknowledged is asked of us again.
                self.reset_now(true, view, out);
                return out.clients.waiting.finish(client, WaitOutcome::Done);
            }
            let text = "ERR CLUSTER RESET SOFT needs the cluster's leader, which cannot be reached now; CLUSTER RESET HARD goes on without";
            return out.clients.waiting.finish(client, WaitOutcome::Failed(text.to_owned()));
        }
        if self.reset.is_some() {
            return out.clients.waiting.finish(client, WaitOutcome::Failed("ERR A CLUSTER RESET is in progress already".to_owned()));
        }
        if !self.state.replicas_of(&self.me).is_empty() {
            return out.clients.waiting.finish(client, WaitOutcome::Failed(Reason::HasReplicas.message().to_owned()));
        }
        self.reset = Some(Reset { client, hard, asked: false, since: view.now.mono });
        let ranges = self.state.ranges_of(&self.me);
        if let (false, Some(epoch)) = (ranges.is_empty(), self.state.epoch_of(&self.me)) {
            let release = SlotChange { source: Some((self.me, epoch)), target: None, ranges };
            self.propose(release, Some(Part { client, number: 0 }), view, out);
        }
        self.continue_reset(view, out);
    }

    /// Entries were applied: once our slots are gone the leader is asked to forget us, and once it has we are alone.
    pub fn continue_reset(&mut self, view: &View, out: &mut Effects) {
        let Some(reset) = self.reset else { return };
        if self.state.member(&self.me).is_none() {
            return self.finish_reset(view, out);
        }
        if !reset.asked && self.state.slot_count_of(&self.me) == 0 {
            self.reset = Some(Reset { asked: true, ..reset });
            self.ask_leader(LeaderRequestKind::Forget, self.me, Some(Part { client: reset.client, number: 0 }), view, out);
        }
    }

    fn finish_reset(&mut self, view: &View, out: &mut Effects) {
        if let Some(reset) = self.reset.take() {
            // The new identity is on disk with the next turn's persist.
            out.clients.waiting.finish_next_turn(reset.client, WaitOutcome::Done);
            self.reset_now(reset.hard, view, out);
        }
    }

    /// Cron: a RESET that nothing is heard of is called off, or it would come true long after anybody wants it.
    pub fn expire_reset(&mut self, view: &View, out: &mut Effects) {
        let patience = 3 * view.config.cluster_node_timeout;
        if let Some(reset) = self.reset.filter(|reset| view.now.mono.saturating_sub(reset.since) > patience) {
            self.reset = None;
            out.clients.waiting.finish(reset.client, WaitOutcome::Timeout);
        }
    }

    /// A client was told how its request ended, or has left: a RESET of its is over.
    pub fn reset_ended(&mut self, client: ConnId) {
        if self.reset.is_some_and(|reset| reset.client == client) {
            self.reset = None;
        }
    }

    /// We are no member any more. A joiner that has acknowledged nothing has a way back.
    pub fn leave_as_forgotten(&mut self, view: &View, out: &mut Effects) {
        if self.standing.joiner().is_some_and(|joiner| joiner.fallback.is_some()) {
            return self.revert(view, out);
        }
        log::warn!("The cluster has forgotten this node: it is a cluster of its own now");
        match self.reset {
            Some(_) => self.finish_reset(view, out),
            None => self.reset_now(false, view, out),
        }
    }

    /// Becomes a new one-node cluster without slots, under a new id if `hard`.
    fn reset_now(&mut self, hard: bool, view: &View, out: &mut Effects) {
        self.reset = None;
        if hard {
            self.me = out.rng.node_id();
        }
        let (cluster, shard) = (out.rng.cluster_id(), out.rng.shard_id());
        self.found_cluster(cluster, shard, view, out);
    }

    /// Tells a node of our cluster that it is no member any more. A ready leader speaks for its whole log, anybody else for what it has
    /// applied: whoever has been taken in again has a log beyond that, or waits to be a member.
    pub fn tell_stranger(&mut self, conn: ConnId, id: &NodeId, out: &mut Effects) {
        if self.is_known(id) || self.state.member(&self.me).is_none() {
            return;
        }
        let log = self.raft.log();
        let (last_term, last_index) = match self.raft.leader_ready(self.state.last_applied()) {
            true => (log.last_term(), log.last_index()),
            false => (self.state.last_term(), self.state.last_applied()),
        };
        out.io.outbox.push(conn, Frame::Forgotten { last_term, last_index, join_nonce: self.forgotten.nonce(id) });
    }

    /// A leader's last word to a member that it has just forgotten, while their link is still up.
    pub fn say_farewell(&mut self, id: &NodeId, out: &mut Effects) {
        if let (true, Some(conn)) = (self.raft.is_leader(), self.links.up(id)) {
            self.tell_stranger(conn, id, out);
        }
    }

    /// Whether this life of a node, which asks to be added by itself, was forgotten: only a MEET brings it back.
    pub fn was_forgotten(&self, id: &NodeId, join_nonce: Option<u64>) -> bool {
        join_nonce.is_some() && self.forgotten.nonce(id) == join_nonce
    }
}
