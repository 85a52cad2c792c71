//! What clients can ask for, a family a file or folder, under the names of the Redis documentation's groups.
//!
//! Owns: the one list of families. Must not: let one family use another's internals: what two of them need is the engine's.

mod cluster;
mod connection;
mod generic;
mod hash;
mod pubsub;
mod replication;
mod scripting;
mod server;
mod string;
mod transactions;

use super::engine::Command;

/// Every family there is.
pub const FAMILIES: &[&[Command]] = &[
    cluster::COMMANDS,
    connection::client::COMMANDS,
    connection::state::COMMANDS,
    generic::expire::COMMANDS,
    generic::keys::COMMANDS,
    generic::object::COMMANDS,
    generic::scan::COMMANDS,
    hash::COMMANDS,
    pubsub::COMMANDS,
    replication::COMMANDS,
    scripting::COMMANDS,
    server::command::COMMANDS,
    server::config::COMMANDS,
    server::info::COMMANDS,
    server::persistence::COMMANDS,
    server::process::COMMANDS,
    string::bytes::COMMANDS,
    string::counters::COMMANDS,
    string::set::COMMANDS,
    transactions::COMMANDS,
];
