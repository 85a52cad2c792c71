//! SIGTERM, SIGINT and SIGHUP as a readable socket, and the signals that must not end a node.
//!
//! Owns: the handlers (signal-hook sets a flag and writes one byte, nothing else runs in signal context). SIGPIPE is ignored by Rust's
//! runtime: a write says EPIPE.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mio::net::UnixStream;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};

use crate::node::Signal;

/// The reading end.
#[derive(Debug)]
pub struct Signals {
    /// Becomes readable when a signal has come.
    pub stream: UnixStream,
    /// Whether this one has.
    term: Arc<AtomicBool>,
    int: Arc<AtomicBool>,
    hup: Arc<AtomicBool>,
}

/// The signals that have come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Came {
    /// SIGTERM or SIGINT.
    pub end: Option<Signal>,
    /// SIGHUP: the log is to be opened anew.
    pub hangup: bool,
}

impl Signals {
    /// Installs the handlers.
    pub fn install() -> io::Result<Self> {
        let (read, write) = std::os::unix::net::UnixStream::pair()?;
        read.set_nonblocking(true)?;
        let watch = |signal| -> io::Result<Arc<AtomicBool>> {
            let came = Arc::default();
            // Handlers run in this order: whoever is woken by the byte finds which it was.
            signal_hook::flag::register(signal, Arc::clone(&came))?;
            signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
            Ok(came)
        };
        Ok(Self { stream: UnixStream::from_std(read), term: watch(SIGTERM)?, int: watch(SIGINT)?, hup: watch(SIGHUP)? })
    }

    /// What has come since the last call. Both ways to end at once are one.
    pub fn take(&mut self) -> Came {
        let mut bytes = [0; 16];
        while matches!(self.stream.read(&mut bytes), Ok(count) if count > 0) {}
        let came = |flag: &AtomicBool| flag.swap(false, Ordering::Relaxed);
        let (term, int) = (came(&self.term), came(&self.int));
        let end = if term { Some(Signal::Term) } else { int.then_some(Signal::Int) };
        Came { end, hangup: came(&self.hup) }
    }
}

/// Signals whose default is to end the process without a word do nothing from now on: SIGXFSZ, for the write(2) that was to pass the limit
/// on a file's size says so itself, by EFBIG, and what tools send to have a log opened anew. Of those SIGHUP does so once the loop runs.
pub fn survive() -> io::Result<()> {
    for signal in [SIGXFSZ, SIGHUP, SIGUSR1, SIGUSR2] {
        signal_hook::flag::register(signal, Arc::default())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_not_end_a_node_does_not() {
        survive().unwrap();
        for signal in [SIGXFSZ, SIGHUP, SIGUSR1, SIGUSR2] {
            signal_hook::low_level::raise(signal).unwrap();
        }
    }

    #[test]
    fn each_signal_is_seen_once() {
        let mut signals = Signals::install().unwrap();
        let nothing = Came { end: None, hangup: false };
        assert_eq!(signals.take(), nothing);
        signal_hook::low_level::raise(SIGTERM).unwrap();
        assert_eq!(signals.take(), Came { end: Some(Signal::Term), hangup: false });
        assert_eq!(signals.take(), nothing);
        signal_hook::low_level::raise(SIGHUP).unwrap();
        signal_hook::low_level::raise(SIGINT).unwrap();
        assert_eq!(signals.take(), Came { end: Some(Signal::Int), hangup: true });
        assert_eq!(signals.take(), nothing);
    }
}
