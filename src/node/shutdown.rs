//! Shutdown in order: a primary gives its slots and all that it has acknowledged to a replica, then a leader hands over, so that the
//! cluster need not find out by silence that it is gone. Then the keys are saved.
//!
//! Owns: how far a shutdown is. Must not: know what replicas have (dataset does), choose who leads next (raft does), or end the process
//! (the shell does, on [`Action::Exit`]).
//! Contract: docs/protocol.md, "Leader transfer".

use crate::config::{LastSave, ShutdownOptions};
use crate::node::dataset::shutdown_readiness::ShutdownWait;
use crate::node::timers::Timer;
use crate::node::{Action, Node};
use crate::store::Disk;
use crate::types::Term;

/// How far a shutdown is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::node) enum Shutdown {
    /// Nobody has asked for one.
    No,
    /// Asked for; the next turn looks.
    Asked,
    /// What was acknowledged is to be with a replica, which takes over.
    GivingSlotsUp(ShutdownWait),
    /// A leader of this term hands over, and waits for the next one to be at work until [`Timer::Exit`].
    HandingOver(Term),
    /// Nothing is left to hand over; the keys are being saved.
    Saving,
    /// This turn compacts nodes.conf and is the last.
    Now,
}

/// What tells a process to end, beside SHUTDOWN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// SIGTERM.
    Term,
    /// SIGINT.
    Int,
}

impl<D: Disk> Node<D> {
    /// SIGTERM, SIGINT: a primary waits first until a replica has everything and its slots, for `shutdown-timeout` at most; a leader hands
    /// over, which takes at most two election timeouts; then the keys are saved, if there are save points, nodes.conf is compacted and the
    /// process ends. The second time it ends with the next turn.
    pub fn shutdown(&mut self, signal: Signal) {
        let options = match signal {
            Signal::Term => self.view.config.shutdown_on_sigterm,
            Signal::Int => self.view.config.shutdown_on_sigint,
        };
        match self.view.shutdown {
            Shutdown::No => self.begin_shutdown(options),
            _ => self.end_now(),
        }
    }

    /// SHUTDOWN, as [`Node::shutdown`].
    pub(in crate::node) fn begin_shutdown(&mut self, options: ShutdownOptions) {
        if self.view.shutdown == Shutdown::No {
            self.dataset.saving.last_words = options;
            self.view.shutdown = Shutdown::Asked;
        }
        if options.now && !self.view.is_at_its_end() && !self.refuse_to_end() {
            self.save_and_end();
        }
    }

    /// `safe`: the shutdown is called off if nobody has taken this primary's slots.
    fn refuse_to_end(&mut self) -> bool {
        let ShutdownOptions { safe, force, .. } = self.dataset.saving.last_words;
        let refuses =
            safe && !force && (self.metadata.state.slot_count_of(&self.metadata.me) > 0 || self.dataset.owes_final_offset(&self.metadata));
        if refuses {
            log::error!("This node is a primary with slots, and nobody has taken over all that it has, can't exit");
            self.call_off();
        }
        refuses
    }

    /// SHUTDOWN ABORT; what is being handed over still is.
    pub(in crate::node) fn abort_shutdown(&mut self) -> Result<(), String> {
        if matches!(self.view.shutdown, Shutdown::No | Shutdown::Now) {
            return Err("ERR No shutdown in progress.".to_owned());
        }
        log::info!("The shutdown is called off");
        self.call_off();
        Ok(())
    }

    fn call_off(&mut self) {
        self.view.shutdown = Shutdown::No;
        self.out.hold_everything(false);
        self.with_dataset(|dataset, _, _, out| dataset.read_primary(out));
        self.out.release_writes();
        self.out.todo.connect = true;
        self.out.clients.waiting.shutdown_aborted();
    }

    /// Nothing is left to hand over. While the keys are saved nobody changes them: what was acknowledged is in the file.
    fn save_and_end(&mut self) {
        let wanted = match self.dataset.saving.last_words.save {
            LastSave::IfUsual => !self.view.config.save.is_empty(),
            LastSave::Yes => true,
            LastSave::No => false,
        };
        // Before all keys are there the old file is the better one.
        if !wanted || self.dataset.is_loading() {
            return self.end_now();
        }
        log::info!("Saving the keys before the end");
        self.view.shutdown = Shutdown::Saving;
        self.out.hold_everything(true);
        self.dataset.save_anew(&mut self.files, &mut self.out);
    }

