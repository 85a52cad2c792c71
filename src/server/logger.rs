//! Log lines as operators of Redis know them: `pid:role date mark message`, the role being M of a primary and S of a replica.
//!
//! Owns: the format and where lines go. Must not: decide what is logged.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use env_logger::{Builder, Target};
use log::{Level, LevelFilter};

use crate::config::LogLevel;

/// Whether this process is a replica's. The logger is one for the process, and so is this.
static REPLICA: AtomicBool = AtomicBool::new(false);

/// How much of the log crate's levels a `loglevel` lets through.
pub fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug => LevelFilter::Trace,
        LogLevel::Verbose => LevelFilter::Debug,
        LogLevel::Notice => LevelFilter::Info,
        LogLevel::Warning => LevelFilter::Warn,
        LogLevel::Nothing => LevelFilter::Off,
    }
}

/// Redis' mark of a level.
fn mark(level: Level) -> char {
    match level {
        Level::Trace => '.',
        Level::Debug => '-',
        Level::Info => '*',
        Level::Warn | Level::Error => '#',
    }
}

/// Starts logging to `logfile`, appending, or to standard error if it is empty.
pub fn start(level: LogLevel, logfile: &str) -> io::Result<()> {
    let pid = std::process::id();
    let mut builder = Builder::new();
    // The logger itself lets everything through: `set_level` is the only gate, so that CONFIG SET loglevel works.
    builder.filter_level(LevelFilter::Trace).filter_module("mio", LevelFilter::Warn).format(move |out, record| {
        let time = out.timestamp_millis();
        let role = if REPLICA.load(Ordering::Relaxed) { 'S' } else { 'M' };
        writeln!(out, "{pid}:{role} {time} {} {}", mark(record.level()), record.args())
    });
    if logfile.is_empty() {
        builder.target(Target::Stderr);
    } else {
        let file = OpenOptions::new().create(true).append(true).open(Path::new(logfile))?;
        builder.target(Target::Pipe(Box::new(file)));
    }
    builder.try_init().map_err(io::Error::other)?;
    set_level(level);
    Ok(())
}

/// Changes the role that lines begin with.
pub fn set_replica(is_replica: bool) {
    REPLICA.store(is_replica, Ordering::Relaxed);
}

/// Changes how much is logged from now on.
pub fn set_level(level: LogLevel) {
    log::set_max_level(filter(level));
}
