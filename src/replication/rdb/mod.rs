//! RDB files: what a save leaves on disk, and what a replica gets first.
//!
//! Owns: the file as a whole, both ways, a slice at a time: a [`Writer`] goes over a keyspace as it was at one moment, a [`Loader`] fills a
//! fresh one. Must not: know where the bytes go or come from. Its smallest parts are `rdb`'s.
//!
//! Written is version 10, which Redis 7.0 and everything later reads; versions up to 12 (Redis 7.4, Valkey 8) are read, as far as there is
//! a place for what they hold. What there is none for is refused with its name: loading a part would be losing the rest in silence. Strings
//! of 1 to 256 KiB are compressed if that makes them shorter; read are compressed strings of any length.

mod loader;
mod writer;

pub use crate::rdb::{Problem, RdbError};
pub use loader::{Loaded, Loader};
pub use writer::{About, Format, Measure, Writer};

#[cfg(test)]
mod tests;
