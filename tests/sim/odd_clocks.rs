//! In some runs, when all has been judged and has settled: the clock of one host runs at a rate of its own.
//!
//! Owns: what is asked of the cluster then. It finds out whose clock that is, and trusts it no more: no process there has a lease, and none
//! leads, until the rates agree.
//! (Before that nothing is promised of those processes; the checks excuse them, and nobody else.) When they do, all is as before.

use crate::sim::clients::Mode;
use crate::sim::faults::clocks::OFF;
use crate::sim::queue::{MILLI, Micros, SECOND};
use crate::sim::trace::{self, note};
use crate::sim::world::World;

/// A leader needs three of six steps of 10 to 12 s of its clock for 10 %, which may run at half the rate; the next one two.
const FOUND_WITHIN: Micros = 180 * SECOND;
/// So long nothing changes any more.
const STAYS_SO: Micros = 10 * SECOND;

impl World {
    /// The clock of a host whose machines are a minority of the voters of the biggest cluster runs at another rate, is found, and is right
    /// again.
    pub fn suffer_odd_clock(&mut self) {
        let Some(odd) = self.draw_odd_host() else { return };
        trace::at(self.now, format_args!("odd clock"));
        note!("m{odd:?}");
        self.set_mode(Mode::Quiet);
        let drift = OFF[self.rng.below(OFF.len() as u64) as usize];
        self.set_rate(odd[0], drift);
        let end = self.now + FOUND_WITHIN;
        let mut since = self.now;
        while self.now < since + STAYS_SO {
            self.run_until(self.now + 100 * MILLI);
            if self.is_minority(odd[0]) == Some(false) {
                // Voters have gone meanwhile: no majority can tell whose clock is right.
                return self.right_rates();
            }
            if let Some(index) = odd.iter().find(|index| self.is_trusted(**index)) {
                since = self.now;
                let within = FOUND_WITHIN / SECOND;
                assert!(self.now < end, "within {within} s nobody trusts the clock of m{index}, which is off by {drift} ppm");
            }
        }
        self.stats.rates_found += 1;
        self.right_rates();
    }

    /// All machines of one host, if most voters would still be others without them; mostly that of the leader or of an owner of slots.
    fn draw_odd_host(&mut self) -> Option<Vec<usize>> {
        let leads = |index: &usize| self.machines[*index].node.as_ref().is_some_and(|node| node.raft().is_leader());
        let candidates: Vec<usize> = (0..self.machines.len()).filter(|index| self.is_minority(*index) == Some(true)).collect();
        let owners: Vec<usize> = candidates.iter().copied().filter(|index| self.owns_slots(*index)).collect();
        let leader = candidates.iter().copied().find(leads);
        let chosen = match self.rng.below(3) {
            0 => leader,
            1 => self.pick(&owners),
            _ => None,
        };
        let chosen = chosen.or_else(|| self.pick(&candidates))?;
        Some(self.net.hosts.on(self.net.hosts.of(chosen)).collect())
    }

    /// Whether all machines on this one's host are in the biggest cluster, and most of its voters are others; `None` while it has no
    /// leader.
    fn is_minority(&self, index: usize) -> Option<bool> {
        let cluster = self.main_cluster()?;
        let is_in = |index: usize| self.state_of(index).is_some_and(|state| state.cluster_id() == cluster);
        let mut nodes = self.machines.iter().filter(|machine| is_in(machine.index)).filter_map(|machine| machine.node.as_ref());
        let voters = nodes.find(|node| node.raft().is_leader())?.raft().voters();
        let host = self.net.hosts.of(index);
        let odd = self.net.hosts.on(host).filter(|index| self.id_of(*index).is_some_and(|id| voters.contains(&id))).count();
        // The odd one is counted too, be it a voter or not.
        Some(self.net.hosts.on(host).all(is_in) && 2 * (voters.len() - odd) > voters.len() + 1)
    }

    fn owns_slots(&self, index: usize) -> bool {
        self.id_of(index).zip(self.state_of(index)).is_some_and(|(id, state)| state.slot_count_of(&id) > 0)
    }

    /// Whether the process on this machine leads, or has a lease.
    fn is_trusted(&self, index: usize) -> bool {
        let machine = &self.machines[index];
        machine.node.as_ref().is_some_and(|node| node.raft().is_leader() || node.raft().lease_end() > machine.clock.steady(self.now))
    }
}
