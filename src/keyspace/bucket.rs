//! A few dozen entries whose hashes share their low bits.
//!
//! Owns: how entries lie in memory. Small ones lie one behind the other in one allocation, the page, because an allocation for each
//! costs more than a small key and its value. What is large, or grows, lies outside. One word an entry finds either.
//! Must not: know of slots, hashes or other buckets.

use super::lean::{reserve, trim};
use super::record;
use super::tag::{Place, Tag};
use super::value::{Entry, Object, Owned, Value};
use crate::types::Millis;

/// See the module.
#[derive(Default)]
pub(super) struct Bucket {
    /// One an entry, in no order. Offsets are those of a record in `page`, indices those of `outside`; no two are the same.
    tags: Vec<Tag>,
    /// Records without gaps; each has one tag.
    page: Vec<u8>,
    /// Entries that do not fit into a record.
    outside: Vec<Owned>,
    /// A lower bound of the entries' expiry times, `Millis::MAX` if none has one.
    soonest: Millis,
}

impl Bucket {
    pub fn new() -> Self {
        Self { soonest: Millis::MAX, ..Self::default() }
    }

    pub fn len(&self) -> usize {
        self.tags.len()
    }

    pub fn soonest(&self) -> Millis {
        self.soonest
    }

    /// Where the key stands, for the calls that take a position. Any change voids it.
    pub fn find(&self, fingerprint: u8, key: &[u8]) -> Option<usize> {
        (0..self.tags.len()).find(|&at| self.tags[at].fingerprint() == fingerprint && self.key(at) == key)
    }

    fn key(&self, at: usize) -> &[u8] {
        match self.tags[at].place() {
            Place::Page(offset) => record::key(&self.page[offset..]),
            Place::Outside(index) => &self.outside[index].key,
        }
    }

