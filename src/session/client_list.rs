//! The clients beside the one whose command runs.
//!
//! Owns: what a command may ask, tell and do to them. Must not: keep them; the node does.

use super::client::Client;
use crate::types::ConnId;
use crate::values::Shared;

/// The clients beside the one whose command runs.
pub trait ClientList {
    /// Shows every other client, in any order.
    fn visit_others(&self, visit: &mut dyn FnMut(&Client, Buffers));

    /// How many clients there are, the asking one included.
    fn count(&self) -> usize;

    /// Closes those of the other clients that are wanted, when the command at hand has ended; how many they are. What they have not been
    /// sent is lost.
    fn kill(&mut self, is_wanted: &dyn Fn(&Client) -> bool) -> usize;

    /// Sends a client, the asking one or another, a push. It follows the reply at hand. A client that has too much unsent is closed
    /// instead.
    fn push(&mut self, to: ConnId, push: Push<'_>);
}

/// A message for one client, to whom it is sent besides the replies.
#[derive(Clone, Copy)]
pub struct Push<'a> {
    /// Its beginning, as an array in RESP2.
    pub head: &'a [u8],
    /// The rest; of a long message all but that and its CRLF.
    pub tail: &'a [u8],
    /// A long message, which all who get it share.
    pub long: Option<&'a Shared>,
}

impl Push<'_> {
    /// Appends all of it but for the long message, and the CRLF behind that.
    pub fn write_short(&self, out: &mut Vec<u8>, resp3: bool) {
        out.push(if resp3 { b'>' } else { b'*' });
        out.extend_from_slice(&self.head[1..]);
        out.extend_from_slice(self.tail);
    }

    /// Appends all of it.
    pub fn write(&self, out: &mut Vec<u8>, resp3: bool) {
        self.write_short(out, resp3);
        if let Some(long) = self.long {
            out.extend_from_slice(long);
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Bytes held for one client.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Buffers {
    /// Received and not yet run.
    pub input: usize,
    /// Replies not yet sent.
    pub output: usize,
    /// Room for replies that is allocated.
    pub output_room: usize,
}
