//! `SLOT_CHANGE source|- source-epoch target|- target-epoch range...`: slots get another owner, or one, or none.

use super::{Change, EntryType, Facts, Rehomes, Reshapes, Taken, Takes, Touches};
use crate::cluster::fields::{Fields, write_ranges};
use crate::cluster::judge::{Refusal, Verdict};
use crate::cluster::state::State;
use crate::cluster::text::EntryError;
use crate::cluster::{Obstacle, Reason};
use crate::types::numbers::{Field, SOURCE_EPOCH, TARGET_EPOCH};
use crate::types::{LogIndex, NodeId, Slot, SlotRange};
use log::Level;
use std::fmt::Write;

/// Where slots come from or go to: a node and the epoch that its shard had, or nobody.
type Side = Option<(NodeId, LogIndex)>;

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotChange {
    /// The owner of every slot now, and its shard's epoch.
    pub source: Side,
    /// The owner from now on, and its shard's epoch.
    pub target: Side,
    /// Inclusive, ascending, not overlapping, never empty.
    pub ranges: Vec<SlotRange>,
}

impl SlotChange {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, EntryError> {
        let source = read_side(fields, &SOURCE_EPOCH)?;
        let target = read_side(fields, &TARGET_EPOCH)?;
        let ranges = fields.ranges("range")?;
        if ranges.is_empty() {
            return Err(EntryError::Malformed("no range"));
        }
        Ok(Self { source, target, ranges })
    }

    fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.ranges.iter().flat_map(|range| range.slots())
    }

    fn still_owned(&self, state: &State) -> Result<(), Obstacle> {
        let source = self.source.map(|(id, _)| id);
        match self.slots().find(|slot| state.owner(*slot) != source) {
            None => Ok(()),
            Some(slot) if source.is_none() => Err(Obstacle::SlotBusy(slot)),
            Some(slot) if state.owner(slot).is_none() => Err(Obstacle::SlotUnassigned(slot)),
            Some(slot) => Err(Obstacle::SlotMoved(slot)),
        }
    }
}

impl EntryType for SlotChange {
    fn write(&self, out: &mut String) {
        write_side(&self.source, out);
        write_side(&self.target, out);
        write_ranges(&self.ranges, out);
    }

    fn size(&self) -> usize {
        128 + 12 * self.ranges.len()
    }

    fn judge(&self, state: &State) -> Verdict {
        if let Some((id, epoch)) = &self.target {
            let member = state.known(id)?;
            state.current(&member.shard, *epoch)?;
            if !member.is_primary() {
                return Err(Reason::TargetNotPrimary.into());
            }
        }
        if let Some((id, epoch)) = &self.source {
            // Who is no member owns nothing, so the slots have moved on as well.
            let member = state.members.get(id).ok_or(Refusal::Stale)?;
            state.current(&member.shard, *epoch)?;
        }
        let owner = self.source.map(|(id, _)| id);
        if self.slots().all(|slot| state.slots.owner(slot) == owner) { Ok(()) } else { Err(Refusal::Stale) }
    }

    fn enact(&self, _: LogIndex, state: &mut State) {
        self.ranges.iter().for_each(|range| state.slots.assign(*range, self.target.map(|(id, _)| id)));
    }

    fn renew(&self, state: &State) -> Result<Change, Obstacle> {
        self.still_owned(state)?;
        let refreshed = |side: &Side| side.map(|(id, _)| Ok((id, state.epoch_now(&id)?))).transpose();
        Ok(Self { source: refreshed(&self.source)?, target: refreshed(&self.target)?, ranges: self.ranges.clone() }.into())
    }

    fn facts(&self) -> Facts<'_> {
        let (source, target) = (self.source.map(|(id, _)| id), self.target.map(|(id, _)| id));
        let takes = source.filter(|_| source != target).map(|from| Takes { from, slots: Taken::Ranges(&self.ranges), waits: true });
        Facts {
            founding_voter: None,
            takes,
            rehomes: Some(Rehomes { source, target, ranges: &self.ranges }),
            succession: None,
            moves: None,
            fails: None,
            adds: None,
            informs: None,
            removes: None,
            reshapes: Reshapes::Nothing,
            concerns: [source, target],
            touches: Touches { members: false, owners: true },
        }
    }

    fn news(&self, _: &State, _: &NodeId) -> Option<(Level, String)> {
        None
    }
}

fn read_side(fields: &mut Fields, epoch: &Field) -> Result<Side, EntryError> {
    match (fields.id_or_none(epoch.name)?, fields.number(epoch)?) {
        (Some(id), epoch) => Ok(Some((id, epoch))),
        (None, 0) => Ok(None),
        (None, _) => Err(EntryError::Malformed(epoch.name)),
    }
}

fn write_side(side: &Side, out: &mut String) {
    let _ = match side {
        Some((id, epoch)) => write!(out, " {id} {epoch}"),
        None => write!(out, " - 0"),
    };
}

#[cfg(test)]
mod samples {
    use super::*;
    use crate::cluster::samples::{EPOCHS, nodes, ranges};
    use proptest::option;
    use proptest::prelude::*;

    impl SlotChange {
        /// Such changes.
        pub fn samples() -> BoxedStrategy<Self> {
            let side = || option::of((nodes(), EPOCHS));
            (side(), side(), ranges()).prop_map(|(source, target, ranges)| Self { source, target, ranges }).boxed()
        }
    }
}