    pub fn entry(&self, at: usize) -> Entry<'_> {
        match self.tags[at].place() {
            Place::Page(offset) => record::read(&self.page[offset..]),
            Place::Outside(index) => self.outside[index].read(),
        }
    }

    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        (0..self.len()).map(|at| self.entry(at))
    }

    /// Adds an entry whose key is not there.
    pub fn insert(&mut self, fingerprint: u8, entry: Entry<'_>) {
        let Value::String(value) = entry.value;
        let size = record::size(entry.key, value, entry.expiry).filter(|size| self.page.len() + size <= Tag::PAGE_MAX);
        let Some(size) = size else {
            return self.insert_outside(fingerprint, entry.into());
        };
        let offset = self.page.len();
        reserve(&mut self.page, size);
        self.page.resize(offset + size, 0);
        record::write(&mut self.page[offset..], entry.key, value, entry.expiry);
        self.push_tag(Tag::in_page(fingerprint, offset), entry.expiry);
    }

    fn insert_outside(&mut self, fingerprint: u8, outside: Owned) {
        self.push_tag(Tag::outside(fingerprint, self.outside.len()), outside.expiry);
        reserve(&mut self.outside, 1);
        self.outside.push(outside);
    }

    fn push_tag(&mut self, tag: Tag, expiry: Option<Millis>) {
        reserve(&mut self.tags, 1);
        self.tags.push(tag);
        self.note(expiry);
    }

    fn note(&mut self, expiry: Option<Millis>) {
        self.soonest = self.soonest.min(expiry.unwrap_or(Millis::MAX));
    }

    /// Gives the entry at `at` a new value and expiry. May move it: the position is void afterwards.
    pub fn replace(&mut self, at: usize, key: &[u8], value: &[u8], expiry: Option<Millis>) {
        let tag = self.tags[at];
        let size = record::size(key, value, expiry);
        match tag.place() {
            Place::Page(offset) if size == Some(record::size_at(&self.page[offset..])) => {
                let end = offset + record::size_at(&self.page[offset..]);
                record::write(&mut self.page[offset..end], key, value, expiry);
                self.note(expiry);
            }
            Place::Outside(index) if size.is_none() => {
                let outside = &mut self.outside[index];
                outside.expiry = expiry;
                let Object::String(bytes) = &mut outside.object;
                bytes.clear();
                bytes.extend_from_slice(value);
                bytes.shrink_to(value.len() * 2);
                self.note(expiry);
            }
            Place::Page(_) | Place::Outside(_) => {
                self.remove(at);
                self.insert(tag.fingerprint(), Entry { key, value: Value::String(value), expiry });
            }
        }
    }

    /// Lets `edit` change the bytes of a string, in place if they lie outside; they stay or go outside then, because they are likely to grow.
    pub fn edit<R>(&mut self, at: usize, edit: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let tag = self.tags[at];
        if let Place::Outside(index) = tag.place() {
            let Object::String(bytes) = &mut self.outside[index].object;
            return edit(bytes);
        }
        let Entry { key, value: Value::String(value), expiry } = self.entry(at);
        let (key, mut bytes) = (Box::<[u8]>::from(key), value.to_vec());
        let result = edit(&mut bytes);
        if record::size(&key, &bytes, expiry).is_some() {
            self.replace(at, &key, &bytes, expiry);
        } else {
            self.remove(at);
            self.insert_outside(tag.fingerprint(), Owned { key, object: Object::String(bytes), expiry });
        }
        result
    }

    pub fn set_expiry(&mut self, at: usize, expiry: Option<Millis>) {
        match self.tags[at].place() {
            Place::Outside(index) => self.outside[index].expiry = expiry,
            Place::Page(offset) => {
                let old = record::size_at(&self.page[offset..]);
                reserve(&mut self.page, record::EXPIRY_SIZE);
                record::set_expiry(&mut self.page, offset, expiry);
                let new = record::size_at(&self.page[offset..]);
                self.shift(offset, old, new);
            }
        }
        self.note(expiry);
    }

    /// The record at `offset` has a new size: the places of those behind it follow.
    fn shift(&mut self, offset: usize, old: usize, new: usize) {
        if old == new {
            return;
        }
        for tag in &mut self.tags {
            match tag.place() {
                Place::Page(other) if other > offset => *tag = Tag::in_page(tag.fingerprint(), other + new - old),
                Place::Page(_) | Place::Outside(_) => {}
            }
        }
    }

    /// Removes the entry at `at`; the last entry takes that position.
    pub fn remove(&mut self, at: usize) {
        match self.tags.swap_remove(at).place() {
            Place::Page(offset) => {
                let size = record::size_at(&self.page[offset..]);
                self.page.drain(offset..offset + size);
                self.shift(offset, size, 0);
            }
            Place::Outside(index) => {
                self.take_outside(index);
            }
        }
    }

    /// Takes an entry whose tag is gone already; the last one takes its index.
    fn take_outside(&mut self, index: usize) -> Owned {
        let taken = self.outside.swap_remove(index);
        let last = Place::Outside(self.outside.len());
        if let Some(tag) = self.tags.iter_mut().find(|tag| tag.place() == last) {
            *tag = Tag::outside(tag.fingerprint(), index);
        }
        taken
    }

    /// Removes what has expired, tells of each, and makes `soonest` exact.
    pub fn expire(&mut self, now: Millis, mut removed: impl FnMut(Entry<'_>)) {
        self.soonest = Millis::MAX;
        // Backwards: what takes a removed entry's position has been looked at.
        for at in (0..self.len()).rev() {
            let entry = self.entry(at);
            if entry.is_expired(now) {
                removed(entry);
                self.remove(at);
            } else {
                let expiry = entry.expiry;
                self.note(expiry);
            }
        }
        self.trim();
    }

    /// Moves the entries that `goes` names into a bucket of their own.
    pub fn split(&mut self, goes: impl Fn(&[u8]) -> bool) -> Self {
        let mut moved = Self::new();
        moved.page.reserve_exact(self.page.len() * 5 / 8);
        moved.tags.reserve_exact(self.tags.len() * 5 / 8);
        for at in (0..self.len()).rev() {
            if goes(self.key(at)) {
                self.transfer(at, &mut moved);
            }
        }
        self.trim();
        moved.trim();
        moved
    }

    /// Takes all entries of `other`.
    pub fn merge(&mut self, mut other: Self) {
        self.page.reserve_exact(other.page.len());
        self.tags.reserve_exact(other.tags.len());
        for at in (0..other.len()).rev() {
            other.transfer(at, self);
        }
    }

    fn transfer(&mut self, at: usize, target: &mut Self) {
        let tag = self.tags[at];
        match tag.place() {
            Place::Page(_) => {
                target.insert(tag.fingerprint(), self.entry(at));
                self.remove(at);
            }
            Place::Outside(index) => {
                self.tags.swap_remove(at);
                let outside = self.take_outside(index);
                target.insert_outside(tag.fingerprint(), outside);
            }
        }
    }

    /// Gives back memory that removals left, if it is much.
    pub fn trim(&mut self) {
        trim(&mut self.page);
        trim(&mut self.tags);
        trim(&mut self.outside);
    }

    /// Every invariant of the fields.
    pub fn check(&self) {
        let mut offsets: Vec<usize> = Vec::new();
        let mut indices: Vec<usize> = Vec::new();
        for tag in &self.tags {
            match tag.place() {
                Place::Page(offset) => offsets.push(offset),
                Place::Outside(index) => indices.push(index),
            }
        }
        indices.sort_unstable();
        assert!(indices.into_iter().eq(0..self.outside.len()), "each entry outside has one tag");
        offsets.sort_unstable();
        let end = offsets.into_iter().fold(0, |end, offset| {
            assert_eq!(offset, end, "records lie without gaps, each with one tag");
            end + record::size_at(&self.page[offset..])
        });
        assert_eq!(end, self.page.len(), "the last record ends the page");
        let soonest = self.entries().filter_map(|entry| entry.expiry).min().unwrap_or(Millis::MAX);
        assert!(self.soonest <= soonest, "`soonest` is a lower bound");
    }
}
