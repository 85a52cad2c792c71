//! A replica's side: whom this node replicates, and what becomes of its keys when that changes.
//!
//! Owns: the primary that is followed. Must not: decide who replicates whom (the replicated state says it).
//! Contract: docs/protocol.md, "Replication".

use super::Node;
use crate::store::Disk;
use crate::types::NodeId;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Following {
    /// Whose keys this node holds copies of; none for a primary.
    primary: Option<NodeId>,
}

impl Following {
    pub fn primary(&self) -> Option<NodeId> {
        self.primary
    }
}

impl<D: Disk> Node<D> {
    /// How far this node's keys are in their history, in bytes of its stream; 0 of a replica that has nothing worth promoting, as all have until they
    /// copy keys.
    pub fn replication_offset(&self) -> u64 {
        match self.following.primary {
            None => self.stream.offset(),
            Some(_) => 0,
        }
    }

    /// The state may name another primary by now, or none. Who is no member, on its way from one cluster to another, keeps what it has.
    pub(super) fn review_primary(&mut self) {
        let Some(primary) = self.state.member(&self.me).map(|me| me.primary) else { return };
        let former = std::mem::replace(&mut self.following.primary, primary);
        if former.is_some() && primary.is_none() && self.state.slot_count_of(&self.me) == 0 {
            log::info!("This node replicates nobody any more and owns no slots: its copies of keys go");
            self.keyspace.clear();
        }
    }
}
