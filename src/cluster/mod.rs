//! The replicated state machine: members, shards, slots, epochs. Pure.
//!
//! Contract: docs/protocol.md.

pub mod address;
pub mod entry;

pub use address::Address;
pub use entry::{Change, FailoverKind};
