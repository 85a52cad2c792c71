//! Clients whose command waits for something that takes more than this turn.
//!
//! Owns: what each of them waits for, and what is decided. Must not: write replies before step 10 of before-sleep.

use crate::commands::{ChangeOutcome, Wait, WaitOutcome};
use crate::node::metadata::proposals::Part;
use crate::types::ConnId;
use std::collections::BTreeMap;

enum Waiter {
    /// For each change its outcome, once it is known.
    Changes(Vec<Option<ChangeOutcome>>),
    /// For one thing.
    One,
    /// For the end of the process, which is no answer.
    Shutdown,
    /// For a RESET: the leader's forgetting is one step of it only, but without that step there is no RESET.
    Reset,
}

/// Who waits.
#[derive(Default)]
pub(in crate::node) struct Waiting {
    waiters: BTreeMap<ConnId, Waiter>,
    decided: Vec<(ConnId, WaitOutcome)>,
    /// Decided after this turn's persist, about what the next one brings to the disk.
    decided_next: Vec<(ConnId, WaitOutcome)>,
}

impl Waiting {
    /// A command of this client ended with that.
    pub fn begin(&mut self, client: ConnId, wait: &Wait) {
        let waiter = match wait {
            Wait::Changes(changes) => Waiter::Changes(vec![None; changes.len()]),
            Wait::Reset { .. } => Waiter::Reset,
            Wait::Shutdown(_) => Waiter::Shutdown,
            _ => Waiter::One,
        };
        self.waiters.insert(client, waiter);
    }

    /// One part of what a client waits for is decided.
    pub fn decide(&mut self, part: Part, outcome: ChangeOutcome) {
        match self.waiters.get_mut(&part.client) {
            Some(Waiter::Changes(outcomes)) => {
                if let Some(place) = outcomes.get_mut(part.number) {
                    *place = Some(outcome);
                }
                if outcomes.iter().all(Option::is_some) {
                    let outcomes = outcomes.iter_mut().filter_map(Option::take).collect();
                    self.finish(part.client, WaitOutcome::Changes(outcomes));
                }
            }
            Some(Waiter::One) => self.finish(part.client, outcome.into()),
            Some(Waiter::Reset) if outcome != ChangeOutcome::Applied => self.finish(part.client, outcome.into()),
            Some(Waiter::Reset | Waiter::Shutdown) | None => {}
        }
    }

    /// All that a client waits for is decided.
    pub fn finish(&mut self, client: ConnId, outcome: WaitOutcome) {
        if self.waiters.remove(&client).is_some() {
            self.decided.push((client, outcome));
        }
    }

    /// As [`Waiting::finish`], with an error reply or none.
    pub fn conclude(&mut self, client: ConnId, result: Result<(), String>) {
        self.finish(client, result.map_or_else(WaitOutcome::Failed, |()| WaitOutcome::Done));
    }

    /// The process does not end after all.
    pub fn shutdown_aborted(&mut self) {
        let waiting = self.waiters.extract_if(.., |_, waiter| matches!(waiter, Waiter::Shutdown));
        let failed = WaitOutcome::Failed("ERR Errors trying to SHUTDOWN. Check logs.".to_owned());
        self.decided.extend(waiting.map(|(client, _)| (client, failed.clone())));
    }

    /// As [`Waiting::finish`], but the client hears of it only when the next turn has brought to the disk what this one changed.
    pub fn finish_next_turn(&mut self, client: ConnId, outcome: WaitOutcome) {
        if self.waiters.remove(&client).is_some() {
            self.decided_next.push((client, outcome));
        }
    }

    /// A turn begins.
    pub fn begin_turn(&mut self) {
        self.decided.append(&mut self.decided_next);
    }

    /// The client is gone; what it asked for goes on.
    pub fn forget(&mut self, client: ConnId) {
        self.waiters.remove(&client);
        self.decided.retain(|(waiter, _)| *waiter != client);
        self.decided_next.retain(|(waiter, _)| *waiter != client);
    }

    /// The client may not hear of it yet.
    pub fn decide_later(&mut self, client: ConnId, outcome: WaitOutcome) {
        self.decided.push((client, outcome));
    }

    /// How what a client waits for has ended, if that is known already.
    pub fn take_decided_of(&mut self, client: ConnId) -> Option<WaitOutcome> {
        let at = self.decided.iter().position(|(waiter, _)| *waiter == client)?;
        Some(self.decided.swap_remove(at).1)
    }

    /// The same of all, for step 10 of before-sleep.
    pub fn take_decided(&mut self) -> Vec<(ConnId, WaitOutcome)> {
        std::mem::take(&mut self.decided)
    }
}
