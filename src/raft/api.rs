//! SKETCH of the public API (bodies follow in the next commits).
#![allow(unused_variables, missing_docs, clippy::unimplemented)]

use super::*;
use crate::rng::Rng;
use crate::types::{ConnId, LogIndex, Millis, NodeId, Term};
use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// E
    pub election_timeout: Millis,
    /// W for own NOOP
    pub lease: Millis,
    pub node_timeout: Millis,
    /// target number of voters
    pub voters: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HardState {
    pub term: Term,
    pub voted_for: Option<NodeId>,
}

/// What the store's receipt says is on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Durable {
    pub term: Term,
    pub voted_for: Option<NodeId>,
    pub last_index: LogIndex,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoleName {
    Learner,
    Follower,
    PreCandidate,
    Candidate,
    Leader,
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        unimplemented!()
    }
}

/// What a message asks of the caller. (No type parameter: nothing in it depends on the payload.)
#[derive(Clone, PartialEq, Debug)]
#[must_use]
pub enum Step {
    Done,
    /// Parse and install it, then call `snapshot_installed` in the same turn; or drop the link on bad bytes.
    Snapshot(InstallSnapshot),
}

/// The peer broke the protocol: drop the link; nothing has changed. Display is for the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PeerFault {
    #[error("it speaks for another node")]
    WrongSender,
    #[error("a second leader in term {0}")]
    SecondLeader(Term),
    #[error("terms out of order or out of bounds")]
    BadTerm,
    #[error("it would truncate committed entry {0}")]
    TruncatesCommitted(LogIndex),
    #[error("it acknowledges what was never sent")]
    NeverSent,
}

/// Not the leader, or a leader that is handing over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not the leader")]
pub struct NotLeader;

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum VotingRefused {
    #[error("not the leader")]
    NotLeader,
    #[error("no entry of this leader's term is on a majority's disks yet")]
    NotReady,
    #[error("another voting change is in flight")]
    InFlight,
    #[error("it is a voter already")]
    AlreadyVoter,
    #[error("it is not a voter")]
    NotVoter,
    #[error("the last voter stays")]
    LastVoter,
    #[error("two voters at once are added to a single one only")]
    TwoToOneOnly,
    #[error("not a voting entry")]
    NotVoting,
}

/// What the leader knows of one other node.
#[derive(Clone, PartialEq, Debug)]
pub struct Progress {}
impl Progress {
    /// Known to be equal to the leader's log and on its disk up to here.
    pub fn match_index(&self) -> LogIndex {
        unimplemented!()
    }
    /// The next entry to send.
    pub fn next_index(&self) -> LogIndex {
        unimplemented!()
    }
    /// When the newest round that it echoed was sent (the election, before the first).
    pub fn last_ack_sent_at(&self) -> Millis {
        unimplemented!()
    }
    /// Its last index fell below what it had acknowledged on this link and in this term.
    pub fn lost_memory(&self) -> bool {
        unimplemented!()
    }
}

pub struct Raft<P> {
    payload: PhantomData<P>,
}

