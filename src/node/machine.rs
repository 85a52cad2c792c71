//! The machine under this node, as far as it shows: its clock, its disk.
//!
//! Owns: what each mechanism keeps of it. Must not: do anything with it (each does).

use super::clocks::Clocks;
use super::slow_disk::SlowDisk;
use super::steady::Steady;
use crate::types::Now;

/// What is known of the machine.
#[derive(Debug)]
pub(super) struct Machine {
    pub steady: Steady,
    pub slow_disk: SlowDisk,
    pub clocks: Clocks,
}

impl Machine {
    pub fn new(now: Now) -> Self {
        Self { steady: Steady::new(now), slow_disk: SlowDisk::default(), clocks: Clocks::default() }
    }
}
