//! The at-most-once table: what became of each member's recent proposals.
//!
//! Owns: which outcomes are kept and for how long, the same on every node. Must not: know what proposals say. Contract: docs/protocol.md,
//! "At most once".

use super::outcome::{Outcome, Seen};
use crate::raft::{Origin, ProposalId};
use std::collections::BTreeMap;

/// How many outcomes are kept for one proposer, and so how far its newest proposal may be ahead of its oldest outstanding one.
/// One that goes further loses the oldest: they count as old, never as new.
pub const MAX_OUTCOMES: usize = 1024;

/// One member's proposals.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Proposals {
    /// The newest incarnation seen; proposals of earlier ones are old.
    pub incarnation: u64,
    /// Proposals below are old.
    pub lowest: u64,
    /// At most [`MAX_OUTCOMES`], none below `lowest`.
    pub outcomes: BTreeMap<u64, Outcome>,
}

impl Proposals {
    /// The table of a proposer whose first proposal this is.
    pub fn new(origin: &Origin) -> Self {
        Self { incarnation: origin.id.incarnation, lowest: origin.lowest, outcomes: BTreeMap::new() }
    }

    /// Whether this proposal was applied before.
    pub fn seen(&self, id: &ProposalId) -> Seen {
        if id.incarnation > self.incarnation {
            return Seen::New;
        }
        if id.incarnation < self.incarnation || id.n < self.lowest {
            return Seen::Old;
        }
        self.outcomes.get(&id.n).map_or(Seen::New, |outcome| Seen::Done(*outcome))
    }

    /// The first number of its incarnation that nobody has spoken of.
    pub fn next(&self) -> u64 {
        self.outcomes.last_key_value().map_or(0, |(n, _)| n + 1).max(self.lowest)
    }

    /// Keeps the outcome of a proposal that was new, and forgets what its proposer no longer waits for.
    pub fn record(&mut self, origin: &Origin, outcome: Outcome) {
        if origin.id.incarnation > self.incarnation {
            *self = Self::new(origin);
        }
        self.lowest = self.lowest.max(origin.lowest);
        self.outcomes.insert(origin.id.n, outcome);
        self.outcomes = self.outcomes.split_off(&self.lowest);
        while self.outcomes.len() > MAX_OUTCOMES {
            if let Some((oldest, _)) = self.outcomes.pop_first() {
                self.lowest = oldest + 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NodeId;

    fn origin(incarnation: u64, n: u64, lowest: u64) -> Origin {
        Origin { id: ProposalId { proposer: NodeId::from_bytes([1; 20]), incarnation, n }, lowest }
    }

    #[test]
    fn outcomes_live_until_nobody_waits_for_them() {
        let mut table = Proposals::new(&origin(3, 1, 1));
        table.record(&origin(3, 1, 1), Outcome::Stale);
        table.record(&origin(3, 2, 1), Outcome::Applied);
        assert_eq!(table.seen(&origin(3, 1, 1).id), Seen::Done(Outcome::Stale));
        assert_eq!(table.seen(&origin(3, 3, 1).id), Seen::New);
        assert_eq!(table.seen(&origin(2, 9, 1).id), Seen::Old);
        table.record(&origin(3, 3, 2), Outcome::Applied);
        assert_eq!(table.seen(&origin(3, 1, 1).id), Seen::Old);
        assert_eq!(table.seen(&origin(3, 2, 1).id), Seen::Done(Outcome::Applied));
    }

    #[test]
    fn a_later_incarnation_starts_again() {
        let mut table = Proposals::new(&origin(3, 1, 1));
        table.record(&origin(3, 70, 60), Outcome::Applied);
        assert_eq!(table.seen(&origin(4, 1, 1).id), Seen::New);
        table.record(&origin(4, 1, 1), Outcome::Applied);
        assert_eq!(table.seen(&origin(3, 70, 60).id), Seen::Old);
        assert_eq!(table.seen(&origin(4, 1, 1).id), Seen::Done(Outcome::Applied));
    }

    #[test]
    fn a_proposer_that_waits_for_everything_loses_the_oldest_as_old() {
        let mut table = Proposals::new(&origin(1, 1, 1));
        for n in 1..=MAX_OUTCOMES as u64 + 2 {
            table.record(&origin(1, n, 1), Outcome::Applied);
        }
        assert_eq!(table.outcomes.len(), MAX_OUTCOMES);
        assert_eq!(table.seen(&origin(1, 2, 1).id), Seen::Old);
        assert_eq!(table.seen(&origin(1, 3, 1).id), Seen::Done(Outcome::Applied));
    }
}
