//! The cluster bus: frames between nodes.
//!
//! Owns: the frame's header and bounds, and the messages as data. Must not: act on a message, or know links.
//! Contract: docs/protocol.md, "Wire format".

mod decode;
mod encode;
mod fields;

pub use decode::decode;
pub use encode::{encode, encode_publish};

use crate::cluster::{Address, Change, ClusterEntry, LeaderRequest, Reason};
use crate::raft::Message;
use crate::types::numbers;
use crate::types::{ClusterId, Extent, LogIndex, Millis, NodeId, Term};

/// The protocol version that this binary announces in its greeting. Raised with the first new frame, field or entry type after a release.
pub const PROTOCOL_VERSION: u32 = 2;
/// The one that every node speaks.
pub const OLDEST_VERSION: u32 = 1;
/// [`Frame::Closing`] as it is written: the shell sends it as it closes.
pub const CLOSING: &[u8] = b"RAFT\0\0\0\x10CLOSING\n";
/// How every frame begins.
const MAGIC: &[u8; 4] = b"RAFT";
/// The magic word and the frame's length.
const HEADER: usize = 8;
/// Longest frame, header included.
pub const MAX_FRAME: usize = numbers::MAX_FRAME as usize;
/// Most entries in one `AE`, whatever their size.
pub const MAX_ENTRIES: usize = numbers::COUNT.greatest as usize;
/// Longest reason in `MEET_REJECTED`.
pub const MAX_REASON: usize = 256;

/// Who speaks: the first thing on every link, and its answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Greeting {
    /// The sender.
    pub id: NodeId,
    /// How it is reached; an empty IP is filled in by who hears it.
    pub address: Address,
    /// The cluster that it belongs to.
    pub cluster: ClusterId,
    /// Its protocol version.
    pub version: u32,
    /// The join nonce of the receiver, as far as the sender knows it: a joiner follows only who knows its own.
    pub join_nonce: Option<u64>,
    /// The clusters that the sender's was recovered from by force, the oldest first: a node that is left behind in one of them may come
    /// over.
    pub ancestors: Vec<ClusterId>,
    /// Drawn when the sender's process began: two processes with one id are told apart. None: a binary of version 1.
    pub process: Option<u64>,
}

/// Why a leader does not append a proposal, or does not grant a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RejectReason {
    /// `conflict`: an epoch that it names has moved on; look again and propose anew.
    Conflict,
    /// `rejected [code]`: it would be refused when applied. No reason: one that this binary does not know.
    Rejected(Option<Reason>),
    /// `not-leader`: the receiver is not the leader, or not ready yet.
    NotLeader,
    /// `busy`: too many proposals wait.
    Busy,
}

/// A process that has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ended {
    /// The nonce that it had drawn at its beginning.
    pub process: u64,
    /// How long ago the connection with it ended (ms).
    pub age: Millis,
    /// It was the stream between a primary and its replica, which was in step; else a bus link.
    pub of_stream: bool,
}

/// What a member knows of another one's process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finding {
    /// Its own connection with this process ended as only a kernel ends it, and both ports refused there. None: from a binary of version 1,
    /// which says so of any refusal, and that is no evidence.
    Dead(Option<Ended>),
    /// Somebody listens where that process was, or it has been heard since. To a binary of version 1 this is written as
    /// [`Finding::Unknown`].
    Alive,
    /// It had no such connection, or cannot tell.
    Unknown,
}

