//! What is on the disk in memory, and what is on its way there.
//!
//! Owns: files, names as programs see them and as a crash leaves them, faults on order. Must not: know who asks (the handle does).

use super::contents::Contents;
use super::{CrashReport, Fault, Room};
use crate::rng::Rng;
use crate::types::Millis;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything that is on the disk or on its way there.
#[derive(Clone, Debug, Default)]
pub(super) struct DiskImage {
    pub files: BTreeMap<u64, Contents>,
    pub files_made: u64,
    /// The names as programs see them.
    pub names: BTreeMap<PathBuf, u64>,
    /// The names that a crash certainly leaves.
    pub durable_names: BTreeMap<PathBuf, u64>,
    /// What makes `names` out of `durable_names`, in order.
    pub unsynced_names: Vec<Naming>,
    pub open: BTreeMap<(u64, PathBuf), u64>,
    pub locks: BTreeMap<PathBuf, u64>,
    pub processes: u64,
    /// By the number of the operation, counted from 1 over the disk's life.
    pub faults: BTreeMap<u64, Fault>,
    pub operations: u64,
    pub syncs: u64,
    /// Of files beside nodes.conf.
    pub syncs_beside: u64,
    pub dead: bool,
    pub durable_version: u64,
    /// What a sync of nodes.conf takes (ms), and what all of them have taken.
    pub sync_takes: Millis,
    pub waited: Millis,
    /// None: without bounds.
    pub room: Option<Room>,
}

#[derive(Clone, Debug)]
pub(super) enum Naming {
    Made { path: PathBuf, file: u64 },
    Renamed { from: PathBuf, to: PathBuf },
    Removed { path: PathBuf },
}

impl Naming {
    pub fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Made { path, file } => {
                names.insert(path.clone(), *file);
            }
            Self::Renamed { from, to } => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Self::Removed { path } => {
                names.remove(path);
            }
        }
    }

    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::Made { path, .. } | Self::Removed { path } => path.parent(),
            Self::Renamed { to, .. } => to.parent(),
        }
    }
}

impl DiskImage {
    /// Counts an operation and says which fault it meets.
    pub fn operation(&mut self) -> io::Result<Option<Fault>> {
        if self.dead {
            return Err(io::Error::other("the program is dead"));
        }
        self.operations += 1;
        let fault = self.faults.remove(&self.operations);
        self.dead = fault == Some(Fault::Die);
        Ok(fault)
    }

    pub fn contents(&mut self, process: u64, path: &Path) -> io::Result<&mut Contents> {
        let file = self.open.get(&(process, path.to_owned())).ok_or_else(|| io::Error::new(ErrorKind::NotFound, "the file is not open"))?;
        Ok(self.files.entry(*file).or_default())
    }

    /// How long a sync takes; that of a file beside nodes.conf nothing.
    pub fn wait(&mut self, beside: bool) -> Duration {
        let takes = if beside { 0 } else { self.sync_takes };
        self.waited += takes;
        Duration::from_millis(takes)
    }

    /// Drops the files that no name and no handle reaches.
    pub fn collect(&mut self) {
        let reached = |file: &u64| {
            self.names.values().chain(self.durable_names.values()).chain(self.open.values()).any(|used| used == file)
                || self.unsynced_names.iter().any(|naming| matches!(naming, Naming::Made { file: made, .. } if made == file))
        };
        let unreached: Vec<u64> = self.files.keys().filter(|file| !reached(file)).copied().collect();
        for file in unreached {
            self.files.remove(&file);
        }
    }

    pub fn name(&mut self, naming: Naming) {
        naming.apply(&mut self.names);
        self.unsynced_names.push(naming);
    }

    /// A machine without power: names are lost from some point on, un-synced bytes by sector.
    pub fn crash(&mut self, rng: &mut Rng) -> CrashReport {
        let mut report = CrashReport::default();
        let kept = rng.below(self.unsynced_names.len() as u64 + 1) as usize;
        report.lost_names = self.unsynced_names.len() - kept;
        for naming in self.unsynced_names.drain(..).take(kept) {
            naming.apply(&mut self.durable_names);
        }
        self.names = self.durable_names.clone();
        for contents in self.files.values_mut() {
            let bytes = contents.after_crash(rng, &mut report);
            *contents = Contents::durable(bytes);
        }
        self.open.clear();
        self.locks.clear();
        self.faults.clear();
        self.dead = false;
        self.durable_version += 1;
        self.collect();
        report
    }
}
