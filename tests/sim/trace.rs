//! What happened, as text: one line an event, the same for the same seed.
//!
//! Costs nothing while it is off: [`note!`] formats only for a trace that is on. The nodes' own log lines stand in it too.

use crate::sim::queue::Micros;
use std::cell::RefCell;

thread_local! {
    /// The trace of the run on this thread, if it is on. The logger needs a way to it that is not an argument.
    static TRACE: RefCell<Option<Trace>> = const { RefCell::new(None) };
}

struct Trace {
    text: String,
    now: Micros,
    place: String,
}

/// Writes one line to the trace, if it is on.
macro_rules! note {
    ($($part:tt)*) => {
        if crate::sim::trace::is_on() {
            crate::sim::trace::line(&format!($($part)*));
        }
    };
}
pub(crate) use note;

/// Begins a trace on this thread.
pub fn begin() {
    install_logger();
    TRACE.set(Some(Trace { text: String::new(), now: 0, place: String::new() }));
}

/// Ends it and gives its text.
pub fn end() -> String {
    TRACE.take().map(|trace| trace.text).unwrap_or_default()
}

/// Whether this thread traces.
pub fn is_on() -> bool {
    TRACE.with_borrow(Option::is_some)
}

/// From now on lines are of this time and about this place.
pub fn at(now: Micros, place: std::fmt::Arguments<'_>) {
    TRACE.with_borrow_mut(|trace| {
        if let Some(trace) = trace {
            trace.now = now;
            trace.place = place.to_string();
        }
    });
}

/// See [`note!`].
pub fn line(text: &str) {
    TRACE.with_borrow_mut(|trace| {
        if let Some(trace) = trace {
            let (seconds, micros) = (trace.now / 1_000_000, trace.now % 1_000_000);
            trace.text.push_str(&format!("{seconds:4}.{micros:06} {} {text}\n", trace.place));
        }
    });
}

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        is_on()
    }

    fn log(&self, record: &log::Record<'_>) {
        note!("log {} {}", record.level(), record.args());
    }

    fn flush(&self) {}
}

fn install_logger() {
    // A second trace in this process finds it installed already.
    if log::set_logger(&Logger).is_ok() {
        log::set_max_level(log::LevelFilter::Debug);
    }
}
