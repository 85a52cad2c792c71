//! Stretches of buffers that are shared by count: what is long is held by several at once, not copied.
//!
//! Owns: the buffers, none of which changes while somebody else holds a stretch of it; large ones are freed in slices. Must not: know what
//! the bytes are.

use super::Rubble;
use std::ops::{Deref, Range};
use std::rc::Rc;

/// A stretch of a buffer. A clone is the same stretch.
#[derive(Clone, Debug)]
pub struct Shared {
    buffer: Rc<Buffer>,
    start: usize,
    end: usize,
}

#[derive(Debug)]
struct Buffer {
    bytes: Vec<u8>,
    rubble: Rubble,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.rubble.free(std::mem::take(&mut self.bytes));
    }
}

impl Deref for Shared {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer.bytes[self.start..self.end]
    }
}

impl Shared {
    /// All of this buffer. What is large leaves itself in the rubble when nobody holds it any more.
    pub fn new(bytes: Vec<u8>, rubble: &Rubble) -> Self {
        let end = bytes.len();
        Self { buffer: Rc::new(Buffer { bytes, rubble: rubble.clone() }), start: 0, end }
    }

    /// A part of it, by the same buffer.
    pub fn part(&self, range: Range<usize>) -> Self {
        let (start, end) = (self.start + range.start, self.start + range.end);
        assert!(start <= end && end <= self.end, "a part lies within the stretch");
        Self { buffer: self.buffer.clone(), start, end }
    }

    /// Memory that its buffer takes, in bytes.
    pub fn cost(&self) -> usize {
        size_of::<Buffer>() + self.buffer.bytes.capacity()
    }

    /// Whether this stretch is most of its buffer, so that to keep it wastes little.
    pub fn is_most(&self) -> bool {
        self.len() >= self.buffer.bytes.capacity() / 2
    }

    /// The bytes by themselves: copied only if somebody else holds some of the buffer, or this is not all of it.
    pub fn into_bytes(self) -> Vec<u8> {
        if self.start > 0 || self.end < self.buffer.bytes.len() || Rc::strong_count(&self.buffer) > 1 {
            return self.to_vec();
        }
        Rc::into_inner(self.buffer).map(|mut buffer| std::mem::take(&mut buffer.bytes)).unwrap_or_default()
    }

    /// It, to be changed, if nobody else holds any of its buffer.
    pub(super) fn get_mut(&mut self) -> Option<&mut [u8]> {
        Rc::get_mut(&mut self.buffer).map(|buffer| &mut buffer.bytes[self.start..self.end])
    }

    /// How many bytes it could be longer by without moving, as far as it ends its buffer.
    pub(super) fn spare(&self) -> usize {
        if self.end == self.buffer.bytes.len() { self.buffer.bytes.capacity() - self.end } else { 0 }
    }

    /// Goes on with these bytes, if it has the room for them and nobody else holds any of its buffer.
    pub(super) fn extend(&mut self, bytes: &[u8]) -> bool {
        let fits = bytes.len() <= self.spare();
        let Some(buffer) = Rc::get_mut(&mut self.buffer).filter(|_| fits) else { return false };
        buffer.bytes.extend_from_slice(bytes);
        self.end += bytes.len();
        true
    }
}

/// Bytes that somebody is given: to be copied, or to be shared.
#[derive(Clone, Debug)]
pub enum Bytes<'a> {
    /// Who wants to keep them copies them.
    Lent(&'a [u8]),
    /// A long stretch.
    Shared(Shared),
}

impl<'a> From<&'a [u8]> for Bytes<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Lent(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Bytes<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::Lent(bytes)
    }
}

impl From<Shared> for Bytes<'_> {
    fn from(shared: Shared) -> Self {
        Self::Shared(shared)
    }
}

impl Deref for Bytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Lent(bytes) => bytes,
            Self::Shared(shared) => shared,
        }
    }
}
