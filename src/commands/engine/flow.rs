//! What a handler may answer, and what a suspended command waits for.
//!
//! Owns: the ways in which a command ends. Must not: decide anything. Contract: docs/architecture.md, "Inside `commands`".

use crate::cluster::{Change, Reason};
use crate::config::{Config, ShutdownOptions};
use crate::session::Pause;
use crate::types::{Extent, Millis, NodeId};

/// How a handler ended.
#[derive(Debug, PartialEq)]
#[must_use]
pub enum Flow {
    /// The reply is written.
    Done,
    /// Nothing is written. The client is not read until [`crate::commands::resume`] is called with the outcome, which writes the reply.
    Wait(Wait),
    /// It has no place on this client's connection, which is to be closed at once.
    Close,
    /// Nothing is written and nothing has happened: a pause holds the request, and the same one is to be given again after it.
    Held,
}

/// What a suspended command waits for. Every one of them answers `+OK` if it goes well, but for the one that says so.
#[derive(Clone, Debug, PartialEq)]
pub enum Wait {
    /// These entries, one or more, are to be proposed; ends when each is applied or refused.
    Changes(Vec<Change>),
    /// A node is to be met (CLUSTER MEET).
    Meet {
        /// Its address, checked to be an IP.
        ip: String,
        /// Its client port.
        port: u16,
        /// Its bus port.
        bus_port: u16,
    },
    /// A member is to be demoted, if it votes, and forgotten. Of an id that is no member the node answers: done if it was forgotten within
    /// the last minute (tools send FORGET to every node), else `ERR Unknown node <id>`.
    Forget(NodeId),
    /// This node is to leave its cluster and found one of its own.
    Reset {
        /// It gets a new id as well.
        hard: bool,
    },
    /// A member is to vote.
    AddVoter(NodeId),
    /// A member is not to vote any more, and not to be promoted by itself.
    DelVoter(NodeId),
    /// This node is to go on without the cluster's other voters, which are lost.
    RecoverQuorum,
    /// nodes.conf is to be rewritten and synced.
    SaveConfig,
    /// The configuration file is to be rewritten with the values in use.
    RewriteConfig,
    /// Clients and nodes are to be taken in as this configuration says, which is the one in use if that is done.
    Listen(Listen),
    /// The leader is to hand over to this node, which is a voter.
    Lead,
    /// This replica is to take over from its primary, which holds its clients' writes meanwhile (CLUSTER FAILOVER).
    Failover,
    /// Replicas are to have run the stream; answers how many have.
    Replicas {
        /// Up to here, in this reign.
        written: Extent,
        /// So many of them.
        count: u64,
        /// Or else it ends then (mono ms).
        until: Option<Millis>,
    },
    /// Clients are to be paused.
    Pause(Pause),
    /// CLIENT PAUSE is over.
    Unpause,
    /// The keys are to be saved.
    Save,
    /// The process is to end. Never resumed, unless that was called off.
    Shutdown(ShutdownOptions),
    /// The process is not to end after all. `ERR No shutdown in progress.` if it was not about to.
    AbortShutdown,
}

/// A configuration that the shell must take up first.
#[derive(Clone, Debug, PartialEq)]
pub struct Listen {
    /// The whole of it.
    pub next: Box<Config>,
    /// The error text if clients cannot be taken in there (`ERR ...`).
    pub unlistened: String,
    /// The option by which the cluster's secret is to be read, as typed.
    pub secrets: Option<String>,
}

impl Wait {
    /// Whether that is done within the turn: nobody else is served before its answer.
    pub const fn is_done_at_once(&self) -> bool {
        matches!(self, Self::Pause(_) | Self::Unpause | Self::RewriteConfig | Self::Listen(_))
    }
}

/// How one proposed entry ended.
#[derive(Clone, Debug, PartialEq)]
pub enum ChangeOutcome {
    /// It is part of the state.
    Applied,
    /// Others' changes overtook it as often as it was tried.
    Stale,
    /// The state does not allow it.
    Rejected(Reason),
    /// Nothing was heard of it in time: it may still be applied.
    Timeout,
    /// It was not proposed, with the whole error text (`ERR ...`).
    Refused(String),
}

/// How a [`Wait`] ended.
#[derive(Clone, Debug, PartialEq)]
pub enum WaitOutcome {
    /// For [`Wait::Changes`]: one outcome each, in order.
    Changes(Vec<ChangeOutcome>),
    /// It is done.
    Done,
    /// For [`Wait::Replicas`]: how many there are.
    Replicas(u64),
    /// Nothing was heard of it in time: it may still happen.
    Timeout,
    /// It was refused or failed, with the whole error text (`ERR ...`).
    Failed(String),
}

/// One change's outcome as that of the whole request.
impl From<ChangeOutcome> for WaitOutcome {
    fn from(outcome: ChangeOutcome) -> Self {
        match outcome {
            ChangeOutcome::Applied => Self::Done,
            ChangeOutcome::Stale => {
                Self::Failed("TRYAGAIN Other changes of the cluster came first each time: nothing was changed".to_owned())
            }
            ChangeOutcome::Rejected(reason) => Self::Failed(reason.message().to_owned()),
            ChangeOutcome::Timeout => Self::Timeout,
            ChangeOutcome::Refused(text) => Self::Failed(text),
        }
    }
}

impl WaitOutcome {
    /// The whole error text of a wait that did not end well; the first error of several changes.
    pub fn failure(self) -> Option<String> {
        match self {
            Self::Done | Self::Replicas(_) => None,
            Self::Timeout => Some("TIMEOUT The cluster did not answer in time: the change may still be applied".to_owned()),
            Self::Failed(text) => Some(text),
            Self::Changes(changes) => changes.into_iter().find_map(|change| Self::from(change).failure()),
        }
    }
}
