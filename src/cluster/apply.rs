//! Applying entries: the state machine's only way forward.
//!
//! Owns: the effect of every entry type. Must not: ask "is this me?", or do half of a change (what judge refuses has no effect).
//! Contract: docs/protocol.md, "Log entries".

use super::address::Address;
use super::entry::Change;
use super::outcome::{Outcome, Reason, Seen};
use super::proposals::Proposals;
use super::state::{Member, State};
use super::text::ClusterEntry;
use crate::raft::{Body, Origin, Payload};
use crate::types::{LogIndex, NodeId, ShardId};

impl State {
    /// Applies the entry at `index`, which must follow the last one applied.
    pub fn apply(&mut self, index: LogIndex, entry: &ClusterEntry) -> Outcome {
        assert_eq!(index, self.last_applied + 1, "entries are applied in order, each once");
        self.last_applied = index;
        self.last_term = entry.term;
        // Voting entries are never refused, stale or deduplicated: apply sets what append set [N16].
        if entry.body.change_voters(&mut self.voters) {
            self.demoted.retain(|id| !self.voters.contains(id));
        }
        match &entry.body {
            Body::Noop { lease } => self.max_lease = self.max_lease.max(*lease),
            Body::AddVoter { .. } => {}
            Body::DelVoter { id, by_hand } => {
                if *by_hand && self.members.contains_key(id) {
                    self.demoted.insert(*id);
                }
            }
            Body::App(change) => return self.apply_proposal(index, entry.origin.as_ref(), change),
        }
        Outcome::Applied
    }

    /// At most once: what was seen before has its first outcome and no effect.
    fn apply_proposal(&mut self, index: LogIndex, origin: Option<&Origin>, change: &Change) -> Outcome {
        let Some(origin) = origin.filter(|_| change.founding_voter().is_none()) else {
            return self.apply_change(index, change);
        };
        match self.outcome(&origin.id) {
            Seen::Done(outcome) => return outcome,
            Seen::Old => return Outcome::Rejected(Reason::OldProposal),
            Seen::NotMember => return Outcome::Rejected(Reason::ProposerNotMember),
            Seen::New => {}
        }
        let outcome = self.apply_change(index, change);
        // A proposer that forgot itself has no table any more.
        if self.members.contains_key(&origin.id.proposer) {
            self.proposals.entry(origin.id.proposer).or_insert_with(|| Proposals::new(origin)).record(origin, outcome);
        }
        outcome
    }

    fn apply_change(&mut self, index: LogIndex, change: &Change) -> Outcome {
        let outcome = self.would(change);
        if outcome == Outcome::Applied {
            self.enact(index, change);
        }
        outcome
    }

    fn enact(&mut self, index: LogIndex, change: &Change) {
        match change {
            Change::NodeJoin { id, address, .. } => self.join(index, *id, address),
            Change::NodeForget { id, .. } => self.forget(index, id),
            Change::SlotChange { target, ranges, .. } => {
                ranges.iter().for_each(|range| self.slots.assign(*range, target.map(|(id, _)| id)));
            }
            Change::SetReplicaOf { id, primary, target, .. } => self.set_replica_of(index, id, *primary, target.0),
            Change::Failover { replica, primary, shard, .. } => self.fail_over(index, *replica, *primary, *shard),
            Change::NodeInfo { id, address, nofailover } => {
                let mut address = address.clone().without_shard_id();
                self.change_member(id, |member| {
                    // Which life of the node this is only its NODE_JOIN says.
                    address.set_life(&member.address);
                    (member.address, member.nofailover) = (address, *nofailover);
                });
            }
            Change::NodeFail { id } => self.change_member(id, |member| member.failed = true),
            Change::NodeRecover { id } => self.change_member(id, |member| member.failed = false),
        }
    }

    fn change_member(&mut self, id: &NodeId, change: impl FnOnce(&mut Member)) {
        change(self.members.get_mut(id).expect("judge found this member"));
    }

    /// Every node joins as the primary of a shard of its own.
    fn join(&mut self, index: LogIndex, id: NodeId, address: &Address) {
        let shard = address.shard_id().expect("judge found a shard id");
        let address = address.clone().without_shard_id();
        self.members.insert(id, Member { id, address, shard, primary: None, failed: false, nofailover: false });
        self.shards.insert(shard, index);
    }

    fn forget(&mut self, index: LogIndex, id: &NodeId) {
        let member = self.members.remove(id).expect("judge found this member");
        self.demoted.remove(id);
        self.proposals.remove(id);
        self.touch_or_remove(index, member.shard);
    }

    /// The shard changed at `index`; without members it is no more.
    fn touch_or_remove(&mut self, index: LogIndex, shard: ShardId) {
        if self.members().any(|member| member.shard == shard) {
            self.shards.insert(shard, index);
        } else {
            self.shards.remove(&shard);
        }
    }

    fn set_replica_of(&mut self, index: LogIndex, id: &NodeId, primary: Option<NodeId>, target: ShardId) {
        let member = self.members.get_mut(id).expect("judge found this member");
        if member.primary == primary {
            return;
        }
        let source = std::mem::replace(&mut member.shard, target);
        member.primary = primary;
        self.shards.insert(target, index);
        self.touch_or_remove(index, source);
    }

    fn fail_over(&mut self, index: LogIndex, replica: NodeId, primary: NodeId, shard: ShardId) {
        for range in self.ranges_of(&primary) {
            self.slots.assign(range, Some(replica));
        }
        for member in self.members.values_mut().filter(|member| member.shard == shard) {
            member.primary = (member.id != replica).then_some(replica);
        }
        self.shards.insert(shard, index);
    }
}
