//! `SET_REPLICA_OF id source-shard source-epoch primary|- target-shard target-epoch`: a node moves from one shard to another.

use super::{Change, EntryType, Facts, Reshapes, Taken, Takes, Touches};
use crate::cluster::fields::{Fields, write_id};
use crate::cluster::judge::{Refusal, Verdict};
use crate::cluster::state::State;
use crate::cluster::text::EntryError;
use crate::cluster::{Obstacle, Reason};
use crate::types::numbers::{SOURCE_EPOCH, TARGET_EPOCH};
use crate::types::{LogIndex, NodeId, ShardId};
use log::Level;
use std::fmt::Write;

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetReplicaOf {
    /// The node that moves.
    pub id: NodeId,
    /// The shard it leaves, and that shard's epoch.
    pub source: (ShardId, LogIndex),
    /// Its new primary; none: it becomes a primary of its own.
    pub primary: Option<NodeId>,
    /// The shard it enters, and that shard's epoch (0 for a new one).
    pub target: (ShardId, LogIndex),
}

impl SetReplicaOf {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, EntryError> {
        Ok(Self {
            id: fields.parse("id")?,
            source: (fields.parse("source shard")?, fields.number(&SOURCE_EPOCH)?),
            primary: fields.id_or_none("primary")?,
            target: (fields.parse("target shard")?, fields.number(&TARGET_EPOCH)?),
        })
    }

    fn judge_primary(&self, primary: &NodeId, state: &State) -> Verdict {
        if self.id == *primary {
            return Err(Reason::SelfReplica.into());
        }
        let primary = state.known(primary)?;
        if primary.shard != self.target.0 {
            return Err(Refusal::Stale);
        }
        state.current(&self.target.0, self.target.1)?;
        if primary.is_primary() { Ok(()) } else { Err(Reason::PrimaryNotPrimary.into()) }
    }
}

impl EntryType for SetReplicaOf {
    fn write(&self, out: &mut String) {
        let Self { id, source, primary, target } = self;
        let _ = write!(out, " {id} {} {} ", source.0, source.1);
        write_id(primary.as_ref(), out);
        let _ = write!(out, " {} {}", target.0, target.1);
    }

    fn size(&self) -> usize {
        256
    }

    fn judge(&self, state: &State) -> Verdict {
        let Self { id, source, primary, target } = self;
        let member = state.known(id)?;
        if member.shard != source.0 {
            return Err(Refusal::Stale);
        }
        state.current(&source.0, source.1)?;
        match primary {
            Some(primary) => self.judge_primary(primary, state)?,
            // A primary of its own already: nothing is to be done, whatever shard it was to have.
            None if member.is_primary() => return Ok(()),
            None if state.shards.contains_key(&target.0) => return Err(Reason::ShardExists.into()),
            None => state.current(&target.0, target.1)?,
        }
        state.leaves_nothing(id, Reason::NotEmpty)
    }

    fn enact(&self, index: LogIndex, state: &mut State) {
        let member = state.members.get_mut(&self.id).expect("judge found this member");
        if member.primary == self.primary {
            return;
        }
        let source = std::mem::replace(&mut member.shard, self.target.0);
        member.primary = self.primary;
        state.shards.insert(self.target.0, index);
        state.touch_or_remove(index, source);
    }

    fn renew(&self, state: &State) -> Result<Change, Obstacle> {
        let place = |id: &NodeId| Ok((state.still_member(id)?.shard, state.epoch_now(id)?));
        let target = match &self.primary {
            Some(primary) => place(primary)?,
            None => (self.target.0, 0),
        };
        Ok(Self { source: place(&self.id)?, target, ..self.clone() }.into())
    }

    fn facts(&self) -> Facts<'_> {
        // Who owns slots is refused; whoever appends it may not know yet that this one does.
        let takes = Some(Takes { from: self.id, slots: Taken::All, waits: true });
        Facts {
            founding_voter: None,
            takes,
            rehomes: None,
            succession: None,
            moves: Some(self.id),
            fails: None,
            adds: None,
            informs: None,
            removes: None,
            reshapes: Reshapes::Shards([self.source.0, self.target.0]),
            concerns: [Some(self.id), None],
            touches: Touches { members: true, owners: true },
        }
    }

    fn news(&self, _: &State, _: &NodeId) -> Option<(Level, String)> {
        None
    }
}

#[cfg(test)]
mod samples {
    use super::*;
    use crate::cluster::samples::{EPOCHS, nodes, shards};
    use proptest::option;
    use proptest::prelude::*;

    impl SetReplicaOf {
        /// Such changes.
        pub fn samples() -> BoxedStrategy<Self> {
            let shard = || (shards(), EPOCHS);
            let all = (nodes(), shard(), option::of(nodes()), shard());
            all.prop_map(|(id, source, primary, target)| Self { id, source, primary, target }).boxed()
        }
    }
}
