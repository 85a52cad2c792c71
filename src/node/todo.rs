//! What handlers found to be done, and before-sleep will do.
//!
//! Owns: the flags. A handler only raises them; each is lowered in one place, by its step of [`super::before_sleep`].

use crate::types::{ClusterId, Millis};

/// Work flagged for before-sleep.
#[derive(Debug, Default)]
pub struct Todo {
    /// Step 1: the set of wanted links may have changed.
    pub connect: bool,
    /// Step 2: nodes.conf is to be rewritten in full this turn.
    pub rewrite: bool,
    /// Step 2: before that, nodes.conf as it is is to be kept beside itself: this cluster is given up with all that the file says.
    pub keep_file_of: Option<ClusterId>,
    /// Step 2: nodes.conf is to be rewritten at this time at the latest (mono ms): reasons that can wait are coalesced.
    pub rewrite_by: Option<Millis>,
    /// Step 8: proposals and requests are to be sent again, or to be looked at again.
    pub proposals: bool,
    /// Step 8: what was published is to leave, or a link for it takes more.
    pub publish: bool,
    /// Step 9: entries were applied.
    pub consequences: bool,
}

impl Todo {
    /// A rewrite that may wait until `by`; the earliest request counts.
    pub fn rewrite_until(&mut self, by: Millis) {
        self.rewrite_by = Some(self.rewrite_by.map_or(by, |earlier| earlier.min(by)));
    }

    /// Whether a turn should follow at once (poll timeout zero).
    pub fn is_pressing(&self) -> bool {
        self.connect || self.rewrite || self.proposals || self.publish || self.consequences
    }
}
