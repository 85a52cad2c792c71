//! Consensus, pure: it knows no slots, sockets, files or clocks (Raft paper, extended version; Ongaro's dissertation).
//!
//! Contract: docs/protocol.md.

pub mod entry;
pub mod message;

pub use entry::{Body, Entry, Origin, Payload, ProposalId};
pub use message::{Message, Needs, Outgoing, Route, Token};
