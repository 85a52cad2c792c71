//! SIGTERM and SIGINT as a readable socket.
//!
//! Owns: the handlers (signal-hook writes one byte, nothing else runs in signal context). SIGPIPE is ignored by Rust's runtime: a write says EPIPE.

use std::io::{self, Read};

use mio::net::UnixStream;
use signal_hook::consts::{SIGINT, SIGTERM};

/// The reading end.
#[derive(Debug)]
pub struct Signals {
    /// Becomes readable when a signal has come.
    pub stream: UnixStream,
}

impl Signals {
    /// Installs the handlers.
    pub fn install() -> io::Result<Self> {
        let (read, write) = std::os::unix::net::UnixStream::pair()?;
        read.set_nonblocking(true)?;
        for signal in [SIGTERM, SIGINT] {
            signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
        }
        Ok(Self { stream: UnixStream::from_std(read) })
    }

    /// True if a signal has come since the last call.
    pub fn take(&mut self) -> bool {
        let mut bytes = [0; 16];
        let mut any = false;
        while matches!(self.stream.read(&mut bytes), Ok(count) if count > 0) {
            any = true;
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_seen_once() {
        let mut signals = Signals::install().unwrap();
        assert!(!signals.take());
        signal_hook::low_level::raise(SIGTERM).unwrap();
        assert!(signals.take());
        assert!(!signals.take());
    }
}
