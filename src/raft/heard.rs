//! Who was heard when, handed from one leadership to the next: a node's silence does not begin anew with each leader.
//!
//! Owns: what this node knows from the newest leadership that it saw. Must not: judge anybody (the leader does, see
//! [`super::Raft::fails_at`]).
//! Contract: docs/protocol.md, "Failure flags".

use crate::types::{Millis, NodeId, Term};
use std::collections::BTreeMap;

/// A follower knows when it heard its leader, a leader when it heard everybody. What comes from an earlier leadership is dropped: others
/// have been listening since.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Heard {
    /// The leadership's term; 0 for none.
    term: Term,
    at: BTreeMap<NodeId, Millis>,
}

impl Heard {
    /// The leader of `term` spoke.
    pub(super) fn leader(&mut self, leader: NodeId, term: Term, now: Millis) {
        if self.term != term {
            *self = Self { term, at: BTreeMap::new() };
        }
        self.at.insert(leader, now);
    }

    /// The own leadership of `term` is over.
    pub(super) fn led(&mut self, term: Term, at: BTreeMap<NodeId, Millis>) {
        *self = Self { term, at };
    }

    /// When others were heard, if that is known from a leadership of `last_term` or later: the term in which a candidate's log ends is that
    /// of the last leader who had a majority, and what an earlier one knew is out of date.
    pub(super) fn since(&self, last_term: Term) -> impl Iterator<Item = (NodeId, Millis)> {
        let known = self.term >= last_term;
        self.at.iter().filter(move |_| known).map(|(id, at)| (*id, *at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId::from_bytes([1; 20]);
    const B: NodeId = NodeId::from_bytes([2; 20]);

    #[test]
    fn only_the_newest_leadership_counts() {
        let mut heard = Heard::default();
        heard.leader(A, 3, 100);
        heard.leader(A, 3, 200);
        assert_eq!(heard.since(3).collect::<Vec<_>>(), [(A, 200)]);
        // A log that ends in a later term knows of a leader that this node has not heard.
        assert_eq!(heard.since(4).count(), 0);
        heard.leader(B, 5, 300);
        assert_eq!(heard.since(4).collect::<Vec<_>>(), [(B, 300)]);
        heard.led(6, BTreeMap::from([(A, 400), (B, 350)]));
        assert_eq!(heard.since(6).collect::<Vec<_>>(), [(A, 400), (B, 350)]);
    }
}
