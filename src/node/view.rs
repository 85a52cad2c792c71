//! What every part of a node is given: what it may look at, and where its effects go.
//!
//! Owns: what no part owns: the options, the clock's reading, and what leaves this turn. Must not: decide anything.
//! Contract: docs/architecture.md, "Inside `node`".

use crate::commands::Server;
use crate::config::Config;
use crate::node::clients::Clients;
use crate::node::io::Io;
use crate::node::timers::Timers;
use crate::node::todo::Todo;
use crate::rng::Rng;
use crate::types::Now;

/// To look at.
pub(in crate::node) struct View {
    pub config: Config,
    /// Drawn at start, for lease tokens \[N3\].
    pub nonce: u64,
    /// Never goes back.
    pub now: Now,
}

/// Where effects go.
pub(in crate::node) struct Effects {
    pub rng: Rng,
    pub todo: Todo,
    pub timers: Timers,
    pub io: Io,
    pub clients: Clients,
    pub server: Server,
}

impl Effects {
    /// Of a process that has just begun.
    pub fn new(rng: Rng, server: Server) -> Self {
        let todo = Todo { rewrite: true, connect: true, consequences: true, ..Todo::default() };
        Self { rng, todo, timers: Timers::default(), io: Io::default(), clients: Clients::default(), server }
    }
}
