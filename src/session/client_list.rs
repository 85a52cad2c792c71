//! The clients beside the one whose command runs.
//!
//! Owns: what a command may ask and tell of them. Must not: keep them; the node does.

use super::client::Client;
use crate::types::ConnId;

/// The clients beside the one whose command runs.
pub trait ClientList {
    /// Shows every other client, in any order.
    fn visit_others(&self, visit: &mut dyn FnMut(&Client, Buffers));

    /// How many clients there are, the asking one included.
    fn count(&self) -> usize;

    /// Sends a client, the asking one or another, a push: `head`, which begins as an array in RESP2, and then `tail`.
    /// It follows the reply at hand. A client that has too much unsent is closed instead.
    fn push(&mut self, to: ConnId, head: &[u8], tail: &[u8]);
}

/// Bytes held for one client.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Buffers {
    /// Received and not yet run.
    pub input: usize,
    /// Replies not yet sent.
    pub output: usize,
}
