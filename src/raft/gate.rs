//! The gate: an entry that takes slots from a live primary is appended, and commits, only once that primary cannot serve them any more.
//!
//! Owns: which entries are gated, whether the gate is open, who is granted no lease because of it, the commit index of a leader, and
//! since when a majority is known to hold what waits.
//! Must not: know what a payload does (it asks [`Payload::deposes`]), keep the proposals that wait, or find out who is dead (the node does
//! both).
//! Contract: docs/protocol.md, "The gate".

use super::entry::{Body, Payload};
use super::progress::Progress;
use super::quorum;
use super::replication::MAX_BATCH_ENTRIES;
use super::role::Leader;
use super::settings::outlast;
use super::{Raft, Role};
use crate::types::{LogIndex, Millis, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// The gate of one leadership.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Gate {
    /// The gated entries that have not committed, with the node that each deposes.
    entries: BTreeMap<LogIndex, NodeId>,
    /// The last entry against each node: before its match covers that, it is granted nothing.
    barred: BTreeMap<NodeId, LogIndex>,
    /// Nodes against which proposals wait for the gate, outside the log: they are granted nothing.
    awaited: BTreeSet<NodeId>,
    /// Nodes that hold by now what stood against them, and have been sent nothing since: they are owed a token.
    relieved: BTreeSet<NodeId>,
    /// Processes that are known to be dead: nothing is granted to them, and the gate is open.
    dead: BTreeSet<NodeId>,
    /// When time alone opens the gate before the first entry that waits at it.
    opens_at: Option<Millis>,
}

/// What this node knows a majority's disks to hold beyond the commit index, by an own-term count: no leader to come lacks it, and none from
/// then on grants a lease to whom it deposes \[N48 agreed-entries\].
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Agreed {
    index: LogIndex,
    /// Since when it is known (mono ms).
    since: Millis,
}

impl Agreed {
    /// The log equals that of a leader which has a majority for everything up to `index`. The oldest knowledge that is of use is kept.
    pub(super) fn reached(&mut self, index: LogIndex, commit: LogIndex, now: Millis) {
        if self.index <= commit && commit < index {
            *self = Self { index, since: now };
        }
    }

    /// When another leader can have granted the last lease to whom the entry at `index` deposes, as a leader elected at `elected_at` knows.
    fn last_grant_at(&self, index: LogIndex, elected_at: Millis) -> Millis {
        if index <= self.index { self.since.min(elected_at) } else { elected_at }
    }
}

impl Gate {
    /// Takes note of an entry above the commit index.
    pub(super) fn appended<P: Payload>(&mut self, index: LogIndex, body: &Body<P>) {
        let Body::App(payload) = body else { return };
        if let Some(node) = payload.bars() {
            self.barred.insert(node, index);
        }
        if let Some(node) = payload.deposes() {
            self.entries.insert(index, node);
        }
    }

    /// Whether `node`, which is known to match up to there, is granted nothing.
    pub(super) fn bars(&self, node: &NodeId, match_index: LogIndex) -> bool {
        self.has_unseen(node, match_index) || self.awaited.contains(node) || self.dead.contains(node)
    }

    /// Whether there is an entry against `node` beyond what it is known to match.
    pub(super) fn has_unseen(&self, node: &NodeId, match_index: LogIndex) -> bool {
        self.barred.get(node).is_some_and(|&index| match_index < index)
    }

    /// `node` matches what stands in the log against it.
    pub(super) fn relieve(&mut self, node: NodeId) {
        self.relieved.insert(node);
    }

    /// An AE goes to `node`, with a token if it may have one.
    pub(super) fn sent_to(&mut self, node: &NodeId) {
        self.relieved.remove(node);
    }

    /// Whether the next entry against `node` had better wait. What the leader's own disk does not hold yet, `sent`, may have company: the
    /// node will see them together.
    fn rests(&self, node: &NodeId, match_index: LogIndex, sent: LogIndex) -> bool {
        self.relieved.contains(node) || self.barred.get(node).is_some_and(|&index| match_index < index && index <= sent)
    }

    /// When time alone moves the commit index on.
    pub(super) fn opens_at(&self) -> Option<Millis> {
        self.opens_at
    }
}

impl Leader {
    /// From when on no lease of `node` can be left, neither of this leader nor of an earlier one, which granted nothing after
    /// `last_grant_at`. Never, as far as a leader knows whose own clock stands alone: it hands over.
    fn leases_over_at(&self, node: &NodeId, last_grant_at: Millis, max_lease: Millis) -> Millis {
        if self.rates.own_alone() {
            return Millis::MAX;
        }
        let granted = self.rates.outlasted(node, self.lease);
        self.grants.over_at(node, granted).max(last_grant_at + outlast(max_lease.max(self.max_lease)))
    }
}

impl<P: Payload> Raft<P> {
    /// Whether an entry that deposes `node` could commit at once, and so may be appended: the node follows closely, is known to be dead, or
    /// has no lease left. False of a node that does not lead. Whatever waits must be told of with [`Raft::await_gate`].
    pub fn gate_is_open(&self, node: &NodeId, now: Millis) -> bool {
        let Some(leader) = self.role.leader() else { return false };
        *node == self.me
            || leader.gate.dead.contains(node)
            || leader.progress.get(node).is_some_and(|progress| self.follows(progress, now))
            || leader.leases_over_at(node, leader.elected_at, self.max_lease) <= now
    }

