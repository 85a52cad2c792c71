//! The commit gate: an entry that takes slots from a live primary commits only once that primary cannot serve them any more.
//!
//! Owns: which entries are gated, the commit index of a leader. Must not: know what a payload does (it asks [`Payload::deposes`]).
//! Contract: docs/protocol.md, "Gate".

use super::entry::{Body, Payload};
use super::quorum;
use super::role::Leader;
use super::settings::outlast;
use super::{Raft, Role};
use crate::types::{LogIndex, Millis, NodeId};
use std::collections::BTreeMap;

/// The gated entries of one leadership.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Gate {
    /// The gated entries that have not committed, with the node that each deposes.
    entries: BTreeMap<LogIndex, NodeId>,
    /// The last gated entry against each node: before its match covers that, it is granted nothing.
    barred: BTreeMap<NodeId, LogIndex>,
    /// When time alone opens the gate before the first entry that waits at it.
    opens_at: Option<Millis>,
}

impl Gate {
    /// Takes note of an entry above the commit index.
    pub(super) fn appended<P: Payload>(&mut self, index: LogIndex, body: &Body<P>) {
        if let Body::App(payload) = body
            && let Some(node) = payload.deposes()
        {
            self.entries.insert(index, node);
            self.barred.insert(node, index);
        }
    }

    /// The match from which on `node` may be granted a lease again.
    pub(super) fn bar(&self, node: &NodeId) -> LogIndex {
        self.barred.get(node).copied().unwrap_or(0)
    }

    /// When time alone moves the commit index on.
    pub(super) fn opens_at(&self) -> Option<Millis> {
        self.opens_at
    }
}

impl Leader {
    /// From when on time alone lets an entry against `node` commit: no lease of this leader is left, nor one of an earlier leader.
    fn time_opens(&self, node: &NodeId, max_lease: Millis) -> Millis {
        self.grants.over_at(node, self.lease).max(self.elected_at + outlast(max_lease.max(self.max_lease)))
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
        self.commit = self.commit.max(leader.pass_gate(me, own, self.max_lease, now));
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
    fn pass_gate(&mut self, me: NodeId, own: LogIndex, max_lease: Millis, now: Millis) -> LogIndex {
        self.gate.opens_at = None;
        while let Some((&index, node)) = self.gate.entries.first_key_value() {
            if index > self.quorum_index {
                break;
            }
            let seen = if *node == me { own } else { self.match_of(node) };
            let opens_at = self.time_opens(node, max_lease);
            if seen < index && now < opens_at {
                self.gate.opens_at = Some(opens_at);
                return index - 1;
            }
            self.gate.entries.pop_first();
        }
        self.quorum_index
    }
}
