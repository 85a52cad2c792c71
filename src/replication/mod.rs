//! Key data from a primary to its replicas: the stream of its changes, what of it is kept for those that come back, and the words between the two.
//!
//! Owns: the replication history (id and offset), the backlog, how changes become the stream's bytes, and the protocol between a primary and its replicas.
//! Must not: know sessions, read a clock, or decide who replicates whom (the cluster's log does). Contract: docs/protocol.md, "Replication".

mod backlog;
mod handshake;
mod history;
mod stream;

pub use backlog::Backlog;
pub use handshake::{Handshake, Heard, Introduction, Refusal, acknowledgement};
pub use history::History;
pub use stream::Stream;
