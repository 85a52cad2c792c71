//! A key with all that it holds, as readers see it.
//!
//! Owns: what an entry consists of. Must not: know a type of value, but that short strings lie with their keys.

use super::Access;
use crate::types::Millis;
use crate::values::View;

/// Bytes whose return to the system is as much work as that of a small entry.
const PAGE: usize = 4096;
/// More than this is freed by itself.
const SLICED: usize = 1 << 20;

/// A key with all that it holds, as read.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Its value.
    pub value: View<'a>,
    /// The last millisecond of its life on the wall clock, if it ends.
    pub expiry: Option<Millis>,
    /// When it was used last.
    pub access: Access,
}

impl<'a> Entry<'a> {
    /// A string, which was never used.
    pub fn string(key: &'a [u8], bytes: &'a [u8], expiry: Option<Millis>) -> Self {
        Self { key, value: View::Bytes(bytes), expiry, access: Access::default() }
    }

    /// True if its life is over: readers must not see it any more.
    pub fn is_expired(&self, now: Millis) -> bool {
        self.expiry.is_some_and(|expiry| super::horizon::is_expired(expiry, now))
    }

    /// What it takes to free it: 1 for most, more for those that fill pages of memory. What is large is freed by itself (see
    /// `values::Rubble`).
    pub(super) fn effort(&self) -> usize {
        1 + (self.key.len() + self.value.cost().min(SLICED)) / PAGE
    }
}

/// What becomes of keys whose life is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expired {
    /// They are removed when they are found.
    Removed,
    /// They are removed when they are found, and noted ([`super::Note::Expired`]).
    Told,
    /// They are absent for readers, and stay in their places until somebody else says that they are removed.
    Kept,
}

/// What a write does to a key's time to live.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expiry {
    /// The key keeps the one it has.
    Keep,
    /// The key lives for ever.
    Never,
    /// The last millisecond of its life on the wall clock.
    At(Millis),
}

impl Expiry {
    /// The expiry of a key that had `old`.
    pub(super) fn after(self, old: Option<Millis>) -> Option<Millis> {
        match self {
            Self::Keep => old,
            Self::Never => None,
            Self::At(expiry) => Some(expiry),
        }
    }
}
