//! What is wrong with an RDB file, in words for the person who has it.
//!
//! Owns: the errors. Must not: decide.

use super::VERSION_MAX;
use crate::types::STRING_MAX;

/// Why an RDB was not loaded.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("byte {offset}: {problem}")]
pub struct RdbError {
    /// Where the part that cannot be read begins, from the start of the RDB.
    pub offset: u64,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with an RDB.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Problem {
    /// Something else, or the form of Valkey 9.
    #[error("this is no RDB file: it does not begin with REDIS and four digits")]
    Magic,
    /// Newer, or older than the first.
    #[error("RDB version {0}: versions 1 to {VERSION_MAX} are read")]
    Version(u32),
    /// The last byte came too soon.
    #[error("the file ends in the middle")]
    Truncated,
    /// A value of a type that there is none of here.
    #[error("the key '{key}' holds a {kind}, which is not supported")]
    Type {
        /// Its name.
        kind: &'static str,
        /// The key, shortened and escaped.
        key: String,
    },
    /// A byte that begins nothing.
    #[error("unknown type or opcode {0}")]
    Opcode(u8),
    /// What has no place here, in words.
    #[error("{0}")]
    Unsupported(String),
    /// More than one database.
    #[error("the key '{key}' is in database {db}: a cluster has only database 0")]
    Database {
        /// The number of its database.
        db: u64,
        /// The key, shortened and escaped.
        key: String,
    },
    /// A key a second time.
    #[error("the key '{0}' is there twice")]
    Duplicate(String),
    /// A length above what a string can have, or none at all.
    #[error("a string of {0} bytes: at most {STRING_MAX} are possible")]
    Length(u64),
    /// A length byte that says something else.
    #[error("no length, but encoding {0}")]
    NoLength(u8),
    /// A packed string.
    #[error("a compressed string is damaged")]
    Compressed,
    /// What a value of this type is made of.
    #[error("a {0} is damaged")]
    Damaged(&'static str),
    /// The system gives no more memory.
    #[error("there is no memory for the {length} bytes of the key '{key}'")]
    Memory {
        /// How many bytes its value has.
        length: usize,
        /// The key, shortened and escaped.
        key: String,
    },
    /// The bytes are not those that were written.
    #[error("the checksum of the bytes is {computed:016x}, the file says {stored:016x}")]
    Checksum {
        /// What the bytes give.
        computed: u64,
        /// What stands at the end.
        stored: u64,
    },
}

/// The first bytes of a key, as they can be shown.
pub fn shown(key: &[u8]) -> String {
    const SHOWN: usize = 64;
    let more = if key.len() > SHOWN { "..." } else { "" };
    format!("{}{more}", key[..key.len().min(SHOWN)].escape_ascii())
}
