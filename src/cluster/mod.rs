//! The replicated state machine: members, shards, slots, epochs. Pure.
//!
//! Owns: entries and their text, the state and how entries change it, snapshots as text, and the views that commands show.
//! Must not: know sockets, files, clocks, or which node it runs on. Contract: docs/protocol.md and docs/nodes-conf.md.
//!
//! `address` and `entry` are the words, `text` writes and reads them; `state` is asked, `judge` refuses, `apply` changes, `proposals` remembers;
//! `hash` and `check` watch over it; `snapshot` and `restore` are its text; `view` is what clients see.

pub mod address;
mod apply;
mod check;
pub mod entry;
mod fields;
mod hash;
mod judge;
pub mod outcome;
mod proposals;
mod slots;
pub mod state;
pub mod text;

pub use address::{Address, is_safe_text};
pub use entry::{Change, FailoverKind};
pub use outcome::{Outcome, Reason, Seen};
pub use state::{Member, State};
pub use text::{ClusterEntry, EntryError, format_body, format_entry, parse_body, parse_entry};
