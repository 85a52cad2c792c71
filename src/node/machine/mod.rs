//! The machine under this node, as far as it shows: its clock, its disk.
//!
//! Owns: what each mechanism keeps of it. Must not: do anything with it (each does).

pub(in crate::node) mod slow_disk;
pub(in crate::node) mod steady;

use crate::node::machine::slow_disk::SlowDisk;
use crate::node::machine::steady::Steady;
use crate::types::Now;

/// What is known of the machine.
#[derive(Debug)]
pub(in crate::node) struct Machine {
    pub steady: Steady,
    pub slow_disk: SlowDisk,
}

impl Machine {
    pub fn new(now: Now) -> Self {
        Self { steady: Steady::new(now), slow_disk: SlowDisk::default() }
    }
}
