//! What a handler is given, and what it may answer.
//!
//! Owns: the context of borrows, the ways in which a command ends, and what a suspended command waits for. Must not: decide anything.
//! Contract: docs/architecture.md, "Rooms".

use super::client::Client;
use super::pause::Pause;
use super::pubsub::PubSub;
use super::server_state::Server;
use crate::cluster::view::Outsider;
use crate::cluster::{Address, Change, Reason, State};
use crate::config::{Config, ShutdownOptions};
use crate::keyspace::Keyspace;
use crate::raft::Raft;
use crate::replication::Stream;
use crate::store::Work;
use crate::types::{ConnId, Extent, LeaseNumber, Millis, NodeId, Now, Slot};
use crate::wire::Reply;
use std::collections::BTreeMap;

/// How a handler ended.
#[derive(Debug, PartialEq)]
#[must_use]
pub enum Flow {
    /// The reply is written.
    Done,
    /// Nothing is written. The client is not read until [`super::resume`] is called with the outcome, which writes the reply.
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
    /// A member is to be demoted, if it votes, and forgotten. Of an id that is no member the node answers: done if it was forgotten within the
    /// last minute (tools send FORGET to every node), else `ERR Unknown node <id>`.
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

/// Stands in [`Context::slot`] for a command without keys.
pub const NO_SLOT: Slot = match Slot::new(0) {
    Some(slot) => slot,
    None => unreachable!(),
};

/// Everything that a command may look at or change.
pub struct Context<'a> {
    /// The time as this client's requests are run.
    pub now: Now,
    /// The slot of the command's keys, which this node serves; [`NO_SLOT`] for a command without keys. Dispatch sets it.
    pub slot: Slot,
    /// Who asks.
    pub client: &'a mut Client,
    /// The asking client's connection.
    pub conn: ConnId,
    /// Where the reply goes.
    pub reply: Reply<'a>,
    /// The keys.
    pub keyspace: &'a mut Keyspace,
    /// What replicas are told of changes.
    pub stream: &'a mut Stream,
    /// The cluster as this node sees it.
    pub cluster: Cluster<'a>,
    /// The options in use.
    pub config: &'a mut Config,
    /// Who is subscribed to what.
    pub pubsub: &'a mut PubSub,
    /// Counters and the process.
    pub server: &'a mut Server,
    /// The other clients.
    pub clients: &'a mut dyn ClientList,
    /// What is held at the moment.
    pub pause: Option<Pause>,
}

/// The cluster as this node sees it, to look at only: changes go through [`Wait`].
#[derive(Clone, Copy)]
pub struct Cluster<'a> {
    /// This node.
    pub me: NodeId,
    /// This node's own address, as it is announced.
    pub address: &'a Address,
    /// The replicated state.
    pub state: &'a State,
    /// Consensus.
    pub raft: &'a Raft<Change>,
    /// This node gave up its own cluster and waits to be added to another.
    pub joining: bool,
    /// The bus links, in the order in which CLUSTER LINKS shows them.
    pub links: &'a [LinkView],
    /// Nodes that are being met and are no members yet, and this node itself while it joins.
    pub outsiders: &'a [Outsider<'a>],
    /// The slots that this node has brought with it when it joined, or means to bring, and has not claimed yet; almost always empty.
    pub claims: &'a [(Slot, Slot)],
    /// How much of its shard's keys this node has, in bytes of the stream. Of a replica, 0: it lacks its primary's.
    pub offset: u64,
    /// The same of each member, as the leader has told it: those of replicas are old, but for whether they are 0.
    pub offsets: &'a BTreeMap<NodeId, u64>,
    /// Counters of the bus.
    pub stats: &'a BusStats,
    /// Ranges of this node that entries in its log take away once applied; almost always empty. They are refused (docs/protocol.md, "The gate").
    pub leaving: &'a [(Slot, Slot)],
    /// How a replica stands to its primary; none for a primary.
    pub upstream: Option<Upstream>,
    /// The reign that this node's keys are of; 0 while that is not known.
    pub reign: u64,
    /// The nonce of this process.
    pub process: u64,
    /// The write lease that this node holds. Without one it serves no slots of its own (docs/protocol.md, "The write lease").
    pub lease: Option<LeaseNumber>,
    /// How many leases of this process have run out.
    pub lease_lapses: LeaseNumber,
    /// The leader grants this node none, for its clock does not run as the others'.
    pub lease_withheld: bool,
    /// The slots are covered and a leader is known: keys may be served.
    pub usable: bool,
    /// When a leader was last heard (mono ms); a leader hears itself.
    pub last_contact: Option<Millis>,
    /// Own changes of the cluster that are neither applied nor refused.
    pub proposals_pending: usize,
    /// A successor of this node may still need the keys that it has.
    pub awaited: bool,
    /// It was the primary of its shard, and still has the keys as they were then: its successor may copy them.
    pub has_bequest: bool,
    /// What nodes.conf has cost so far.
    pub store: Work<'a>,
}

