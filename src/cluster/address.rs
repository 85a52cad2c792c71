//! A member's address as nodes.conf writes it: `ip:port@cport[,hostname][,key=value]*`.
//!
//! Owns: the text form and its bounds. Must not: resolve or connect. Contract: docs/nodes-conf.md.

use crate::types::ShardId;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::fields::number;
use crate::types::numbers::{self, PORT};

/// The longest value that enters an address, the bound of a DNS name.
pub const MAX_VALUE: usize = 253;
/// The longest text of a whole address: a snapshot of the largest cluster then fits one frame of the bus.
pub const MAX_TEXT: usize = 2048;
/// How many `key=value` pairs an address may hold.
pub const MAX_KEYS: usize = 16;
/// What a member's line adds to an address: its shard id, and the nonce of its NODE_JOIN.
const ADDED_KEYS: usize = 2;
const ADDED_TEXT: usize = 100;

const SHARD_ID: &str = "shard-id";
const JOIN_NONCE: &str = "join-nonce";
const AVAILABILITY_ZONE: &str = "availability-zone";
const REPLICA_PRIORITY: &str = "replica-priority";
const FAST_FAILURE_DETECTION: &str = "fast-failure-detection";
const PROTOCOL_VERSION: &str = "protocol-version";
/// A replica's priority if it does not say another.
const DEFAULT_PRIORITY: u32 = 100;

/// Whether a value from outside may enter a record: `[A-Za-z0-9._:-]`, at most [`MAX_VALUE`] bytes. No such value can end a field or start
/// a line.
pub fn is_safe_text(text: &str) -> bool {
    text.len() <= MAX_VALUE && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte))
}

/// Where a node is reached, and what it announces about itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Address {
    /// IPv4 or IPv6 text; empty while the node does not know its own.
    pub ip: String,
    /// Client port.
    pub port: u16,
    /// Bus port.
    pub bus_port: u16,
    /// Announced hostname; empty for none.
    pub hostname: String,
    /// Further announced values, `shard-id` among them.
    pub keys: BTreeMap<String, String>,
}

impl Address {
    /// The shard that the node says it belongs to.
    pub fn shard_id(&self) -> Option<ShardId> {
        self.keys.get(SHARD_ID)?.parse().ok()
    }

    /// Says which shard the node belongs to.
    pub fn set_shard_id(&mut self, shard: ShardId) {
        self.keys.insert(SHARD_ID.to_owned(), shard.to_string());
    }

    /// The number that the node drew when it last gave up a cluster of its own to join one; none for a founder.
    pub fn join_nonce(&self) -> Option<u64> {
        number(self.keys.get(JOIN_NONCE)?, &numbers::JOIN_NONCE)
    }

    /// The same life of the node as `earlier`, as every version has it: whatever 64 bits hold \[N26 mixed-versions\].
    pub(super) fn set_life(&mut self, earlier: &Self) {
        let nonce = earlier.keys.get(JOIN_NONCE).and_then(|nonce| nonce.parse().ok());
        self.set_join_nonce(nonce);
    }

    /// Says with which number the node joins.
    pub fn set_join_nonce(&mut self, nonce: Option<u64>) {
        match nonce {
            Some(nonce) => self.keys.insert(JOIN_NONCE.to_owned(), nonce.to_string()),
            None => self.keys.remove(JOIN_NONCE),
        };
    }

    /// The availability zone that the node says it is in; empty for none.
    pub fn availability_zone(&self) -> &str {
        self.keys.get(AVAILABILITY_ZONE).map_or("", String::as_str)
    }

    /// Says which availability zone the node is in; empty for none.
    pub fn set_availability_zone(&mut self, zone: &str) {
        match zone {
            "" => self.keys.remove(AVAILABILITY_ZONE),
            zone => self.keys.insert(AVAILABILITY_ZONE.to_owned(), zone.to_owned()),
        };
    }

    /// How much the node wants to take over as a replica: the lower, the rather; 0: never.
    pub fn replica_priority(&self) -> u32 {
        self.keys
            .get(REPLICA_PRIORITY)
            .and_then(|value| number(value, &numbers::REPLICA_PRIORITY))
            .and_then(|value| value.try_into().ok())
            .unwrap_or(DEFAULT_PRIORITY)
    }

