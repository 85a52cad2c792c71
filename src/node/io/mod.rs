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
