//! Pontoon: a Redis/Valkey-compatible cluster node whose cluster metadata goes through Raft.

pub mod cluster;
pub mod commands;
pub mod config;
pub mod keyspace;
pub mod node;
pub mod raft;
pub mod rng;
pub mod server;
pub mod store;
pub mod types;
pub mod wire;
