//! The changes of the cluster's metadata, as they stand in the replicated log.
//!
//! Owns: the payload of the log and its text form. Must not: change anything (apply does). Contract: docs/protocol.md, "Log entries".

use super::address::Address;
use crate::raft::Payload;
use crate::types::{LogIndex, NodeId, ShardId, Slot};

/// One change of the metadata; every field that names an epoch makes the change stale once that epoch has moved on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// `NODE_JOIN id address learner|voter`
    NodeJoin {
        /// Who joins.
        id: NodeId,
        /// Its address, with `shard-id` among its keys.
        address: Address,
        /// Only the founder's own first entry says voter.
        voter: bool,
    },
    /// `NODE_FORGET id shard-epoch`
    NodeForget {
        /// Who leaves.
        id: NodeId,
        /// Its shard's epoch.
        epoch: LogIndex,
    },
    /// `SLOT_CHANGE source|- source-epoch target|- target-epoch range...`
    SlotChange {
        /// The owner of every slot now, and its shard's epoch.
        source: Option<(NodeId, LogIndex)>,
        /// The owner from now on, and its shard's epoch.
        target: Option<(NodeId, LogIndex)>,
        /// Inclusive, ascending, not overlapping, never empty.
        ranges: Vec<(Slot, Slot)>,
    },
    /// `SET_REPLICA_OF id source-shard source-epoch primary|- target-shard target-epoch`
    SetReplicaOf {
        /// The node that moves.
        id: NodeId,
        /// The shard it leaves, and that shard's epoch.
        source: (ShardId, LogIndex),
        /// Its new primary; none: it becomes a primary of its own.
        primary: Option<NodeId>,
        /// The shard it enters, and that shard's epoch (0 for a new one).
        target: (ShardId, LogIndex),
    },
    /// `FAILOVER replica primary shard shard-epoch auto|manual|force`
    Failover {
        /// Who takes over.
        replica: NodeId,
        /// From whom.
        primary: NodeId,
        /// Their shard.
        shard: ShardId,
        /// Its epoch.
        epoch: LogIndex,
        /// Why.
        kind: FailoverKind,
    },
    /// `NODE_INFO id address flags`
    NodeInfo {
        /// The member.
        id: NodeId,
        /// Its address; a shard id in it is ignored.
        address: Address,
        /// Its own flag: it never takes over.
        nofailover: bool,
    },
    /// `NODE_FAIL id`
    NodeFail {
        /// The member that is flagged as failed.
        id: NodeId,
    },
    /// `NODE_RECOVER id`
    NodeRecover {
        /// The member that answers again.
        id: NodeId,
    },
}

/// What made a failover.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailoverKind {
    /// The primary failed: applies only while it is flagged so.
    Auto,
    /// An operator's CLUSTER FAILOVER.
    Manual,
    /// An operator's CLUSTER FAILOVER FORCE.
    Force,
    /// An operator's CLUSTER FAILOVER TAKEOVER: nobody waits until the primary can serve no more.
    Takeover,
}

impl Change {
    /// The address that it brings.
    pub fn address(&self) -> Option<&Address> {
        match self {
            Self::NodeJoin { address, .. } | Self::NodeInfo { address, .. } => Some(address),
            _ => None,
        }
    }

    /// The first protocol version whose nodes know this type of entry. It is appended only when every member speaks that \[N26\], and what it adds to
    /// the state, and so to snapshots and nodes.conf, is written only then.
    pub fn since(&self) -> u32 {
        match self {
            Self::NodeJoin { .. }
            | Self::NodeForget { .. }
            | Self::SlotChange { .. }
            | Self::SetReplicaOf { .. }
            | Self::Failover { .. }
            | Self::NodeInfo { .. }
            | Self::NodeFail { .. }
            | Self::NodeRecover { .. } => 1,
        }
    }
}

impl Payload for Change {
    fn founding_voter(&self) -> Option<NodeId> {
        match self {
            Self::NodeJoin { id, voter: true, .. } => Some(*id),
            _ => None,
        }
    }

    fn deposes(&self) -> Option<NodeId> {
        match self {
            Self::SlotChange { source: Some((source, _)), target: Some((target, _)), .. } if source == target => None,
            Self::Failover { kind: FailoverKind::Takeover, .. } => None,
            Self::SlotChange { source: Some((id, _)), .. } | Self::SetReplicaOf { id, .. } | Self::Failover { primary: id, .. } => {
                Some(*id)
            }
            _ => None,
        }
    }

    fn bars(&self) -> Option<NodeId> {
        match self {
            Self::NodeFail { id } | Self::Failover { primary: id, .. } => Some(*id),
            _ => self.deposes(),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::SlotChange { ranges, .. } => 128 + 12 * ranges.len(),
            Self::NodeJoin { address, .. } | Self::NodeInfo { address, .. } => 64 + address.text_len(),
            Self::NodeForget { .. }
            | Self::SetReplicaOf { .. }
            | Self::Failover { .. }
            | Self::NodeFail { .. }
            | Self::NodeRecover { .. } => 256,
        }
    }
}
