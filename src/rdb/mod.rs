//! The bytes of Redis' RDB format.
//!
//! Owns: opcodes, lengths, strings and the checksum, both ways, and what is wrong with an RDB. Must not: know a value, or a file as a whole
//! (replication does).
//! Contract: the format as redis-server and valkey-server write it.

mod error;
mod reader;
mod strings;

pub use error::{Problem, RdbError, shown};
pub use reader::{Packed, Reader, Stop};
pub use strings::{Output, push_length, push_string};

use crc::{CRC_64_REDIS, Crc, Table};

/// What every file begins with; four digits of version follow.
pub const MAGIC: &[u8; 5] = b"REDIS";
/// The version that is written.
pub const VERSION: u32 = 10;
/// The highest version that is read.
pub const VERSION_MAX: u32 = 12;

/// What a byte where a key or an opcode may begin means; a value's type is any other.
#[allow(missing_docs)]
pub mod opcode {
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

/// The checksum at a file's end.
pub static CRC: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

/// A checksum under way.
pub type Digest = crc::Digest<'static, u64, Table<16>>;
