//! One file's bytes on a disk that can lose power.
//!
//! Owns: what is synced and what is not, and what a crash makes of it. Must not: know names (memory does).

use super::{CrashReport, SECTOR};
use crate::rng::Rng;

/// A file's bytes. `live` and `durable` differ at most within the ranges of `unsynced`.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    live: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Unsynced>,
}

#[derive(Clone, Copy, Debug)]
struct Unsynced {
    start: usize,
    end: usize,
    /// A sync failed on it: no later sync brings it to the disk, though a crash may show that it got there.
    dropped: bool,
}

impl Contents {
    /// Bytes that are all on the disk.
    pub(super) fn durable(bytes: Vec<u8>) -> Self {
        Self { live: bytes.clone(), durable: bytes, unsynced: Vec::new() }
    }

    /// What programs see.
    pub(super) fn live(&self) -> &[u8] {
        &self.live
    }

    /// What certainly survives.
    pub(super) fn synced(&self) -> &[u8] {
        &self.durable
    }

    /// A write at the end.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        let start = self.live.len();
        self.live.extend_from_slice(bytes);
        self.unsynced.push(Unsynced { start, end: self.live.len(), dropped: false });
    }

    /// Brings every write to the disk that no failed sync has dropped.
    pub(super) fn sync(&mut self) {
        for range in self.unsynced.iter().filter(|range| !range.dropped) {
            if self.durable.len() < range.end {
                self.durable.resize(range.end, 0);
            }
            self.durable[range.start..range.end].copy_from_slice(&self.live[range.start..range.end]);
        }
        self.unsynced.retain(|range| range.dropped);
    }

    /// A sync failed.
    pub(super) fn drop_unsynced(&mut self) {
        for range in &mut self.unsynced {
            range.dropped = true;
        }
    }

    /// What a crash leaves.
    pub(super) fn after_crash(&self, rng: &mut Rng, report: &mut CrashReport) -> Vec<u8> {
        if self.unsynced.is_empty() {
            return self.durable.clone();
        }
        match rng.below(4) {
            0 => {
                report.lost_files += 1;
                self.durable.clone()
            }
            1 => self.live.clone(),
            _ => {
                report.torn_files += 1;
                self.torn(rng)
            }
        }
    }

    /// Any length that the file had or could have had, and in every sector the writes up to any one of them.
    fn torn(&self, rng: &mut Rng) -> Vec<u8> {
        let longest = self.live.len().max(self.durable.len());
        let length = match rng.below(3) {
            0 => longest,
            1 => rng.between(self.durable.len() as u64, longest as u64 + 1) as usize,
            _ => self.write_end(rng).max(self.durable.len()),
        };
        let mut bytes = self.durable.clone();
        bytes.resize(length, 0);
        for sector in (0..length).step_by(SECTOR) {
            let kept = rng.below(self.unsynced.len() as u64 + 1) as usize;
            for range in &self.unsynced[..kept] {
                let (start, end) = (range.start.max(sector), range.end.min(sector + SECTOR).min(length));
                if start < end {
                    bytes[start..end].copy_from_slice(&self.live[start..end]);
                }
            }
        }
        bytes
    }

    fn write_end(&self, rng: &mut Rng) -> usize {
        self.unsynced.get(rng.below(self.unsynced.len() as u64) as usize).map_or(0, |range| range.end)
    }
}
