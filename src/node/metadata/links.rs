//! Our outbound bus links: which are wanted, when they are dialled, when they are given up.
//!
//! Owns: one [`Link`] per node that we talk to, and where members were heard from since the cluster learned their addresses. Must not: read
//! frames (frames does) or open sockets (the shell does, on [`crate::node::Action::Dial`]).
//! Contract: docs/protocol.md, "Links".

use crate::cluster::Address;
use crate::node::io::redial::Redial;
use crate::node::io::sessions::{BusEnd, Kind, Purpose};
use crate::node::metadata::Metadata;
use crate::node::timers::Timer;
use crate::node::view::{Effects, View};
use crate::raft::RoleName;
use crate::types::{ConnId, Millis, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// Longest pause before a link is dialled again.
const MAX_BACKOFF: Millis = 1000;
/// Pauses end at multiples of this, so that one look at all links serves every dial that is due: a leader may have hundreds to dead nodes.
const DIAL_GRID: Millis = 25;

/// A node that greets us is not waited for by a dial of ours that is older than this (ms); younger ones of both sides are left to meet.
pub(in crate::node) const STALE_DIAL: Millis = 200;
/// How many members a node without a leader greets at a time, besides the voters.
const MAX_INFORMANTS: usize = 16;

/// One outbound link, or the request for one.
#[derive(Debug, Default)]
pub(in crate::node) struct Link {
    /// The session, from the dial on.
    pub conn: Option<ConnId>,
    /// HI has come: requests may go out.
    pub greeted: bool,
    /// When it was dialled, or last answered an AE (mono ms).
    pub answered: Millis,
    redial: Redial,
    /// Where it was dialled.
    socket: Option<SocketAddr>,
    /// To be dialled where the cluster knows the node, though it was heard from another place since: that one has failed.
    elsewhere: bool,
    /// Who was last found where it was dialled, if that was somebody else.
    other: Option<NodeId>,
}

impl Link {
    /// No answer came where it was dialled: next is the other place, if the node was `found` at one.
    fn failed(&mut self, found: Option<SocketAddr>) {
        self.elsewhere = found.is_some() && self.socket == found;
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(in crate::node) struct Links {
    by_node: BTreeMap<NodeId, Link>,
    /// Where members were heard from that we did not reach; never where the cluster knows them to be.
    found: BTreeMap<NodeId, SocketAddr>,
}

impl Links {
    /// The session for requests to `id`, if its link is up.
    pub fn up(&self, id: &NodeId) -> Option<ConnId> {
        self.by_node.get(id).filter(|link| link.greeted)?.conn
    }

    /// The sessions for requests, of all links that are up.
    pub fn all_up(&self) -> impl Iterator<Item = ConnId> {
        self.by_node.values().filter(|link| link.greeted).filter_map(|link| link.conn)
    }

    /// Whom we want to talk to and do not reach at the moment.
    pub fn unreached(&self) -> impl Iterator<Item = NodeId> {
        self.by_node.iter().filter(|(_, link)| !link.greeted).map(|(id, _)| *id)
    }

    /// Where a node was dialled, if this is the link to it.
    pub fn place_of(&self, id: &NodeId, conn: ConnId) -> Option<SocketAddr> {
        self.by_node.get(id).filter(|link| link.conn == Some(conn))?.socket
    }

    pub fn get_mut(&mut self, id: &NodeId) -> Option<&mut Link> {
        self.by_node.get_mut(id)
    }
}

/// Where a node's bus listens; `None` while that is not known.
pub(in crate::node) fn bus_socket(address: &Address) -> Option<SocketAddr> {
    Some(SocketAddr::new(address.ip.parse().ok()?, address.bus_port))
}

impl Metadata {
    /// Step 1 of before-sleep: dial what is wanted, close what is not.
    pub fn connect_links(&mut self, view: &View, out: &mut Effects) {
        let due = out.timers.take_due(Timer::Dial, view.now.mono);
        if !std::mem::take(&mut out.todo.connect) && !due {
            return;
        }
        let wanted = self.wanted_links(view);
        let unwanted: Vec<_> =
            self.links.by_node.iter().filter(|(id, _)| !wanted.contains(*id)).map(|(id, link)| (*id, link.conn)).collect();
        for (id, conn) in unwanted {
            if let Some(conn) = conn {
                self.link_lost(id, conn, view, out);
                out.close(conn);
            }
            self.links.by_node.remove(&id);
        }
        for id in wanted {
            self.dial_link(id, view, out);
        }
        self.dial_meetings(view, out);
    }

    /// Leader with everyone; candidate with voters; joiner with who takes it in; the rest on demand, which is: to the leader while it is
    /// asked for something, and to other members while no leader is heard.
    fn wanted_links(&self, view: &View) -> BTreeSet<NodeId> {
        let mut wanted = BTreeSet::new();
        match self.raft.role() {
            RoleName::Leader => wanted.extend(self.addresses.keys().chain(self.raft.voters())),
            RoleName::Candidate | RoleName::PreCandidate => wanted.extend(self.raft.voters()),
            RoleName::Follower | RoleName::Learner => {
                let asks = !self.proposals.is_empty() || self.leader_transfer.is_some() || view.held.asks.is_some();
                wanted.extend(self.raft.leader().filter(|leader| asks || self.links.by_node.contains_key(leader)));
            }
        }
        if self.is_leaderless(view) {
            wanted.extend(self.informants(view));
        }
        wanted.extend(self.sponsor().map(|sponsor| sponsor.id));
        wanted.extend(self.doubted());
        wanted.extend(self.shows_own_ip(view));
        wanted.extend(view.held.asks);
        wanted.remove(&self.me);
        wanted
    }

    /// Whom a node greets that has not heard a leader for long. It may have been forgotten, which only the leader can say; the voters that
    /// it knows may vote no more, so the other members get their turn.
    fn informants(&self, view: &View) -> impl Iterator<Item = NodeId> {
        let turn = (view.now.mono / view.config.cluster_node_timeout.max(1)) as usize * MAX_INFORMANTS;
        let start = turn % self.addresses.len().max(1);
        self.raft.voters().iter().chain(self.addresses.keys().cycle().skip(start).take(MAX_INFORMANTS)).copied()
    }

    fn dial_link(&mut self, id: NodeId, view: &View, out: &mut Effects) {
        let Some(socket) = self.place_of(&id) else { return };
        let now = view.now.mono;
        let link = self.links.by_node.entry(id).or_default();
        if link.greeted || (link.conn.is_some() && link.socket == Some(socket)) {
            return;
        }
        // Dialled where it is no more: nobody may ever answer there.
        if let Some(conn) = link.conn.take() {
            link.redial.at_once(now);
            out.close(conn);
        }
        if let Some(due) = self.links.by_node.get(&id).and_then(|link| link.redial.wait(now)) {
            return out.timers.at_most(Timer::Dial, due);
        }
        let conn = out.dial(socket, Purpose::Link(id), view);
        if let Some(link) = self.links.by_node.get_mut(&id) {
            (link.conn, link.socket) = (Some(conn), Some(socket));
            link.answered = now;
        }
    }

    /// Where a node is to be dialled: where it was heard from since the cluster has learned its address, or else there, in turn.
    pub fn place_of(&self, id: &NodeId) -> Option<SocketAddr> {
        let elsewhere = self.links.by_node.get(id).is_some_and(|link| link.elsewhere);
        let found = self.links.found.get(id).copied();
        let sponsor = self.sponsor().filter(|sponsor| sponsor.id == *id).map(|sponsor| &sponsor.address);
        let known = self.address_of(id).or(sponsor).and_then(bus_socket);
        if elsewhere { known.or(found) } else { found.or(known) }
    }

    /// The members, or their addresses, have changed: what was found out by ourselves may be known to all, or over.
    pub fn review_found(&mut self) {
        let mut found = std::mem::take(&mut self.links.found);
        found.retain(|id, found| self.address_of(id).is_some_and(|known| bus_socket(known) != Some(*found)));
        self.links.found = found;
    }

    /// After a start: what was not applied yet may say where a member has gone.
    pub fn note_addresses_in_tail(&mut self, out: &mut Effects) {
        let moved = self.tail().relocations().filter_map(|(id, address)| Some((*id, bus_socket(address)?)));
        for (id, socket) in moved.collect::<Vec<_>>() {
            self.found_at(id, socket, out);
        }
    }

    /// A node greets: it is there, and a link to it that was to be dialled again after a pause need not wait. A node that was started again
    /// hears from its leader at once. Nor is a dial waited for that has had no answer in [`STALE_DIAL`]: its first packet was lost, and the
    /// kernel sends it again ever later. Or nobody is there: it counts as failed, as it may never last until that shows.
    pub fn dial_at_once(&mut self, id: &NodeId, view: &View, out: &mut Effects) {
        let now = view.now.mono;
        let found = self.links.found.get(id).copied();
        let Some(link) = self.links.by_node.get_mut(id).filter(|link| !link.greeted) else { return };
        if link.conn.is_some() && now.saturating_sub(link.answered) < STALE_DIAL {
            return;
        }
        if let Some(conn) = link.conn.take() {
            link.failed(found);
            out.close(conn);
        }
        if let Some(link) = self.links.by_node.get_mut(id) {
            link.redial.at_once(now);
        }
        out.todo.connect = true;
    }

    /// A member greets: should we not reach it where the cluster knows it to be, we try there.
    pub fn note_address(&mut self, conn: ConnId, id: NodeId, out: &mut Effects) {
        let greeted = out.io.sessions.bus(conn).and_then(|bus| bus_socket(&bus.peer.as_ref()?.address));
        if let Some(socket) = greeted {
            self.found_at(id, socket, out);
        }
    }

    /// A member is at this place, by its own greeting or by a MEET. Its NODE_INFO tells everybody, once it hears from the leader.
    pub fn found_at(&mut self, id: NodeId, socket: SocketAddr, out: &mut Effects) {
        let Some(known) = self.address_of(&id).map(bus_socket) else { return };
        if self.links.up(&id).is_some() {
            return;
        }
        if known == Some(socket) {
            self.links.found.remove(&id);
        } else {
            self.links.found.insert(id, socket);
        }
        out.todo.connect = true;
    }

    /// HI came on the link to `id`: requests may go out.
    pub fn link_greeted(&mut self, id: NodeId, view: &View, out: &mut Effects) {
        let Some(link) = self.links.by_node.get_mut(&id) else { return };
        link.greeted = true;
        link.redial.stands();
        link.answered = view.now.mono;
        let end = link.conn.and_then(|conn| out.io.sessions.bus(conn)?.local_ip);
        if let Some(local) = end {
            self.shown_at(local, view, out);
        }
        self.raft.link_up(id);
        self.tell_copies(id, out);
        out.todo.proposals = true;
        self.ask_to_be_added(id, out);
    }

    /// Somebody else is where a node was dialled: it lost its disk, or its address was given away. Said once, however often that is tried.
    pub fn answered_by_another(&mut self, conn: ConnId, dialled: NodeId, found: NodeId, out: &mut Effects) {
        if let Some(link) = self.links.by_node.get_mut(&dialled)
            && link.other.replace(found) != Some(found)
        {
            let place = link.socket.map(|socket| socket.to_string()).unwrap_or_default();
            log::warn!("{found} answers at {place}, where {dialled} was dialled: has that one lost its nodes.conf, or its address?");
        }
        out.close(conn);
    }

    /// The session of the link to `id` is gone: dial again after a pause, if it is still wanted.
    pub fn link_lost(&mut self, id: NodeId, conn: ConnId, view: &View, out: &mut Effects) {
        let found = self.links.found.get(&id).copied();
        let Some(link) = self.links.by_node.get_mut(&id).filter(|link| link.conn == Some(conn)) else { return };
        if !link.greeted {
            link.failed(found);
        }
        link.conn = None;
        link.greeted = false;
        link.redial.failed(view.now.mono, MAX_BACKOFF, &mut out.rng);
        link.redial.align(DIAL_GRID);
        out.timers.at_most(Timer::Dial, link.redial.at);
        self.raft.link_down(id);
    }

    /// Every node's cluster or address changed, or ours did: close all links but `keep` and greet anew.
    pub fn drop_bus_links(&mut self, keep: Option<ConnId>, view: &View, out: &mut Effects) {
        let bus: Vec<_> = out.io.sessions.iter().filter(|(_, session)| matches!(session.kind, Kind::Bus(_))).map(|(id, _)| id).collect();
        for conn in bus.into_iter().filter(|conn| Some(*conn) != keep) {
            if let Some(BusEnd::Outbound { purpose: Purpose::Link(id) }) = out.io.sessions.bus(conn).map(|bus| bus.end) {
                self.link_lost(id, conn, view, out);
            }
            out.close(conn);
        }
        self.links = Links::default();
        out.todo.connect = true;
    }

    /// Cron: a link that does not answer is closed and dialled anew, an inbound one that never greeted is closed.
    pub fn close_silent_links(&mut self, view: &View, out: &mut Effects) {
        let patience = view.config.cluster_node_timeout / 2 + self.raft.slowness();
        let now = view.now.mono;
        // Without a leader, a greeting anew is how a node hears from one that does not count it as a member.
        let expecting = self.raft.is_leader() || self.is_leaderless(view);
        let silent = |link: &&Link| (!link.greeted || expecting) && now.saturating_sub(link.answered) > patience;
        let mut silent: Vec<_> = self.links.by_node.values().filter(silent).filter_map(|link| link.conn).collect();
        silent.extend(out.io.sessions.iter().filter_map(|(id, session)| match &session.kind {
            Kind::Bus(bus) if bus.peer.is_none() && now.saturating_sub(bus.since.mono) > patience => Some(id),
            _ => None,
        }));
        for conn in silent {
            log::debug!("closing a bus link that did not answer for {patience} ms");
            out.close(conn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Port;
    use crate::node::net::Net;
    use crate::node::{Accepted, Closed};
    use crate::wire::bus::{Frame, encode};

    impl Net {
        /// Time in which nobody else does anything: what node 0 dials gives no answer.
        fn pass(&mut self, millis: Millis) {
            self.now.mono += millis;
            self.now.wall += millis;
            let now = self.now;
            self.nodes[0].turn(&mut || now).unwrap();
        }

        /// Node 1 greets node 0 from this place, and does not say where it is.
        fn greet_from(&mut self, place: SocketAddr) {
            let Accepted::Session(conn) = self.nodes[0].accepted(Port::Bus, place, place) else { panic!("there is room") };
            let mut greeting = self.nodes[1].greeting(None);
            greeting.address.ip.clear();
            let mut bytes = Vec::new();
            encode(&Frame::Hello(greeting), 1, &mut bytes).unwrap();
            self.give(0, conn, &bytes);
            self.pass(0);
        }

        /// What node 0 dials is refused; it pauses and dials again.
        fn refuse_dial(&mut self) {
            let conn = self.nodes[0].metadata.links.by_node[&self.nodes[1].metadata.me].conn.unwrap();
            self.disconnect(0, conn, Closed::Refused);
            self.pass(200);
        }

        /// Where node 0 dials node 1.
        fn dialled(&self) -> Option<SocketAddr> {
            let link = self.nodes[0].metadata.links.by_node.get(&self.nodes[1].metadata.me)?;
            assert!(!link.greeted);
            link.conn.and(link.socket)
        }
    }

    /// Dials to it are given up whenever it greets, before they end by themselves.
    #[test]
    fn who_greets_again_and_again_from_a_new_place_is_dialled_there_as_well() {
        // What fails while only one place is known says nothing of the other.
        for failures in 0..2 {
            let mut net = Net::with_members(2);
            net.kill(1);
            net.pass(200);
            let (old, new) = ("10.0.0.1:17001".parse().unwrap(), "10.0.0.2:17001".parse().unwrap());
            (0..failures).for_each(|_| net.refuse_dial());
            assert_eq!(net.dialled(), Some(old));
            net.pass(STALE_DIAL);
            net.greet_from(new);
            assert_eq!(net.dialled(), Some(new));
            net.refuse_dial();
            assert_eq!(net.dialled(), Some(old));
            for place in [new, old, new] {
                net.pass(STALE_DIAL);
                net.greet_from(new);
                assert_eq!(net.dialled(), Some(place));
            }
        }
    }
}
