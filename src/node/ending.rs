//! Ending in order: a primary has a replica take over, then a leader hands over, so that the cluster need not find out by silence that it is gone. Then the
//! keys are saved.
//!
//! Owns: how far a shutdown is. Must not: choose who leads next (raft does), or end the process (the shell does, on [`Action::Exit`]).
//! Contract: docs/protocol.md, "Leader transfer".

use super::timers::Timer;
use super::{Action, Node};
use crate::commands::LastSave;
use crate::store::Disk;
use crate::types::Term;

/// How far a shutdown is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    /// Nobody has asked for one.
    No,
    /// Asked for; the next turn looks.
    Asked,
    /// A primary has its best replica promoted, until [`Timer::Exit`].
    GivingSlotsUp,
    /// A leader of this term hands over, and waits for the next one to be at work until [`Timer::Exit`].
    HandingOver(Term),
    /// Nothing is left to hand over; the keys are being saved.
    Saving,
    /// This turn compacts nodes.conf and is the last.
    Now,
}

/// What SHUTDOWN asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastWords {
    pub save: LastSave,
    /// Whether the process ends even if that fails.
    pub force: bool,
}

impl Default for LastWords {
    /// Those of a signal.
    fn default() -> Self {
        Self { save: LastSave::IfUsual, force: false }
    }
}

impl<D: Disk> Node<D> {
    /// SIGTERM, SIGINT: a leader hands over first, which takes at most two election timeouts; then the keys are saved, if there are save points,
    /// nodes.conf is compacted and the process ends. The second time it ends with the next turn.
    pub fn shutdown(&mut self) {
        match self.ending {
            Ending::No => self.begin_shutdown(false, LastWords::default()),
            _ => self.end_now(),
        }
    }

    /// SHUTDOWN, as [`Node::shutdown`].
    pub(super) fn begin_shutdown(&mut self, at_once: bool, last_words: LastWords) {
        if self.ending == Ending::No {
            self.saving.last_words = last_words;
            self.ending = Ending::Asked;
        }
        if at_once && !matches!(self.ending, Ending::Saving | Ending::Now) {
            self.save_and_end();
        }
    }

    /// SHUTDOWN ABORT; what is being handed over still is.
    pub(super) fn abort_shutdown(&mut self) -> Result<(), String> {
        if matches!(self.ending, Ending::No | Ending::Now) {
            return Err("ERR No shutdown in progress.".to_owned());
        }
        log::info!("The shutdown is called off");
        self.call_off();
        Ok(())
    }

    fn call_off(&mut self) {
        self.ending = Ending::No;
        self.hold_everything(false);
        self.release_writes();
        self.waiting.shutdown_aborted();
    }

    /// Nothing is left to hand over. While the keys are saved nobody changes them: what was acknowledged is in the file.
    fn save_and_end(&mut self) {
        let wanted = match self.saving.last_words.save {
            LastSave::IfUsual => !self.config.save.is_empty(),
            LastSave::Yes => true,
            LastSave::No => false,
        };
        // Before all keys are there the old file is the better one.
        if !wanted || self.is_loading() {
            return self.end_now();
        }
        log::info!("Saving the keys before the end");
        self.ending = Ending::Saving;
        self.hold_everything(true);
        self.save_anew();
    }

    /// A save has ended; it may have been the last.
    pub(super) fn saved_at_end(&mut self, good: bool) {
        if self.ending != Ending::Saving {
            return;
        }
        if good || self.saving.last_words.force {
            return self.end_now();
        }
        log::error!("Error trying to save the DB, can't exit");
        self.call_off();
    }

    /// Nor does anybody hear of a change that the file does not have.
    fn end_now(&mut self) {
        self.ending = Ending::Now;
        self.hold_everything(true);
        self.todo.rewrite = true;
    }

    /// Once a turn, before the disk is written: begins to hand over, tries again, or ends.
    pub(super) fn tend_ending(&mut self) {
        if self.ending == Ending::Asked {
            log::info!("Shutting down");
            self.give_slots_up(self.now.mono + self.handover_patience());
            self.ending = Ending::GivingSlotsUp;
            self.timers.set(Timer::Exit, self.now.mono + self.handover_patience());
            if self.is_giving_slots_up() {
                log::info!("A replica is to take over first: writes wait for that, for at most {} ms", self.handover_patience());
            }
        }
        let mut late = self.timers.take_due(Timer::Exit, self.now.mono);
        if self.ending == Ending::GivingSlotsUp && (late || !self.is_giving_slots_up()) {
            if late && self.is_giving_slots_up() {
                log::warn!("No replica has taken over in time: the shutdown goes on without");
            }
            self.ending = Ending::HandingOver(self.raft.term());
            self.timers.set(Timer::Exit, self.now.mono + self.handover_patience());
            late = false;
        }
        let Ending::HandingOver(term) = self.ending else { return };
        if late || self.is_dispensable(term) {
            if late && self.raft.is_leader() {
                log::warn!("Nobody has taken the leadership over in time: the shutdown goes on without");
            }
            return self.save_and_end();
        }
        // Nobody may be fit to take it at the moment: then it is tried again with whatever comes in.
        self.hand_over(None);
    }

    /// Whether what the end waits for has come in this turn.
    pub(super) fn can_go_on_ending(&self) -> bool {
        match self.ending {
            Ending::GivingSlotsUp => !self.is_giving_slots_up(),
            Ending::HandingOver(term) => self.is_dispensable(term),
            Ending::No | Ending::Asked | Ending::Saving | Ending::Now => false,
        }
    }

    /// Whether nothing is gained by staying, for a node that was asked to end in this term: somebody else leads and commits, or nobody could.
    fn is_dispensable(&self, asked_in: Term) -> bool {
        if self.raft.is_leader() {
            return self.raft.voters().iter().all(|voter| *voter == self.me);
        }
        // In the same term we did not lead, or have lost the majority. In a later one our vote may be needed, and our ack for the first entry.
        self.raft.term() <= asked_in || self.state.last_term() == self.raft.term()
    }

    /// The end of a turn: if it was the last one, the shell is told.
    pub(super) fn exit_if_ended(&mut self) {
        if self.ending == Ending::Now {
            self.actions.push_back(Action::Exit(0));
        }
    }
}

#[cfg(test)]
mod tests;
