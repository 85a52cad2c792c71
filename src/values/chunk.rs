//! A few dozen pairs of strings whose first ones' hashes share their low bits: the part of a large value that is shared, copied and freed
//! as one.
//!
//! Owns: how they lie in memory: small pairs one behind the other in a page, others outside, where copies share them. Must not: hash, or
//! know other chunks.

use super::lean::{reserve, trim};
use super::tag::{Place, Tag};
use super::{Rules, Shared};

/// A pair with more bytes lies outside.
const SMALL: usize = 1 << 10;
/// Lengths of a small pair: 16 bits each.
const HEADER: usize = 4;

/// See the module.
#[derive(Clone, Default, Debug)]
pub struct Chunk {
    /// One a pair, in no order. Offsets are those of a record in `page`, indices those of `outside`; no two are the same.
    tags: Vec<Tag>,
    /// Records without gaps; each has one tag.
    page: Vec<u8>,
    /// Pairs that are too long for the page.
    outside: Vec<(Shared, Shared)>,
}

impl Chunk {
    pub fn len(&self) -> usize {
        self.tags.len()
    }

    /// Memory that it takes, in bytes.
    pub fn cost(&self) -> usize {
        let outside: usize = self.outside.iter().map(|(field, value)| size_of::<(Shared, Shared)>() + field.cost() + value.cost()).sum();
        size_of::<Self>() + self.tags.capacity() * size_of::<Tag>() + self.page.capacity() + outside
    }

    /// Where the field stands. Any change voids it.
    pub fn find(&self, fingerprint: u8, field: &[u8]) -> Option<usize> {
        (0..self.tags.len()).find(|&at| self.tags[at].fingerprint() == fingerprint && self.pair(at).0 == field)
    }

    /// The field and the value in this place.
    pub fn pair(&self, at: usize) -> (&[u8], &[u8]) {
        match self.tags[at].place() {
            Place::Page(offset) => {
                let (field, value, end) = bounds(&self.page, offset);
                (&self.page[field..value], &self.page[value..end])
            }
            Place::Outside(index) => {
                let (field, value) = &self.outside[index];
                (field, value)
            }
        }
    }

    /// Adds a pair whose field is not there.
    pub fn insert(&mut self, fingerprint: u8, field: &[u8], value: &[u8], rules: &Rules) {
        if field.len() + value.len() > SMALL {
            let pair = (Shared::new(field.to_vec(), &rules.rubble), Shared::new(value.to_vec(), &rules.rubble));
            return self.insert_outside(fingerprint, pair);
        }
        let offset = self.page.len();
        reserve(&mut self.page, HEADER + field.len() + value.len());
        self.page.extend((field.len() as u16).to_le_bytes());
        self.page.extend((value.len() as u16).to_le_bytes());
        self.page.extend_from_slice(field);
        self.page.extend_from_slice(value);
        self.push_tag(Tag::in_page(fingerprint, offset));
    }

    fn insert_outside(&mut self, fingerprint: u8, pair: (Shared, Shared)) {
        let tag = Tag::outside(fingerprint, self.outside.len());
        reserve(&mut self.outside, 1);
        self.outside.push(pair);
        self.push_tag(tag);
    }

    fn push_tag(&mut self, tag: Tag) {
        reserve(&mut self.tags, 1);
        self.tags.push(tag);
    }

    /// Gives the field in this place another value. May move it.
    pub fn replace(&mut self, at: usize, field: &[u8], value: &[u8], rules: &Rules) {
        let tag = self.tags[at];
        if let Place::Page(offset) = tag.place() {
            let (_, start, end) = bounds(&self.page, offset);
            if end - start == value.len() {
                return self.page[start..end].copy_from_slice(value);
            }
        }
        self.remove(at);
        self.insert(tag.fingerprint(), field, value, rules);
    }

    /// Removes the pair in this place; the last one takes it.
    pub fn remove(&mut self, at: usize) {
        match self.tags.swap_remove(at).place() {
            Place::Page(offset) => {
                let end = bounds(&self.page, offset).2;
                self.page.drain(offset..end);
                for tag in &mut self.tags {
                    if let Place::Page(other) = tag.place()
                        && other > offset
                    {
                        *tag = Tag::in_page(tag.fingerprint(), other - (end - offset));
                    }
                }
            }
            Place::Outside(index) => {
                self.take_outside(index);
            }
        }
    }

    /// Takes a pair whose tag is gone already; the last one takes its index.
    fn take_outside(&mut self, index: usize) -> (Shared, Shared) {
        let taken = self.outside.swap_remove(index);
        let last = Place::Outside(self.outside.len());
        if let Some(tag) = self.tags.iter_mut().find(|tag| tag.place() == last) {
            *tag = Tag::outside(tag.fingerprint(), index);
        }
        taken
    }

    /// Moves the pairs whose fields `goes` names into a chunk of their own.
    pub fn split(&mut self, goes: impl Fn(&[u8]) -> bool, rules: &Rules) -> Self {
        let mut moved = Self::default();
        for at in (0..self.len()).rev() {
            if goes(self.pair(at).0) {
                self.transfer(at, &mut moved, rules);
            }
        }
        self.trim();
        moved
    }

    /// Takes all pairs of `other`.
    pub fn merge(&mut self, mut other: Self, rules: &Rules) {
        for at in (0..other.len()).rev() {
            other.transfer(at, self, rules);
        }
    }

    fn transfer(&mut self, at: usize, target: &mut Self, rules: &Rules) {
        let tag = self.tags[at];
        match tag.place() {
            Place::Page(_) => {
                let (field, value) = self.pair(at);
                target.insert(tag.fingerprint(), field, value, rules);
                self.remove(at);
            }
            Place::Outside(index) => {
                self.tags.swap_remove(at);
                let pair = self.take_outside(index);
                target.insert_outside(tag.fingerprint(), pair);
            }
        }
    }

    /// Gives back memory that removals left, if it is much.
    pub fn trim(&mut self) {
        trim(&mut self.page);
        trim(&mut self.tags);
        trim(&mut self.outside);
    }
}

/// Where the field of the record at `offset` begins, where its value, where it ends.
fn bounds(page: &[u8], offset: usize) -> (usize, usize, usize) {
    let length = |at: usize| usize::from(u16::from_le_bytes([page[at], page[at + 1]]));
    let field = offset + HEADER;
    let value = field + length(offset);
    (field, value, value + length(offset + 2))
}
