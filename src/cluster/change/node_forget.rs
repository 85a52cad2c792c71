//! `NODE_FORGET id shard-epoch`: a member less, one that neither votes nor leaves slots or replicas behind.

use super::{Change, EntryType, Facts, Reshapes, Touches};
use crate::cluster::fields::Fields;
use crate::cluster::judge::Verdict;
use crate::cluster::state::State;
use crate::cluster::text::EntryError;
use crate::cluster::{Obstacle, Reason};
use crate::types::numbers::EPOCH;
use crate::types::{LogIndex, NodeId};
use log::Level;
use std::fmt::Write;

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeForget {
    /// Who leaves.
    pub id: NodeId,
    /// Its shard's epoch.
    pub epoch: LogIndex,
}

impl NodeForget {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, EntryError> {
        Ok(Self { id: fields.parse("id")?, epoch: fields.number(&EPOCH)? })
    }
}

impl EntryType for NodeForget {
    fn write(&self, out: &mut String) {
        let _ = write!(out, " {} {}", self.id, self.epoch);
    }

    fn size(&self) -> usize {
        256
    }

    fn judge(&self, state: &State) -> Verdict {
        let member = state.known(&self.id)?;
        state.current(&member.shard, self.epoch)?;
        if state.voters.contains(&self.id) {
            return Err(Reason::IsVoter.into());
        }
        state.leaves_nothing(&self.id, Reason::OwnsSlots)
    }

    fn enact(&self, index: LogIndex, state: &mut State) {
        let member = state.members.remove(&self.id).expect("judge found this member");
        state.demoted.remove(&self.id);
        state.proposals.remove(&self.id);
        state.touch_or_remove(index, member.shard);
    }

    fn renew(&self, state: &State) -> Result<Change, Obstacle> {
        Ok(Self { epoch: state.epoch_now(&self.id)?, ..self.clone() }.into())
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            founding_voter: None,
            takes: None,
            rehomes: None,
            succession: None,
            moves: None,
            fails: None,
            adds: None,
            informs: None,
            removes: Some(self.id),
            reshapes: Reshapes::ShardOf(self.id),
            concerns: [Some(self.id), None],
            touches: Touches { members: true, owners: false },
        }
    }

    fn news(&self, _: &State, _: &NodeId) -> Option<(Level, String)> {
        None
    }
}

#[cfg(test)]
mod samples {
    use super::*;
    use crate::cluster::samples::{EPOCHS, nodes};
    use proptest::prelude::*;

    impl NodeForget {
        /// Such changes.
        pub fn samples() -> BoxedStrategy<Self> {
            (nodes(), EPOCHS).prop_map(|(id, epoch)| Self { id, epoch }).boxed()
        }
    }
}
