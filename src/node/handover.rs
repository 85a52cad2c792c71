//! Handing the leadership over, and asking for it.
//!
//! Owns: whoever waits for this node to lead. Must not: choose among the voters, or carry a transfer out (raft does).
//! Contract: docs/protocol.md, "Leader transfer".

use super::Node;
use super::timers::Timer;
use crate::commands::WaitOutcome;
use crate::store::Disk;
use crate::types::{ConnId, Millis, NodeId, Term};
use crate::wire::bus::Frame;

/// CLUSTER RAFT TRANSFER, until this node leads.
#[derive(Debug, Default)]
pub(super) struct Takeover {
    clients: Vec<ConnId>,
    /// The leader that was asked, by its term and our link to it; never the same one twice.
    asked: Option<(Term, ConnId)>,
}

impl<D: Disk> Node<D> {
    /// How long anybody waits for a hand-over: one that fails is called off after E, and there is time for another one.
    pub(super) fn handover_patience(&self) -> Millis {
        2 * self.config.election_timeout()
    }

    /// A leader begins to hand over, if there is a voter that can take it and it is not at it already.
    pub(super) fn hand_over(&mut self, target: Option<NodeId>) {
        if self.raft.transfer_to(target, self.now.mono)
            && let Some(target) = self.raft.transferring()
        {
            log::info!("Handing the leadership over to {target}");
        }
    }

    /// CLUSTER RAFT TRANSFER: the leader is asked to hand over to this node.
    pub(super) fn take_over(&mut self, client: ConnId) {
        if self.takeover.is_none() {
            self.timers.set(Timer::Takeover, self.now.mono + self.handover_patience());
        }
        self.takeover.get_or_insert_default().clients.push(client);
        self.todo.connect = true;
    }

    /// Once a turn: asks a leader that was not asked yet; answers once this node leads, or too much time has passed.
    pub(super) fn tend_takeover(&mut self) {
        let late = self.timers.take_due(Timer::Takeover, self.now.mono);
        let Some(takeover) = &mut self.takeover else { return };
        let term = self.raft.term();
        let conn = self.raft.leader().and_then(|leader| self.links.up(&leader));
        if let Some(conn) = conn.filter(|conn| takeover.asked != Some((term, *conn))) {
            takeover.asked = Some((term, conn));
            self.outbox.push(conn, Frame::TransferLeader { term });
        }
        let outcome = if self.raft.is_leader() { WaitOutcome::Done } else { WaitOutcome::Timeout };
        if self.raft.is_leader() || late {
            let clients = self.takeover.take().into_iter().flat_map(|takeover| takeover.clients);
            clients.for_each(|client| self.waiting.finish(client, outcome.clone()));
        }
    }
}
