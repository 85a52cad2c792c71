//! The replicated state: what every node of the cluster agrees on at an index of the log.
//!
//! Owns: the data and its questions. Must not: change except through apply, or ask "is this me?". Contract: docs/protocol.md, "What is
//! replicated".

use super::address::Address;
use super::outcome::Seen;
use super::proposals::Proposals;
use super::slots::SlotMap;
use crate::raft::ProposalId;
use crate::types::numbers::LEASE;
use crate::types::{ClusterId, LogIndex, Millis, NodeId, ShardId, Slot, SlotRange, Term};
use std::collections::{BTreeMap, BTreeSet};

/// The most members that a cluster takes.
pub const MAX_MEMBERS: usize = 4096;

/// How many of the clusters that a cluster was recovered from it remembers; the oldest go.
pub const MAX_ANCESTORS: usize = 16;

/// One node of the cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Who.
    pub id: NodeId,
    /// Where; its shard id stands in `shard` and never among the address's keys.
    pub address: Address,
    /// Its shard.
    pub shard: ShardId,
    /// Whom it replicates: a primary of the same shard; none for a primary.
    pub primary: Option<NodeId>,
    /// Flagged as failed.
    pub failed: bool,
    /// Its own request never to take over.
    pub nofailover: bool,
}

impl Member {
    /// Whether it is a primary, with slots or without.
    pub fn is_primary(&self) -> bool {
        self.primary.is_none()
    }
}

/// The state of the cluster's metadata at `last_applied`. Two equal states stay equal under the same entries.
#[derive(Clone, PartialEq, Debug)]
pub struct State {
    pub(super) cluster: ClusterId,
    /// The clusters that this one was recovered from by force, the oldest first; at most [`MAX_ANCESTORS`].
    pub(super) ancestors: Vec<ClusterId>,
    pub(super) last_applied: LogIndex,
    /// The term of the entry at `last_applied`.
    pub(super) last_term: Term,
    /// The largest write lease of any leader so far.
    pub(super) max_lease: Millis,
    /// Each under its own id; at most [`MAX_MEMBERS`].
    pub(super) members: BTreeMap<NodeId, Member>,
    /// Once an entry is applied there is a voter, and every voter is a member.
    pub(super) voters: BTreeSet<NodeId>,
    /// Members, no voters.
    pub(super) demoted: BTreeSet<NodeId>,
    /// Exactly the shards of the members, each with one primary and an epoch in 1..=`last_applied`.
    pub(super) shards: BTreeMap<ShardId, LogIndex>,
    /// Every owner is a member and a primary.
    pub(super) slots: SlotMap,
    /// Members only: who is forgotten loses its table.
    pub(super) proposals: BTreeMap<NodeId, Proposals>,
}

impl State {
    /// What a joiner knows: nothing but which cluster it is to join.
    pub fn empty(cluster: ClusterId) -> Self {
        Self {
            cluster,
            ancestors: Vec::new(),
            last_applied: 0,
            last_term: 0,
            max_lease: 0,
            members: BTreeMap::new(),
            voters: BTreeSet::new(),
            demoted: BTreeSet::new(),
            shards: BTreeMap::new(),
            slots: SlotMap::new(),
            proposals: BTreeMap::new(),
        }
    }

    /// A new cluster at index 0: its founder is the only voter, entry 1 makes it a member.
    pub fn founding(cluster: ClusterId, founder: NodeId) -> Self {
        Self { voters: BTreeSet::from([founder]), ..Self::empty(cluster) }
    }

    /// Which cluster this is.
    pub fn cluster_id(&self) -> ClusterId {
        self.cluster
    }

    /// The clusters that this one was recovered from by force, the oldest first: their nodes may come over.
    pub fn ancestors(&self) -> &[ClusterId] {
        &self.ancestors
    }

    /// Makes this the state of a new cluster with the same members, in which `survivor`, one of them, alone votes. Nothing that is said in
    /// the old cluster is heard in the new one: whatever was proposed there is over, and what members were said to have proposed
    /// \[N62 number-bounds\].
    pub fn recover(&mut self, cluster: ClusterId, survivor: NodeId) {
        assert!(self.members.contains_key(&survivor), "only a member can stand for the whole cluster");
        if self.ancestors.len() == MAX_ANCESTORS {
            self.ancestors.remove(0);
        }
        self.ancestors.push(std::mem::replace(&mut self.cluster, cluster));
        self.voters = BTreeSet::from([survivor]);
        self.demoted.remove(&survivor);
        self.proposals.clear();
    }

