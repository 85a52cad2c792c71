//! The few file operations that durability needs, and the real disk.
//!
//! Owns: [`Disk`] and [`RealDisk`], the only user of `std::fs` in the crate, which also measures its own syncs. Must not: know what the
//! bytes mean, or try a failed operation again.
//! Contract: docs/nodes-conf.md, "Writing".

use super::sync_times::SyncTimes;
use rustix::fs::{Advice, fadvise, fstatvfs};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError, hard_link, read_link, remove_file, rename};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

/// The most bytes of a file that are read: a cluster of 4,096 members and 16,384 slots of single ranges stays far below.
pub const MAX_FILE_BYTES: u64 = 64 << 20;

/// As many symbolic links are followed, as Linux does.
const MAX_LINKS: usize = 40;

/// A disk as a crash-safe writer sees it. At most one file is open under a name; nothing is on disk before `sync` (bytes) and `sync_dir`
/// (names) have returned without error. After an error of a changing operation what is on disk is unknown: the caller stops.
pub trait Disk: Sized {
    /// The whole file, or none if there is none. A file above [`MAX_FILE_BYTES`] is an error.
    fn read(&mut self, path: &Path) -> io::Result<Option<Vec<u8>>>;

    /// Makes a new, empty file in place of what has this name, and opens it for `write`.
    fn create(&mut self, path: &Path) -> io::Result<()>;

    /// Opens the file that has this name now for `write` at its end.
    fn open_append(&mut self, path: &Path) -> io::Result<()>;

    /// Writes at the end of the open file; says how many of the bytes were taken.
    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<usize>;

    /// Brings the open file's bytes and length to the disk (fdatasync).
    fn sync(&mut self, path: &Path) -> io::Result<()>;

    /// Gives the file `from` the name `to`, in one step. What was open under either name is closed: a handle must never write to a file
    /// that has lost its name.
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;

    /// Brings the names in the directory of `path` to the disk.
    fn sync_dir(&mut self, path: &Path) -> io::Result<()>;

    /// The file that this name means: where a symbolic link leads, also if nothing is there yet; else `path`.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf>;

    /// How much space there is for more on the volume of the open file.
    fn room(&mut self, path: &Path) -> io::Result<Room>;

    /// Takes the lock file at `path`, made if it is missing, until this disk is dropped or its process ends; false if another one holds it.
    fn lock(&mut self, path: &Path) -> io::Result<bool>;

    /// How long `sync` and `sync_dir` took so far.
    fn sync_times(&self) -> &SyncTimes;

    /// Another handle of this process, for files beside nodes.conf: what happens to them takes nothing from nodes.conf and is not in its
    /// `sync_times`.
    fn beside(&self) -> Self;

    /// Opens the file for `read_some`, from its beginning on; its length, or none if there is none.
    fn open_read(&mut self, path: &Path) -> io::Result<Option<u64>>;

    /// Appends the open file's next bytes to `out`, at most `most`; how many they were, 0 at its end.
    fn read_some(&mut self, path: &Path, most: usize, out: &mut Vec<u8>) -> io::Result<usize>;

    /// Closes what is open under this name.
    fn close(&mut self, path: &Path);

    /// Has the system begin to bring the open file's bytes to the disk, and does not wait for it: a `sync` has less to do then.
    fn write_back(&mut self, path: &Path) -> io::Result<()>;

    /// As `rename`, where `to` may be a large file: freeing its place on the disk holds nobody up. Whoever reads it goes on reading what it
    /// was.
    fn replace(&mut self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives the file another name beside the one it has; false, and nothing happens, if there is no such file, or something has that name.
    fn link(&mut self, path: &Path, also: &Path) -> io::Result<bool>;

    /// Removes the file, if it is there, as `replace` does.
    fn remove(&mut self, path: &Path) -> io::Result<()>;
}

/// Bytes of a volume.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Room {
    /// Not in use, and not kept for the superuser.
    pub free: u64,
    /// All.
    pub size: u64,
}

