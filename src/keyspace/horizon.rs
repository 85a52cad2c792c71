//! Since when something may have expired.
//!
//! Owns: a lower bound on a set of expiry times that costs nothing to keep when keys go, and is tightened by walking the set in slices.

use crate::types::Millis;

/// A lower bound on the expiry times of a set that is walked again and again, while it changes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Horizon {
    /// No member of the set expires before.
    soonest: Millis,
    /// The same for the members that the walk under way has seen, and for those added or moved since it began.
    upcoming: Millis,
}

impl Default for Horizon {
    fn default() -> Self {
        Self { soonest: Millis::MAX, upcoming: Millis::MAX }
    }
}

impl Horizon {
    /// A member was added, or moved to where the walk may have been already.
    pub fn note(&mut self, expiry: Millis) {
        self.soonest = self.soonest.min(expiry);
        self.upcoming = self.upcoming.min(expiry);
    }

    /// The walk saw a member, or a part of the set with this bound.
    pub fn seen(&mut self, expiry: Millis) {
        self.upcoming = self.upcoming.min(expiry);
    }

    /// The walk has seen every member: what it saw is the bound, and the next walk begins.
    pub fn walked(&mut self) {
        *self = Self { soonest: self.upcoming, upcoming: Millis::MAX };
    }

    /// The bound; `Millis::MAX` if no member expires.
    pub fn soonest(&self) -> Millis {
        self.soonest
    }

    /// False if certainly nothing has expired.
    pub fn is_past(&self, now: Millis) -> bool {
        is_expired(self.soonest, now)
    }
}

/// A key lives through the whole of its last millisecond, as in Redis.
pub(super) fn is_expired(expiry: Millis, now: Millis) -> bool {
    now > expiry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_tightens_the_bound_and_misses_nothing_added_meanwhile() {
        let mut horizon = Horizon::default();
        assert!(!horizon.is_past(Millis::MAX));
        horizon.note(10);
        horizon.walked();
        assert_eq!(horizon.soonest(), 10);
        horizon.seen(30);
        horizon.note(20);
        horizon.walked();
        assert_eq!(horizon.soonest(), 20);
        assert!(!horizon.is_past(20));
        assert!(horizon.is_past(21));
        horizon.walked();
        assert_eq!(horizon.soonest(), Millis::MAX);
    }
}
