//! Write leases and node-timeouts that differ between nodes, and change while they run.

use crate::sim::clients::{Purpose, Request};
use crate::sim::queue::{MILLI, Micros};
use crate::sim::world::World;
use pontoon::rng::Rng;

/// Write leases in ms.
const LEASES: [u64; 4] = [1_000, 2_000, 5_000, 10_000];
/// Node-timeouts in ms.
const TIMEOUTS: [u64; 3] = [2_000, 5_000, 15_000];
/// No lease lasts longer than the greatest of them.
pub const LONGEST_LEASE: Micros = 10_000 * MILLI;

/// What one node is started with where nodes differ.
pub fn draw_timing(rng: &mut Rng) -> Vec<String> {
    let (lease, timeout) = (LEASES[rng.below(LEASES.len() as u64) as usize], TIMEOUTS[rng.below(TIMEOUTS.len() as u64) as usize]);
    ["--cluster-write-lease", &lease.to_string(), "--cluster-node-timeout", &timeout.to_string()].map(str::to_owned).into()
}

impl World {
    /// CONFIG SET at one node.
    pub(super) fn set_timing(&mut self, index: usize) {
        let rng = &mut self.faults.rng;
        let (name, value) = match rng.below(3) {
            0 => ("cluster-node-timeout", TIMEOUTS[rng.below(TIMEOUTS.len() as u64) as usize]),
            _ => ("cluster-write-lease", LEASES[rng.below(LEASES.len() as u64) as usize]),
        };
        if self.machines[index].is_running() {
            let words = ["CONFIG", "SET", name, &value.to_string()].map(str::to_owned).into();
            self.have_asked(Request::one(index, words, Purpose::Look));
            self.stats.timings_set += 1;
        }
    }
}
