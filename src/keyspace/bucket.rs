//! A few dozen entries whose hashes share their low bits.
//!
//! Owns: how entries lie in memory. Small ones lie one behind the other in one allocation, the page, because an allocation for each
//! costs more than a small key and its value. What is large, or grows, lies outside. One word an entry finds either.
//! Must not: know of slots, hashes or other buckets.

use super::owned::Owned;
use super::value::Entry;
use super::{Access, record};
use crate::types::Millis;
use crate::values::lean::{reserve, trim, with_slack};
use crate::values::tag::{Place, Tag};
use crate::values::{Bytes, LONG, Rules, Value, View, overwrite};

/// See the module.
#[derive(Default)]
pub(super) struct Bucket {
    /// One an entry, in no order. Offsets are those of a record in `page`, indices those of `outside`; no two are the same.
    tags: Vec<Tag>,
    /// Records without gaps; each has one tag.
    page: Vec<u8>,
    /// Entries that do not fit into a record; most buckets have none.
    outside: Option<Box<Outside>>,
    /// A lower bound of the entries' expiry times, `Millis::MAX` if none has one.
    soonest: Millis,
}

#[derive(Default)]
struct Outside {
    entries: Vec<Owned>,
    /// What they cost.
    cost: usize,
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
            Place::Outside(index) => self.outside()[index].key(),
        }
    }

    pub fn entry(&self, at: usize) -> Entry<'_> {
        match self.tags[at].place() {
            Place::Page(offset) => record::read(&self.page[offset..]),
            Place::Outside(index) => self.outside()[index].read(),
        }
    }

    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        (0..self.len()).map(|at| self.entry(at))
    }

    /// Memory that it takes, in bytes.
    pub fn cost(&self) -> usize {
        let outside = self.outside.as_ref().map_or(0, |outside| size_of::<Outside>() + outside.cost);
        allocated(self.tags.capacity() * size_of::<Tag>()) + allocated(self.page.capacity()) + outside
    }

    fn outside(&self) -> &[Owned] {
        self.outside.as_ref().map_or(&[], |outside| &outside.entries)
    }

    /// Lets `change` change the entry that has this index.
    fn change_outside<R>(&mut self, index: usize, change: impl FnOnce(&mut Owned) -> R) -> R {
        let outside = self.outside.get_or_insert_default();
        let entry = &mut outside.entries[index];
        let before = entry.cost();
        let result = change(entry);
        outside.cost = outside.cost + entry.cost() - before;
        result
    }

    /// Adds an entry whose key is not there.
    pub fn insert(&mut self, fingerprint: u8, entry: Entry<'_>, rules: &Rules) {
        let View::Bytes(value) = entry.value else { return self.insert_outside(fingerprint, Owned::of(entry, rules)) };
        let size = record::size(entry.key, value, entry.expiry).filter(|size| self.page.len() + size <= Tag::PAGE_MAX);
        let Some(size) = size else { return self.insert_outside(fingerprint, Owned::of(entry, rules)) };
        let offset = self.page.len();
        reserve(&mut self.page, size);
        self.page.resize(offset + size, 0);
        record::write(&mut self.page[offset..], entry.key, value, entry.expiry, entry.access);
        self.push_tag(Tag::in_page(fingerprint, offset), entry.expiry);
    }

    fn insert_outside(&mut self, fingerprint: u8, entry: Owned) {
        self.push_tag(Tag::outside(fingerprint, self.outside().len()), entry.read().expiry);
        let outside = self.outside.get_or_insert_default();
        reserve(&mut outside.entries, 1);
        outside.cost += entry.cost();
        outside.entries.push(entry);
    }

    fn push_tag(&mut self, tag: Tag, expiry: Option<Millis>) {
        reserve(&mut self.tags, 1);
        self.tags.push(tag);
        self.note(expiry);
    }

    fn note(&mut self, expiry: Option<Millis>) {
        self.soonest = self.soonest.min(expiry.unwrap_or(Millis::MAX));
    }

    /// Puts an entry in the place of the one with the same key at `at`. May move it: the position is void afterwards.
    pub fn replace(&mut self, at: usize, entry: Entry<'_>, rules: &Rules) {
        let (tag, Entry { key, value, expiry, access }) = (self.tags[at], entry);
        let short = if let View::Bytes(bytes) = value { record::size(key, bytes, expiry).map(|size| (bytes, size)) } else { None };
        match (tag.place(), short) {
            (Place::Page(offset), Some((bytes, size))) if size == record::size_at(&self.page[offset..]) => {
                record::write(&mut self.page[offset..offset + size], key, bytes, expiry, access);
                self.note(expiry);
            }
            (Place::Outside(index), None) => {
                self.change_outside(index, |owned| owned.replace(entry, rules));
                self.note(expiry);
            }
            (Place::Page(_) | Place::Outside(_), _) => {
                self.remove(at);
                self.insert(tag.fingerprint(), entry, rules);
            }
        }
    }

    /// The entry at `at` as one outside, which its value may not be yet: its index there. A string is likely to grow.
    fn move_outside(&mut self, at: usize, rules: &Rules) -> usize {
        let tag = self.tags[at];
        match tag.place() {
            Place::Outside(index) => index,
            Place::Page(_) => {
                let entry = Owned::of(self.entry(at), rules);
                self.remove(at);
                self.insert_outside(tag.fingerprint(), entry);
                self.outside().len() - 1
            }
        }
    }

    /// Lets `edit` change the value of the entry at `at`. Afterwards it lies outside: the position is void.
    pub fn edit<R>(&mut self, at: usize, rules: &Rules, edit: impl FnOnce(&mut Value) -> R) -> R {
        let index = self.move_outside(at, rules);
        self.change_outside(index, |owned| owned.edit(rules, edit))
    }

    /// Writes a part of the string at `at` (see [`Text::overwrite`]), in place if it does not grow or lies outside; then it stays there,
    /// for it is likely to grow again.
    pub fn overwrite(&mut self, at: usize, offset: usize, part: &Bytes<'_>, rules: &Rules) {
        if let Place::Page(start) = self.tags[at].place()
            && let Some(place) = record::value_mut(&mut self.page[start..]).get_mut(offset..offset + part.len())
        {
            return place.copy_from_slice(part);
        }
        let entry = self.entry(at);
        if let (Place::Page(_), View::Bytes(bytes)) = (self.tags[at].place(), entry.value)
            && offset + part.len() < LONG
        {
            let (key, mut bytes) = (Box::<[u8]>::from(entry.key), bytes.to_vec());
            overwrite(&mut bytes, offset, part);
            if record::size(&key, &bytes, entry.expiry).is_some() {
                let entry = Entry { key: &key, value: View::Bytes(&bytes), expiry: entry.expiry, access: entry.access };
                return self.replace(at, entry, rules);
            }
        }
        let index = self.move_outside(at, rules);
        self.change_outside(index, |owned| owned.overwrite(offset, part, rules));
    }

    /// The entry at `at` was used.
    pub fn touch(&mut self, at: usize, access: Access) {
        match self.tags[at].place() {
            Place::Page(offset) => record::touch(&mut self.page[offset..], access),
            Place::Outside(index) => {
                if let Some(outside) = &mut self.outside {
                    outside.entries[index].touch(access);
                }
            }
        }
    }

    pub fn set_expiry(&mut self, at: usize, expiry: Option<Millis>) {
        match self.tags[at].place() {
            Place::Outside(index) => self.change_outside(index, |owned| owned.set_expiry(expiry)),
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
        let outside = self.outside.get_or_insert_default();
        let taken = outside.entries.swap_remove(index);
        outside.cost -= taken.cost();
        let last = Place::Outside(outside.entries.len());
        if let Some(tag) = self.tags.iter_mut().find(|tag| tag.place() == last) {
            *tag = Tag::outside(tag.fingerprint(), index);
        }
        self.outside.take_if(|outside| outside.entries.is_empty());
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
    pub fn split(&mut self, goes: impl Fn(&[u8]) -> bool, rules: &Rules) -> Self {
        let going: Vec<usize> = (0..self.len()).rev().filter(|&at| goes(self.key(at))).collect();
        let in_page = |at: &usize| if let Place::Page(offset) = self.tags[*at].place() { record::size_at(&self.page[offset..]) } else { 0 };
        let mut moved = Self::new();
        moved.page.reserve_exact(with_slack::<u8>(going.iter().map(in_page).sum()));
        moved.tags.reserve_exact(with_slack::<Tag>(going.len()));
        going.into_iter().for_each(|at| self.transfer(at, &mut moved, rules));
        self.trim();
        moved
    }

    /// Takes all entries of `other`.
    pub fn merge(&mut self, mut other: Self, rules: &Rules) {
        self.page.reserve_exact(other.page.len());
        self.tags.reserve_exact(other.tags.len());
        for at in (0..other.len()).rev() {
            other.transfer(at, self, rules);
        }
    }

    fn transfer(&mut self, at: usize, target: &mut Self, rules: &Rules) {
        let tag = self.tags[at];
        match tag.place() {
            Place::Page(_) => {
                target.insert(tag.fingerprint(), self.entry(at), rules);
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
        self.outside.iter_mut().for_each(|outside| trim(&mut outside.entries));
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
        assert!(indices.into_iter().eq(0..self.outside().len()), "each entry outside has one tag");
        offsets.sort_unstable();
        let end = offsets.into_iter().fold(0, |end, offset| {
            assert_eq!(offset, end, "records lie without gaps, each with one tag");
            end + record::size_at(&self.page[offset..])
        });
        assert_eq!(end, self.page.len(), "the last record ends the page");
        let soonest = self.entries().filter_map(|entry| entry.expiry).min().unwrap_or(Millis::MAX);
        assert!(self.soonest <= soonest, "`soonest` is a lower bound");
        let cost: usize = self.outside().iter().map(Owned::cost).sum();
        assert_eq!(self.outside.as_ref().map_or(0, |outside| outside.cost), cost, "the cost is a sum");
    }
}

/// What the allocator takes for so many bytes.
fn allocated(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { (bytes + size_of::<usize>()).next_multiple_of(16) }
}
