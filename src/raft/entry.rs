//! What stands in the replicated log.
//!
//! Owns: the entry, Raft's own bodies, the at-most-once origin, and what Raft must know of a payload ([`Payload`]).
//! Must not: know what a payload does to slots. Contract: docs/protocol.md, "Log entries".

use crate::types::{Millis, NodeId, Term};
use std::collections::BTreeSet;
use std::fmt;

/// Names one proposal for ever: the incarnation is on disk and raised at every load, `n` counts within it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProposalId {
    /// The node that proposed it.
    pub proposer: NodeId,
    /// That node's count of loads.
    pub incarnation: u64,
    /// Counts the proposals of one incarnation, from 1.
    pub n: u64,
}

/// Where a proposed entry came from, for at-most-once application. Entries that the leader makes itself have none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The proposal.
    pub id: ProposalId,
    /// The proposer's lowest `n` of this incarnation that was still outstanding: outcomes below may be forgotten.
    pub lowest: u64,
}

/// The text form of docs/protocol.md: `<proposer>:<incarnation>.<n>:<lowest>`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ProposalId { proposer, incarnation, n } = self.id;
        write!(f, "{proposer}:{incarnation}.{n}:{}", self.lowest)
    }
}

impl std::str::FromStr for Origin {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        let parse = || {
            let (proposer, rest) = text.split_once(':')?;
            let (count, lowest) = rest.split_once(':')?;
            let (incarnation, n) = count.split_once('.')?;
            let id = ProposalId { proposer: proposer.parse().ok()?, incarnation: incarnation.parse().ok()?, n: n.parse().ok()? };
            Some(Self { id, lowest: lowest.parse().ok()? })
        };
        parse().ok_or(BadOrigin)
    }
}

/// An origin's text was not `<proposer>:<incarnation>.<n>:<lowest>`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not <proposer>:<incarnation>.<n>:<lowest>")]
pub struct BadOrigin;

/// What an entry says: Raft's own words, or the payload's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body<P> {
    /// First entry of every leader's term (§5.4.2), with the write lease in ms that this leader grants.
    Noop {
        /// The lease W.
        lease: Millis,
    },
    /// One learner votes, or two at once out of a set of one voter \[N15 one-to-three\]. Takes effect when appended.
    AddVoter {
        /// One or two ids.
        ids: Vec<NodeId>,
    },
    /// A voter becomes a learner. Takes effect when appended.
    DelVoter {
        /// The voter.
        id: NodeId,
        /// Asked for by an operator: it is not promoted again by itself.
        by_hand: bool,
    },
    /// Whatever the replicated state machine is made of.
    App(P),
}

/// One entry of the log. Its index is its place there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry<P> {
    /// The term of the leader that appended it.
    pub term: Term,
    /// The proposal it answers; voting entries never have one \[N16 voting-entries\].
    pub origin: Option<Origin>,
    /// What it says.
    pub body: Body<P>,
}

/// What Raft asks of a payload; everything else about it is none of Raft's business.
pub trait Payload: Clone + PartialEq + fmt::Debug {
    /// The founder's own first entry makes it the only voter: `Some(founder)` for that entry alone.
    fn founding_voter(&self) -> Option<NodeId>;

    /// The node from which the entry could take slots when applied, and which must know of it or have no lease first (docs/protocol.md,
    /// "The gate").
    fn deposes(&self) -> Option<NodeId>;

    /// The node that is granted no lease from this entry on until it holds it: whom it deposes, gated or not, or calls failed.
    fn bars(&self) -> Option<NodeId> {
        self.deposes()
    }

    /// About how many bytes its text takes, for batch limits.
    fn size(&self) -> usize;
}

impl<P> Body<P> {
    /// What it says to the replicated state machine, unless it is Raft's own.
    pub fn payload(&self) -> Option<&P> {
        match self {
            Self::App(payload) => Some(payload),
            Self::Noop { .. } | Self::AddVoter { .. } | Self::DelVoter { .. } => None,
        }
    }
}

impl<P: Payload> Body<P> {
    /// Changes `voters` as appending this body does, and says whether it is a voting entry at all.
    pub fn change_voters(&self, voters: &mut BTreeSet<NodeId>) -> bool {
        match self {
            Self::AddVoter { ids } => voters.extend(ids),
            Self::DelVoter { id, .. } => {
                voters.remove(id);
            }
            Self::App(payload) => match payload.founding_voter() {
                Some(founder) => *voters = BTreeSet::from([founder]),
                None => return false,
            },
            Self::Noop { .. } => return false,
        }
        true
    }
}
