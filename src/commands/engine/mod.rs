//! From a request to its reply: what happens to every command, whichever it is.
//!
//! Owns: the shape of the table, the order of checks, routing, transactions, what replicas and listeners are told. Must not: know a family;
//! the one list of them is the families' own, and comes in by [`crate::commands::table`]. Contract: docs/architecture.md, "Inside
//! `commands`".

pub mod expiry;
pub mod notify;
pub mod parse;
pub mod replicas;
pub mod transaction;

mod admission;
mod command;
mod context;
mod dispatch;
mod flow;
mod propagation;
mod routing;
mod run;
mod table;

pub use command::{Command, Flag, Group, Handler, KeyFlag, KeySpec};
pub use context::{Cluster, Context, LinkView, NO_SLOT, Upstream, UpstreamLink};
pub use dispatch::{execute, resume};
pub use flow::{ChangeOutcome, Flow, Listen, Wait, WaitOutcome};
pub use notify::Event;
pub use table::{Entry, Lookup, Table};
