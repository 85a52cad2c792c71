//! What applying a change would answer, without changing anything: the one place where changes are refused.
//!
//! Owns: verdicts, and the preconditions that several entries share; each entry's own stand in its file of `change`.
//! Must not: change the state (apply does, and only what passed here). Contract: docs/protocol.md, "Log entries".

use super::change::Change;
use super::outcome::{Outcome, Reason};
use super::state::{Member, State};
use crate::types::{LogIndex, NodeId, ShardId};

/// Why a change does not apply.
pub(super) enum Refusal {
    Stale,
    Rejected(Reason),
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self::Rejected(reason)
    }
}

pub(super) type Verdict = Result<(), Refusal>;

impl State {
    /// What [`State::apply`] would answer to this change now.
    pub fn would(&self, change: &Change) -> Outcome {
        match change.entry_type().judge(self) {
            Ok(()) => Outcome::Applied,
            Err(Refusal::Stale) => Outcome::Stale,
            Err(Refusal::Rejected(reason)) => Outcome::Rejected(reason),
        }
    }

    pub(super) fn known(&self, id: &NodeId) -> Result<&Member, Refusal> {
        self.members.get(id).ok_or(Refusal::Rejected(Reason::UnknownNode))
    }

    /// The epoch that the change names must be the shard's, or the proposer decided on an older state.
    pub(super) fn current(&self, shard: &ShardId, epoch: LogIndex) -> Verdict {
        if self.epoch(shard) == epoch { Ok(()) } else { Err(Refusal::Stale) }
    }

    /// Who leaves its shard must not leave slots or replicas behind.
    pub(super) fn leaves_nothing(&self, id: &NodeId, with_slots: Reason) -> Verdict {
        if self.slots.count_of(id) > 0 {
            return Err(with_slots.into());
        }
        if self.members().any(|member| member.primary.as_ref() == Some(id)) {
            return Err(Reason::HasReplicas.into());
        }
        Ok(())
    }
}
