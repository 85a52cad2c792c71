//! A dictionary of strings within a value: linear hashing over chunks that are shared by count.
//!
//! Owns: which chunk a field is in, growing by a chunk at a time, scans. Must not: copy more than one chunk, and the counts of one segment,
//! for a write while somebody else holds a clone. How: [`super::linear`].

use super::chunk::Chunk;
use super::lean::reserve;
use super::linear::{address, depth};
use super::rubble::Debris;
use super::{KeyHash, Rules};
use std::rc::Rc;

/// Pairs a chunk, on average.
const LOAD: usize = 32;
/// Shrinking begins at this average.
const LOAD_MIN: usize = 10;
/// Chunks of one segment: so many are counted up when a write meets a shared one.
const SEGMENT: usize = 256;
/// An address has 32 bits.
const CHUNKS_MAX: usize = 1 << 31;
/// What costs more is freed in slices.
const FREED: usize = 1 << 20;
/// What it takes to free a chunk of small pairs, and so many bytes of long ones, where a small allocation counts 1.
const CHUNK_EFFORT: usize = 3;
const PAGE: usize = 4096;

type Segment = Vec<Rc<Chunk>>;

/// See the module. A clone costs a count for each segment.
#[derive(Clone, Debug)]
pub struct Table {
    /// At least one chunk; all segments but the last hold [`SEGMENT`], and none is empty.
    segments: Vec<Rc<Segment>>,
    len: usize,
    /// What the chunks cost.
    cost: usize,
    rules: Rules,
}

impl Drop for Table {
    fn drop(&mut self) {
        if self.segments.len() > 1 || self.cost > FREED {
            self.rules.rubble.push(Segments(std::mem::take(&mut self.segments)));
        }
    }
}

struct Segments(Vec<Rc<Segment>>);

impl Debris for Segments {
    fn free_some(&mut self, budget: &mut usize) -> bool {
        while *budget > 0 {
            let Some(last) = self.0.last_mut() else { break };
            // Who holds a segment or a chunk besides frees it.
            let chunk = Rc::get_mut(last).and_then(Vec::pop);
            let effort = match &chunk {
                Some(chunk) if Rc::strong_count(chunk) == 1 => CHUNK_EFFORT + chunk.cost() / PAGE,
                _ => 1,
            };
            *budget = budget.saturating_sub(effort);
            if chunk.is_none() {
                self.0.pop();
            }
        }
        self.0.is_empty()
    }
}

impl Table {
    pub fn new(rules: &Rules) -> Self {
        let chunk = Chunk::default();
        let cost = chunk.cost();
        Self { segments: vec![Rc::new(vec![Rc::new(chunk)])], len: 0, cost, rules: rules.clone() }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Memory that it takes, in bytes.
    pub fn cost(&self) -> usize {
        size_of::<Self>() + self.cost + self.chunks() * size_of::<Rc<Chunk>>()
    }

    pub fn chunks(&self) -> usize {
        let last = self.segments.last().map_or(0, |segment| segment.len());
        (self.segments.len() - 1) * SEGMENT + last
    }

    /// The chunk with this number, if there are so many.
    pub fn chunk(&self, number: usize) -> Option<&Chunk> {
        self.segments.get(number / SEGMENT)?.get(number % SEGMENT).map(|chunk| &**chunk)
    }

    fn cost_of(&self, number: usize) -> usize {
        self.chunk(number).map_or(0, Chunk::cost)
    }

    fn find(&self, field: &[u8]) -> (KeyHash, usize, Option<usize>) {
        let hash = self.rules.hasher.hash(field);
        let number = address(hash.address, self.chunks());
        let at = self.chunk(number).and_then(|chunk| chunk.find(hash.fingerprint, field));
        (hash, number, at)
    }

    /// The field's value.
    pub fn get(&self, field: &[u8]) -> Option<&[u8]> {
        let (_, number, at) = self.find(field);
        self.chunk(number).zip(at).map(|(chunk, at)| chunk.pair(at).1)
    }

    /// Lets `change` change one chunk, a copy of its own if it is shared.
    fn change<R>(&mut self, number: usize, change: impl FnOnce(&mut Chunk, &Rules) -> R) -> R {
        // A copy may cost less than what it is of.
        let before = self.cost_of(number);
        let segment = Rc::make_mut(&mut self.segments[number / SEGMENT]);
        let chunk = Rc::make_mut(&mut segment[number % SEGMENT]);
        let result = change(chunk, &self.rules);
        self.cost = self.cost + chunk.cost() - before;
        result
    }

    /// Gives the field this value; true if it was not there.
    pub fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        let (hash, number, at) = self.find(field);
        self.change(number, |chunk, rules| match at {
            Some(at) => chunk.replace(at, field, value, rules),
            None => chunk.insert(hash.fingerprint, field, value, rules),
        });
        if at.is_none() {
            self.len += 1;
            if self.len > self.chunks() * LOAD && self.chunks() < CHUNKS_MAX {
                self.grow();
            }
        }
        at.is_none()
    }

    /// Removes the field; false if it was not there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        let (_, number, Some(at)) = self.find(field) else { return false };
        self.change(number, |chunk, _| {
            chunk.remove(at);
            chunk.trim();
        });
        self.len -= 1;
        if self.chunks() > 1 && self.len < self.chunks() * LOAD_MIN {
            self.shrink();
        }
        true
    }

    fn grow(&mut self) {
        let (new, bit) = (self.chunks(), 1 << self.chunks().ilog2());
        let moved = self.change(new - bit, |chunk, rules| chunk.split(|field| rules.hasher.hash(field).address as usize & bit != 0, rules));
        self.cost += moved.cost();
        if new.is_multiple_of(SEGMENT) {
            self.segments.push(Rc::new(Segment::new()));
        }
        let segment = Rc::make_mut(self.segments.last_mut().expect("there is at least one segment"));
        reserve(segment, 1);
        segment.push(Rc::new(moved));
    }

    fn shrink(&mut self) {
        let last = self.chunks() - 1;
        self.cost -= self.cost_of(last);
        let segment = Rc::make_mut(self.segments.last_mut().expect("there is at least one segment"));
        let removed = Rc::unwrap_or_clone(segment.pop().expect("no segment is empty"));
        if segment.is_empty() {
            self.segments.pop();
        }
        self.change(last - (1 << last.ilog2()), |chunk, rules| chunk.merge(removed, rules));
    }

    /// Visits the pairs of one chunk, from `place` up to the place that is returned; none: up to the end. A walk that begins at 0 and goes
    /// on with what is returned visits whatever is there throughout, and once.
    pub fn scan<'a>(&'a self, place: u32, visit: &mut dyn FnMut(&'a [u8], &'a [u8])) -> Option<u32> {
        let chunks = self.chunks();
        let number = address(place.reverse_bits(), chunks);
        let start = (number as u32).reverse_bits();
        let chunk = self.chunk(number)?;
        for (field, value) in (0..chunk.len()).map(|at| chunk.pair(at)) {
            if place == start || self.rules.hasher.hash(field).place() >= place {
                visit(field, value);
            }
        }
        u32::try_from(u64::from(start) + (1 << (32 - depth(number, chunks)))).ok()
    }
}
