//! The keys and their values: a dictionary a slot, made when first used.
//!
//! Owns: lookup, expiry, scans, which keys are watched, and memory that is thin for small keys and never given or taken in one long pause.
//! Must not: read a clock (the wall clock's `now` is an argument), know clients or commands, know values by more than what all types have,
//! or let the order of a random map out.
//! Contract: docs/architecture.md, "Keyspace".
//!
//! Every call names the slot with the key: commands know it already. An expired key is absent for every call that is given `now`;
//! the calls that may write remove it on the way, unless only a primary may say so ([`Expired`]). Nothing has expired at `now` 0.

mod access;
mod bucket;
mod buckets;
mod dictionary;
mod horizon;
mod notes;
mod owned;
mod record;
mod slot;
mod snapshots;
mod value;
mod walks;
mod watch;
mod writes;

pub use access::Access;
pub use notes::{Note, Wanted};
pub use slot::key_slot;
pub use snapshots::{WalkId, WalkStep};
pub use value::{Entry, Expired, Expiry};
pub use watch::Version;

use crate::rng::Rng;
use crate::types::{Millis, SLOT_COUNT, Slot};
use crate::values::{Hasher, Held, KeyHash, Rubble, Rules, Thresholds, View, WrongType};
use dictionary::{Dictionary, Position};
use horizon::Horizon;
use notes::Notes;
use snapshots::Snapshots;
use watch::Watches;

/// An allocation of so many bytes makes glibc merge the small pieces that were freed before it. Left alone they pile up, and to merge a
/// million of them takes a third of a second.
const MERGES: usize = 4096;

/// See the module.
pub struct Keyspace {
    /// What all values have in common, and the hash of the keys.
    rules: Rules,
    /// The time of the command that runs, and whether what it reads counts as used.
    clock: Access,
    touches: bool,
    /// One a slot; none of them is empty.
    slots: Box<[Option<Box<Dictionary>>]>,
    /// The sum of their lengths.
    len: usize,
    /// The sum of their entries that expire.
    volatile: usize,
    /// The sum of what they cost.
    cost: usize,
    /// Bounds every entry's expiry.
    horizon: Horizon,
    /// Where the walk for expired keys goes on: this slot, this bucket.
    walk: (u16, usize),
    /// How many keys were removed because they had expired.
    expired: u64,
    expired_keys: Expired,
    /// Nothing may change by being read.
    is_still: bool,
    notes: Notes,
    /// How many changes of keys there were.
    dirty: u64,
    /// Slots that were cleared, to be freed piece by piece.
    rubble: Vec<Option<Box<Dictionary>>>,
    /// What the values of other keyspaces leave, whose keys were taken over or discarded.
    adopted: Vec<Rubble>,
    watches: Watches,
    /// Walks over the keys as they were at one moment.
    snapshots: Snapshots,
    /// For picking keys at random.
    rng: Rng,
}

impl Keyspace {
    /// An empty keyspace. The seed keys its hash: it must be one that nobody outside can guess.
    pub fn new(seed: u64) -> Self {
        Self::with_thresholds(seed, Thresholds::SHIPPED)
    }

