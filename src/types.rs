//! The words every room shares: identifiers, slots, terms, indices, time.
//!
//! Owns: plain values with their text forms. Must not: hold behaviour of any room.

pub mod decimal;
pub mod numbers;

use std::fmt;
use std::str::FromStr;

/// A Raft term (Raft paper §5.1); 0 before the first.
pub type Term = u64;
/// An index into the replicated log; the first entry has index 1, 0 means "nothing".
pub type LogIndex = u64;
/// Milliseconds: a duration, or a point on one of the clocks of [`Now`].
pub type Millis = u64;
/// Counts the write leases of one process, each held without a gap.
pub type LeaseNumber = u64;

/// Number of hash slots in a cluster (Redis cluster specification, "Key distribution model").
pub const SLOT_COUNT: u16 = 16384;

/// The longest string in bytes: the most that `proto-max-bulk-len` may be, so that whatever a client may write can be saved, loaded and
/// copied.
pub const STRING_MAX: u64 = 4 << 30;

/// The Redis version whose behaviour clients and peers may expect.
pub const REDIS_VERSION: &str = "7.2.4";

/// The two clocks, read by the shell and passed down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Now {
    /// CLOCK_BOOTTIME in ms: never set back, runs on while the host is suspended. For every timer and lease.
    pub mono: Millis,
    /// Unix time in ms. For key expiry and what people read.
    pub wall: Millis,
}

/// An identifier's text was not 40 lower-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not 40 lower-case hex digits")]
pub struct BadId;

/// Reads 40 lower-case hex digits.
fn parse_hex(text: &str) -> Result<[u8; 20], BadId> {
    let digits = text.as_bytes();
    if digits.len() != 40 {
        return Err(BadId);
    }
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(BadId),
    };
    let mut bytes = [0; 20];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Ok(bytes)
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 20]);

        impl $name {
            /// The identifier with these 160 bits.
            pub const fn from_bytes(bytes: [u8; 20]) -> Self {
                Self(bytes)
            }

            /// Its 160 bits.
            pub const fn as_bytes(&self) -> &[u8; 20] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                let mut text = [0; 40];
                for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
                    pair[0] = DIGITS[usize::from(byte >> 4)];
                    pair[1] = DIGITS[usize::from(byte & 15)];
                }
                // Hex digits are ASCII, so this never fails.
                f.write_str(std::str::from_utf8(&text).unwrap_or_default())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:.8})", stringify!($name), self.to_string())
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                parse_hex(text).map(Self)
            }
        }
    };
}

hex_id! {
    /// A node's identity, drawn once and kept over restarts; 40 hex digits as text.
    NodeId
}
hex_id! {
    /// A shard's identity: a primary and its replicas share one.
    ShardId
}
hex_id! {
    /// A cluster's identity, drawn at founding: two clusters never merge by accident.
    ClusterId
}

hex_id! {
    /// A replication history's identity: equal offsets of equal histories mean equal keys.
    ReplId
}

/// How much of its shard's data a node holds. More of a later reign is more, whatever the offsets: those of two histories say nothing of
/// each other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Extent {
    /// Numbers the reigns of the shard's primaries, a later one higher; 0 while it is not known.
    pub reign: u64,
    /// Bytes of the stream in that reign's history; 0 for nothing worth promoting.
    pub offset: u64,
}

/// A hash slot, always below [`SLOT_COUNT`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slot(u16);

impl Slot {
    /// The slot with this number, if there is one.
    pub const fn new(number: u16) -> Option<Self> {
        if number < SLOT_COUNT { Some(Self(number)) } else { None }
    }

    /// Its number, 0..16384.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Its number as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Every slot in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..SLOT_COUNT).map(Self)
    }

    /// Ascending slots as inclusive ranges.
    pub fn ranges(slots: impl IntoIterator<Item = Self>) -> Vec<SlotRange> {
        let mut ranges: Vec<SlotRange> = Vec::new();
        for slot in slots {
            match ranges.last_mut() {
                Some(range) if range.last.0 + 1 == slot.0 => range.last = slot,
                _ => ranges.push(slot.into()),
            }
        }
        ranges
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Slots that follow one another; never empty.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlotRange {
    first: Slot,
    /// Not below `first`.
    last: Slot,
}

impl SlotRange {
    /// From `first` to `last`, both included; none if they stand the wrong way round.
    pub fn new(first: Slot, last: Slot) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// The first slot.
    pub const fn first(self) -> Slot {
        self.first
    }

    /// The last slot.
    pub const fn last(self) -> Slot {
        self.last
    }

    /// Its slots in order.
    pub fn slots(self) -> impl Iterator<Item = Slot> {
        (self.first.0..=self.last.0).map(Slot)
    }

    /// Whether `slot` is one of them.
    pub fn contains(self, slot: Slot) -> bool {
        (self.first..=self.last).contains(&slot)
    }
}

impl From<Slot> for SlotRange {
    fn from(slot: Slot) -> Self {
        Self { first: slot, last: slot }
    }
}

/// The pair of its ends.
impl fmt::Debug for SlotRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.first, self.last).fmt(f)
    }
}

/// `0-5460`, or `5` for one slot.
impl fmt::Display for SlotRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

/// Names one connection for its whole life. Never reused: the generation tells a stale event from a new connection in the same place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnId {
    /// Where the connection's session stands in its table.
    pub place: u32,
    /// How often that place had been used before.
    pub generation: u32,
}

impl ConnId {
    /// Both halves in one word, as an event loop's token; `from_word` undoes it.
    pub const fn to_word(self) -> u64 {
        (self.generation as u64) << 32 | self.place as u64
    }

    /// See [`ConnId::to_word`].
    pub const fn from_word(word: u64) -> Self {
        Self { place: word as u32, generation: (word >> 32) as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_what_they_write_and_nothing_else() {
        let text = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(text.parse::<NodeId>().unwrap().to_string(), text);
        for bad in ["", "0123", &text.to_uppercase(), &format!("{text}0"), "é123456789abcdef0123456789abcdef0123456"] {
            assert!(bad.parse::<NodeId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn slots_are_bounded_and_tokens_survive_the_round_trip() {
        assert_eq!(Slot::new(16383).map(Slot::number), Some(16383));
        assert_eq!(Slot::new(16384), None);
        let id = ConnId { place: 7, generation: u32::MAX };
        assert_eq!(ConnId::from_word(id.to_word()), id);
    }
}
