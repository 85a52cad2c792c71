//! How much of something there was, and how much in the last second.
//!
//! Owns: the counting, without a timer. Must not: read a clock.

use crate::types::Millis;

/// So many in the last full second: the second that begins closes the one before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rate {
    second: u64,
    count: u64,
    previous: u64,
}

impl Rate {
    pub(super) fn add(&mut self, count: u64, now: Millis) {
        self.turn_to(now / 1000);
        self.count += count;
    }

    pub(super) fn per_second(mut self, now: Millis) -> u64 {
        self.turn_to(now / 1000);
        self.previous
    }

    fn turn_to(&mut self, second: u64) {
        if second != self.second {
            let previous = if second == self.second + 1 { self.count } else { 0 };
            *self = Self { second, count: 0, previous };
        }
    }
}

/// Bytes in one direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// All of them.
    pub total: u64,
    /// Those between a primary and its replicas.
    pub replication: u64,
    rate: Rate,
    replication_rate: Rate,
}

impl Traffic {
    /// So many bytes went by at this time (mono ms), between primary and replica or not.
    pub fn add(&mut self, bytes: u64, is_replication: bool, now: Millis) {
        self.total += bytes;
        self.rate.add(bytes, now);
        if is_replication {
            self.replication += bytes;
            self.replication_rate.add(bytes, now);
        }
    }

    /// KiB in the last full second: all, and those between a primary and its replicas.
    pub fn kbps(&self, now: Millis) -> (f64, f64) {
        let kib = |rate: Rate| rate.per_second(now) as f64 / 1024.0;
        (kib(self.rate), kib(self.replication_rate))
    }

    /// Counted anew, but for what is going on.
    pub(super) fn restarted(&self) -> Self {
        Self { total: 0, replication: 0, ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_full_second_counts() {
        let mut traffic = Traffic::default();
        traffic.add(2048, false, 5100);
        traffic.add(1024, true, 5900);
        assert_eq!(traffic.kbps(5950), (0.0, 0.0), "it is not over");
        assert_eq!(traffic.kbps(6000), (3.0, 1.0));
        assert_eq!(traffic.kbps(7000), (0.0, 0.0), "nothing went by");
        assert_eq!((traffic.total, traffic.replication), (3072, 1024));
        assert_eq!((traffic.restarted().total, traffic.restarted().kbps(6000)), (0, (3.0, 1.0)));
    }
}
