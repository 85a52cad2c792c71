//! A long string: stretches of shared buffers one behind the other.
//!
//! Owns: where which byte lies, and what a write copies: a stretch that somebody else holds too is written to in a copy of the chunk at
//! hand, and of no more. Must not: know who holds it.
//!
//! Each stretch but the last ends at a multiple of [`CHUNK`], so there are never many. What came in one buffer stays in it, and a chunk
//! that was copied takes the place of a part of it: the buffer goes with the last part that is left of it, unless that is short.

use super::rubble::{Debris, Rubble};
use super::shared::{Bytes, Shared};
use std::borrow::Cow;
use std::ops::Range;

/// What a write copies at most, at each of its two ends.
pub const CHUNK: usize = 64 << 10;
/// What is left of a stretch that was written over is copied up to this length, so that it does not hold all of its buffer.
const COPIED: usize = 4 << 20;
/// A stretch takes so much effort to free, where a small allocation takes 1.
const EFFORT: usize = 16;

/// See the module. A clone costs a count for each stretch.
#[derive(Clone, Debug)]
pub struct Long {
    /// In order; none is empty.
    stretches: Vec<Stretch>,
    rubble: Rubble,
}

#[derive(Clone, Debug)]
struct Stretch {
    /// Bytes of the string up to its end.
    end: usize,
    bytes: Shared,
}

impl Drop for Long {
    fn drop(&mut self) {
        if self.stretches.len() > 1 {
            self.rubble.push(Stretches(std::mem::take(&mut self.stretches)));
        }
    }
}

struct Stretches(Vec<Stretch>);

impl Debris for Stretches {
    fn free_some(&mut self, budget: &mut usize) -> bool {
        while *budget > 0 && self.0.pop().is_some() {
            *budget = budget.saturating_sub(EFFORT);
        }
        self.0.is_empty()
    }
}

impl Long {
    /// An empty string.
    pub fn new(rubble: &Rubble) -> Self {
        Self { stretches: Vec::new(), rubble: rubble.clone() }
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.stretches.last().map_or(0, |last| last.end)
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.stretches.is_empty()
    }

    /// Memory that it takes, in bytes; what it shares counts in full.
    pub fn cost(&self) -> usize {
        let spare = self.stretches.last().map_or(0, |last| last.bytes.spare());
        size_of::<Self>() + self.stretches.capacity() * size_of::<Stretch>() + self.len() + spare
    }

    /// Which stretch has this byte; their number at the end of the string.
    fn find(&self, at: usize) -> usize {
        self.stretches.partition_point(|stretch| stretch.end <= at)
    }

    fn start(&self, index: usize) -> usize {
        self.stretches[index].end - self.stretches[index].bytes.len()
    }

