//! Feeding replicas: from PSYNC on, a client's session gets all keys and then the stream.
//!
//! Owns: which clients are replicas, how much of the stream is kept for them, and what is told to keep their links alive.
//! Must not: know the protocol's bytes (replication does). Contract: docs/protocol.md, "Replication".

use crate::node::dataset::Dataset;
use crate::node::dataset::wait::AckWait;
use crate::node::event_log::replica_named;
use crate::node::io::sessions::{Kind, Session, Sessions};
use crate::node::metadata::Metadata;
use crate::node::view::{Effects, View};
use crate::replication::rdb::About;
use crate::replication::{Fed, Offer, Replica, Start, Stream};
use crate::session::{Client, seconds};
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

impl Dataset {
    /// Clients that have asked for data.
    pub fn replicas<'a>(&'a self, out: &'a Effects) -> impl Iterator<Item = &'a Client> {
        let of = |conn: &ConnId| match &out.io.sessions.get(*conn)?.kind {
            Kind::Client(client) => Some(&client.client),
            Kind::Bus(_) | Kind::Primary(_) => None,
        };
        self.feeding.replicas.iter().filter_map(of)
    }

    /// Those of them that follow the stream.
    pub fn online_replicas<'a>(&'a self, out: &'a Effects) -> impl Iterator<Item = &'a Replica> {
        self.replicas(out).filter_map(|client| client.replica.as_deref().filter(|replica| replica.is_online()))
    }

    /// What members of the cluster say that they have.
    fn note_acked(&mut self, out: &mut Effects) {
        let members = self.online_replicas(out).filter(|replica| replica.profile.is_member);
        let Some(most) = members.map(|replica| replica.acked).max() else { return };
        let before = self.feeding.acked(&self.stream).unwrap_or(0);
        self.feeding.acked = Some((self.stream.history().id, most.max(before)));
    }

    /// What is to be in the stream beside changes. Nothing while this node hands over: its successor waits for the end of the stream.
    pub fn feed_words(&mut self, words: &[&[u8]]) -> bool {
        let may = !self.feeding.replicas.is_empty() && !self.role.is_handing_over();
        if may {
            self.stream.feed(words.iter().copied());
        }
        may
    }

    fn feed_replica(&mut self, conn: ConnId, metadata: &Metadata, view: &View, out: &mut Effects) -> Fed {
        let has_no_data = !self.role.may_feed();
        let Some(session) = out.io.sessions.get_mut(conn).filter(|session| !session.closing) else { return Fed::Enough };
        let Kind::Client(client) = &mut session.kind else { return Fed::Enough };
        let asks = client.client.replica.as_ref().is_some_and(|replica| replica.is_asking());
        let name = asks.then(|| replica_named(&metadata.state, &client.client));
        let Some(replica) = client.client.replica.as_deref_mut() else { return Fed::Enough };
        let room = ROOM.saturating_sub(session.transmit.len());
        let buffer = session.transmit.end();
        let before = buffer.len();
        if replica.is_asking() {
            if has_no_data {
                buffer.extend_from_slice(b"-NOMASTERLINK Can't SYNC while not connected with my master\r\n");
                return Fed::Finished;
            }
            let mark = out.rng.repl_id();
            let about = About { ctime: view.now.wall / 1000, used_memory: self.keyspace.cost() as u64, replication: None };
            let start = replica.start(&mut self.keyspace, &mut self.stream, Offer { id: out.rng.repl_id(), mark, about }, buffer);
            if start == Start::Later {
                return Fed::Enough;
            }
            log::info!("Replica {} asks for data: {start}", name.unwrap_or_default());
            out.server.stats.sync_started(start);
        }
        let fed = replica.feed(&mut self.keyspace, &self.stream, room, view.now.mono, buffer);
        if buffer.len() > before {
            out.io.sessions.queue_output(conn);
        }
        fed
    }

    /// This node is another one from now on, or in another cluster than those that asked for it as its members.
    pub fn part_from_replicas(&mut self, out: &mut Effects) {
        let is_member = |session: &Session| match &session.kind {
            Kind::Client(client) => client.client.replica.as_deref().is_some_and(|replica| replica.profile.is_member),
            Kind::Bus(_) | Kind::Primary(_) => false,
        };
        let members: Vec<ConnId> = out.io.sessions.iter().filter(|(_, session)| is_member(session)).map(|(conn, _)| conn).collect();
        members.into_iter().for_each(|conn| out.end(conn, &self.stream));
    }

    /// The link is of no use any more.
    pub fn drop_replica(&mut self, conn: ConnId, why: &str, metadata: &Metadata, out: &mut Effects) {
        if let Some(Kind::Client(client)) = out.io.sessions.get(conn).map(|session| &session.kind) {
            log::warn!("Closing the link to replica {}: {why}", replica_named(&metadata.state, &client.client));
        }
        out.end(conn, &self.stream);
    }

