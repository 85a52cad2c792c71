//! A member's address as nodes.conf writes it: `ip:port@cport[,hostname][,key=value]*`.
//!
//! Owns: the text form and its bounds. Must not: resolve or connect. Contract: docs/nodes-conf.md.

use std::collections::BTreeMap;

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
