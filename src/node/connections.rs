//! What the shell tells of its sockets, and takes for them.
//!
//! Owns: the beginning and the end of every session, and what hangs on it when it ends. Must not: look at the bytes (frames, clients and
//! dataset do).
//! Contract: the calls of [`Node`] that the shell makes beside [`Node::turn`].

use crate::channel::Fault;
use crate::commands::WaitOutcome;
use crate::node::clients::protection;
use crate::node::event_log::replica_named;
use crate::node::io::closing;
use crate::node::io::guard::NO_SECRET;
use crate::node::io::sessions::{BusEnd, BusSession, ClientSession, Kind, Purpose, Session};
use crate::node::serve::limits;
use crate::node::{Accepted, Action, Closed, Closing, Node, Port, Transmit, Turned};
use crate::session::Client;
use crate::store::Disk;
use crate::types::{ConnId, Now};
use crate::wire::{Frame, Parser};
use std::net::SocketAddr;

/// Bus connections from others at one time; more are refused.
const MAX_INBOUND: usize = 10_000;

impl<D: Disk> Node<D> {
    /// A connection was accepted.
    pub fn accepted(&mut self, port: Port, remote: SocketAddr, local: SocketAddr) -> Accepted {
        match port {
            Port::Bus => {
                let (from, to) = (remote.ip(), local.ip());
                if !self.out.io.guard.lets_in(&self.view.config, from, to) {
                    self.out.io.turn_away(from, NO_SECRET, self.view.now);
                    return Accepted::Refused(b"");
                }
                if self.out.io.sessions.len() - self.out.io.sessions.client_count() >= MAX_INBOUND {
                    return Accepted::Refused(b"");
                }
                Accepted::Session(self.out.io.sessions.insert(Kind::Bus(Box::new(BusSession {
                    end: BusEnd::Inbound,
                    peer: None,
                    remote_ip: remote.ip(),
                    local_ip: Some(local.ip()),
                    since: self.view.now,
                    heard: 0,
                    publishes: false,
                    is_closing: false,
                }))))
            }
            Port::Client => {
                self.out.server.stats.connections_received += 1;
                if self.out.io.sessions.client_count() >= self.view.config.maxclients as usize {
                    self.out.server.stats.connections_rejected += 1;
                    return Accepted::Refused(b"-ERR max number of clients reached\r\n");
                }
                if let Some(line) = protection::refusal(&self.view.config, remote) {
                    self.out.server.stats.connections_rejected += 1;
                    return Accepted::Refused(line);
                }
                let authenticated = self.view.config.requirepass.is_empty();
                let client = Client::new(self.out.io.next_client(), remote, local, self.view.now, authenticated);
                let parser = Parser::new(limits(&self.view.config, authenticated));
                Accepted::Session(self.out.io.sessions.insert(Kind::Client(Box::new(ClientSession {
                    client,
                    parser,
                    held_up: false,
                    behind_since: None,
                }))))
            }
        }
    }

    /// A connection's channel has ended, and so will it: [`Node::disconnected`] follows.
    pub fn channel_ended(&mut self, conn: ConnId, why: Fault) {
        self.out.io.channel_ended(conn, why, self.view.now);
        let end = self.out.io.sessions.bus(conn).map(|bus| bus.end);
        if end == Some(BusEnd::Outbound { purpose: Purpose::Meet }) {
            let text = format!("ERR No link with the node to meet: {why}");
            self.with_metadata(|metadata, _, out| metadata.end_meeting(conn, Err(text), out));
        }
    }

    /// Who has made this connection knows the cluster's secret.
    pub fn is_keyed(&mut self, conn: ConnId) {
        if let Some(Kind::Client(client)) = self.out.io.sessions.get_mut(conn).map(|session| &mut session.kind) {
            client.client.is_keyed = true;
        }
    }

    /// Other secrets count from now on, or they are required: replicas that are members come again, by a channel.
    pub fn secrets_changed(&mut self) {
        if !self.view.config.requires_secret() {
            return;
        }
        let is_plain_member = |session: &Session| match &session.kind {
            Kind::Client(client) => {
                !client.client.is_keyed && client.client.replica.as_ref().is_some_and(|replica| replica.profile.is_member)
            }
            Kind::Bus(_) | Kind::Primary(_) => false,
        };
        let plain: Vec<ConnId> =
            self.out.io.sessions.iter().filter(|(_, session)| is_plain_member(session)).map(|(conn, _)| conn).collect();
        for conn in plain {
            let why = "it has come without the cluster's secret, which counts now";
            self.with_dataset(|dataset, metadata, _, out| dataset.drop_replica(conn, why, metadata, out));
        }
    }

    /// The number of an accepted connection's socket, for people to see.
    pub fn has_socket(&mut self, conn: ConnId, fd: i32) {
        if let Some(Kind::Client(client)) = self.out.io.sessions.get_mut(conn).map(|session| &mut session.kind) {
            client.client.fd = fd;
        }
    }

