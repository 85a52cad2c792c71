//! Durability: nodes.conf, the one file of a node's cluster identity and Raft state.
//!
//! Owns: the file on its [`Disk`], when to append and when to rewrite, and the [`Persisted`] receipts that prove it. Must not: decide what
//! is to be remembered (the node does), or try anything again after an error. Contract: docs/nodes-conf.md.
//!
//! `disk` is the real disk, `memory` one for tests; `nodes_conf` is the whole file as text, of which `record` is one line of the tail,
//! `tail` the tail with its torn-append rule, `standing` a joiner's lines; `check` reports on a file; `receipt` is the proof, `error` the
//! words for people, `sync_times` what the disk's syncs took; `replacement` is a file beside nodes.conf that replaces another.

pub mod check;
pub mod disk;
pub mod error;
pub mod memory;
pub mod nodes_conf;
mod receipt;
mod record;
mod replacement;
#[cfg(test)]
mod scene;
mod standing;
mod sync_times;
mod tail;
#[cfg(test)]
mod tests;

pub use disk::{Disk, RealDisk, Room};
pub use error::{Damage, DiskError, LoadError, Problem};
pub use memory::MemoryDisk;
pub use nodes_conf::Image;
pub use receipt::Persisted;
pub use replacement::Replacement;
pub use standing::{Fallback, Joiner, Sponsor, Standing};
pub use sync_times::SyncTimes;
pub use tail::{Cut, Tail};

use crate::cluster::{Change, State};
use crate::raft::{Durable, HardState, Log};
use crate::types::{ClusterId, NodeId, Term};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// As many entries are appended to a file before it is rewritten.
pub const MAX_APPENDED: usize = 100;

/// What a node begins with.
#[derive(Clone, PartialEq, Debug)]
pub struct Loaded {
    /// Who it is.
    pub me: NodeId,
    /// Its count of loads, this one included: not on disk before the first [`Store::persist`].
    pub incarnation: u64,
    /// Term and vote.
    pub hard: HardState,
    /// The state as of the last rewrite.
    pub state: State,
    /// The entries after it; which of them are committed the leader will say.
    pub log: Log<Change>,
    /// How it stands to the state's cluster.
    pub standing: Standing,
    /// How many bytes of a torn last append were cut off; no one was ever promised what they said.
    pub cut_bytes: usize,
}

/// The file of one node.
///
/// Call [`Store::persist`] at most once a turn, before anything leaves that promises durability; after an error let nothing leave and end
/// the process.
#[derive(Debug)]
pub struct Store<D> {
    disk: D,
    path: PathBuf,
    temp: PathBuf,
    /// What is certainly on disk; nothing before the first rewrite of this process, whatever was read.
    on_disk: Durable,
    /// The term of the entry at `on_disk`'s last index: with the index it names the whole log up to there.
    on_disk_term: Term,
    /// What else the file says; none before the first rewrite of this process.
    rest_on_disk: Option<Rest>,
    /// Entries appended since the last rewrite, at most [`MAX_APPENDED`].
    appended: usize,
    /// An append is the last thing in the file: nothing in it says yet that it came to its end.
    synced_line_due: bool,
    /// An operation failed: nothing is tried again.
    failed: bool,
    /// All appends of entries.
    appends: u64,
    rewrites: u64,
}

/// What a store has done since its process started.
#[derive(Clone, Copy, Debug)]
pub struct Work<'a> {
    /// Appends of new entries to the file; a `synced` line of its own is not counted.
    pub appends: u64,
    /// Rewrites of the whole file.
    pub rewrites: u64,
    /// The disk's syncs, of bytes and of names.
    pub syncs: &'a SyncTimes,
}

/// What a file says besides its entries, as far as forgetting it would break a promise: a rewrite alone can change it.
#[derive(Clone, PartialEq, Debug)]
struct Rest {
    me: NodeId,
    incarnation: u64,
    hard: HardState,
    cluster: ClusterId,
    standing: Standing,
}

impl Rest {
    fn of(image: &Image<'_>) -> Self {
        let &Image { me, incarnation, hard, state, standing, .. } = image;
        Self { me, incarnation, hard, cluster: state.cluster_id(), standing: standing.clone() }
    }

