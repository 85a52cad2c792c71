//! What stands in the log and is not applied yet: what this node will be told, and what a leader must reckon with.
//!
//! Owns: the questions to that part of the log, in one place. Must not: know the node that asks, or what an entry does (its facts in
//! `cluster::change` say it). Contract: docs/protocol.md, "Log entries".

use crate::cluster::change::{Succession, Taken};
use crate::cluster::{Address, Change, State};
use crate::raft::{Entry, Log, Raft};
use crate::types::{LogIndex, NodeId, SlotRange};
use std::collections::BTreeSet;

/// The log behind what is applied.
#[derive(Clone, Copy)]
pub(in crate::node) struct Tail<'a> {
    log: &'a Log<Change>,
    applied: LogIndex,
}

impl<'a> Tail<'a> {
    /// What `raft` holds beyond `state`.
    pub(super) fn of(raft: &'a Raft<Change>, state: &State) -> Self {
        Self { log: raft.log(), applied: state.last_applied() }
    }

    /// The entries, with their indices.
    pub fn entries(self) -> impl DoubleEndedIterator<Item = (LogIndex, &'a Entry<Change>)> {
        self.log.iter_from(self.applied + 1)
    }

    fn changes(self) -> impl DoubleEndedIterator<Item = &'a Change> {
        self.entries().filter_map(|(_, entry)| entry.body.payload())
    }

    /// Whether this proposal, or this change of the leader's own, is in it.
    pub fn holds(self, entry: &Entry<Change>) -> bool {
        let mut entries = self.entries();
        match entry.origin {
            Some(origin) => entries.any(|(_, other)| other.origin.is_some_and(|other| other.id == origin.id)),
            None => entries.any(|(_, other)| other.body == entry.body),
        }
    }

    /// Who is about to become a member, the first first, and where it is.
    pub fn joins(self) -> impl DoubleEndedIterator<Item = (&'a NodeId, &'a Address)> {
        self.changes().filter_map(Change::adds)
    }

    /// The newest address with which `node` is about to become a member.
    pub fn joins_as(self, node: &NodeId) -> Option<&'a Address> {
        self.joins().rev().find(|(id, _)| *id == node).map(|(_, address)| address)
    }

    /// Where members are about to be.
    pub fn relocations(self) -> impl Iterator<Item = (&'a NodeId, &'a Address)> {
        self.changes().filter_map(Change::informs)
    }

    /// The addresses of all who join and of all who move.
    pub fn addresses(self) -> impl Iterator<Item = (&'a NodeId, &'a Address)> {
        self.changes().filter_map(Change::address)
    }

    /// Who is about to be forgotten.
    pub fn leavers(self) -> BTreeSet<NodeId> {
        self.changes().filter_map(Change::removes).collect()
    }

    /// Who is about to take over from whom, the first first.
    pub fn successions(self) -> impl DoubleEndedIterator<Item = Succession> {
        self.changes().filter_map(Change::succession)
    }

    /// The slots that `node` is about to lose, as far as it has them by `state`.
    pub fn taken_from(self, node: &NodeId, state: &State) -> Vec<SlotRange> {
        let mut taken = Vec::new();
        for slots in self.changes().filter_map(|change| change.takes_from(node)) {
            match slots {
                Taken::Ranges(ranges) => taken.extend_from_slice(ranges),
                Taken::All => taken.extend(state.ranges_of(node)),
            }
        }
        taken
    }

    /// Whether `node`, which replicates `primary` or nobody, may be about to get another primary, or none.
    pub fn gives_another_primary(self, node: &NodeId, primary: Option<NodeId>) -> bool {
        self.changes().any(|change| change.gives_another_primary(node, primary))
    }

    /// Whether this member's shard may be about to have other members, or others who may take over.
    pub fn reshapes_shard_of(self, member: &NodeId, state: &State) -> bool {
        state.member(member).is_some_and(|member| self.changes().any(|change| change.reshapes(&member.shard, state)))
    }
}
