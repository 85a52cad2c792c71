//! Bytes on their way, in order: most lie in one buffer, and what is long in stretches that are shared.
//!
//! Owns: their order. Must not: copy what is shared, or grow without bound: who appends looks at [`Chain::len`] first.

use crate::values::{Bytes, Shared};
use std::collections::VecDeque;

/// A drained buffer larger than this gives its memory back: one big reply must not cost its size for ever.
const KEPT_CAPACITY: usize = 16 * 1024;

/// Written at its end and taken from its start.
#[derive(Debug, Default)]
pub struct Chain {
    bytes: Vec<u8>,
    /// Everything before it has been taken. Never beyond the end, nor beyond the first stretch's place.
    start: usize,
    shared: Stretches,
}

/// The stretches among the bytes of a chain.
#[derive(Debug, Default)]
pub(super) struct Stretches {
    /// Each with the number of bytes in the buffer that come before it.
    list: VecDeque<(usize, Shared)>,
    /// How many bytes they have.
    len: usize,
}

impl Stretches {
    /// This comes behind so many bytes of the buffer.
    pub fn push(&mut self, at: usize, bytes: Shared) {
        self.len += bytes.len();
        self.list.push_back((at, bytes));
    }
}

impl Chain {
    /// The next bytes, as many as lie together; none only if it is empty.
    pub fn as_slice(&self) -> &[u8] {
        match self.shared.list.front() {
            None => &self.bytes[self.start..],
            Some((at, shared)) if *at == self.start => shared,
            Some((at, _)) => &self.bytes[self.start..*at],
        }
    }

    /// The first `count` bytes were taken.
    pub fn advance(&mut self, count: usize) {
        let mut left = count.min(self.len());
        while let Some((at, shared)) = self.shared.list.front_mut() {
            let before = left.min(*at - self.start);
            let now = (left - before).min(shared.len());
            (self.start, self.shared.len, left) = (self.start + before, self.shared.len - now, left - before - now);
            if self.start < *at || now < shared.len() {
                *shared = shared.part(now..shared.len());
                return;
            }
            self.shared.list.pop_front();
        }
        self.start += left;
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_CAPACITY);
            self.start = 0;
        }
    }

    /// Gives all of it away, piece by piece.
    pub fn drain(&mut self, mut take: impl FnMut(Bytes<'_>)) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut from = std::mem::take(&mut self.start);
        for (at, shared) in std::mem::take(&mut self.shared).list {
            take(bytes[from..at].into());
            take(shared.into());
            from = at;
        }
        take(bytes[from..].into());
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start + self.shared.len
    }

    /// Bytes allocated for it alone.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The end, to append bytes to.
    pub fn end(&mut self) -> &mut Vec<u8> {
        self.ends().0
    }

    /// The same, and where to put stretches.
    pub(super) fn ends(&mut self) -> (&mut Vec<u8>, &mut Stretches) {
        // What is moved is less than what was taken since it was moved last.
        if self.start > self.len() {
            self.bytes.drain(..self.start);
            self.shared.list.iter_mut().for_each(|(at, _)| *at -= self.start);
            self.start = 0;
        }
        (&mut self.bytes, &mut self.shared)
    }

    /// Appends these.
    pub fn push(&mut self, bytes: Bytes<'_>) {
        let (end, shared) = self.ends();
        match bytes {
            Bytes::Lent(bytes) => end.extend_from_slice(bytes),
            Bytes::Shared(bytes) => shared.push(end.len(), bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::Rubble;
    use proptest::prelude::*;

    #[test]
    fn what_is_appended_comes_out_in_order_and_memory_is_given_back() {
        let mut chain = Chain::default();
        chain.end().extend_from_slice(&vec![b'a'; 3 * KEPT_CAPACITY]);
        chain.advance(2 * KEPT_CAPACITY);
        chain.end().extend_from_slice(b"bc");
        assert_eq!(chain.len(), KEPT_CAPACITY + 2);
        assert!(chain.as_slice().ends_with(b"abc"));
        chain.advance(KEPT_CAPACITY + 2);
        assert!(chain.is_empty() && chain.bytes.capacity() <= KEPT_CAPACITY);
    }

    proptest! {
        #[test]
        fn shared_stretches_keep_their_places(steps in prop::collection::vec((0..3u8, 0..300usize), 1..100)) {
            let (mut chain, mut model, mut byte) = (Chain::default(), VecDeque::new(), 0u8);
            for (kind, count) in steps {
                byte = byte.wrapping_add(1);
                let bytes = vec![byte; count];
                match kind {
                    0 => {
                        let count = count.min(chain.as_slice().len());
                        prop_assert!(chain.as_slice()[..count].iter().eq(model.drain(..count).collect::<Vec<_>>().iter()));
                        chain.advance(count);
                        continue;
                    }
                    1 => chain.push(bytes.as_slice().into()),
                    _ if count > 0 => chain.push(Shared::new(bytes, &Rubble::default()).into()),
                    _ => continue,
                }
                model.extend(std::iter::repeat_n(byte, count));
                prop_assert_eq!(chain.len(), model.len());
                prop_assert_eq!(chain.as_slice().is_empty(), model.is_empty());
            }
            let mut rest = Vec::new();
            chain.drain(|bytes| rest.extend_from_slice(&bytes));
            prop_assert!(rest.iter().eq(&model) && chain.is_empty());
        }
    }
}
