//! Pontoon: a Redis/Valkey-compatible cluster node whose cluster metadata goes through Raft.

pub mod cluster;
pub mod raft;
pub mod rng;
pub mod store;
pub mod types;
