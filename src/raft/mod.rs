//! Consensus, pure: it knows no slots, sockets, files or clocks (Raft paper, extended version; Ongaro's dissertation).
//!
//! Owns: the replicated log, who leads, who votes, what is committed. Must not: read time or chance by itself, let a byte out, or know what
//! an entry means beyond [`Payload`]. Contract: docs/protocol.md.
//!
//! # What the caller owes
//!
//! Inputs ([`Raft::step`], [`Raft::tick`], [`Raft::append`], links, members) only note what happened. Then, once a turn and in this order:
//!
//! 1. write what is due to disk, all of it ([`Raft::needs_rewrite`], [`Raft::unpersisted_from`]), and tell with [`Raft::persisted`];
//! 2. [`Raft::advance_commit`], apply what is committed, and tell with [`Raft::applied`];
//! 3. [`Raft::take_acks`], [`Raft::take_votes`], [`Raft::take_vote_requests`], [`Raft::replicate`]: the messages that may leave now.
//!
//! What came by a link that has been replaced must not be fed any more. A message of which [`Raft::step`] says [`PeerFault`] changed
//! nothing: the link is to be dropped. What a leader says of a process that it knows to be dead ([`Raft::set_dead`]) ends with any frame of
//! it, also one that is none of Raft's ([`Raft::clear_dead`]).

mod answers;
mod disk;
mod election;
pub mod entry;
mod follow;
mod gate;
mod heard;
mod held_lease;
mod lease;
pub mod log;
mod membership;
pub mod message;
mod pace;
mod plan;
mod progress;
pub mod quorum;
mod rates;
mod replication;
mod role;
mod rounds;
mod settings;
mod snapshot;
mod terms;
mod transfer;

use crate::rng::Rng;
use crate::types::{ConnId, LogIndex, Millis, NodeId, Term};
use answers::Answers;
use disk::Disk;
use election::Election;
use gate::Agreed;
use heard::Heard;
use held_lease::HeldLease;
use membership::Membership;
use role::Role;
use std::collections::{BTreeMap, BTreeSet};

pub use disk::Durable;
pub use entry::{Body, Entry, Origin, Payload, ProposalId};
pub use log::Log;
pub use message::{InstallSnapshot, Message, Needs, Outgoing, Route, Token};
pub use plan::Prospect;
pub use progress::Progress;
pub use rates::Rate;
pub use role::RoleName;
pub use settings::Settings;
pub use snapshot::SnapshotSource;

/// What must never be forgotten: the term, and whom the node voted for in it (§5.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HardState {
    /// The current term.
    pub term: Term,
    /// The vote given in it.
    pub voted_for: Option<NodeId>,
}

/// What a message asks of the caller.
#[derive(Clone, PartialEq, Debug)]
#[must_use]
pub enum Step {
    /// Nothing.
    Done,
    /// To parse this snapshot, install it and call [`Raft::snapshot_installed`] in the same turn, or to drop the link if it is bad.
    Snapshot(InstallSnapshot),
}

/// The peer broke the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PeerFault {
    /// A message names another node than the one that the link belongs to.
    #[error("it speaks for another node")]
    WrongSender,
    /// Two leaders in a term.
    #[error("it claims to lead term {0}, which has a leader")]
    SecondLeader(Term),
    /// Terms that go down, or are beyond reason.
    #[error("terms out of order or out of bounds")]
    BadTerm,
    /// Indices that are beyond reason.
    #[error("its log cannot reach to entry {0}")]
    BadIndex(LogIndex),
    /// An entry takes the last voter away.
    #[error("nobody would vote any more")]
    NoVoters,
    /// What is committed is never truncated.
    #[error("it would truncate entry {0}, which is committed")]
    TruncatesCommitted(LogIndex),
    /// An answer to what was not asked.
    #[error("it acknowledges what was never sent")]
    NeverSent,
}

/// Not the leader, or a leader that is handing over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not the leader")]
pub struct NotLeader;

