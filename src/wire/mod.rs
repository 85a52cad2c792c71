//! Bytes to words and back: the clients' protocol (RESP2 and RESP3) and the cluster bus. Pure.
//!
//! Owns: parsing and writing, and the bounds on what comes from outside. Must not: touch sockets, or act on what it reads.
//! Contract: docs/protocol.md, "Wire format", for the bus; the Redis protocol specification for clients.

pub mod args;
pub mod bus;
mod chain;
mod inline;
pub mod reply;
pub mod resp;

pub use crate::types::decimal as number;
pub use args::{Args, OwnedArgs};
pub use bus::{Frame, FrameError, FrameTooLong, Greeting, RefusedAppend, RejectReason};
pub use chain::Chain;
pub use reply::Reply;
pub use resp::{Limits, Parsed, Parser, ProtocolError};
