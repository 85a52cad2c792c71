//! `NODE_RECOVER id`: a member answers again, and is flagged as failed no more.

use super::{Change, EntryType, Facts, Reshapes, Touches};
use crate::cluster::Obstacle;
use crate::cluster::fields::Fields;
use crate::cluster::judge::Verdict;
use crate::cluster::state::State;
use crate::cluster::text::EntryError;
use crate::types::{LogIndex, NodeId};
use log::Level;
use std::fmt::Write;

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeRecover {
    /// The member that answers again.
    pub id: NodeId,
}

impl NodeRecover {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, EntryError> {
        Ok(Self { id: fields.parse("id")? })
    }
}

impl EntryType for NodeRecover {
    fn write(&self, out: &mut String) {
        let _ = write!(out, " {}", self.id);
    }

    fn size(&self) -> usize {
        256
    }

    fn judge(&self, state: &State) -> Verdict {
        state.known(&self.id).map(|_| ())
    }

    fn enact(&self, _: LogIndex, state: &mut State) {
        state.change_member(&self.id, |member| member.failed = false);
    }

    fn renew(&self, _: &State) -> Result<Change, Obstacle> {
        Ok(self.clone().into())
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
            removes: None,
            reshapes: Reshapes::ShardOf(self.id),
            concerns: [None, None],
            touches: Touches { members: true, owners: false },
        }
    }

    fn news(&self, state: &State, _: &NodeId) -> Option<(Level, String)> {
        Some((Level::Info, format!("{} answers again: it is not flagged as failed any more", state.named(&self.id))))
    }
}

#[cfg(test)]
mod samples {
    use super::*;
    use crate::cluster::samples::nodes;
    use proptest::prelude::*;

    impl NodeRecover {
        /// Such changes.
        pub fn samples() -> BoxedStrategy<Self> {
            nodes().prop_map(|id| Self { id }).boxed()
        }
    }
}
