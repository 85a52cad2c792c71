//! How much of its shard's keys every member has, for what clients are shown: a replica without a whole copy serves nobody.
//!
//! Owns: the table of that, which a leader learns from acknowledgements and tells the others. Must not: decide who takes over (failover
//! asks anew).
//! Contract: docs/protocol.md, "Failover".

use crate::cluster::MAX_MEMBERS;
use crate::node::metadata::Metadata;
use crate::node::view::{Effects, View};
use crate::types::{ConnId, Millis, NodeId, Term};
use crate::wire::bus::Frame;
use std::collections::BTreeMap;

/// How often everybody is told offsets that have moved (ms). Whether there is anything worth reading is told at once.
const PERIOD: Millis = 300_000;

/// See the module.
#[derive(Default)]
pub(in crate::node) struct Copies {
    /// Bytes of the stream that a member has; 0: a replica that lacks its primary's keys. Who never had any is not there.
    offsets: BTreeMap<NodeId, u64>,
    /// The last time that we told all of it to everybody (mono ms), and as leader of which term.
    told: Option<(Term, Millis)>,
}

impl Copies {
    pub fn offsets(&self) -> &BTreeMap<NodeId, u64> {
        &self.offsets
    }
}

impl Metadata {
    /// Cron: what this node has, and of a leader what its followers have. Everybody hears of who has a copy now, or none any more.
    pub fn tend_copies(&mut self, view: &View, out: &mut Effects) {
        let mut changed = Vec::new();
        for (id, offset) in self.known_copies(view) {
            let before = self.copies.offsets.get(&id).copied().unwrap_or(0);
            if before > 0 || offset > 0 {
                self.copies.offsets.insert(id, offset);
            }
            if (before > 0) != (offset > 0) {
                changed.push((id, offset));
            }
        }
        if self.raft.leader_ready(self.state.last_applied()) {
            self.publish_copies(changed, view, out);
        }
    }

    fn known_copies(&self, view: &View) -> Vec<(NodeId, u64)> {
        let answered = self.raft.followers().filter(|(id, progress)| progress.acked_round() > 0 && self.state.member(id).is_some());
        let said = answered.map(|(id, progress)| (*id, progress.extent(self.state.epoch_of(id).unwrap_or(0)).unwrap_or_default().offset));
        said.chain([(self.me, view.held.extent.offset)]).collect()
    }

    fn table_of_copies(&self) -> Vec<(NodeId, u64)> {
        let members = self.copies.offsets.iter().filter(|(id, _)| self.state.member(id).is_some());
        members.map(|(id, offset)| (*id, *offset)).collect()
    }

    fn publish_copies(&mut self, changed: Vec<(NodeId, u64)>, view: &View, out: &mut Effects) {
        let (term, now) = (self.raft.term(), view.now.mono);
        let all = self.copies.told.is_none_or(|(told_in, told)| told_in != term || now.saturating_sub(told) >= PERIOD);
        if all {
            self.copies.told = Some((term, now));
        }
        let news = if all { self.table_of_copies() } else { changed };
        if !news.is_empty() {
            let links: Vec<ConnId> = self.links.all_up().collect();
            links.into_iter().for_each(|conn| out.io.outbox.push(conn, Frame::ReplOffsets(news.clone())));
        }
    }

    /// A leader's link to a member is up: it may have missed something.
    pub fn tell_copies(&mut self, id: NodeId, out: &mut Effects) {
        if let (true, Some(conn)) = (self.raft.is_leader() && !self.copies.offsets.is_empty(), self.links.up(&id)) {
            out.io.outbox.push(conn, Frame::ReplOffsets(self.table_of_copies()));
        }
    }

    /// REPL_OFFSETS came from `from`. Whom we do not know may be a member by what we have not applied yet; but for so many there is no
    /// room.
    pub fn receive_copies(&mut self, from: &NodeId, offsets: Vec<(NodeId, u64)>) {
        if self.raft.leader().is_some_and(|leader| leader != *from) {
            return;
        }
        self.copies.offsets.extend(offsets.into_iter().filter(|(id, _)| *id != self.me));
        if self.copies.offsets.len() > MAX_MEMBERS {
            self.copies.offsets.retain(|id, _| self.state.member(id).is_some());
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::node::Port;
    use crate::node::net::Net;

    /// Whom every node names beside the primary.
    fn readable(net: &mut Net, at: usize) -> Vec<usize> {
        let slots = net.ask(at, "CLUSTER SLOTS");
        (1..3).filter(|replica| slots.contains(&net.nodes[*replica].id().to_string())).collect()
    }

    #[track_caller]
    fn all_name(net: &mut Net, replicas: &[usize]) {
        for at in 0..3 {
            let patience = (0..100).any(|_| readable(net, at) == replicas);
            assert!(patience, "node {at} names {:?}", readable(net, at));
        }
    }

    #[test]
    fn every_node_names_the_replicas_that_have_their_primary_s_keys() {
        let mut net = Net::with_replicas();
        all_name(&mut net, &[1, 2]);
        // It is there again before anybody has missed it, and does not get the keys.
        net.kill(2);
        net.hold(0, 2, Port::Client);
        net.start(2);
        all_name(&mut net, &[1]);
        net.release(0, 2, Port::Client);
        all_name(&mut net, &[1, 2]);
        let shards = net.ask(1, "CLUSTER SHARDS");
        assert_eq!((shards.matches("online").count(), shards.matches("replication-offset\r\n:0").count()), (3, 0), "{shards}");
    }

    /// What the leader has told is of the time when the replicas came.
    #[test]
    fn a_node_shows_its_own_offset_and_those_of_its_own_replicas_as_they_are() {
        let mut net = Net::with_replicas();
        net.until("three voters", |net| net.nodes.iter().all(|node| node.metadata.raft.voters().len() == 3));
        assert_eq!(net.ask(2, "CLUSTER RAFT TRANSFER"), "+OK\r\n");
        all_name(&mut net, &[1, 2]);
        assert_eq!(net.ask(0, "SET one more"), "+OK\r\n");
        net.all_equal(0);
        for (at, of) in [(0, 0), (0, 1), (0, 2), (1, 1)] {
            let mut shown = || {
                let (own, offset) = (net.nodes[of].metadata.me.to_string(), net.history(of).offset);
                let shards = net.ask(at, "CLUSTER SHARDS");
                let member = shards.split(&own).nth(1).unwrap();
                member.split("replication-offset\r\n").nth(1).unwrap().starts_with(&format!(":{offset}\r\n"))
            };
            assert!((0..400).any(|_| shown()), "node {at} of node {of}");
        }
    }
}
