//! The link of a replica to its primary: when it is dialled and given up, the handshake, and its data in the place of the own.
//!
//! Owns: the link as far as it is wanted, what is said first, and what a sync that is complete changes. Must not: decide whom to follow
//! (replica does), or run the stream (the node does: it is commands). Contract: docs/protocol.md, "Replication".

use crate::commands::{Upstream, UpstreamLink};
use crate::node::Action;
use crate::node::dataset::Dataset;
use crate::node::io::redial::Redial;
use crate::node::io::sessions::{Kind, Phase, Port, PrimaryLink, StreamReader};
use crate::node::metadata::Metadata;
use crate::node::metadata::links::STALE_DIAL;
use crate::node::timers::Timer;
use crate::node::view::{Effects, View};
use crate::replication::{Fresh, Introduction, STREAMED, Sync, Synced, acknowledgement};
use crate::session::Client;
use crate::types::{ConnId, Millis, NodeId, REDIS_VERSION};
use crate::wire::{Chain, Parser};
use std::net::SocketAddr;

/// Longest pause before the primary is dialled again.
const MAX_BACKOFF: Millis = 1000;
/// Longest pause if the primary's RDB cannot be loaded: each try costs it a whole sync, and the next will hardly be better.
const MAX_RDB_BACKOFF: Millis = 60_000;
/// How often the primary hears how far this replica is.
const ACK_PERIOD: Millis = 1000;

/// See the module.
#[derive(Debug, Default)]
pub(in crate::node) struct ReplicaLink {
    /// From the dial on.
    conn: Option<ConnId>,
    redial: Redial,
    /// The primary's last RDB could not be loaded.
    bad_rdb: bool,
    /// Since when the primary's stream does not come (mono ms).
    down_since: Millis,
    /// Why the last link was closed, which has been logged. The next ones may end in the same way, one each second.
    fault: String,
}

impl ReplicaLink {
    /// To another primary than before, or to none.
    pub fn anew(down_since: Millis) -> Self {
        Self { down_since, ..Self::default() }
    }

    /// From the dial on.
    pub fn conn(&self) -> Option<ConnId> {
        self.conn
    }

    /// The stream has come for a while: the next break is another matter than the last.
    fn stands(&mut self) {
        self.redial.stands();
        self.fault.clear();
    }

    /// What the primary sends as its data is of no use.
    pub fn cannot_load(&mut self) {
        self.bad_rdb = true;
    }

    /// A link to the primary is closed for this reason. Returns whether it was another one the last time.
    pub fn failed(&mut self, fault: &str) -> bool {
        let is_news = self.fault != fault;
        fault.clone_into(&mut self.fault);
        is_news
    }
}

/// When it is there.
impl Dataset {
    /// What the primary has sent meanwhile is looked at in the next turn: the process does not end after all.
    pub fn read_primary(&mut self, out: &mut Effects) {
        if let Some(conn) = self.replica_link.conn {
            out.io.sessions.queue_input(conn);
        }
    }

    /// The link to the primary, if its dial has been waited for long enough: the first packet was lost, or nobody was there.
    pub fn stale_dial(&self, view: &View, out: &Effects) -> Option<ConnId> {
        let is_stale = |link: &PrimaryLink| matches!(link.phase, Phase::Dialling) && view.now.mono.saturating_sub(link.heard) >= STALE_DIAL;
        self.replica_link.conn.filter(|conn| out.io.sessions.primary(*conn).is_some_and(is_stale))
    }

    /// The primary is there: no pause is waited for.
    pub fn dial_at_once(&mut self, view: &View, out: &mut Effects) {
        self.replica_link.redial.at_once(view.now.mono);
        out.todo.connect = true;
    }