    /// Says how much the node wants to take over.
    pub fn set_replica_priority(&mut self, priority: u32) {
        match priority {
            DEFAULT_PRIORITY => self.keys.remove(REPLICA_PRIORITY),
            priority => self.keys.insert(REPLICA_PRIORITY.to_owned(), priority.to_string()),
        };
    }

    /// Whether a refused connection comes from the node's own kernel, so that it tells of a process that is gone \[N4 refused-connection\].
    pub fn refuses_for_itself(&self) -> bool {
        self.keys.get(FAST_FAILURE_DETECTION).is_none_or(|value| value != "no")
    }

    /// Says whether a refused connection comes from the node's own kernel.
    pub fn set_refuses_for_itself(&mut self, refuses: bool) {
        match refuses {
            true => self.keys.remove(FAST_FAILURE_DETECTION),
            false => self.keys.insert(FAST_FAILURE_DETECTION.to_owned(), "no".to_owned()),
        };
    }

    /// The newest version of the bus's protocol that the node speaks; 1 if it does not say one \[N26 mixed-versions\].
    pub fn protocol_version(&self) -> u32 {
        self.keys
            .get(PROTOCOL_VERSION)
            .and_then(|value| number(value, &numbers::PROTOCOL_VERSION))
            .and_then(|value| value.try_into().ok())
            .unwrap_or(1)
    }

    /// Says which version of the bus's protocol the node speaks.
    pub fn set_protocol_version(&mut self, version: u32) {
        self.keys.insert(PROTOCOL_VERSION.to_owned(), version.to_string());
    }

    /// The same address without a shard id.
    pub fn without_shard_id(mut self) -> Self {
        self.keys.remove(SHARD_ID);
        self
    }

    /// The length of its text, or a little more.
    pub fn text_len(&self) -> usize {
        let keys: usize = self.keys.iter().map(|(key, value)| key.len() + value.len() + 2).sum();
        self.ip.len() + ":65535@65535,".len() + self.hostname.len() + keys
    }

    /// Whether the text form holds it: what `FromStr` returns always is.
    pub fn is_valid(&self) -> bool {
        self.fits(MAX_KEYS, MAX_TEXT)
    }

    /// Whether a member's line holds it.
    pub fn is_valid_in_a_line(&self) -> bool {
        self.fits(MAX_KEYS + ADDED_KEYS, MAX_TEXT + ADDED_TEXT)
    }

    /// Whether a leader appends it: with what a member's line adds to it, it still reads, by binaries of version 1 too
    /// \[N62 number-bounds\].
    pub fn leaves_room(&self) -> bool {
        let own = self.keys.keys().filter(|key| !matches!(key.as_str(), SHARD_ID | JOIN_NONCE)).count();
        self.is_valid() && own <= MAX_KEYS - ADDED_KEYS && self.text_len() <= MAX_TEXT - ADDED_TEXT
    }

    fn fits(&self, keys: usize, text: usize) -> bool {
        is_safe_text(&self.ip)
            && is_safe_text(&self.hostname)
            && self.keys.len() <= keys
            && self.text_len() <= text
            && self.keys.iter().all(|(key, value)| !key.is_empty() && is_safe_text(key) && is_safe_text(value))
    }
}

/// As Valkey writes it: with keys the hostname's place is kept even when it is empty.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}@{}", self.ip, self.port, self.bus_port)?;
        if !self.hostname.is_empty() || !self.keys.is_empty() {
            write!(f, ",{}", self.hostname)?;
        }
        self.keys.iter().try_for_each(|(key, value)| write!(f, ",{key}={value}"))
    }
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let address = Self::in_a_line(text)?;
        if address.is_valid() { Ok(address) } else { Err(TOO_MUCH) }
    }
}

/// An address may hold more than this only in a member's line.
const TOO_MUCH: BadAddress = BadAddress("too long, with too many keys, or with a character outside [A-Za-z0-9._:-]");

