//! A majority of the voters is lost for good: one survivor goes on alone, under a new cluster id, and the others that are left come over.
//!
//! Owns: CLUSTER RECOVER QUORUM, and who follows such a node. Must not: take anybody out of a cluster that has a leader.
//! Contract: docs/protocol.md, "Recovery by force"; docs/operations.md says what it can cost.
//!
//! The fence is the cluster id: what is said in the old cluster is dropped by the nodes of the new one, as every stranger's word is.

use crate::node::metadata::Metadata;
use crate::node::metadata::apply::Changed;
use crate::node::metadata::bootstrap::raft_settings;
use crate::node::view::{Effects, View};
use crate::raft::{HardState, Log, Raft};
use crate::store::{Joiner, Sponsor};
use crate::types::{Millis, Slot, SlotRange};
use crate::wire::bus::Greeting;
use std::collections::BTreeSet;

impl Metadata {
    /// CLUSTER RECOVER QUORUM: this node's log is taken for the cluster's, to its end, and this node alone votes from now on.
    ///
    /// # Errors
    /// The error reply, if there is nothing to recover, or this node is not the one to do it.
    pub fn recover_quorum(&mut self, view: &View, out: &mut Effects) -> Result<(), String> {
        if self.is_joiner() {
            return Err("ERR This node waits to be added to a cluster: recover on one of its members".to_owned());
        }
        if self.raft.is_leader() {
            return Err("ERR There is nothing to recover: this node leads its cluster".to_owned());
        }
        if self.without_leader_for(view) <= view.config.cluster_node_timeout {
            let limit = view.config.cluster_node_timeout;
            return Err(format!("ERR There is nothing to recover before this node has been without a leader for {limit} ms"));
        }
        let mut state = self.state.clone();
        // The lost voters may have committed all of it, and told clients so.
        for (index, entry) in self.tail().entries() {
            let _ = state.apply(index, entry);
        }
        if state.member(&self.me).is_none() {
            return Err("ERR By this node's log it has left the cluster: recover on a member".to_owned());
        }
        let (cluster, former) = (out.rng.cluster_id(), state.cluster_id());
        state.recover(cluster, self.me);
        let log = Log::new(state.last_applied(), state.last_term());
        // Whatever term was heard of in the old cluster: nobody of the new one was there [N61 recovered-term].
        let hard = HardState { term: state.last_term(), voted_for: None };
        let (voters, applied, settings) = (state.voters().clone(), state.last_applied(), raft_settings(&view.config));
        let raft = Raft::new(self.me, hard, log, voters, applied, view.nonce, settings, out.rng.fork(), view.now.mono);
        if !raft.has_term_left() {
            return Err(
                "ERR The last term of this node's log has no next one: recover on another member, or found a new cluster".to_owned()
            );
        }
        log::warn!("Recovering cluster {former} by force, without its other voters, as cluster {cluster}");
        out.todo.keep_file_of = Some(former);
        self.begin_anew(raft, state, view, out);
        self.changed = Changed::everything();
        // It leads as soon as its timers are looked at: a second such request of this turn has nothing to recover.
        self.outlook.leader_heard = Some(view.now.mono);
        self.drop_bus_links(None, view, out);
        Ok(())
    }

    /// How long no leader has been heard; since we belong to this cluster, or the process began, if none was (ms).
    pub fn without_leader_for(&self, view: &View) -> Millis {
        view.now.mono.saturating_sub(self.outlook.leader_heard.unwrap_or(self.joining.since))
    }

    /// A peer greets from a cluster that was recovered from ours. Without a leader for long enough we go over to it, and never come back:
    /// in the old cluster this node is as good as dead, in the new one it is a learner that has acknowledged nothing. True if it did.
    pub fn follow_recovery(&mut self, peer: &Greeting, view: &View, out: &mut Effects) -> bool {
        if !peer.ancestors.contains(&self.state.cluster_id()) {
            return false;
        }
        if self.raft.is_leader() || self.without_leader_for(view) <= view.config.cluster_node_timeout {
            // It greets again and again.
            if self.joining.declined.replace(peer.cluster) != Some(peer.cluster) {
                log::warn!("Cluster {} was recovered by force from ours, which has or had a leader just now: not going over", peer.cluster);
            }
            return false;
        }
        log::warn!("Going over to cluster {}, which was recovered by force from ours", peer.cluster);
        out.todo.keep_file_of = Some(self.state.cluster_id());
        let claims = self.slots_to_claim();
        let shard = self.own_address.shard_id().unwrap_or_else(|| out.rng.shard_id());
        let nonce = self.own_address.join_nonce();
        let sponsor = Sponsor { id: peer.id, address: peer.address.clone() };
        self.join_as(Joiner { cluster: peer.cluster, shard, nonce, sponsor, claims, fallback: None }, view, out);
        self.drop_bus_links(None, view, out);
        true
    }

    /// What this node owns or already meant to claim: its keys there are kept until it is known whose the slots are.
    fn slots_to_claim(&self) -> Vec<SlotRange> {
        let own = self.state.ranges_of(&self.me);
        let all = own.iter().chain(self.standing.claims());
        let slots: BTreeSet<Slot> = all.flat_map(|range| range.slots()).collect();
        Slot::ranges(slots)
    }
}

#[cfg(test)]
mod tests {
    use crate::node::net::Net;

    /// One vote request, if it is believed, makes a node's term high. The log knows better.
    #[test]
    fn a_recovered_cluster_goes_on_at_the_terms_of_its_log() {
        let mut net = Net::with_members(3);
        net.until("three voters", |net| net.nodes.iter().all(|node| node.metadata.raft.voters().len() == 3));
        let survivor = (0..3).find(|at| !net.nodes[*at].metadata.raft.is_leader()).unwrap();
        let (voter, reach) = (net.nodes[(survivor + 1) % 3].metadata.me, net.nodes[survivor].metadata.raft.term() + (1 << 24));
        net.hear(survivor, voter, &[&format!("VOTE_REQ {voter} {reach} 0 0 1 transfer")]);
        (0..3).filter(|at| *at != survivor).for_each(|at| net.kill(at));
        net.until("the term", |net| net.nodes[survivor].metadata.raft.term() >= reach);
        let last_term = net.nodes[survivor].metadata.raft.log().last_term();
        net.until("the leader to be missed", |net| net.nodes[survivor].metadata.is_leaderless(&net.nodes[survivor].view));
        assert_eq!(net.ask(survivor, "CLUSTER RECOVER QUORUM"), "+OK\r\n");
        net.until("it to lead", |net| net.nodes[survivor].metadata.raft.is_leader());
        assert_eq!(net.nodes[survivor].metadata.raft.term(), last_term + 1);
    }
}
