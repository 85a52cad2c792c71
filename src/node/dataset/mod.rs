//! This node's keys: whose they are, who copies them from whom, and how they reach the disk.
//!
//! Owns: keyspace, replication stream, the role of this node in its shard. Must not: change the cluster's metadata but by proposals.

pub(in crate::node) mod demotion;
pub(in crate::node) mod foreign_keys;
pub(in crate::node) mod primary;
pub(in crate::node) mod rdb_load;
pub(in crate::node) mod rdb_save;
pub(in crate::node) mod replica_link;
pub(in crate::node) mod replica_offsets;
pub(in crate::node) mod role;
pub(in crate::node) mod shutdown_readiness;
pub(in crate::node) mod takeover;
pub(in crate::node) mod write_lease;
