//! Bytes on their way out of one connection.
//!
//! Owns: the shell's leave to write what the core appends. Must not: write.

use crate::wire::Chain;

/// The bytes between the core, which appends, and the shell, which writes them and advances.
pub type Transmit = Chain;

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
