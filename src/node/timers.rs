//! The node's own timers, in one table; Raft keeps its own and is asked for its deadline.
//!
//! Owns: when what is due. Must not: read a clock.

use crate::types::Millis;

/// Everything that the node does because time went by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::node) enum Timer {
    /// Slow checks: silent links, timeouts, failure flags, voters, own address, what waits for long.
    Cron,
    /// The next link to be dialled.
    Dial,
    /// The `synced` line that covers an idle cluster's last append.
    Synced,
    /// A leader that is to end has tried to hand over for long enough.
    Exit,
    /// A client has waited long enough for replicas.
    Acks,
    /// A client has waited long enough for this node to lead.
    Takeover,
    /// A pause of clients is over.
    Pause,
    /// A member will have been silent for too long.
    Failure,
    /// Nobody waits any longer for a witness, or for the end of an inquiry.
    FailureDetector,
    /// A failed primary's place is to be looked at.
    Failover,
    /// The primary is to be dialled, or to be told how far this replica is.
    Primary,
    /// A failover that was asked of this replica has taken too long.
    ManualFailover,
}

const COUNT: usize = Timer::ManualFailover as usize + 1;

/// One optional deadline a timer (mono ms).
#[derive(Debug, Default)]
pub(in crate::node) struct Timers {
    at: [Option<Millis>; COUNT],
}

impl Timers {
    pub fn set(&mut self, timer: Timer, at: Millis) {
        self.at[timer as usize] = Some(at);
    }

    /// Sets it, or moves it forward.
    pub fn at_most(&mut self, timer: Timer, at: Millis) {
        let slot = &mut self.at[timer as usize];
        *slot = Some(slot.map_or(at, |earlier| earlier.min(at)));
    }

    /// Whether it is due; if so it is cleared.
    pub fn take_due(&mut self, timer: Timer, now: Millis) -> bool {
        self.at[timer as usize].take_if(|at| *at <= now).is_some()
    }

    pub fn next(&self) -> Option<Millis> {
        self.at.iter().flatten().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_is_next_and_fires_once() {
        let mut timers = Timers::default();
        timers.set(Timer::Cron, 10);
        timers.at_most(Timer::Dial, 7);
        timers.at_most(Timer::Dial, 9);
        assert_eq!(timers.next(), Some(7));
        assert!(!timers.take_due(Timer::Dial, 6));
        assert!(timers.take_due(Timer::Dial, 7) && !timers.take_due(Timer::Dial, 7));
        assert_eq!(timers.next(), Some(10));
    }
}
