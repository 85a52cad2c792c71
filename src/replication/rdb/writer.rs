//! A keyspace as it is now, as an RDB, in slices.
//!
//! Owns: the form of what is written. Must not: hold more of it than one slice. Contract: [`super`].

use crate::keyspace::{Entry, Keyspace, WalkId, WalkStep};
use crate::rdb::{CRC, Digest, MAGIC, Output, VERSION, opcode, push_length, push_string};
use crate::types::{Millis, REDIS_VERSION, ReplId};
use crate::values::{Place, SLICE, Value, View};
use std::collections::VecDeque;

/// The end's opcode and the checksum.
const TAIL: usize = 1 + 8;
/// How an RDB is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Format {
    /// Strings are compressed (`rdbcompression`).
    pub compress: bool,
    /// The bytes are summed up (`rdbchecksum`); else the sum that stands there says that there is none.
    pub checksum: bool,
}

/// What an RDB says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct About {
    /// Unix time in seconds of its beginning.
    pub ctime: u64,
    /// Bytes of memory in use then.
    pub used_memory: u64,
    /// The history of changes that led to these keys, and how many bytes of it.
    pub replication: Option<(ReplId, u64)>,
}

/// Goes over a keyspace as it was when this was made, and cuts large values: it goes on with a clone of them.
struct Course {
    walk: WalkId,
    /// Where strings are compressed; none: they are not.
    packed: Option<Vec<u8>>,
    /// Keys that the walk has passed and that are not written as a whole yet. More than one only if a large value's key has the place of
    /// another's.
    pending: VecDeque<Pending>,
}

/// A key that is written in slices.
struct Pending {
    key: Box<[u8]>,
    expiry: Option<Millis>,
    value: Value,
    /// Where its value goes on; none before the key is written.
    place: Option<Place>,
}

impl Course {
    fn begin(keyspace: &mut Keyspace, compress: bool) -> Option<Self> {
        Some(Self { walk: keyspace.begin_walk()?, packed: compress.then(Vec::new), pending: VecDeque::new() })
    }

    /// Appends about `budget` bytes more, before compression.
    fn step(&mut self, keyspace: &mut Keyspace, budget: usize, out: &mut Vec<u8>) -> WalkStep {
        if self.go_on(budget, out) {
            return WalkStep::More;
        }
        let Self { walk, packed, pending } = self;
        let rules = keyspace.rules().clone();
        let step = keyspace.step_walk(*walk, budget, &mut |entry| {
            if pending.is_empty() && entry.value.cost() <= SLICE {
                return push_entry(entry, packed, out);
            }
            let Entry { key, value, expiry, .. } = entry;
            pending.push_back(Pending { key: key.into(), expiry, value: value.to_value(&rules), place: None });
        });
        if step == WalkStep::Voided || !self.go_on(budget, out) {
            return step;
        }
        // What the walk has passed last may be there to be written still.
        if self.pending.is_empty() { step } else { WalkStep::More }
    }

    /// Goes on with a large value; false if there is none.
    fn go_on(&mut self, budget: usize, out: &mut Vec<u8>) -> bool {
        let Some(Pending { key, expiry, value, place }) = self.pending.front_mut() else { return false };
        if place.is_none() {
            push_head(key, *expiry, value.rdb_form(), &mut self.packed, out);
        }
        *place = value.save(place.unwrap_or_default(), &mut Output::new(out, &mut self.packed, budget));
        if place.is_none() {
            self.pending.pop_front();
        }
        true
    }

    fn end(self, keyspace: &mut Keyspace) {
        keyspace.end_walk(self.walk);
    }
}

/// Writes the RDB of a keyspace as it was when this was made.
pub struct Writer {
    course: Course,
    /// None: not to be summed up.
    digest: Option<Digest>,
    /// What comes before the first key, until it is written.
    head: Vec<u8>,
}

impl Writer {
    /// Begins; none if too many walks over the keyspace are under way. Must be ended by [`Writer::end`], whatever its steps return.
    pub fn begin(keyspace: &mut Keyspace, about: &About, format: Format) -> Option<Self> {
        let course = Course::begin(keyspace, format.compress)?;
        let digest = format.checksum.then(|| CRC.digest());
        Some(Self { course, digest, head: head(about, keyspace) })
    }

