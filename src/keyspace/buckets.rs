//! The buckets of one dictionary, in an order that linear hashing gives them.
//!
//! Owns: where they lie. The first, which is the only one of a small slot, lies within, so that a lookup waits for two places in memory
//! less; the others lie in segments, so that growing never moves all of them. Must not: look into a bucket.

use super::bucket::Bucket;
use crate::values::lean::reserve;

/// Buckets of one allocation.
const SEGMENT: usize = 256;

/// See the module.
pub(super) struct Buckets {
    first: Bucket,
    /// All but the last hold [`SEGMENT`], and none is empty.
    segments: Vec<Vec<Bucket>>,
}

impl Buckets {
    /// One, which is empty.
    pub fn new() -> Self {
        Self { first: Bucket::new(), segments: Vec::new() }
    }

    /// How many there are; never none.
    pub fn len(&self) -> usize {
        match self.segments.split_last() {
            None => 1,
            Some((last, full)) => 1 + full.len() * SEGMENT + last.len(),
        }
    }

    pub fn get(&self, number: usize) -> &Bucket {
        match number.checked_sub(1) {
            None => &self.first,
            Some(place) => &self.segments[place / SEGMENT][place % SEGMENT],
        }
    }

    pub fn get_mut(&mut self, number: usize) -> &mut Bucket {
        match number.checked_sub(1) {
            None => &mut self.first,
            Some(place) => &mut self.segments[place / SEGMENT][place % SEGMENT],
        }
    }

    pub fn push(&mut self, bucket: Bucket) {
        if (self.len() - 1).is_multiple_of(SEGMENT) {
            reserve(&mut self.segments, 1);
            self.segments.push(Vec::new());
        }
        let segment = self.segments.last_mut().expect("there is a segment: one was pushed if there was none");
        reserve(segment, 1);
        segment.push(bucket);
    }

    /// Takes the last away; none if it is the first.
    pub fn pop(&mut self) -> Option<Bucket> {
        let segment = self.segments.last_mut()?;
        let bucket = segment.pop();
        if segment.is_empty() {
            self.segments.pop();
        }
        bucket
    }

    /// Takes the last away, and at the end what is in the first; none if nothing is left.
    pub fn take(&mut self) -> Option<Bucket> {
        self.pop().or_else(|| (self.first.len() > 0).then(|| std::mem::replace(&mut self.first, Bucket::new())))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Bucket> {
        std::iter::once(&self.first).chain(self.segments.iter().flatten())
    }

    /// Every invariant.
    pub fn check(&self) {
        let full = self.segments.split_last().is_none_or(|(last, full)| !last.is_empty() && full.iter().all(|full| full.len() == SEGMENT));
        assert!(full, "all segments but the last are full, and none is empty");
    }
}
