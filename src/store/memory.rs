//! A disk in memory that can lose power, for tests and the simulator.
//!
//! Owns: [`MemoryDisk`]: what a program sees and what a crash would leave, kept apart; faults on order. Must not: be kinder than a real
//! disk.
//! Contract: docs/nodes-conf.md, "What is assumed of the disk".
//!
//! A write is lost, kept, or torn by 512-byte sector (any subset of them, and any length in between) until `sync`; new names and renames
//! are lost from some point on until `sync_dir`. A failed `sync` drops what it was to bring to the disk: a later one that succeeds does not
//! bring it back.

mod contents;
mod image;

use super::disk::{Disk, MAX_FILE_BYTES, Room};
use super::sync_times::SyncTimes;
use crate::rng::Rng;
use crate::types::Millis;
use contents::Contents;
use image::{DiskImage, Naming};
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
    /// The program dies in the middle of it: it may take effect or not, and nothing works any more before [`MemoryDisk::crash`] or
    /// [`MemoryDisk::kill`].
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

/// A handle on a disk; clones share it and belong to one process. [`MemoryDisk::process`] gives another process on the same disk,
/// [`MemoryDisk::fork`] a copy of the disk.
#[derive(Clone, Debug)]
pub struct MemoryDisk {
    image: Rc<RefCell<DiskImage>>,
    process: u64,
    /// Of the syncs that went through this handle.
    sync_times: SyncTimes,
    /// It is not for nodes.conf.
    beside: bool,
    /// Files open for reading, and how far they were read.
    reading: BTreeMap<PathBuf, (u64, usize)>,
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
        Self::over(DiskImage { processes: 1, ..DiskImage::default() }, 0)
    }

    fn over(image: DiskImage, process: u64) -> Self {
        Self::of(Rc::new(RefCell::new(image)), process)
    }

    fn of(image: Rc<RefCell<DiskImage>>, process: u64) -> Self {
        Self { image, process, sync_times: SyncTimes::default(), beside: false, reading: BTreeMap::new() }
    }

    /// A disk on which these bytes safely stand under this name.
    pub fn with_file(path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) -> Self {
        let disk = Self::new();
        disk.put(path, bytes);
        disk
    }

    /// The volume is so full from now on. Nothing that is written changes it.
    pub fn set_room(&self, room: Room) {
        self.image.borrow_mut().room = Some(room);
    }

    /// Puts a file onto the disk from outside, all of it durable.
    pub fn put(&self, path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) {
        let (path, bytes) = (path.into(), bytes.into());
        let image = &mut *self.image.borrow_mut();
        image.files_made += 1;
        image.files.insert(image.files_made, Contents::durable(bytes));
        image.names.insert(path.clone(), image.files_made);
        image.durable_names.insert(path, image.files_made);
        image.durable_version += 1;
    }

    /// Another process on the same disk: it has its own open files and competes for locks.
    pub fn process(&self) -> Self {
        let image = &mut *self.image.borrow_mut();
        image.processes += 1;
        Self::of(Rc::clone(&self.image), image.processes - 1)
    }

    /// A copy of the whole disk as it is at this moment, what is on its way included.
    pub fn fork(&self) -> Self {
        Self::over(self.image.borrow().clone(), self.process)
    }

    /// The power fails: afterwards the disk shows what a restarted machine would see, chosen by `rng`. Faults on order are forgotten.
    pub fn crash(&self, rng: &mut Rng) -> CrashReport {
        self.image.borrow_mut().crash(rng)
    }

    /// This handle's process is killed while the machine lives on: its files are closed and its locks free, and the next process reads all
    /// that was written, synced or not.
    pub fn kill(&self) {
        let image = &mut *self.image.borrow_mut();
        image.open.retain(|(process, _), _| *process != self.process);
        image.locks.retain(|_, process| *process != self.process);
        image.faults.clear();
        image.dead = false;
        image.collect();
    }

    /// Puts a fault on order for the `nth` operation from now (1 is the next) that changes something: create, open_append, write, sync,
    /// rename, sync_dir.
    pub fn inject(&self, nth: u64, fault: Fault) {
        let image = &mut *self.image.borrow_mut();
        image.faults.insert(image.operations + nth, fault);
    }

    /// Whether the program is dead, by [`Fault::Die`].
    pub fn is_dead(&self) -> bool {
        self.image.borrow().dead
    }

    /// How many changing operations there have been.
    pub fn operations(&self) -> u64 {
        self.image.borrow().operations
    }

    /// How many of them were syncs of nodes.conf's bytes that returned without error: the price that a turn pays.
    pub fn syncs(&self) -> u64 {
        self.image.borrow().syncs
    }

    /// As [`MemoryDisk::syncs`], of other files.
    pub fn syncs_beside(&self) -> u64 {
        self.image.borrow().syncs_beside
    }

    /// From now on each sync of nodes.conf, of its bytes or of its name, takes so long (ms): [`MemoryDisk::waited`] grows by that.
    pub fn slow_down(&self, sync_takes: Millis) {
        self.image.borrow_mut().sync_takes = sync_takes;
    }

    /// How long syncs of nodes.conf have taken altogether (ms).
    pub fn waited(&self) -> Millis {
        self.image.borrow().waited
    }

    /// Every file that has a name.
    pub fn names(&self) -> Vec<PathBuf> {
        self.image.borrow().names.keys().cloned().collect()
    }

    /// The file as programs see it.
    pub fn live(&self, path: &Path) -> Option<Vec<u8>> {
        let image = self.image.borrow();
        image.names.get(path).and_then(|file| image.files.get(file)).map(|contents| contents.live().to_vec())
    }

    /// What would certainly be in this file after a crash right now: the bytes that are synced, of the file whose name is synced.
    pub fn durable(&self, path: &Path) -> Option<Vec<u8>> {
        let image = self.image.borrow();
        image.durable_names.get(path).and_then(|file| image.files.get(file)).map(|contents| contents.synced().to_vec())
    }

    /// Grows whenever [`MemoryDisk::durable`] may answer otherwise than before, so that a checker need not read again what has not changed.
    pub fn durable_version(&self) -> u64 {
        self.image.borrow().durable_version
    }
}

