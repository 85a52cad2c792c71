//! A keyspace as it is now, as an RDB, in slices.
//!
//! Owns: the form of what is written. Must not: hold more of it than one slice. Contract: [`super`].

use crate::keyspace::{Entry, Keyspace, Value, WalkId, WalkStep};
use crate::rdb::{CRC, Digest, MAGIC, VERSION, opcode, push_length, push_string};
use crate::types::{REDIS_VERSION, ReplId};

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

/// Writes the RDB of a keyspace as it was when this was made.
pub struct Writer {
    walk: WalkId,
    /// Where strings are compressed; none: they are not.
    packed: Option<Vec<u8>>,
    /// None: not to be summed up.
    digest: Option<Digest>,
    /// What comes before the first key, until it is written.
    head: Vec<u8>,
}

impl Writer {
    /// Begins; none if too many walks over the keyspace are under way. Must be ended by [`Writer::end`], whatever its steps return.
    pub fn begin(keyspace: &mut Keyspace, about: &About, format: Format) -> Option<Self> {
        let walk = keyspace.begin_walk()?;
        let packed = format.compress.then(Vec::new);
        let digest = format.checksum.then(|| CRC.digest());
        Some(Self { walk, packed, digest, head: head(about, keyspace) })
    }

    /// Appends about `budget` bytes more (before compression; one key is never cut). At [`WalkStep::Done`] these were the last. At
    /// [`WalkStep::Voided`] all that was written is of no use: keys were cleared as a whole, and there is another begin.
    pub fn step(&mut self, keyspace: &mut Keyspace, budget: usize, out: &mut Vec<u8>) -> WalkStep {
        let start = out.len();
        out.append(&mut self.head);
        let packed = &mut self.packed;
        let step = keyspace.step_walk(self.walk, budget, &mut |entry| push_entry(entry, packed, out));
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
        keyspace.end_walk(self.walk);
    }
}

/// Finds how long the RDB of a [`Writer`] will be, by a walk of its own over the same keys: what they hold is written in the same bytes whenever their turn comes.
pub struct Measure {
    walk: WalkId,
    length: u64,
    packed: Option<Vec<u8>>,
    scratch: Vec<u8>,
}

impl Measure {
    /// Begins, together with the writer: no key may have changed since that began. None if too many walks over the keyspace are under way. Must be ended by
    /// [`Measure::end`], whatever its steps return.
    pub fn begin(keyspace: &mut Keyspace, writer: &Writer) -> Option<Self> {
        let walk = keyspace.begin_walk()?;
        let length = (writer.head.len() + TAIL) as u64;
        Some(Self { walk, length, packed: writer.packed.as_ref().map(|_| Vec::new()), scratch: Vec::new() })
    }

    /// Goes over about `budget` bytes more; at [`WalkStep::Done`] the length is known.
    pub fn step(&mut self, keyspace: &mut Keyspace, budget: usize) -> WalkStep {
        let Self { walk, length, packed, scratch } = self;
        keyspace.step_walk(*walk, budget, &mut |entry| {
            scratch.clear();
            push_entry(entry, packed, scratch);
            *length += scratch.len() as u64;
        })
    }

    /// Bytes of the RDB, as far as they are counted.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Ends, or gives up.
    pub fn end(self, keyspace: &mut Keyspace) {
        keyspace.end_walk(self.walk);
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

fn push_entry(entry: Entry<'_>, packed: &mut Option<Vec<u8>>, out: &mut Vec<u8>) {
    if let Some(expiry) = entry.expiry {
        out.push(opcode::EXPIRE_MS);
        out.extend(expiry.to_le_bytes());
    }
    let Value::String(value) = entry.value;
    out.push(opcode::STRING);
    push_string(entry.key, packed, out);
    push_string(value, packed, out);
}
