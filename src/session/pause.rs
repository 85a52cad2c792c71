//! A pause of the clients.
//!
//! Owns: what is held, and until when. Must not: hold a request, or end a pause (the node does).

use crate::types::Millis;

/// Which requests wait.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Held {
    /// Those that change keys.
    Writes,
    /// Every one.
    All,
}

/// Requests are held, not refused, until a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pause {
    /// Which.
    pub held: Held,
    /// When it ends by itself (mono ms).
    pub until: Millis,
}
