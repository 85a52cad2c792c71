//! What the keyspace did without being asked for it by name: keys that it removed because they had expired, keys that a write made.
//!
//! Owns: the notes, in the order in which it happened, kept only while somebody wants them. Must not: know who that is.

use super::{Expired, Keyspace};

/// One thing that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Note {
    /// This key was removed because it had expired.
    Expired(Box<[u8]>),
    /// A write made this key, which was not there.
    New(Box<[u8]>),
}

/// Which notes are kept, besides those of [`Expired::Told`].
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Wanted {
    /// [`Note::Expired`].
    pub expired: bool,
    /// [`Note::New`].
    pub new: bool,
}

#[derive(Default)]
pub(super) struct Notes {
    pub wanted: Wanted,
    kept: Vec<Note>,
}

impl Notes {
    pub fn expired(&mut self, key: &[u8], mode: Expired) {
        if self.wanted.expired || mode == Expired::Told {
            self.kept.push(Note::Expired(key.into()));
        }
    }

    pub fn new_key(&mut self, key: &[u8]) {
        if self.wanted.new {
            self.kept.push(Note::New(key.into()));
        }
    }
}

impl Keyspace {
    /// Which notes are kept from now on.
    pub fn want_notes(&mut self, wanted: Wanted) {
        self.notes.wanted = wanted;
    }

    /// What happened since this was last called. Who has notes kept takes them after each call that may write: they pile up until then.
    pub fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes.kept)
    }
}
