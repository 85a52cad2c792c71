//! What became of an entry: the answer that a waiting client gets, and that the at-most-once table keeps.
//!
//! Owns: outcomes, their stable codes in snapshots, their words for clients. Must not: decide (judge does). Contract: docs/protocol.md,
//! "Log entries".

/// What applying an entry did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It took effect.
    Applied,
    /// An epoch or owner that it names has moved on; nothing changed.
    Stale,
    /// It can never take effect as things are; nothing changed.
    Rejected(Reason),
}

/// What the at-most-once table says about a proposal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// Not applied before: it may be.
    New,
    /// Applied before, with this outcome.
    Done(Outcome),
    /// Of an earlier incarnation, or below what its proposer still waits for.
    Old,
    /// Its proposer is no member.
    NotMember,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $message:literal;)*) => {
        /// Why an entry was refused.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason, for tests that walk them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The one-word code in snapshots; never changes.
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The error reply, as Valkey words it where it has the case.
            pub fn message(self) -> &'static str {
                match self { $(Self::$name => $message,)* }
            }
        }
    };
}

reasons! {
    /// The entry names a node that is no member.
    UnknownNode = "unknown-node", "ERR Unknown node";
    /// NODE_JOIN of a member.
    AlreadyMember = "already-member", "ERR The node is already a member of the cluster";
    /// NODE_JOIN beyond [`super::state::MAX_MEMBERS`].
    TooManyMembers = "too-many-members", "ERR The cluster has as many members as it can have";
    /// An address without a shard id where one is needed, or with text that no record may hold.
    BadAddress = "bad-address", "ERR Invalid node address";
    /// The shard that was to be made exists already.
    ShardExists = "shard-exists", "ERR The shard id is already in use";
    /// A voter is demoted before it can be forgotten.
    IsVoter = "is-voter", "ERR The node is a voter";
    /// DEL_VOTER of the only voter.
    LastVoter = "last-voter", "ERR The last voter cannot be demoted";
    /// NODE_FORGET of a node that owns slots.
    OwnsSlots = "owns-slots", "ERR The node owns slots: move or delete them first";
    /// SET_REPLICA_OF of a node that owns slots.
    NotEmpty = "not-empty", "ERR To set a master the node must be empty and without assigned slots.";
    /// NODE_FORGET or SET_REPLICA_OF of a primary that has replicas.
    HasReplicas = "has-replicas", "ERR The node has replicas";
    /// Slots go to a replica.
    TargetNotPrimary = "target-not-primary", "ERR Target node is not a master";
    /// A node is to replicate a replica.
    PrimaryNotPrimary = "primary-not-primary", "ERR I can only replicate a master, not a replica.";
    /// A node is to replicate itself.
    SelfReplica = "self-replica", "ERR Can't replicate myself";
    /// A failover between nodes of which one does not replicate the other.
    NotItsReplica = "not-its-replica", "ERR The node is not a replica of that primary";
    /// An automatic failover while the primary is not flagged as failed.
    PrimaryAlive = "primary-alive", "ERR The primary is not flagged as failed";
    /// A primary that wants to hand over has no replica that holds its keys.
    NoSuccessor = "no-successor", "ERR No replica can take over";
    /// The proposer is no member (any more).
    ProposerNotMember = "proposer-not-member", "ERR This node is not a member of the cluster";
    /// The proposal is older than what its proposer waits for.
    OldProposal = "old-proposal", "ERR The change is older than what its proposer waits for";
}

impl Outcome {
    /// The one-word code in snapshots.
    pub fn code(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Stale => "stale",
            Self::Rejected(reason) => reason.code(),
        }
    }

    /// The outcome with this code.
    pub fn from_code(code: &str) -> Option<Self> {
        match code {
            "applied" => Some(Self::Applied),
            "stale" => Some(Self::Stale),
            _ => Reason::ALL.iter().find(|reason| reason.code() == code).map(|reason| Self::Rejected(*reason)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_distinct_words_that_read_back() {
        let outcomes = || [Outcome::Applied, Outcome::Stale].into_iter().chain(Reason::ALL.iter().map(|reason| Outcome::Rejected(*reason)));
        assert!(outcomes().all(|outcome| Outcome::from_code(outcome.code()) == Some(outcome)));
        assert_eq!(outcomes().map(Outcome::code).collect::<BTreeSet<_>>().len(), outcomes().count());
        assert!(outcomes().all(|outcome| !outcome.code().contains([' ', ':'])));
        assert_eq!(Outcome::from_code("perhaps"), None);
    }
}