impl Disk for MemoryDisk {
    fn read(&mut self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let bytes = self.live(path);
        if bytes.as_ref().is_some_and(|bytes| bytes.len() as u64 > MAX_FILE_BYTES) {
            return Err(ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
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
                *if self.beside { &mut image.syncs_beside } else { &mut image.syncs } += 1;
                image.durable_version += 1;
                self.sync_times.note(image.wait(self.beside));
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
            self.sync_times.note(image.wait(self.beside));
        }
        done(fault)
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.to_owned())
    }

    fn room(&mut self, _path: &Path) -> io::Result<Room> {
        Ok(self.image.borrow().room.unwrap_or(Room { free: u64::MAX, size: u64::MAX }))
    }

    fn lock(&mut self, path: &Path) -> io::Result<bool> {
        let image = &mut *self.image.borrow_mut();
        let holder = *image.locks.entry(path.to_owned()).or_insert(self.process);
        Ok(holder == self.process)
    }

    fn sync_times(&self) -> &SyncTimes {
        &self.sync_times
    }

    fn beside(&self) -> Self {
        Self { beside: true, ..Self::of(Rc::clone(&self.image), self.process) }
    }

    fn open_read(&mut self, path: &Path) -> io::Result<Option<u64>> {
        let image = self.image.borrow();
        let Some(file) = image.names.get(path) else { return Ok(None) };
        self.reading.insert(path.to_owned(), (*file, 0));
        Ok(image.files.get(file).map(|contents| contents.live().len() as u64))
    }

    fn read_some(&mut self, path: &Path, most: usize, out: &mut Vec<u8>) -> io::Result<usize> {
        let (file, at) = self.reading.get_mut(path).ok_or_else(|| io::Error::from(ErrorKind::NotFound))?;
        let image = self.image.borrow();
        let rest = image.files.get(file).map_or(&[][..], |contents| &contents.live()[*at..]);
        let taken = &rest[..rest.len().min(most)];
        out.extend_from_slice(taken);
        *at += taken.len();
        Ok(taken.len())
    }

    fn close(&mut self, path: &Path) {
        self.reading.remove(path);
        self.image.borrow_mut().open.remove(&(self.process, path.to_owned()));
    }

    fn write_back(&mut self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn replace(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.rename(from, to)
    }

    fn link(&mut self, path: &Path, also: &Path) -> io::Result<bool> {
        let image = &mut *self.image.borrow_mut();
        let fault = image.operation()?;
        let file = image.names.get(path).copied().filter(|_| !image.names.contains_key(also));
        if let Some(file) = file.filter(|_| fault != Some(Fault::Fail)) {
            image.name(Naming::Made { path: also.to_owned(), file });
        }
        done(fault).map(|()| file.is_some())
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let image = &mut *self.image.borrow_mut();
        let fault = image.operation()?;
        image.open.remove(&(self.process, path.to_owned()));
        if fault != Some(Fault::Fail) && image.names.contains_key(path) {
            image.name(Naming::Removed { path: path.to_owned() });
        }
        done(fault)
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
mod tests;
