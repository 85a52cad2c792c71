//! The cluster's metadata: consensus, the replicated state, and this node's place in it.
//!
//! Owns: Raft, the state, links to members, proposals and what a leader does with others'. Must not: touch keys: what follows for them it
//! says as consequences.

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
pub(in crate::node) mod links;
pub(in crate::node) mod membership_check;
pub(in crate::node) mod own_address;
pub(in crate::node) mod proposals;
pub(in crate::node) mod quorum_recovery;
pub(in crate::node) mod replica_offsets;
pub(in crate::node) mod reset;
pub(in crate::node) mod tail;

use crate::cluster::{Address, Change, State};
use crate::config::Config;
use crate::node::metadata::links::Links;
use crate::node::view::View;
use crate::raft::{Raft, RoleName, Settings};
use crate::rng::Rng;
use crate::store::{Loaded, Standing};
use crate::types::{Millis, NodeId, Now, Term};
use std::collections::BTreeMap;

/// What decides where links and proposals go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::node) struct Arrangement {
    pub leader: Option<NodeId>,
    pub term: Term,
    pub role: RoleName,
    pub leaderless: bool,
    /// We lead, and our own NOOP is applied.
    pub ready: bool,
}

/// Whether the cluster is there for its clients, as far as this node sees.
#[derive(Default)]
pub(in crate::node) struct Outlook {
    /// When a leader was last heard (mono ms).
    pub leader_heard: Option<Millis>,
    /// Every slot is owned, and no owner is flagged as failed.
    pub covered: bool,
    /// `cluster_state:ok`.
    pub usable: bool,
    /// What links and proposals were last arranged for.
    pub arranged_for: Option<Arrangement>,
}

/// See the module.
pub(in crate::node) struct Metadata {
    /// This node.
    pub me: NodeId,
    /// Counts the loads of nodes.conf.
    pub incarnation: u64,
    /// With the shard id among its keys; the IP is empty until it is known.
    pub own_address: Address,
    pub address_check: own_address::AddressCheck,
    pub raft: Raft<Change>,
    /// As of `last_applied`, never ahead of Raft's commit index.
    pub state: State,
    pub standing: Standing,
    pub links: Links,
    pub joining: join::Joining,
    pub proposals: proposals::Proposals,
    pub leading: leader::Leading,
    pub evidence: evidence::Evidence,
    pub failure_detector: failure_detector::FailureDetector,
    pub reset: Option<reset::Reset>,
    pub leader_transfer: Option<leader_transfer::LeaderTransfer>,
    /// Members that were forgotten while this process ran.
    pub forgotten: reset::ForgottenMembers,
    /// Every member's address, as it was applied.
    pub addresses: BTreeMap<NodeId, Address>,
    pub outlook: Outlook,
    pub changed: apply::Changed,
    pub clocks: clock_rates::Clocks,
    /// How much of their shards' keys members have.
    pub copies: replica_offsets::Copies,
}

impl Metadata {
    /// As the file tells, knowing nothing of others yet.
    pub fn new(config: &Config, loaded: Loaded, nonce: u64, settings: Settings, rng: Rng, now: Now) -> Self {
        let own_address = bootstrap::own_address(config, &loaded);
        let (commit, voters) = (loaded.state.last_applied(), loaded.state.voters().clone());
        let raft = Raft::new(loaded.me, loaded.hard, loaded.log, voters, commit, nonce, settings, rng, now.mono);
        Self {
            me: loaded.me,
            incarnation: loaded.incarnation,
            own_address,
            address_check: own_address::AddressCheck::default(),
            raft,
            state: loaded.state,
            standing: loaded.standing,
            links: Links::default(),
            joining: join::Joining::new(now.mono),
            proposals: proposals::Proposals::default(),
            leading: leader::Leading::default(),
            evidence: evidence::Evidence::default(),
            failure_detector: failure_detector::FailureDetector::default(),
            reset: None,
            leader_transfer: None,
            forgotten: reset::ForgottenMembers::default(),
            addresses: BTreeMap::new(),
            outlook: Outlook::default(),
            changed: apply::Changed::default(),
            clocks: clock_rates::Clocks::default(),
            copies: replica_offsets::Copies::default(),
        }
    }

    /// Whether we are about to be a member, which our clients wait for as long as for a proposal.
    pub fn joins_soon(&self, view: &View) -> bool {
        self.is_joiner() && view.now.mono.saturating_sub(self.joining.since) <= proposals::proposal_patience(&view.config)
    }

    /// What stands in the log and is not applied yet.
    pub fn tail(&self) -> tail::Tail<'_> {
        tail::Tail::of(&self.raft, &self.state)
    }
}
