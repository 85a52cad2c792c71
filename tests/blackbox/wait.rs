//! Waiting: a condition is asked again and again until it holds, or a deadline has passed.
//!
//! Owns: the only sleep and the only clock of these tests.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Long enough for what works to have worked, on a machine that is busy with everything else too.
pub const PATIENCE: Duration = Duration::from_secs(40);

#[allow(clippy::disallowed_methods, reason = "tests measure real processes")]
pub fn now() -> Instant {
    Instant::now()
}

/// A pause between two looks, or before a signal whose moment is the point of the test.
#[allow(clippy::disallowed_methods, reason = "the pause between two looks at another process")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Asks until there is an answer. After `limit` it fails with what was missing at the last look.
#[track_caller]
pub fn within<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let began = now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(missing) if began.elapsed() > limit => panic!("waited {limit:?} for {what}; at last: {missing}"),
            Err(_) => pause(Duration::from_millis(20)),
        }
    }
}

/// [`within`] the usual patience.
#[track_caller]
pub fn until<T>(what: &str, look: impl FnMut() -> Result<T, String>) -> T {
    within(PATIENCE, what, look)
}

/// [`until`] a condition without more to say holds.
#[track_caller]
pub fn until_true(what: &str, mut holds: impl FnMut() -> bool) {
    until(what, || if holds() { Ok(()) } else { Err("it does not hold".to_owned()) });
}

/// Tells another thread to end, also when this one panics.
pub struct EndAtLast<'a>(pub &'a AtomicBool);

impl Drop for EndAtLast<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
