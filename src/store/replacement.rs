//! A file that takes the place of another once it is whole and on the disk: whatever happens before, the old one is there as it was.
//!
//! Owns: the order of the operations, and the temporary name. Must not: know what the bytes mean, or do more than one operation a call, so
//! that a long file can be written in many turns.

use super::beside;
use super::disk::Disk;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

/// So many bytes of a volume are left to nodes.conf, whose failed write ends the process; less on a small one.
const RESERVE: u64 = 16 << 20;
/// This part of a small volume.
const RESERVED_SHARE: u64 = 16;

/// The new file, under its temporary name. To be finished or abandoned; a process that ends before leaves it behind, for the next one to
/// replace.
#[derive(Debug)]
pub struct Replacement {
    path: PathBuf,
    temp: PathBuf,
}

impl Replacement {
    /// Begins a new file for this path.
    pub fn begin(disk: &mut impl Disk, path: PathBuf) -> io::Result<Self> {
        let temp = beside(&path, ".tmp");
        disk.create(&temp)?;
        Ok(Self { path, temp })
    }

    /// Writes at the end; says how many of the bytes were taken, one at least. An error where they would take what is kept for nodes.conf.
    pub fn write(&self, disk: &mut impl Disk, bytes: &[u8]) -> io::Result<usize> {
        let room = disk.room(&self.temp)?;
        let kept = RESERVE.min(room.size / RESERVED_SHARE);
        if room.free < kept.saturating_add(bytes.len() as u64) {
            let text = format!("no space left on the volume: {} bytes are free, of which {kept} are kept for nodes.conf", room.free);
            return Err(io::Error::new(ErrorKind::StorageFull, text));
        }
        match disk.write(&self.temp, bytes)? {
            0 => Err(ErrorKind::WriteZero.into()),
            taken => Ok(taken),
        }
    }

    /// Writes everything.
    pub fn write_all(&self, disk: &mut impl Disk, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let taken = self.write(disk, bytes)?;
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// See [`Disk::write_back`].
    pub fn write_back(&self, disk: &mut impl Disk) -> io::Result<()> {
        disk.write_back(&self.temp)
    }

    /// Brings what was written to the disk.
    pub fn sync(&self, disk: &mut impl Disk) -> io::Result<()> {
        disk.sync(&self.temp)
    }

    /// The old file, if there is one, keeps this name beside its own; false if there is none, or something has that name.
    pub fn keep_old(&self, disk: &mut impl Disk, suffix: &str) -> io::Result<bool> {
        disk.link(&self.path, &beside(&self.path, suffix))
    }

    /// After the last [`Replacement::sync`]: the new file takes the place of the old one.
    pub fn rename(&self, disk: &mut impl Disk) -> io::Result<()> {
        disk.replace(&self.temp, &self.path)
    }

    /// The last step: the new file has the name for good.
    pub fn settle(&self, disk: &mut impl Disk) -> io::Result<()> {
        disk.sync_dir(&self.path)
    }

    /// Gives up: the new file goes, if it can be removed.
    pub fn abandon(self, disk: &mut impl Disk) {
        if let Err(error) = disk.remove(&self.temp) {
            log::warn!("{}: removing failed: {error}", self.temp.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{MemoryDisk, RealDisk};
    use std::path::Path;

    fn replace(disk: &mut impl Disk, path: &Path, text: &[u8]) -> io::Result<()> {
        let file = Replacement::begin(disk, path.to_owned())?;
        let written = file.write_all(disk, text).and_then(|()| file.write_back(disk)).and_then(|()| file.sync(disk));
        if let Err(error) = written {
            file.abandon(disk);
            return Err(error);
        }
        file.rename(disk)?;
        file.settle(disk)
    }

    fn text(disk: &mut impl Disk, path: &Path) -> Vec<u8> {
        let length = disk.open_read(path).unwrap().unwrap();
        let mut text = Vec::new();
        while disk.read_some(path, 3, &mut text).unwrap() > 0 {}
        disk.close(path);
        assert_eq!(text.len() as u64, length);
        text
    }

    fn come_and_go(disk: &mut impl Disk, path: &Path) {
        assert_eq!(disk.open_read(path).unwrap(), None);
        for bytes in [&b"first"[..], b"the second", b""] {
            replace(disk, path, bytes).unwrap();
            assert_eq!(text(disk, path), bytes);
        }
        assert!(disk.read_some(path, 3, &mut Vec::new()).is_err(), "it was closed");
        Replacement::begin(disk, path.to_owned()).unwrap().abandon(disk);
        assert_eq!(disk.open_read(&beside(path, ".tmp")).unwrap(), None);
    }

    #[test]
    fn on_both_disks_the_new_file_takes_the_place_of_the_old_one() {
        come_and_go(&mut MemoryDisk::new(), Path::new("dump"));
        let dir = tempfile::tempdir().unwrap();
        come_and_go(&mut RealDisk::new().beside(), &dir.path().join("dump"));
    }

    #[test]
    fn what_is_kept_for_nodes_conf_is_not_taken() {
        use crate::store::Room;
        let path = Path::new("dump");
        for (size, kept) in [(1 << 40, RESERVE), (32 << 20, 2 << 20)] {
            let mut disk = MemoryDisk::with_file(path, "old");
            disk.set_room(Room { free: kept + 2, size });
            let error = replace(&mut disk, path, b"new").unwrap_err();
            assert!(error.kind() == ErrorKind::StorageFull && error.to_string().contains(&format!("{kept} are kept")), "{error}");
            assert_eq!(disk.live(path).unwrap(), b"old");
            disk.set_room(Room { free: kept + 3, size });
            replace(&mut disk, path, b"new").unwrap();
        }
    }

    fn keep(disk: &mut impl Disk, path: &Path) {
        let file = Replacement::begin(disk, path.to_owned()).unwrap();
        assert!(!file.keep_old(disk, ".kept").unwrap(), "there is nothing to keep");
        file.abandon(disk);
        for (bytes, kept) in [(&b"first"[..], true), (b"second", false)] {
            replace(disk, path, bytes).unwrap();
            let file = Replacement::begin(disk, path.to_owned()).unwrap();
            assert_eq!(file.keep_old(disk, ".kept").unwrap(), kept);
            file.rename(disk).unwrap();
            file.settle(disk).unwrap();
            assert_eq!((text(disk, path), text(disk, &beside(path, ".kept"))), (Vec::new(), b"first".to_vec()));
        }
    }

    #[test]
    fn on_both_disks_the_old_file_may_be_kept() {
        keep(&mut MemoryDisk::new(), Path::new("dump"));
        let dir = tempfile::tempdir().unwrap();
        keep(&mut RealDisk::new().beside(), &dir.path().join("dump"));
    }

    #[test]
    fn a_fault_anywhere_leaves_the_old_file_or_the_new_one() {
        use crate::rng::Rng;
        use crate::store::memory::Fault;
        let path = Path::new("dir/dump");
        for seed in 0..40 {
            for fault in [Fault::Fail, Fault::Die, Fault::Short(2)] {
                for nth in 1..8 {
                    let mut disk = MemoryDisk::with_file(path, "the old one");
                    disk.inject(nth, fault);
                    let done = replace(&mut disk, path, b"the new one, longer").is_ok();
                    disk.crash(&mut Rng::new(seed));
                    let left = disk.live(path).unwrap();
                    assert!(left == b"the new one, longer" || !done && left == b"the old one", "{fault:?} {nth}: {}", left.escape_ascii());
                }
            }
        }
    }
}
