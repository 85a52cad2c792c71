//! The keys of one slot.
//!
//! Owns: which bucket a key is in, and growing by one bucket at a time: however many keys there are, an insertion moves the entries of
//! one bucket at most. Must not: know of slots or of time beyond comparing it.
//!
//! How: [`crate::values::linear`].

use super::Access;
use super::bucket::Bucket;
use super::buckets::Buckets;
use super::horizon::{Horizon, is_expired};
use super::value::Entry;
use crate::rng::Rng;
use crate::types::Millis;
use crate::values::linear::{address, depth};
use crate::values::{Bytes, Hasher, KeyHash, Rules, Value};

/// Entries a bucket, on average: the last splits happen at twice as many.
const LOAD: usize = 32;
/// Shrinking begins at this average, far below, so that growing and shrinking do not alternate.
const LOAD_MIN: usize = 10;
/// An address has 32 bits.
const BUCKETS_MAX: usize = 1 << 31;

/// See the module.
pub(super) struct Dictionary {
    buckets: Buckets,
    /// Number of entries.
    len: usize,
    /// Number of entries that expire.
    volatile: usize,
    /// Bounds every entry's expiry.
    horizon: Horizon,
    /// What the buckets' contents cost.
    cost: usize,
}

/// Where an entry stands. Any change of the dictionary voids it.
#[derive(Clone, Copy)]
pub(super) struct Position {
    bucket: usize,
    at: usize,
}

impl Dictionary {
    pub fn new() -> Self {
        Self { buckets: Buckets::new(), len: 0, volatile: 0, horizon: Horizon::default(), cost: 0 }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn volatile(&self) -> usize {
        self.volatile
    }

    pub fn horizon(&self) -> &Horizon {
        &self.horizon
    }

    pub fn buckets(&self) -> usize {
        self.buckets.len()
    }

    fn bucket(&self, number: usize) -> &Bucket {
        self.buckets.get(number)
    }

    /// Memory that it takes, in bytes.
    pub fn cost(&self) -> usize {
        size_of::<Self>() + (self.buckets() - 1) * size_of::<Bucket>() + self.cost
    }

    /// Lets `change` change a bucket, and counts what that costs.
    fn change<R>(&mut self, number: usize, change: impl FnOnce(&mut Bucket) -> R) -> R {
        let bucket = self.buckets.get_mut(number);
        let before = bucket.cost();
        let result = change(bucket);
        self.cost = self.cost + bucket.cost() - before;
        result
    }

    pub fn find(&self, hash: KeyHash, key: &[u8]) -> Option<Position> {
        let bucket = address(hash.address, self.buckets());
        let at = self.bucket(bucket).find(hash.fingerprint, key)?;
        Some(Position { bucket, at })
    }

    pub fn entry(&self, position: Position) -> Entry<'_> {
        self.bucket(position.bucket).entry(position.at)
    }

    /// Adds an entry whose key is not there.
    pub fn insert(&mut self, hash: KeyHash, entry: Entry<'_>, rules: &Rules) {
        let number = address(hash.address, self.buckets());
        self.change(number, |bucket| bucket.insert(hash.fingerprint, entry, rules));
        self.len += 1;
        self.count(None, entry.expiry);
        if self.len > self.buckets() * LOAD && self.buckets() < BUCKETS_MAX {
            self.grow(rules);
        }
    }

    /// Puts an entry in the place of the one with the same key.
    pub fn replace(&mut self, position: Position, entry: Entry<'_>, rules: &Rules) {
        self.count(self.entry(position).expiry, entry.expiry);
        self.change(position.bucket, |bucket| {
            bucket.replace(position.at, entry, rules);
            bucket.trim();
        });
    }

    /// Writes a part of a string.
    pub fn overwrite(&mut self, position: Position, offset: usize, part: &Bytes<'_>, rules: &Rules) {
        self.change(position.bucket, |bucket| bucket.overwrite(position.at, offset, part, rules));
    }

    /// Lets `edit` change an entry's value. The position is void afterwards.
    pub fn edit<R>(&mut self, position: Position, rules: &Rules, edit: impl FnOnce(&mut Value) -> R) -> R {
        self.change(position.bucket, |bucket| bucket.edit(position.at, rules, edit))
    }

    /// An entry was used.
    pub fn touch(&mut self, position: Position, access: Access) {
        self.buckets.get_mut(position.bucket).touch(position.at, access);
    }

    pub fn set_expiry(&mut self, position: Position, expiry: Option<Millis>) {
        self.count(self.entry(position).expiry, expiry);
        self.change(position.bucket, |bucket| bucket.set_expiry(position.at, expiry));
    }

    /// Removes an entry.
    pub fn remove(&mut self, position: Position, rules: &Rules) {
        self.count(self.entry(position).expiry, None);
        self.len -= 1;
        self.change(position.bucket, |bucket| {
            bucket.remove(position.at);
            bucket.trim();
        });
        self.shrink_if_sparse(rules);
    }

    /// Keeps `volatile` and the horizon in step with an entry whose expiry changes.
    fn count(&mut self, old: Option<Millis>, new: Option<Millis>) {
        self.volatile = self.volatile + usize::from(new.is_some()) - usize::from(old.is_some());
        self.horizon.note(new.unwrap_or(Millis::MAX));
    }

