//! Requests that are held for a while instead of being served: CLIENT PAUSE, while slots change hands, and while this node
//! joins a cluster.
//!
//! Owns: the pause and who waits for its end. Must not: decide which requests are held (commands does).

use crate::node::io::sessions::Kind;
use crate::node::timers::Timer;
use crate::node::view::Effects;
use crate::session::{Held, Pause};
use crate::types::{ConnId, Millis, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// The pauses in force.
#[derive(Default)]
pub(in crate::node) struct Pauses {
    by_client: Option<Pause>,
    /// While slots go from a primary to its replica, until when (mono ms), for each replica that asked for it; none: for this node itself.
    handovers: BTreeMap<Option<NodeId>, Millis>,
    /// The process ends: what it has acknowledged is on its way to the disk, and nothing follows.
    ends: bool,
    /// What comes of these three, for each command asks.
    in_force: Option<Pause>,
    /// This node is about to be a member: what only members may do waits.
    pub joins_soon: bool,
    /// Clients whose next request waits.
    pub held: BTreeSet<ConnId>,
}

impl Pauses {
    /// What requests meet: of two pauses the stricter and longer one.
    pub fn in_force(&self) -> Option<Pause> {
        self.in_force
    }

    /// This node holds writes on its own account.
    pub fn is_own(&self) -> bool {
        self.handovers.contains_key(&None)
    }

    /// As [`Pausing::in_force`], without what a client has asked for and could take back.
    pub fn by_node(&self) -> Option<Pause> {
        let handover = self.handovers.values().max().map(|&until| Pause { held: Held::Writes, until });
        let end = self.ends.then_some(Pause { held: Held::All, until: Millis::MAX });
        handover.into_iter().chain(end).reduce(both)
    }
}

fn both(a: Pause, b: Pause) -> Pause {
    Pause { held: a.held.max(b.held), until: a.until.max(b.until) }
}

impl Effects {
    /// CLIENT PAUSE, which only lengthens one that is in force, and makes it stricter; none: CLIENT UNPAUSE.
    pub fn pause_clients(&mut self, pause: Option<Pause>) {
        let former = self.clients.pauses.by_client.filter(|_| pause.is_some());
        self.clients.pauses.by_client = pause.into_iter().chain(former).reduce(both);
        self.pauses_changed();
    }

    /// Writes wait until this node's slots are somebody's again.
    pub fn hold_writes(&mut self, until: Millis) {
        self.clients.pauses.handovers.insert(None, until);
        self.pauses_changed();
    }

    /// A replica that is about to take them over has asked for it.
    pub fn hold_writes_for(&mut self, replica: NodeId, until: Millis) {
        self.clients.pauses.handovers.insert(Some(replica), until);
        self.pauses_changed();
    }

    /// Nobody needs wait any longer.
    pub fn release_writes(&mut self) {
        if !std::mem::take(&mut self.clients.pauses.handovers).is_empty() {
            self.pauses_changed();
        }
    }

    /// Nor for what this replica has asked; for others, or for this node itself, still.
    pub fn release_writes_for(&mut self, replica: NodeId) {
        if self.clients.pauses.handovers.remove(&Some(replica)).is_some() {
            self.pauses_changed();
        }
    }

    /// Nobody is served any more; or again, for the process does not end after all.
    pub fn hold_everything(&mut self, ends: bool) {
        self.clients.pauses.ends = ends;
        self.pauses_changed();
    }

    /// This node is about to be a member of a cluster, or is, or will not be.
    pub fn hold_until_joined(&mut self, joins_soon: bool) {
        if std::mem::replace(&mut self.clients.pauses.joins_soon, joins_soon) && !joins_soon {
            self.resume_held();
        }
    }

    fn pauses_changed(&mut self) {
        let pauses = &mut self.clients.pauses;
        pauses.in_force = pauses.by_client.into_iter().chain(pauses.by_node()).reduce(both);
        let ends = pauses.by_client.map(|pause| pause.until).into_iter().chain(pauses.handovers.values().copied());
        if let Some(until) = ends.min() {
            self.timers.set(Timer::Pause, until);
        }
        self.resume_held();
    }

    /// Whether what is left of this client's EXEC must wait although what suspended it is decided: it began before the pause, and would go
    /// on in it \[N54 paused-transaction\].
    pub fn holds_rest(&self, conn: ConnId) -> bool {
        let Some(pause) = self.clients.pauses.by_node() else { return false };
        let kind = self.io.sessions.get(conn).map(|session| &session.kind);
        pause.held == Held::All && matches!(kind, Some(Kind::Client(client)) if client.client.execution.is_some())
    }

    /// The client's next request is held. It is looked at anew afterwards, under the lease of that time.
    pub fn hold(&mut self, conn: ConnId) {
        let Some(session) = self.io.sessions.get_mut(conn) else { return };
        if session.transmit.is_empty() {
            session.has_said_all();
        }
        if let Kind::Client(client) = &mut session.kind {
            client.client.held = true;
            self.clients.pauses.held.insert(conn);
        }
    }

    /// Timers: a pause ends.
    pub fn end_pause(&mut self, now: Millis) {
        if self.timers.take_due(Timer::Pause, now) {
            self.clients.pauses.by_client.take_if(|pause| pause.until <= now);
            self.clients.pauses.handovers.retain(|_, until| *until > now);
            self.pauses_changed();
        }
    }

    /// Whoever is held is looked at again, in the next turn, which follows at once: it is held once more if it must be.
    fn resume_held(&mut self) {
        for conn in std::mem::take(&mut self.clients.pauses.held) {
            if let Some(Kind::Client(client)) = self.io.sessions.get_mut(conn).map(|session| &mut session.kind) {
                client.client.held = false;
                self.io.sessions.queue_input(conn);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::net::Net;

    #[test]
    fn a_pause_only_gets_longer_and_stricter() {
        let mut net = Net::of(1);
        let out = &mut net.nodes[0].out;
        for ((held, until), in_force) in [
            ((Held::Writes, 5000), (Held::Writes, 5000)),
            ((Held::Writes, 3000), (Held::Writes, 5000)),
            ((Held::All, 4000), (Held::All, 5000)),
            ((Held::Writes, 9000), (Held::All, 9000)),
        ] {
            out.pause_clients(Some(Pause { held, until }));
            assert_eq!(out.clients.pauses.in_force(), Some(Pause { held: in_force.0, until: in_force.1 }));
        }
        out.pause_clients(None);
        assert_eq!(out.clients.pauses.in_force(), None);
    }
}