/// How a replica stands to its primary.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Upstream {
    /// A sync has been completed: the keys that are here are the primary's.
    pub in_sync: bool,
    /// When it was dialled, or last sent anything (mono ms); none while it is not dialled.
    pub heard: Option<Millis>,
    /// The link to it.
    pub link: UpstreamLink,
}

/// The link to a replica's primary.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum UpstreamLink {
    /// The primary's stream does not come.
    Down {
        /// Since when (mono ms).
        since: Millis,
    },
    /// The primary's data comes.
    Loading {
        /// Bytes of it so far.
        read: u64,
        /// How many there will be, if the primary has said so.
        total: Option<u64>,
        /// Since when the stream does not come (mono ms).
        since: Millis,
    },
    /// The stream comes.
    Up,
}

/// One bus link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkView {
    /// The node at the other end.
    pub node: NodeId,
    /// We dialled it.
    pub outbound: bool,
    /// Both sides have said who they are.
    pub greeted: bool,
    /// Unix time in ms of its making.
    pub created: Millis,
    /// Unix time in ms of the last frame received; 0 for none.
    pub heard: Millis,
    /// Bytes allocated for sending.
    pub send_buffer: usize,
    /// Bytes not sent yet.
    pub unsent: usize,
}

/// Counters of the bus since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BusStats {
    /// Frames sent, by message name as in CLUSTER INFO (lower case, hyphens).
    pub sent: BTreeMap<&'static str, u64>,
    /// Frames received.
    pub received: BTreeMap<&'static str, u64>,
    /// Frames dropped because their sender is of another cluster.
    pub foreign: u64,
    /// How often two processes with one id were told of.
    pub duplicates: u64,
    /// Bytes written to links.
    pub bytes_sent: u64,
    /// Bytes read from links.
    pub bytes_received: u64,
    /// Snapshots sent to followers whose next entry was gone; one that was sent again counts again.
    pub snapshots_sent: u64,
    /// Snapshots taken from a leader in place of the own state.
    pub snapshots_installed: u64,
    /// Links closed because too much waited to be sent on them.
    pub buffer_limit_exceeded: u64,
    /// Published messages that a member was not told: it could not be reached, or too much waited for it.
    pub publish_dropped: u64,
}

/// The clients beside the one whose command runs.
pub trait ClientList {
    /// Shows every other client, in any order.
    fn visit_others(&self, visit: &mut dyn FnMut(&Client, Buffers));

    /// How many clients there are, the asking one included.
    fn count(&self) -> usize;

    /// Sends a client, the asking one or another, a push: `head`, which begins as an array in RESP2, and then `tail`.
    /// It follows the reply at hand. A client that has too much unsent is closed instead.
    fn push(&mut self, to: ConnId, head: &[u8], tail: &[u8]);
}

/// Bytes held for one client.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Buffers {
    /// Received and not yet run.
    pub input: usize,
    /// Replies not yet sent.
    pub output: usize,
}

impl Cluster<'_> {
    /// Whom this node replicates; none for a primary.
    pub fn primary(&self) -> Option<NodeId> {
        self.state.member(&self.me)?.primary
    }

    /// `cluster_state:ok`: requests are served, those of the slots that this node owns included.
    pub fn serves(&self) -> bool {
        self.usable && (self.lease.is_some() || self.state.slot_count_of(&self.me) == 0)
    }

    /// Whether this node replicates another.
    pub fn is_replica(&self) -> bool {
        self.primary().is_some()
    }
}

impl Context<'_> {
    /// The reply of every `<COMMAND> HELP`, in Redis' form; `lines` come in pairs of usage and explanation, or as they are to appear.
    pub fn help(&mut self, command: &str, lines: &[&str]) {
        self.reply.array(lines.len() + 3);
        self.reply.simple(&format!("{command} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
        for line in lines {
            self.reply.simple(line);
        }
        self.reply.simple("HELP");
        self.reply.simple("    Prints this help.");
    }

    /// Writes an error and is done.
    pub fn fail(&mut self, text: &str) -> Flow {
        self.reply.error(text);
        Flow::Done
    }

    /// Writes `+OK` and is done.
    pub fn done(&mut self) -> Flow {
        self.reply.ok();
        Flow::Done
    }
}
