//! The smallest parts of an RDB: numbers, lengths, strings.
//!
//! Owns: reading them from bytes of which the rest may still be to come. Must not: trust a length.

use super::{Problem, encoding, length};
use crate::types::decimal::push_i64;
use crate::types::numbers::RDB_STRING;

/// The most bytes that one compressed byte can become: a reference of three bytes stands for at most 264.
const RATIO_MAX: u64 = 264 / 3;

/// Why something was not read.
#[derive(Debug)]
pub enum Stop {
    /// Its last byte is still to come.
    Incomplete,
    /// It never will be.
    Bad(Problem),
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Bad(problem)
    }
}

/// Bytes, and how many of them have been read.
#[derive(Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A string as it lies in the RDB.
pub enum Packed<'a> {
    /// As it is.
    Plain(&'a [u8]),
    /// As the number that its text is.
    Integer(i32),
    /// With the length that it unpacks to, which is below what these bytes could.
    Lzf(&'a [u8], usize),
}

impl<'a> Reader<'a> {
    /// Nothing of them is read yet.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes have been read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The next so many bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Stop> {
        let taken = self.bytes[self.at..].get(..count).ok_or(Stop::Incomplete)?;
        self.at += count;
        Ok(taken)
    }

    /// As many of the next `most` bytes as there are, one at least.
    pub fn take_some(&mut self, most: usize) -> Result<&'a [u8], Stop> {
        match most.min(self.bytes.len() - self.at) {
            0 if most > 0 => Err(Stop::Incomplete),
            count => self.take(count),
        }
    }

    /// The next N bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        self.take(N).map(|bytes| std::array::from_fn(|at| bytes[at]))
    }

    /// The next byte.
    pub fn byte(&mut self) -> Result<u8, Stop> {
        self.array().map(|[byte]| byte)
    }

    /// A length; `Err` of its low bits if it is an encoding instead.
    fn length_or_encoding(&mut self) -> Result<Result<u64, u8>, Stop> {
        let first = self.byte()?;
        let low = first & !length::ENCODED;
        Ok(match first & length::ENCODED {
            length::BITS_6 => Ok(u64::from(low)),
            length::BITS_14 => Ok(u64::from(low) << 8 | u64::from(self.byte()?)),
            length::ENCODED => Err(low),
            _ if first == length::BITS_32 => Ok(u32::from_be_bytes(self.array()?).into()),
            _ if first == length::BITS_64 => Ok(u64::from_be_bytes(self.array()?)),
            _ => return Err(Problem::NoLength(first).into()),
        })
    }

    /// A number in the form of a length.
    pub fn length(&mut self) -> Result<u64, Stop> {
        self.length_or_encoding()?.map_err(|encoding| Problem::NoLength(encoding).into())
    }

    fn string_length(&mut self) -> Result<usize, Stop> {
        bounded(self.length()?)
    }

    /// How many bytes of a string follow, if they lie there as they are and are at least so many. Else nothing is read.
    pub fn long_string(&mut self, least: usize) -> Result<Option<usize>, Stop> {
        let at = self.at;
        let long = match self.length_or_encoding()? {
            Ok(length) => Some(bounded(length)?).filter(|length| *length >= least),
            Err(_) => None,
        };
        if long.is_none() {
            self.at = at;
        }
        Ok(long)
    }

    /// A string; [`Stop::Incomplete`] before all of it is there.
    pub fn string(&mut self) -> Result<Packed<'a>, Stop> {
        let encoding = match self.length_or_encoding()? {
            Ok(length) => return self.take(bounded(length)?).map(Packed::Plain),
            Err(encoding) => encoding,
        };
        Ok(match encoding {
            encoding::INT8 => Packed::Integer(i8::from_le_bytes(self.array()?).into()),
            encoding::INT16 => Packed::Integer(i16::from_le_bytes(self.array()?).into()),
            encoding::INT32 => Packed::Integer(i32::from_le_bytes(self.array()?)),
            encoding::LZF => {
                let (packed, length) = (self.string_length()?, self.string_length()?);
                if length as u64 > packed as u64 * RATIO_MAX {
                    return Err(Problem::Compressed.into());
                }
                Packed::Lzf(self.take(packed)?, length)
            }
            other => return Err(Problem::NoLength(other).into()),
        })
    }
}

fn bounded(length: u64) -> Result<usize, Stop> {
    RDB_STRING.take(length).and_then(|length| usize::try_from(length).ok()).ok_or_else(|| Problem::Length(length).into())
}

impl<'a> Packed<'a> {
    /// Its bytes; those that do not lie in the RDB as they are go into `buffer`.
    pub fn unpack<'b>(self, buffer: &'b mut Vec<u8>) -> Result<&'b [u8], Problem>
    where
        'a: 'b,
    {
        buffer.clear();
        match self {
            Self::Plain(bytes) => return Ok(bytes),
            Self::Integer(number) => push_i64(buffer, number.into()),
            Self::Lzf(packed, length) => {
                buffer.resize(length, 0);
                lzf_rust::decompress(packed, buffer).ok().filter(|unpacked| *unpacked == length).ok_or(Problem::Compressed)?;
            }
        }
        Ok(buffer)
    }
}
