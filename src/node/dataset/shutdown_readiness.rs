//! What a node that ends owes to its replicas: what it has acknowledged is to be with one of them, and its slots too.
//!
//! Owns: what is known of that, by the replicas' own words, and what is left behind in the end. Must not: choose the successor (the leader
//! does), or end.
//! Contract: docs/protocol.md, "Failover" \[N53 last-bytes\].
//!
//! Bytes that were written to a socket are with nobody, nor is what somebody had who is not connected at the moment: he may need all of it
//! again.

use crate::node::dataset::Dataset;
use crate::node::event_log::replica_named;
use crate::node::metadata::Metadata;
use crate::node::view::{Effects, View};
use crate::session::Client;
use crate::types::{Millis, NodeId};

/// How often the leader is asked again for a successor that it has refused (ms).
const ASK_AGAIN: Millis = 200;

/// A primary on its way out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::node) struct ShutdownWait {
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
    CatchUp,
}

impl Dataset {
    pub fn begin_shutdown_wait(&self, view: &View) -> ShutdownWait {
        let until = view.now.mono.saturating_add(view.config.shutdown_timeout.saturating_mul(1000));
        ShutdownWait { until, floor: None, asked: None, told: false }
    }

    /// One step of giving the slots up; `None` if that is over.
    pub fn wait_for_replicas(
        &mut self,
        mut wait: ShutdownWait,
        metadata: &mut Metadata,
        view: &View,
        out: &mut Effects,
    ) -> Option<ShutdownWait> {
        let owed = self.owed(&wait, metadata, view, out);
        self.hold_for_replicas(&mut wait, owed, metadata, out);
        if owed == Owed::Nothing || wait.until <= view.now.mono {
            return None;
        }
        if !wait.told {
            log::info!("Waiting for replicas before shutting down, for at most {} s; writes wait too", view.config.shutdown_timeout);
            wait.told = true;
        }
        if self.may_ask(&wait, owed, metadata, view) {
            wait.asked = Some(view.now.mono);
            self.ask_for_successor(metadata, view, out);
        }
        Some(wait)
    }

    /// Nothing is acknowledged any more that replicas could lack in the end. Also if slots have come back meanwhile, and were served.
    fn hold_for_replicas(&mut self, wait: &mut ShutdownWait, owed: Owed, metadata: &Metadata, out: &mut Effects) {
        let has_replicas = owed != Owed::Nothing || self.replicas(out).next().is_some();
        if has_replicas && metadata.state.slot_count_of(&metadata.me) > 0 && !out.clients.pauses.is_own() {
            wait.floor = Some(self.stream.offset());
            out.hold_writes(Millis::MAX);
            self.feeding.asks_acks = true;
        }
        wait.floor.get_or_insert(self.stream.offset());
    }

    /// The successor may have gone, and the slots have come back: nobody has the time any more to copy what would be written.
    pub fn hold_returned_slots(&mut self, metadata: &Metadata, out: &mut Effects) {
        let returned = metadata.state.slot_count_of(&metadata.me) > 0 && !metadata.state.replicas_of(&metadata.me).is_empty();
        if returned && !out.clients.pauses.is_own() {
            out.hold_writes(Millis::MAX);
        }
    }

    /// When it is to be looked at again, if nothing happens before (mono ms).
    pub fn shutdown_wait_deadline(&self, wait: &ShutdownWait, view: &View) -> Millis {
        let again = wait.asked.map(|asked| asked + ASK_AGAIN).filter(|again| *again > view.now.mono);
        again.map_or(wait.until, |again| again.min(wait.until))
    }

    /// Whether what it waits for has come.
    pub fn can_end_shutdown_wait(&self, wait: &ShutdownWait, metadata: &Metadata, view: &View, out: &Effects) -> bool {
        let owed = self.owed(wait, metadata, view, out);
        owed == Owed::Nothing || self.may_ask(wait, owed, metadata, view)
    }

    fn may_ask(&self, wait: &ShutdownWait, owed: Owed, metadata: &Metadata, view: &View) -> bool {
        let patient = wait.asked.is_some_and(|asked| view.now.mono < asked + ASK_AGAIN);
        owed == Owed::Slots && !patient && !metadata.proposals.gives_up(&metadata.me)
    }

