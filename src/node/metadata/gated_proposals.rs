//! Proposals that would take slots from a primary, and wait until it can serve them no more.
//!
//! Owns: what waits, outside the log, where it holds up nobody else \[N7 append-gate\]. Must not: judge the gate (raft does) or the
//! proposals (leader does). Contract: docs/protocol.md, "The gate".

use crate::cluster::Change;
use crate::node::metadata::Metadata;
use crate::node::metadata::leader::Taken;
use crate::node::view::{Effects, View};
use crate::raft::{Body, Entry, Payload};
use crate::types::{ConnId, NodeId};
use crate::wire::bus::{Frame, RejectReason};

/// How many may wait; further ones are refused.
const MAX_GATED: usize = 1024;

/// An entry that waits.
pub(in crate::node) struct Gated {
    entry: Entry<Change>,
    /// Where it came from; none for our own.
    from: Option<ConnId>,
}

impl Gated {
    fn deposed(&self) -> Option<NodeId> {
        if let Body::App(change) = &self.entry.body { change.deposes() } else { None }
    }

    /// Both are one proposal, or the leader's own request for one change.
    fn is(&self, entry: &Entry<Change>) -> bool {
        match (self.entry.origin, entry.origin) {
            (Some(one), Some(other)) => one.id == other.id,
            (one, other) => one == other && self.entry.body == entry.body,
        }
    }
}

impl Metadata {
    /// A leader's own change: appended at once, or as soon as the gate is open if it takes slots from somebody, unless it would have no
    /// effect by then. Nothing happens if it waits already, or is in the log.
    pub fn append_gated(&mut self, change: Change, view: &View, out: &mut Effects) {
        self.take_proposal(Entry { term: 0, origin: None, body: Body::App(change) }, None, view, out);
    }

    /// A leader appends the entry, or lets it wait for the gate, or refuses it to whoever proposed it.
    pub fn take_proposal(&mut self, entry: Entry<Change>, from: Option<ConnId>, view: &View, out: &mut Effects) {
        match self.try_append(&entry, view, out) {
            Ok(Taken::Appended) => {}
            Ok(Taken::Waits) => {
                let gated = &mut self.leading.gated;
                gated.retain(|waiting| !waiting.is(&entry));
                if gated.len() >= MAX_GATED {
                    return self.reject(entry, from, RejectReason::Busy, out);
                }
                gated.push(Gated { entry, from });
                self.bar_gated(view);
            }
            Err(reason) => self.reject(entry, from, reason, out),
        }
    }

    /// Step 8 of before-sleep: whatever need not wait any longer is taken up anew, and so is everything if this node does not lead any
    /// more.
    pub fn review_gated(&mut self, view: &View, out: &mut Effects) {
        if self.leading.gated.is_empty() {
            return;
        }
        let leads = self.raft.leader_ready(self.state.last_applied());
        let gated = std::mem::take(&mut self.leading.gated);
        let (waiting, released): (Vec<_>, Vec<_>) =
            gated.into_iter().partition(|gated| leads && gated.deposed().is_some_and(|node| self.must_wait(&node, view)));
        self.leading.gated = waiting;
        for Gated { entry, from } in released {
            self.take_proposal(entry, from, view, out);
        }
        self.bar_gated(view);
    }

    /// Whether an entry against `node` is not to be appended now.
    pub fn must_wait(&self, node: &NodeId, view: &View) -> bool {
        !self.raft.gate_is_open(node, view.now.mono) || self.raft.is_barred(node, view.now.mono)
    }

    /// Raft is told against whom something waits at the gate. Who follows, and is only given time for its lease, is not among them.
    fn bar_gated(&mut self, view: &View) {
        let nodes = self.leading.gated.iter().filter_map(Gated::deposed);
        let nodes = nodes.filter(|node| !self.raft.gate_is_open(node, view.now.mono)).collect();
        self.raft.await_gate(nodes);
    }

