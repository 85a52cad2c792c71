//! What Raft nodes say to each other, and what each word needs on disk before it may leave.
//!
//! Owns: the messages as data. Must not: know frames or bytes (wire::bus). Contract: docs/protocol.md, "Wire format".

use super::entry::Entry;
use crate::types::{ConnId, Extent, LogIndex, Millis, NodeId, Term};

/// What a message promises to be on disk; the gate compares it with the receipt of the last persist.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Needs {
    /// A term at least this high.
    pub term: Term,
    /// A vote for this node in exactly that term.
    pub vote: Option<NodeId>,
    /// The log up to this index.
    pub index: LogIndex,
}

/// The way a message goes: one link per direction and pair, requests on our own, answers where they were asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route {
    /// A request, on our outbound link to this node.
    Request(NodeId),
    /// An answer, on the link that the question came by.
    Answer(ConnId),
}

/// A message on its way out.
#[derive(Clone, PartialEq, Debug)]
pub struct Outgoing<P> {
    /// Where it goes.
    pub route: Route,
    /// What must be on disk first.
    pub needs: Needs,
    /// What it says.
    pub message: Message<P>,
}

/// A primary's lease token: its own clock, with a nonce drawn at process start \[N3 token-nonce\].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Token {
    /// Drawn at process start; 0 is "no token".
    pub nonce: u64,
    /// The owner's own CLOCK_BOOTTIME in ms when it was made.
    pub clock: Millis,
}

/// The messages of Raft. Names and fields as in docs/protocol.md.
#[derive(Clone, PartialEq, Debug)]
pub enum Message<P> {
    /// `AE`: entries, or a heartbeat when there are none.
    Append(Append<P>),
    /// `AE_ACK`.
    AppendAck(AppendAck),
    /// `PRE_VOTE_REQ` (`pre`) or `VOTE_REQ`.
    VoteRequest(VoteRequest),
    /// `PRE_VOTE` (`pre`) or `VOTE`: the answer.
    Vote(Vote),
    /// `INSTALL_SNAPSHOT`.
    InstallSnapshot(InstallSnapshot),
    /// `TIMEOUT_NOW`: the leader hands over (dissertation §3.10).
    TimeoutNow {
        /// The leader's term.
        term: Term,
    },
}

/// `AE` (§5.3).
#[derive(Clone, PartialEq, Debug)]
pub struct Append<P> {
    /// The sender.
    pub leader: NodeId,
    /// Its term.
    pub term: Term,
    /// Index of the entry before the first one sent.
    pub prev_index: LogIndex,
    /// That entry's term.
    pub prev_term: Term,
    /// The highest index of the leader's own term on a majority's disks.
    pub quorum: LogIndex,
    /// The leader's commit index.
    pub commit: LogIndex,
    /// The leader's round; echoed by the answer.
    pub round: u64,
    /// The newest token of the receiver that the leader may return; nonce 0 for none.
    pub token: Token,
    /// W of the leader's NOOP: how long a lease from that token lasts.
    pub lease: Millis,
    /// In log order, the first at `prev_index + 1`.
    pub entries: Vec<Entry<P>>,
}

/// `AE_ACK`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AppendAck {
    /// The answering node's term.
    pub term: Term,
    /// Whether the previous entry matched.
    pub ok: bool,
    /// ok: known to match the leader's log and on disk. Otherwise where to go back to.
    pub index: LogIndex,
    /// The answering node's last index.
    pub last_index: LogIndex,
    /// The highest round received from that leader and term.
    pub round: u64,
    /// How much of its shard's data the answering node holds.
    pub extent: Extent,
    /// A fresh token of the answering node.
    pub token: Token,
}

/// `PRE_VOTE_REQ` / `VOTE_REQ` (§5.2, dissertation §9.6).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct VoteRequest {
    /// A pre-vote: nothing changes on either side.
    pub pre: bool,
    /// The sender.
    pub candidate: NodeId,
    /// The term it asks for: its own, or one more for a pre-vote.
    pub term: Term,
    /// Its last log index.
    pub last_index: LogIndex,
    /// That entry's term.
    pub last_term: Term,
    /// Counts its vote requests, so that an old answer is told from a new one.
    pub round: u64,
    /// A leader handed over: the base lease does not count \[N18 endless-transfer\].
    pub transfer: bool,
}

/// `PRE_VOTE` / `VOTE`.
#[derive(Clone, PartialEq, Debug)]
pub struct Vote {
    /// Answers a pre-vote.
    pub pre: bool,
    /// The voter's term (for a granted pre-vote the term asked for).
    pub term: Term,
    /// Whether it was granted.
    pub granted: bool,
    /// The request's round.
    pub round: u64,
    /// A vote tells how long ago (ms) others were heard, as far as that is known from the newest leadership that the candidate's log tells
    /// of.
    pub ages: Vec<(NodeId, Millis)>,
}

/// `INSTALL_SNAPSHOT` (§7): the whole state in one frame.
#[derive(Clone, PartialEq, Debug)]
pub struct InstallSnapshot {
    /// The sender.
    pub leader: NodeId,
    /// Its term.
    pub term: Term,
    /// The snapshot's last applied index.
    pub last_index: LogIndex,
    /// That entry's term.
    pub last_term: Term,
    /// The leader's round.
    pub round: u64,
    /// The snapshot section of nodes.conf as text.
    pub bytes: Vec<u8>,
}
