//! What of Raft's state is on disk.
//!
//! Owns: the watermark of the last persist and what is due. Must not: write anything (the store does).
//! Contract: docs/nodes-conf.md, "Writing".

use super::entry::Payload;
use super::pace::Pace;
use super::{HardState, Raft};
use crate::types::{LogIndex, Millis, NodeId, Term};

/// What the store's receipt says is on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Durable {
    /// The current term.
    pub term: Term,
    /// The vote in that term.
    pub voted_for: Option<NodeId>,
    /// The log (or the snapshot in its place) up to here, as it stands in memory.
    pub last_index: LogIndex,
}

/// The disk as Raft knows it.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Disk {
    /// Of the log in memory this much is on disk: a truncation or a snapshot lowers it until the next persist.
    durable: Durable,
    /// Term, vote, a truncation or a snapshot is not on disk yet.
    rewrite: bool,
    pace: Pace,
}

impl Disk {
    pub(super) fn new(durable: Durable) -> Self {
        Self { durable, rewrite: false, pace: Pace::default() }
    }

    pub(super) fn last_index(&self) -> LogIndex {
        self.durable.last_index
    }

    /// Whether a message that says `hard` may leave.
    pub(super) fn holds(&self, hard: HardState) -> bool {
        self.durable.term == hard.term && self.durable.voted_for == hard.voted_for
    }

    pub(super) fn hard_state_changed(&mut self) {
        self.rewrite = true;
    }

    pub(super) fn truncated_from(&mut self, index: LogIndex) {
        self.durable.last_index = self.durable.last_index.min(index - 1);
        self.rewrite = true;
    }

    /// A snapshot in memory: nothing counts as being on disk before the file is rewritten.
    pub(super) fn replaced(&mut self) {
        self.durable.last_index = 0;
        self.rewrite = true;
    }
}

impl<P: Payload> Raft<P> {
    /// Whether the file must be rewritten: term, vote, a truncation or a snapshot is not on disk yet.
    pub fn needs_rewrite(&self) -> bool {
        self.disk.rewrite
    }

    /// The first entry that is not on disk; one past the last index if all are.
    pub fn unpersisted_from(&self) -> LogIndex {
        self.disk.durable.last_index + 1
    }

    /// The turn's durable operation took so long (ms), in so many syncs. To be told before what waited for it is taken.
    pub fn disk_took(&mut self, syncs: u64, took: Millis) {
        self.disk.pace.note(syncs, took);
    }

    /// What a sync of the own disk takes lately (ms).
    pub fn sync_time(&self) -> Millis {
        self.disk.pace.sync_time()
    }

    /// How much longer than otherwise this node waits for others because its own disk is slow (ms).
    pub fn disk_allowance(&self) -> Millis {
        self.disk.pace.allowance(self.settings.election_timeout)
    }

    /// Takes the receipt of the turn's one durable operation, which covered everything that was due.
    pub fn persisted(&mut self, durable: Durable) {
        assert!(durable.term <= self.hard.term, "the disk never knows a higher term than memory");
        let before = self.disk.last_index();
        self.disk.durable = Durable { last_index: durable.last_index.min(self.log.last_index()), ..durable };
        self.disk.rewrite = !self.disk.holds(self.hard);
        // Two voters at once count from the disk on [N15 one-to-three].
        if (before + 1..=self.disk.last_index()).contains(&self.membership.last_change()) {
            self.class_peers();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_disk_falls_with_a_truncation_and_a_snapshot() {
        let mut disk = Disk::new(Durable { term: 2, voted_for: None, last_index: 9 });
        assert!(disk.holds(HardState { term: 2, voted_for: None }) && !disk.rewrite);
        assert!(!disk.holds(HardState { term: 2, voted_for: Some(NodeId::from_bytes([1; 20])) }));
        disk.truncated_from(20);
        assert_eq!(disk.last_index(), 9);
        disk.truncated_from(5);
        assert_eq!((disk.last_index(), disk.rewrite), (4, true));
        disk.replaced();
        assert_eq!(disk.last_index(), 0);
    }
}
