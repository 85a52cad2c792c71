//! The connections of a node: sessions, frames in, which links are wanted, what clients publish to other nodes.
//!
//! Owns: sessions and links, and what is unsent on them. Must not: decide what a frame means for members or keys (metadata and dataset do).

pub(in crate::node) mod connections;
pub(in crate::node) mod frames;
pub(in crate::node) mod links;
pub(in crate::node) mod long_values;
pub(in crate::node) mod pubsub_links;
pub(in crate::node) mod sessions;
pub(in crate::node) mod transmit;

use crate::node::Action;
use crate::node::outbox::Outbox;
use crate::session::BusStats;
use std::collections::VecDeque;

/// See the module.
#[derive(Default)]
pub(in crate::node) struct Io {
    pub sessions: sessions::Sessions,
    pub outbox: Outbox,
    pub actions: VecDeque<Action>,
    pub bus_stats: BusStats,
    /// How many clients there have been.
    clients: u64,
}

impl Io {
    /// The next client's id; none is used twice.
    pub fn next_client(&mut self) -> u64 {
        self.clients += 1;
        self.clients
    }
}