    fn says(&self, image: &Image<'_>) -> bool {
        (self.me, self.incarnation, self.hard, self.cluster) == (image.me, image.incarnation, image.hard, image.state.cluster_id())
            && self.standing == *image.standing
    }
}

/// `path` with `suffix` after its last character.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

impl<D: Disk> Store<D> {
    /// Locks and reads the file; no [`Loaded`] if there is none: a fresh node. Nothing is written before the first [`Store::persist`],
    /// which rewrites the file.
    /// A symbolic link is followed first: the file that it means is the one that is locked, and replaced by a rewrite.
    pub fn open(mut disk: D, path: PathBuf) -> Result<(Self, Option<Loaded>), LoadError> {
        let path = match disk.resolve(&path) {
            Ok(path) => path,
            Err(source) => return Err(DiskError { operation: "following its links", path, source }.into()),
        };
        let lock = beside(&path, ".lock");
        match disk.lock(&lock) {
            Ok(true) => {}
            Ok(false) => return Err(LoadError::Locked { path, lock }),
            Err(source) => return Err(DiskError { operation: "locking", path: lock, source }.into()),
        }
        let bytes = disk.read(&path).map_err(|source| DiskError { operation: "reading", path: path.clone(), source })?;
        let loaded = match bytes.map(|bytes| load(&bytes)).transpose() {
            Ok(loaded) => loaded,
            Err(damage) => return Err(LoadError::Damaged { path, damage }),
        };
        Ok((Self::new(disk, path), loaded))
    }

    fn new(disk: D, path: PathBuf) -> Self {
        let temp = beside(&path, ".tmp");
        Self {
            disk,
            path,
            temp,
            on_disk: Durable::default(),
            on_disk_term: 0,
            rest_on_disk: None,
            appended: 0,
            synced_line_due: false,
            failed: false,
            appends: 0,
            rewrites: 0,
        }
    }

    /// The one durable operation of a turn: a rewrite if `full` or if an append cannot say what changed, else an append of the new entries,
    /// else nothing.
    /// Term, vote, identity, standing and truncation are noticed here; what else needs a rewrite (docs/nodes-conf.md, "Writing") the caller
    /// flags by `full`.
    pub fn persist(&mut self, image: &Image<'_>, full: bool) -> Result<Persisted, DiskError> {
        let new_entries = image.log.last_index().saturating_sub(self.on_disk.last_index);
        if full || !self.can_append(image) || self.appended as u64 + new_entries > MAX_APPENDED as u64 {
            self.rewrite(image)?;
        } else if new_entries > 0 {
            self.append(image)?;
            self.appended += new_entries as usize;
        }
        Ok(Persisted::new(self.on_disk))
    }

    /// Whether the file with the new entries behind it would say what `image` says.
    fn can_append(&self, image: &Image<'_>) -> bool {
        // Index and term name a log up to there (Log Matching, §5.3): a truncation that was filled up again shows here.
        let same_log = image.log.term_at(self.on_disk.last_index) == Some(self.on_disk_term);
        same_log && self.rest_on_disk.as_ref().is_some_and(|rest| rest.says(image))
    }

    fn rewrite(&mut self, image: &Image<'_>) -> Result<(), DiskError> {
        let text = nodes_conf::write(image);
        let (path, temp) = (self.path.clone(), self.temp.clone());
        self.run("creating", &temp, |disk| disk.create(&temp))?;
        self.write_and_sync(&temp, text.as_bytes())?;
        self.run("renaming", &temp, |disk| disk.rename(&temp, &path))?;
        self.run("syncing its directory", &path, |disk| disk.sync_dir(&path))?;
        self.run("opening", &path, |disk| disk.open_append(&path))?;
        self.rest_on_disk = Some(Rest::of(image));
        self.appended = 0;
        self.rewrites += 1;
        self.synced_line_due = false;
        self.now_on_disk(image);
        Ok(())
    }

