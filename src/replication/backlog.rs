//! The stream's newest bytes, kept once for all replicas.
//!
//! Owns: the bytes by offset, in blocks, so that it grows and shrinks without moving what it holds. Must not: know who reads it, or how
//! much to keep.

use std::collections::VecDeque;

/// Bytes of one block. What is dropped is dropped a block at a time.
const BLOCK: usize = 64 * 1024;

/// A stretch of the stream, up to its end.
#[derive(Debug)]
pub struct Backlog {
    /// How many bytes of the stream were before it.
    start: u64,
    len: u64,
    /// Each but the last holds exactly [`BLOCK`] bytes; the last is not empty.
    blocks: VecDeque<Vec<u8>>,
}

impl Backlog {
    /// An empty one at this place of the stream.
    pub fn new(start: u64) -> Self {
        Self { start, len: 0, blocks: VecDeque::new() }
    }

    /// How many bytes of the stream were before the first that it holds.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// How many bytes of the stream there are up to its end.
    pub fn end(&self) -> u64 {
        self.start + self.len
    }

    /// How many bytes it holds.
    #[allow(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The stream goes on with these.
    pub fn append(&mut self, mut bytes: &[u8]) {
        self.len += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.blocks.back().is_none_or(|block| block.len() == BLOCK) {
                self.blocks.push_back(Vec::with_capacity(BLOCK));
            }
            let Some(block) = self.blocks.back_mut() else { return };
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - block.len()));
            block.extend_from_slice(now);
            bytes = later;
        }
    }

    /// Bytes from this place of the stream on, as many as lie together: none only at the end. `None` for a place outside of it.
    pub fn piece(&self, from: u64) -> Option<&[u8]> {
        let at = from.checked_sub(self.start).filter(|at| *at <= self.len)?;
        let block = self.blocks.get((at / BLOCK as u64) as usize);
        Some(block.map_or(&[], |block| &block[(at % BLOCK as u64) as usize..]))
    }

    /// Drops what lies before this place, as far as it fills blocks.
    pub fn drop_before(&mut self, place: u64) {
        while self.len > BLOCK as u64 && self.start + BLOCK as u64 <= place {
            self.blocks.pop_front();
            self.start += BLOCK as u64;
            self.len -= BLOCK as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(backlog: &Backlog, mut from: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(piece) = backlog.piece(from).filter(|piece| !piece.is_empty()) {
            bytes.extend_from_slice(piece);
            from += piece.len() as u64;
        }
        bytes
    }

    #[test]
    fn what_is_outside_is_none_and_the_end_is_empty() {
        let mut backlog = Backlog::new(10);
        assert_eq!(backlog.piece(10), Some(&b""[..]));
        backlog.append(b"abc");
        assert_eq!(
            (backlog.piece(9), backlog.piece(11), backlog.piece(13), backlog.piece(14)),
            (None, Some(&b"bc"[..]), Some(&b""[..]), None)
        );
        assert_eq!((backlog.start(), backlog.end(), backlog.len()), (10, 13, 3));
    }

    proptest! {
        #[test]
        fn any_place_that_is_kept_reads_as_it_was_written(
            start in 0u64..1000,
            pieces in prop::collection::vec((0usize..3 * BLOCK, any::<u8>()), 1..12),
            place in 0u64..20 * BLOCK as u64,
        ) {
            let (mut backlog, mut all) = (Backlog::new(start), Vec::new());
            for (length, byte) in pieces {
                let piece = vec![byte; length];
                backlog.append(&piece);
                all.extend_from_slice(&piece);
            }
            backlog.drop_before(start + place);
            prop_assert!(backlog.start() <= start.max(start + place.min(all.len() as u64)));
            prop_assert!(backlog.start() == start || backlog.len() > 0);
            prop_assert!(backlog.start() + BLOCK as u64 > start + place || backlog.len() <= BLOCK as u64);
            let kept = (backlog.start() - start) as usize;
            for from in [kept, (kept + all.len()) / 2, all.len()] {
                prop_assert_eq!(read(&backlog, start + from as u64), &all[from..]);
            }
        }
    }
}
