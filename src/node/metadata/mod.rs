//! The cluster's metadata: consensus, the replicated state, and this node's place in it.
//!
//! Owns: Raft, the state, nodes.conf, proposals and what a leader does with others'. Must not: touch keys (dataset does).

pub(in crate::node) mod apply;
pub(in crate::node) mod bootstrap;
pub(in crate::node) mod clock_rates;
pub(in crate::node) mod duplicate_ids;
pub(in crate::node) mod evidence;
pub(in crate::node) mod failover;
pub(in crate::node) mod failure_detector;
pub(in crate::node) mod gated_proposals;
pub(in crate::node) mod holdings;
pub(in crate::node) mod join;
pub(in crate::node) mod leader;
pub(in crate::node) mod leader_transfer;
pub(in crate::node) mod membership_check;
pub(in crate::node) mod own_address;
pub(in crate::node) mod proposals;
pub(in crate::node) mod quorum_recovery;
pub(in crate::node) mod reset;
