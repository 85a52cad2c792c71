//! The keys and their values: a dictionary a slot, made when first used.
//!
//! Owns: lookup, expiry, scans, which keys are watched, and memory that is thin for small keys and never given or taken in one long pause.
//! Must not: read a clock (the wall clock's `now` is an argument), know clients or commands, or let the order of a random map out.
//! Contract: docs/architecture.md, "Keyspace".
//!
//! Every call names the slot with the key: commands know it already. An expired key is absent for every call that is given `now`;
//! the calls that may write remove it on the way, unless only a primary may say so ([`Expired`]). Nothing has expired at `now` 0.

mod bucket;
mod dictionary;
mod hash;
mod horizon;
mod lean;
mod notes;
mod record;
mod slot;
mod snapshots;
mod tag;
mod value;
mod walks;
mod watch;

pub use notes::{Note, Wanted};
pub use slot::key_slot;
pub use snapshots::{WalkId, WalkStep};
pub use value::{Entry, Expired, Expiry, Value};
pub use watch::Version;

use crate::rng::Rng;
use crate::types::{Millis, SLOT_COUNT, Slot};
use dictionary::{Dictionary, Position};
use hash::{Hash, Hasher};
use horizon::Horizon;
use notes::Notes;
use snapshots::Snapshots;
use watch::Watches;

/// See the module.
pub struct Keyspace {
    hasher: Hasher,
    /// One a slot; none of them is empty.
    slots: Box<[Option<Box<Dictionary>>]>,
    /// The sum of their lengths.
    len: usize,
    /// The sum of their entries that expire.
    volatile: usize,
    /// Bounds every entry's expiry.
    horizon: Horizon,
    /// Where the walk for expired keys goes on: this slot, this bucket.
    walk: (u16, usize),
    /// How many keys were removed because they had expired.
    expired: u64,
    expired_keys: Expired,
    notes: Notes,
    /// How many changes of keys there were.
    dirty: u64,
    /// Dictionaries that were cleared, to be freed piece by piece.
    rubble: Vec<Dictionary>,
    watches: Watches,
    /// Walks over the keys as they were at one moment.
    snapshots: Snapshots,
    /// For picking keys at random.
    rng: Rng,
}

impl Keyspace {
    /// An empty keyspace. The seed keys its hash: it must be one that nobody outside can guess.
    pub fn new(seed: u64) -> Self {
        Self {
            hasher: Hasher::new(seed),
            slots: (0..SLOT_COUNT).map(|_| None).collect(),
            len: 0,
            volatile: 0,
            horizon: Horizon::default(),
            walk: (0, 0),
            expired: 0,
            expired_keys: Expired::Removed,
            notes: Notes::default(),
            dirty: 0,
            rubble: Vec::new(),
            watches: Watches::default(),
            snapshots: Snapshots::default(),
            rng: Rng::new(!seed),
        }
    }

    /// Number of keys, expired ones that nobody has looked at included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there is no key.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of keys that expire.
    pub fn volatile_len(&self) -> usize {
        self.volatile
    }

    /// How many keys were removed so far because they had expired.
    pub fn expired_count(&self) -> u64 {
        self.expired
    }

    /// Counts every change of a key by a command since the start: one more each time that a key is written, removed or cleared. A key that expires is
    /// not changed by whoever finds it, and does not count.
    pub fn dirty(&self) -> u64 {
        self.dirty
    }

    /// What becomes of expired keys from now on.
    pub fn set_expired(&mut self, expired: Expired) {
        self.expired_keys = expired;
    }

    /// Number of keys in a slot, as [`Keyspace::len`].
    pub fn count_in_slot(&self, slot: Slot) -> usize {
        self.dictionary(slot).map_or(0, Dictionary::len)
    }

    /// The keys of a slot, in no order.
    pub fn keys_in_slot(&self, slot: Slot) -> impl Iterator<Item = &[u8]> {
        self.entries_in_slot(slot).map(|entry| entry.key)
    }

