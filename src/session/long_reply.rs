//! A reply that is written over several turns: the strings of a large value, as they were when the command ran.
//!
//! Owns: the value, by a clone that shares it, how far it is written, and what is to follow it. Must not: know which command it answers.

use crate::values::{Parts, Place, Value};
use crate::wire::Reply;

/// See the module.
#[derive(Debug)]
pub struct LongReply {
    value: Value,
    parts: Parts,
    from: Place,
    /// Pushes for the client, which may not stand within a reply.
    pub after: Vec<u8>,
}

impl LongReply {
    /// These parts of a value. The reply's header is written already.
    pub fn new(value: Value, parts: Parts) -> Self {
        Self { value, parts, from: Place::default(), after: Vec::new() }
    }

    /// Writes about `budget` bytes more; true if those were the last.
    pub fn go_on(&mut self, budget: usize, reply: &mut Reply<'_>) -> bool {
        match self.value.walk(self.from, self.parts, budget, &mut |piece| {
            reply.piece(piece.begins().then_some(piece.length), piece.bytes, piece.ends())
        }) {
            Some(place) => self.from = place,
            None => {
                reply.pushes(&self.after);
                return true;
            }
        }
        false
    }
}
