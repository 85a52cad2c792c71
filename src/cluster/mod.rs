//! The replicated state machine: members, shards, slots, epochs. Pure.
//!
//! Owns: entries and their text, the state and how entries change it, snapshots as text, and the views that commands show.
//! Must not: know sockets, files, clocks, or which node it runs on. Contract: docs/protocol.md and docs/nodes-conf.md.
//!
//! `address` and `change` are the words, `text` writes and reads them; `state` is asked, `judge` refuses, `renew` tries again, `apply`
//! changes, `proposals` remembers; `hash` and `check` watch over it; `snapshot` and `restore` are its text; `view` is what clients see,
//! `request` what operators ask, `successor` who takes over.

pub mod address;
mod apply;
pub mod change;
mod check;
pub(crate) mod fields;
mod hash;
mod judge;
mod leader_request;
mod line;
pub mod outcome;
#[cfg(test)]
mod properties;
mod proposals;
mod renew;
mod restore;
#[cfg(test)]
mod restore_tests;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod scene;
mod slots;
pub mod snapshot;
pub mod state;
mod successor;
#[cfg(test)]
mod tests;
pub mod text;
pub mod view;

pub use address::{Address, is_safe_text};
pub use change::{Change, FailoverKind};
pub use leader_request::{LeaderRequest, LeaderRequestKind};
pub use outcome::{Outcome, Reason, Seen};
pub use proposals::MAX_OUTCOMES;
pub use renew::Obstacle;
pub use restore::{SnapshotError, parse_snapshot};
pub use snapshot::Own;
pub use state::{MAX_ANCESTORS, MAX_MEMBERS, Member, State};
pub use text::{ClusterEntry, EntryError, format_body, format_entry, parse_body, parse_entry};
