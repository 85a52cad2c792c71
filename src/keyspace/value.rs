//! What a key holds, as readers see it and as it is kept.
//!
//! Owns: the types of values. A type that Pontoon learns later is a variant of both enums; every `match` then asks what it means.

use crate::types::Millis;

/// Bytes whose return to the system is as much work as that of a small entry.
const PAGE: usize = 4096;

/// A value as read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value<'a> {
    /// Bytes.
    String(&'a [u8]),
}

impl Value<'_> {
    /// The name that TYPE answers and SCAN's TYPE option takes.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::String(_) => "string",
        }
    }
}

/// A key with all that it holds, as read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Its value.
    pub value: Value<'a>,
    /// The last millisecond of its life on the wall clock, if it ends.
    pub expiry: Option<Millis>,
}

impl Entry<'_> {
    /// True if its life is over: readers must not see it any more.
    pub fn is_expired(&self, now: Millis) -> bool {
        self.expiry.is_some_and(|expiry| super::horizon::is_expired(expiry, now))
    }

    /// What it takes to free it: 1 for most, more for those that fill pages of memory.
    pub(super) fn effort(&self) -> usize {
        let Value::String(value) = self.value;
        1 + (self.key.len() + value.len()) / PAGE
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

/// A value that does not fit into a page, or cannot.
#[derive(Debug)]
pub(super) enum Object {
    String(Vec<u8>),
}

impl Object {
    pub fn read(&self) -> Value<'_> {
        match self {
            Self::String(bytes) => Value::String(bytes),
        }
    }
}

/// An entry by itself, as it lies outside of a page.
#[derive(Debug)]
pub(super) struct Owned {
    pub key: Box<[u8]>,
    pub object: Object,
    pub expiry: Option<Millis>,
}

impl Owned {
    pub fn read(&self) -> Entry<'_> {
        Entry { key: &self.key, value: self.object.read(), expiry: self.expiry }
    }
}

impl From<Entry<'_>> for Owned {
    fn from(entry: Entry<'_>) -> Self {
        let Value::String(value) = entry.value;
        Self { key: entry.key.into(), object: Object::String(value.to_vec()), expiry: entry.expiry }
    }
}
