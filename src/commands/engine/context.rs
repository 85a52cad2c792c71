//! What a handler is given.
//!
//! Owns: the context of borrows, and the view of the cluster in it. Must not: decide anything. Contract: docs/architecture.md, "Inside
//! `commands`".

use super::flow::Flow;
use crate::cluster::view::Outsider;
use crate::cluster::{Address, Change, State};
use crate::config::Config;
use crate::keyspace::Keyspace;
use crate::raft::Raft;
use crate::replication::Stream;
use crate::session::{BusStats, Client, ClientList, LongReply, Pause, PubSub, Server};
use crate::store::Work;
use crate::types::{ConnId, LeaseNumber, Millis, NodeId, Now, Slot, SlotRange};
use crate::values::{Parts, SLICE, Value, WrongType};
use crate::wire::Reply;
use std::collections::{BTreeMap, BTreeSet};

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

/// The cluster as this node sees it, to look at only: changes go through [`super::flow::Wait`].
#[derive(Clone, Copy)]
pub struct Cluster<'a> {
    /// This node.
    pub me: NodeId,
    /// This node's own address, as it is announced.
    pub address: &'a Address,
    /// Whom this node wants to reach and has not for node-timeout; almost always empty.
    pub missed: &'a BTreeSet<NodeId>,
    /// The replicated state.
    pub state: &'a State,
    /// Consensus.
    pub raft: &'a Raft<Change>,
    /// This node gave up its own cluster and waits to be added to another.
    pub joining: bool,
    /// It will be one before long: what only members may do waits for that.
    pub joins_soon: bool,
    /// The bus links, in the order in which CLUSTER LINKS shows them.
    pub links: &'a [LinkView],
    /// Nodes that are being met and are no members yet, and this node itself while it joins.
    pub outsiders: &'a [Outsider<'a>],
    /// The slots that this node has brought with it when it joined, or means to bring, and has not claimed yet; almost always empty.
    pub claims: &'a [SlotRange],
    /// How much of its shard's keys this node has, in bytes of the stream. Of a replica, 0: it lacks its primary's.
    pub offset: u64,
    /// The same of each member, as the leader has told it: those of replicas are old, but for whether they are 0.
    pub offsets: &'a BTreeMap<NodeId, u64>,
    /// Counters of the bus.
    pub stats: &'a BusStats,
    /// Ranges of this node that entries in its log take away once applied; almost always empty. They are refused (docs/protocol.md, "The
    /// gate").
    pub leaving: &'a [SlotRange],
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
    pub has_final_offset: bool,
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
    pub fn fail(&mut self, text: impl AsRef<[u8]>) -> Flow {
        self.reply.error(text);
        Flow::Done
    }

    /// Writes the strings of a value, whose header is written: those of a large one over several turns, unless replies of the same
    /// transaction follow.
    pub fn reply_strings(&mut self, value: Value, parts: Parts) {
        let mut reply = LongReply::new(value, parts);
        let budget = if self.stream.in_unit() { usize::MAX } else { SLICE };
        if !reply.go_on(budget, &mut self.reply) {
            self.client.long_reply = Some(Box::new(reply));
        }
    }

    /// Writes the error for a key that holds a value of another type, and is done.
    pub fn wrong_type(&mut self, wrong: WrongType) -> Flow {
        self.fail(wrong.to_string())
    }

    /// The log says who has asked for this. What a replica's primary sends was asked there.
    pub fn log_asked(&self, what: &str) {
        if !self.client.is_primary {
            log::info!("{what}, asked for by client {} (id {})", self.client.addr, self.client.id);
        }
    }

    /// Writes `+OK` and is done.
    pub fn done(&mut self) -> Flow {
        self.reply.ok();
        Flow::Done
    }
}
