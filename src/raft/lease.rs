//! The leader's side of the write lease: which token it may return to whom.
//!
//! Owns: the tokens received and returned. Must not: know who owns slots, or judge a lease (the primary does).
//! Contract: docs/protocol.md, "The write lease".

use super::message::Token;
use super::settings::outlast;
use crate::types::{Millis, NodeId};
use std::collections::{BTreeMap, VecDeque};

/// How many tokens of one node may wait for their round; then the newest ones share a place.
const MAX_WAITING: usize = 16;

/// A token with its receipt.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Received {
    token: Token,
    at: Millis,
    /// The first round that began after it came.
    round: u64,
}

/// The tokens of one node.
#[derive(Clone, PartialEq, Debug, Default)]
struct Grant {
    /// In order of receipt, each with a higher round than the one before.
    waiting: VecDeque<Received>,
    /// The newest one that a majority-acked round has covered since: the only one that may be returned \[N1 token-return\].
    covered: Option<Received>,
    /// When the newest token that was ever returned had come \[N6 gate-clock\].
    returned: Option<Millis>,
}

/// All tokens of one leadership.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Grants {
    by_node: BTreeMap<NodeId, Grant>,
}

impl Grants {
    /// A token came while `current` was the newest round.
    pub(super) fn received(&mut self, from: NodeId, token: Token, current: u64, now: Millis) {
        if token.nonce == 0 {
            return;
        }
        let waiting = &mut self.by_node.entry(from).or_default().waiting;
        let full = waiting.len() == MAX_WAITING;
        if waiting.back().is_some_and(|last| last.round > current || full) {
            waiting.pop_back();
        }
        waiting.push_back(Received { token, at: now, round: current + 1 });
    }

    /// The token to return to `to` now that a majority has acked round `acked`; it counts as returned.
    pub(super) fn grant(&mut self, to: &NodeId, acked: u64) -> Token {
        let Some(grant) = self.by_node.get_mut(to) else { return Token::default() };
        while let Some(&received) = grant.waiting.front().filter(|received| received.round <= acked) {
            grant.covered = Some(received);
            grant.waiting.pop_front();
        }
        let Some(Received { token, at, .. }) = grant.covered else { return Token::default() };
        grant.returned = Some(at);
        token
    }

    /// From when on no lease that this leadership granted to `node` can be left.
    pub(super) fn over_at(&self, node: &NodeId, lease: Millis) -> Millis {
        self.by_node.get(node).and_then(|grant| grant.returned).map_or(0, |at| at + outlast(lease))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: NodeId = NodeId::from_bytes([1; 20]);

    fn token(clock: Millis) -> Token {
        Token { nonce: 7, clock }
    }

    #[test]
    fn only_a_token_older_than_a_majority_acked_round_is_returned() {
        let mut grants = Grants::default();
        grants.received(P, token(10), 3, 100);
        assert_eq!(grants.grant(&P, 3), Token::default());
        assert_eq!(grants.over_at(&P, 50), 0);
        assert_eq!(grants.grant(&P, 4), token(10));
        grants.received(P, token(20), 4, 200);
        assert_eq!(grants.grant(&P, 4), token(10));
        // The gate's clock runs from the receipt of what was returned, however often that is sent again [N6 gate-clock].
        assert_eq!(grants.over_at(&P, 50), 151);
        assert_eq!(grants.grant(&P, 9), token(20));
        assert_eq!(grants.over_at(&P, 50), 251);
    }

    #[test]
    fn tokens_of_one_round_share_a_place_and_none_is_none() {
        let mut grants = Grants::default();
        grants.received(P, Token::default(), 1, 100);
        for clock in 0..100 {
            grants.received(P, token(clock), 1 + clock / 2, 100);
        }
        assert!(grants.by_node[&P].waiting.len() <= MAX_WAITING);
        assert_eq!(grants.grant(&P, 2), token(1));
        assert_eq!(grants.grant(&P, 1000), token(99));
    }
}
