//! The proof that something is on disk.
//!
//! Owns: [`Persisted`]. Must not: be made anywhere but in the store, after the disk has answered. Contract: docs/nodes-conf.md, "Writing".

use crate::raft::{Durable, Needs};

/// What certainly is in nodes.conf. Only [`super::Store`] makes one, from a durable operation that returned without error; it is never
/// copied, so that no turn can keep it for the next one.
#[derive(PartialEq, Eq, Debug)]
pub struct Persisted(Durable);

impl Persisted {
    pub(super) fn new(durable: Durable) -> Self {
        Self(durable)
    }

    /// What that is, as plain data.
    pub fn durable(&self) -> Durable {
        self.0
    }

    /// Whether all that a message promises is on disk. A vote counts in exactly its own term.
    pub fn covers(&self, needs: &Needs) -> bool {
        let Durable { term, voted_for, last_index } = self.0;
        let vote_held = needs.vote.is_none() || (needs.vote == voted_for && needs.term == term);
        vote_held && term >= needs.term && last_index >= needs.index
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
        let receipt = Persisted::new(Durable { term: 4, voted_for: Some(voted), last_index: 9 });
        let covers = |term, vote, index| receipt.covers(&Needs { term, vote, index });
        assert!(covers(0, None, 0) && covers(3, None, 9) && covers(4, Some(voted), 0));
        assert!(!covers(5, None, 0) && !covers(4, None, 10) && !covers(4, Some(other), 0));
        assert!(!covers(3, Some(voted), 0), "a vote of an older term is no longer on disk");
        let nothing = Persisted::new(Durable::default());
        assert!(nothing.covers(&Needs::default()) && !nothing.covers(&Needs { term: 1, ..Needs::default() }));
    }
}
