//! Numbers in texts from outside: frames of the bus, nodes.conf, RDB files, the replication handshake.
//!
//! Owns: one table of them, each with the name that an error says and the greatest value that is taken. Must not: know what is plausible
//! beside a node's own numbers (raft does). Contract: docs/protocol.md, "Bounds" \[N62 number-bounds\].
//!
//! Greatest values leave room: whatever a node makes of one by counting on is written by it, and read again by itself and by others.

/// A number with its bounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// What errors call it; where it stands, in brackets, if the name alone does not say.
    pub name: &'static str,
    /// Nothing above is taken.
    pub greatest: u64,
}

impl Field {
    /// The number, if it is within the bounds.
    pub fn take(&self, number: u64) -> Option<u64> {
        (number <= self.greatest).then_some(number)
    }
}

/// What is only compared, told or handed back: all that 63 bits hold.
const WHOLE: u64 = i64::MAX as u64;
/// What is counted up one by one, or is a clock in ms.
const COUNTED: u64 = 1 << 62;
/// Terms that nodes speak of: below [`TERM_LIMIT`].
const SPOKEN_TERM: u64 = TERM_LIMIT - 1;
/// Indices in frames. A reign is an index times 2^20 and fits below 2^63.
const SPOKEN_INDEX: u64 = 1 << 42;
/// Where a history may begin by a file, and where by a primary's word, which may have begun by a file: 2^61 bytes are never counted up to.
const FILE_OFFSET: u64 = 1 << 61;
const SPOKEN_OFFSET: u64 = 1 << 62;
/// Indices that a node has written itself.
const OWN_INDEX: u64 = (1 << 43) - 1;
const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
/// The longest frame of the bus.
pub const MAX_FRAME: u64 = 16 << 20;

/// Terms from here on are nobody's.
pub const TERM_LIMIT: u64 = 1 << 62;

macro_rules! fields {
    ($($name:ident = $text:literal, $greatest:expr;)*) => {
        $(#[doc = concat!("`", $text, "`.")] pub const $name: Field = Field { name: $text, greatest: $greatest };)*

        /// All of them.
        pub const ALL: &[Field] = &[$($name),*];
    };
}

// Frames: src/wire/bus.
fields! {
    VERSION = "protocol version", u32::MAX as u64;
    JOIN_NONCE = "join nonce", WHOLE;
    TERM = "term", SPOKEN_TERM;
    PREV_TERM = "prev-term", SPOKEN_TERM;
    LAST_TERM = "last-term", SPOKEN_TERM;
    PREV_INDEX = "prev-index", SPOKEN_INDEX;
    QUORUM = "quorum", SPOKEN_INDEX;
    COMMIT = "commit", SPOKEN_INDEX;
    INDEX = "index", SPOKEN_INDEX;
    LAST_INDEX = "last-index", SPOKEN_INDEX;
    SNAPSHOT_INDEX = "last-index [of a snapshot]", SPOKEN_INDEX;
    COUNT = "count", 8192;
    ROUND = "round", COUNTED;
    CLOCK = "clock", COUNTED;
    AGE = "age", COUNTED;
    LEASE = "lease", HOUR;
    REIGN = "reign", WHOLE;
    OFFSET = "offset", WHOLE;
    BYTES = "bytes", MAX_FRAME;
    NUMBER = "number", COUNTED;
    PAUSE = "pause", DAY;
    MILLIONTHS = "millionths", COUNTED;
    CHANNEL_LENGTH = "channel length", WHOLE;
    MESSAGE_LENGTH = "message length", WHOLE;
    // Log entries, in frames and in nodes.conf: src/cluster/text.rs. What stands in one is bounded by the AE that brings it too.
    ENTRY_TERM = "term [of an entry]", WHOLE;
    EPOCH = "epoch", SPOKEN_INDEX;
    SOURCE_EPOCH = "source epoch", SPOKEN_INDEX;
    TARGET_EPOCH = "target epoch", SPOKEN_INDEX;
    ENTRY_LEASE = "lease [of an entry]", WHOLE;
    PROPOSAL_INCARNATION = "incarnation [of a proposal]", COUNTED;
    PROPOSAL_NUMBER = "number [of a proposal]", COUNTED;
    SLOT = "slot range", super::SLOT_COUNT as u64 - 1;
    PORT = "port", u16::MAX as u64;
    REPLICA_PRIORITY = "replica-priority", u32::MAX as u64;
    PROTOCOL_VERSION = "protocol-version", u32::MAX as u64;
    // Snapshots, in frames and in nodes.conf: src/cluster/restore.rs.
    SHARD_EPOCH = "epoch [of a shard]", OWN_INDEX;
    INCARNATION = "incarnation", WHOLE;
    CURRENT_TERM = "currentTerm", WHOLE;
    SNAPSHOT_TERM = "snapshotTerm", WHOLE;
    LAST_APPLIED = "lastApplied", OWN_INDEX;
    MAX_LEASE = "maxLease", WHOLE;
    PROPOSER_INCARNATION = "incarnation [of a proposer]", COUNTED;
    PROPOSER_LOWEST = "lowest", COUNTED + 1;
    OUTCOME_NUMBER = "number [of an outcome]", COUNTED;
    // nodes.conf alone: src/store.
    FALLBACK_TERM = "fallbackTerm", WHOLE;
    LOG_INDEX = "index [of a log line]", OWN_INDEX;
    SYNCED_INDEX = "index [of a synced line]", OWN_INDEX;
    // The handshake of replicas, and RDB files: src/replication.
    PRIMARY_REIGN = "reign [of a primary]", WHOLE;
    FULLRESYNC_OFFSET = "offset [of a full sync]", SPOKEN_OFFSET;
    RDB_LENGTH = "length [of an RDB]", COUNTED;
    RDB_OFFSET = "repl-offset", FILE_OFFSET;
    RDB_STRING = "length [of a string]", super::STRING_MAX;
}
