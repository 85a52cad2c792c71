//! Long arguments: room for them as they come, and one that becomes a value as it is.
//!
//! Owns: how the receive buffer of a client grows beyond what it has sent so far, and that a long value is in memory once. Must not: know a command.
//!
//! The buffer in which a long argument came becomes the value of its key. Where it must be copied besides, for replicas or into a transaction, it is.

use super::Node;
use super::sessions::{Kind, Session};
use crate::commands::{LONG_VALUE, LongValue};
use crate::store::Disk;
use crate::wire::Reply;

/// More than the shell reads of one client in a turn: it never has to make room for a long argument.
const READ_ROOM: usize = 96 << 10;

/// A client's request is there in part. If its argument at hand is long, makes room for as much again as has come, but for no more than the argument has.
/// If the system has no memory for that, what follows cannot be read: the client is told so, and closed.
pub(super) fn make_room(session: &mut Session) {
    let Kind::Client(client) = &session.kind else { return };
    let (here, awaited) = (session.receive.len(), client.parser.awaited());
    if awaited < LONG_VALUE || session.receive.capacity() - here >= READ_ROOM {
        return;
    }
    let more = awaited.saturating_sub(here).min(here.max(LONG_VALUE)) + READ_ROOM;
    if session.receive.try_reserve_exact(more).is_err() {
        let client = &client.client;
        log::warn!("closing client {} at {}: there is no memory for its request of {awaited} bytes", client.id, client.addr);
        Reply::new(session.transmit.end(), false).error("OOM there is no memory for a request of that length");
        session.receive = Vec::new();
        session.closing = true;
    }
}

impl<D: Disk> Node<D> {
    /// A request has run that stood in `received` from `start` to `end`. If a key takes its long argument, the buffer goes to that key, and what follows the request
    /// is what is left; true then.
    pub(super) fn give_long_value(&mut self, session: &mut Session, received: &mut Vec<u8>, start: usize, end: usize) -> bool {
        let Kind::Client(client) = &mut session.kind else { return false };
        let LongValue::Taken { place, slot, key } = std::mem::take(&mut client.client.long_value) else { return false };
        let argument = client.parser.place(place).expect("only an argument that lies in the buffer is as long as that");
        let rest = received.split_off(end);
        let mut value = std::mem::replace(received, rest);
        value.truncate(start + argument.end);
        value.drain(..start + argument.start);
        value.shrink_to_fit();
        self.keyspace.give_string(slot, &key, value);
        true
    }
}
