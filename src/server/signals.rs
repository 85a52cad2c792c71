//! SIGTERM and SIGINT as a readable socket, and the signals that must not end a node.
//!
//! Owns: the handlers (signal-hook sets a flag and writes one byte, nothing else runs in signal context). SIGPIPE is ignored by Rust's
//! runtime: a write says EPIPE.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mio::net::UnixStream;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};

use crate::node::Signal;

/// The reading end.
#[derive(Debug)]
pub struct Signals {
    /// Becomes readable when a signal has come.
    pub stream: UnixStream,
    /// Which.
    came: [(Signal, Arc<AtomicBool>); 2],
}

impl Signals {
    /// Installs the handlers.
    pub fn install() -> io::Result<Self> {
        let (read, write) = std::os::unix::net::UnixStream::pair()?;
        read.set_nonblocking(true)?;
        let came = [(Signal::Term, Arc::default()), (Signal::Int, Arc::default())];
        for (signal, (_, came)) in [SIGTERM, SIGINT].into_iter().zip(&came) {
            // Handlers run in this order: whoever is woken by the byte finds which it was.
            signal_hook::flag::register(signal, Arc::clone(came))?;
            signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
        }
        Ok(Self { stream: UnixStream::from_std(read), came })
    }

    /// A signal that has come since the last call.
    pub fn take(&mut self) -> Option<Signal> {
        let mut bytes = [0; 16];
        while matches!(self.stream.read(&mut bytes), Ok(count) if count > 0) {}
        let came: Vec<_> = self.came.iter().filter(|(_, came)| came.swap(false, Ordering::Relaxed)).collect();
        came.first().map(|(signal, _)| *signal)
    }
}

/// Signals whose default is to end the process without a word do nothing from now on: SIGXFSZ, for the write(2) that was to pass the limit
/// on a file's size says so itself, by EFBIG, and SIGHUP, as in Redis.
pub fn survive() -> io::Result<()> {
    for signal in [SIGXFSZ, SIGHUP] {
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
        for signal in [SIGXFSZ, SIGHUP] {
            signal_hook::low_level::raise(signal).unwrap();
        }
    }

    #[test]
    fn a_signal_is_seen_once() {
        let mut signals = Signals::install().unwrap();
        assert_eq!(signals.take(), None);
        signal_hook::low_level::raise(SIGTERM).unwrap();
        assert_eq!(signals.take(), Some(Signal::Term));
        assert_eq!(signals.take(), None);
    }
}
