//! Proposals that would take slots from a primary, and wait until it can serve them no more.
//!
//! Owns: what waits, outside the log, where it holds up nobody else \[N7\]. Must not: judge the gate (raft does) or the proposals (leading does).
//! Contract: docs/protocol.md, "The gate".

use super::Node;
use super::leading::Taken;
use crate::cluster::Change;
use crate::raft::{Body, Entry, Payload};
use crate::store::Disk;
use crate::types::{ConnId, NodeId};
use crate::wire::bus::{Frame, RejectReason};

/// How many may wait; further ones are refused.
const MAX_GATED: usize = 1024;

/// An entry that waits.
pub(super) struct Gated {
    entry: Entry<Change>,
    /// Where it came from; none for our own.
    from: Option<ConnId>,
}

impl Gated {
    fn deposed(&self) -> Option<NodeId> {
        if let Body::App(change) = &self.entry.body { change.deposes() } else { None }
    }

    /// Both are one proposal, or the leader's own wish for one change.
    fn is(&self, entry: &Entry<Change>) -> bool {
        match (self.entry.origin, entry.origin) {
            (Some(one), Some(other)) => one.id == other.id,
            (one, other) => one == other && self.entry.body == entry.body,
        }
    }
}

impl<D: Disk> Node<D> {
    /// A leader's own change: appended at once, or as soon as the gate is open if it takes slots from somebody, unless it would have no effect by
    /// then. Nothing happens if it waits already, or is in the log.
    pub(super) fn append_gated(&mut self, change: Change) {
        self.take_proposal(Entry { term: 0, origin: None, body: Body::App(change) }, None);
    }

    /// A leader appends the entry, or lets it wait for the gate, or refuses it to whoever proposed it.
    pub(super) fn take_proposal(&mut self, entry: Entry<Change>, from: Option<ConnId>) {
        match self.try_append(&entry) {
            Ok(Taken::Appended) => {}
            Ok(Taken::Waits) => {
                let gated = &mut self.leading.gated;
                gated.retain(|waiting| !waiting.is(&entry));
                if gated.len() >= MAX_GATED {
                    return self.reject(entry, from, RejectReason::Busy);
                }
                gated.push(Gated { entry, from });
                self.bar_gated();
            }
            Err(reason) => self.reject(entry, from, reason),
        }
    }

    /// Step 8 of before-sleep: whatever need not wait any longer is taken up anew, and so is everything if this node does not lead any more.
    pub(super) fn review_gated(&mut self) {
        if self.leading.gated.is_empty() {
            return;
        }
        let leads = self.raft.leader_ready(self.state.last_applied());
        let gated = std::mem::take(&mut self.leading.gated);
        let (waiting, released): (Vec<_>, Vec<_>) =
            gated.into_iter().partition(|gated| leads && gated.deposed().is_some_and(|node| self.must_wait(&node)));
        self.leading.gated = waiting;
        for Gated { entry, from } in released {
            self.take_proposal(entry, from);
        }
        self.bar_gated();
    }

    /// Whether an entry against `node` is not to be appended now.
    pub(super) fn must_wait(&self, node: &NodeId) -> bool {
        !self.raft.gate_is_open(node, self.now.mono) || self.raft.is_barred(node, self.now.mono)
    }

    /// Raft is told against whom something waits at the gate. Who follows, and is only given time for its lease, is not among them.
    fn bar_gated(&mut self) {
        let nodes = self.leading.gated.iter().filter_map(Gated::deposed);
        let nodes = nodes.filter(|node| !self.raft.gate_is_open(node, self.now.mono)).collect();
        self.raft.await_gate(nodes);
    }

    fn reject(&mut self, entry: Entry<Change>, from: Option<ConnId>, reason: RejectReason) {
        match (from, entry.origin) {
            (Some(conn), _) => self.outbox.push(conn, Frame::Reject { reason, entry }),
            (None, Some(origin)) => self.proposal_rejected(origin.id.n, reason),
            (None, None) => log::debug!("A change of the leader's own is not appended: {reason:?}, {:?}", entry.body),
        }
    }
}
