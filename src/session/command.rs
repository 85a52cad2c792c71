//! What a session remembers of a command: which it was, and what it touches.
//!
//! Owns: the names for that. Must not: know a single command; the table of commands does.

use crate::types::Slot;

/// Names a command or subcommand in the table of commands; the same in every process of one build.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CommandId(u16);

impl CommandId {
    /// The one at this place of the table.
    pub const fn new(place: u16) -> Self {
        Self(place)
    }

    /// As an index, below the length of the table.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The slots of a command's keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeySlots {
    /// The first key's slot.
    pub first: Slot,
    /// Another key has another slot.
    pub several: bool,
}

impl KeySlots {
    /// Takes in one more key's slot.
    pub fn add(slots: &mut Option<Self>, slot: Slot) {
        match slots {
            None => *slots = Some(Self { first: slot, several: false }),
            Some(known) => known.several |= known.first != slot,
        }
    }
}

/// What is done with what a slot holds. Of several commands together, the last of these counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Access {
    /// Shard channels are listened to, or published to: no key is touched.
    Channels,
    /// Keys are read at most.
    Read,
    /// Keys are written.
    Write,
}