    /// The same, whose values take their forms by these thresholds.
    pub fn with_thresholds(seed: u64, thresholds: Thresholds) -> Self {
        Self {
            rules: Rules { thresholds, hasher: Hasher::new(seed), rubble: Rubble::default() },
            clock: Access::default(),
            touches: true,
            slots: (0..SLOT_COUNT).map(|_| None).collect(),
            len: 0,
            volatile: 0,
            cost: 0,
            horizon: Horizon::default(),
            walk: (0, 0),
            expired: 0,
            expired_keys: Expired::Removed,
            is_still: false,
            notes: Notes::default(),
            dirty: 0,
            rubble: Vec::new(),
            adopted: Vec::new(),
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

    /// How many keys were removed because they had expired, since the start or since that was forgotten.
    pub fn expired_count(&self) -> u64 {
        self.expired
    }

    /// They are counted anew.
    pub fn forget_expired_count(&mut self) {
        self.expired = 0;
    }

    /// Counts every change of a key by a command since the start: one more each time that a key is written, removed or cleared. A key that
    /// expires is not changed by whoever finds it, and does not count.
    pub fn dirty(&self) -> u64 {
        self.dirty
    }

    /// Before a command: the time, and whether the keys that it reads count as used.
    pub fn prepare(&mut self, now: Millis, touches: bool) {
        (self.clock, self.touches) = (Access::at(now), touches);
    }

    /// Whether [`Keyspace::get`] counts as a use.
    pub fn set_touches(&mut self, touches: bool) {
        self.touches = touches;
    }

    /// When values take which form, from now on.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.rules.thresholds = thresholds;
    }

    /// What all values have in common.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Where large buffers are left, to be freed with what else is.
    pub fn rubble(&self) -> &Rubble {
        &self.rules.rubble
    }

    /// Memory that keys and values take, in bytes.
    pub fn cost(&self) -> usize {
        self.cost + size_of_val(&*self.slots)
    }

    /// The time of the command that runs.
    pub fn clock(&self) -> Access {
        self.clock
    }

    /// What becomes of expired keys from now on.
    pub fn set_expired(&mut self, expired: Expired) {
        self.expired_keys = expired;
    }

    /// Whether what is read and has expired stays in its place from now on.
    pub fn keep_still(&mut self, is_still: bool) {
        self.is_still = is_still;
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

    /// The key's value, which counts as used.
    pub fn get(&mut self, slot: Slot, key: &[u8], now: Millis) -> Option<View<'_>> {
        let position = self.find_alive(slot, self.rules.hasher.hash(key), key, now)?;
        let dictionary = self.slots[slot.index()].as_deref_mut()?;
        if self.touches {
            dictionary.touch(position, self.clock);
        }
        Some(dictionary.entry(position).value)
    }

    /// The key's value, if it is of this type; it counts as used. None if there is no such key.
    ///
    /// # Errors
    /// It is of another type.
    pub fn read<T: Held>(&mut self, slot: Slot, key: &[u8], now: Millis) -> Result<Option<&T>, WrongType> {
        self.get(slot, key, now).map(View::of).transpose()
    }

    /// True if the key is there.
    pub fn exists(&mut self, slot: Slot, key: &[u8], now: Millis) -> bool {
        self.entry(slot, key, now).is_some()
    }

    /// All that the key holds. It does not count as used.
    pub fn entry(&mut self, slot: Slot, key: &[u8], now: Millis) -> Option<Entry<'_>> {
        let position = self.find_alive(slot, self.rules.hasher.hash(key), key, now)?;
        self.dictionary(slot).map(|dictionary| dictionary.entry(position))
    }

    /// Where a key stands, to read it.
    fn find_alive(&mut self, slot: Slot, hash: KeyHash, key: &[u8], now: Millis) -> Option<Position> {
        self.find(slot, hash, key, now, !self.is_still)
    }

    /// Where a key stands; one that has expired is absent, and removed if it may be and that is up to this node.
    fn find(&mut self, slot: Slot, hash: KeyHash, key: &[u8], now: Millis, may_remove: bool) -> Option<Position> {
        debug_assert_eq!(slot, key_slot(key), "the caller computes a key's slot from the key");
        let dictionary = self.dictionary(slot)?;
        let position = dictionary.find(hash, key)?;
        if dictionary.entry(position).is_expired(now) {
            if may_remove && self.expired_keys != Expired::Kept {
                self.expired += 1;
                self.remove_at(slot, hash, position, key);
                self.notes.expired(key, self.expired_keys);
            }
            return None;
        }
        Some(position)
    }

    /// As [`Keyspace::find_alive`], to change the key: an expired one that is kept is still in its place.
    fn find_to_write(&mut self, slot: Slot, hash: KeyHash, key: &[u8], now: Millis) -> Option<Position> {
        let now = if self.expired_keys == Expired::Kept { 0 } else { now };
        self.find(slot, hash, key, now, true)
    }

    /// Gives the key a time to live, or takes it away; false if the key is not there.
    pub fn set_expiry(&mut self, slot: Slot, key: &[u8], expiry: Option<Millis>, now: Millis) -> bool {
        let hash = self.rules.hasher.hash(key);
        let Some(position) = self.find_to_write(slot, hash, key, now) else { return false };
        self.put_aside(slot, hash, key, Some(position));
        self.change(slot, |dictionary, _| dictionary.set_expiry(position, expiry));
        self.changed(key);
        true
    }

    /// Removes the key; false if it was not there.
    pub fn remove(&mut self, slot: Slot, key: &[u8], now: Millis) -> bool {
        let hash = self.rules.hasher.hash(key);
        let Some(position) = self.find_to_write(slot, hash, key, now) else { return false };
        self.remove_at(slot, hash, position, key);
        self.dirty += 1;
        true
    }

    /// Removes the key as one whose time is over, which a command says; false if it was not there.
    pub fn expire(&mut self, slot: Slot, key: &[u8], now: Millis) -> bool {
        let removed = self.remove(slot, key, now);
        self.expired += u64::from(removed);
        removed
    }

    fn remove_at(&mut self, slot: Slot, hash: KeyHash, position: Position, key: &[u8]) {
        self.put_aside(slot, hash, key, Some(position));
        self.change(slot, |dictionary, rules| dictionary.remove(position, rules));
        self.watches.touch(key);
    }

