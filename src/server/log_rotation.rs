//! The log's file when others move it away: logrotate, with or without a signal.
//!
//! Owns: when to look whether `logfile` is still the file that is written, and opening it anew. Must not: write a line (log_sink), or cost
//! a busy loop a system call a turn.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::fstat;

use super::logger;
use crate::types::Millis;

/// How often the loop looks at most (ms). It sleeps for a second at most.
const PERIOD: Millis = 100;
/// And so long after the file could not be opened: each time is a line.
const PATIENCE: Millis = 60_000;

/// When to look again.
#[derive(Debug, Default)]
pub struct Rotation {
    /// Mono ms.
    next: Millis,
}

impl Rotation {
    /// If the path leads to another file than the one that is written, or to none, that one is written from now on.
    pub fn tend(&mut self, logfile: &Path, now: Millis) {
        // A clock that has gone back must not keep it from looking.
        if logfile.as_os_str().is_empty() || (self.next.saturating_sub(PATIENCE)..self.next).contains(&now) {
            return;
        }
        let is_well = is_open(logfile) || reopen(logfile, "The log's file has been moved away");
        self.next = now + if is_well { PERIOD } else { PATIENCE };
    }
}

/// SIGHUP: opens the log anew, wherever it is.
pub fn hung_up(logfile: &Path) {
    if !logfile.as_os_str().is_empty() {
        reopen(logfile, "Received SIGHUP");
    }
}

/// Whether that went well.
fn reopen(logfile: &Path, why: &str) -> bool {
    let opened = logger::reopen(logfile);
    match &opened {
        Ok(()) => log::info!("{why}: the log goes on here"),
        Err(error) => log::warn!("{why}, and '{}' can't be opened: the log goes on in the old file: {error}", logfile.display()),
    }
    opened.is_ok()
}

/// Whether this is the file that is written: standard error is that one too.
fn is_open(path: &Path) -> bool {
    match (fs::metadata(path), fstat(rustix::stdio::stderr())) {
        (Ok(there), Ok(open)) => (there.dev(), there.ino()) == (open.st_dev, open.st_ino),
        (Err(_), _) => false,
        (_, Err(_)) => true,
    }
}
