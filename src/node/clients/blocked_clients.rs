//! Clients whose command waits for something that takes more than this turn.
//!
//! Owns: what each of them waits for, and what is decided. Must not: write replies before step 10 of before-sleep.

use crate::cluster::{Address, WishKind};
use crate::commands::{ChangeOutcome, Wait, WaitOutcome};
use crate::node::Node;
use crate::node::dataset::wait::AckWait;
use crate::node::metadata::Metadata;
use crate::node::metadata::proposals::Part;
use crate::store::Disk;
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

    /// For step 10 of before-sleep.
    pub fn take_decided(&mut self) -> Vec<(ConnId, WaitOutcome)> {
        std::mem::take(&mut self.decided)
    }
}

impl<D: Disk> Node<D> {
    /// A command of `client` ended with `wait`: start what it waits for.
    pub(in crate::node) fn begin_wait(&mut self, client: ConnId, wait: Wait) {
        let waiter = match &wait {
            Wait::Changes(changes) => Waiter::Changes(vec![None; changes.len()]),
            Wait::Reset { .. } => Waiter::Reset,
            Wait::Shutdown(_) => Waiter::Shutdown,
            _ => Waiter::One,
        };
        self.out.clients.waiting.waiters.insert(client, waiter);
        let part = Part { client, number: 0 };
        match wait {
            Wait::Changes(changes) => {
                if changes.is_empty() {
                    self.out.clients.waiting.finish(client, WaitOutcome::Changes(Vec::new()));
                }
                for (number, change) in changes.into_iter().enumerate() {
                    self.with_metadata(|metadata, view, out| metadata.propose(change, Some(Part { client, number }), view, out));
                }
            }
            Wait::Meet { ip, port, bus_port } => self.with_metadata(|metadata, view, out| {
                metadata.begin_meeting(client, &Address { ip, port, bus_port, ..Address::default() }, view, out)
            }),
            Wait::Forget(id) => self.with_metadata(|metadata, view, out| metadata.forget_member(id, part, view, out)),
            Wait::AddVoter(id) => self.with_metadata(|metadata, view, out| metadata.wish(WishKind::AddVoter, id, Some(part), view, out)),
            Wait::DelVoter(id) => self.with_metadata(|metadata, view, out| metadata.wish(WishKind::DelVoter, id, Some(part), view, out)),
            Wait::Reset { hard } => self.with_metadata(|metadata, view, out| metadata.begin_reset(client, hard, view, out)),
            Wait::RecoverQuorum => {
                // On disk with this turn's persist, before its step 10.
                let result = self.with_metadata(Metadata::recover_quorum);
                self.out.clients.waiting.conclude(client, result);
            }
            Wait::SaveConfig => {
                // Step 2 of this turn comes before its step 10, and a failed save ends the process.
                self.out.todo.rewrite = true;
                self.out.clients.waiting.finish(client, WaitOutcome::Done);
            }
            Wait::RewriteConfig => {
                let result = self.rewrite_config();
                self.out.clients.waiting.conclude(client, result);
            }
            Wait::Lead => self.with_metadata(|metadata, view, out| metadata.take_over(client, view, out)),
            Wait::Failover => self.with_dataset(|dataset, metadata, view, out| dataset.begin_failover(client, metadata, view, out)),
            Wait::Replicas { written, count, until } => {
                self.with_dataset(|dataset, _, _, out| dataset.await_acks(AckWait { client, written, count, until, asked: false }, out))
            }
            Wait::Pause(pause) => {
                self.out.pause_clients(Some(pause));
                self.out.clients.waiting.finish(client, WaitOutcome::Done);
            }
            Wait::Unpause => {
                self.out.pause_clients(None);
                self.out.clients.waiting.finish(client, WaitOutcome::Done);
            }
            Wait::Save => self.with_dataset(|dataset, _, _, out| dataset.save_for(client, out)),
            Wait::Shutdown(options) => self.begin_shutdown(options),
            Wait::AbortShutdown => {
                let result = self.abort_shutdown();
                self.out.clients.waiting.conclude(client, result);
            }
        }
    }
}