    /// A dialled link is up; `local` is our end of it.
    pub fn connected(&mut self, conn: ConnId, local: SocketAddr) {
        let Some(bus) = self.out.io.sessions.bus_mut(conn) else {
            return self.with_dataset(|dataset, metadata, view, out| dataset.primary_connected(conn, local, metadata, view, out));
        };
        bus.local_ip = Some(local.ip());
        let (remote, BusEnd::Outbound { purpose }) = (bus.remote_ip, bus.end) else { return };
        if purpose == Purpose::Meet && !self.out.io.guard.lets_in(&self.view.config, remote, local.ip()) {
            self.with_metadata(|metadata, _, out| metadata.end_meeting(conn, Err(format!("ERR {NO_SECRET}")), out));
            return self.close(conn);
        }
        self.with_metadata(|metadata, view, out| metadata.learn_own_ip(local.ip(), view, out));
        let hello = match purpose {
            Purpose::Link(id) | Purpose::Ask(id) | Purpose::Publish(id) => self.greeting(Some(&id)),
            Purpose::Meet => self.greeting(None),
            // Somebody listens there: that was the question.
            Purpose::Probe => return self.with_metadata(|metadata, _, out| metadata.probe_accepted(conn, out)),
        };
        self.out.io.outbox.push(conn, Frame::Hello(hello));
    }

    /// A connection ended, or a dial failed. Its session is gone.
    pub fn disconnected(&mut self, conn: ConnId, why: Closed) {
        log::trace!("connection {conn:?} ended: {why:?}");
        self.with_metadata(|metadata, view, out| metadata.note_ended(conn, why, view, out));
        self.forget_session(conn);
    }

    /// Where the shell puts what it reads; `None` while the connection is not to be read (it is closing, or held up).
    pub fn receive_buffer(&mut self, conn: ConnId) -> Option<&mut Vec<u8>> {
        let at_end = self.view.is_at_its_end();
        let session = self.out.io.sessions.get_mut(conn)?;
        let is_held = at_end && matches!(session.kind, Kind::Primary(_));
        (!session.closing && !session.is_full() && !is_held).then_some(&mut session.receive)
    }

    /// `count` bytes were appended to the receive buffer.
    pub fn received(&mut self, conn: ConnId, count: usize) {
        let (bytes, now) = (count as u64, self.view.now.mono);
        match self.out.io.sessions.get_mut(conn).map(|session| &mut session.kind) {
            Some(Kind::Client(client)) => {
                client.client.totals.input += bytes;
                self.out.server.stats.input.add(bytes, client.client.is_replica(), now);
            }
            Some(Kind::Primary(_)) => self.out.server.stats.input.add(bytes, true, now),
            Some(Kind::Bus(_)) => self.out.io.bus_stats.bytes_received += bytes,
            None => {}
        }
        self.out.io.sessions.queue_input(conn);
    }

    /// The next thing for the shell to do.
    pub fn next_action(&mut self, _: &Turned) -> Option<Action> {
        self.out.io.actions.pop_front()
    }

    /// The next connection with something to write.
    pub fn next_dirty(&mut self, _: &Turned) -> Option<ConnId> {
        self.out.io.sessions.next_output()
    }

    /// The shell has written what it could, `count` bytes. A session that was only to be flushed is closed once nothing is left.
    pub fn flushed(&mut self, conn: ConnId, count: usize) {
        let (bytes, now) = (count as u64, self.view.now.mono);
        match self.out.io.sessions.get_mut(conn).map(|session| &mut session.kind) {
            Some(Kind::Client(client)) => {
                client.client.totals.output += bytes;
                self.out.server.stats.output.add(bytes, client.client.is_replica(), now);
            }
            Some(Kind::Primary(_)) => self.out.server.stats.output.add(bytes, true, now),
            Some(Kind::Bus(_)) => self.out.io.bus_stats.bytes_sent += bytes,
            None => {}
        }
        if let Some(session) = self.out.io.sessions.get_mut(conn).filter(|session| session.transmit.is_empty()) {
            if session.closing {
                return self.close(conn);
            }
            session.has_said_all();
        }
        self.out.lane_flushed(conn, count, &self.view);
        self.out.check_output_limit(conn, &self.dataset.stream, &self.metadata.state, &self.view);
        self.with_dataset(|dataset, _, view, out| dataset.replica_has_read(conn, view, out));
        self.out.resume_held_up(conn);
    }

    /// Ends a session from our side.
    pub(in crate::node) fn close(&mut self, conn: ConnId) {
        let how = self.out.io.sessions.get(conn).map_or(Closing::InOrder, |session| closing::of(session, &self.dataset.stream));
        if self.forget_session(conn) {
            self.out.io.actions.push_back(Action::Close { conn, how });
        }
    }

