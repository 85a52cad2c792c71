//! The stream's newest bytes, kept once for all replicas.
//!
//! Owns: the bytes by offset, in blocks, so that it grows and shrinks without moving what it holds. Must not: know who reads it, or how
//! much to keep; nor copy a long value as a whole: it shares that.

use crate::values::{Bytes, Shared};
use std::collections::VecDeque;

/// Bytes of one block. What is dropped is dropped a block at a time.
const BLOCK: usize = 64 * 1024;
/// When so little of a shared stretch is left, it is copied, and its buffer is not held any more.
const COPIED: u64 = 1 << 20;

/// A stretch of the stream, up to its end.
#[derive(Debug)]
pub struct Backlog {
    /// How many bytes of the stream were before it.
    start: u64,
    len: u64,
    /// One behind the other; none is empty.
    blocks: VecDeque<Block>,
}

#[derive(Debug)]
struct Block {
    /// How many bytes of the stream were before it.
    start: u64,
    bytes: Kept,
}

#[derive(Debug)]
enum Kept {
    /// At most [`BLOCK`] bytes, all of one buffer.
    Own(Vec<u8>),
    /// A long value, or most of one.
    Shared(Shared),
}

impl Block {
    fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Kept::Own(bytes) => bytes,
            Kept::Shared(shared) => shared,
        }
    }
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
    pub fn append(&mut self, bytes: Bytes<'_>) {
        match bytes {
            Bytes::Lent(bytes) => self.append_copy(bytes),
            Bytes::Shared(bytes) => {
                let start = self.end();
                self.len += bytes.len() as u64;
                self.blocks.push_back(Block { start, bytes: Kept::Shared(bytes) });
            }
        }
    }

    fn append_copy(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let start = self.end();
            match self.blocks.back_mut() {
                Some(Block { bytes: Kept::Own(block), .. }) if block.len() < BLOCK => {
                    let (now, later) = bytes.split_at(bytes.len().min(BLOCK - block.len()));
                    block.extend_from_slice(now);
                    self.len += now.len() as u64;
                    bytes = later;
                }
                _ => self.blocks.push_back(Block { start, bytes: Kept::Own(Vec::with_capacity(BLOCK)) }),
            }
        }
    }

    /// Bytes from this place of the stream on, as many as lie together: none only at the end. `None` for a place outside of it.
    pub fn piece(&self, from: u64) -> Option<&[u8]> {
        if from < self.start || from > self.end() {
            return None;
        }
        let after = self.blocks.partition_point(|block| block.start <= from);
        let block = after.checked_sub(1).and_then(|at| self.blocks.get(at));
        Some(block.map_or(&[], |block| &block.bytes()[(from - block.start) as usize..]))
    }

    /// Drops what lies before this place, as far as it fills blocks.
    pub fn drop_before(&mut self, place: u64) {
        while self.blocks.get(1).is_some_and(|next| next.start <= place) {
            self.blocks.pop_front();
            let start = self.blocks.front().map_or(self.start, |block| block.start);
            (self.start, self.len) = (start, self.end() - start);
        }
        self.let_go(place);
    }

    /// If little is left of a shared stretch at the beginning, copies that.
    fn let_go(&mut self, place: u64) {
        let Some(Block { start, bytes: Kept::Shared(shared) }) = self.blocks.front() else { return };
        let (start, end) = (*start, start + shared.len() as u64);
        if place <= start || place >= end || end - place > COPIED {
            return;
        }
        let shared = shared.part((place - start) as usize..shared.len());
        self.blocks.pop_front();
        for (block, number) in shared.chunks(BLOCK).zip(0u64..).collect::<Vec<_>>().into_iter().rev() {
            self.blocks.push_front(Block { start: place + number * BLOCK as u64, bytes: Kept::Own(block.to_vec()) });
        }
        (self.start, self.len) = (place, self.end() - place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::Rubble;
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
        backlog.append(b"abc".into());
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
            pieces in prop::collection::vec((0usize..3 * BLOCK, any::<u8>(), any::<bool>()), 1..12),
            place in 0u64..20 * BLOCK as u64,
        ) {
            let (mut backlog, mut all) = (Backlog::new(start), Vec::new());
            for (length, byte, is_shared) in pieces {
                let piece = vec![byte; length];
                all.extend_from_slice(&piece);
                if is_shared && length > 0 {
                    backlog.append(Shared::new(piece, &Rubble::default()).into());
                } else {
                    backlog.append(piece.as_slice().into());
                }
            }
            backlog.drop_before(start + place);
            prop_assert!(backlog.start() <= start.max(start + place.min(all.len() as u64)));
            prop_assert!(backlog.start() == start || backlog.len() > 0);
            prop_assert!(backlog.start() + BLOCK as u64 > start + place || backlog.blocks.len() == 1);
            let kept = (backlog.start() - start) as usize;
            for from in [kept, (kept + all.len()) / 2, all.len()] {
                prop_assert_eq!(read(&backlog, start + from as u64), &all[from..]);
            }
        }
    }
}