/// Why a voting entry was not appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum VotingRefused {
    /// Not the leader, or handing over.
    #[error("not the leader")]
    NotLeader,
    /// No entry of this leader's term is on a majority's disks yet.
    #[error("the leader is not ready yet")]
    NotReady,
    /// One at a time.
    #[error("another voting change is in progress")]
    InFlight,
    /// It votes.
    #[error("the node is a voter already")]
    AlreadyVoter,
    /// It does not vote.
    #[error("the node is not a voter")]
    NotVoter,
    /// Somebody must.
    #[error("the last voter cannot be removed")]
    LastVoter,
    /// \[N15 one-to-three\].
    #[error("two voters at once can only be added to a single one")]
    TwoToOneOnly,
    /// The entry does not change who votes.
    #[error("not a voting entry")]
    NotVoting,
}

/// Whom the node knows of, from outside Raft.
#[derive(Clone, PartialEq, Debug, Default)]
struct Peers {
    /// The members of the applied state.
    members: BTreeSet<NodeId>,
    /// Those of them that own slots.
    slot_owners: BTreeSet<NodeId>,
    /// Those to which our outbound link is up.
    linked: BTreeSet<NodeId>,
}

/// One node's part in the consensus.
#[derive(Clone, Debug)]
pub struct Raft<P> {
    me: NodeId,
    /// Of this process: marks the own lease tokens \[N3 token-nonce\].
    nonce: u64,
    settings: Settings,
    rng: Rng,
    hard: HardState,
    /// Its last term is at most the current one.
    log: Log<P>,
    /// What `log` and its snapshot tell.
    membership: Membership,
    disk: Disk,
    /// Never falls; between the log's snapshot and its last index.
    commit: LogIndex,
    /// The largest W that has been applied.
    max_lease: Millis,
    peers: Peers,
    /// Neither votes nor campaigns.
    muted: bool,
    /// A leader has said lately that this node's clock stands alone.
    clock_is_off: bool,
    election: Election,
    heard: Heard,
    held_lease: HeldLease,
    /// The newest commit index that a leader spoke of, and its term.
    told_commit: Option<(Term, LogIndex)>,
    agreed: Agreed,
    role: Role,
    answers: Answers,
}

impl<P: Payload> Raft<P> {
    /// A node as loaded: all of `log` is on disk; `base_voters` as of the log's snapshot; `commit` is what is applied. A joiner has an
    /// empty log, term 0 and no voters.
    #[expect(clippy::too_many_arguments, reason = "each is a fact of its own, read from the file or drawn at start")]
    pub fn new(
        me: NodeId,
        hard: HardState,
        log: Log<P>,
        base_voters: BTreeSet<NodeId>,
        commit: LogIndex,
        nonce: u64,
        settings: Settings,
        rng: Rng,
        now: Millis,
    ) -> Self {
        let durable = Durable { term: hard.term, voted_for: hard.voted_for, last_index: log.last_index() };
        let mut raft = Self {
            me,
            nonce,
            settings,
            rng,
            hard,
            membership: Membership::of(base_voters, &log),
            log,
            disk: Disk::new(durable),
            commit,
            max_lease: 0,
            peers: Peers::default(),
            muted: false,
            clock_is_off: false,
            election: Election::default(),
            heard: Heard::default(),
            held_lease: HeldLease::default(),
            told_commit: None,
            agreed: Agreed::default(),
            role: Role::Follower,
            answers: Answers::default(),
        };
        raft.await_leader(now);
        raft.applied(commit);
        raft
    }

    /// A cluster of one, founded now: term 1, leader, entry 1 the founder's own `join` as a voter, entry 2 its NOOP. Nothing is on disk
    /// yet.
    pub fn found(me: NodeId, join: P, nonce: u64, settings: Settings, rng: Rng, now: Millis) -> Self {
        let mut raft = Self::new(me, HardState::default(), Log::new(0, 0), BTreeSet::from([me]), 0, nonce, settings, rng, now);
        let body = Body::App(join);
        raft.membership.appended(1, &body);
        raft.log.push(Entry { term: 1, origin: None, body });
        raft.tick(now);
        raft
    }