impl Address {
    /// Reads what a member's line says: an address that an entry may bring, and what such a line adds.
    ///
    /// # Errors
    /// Any other text.
    pub fn in_a_line(text: &str) -> Result<Self, BadAddress> {
        let mut parts = text.split(',');
        let mut address = parts.next().and_then(endpoint).ok_or(BadAddress("not ip:port@cport"))?;
        for (place, part) in parts.enumerate() {
            match part.split_once('=') {
                None if place == 0 => address.hostname = part.to_owned(),
                None => return Err(BadAddress("a field after the hostname is not key=value")),
                Some((key, value)) => {
                    if address.keys.len() >= MAX_KEYS + ADDED_KEYS {
                        return Err(BadAddress("too many keys"));
                    }
                    if address.keys.insert(key.to_owned(), value.to_owned()).is_some() {
                        return Err(BadAddress("a key stands twice"));
                    }
                }
            }
        }
        if address.is_valid_in_a_line() { Ok(address) } else { Err(TOO_MUCH) }
    }
}

/// Reads `ip:port@cport`; an IPv6 address holds colons of its own, so the last one splits.
fn endpoint(text: &str) -> Option<Address> {
    let (front, bus_port) = text.split_once('@')?;
    let (ip, port) = front.rsplit_once(':')?;
    let port_number = |text| u16::try_from(number(text, &PORT)?).ok();
    Some(Address { ip: ip.to_owned(), port: port_number(port)?, bus_port: port_number(bus_port)?, ..Address::default() })
}

/// Why a text is no address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadAddress(pub &'static str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in [
            ":7000@17000",
            "127.0.0.1:7000@17000",
            "fe80::1:7000@17000",
            "10.0.0.1:1@2,host.example",
            "10.0.0.1:1@2,,shard-id=0123456789abcdef0123456789abcdef01234567",
            "10.0.0.1:1@2,h,availability-zone=eu-1,human-nodename=",
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            assert!((text.len()..text.len() + 14).contains(&address.text_len()));
        }
        let short: Address = "10.0.0.1:1@2,zone=a".parse().unwrap();
        assert_eq!(short.to_string(), "10.0.0.1:1@2,,zone=a", "the hostname's place may be left out by hand");
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "7000@17000",
            "a:7000",
            "a:70000@1",
            "a:+7@1",
            "a:07@1",
            "a:7@1,h,i",
            "a:7@1,h,=v",
            "a:7@1,h,k=v,k=w",
            "a b:7@1",
            "a:7@1,h\n",
            "a:7@1,é",
            "a:7@1@2",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
        assert!(format!("a:7@1,{}", "x".repeat(254)).parse::<Address>().is_err());
        let long: String = (0..9).map(|n| format!(",k{n}={}", "x".repeat(250))).collect();
        assert!(format!("a:7@1,h{long}").parse::<Address>().is_err());
        let many: String = (0..17).map(|n| format!(",k{n}=v")).collect();
        assert!(format!("a:7@1,h{many}").parse::<Address>().is_err());
    }

    #[test]
    fn the_shard_id_comes_and_goes() {
        let shard = ShardId::from_bytes([7; 20]);
        let mut address: Address = "a:7@1".parse().unwrap();
        assert_eq!(address.shard_id(), None);
        address.set_shard_id(shard);
        assert_eq!(address.shard_id(), Some(shard));
        assert_eq!(address.without_shard_id().to_string(), "a:7@1");
    }

    #[test]
    fn what_failover_asks_for_is_said_only_where_it_is_unusual() {
        let mut address: Address = "a:7@1".parse().unwrap();
        assert_eq!((address.replica_priority(), address.refuses_for_itself()), (100, true));
        address.set_replica_priority(7);
        address.set_refuses_for_itself(false);
        assert_eq!(address.to_string(), "a:7@1,,fast-failure-detection=no,replica-priority=7");
        assert_eq!((address.replica_priority(), address.refuses_for_itself()), (7, false));
        address.set_replica_priority(100);
        address.set_refuses_for_itself(true);
        assert_eq!(address.to_string(), "a:7@1");
    }

    #[test]
    fn the_zone_comes_and_goes() {
        let mut address: Address = "a:7@1".parse().unwrap();
        address.set_availability_zone("eu-1a");
        assert_eq!((address.availability_zone(), address.to_string().as_str()), ("eu-1a", "a:7@1,,availability-zone=eu-1a"));
        address.set_availability_zone("");
        assert_eq!((address.availability_zone(), address.to_string().as_str()), ("", "a:7@1"));
    }
}
