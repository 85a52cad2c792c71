//! What clients can ask for: one table of commands, the families that declare and answer them, and the engine around every one of them.
//!
//! Owns: the table's assembly. Must not: touch sockets, files or clocks, or own state; a handler gets a [`Context`] of borrows, never the
//! whole node.
//! Contract: docs/architecture.md, "Inside `commands`". The texts of replies and errors are those of Redis and Valkey, word for word.
//!
//! A family is a module with `pub const COMMANDS: &[Command]`. The node calls [`execute`] for each request; if that answers
//! [`Flow::Wait`], it does not read the client until what it waits for has ended, and then calls [`resume`].

mod engine;
mod families;

pub use engine::{
    ChangeOutcome, Cluster, Command, Context, Entry, Flag, Flow, Group, Handler, KeyFlag, KeySpec, LinkView, Listen, Lookup, NO_SLOT,
    Table, Upstream, UpstreamLink, Wait, WaitOutcome, execute, notify, resume,
};

#[cfg(test)]
mod tests;

use families::FAMILIES;
use std::sync::LazyLock;

/// The table of all commands, made with the first use and the same in every process of one build.
pub fn table() -> &'static Table {
    static TABLE: LazyLock<Table> = LazyLock::new(|| Table::new(FAMILIES));
    &TABLE
}
