//! The only clock of the process.
//!
//! Owns: reading CLOCK_BOOTTIME and the wall clock, and what times commands. Must not: decide anything; the core gets the time as an
//! argument.
//! CLOCK_BOOTTIME, not CLOCK_MONOTONIC: a lease must run out while the host is suspended (N10 in docs/why.md).

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::types::{Millis, Now};

/// Both clocks, now.
pub fn now() -> Now {
    Now { mono: millis(clock_gettime(ClockId::Boottime)), wall: millis(clock_gettime(ClockId::Realtime)) }
}

/// Nanoseconds for a stopwatch, which only measures how long something took.
pub fn nanos() -> u64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Monotonic);
    u64::try_from(tv_sec).unwrap_or(0).saturating_mul(1_000_000_000).saturating_add(u64::try_from(tv_nsec).unwrap_or(0))
}

/// A time before 1970 or before boot is 0.
fn millis(time: Timespec) -> Millis {
    let seconds = Millis::try_from(time.tv_sec).unwrap_or(0);
    let rest = Millis::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000;
    seconds.saturating_mul(1000).saturating_add(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_forward() {
        let first = now();
        let second = now();
        assert!(second.mono >= first.mono && first.mono > 0);
        assert!(first.wall > 1_500_000_000_000);
        assert_eq!(millis(Timespec { tv_sec: 2, tv_nsec: 3_999_999 }), 2003);
        assert_eq!(millis(Timespec { tv_sec: -2, tv_nsec: 0 }), 0);
    }
}