    /// It has got all that it asked for.
    fn end_feeding(&mut self, conn: ConnId, out: &mut Effects) {
        if let Some(session) = out.io.sessions.get_mut(conn) {
            session.closing = true;
            out.io.sessions.queue_output(conn);
        }
    }

    /// A client has read: if it is a replica for which there is more, that follows in the next turn.
    pub fn replica_has_read(&mut self, conn: ConnId, view: &View, out: &mut Effects) {
        let (now, feeding) = (view.now.mono, &mut self.feeding);
        let unsent = out.io.sessions.get(conn).map_or(0, |session| session.transmit.len());
        let Some(replica) = replica(&mut out.io.sessions, conn) else { return };
        if !replica.is_online() {
            replica.heard = now;
        }
        feeding.pressing |= unsent < ROOM / 2 && replica.has_more(&self.stream);
    }

    /// Cron: PINGs in the stream, lines for those that wait, the end of those that are silent, and of the stream if nobody has come back
    /// for it.
    pub fn tend_replicas(&mut self, metadata: &Metadata, view: &View, out: &mut Effects) {
        let now = view.now.mono;
        if now.saturating_sub(self.feeding.tended) < TEND_PERIOD {
            return;
        }
        self.feeding.tended = now;
        self.ping_replicas(view);
        let limit = view.config.repl_timeout.saturating_mul(1000);
        for at in 0..self.feeding.replicas.len() {
            let conn = self.feeding.replicas[at];
            let Some(replica) = replica(&mut out.io.sessions, conn) else { continue };
            if replica.is_overdue(now, limit) {
                let limit = view.config.repl_timeout;
                self.drop_replica(conn, &format!("it has been silent for more than repl-timeout ({limit} s)"), metadata, out);
            } else if replica.is_kept_waiting() {
                if let Some(session) = out.io.sessions.get_mut(conn).filter(|session| session.transmit.is_empty()) {
                    session.transmit.end().push(b'\n');
                }
                out.io.sessions.queue_output(conn);
            }
        }
        self.forget_stream(view, out);
    }

    /// `repl-ping-replica-period`.
    fn ping_replicas(&mut self, view: &View) {
        let (now, period) = (view.now.mono, view.config.repl_ping_replica_period.saturating_mul(1000));
        let due = now.saturating_sub(self.feeding.pinged) >= period;
        if due && self.feed_words(&[b"PING"]) {
            self.feeding.pinged = now;
        }
    }

    /// `repl-backlog-ttl`: without a replica for so long, changes are not recorded any more.
    fn forget_stream(&mut self, view: &View, out: &mut Effects) {
        let alone = self.feeding.replicas.is_empty() && self.stream.is_recording();
        let since = alone.then(|| self.feeding.alone_since.unwrap_or(view.now.mono));
        self.feeding.alone_since = since;
        let ttl = view.config.repl_backlog_ttl.saturating_mul(1000);
        if ttl > 0 && since.is_some_and(|since| view.now.mono.saturating_sub(since) >= ttl) {
            log::info!("No replica has come for {} s: the replication backlog goes", view.config.repl_backlog_ttl);
            self.stream.forget(out.rng.repl_id(), &mut self.keyspace);
        }
    }
}

impl Dataset {
    /// Step 11 of before-sleep: more of what replicas asked for, and what this turn has added to the stream. What no one needs is dropped.
    pub fn feed_replicas(&mut self, metadata: &Metadata, view: &View, out: &mut Effects) {
        self.feeding.pressing = false;
        self.ask_for_acks();
        for at in 0..self.feeding.replicas.len() {
            let conn = self.feeding.replicas[at];
            match self.feed_replica(conn, metadata, view, out) {
                Fed::Enough => out.check_output_limit(conn, &self.stream, &metadata.state, view),
                Fed::More => self.feeding.pressing = true,
                Fed::Finished => self.end_feeding(conn, out),
                Fed::Lost(why) => self.drop_replica(conn, why, metadata, out),
            }
        }
        self.note_acked(out);
        let sessions = &mut out.io.sessions;
        self.feeding.replicas.retain(|conn| replica(sessions, *conn).is_some());
        let needed = self.feeding.replicas.iter().filter_map(|conn| replica(sessions, *conn)?.needs()).min();
        self.stream.trim(view.config.repl_backlog_size, needed.unwrap_or(u64::MAX));
        let (now, lag) = (view.now.mono, view.config.min_replicas_max_lag);
        out.server.good_replicas = self.online_replicas(out).filter(|replica| seconds(replica.heard, now) <= lag).count() as u32;
    }
}

#[cfg(test)]
mod tests;
