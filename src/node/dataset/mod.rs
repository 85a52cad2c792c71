//! This node's keys: whose they are, who copies them from whom, and how they reach the disk.
//!
//! Owns: keyspace, replication stream, the role of this node in its shard. Must not: change the cluster's metadata but by proposals, or run
//! a command (the node does).

pub(in crate::node) mod demotion;
pub(in crate::node) mod expiry;
pub(in crate::node) mod foreign_keys;
pub(in crate::node) mod primary;
pub(in crate::node) mod rdb_load;
pub(in crate::node) mod rdb_save;
pub(in crate::node) mod replica;
pub(in crate::node) mod replica_link;
pub(in crate::node) mod role;
pub(in crate::node) mod shutdown_readiness;
pub(in crate::node) mod takeover;
pub(in crate::node) mod wait;
pub(in crate::node) mod write_lease;

use crate::keyspace::Keyspace;
use crate::replication::{History, Stream};
use crate::types::{Extent, LogIndex, ReplId};

/// See the module.
pub(in crate::node) struct Dataset {
    pub keyspace: Keyspace,
    /// Bytes that had come from clients when memory was last freed.
    freed_for: u64,
    pub stream: Stream,
    pub role: role::Role,
    pub replica_link: replica_link::ReplicaLink,
    pub foreign: foreign_keys::Foreign,
    pub feeding: primary::Feeding,
    pub saving: rdb_save::Saving,
    pub loading: rdb_load::Loading,
    pub takeover: takeover::Takeover,
    pub lease: write_lease::Lease,
}

impl Dataset {
    /// No keys yet, with a history that begins here; `last_index` is that of the log as it was loaded.
    pub fn new(keyspace: Keyspace, history: ReplId, last_index: LogIndex, loading: rdb_load::Loading) -> Self {
        Self {
            keyspace,
            freed_for: 0,
            stream: Stream::new(History::new(history, 0)),
            role: role::Role::of_new_process(),
            replica_link: replica_link::ReplicaLink::default(),
            foreign: foreign_keys::Foreign::unknown(last_index),
            feeding: primary::Feeding::default(),
            saving: rdb_save::Saving::default(),
            loading,
            takeover: takeover::Takeover::default(),
            lease: write_lease::Lease::default(),
        }
    }
    /// How much of its shard's data this node holds, to be compared with what others hold.
    pub fn extent(&self) -> Extent {
        self.role.extent(self.stream.offset())
    }
}
