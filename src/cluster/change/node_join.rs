//! `NODE_JOIN id address learner|voter`: a member more, the primary of a shard of its own.

use super::{Change, EntryType, Facts, Reshapes, Touches, word};
use crate::cluster::fields::Fields;
use crate::cluster::judge::Verdict;
use crate::cluster::state::{MAX_MEMBERS, Member, State};
use crate::cluster::text::EntryError;
use crate::cluster::{Address, Obstacle, Reason};
use crate::types::{LogIndex, NodeId};
use log::Level;
use std::fmt::Write;

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeJoin {
    /// Who joins.
    pub id: NodeId,
    /// Its address, with `shard-id` among its keys.
    pub address: Address,
    /// Only the founder's own first entry says voter.
    pub voter: bool,
}

impl NodeJoin {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, EntryError> {
        let (id, address) = (fields.parse("id")?, fields.parse("address")?);
        Ok(Self { id, address, voter: word(fields, "role", "learner", "voter")? })
    }
}

impl EntryType for NodeJoin {
    fn write(&self, out: &mut String) {
        let Self { id, address, voter } = self;
        // Writing to a String never fails.
        let _ = write!(out, " {id} {address} {}", if *voter { "voter" } else { "learner" });
    }

    fn size(&self) -> usize {
        64 + self.address.text_len()
    }

    fn judge(&self, state: &State) -> Verdict {
        if state.members.contains_key(&self.id) {
            return Err(Reason::AlreadyMember.into());
        }
        if state.members.len() >= MAX_MEMBERS {
            return Err(Reason::TooManyMembers.into());
        }
        let shard = self.address.shard_id().filter(|_| self.address.is_valid()).ok_or(Reason::BadAddress)?;
        if state.shards.contains_key(&shard) {
            return Err(Reason::ShardExists.into());
        }
        Ok(())
    }

    fn enact(&self, index: LogIndex, state: &mut State) {
        let Self { id, address, .. } = self;
        let shard = address.shard_id().expect("judge found a shard id");
        let address = address.clone().without_shard_id();
        state.members.insert(*id, Member { id: *id, address, shard, primary: None, failed: false, nofailover: false });
        state.shards.insert(shard, index);
    }

    fn renew(&self, _: &State) -> Result<Change, Obstacle> {
        Ok(self.clone().into())
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            founding_voter: self.voter.then_some(self.id),
            takes: None,
            rehomes: None,
            succession: None,
            moves: None,
            fails: None,
            adds: Some((&self.id, &self.address)),
            informs: None,
            removes: None,
            reshapes: Reshapes::Nothing,
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
    use crate::cluster::samples::{addresses, nodes};
    use proptest::prelude::*;

    impl NodeJoin {
        /// Such changes.
        pub fn samples() -> BoxedStrategy<Self> {
            (nodes(), addresses()).prop_map(|(id, address)| Self { id, address, voter: false }).boxed()
        }
    }
}