    fn owed(&self, wait: &ShutdownWait, metadata: &Metadata, view: &View, out: &Effects) -> Owed {
        let floor = wait.floor.unwrap_or(self.stream.offset());
        let strangers = || if self.strangers_lag(floor, out) { Owed::Copy } else { Owed::Nothing };
        let (near, connected) = (metadata.hears_leader(view), self.member_replicas(out).next().is_some());
        if self.owes_final_offset(metadata) || self.role.is_handing_over() {
            return if near || connected { Owed::CatchUp } else { strangers() };
        }
        // Of a successor that lacks keys its predecessor has all of them.
        if metadata.state.slot_count_of(&metadata.me) == 0 || self.role.predecessor().is_some() {
            return strangers();
        }
        // A flag in an older state may have been taken back: who leads by now may have heard from it.
        let is_gone = |id: &NodeId| metadata.knows_newest_state() && metadata.state.member(id).is_none_or(|member| member.failed);
        let lives = metadata.state.replicas_of(&metadata.me).iter().any(|id| !is_gone(id));
        match self.is_with_a_replica(floor, out) && !self.role.lacks_keys() {
            // Who lives and is reached dials within a second. Without a leader nobody says of the others that they are gone. Whether a
            // replica has more than who has just started nobody knows before the leader has looked: it is a predecessor, or feeds them.
            false if connected || lives && near => Owed::Copy,
            true if near && metadata.state.able_replicas(&metadata.me).next().is_some() => Owed::Slots,
            _ => strangers(),
        }
    }

    fn member_replicas<'a>(&'a self, out: &'a Effects) -> impl Iterator<Item = &'a Client> {
        self.replicas(out).filter(|client| client.replica.as_ref().is_some_and(|replica| replica.profile.is_member))
    }

    /// Whether a member of the cluster says that it has run the stream up to here.
    fn is_with_a_replica(&self, floor: u64, out: &Effects) -> bool {
        self.member_replicas(out).any(|client| has(client, floor))
    }

    /// Replicas that are no members get the end of the stream as from a redis-server.
    fn strangers_lag(&self, floor: u64, out: &Effects) -> bool {
        let stranger =
            |client: &Client| client.replica.as_ref().is_some_and(|replica| !replica.profile.is_member && replica.will_acknowledge());
        self.replicas(out).any(|client| stranger(client) && !has(client, floor))
    }

    /// The wait is over. Says what has not come of it, and what is known to be with nobody else.
    pub fn tell_left_behind(&self, wait: &ShutdownWait, metadata: &Metadata, view: &View, out: &Effects) {
        let owed = self.owed(wait, metadata, view, out);
        let floor = wait.floor.unwrap_or(self.stream.offset());
        let serves = metadata.state.slot_count_of(&metadata.me) > 0 && !self.role.lacks_keys();
        let alone = serves && !self.is_with_a_replica(floor, out) && !metadata.state.replicas_of(&metadata.me).is_empty();
        match owed {
            Owed::Slots => return log::warn!("A replica has everything, but none has taken over in time: the shutdown goes on without"),
            Owed::Nothing if !alone => return,
            Owed::Nothing | Owed::Copy | Owed::CatchUp => {}
        }
        for client in self.replicas(out).filter(|client| !has(client, floor)) {
            let Some(replica) = &client.replica else { continue };
            log::warn!(
                "Lagging replica {} reported offset {} behind master, state={}.",
                replica_named(&metadata.state, client),
                self.stream.offset().saturating_sub(replica.acked),
                replica.state()
            );
        }
        let why = match wait.until <= view.now.mono {
            true => "No replica has acknowledged everything in time",
            false => "No replica is left that could acknowledge everything, as when all nodes end together",
        };
        match self.left_behind() {
            Some(left) => log::warn!("{why}: the shutdown goes on, and leaves behind {left} that no replica has acknowledged"),
            None => log::info!("{why}, but one has had all writes: the shutdown goes on"),
        }
    }

    /// None if that is no write.
    fn left_behind(&self) -> Option<String> {
        let Some(acked) = self.feeding.acked(&self.stream) else {
            return Some(format!("all of its {} keys ({} writes since it has started)", self.keyspace.len(), self.keyspace.dirty()));
        };
        let bytes = self.stream.offset() - acked;
        match self.stream.writes_since(acked) {
            Some(0) => None,
            Some(writes) => Some(format!("{writes} writes ({bytes} bytes)")),
            None => Some(format!("{bytes} bytes of its stream")),
        }
    }
}

fn has(client: &Client, floor: u64) -> bool {
    client.replica.as_ref().is_some_and(|replica| replica.is_online() && replica.acked >= floor)
}
