//! What clients ask for, and those that wait for an answer.
//!
//! Owns: the loop over one client's requests, those that are suspended, held or told messages. Must not: know any command (commands does).

pub(in crate::node) mod blocked_clients;
pub(in crate::node) mod limits;
pub(in crate::node) mod pause;
pub(in crate::node) mod pubsub_delivery;
pub(in crate::node) mod pubsub_links;

use crate::node::clients::pubsub_links::Publishing;

/// See the module.
#[derive(Default)]
pub(in crate::node) struct Clients {
    pub waiting: blocked_clients::Waiting,
    pub pauses: pause::Pauses,
    pub publishing: Publishing,
}
