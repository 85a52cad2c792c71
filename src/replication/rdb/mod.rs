//! Redis' RDB format: what a save leaves on disk, and what a replica gets first.
//!
//! Owns: the bytes, both ways, a slice at a time: a [`Writer`] goes over a keyspace as it was at one moment, a [`Loader`] fills a fresh one. Must not:
//! know where the bytes go or come from.
//!
//! Written is version 10, which Redis 7.0 and everything later reads; versions up to 12 (Redis 7.4, Valkey 8) are read, as far as there is a place
//! for what they hold. What there is none for is refused with its name: loading a part would be losing the rest in silence. Strings of 1 to 256 KiB are
//! compressed if that makes them shorter; read are compressed strings of any length.

mod error;
mod loader;
mod reader;
mod writer;

pub use error::{Problem, RdbError};
pub use loader::{Loaded, Loader};
pub use writer::{About, Format, Measure, Writer};

use crc::{CRC_64_REDIS, Crc, Table};

/// What every file begins with; four digits of version follow.
const MAGIC: &[u8; 5] = b"REDIS";
/// The version that is written.
const VERSION: u32 = 10;
/// The highest version that is read.
const VERSION_MAX: u32 = 12;

/// What a byte where a key or an opcode may begin means; a value's type is any other.
mod opcode {
    pub const SLOT_INFO: u8 = 244;
    pub const FUNCTION: u8 = 245;
    pub const FUNCTION_PRE_RELEASE: u8 = 246;
    pub const MODULE_AUX: u8 = 247;
    pub const IDLE: u8 = 248;
    pub const FREQ: u8 = 249;
    pub const AUX: u8 = 250;
    pub const RESIZE_DB: u8 = 251;
    pub const EXPIRE_MS: u8 = 252;
    pub const EXPIRE_SECONDS: u8 = 253;
    pub const SELECT_DB: u8 = 254;
    pub const END: u8 = 255;
    /// Not an opcode but the type of a string.
    pub const STRING: u8 = 0;
}

/// What the first byte of a length says, in its high two bits or as a whole.
mod length {
    /// The low six bits are the length.
    pub const BITS_6: u8 = 0;
    /// They and the next byte are.
    pub const BITS_14: u8 = 0x40;
    /// Four bytes follow, the highest first.
    pub const BITS_32: u8 = 0x80;
    /// Eight bytes follow.
    pub const BITS_64: u8 = 0x81;
    /// No length: the low six bits say what follows.
    pub const ENCODED: u8 = 0xc0;
}

/// What follows [`length::ENCODED`].
mod encoding {
    pub const INT8: u8 = 0;
    pub const INT16: u8 = 1;
    pub const INT32: u8 = 2;
    pub const LZF: u8 = 3;
}

static CRC: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

type Digest = crc::Digest<'static, u64, Table<16>>;

#[cfg(test)]
mod tests;
