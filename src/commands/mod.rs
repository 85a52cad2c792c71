//! What clients can ask for: one table of commands, a family a file, and the dispatch before them.
//!
//! Owns: the table's assembly. Must not: touch sockets, files or clocks; a handler gets a [`Context`] of borrows, never the whole node.
//! Contract: docs/architecture.md, "Rooms". The texts of replies and errors are those of Redis and Valkey, word for word.
//!
//! A family is a module with `pub const COMMANDS: &[Command]`. The node calls [`execute`] for each request; if that answers
//! [`Flow::Wait`], it does not read the client until what it waits for has ended, and then calls [`resume`].

pub mod client;
pub mod cluster;
pub mod context;
pub mod dispatch;
pub mod keys;
pub mod notify;
pub mod parse;
mod pause;
mod persistence;
pub mod pubsub;
mod routing;
pub mod server_state;
pub mod strings;
pub mod table;
pub mod transaction;

mod client_family;
mod config;
mod connection;
mod counters;
mod decimal;
mod expire;
mod function;
mod info;
mod introspection;
mod propagation;
mod replication;
mod scan;
mod server;
mod set;

pub use crate::types::REDIS_VERSION;
pub use client::{Client, LONG_VALUE, LongValue};
pub use context::{
    Buffers, BusStats, ChangeOutcome, ClientList, Cluster, Context, Flow, LinkView, NO_SLOT, Upstream, UpstreamLink, Wait, WaitOutcome,
};
pub use dispatch::{execute, resume};
pub use pause::{Held, Pause};
pub use persistence::{Persistence, Progress};
pub use pubsub::PubSub;
pub use server_state::{Server, seconds};
pub use table::{Command, CommandId, Flag, Group, Handler, KeyFlag, KeySpec, Table};

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

/// What this server calls itself.
pub const SERVER_NAME: &str = "pontoon";
/// Pontoon's own version.
pub const PONTOON_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Every family there is.
const FAMILIES: &[&[Command]] = &[
    client_family::COMMANDS,
    cluster::COMMANDS,
    config::COMMANDS,
    connection::COMMANDS,
    counters::COMMANDS,
    expire::COMMANDS,
    function::COMMANDS,
    info::COMMANDS,
    introspection::COMMANDS,
    keys::COMMANDS,
    persistence::COMMANDS,
    pubsub::COMMANDS,
    replication::COMMANDS,
    scan::COMMANDS,
    server::COMMANDS,
    set::COMMANDS,
    strings::COMMANDS,
    transaction::COMMANDS,
];

/// The table of all commands, made with the first use and the same in every process of one build.
pub fn table() -> &'static Table {
    static TABLE: LazyLock<Table> = LazyLock::new(|| Table::new(FAMILIES));
    &TABLE
}
