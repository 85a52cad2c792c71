//! Writing values: what a key is set to, and changing what it holds.
//!
//! Owns: that whoever walks over the keys, watches them or counts changes is told. Must not: know a type of value, but that there are
//! strings.

use super::dictionary::Position;
use super::{Entry, Expiry, Keyspace};
use crate::types::{Millis, Slot};
use crate::values::{Bytes, Held, KeyHash, Rules, Text, Value, View, WrongType};

impl Keyspace {
    /// Sets a key to a string, whatever it held before.
    pub fn set_string(&mut self, slot: Slot, key: &[u8], value: &[u8], expiry: Expiry, now: Millis) {
        self.put(slot, key, View::Bytes(value), expiry, now);
    }

    /// The same by bytes that may be shared.
    pub fn set_bytes(&mut self, slot: Slot, key: &[u8], value: &Bytes<'_>, expiry: Expiry, now: Millis) {
        match value {
            Bytes::Lent(value) => self.set_string(slot, key, value, expiry, now),
            Bytes::Shared(_) => self.put(slot, key, View::Value(&Text::new(value, &self.rules).into()), expiry, now),
        }
    }

    /// Sets a key to a value, whatever it held before.
    fn put(&mut self, slot: Slot, key: &[u8], value: View<'_>, expiry: Expiry, now: Millis) {
        let hash = self.rules.hasher.hash(key);
        let found = self.find_to_write(slot, hash, key, now);
        self.put_aside(slot, hash, key, found);
        if found.is_none() {
            self.notes.new_key(key);
        }
        let access = self.clock;
        self.change(slot, |dictionary, rules| match found {
            Some(position) => {
                let expiry = expiry.after(dictionary.entry(position).expiry);
                dictionary.replace(position, Entry { key, value, expiry, access }, rules);
            }
            None => dictionary.insert(hash, Entry { key, value, expiry: expiry.after(None), access }, rules),
        });
        self.changed(key);
    }

    /// Adds a key with all that it holds; false, and nothing is done, if the key is there, expired or not.
    pub fn add(&mut self, slot: Slot, entry: Entry<'_>) -> bool {
        let hash = self.rules.hasher.hash(entry.key);
        if self.dictionary(slot).is_some_and(|dictionary| dictionary.find(hash, entry.key).is_some()) {
            return false;
        }
        self.put_aside(slot, hash, entry.key, None);
        self.change(slot, |dictionary, rules| dictionary.insert(hash, entry, rules));
        self.changed(entry.key);
        true
    }

    /// Writes a part of a string from the byte `offset` on, zeros before it if the string is shorter; an absent key is an empty string that
    /// never expires.
    ///
    /// # Errors
    /// The key holds no string; nothing was done.
    pub fn overwrite(&mut self, slot: Slot, key: &[u8], offset: usize, part: &Bytes<'_>, now: Millis) -> Result<(), WrongType> {
        let hash = self.rules.hasher.hash(key);
        let Some(position) = self.find_of_type(slot, hash, key, now, |value| value.string().is_ok())? else {
            let mut text = Text::default();
            text.overwrite(offset, part, &self.rules);
            match text {
                Text::Short(bytes) => self.set_string(slot, key, &bytes, Expiry::Never, now),
                long => self.put(slot, key, View::Value(&long.into()), Expiry::Never, now),
            }
            return Ok(());
        };
        self.put_aside(slot, hash, key, Some(position));
        self.change(slot, |dictionary, rules| dictionary.overwrite(position, offset, part, rules));
        self.changed(key);
        Ok(())
    }

    /// Lets `edit` change the key's value, which is made if the key is not there, and goes with its key if it is empty afterwards. `edit`
    /// answers none if it has changed nothing.
    ///
    /// # Errors
    /// The key holds a value of another type; nothing was done.
    pub fn edit<T, R>(
        &mut self,
        slot: Slot,
        key: &[u8],
        now: Millis,
        edit: impl FnOnce(&mut T, &Rules) -> Option<R>,
    ) -> Result<Option<R>, WrongType>
    where
        T: Held,
        Value: From<T>,
    {
        let hash = self.rules.hasher.hash(key);
        let Some(position) = self.find_of_type(slot, hash, key, now, |value| value.of::<T>().is_ok())? else {
            let mut made = T::default();
            let result = edit(&mut made, &self.rules);
            // A value of some types is never empty.
            if result.is_some() && !made.is_empty() {
                self.put(slot, key, View::Value(&made.into()), Expiry::Never, now);
            }
            return Ok(result);
        };
        self.put_aside(slot, hash, key, Some(position));
        let access = self.clock;
        let (result, is_empty) = self.change(slot, |dictionary, rules| {
            dictionary.touch(position, access);
            dictionary.edit(position, rules, |value| match T::of_mut(value) {
                Some(value) => (edit(value, rules), value.is_empty()),
                None => (None, false),
            })
        });
        if is_empty && let Some(position) = self.dictionary(slot).and_then(|dictionary| dictionary.find(hash, key)) {
            self.change(slot, |dictionary, rules| dictionary.remove(position, rules));
        }
        if result.is_some() {
            self.changed(key);
        }
        Ok(result)
    }

    /// Where a key to be changed stands, if its value is of the right type.
    fn find_of_type(
        &mut self,
        slot: Slot,
        hash: KeyHash,
        key: &[u8],
        now: Millis,
        is_right: impl Fn(View<'_>) -> bool,
    ) -> Result<Option<Position>, WrongType> {
        let found = self.find_to_write(slot, hash, key, now);
        match self.dictionary(slot).zip(found) {
            Some((dictionary, position)) if !is_right(dictionary.entry(position).value) => Err(WrongType),
            _ => Ok(found),
        }
    }
}
