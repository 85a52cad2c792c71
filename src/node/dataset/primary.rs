//! Feeding replicas: from PSYNC on, a client's session gets all keys and then the stream.
//!
//! Owns: which clients are replicas, how much of the stream is kept for them, and what is told to keep their links alive.
//! Must not: know the protocol's bytes (replication does). Contract: docs/protocol.md, "Replication".

use crate::node::Node;
use crate::node::dataset::wait::AckWait;
use crate::node::event_log::replica_named;
use crate::node::io::sessions::{Kind, Session, Sessions};
use crate::replication::rdb::About;
use crate::replication::{Fed, Offer, Replica, Start, Stream};
use crate::session::{Client, seconds};
use crate::store::Disk;
use crate::types::{ConnId, Millis, ReplId};

/// A replica that has less than this unsent gets more: enough that its socket is never empty while there is something to send.
const ROOM: usize = 256 * 1024;
/// How often replicas that are kept waiting get a line, and are looked at for their silence (ms).
const TEND_PERIOD: Millis = 1000;

/// The replicas, as far as this node feeds them.
#[derive(Default)]
pub(in crate::node) struct Feeding {
    /// Clients that have asked for data. Those that are gone leave with the next step 11.
    replicas: Vec<ConnId>,
    /// More can be sent at once.
    pub pressing: bool,
    /// When they were last tended (mono ms).
    tended: Millis,
    /// When the stream last got a PING (mono ms).
    pinged: Millis,
    /// Clients that wait for what replicas acknowledge.
    pub waits: Vec<AckWait>,
    /// Replicas are to be asked how far they are.
    pub asks_acks: bool,
    /// The most that a member has acknowledged of this history.
    acked: Option<(ReplId, u64)>,
    /// Since when there is no replica (mono ms); none while there is one.
    alone_since: Option<Millis>,
}

impl Feeding {
    /// A client has asked for data.
    pub fn add(&mut self, conn: ConnId) {
        if !self.replicas.contains(&conn) {
            self.replicas.push(conn);
        }
    }

    /// The most that a member has ever acknowledged of what this is; it may be gone.
    pub fn acked(&self, stream: &Stream) -> Option<u64> {
        self.acked.filter(|(history, acked)| *history == stream.history().id && *acked <= stream.offset()).map(|(_, acked)| acked)
    }
}

/// A client as a replica, if it is one that has asked for data.
fn replica(sessions: &mut Sessions, conn: ConnId) -> Option<&mut Replica> {
    match &mut sessions.get_mut(conn)?.kind {
        Kind::Client(client) => client.client.replica.as_deref_mut().filter(|replica| replica.has_asked()),
        Kind::Bus(_) | Kind::Primary(_) => None,
    }
}

impl<D: Disk> Node<D> {
    /// Step 11 of before-sleep: more of what replicas asked for, and what this turn has added to the stream. What no one needs is dropped.
    pub(in crate::node) fn feed_replicas(&mut self) {
        self.dataset.feeding.pressing = false;
        self.ask_for_acks();
        for at in 0..self.dataset.feeding.replicas.len() {
            let conn = self.dataset.feeding.replicas[at];
            match self.feed_replica(conn) {
                Fed::Enough => self.check_output_limit(conn),
                Fed::More => self.dataset.feeding.pressing = true,
                Fed::Finished => self.end_feeding(conn),
                Fed::Lost(why) => self.drop_replica(conn, why),
            }
        }
        self.note_acked();
        let sessions = &mut self.out.io.sessions;
        self.dataset.feeding.replicas.retain(|conn| replica(sessions, *conn).is_some());
        let needed = self.dataset.feeding.replicas.iter().filter_map(|conn| replica(sessions, *conn)?.needs()).min();
        self.dataset.stream.trim(self.view.config.repl_backlog_size, needed.unwrap_or(u64::MAX));
        let (now, lag) = (self.view.now.mono, self.view.config.min_replicas_max_lag);
        self.out.server.good_replicas = self.online_replicas().filter(|replica| seconds(replica.heard, now) <= lag).count() as u32;
    }

    /// Clients that have asked for data.
    pub(in crate::node) fn replicas(&self) -> impl Iterator<Item = &Client> {
        let of = |conn: &ConnId| match &self.out.io.sessions.get(*conn)?.kind {
            Kind::Client(client) => Some(&client.client),
            Kind::Bus(_) | Kind::Primary(_) => None,
        };
        self.dataset.feeding.replicas.iter().filter_map(of)
    }

    /// Those of them that follow the stream.
    pub(in crate::node) fn online_replicas(&self) -> impl Iterator<Item = &Replica> {
        self.replicas().filter_map(|client| client.replica.as_deref().filter(|replica| replica.is_online()))
    }

    /// What members of the cluster say that they have.
    fn note_acked(&mut self) {
        let members = self.online_replicas().filter(|replica| replica.profile.is_member);
        let Some(most) = members.map(|replica| replica.acked).max() else { return };
        let before = self.dataset.feeding.acked(&self.dataset.stream).unwrap_or(0);
        self.dataset.feeding.acked = Some((self.dataset.stream.history().id, most.max(before)));
    }

    /// What is to be in the stream beside changes. Nothing while this node hands over: its successor waits for the end of the stream.
    pub(in crate::node) fn feed_words(&mut self, words: &[&[u8]]) -> bool {
        let may = !self.dataset.feeding.replicas.is_empty() && !self.is_handing_over();
        if may {
            self.dataset.stream.feed(words.iter().copied());
        }
        may
    }

