//! Long arguments: room for them as they come, and one that becomes a value as it is.
//!
//! Owns: how the receive buffer of a client, or of the primary's stream, grows beyond what was sent so far, and that a long value is in
//! memory once. Must not: know a command.
//!
//! The buffer in which a long argument came becomes the value of its key. Where it must be copied besides, for replicas or into a
//! transaction, it is.

use crate::keyspace::Keyspace;
use crate::session::{Client, LONG_VALUE, LongValue};
use crate::wire::Parser;

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
    if awaited < LONG_VALUE || received.capacity() - here >= READ_ROOM {
        return Ok(());
    }
    let more = awaited.saturating_sub(here).min(here.max(LONG_VALUE)) + READ_ROOM;
    received.try_reserve_exact(more).map_err(|_| NoMemory(awaited))
}

/// A request has run that this parser has found in `received` from `start` to `end`. If a key takes its long argument, the buffer goes to
/// that key, and what follows the request is what is left; true then.
pub(in crate::node) fn give_long_value(
    keyspace: &mut Keyspace,
    client: &mut Client,
    parser: &Parser,
    received: &mut Vec<u8>,
    start: usize,
    end: usize,
) -> bool {
    let LongValue::Taken { place, slot, key } = std::mem::take(&mut client.long_value) else { return false };
    let argument = parser.place(place).expect("only an argument that lies in the buffer is as long as that");
    let rest = received.split_off(end);
    let mut value = std::mem::replace(received, rest);
    value.truncate(start + argument.end);
    value.shrink_to_fit();
    keyspace.give_string(slot, &key, value, start + argument.start);
    true
}
