//! A disk in memory that can lose power, for tests and the simulator.
//!
//! Owns: [`MemoryDisk`]: what a program sees and what a crash would leave, kept apart; faults on order. Must not: be kinder than a real disk.
//! Contract: docs/nodes-conf.md, "What is assumed of the disk".
//!
//! A write is lost, kept, or torn by 512-byte sector (any subset of them, and any length in between) until `sync`; new names and renames are lost from
//! some point on until `sync_dir`. A failed `sync` drops what it was to bring to the disk: a later one that succeeds does not bring it back.

use super::disk::Disk;
use crate::rng::Rng;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What a disk writes in one piece.
pub const SECTOR: usize = 512;

/// A fault for one operation that changes the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It fails. Nothing happens, except that a failed sync drops the bytes that were not on disk yet.
    Fail,
    /// A write takes only this many bytes, at least one; other operations go through.
    Short(usize),
    /// The program dies in the middle of it: it may take effect or not, and nothing works any more before [`MemoryDisk::crash`] or [`MemoryDisk::kill`].
    Die,
}

/// What a crash did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CrashReport {
    /// Files of which un-synced bytes were lost altogether.
    pub lost_files: usize,
    /// Files of which some un-synced sectors were kept and others lost.
    pub torn_files: usize,
    /// Un-synced creations and renames that were lost.
    pub lost_names: usize,
}

/// A handle on a disk; clones share it and belong to one process. [`MemoryDisk::process`] gives another process on the same disk, [`MemoryDisk::fork`] a copy of the disk.
#[derive(Clone, Debug)]
pub struct MemoryDisk {
    image: Rc<RefCell<DiskImage>>,
    process: u64,
}

/// Everything that is on the disk or on its way there.
#[derive(Clone, Debug, Default)]
struct DiskImage {
    files: BTreeMap<u64, Contents>,
    files_made: u64,
    /// The names as programs see them.
    names: BTreeMap<PathBuf, u64>,
    /// The names that a crash certainly leaves.
    durable_names: BTreeMap<PathBuf, u64>,
    /// What makes `names` out of `durable_names`, in order.
    unsynced_names: Vec<Naming>,
    open: BTreeMap<(u64, PathBuf), u64>,
    locks: BTreeMap<PathBuf, u64>,
    processes: u64,
    /// By the number of the operation, counted from 1 over the disk's life.
    faults: BTreeMap<u64, Fault>,
    operations: u64,
    syncs: u64,
    dead: bool,
    durable_version: u64,
}

#[derive(Clone, Debug)]
enum Naming {
    Made { path: PathBuf, file: u64 },
    Renamed { from: PathBuf, to: PathBuf },
}

impl Naming {
    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Made { path, file } => {
                names.insert(path.clone(), *file);
            }
            Self::Renamed { from, to } => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
        }
    }

    fn directory(&self) -> Option<&Path> {
        match self {
            Self::Made { path, .. } => path.parent(),
            Self::Renamed { to, .. } => to.parent(),
        }
    }
}

/// A file's bytes. `live` and `durable` differ at most within the ranges of `unsynced`.
#[derive(Clone, Debug, Default)]
struct Contents {
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
    fn append(&mut self, bytes: &[u8]) {
        let start = self.live.len();
        self.live.extend_from_slice(bytes);
        self.unsynced.push(Unsynced { start, end: self.live.len(), dropped: false });
    }

    fn sync(&mut self) {
        for range in self.unsynced.iter().filter(|range| !range.dropped) {
            if self.durable.len() < range.end {
                self.durable.resize(range.end, 0);
            }
            self.durable[range.start..range.end].copy_from_slice(&self.live[range.start..range.end]);
        }
        self.unsynced.retain(|range| range.dropped);
    }

    fn drop_unsynced(&mut self) {
        for range in &mut self.unsynced {
            range.dropped = true;
        }
    }

