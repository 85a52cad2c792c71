//! Long requests: room for them as they come, and a buffer of their own when they are there.
//!
//! Owns: how the receive buffer of a client, or of the primary's stream, grows beyond what was sent so far, and that a long value is in
//! memory once: whoever keeps an argument of a long request holds the buffer in which it came. Must not: know a command.

use crate::values::{Rubble, Shared};
use crate::wire::Parser;

/// From so many bytes on a request gets the buffer in which it came.
const LONG_REQUEST: usize = 1 << 20;
/// More than the shell reads of one client in a turn: it never has to make room for a long argument.
const READ_ROOM: usize = 96 << 10;

/// The system has no memory for what is to come: it cannot be read, nor what follows.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no memory for a request of {0} bytes")]
pub(in crate::node) struct NoMemory(usize);

/// A request is there in part, at the start of `received`. If its argument at hand is long, makes room for as much again as has come, but
/// for no more than the argument has.
pub(in crate::node) fn make_room(received: &mut Vec<u8>, parser: &Parser) -> Result<(), NoMemory> {
    let (here, awaited) = (received.len(), parser.awaited());
    if awaited < LONG_REQUEST || received.capacity() - here >= READ_ROOM {
        return Ok(());
    }
    let more = awaited.saturating_sub(here).min(here.max(LONG_REQUEST)) + READ_ROOM;
    received.try_reserve_exact(more).map_err(|_| NoMemory(awaited))
}

/// The request that lies in `received` from `start` on and has this length, if it is a long one: `received` is then what follows it.
pub(in crate::node) fn take_long(received: &mut Vec<u8>, start: usize, length: usize, rubble: &Rubble) -> Option<Shared> {
    if length < LONG_REQUEST {
        return None;
    }
    let rest = received.split_off(start + length);
    let mut buffer = std::mem::replace(received, rest);
    buffer.shrink_to_fit();
    Some(Shared::new(buffer, rubble).part(start..start + length))
}

/// The request that was taken is to be read again.
pub(in crate::node) fn put_back(received: &mut Vec<u8>, request: Shared) {
    let mut buffer = request.into_bytes();
    buffer.reserve_exact(received.len());
    buffer.append(received);
    *received = buffer;
}