    fn append(&mut self, image: &Image<'_>) -> Result<(), DiskError> {
        assert!(image.log.last_term() <= image.hard.term, "no entry is of a term above the current one");
        let mut text = String::new();
        tail::write_synced(self.on_disk.last_index, &mut text);
        tail::write_entries(image.log, self.on_disk.last_index, &mut text);
        let path = self.path.clone();
        self.write_and_sync(&path, text.as_bytes())?;
        self.appends += 1;
        self.synced_line_due = true;
        self.now_on_disk(image);
        Ok(())
    }

    fn now_on_disk(&mut self, image: &Image<'_>) {
        let HardState { term, voted_for } = image.hard;
        self.on_disk = Durable { term, voted_for, last_index: image.log.last_index() };
        self.on_disk_term = image.log.last_term();
    }

    /// Keeps the file as it is beside itself, under its name and this suffix. An earlier copy of that name is replaced.
    pub fn keep_copy(&mut self, suffix: &str) -> Result<(), DiskError> {
        let path = self.path.clone();
        let mut copy = path.clone().into_os_string();
        copy.push(".");
        copy.push(suffix);
        let copy = PathBuf::from(copy);
        let bytes = self.run("reading", &path, |disk| disk.read(&path))?.unwrap_or_default();
        self.run("creating", &copy, |disk| disk.create(&copy))?;
        self.write_and_sync(&copy, &bytes)?;
        self.run("syncing its directory", &copy, |disk| disk.sync_dir(&copy))?;
        // Only one file is open for appends: the next write is a whole new one.
        self.rest_on_disk = None;
        Ok(())
    }

    /// Whether an append is the last thing in the file: after a second without another, [`Store::idle_synced`] is due \[N28 synced-line\].
    pub fn needs_synced_line(&self) -> bool {
        self.synced_line_due
    }

    /// Says in the file that its last append came to its end, so that later damage there is not taken for a torn write. A durable operation
    /// of its own.
    pub fn idle_synced(&mut self) -> Result<(), DiskError> {
        if self.synced_line_due {
            let mut text = String::new();
            tail::write_synced(self.on_disk.last_index, &mut text);
            let path = self.path.clone();
            self.write_and_sync(&path, text.as_bytes())?;
            self.synced_line_due = false;
        }
        Ok(())
    }

    /// What this process has brought to the disk so far.
    pub fn last_persisted(&self) -> Durable {
        self.on_disk
    }

    /// What it has done so far.
    pub fn work(&self) -> Work<'_> {
        Work { appends: self.appends, rewrites: self.rewrites, syncs: self.disk.sync_times() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The disk, for what else the node keeps there ([`Disk::beside`]).
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// Writes everything (a short write is continued) and syncs it, once.
    fn write_and_sync(&mut self, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = self.run("writing", path, |disk| match disk.write(path, rest)? {
                0 => Err(ErrorKind::WriteZero.into()),
                taken => Ok(taken),
            })?;
            rest = rest.get(taken..).unwrap_or_default();
        }
        self.run("syncing", path, |disk| disk.sync(path))
    }

    /// Runs one operation; after the first error no other is.
    fn run<T>(&mut self, operation: &'static str, path: &Path, step: impl FnOnce(&mut D) -> io::Result<T>) -> Result<T, DiskError> {
        let result = if self.failed { Err(io::Error::other("an earlier operation failed")) } else { step(&mut self.disk) };
        self.failed |= result.is_err();
        result.map_err(|source| DiskError { operation, path: path.to_owned(), source })
    }
}

/// Reads a file and counts the load.
fn load(bytes: &[u8]) -> Result<Loaded, Damage> {
    let contents = nodes_conf::read(bytes)?;
    if let Some(cut) = &contents.tail.cut {
        log::warn!("nodes.conf: cut {} bytes of an append that never finished, from line {} (byte {}) on", cut.bytes, cut.line, cut.offset);
    }
    let own = contents.own;
    Ok(Loaded {
        me: own.me,
        incarnation: own.incarnation + 1,
        hard: HardState { term: own.term, voted_for: own.voted_for },
        state: contents.state,
        log: contents.tail.log,
        standing: contents.standing,
        cut_bytes: contents.tail.cut.map_or(0, |cut| cut.bytes),
    })
}
