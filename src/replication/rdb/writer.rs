//! A keyspace as it is now, as an RDB, in slices.
//!
//! Owns: the form of what is written. Must not: hold more of it than one slice. Contract: [`super`].

use super::{CRC, Digest, MAGIC, VERSION, encoding, length, opcode};
use crate::keyspace::{Entry, Keyspace, Value, WalkId, WalkStep};
use crate::types::{REDIS_VERSION, ReplId};
use crate::wire::number::parse_i64;
use std::ops::RangeInclusive;

/// The lengths of strings that are compressed. For each the compressor clears a table of 256 KiB, which is as much work as a KiB of string; and a longer one would
/// hold the loop for too long: this one takes a millisecond.
const PACKED: RangeInclusive<usize> = 1 << 10..=256 << 10;
/// A compressed string has a second length in front of it.
const PACKED_GAIN: usize = 5;
/// The end's opcode and the checksum.
const TAIL: usize = 1 + 8;
/// The most digits of an integer of 32 bits, and its sign.
const INTEGER_MAX: usize = 11;

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

/// Appends a string in the shortest of its forms.
fn push_string(bytes: &[u8], packed: &mut Option<Vec<u8>>, out: &mut Vec<u8>) {
    if bytes.len() <= INTEGER_MAX
        && let Some(number) = parse_i64(bytes)
        && push_integer(number, out)
    {
        return;
    }
    if let Some(packed) = packed
        && PACKED.contains(&bytes.len())
        && let Some(packed) = pack(bytes, packed)
    {
        out.push(encoded(encoding::LZF));
        push_length(packed.len(), out);
        push_length(bytes.len(), out);
        return out.extend_from_slice(packed);
    }
    push_length(bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// The string in its compressed form, if that is shorter with the length that comes with it.
fn pack<'a>(bytes: &[u8], buffer: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    buffer.resize(bytes.len() - PACKED_GAIN, 0);
    lzf_rust::compress(bytes, buffer).ok().map(|length| &buffer[..length])
}

fn push_integer(number: i64, out: &mut Vec<u8>) -> bool {
    if let Ok(number) = i8::try_from(number) {
        out.push(encoded(encoding::INT8));
        out.extend(number.to_le_bytes());
    } else if let Ok(number) = i16::try_from(number) {
        out.push(encoded(encoding::INT16));
        out.extend(number.to_le_bytes());
    } else if let Ok(number) = i32::try_from(number) {
        out.push(encoded(encoding::INT32));
        out.extend(number.to_le_bytes());
    } else {
        return false;
    }
    true
}

/// The first byte of a string that is not simply its length and bytes.
fn encoded(encoding: u8) -> u8 {
    length::ENCODED | encoding
}

fn push_length(value: usize, out: &mut Vec<u8>) {
    match value {
        0..0x40 => out.push(value as u8),
        0x40..0x4000 => out.extend((value as u16 | u16::from(length::BITS_14) << 8).to_be_bytes()),
        _ => match u32::try_from(value) {
            Ok(value) => {
                out.push(length::BITS_32);
                out.extend(value.to_be_bytes());
            }
            Err(_) => {
                out.push(length::BITS_64);
                out.extend((value as u64).to_be_bytes());
            }
        },
    }
}
