//! Orderly ends: by a signal, or by SHUTDOWN in all its forms.

use crate::sim::clients::{Mode, Purpose, Request};
use crate::sim::network::Owner;
use crate::sim::queue::{Event, MILLI, SECOND};
use crate::sim::trace::note;
use crate::sim::world::World;
use pontoon::node::Signal;

/// Seconds.
const TIMEOUTS: [u64; 3] = [0, 1, 3];

impl World {
    /// A process is told to end, and sometimes not to do so after all; or how long it may take.
    pub(super) fn end_in_order(&mut self, index: usize) {
        match self.faults.rng.below(8) {
            0..=2 => self.shut_down(index, Signal::Term),
            3 => self.shut_down(index, Signal::Int),
            4 => self.set_shutdown_timeout(index),
            _ => self.ask_to_end(index),
        }
    }

    /// A process is told to end in order, if it is there to hear it; it ends by itself, in its own time.
    pub fn shut_down(&mut self, index: usize, signal: Signal) {
        let machine = &mut self.machines[index];
        if !machine.is_running() {
            return;
        }
        machine.shut_down(signal);
        self.checks.told_to_end(&self.machines, index, self.now);
        self.stats.shutdowns += 1;
        self.wake(Owner::Machine(index), self.now);
    }

    fn set_shutdown_timeout(&mut self, index: usize) {
        let seconds = TIMEOUTS[self.faults.rng.below(TIMEOUTS.len() as u64) as usize];
        if self.machines[index].is_running() {
            let patience = &mut self.machines[index].patience;
            *patience = seconds.min(*patience);
            let words = ["CONFIG", "SET", "shutdown-timeout", &seconds.to_string()].map(str::to_owned).into();
            self.have_asked(Request::one(index, words, Purpose::Look));
            self.stats.shutdown_timeouts_set += 1;
        }
    }

    /// SHUTDOWN, with what may follow it. It is called off in some runs, when it may be over.
    fn ask_to_end(&mut self, index: usize) {
        let kinds: [&[&str]; 6] = [&[], &["SAVE"], &["NOSAVE"], &["NOW"], &["NOSAVE", "NOW"], &["SAFE"]];
        let which = self.faults.rng.below(9) as usize;
        let options = kinds.get(which).copied().unwrap_or(&[]);
        if !self.machines[index].is_running() {
            return;
        }
        note!("m{index} is asked for SHUTDOWN {options:?}");
        let words = std::iter::once("SHUTDOWN").chain(options.iter().copied()).map(str::to_owned).collect();
        if !self.have_asked(Request::one(index, words, Purpose::Any)) {
            return;
        }
        let machine = &mut self.machines[index];
        machine.is_asked_to_end(options.contains(&"SAVE"), options.contains(&"NOSAVE"));
        self.checks.told_to_end(&self.machines, index, self.now);
        if options.contains(&"NOW") {
            self.checks.hurry(index);
        }
        self.stats.shutdown_commands += 1;
        if self.faults.rng.one_in(2) {
            let at = self.now + self.faults.rng.between(MILLI, 3 * SECOND);
            self.queue.push(at, Event::CallOff(index));
        }
    }

    /// SHUTDOWN ABORT.
    pub fn call_off(&mut self, index: usize) {
        if self.machines[index].is_running() && self.clients.mode == Mode::Busy {
            self.have_asked(Request::one(index, ["SHUTDOWN", "ABORT"].map(str::to_owned).into(), Purpose::Any));
            self.stats.shutdowns_called_off += 1;
        }
    }
}