    /// Step 1 of before-sleep: a replica without a link to its primary dials it. Only by a state that is the cluster's newest: an old file
    /// may name one that has long been replaced, perhaps by this node. What is still loaded from the disk may be where the stream goes on.
    pub fn connect_primary(&mut self, metadata: &Metadata, view: &View, out: &mut Effects) {
        let idle = self.replica_link.conn.is_none() && !self.is_loading() && !view.is_at_its_end();
        let Some(primary) = self.role.primary().filter(|_| idle) else { return };
        let newest = metadata.knows_newest_state() && !metadata.is_leaderless(view);
        let Some(socket) = self.client_socket(&primary, metadata).filter(|_| newest) else { return };
        if let Some(due) = self.replica_link.redial.wait(view.now.mono) {
            return out.timers.at_most(Timer::Primary, due);
        }
        let link = PrimaryLink { primary, socket, local: None, heard: view.now.mono, process: None, phase: Phase::Dialling };
        let conn = out.io.sessions.insert(Kind::Primary(Box::new(link)));
        self.replica_link.conn = Some(conn);
        out.io.actions.push_back(Action::Dial { conn, socket, port: Port::Client });
        out.timers.set(Timer::Primary, view.now.mono + ACK_PERIOD);
    }

    /// Where a member's clients connect; `None` while that is not known.
    fn client_socket(&self, id: &NodeId, metadata: &Metadata) -> Option<SocketAddr> {
        let address = &metadata.state.member(id)?.address;
        Some(SocketAddr::new(address.ip.parse().ok()?, address.port))
    }

    /// Tells the primary how far this replica has run its stream, or, while its data is loaded, that this replica is there.
    pub fn tell_offset(&mut self, conn: ConnId, out: &mut Effects) {
        let offset = self.stream.offset();
        let Some(session) = out.io.sessions.get_mut(conn) else { return };
        match &session.kind {
            Kind::Primary(link) => match &link.phase {
                Phase::Streaming(_) => acknowledgement(offset, session.transmit.end()),
                Phase::Syncing(sync) if sync.loads().is_some() => session.transmit.end().push(b'\n'),
                Phase::Syncing(_) | Phase::Dialling => return,
            },
            Kind::Bus(_) | Kind::Client(_) => return,
        }
        out.io.sessions.queue_output(conn);
    }

    /// The link to the primary is gone: it is dialled again after a pause.
    pub fn forget_primary_link(&mut self, conn: ConnId, was_up: bool, metadata: &Metadata, view: &View, out: &mut Effects) {
        if self.replica_link.conn != Some(conn) {
            return;
        }
        self.replica_link.conn = None;
        let most = if self.replica_link.bad_rdb { MAX_RDB_BACKOFF } else { MAX_BACKOFF };
        self.replica_link.redial.failed(view.now.mono, most, &mut out.rng);
        if was_up {
            let primary = self.role.primary();
            let name = primary.map(|id| metadata.state.named(&id)).unwrap_or_default();
            let follows = metadata.state.member(&metadata.me).is_some_and(|me| me.primary == primary);
            let next = if follows { ": connecting anew" } else { "" };
            log::info!("The stream of the primary {name} has ended at offset {}{next}", self.stream.offset());
            self.replica_link.down_since = view.now.mono;
        }
        out.todo.connect = true;
    }

    /// What INFO and ROLE show of a replica, and what routing goes by.
    pub fn upstream(&self, out: &Effects) -> Option<Upstream> {
        self.role.primary()?;
        let link = self.replica_link.conn.and_then(|conn| out.io.sessions.primary(conn));
        let state = match link.map(|link| &link.phase) {
            Some(Phase::Streaming(_)) => UpstreamLink::Up,
            Some(Phase::Syncing(sync)) => match sync.progress() {
                Some((read, total)) => UpstreamLink::Loading { read, total, since: self.replica_link.down_since },
                None => UpstreamLink::Down { since: self.replica_link.down_since },
            },
            _ => UpstreamLink::Down { since: self.replica_link.down_since },
        };
        Some(Upstream { in_sync: self.role.is_in_sync(), heard: link.map(|link| link.heard), link: state })
    }