/// One message between two nodes.
#[derive(Clone, PartialEq, Debug)]
pub enum Frame {
    /// `HELLO`: first on every outbound link.
    Hello(Greeting),
    /// `HI`: its answer.
    Hi(Greeting),
    /// `MEET singleton|cluster`: the receiver is asked into the sender's cluster, or to invite the sender.
    Meet {
        /// The sender is alone in its cluster.
        singleton: bool,
    },
    /// `ADD_ME [nonce]`: the sender has given up its own cluster, or its NODE_JOIN got lost.
    AddMe {
        /// Its join nonce, which its greeting on a link from before could not have; none for a founder.
        join_nonce: Option<u64>,
    },
    /// `WELCOME`: the receiver is invited into the sender's cluster.
    Welcome,
    /// `MEET_REJECTED reason`.
    MeetRejected {
        /// For people; written as printable ASCII, [`MAX_REASON`] characters at most.
        reason: String,
    },
    /// `FORGOTTEN last-term last-index nonce`: the receiver is no member any more, by a log up to there.
    Forgotten {
        /// The term of the last entry that the sender speaks for.
        last_term: Term,
        /// Its index.
        last_index: LogIndex,
        /// The join nonce of the life that was forgotten, if the sender remembers: a joiner of that nonce is meant as well.
        join_nonce: Option<u64>,
    },
    /// What Raft says: `AE`, `AE_ACK`, the votes, `INSTALL_SNAPSHOT`, `TIMEOUT_NOW`.
    Raft(Message<Change>),
    /// `PROPOSE`: a follower's change, for the leader to append. Its term says nothing.
    Propose(ClusterEntry),
    /// `REJECT`: it was not appended.
    Reject {
        /// Why.
        reason: RejectReason,
        /// The same entry.
        entry: ClusterEntry,
    },
    /// `WISH`: what an operator asks of the leader.
    LeaderRequest(LeaderRequest),
    /// `WISH_REFUSED`: it will not be granted, or not by this node.
    LeaderRequestRefused {
        /// Why.
        reason: RejectReason,
        /// The same request.
        request: LeaderRequest,
    },
    /// `TRANSFER_LEADER`: the leader of this term is asked to hand over.
    TransferLeader {
        /// The term.
        term: Term,
    },
    /// `PROBE id number`: the leader asks whether a member's ports refuse connections.
    Probe {
        /// The member.
        id: NodeId,
        /// Which of the leader's inquiries this is.
        number: u64,
    },
    /// `PROBED id number dead process age-ms|alive|unknown`: the answer.
    Probed {
        /// The member.
        id: NodeId,
        /// As in the question.
        number: u64,
        /// What the witness knows by its own connection with the member's process.
        finding: Finding,
    },
    /// `CLOSING`: the last word on a link that the sender, which lives, closes itself. Who reads the end of a stream without it knows that
    /// a process has ended.
    Closing,
    /// `FAILOVER_PREPARE pause-ms number`: a replica asks its primary to hold writes for so long, 0 for not at all, and where its stream
    /// ends.
    FailoverPrepare {
        /// Milliseconds.
        pause: Millis,
        /// Counts the questions of one asker's process.
        number: u64,
    },
    /// `FAILOVER_OFFSET reign offset number`: the answer.
    FailoverOffset {
        /// How far the stream goes.
        end: Extent,
        /// As in the question.
        number: u64,
    },
    /// `FAILOVER_DONE reign offset`: a new primary tells the old one how much it has of its data, which is all: it serves.
    FailoverDone {
        /// How much that is.
        has: Extent,
    },
    /// `REPL_OFFSETS (id offset)...`: how much of their primaries' data replicas hold, as the leader knows it; whom it does not name stays
    /// as it was.
    ReplOffsets(Vec<(NodeId, u64)>),
    /// `CLOCK_OFF slow|fast millionths`: a leader tells a node that it gets no write lease, and why.
    ClockOff {
        /// Its clock is slower than the others'.
        slow: bool,
        /// By how much.
        millionths: u64,
    },
    /// `PUBLISH`: what a client of the sender has published.
    Publish {
        /// To a shard channel, and not to a channel of the whole cluster.
        sharded: bool,
        /// The channel.
        channel: Vec<u8>,
        /// The message.
        message: Vec<u8>,
    },
}

impl Frame {
    /// The first protocol version whose nodes know it: to others it is not sent \[N26 mixed-versions\].
    pub fn since(&self) -> u32 {
        match self {
            Self::Hello(_)
            | Self::Hi(_)
            | Self::Meet { .. }
            | Self::AddMe { .. }
            | Self::Welcome
            | Self::MeetRejected { .. }
            | Self::Forgotten { .. }
            | Self::Raft(_)
            | Self::Propose(_)
            | Self::Reject { .. }
            | Self::LeaderRequest(_)
            | Self::LeaderRequestRefused { .. }
            | Self::TransferLeader { .. }
            | Self::Probe { .. }
            | Self::Probed { .. }
            | Self::FailoverPrepare { .. }
            | Self::FailoverOffset { .. }
            | Self::ReplOffsets(_)
            | Self::Publish { .. } => 1,
            Self::FailoverDone { .. } | Self::Closing | Self::ClockOff { .. } => 2,
        }
    }

