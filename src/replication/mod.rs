//! Key data from a primary to its replicas, and to the disk: the stream of its changes, what of it is kept for those that come back, the
//! words between the two, and RDB files.
//!
//! Owns: the replication history (id and offset), the backlog, how changes become the stream's bytes, the protocol between a primary and
//! its replicas, and the RDB format.
//! Must not: know sessions, read a clock, or decide who replicates whom (the cluster's log does). Contract: docs/protocol.md,
//! "Replication".

mod backlog;
mod handshake;
mod history;
#[cfg(test)]
mod numbers;
mod primary;
pub mod rdb;
mod stream;
mod sync;

pub use backlog::Backlog;
pub use handshake::{CLOSING, Introduction, Refusal, acknowledgement};
pub use history::History;
pub use primary::{Fed, Offer, Profile, Replica, Request, Start};
pub use stream::{STREAMED, Stream};
pub use sync::{Fresh, Sync, SyncError, Synced};