    /// The last index applied.
    pub fn last_applied(&self) -> LogIndex {
        self.last_applied
    }

    /// The term of the entry at [`State::last_applied`].
    pub fn last_term(&self) -> Term {
        self.last_term
    }

    /// The largest write lease that any leader so far granted.
    pub fn max_lease(&self) -> Millis {
        self.max_lease
    }

    /// A file of an earlier binary may tell of a longer one than any that is granted \[N62 number-bounds\].
    pub fn cap_lease(&mut self) {
        self.max_lease = self.max_lease.min(LEASE.greatest);
    }

    /// The members in the order of their ids.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// The member with this id.
    pub fn member(&self, id: &NodeId) -> Option<&Member> {
        self.members.get(id)
    }

    /// A node for people who read of it: by its id and, if it is a member, by where clients reach it.
    pub fn named(&self, id: &NodeId) -> String {
        self.member(id).map_or_else(|| id.to_string(), |member| format!("{id} ({}:{})", member.address.ip, member.address.port))
    }

    /// How many members there are.
    pub fn member_count(&self) -> usize {
        self.members.len()
    }

    /// The voters as of [`State::last_applied`]; entries after it may have changed the set already (Raft knows).
    pub fn voters(&self) -> &BTreeSet<NodeId> {
        &self.voters
    }

    /// Members that an operator demoted: they are not promoted by themselves.
    pub fn demoted(&self) -> &BTreeSet<NodeId> {
        &self.demoted
    }

    /// Who owns the slot.
    pub fn owner(&self, slot: Slot) -> Option<NodeId> {
        self.slots.owner(slot)
    }

    /// The node's slots as maximal ranges, ascending.
    pub fn ranges_of(&self, id: &NodeId) -> Vec<SlotRange> {
        if self.slots.count_of(id) == 0 {
            return Vec::new();
        }
        self.slots.runs().filter(|(owner, _)| owner == id).map(|(_, range)| range).collect()
    }

    /// How many slots the node owns.
    pub fn slot_count_of(&self, id: &NodeId) -> u16 {
        self.slots.count_of(id)
    }

    /// How many slots have an owner.
    pub fn assigned_slots(&self) -> usize {
        self.slots.assigned()
    }

    /// Maximal runs of slots with one owner, ascending.
    pub fn slot_runs(&self) -> impl Iterator<Item = (NodeId, SlotRange)> + '_ {
        self.slots.runs()
    }

    /// Everybody's slots in one pass; who owns none is not in it.
    pub fn slots_by_owner(&self) -> BTreeMap<NodeId, Vec<SlotRange>> {
        let mut by_owner: BTreeMap<NodeId, Vec<SlotRange>> = BTreeMap::new();
        for (owner, range) in self.slots.runs() {
            by_owner.entry(owner).or_default().push(range);
        }
        by_owner
    }

    /// Who owns slots, in the order of their ids.
    pub fn slot_owners(&self) -> impl Iterator<Item = &NodeId> + Clone {
        self.slots.owners()
    }

    /// The shard's epoch: the index of the entry that made or last changed it; 0 if there is no such shard.
    pub fn epoch(&self, shard: &ShardId) -> LogIndex {
        self.shards.get(shard).copied().unwrap_or(0)
    }

    /// The epoch of the member's shard.
    pub fn epoch_of(&self, id: &NodeId) -> Option<LogIndex> {
        Some(self.epoch(&self.member(id)?.shard))
    }

    /// The highest epoch of any shard; 0 if there is none.
    pub fn max_epoch(&self) -> LogIndex {
        self.shards.values().copied().max().unwrap_or(0)
    }

    /// Who replicates this node.
    pub fn replicas_of(&self, id: &NodeId) -> Vec<NodeId> {
        self.members().filter(|member| member.primary.as_ref() == Some(id)).map(|member| member.id).collect()
    }

    /// The newest incarnation in which this member has proposed anything, and the first number of it that was not spoken of; none if it has
    /// proposed nothing.
    pub fn newest_proposal(&self, proposer: &NodeId) -> Option<(u64, u64)> {
        self.proposals.get(proposer).map(|table| (table.incarnation, table.next()))
    }

    /// What became of a proposal so far.
    pub fn outcome(&self, id: &ProposalId) -> Seen {
        if !self.members.contains_key(&id.proposer) {
            return Seen::NotMember;
        }
        self.proposals.get(&id.proposer).map_or(Seen::New, |table| table.seen(id))
    }
}