    /// Timers: once a second the primary hears how far this replica is. One that says nothing for too long is given up.
    pub fn tend_primary(&mut self, metadata: &Metadata, view: &View, out: &mut Effects) {
        if !out.timers.take_due(Timer::Primary, view.now.mono) {
            return;
        }
        let Some(conn) = self.replica_link.conn else { return };
        if view.is_at_its_end() {
            return out.timers.set(Timer::Primary, view.now.mono + ACK_PERIOD);
        }
        let elsewhere = self.role.primary().and_then(|primary| self.client_socket(&primary, metadata));
        let Some(link) = out.io.sessions.primary_mut(conn) else { return };
        let silent = view.now.mono.saturating_sub(link.heard);
        let given_up = match link.phase {
            Phase::Dialling => silent > view.config.cluster_node_timeout / 2 || elsewhere != Some(link.socket),
            _ => silent > view.config.repl_timeout * 1000,
        };
        if given_up {
            log::warn!("The primary at {} has said nothing for {silent} ms: connecting to it anew", link.socket);
            return out.end(conn, &self.stream);
        }
        if matches!(link.phase, Phase::Streaming(_)) {
            self.replica_link.stands();
        }
        self.tell_offset(conn, out);
        out.timers.set(Timer::Primary, view.now.mono + ACK_PERIOD);
    }
}

/// What comes by it.
impl Dataset {
    /// The link to the primary is up: the handshake begins.
    pub fn primary_connected(&mut self, conn: ConnId, local: SocketAddr, metadata: &Metadata, view: &View, out: &mut Effects) {
        let seed = out.rng.next_u64();
        let (Some(primary), Some(session)) = (self.role.primary(), out.io.sessions.get_mut(conn)) else { return };
        let Kind::Primary(link) = &mut session.kind else { return };
        let config = &view.config;
        let introduction = Introduction {
            user: &config.primaryuser,
            password: &config.primaryauth,
            cluster: metadata.state.cluster_id(),
            primary,
            port: if config.replica_announce_port == 0 { config.announced_port() } else { config.replica_announce_port },
            ip: &config.replica_announce_ip,
            version: REDIS_VERSION,
            me: metadata.me,
            process: view.nonce,
        };
        // Who has nothing has nothing to go on with.
        let has = (!self.keyspace.is_empty() || self.stream.backlog().is_some()).then(|| self.stream.history());
        link.local = Some(local);
        let fresh = Fresh { seed, thresholds: config.thresholds, now: view.now.wall };
        link.heard = view.now.mono;
        link.phase = Phase::Syncing(Box::new(Sync::begin(&introduction, has, fresh, session.transmit.end())));
        out.io.sessions.queue_output(conn);
    }

    /// The primary's data is whole, or its stream goes on.
    pub fn take_up(&mut self, synced: Synced, reign: u64) {
        match synced {
            Synced::Partial(id) => {
                log::info!("The primary's stream goes on at offset {} of history {id}", self.stream.offset());
                self.stream.rename(id);
            }
            Synced::Full(keyspace, history) => {
                log::info!("The primary's {} keys are here, at offset {} of history {}", keyspace.len(), history.offset, history.id);
                self.keyspace.replace(*keyspace);
                self.stream.restart(history);
            }
        }
        self.replica_link.bad_rdb = false;
        self.role.synced(reign);
    }

    /// Runs the stream from here on.
    pub fn stream_reader(&mut self, link: &PrimaryLink, view: &View, out: &mut Effects) -> Box<StreamReader> {
        let local = link.local.unwrap_or(link.socket);
        let client = Client { is_primary: true, ..Client::new(out.io.next_client(), link.socket, local, view.now, true) };
        Box::new(StreamReader { client, parser: Parser::new(STREAMED), unfinished: Chain::default(), failed: false, is_closing: false })
    }
}

#[cfg(test)]
mod tests;
