//! What the bus counts.
//!
//! Owns: the counters behind CLUSTER INFO. Must not: know a link; the node counts.

use std::collections::BTreeMap;

/// Counters of the bus since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BusStats {
    /// Frames sent, by message name as in CLUSTER INFO (lower case, hyphens).
    pub sent: BTreeMap<&'static str, u64>,
    /// Frames received.
    pub received: BTreeMap<&'static str, u64>,
    /// Frames dropped because their sender is of another cluster.
    pub foreign: u64,
    /// Connections that were closed because who made them does not know the cluster's secret, or may not come without one.
    pub turned_away: u64,
    /// How often two processes with one id were told of.
    pub duplicates: u64,
    /// Bytes written to links.
    pub bytes_sent: u64,
    /// Bytes read from links.
    pub bytes_received: u64,
    /// Snapshots sent to followers whose next entry was gone; one that was sent again counts again.
    pub snapshots_sent: u64,
    /// Snapshots taken from a leader in place of the own state.
    pub snapshots_installed: u64,
    /// Links closed because too much waited to be sent on them.
    pub buffer_limit_exceeded: u64,
    /// Published messages that a member was not told: it could not be reached, or too much waited for it.
    pub publish_dropped: u64,
}
