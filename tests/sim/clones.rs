//! Two processes with one id, in some runs, when all else has been judged: a machine starts with a copy of a learner's nodes.conf.
//!
//! Owns: whose file is copied, and where it is used. Raft promises nothing of a voter that is there twice, so it is a learner's; of two
//! learners with one id nothing is lost either. What must hold is that some node reports it, and that the clusters settle once it is over.

use crate::sim::clients::Mode;
use crate::sim::queue::{MILLI, Micros, SECOND};
use crate::sim::trace::{self, note};
use crate::sim::world::World;
use pontoon::store::MemoryDisk;

/// Who hears no leader greets the voters after node-timeout, the longest being 15 s, and has to be heard twice.
const REPORTED_WITHIN: Micros = 60 * SECOND;

impl World {
    /// A learner's file is copied to another learner's machine, whose own process is ended for as long.
    pub fn suffer_clone(&mut self) {
        let Some((original, copy)) = self.draw_clone() else { return };
        let file = self.machines[original].file();
        let Some(bytes) = self.machines[original].disk.live(&file) else { return };
        trace::at(self.now, format_args!("clone"));
        note!("m{copy} starts with the file of m{original}");
        self.set_mode(Mode::Quiet);
        let seen = self.duplicates_seen();
        let own = self.swap_disk(copy, MemoryDisk::with_file(file, bytes));
        let end = self.now + REPORTED_WITHIN;
        while self.duplicates_seen() == seen {
            assert!(self.now < end, "within {} s two processes with one id are reported", REPORTED_WITHIN / SECOND);
            self.run_until(self.now + 100 * MILLI);
        }
        self.swap_disk(copy, own);
        self.stats.clones += 1;
    }

    /// Two members of the biggest cluster that do not vote and own nothing.
    fn draw_clone(&mut self) -> Option<(usize, usize)> {
        let cluster = self.main_cluster()?;
        let learns = |index: &usize| {
            let node = self.machines[*index].node.as_ref().filter(|node| node.state().cluster_id() == cluster);
            node.is_some_and(|node| !node.raft().is_voter(&node.id()) && node.state().slot_count_of(&node.id()) == 0)
        };
        let mut learners: Vec<usize> = (0..self.machines.len()).filter(learns).collect();
        if learners.len() < 2 {
            return None;
        }
        let original = learners.swap_remove(self.rng.below(learners.len() as u64) as usize);
        Some((original, learners[self.rng.below(learners.len() as u64) as usize]))
    }

    /// A machine's process is killed, and another one starts with this disk. Returns the one that it had.
    fn swap_disk(&mut self, index: usize, disk: MemoryDisk) -> MemoryDisk {
        let wakes = self.machines[index].end_process(&mut self.net, self.now);
        self.wake_all(wakes);
        let own = std::mem::replace(&mut self.machines[index].disk, disk);
        self.checks.wiped(index);
        self.start(index);
        own
    }

    fn duplicates_seen(&self) -> u64 {
        self.machines.iter().filter_map(|machine| machine.node.as_ref()).map(|node| node.duplicates_seen()).sum()
    }
}
