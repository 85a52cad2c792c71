//! Disks that take long over a sync. The process stands still for it, and nothing that it does in that turn is told before.

use crate::sim::machine::SlowDisk;
use crate::sim::queue::{MILLI, Micros, SECOND};
use crate::sim::trace::note;
use crate::sim::world::World;

/// No sync takes longer.
const LONGEST: Micros = 2 * SECOND;

impl World {
    /// One machine's syncs, or everybody's, are slow for a while; or the next one only.
    pub(super) fn stall_disk(&mut self, index: usize) {
        let least = self.faults.rng.between(100 * MILLI, LONGEST / 2);
        let most = self.faults.rng.between(least + 1, LONGEST + 1);
        let longest = [100 * MILLI, 2 * SECOND, 10 * SECOND][self.faults.rng.below(3) as usize];
        let until = self.now + self.faults.rng.between(50 * MILLI, longest);
        let everybody = self.faults.rng.one_in(8);
        for machine in self.machines.iter_mut().filter(|machine| everybody || machine.index == index) {
            machine.slow_disk = Some(SlowDisk { until, least, most });
        }
    }

    /// In some runs most disks become slow, and stay so until the clusters have settled with them.
    pub fn slow_down_disks(&mut self) {
        let most = self.faults.rng.between(200 * MILLI, SECOND);
        for machine in &mut self.machines {
            if !self.faults.rng.one_in(4) {
                machine.slow_disk = Some(SlowDisk { until: Micros::MAX, least: most / 2, most });
            }
        }
        note!("disks are slow: {most} us");
        self.stats.slow_runs += 1;
    }

    /// Every disk is fast.
    pub fn mend_disks(&mut self) {
        self.machines.iter_mut().for_each(|machine| machine.slow_disk = None);
    }

    /// Only those remain slow that are to be until the end.
    pub(super) fn end_stalls(&mut self) {
        self.machines.iter_mut().for_each(|machine| machine.slow_disk = machine.slow_disk.filter(|disk| disk.until == Micros::MAX));
    }
}