    /// What a slot holds, in no order.
    pub fn entries_in_slot(&self, slot: Slot) -> impl Iterator<Item = Entry<'_>> {
        self.dictionary(slot).into_iter().flat_map(Dictionary::entries)
    }

    fn dictionary(&self, slot: Slot) -> Option<&Dictionary> {
        self.slots[slot.index()].as_deref()
    }

    /// The key's value.
    pub fn get(&mut self, slot: Slot, key: &[u8], now: Millis) -> Option<Value<'_>> {
        self.entry(slot, key, now).map(|entry| entry.value)
    }

    /// True if the key is there.
    pub fn exists(&mut self, slot: Slot, key: &[u8], now: Millis) -> bool {
        self.entry(slot, key, now).is_some()
    }

    /// The key's value and expiry.
    pub fn entry(&mut self, slot: Slot, key: &[u8], now: Millis) -> Option<Entry<'_>> {
        let position = self.find_alive(slot, self.hasher.hash(key), key, now)?;
        self.dictionary(slot).map(|dictionary| dictionary.entry(position))
    }

    /// Where a key stands; one that has expired is absent, and removed if that is up to this node.
    fn find_alive(&mut self, slot: Slot, hash: Hash, key: &[u8], now: Millis) -> Option<Position> {
        debug_assert_eq!(slot, key_slot(key), "the caller computes a key's slot from the key");
        let dictionary = self.dictionary(slot)?;
        let position = dictionary.find(hash, key)?;
        if dictionary.entry(position).is_expired(now) {
            if self.expired_keys != Expired::Kept {
                self.expired += 1;
                self.remove_at(slot, hash, position, key);
                self.notes.expired(key, self.expired_keys);
            }
            return None;
        }
        Some(position)
    }

    /// As [`Keyspace::find_alive`], to change the key: an expired one that is kept is still in its place.
    fn find_to_write(&mut self, slot: Slot, hash: Hash, key: &[u8], now: Millis) -> Option<Position> {
        let now = if self.expired_keys == Expired::Kept { 0 } else { now };
        self.find_alive(slot, hash, key, now)
    }

    /// Sets a key to a string, whatever it held before.
    pub fn set_string(&mut self, slot: Slot, key: &[u8], value: &[u8], expiry: Expiry, now: Millis) {
        let hash = self.hasher.hash(key);
        let found = self.find_to_write(slot, hash, key, now);
        self.put_aside(slot, hash, key, found);
        if found.is_none() {
            self.notes.new_key(key);
        }
        let hasher = self.hasher;
        self.change(slot, |dictionary| match found {
            Some(position) => {
                let expiry = expiry.after(dictionary.entry(position).expiry);
                dictionary.replace(position, key, value, expiry);
            }
            None => dictionary.insert(hash, Entry { key, value: Value::String(value), expiry: expiry.after(None) }, &hasher),
        });
        self.changed(key);
    }

    /// Adds a key with all that it holds; false, and nothing is done, if the key is there, expired or not.
    pub fn add(&mut self, slot: Slot, entry: Entry<'_>) -> bool {
        let hash = self.hasher.hash(entry.key);
        if self.dictionary(slot).is_some_and(|dictionary| dictionary.find(hash, entry.key).is_some()) {
            return false;
        }
        self.put_aside(slot, hash, entry.key, None);
        let hasher = self.hasher;
        self.change(slot, |dictionary| dictionary.insert(hash, entry, &hasher));
        self.changed(entry.key);
        true
    }

    /// Lets `edit` change the bytes of a string, in place if they are many; an absent key is an empty string that never expires.
    pub fn edit_string<R>(&mut self, slot: Slot, key: &[u8], now: Millis, edit: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let hash = self.hasher.hash(key);
        let found = self.find_to_write(slot, hash, key, now);
        self.put_aside(slot, hash, key, found);
        let result = match found {
            Some(position) => self.change(slot, |dictionary| dictionary.edit(position, edit)),
            None => {
                self.notes.new_key(key);
                let mut bytes = Vec::new();
                let result = edit(&mut bytes);
                let hasher = self.hasher;
                self.change(slot, |dictionary| dictionary.insert(hash, Entry { key, value: Value::String(&bytes), expiry: None }, &hasher));
                result
            }
        };
        self.changed(key);
        result
    }

    /// Gives a key that has just been set to an empty string these bytes for its own, so that a long value is not copied: no change beside that one. Nothing happens
    /// if the key is gone.
    pub fn give_string(&mut self, slot: Slot, key: &[u8], bytes: Vec<u8>) {
        if let Some(position) = self.find_alive(slot, self.hasher.hash(key), key, 0) {
            self.change(slot, |dictionary| dictionary.edit(position, |old| *old = bytes));
        }
    }

    /// Gives the key a time to live, or takes it away; false if the key is not there.
    pub fn set_expiry(&mut self, slot: Slot, key: &[u8], expiry: Option<Millis>, now: Millis) -> bool {
        let hash = self.hasher.hash(key);
        let Some(position) = self.find_to_write(slot, hash, key, now) else { return false };
        self.put_aside(slot, hash, key, Some(position));
        self.change(slot, |dictionary| dictionary.set_expiry(position, expiry));
        self.changed(key);
        true
    }

    /// Removes the key; false if it was not there.
    pub fn remove(&mut self, slot: Slot, key: &[u8], now: Millis) -> bool {
        let hash = self.hasher.hash(key);
        let Some(position) = self.find_to_write(slot, hash, key, now) else { return false };
        self.remove_at(slot, hash, position, key);
        self.dirty += 1;
        true
    }

    fn remove_at(&mut self, slot: Slot, hash: Hash, position: Position, key: &[u8]) {
        self.put_aside(slot, hash, key, Some(position));
        self.change(slot, |dictionary| dictionary.remove(position));
        self.watches.touch(key);
    }

    /// Before a key changes: walks that have not come to it yet keep what it holds.
    fn put_aside(&mut self, slot: Slot, hash: Hash, key: &[u8], found: Option<Position>) {
        if self.snapshots.is_empty() {
            return;
        }
        let old = self.slots[slot.index()].as_deref().zip(found).map(|(dictionary, position)| dictionary.entry(position));
        self.snapshots.put_aside(slot, hash, key, old);
    }

    /// After a key was written.
    fn changed(&mut self, key: &[u8]) {
        self.dirty += 1;
        self.watches.touch(key);
    }

    /// Changes a slot's dictionary, making it before and dropping it afterwards if it is empty, and keeps the totals.
    fn change<R>(&mut self, slot: Slot, change: impl FnOnce(&mut Dictionary) -> R) -> R {
        let place = &mut self.slots[slot.index()];
        let dictionary = place.get_or_insert_with(|| Box::new(Dictionary::new()));
        let (len, volatile) = (dictionary.len(), dictionary.volatile());
        let result = change(dictionary);
        self.len = self.len + dictionary.len() - len;
        self.volatile = self.volatile + dictionary.volatile() - volatile;
        self.horizon.note(dictionary.horizon().soonest());
        if dictionary.len() == 0 {
            *place = None;
        }
        result
    }

    /// Begins to watch a key for a transaction. Each call is to be undone by one [`Keyspace::unwatch`].
    pub fn watch(&mut self, slot: Slot, key: &[u8], now: Millis) -> Version {
        // An expired key goes first: it must not look as if it expired under the watch.
        self.entry(slot, key, now);
        self.watches.add(key)
    }

    /// True if a key that is watched since this version was given has been written, removed, or has expired.
    pub fn is_touched(&mut self, slot: Slot, key: &[u8], since: Version, now: Millis) -> bool {
        self.entry(slot, key, now);
        self.watches.version(key) != Some(since)
    }

    /// Ends one watch of a key.
    pub fn unwatch(&mut self, key: &[u8]) {
        self.watches.remove(key);
    }

    /// Removes every key of a slot at once. The memory is freed by [`Keyspace::free_some`].
    pub fn clear_slot(&mut self, slot: Slot) {
        self.touch_all(|cleared| cleared == slot);
        self.detach(slot);
    }

    /// Removes every key at once. The memory is freed by [`Keyspace::free_some`].
    pub fn clear(&mut self) {
        self.touch_all(|_| true);
        Slot::all().for_each(|slot| self.detach(slot));
    }

    /// Touches every watched key that is there in these slots.
    fn touch_all(&mut self, slots: impl Fn(Slot) -> bool) {
        let Self { watches, slots: dictionaries, hasher, .. } = self;
        watches.touch_if(|key| {
            let slot = key_slot(key);
            let dictionary = dictionaries[slot.index()].as_ref().filter(|_| slots(slot));
            dictionary.is_some_and(|dictionary| dictionary.find(hasher.hash(key), key).is_some())
        });
    }

    fn detach(&mut self, slot: Slot) {
        let Some(dictionary) = self.slots[slot.index()].take() else { return };
        self.snapshots.void(slot.number());
        self.dirty += dictionary.len() as u64;
        self.len -= dictionary.len();
        self.volatile -= dictionary.volatile();
        self.rubble.push(*dictionary);
    }

    /// Takes the keys of another keyspace in place of its own, which are freed by [`Keyspace::free_some`]. Nobody has changed them: they do not count as
    /// dirty.
    pub fn replace(&mut self, mut by: Self) {
        self.touch_all(|_| true);
        self.snapshots.void(SLOT_COUNT - 1);
        std::mem::swap(&mut self.hasher, &mut by.hasher);
        std::mem::swap(&mut self.slots, &mut by.slots);
        (self.len, self.volatile, self.horizon, self.walk) = (by.len, by.volatile, by.horizon, by.walk);
        self.touch_all(|_| true);
        self.discard(by);
    }

    /// Takes the memory of another keyspace, to free it by [`Keyspace::free_some`]: dropping one that is large takes long.
    pub fn discard(&mut self, other: Self) {
        self.rubble.extend(other.rubble);
        self.rubble.extend(other.slots.into_iter().flatten().map(|dictionary| *dictionary));
    }

    /// Frees the memory of about `budget` cleared keys, fewer if they are large; true if nothing is left to free.
    pub fn free_some(&mut self, mut budget: usize) -> bool {
        while let Some(dictionary) = self.rubble.last_mut() {
            if budget == 0 || !dictionary.demolish(&mut budget) {
                return false;
            }
            self.rubble.pop();
        }
        true
    }

    /// Asserts every invariant. Looks at every key.
    pub fn check(&self) {
        let (mut len, mut volatile) = (0, 0);
        for (slot, dictionary) in Slot::all().zip(&self.slots) {
            let Some(dictionary) = dictionary else { continue };
            assert!(dictionary.len() > 0, "no dictionary is empty");
            assert!(self.horizon.soonest() <= dictionary.horizon().soonest(), "the horizon bounds every dictionary");
            assert!(dictionary.entries().all(|entry| key_slot(entry.key) == slot), "a key is in its own slot");
            dictionary.check(&self.hasher);
            len += dictionary.len();
            volatile += dictionary.volatile();
        }
        assert_eq!((len, volatile), (self.len, self.volatile), "the totals are sums");
    }
}

#[cfg(test)]
mod tests;