    /// A save has ended; it may have been the last.
    pub(in crate::node) fn saved_at_end(&mut self, good: bool) {
        if self.view.shutdown != Shutdown::Saving {
            return;
        }
        if good || self.dataset.saving.last_words.force {
            return self.end_now();
        }
        log::error!("Error trying to save the DB, can't exit");
        self.call_off();
    }

    /// Nor does anybody hear of a change that the file does not have.
    fn end_now(&mut self) {
        self.view.shutdown = Shutdown::Now;
        self.out.hold_everything(true);
        self.out.todo.rewrite = true;
    }

    /// Once a turn, before the disk is written: begins to hand over, tries again, or ends.
    pub(in crate::node) fn tend_ending(&mut self) {
        if self.view.shutdown == Shutdown::Asked {
            log::info!("Shutting down");
            self.view.shutdown = Shutdown::GivingSlotsUp(self.dataset.begin_shutdown_wait(&self.view));
        }
        let late = self.out.timers.take_due(Timer::Exit, self.view.now.mono);
        if let Shutdown::GivingSlotsUp(wait) = self.view.shutdown {
            return self.tend_shutdown_wait(wait);
        }
        self.tend_handing_over(late);
    }

    fn tend_shutdown_wait(&mut self, wait: ShutdownWait) {
        if let Some(wait) = self.with_dataset(|dataset, metadata, view, out| dataset.wait_for_replicas(wait, metadata, view, out)) {
            self.out.timers.set(Timer::Exit, self.dataset.shutdown_wait_deadline(&wait, &self.view));
            self.view.shutdown = Shutdown::GivingSlotsUp(wait);
            return;
        }
        if self.refuse_to_end() {
            return;
        }
        self.dataset.tell_left_behind(&wait, &self.metadata, &self.view, &self.out);
        self.view.shutdown = Shutdown::HandingOver(self.metadata.raft.term());
        self.out.timers.set(Timer::Exit, self.view.now.mono + self.metadata.handover_patience(&self.view));
        self.tend_handing_over(false);
    }

    fn tend_handing_over(&mut self, late: bool) {
        let Shutdown::HandingOver(term) = self.view.shutdown else { return };
        self.with_dataset(|dataset, metadata, _, out| dataset.hold_returned_slots(metadata, out));
        if late || self.is_dispensable(term) {
            if late && self.metadata.raft.is_leader() {
                log::warn!("Nobody has taken the leadership over in time: the shutdown goes on without");
            }
            return self.save_and_end();
        }
        // Nobody may be fit to take it at the moment: then it is tried again with whatever comes in.
        self.metadata.hand_over(None, &self.view);
    }

    /// Whether what the end waits for has come in this turn.
    pub(in crate::node) fn can_go_on_ending(&self) -> bool {
        match self.view.shutdown {
            Shutdown::GivingSlotsUp(wait) => self.dataset.can_end_shutdown_wait(&wait, &self.metadata, &self.view, &self.out),
            Shutdown::HandingOver(term) => self.is_dispensable(term),
            Shutdown::No | Shutdown::Asked | Shutdown::Saving | Shutdown::Now => false,
        }
    }

    /// Whether nothing is gained by staying, for a node that was asked to end in this term: somebody else leads and commits, or nobody
    /// could.
    fn is_dispensable(&self, asked_in: Term) -> bool {
        if self.metadata.raft.is_leader() {
            return self.metadata.raft.voters().iter().all(|voter| *voter == self.metadata.me);
        }
        // In the same term we did not lead, or have lost the majority. In a later one our vote may be needed, and our ack for the first
        // entry.
        self.metadata.raft.term() <= asked_in || self.metadata.state.last_term() == self.metadata.raft.term()
    }

    /// The end of a turn: if it was the last one, the shell is told.
    pub(in crate::node) fn exit_if_ended(&mut self) {
        if self.view.shutdown == Shutdown::Now {
            self.out.io.actions.push_back(Action::Exit(0));
        }
    }
}

#[cfg(test)]
mod tests;