    /// These bytes of it, in as many pieces as they lie in.
    pub fn pieces(&self, range: Range<usize>) -> impl Iterator<Item = Shared> + '_ {
        let first = self.find(range.start);
        (first..self.stretches.len()).map_while(move |index| {
            let (start, stretch) = (self.start(index), &self.stretches[index]);
            let (from, to) = (range.start.max(start), range.end.min(stretch.end));
            (from < to).then(|| stretch.bytes.part(from - start..to - start))
        })
    }

    /// These bytes of it, copied if they do not lie together.
    pub fn bytes(&self, range: Range<usize>) -> Cow<'_, [u8]> {
        let first = self.find(range.start);
        match self.stretches.get(first).map(|stretch| (self.start(first), stretch)) {
            Some((start, stretch)) if range.end <= stretch.end => Cow::Borrowed(&stretch.bytes[range.start - start..range.end - start]),
            _ => {
                let mut bytes = Vec::with_capacity(range.len());
                self.pieces(range).for_each(|piece| bytes.extend_from_slice(&piece));
                Cow::Owned(bytes)
            }
        }
    }

    /// Writes `part` from this byte on, with zeros between the end and it.
    pub fn write(&mut self, offset: usize, part: &Bytes<'_>) {
        self.pad(offset);
        let end = offset + part.len();
        let (first, last) = (offset.next_multiple_of(CHUNK), if end < self.len() { end - end % CHUNK } else { end });
        match part {
            Bytes::Shared(shared) if first < last => {
                self.copy(offset, &shared[..first - offset]);
                let (from, to) = (self.cut(first), self.cut(last.min(self.len())));
                let bytes = shared.part(first - offset..last - offset);
                self.stretches.splice(from..to, [Stretch { end: last, bytes }]);
                self.let_go(from + 1);
                self.let_go(from.wrapping_sub(1));
                self.copy(last, &shared[last - offset..]);
            }
            Bytes::Shared(_) | Bytes::Lent(_) => self.copy(offset, part),
        }
    }

    /// Makes it as long as this, by zeros: of as many as are chunks there is one, which all share.
    fn pad(&mut self, length: usize) {
        if self.len() >= length {
            return;
        }
        let zeros = Shared::new(vec![0; CHUNK], &self.rubble);
        self.append(&zeros[..(length - self.len()).min(self.len().next_multiple_of(CHUNK) - self.len())]);
        while self.len() < length {
            let more = CHUNK.min(length - self.len());
            self.stretches.push(Stretch { end: self.len() + more, bytes: zeros.part(0..more) });
        }
    }

    /// Writes these bytes from a byte on that is there, or from the end on.
    fn copy(&mut self, mut at: usize, mut part: &[u8]) {
        while !part.is_empty() && at < self.len() {
            let index = self.find(at);
            let (start, stretch) = (self.start(index), &mut self.stretches[index]);
            let Some(bytes) = stretch.bytes.get_mut() else {
                self.own(at);
                continue;
            };
            let (now, later) = part.split_at(part.len().min(bytes.len() - (at - start)));
            bytes[at - start..][..now.len()].copy_from_slice(now);
            (at, part) = (at + now.len(), later);
        }
        self.append(part);
    }

    /// Goes on with these bytes, of which each chunk is filled before the next one is begun.
    fn append(&mut self, mut part: &[u8]) {
        while !part.is_empty() {
            let (now, later) = part.split_at(part.len().min(CHUNK - self.len() % CHUNK));
            if self.len().is_multiple_of(CHUNK) {
                self.push(&[], now);
            } else if !self.stretches.last_mut().is_some_and(|last| last.bytes.len() < CHUNK && last.bytes.extend(now)) {
                let start = self.len() - self.len() % CHUNK;
                let from = self.cut(start);
                let tail = self.bytes(start..self.len()).into_owned();
                self.stretches.truncate(from);
                self.push(&tail, now);
            } else if let Some(last) = self.stretches.last_mut() {
                last.end += now.len();
            }
            part = later;
        }
    }

    /// A new last stretch, which has room for a chunk.
    fn push(&mut self, head: &[u8], tail: &[u8]) {
        let mut bytes = Vec::with_capacity(CHUNK);
        bytes.extend_from_slice(head);
        bytes.extend_from_slice(tail);
        let end = self.len() + bytes.len();
        self.stretches.push(Stretch { end, bytes: Shared::new(bytes, &self.rubble) });
    }

    /// The chunk that has this byte becomes a stretch of a buffer that nobody else holds.
    fn own(&mut self, at: usize) {
        let start = at - at % CHUNK;
        let end = self.len().min(start + CHUNK);
        let (from, to) = (self.cut(start), self.cut(end));
        let bytes = Shared::new(self.bytes(start..end).into_owned(), &self.rubble);
        self.stretches.splice(from..to, [Stretch { end, bytes }]);
    }

    /// Has a stretch begin at this byte, which is a multiple of [`CHUNK`] or the end; which one.
    fn cut(&mut self, at: usize) -> usize {
        let index = self.find(at);
        if index == self.stretches.len() || self.start(index) == at {
            return index;
        }
        let (start, stretch) = (self.start(index), &mut self.stretches[index]);
        let tail = stretch.bytes.part(at - start..stretch.bytes.len());
        stretch.bytes = stretch.bytes.part(0..at - start);
        let end = std::mem::replace(&mut stretch.end, at);
        self.stretches.insert(index + 1, Stretch { end, bytes: tail });
        index + 1
    }

    /// What is left of a stretch that was cut holds all of its buffer: it gets one of its own, if that is copied soon.
    fn let_go(&mut self, index: usize) {
        if let Some(Stretch { bytes, .. }) = self.stretches.get_mut(index)
            && !bytes.is_most()
            && bytes.len() <= COPIED
        {
            *bytes = Shared::new(bytes.to_vec(), &self.rubble);
        }
    }

    /// Every invariant.
    #[cfg(test)]
    pub fn check(&self) {
        let mut end = 0;
        for (index, stretch) in self.stretches.iter().enumerate() {
            end += stretch.bytes.len();
            assert!(stretch.end == end && !stretch.bytes.is_empty(), "the ends are sums");
            assert!(end.is_multiple_of(CHUNK) || index + 1 == self.stretches.len(), "few stretches");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_over_is_not_held_by_what_is_left_of_it() {
        let mut long = Long::new(&Rubble::default());
        for step in [0, 1, 2, 3, 10, 7, 20, 0] {
            long.write(step * CHUNK, &shared(vec![step as u8; 16 * CHUNK]));
            assert!(long.stretches.iter().all(|stretch| stretch.bytes.is_most()), "{step}");
        }
        assert_eq!(all(&long).len(), 36 * CHUNK);
    }

    fn shared(bytes: Vec<u8>) -> Bytes<'static> {
        Shared::new(bytes, &Rubble::default()).into()
    }

    fn all(long: &Long) -> Vec<u8> {
        long.check();
        long.bytes(0..long.len()).into_owned()
    }

    /// How many of its bytes do not lie where `other` has the same ones.
    fn apart(long: &Long, other: &Long) -> usize {
        let place = |long: &Long, at: usize| long.pieces(at..at + 1).next().map(|piece| piece.as_ptr());
        (0..long.len()).step_by(1024).filter(|at| place(long, *at) != place(other, *at)).count() * 1024
    }

    #[test]
    fn a_write_copies_a_chunk_of_what_somebody_else_holds_and_nothing_of_its_own() {
        let mut long = Long::new(&Rubble::default());
        long.write(0, &shared(vec![1; 100 * CHUNK + 1000]));
        let held = long.clone();
        long.write(30 * CHUNK + 7, &b"x".into());
        assert_eq!(apart(&held, &long), CHUNK);
        long.write(40 * CHUNK - 1, &b"xy".into());
        assert_eq!(apart(&held, &long), 3 * CHUNK);
        long.write(long.len(), &b"more".into());
        assert!((1000..=1024).contains(&(apart(&held, &long) - 3 * CHUNK)), "its last chunk");
        // As long a string again, which is shared too.
        long.write(long.len(), &shared(vec![2; 50 * CHUNK]));
        assert!(long.stretches.len() < 15 && long.len() == 150 * CHUNK + 1004);
        let alone = long.clone();
        drop((held, std::mem::replace(&mut long, Long::new(&Rubble::default()))));
        long.write(0, &shared(vec![1; 10 * CHUNK]));
        let before = long.clone().pieces(0..1).next().map(|piece| piece.as_ptr());
        long.write(5, &b"x".into());
        assert_eq!(before, long.pieces(0..1).next().map(|piece| piece.as_ptr()), "nobody else holds it");
        drop(alone);
    }

    #[test]
    fn zeros_take_no_memory() {
        let mut long = Long::new(&Rubble::default());
        long.write(1 << 30, &b"x".into());
        assert_eq!((long.len(), long.stretches.len()), ((1 << 30) + 1, (1 << 30) / CHUNK + 1));
        assert!(long.bytes((1 << 30) - 100_000..long.len()).iter().map(|byte| u32::from(*byte)).sum::<u32>() == u32::from(b'x'));
        long.check();
    }

    proptest! {
        #[test]
        fn it_does_what_a_vector_does(steps in prop::collection::vec((0..4u8, 0..6 * CHUNK, 0..3 * CHUNK, any::<u8>()), 1..20)) {
            let (mut long, mut model, mut held) = (Long::new(&Rubble::default()), Vec::new(), Vec::new());
            for (kind, at, length, byte) in steps {
                let at = if kind % 2 == 0 { model.len() } else { at };
                let part = vec![byte; if kind == 2 { length % 100 } else { length }];
                if model.len() > 20 * CHUNK || part.is_empty() {
                    continue;
                }
                super::super::overwrite(&mut model, at, &part);
                long.write(at, &if kind < 2 { shared(part) } else { Bytes::from(part.as_slice()) });
                prop_assert!(all(&long) == model);
                if byte % 3 == 0 {
                    held.push((long.clone(), model.clone()));
                }
                if byte % 5 == 0 {
                    held.pop();
                }
            }
            prop_assert!(held.iter().all(|(long, model)| all(long) == *model));
        }
    }
}