    /// What a crash leaves.
    fn after_crash(&self, rng: &mut Rng, report: &mut CrashReport) -> Vec<u8> {
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

impl DiskImage {
    /// Counts an operation and says which fault it meets.
    fn operation(&mut self) -> io::Result<Option<Fault>> {
        if self.dead {
            return Err(io::Error::other("the program is dead"));
        }
        self.operations += 1;
        let fault = self.faults.remove(&self.operations);
        self.dead = fault == Some(Fault::Die);
        Ok(fault)
    }

    fn contents(&mut self, process: u64, path: &Path) -> io::Result<&mut Contents> {
        let file = self.open.get(&(process, path.to_owned())).ok_or_else(|| io::Error::new(ErrorKind::NotFound, "the file is not open"))?;
        Ok(self.files.entry(*file).or_default())
    }

    /// Drops the files that no name and no handle reaches.
    fn collect(&mut self) {
        let reached = |file: &u64| {
            self.names.values().chain(self.durable_names.values()).chain(self.open.values()).any(|used| used == file)
                || self.unsynced_names.iter().any(|naming| matches!(naming, Naming::Made { file: made, .. } if made == file))
        };
        let unreached: Vec<u64> = self.files.keys().filter(|file| !reached(file)).copied().collect();
        for file in unreached {
            self.files.remove(&file);
        }
    }

    fn name(&mut self, naming: Naming) {
        naming.apply(&mut self.names);
        self.unsynced_names.push(naming);
    }

    /// A machine without power: names are lost from some point on, un-synced bytes by sector.
    fn crash(&mut self, rng: &mut Rng) -> CrashReport {
        let mut report = CrashReport::default();
        let kept = rng.below(self.unsynced_names.len() as u64 + 1) as usize;
        report.lost_names = self.unsynced_names.len() - kept;
        for naming in self.unsynced_names.drain(..).take(kept) {
            naming.apply(&mut self.durable_names);
        }
        self.names = self.durable_names.clone();
        for contents in self.files.values_mut() {
            let bytes = contents.after_crash(rng, &mut report);
            *contents = Contents { live: bytes.clone(), durable: bytes, unsynced: Vec::new() };
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

/// The error of an operation that a fault hit.
fn injected() -> io::Error {
    io::Error::other("injected fault")
}

impl Default for MemoryDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryDisk {
    /// An empty disk, with one process on it.
    pub fn new() -> Self {
        Self { image: Rc::new(RefCell::new(DiskImage { processes: 1, ..DiskImage::default() })), process: 0 }
    }

    /// A disk on which these bytes safely stand under this name.
    pub fn with_file(path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) -> Self {
        let disk = Self::new();
        disk.put(path, bytes);
        disk
    }

    /// Puts a file onto the disk from outside, all of it durable.
    pub fn put(&self, path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) {
        let (path, bytes) = (path.into(), bytes.into());
        let image = &mut *self.image.borrow_mut();
        image.files_made += 1;
        image.files.insert(image.files_made, Contents { live: bytes.clone(), durable: bytes, unsynced: Vec::new() });
        image.names.insert(path.clone(), image.files_made);
        image.durable_names.insert(path, image.files_made);
        image.durable_version += 1;
    }

    /// Another process on the same disk: it has its own open files and competes for locks.
    pub fn process(&self) -> Self {
        let image = &mut *self.image.borrow_mut();
        image.processes += 1;
        Self { image: Rc::clone(&self.image), process: image.processes - 1 }
    }

    /// A copy of the whole disk as it is at this moment, what is on its way included.
    pub fn fork(&self) -> Self {
        Self { image: Rc::new(RefCell::new(self.image.borrow().clone())), process: self.process }
    }

    /// The power fails: afterwards the disk shows what a restarted machine would see, chosen by `rng`. Faults on order are forgotten.
    pub fn crash(&self, rng: &mut Rng) -> CrashReport {
        self.image.borrow_mut().crash(rng)
    }

    /// This handle's process is killed while the machine lives on: its files are closed and its locks free, and the next process reads all that was written, synced or not.
    pub fn kill(&self) {
        let image = &mut *self.image.borrow_mut();
        image.open.retain(|(process, _), _| *process != self.process);
        image.locks.retain(|_, process| *process != self.process);
        image.faults.clear();
        image.dead = false;
        image.collect();
    }

    /// Puts a fault on order for the `nth` operation from now (1 is the next) that changes something: create, open_append, write, sync, rename, sync_dir.
    pub fn inject(&self, nth: u64, fault: Fault) {
        let image = &mut *self.image.borrow_mut();
        image.faults.insert(image.operations + nth, fault);
    }

    /// How many changing operations there have been.
    pub fn operations(&self) -> u64 {
        self.image.borrow().operations
    }

    /// How many of them were syncs of a file's bytes that returned without error: the price that a turn pays.
    pub fn syncs(&self) -> u64 {
        self.image.borrow().syncs
    }

    /// The file as programs see it.
    pub fn live(&self, path: &Path) -> Option<Vec<u8>> {
        let image = self.image.borrow();
        image.names.get(path).and_then(|file| image.files.get(file)).map(|contents| contents.live.clone())
    }

    /// What would certainly be in this file after a crash right now: the bytes that are synced, of the file whose name is synced.
    pub fn durable(&self, path: &Path) -> Option<Vec<u8>> {
        let image = self.image.borrow();
        image.durable_names.get(path).and_then(|file| image.files.get(file)).map(|contents| contents.durable.clone())
    }

    /// Grows whenever [`MemoryDisk::durable`] may answer otherwise than before, so that a checker need not read again what has not changed.
    pub fn durable_version(&self) -> u64 {
        self.image.borrow().durable_version
    }
}

impl Disk for MemoryDisk {
    fn read(&mut self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        Ok(self.live(path))
    }

    fn create(&mut self, path: &Path) -> io::Result<()> {
        let image = &mut *self.image.borrow_mut();
        let fault = image.operation()?;
        if fault != Some(Fault::Fail) {
            image.files_made += 1;
            let file = image.files_made;
            image.files.insert(file, Contents::default());
            image.name(Naming::Made { path: path.to_owned(), file });
            image.open.insert((self.process, path.to_owned()), file);
        }
        done(fault)
    }

    fn open_append(&mut self, path: &Path) -> io::Result<()> {
        let image = &mut *self.image.borrow_mut();
        let fault = image.operation()?;
        let file = *image.names.get(path).ok_or_else(|| io::Error::from(ErrorKind::NotFound))?;
        image.open.insert((self.process, path.to_owned()), file);
        done(fault)
    }

    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<usize> {
        let image = &mut *self.image.borrow_mut();
        let fault = image.operation()?;
        let taken = match fault {
            Some(Fault::Fail) => return Err(injected()),
            Some(Fault::Short(limit)) => bytes.len().min(limit.max(1)),
            _ => bytes.len(),
        };
        image.contents(self.process, path)?.append(&bytes[..taken]);
        done(fault).map(|()| taken)
    }

    fn sync(&mut self, path: &Path) -> io::Result<()> {
        let image = &mut *self.image.borrow_mut();
        let fault = image.operation()?;
        let contents = image.contents(self.process, path)?;
        match fault {
            Some(Fault::Fail) => contents.drop_unsynced(),
            // How far it got is for the crash to choose.
            Some(Fault::Die) => {}
            _ => {
                contents.sync();
                image.syncs += 1;
                image.durable_version += 1;
            }
        }
        done(fault)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let image = &mut *self.image.borrow_mut();
        let fault = image.operation()?;
        image.open.remove(&(self.process, from.to_owned()));
        image.open.remove(&(self.process, to.to_owned()));
        if !image.names.contains_key(from) {
            return Err(ErrorKind::NotFound.into());
        }
        if fault != Some(Fault::Fail) {
            image.name(Naming::Renamed { from: from.to_owned(), to: to.to_owned() });
        }
        done(fault)
    }

    fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let image = &mut *self.image.borrow_mut();
        let fault = image.operation()?;
        if !matches!(fault, Some(Fault::Fail | Fault::Die)) {
            let (here, elsewhere) = image.unsynced_names.drain(..).partition(|naming| naming.directory() == path.parent());
            image.unsynced_names = elsewhere;
            for naming in Vec::<Naming>::into_iter(here) {
                naming.apply(&mut image.durable_names);
            }
            image.durable_version += 1;
            image.collect();
        }
        done(fault)
    }

    fn lock(&mut self, path: &Path) -> io::Result<bool> {
        let image = &mut *self.image.borrow_mut();
        let holder = *image.locks.entry(path.to_owned()).or_insert(self.process);
        Ok(holder == self.process)
    }
}

/// What the caller of an operation hears of its fault.
fn done(fault: Option<Fault>) -> io::Result<()> {
    match fault {
        Some(Fault::Fail | Fault::Die) => Err(injected()),
        Some(Fault::Short(_)) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "dir/file";
    const TEMP: &str = "dir/file.tmp";

    fn path(text: &str) -> &Path {
        Path::new(text)
    }

    /// A file of `durable` synced bytes `a`, then `unsynced` bytes `b`.
    fn disk_with(durable: usize, unsynced: usize) -> MemoryDisk {
        let mut disk = MemoryDisk::with_file(FILE, vec![b'a'; durable]);
        disk.open_append(path(FILE)).unwrap();
        disk.write(path(FILE), &vec![b'b'; unsynced]).unwrap();
        disk
    }

    #[test]
    fn unsynced_bytes_are_lost_kept_or_torn_by_sector_and_synced_ones_never() {
        let mut rng = Rng::new(1);
        let (mut lost, mut kept, mut torn) = (0, 0, 0);
        for _ in 0..200 {
            let disk = disk_with(700, 2000);
            assert_eq!(disk.durable(path(FILE)).unwrap().len(), 700);
            disk.crash(&mut rng);
            let bytes = disk.live(path(FILE)).unwrap();
            assert!(bytes.len() >= 700 && bytes[..700].iter().all(|byte| *byte == b'a'));
            for sector in bytes[700..].chunk_by(|a, b| a == b) {
                assert!(sector[0] == 0 || sector[0] == b'b');
            }
            match bytes.len() {
                700 => lost += 1,
                2700 if !bytes.contains(&0) => kept += 1,
                _ => torn += 1,
            }
        }
        assert!(lost > 10 && kept > 10 && torn > 10, "{lost} {kept} {torn}");
    }

    #[test]
    fn a_torn_file_changes_at_sector_bounds_only() {
        let mut rng = Rng::new(2);
        for _ in 0..200 {
            let disk = disk_with(100, 5000);
            disk.crash(&mut rng);
            let bytes = disk.live(path(FILE)).unwrap();
            let changes = (101..bytes.len()).filter(|at| bytes[*at] != bytes[at - 1]);
            assert!(changes.into_iter().all(|at| at % SECTOR == 0));
        }
    }

    #[test]
    fn a_sync_is_for_ever_unless_it_failed() {
        let mut disk = disk_with(10, 10);
        disk.inject(1, Fault::Fail);
        assert!(disk.sync(path(FILE)).is_err());
        disk.write(path(FILE), b"c").unwrap();
        disk.sync(path(FILE)).unwrap();
        // The bytes of the failed sync are gone though a later one succeeded.
        assert_eq!(disk.durable(path(FILE)).unwrap(), [&[b'a'; 10][..], &[0; 10], b"c"].concat());
        assert_eq!(disk.live(path(FILE)).unwrap(), [&[b'a'; 10][..], &[b'b'; 10], b"c"].concat());
    }

    #[test]
    fn names_are_lost_in_order_until_the_directory_is_synced() {
        let mut rng = Rng::new(3);
        let mut seen = BTreeMap::new();
        for _ in 0..100 {
            let mut disk = MemoryDisk::with_file(FILE, "old");
            disk.create(path(TEMP)).unwrap();
            disk.write(path(TEMP), b"new").unwrap();
            disk.sync(path(TEMP)).unwrap();
            disk.rename(path(TEMP), path(FILE)).unwrap();
            assert_eq!(disk.live(path(FILE)).unwrap(), b"new");
            assert_eq!(disk.durable(path(FILE)).unwrap(), b"old");
            let synced = disk.fork();
            synced.clone().sync_dir(path(FILE)).unwrap();
            synced.crash(&mut rng);
            assert_eq!(synced.live(path(FILE)).unwrap(), b"new");
            disk.crash(&mut rng);
            *seen.entry((disk.live(path(FILE)), disk.live(path(TEMP)))).or_insert(0) += 1;
        }
        let (old, new) = (Some(b"old".to_vec()), Some(b"new".to_vec()));
        assert_eq!(seen.keys().cloned().collect::<Vec<_>>(), [(new.clone(), None), (old.clone(), None), (old, new)]);
    }

    #[test]
    fn faults_hit_the_operation_that_they_were_ordered_for() {
        let mut disk = MemoryDisk::with_file(FILE, "");
        disk.inject(2, Fault::Short(2));
        disk.inject(4, Fault::Die);
        disk.open_append(path(FILE)).unwrap();
        assert_eq!(disk.write(path(FILE), b"abcd").unwrap(), 2);
        assert_eq!(disk.write(path(FILE), b"cd").unwrap(), 2);
        assert!(disk.sync(path(FILE)).is_err());
        assert!(disk.sync(path(FILE)).is_err(), "the dead write nothing");
        assert_eq!(disk.durable(path(FILE)).unwrap(), b"");
        disk.kill();
        assert_eq!(disk.read(path(FILE)).unwrap().unwrap(), b"abcd");
    }

    #[test]
    fn a_lock_is_held_by_one_process_until_it_dies() {
        let mut first = MemoryDisk::new();
        let mut second = first.process();
        assert!(first.lock(path("l")).unwrap() && first.clone().lock(path("l")).unwrap());
        assert!(!second.lock(path("l")).unwrap());
        first.kill();
        assert!(second.lock(path("l")).unwrap());
        first.crash(&mut Rng::new(0));
        assert!(first.lock(path("l")).unwrap());
    }

    #[test]
    fn the_durable_version_moves_with_the_durable_bytes() {
        let mut disk = disk_with(1, 1);
        let before = disk.durable_version();
        disk.write(path(FILE), b"x").unwrap();
        assert_eq!(disk.durable_version(), before);
        disk.sync(path(FILE)).unwrap();
        assert!(disk.durable_version() > before);
    }
}
