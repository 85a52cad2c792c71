//! What every part of a node is given: what it may look at, and where its effects go.
//!
//! Owns: what no part owns: the options, the clock's reading, and what leaves this turn. Must not: decide anything.
//! Contract: docs/architecture.md, "Inside `node`".

use crate::cluster::FailoverKind;
use crate::config::Config;
use crate::node::clients::Clients;
use crate::node::io::sessions::{Kind, Purpose, Session};
use crate::node::io::{Io, closing};
use crate::node::shutdown::Shutdown;
use crate::node::timers::Timers;
use crate::node::todo::Todo;
use crate::node::{Action, Closing};
use crate::replication::Stream;
use crate::rng::Rng;
use crate::session::Server;
use crate::types::{ConnId, Extent, LogIndex, NodeId, Now, SlotRange};
use std::net::SocketAddr;

/// To look at.
pub(in crate::node) struct View {
    pub config: Config,
    /// Drawn at start, for lease tokens \[N3 token-nonce\].
    pub nonce: u64,
    /// Never goes back.
    pub now: Now,
    pub held: Held,
    pub shutdown: Shutdown,
}

impl View {
    /// Whether what this node has goes with it: nobody is to rely on that.
    pub fn is_at_its_end(&self) -> bool {
        matches!(self.shutdown, Shutdown::Saving | Shutdown::Now)
    }
}

/// What this node holds of its shard's keys, as other parts are to know it; [`crate::node::Node`] looks at it anew each time before one of
/// them works.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::node) struct Held {
    /// Whose replica it is by what it does, not by the log.
    pub primary: Option<NodeId>,
    /// How far its keys are.
    pub extent: Extent,
    /// The keys of its slots are elsewhere.
    pub lacks_keys: bool,
    /// What it has goes with it, and it owes it to nobody.
    pub goes: bool,
    /// A successor may still need what it has.
    pub is_awaited: bool,
    /// Whom it asks for what it lacks of these keys, or tells that it has them.
    pub asks: Option<NodeId>,
}

/// Where effects go.
pub(in crate::node) struct Effects {
    pub rng: Rng,
    pub todo: Todo,
    pub timers: Timers,
    pub io: Io,
    pub clients: Clients,
    pub server: Server,
    /// Connections that a part has ended: what hung on them is to hear of it.
    pub gone: Vec<(ConnId, Session)>,
    /// What the other parts are to do.
    pub consequences: Vec<Consequence>,
}

/// What a change of the cluster's metadata means for the other parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::node) enum Consequence {
    /// These slots are another's, or were before this entry was applied.
    SlotsOfOthers {
        /// Of the entry.
        index: LogIndex,
        ranges: Vec<SlotRange>,
    },
    /// This node has taken over from a primary.
    TakesOver { primary: NodeId, kind: FailoverKind },
    /// A replica has taken over from this node; in which way is not known if a snapshot says so.
    HandedOver { successor: NodeId, kind: Option<FailoverKind> },
    /// This node is another one from now on, or in another cluster.
    AnotherCluster,
    /// Members have come, gone or moved.
    Members,
    /// This node has all that its predecessor had, or that one is gone.
    CaughtUp,
    /// A save of the keys has come to its end.
    SaveEnded { is_good: bool },
    /// What this node brought with it is its own again, or another's.
    ClaimsSettled,
}

impl Effects {
    /// Of a process that has just begun.
    pub fn new(rng: Rng, server: Server) -> Self {
        let todo = Todo { rewrite: true, connect: true, consequences: true, ..Todo::default() };
        Self {
            rng,
            todo,
            timers: Timers::default(),
            io: Io::default(),
            clients: Clients::default(),
            server,
            gone: Vec::new(),
            consequences: Vec::new(),
        }
    }

    /// Ends a link of the bus from our side.
    pub fn close(&mut self, conn: ConnId) {
        let how = |session: &Session| match &session.kind {
            Kind::Bus(link) => closing::of_link(link, session.transmit.is_empty()),
            Kind::Client(_) | Kind::Primary(_) => unreachable!("a link of the bus"),
        };
        self.end_by(conn, how);
    }

    /// Ends a connection from our side; `stream` is what this node's replicas follow.
    pub fn end(&mut self, conn: ConnId, stream: &Stream) {
        self.end_by(conn, |session| closing::of(session, stream));
    }

    fn end_by(&mut self, conn: ConnId, how: impl FnOnce(&Session) -> Closing) {
        if let Some((how, session)) = self.io.sessions.get(conn).map(how).zip(self.io.sessions.remove(conn)) {
            self.io.actions.push_back(Action::Close { conn, how });
            self.gone.push((conn, session));
        }
    }

    /// Opens a session on the bus and asks the shell to connect it.
    pub fn dial(&mut self, socket: SocketAddr, purpose: Purpose, view: &View) -> ConnId {
        self.io.dial(socket, purpose, view.now)
    }
}