    /// Its name in `cluster_stats_messages_<name>_sent` of CLUSTER INFO.
    pub fn stats_name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::Hi(_) => "hi",
            Self::Meet { .. } => "meet",
            Self::AddMe { .. } => "add-me",
            Self::Welcome => "welcome",
            Self::MeetRejected { .. } => "meet-rejected",
            Self::Forgotten { .. } => "forgotten",
            Self::Raft(Message::Append(_)) => "ae",
            Self::Raft(Message::AppendAck(_)) => "ae-ack",
            Self::Raft(Message::VoteRequest(request)) => {
                if request.pre {
                    "pre-vote-req"
                } else {
                    "vote-req"
                }
            }
            Self::Raft(Message::Vote(vote)) => {
                if vote.pre {
                    "pre-vote"
                } else {
                    "vote"
                }
            }
            Self::Raft(Message::InstallSnapshot(_)) => "install-snapshot",
            Self::Raft(Message::TimeoutNow { .. }) => "timeout-now",
            Self::Propose(_) => "propose",
            Self::Reject { .. } => "reject",
            Self::LeaderRequest(_) => "wish",
            Self::LeaderRequestRefused { .. } => "wish-refused",
            Self::TransferLeader { .. } => "transfer-leader",
            Self::Probe { .. } => "probe",
            Self::Probed { .. } => "probed",
            Self::Closing => "closing",
            Self::FailoverPrepare { .. } => "failover-prepare",
            Self::FailoverOffset { .. } => "failover-offset",
            Self::FailoverDone { .. } => "failover-done",
            Self::ReplOffsets(_) => "repl-offsets",
            Self::ClockOff { .. } => "clock-off",
            Self::Publish { .. } => "publish",
        }
    }
}

/// An `AE` with an entry that this binary does not know: nothing of it may be taken, and it is answered with ok=0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RefusedAppend {
    /// The sender.
    pub leader: NodeId,
    /// Its term.
    pub term: Term,
    /// Index of the entry before the first one sent.
    pub prev_index: LogIndex,
    /// The leader's round.
    pub round: u64,
}

/// A frame of ours that is longer than [`MAX_FRAME`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a frame of {length} bytes is longer than any node takes")]
pub struct FrameTooLong {
    /// How long it would be.
    pub length: usize,
}

/// Why a frame does not leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unsendable {
    /// See there.
    #[error("{0}")]
    TooLong(#[from] FrameTooLong),
    /// The peer has announced an older protocol version than the frame is of.
    #[error("a peer of protocol version {version} does not know {name}")]
    Unknown {
        /// The frame, as in CLUSTER INFO.
        name: &'static str,
        /// The peer's.
        version: u32,
    },
}

/// What came is no frame of this protocol. Except for an `AE` with unknown entries, the link is to be closed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// It does not begin with `RAFT`.
    #[error("not a frame: it does not begin with RAFT")]
    Magic,
    /// Its announced length is shorter than its header, or longer than [`MAX_FRAME`].
    #[error("frame length {0} is out of bounds")]
    Length(u32),
    /// It is the beginning of a channel, where none was offered.
    #[error("a channel that this node did not offer")]
    SecretWanted,
    /// Its first line is not UTF-8.
    #[error("a message that is not text")]
    NotText,
    /// A message that this binary does not know.
    #[error("unknown message {0}")]
    UnknownMessage(String),
    /// A message whose fields do not read.
    #[error("malformed {message}: {what}")]
    Malformed {
        /// Its name.
        message: String,
        /// The field, or what is wrong.
        what: &'static str,
    },
    /// A snapshot whose checksum does not match its bytes.
    #[error("INSTALL_SNAPSHOT with a wrong checksum")]
    Checksum,
    /// An entry of a type that this binary does not know.
    #[error("unknown entry type {kind}")]
    UnknownEntry {
        /// The type.
        kind: String,
        /// The header, if it came in an `AE`: that is answered, and the link stays.
        append: Option<RefusedAppend>,
        /// How many bytes the frame takes.
        used: usize,
    },
}

#[cfg(test)]
mod tests;