impl<P: Payload> Raft<P> {
    /// A node as loaded from disk. `log` as loaded: all of it is on disk. `base_voters` and `commit` as of `log.snapshot_index()`.
    #[expect(clippy::too_many_arguments)]
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
        unimplemented!()
    }
    /// A fresh one-node cluster: term 1, leader, entry 1 = `join` (the founder's NODE_JOIN ... voter), entry 2 = NOOP; nothing on disk yet.
    pub fn found(me: NodeId, join: P, nonce: u64, settings: Settings, rng: Rng, now: Millis) -> Self {
        unimplemented!()
    }
    /// A joiner: empty log, term 0, no voters; takes AE and snapshots from any node. (= new() with empties)
    pub fn joiner(me: NodeId, nonce: u64, settings: Settings, rng: Rng, now: Millis) -> Self {
        unimplemented!()
    }

    pub fn set_settings(&mut self, settings: Settings) {
        unimplemented!()
    }
    /// Whom a leader replicates to (voters are added by raft itself), and the heartbeat class. Call when the applied members or owners changed.
    pub fn set_members(&mut self, members: &BTreeSet<NodeId>, slot_owners: &BTreeSet<NodeId>, now: Millis) {
        unimplemented!()
    }
    /// The largest W applied (State::max_lease); what stands in the log is known here.
    pub fn set_max_lease(&mut self, lease: Millis) {
        unimplemented!()
    }

    // ---- queries
    pub fn id(&self) -> NodeId {
        unimplemented!()
    }
    pub fn term(&self) -> Term {
        unimplemented!()
    }
    pub fn hard(&self) -> HardState {
        unimplemented!()
    }
    pub fn log(&self) -> &Log<P> {
        unimplemented!()
    }
    pub fn settings(&self) -> &Settings {
        unimplemented!()
    }
    pub fn commit_index(&self) -> LogIndex {
        unimplemented!()
    }
    /// Leader: own; follower: as heard from the leader.
    pub fn quorum_index(&self) -> LogIndex {
        unimplemented!()
    }
    /// Latest, appended.
    pub fn voters(&self) -> &BTreeSet<NodeId> {
        unimplemented!()
    }
    pub fn committed_voters(&self) -> &BTreeSet<NodeId> {
        unimplemented!()
    }
    pub fn leader(&self) -> Option<NodeId> {
        unimplemented!()
    }
    pub fn is_leader(&self) -> bool {
        unimplemented!()
    }
    pub fn is_voter(&self, id: &NodeId) -> bool {
        unimplemented!()
    }
    pub fn role(&self) -> RoleName {
        unimplemented!()
    }
    pub fn leader_ready(&self, applied: LogIndex) -> bool {
        unimplemented!()
    }
    pub fn progress(&self, id: &NodeId) -> Option<&Progress> {
        unimplemented!()
    }
    pub fn transferring(&self) -> Option<NodeId> {
        unimplemented!()
    }
    /// Whom it would like to have a link with now: leader: members ∪ voters; candidate: voters. Never itself.
    pub fn wanted_links(&self) -> BTreeSet<NodeId> {
        unimplemented!()
    }

    // ---- inputs; none of them lets a byte out
    pub fn tick(&mut self, now: Millis) {
        unimplemented!()
    }
    pub fn next_deadline(&self) -> Option<Millis> {
        unimplemented!()
    }
    pub fn step(&mut self, via: ConnId, from: NodeId, message: Message<P>, now: Millis) -> Result<Step, PeerFault> {
        unimplemented!()
    }
    /// An AE whose entries this binary does not know: heard from the leader, ok=0, nothing taken [N26].
    pub fn refuse_append(&mut self, via: ConnId, from: NodeId, term: Term, round: u64, now: Millis) -> Result<(), PeerFault> {
        unimplemented!()
    }
    pub fn snapshot_installed(
        &mut self,
        snap_index: LogIndex,
        snap_term: Term,
        voters: BTreeSet<NodeId>,
        via: ConnId,
        from: NodeId,
        round: u64,
    ) {
        unimplemented!()
    }
    /// Our outbound link to `peer` is greeted and usable.
    pub fn link_up(&mut self, peer: NodeId, now: Millis) {
        unimplemented!()
    }
    /// Our outbound link to `peer` is gone; answers that came by it must not be fed any more.
    pub fn link_down(&mut self, peer: NodeId) {
        unimplemented!()
    }
    /// The link by which questions came is gone: pending answers for it are dropped.
    pub fn answer_link_closed(&mut self, via: ConnId) {
        unimplemented!()
    }
    pub fn append(&mut self, origin: Option<Origin>, change: P) -> Result<LogIndex, NotLeader> {
        unimplemented!()
    }
    pub fn change_voters(&mut self, body: Body<P>, now: Millis) -> Result<LogIndex, VotingRefused> {
        unimplemented!()
    }
    pub fn plan_voters(&self, candidates: &[NodeId], member_count: usize, now: Millis) -> Option<Body<P>> {
        unimplemented!()
    }
    pub fn transfer_to(&mut self, target: Option<NodeId>, now: Millis) -> bool {
        unimplemented!()
    }

    // ---- before-sleep, in this order
    /// A full rewrite is due: hard state changed, log truncated or snapshot installed since the last `persisted`.
    pub fn needs_rewrite(&self) -> bool {
        unimplemented!()
    }
    /// First index not on disk (last_index + 1: nothing to append).
    pub fn unpersisted_from(&self) -> LogIndex {
        unimplemented!()
    }
    pub fn persisted(&mut self, durable: Durable) {
        unimplemented!()
    }
    pub fn advance_commit(&mut self, now: Millis) -> LogIndex {
        unimplemented!()
    }
    pub fn take_acks(&mut self, repl_offset: u64, now: Millis) -> Option<Outgoing<P>> {
        unimplemented!()
    }
    /// Votes, pre-votes and refusals (of lower-term AEs too: those are AppendAck messages).
    pub fn take_votes(&mut self) -> Vec<Outgoing<P>> {
        unimplemented!()
    }
    pub fn take_vote_requests(&mut self) -> Vec<Outgoing<P>> {
        unimplemented!()
    }
    pub fn replicate(&mut self, now: Millis, snapshot: &mut dyn FnMut() -> Option<(LogIndex, Term, Vec<u8>)>) -> Vec<Outgoing<P>> {
        unimplemented!()
    }
    pub fn compact_to(&mut self, index: LogIndex, voters_at: BTreeSet<NodeId>) {
        unimplemented!()
    }
    pub fn check(&self) {
        unimplemented!()
    }
}
