//! Whom this node replicates: as the log says, and the predecessor that it catches up with.
//!
//! Owns: what becomes of keys, stream and reign when that changes. Must not: decide who replicates whom (the replicated state says it), or
//! dial anybody (replica_link does). Contract: docs/protocol.md, "Replication".

use crate::node::dataset::Dataset;
use crate::node::dataset::replica_link::ReplicaLink;
use crate::node::metadata::Metadata;
use crate::node::view::{Effects, View};

impl Dataset {
    /// Whether the state names another primary by now, or none. Who is no member, on its way from one cluster to another, keeps what it
    /// has.
    pub fn has_another_primary(&mut self, metadata: &Metadata) -> bool {
        let Some(me) = metadata.state.member(&metadata.me) else { return false };
        if me.primary.is_some() {
            self.foreign.follows();
        }
        me.primary.or(self.role.predecessor()) != self.role.primary()
    }

    /// This node is that one's replica from now on, or nobody's. It has parted from the former one.
    pub fn change_primary(&mut self, metadata: &Metadata, view: &View, out: &mut Effects) {
        let Some(me) = metadata.state.member(&metadata.me) else { return };
        self.replica_link = ReplicaLink::anew(view.now.mono);
        match me.primary.or(self.role.predecessor()) {
            Some(primary) => {
                self.role.follow(primary, me.shard, me.failed);
                log::info!("This node is a replica of {}", metadata.state.named(&primary));
                self.stream.follow(&mut self.keyspace);
            }
            None => self.lead_own_keys(metadata, out),
        }
        out.todo.connect = true;
    }

    /// No replica any more: with slots, as a primary that goes on with its predecessor's keys; without, as one that has none.
    fn lead_own_keys(&mut self, metadata: &Metadata, out: &mut Effects) {
        self.role.lead();
        self.role.begin_reign(next_reign(metadata));
        // What replicas were told of the reign was another's.
        self.part_from_replicas(out);
        self.stream.lead(out.rng.repl_id(), &mut self.keyspace);
        let slots = metadata.state.slot_count_of(&metadata.me);
        if slots > 0 {
            log::info!("This node is a primary, of {slots} slots; it goes on with what it has copied, keys: {}", self.keyspace.len());
            self.drop_foreign_keys(metadata);
        } else {
            log::info!("This node replicates nobody any more and owns no slots: its copies of keys go");
            self.keyspace.clear();
            self.stream.forget(out.rng.repl_id(), &mut self.keyspace);
        }
    }

    /// Once a turn: who was a primary when its process began, or when it came into its cluster, numbers its reign once it knows all that is
    /// decided.
    pub fn settle_reign(&mut self, metadata: &Metadata) {
        let unnumbered = self.role.reign() == 0 && !self.role.is_replica() && !metadata.is_joiner();
        if unnumbered && self.is_primary_by_log(metadata) && metadata.knows_newest_state() {
            self.role.begin_reign(next_reign(metadata));
        }
    }

    /// Whether this node is its shard's primary by the log.
    pub fn is_primary_by_log(&self, metadata: &Metadata) -> bool {
        metadata.state.member(&metadata.me).is_some_and(|me| me.primary.is_none())
    }
}

/// A reign of this primary is later than any before in its shard \[N44 longest-stream\]: what made it the primary is applied, and its
/// process counts too, for it may have lost its keys and go on with others.
fn next_reign(metadata: &Metadata) -> u64 {
    // 63 bits, as every number on the bus.
    let (applied, life) = (metadata.state.last_applied().min((1 << 43) - 1), metadata.incarnation.min((1 << 20) - 1));
    applied << 20 | life
}
