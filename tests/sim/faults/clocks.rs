//! Clocks that do not do what a clock does: set, at another rate, gone back.

use crate::sim::clients::Mode;
use crate::sim::queue::{Event, MILLI, Micros, SECOND};
use crate::sim::trace::note;
use crate::sim::world::World;

/// By how much a rate is off that is off by more than is promised anything (millionths).
pub const OFF: [i64; 6] = [-500_000, -100_000, -100_000, 100_000, 100_000, 1_000_000];

impl World {
    /// The wall clock of a machine's host is set.
    pub(super) fn set_wall_clock(&mut self, index: usize) {
        let wall = 1_600_000_000_000 + self.faults.rng.below(200_000_000_000);
        if let Some(clock) = self.net.hosts.clock(index) {
            clock.set_wall(wall);
        }
        self.read_host_clock(index);
        self.stats.clocks_set += 1;
    }

    /// The clock of one host, or of the host of an owner of slots, runs at another rate for a while. Of two nobody could tell which is
    /// right.
    pub(super) fn spoil_rate(&mut self, index: usize) {
        let owners = self.owners_as_seen_by(index);
        let index = self.faults.pick(&owners).filter(|_| !self.faults.rng.one_in(3)).unwrap_or(index);
        if self.machines.iter().any(|machine| machine.clock.is_off()) {
            return;
        }
        let drift = OFF[self.faults.rng.below(OFF.len() as u64) as usize];
        let longest = if self.faults.rng.one_in(2) { 40 * SECOND } else { 10 * SECOND };
        let until = self.now + self.faults.rng.between(SECOND, longest);
        self.set_rate(index, drift);
        // A lease that is too long shows once nobody renews it.
        if self.faults.rng.one_in(2) {
            self.cut_off(index);
        }
        self.queue.push(until, Event::EndOddRate);
        self.stats.rates_off += 1;
    }

    /// The clock of a machine's host runs at this rate from now on.
    pub fn set_rate(&mut self, index: usize, drift: i64) {
        let now = self.now;
        if let Some(clock) = self.net.hosts.clock(index) {
            clock.set_rate(now, drift);
            note!("the clock of m{index}'s host is off by {drift} ppm");
        }
        self.read_host_clock(index);
    }

    /// A rate was off for as long as it was to be.
    pub fn end_odd_rate(&mut self) {
        if self.clients.mode == Mode::Busy {
            self.right_rates();
        }
    }

    /// Every clock runs as the others again.
    pub fn right_rates(&mut self) {
        for index in 0..self.machines.len() {
            if self.net.hosts.clock(index).as_ref().is_some_and(|clock| clock.is_off()) {
                let drift = self.faults.rng.below(10_001) as i64 - 5_000;
                self.set_rate(index, drift);
            }
        }
    }

    /// The clock of a host goes back: by a hair, by so much that leases end at another time, by hours.
    pub(super) fn step_back(&mut self, index: usize) {
        let rng = &mut self.faults.rng;
        let by = match rng.below(4) {
            0 => rng.between(2, 50),
            1 => rng.between(50, 1_000),
            2 => rng.between(1_000, 20_000),
            _ => rng.between(20_000, 3_600_000),
        };
        let now = self.now;
        let Some(clock) = self.net.hosts.clock(index) else { return };
        let by = clock.step_back(now, by);
        note!("the clock of m{index}'s host goes back by {by} ms");
        self.read_host_clock(index);
        self.stats.clocks_stepped_back += 1;
    }
}

/// No process sleeps longer, whatever its deadline: its clock may have gone back since it was read.
pub const LONGEST_SLEEP: Micros = 1_000 * MILLI;