    /// Whether the node answers, and lacks nothing that is not on its way.
    fn follows(&self, progress: &Progress, now: Millis) -> bool {
        progress.answers(now, self.settings.election_timeout) && progress.keeps_up(self.log.last_index(), MAX_BATCH_ENTRIES as u64)
    }

    /// Whether `node` follows, and is to be sent a token before more is appended against it: it is not known to hold what it was sent, or
    /// has heard nothing since it does. With one such entry after the other its lease would run out though it lives.
    pub fn is_barred(&self, node: &NodeId, now: Millis) -> bool {
        let Some(leader) = self.role.leader() else { return false };
        let rests = |progress: &Progress| leader.gate.rests(node, progress.match_index(), self.disk.last_index());
        leader.progress.get(node).is_some_and(|progress| rests(progress) && self.follows(progress, now))
    }

    /// Takes all nodes against which proposals wait for the gate. They are granted nothing until that is over, and are asked at once
    /// whether they live.
    pub fn await_gate(&mut self, nodes: BTreeSet<NodeId>) {
        let Role::Leader(leader) = &mut self.role else { return };
        nodes.difference(&leader.gate.awaited.clone()).for_each(|node| leader.hasten(node));
        leader.gate.awaited = nodes;
    }

    /// When time alone opens the gate for a proposal that waits, if that is still to come.
    pub(super) fn await_ends_at(&self, leader: &Leader) -> Option<Millis> {
        leader.gate.awaited.iter().map(|node| leader.leases_over_at(node, leader.elected_at, self.max_lease)).min()
    }

    /// A leader knows from outside that the process of `node` has ended: observations made after its election, see docs/protocol.md, "Known
    /// dead" \[N4 refused-connection\].
    pub fn set_dead(&mut self, node: NodeId) {
        if let Role::Leader(leader) = &mut self.role {
            leader.gate.dead.insert(node);
        }
    }

    /// The node has been heard, with whatever frame: it lives, or another process has taken its place.
    pub fn clear_dead(&mut self, node: &NodeId) {
        if let Role::Leader(leader) = &mut self.role {
            leader.gate.dead.remove(node);
        }
    }

    /// Whether this node leads and knows the process of `node` to be dead.
    pub fn is_dead(&self, node: &NodeId) -> bool {
        self.role.leader().is_some_and(|leader| leader.gate.dead.contains(node))
    }

    /// When a leader may call `node` failed, if nothing is heard of it until then (mono ms): at once if its process is known to be dead,
    /// else node-timeout after it was last known to answer anybody, but not while it can have a lease. None of who is no follower.
    pub fn fails_at(&self, node: &NodeId) -> Option<Millis> {
        let leader = self.role.leader()?;
        let silent_at = leader.progress.get(node)?.heard_at() + self.settings.node_timeout;
        Some(if leader.gate.dead.contains(node) {
            0
        } else {
            silent_at.max(leader.leases_over_at(node, leader.elected_at, self.max_lease))
        })
    }
}

impl<P: Payload> Raft<P> {
    /// A leader counts the copies on the disks, its own as far as its disk holds it, and commits as far as the gate lets it. Returns the
    /// commit index, of any role.
    pub fn advance_commit(&mut self, now: Millis) -> LogIndex {
        let own = self.disk.last_index();
        let voters = self.membership.latest(own);
        let Role::Leader(leader) = &mut self.role else { return self.commit };
        let me = self.me;
        let reached = quorum::reached(voters, |id| if *id == me { own } else { leader.match_of(id) });
        // Only entries of the own term are counted (§5.4.2); from the NOOP on there are no others.
        if let Some(index) = reached.filter(|&index| index >= leader.noop_index) {
            leader.quorum_index = leader.quorum_index.max(index);
        }
        self.agreed.reached(leader.quorum_index, self.commit, now);
        self.commit = self.commit.max(leader.pass_gate(me, own, self.agreed, self.max_lease, now));
        self.retire_if_removed(now);
        self.commit
    }

    /// A leader whose removal is committed steps down (dissertation §4.2.2).
    fn retire_if_removed(&mut self, now: Millis) {
        if !self.is_voter(&self.me) && !self.committed_voters().contains(&self.me) {
            self.abdicate(now);
        }
    }
}

impl Leader {
    /// How far another node's log is known to match; 0 for a stranger.
    fn match_of(&self, id: &NodeId) -> LogIndex {
        self.progress.get(id).map_or(0, |progress| progress.match_index())
    }

    /// The quorum index, but below the first entry at which the gate is shut.
    fn pass_gate(&mut self, me: NodeId, own: LogIndex, agreed: Agreed, max_lease: Millis, now: Millis) -> LogIndex {
        self.gate.opens_at = None;
        while let Some((&index, node)) = self.gate.entries.first_key_value() {
            if index > self.quorum_index {
                break;
            }
            let seen = if *node == me { own } else { self.match_of(node) };
            let opens_at = self.leases_over_at(node, agreed.last_grant_at(index, self.elected_at), max_lease);
            if seen < index && now < opens_at && !self.gate.dead.contains(node) {
                self.gate.opens_at = Some(opens_at);
                return index - 1;
            }
            self.gate.entries.pop_first();
        }
        self.quorum_index
    }
}
