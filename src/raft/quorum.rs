//! Majorities, counted per voter id and never as a plain number.
//!
//! Owns: the arithmetic of quorums. Must not: know where the set of voters comes from. Contract: docs/protocol.md, "Membership and voting".

use crate::types::NodeId;
use std::collections::BTreeSet;

/// How many of `voters` make a majority.
pub fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// The greatest value that a majority of `voters` has reached; none without voters.
pub fn reached<T: Ord + Copy>(voters: &BTreeSet<NodeId>, value: impl Fn(&NodeId) -> T) -> Option<T> {
    let mut values: Vec<T> = voters.iter().map(value).collect();
    values.sort_unstable();
    values.len().checked_sub(majority(values.len())).map(|place| values[place])
}

/// Whether a majority of `voters` is among `granted`.
pub fn won(voters: &BTreeSet<NodeId>, granted: &BTreeSet<NodeId>) -> bool {
    reached(voters, |id| granted.contains(id)) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> NodeId {
        NodeId::from_bytes([n; 20])
    }

    #[test]
    fn the_value_of_a_majority() {
        let of = |values: &'static [u64]| {
            let voters = (0..values.len() as u8).map(id).collect();
            reached(&voters, |id| values[usize::from(id.as_bytes()[0])])
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[4]), Some(4));
        assert_eq!(of(&[4, 9]), Some(4));
        assert_eq!(of(&[9, 1, 4]), Some(4));
        assert_eq!(of(&[9, 1, 4, 7]), Some(4));
        assert_eq!(of(&[9, 1, 4, 7, 8]), Some(7));
    }

    #[test]
    fn only_voters_count() {
        let voters = BTreeSet::from([id(1), id(2), id(3)]);
        assert!(!won(&voters, &BTreeSet::from([id(1), id(7), id(8)])));
        assert!(won(&voters, &BTreeSet::from([id(1), id(3)])));
        assert!(!won(&BTreeSet::new(), &voters));
    }
}