    /// Takes new settings; the W of the own NOOP stays what it was.
    pub fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
        self.class_peers();
    }

    /// Takes the applied members: whom a leader replicates to, besides the voters.
    pub fn set_members(&mut self, members: impl Iterator<Item = NodeId>, now: Millis) {
        self.peers.members = members.collect();
        self.sync_peers(now);
    }

    /// Takes the owners of slots as they are applied, in the order of their ids: how often they are owed a heartbeat. Most changes of slots
    /// leave them as they were.
    pub fn set_slot_owners<'a>(&mut self, owners: impl Iterator<Item = &'a NodeId> + Clone) {
        if !self.peers.slot_owners.iter().eq(owners.clone()) {
            self.peers.slot_owners = owners.copied().collect();
            self.class_peers();
        }
    }

    /// A muted node neither votes nor campaigns: a joiner is, until its own NODE_JOIN is in its log. It may have been a voter in an earlier
    /// life and have forgotten what it acknowledged in it, and who still counts on its vote must not get it.
    pub fn set_muted(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// Takes the largest W that has been applied; those that the log holds are known.
    pub fn set_max_lease(&mut self, lease: Millis) {
        self.max_lease = self.max_lease.max(lease);
    }

    /// Takes a message of `from`, which came by `via`.
    pub fn step(&mut self, via: ConnId, from: NodeId, message: Message<P>, now: Millis) -> Result<Step, PeerFault> {
        self.clear_dead(&from);
        match message {
            Message::Append(append) => self.on_append(via, from, append, now)?,
            Message::AppendAck(ack) => self.on_append_ack(from, ack, now)?,
            Message::VoteRequest(request) => self.on_vote_request(via, from, request, now)?,
            Message::Vote(vote) => self.on_vote(from, vote, now)?,
            Message::InstallSnapshot(snapshot) => return self.on_install_snapshot(via, from, snapshot, now),
            Message::TimeoutNow { term } => self.on_timeout_now(from, term, now),
        }
        Ok(Step::Done)
    }

    /// Our outbound link to `peer` can be used: the leader finds out anew where the logs meet, a candidate asks.
    pub fn link_up(&mut self, peer: NodeId) {
        self.peers.linked.insert(peer);
        if let Role::Leader(leader) = &mut self.role
            && let Some(progress) = leader.progress.get_mut(&peer)
        {
            progress.link_up();
            leader.stirred.insert(peer);
        }
    }

    /// Our outbound link to `peer` is gone, with what was on its way. A candidate asks again on the next one.
    pub fn link_down(&mut self, peer: NodeId) {
        self.peers.linked.remove(&peer);
        if let Role::Leader(leader) = &mut self.role
            && let Some(progress) = leader.progress.get_mut(&peer)
        {
            progress.link_down();
        }
        if let Some(campaign) = self.role.campaign_mut()
            && campaign.asked.contains(&peer)
            && !campaign.granted.contains(&peer)
        {
            campaign.unsent.insert(peer);
        }
    }

    /// This node.
    pub fn id(&self) -> NodeId {
        self.me
    }

    /// The current term.
    pub fn term(&self) -> Term {
        self.hard.term
    }

    /// Term and vote, to be written.
    pub fn hard(&self) -> HardState {
        self.hard
    }

    /// The log.
    pub fn log(&self) -> &Log<P> {
        &self.log
    }

    /// What it is run with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Everything up to here is committed.
    pub fn commit_index(&self) -> LogIndex {
        self.commit
    }

    /// A leader's highest index of its own term on a majority's disks, 0 before there is one; of others the commit index.
    pub fn quorum_index(&self) -> LogIndex {
        self.role.leader().map_or(self.commit, |leader| leader.quorum_index)
    }

    /// The leader of the current term, as far as known.
    pub fn leader(&self) -> Option<NodeId> {
        self.election.leader
    }

    /// Whether this node leads.
    pub fn is_leader(&self) -> bool {
        self.role.leader().is_some()
    }

    /// What this node is.
    pub fn role(&self) -> RoleName {
        match self.role {
            Role::Follower if self.is_voter(&self.me) => RoleName::Follower,
            Role::Follower => RoleName::Learner,
            Role::PreCandidate(_) => RoleName::PreCandidate,
            Role::Candidate(_) => RoleName::Candidate,
            Role::Leader(_) => RoleName::Leader,
        }
    }

    /// Whether this node leads and has applied its own NOOP: before, its state may lack what earlier leaders committed (§8).
    pub fn leader_ready(&self, applied: LogIndex) -> bool {
        self.role.leader().is_some_and(|leader| leader.noop_index <= applied)
    }

    /// Whether a state at this index and term is the cluster's newest, as far as can be known: all is applied of which the leader of this
    /// term has said that it is committed, an entry of its own term included.
    pub fn is_newest(&self, applied: LogIndex, applied_term: Term) -> bool {
        let told = self.told_commit.is_some_and(|(term, commit)| term == self.hard.term && commit <= applied);
        self.leader_ready(applied) || (told && applied_term == self.hard.term)
    }

    /// What a leader knows of another node.
    pub fn progress(&self, id: &NodeId) -> Option<&Progress> {
        self.role.leader()?.progress.get(id)
    }

    /// What a leader knows of everybody else, in the order of their ids; who does not lead knows of nobody.
    pub fn followers(&self) -> impl ExactSizeIterator<Item = (&NodeId, &Progress)> {
        const NOBODY: &BTreeMap<NodeId, Progress> = &BTreeMap::new();
        self.role.leader().map_or(NOBODY, |leader| &leader.progress).iter()
    }

    /// Whether a leader has said lately that this node's clock is off. If this node is elected all the same, its own clock stands alone for
    /// it until it has measured the voters' by itself: it grants nothing, and hands over.
    pub fn set_clock_off(&mut self, off: bool) {
        self.clock_is_off = off;
    }

    /// What a leader can say of a node's clock, its own included, and about how much faster than its own it runs, in millionths.
    pub fn clock_rate(&self, id: &NodeId) -> (Rate, Option<i64>) {
        match self.role.leader() {
            Some(leader) if *id == self.me => (if leader.rates.own_alone() { Rate::Alone } else { Rate::Fits }, Some(0)),
            Some(leader) => leader.rates.of(id),
            None => (Rate::Unknown, None),
        }
    }

    /// Whether this node leads, and grants another one nothing because of its clock, or of its own.
    pub fn withholds_for_clock(&self, id: &NodeId) -> bool {
        self.role.leader().is_some_and(|leader| leader.rates.withholds(id))
    }

    /// How many clocks a leader knows that do not run as the others'.
    pub fn clocks_off(&self) -> usize {
        let off = |id: &NodeId| matches!(self.clock_rate(id).0, Rate::Alone | Rate::Disputed);
        self.followers().map(|(id, _)| id).chain([&self.me]).filter(|id| off(id)).count()
    }

    /// Asserts every invariant with its sentence.
    pub fn check(&self) {
        self.log.check();
        self.membership.check(&self.log);
        self.check_answers();
        assert!(self.log.last_term() <= self.hard.term, "no entry has a term above the current one");
        assert!(self.log.snapshot_index() <= self.commit, "what a snapshot covers is committed");
        assert!(self.commit <= self.log.last_index(), "what is committed is in the log");
        assert!(self.disk.last_index() <= self.log.last_index(), "the disk holds a part of the log in memory");
        match &self.role {
            Role::Leader(leader) => self.check_leadership(leader),
            Role::Candidate(_) => assert_eq!(self.hard.voted_for, Some(self.me), "a candidate votes for itself"),
            Role::Follower | Role::PreCandidate(_) => {}
        }
    }

    fn check_leadership(&self, leader: &role::Leader) {
        assert_eq!((self.hard.voted_for, self.leader()), (Some(self.me), Some(self.me)), "a leader follows and voted for itself");
        let mut own = self.log.iter_from(leader.noop_index).map(|(_, entry)| entry.term);
        assert!(self.log.last_index() >= leader.noop_index, "a leader has its NOOP");
        assert!(own.all(|term| term == self.hard.term), "from the NOOP on all is the leader's own");
        let open = self.log.iter_from(leader.noop_index.max(self.commit + 1));
        let voting = open.filter(|(_, entry)| entry.body.change_voters(&mut BTreeSet::new())).count();
        assert!(voting <= 1, "one voting change is in flight at a time");
        assert!(leader.quorum_index == 0 || self.commit <= leader.quorum_index, "what is committed is on a majority's disks");
        assert!(leader.quorum_index <= self.log.last_index(), "a majority holds a part of the leader's log");
        assert!(!leader.progress.contains_key(&self.me), "a leader is not its own follower");
        leader.progress.values().for_each(|progress| progress.check(self.log.last_index()));
    }
}
