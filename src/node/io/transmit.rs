//! Bytes on their way out of one connection.
//!
//! Owns: the buffer between the core, which appends, and the shell, which writes and advances; and the shell's leave to do so.
//! Must not: grow without bound; who appends looks at [`Transmit::len`] first.

/// A turn has succeeded: what its bytes promise is on disk. Only [`Node::turn`](crate::node::Node::turn) makes one, and without one nothing
/// leaves.
/// It is for what follows that turn, and dropped before the next.
#[derive(Debug)]
pub struct Turned(());

impl Turned {
    pub(in crate::node) const fn good() -> Self {
        Self(())
    }
}

/// A buffer written at its end and drained from its start.
#[derive(Debug, Default)]
pub struct Transmit {
    bytes: Vec<u8>,
    /// Everything before it has been written to the socket. Never beyond the end.
    start: usize,
}

/// A drained buffer larger than this gives its memory back: one big reply must not cost its size for ever.
const KEPT_CAPACITY: usize = 16 * 1024;

impl Transmit {
    /// The bytes still to be written.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Notes that the first `count` of them were written.
    pub fn advance(&mut self, count: usize) {
        self.start = (self.start + count).min(self.bytes.len());
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_CAPACITY);
            self.start = 0;
        }
    }

    /// How many bytes are still to be written.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Bytes allocated.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether nothing is left to write.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The end of the buffer, to append to.
    pub fn end(&mut self) -> &mut Vec<u8> {
        // What is moved is less than what was written since it was moved last.
        if self.start > self.len() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        &mut self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_comes_out_in_order_and_memory_is_given_back() {
        let mut transmit = Transmit::default();
        transmit.end().extend_from_slice(&vec![b'a'; 3 * KEPT_CAPACITY]);
        transmit.advance(2 * KEPT_CAPACITY);
        transmit.end().extend_from_slice(b"bc");
        assert_eq!(transmit.len(), KEPT_CAPACITY + 2);
        assert!(transmit.as_slice().ends_with(b"abc"));
        transmit.advance(KEPT_CAPACITY + 2);
        assert!(transmit.is_empty() && transmit.bytes.capacity() <= KEPT_CAPACITY);
    }
}
