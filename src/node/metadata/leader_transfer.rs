//! Handing the leadership over, and asking for it.
//!
//! Owns: whoever waits for this node to lead. Must not: choose among the voters, or carry a transfer out (raft does).
//! Contract: docs/protocol.md, "Leader transfer".

use crate::commands::WaitOutcome;
use crate::node::metadata::Metadata;
use crate::node::timers::Timer;
use crate::node::view::{Effects, View};
use crate::types::{ConnId, Millis, NodeId, Term};
use crate::wire::bus::Frame;

/// CLUSTER RAFT TRANSFER, until this node leads.
#[derive(Debug, Default)]
pub(in crate::node) struct LeaderTransfer {
    clients: Vec<ConnId>,
    /// The leader that was asked, by its term and our link to it; never the same one twice.
    asked: Option<(Term, ConnId)>,
}

impl Metadata {
    /// Whether no leader has been heard for so long that the cluster counts as down.
    pub fn is_leaderless(&self, view: &View) -> bool {
        let limit = view.config.cluster_node_timeout;
        !self.raft.is_leader() && self.outlook.leader_heard.is_none_or(|heard| view.now.mono.saturating_sub(heard) > limit)
    }

    /// Whether a leader was heard so lately, by the time of the last turn, that it will be heard again, or another one.
    pub fn hears_leader(&self, view: &View) -> bool {
        self.outlook.leader_heard.is_some_and(|heard| view.now.mono.saturating_sub(heard) <= self.handover_patience(view))
    }

    /// How long anybody waits for a hand-over: one that fails is called off after E, and there is time for another one.
    pub fn handover_patience(&self, view: &View) -> Millis {
        2 * view.config.election_timeout()
    }

    /// A leader begins to hand over, if there is a voter that can take it and it is not at it already.
    pub fn hand_over(&mut self, target: Option<NodeId>, view: &View) {
        if self.raft.transfer_to(target, view.now.mono)
            && let Some(target) = self.raft.transferring()
        {
            log::info!("Handing the leadership over to {target}");
        }
    }

    /// CLUSTER RAFT TRANSFER: the leader is asked to hand over to this node.
    pub fn take_over(&mut self, client: ConnId, view: &View, out: &mut Effects) {
        if self.leader_transfer.is_none() {
            out.timers.set(Timer::Takeover, view.now.mono + self.handover_patience(view));
        }
        self.leader_transfer.get_or_insert_default().clients.push(client);
        out.todo.connect = true;
    }

    /// Once a turn: asks a leader that was not asked yet; answers once this node leads, or too much time has passed.
    pub fn tend_takeover(&mut self, view: &View, out: &mut Effects) {
        let late = out.timers.take_due(Timer::Takeover, view.now.mono);
        let Some(takeover) = &mut self.leader_transfer else { return };
        let term = self.raft.term();
        let conn = self.raft.leader().and_then(|leader| self.links.up(&leader));
        if let Some(conn) = conn.filter(|conn| takeover.asked != Some((term, *conn))) {
            takeover.asked = Some((term, conn));
            out.io.outbox.push(conn, Frame::TransferLeader { term });
        }
        let outcome = if self.raft.is_leader() { WaitOutcome::Done } else { WaitOutcome::Timeout };
        if self.raft.is_leader() || late {
            let clients = self.leader_transfer.take().into_iter().flat_map(|takeover| takeover.clients);
            clients.for_each(|client| out.clients.waiting.finish(client, outcome.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::node::net::Net;

    /// Three vote, and node 1, which leads, owns nothing.
    fn net() -> Net {
        let mut net = Net::with_members(4);
        net.until("three voters", |net| net.nodes.iter().all(|node| node.metadata.raft.voters().len() == 3));
        assert_eq!(net.ask(1, "CLUSTER RAFT TRANSFER"), "+OK\r\n");
        net.until("node 1 to be followed", |net| {
            net.nodes.iter().all(|node| node.metadata.raft.leader() == Some(net.nodes[1].metadata.me))
        });
        net
    }

    #[test]
    fn a_leader_that_leaves_is_replaced_before_anybody_misses_it() {
        for way in ["FORGET", "RESET SOFT", "RESET HARD"] {
            let mut net = net();
            let (id, term, begun) = (net.nodes[1].metadata.me, net.nodes[1].metadata.raft.term(), net.now.mono);
            match way {
                "FORGET" => net.say(0, &format!("CLUSTER FORGET {id}")),
                reset => net.say(1, &format!("CLUSTER {reset}")),
            };
            net.until("the next leader's first entry", |net| {
                let next = [0, 2, 3]
                    .map(|at| &net.nodes[at])
                    .into_iter()
                    .find(|node| node.metadata.raft.is_leader() && node.metadata.raft.term() > term);
                next.is_some_and(|next| next.metadata.state.last_term() == next.metadata.raft.term())
            });
            let took = net.now.mono - begun;
            assert!(took <= 75 && took < net.nodes[0].view.config.election_timeout(), "{way}: after {took} ms");
            net.until("it to be gone", |net| [0, 2, 3].iter().all(|at| net.nodes[*at].metadata.state.member(&id).is_none()));
        }
    }
}
