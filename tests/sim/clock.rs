//! Each machine's own idea of time: a rate that is off by a little, or by much, an offset, steps back, and a wall clock that can be set.

use crate::sim::faults::timing::LONGEST_LEASE;
use crate::sim::queue::Micros;
use pontoon::types::{Millis, Now};

/// Parts per million: the rate of a clock that is right.
const RIGHT: u64 = 1_000_000;
/// Clocks within this of the right rate are promised everything.
const TOLERATED: u64 = RIGHT / 100;
/// A reading that is earlier than one before it by this (ms) is not taken for a step back.
const HAIR: Millis = 1;

/// A machine's clock since its last boot.
#[derive(Clone, Debug)]
pub struct Clock {
    /// Runs by this many microseconds in a simulated second.
    rate: u64,
    /// When the rate, or what it shows, was last changed.
    since: Micros,
    /// What its clock showed then.
    start: Millis,
    /// Unix time minus the clock above.
    wall: Millis,
    /// How often it has gone back.
    steps: u64,
    /// By how much, altogether.
    behind: Millis,
    /// Until when its rate was not that of others.
    off_until: Option<Micros>,
}

impl Clock {
    /// A clock that is off by `drift` millionths and shows `start` now.
    pub fn boot(now: Micros, drift: i64, start: Millis, wall: Millis) -> Self {
        Self { rate: RIGHT.saturating_add_signed(drift), since: now, start, wall, steps: 0, behind: 0, off_until: None }
    }

    /// Somebody set the wall clock.
    pub fn set_wall(&mut self, wall: Millis) {
        self.wall = wall;
    }

    /// From now on it is off by so many millionths.
    pub fn set_rate(&mut self, now: Micros, drift: i64) {
        if self.is_off() {
            self.off_until = Some(now);
        }
        (self.start, self.since) = (self.mono(now), now);
        self.rate = RIGHT.saturating_add_signed(drift);
    }

    /// It shows less than before, but for its wall clock. Returns by how much: it never shows less than nothing.
    pub fn step_back(&mut self, now: Micros, by: Millis) -> Millis {
        let shown = self.mono(now);
        let by = by.min(shown);
        (self.start, self.since) = (shown - by, now);
        self.wall += by;
        self.behind += by;
        self.steps += 1;
        by
    }

    /// Whether its rate is off by more than is promised anything.
    pub fn is_off(&self) -> bool {
        self.rate.abs_diff(RIGHT) > TOLERATED
    }

    /// Whether it is off, or was when a lease began that may still last.
    fn was_off(&self, now: Micros) -> bool {
        self.is_off() || self.off_until.is_some_and(|end| now < end + doubtful_for())
    }

    fn mono(&self, now: Micros) -> Millis {
        self.start + (now - self.since) * self.rate / (RIGHT * 1_000)
    }

    /// What it shows.
    pub fn read(&self, now: Micros) -> Now {
        let mono = self.mono(now);
        Now { mono, wall: self.wall + mono }
    }

    /// What it would show if it had never gone back: no less than what a process goes by that has read it all the time.
    pub fn steady(&self, now: Micros) -> Millis {
        self.mono(now) + self.behind
    }

    /// The first simulated time at which it shows `mono`.
    pub fn when(&self, mono: Millis) -> Micros {
        let due = self.since + (mono.saturating_sub(self.start) * RIGHT * 1_000).div_ceil(self.rate);
        due + Micros::from(self.mono(due) < mono)
    }
}

/// A lease, by the slowest of the clocks whose rates are right.
fn doubtful_for() -> Micros {
    LONGEST_LEASE * 201 / 200
}

/// What a process has read from its host's clock.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    latest: Millis,
    steps: u64,
    /// When the clock had gone back, and by so little, or for so long unread, that no reading has shown it.
    missed: Option<Micros>,
    /// Steps back that readings have shown.
    pub seen: u64,
}

impl Readings {
    /// Of a process that begins.
    pub fn begin(clock: &Clock, now: Micros) -> Self {
        Self { latest: clock.mono(now), steps: clock.steps, ..Self::default() }
    }

    /// One more.
    pub fn read(&mut self, clock: &Clock, now: Micros) -> Now {
        let reading = clock.read(now);
        let shows = reading.mono + HAIR < self.latest;
        if clock.steps != self.steps {
            self.steps = clock.steps;
            self.seen += u64::from(shows);
            self.missed = if shows { self.missed } else { Some(now) };
        }
        self.latest = if shows { reading.mono } else { self.latest.max(reading.mono) };
        reading
    }

    /// Whether leases may last longer for this process than for others: nothing is promised of that.
    pub fn is_doubtful(&self, clock: &Clock, now: Micros) -> bool {
        let unread = clock.steps != self.steps;
        unread || clock.was_off(now) || self.missed.is_some_and(|at| now < at + doubtful_for())
    }
}
