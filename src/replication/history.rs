//! Which data this is: a history's id, and how far in it.
//!
//! Owns: the ids and the offset, and which requests of replicas they can satisfy. Must not: hold the stream's bytes.
//! Contract: Redis' replication ids. Two nodes with one id and one offset hold the same keys.

use crate::types::ReplId;

/// A replication history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct History {
    /// The id under which it goes on.
    pub id: ReplId,
    /// The id that it had before, and the offset of the first byte that it does not share with it.
    pub second: Option<(ReplId, u64)>,
    /// Bytes of the stream so far. The first byte of a stream has offset 1, so this is the last byte's offset too.
    pub offset: u64,
}

impl History {
    /// A history that shares nothing with any other.
    pub fn new(id: ReplId, offset: u64) -> Self {
        Self { id, second: None, offset }
    }

    /// It goes on under another id, as after a promotion: those who know the old id are served up to here.
    pub fn renamed(&mut self, id: ReplId) {
        if id != self.id {
            self.second = Some((self.id, self.offset + 1));
            self.id = id;
        }
    }

    /// Whether the byte at `next` and all after it continue what a holder of history `id` has, if it has all before `next`.
    pub fn continues(&self, id: ReplId, next: u64) -> bool {
        let shared = |(second, first_other): (ReplId, u64)| second == id && next <= first_other;
        (self.id == id && next <= self.offset + 1) || self.second.is_some_and(shared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renamed_history_continues_both_ids_as_far_as_they_go() {
        let [first, second, third] = [1, 2, 3].map(|byte| ReplId::from_bytes([byte; 20]));
        let mut history = History::new(first, 100);
        assert!(history.continues(first, 101) && !history.continues(first, 102) && !history.continues(second, 1));
        history.renamed(second);
        history.offset = 150;
        assert!(history.continues(first, 101) && !history.continues(first, 102));
        assert!(history.continues(second, 151) && !history.continues(second, 152));
        history.renamed(second);
        assert_eq!(history.second, Some((first, 101)), "the same id again is no new history");
        history.renamed(third);
        assert!(!history.continues(first, 101), "one id back, no further");
    }
}