    /// Before a key changes: walks that have not come to it yet keep what it holds.
    fn put_aside(&mut self, slot: Slot, hash: KeyHash, key: &[u8], found: Option<Position>) {
        if self.snapshots.is_empty() {
            return;
        }
        let old = self.slots[slot.index()].as_deref().zip(found).map(|(dictionary, position)| dictionary.entry(position));
        self.snapshots.put_aside(slot, hash, key, old, &self.rules);
    }

    /// After a key was written.
    fn changed(&mut self, key: &[u8]) {
        self.dirty += 1;
        self.watches.touch(key);
    }

    /// Changes a slot's dictionary, making it before and dropping it afterwards if it is empty, and keeps the totals.
    fn change<R>(&mut self, slot: Slot, change: impl FnOnce(&mut Dictionary, &Rules) -> R) -> R {
        let place = &mut self.slots[slot.index()];
        let before = place.as_ref().map_or(0, |dictionary| dictionary.cost());
        let dictionary = place.get_or_insert_with(|| Box::new(Dictionary::new()));
        let (len, volatile) = (dictionary.len(), dictionary.volatile());
        let result = change(dictionary, &self.rules);
        self.len = self.len + dictionary.len() - len;
        self.volatile = self.volatile + dictionary.volatile() - volatile;
        self.horizon.note(dictionary.horizon().soonest());
        if dictionary.len() == 0 {
            *place = None;
        }
        self.cost = self.cost + place.as_ref().map_or(0, |dictionary| dictionary.cost()) - before;
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
        let Self { watches, slots: dictionaries, rules: Rules { hasher, .. }, .. } = self;
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
        self.cost -= dictionary.cost();
        // As it is: to move sixteen thousand of them takes milliseconds.
        self.rubble.push(Some(dictionary));
    }

    /// Takes the keys of another keyspace in place of its own, which are freed by [`Keyspace::free_some`]. Nobody has changed them: they do
    /// not count as dirty.
    pub fn replace(&mut self, mut by: Self) {
        self.touch_all(|_| true);
        self.snapshots.void(SLOT_COUNT - 1);
        std::mem::swap(&mut self.rules.hasher, &mut by.rules.hasher);
        std::mem::swap(&mut self.cost, &mut by.cost);
        std::mem::swap(&mut self.slots, &mut by.slots);
        (self.len, self.volatile, self.horizon, self.walk) = (by.len, by.volatile, by.horizon, by.walk);
        self.touch_all(|_| true);
        self.discard(by);
    }

    /// Takes the memory of another keyspace, to free it by [`Keyspace::free_some`]: dropping one that is large takes long.
    pub fn discard(&mut self, other: Self) {
        self.adopted.push(other.rules.rubble);
        self.adopted.extend(other.adopted);
        self.rubble.extend(other.rubble);
        self.rubble.extend(other.slots);
    }

    /// How many keys and large parts of values are gone and still have memory.
    pub fn to_be_freed(&self) -> usize {
        let keys: usize = self.rubble.iter().flatten().map(|dictionary| dictionary.len()).sum();
        keys + [&self.rules.rubble].into_iter().chain(&self.adopted).map(Rubble::len).sum::<usize>()
    }

    /// Frees the memory of about `budget` cleared keys, fewer if they are large; true if nothing is left to free.
    pub fn free_some(&mut self, budget: usize) -> bool {
        let mut left = budget;
        let done = self.free_within(&mut left);
        if left < budget {
            drop(std::hint::black_box(Vec::<u8>::with_capacity(MERGES)));
        }
        done
    }

    fn free_within(&mut self, budget: &mut usize) -> bool {
        while let Some(slot) = self.rubble.last_mut() {
            if *budget == 0 || slot.as_mut().is_some_and(|dictionary| !dictionary.demolish(budget)) {
                return false;
            }
            self.rubble.pop();
        }
        let done = [&self.rules.rubble].into_iter().chain(&self.adopted).all(|rubble| rubble.free_some(budget));
        self.adopted.retain(|rubble| !rubble.is_done());
        done
    }

    /// Asserts every invariant. Looks at every key.
    pub fn check(&self) {
        let (mut len, mut volatile, mut cost) = (0, 0, 0);
        for (slot, dictionary) in Slot::all().zip(&self.slots) {
            let Some(dictionary) = dictionary else { continue };
            assert!(dictionary.len() > 0, "no dictionary is empty");
            assert!(self.horizon.soonest() <= dictionary.horizon().soonest(), "the horizon bounds every dictionary");
            assert!(dictionary.entries().all(|entry| key_slot(entry.key) == slot), "a key is in its own slot");
            dictionary.check(&self.rules.hasher);
            cost += dictionary.cost();
            len += dictionary.len();
            volatile += dictionary.volatile();
        }
        assert_eq!((len, volatile, cost), (self.len, self.volatile, self.cost), "the totals are sums");
    }
}

#[cfg(test)]
mod tests;
