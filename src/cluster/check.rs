//! The invariants of the state as code: run after every input in tests and debug builds, and before a parsed snapshot is trusted.
//!
//! Owns: the sentences. Must not: repair.

use super::proposals::MAX_OUTCOMES;
use super::state::{MAX_ANCESTORS, MAX_MEMBERS, State};
use std::collections::BTreeSet;

/// Fails with the sentence if it does not hold.
fn hold(holds: bool, sentence: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(sentence) }
}

impl State {
    /// Panics with the invariant that does not hold.
    pub fn check(&self) {
        self.slots.check();
        if let Err(sentence) = self.violated() {
            panic!("{sentence}");
        }
        // Not part of what a snapshot is refused for: apply follows any voting entry [N16 voting-entries], and what was written must load.
        let members = self.last_applied == 0 || self.voters.iter().all(|id| self.members.contains_key(id));
        assert!(members, "once an entry is applied every voter is a member: the leader appends no others");
    }

    /// The first invariant that does not hold, of those that every entry keeps whatever a leader appends.
    pub(super) fn violated(&self) -> Result<(), &'static str> {
        hold(self.ancestors.len() <= MAX_ANCESTORS, "a cluster remembers a bounded number of those that it was recovered from")?;
        self.members_hold()?;
        self.shards_hold()?;
        self.voters_hold()?;
        hold(
            self.slots.owners().all(|id| self.member(id).is_some_and(|owner| owner.is_primary())),
            "a slot's owner is a member and a primary",
        )?;
        for (proposer, table) in &self.proposals {
            hold(self.members.contains_key(proposer), "only members have a table of proposals")?;
            hold(table.outcomes.len() <= MAX_OUTCOMES, "a table of proposals is bounded")?;
            hold(table.outcomes.keys().all(|n| *n >= table.lowest), "outcomes below the low mark are gone")?;
        }
        Ok(())
    }

    fn members_hold(&self) -> Result<(), &'static str> {
        hold(self.members.len() <= MAX_MEMBERS, "there are no more members than a cluster takes")?;
        for (id, member) in &self.members {
            hold(*id == member.id, "a member stands under its own id")?;
            hold(member.address.is_valid_in_a_line(), "an address holds no text that a record cannot hold")?;
            hold(member.address.shard_id().is_none(), "a member's shard id stands beside its address")?;
            let Some(primary) = &member.primary else { continue };
            let primary = self.member(primary).ok_or("whom a replica replicates is a member")?;
            hold(primary.is_primary(), "whom a replica replicates is a primary")?;
            hold(primary.shard == member.shard, "a replica is in its primary's shard")?;
        }
        Ok(())
    }

    fn shards_hold(&self) -> Result<(), &'static str> {
        let of_primaries: BTreeSet<_> = self.members().filter(|member| member.is_primary()).map(|member| member.shard).collect();
        let primaries = self.members().filter(|member| member.is_primary()).count();
        hold(primaries == of_primaries.len(), "a shard has one primary")?;
        hold(of_primaries.iter().eq(self.shards.keys()), "every shard has a primary, and every primary's shard an epoch")?;
        let in_log = self.shards.values().all(|epoch| (1..=self.last_applied).contains(epoch));
        hold(in_log, "an epoch is the index of an applied entry")
    }

    fn voters_hold(&self) -> Result<(), &'static str> {
        hold(self.last_applied == 0 || !self.voters.is_empty(), "once an entry is applied there is a voter")?;
        hold(self.voters.len() <= MAX_MEMBERS, "there are no more voters than a cluster takes members")?;
        let demoted = self.demoted.iter().all(|id| self.members.contains_key(id) && !self.voters.contains(id));
        hold(demoted, "who was demoted is a member and no voter")
    }
}
