//! The connection family: the asking client and the others.
//!
//! `state` is what one says at the beginning or in between, `client` is CLIENT.

pub mod client;
pub mod state;