    /// Removes a session and what hung on it; false if it was gone already.
    pub(in crate::node) fn forget_session(&mut self, conn: ConnId) -> bool {
        let Some(session) = self.out.io.sessions.remove(conn) else { return false };
        self.session_ended(conn, session);
        true
    }

    /// A connection is gone, and its session with it.
    pub(in crate::node) fn session_ended(&mut self, conn: ConnId, session: Session) {
        match session.kind {
            Kind::Client(mut client) => {
                self.dataset.keyspace.rubble().free(session.receive);
                if client.client.replica.as_ref().is_some_and(|replica| replica.is_online()) {
                    log::info!("The link to replica {} has ended", replica_named(&self.metadata.state, &client.client));
                }
                self.out.clients.publishing.pubsub.leave(conn, &mut client.client.subscriptions);
                client.client.leave(&mut self.dataset.keyspace);
                self.out.clients.waiting.forget(conn);
                self.out.clients.pauses.held.remove(&conn);
                self.metadata.reset_ended(conn);
                self.with_dataset(|dataset, metadata, _, out| {
                    dataset.failover_ended(conn, &WaitOutcome::Failed("the client that asked for it is gone".to_owned()), metadata, out)
                });
            }
            Kind::Primary(link) => self.primary_lost(conn, *link, session.receive),
            Kind::Bus(bus) => self.link_ended(conn, bus.end),
        }
    }

    fn link_ended(&mut self, conn: ConnId, end: BusEnd) {
        match end {
            BusEnd::Inbound => self.metadata.raft.answer_link_closed(conn),
            BusEnd::Outbound { purpose: Purpose::Link(id) } => {
                self.with_metadata(|metadata, view, out| metadata.link_lost(id, conn, view, out))
            }
            BusEnd::Outbound { purpose: Purpose::Meet } => self.with_metadata(|metadata, view, out| metadata.meeting_lost(conn, view, out)),
            BusEnd::Outbound { purpose: Purpose::Ask(_) } => {}
            BusEnd::Outbound { purpose: Purpose::Probe } => self.with_metadata(|metadata, _, out| metadata.probe_failed(conn, out)),
            BusEnd::Outbound { purpose: Purpose::Publish(id) } => self.out.lane_lost(id, conn, &self.view),
        }
    }

    /// What is to be written to a connection; asked for right before each write(2), with the clock as it is then. A session that was served
    /// under a lease which has lapsed since is closed instead \[N9 lease-at-reply\].
    pub fn transmit_buffer(&mut self, _: &Turned, conn: ConnId, reading: Now) -> Option<&mut Transmit> {
        let now = self.take_reading(reading);
        let Kind::Client(client) = &self.out.io.sessions.get(conn)?.kind else {
            return self.out.io.transmit_mut(conn);
        };
        if let Some(number) = client.client.under_lease.filter(|number| self.dataset.lease.at(now.mono) != Some(*number)) {
            log::debug!("closing client {} without its replies: write lease {number} has run out", client.client.id);
            self.close(conn);
            return None;
        }
        self.out.io.transmit_mut(conn)
    }

    /// Reads the clock; everything until the next reading happens at this time.
    pub(in crate::node) fn read_clock(&mut self, clock: &mut dyn FnMut() -> Now) {
        self.view.now = self.take_reading(clock());
    }

    /// The time at this reading. If the clock went back, nothing is served or told any more that rested on the time before.
    pub(in crate::node) fn take_reading(&mut self, reading: Now) -> Now {
        let (now, back) = self.machine.steady.read(reading);
        if back > 0 {
            let led = if self.metadata.raft.is_leader() { ", and the leadership" } else { "" };
            log::error!(
                "The clock (CLOCK_BOOTTIME) has gone back by {back} ms: this node gives up its write lease{led}. Its host's clock is not to be trusted"
            );
            self.metadata.raft.clock_went_back(now.mono);
            self.with_dataset(|dataset, metadata, view, _| dataset.renew_lease(metadata, view));
        }
        now
    }
}

#[cfg(test)]
mod tests {
    use crate::node::net::Net;

    #[test]
    fn what_has_come_and_gone_is_counted() {
        let mut net = Net::with_members(1);
        let conn = net.say(0, "PING");
        net.until("the answer", |net| net.nodes[0].out.io.sessions.get(conn).is_some_and(|session| !session.transmit.is_empty()));
        net.nodes[0].has_socket(conn, 33);
        net.nodes[0].flushed(conn, 7);
        let text = net.ask(0, "CLIENT LIST");
        let line = text.lines().find(|line| line.contains(" fd=33 ")).expect("it is listed");
        assert!(line.ends_with(" tot-net-in=6 tot-net-out=7 tot-cmds=1"), "{line}");
    }
}
