//! What MULTI has begun, and an EXEC on its way.
//!
//! Owns: the queue, and what its commands touch together. Must not: check or run a command.

use super::command::{Access, CommandId, KeySlots};
use crate::wire::OwnedArgs;

/// What MULTI has begun.
#[derive(Debug, Default)]
pub struct Transaction {
    queue: Vec<Queued>,
    /// The slots of all keys and shard channels in the queue.
    slots: Option<KeySlots>,
    /// What is done with them, or with keys of any slot.
    access: Option<Access>,
    /// A command was refused: EXEC will discard everything.
    aborted: bool,
    /// Bytes held by the queue.
    bytes: usize,
}

/// A checked command that waits for EXEC.
#[derive(Debug)]
pub struct Queued {
    /// Which.
    pub id: CommandId,
    /// What it does with what its slot holds.
    pub access: Access,
    /// Its arguments, the name first.
    pub args: OwnedArgs,
}

impl Transaction {
    /// How many commands are queued.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none is queued yet.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Which are queued, in order.
    pub fn commands(&self) -> impl Iterator<Item = CommandId> {
        self.queue.iter().map(|queued| queued.id)
    }

    /// Whether a queued command is a write.
    pub fn writes(&self) -> bool {
        self.access == Some(Access::Write)
    }

    /// Bytes held by the queue.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether EXEC will discard everything.
    pub fn is_aborted(&self) -> bool {
        self.aborted
    }

    /// The slots of the whole queue, and what is done with them; none if it touches none, or will not run.
    pub fn touches(&self) -> Option<(KeySlots, Access)> {
        Some((self.slots?, self.access?)).filter(|_| !self.aborted)
    }

    /// Queues a checked command, which touches these slots.
    pub fn push(&mut self, queued: Queued, slots: Option<KeySlots>) {
        self.bytes += queued.args.size() + size_of::<Queued>();
        if slots.is_some() || queued.access == Access::Write {
            self.access = self.access.max(Some(queued.access));
        }
        if let Some(slots) = slots {
            KeySlots::add(&mut self.slots, slots.first);
        }
        self.queue.push(queued);
    }

    /// Makes EXEC discard everything; what was queued can go at once.
    pub fn abort(&mut self) {
        *self = Self { aborted: true, ..Self::default() };
    }

    /// What EXEC runs.
    pub fn into_execution(self) -> Execution {
        Execution { rest: self.queue.into_iter() }
    }
}

/// An EXEC whose command at hand runs, or is suspended.
#[derive(Debug)]
pub struct Execution {
    rest: std::vec::IntoIter<Queued>,
}

impl Execution {
    /// The next command to run.
    pub fn next_command(&mut self) -> Option<Queued> {
        self.rest.next()
    }
}
