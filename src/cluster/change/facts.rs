//! What is to be known of a change by those who do not apply it: the gates, the leader that looks ahead into its log, each node for what it
//! means to itself.
//!
//! Owns: [`Facts`], and the questions that they answer. Must not: judge a change, or know which node asks.
//! Contract: docs/protocol.md, "Log entries" and "The gate".

use super::{Change, FailoverKind};
use crate::cluster::Address;
use crate::cluster::state::State;
use crate::raft::Payload;
use crate::types::{NodeId, ShardId, SlotRange};

/// What is known of a change without a state. Each type of entry writes it out in full: what it leaves out, nobody would ask for.
pub struct Facts<'a> {
    /// The only voter from this entry on, by the founder's own first one.
    pub founding_voter: Option<NodeId>,
    /// Slots that it takes from whom has them.
    pub takes: Option<Takes<'a>>,
    /// Slots that change hands between shards, or between a shard and nobody.
    pub rehomes: Option<Rehomes<'a>>,
    /// Who takes over from whom within a shard.
    pub succession: Option<Succession>,
    /// The member that goes into another shard, with no slots, or becomes a primary of its own.
    pub moves: Option<NodeId>,
    /// The member that it calls failed.
    pub fails: Option<NodeId>,
    /// Who becomes a member, and where it is.
    pub adds: Option<(&'a NodeId, &'a Address)>,
    /// Where a member is from now on.
    pub informs: Option<(&'a NodeId, &'a Address)>,
    /// Who is no member any more.
    pub removes: Option<NodeId>,
    /// Shards that may have other members after it, or others who may take over.
    pub reshapes: Reshapes,
    /// The nodes whose own places it changes: their nodes.conf should soon show it in its snapshot.
    pub concerns: [Option<NodeId>; 2],
    /// Which parts of the state that others derive something from.
    pub touches: Touches,
}

/// Slots are taken from a primary, which may be serving them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Takes<'a> {
    /// The primary.
    pub from: NodeId,
    /// Which.
    pub slots: Taken<'a>,
    /// Whether it waits at the gate until that primary can serve no more: all do but what an operator asks for in so many words.
    pub waits: bool,
}

/// The slots that are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken<'a> {
    /// These.
    Ranges(&'a [SlotRange]),
    /// Whatever that primary has.
    All,
}

/// Slots go to another shard, or come from one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rehomes<'a> {
    /// Whose they are before; nobody's if none.
    pub source: Option<NodeId>,
    /// Whose they are then.
    pub target: Option<NodeId>,
    /// Which.
    pub ranges: &'a [SlotRange],
}

/// A replica takes over from its primary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Succession {
    /// The primary from now on.
    pub successor: NodeId,
    /// Its replica from now on, as are those that were its own.
    pub predecessor: NodeId,
    /// Why.
    pub kind: FailoverKind,
}

/// Which shards may have other members after an entry, or others who may take over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reshapes {
    /// None.
    Nothing,
    /// That of this member.
    ShardOf(NodeId),
    /// These.
    Shards([ShardId; 2]),
}

/// Which parts of the state an entry changes that others derive something from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Touches {
    /// Members, their roles or addresses.
    pub members: bool,
    /// Slot owners.
    pub owners: bool,
}

impl Change {
    /// What others must know of it.
    pub fn facts(&self) -> Facts<'_> {
        self.entry_type().facts()
    }

    /// Who becomes a member, and where it is.
    pub fn adds(&self) -> Option<(&NodeId, &Address)> {
        self.facts().adds
    }

    /// Where a member is from now on.
    pub fn informs(&self) -> Option<(&NodeId, &Address)> {
        self.facts().informs
    }

    /// A node's address, whether it joins or has been a member before.
    pub fn address(&self) -> Option<(&NodeId, &Address)> {
        let Facts { adds, informs, .. } = self.facts();
        adds.or(informs)
    }

    /// Who is no member any more.
    pub fn removes(&self) -> Option<NodeId> {
        self.facts().removes
    }

    /// Who takes over from whom within a shard.
    pub fn succession(&self) -> Option<Succession> {
        self.facts().succession
    }

    /// What it takes from `node`.
    pub fn takes_from(&self, node: &NodeId) -> Option<Taken<'_>> {
        self.facts().takes.filter(|takes| takes.from == *node).map(|takes| takes.slots)
    }

    /// The slots that are another shard's than that of the primary `node` once it is applied, or were so before.
    pub fn others_slots(&self, node: &NodeId) -> &[SlotRange] {
        let is_other = |end: Option<NodeId>| end.is_some_and(|id| id != *node);
        let others = self.facts().rehomes.filter(|rehomes| is_other(rehomes.source) || is_other(rehomes.target));
        others.map_or(&[], |rehomes| rehomes.ranges)
    }

    /// Whether it may give `node`, which replicates `primary` or nobody, another primary, or none.
    pub fn gives_another_primary(&self, node: &NodeId, primary: Option<NodeId>) -> bool {
        let Facts { moves, succession, .. } = self.facts();
        let parted = succession.map(|succession| succession.predecessor);
        moves == Some(*node) || parted.is_some_and(|parted| parted == *node || Some(parted) == primary)
    }

    /// Whether `shard` may have other members once it is applied, or others who may take over.
    pub fn reshapes(&self, shard: &ShardId, state: &State) -> bool {
        match self.facts().reshapes {
            Reshapes::Nothing => false,
            Reshapes::ShardOf(id) => state.member(&id).is_some_and(|member| member.shard == *shard),
            Reshapes::Shards(shards) => shards.contains(shard),
        }
    }

    /// Whether it changes the own place of `node`.
    pub fn concerns(&self, node: &NodeId) -> bool {
        self.facts().concerns.contains(&Some(*node))
    }
}

impl Payload for Change {
    fn founding_voter(&self) -> Option<NodeId> {
        self.facts().founding_voter
    }

    fn deposes(&self) -> Option<NodeId> {
        self.facts().takes.filter(|takes| takes.waits).map(|takes| takes.from)
    }

    fn bars(&self) -> Option<NodeId> {
        let Facts { takes, fails, .. } = self.facts();
        takes.map(|takes| takes.from).or(fails)
    }

    fn size(&self) -> usize {
        self.entry_type().size()
    }
}
