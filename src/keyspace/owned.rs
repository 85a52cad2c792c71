//! An entry by itself, as it lies outside of a page.
//!
//! Owns: its two forms. A string that is not long lies in one allocation with its key: whoever has compared the key has what it looks for
//! at hand, and waits for memory once. Any other value is one by itself. Must not: know of tags and buckets.

use super::Access;
use super::value::Entry;
use crate::types::Millis;
use crate::values::{Bytes, LONG, Rules, Str, Value, View, overwrite};

/// See the module.
#[derive(Clone, Debug)]
pub(super) enum Owned {
    /// `expiry: u64 little endian`, `key length: u32 little endian`, `access: 3 bytes`, key, value. No expiry is `Millis::MAX`.
    String(Vec<u8>),
    /// What is no string, or a long one.
    Value(Box<Single>),
}

/// A key whose value is one by itself.
#[derive(Clone, Debug)]
pub(super) struct Single {
    key: Box<[u8]>,
    value: Value,
    expiry: Option<Millis>,
    access: Access,
}

/// Where in a string's form what stands.
const LENGTH: usize = size_of::<Millis>();
const ACCESS: usize = LENGTH + size_of::<u32>();
const KEY: usize = ACCESS + Access::SIZE;

impl Owned {
    pub fn of(entry: Entry<'_>, rules: &Rules) -> Self {
        match (entry.value.string(), u32::try_from(entry.key.len())) {
            (Ok(Str::Short(value)), Ok(length)) if value.len() < LONG => {
                let mut bytes = Vec::with_capacity(KEY + entry.key.len() + value.len());
                bytes.extend_from_slice(&entry.expiry.unwrap_or(Millis::MAX).to_le_bytes());
                bytes.extend_from_slice(&length.to_le_bytes());
                bytes.extend_from_slice(&entry.access.to_bytes());
                bytes.extend_from_slice(entry.key);
                bytes.extend_from_slice(value);
                Self::String(bytes)
            }
            _ => Self::Value(Box::new(Single::of(entry, rules))),
        }
    }

    pub fn key(&self) -> &[u8] {
        match self {
            Self::String(bytes) => &bytes[KEY..value_start(bytes)],
            Self::Value(single) => &single.key,
        }
    }

    pub fn read(&self) -> Entry<'_> {
        match self {
            Self::String(bytes) => {
                let (key, value) = bytes[KEY..].split_at(value_start(bytes) - KEY);
                let expiry = Some(Millis::from_le_bytes(word(bytes, 0))).filter(|expiry| *expiry < Millis::MAX);
                Entry { key, value: View::Bytes(value), expiry, access: Access::from_bytes(word(bytes, ACCESS)) }
            }
            Self::Value(single) => {
                let Single { key, value, expiry, access } = &**single;
                Entry { key, value: View::Value(value), expiry: *expiry, access: *access }
            }
        }
    }

    /// Memory that it takes, in bytes.
    pub fn cost(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::String(bytes) => bytes.capacity(),
                Self::Value(single) => size_of::<Single>() + single.key.len() + single.value.cost(),
            }
    }

    /// It was used.
    pub fn touch(&mut self, access: Access) {
        match self {
            Self::String(bytes) => bytes[ACCESS..KEY].copy_from_slice(&access.to_bytes()),
            Self::Value(single) => single.access = access,
        }
    }

    pub fn set_expiry(&mut self, expiry: Option<Millis>) {
        match self {
            Self::String(bytes) => bytes[..LENGTH].copy_from_slice(&expiry.unwrap_or(Millis::MAX).to_le_bytes()),
            Self::Value(single) => single.expiry = expiry,
        }
    }

    /// Becomes an entry with the same key, in the room that it has if that fits.
    pub fn replace(&mut self, entry: Entry<'_>, rules: &Rules) {
        match (&mut *self, entry.value) {
            (Self::String(bytes), View::Bytes(value)) if value.len() < LONG => {
                bytes.truncate(value_start(bytes));
                bytes.extend_from_slice(value);
                bytes.shrink_to(bytes.len() * 2);
                self.touch(entry.access);
                self.set_expiry(entry.expiry);
            }
            _ => *self = Self::of(entry, rules),
        }
    }

    /// Lets `edit` change the value.
    pub fn edit<R>(&mut self, rules: &Rules, edit: impl FnOnce(&mut Value) -> R) -> R {
        if let Self::String(_) = self {
            *self = Self::Value(Box::new(Single::of(self.read(), rules)));
        }
        match self {
            Self::Value(single) => edit(&mut single.value),
            Self::String(_) => unreachable!("it was made a value by itself"),
        }
    }

    /// Writes a part of the string from this byte of it on (see [`crate::values::Text::overwrite`]); nothing happens if it is none.
    pub fn overwrite(&mut self, offset: usize, part: &Bytes<'_>, rules: &Rules) {
        match self {
            Self::String(bytes) if offset + part.len() < LONG => overwrite(bytes, value_start(bytes) + offset, part),
            _ => self.edit(rules, |value| {
                if let Value::String(text) = value {
                    text.overwrite(offset, part, rules);
                }
            }),
        }
    }
}

/// Where in a string's form its value begins.
fn value_start(bytes: &[u8]) -> usize {
    KEY + u32::from_le_bytes(word(bytes, LENGTH)) as usize
}

fn word<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut word = [0; N];
    word.copy_from_slice(&bytes[at..at + N]);
    word
}

impl Single {
    fn of(entry: Entry<'_>, rules: &Rules) -> Self {
        Self { key: entry.key.into(), value: entry.value.to_value(rules), expiry: entry.expiry, access: entry.access }
    }
}