    fn feed_replica(&mut self, conn: ConnId) -> Fed {
        let has_no_data = !(self.is_in_sync() || self.has_bequest()) || self.lacks_keys();
        let Some(session) = self.out.io.sessions.get_mut(conn).filter(|session| !session.closing) else { return Fed::Enough };
        let Kind::Client(client) = &mut session.kind else { return Fed::Enough };
        let asks = client.client.replica.as_ref().is_some_and(|replica| replica.is_asking());
        let name = asks.then(|| replica_named(&self.metadata.state, &client.client));
        let Some(replica) = client.client.replica.as_deref_mut() else { return Fed::Enough };
        let room = ROOM.saturating_sub(session.transmit.len());
        let out = session.transmit.end();
        let before = out.len();
        if replica.is_asking() {
            if has_no_data {
                out.extend_from_slice(b"-NOMASTERLINK Can't SYNC while not connected with my master\r\n");
                return Fed::Finished;
            }
            let mark = self.out.rng.repl_id();
            let about = About { ctime: self.view.now.wall / 1000, used_memory: self.out.server.usage.resident_bytes, replication: None };
            let start =
                replica.start(&mut self.dataset.keyspace, &mut self.dataset.stream, Offer { id: self.out.rng.repl_id(), mark, about }, out);
            if start == Start::Later {
                return Fed::Enough;
            }
            log::info!("Replica {} asks for data: {start}", name.unwrap_or_default());
            self.out.server.stats.sync_started(start);
        }
        let fed = replica.feed(&mut self.dataset.keyspace, &self.dataset.stream, room, self.view.now.mono, out);
        if out.len() > before {
            self.out.io.sessions.queue_output(conn);
        }
        fed
    }

    /// This node is another one from now on, or in another cluster than those that asked for it as its members.
    pub(in crate::node) fn part_from_replicas(&mut self) {
        let is_member = |session: &Session| match &session.kind {
            Kind::Client(client) => client.client.replica.as_deref().is_some_and(|replica| replica.profile.is_member),
            Kind::Bus(_) | Kind::Primary(_) => false,
        };
        let members: Vec<ConnId> = self.out.io.sessions.iter().filter(|(_, session)| is_member(session)).map(|(conn, _)| conn).collect();
        members.into_iter().for_each(|conn| self.close(conn));
    }

    /// The link is of no use any more.
    pub(in crate::node) fn drop_replica(&mut self, conn: ConnId, why: &str) {
        if let Some(Kind::Client(client)) = self.out.io.sessions.get(conn).map(|session| &session.kind) {
            log::warn!("Closing the link to replica {}: {why}", replica_named(&self.metadata.state, &client.client));
        }
        self.close(conn);
    }

    /// It has got all that it asked for.
    fn end_feeding(&mut self, conn: ConnId) {
        if let Some(session) = self.out.io.sessions.get_mut(conn) {
            session.closing = true;
            self.out.io.sessions.queue_output(conn);
        }
    }

    /// A client has read: if it is a replica for which there is more, that follows in the next turn.
    pub(in crate::node) fn replica_has_read(&mut self, conn: ConnId) {
        let (now, feeding) = (self.view.now.mono, &mut self.dataset.feeding);
        let unsent = self.out.io.sessions.get(conn).map_or(0, |session| session.transmit.len());
        let Some(replica) = replica(&mut self.out.io.sessions, conn) else { return };
        if !replica.is_online() {
            replica.heard = now;
        }
        feeding.pressing |= unsent < ROOM / 2 && replica.has_more(&self.dataset.stream);
    }

    /// Cron: PINGs in the stream, lines for those that wait, the end of those that are silent, and of the stream if nobody has come back for it.
    pub(in crate::node) fn tend_replicas(&mut self) {
        let now = self.view.now.mono;
        if now.saturating_sub(self.dataset.feeding.tended) < TEND_PERIOD {
            return;
        }
        self.dataset.feeding.tended = now;
        self.ping_replicas();
        let limit = self.view.config.repl_timeout.saturating_mul(1000);
        for at in 0..self.dataset.feeding.replicas.len() {
            let conn = self.dataset.feeding.replicas[at];
            let Some(replica) = replica(&mut self.out.io.sessions, conn) else { continue };
            if replica.is_overdue(now, limit) {
                let limit = self.view.config.repl_timeout;
                self.drop_replica(conn, &format!("it has been silent for more than repl-timeout ({limit} s)"));
            } else if replica.is_kept_waiting() {
                if let Some(session) = self.out.io.sessions.get_mut(conn).filter(|session| session.transmit.is_empty()) {
                    session.transmit.end().push(b'\n');
                }
                self.out.io.sessions.queue_output(conn);
            }
        }
        self.forget_stream();
    }

    /// `repl-ping-replica-period`.
    fn ping_replicas(&mut self) {
        let (now, period) = (self.view.now.mono, self.view.config.repl_ping_replica_period.saturating_mul(1000));
        let due = now.saturating_sub(self.dataset.feeding.pinged) >= period;
        if due && self.feed_words(&[b"PING"]) {
            self.dataset.feeding.pinged = now;
        }
    }

    /// `repl-backlog-ttl`: without a replica for so long, changes are not recorded any more.
    fn forget_stream(&mut self) {
        let alone = self.dataset.feeding.replicas.is_empty() && self.dataset.stream.is_recording();
        let since = alone.then(|| self.dataset.feeding.alone_since.unwrap_or(self.view.now.mono));
        self.dataset.feeding.alone_since = since;
        let ttl = self.view.config.repl_backlog_ttl.saturating_mul(1000);
        if ttl > 0 && since.is_some_and(|since| self.view.now.mono.saturating_sub(since) >= ttl) {
            log::info!("No replica has come for {} s: the replication backlog goes", self.view.config.repl_backlog_ttl);
            self.dataset.stream.forget(self.out.rng.repl_id(), &mut self.dataset.keyspace);
        }
    }
}

#[cfg(test)]
mod tests;
