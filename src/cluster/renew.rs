//! A stale change once more: the same request under the epochs of now, as long as what its client asked for still makes sense.
//!
//! Owns: the words when it cannot be; what each entry refreshes stands in its file of `change`. Must not: change the state.
//! Contract: docs/protocol.md, "Outcomes".

use super::change::Change;
use super::outcome::{Outcome, Reason};
use super::state::{Member, State};
use crate::types::{LogIndex, NodeId, Slot};

/// Why a change cannot be tried again; its text is the error reply in Valkey's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Obstacle {
    /// A slot that was free has an owner.
    #[error("ERR Slot {0} is already busy")]
    SlotBusy(Slot),
    /// A slot that had an owner has none.
    #[error("ERR Slot {0} is already unassigned")]
    SlotUnassigned(Slot),
    /// A slot has another owner than the one it was to be taken from.
    #[error("ERR The owner of slot {0} has changed")]
    SlotMoved(Slot),
    /// The change would be refused now.
    #[error("{}", .0.message())]
    Refused(Reason),
}

impl State {
    /// `change` with the epochs of now, or why the request behind it can no longer be granted.
    pub fn renewed(&self, change: &Change) -> Result<Change, Obstacle> {
        let renewed = change.entry_type().renew(self)?;
        match self.would(&renewed) {
            Outcome::Rejected(reason) => Err(Obstacle::Refused(reason)),
            Outcome::Applied | Outcome::Stale => Ok(renewed),
        }
    }

    pub(super) fn still_member(&self, id: &NodeId) -> Result<&Member, Obstacle> {
        self.member(id).ok_or(Obstacle::Refused(Reason::UnknownNode))
    }

    pub(super) fn epoch_now(&self, id: &NodeId) -> Result<LogIndex, Obstacle> {
        Ok(self.epoch(&self.still_member(id)?.shard))
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::Scene;
    use super::*;

    #[test]
    fn a_stale_move_is_renewed_until_the_slot_is_gone() {
        let mut scene = Scene::of(3);
        let stale = scene.slot_change(Some(0), Some(1), &[(5, 5)]);
        scene.do_(&scene.replica_of(2, 1));
        assert_eq!(scene.state.would(&stale), Outcome::Stale);
        let renewed = scene.state.renewed(&stale).unwrap();
        assert_eq!(scene.state.would(&renewed), Outcome::Applied);
        scene.do_(&renewed);
        assert_eq!(scene.state.renewed(&stale), Err(Obstacle::SlotMoved(Slot::new(5).unwrap())));
        scene.do_(&scene.slot_change(Some(1), None, &[(5, 5)]));
        assert_eq!(scene.state.renewed(&stale).unwrap_err().to_string(), "ERR Slot 5 is already unassigned");
        let claim = scene.slot_change(None, Some(0), &[(5, 6)]);
        assert_eq!(scene.state.renewed(&claim).unwrap_err().to_string(), "ERR Slot 6 is already busy");
    }

    #[test]
    fn what_would_be_refused_is_said_at_once() {
        let mut scene = Scene::of(3);
        let (forget, replicate) = (scene.forget(2), scene.replica_of(2, 1));
        scene.do_(&scene.replica_of(2, 0));
        assert_eq!(scene.state.renewed(&forget).map(|change| scene.state.would(&change)), Ok(Outcome::Applied));
        assert_eq!(scene.state.renewed(&replicate).map(|change| scene.state.would(&change)), Ok(Outcome::Applied));
        scene.do_(&scene.forget(2));
        assert_eq!(scene.state.renewed(&replicate), Err(Obstacle::Refused(Reason::UnknownNode)));
    }
}
