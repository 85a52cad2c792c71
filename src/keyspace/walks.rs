//! Walks over all keys, in steps: SCAN, and the search for expired keys; and picking one at random.
//!
//! Owns: the cursor's form and how a walk goes from slot to slot. Within a slot see the dictionary.

use super::value::{Entry, Expired};
use super::{Dictionary, Keyspace};
use crate::rng::Rng;
use crate::types::{Millis, SLOT_COUNT, Slot};

/// How many expired keys in a row a random pick passes over before it gives up.
const RANDOM_TRIES: usize = 100;

impl Keyspace {
    /// One step of a walk over all keys: visits about `count` of them (a bucket's at a time) and returns the next cursor, 0 at the end.
    /// A walk begins with cursor 0. Whatever is written between the steps, a key that is there throughout is visited, and only once.
    /// The cursor is all the state of a walk: any number is one. Expired keys are visited too.
    ///
    /// From the top, the cursor's bits are the slot and 32 of place within it: below 2^46, which every client can carry.
    pub fn scan<'a>(&'a self, cursor: u64, count: usize, visit: &mut dyn FnMut(Entry<'a>)) -> u64 {
        let mut place = cursor as u32;
        let mut slot = (cursor >> 32).min(u64::from(SLOT_COUNT)) as u16;
        let mut visited = 0;
        while let Some((number, dictionary)) = next_used(&self.slots, slot) {
            if number != slot {
                place = 0;
            }
            if visited >= count.max(1) {
                return u64::from(number) << 32 | u64::from(place);
            }
            let next = dictionary.scan(place, &self.rules.hasher, &mut |entry| {
                visited += 1;
                visit(entry);
            });
            slot = if next.is_none() { number + 1 } else { number };
            place = next.unwrap_or(0);
        }
        0
    }

    /// Before this time no key is to be removed as expired; none if none will be.
    pub fn next_expiry(&self) -> Option<Millis> {
        (self.volatile > 0 && self.expired_keys != Expired::Kept).then(|| self.horizon.soonest())
    }

    /// Goes on looking for expired keys to remove, through about `budget` keys, fewer if they are large; returns how many it removed. Call
    /// it again at once while [`Keyspace::next_expiry`] is past, within reason.
    pub fn expire_some(&mut self, now: Millis, budget: usize) -> usize {
        let before = self.expired;
        let mut left = if self.expired_keys == Expired::Kept { 0 } else { budget };
        while left > 0 && self.horizon.is_past(now) {
            let (number, bucket) = self.walk;
            self.walk = match Slot::new(number) {
                Some(slot) => self.expire_bucket(slot, bucket, now, &mut left),
                None => {
                    self.horizon.walked();
                    (0, 0)
                }
            };
        }
        (self.expired - before) as usize
    }

    /// One step of the walk; returns where the next begins.
    fn expire_bucket(&mut self, slot: Slot, bucket: usize, now: Millis, budget: &mut usize) -> (u16, usize) {
        let next_slot = (slot.number() + 1, 0);
        let Some(dictionary) = self.dictionary(slot) else { return next_slot };
        let horizon = *dictionary.horizon();
        if bucket == 0 && !horizon.is_past(now) {
            self.horizon.seen(horizon.soonest());
            return next_slot;
        }
        let (mut watches, mut snapshots) = (std::mem::take(&mut self.watches), std::mem::take(&mut self.snapshots));
        let mut notes = std::mem::take(&mut self.notes);
        let (mode, mut efforts) = (self.expired_keys, 0);
        let (next, removed) = self.change(slot, |dictionary, rules| {
            let before = dictionary.len();
            let next = dictionary.expire(bucket, now, rules, |entry| {
                efforts += entry.effort();
                watches.touch(entry.key);
                if !snapshots.is_empty() {
                    snapshots.put_aside(slot, rules.hasher.hash(entry.key), entry.key, Some(entry), rules);
                }
                notes.expired(entry.key, mode);
            });
            (next, before - dictionary.len())
        });
        (self.watches, self.snapshots, self.notes) = (watches, snapshots, notes);
        self.expired += removed as u64;
        *budget = budget.saturating_sub(1 + efforts);
        next.map_or(next_slot, |bucket| (slot.number(), bucket))
    }

    /// Some key, each with about the same chance.
    pub fn random_key(&mut self, now: Millis) -> Option<&[u8]> {
        let Self { slots, len, rng, .. } = self;
        let mut draw = || random_entry(slots, *len, rng).filter(|entry| !entry.is_expired(now));
        (0..RANDOM_TRIES).find_map(|_| draw()).map(|entry| entry.key)
    }
}

/// The first slot from this one on that holds keys.
pub(super) fn next_used(slots: &[Option<Box<Dictionary>>], from: u16) -> Option<(u16, &Dictionary)> {
    let slots = slots.get(usize::from(from)..)?;
    slots.iter().zip(from..).find_map(|(dictionary, number)| Some((number, dictionary.as_deref()?)))
}

/// Some entry of these dictionaries, which hold `len` together.
fn random_entry<'a>(slots: &'a [Option<Box<Dictionary>>], len: usize, rng: &mut Rng) -> Option<Entry<'a>> {
    let mut left = rng.below(len as u64) as usize;
    for dictionary in slots.iter().flatten() {
        if left < dictionary.len() {
            return dictionary.random(rng).map(|position| dictionary.entry(position));
        }
        left -= dictionary.len();
    }
    None
}