    fn reject(&mut self, entry: Entry<Change>, from: Option<ConnId>, reason: RejectReason, out: &mut Effects) {
        match (from, entry.origin) {
            (Some(conn), _) => out.io.outbox.push(conn, Frame::Reject { reason, entry }),
            (None, Some(origin)) => self.proposal_rejected(origin.id.n, reason, out),
            (None, None) => log::debug!("A change of the leader's own is not appended: {reason:?}, {:?}", entry.body),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::change::SlotChange;
    use crate::node::net::Net;
    use crate::types::Slot;

    /// W: node-timeout.
    const LEASE: u64 = 1000;

    fn slot(number: u16) -> Slot {
        Slot::new(number).unwrap()
    }

    impl Net {
        /// Node 0 leads, three vote, node 1 owns all slots but the last, which is node 2's.
        fn with_primaries() -> Self {
            let mut net = Self::of(3);
            net.until("clusters of one", |net| net.nodes.iter().all(|node| node.metadata.state.member_count() == 1));
            for at in [1, 2] {
                assert_eq!(net.ask(0, &format!("CLUSTER MEET 10.0.0.1 {}", 7000 + at)), "+OK\r\n");
            }
            net.until("voters", |net| net.nodes.iter().all(|node| node.metadata.state.voters().len() == 3));
            assert_eq!(net.ask(1, "CLUSTER ADDSLOTSRANGE 0 16382"), "+OK\r\n");
            assert_eq!(net.ask(2, "CLUSTER ADDSLOTS 16383"), "+OK\r\n");
            net.until("leases", |net| net.serves(1, 0) && net.serves(2, 16_383));
            net
        }

        fn serves(&self, at: usize, number: u16) -> bool {
            self.nodes[at].accepts_writes(slot(number), self.now)
        }

        /// The slot is to go from `source` to `target`.
        fn change(&self, number: u16, source: usize, target: usize) -> Change {
            let end = |of: usize| {
                self.nodes[0].metadata.state.epoch_of(&self.nodes[of].metadata.me).map(|epoch| (self.nodes[of].metadata.me, epoch))
            };
            Change::SlotChange(SlotChange { source: end(source), target: end(target), ranges: vec![slot(number).into()] })
        }

        fn propose(&mut self, at: usize, number: u16, source: usize, target: usize) {
            let change = self.change(number, source, target);
            self.nodes[at].with_metadata(|metadata, view, out| metadata.propose(change, None, view, out));
        }

        /// Node 1 is stopped, and the leader knows that it follows no more.
        fn stop_primary(&mut self) {
            self.stopped = Some(1);
            self.until("it to follow no more", |net| !net.nodes[0].metadata.raft.gate_is_open(&net.nodes[1].metadata.me, net.now.mono));
        }

        fn owner_at(&self, at: usize, number: u16) -> usize {
            let owner = self.nodes[at].metadata.state.owner(slot(number)).unwrap();
            self.nodes.iter().position(|node| node.metadata.me == owner).unwrap()
        }

        fn waiting(&self) -> usize {
            self.nodes[0].metadata.leading.gated.len()
        }
    }

    #[test]
    fn a_primary_that_loses_slot_after_slot_keeps_its_lease() {
        let mut net = Net::with_primaries();
        let (lapses, steps) = (net.nodes[1].dataset.lease.lapses(), 3 * LEASE / 5);
        for step in 0..steps as u16 {
            for at in 0..3 {
                net.propose(at, 3 * step + at as u16, 1, 2);
            }
            net.step();
            assert!(net.serves(1, 16_000), "without a lease after {step} turns");
        }
        assert_eq!(net.nodes[1].dataset.lease.lapses(), lapses);
        // A few at a time: nothing waits for long.
        let moved = (0..3 * steps as u16).filter(|number| net.owner_at(0, *number) == 2).count();
        assert!(moved as u64 > 3 * steps - 60, "{moved} of {}", 3 * steps);
    }

    #[test]
    fn against_a_stopped_primary_a_change_waits_for_its_lease_and_holds_up_nobody() {
        let mut net = Net::with_primaries();
        net.stopped = Some(1);
        let begun = net.now.mono;
        net.until("it to follow no more", |net| !net.nodes[0].metadata.raft.gate_is_open(&net.nodes[1].metadata.me, net.now.mono));
        net.propose(0, 5, 1, 0);
        net.propose(2, 6, 1, 2);
        net.propose(2, 16_383, 2, 0);
        net.until("the change that needs not wait", |net| net.owner_at(2, 16_383) == 0);
        assert_eq!((net.waiting(), net.owner_at(0, 5)), (2, 1));
        net.until("the others", |net| net.owner_at(2, 5) == 0 && net.owner_at(2, 6) == 2);
        let waited = net.now.mono - begun;
        assert!((LEASE * 49 / 50..LEASE * 6 / 5).contains(&waited), "after {waited} ms");
        assert!(!net.serves(1, 5) && net.waiting() == 0);
        net.stopped = None;
        net.until("it to serve what is left", |net| net.serves(1, 7));
        assert!(!net.serves(1, 5) && net.serves(0, 5) && net.serves(2, 6));
    }

    #[test]
    fn one_request_to_the_leader_waits_once_and_goes_when_it_would_do_nothing() {
        let mut net = Net::with_primaries();
        net.stop_primary();
        let change = net.change(5, 1, 0);
        net.nodes[0].with_metadata(|metadata, view, out| metadata.append_gated(change.clone(), view, out));
        net.nodes[0].with_metadata(|metadata, view, out| metadata.append_gated(change.clone(), view, out));
        assert_eq!(net.waiting(), 1);
        net.until("the change", |net| net.owner_at(2, 5) == 0);
        net.nodes[0].with_metadata(|metadata, view, out| metadata.append_gated(change, view, out));
        assert_eq!(net.waiting(), 0);
    }

    #[test]
    fn what_waits_when_the_leader_changes_is_taken_up_by_the_next_one() {
        let mut net = Net::with_primaries();
        net.stop_primary();
        net.propose(0, 5, 1, 0);
        assert_eq!(net.waiting(), 1);
        assert_eq!(net.ask(2, "CLUSTER RAFT TRANSFER"), "+OK\r\n");
        net.until("an empty desk", |net| net.waiting() == 0);
        assert_eq!(net.owner_at(2, 5), 1);
        net.until("the change", |net| net.owner_at(0, 5) == 0);
    }

    #[test]
    fn a_bounded_number_waits() {
        let mut net = Net::with_primaries();
        net.stop_primary();
        for number in 0..=MAX_GATED as u16 {
            let change = net.change(number, 1, 0);
            net.nodes[0].with_metadata(|metadata, view, out| metadata.append_gated(change, view, out));
        }
        assert_eq!(net.waiting(), MAX_GATED);
    }
}
