//! The connection family: the asking client and the others.
//!
//! `state` is what one says at the beginning or in between, `client` is CLIENT, and
//! `client_filter` whom two of its subcommands mean.

pub mod client;
mod client_filter;
pub mod state;
