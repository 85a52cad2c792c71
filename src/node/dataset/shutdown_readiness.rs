//! What a node that ends owes to its replicas: what it has acknowledged is to be with one of them, and its slots too.
//!
//! Owns: what is known of that, by the replicas' own words, and what is left behind in the end. Must not: choose the successor (the leader does), or end.
//! Contract: docs/protocol.md, "Failover" \[N53\].
//!
//! Bytes that were written to a socket are with nobody, nor is what somebody had who is not connected at the moment: he may need all of it again.

use crate::node::Node;
use crate::node::event_log::replica_named;
use crate::session::Client;
use crate::store::Disk;
use crate::types::Millis;

/// How often the leader is asked again for a successor that it has refused (ms).
const ASK_AGAIN: Millis = 200;

/// A primary on its way out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::node) struct Parting {
    /// No replica is waited for any longer (mono ms).
    until: Millis,
    /// Where the stream was when writes were held: what was acknowledged is before that.
    floor: Option<u64>,
    /// When the leader was last asked for a successor (mono ms).
    asked: Option<Millis>,
    /// The log says what it waits for.
    told: bool,
}

/// What it waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Owed {
    /// Nothing, or nothing will come of it.
    Nothing,
    /// No replica has acknowledged everything.
    Copy,
    /// One has, and nobody has taken over.
    Slots,
    /// The successor has not said that it has everything.
    Inheritance,
}

impl<D: Disk> Node<D> {
    pub(in crate::node) fn begin_parting(&self) -> Parting {
        let until = self.view.now.mono.saturating_add(self.view.config.shutdown_timeout.saturating_mul(1000));
        Parting { until, floor: None, asked: None, told: false }
    }

    /// One step of giving the slots up; `None` if that is over.
    pub(in crate::node) fn part(&mut self, mut parting: Parting) -> Option<Parting> {
        let owed = self.owed(&parting);
        self.hold_for_replicas(&mut parting, owed);
        if owed == Owed::Nothing || parting.until <= self.view.now.mono {
            return None;
        }
        if !parting.told {
            log::info!("Waiting for replicas before shutting down, for at most {} s; writes wait too", self.view.config.shutdown_timeout);
            parting.told = true;
        }
        if self.may_ask(&parting, owed) {
            parting.asked = Some(self.view.now.mono);
            self.ask_for_successor();
        }
        Some(parting)
    }

    /// Nothing is acknowledged any more that replicas could lack in the end. Also if slots have come back meanwhile, and were served.
    fn hold_for_replicas(&mut self, parting: &mut Parting, owed: Owed) {
        let has_replicas = owed != Owed::Nothing || self.replicas().next().is_some();
        if has_replicas && self.metadata.state.slot_count_of(&self.metadata.me) > 0 && !self.out.clients.pausing.is_own() {
            parting.floor = Some(self.dataset.stream.offset());
            self.out.hold_writes(Millis::MAX);
            self.dataset.feeding.asks_acks = true;
        }
        parting.floor.get_or_insert(self.dataset.stream.offset());
    }

    /// The successor may have gone, and the slots have come back: nobody has the time any more to copy what would be written.
    pub(in crate::node) fn hold_returned_slots(&mut self) {
        let returned =
            self.metadata.state.slot_count_of(&self.metadata.me) > 0 && !self.metadata.state.replicas_of(&self.metadata.me).is_empty();
        if returned && !self.out.clients.pausing.is_own() {
            self.out.hold_writes(Millis::MAX);
        }
    }

    /// When it is to be looked at again, if nothing happens before (mono ms).
    pub(in crate::node) fn parting_deadline(&self, parting: &Parting) -> Millis {
        let again = parting.asked.map(|asked| asked + ASK_AGAIN).filter(|again| *again > self.view.now.mono);
        again.map_or(parting.until, |again| again.min(parting.until))
    }

    /// Whether what it waits for has come.
    pub(in crate::node) fn can_go_on_parting(&self, parting: &Parting) -> bool {
        let owed = self.owed(parting);
        owed == Owed::Nothing || self.may_ask(parting, owed)
    }

    fn may_ask(&self, parting: &Parting, owed: Owed) -> bool {
        let patient = parting.asked.is_some_and(|asked| self.view.now.mono < asked + ASK_AGAIN);
        owed == Owed::Slots && !patient && !self.metadata.proposals.gives_up(&self.metadata.me)
    }

