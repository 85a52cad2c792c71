//! Key data from a primary to its replicas: the stream of its changes, and what of it is kept for those that come back.
//!
//! Owns: the replication history (id and offset), the backlog, and how changes become the stream's bytes. Must not: know sessions, or decide who
//! replicates whom (the cluster's log does). Contract: docs/protocol.md, "Replication".

mod backlog;
mod history;
mod stream;

pub use backlog::Backlog;
pub use history::History;
pub use stream::Stream;
