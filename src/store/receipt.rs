//! The proof that something is on disk.
//!
//! Owns: [`Persisted`]. Must not: be made anywhere but in the store, after the disk has answered. Contract: docs/nodes-conf.md, "Writing".

use crate::raft::{HardState, Needs};
use crate::types::{LogIndex, NodeId, Term};

/// What certainly is in nodes.conf. Only [`super::Store`] makes one, from a durable operation that returned without error.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Persisted {
    pub(super) term: Term,
    pub(super) voted_for: Option<NodeId>,
    pub(super) last_index: LogIndex,
}

impl Persisted {
    /// The current term on disk.
    pub fn term(&self) -> Term {
        self.term
    }

    /// The vote on disk, given in that term.
    pub fn voted_for(&self) -> Option<NodeId> {
        self.voted_for
    }

    /// The last log index on disk, of an entry or of the snapshot.
    pub fn last_index(&self) -> LogIndex {
        self.last_index
    }

    /// Term and vote on disk.
    pub fn hard(&self) -> HardState {
        HardState { term: self.term, voted_for: self.voted_for }
    }

    /// Whether all that a message promises is on disk. A vote counts in exactly its own term.
    pub fn covers(&self, needs: &Needs) -> bool {
        let vote_held = needs.vote.is_none() || (needs.vote == self.voted_for && needs.term == self.term);
        vote_held && self.term >= needs.term && self.last_index >= needs.index
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn a_receipt_covers_what_is_on_disk_and_no_other_vote() {
        let mut rng = Rng::new(1);
        let (voted, other) = (rng.node_id(), rng.node_id());
        let receipt = Persisted { term: 4, voted_for: Some(voted), last_index: 9 };
        let covers = |term, vote, index| receipt.covers(&Needs { term, vote, index });
        assert!(covers(0, None, 0) && covers(3, None, 9) && covers(4, Some(voted), 0));
        assert!(!covers(5, None, 0) && !covers(4, None, 10) && !covers(4, Some(other), 0));
        assert!(!covers(3, Some(voted), 0), "a vote of an older term is no longer on disk");
        assert!(Persisted::default().covers(&Needs::default()) && !Persisted::default().covers(&Needs { term: 1, ..Needs::default() }));
    }
}