/// Files of this machine.
#[derive(Debug, Default)]
pub struct RealDisk {
    open: BTreeMap<PathBuf, File>,
    locks: Vec<File>,
    /// A descriptor held back for the next rewrite: connections from outside may use up all others, and a rewrite that cannot open its file
    /// ends the process.
    spare: Option<File>,
    sync_times: SyncTimes,
}

impl RealDisk {
    /// Nothing open, nothing locked.
    pub fn new() -> Self {
        Self::default()
    }

    fn handle(&mut self, path: &Path) -> io::Result<&mut File> {
        self.open.get_mut(path).ok_or_else(|| io::Error::new(ErrorKind::NotFound, "the file is not open"))
    }

    /// Runs a sync and notes how long it took, if it went well: after an error the process ends.
    fn timed(&mut self, sync: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<()> {
        #[expect(clippy::disallowed_methods, reason = "a duration for people: nothing is decided by it")]
        let begun = Instant::now();
        sync(self)?;
        self.sync_times.note(begun.elapsed());
        Ok(())
    }
}

impl Disk for RealDisk {
    fn read(&mut self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(io::Error::new(ErrorKind::FileTooLarge, format!("longer than {MAX_FILE_BYTES} bytes")));
        }
        Ok(Some(bytes))
    }

    fn create(&mut self, path: &Path) -> io::Result<()> {
        self.open.remove(path);
        // A file left behind by a crash may be a link, or open elsewhere: it goes, and the new one is really new.
        match remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.spare = None;
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        self.open.insert(path.to_owned(), file);
        Ok(())
    }

    fn open_append(&mut self, path: &Path) -> io::Result<()> {
        let file = OpenOptions::new().append(true).open(path)?;
        self.spare = file.try_clone().ok();
        self.open.insert(path.to_owned(), file);
        Ok(())
    }

    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<usize> {
        let file = self.handle(path)?;
        loop {
            match file.write(bytes) {
                // A signal came before anything was written: not an error of the disk.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn sync(&mut self, path: &Path) -> io::Result<()> {
        self.timed(|disk| disk.handle(path)?.sync_data())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.open.remove(from);
        self.open.remove(to);
        rename(from, to)
    }

    fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        self.timed(|_| File::open(directory)?.sync_all())
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        let mut path = path.to_owned();
        for _ in 0..MAX_LINKS {
            match read_link(&path) {
                // Relative to where the link is.
                Ok(target) => path = path.parent().unwrap_or(Path::new("")).join(target),
                // No link, or nothing.
                Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::NotFound) => return Ok(path),
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("too many symbolic links"))
    }

    fn room(&mut self, path: &Path) -> io::Result<Room> {
        let volume = fstatvfs(self.handle(path)?)?;
        Ok(Room { free: volume.f_bavail.saturating_mul(volume.f_frsize), size: volume.f_blocks.saturating_mul(volume.f_frsize) })
    }

    fn lock(&mut self, path: &Path) -> io::Result<bool> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {
                self.locks.push(file);
                Ok(true)
            }
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn sync_times(&self) -> &SyncTimes {
        &self.sync_times
    }

    fn beside(&self) -> Self {
        Self::default()
    }

    fn open_read(&mut self, path: &Path) -> io::Result<Option<u64>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let length = file.metadata()?.len();
        self.open.insert(path.to_owned(), file);
        Ok(Some(length))
    }

    fn read_some(&mut self, path: &Path, most: usize, out: &mut Vec<u8>) -> io::Result<usize> {
        self.handle(path)?.take(most as u64).read_to_end(out)
    }

    fn close(&mut self, path: &Path) {
        self.open.remove(path);
    }

    fn write_back(&mut self, path: &Path) -> io::Result<()> {
        // The pages that are on the disk are given up: nobody reads them, so they need no memory. Those that are not are sent there.
        Ok(fadvise(self.handle(path)?, 0, None, Advice::DontNeed)?)
    }

    fn replace(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let old = File::open(to).ok();
        self.rename(from, to)?;
        close_aside(old);
        Ok(())
    }

