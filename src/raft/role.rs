//! What a node is at the moment, each role with its own data.
//!
//! Owns: the roles. Must not: change from one to another (election does). Contract: docs/protocol.md, "Membership and voting".

use super::gate::Gate;
use super::lease::Grants;
use super::progress::Progress;
use super::rates::Rates;
use super::rounds::Rounds;
use super::transfer::Transfer;
use crate::types::{LogIndex, Millis, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A role's name, as CLUSTER INFO shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoleName {
    /// Does not vote.
    Learner,
    /// Votes.
    Follower,
    /// Asks whether an election could be won (dissertation §9.6).
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Learner => "learner",
            Self::Follower => "follower",
            Self::PreCandidate => "pre-candidate",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
        })
    }
}

/// One round of asking for votes or pre-votes.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Campaign {
    /// Answers to an older round do not count.
    pub(super) round: u64,
    /// A leader handed over: the base lease does not count.
    pub(super) transfer: bool,
    /// Who said yes, the node itself included only if it votes.
    pub(super) granted: BTreeSet<NodeId>,
    /// Who was asked, or is to be.
    pub(super) asked: BTreeSet<NodeId>,
    /// Who is to be asked as soon as there is a link, a part of `asked`.
    pub(super) unsent: BTreeSet<NodeId>,
    /// When the first question left.
    pub(super) sent_at: Option<Millis>,
    /// While it asks for pre-votes again: who has voted for this node in its present term, and when those votes were asked for. Those that
    /// come late count too.
    pub(super) votes: (BTreeSet<NodeId>, Option<Millis>),
    /// How long each vote took.
    pub(super) took: BTreeMap<NodeId, Millis>,
    /// When others were heard last, by this node and by those who granted their votes.
    pub(super) heard: BTreeMap<NodeId, Millis>,
}

impl Campaign {
    /// A vote that was asked for then is here: it tells how long ago others were heard.
    pub(super) fn take_vote(&mut self, from: NodeId, ages: Vec<(NodeId, Millis)>, asked_at: Option<Millis>, now: Millis) {
        self.took.extend(asked_at.map(|at| (from, now.saturating_sub(at))));
        for (id, age) in ages {
            let (at, known) = (now.saturating_sub(age), self.heard.entry(id).or_default());
            *known = at.max(*known);
        }
    }
}

/// What a leader knows.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Leader {
    /// The first entry of its term: from here on every entry has its term.
    pub(super) noop_index: LogIndex,
    /// W of that entry.
    pub(super) lease: Millis,
    /// The largest W in its log when it was elected, its own included.
    pub(super) max_lease: Millis,
    pub(super) elected_at: Millis,
    /// The highest index of its own term on a majority's disks; 0 before there is one. Never falls.
    pub(super) quorum_index: LogIndex,
    /// Members and voters but itself.
    pub(super) progress: BTreeMap<NodeId, Progress>,
    pub(super) rounds: Rounds,
    pub(super) grants: Grants,
    pub(super) gate: Gate,
    pub(super) rates: Rates,
    pub(super) transfer: Option<Transfer>,
    /// When the next heartbeat is due, or before: then everybody is looked at.
    pub(super) next_beat: Millis,
    /// Who may be sent something without that: it answered, or its link came up.
    pub(super) stirred: BTreeSet<NodeId>,
    /// What was on the own disk, and committed, when everybody was looked at last.
    pub(super) looked_at: (LogIndex, LogIndex),
}

impl Leader {
    /// The node is sent an AE with the next turn, whether or not one is due.
    pub(super) fn hasten(&mut self, node: &NodeId) {
        if let Some(progress) = self.progress.get_mut(node) {
            progress.last_sent = None;
            self.stirred.insert(*node);
        }
    }
}

/// The role with its data. A learner is a follower that does not vote.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Role {
    Follower,
    PreCandidate(Campaign),
    Candidate(Campaign),
    Leader(Box<Leader>),
}

impl Role {
    pub(super) fn leader(&self) -> Option<&Leader> {
        if let Self::Leader(leader) = self { Some(leader) } else { None }
    }

    pub(super) fn campaign(&self) -> Option<&Campaign> {
        if let Self::PreCandidate(campaign) | Self::Candidate(campaign) = self { Some(campaign) } else { None }
    }

    pub(super) fn campaign_mut(&mut self) -> Option<&mut Campaign> {
        if let Self::PreCandidate(campaign) | Self::Candidate(campaign) = self { Some(campaign) } else { None }
    }
}
