//! What is known of the file of the keys: saving and loading it.
//!
//! Owns: the state that INFO shows and that refusals stand on. Must not: touch a file (the node does).

use crate::types::{Millis, Now};

/// What is known of the file of the keys. The node keeps it.
#[derive(Debug, Default)]
pub struct Persistence {
    /// The file is being loaded.
    pub loading: Option<Progress>,
    /// How many keys the last load brought, expired ones among them.
    pub keys_loaded: u64,
    /// Somebody wants a save to begin.
    pub save_asked: bool,
    /// A save is under way, begun then (mono ms).
    pub saving_since: Option<Millis>,
    /// When the last good save ended, or the process began (Unix time in ms).
    pub saved_at: Millis,
    /// [`crate::keyspace::Keyspace::dirty`] as it was when the last good save began.
    pub saved_dirty: u64,
    /// The last save failed.
    pub failed: bool,
    /// How long the last save took (ms).
    pub took: Option<Millis>,
    /// Good saves since the start.
    pub saves: u64,
}

/// How far a load is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// When it began.
    pub began: Now,
    /// The file's length in bytes.
    pub total: u64,
    /// How many of them were read.
    pub done: u64,
}

impl Progress {
    /// How many per cent are done.
    pub fn percent(&self) -> f64 {
        if self.total == 0 { 0.0 } else { self.done as f64 / self.total as f64 * 100.0 }
    }

    /// Seconds until it is done, if it goes on as it went.
    pub fn eta(&self, now: Now) -> u64 {
        let elapsed = now.mono.saturating_sub(self.began.mono) as f64 / 1000.0;
        let left = self.total.saturating_sub(self.done) as f64;
        if self.done == 0 { 1 } else { (elapsed * left / self.done as f64) as u64 }
    }
}
