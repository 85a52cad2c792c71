//! A value as a sequence of strings, in slices.
//!
//! Owns: how a walk over a value remembers where it is, and cutting long strings. Must not: know a type.

use crate::rdb::Output;

/// A string is told in pieces of so many bytes, if it is longer than `WHOLE`.
pub const SLICE: usize = 64 << 10;
/// The longest string that is never cut: longer ones are not compressed in RDBs, for that would take too long.
pub const WHOLE: usize = 256 << 10;

/// Where a walk over a value goes on. The default is the beginning. What the parts and items are is the type's to say.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Place {
    /// The part of the value.
    pub part: usize,
    /// The item of that part.
    pub item: usize,
    /// How many bytes of that item have been told.
    pub byte: usize,
}

/// Items of a pair: its field and its value, or the like.
pub const PAIR: usize = 2;

/// What of each pair is told, where a value consists of pairs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parts {
    /// The field.
    Fields,
    /// Its value.
    Values,
    /// The field, then its value.
    Both,
}

impl Parts {
    /// Whether this item of a pair is told.
    pub fn takes(self, item: usize) -> bool {
        match self {
            Self::Both => true,
            Self::Fields => item.is_multiple_of(PAIR),
            Self::Values => !item.is_multiple_of(PAIR),
        }
    }
}

/// A string, or a stretch of a long one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece<'a> {
    /// These bytes of it.
    pub bytes: &'a [u8],
    /// How many bytes were before.
    pub at: usize,
    /// Bytes of all of it.
    pub length: usize,
}

impl<'a> Piece<'a> {
    /// The stretch of `string` that is to be told after so many bytes of it.
    pub fn of(string: &'a [u8], at: usize) -> Self {
        let length = string.len();
        let end = if length <= WHOLE { length } else { length.min(at + SLICE) };
        Self { bytes: &string[at..end], at, length }
    }

    /// Whether the string begins with it.
    pub fn begins(&self) -> bool {
        self.at == 0
    }

    /// Whether the string ends with it.
    pub fn ends(&self) -> bool {
        self.at + self.bytes.len() == self.length
    }

    /// Writes it as a string of an RDB.
    pub fn save(&self, out: &mut Output<'_>) {
        match (self.begins(), self.ends()) {
            (true, true) => out.string(self.bytes),
            (true, false) => {
                out.length(self.length);
                out.raw(self.bytes);
            }
            (false, _) => out.raw(self.bytes),
        }
    }
}
