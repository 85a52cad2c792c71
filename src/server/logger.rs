//! Log lines as operators of Redis know them: `pid:role date mark message`, the role being M of a primary and S of a replica.
//!
//! Owns: the format, and that what ends the process is in the log. Must not: decide what is logged, or wait for the log (log_sink).

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write};
use std::panic::{self, PanicHookInfo};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use env_logger::{Builder, Target};
use log::{Level, LevelFilter};

use super::log_sink::{self, Out, Sink};
use crate::config::LogLevel;

/// Whether this process is a replica's. The logger is one for the process, and so is this.
static REPLICA: AtomicBool = AtomicBool::new(false);
/// Where its lines go; nothing before it was started.
static SINK: OnceLock<Mutex<Sink<Out>>> = OnceLock::new();

fn sink() -> Option<MutexGuard<'static, Sink<Out>>> {
    SINK.get().map(|sink| sink.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The sink as the logger sees it: a line is a write, and never fails.
struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(mut sink) = sink() {
            sink.line(line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

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

/// Starts logging to `logfile`, appending, or to standard error if it is empty. What the process says as it ends goes there too: a panic as
/// a line, and, since standard error becomes the file, what the runtime says when memory has run out.
pub fn start(level: LogLevel, logfile: &Path) -> io::Result<()> {
    let out = if logfile.as_os_str().is_empty() { Out::standard_error()? } else { open(logfile)? };
    SINK.set(Mutex::new(Sink::new(out))).map_err(|_| io::Error::other("it was started before"))?;
    let pid = std::process::id();
    let mut builder = Builder::new();
    // The logger itself lets everything through: `set_level` is the only gate, so that CONFIG SET loglevel works.
    builder.filter_level(LevelFilter::Trace).filter_module("mio", LevelFilter::Warn).format(move |out, record| {
        let time = out.timestamp_millis();
        let role = if REPLICA.load(Ordering::Relaxed) { 'S' } else { 'M' };
        writeln!(out, "{pid}:{role} {time} {} {}", mark(record.level()), record.args())
    });
    builder.target(Target::Pipe(Box::new(Lines))).try_init().map_err(io::Error::other)?;
    set_level(level);
    panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// The file as the way out, and as standard error.
fn open(path: &Path) -> io::Result<Out> {
    let file = log_sink::file(path)?;
    rustix::stdio::dup2_stderr(&file)?;
    Ok(Out::Own(file))
}

/// Goes on in the file that is there now, or in a new one. If that fails, where it was.
pub fn reopen(path: &Path) -> io::Result<()> {
    let out = open(path)?;
    if let Some(mut sink) = sink() {
        sink.go_on_in(out);
    }
    Ok(())
}

fn log_panic(info: &PanicHookInfo<'_>) {
    let thread = thread::current();
    let name = thread.name().unwrap_or("without a name");
    let place = info.location().map_or_else(String::new, |place| format!(" at {place}"));
    let message = info.payload_as_str().unwrap_or("no message");
    let backtrace = Backtrace::capture();
    let trace = if backtrace.status() == BacktraceStatus::Captured { format!("\n{backtrace}") } else { String::new() };
    last_word(&format!("A bug: thread '{name}' has panicked{place}: {message}{trace}"));
}

/// Says why the process ends. Before the logger runs, and with loglevel nothing, it is all that anybody gets to see.
pub fn last_word(text: &str) {
    tell_lost();
    if log::log_enabled!(Level::Error) {
        return log::error!("{text}");
    }
    match sink() {
        Some(mut sink) => sink.line(format!("{text}\n").as_bytes()),
        // There is nobody left to tell that standard error is closed.
        None => drop(writeln!(io::stderr(), "{text}")),
    }
}

/// If lines were lost, says how many, once that can be written: nothing else is until then.
pub fn tell_lost() {
    let Some(lost) = sink().map(|mut sink| sink.take_lost()).filter(|lost| *lost > 0) else { return };
    log::warn!("{lost} lines of the log are missing here: they could not be written");
    if let Some(mut sink) = sink() {
        sink.tell_lost(lost);
    }
}

/// Changes the role that lines begin with.
pub fn set_replica(is_replica: bool) {
    REPLICA.store(is_replica, Ordering::Relaxed);
}

/// Changes how much is logged from now on.
pub fn set_level(level: LogLevel) {
    log::set_max_level(filter(level));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const HOW: &str = "PONTOON_TEST_END";
    const LOG: &str = "PONTOON_TEST_LOG";

    #[test]
    #[ignore = "the process that the next test starts"]
    fn process_that_ends_badly() {
        let (Ok(how), Ok(log)) = (std::env::var(HOW), std::env::var(LOG)) else { return };
        start(if how == "quiet" { LogLevel::Nothing } else { LogLevel::Warning }, Path::new(&log)).unwrap();
        match how.as_str() {
            "memory" => drop(std::hint::black_box(Vec::<u8>::with_capacity(std::hint::black_box(1 << 60)))),
            _ => panic!("the sentence of an invariant"),
        }
    }

    /// What such a process leaves in its log.
    fn left_by(how: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let name = "server::logger::tests::process_that_ends_badly";
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args([name, "--exact", "--ignored", "--nocapture"]).env(HOW, how).env(LOG, &log).env_remove("RUST_BACKTRACE");
        assert!(!child.output().unwrap().status.success());
        std::fs::read_to_string(&log).unwrap()
    }

    #[test]
    fn the_log_says_what_has_ended_the_process() {
        let sentence = "A bug: thread 'server::logger::tests::process_that_ends_badly' has panicked at src/server/logger.rs:";
        let (loud, quiet) = (left_by("panic"), left_by("quiet"));
        assert!(loud.contains(&format!(" # {sentence}")) && loud.contains("the sentence of an invariant\n"), "{loud}");
        assert!(quiet.starts_with(sentence), "{quiet}");
        let memory = left_by("memory");
        assert!(memory.contains("memory allocation of 1152921504606846976 bytes failed"), "{memory}");
    }
}
