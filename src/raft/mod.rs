//! Consensus, pure: it knows no slots, sockets, files or clocks (Raft paper, extended version; Ongaro's dissertation).
//!
//! Contract: docs/protocol.md.

mod api;
pub mod entry;
pub mod log;
pub mod message;

pub use api::*;
pub use entry::{Body, Entry, Origin, Payload, ProposalId};
pub use log::Log;
pub use message::{InstallSnapshot, Message, Needs, Outgoing, Route, Token};
