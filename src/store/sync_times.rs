//! How long the disk's last syncs took.
//!
//! Owns: the window of durations and what is told of it. Must not: measure (the disk that syncs does), or allocate when a duration is
//! noted.
//! Contract: docs/operations.md, "Looking inside".

use std::time::Duration;

/// So many of the last syncs are remembered: a disk that has become slow shows at once, however good it was before.
const WINDOW: usize = 1024;

/// A count of all syncs, and the durations of the last 1024 of them.
#[derive(Clone, Debug)]
pub struct SyncTimes {
    count: u64,
    /// In microseconds; the sync of number n, counted from 0, stands in place n modulo [`WINDOW`].
    micros: [u32; WINDOW],
}

impl Default for SyncTimes {
    fn default() -> Self {
        Self { count: 0, micros: [0; WINDOW] }
    }
}

impl SyncTimes {
    /// Notes a sync that returned without error after `took`.
    pub fn note(&mut self, took: Duration) {
        self.micros[(self.count % WINDOW as u64) as usize] = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        self.count += 1;
    }

    /// How many there have been.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The time in microseconds that 99 of 100 of the last syncs did not exceed; 0 before the first.
    pub fn p99_us(&self) -> u32 {
        let held = self.count.min(WINDOW as u64) as usize;
        let mut micros = self.micros;
        // The nearest rank: the 99th of 100, the only one of one.
        let Some(place) = (held * 99).div_ceil(100).checked_sub(1) else { return 0 };
        *micros[..held].select_nth_unstable(place).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(micros: impl IntoIterator<Item = u64>) -> SyncTimes {
        let mut times = SyncTimes::default();
        micros.into_iter().for_each(|micros| times.note(Duration::from_micros(micros)));
        times
    }

    #[test]
    fn the_99th_of_100_counts() {
        assert_eq!((noted([]).count(), noted([]).p99_us()), (0, 0));
        assert_eq!(noted([7]).p99_us(), 7);
        assert_eq!(noted((1..=100).rev()).p99_us(), 99);
        assert_eq!(noted((1..=99).chain([u64::MAX; 1])).p99_us(), 99);
        assert_eq!(noted((1..=98).chain([u64::MAX; 2])).p99_us(), u32::MAX, "longer than an hour is an hour");
    }

    #[test]
    fn what_is_long_past_is_forgotten_but_counted() {
        let times = noted(std::iter::repeat_n(1_000_000, WINDOW).chain(std::iter::repeat_n(5, WINDOW)));
        assert_eq!((times.count(), times.p99_us()), (2 * WINDOW as u64, 5));
    }
}
