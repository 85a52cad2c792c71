//! `FAILOVER replica primary shard shard-epoch auto|manual|force|takeover`: a replica takes its primary's slots and other replicas, and the
//! primary becomes its replica.

use super::{Change, EntryType, Facts, Reshapes, Succession, Taken, Takes, Touches};
use crate::cluster::fields::Fields;
use crate::cluster::judge::{Refusal, Verdict};
use crate::cluster::state::State;
use crate::cluster::text::EntryError;
use crate::cluster::{Obstacle, Reason};
use crate::types::numbers::EPOCH;
use crate::types::{LogIndex, NodeId, ShardId};
use log::Level;
use std::fmt::Write;

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failover {
    /// Who takes over.
    pub replica: NodeId,
    /// From whom.
    pub primary: NodeId,
    /// Their shard.
    pub shard: ShardId,
    /// Its epoch.
    pub epoch: LogIndex,
    /// Why.
    pub kind: FailoverKind,
}

/// What made a failover.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailoverKind {
    /// The primary failed: applies only while it is flagged so.
    Auto,
    /// An operator's CLUSTER FAILOVER.
    Manual,
    /// An operator's CLUSTER FAILOVER FORCE.
    Force,
    /// An operator's CLUSTER FAILOVER TAKEOVER: nobody waits until the primary can serve no more.
    Takeover,
}

impl FailoverKind {
    const ALL: [Self; 4] = [Self::Auto, Self::Manual, Self::Force, Self::Takeover];

    fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Manual => "manual",
            Self::Force => "force",
            Self::Takeover => "takeover",
        }
    }

    /// What operators read of it, and how urgent that is.
    fn told(self) -> (Level, &'static str) {
        match self {
            Self::Auto => (Level::Warn, "automatic failover, for the primary has failed. Writes that the replica did not have are lost"),
            Self::Manual => (Level::Info, "planned failover. The primary hands over all that it has"),
            Self::Force => (
                Level::Warn,
                "CLUSTER FAILOVER FORCE, which does without the primary's answer. Writes that the replica did not have are lost",
            ),
            Self::Takeover => (
                Level::Warn,
                "CLUSTER FAILOVER TAKEOVER, which waits for nothing. Writes that the replica did not have are lost, also those that the \
                 old primary goes on to acknowledge until it hears of this or its write lease ends",
            ),
        }
    }

    fn read(fields: &mut Fields) -> Result<Self, EntryError> {
        let name = fields.text("kind")?;
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or(EntryError::Malformed("kind"))
    }
}

impl Failover {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, EntryError> {
        Ok(Self {
            replica: fields.parse("replica")?,
            primary: fields.parse("primary")?,
            shard: fields.parse("shard")?,
            epoch: fields.number(&EPOCH)?,
            kind: FailoverKind::read(fields)?,
        })
    }
}

impl EntryType for Failover {
    fn write(&self, out: &mut String) {
        let Self { replica, primary, shard, epoch, kind } = self;
        let _ = write!(out, " {replica} {primary} {shard} {epoch} {}", kind.name());
    }

    fn size(&self) -> usize {
        256
    }

    fn judge(&self, state: &State) -> Verdict {
        let (replica, old) = (state.known(&self.replica)?, state.known(&self.primary)?);
        if old.shard != self.shard {
            return Err(Refusal::Stale);
        }
        state.current(&self.shard, self.epoch)?;
        if replica.primary != Some(self.primary) {
            return Err(Reason::NotItsReplica.into());
        }
        match self.kind {
            FailoverKind::Auto if !old.failed => Err(Reason::PrimaryAlive.into()),
            _ => Ok(()),
        }
    }

    fn enact(&self, index: LogIndex, state: &mut State) {
        for range in state.ranges_of(&self.primary) {
            state.slots.assign(range, Some(self.replica));
        }
        for member in state.members.values_mut().filter(|member| member.shard == self.shard) {
            member.primary = (member.id != self.replica).then_some(self.replica);
        }
        state.shards.insert(self.shard, index);
    }

    fn renew(&self, state: &State) -> Result<Change, Obstacle> {
        let (shard, epoch) = (state.still_member(&self.primary)?.shard, state.epoch_now(&self.primary)?);
        Ok(Self { shard, epoch, ..self.clone() }.into())
    }

    fn facts(&self) -> Facts<'_> {
        let takes = Some(Takes { from: self.primary, slots: Taken::All, waits: self.kind != FailoverKind::Takeover });
        let succession = Succession { successor: self.replica, predecessor: self.primary, kind: self.kind };
        Facts {
            founding_voter: None,
            takes,
            rehomes: None,
            succession: Some(succession),
            moves: None,
            fails: None,
            adds: None,
            informs: None,
            removes: None,
            reshapes: Reshapes::Shards([self.shard, self.shard]),
            concerns: [Some(self.replica), Some(self.primary)],
            touches: Touches { members: true, owners: true },
        }
    }

    fn news(&self, state: &State, reader: &NodeId) -> Option<(Level, String)> {
        let Self { replica, primary, .. } = self;
        let told = match (replica == reader, primary == reader) {
            (true, _) => format!("This node takes over from {}", state.named(primary)),
            (_, true) => format!("{} takes over from this node, which becomes its replica", state.named(replica)),
            _ => format!("{} takes over from {}", state.named(replica), state.named(primary)),
        };
        let (level, how) = self.kind.told();
        Some((level, format!("{told}: {how}")))
    }
}

#[cfg(test)]
mod samples {
    use super::*;
    use crate::cluster::samples::{EPOCHS, nodes, shards};
    use proptest::prelude::*;
    use proptest::sample::select;

    impl Failover {
        /// Such changes.
        pub fn samples() -> BoxedStrategy<Self> {
            let all = (nodes(), nodes(), shards(), EPOCHS, select(&FailoverKind::ALL));
            all.prop_map(|(replica, primary, shard, epoch, kind)| Self { replica, primary, shard, epoch, kind }).boxed()
        }
    }
}
