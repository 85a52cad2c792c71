//! Where log lines go, without ever waiting: who reads them may stand still, and their disk may be full.
//!
//! Owns: the way out of the log, and the count of lines that did not get through. Must not: format a line, or keep more than the rest of
//! one.
//!
//! A line that cannot be written is lost, and so are those behind it, until [`Sink::take_lost`] has been asked: the word of how many are
//! missing then stands where they would.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, OFlags, fstat};
use rustix::net::{SendFlags, send};

/// So much a pipe takes at once if it takes anything (PIPE_BUF).
const AT_ONCE: usize = 4096;

/// A way out that takes what it can at once.
#[derive(Debug)]
pub enum Out {
    /// Opened for this process alone: a pipe or terminal does not block, a file never does.
    Own(File),
    /// Each write says that it must not wait.
    Socket(OwnedFd),
    /// Others write there too, and expect it to block: it is asked before.
    Shared(OwnedFd),
}

impl Out {
    /// Standard error, which others may have too: that it does not block must be no property of theirs.
    pub fn standard_error() -> io::Result<Self> {
        let shared = io::stderr().as_fd().try_clone_to_owned()?;
        Ok(match FileType::from_raw_mode(fstat(&shared)?.st_mode) {
            FileType::RegularFile => Self::Own(shared.into()),
            FileType::Socket => Self::Socket(shared),
            _ => open(Path::new("/proc/self/fd/2"), false).map_or(Self::Shared(shared), Self::Own),
        })
    }
}

/// A file to append to, made if it is missing. A pipe must have a reader.
pub fn file(path: &Path) -> io::Result<File> {
    open(path, true)
}

fn open(path: &Path, create: bool) -> io::Result<File> {
    OpenOptions::new().create(create).append(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Own(file) => file.write(bytes),
            Self::Socket(socket) => Ok(send(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?),
            Self::Shared(fd) => {
                let mut asked = [PollFd::new(fd, PollFlags::OUT)];
                if poll(&mut asked, Some(&Timespec::default()))? == 0 {
                    return Err(ErrorKind::WouldBlock.into());
                }
                Ok(rustix::io::write(fd, &bytes[..bytes.len().min(AT_ONCE)])?)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// See the module.
#[derive(Debug)]
pub struct Sink<W> {
    out: W,
    /// The end of a line whose beginning was taken.
    rest: Vec<u8>,
    lost: u64,
}

impl<W: Write> Sink<W> {
    /// Writes lines there.
    pub fn new(out: W) -> Self {
        Self { out, rest: Vec::new(), lost: 0 }
    }

    /// Writes there from now on. The rest of a line stays with its beginning: the old place is asked for it once more, and that is all.
    pub fn go_on_in(&mut self, out: W) {
        let rest = std::mem::take(&mut self.rest);
        let left = self.put(&rest).len();
        self.lost += u64::from(left > 0);
        self.out = out;
    }

    /// Writes a line, or counts it as lost.
    pub fn line(&mut self, line: &[u8]) {
        let rest = std::mem::take(&mut self.rest);
        self.rest = self.put(&rest).to_vec();
        let left = if self.rest.is_empty() && self.lost == 0 { self.put(line) } else { line };
        match left.len() {
            0 => {}
            all if all == line.len() => self.lost += 1,
            _ => self.rest = left.to_vec(),
        }
    }

    /// How many lines are missing at this place. They are not counted any more: who asks writes a line that says so.
    pub fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// That line: if it is lost too, they all are still to be told of.
    pub fn tell_lost(&mut self, count: u64) {
        if self.lost > 0 {
            self.lost = count;
        }
    }

    /// Returns what was not taken.
    fn put<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        while !bytes.is_empty() {
            match self.out.write(bytes) {
                Ok(taken @ 1..) => bytes = &bytes[taken..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Read;
    use std::os::fd::AsRawFd;

    /// Takes as many bytes as there is room for.
    #[derive(Default)]
    struct Bounded {
        taken: Vec<u8>,
        room: usize,
    }

    impl Write for Bounded {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room).min(3);
            if count == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            self.room -= count;
            self.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_does_not_get_through_is_counted_and_no_line_is_torn() {
        let mut sink = Sink::new(Bounded { room: 7, ..Bounded::default() });
        ["one\n", "two and more\n", "three\n", "four\n"].into_iter().for_each(|line| sink.line(line.as_bytes()));
        assert_eq!(sink.out.taken, b"one\ntwo");
        sink.out.room = 100;
        sink.line(b"five\n");
        assert_eq!(sink.out.taken, b"one\ntwo and more\n", "nothing passes the word of what is missing");
        assert_eq!(sink.take_lost(), 3);
        sink.out.room = 0;
        sink.line(b"3 are missing\n");
        sink.tell_lost(3);
        sink.out.room = 100;
        assert_eq!(sink.take_lost(), 3);
        sink.line(b"3 are missing\n");
        sink.tell_lost(3);
        sink.line(b"six\n");
        assert_eq!((sink.take_lost(), &sink.out.taken[17..]), (0, &b"3 are missing\nsix\n"[..]));
    }

    #[test]
    fn a_line_whose_end_does_not_get_through_before_the_move_is_lost() {
        let mut sink = Sink::new(Bounded { room: 6, ..Bounded::default() });
        ["one\n", "two\n"].into_iter().for_each(|line| sink.line(line.as_bytes()));
        sink.go_on_in(Bounded { room: 100, ..Bounded::default() });
        assert_eq!(sink.take_lost(), 1);
        sink.line(b"three\n");
        assert_eq!(sink.out.taken, b"three\n");
    }

    /// Fills it; how many bytes that took.
    fn fill(out: Out) -> usize {
        let mut sink = Sink::new(out);
        let line = [b'x'; 1000];
        let count = (0..10_000).take_while(|_| {
            sink.line(&line);
            sink.lost == 0
        });
        count.count() * line.len()
    }

    #[test]
    fn nothing_waits_for_a_reader() {
        let (reader, writer) = io::pipe().unwrap();
        let shared = fill(Out::Shared(writer.try_clone().unwrap().into()));
        let own = file(Path::new(&format!("/proc/self/fd/{}", writer.as_raw_fd()))).unwrap();
        assert!(shared > 0 && fill(Out::Own(own)) < 8192, "it is full already");
        let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
        assert!(!flags.contains(OFlags::NONBLOCK), "others may write there as before");
        drop((reader, writer));
        let (mut reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
        let sent = fill(Out::Socket(writer.into()));
        let mut got = Vec::new();
        reader.read_to_end(&mut got).unwrap();
        assert!(sent > 0 && got.len() >= sent);
    }

    #[test]
    fn a_file_is_appended_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        for line in ["one\n", "two\n"] {
            Sink::new(Out::Own(file(&path).unwrap())).line(line.as_bytes());
        }
        assert_eq!(fs::read(&path).unwrap(), b"one\ntwo\n");
    }
}
