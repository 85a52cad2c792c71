//! Applying entries: the state machine's only way forward.
//!
//! Owns: the order of things, what every entry does, and what several share; the effect of each entry type stands in its file of `change`.
//! Must not: ask "is this me?", or do half of a change (what judge refuses has no effect).
//! Contract: docs/protocol.md, "Log entries".

use super::change::Change;
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
        // Voting entries are never refused, stale or deduplicated: apply sets what append set [N16 voting-entries].
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
            change.entry_type().enact(index, self);
        }
        outcome
    }

    pub(super) fn change_member(&mut self, id: &NodeId, change: impl FnOnce(&mut Member)) {
        change(self.members.get_mut(id).expect("judge found this member"));
    }

    /// The shard changed at `index`; without members it is no more.
    pub(super) fn touch_or_remove(&mut self, index: LogIndex, shard: ShardId) {
        if self.members().any(|member| member.shard == shard) {
            self.shards.insert(shard, index);
        } else {
            self.shards.remove(&shard);
        }
    }
}
