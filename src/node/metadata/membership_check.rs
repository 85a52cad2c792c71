//! Hearing that this node was forgotten: whoever says it is not believed before this node has asked by itself.
//!
//! Owns: whose word counts, and the question under way. Must not: forget anybody, or tell others (reset does).
//! Contract: docs/protocol.md, "Who is listened to" \[N60 false-forgotten\].

use crate::node::io::sessions::{BusEnd, Purpose};
use crate::node::metadata::Metadata;
use crate::node::metadata::links::bus_socket;
use crate::node::view::{Effects, View};
use crate::types::{ConnId, LogIndex, Millis, NodeId, Term};
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// How many members are asked at a time.
const MAX_ASKED: usize = 16;
/// Those who have not answered after so long are not waited for (ms): shorter than CLUSTER MEET's patience, as a MEET waits for it.
const ASK_PATIENCE: Millis = 2000;

/// Somebody has said that this node was forgotten: members are asked.
#[derive(Debug)]
pub(in crate::node) struct MembershipCheck {
    asked: Vec<ConnId>,
    /// Then it is over: no sooner, so that one who says it again and again is not asked after each time (mono ms).
    until: Millis,
}

impl Metadata {
    /// A node says by `conn` that we are no member any more, by a log up to there. One that is behind ours may not know that we have come
    /// back \[N38 stale-forgotten\]; a joiner is no member yet and waits to be one, unless it is meant by its own nonce.
    pub fn receive_forgotten(
        &mut self,
        conn: ConnId,
        last_term: Term,
        last_index: LogIndex,
        join_nonce: Option<u64>,
        view: &View,
        out: &mut Effects,
    ) {
        let own = (self.raft.log().last_term(), self.raft.log().last_index());
        let joins_on = self.standing.joiner().is_some_and(|joiner| joiner.nonce.is_none() || joiner.nonce != join_nonce);
        if (last_term, last_index) < own || joins_on || self.is_singleton() {
            return;
        }
        if self.is_first_hand(conn, out) { self.leave_as_forgotten(view, out) } else { self.check_membership(conn, view, out) }
    }

    /// Whether what comes by this link was said by a member of our state that we have dialled where that state has it, or by the node that
    /// a client of ours has named in CLUSTER MEET. Everybody else may be anybody \[N60 false-forgotten\].
    fn is_first_hand(&self, conn: ConnId, out: &Effects) -> bool {
        match out.io.sessions.bus(conn).map(|bus| bus.end) {
            Some(BusEnd::Outbound { purpose: Purpose::Link(id) }) => {
                self.links.place_of(&id, conn).is_some_and(|place| self.known_places(&id).contains(&place))
            }
            Some(BusEnd::Outbound { purpose: Purpose::Ask(_) | Purpose::Meet }) => true,
            Some(BusEnd::Inbound | BusEnd::Outbound { purpose: Purpose::Publish(_) | Purpose::Probe }) | None => false,
        }
    }

    /// Where our state or the log's tail has a member, or where a joiner has met the node that takes it in.
    fn known_places(&self, id: &NodeId) -> BTreeSet<SocketAddr> {
        let sponsor = self.sponsor().filter(|sponsor| sponsor.id == *id).map(|sponsor| &sponsor.address);
        let tail = self.tail().addresses().filter(|(member, _)| *member == id).map(|(_, address)| address);
        self.addresses.get(id).into_iter().chain(sponsor).chain(tail).filter_map(bus_socket).collect()
    }

    /// Asks members whether they count us as one: they say it to whoever greets them.
    fn check_membership(&mut self, conn: ConnId, view: &View, out: &mut Effects) {
        let speaker = out.io.sessions.bus(conn).and_then(|bus| Some(bus.peer.as_ref()?.id));
        if let (Some(speaker), None) = (speaker, &self.forgotten.check) {
            log::info!("{speaker} says that the cluster has forgotten this node: asking its members");
            let asked = self.whom_to_ask(speaker, out).into_iter().map(|(id, socket)| out.dial(socket, Purpose::Ask(id), view)).collect();
            self.forgotten.check = Some(MembershipCheck { asked, until: view.now.mono + ASK_PATIENCE });
        }
    }

    /// The speaker if it is a member, the voters, and others.
    fn whom_to_ask(&mut self, speaker: NodeId, out: &mut Effects) -> Vec<(NodeId, SocketAddr)> {
        let start = out.rng.below(self.addresses.len().max(1) as u64) as usize;
        let others = self.addresses.keys().cycle().skip(start).take(self.addresses.len());
        let sponsor = self.sponsor().map(|sponsor| &sponsor.id);
        let first = std::iter::once(&speaker).chain(sponsor).chain(self.raft.voters());
        // After a start most of the log may not be applied yet.
        let all = first.chain(others).chain(self.tail().addresses().map(|(id, _)| id));
        let mut seen = BTreeSet::from([self.me]);
        let places = all.filter(|id| seen.insert(**id)).flat_map(|id| self.known_places(id).into_iter().map(|socket| (*id, socket)));
        places.take(MAX_ASKED).collect()
    }

    /// Whether members are being asked.
    pub fn doubts_membership(&self) -> bool {
        self.forgotten.check.is_some()
    }

    /// HI came from who was asked; it is to say more at once, if it has to.
    pub fn ask_greeted(&mut self, conn: ConnId, is_asked: bool, out: &mut Effects) {
        if !is_asked {
            out.close(conn);
        }
    }

    /// Cron: no member has said so in time, and nothing changes.
    pub fn expire_membership_check(&mut self, view: &View, out: &mut Effects) {
        let Some(check) = self.forgotten.check.take_if(|check| check.until <= view.now.mono) else { return };
        check.asked.into_iter().for_each(|conn| out.close(conn));
        self.reject_deferred_fellows(out);
    }
}

#[cfg(test)]
mod tests;