    fn link(&mut self, path: &Path, also: &Path) -> io::Result<bool> {
        match hard_link(path, also) {
            Ok(()) => Ok(true),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.open.remove(path);
        let old = File::open(path).ok();
        match remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        close_aside(old);
        Ok(())
    }
}

/// With its last handle goes a file that has no name any more. For one of a gigabyte that takes a third of a second: a thread of its own
/// waits for it.
fn close_aside(file: Option<File>) {
    if let Some(file) = file
        && let Err(error) = thread::Builder::new().spawn(move || drop(file))
    {
        log::warn!("a replaced file was closed at once, which may have taken long: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rewrite_holds_a_descriptor_back_and_gives_it_to_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let (path, temp) = (dir.path().join("file"), dir.path().join("file.tmp"));
        let mut disk = RealDisk::new();
        for _ in 0..2 {
            disk.create(&temp).unwrap();
            assert!(disk.spare.is_none(), "the new file has it");
            disk.rename(&temp, &path).unwrap();
            disk.open_append(&path).unwrap();
            assert!(disk.spare.is_some());
        }
    }

    #[test]
    fn a_file_is_made_written_renamed_and_appended_to() {
        let dir = tempfile::tempdir().unwrap();
        let (path, temp) = (dir.path().join("nodes.conf"), dir.path().join("nodes.conf.tmp"));
        let mut disk = RealDisk::new();
        assert_eq!(disk.read(&path).unwrap(), None);
        std::fs::write(&temp, "left behind by a crash").unwrap();
        disk.create(&temp).unwrap();
        assert_eq!(disk.write(&temp, b"one\n").unwrap(), 4);
        disk.sync(&temp).unwrap();
        disk.rename(&temp, &path).unwrap();
        disk.sync_dir(&path).unwrap();
        assert_eq!(disk.sync_times().count(), 2, "the file's and the directory's");
        assert!(disk.write(&path, b"lost").is_err(), "a handle was kept over the rename");
        disk.open_append(&path).unwrap();
        disk.write(&path, b"two\n").unwrap();
        disk.sync(&path).unwrap();
        assert_eq!(disk.sync_times().count(), 3);
        assert_eq!(disk.read(&path).unwrap().unwrap(), b"one\ntwo\n");
        assert_eq!(disk.read(&temp).unwrap(), None);
    }

    #[test]
    fn an_append_after_a_second_rename_goes_to_the_new_file() {
        let dir = tempfile::tempdir().unwrap();
        let (path, temp) = (dir.path().join("f"), dir.path().join("f.tmp"));
        let mut disk = RealDisk::new();
        for text in ["a", "b"] {
            disk.create(&temp).unwrap();
            disk.write(&temp, text.as_bytes()).unwrap();
            disk.rename(&temp, &path).unwrap();
            disk.open_append(&path).unwrap();
            disk.write(&path, b"+").unwrap();
        }
        assert_eq!(disk.read(&path).unwrap().unwrap(), b"b+");
    }

    #[test]
    fn a_name_is_followed_to_the_file_that_it_means() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let disk = RealDisk::new();
        std::fs::create_dir(at("data")).unwrap();
        std::os::unix::fs::symlink("data/nodes.conf", at("relative")).unwrap();
        std::os::unix::fs::symlink(at("relative"), at("absolute")).unwrap();
        std::os::unix::fs::symlink("circle", at("circle")).unwrap();
        for made in [false, true] {
            for name in ["relative", "absolute", "data/nodes.conf"] {
                assert_eq!(disk.resolve(&at(name)).unwrap(), at("data/nodes.conf"), "{name}");
            }
            if !made {
                std::fs::write(at("data/nodes.conf"), "").unwrap();
            }
        }
        assert!(disk.resolve(&at("circle")).is_err());
    }

    #[test]
    fn only_one_holds_the_lock_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nodes.conf.lock");
        let (mut first, mut second) = (RealDisk::new(), RealDisk::new());
        assert!(first.lock(&path).unwrap());
        assert!(!second.lock(&path).unwrap());
        drop(first);
        assert!(second.lock(&path).unwrap());
    }
}
