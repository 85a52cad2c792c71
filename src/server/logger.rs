//! Log lines as operators of Redis know them: `pid:M date mark message`.
//!
//! Owns: the format and where lines go. Must not: decide what is logged.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use env_logger::{Builder, Target};
use log::{Level, LevelFilter};

use crate::config::LogLevel;

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
        writeln!(out, "{pid}:M {time} {} {}", mark(record.level()), record.args())
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

/// Changes how much is logged from now on.
pub fn set_level(level: LogLevel) {
    log::set_max_level(filter(level));
}
