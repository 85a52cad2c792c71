//! What applying a change would answer, without changing anything: the one place where changes are refused.
//!
//! Owns: every precondition of docs/protocol.md, "Log entries". Must not: change the state (apply does, and only what passed here).

use super::address::Address;
use super::entry::{Change, FailoverKind};
use super::outcome::{Outcome, Reason};
use super::state::{MAX_MEMBERS, Member, State};
use crate::types::{LogIndex, NodeId, ShardId, Slot};

/// Why a change does not apply.
enum Refusal {
    Stale,
    Rejected(Reason),
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self::Rejected(reason)
    }
}

type Verdict = Result<(), Refusal>;

/// Where slots come from or go to: a node and the epoch that its shard had, or nobody.
type Side = Option<(NodeId, LogIndex)>;

impl State {
    /// What [`State::apply`] would answer to this change now.
    pub fn would(&self, change: &Change) -> Outcome {
        match self.judge(change) {
            Ok(()) => Outcome::Applied,
            Err(Refusal::Stale) => Outcome::Stale,
            Err(Refusal::Rejected(reason)) => Outcome::Rejected(reason),
        }
    }

    fn judge(&self, change: &Change) -> Verdict {
        match change {
            Change::NodeJoin { id, address, .. } => self.judge_join(id, address),
            Change::NodeForget { id, epoch } => self.judge_forget(id, *epoch),
            Change::SlotChange { source, target, ranges } => self.judge_slots(source, target, ranges),
            Change::SetReplicaOf { id, source, primary, target } => self.judge_replica(id, source, primary.as_ref(), target),
            Change::Failover { replica, primary, shard, epoch, kind } => self.judge_failover(replica, primary, (*shard, *epoch), *kind),
            Change::NodeInfo { id, address, .. } => {
                self.known(id)?;
                if address.is_valid() { Ok(()) } else { Err(Reason::BadAddress.into()) }
            }
            Change::NodeFail { id } | Change::NodeRecover { id } => self.known(id).map(|_| ()),
        }
    }

    fn known(&self, id: &NodeId) -> Result<&Member, Refusal> {
        self.members.get(id).ok_or(Refusal::Rejected(Reason::UnknownNode))
    }

    /// The epoch that the change names must be the shard's, or the proposer decided on an older state.
    fn current(&self, shard: &ShardId, epoch: LogIndex) -> Verdict {
        if self.epoch(shard) == epoch { Ok(()) } else { Err(Refusal::Stale) }
    }

    fn judge_join(&self, id: &NodeId, address: &Address) -> Verdict {
        if self.members.contains_key(id) {
            return Err(Reason::AlreadyMember.into());
        }
        if self.members.len() >= MAX_MEMBERS {
            return Err(Reason::TooManyMembers.into());
        }
        let shard = address.shard_id().filter(|_| address.is_valid()).ok_or(Reason::BadAddress)?;
        if self.shards.contains_key(&shard) {
            return Err(Reason::ShardExists.into());
        }
        Ok(())
    }

    fn judge_forget(&self, id: &NodeId, epoch: LogIndex) -> Verdict {
        let member = self.known(id)?;
        self.current(&member.shard, epoch)?;
        if self.voters.contains(id) {
            return Err(Reason::IsVoter.into());
        }
        self.judge_leaving(id, Reason::OwnsSlots)
    }

    /// Who leaves its shard must not leave slots or replicas behind.
    fn judge_leaving(&self, id: &NodeId, with_slots: Reason) -> Verdict {
        if self.slots.count_of(id) > 0 {
            return Err(with_slots.into());
        }
        if self.members().any(|member| member.primary.as_ref() == Some(id)) {
            return Err(Reason::HasReplicas.into());
        }
        Ok(())
    }

    fn judge_slots(&self, source: &Side, target: &Side, ranges: &[(Slot, Slot)]) -> Verdict {
        if let Some((id, epoch)) = target {
            let member = self.known(id)?;
            self.current(&member.shard, *epoch)?;
            if !member.is_primary() {
                return Err(Reason::TargetNotPrimary.into());
            }
        }
        if let Some((id, epoch)) = source {
            // Who is no member owns nothing, so the slots have moved on as well.
            let member = self.members.get(id).ok_or(Refusal::Stale)?;
            self.current(&member.shard, *epoch)?;
        }
        let owner = source.map(|(id, _)| id);
        let mut named = ranges.iter().flat_map(|(first, last)| first.number()..=last.number()).filter_map(Slot::new);
        if named.all(|slot| self.slots.owner(slot) == owner) { Ok(()) } else { Err(Refusal::Stale) }
    }

    fn judge_replica(&self, id: &NodeId, source: &(ShardId, LogIndex), primary: Option<&NodeId>, target: &(ShardId, LogIndex)) -> Verdict {
        let member = self.known(id)?;
        if member.shard != source.0 {
            return Err(Refusal::Stale);
        }
        self.current(&source.0, source.1)?;
        match primary {
            Some(primary) => self.judge_new_primary(id, primary, target)?,
            // A primary of its own already: nothing is to be done, whatever shard it was to have.
            None if member.is_primary() => return Ok(()),
            None if self.shards.contains_key(&target.0) => return Err(Reason::ShardExists.into()),
            None => self.current(&target.0, target.1)?,
        }
        self.judge_leaving(id, Reason::NotEmpty)
    }

    fn judge_new_primary(&self, id: &NodeId, primary: &NodeId, target: &(ShardId, LogIndex)) -> Verdict {
        if id == primary {
            return Err(Reason::SelfReplica.into());
        }
        let primary = self.known(primary)?;
        if primary.shard != target.0 {
            return Err(Refusal::Stale);
        }
        self.current(&target.0, target.1)?;
        if primary.is_primary() { Ok(()) } else { Err(Reason::PrimaryNotPrimary.into()) }
    }

    fn judge_failover(&self, replica: &NodeId, primary: &NodeId, (shard, epoch): (ShardId, LogIndex), kind: FailoverKind) -> Verdict {
        let (replica, old) = (self.known(replica)?, self.known(primary)?);
        if old.shard != shard {
            return Err(Refusal::Stale);
        }
        self.current(&shard, epoch)?;
        if replica.primary.as_ref() != Some(primary) {
            return Err(Reason::NotItsReplica.into());
        }
        match kind {
            FailoverKind::Auto if !old.failed => Err(Reason::PrimaryAlive.into()),
            _ => Ok(()),
        }
    }
}
