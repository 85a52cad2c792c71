//! The smallest parts of an RDB: lengths, strings.
//!
//! Owns: writing them. Must not: compress what would hold the loop.

use super::{encoding, length};
use crate::types::decimal::parse_i64;
use std::ops::RangeInclusive;

/// The lengths of strings that are compressed. For each the compressor clears a table of 256 KiB, which is as much work as a KiB of string;
/// and a longer one would hold the loop for too long: this one takes a millisecond.
const PACKED: RangeInclusive<usize> = 1 << 10..=256 << 10;
/// A compressed string has a second length in front of it.
const PACKED_GAIN: usize = 5;
/// The most digits of an integer of 32 bits, and its sign.
const INTEGER_MAX: usize = 11;

/// Where an RDB is written, up to a bound.
pub struct Output<'a> {
    out: &'a mut Vec<u8>,
    /// Where strings are compressed; none: they are not.
    packed: &'a mut Option<Vec<u8>>,
    /// It is full with so many bytes, before compression.
    end: usize,
    /// What compression has saved.
    saved: usize,
}

impl<'a> Output<'a> {
    /// Appends to `out`, and is full with `budget` bytes more.
    pub fn new(out: &'a mut Vec<u8>, packed: &'a mut Option<Vec<u8>>, budget: usize) -> Self {
        let end = out.len().saturating_add(budget);
        Self { out, packed, end, saved: 0 }
    }

    /// How many bytes until it is full.
    pub fn left(&self) -> usize {
        self.end.saturating_sub(self.out.len() + self.saved)
    }

    /// Appends a length, or a number in its form.
    pub fn length(&mut self, value: usize) {
        push_length(value, self.out);
    }

    /// Appends a string.
    pub fn string(&mut self, bytes: &[u8]) {
        let before = self.out.len();
        push_string(bytes, self.packed, self.out);
        self.saved += bytes.len().saturating_sub(self.out.len() - before);
    }

    /// Appends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }
}

/// Appends a string in the shortest of its forms.
pub fn push_string(bytes: &[u8], packed: &mut Option<Vec<u8>>, out: &mut Vec<u8>) {
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

/// Appends a length, or a number in its form.
pub fn push_length(value: usize, out: &mut Vec<u8>) {
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
