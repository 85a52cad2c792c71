//! Clients beside their requests: those that wait for an answer, are held, or are told messages.
//!
//! Owns: who waits, what is held, who is told what, what may be unsent. Must not: run a command (the node does).

pub(in crate::node) mod blocked_clients;
pub(in crate::node) mod limits;
pub(in crate::node) mod pause;
pub(in crate::node) mod protection;
pub(in crate::node) mod pubsub_delivery;
pub(in crate::node) mod pubsub_links;

use crate::node::clients::pubsub_links::Publishing;
use crate::types::Millis;

/// See the module.
#[derive(Default)]
pub(in crate::node) struct Clients {
    pub waiting: blocked_clients::Waiting,
    pub pauses: pause::Pauses,
    pub publishing: Publishing,
    /// When the log is to hear again that anybody may connect (mono ms).
    pub next_reminder: Millis,
}
