//! How often each command came, and how long it ran.
//!
//! Owns: the counters behind INFO's commandstats, errorstats and latencystats. Must not: read a clock; it is given a stopwatch, by which
//! nothing is decided. Contract: docs/operations.md, "What to watch".
//!
//! A reading of the clock costs as much as a twentieth of a GET. The first calls of each command are timed, then one of so many that stands
//! for all of them.

use super::command::CommandId;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;

/// At most so many different error codes are counted; more would be a client's doing.
const MAX_ERROR_CODES: usize = 128;
/// So many calls of a command are all timed.
const TIMED_AT_FIRST: u64 = 64;
/// Then one of so many. It is prime, so that in pipelines of usual lengths it is not always the same request.
const TIMED_ONE_OF: u64 = 17;
/// As in Redis: longer times are shown as a second, with two digits that count.
const LONGEST_NANOS: u64 = 1_000_000_000;
const DIGITS: u8 = 2;

/// Nanoseconds since any moment: only differences count.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(pub fn() -> u64);

impl Default for Stopwatch {
    /// One that stands still.
    fn default() -> Self {
        Self(|| 0)
    }
}

/// A call that is timed.
#[derive(Clone, Copy, Debug)]
pub struct Timed {
    began: u64,
    /// For so many calls it stands.
    weight: u64,
}

/// How often one command came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// It ran.
    pub calls: u64,
    /// It was refused before it ran.
    pub rejected: u64,
    /// It ran and answered an error.
    pub failed: u64,
    /// How long it ran altogether, in nanoseconds; never less than before, but for CONFIG RESETSTAT.
    pub nanos: u64,
}

/// All commands and errors.
#[derive(Debug, Default)]
pub(super) struct CallCounts {
    pub(super) stopwatch: Stopwatch,
    /// By command id; grow up to the highest that has come.
    calls: Vec<Calls>,
    latencies: Vec<Option<Histogram<u64>>>,
    errors: BTreeMap<String, u64>,
}

impl CallCounts {
    pub(super) fn by(stopwatch: Stopwatch) -> Self {
        Self { stopwatch, ..Self::default() }
    }

    pub(super) fn begin(&mut self, id: CommandId) -> Option<Timed> {
        let calls = self.of(id).calls;
        let weight = match calls {
            0..TIMED_AT_FIRST => 1,
            _ if calls.is_multiple_of(TIMED_ONE_OF) => TIMED_ONE_OF,
            _ => return None,
        };
        Some(Timed { began: (self.stopwatch.0)(), weight })
    }

    pub(super) fn end(&mut self, id: CommandId, timed: Option<Timed>, keep_latency: bool) {
        self.of(id).calls += 1;
        let Some(Timed { began, weight }) = timed else { return };
        let nanos = (self.stopwatch.0)().saturating_sub(began);
        self.of(id).nanos += nanos.saturating_mul(weight);
        if keep_latency {
            self.add_latency(id, nanos, weight);
        }
    }

    fn add_latency(&mut self, id: CommandId, nanos: u64, weight: u64) {
        if id.index() >= self.latencies.len() {
            self.latencies.resize(id.index() + 1, None);
        }
        let histogram = &mut self.latencies[id.index()];
        if histogram.is_none() {
            *histogram = Histogram::new_with_bounds(1, LONGEST_NANOS, DIGITS).ok();
        }
        if let Some(histogram) = histogram {
            histogram.saturating_record_n(nanos, weight);
        }
    }

    /// Nanoseconds within which so many percent of a command's calls ran; none if it was not timed.
    pub(super) fn latency(&self, id: CommandId, percent: f64) -> Option<u64> {
        let histogram = self.latencies.get(id.index())?.as_ref()?;
        Some(histogram.value_at_percentile(percent))
    }

    pub(super) fn error(&mut self, code: &str) {
        if let Some(count) = self.errors.get_mut(code) {
            *count += 1;
        } else if self.errors.len() < MAX_ERROR_CODES {
            self.errors.insert(code.to_owned(), 1);
        }
    }

    pub(super) fn errors(&self) -> impl Iterator<Item = (&str, u64)> {
        self.errors.iter().map(|(code, count)| (code.as_str(), *count))
    }

    pub(super) fn get(&self, id: CommandId) -> Calls {
        self.calls.get(id.index()).copied().unwrap_or_default()
    }

    pub(super) fn of(&mut self, id: CommandId) -> &mut Calls {
        if id.index() >= self.calls.len() {
            self.calls.resize(id.index() + 1, Calls::default());
        }
        &mut self.calls[id.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::table;
    use std::cell::Cell;

    thread_local!(static NANOS: Cell<u64> = const { Cell::new(0) });

    /// Runs a command so often, for so long each.
    fn run(counts: &mut CallCounts, id: CommandId, times: u64, nanos: u64) {
        for _ in 0..times {
            let timed = counts.begin(id);
            NANOS.set(NANOS.get() + nanos);
            counts.end(id, timed, true);
        }
    }

    #[test]
    fn a_call_of_many_stands_for_those_between() {
        let (get, set) = (table().command(b"get").unwrap(), table().command(b"set").unwrap());
        let mut counts = CallCounts::by(Stopwatch(|| NANOS.get()));
        run(&mut counts, get, 3, 1500);
        assert_eq!(counts.get(get), Calls { calls: 3, nanos: 4500, ..Calls::default() });
        run(&mut counts, get, 61 + 17 * 1000, 1500);
        let Calls { calls, nanos, .. } = counts.get(get);
        assert!(calls == 17_064 && nanos.abs_diff(calls * 1500) <= 17 * 1500, "{calls} {nanos}");
        run(&mut counts, set, 1, 2_000_000_000);
        let close = |percent, nanos: u64| counts.latency(get, percent).unwrap().abs_diff(nanos) <= nanos / 100;
        assert!(close(50.0, 1500) && close(0.0, 1500) && close(100.0, 1500));
        assert!(counts.latency(set, 99.9).unwrap() >= LONGEST_NANOS && counts.get(set).nanos == 2_000_000_000);
        assert_eq!(counts.latency(table().command(b"ping").unwrap(), 50.0), None);
    }
}
