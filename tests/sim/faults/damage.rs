//! Files of a process that is down: bytes of nodes.conf are damaged, or two machines' files of keys are swapped.
//!
//! Bytes of nodes.conf that were safely on disk change between two lives of a process.
//!
//! What follows is tried on the spot, by a process that says nothing to anybody: it must refuse the file, or cut off what is no entry, and
//! never know less than was promised. Then an operator has put the file right. Left alone is what no checksum can see (docs/nodes-conf.md):
//! entries behind the last `synced` line.

use crate::sim::checks::durable::Durable;
use crate::sim::machine::Machine;
use crate::sim::trace::note;
use crate::sim::world::World;
use std::path::Path;

impl World {
    /// A process is killed, and its file damaged.
    pub(super) fn damage(&mut self, index: usize) {
        self.kill(index);
        let machine = &self.machines[index];
        let file = machine.file();
        let Some(whole) =
            machine.disk.live(&file).filter(|bytes| machine.node.is_none() && machine.disk.durable(&file).as_ref() == Some(bytes))
        else {
            return;
        };
        let Some(damaged) = self.spoil(&whole) else { return };
        let machine = &self.machines[index];
        let mut promised = Durable::default();
        promised.refresh(&machine.disk, &file);
        machine.disk.put(&file, damaged);
        self.stats.damaged_files += 1;
        let seed = self.faults.rng.next_u64();
        match self.machines[index].try_start(self.net.hosts.port(index), self.now, seed) {
            Err(error) => {
                note!("m{index} refuses a damaged file: {error}");
                self.stats.damage_refused += 1;
            }
            Ok(node) => {
                let raft = node.raft();
                assert_eq!(promised.id, Some(raft.id()), "who starts from a damaged file is who it was");
                assert_eq!(
                    promised.cluster,
                    Some(node.state().cluster_id()),
                    "who starts from a damaged file is in the cluster where it was"
                );
                let hard = raft.hard();
                let knows_vote = hard.term > promised.term || hard.voted_for == promised.voted_for;
                assert!(knows_vote, "who starts from a damaged file knows its vote");
                assert!(raft.term() >= promised.term, "who starts from a damaged file knows its term");
                assert!(raft.log().last_index() >= promised.last_index(), "who starts from a damaged file has its log");
                self.stats.damage_cut_off += 1;
            }
        }
        self.restore(index, whole);
    }

    /// The files of keys of two machines are swapped while both are down.
    pub(super) fn swap_files(&mut self, index: usize) {
        let other = self.faults.rng.below(self.machines.len() as u64) as usize;
        self.kill(index);
        self.kill(other);
        let path = Path::new("dump.rdb");
        let file = |index: usize| self.machines[index].disk.live(path).filter(|_| self.machines[index].node.is_none());
        if let (Some(one), Some(two), false) = (file(index), file(other), index == other) {
            note!("m{index} and m{other} have each other's keys");
            self.machines[index].disk.put(path, two);
            self.machines[other].disk.put(path, one);
            self.checks.lost_keys(index);
            self.checks.lost_keys(other);
            self.stats.files_swapped += 1;
        }
    }

    /// What was kept of other shards' keys.
    pub(super) fn count_foreign_files(&mut self) {
        let is_foreign = |path: &Path| path.to_str().is_some_and(|name| name.starts_with("dump.rdb.foreign."));
        let names = self.machines.iter().flat_map(|machine| machine.disk.names());
        self.stats.foreign_files_kept += names.filter(|path| is_foreign(path)).count() as u64;
    }

    /// Up to a sector before the last line that says what is on disk, or a byte in it if nothing follows. None without such a line.
    fn spoil(&mut self, whole: &[u8]) -> Option<Vec<u8>> {
        let last = whole.windows(8).rposition(|window| window == b"\nsynced ")? + 1;
        let is_end = whole[last..].iter().position(|byte| *byte == b'\n') == Some(whole.len() - 1 - last);
        let rng = &mut self.faults.rng;
        let in_last = is_end && rng.one_in(4);
        let (at, most) = if in_last { (rng.between(last as u64, whole.len() as u64), 1) } else { (rng.below(last as u64), 512) };
        let at = at as usize;
        let length = if rng.one_in(2) { 1 } else { rng.between(1, most + 1) as usize }.min(last.max(at + 1) - at);
        let mut damaged = whole.to_vec();
        for byte in &mut damaged[at..at + length] {
            *byte ^= rng.between(1, 256) as u8;
        }
        Some(damaged)
    }

    fn restore(&mut self, index: usize, whole: Vec<u8>) {
        let machine: &Machine = &self.machines[index];
        machine.disk.put(machine.file(), whole);
    }
}
