//! Requests that are held for a while instead of being served: CLIENT PAUSE.
//!
//! Owns: the pause and who waits for its end. Must not: decide which requests are held (commands does).

use super::Node;
use super::sessions::Kind;
use super::timers::Timer;
use crate::commands::Pause;
use crate::store::Disk;
use crate::types::ConnId;
use std::collections::BTreeSet;

/// The pause in force, if there is one.
#[derive(Default)]
pub(super) struct Pausing {
    pub pause: Option<Pause>,
    /// Clients whose next request waits.
    pub held: BTreeSet<ConnId>,
}

impl<D: Disk> Node<D> {
    /// CLIENT PAUSE and UNPAUSE: the newest counts.
    pub(super) fn pause_clients(&mut self, pause: Option<Pause>) {
        self.pausing.pause = pause;
        if let Some(pause) = pause {
            self.timers.set(Timer::Pause, pause.until);
        }
        self.resume_held();
    }

    /// The client's next request is held.
    pub(super) fn hold(&mut self, conn: ConnId) {
        if let Some(Kind::Client(client)) = self.sessions.get_mut(conn).map(|session| &mut session.kind) {
            client.client.held = true;
            self.pausing.held.insert(conn);
        }
    }

    /// Timers: a pause ends.
    pub(super) fn end_pause(&mut self) {
        let now = self.now.mono;
        if self.timers.take_due(Timer::Pause, now) && self.pausing.pause.is_some_and(|pause| pause.until <= now) {
            self.pause_clients(None);
        }
    }

    /// Whoever is held is looked at again, in the next turn, which follows at once: it is held once more if it must be.
    fn resume_held(&mut self) {
        for conn in std::mem::take(&mut self.pausing.held) {
            if let Some(Kind::Client(client)) = self.sessions.get_mut(conn).map(|session| &mut session.kind) {
                client.client.held = false;
                self.sessions.queue_input(conn);
            }
        }
    }
}
