//! Ending in order: a primary has a replica take over, then a leader hands over, so that the cluster need not find out by silence that it is gone.
//!
//! Owns: how far a shutdown is. Must not: choose who leads next (raft does), or end the process (the shell does, on [`Action::Exit`]).
//! Contract: docs/protocol.md, "Leader transfer".

use super::timers::Timer;
use super::{Action, Node};
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
    /// This turn compacts nodes.conf and is the last.
    Now,
}

impl<D: Disk> Node<D> {
    /// SIGTERM, SIGINT: a leader hands over first, which takes at most two election timeouts; then nodes.conf is compacted and the process ends.
    /// The second time it ends with the next turn.
    pub fn shutdown(&mut self) {
        self.begin_shutdown(self.ending != Ending::No);
    }

    /// SHUTDOWN, as [`Node::shutdown`].
    pub(super) fn begin_shutdown(&mut self, at_once: bool) {
        match self.ending {
            _ if at_once => self.end_now(),
            Ending::No => self.ending = Ending::Asked,
            Ending::Asked | Ending::GivingSlotsUp | Ending::HandingOver(_) | Ending::Now => {}
        }
    }

    /// SHUTDOWN ABORT; what is being handed over still is.
    pub(super) fn abort_shutdown(&mut self) -> Result<(), String> {
        if matches!(self.ending, Ending::No | Ending::Now) {
            return Err("ERR No shutdown in progress.".to_owned());
        }
        self.ending = Ending::No;
        self.release_writes();
        self.waiting.shutdown_aborted();
        Ok(())
    }

    fn end_now(&mut self) {
        self.ending = Ending::Now;
        self.todo.rewrite = true;
    }

    /// Once a turn, before the disk is written: begins to hand over, tries again, or ends.
    pub(super) fn tend_ending(&mut self) {
        if self.ending == Ending::Asked {
            log::info!("Shutting down");
            self.give_slots_up(self.now.mono + self.handover_patience());
            self.ending = Ending::GivingSlotsUp;
            self.timers.set(Timer::Exit, self.now.mono + self.handover_patience());
        }
        let mut late = self.timers.take_due(Timer::Exit, self.now.mono);
        if self.ending == Ending::GivingSlotsUp && (late || !self.is_giving_slots_up()) {
            self.ending = Ending::HandingOver(self.raft.term());
            self.timers.set(Timer::Exit, self.now.mono + self.handover_patience());
            late = false;
        }
        let Ending::HandingOver(term) = self.ending else { return };
        if late || self.is_dispensable(term) {
            return self.end_now();
        }
        // Nobody may be fit to take it at the moment: then it is tried again with whatever comes in.
        self.hand_over(None);
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
