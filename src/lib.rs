//! Pontoon: a Redis/Valkey-compatible cluster node whose cluster metadata goes through Raft.
//!
//! The map of the house. A **pure core** decides; a **thin shell** ([`server`], and [`store::disk`]) does the system calls. The core,
//! unchanged, runs under mio in production and under the simulator in the tests.
//!
//! ```text
//! main -> server -> node -> commands -> session -> replication -> store -> wire -> channel -> cluster
//!      -> raft -> keyspace, config -> values -> rdb -> rng -> types
//! ```
//!
//! Imports go to the right only (`tests/rooms.rs` checks it). One turn of the loop, the reason for every step's place, and what each room
//! owns: docs/architecture.md. The order that makes durability visible is [`node`]'s `before_sleep`. The rules between nodes:
//! docs/protocol.md, with the counter-examples behind the odd ones (\[N1 token-return\] and so on in comments) in docs/why.md. The file:
//! docs/nodes-conf.md.

#![forbid(unsafe_code)]

pub mod channel;
pub mod cluster;
pub mod commands;
pub mod config;
pub mod keyspace;
pub mod node;
pub mod raft;
pub mod rdb;
pub mod replication;
pub mod rng;
pub mod server;
pub mod session;
pub mod store;
pub mod types;
pub mod values;
pub mod wire;
