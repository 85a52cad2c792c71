//! Each machine's own idea of time: a rate that is off by a little, an offset, and a wall clock that can be set.

use crate::sim::queue::Micros;
use pontoon::types::{Millis, Now};

/// Parts per million: the rate of a clock that is right.
const RIGHT: u64 = 1_000_000;

/// A machine's clock since its last boot.
#[derive(Clone, Debug)]
pub struct Clock {
    /// Runs by this many microseconds in a simulated second.
    rate: u64,
    /// When the machine was booted.
    booted: Micros,
    /// What its clock showed then.
    start: Millis,
    /// Unix time minus the clock above.
    wall: Millis,
}

impl Clock {
    /// A clock that is off by `drift` millionths and shows `start` now.
    pub fn boot(now: Micros, drift: i64, start: Millis, wall: Millis) -> Self {
        Self { rate: RIGHT.saturating_add_signed(drift), booted: now, start, wall }
    }

    /// Somebody set the wall clock.
    pub fn set_wall(&mut self, wall: Millis) {
        self.wall = wall;
    }

    fn mono(&self, now: Micros) -> Millis {
        self.start + (now - self.booted) * self.rate / (RIGHT * 1_000)
    }

    /// What it shows.
    pub fn read(&self, now: Micros) -> Now {
        let mono = self.mono(now);
        Now { mono, wall: self.wall + mono }
    }

    /// The first simulated time at which it shows `mono`.
    pub fn when(&self, mono: Millis) -> Micros {
        let due = self.booted + (mono.saturating_sub(self.start) * RIGHT * 1_000).div_ceil(self.rate);
        due + Micros::from(self.mono(due) < mono)
    }
}