    /// Appends about `budget` bytes more (before compression). At [`WalkStep::Done`] these were the last. At
    /// [`WalkStep::Voided`] all that was written is of no use: keys were cleared as a whole, and there is another begin.
    pub fn step(&mut self, keyspace: &mut Keyspace, budget: usize, out: &mut Vec<u8>) -> WalkStep {
        let start = out.len();
        out.append(&mut self.head);
        let step = self.course.step(keyspace, budget, out);
        if step == WalkStep::Done {
            out.push(opcode::END);
        }
        if let Some(digest) = &mut self.digest {
            digest.update(&out[start..]);
        }
        if step == WalkStep::Done {
            let sum = self.digest.take().map_or(0, Digest::finalize);
            out.extend(sum.to_le_bytes());
        }
        step
    }

    /// Ends, or gives up.
    pub fn end(self, keyspace: &mut Keyspace) {
        self.course.end(keyspace);
    }
}

/// Finds how long the RDB of a [`Writer`] will be, by a walk of its own over the same keys: what they hold is written in the same bytes
/// whenever their turn comes.
pub struct Measure {
    course: Course,
    length: u64,
    scratch: Vec<u8>,
}

impl Measure {
    /// Begins, together with the writer: no key may have changed since that began. None if too many walks over the keyspace are under way.
    /// Must be ended by [`Measure::end`], whatever its steps return.
    pub fn begin(keyspace: &mut Keyspace, writer: &Writer) -> Option<Self> {
        let course = Course::begin(keyspace, writer.course.packed.is_some())?;
        Some(Self { course, length: (writer.head.len() + TAIL) as u64, scratch: Vec::new() })
    }

    /// Goes over about `budget` bytes more; at [`WalkStep::Done`] the length is known.
    pub fn step(&mut self, keyspace: &mut Keyspace, budget: usize) -> WalkStep {
        self.scratch.clear();
        let step = self.course.step(keyspace, budget, &mut self.scratch);
        self.length += self.scratch.len() as u64;
        step
    }

    /// Bytes of the RDB, as far as they are counted.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Ends, or gives up.
    pub fn end(self, keyspace: &mut Keyspace) {
        self.course.end(keyspace);
    }
}

fn head(about: &About, keyspace: &Keyspace) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(MAGIC);
    out.extend(format!("{VERSION:04}").bytes());
    let mut aux = |name: &str, value: &str| {
        out.push(opcode::AUX);
        push_string(name.as_bytes(), &mut None, &mut out);
        push_string(value.as_bytes(), &mut None, &mut out);
    };
    aux("redis-ver", REDIS_VERSION);
    aux("redis-bits", &usize::BITS.to_string());
    aux("ctime", &about.ctime.to_string());
    aux("used-mem", &about.used_memory.to_string());
    if let Some((id, offset)) = about.replication {
        aux("repl-stream-db", "0");
        aux("repl-id", &id.to_string());
        aux("repl-offset", &offset.to_string());
    }
    aux("aof-base", "0");
    if !keyspace.is_empty() {
        out.extend([opcode::SELECT_DB, 0, opcode::RESIZE_DB]);
        push_length(keyspace.len(), &mut out);
        push_length(keyspace.volatile_len(), &mut out);
    }
    out
}

fn push_head(key: &[u8], expiry: Option<Millis>, form: u8, packed: &mut Option<Vec<u8>>, out: &mut Vec<u8>) {
    if let Some(expiry) = expiry {
        out.push(opcode::EXPIRE_MS);
        out.extend(expiry.to_le_bytes());
    }
    out.push(form);
    push_string(key, packed, out);
}

/// Appends an entry that is no large one.
fn push_entry(entry: Entry<'_>, packed: &mut Option<Vec<u8>>, out: &mut Vec<u8>) {
    match entry.value {
        View::Bytes(bytes) => {
            push_head(entry.key, entry.expiry, opcode::STRING, packed, out);
            push_string(bytes, packed, out);
        }
        View::Value(value) => {
            push_head(entry.key, entry.expiry, value.rdb_form(), packed, out);
            let rest = value.save(Place::default(), &mut Output::new(out, packed, usize::MAX));
            debug_assert_eq!(rest, None, "nothing is beyond such a budget");
        }
    }
}
