//! `NODE_INFO id address noflags|nofailover`: what a member says of itself by now.

use super::{Change, EntryType, Facts, Reshapes, Touches, word};
use crate::cluster::fields::Fields;
use crate::cluster::judge::Verdict;
use crate::cluster::state::State;
use crate::cluster::text::EntryError;
use crate::cluster::{Address, Obstacle, Reason};
use crate::types::{LogIndex, NodeId};
use log::Level;
use std::fmt::Write;

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeInfo {
    /// The member.
    pub id: NodeId,
    /// Its address; a shard id in it is ignored.
    pub address: Address,
    /// Its own flag: it never takes over.
    pub nofailover: bool,
}

impl NodeInfo {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, EntryError> {
        let (id, address) = (fields.parse("id")?, fields.parse("address")?);
        Ok(Self { id, address, nofailover: word(fields, "flags", "noflags", "nofailover")? })
    }
}

impl EntryType for NodeInfo {
    fn write(&self, out: &mut String) {
        let Self { id, address, nofailover } = self;
        let _ = write!(out, " {id} {address} {}", if *nofailover { "nofailover" } else { "noflags" });
    }

    fn size(&self) -> usize {
        64 + self.address.text_len()
    }

    fn judge(&self, state: &State) -> Verdict {
        state.known(&self.id)?;
        if self.address.is_valid() { Ok(()) } else { Err(Reason::BadAddress.into()) }
    }

    fn enact(&self, _: LogIndex, state: &mut State) {
        let mut address = self.address.clone().without_shard_id();
        state.change_member(&self.id, |member| {
            // Which life of the node this is only its NODE_JOIN says.
            address.set_life(&member.address);
            (member.address, member.nofailover) = (address, self.nofailover);
        });
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
            informs: Some((&self.id, &self.address)),
            removes: None,
            reshapes: Reshapes::Nothing,
            concerns: [None, None],
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

    impl NodeInfo {
        /// Such changes.
        pub fn samples() -> BoxedStrategy<Self> {
            (nodes(), addresses(), any::<bool>()).prop_map(|(id, address, nofailover)| Self { id, address, nofailover }).boxed()
        }
    }
}