    fn owed(&self, parting: &Parting) -> Owed {
        let floor = parting.floor.unwrap_or(self.dataset.stream.offset());
        let strangers = || if self.strangers_lag(floor) { Owed::Copy } else { Owed::Nothing };
        let (near, connected) = (self.hears_leader(), self.member_replicas().next().is_some());
        if self.owes_inheritance() || self.is_handing_over() {
            return if near || connected { Owed::Inheritance } else { strangers() };
        }
        // Of an heir that lacks keys its predecessor has all of them.
        if self.metadata.state.slot_count_of(&self.metadata.me) == 0 || self.dataset.succession.predecessor().is_some() {
            return strangers();
        }
        let lives = self
            .metadata
            .state
            .replicas_of(&self.metadata.me)
            .iter()
            .any(|id| self.metadata.state.member(id).is_some_and(|member| !member.failed));
        match self.is_with_a_replica(floor) && !self.lacks_keys() {
            // Who lives and is reached dials within a second. Without a leader nobody says of the others that they are gone. Whether a replica has more than who has
            // just started nobody knows before the leader has looked: it is a predecessor, or feeds them.
            false if connected || lives && near => Owed::Copy,
            true if near && self.metadata.state.able_replicas(&self.metadata.me).next().is_some() => Owed::Slots,
            _ => strangers(),
        }
    }

    /// Whether a leader was heard so lately, by the time of the last turn, that it will be heard again, or another one.
    pub fn hears_leader(&self) -> bool {
        self.metadata
            .outlook
            .leader_heard
            .is_some_and(|heard| self.view.now.mono.saturating_sub(heard) <= self.metadata.handover_patience(&self.view))
    }

    fn member_replicas(&self) -> impl Iterator<Item = &Client> {
        self.replicas().filter(|client| client.replica.as_ref().is_some_and(|replica| replica.profile.is_member))
    }

    /// Whether a member of the cluster says that it has run the stream up to here.
    fn is_with_a_replica(&self, floor: u64) -> bool {
        self.member_replicas().any(|client| has(client, floor))
    }

    /// Replicas that are no members get the end of the stream as from a redis-server.
    fn strangers_lag(&self, floor: u64) -> bool {
        let stranger =
            |client: &Client| client.replica.as_ref().is_some_and(|replica| !replica.profile.is_member && replica.will_acknowledge());
        self.replicas().any(|client| stranger(client) && !has(client, floor))
    }

    /// The wait is over. Says what has not come of it, and what is known to be with nobody else.
    pub(in crate::node) fn tell_left_behind(&self, parting: &Parting) {
        let owed = self.owed(parting);
        let floor = parting.floor.unwrap_or(self.dataset.stream.offset());
        let serves = self.metadata.state.slot_count_of(&self.metadata.me) > 0 && !self.lacks_keys();
        let alone = serves && !self.is_with_a_replica(floor) && !self.metadata.state.replicas_of(&self.metadata.me).is_empty();
        match owed {
            Owed::Slots => return log::warn!("A replica has everything, but none has taken over in time: the shutdown goes on without"),
            Owed::Nothing if !alone => return,
            Owed::Nothing | Owed::Copy | Owed::Inheritance => {}
        }
        for client in self.replicas().filter(|client| !has(client, floor)) {
            let Some(replica) = &client.replica else { continue };
            log::warn!(
                "Lagging replica {} reported offset {} behind master, state={}.",
                replica_named(&self.metadata.state, client),
                self.dataset.stream.offset().saturating_sub(replica.acked),
                replica.state()
            );
        }
        let left = self.left_behind();
        log::warn!(
            "No replica has acknowledged everything in time: the shutdown goes on, and leaves behind {left} that no replica has acknowledged"
        );
    }

    fn left_behind(&self) -> String {
        let Some(acked) = self.dataset.feeding.acked(&self.dataset.stream) else {
            return format!(
                "all of its {} keys ({} writes since it has started)",
                self.dataset.keyspace.len(),
                self.dataset.keyspace.dirty()
            );
        };
        let bytes = self.dataset.stream.offset() - acked;
        match self.dataset.stream.writes_since(acked) {
            Some(writes) => format!("{writes} writes ({bytes} bytes)"),
            None => format!("{bytes} bytes of its stream"),
        }
    }
}

fn has(client: &Client, floor: u64) -> bool {
    client.replica.as_ref().is_some_and(|replica| replica.is_online() && replica.acked >= floor)
}