    fn grow(&mut self, rules: &Rules) {
        let (new, bit) = (self.buckets(), 1 << self.buckets().ilog2());
        let moved = self.change(new - bit, |bucket| bucket.split(|key| rules.hasher.hash(key).address as usize & bit != 0, rules));
        self.cost += moved.cost();
        self.buckets.push(moved);
    }

    fn shrink_if_sparse(&mut self, rules: &Rules) {
        if self.len >= self.buckets() * LOAD_MIN {
            return;
        }
        let Some(removed) = self.buckets.pop() else { return };
        let last = self.buckets();
        // A walk for expired keys that has passed the bucket that now holds these must not forget them.
        self.horizon.note(removed.soonest());
        self.cost -= removed.cost();
        self.change(last - (1 << last.ilog2()), |bucket| bucket.merge(removed, rules));
    }

    /// Yields the entries from `place` up to the place that is returned; none: up to the end.
    pub fn scan<'a>(&'a self, place: u32, hasher: &Hasher, visit: &mut dyn FnMut(Entry<'a>)) -> Option<u32> {
        let buckets = self.buckets();
        let number = address(place.reverse_bits(), buckets);
        let start = (number as u32).reverse_bits();
        for entry in self.bucket(number).entries() {
            if place == start || hasher.hash(entry.key).place() >= place {
                visit(entry);
            }
        }
        let end = u64::from(start) + (1 << (32 - depth(number, buckets)));
        u32::try_from(end).ok()
    }

    /// As `scan`, but in the order of places, and only until `visit` says that it has enough: one bucket may hold much.
    pub fn scan_some<'a>(&'a self, place: u32, hasher: &Hasher, visit: &mut dyn FnMut(Entry<'a>) -> bool) -> Option<u32> {
        let mut entries = Vec::with_capacity(2 * LOAD);
        let end = self.scan(place, hasher, &mut |entry| entries.push((hasher.hash(entry.key).place(), entry)));
        entries.sort_unstable_by_key(|(place, _)| *place);
        let mut enough = None;
        for (place, entry) in entries {
            match enough {
                Some(last) if place > last => return Some(place),
                _ => {
                    let more = visit(entry);
                    enough = (!more).then_some(place);
                }
            }
        }
        end
    }

    /// One step of a walk over the buckets: removes what has expired in bucket `number` and returns the next number, none at the end.
    pub fn expire(&mut self, number: usize, now: Millis, rules: &Rules, mut removed: impl FnMut(Entry<'_>)) -> Option<usize> {
        if number >= self.buckets() {
            // It shrank since the last step; what then moved was noted.
            self.horizon.walked();
            return None;
        }
        let (gone, soonest) = self.change(number, |bucket| {
            let before = bucket.len();
            if is_expired(bucket.soonest(), now) {
                bucket.expire(now, &mut removed);
            }
            (before - bucket.len(), bucket.soonest())
        });
        self.len -= gone;
        self.volatile -= gone;
        self.horizon.seen(soonest);
        for _ in 0..gone.div_ceil(LOAD_MIN) {
            self.shrink_if_sparse(rules);
        }
        if number + 1 < self.buckets() {
            return Some(number + 1);
        }
        self.horizon.walked();
        None
    }

    /// Some entry; each has about the same chance. None if there is none.
    pub fn random(&self, rng: &mut Rng) -> Option<Position> {
        let buckets = self.buckets();
        let start = address(rng.next_u64() as u32, buckets);
        let bucket = (start..buckets).chain(0..start).find(|&number| self.bucket(number).len() > 0)?;
        Some(Position { bucket, at: rng.below(self.bucket(bucket).len() as u64) as usize })
    }

    /// Every entry, in no order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.buckets.iter().flat_map(Bucket::entries)
    }

    /// Frees entries with about `budget` efforts; true if none is left. The dictionary is of no use afterwards.
    pub fn demolish(&mut self, budget: &mut usize) -> bool {
        while let Some(bucket) = self.buckets.take() {
            let efforts = bucket.entries().map(|entry| entry.effort()).sum::<usize>();
            drop(bucket);
            *budget = budget.saturating_sub(efforts.max(1));
            if *budget == 0 {
                return false;
            }
        }
        true
    }

    /// Every invariant.
    pub fn check(&self, hasher: &Hasher) {
        self.buckets.check();
        let (mut len, mut volatile, mut cost) = (0, 0, 0);
        for number in 0..self.buckets() {
            let bucket = self.bucket(number);
            bucket.check();
            cost += bucket.cost();
            assert!(self.horizon.soonest() <= bucket.soonest(), "the horizon bounds every bucket");
            for entry in bucket.entries() {
                let hash = hasher.hash(entry.key);
                assert_eq!(address(hash.address, self.buckets()), number, "an entry is in the bucket of its address");
                let found = self.find(hash, entry.key).map(|position| self.entry(position));
                assert_eq!(found.map(|found| found.key.as_ptr()), Some(entry.key.as_ptr()), "a key is there once");
                len += 1;
                volatile += usize::from(entry.expiry.is_some());
            }
        }
        assert_eq!((len, volatile, cost), (self.len, self.volatile, self.cost), "the counters count");
    }
}
