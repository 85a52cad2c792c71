//! A replica's side: whom this node replicates, when its primary is dialled, and what becomes of its keys when it has another one or none.
//!
//! Owns: the primary that is followed, and the link to it as far as it is wanted. Must not: decide who replicates whom (the replicated
//! state says it), or read what the primary sends (replica_link does). Contract: docs/protocol.md, "Replication".

use crate::commands::{Upstream, UpstreamLink};
use crate::node::Action;
use crate::node::dataset::Dataset;
use crate::node::io::redial::Redial;
use crate::node::io::sessions::{Kind, Phase, Port, PrimaryLink};
use crate::node::metadata::Metadata;
use crate::node::metadata::links::STALE_DIAL;
use crate::node::timers::Timer;
use crate::node::view::{Effects, View};
use crate::replication::acknowledgement;
use crate::types::{ConnId, Extent, Millis, NodeId, ShardId};
use std::net::SocketAddr;

/// Longest pause before the primary is dialled again.
const MAX_BACKOFF: Millis = 1000;
/// Longest pause if the primary's RDB cannot be loaded: each try costs it a whole sync, and the next will hardly be better.
const MAX_RDB_BACKOFF: Millis = 60_000;
/// How often the primary hears how far this replica is.
const ACK_PERIOD: Millis = 1000;

/// See the module.
#[derive(Debug, Default)]
pub(in crate::node) struct Following {
    /// Whose keys this node holds copies of; none for a primary.
    primary: Option<NodeId>,
    /// The link to it, from the dial on.
    link: Option<ConnId>,
    /// The shard that both are in.
    shard: Option<ShardId>,
    /// What is here is a copy of the shard's keys: a sync with one of its primaries was completed, or this node was that primary and has
    /// handed over, and what the present one has is no other history.
    in_sync: bool,
    /// Whose reign the keys here are of: this primary's own, or for a replica that of the primary which it last had a sync with. 0 while it
    /// is not known.
    reign: u64,
    redial: Redial,
    /// The primary's last RDB could not be loaded.
    bad_rdb: bool,
    /// Since when the primary's stream does not come (mono ms).
    down_since: Millis,
    /// Why the last link was closed, which has been logged. The next ones may end in the same way, one each second.
    fault: String,
}

impl Following {
    pub fn primary(&self) -> Option<NodeId> {
        self.primary
    }

    /// The link to the primary, from the dial on.
    pub fn link(&self) -> Option<ConnId> {
        self.link
    }

    /// Whether this is a replica that has a copy of its shard's keys.
    pub fn has_copy(&self) -> bool {
        self.primary.is_some() && self.in_sync
    }

    /// The reign that the keys here are of; 0 while that is not known.
    pub fn reign(&self) -> u64 {
        self.reign
    }

    /// A sync with the primary of this reign is complete: the stream comes.
    pub fn synced(&mut self, reign: u64) {
        self.in_sync = true;
        self.reign = reign;
        self.bad_rdb = false;
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

    /// The primary has another history than this node: what is here is no copy of its keys.
    pub fn diverged(&mut self) {
        self.in_sync = false;
    }
}

impl Dataset {
    /// Whether this node copies another one's keys.
    pub fn is_replica(&self) -> bool {
        self.following.primary.is_some()
    }

    /// Whether this node's keys are those of its shard: always for a primary, for a replica once a sync with its primary is complete.
    pub fn is_in_sync(&self) -> bool {
        self.following.primary.is_none() || self.following.in_sync
    }

    /// How far this node's keys are in their history, in bytes of its stream. A replica that has nothing worth promoting says 0, any other
    /// at least 1.
    pub fn replication_offset(&self) -> u64 {
        match self.following.primary {
            None => self.stream.offset(),
            Some(_) if self.following.in_sync => self.stream.offset().max(1),
            Some(_) => 0,
        }
    }

    /// How much of its shard's data this node holds, to be compared with what others hold.
    pub fn extent(&self) -> Extent {
        Extent { reign: self.following.reign, offset: self.replication_offset() }
    }

    /// What the primary has sent meanwhile is looked at in the next turn: the process does not end after all.
    pub fn read_primary(&mut self, out: &mut Effects) {
        if let Some(conn) = self.following.link {
            out.io.sessions.queue_input(conn);
        }
    }

    /// Whether the state names another primary by now, or none. Who is no member, on its way from one cluster to another, keeps what it
    /// has.
    pub fn has_another_primary(&mut self, metadata: &Metadata) -> bool {
        let Some(me) = metadata.state.member(&metadata.me) else { return false };
        if me.primary.is_some() {
            self.foreign.follows();
        }
        me.primary.or(self.takeover.predecessor()) != self.following.primary
    }

    /// This node is that one's replica from now on, or nobody's. It has parted from the former one.
    pub fn change_primary(&mut self, metadata: &Metadata, view: &View, out: &mut Effects) {
        let Some(me) = metadata.state.member(&metadata.me) else { return };
        let (primary, shard, failed) = (me.primary.or(self.takeover.predecessor()), Some(me.shard), me.failed);
        let in_sync = match (self.following.primary, &primary) {
            (Some(_), Some(_)) => self.following.in_sync && self.following.shard == shard,
            // A successor waits for no primary that has failed.
            (None, Some(successor)) => self.is_awaited_by(successor) && !failed,
            (_, None) => false,
        };
        let reign = self.following.reign;
        self.following = Following { primary, shard, in_sync, reign, down_since: view.now.mono, ..Following::default() };
        match primary {
            Some(primary) => {
                log::info!("This node is a replica of {}", metadata.state.named(&primary));
                self.stream.follow(&mut self.keyspace);
            }
            None => self.lead_own_keys(metadata, out),
        }
        out.todo.connect = true;
    }

    /// The link to the primary, if its dial has been waited for long enough: the first packet was lost, or nobody was there.
    pub fn stale_dial(&self, view: &View, out: &Effects) -> Option<ConnId> {
        let is_stale = |link: &PrimaryLink| matches!(link.phase, Phase::Dialling) && view.now.mono.saturating_sub(link.heard) >= STALE_DIAL;
        self.following.link.filter(|conn| out.io.sessions.primary(*conn).is_some_and(is_stale))
    }

    /// The primary is there: no pause is waited for.
    pub fn dial_at_once(&mut self, view: &View, out: &mut Effects) {
        self.following.redial.at_once(view.now.mono);
        out.todo.connect = true;
    }

    /// No replica any more: with slots, as a primary that goes on with its predecessor's keys; without, as one that has none.
    fn lead_own_keys(&mut self, metadata: &Metadata, out: &mut Effects) {
        self.forget_final_offset();
        self.begin_reign(metadata);
        // What replicas were told of the reign was another's.
        self.part_from_replicas(out);
        self.stream.lead(out.rng.repl_id(), &mut self.keyspace);
        let slots = metadata.state.slot_count_of(&metadata.me);
        if slots > 0 {
            log::info!("This node is a primary, of {slots} slots; it goes on with what it has copied, keys: {}", self.keyspace.len());
            self.drop_foreign_keys(metadata);
        } else {
            log::info!("This node replicates nobody any more and owns no slots: its copies of keys go");
            self.keyspace.clear();
            self.stream.forget(out.rng.repl_id(), &mut self.keyspace);
        }
    }

    /// This primary's reign is later than any before in its shard \[N44 longest-stream\]: what made it the primary is applied, and its
    /// process counts too, for it may have lost its keys and go on with others.
    fn begin_reign(&mut self, metadata: &Metadata) {
        // 63 bits, as every number on the bus.
        let (applied, life) = (metadata.state.last_applied().min((1 << 43) - 1), metadata.incarnation.min((1 << 20) - 1));
        self.following.reign = applied << 20 | life;
    }

    /// This node comes into another cluster, whose log numbers other reigns. What a replica holds stays what it is.
    pub fn end_reign(&mut self) {
        if self.following.primary.is_none() {
            self.following.reign = 0;
        }
    }

    /// Step 1 of before-sleep: a replica without a link to its primary dials it. Only by a state that is the cluster's newest: an old file
    /// may name one that has long been replaced, perhaps by this node. What is still loaded from the disk may be where the stream goes on.
    pub fn connect_primary(&mut self, metadata: &Metadata, view: &View, out: &mut Effects) {
        let idle = self.following.link.is_none() && !self.is_loading() && !view.is_at_its_end();
        let Some(primary) = self.following.primary.filter(|_| idle) else { return };
        let newest = metadata.knows_newest_state() && !metadata.is_leaderless(view);
        let Some(socket) = self.client_socket(&primary, metadata).filter(|_| newest) else { return };
        if let Some(due) = self.following.redial.wait(view.now.mono) {
            return out.timers.at_most(Timer::Primary, due);
        }
        let link = PrimaryLink { primary, socket, local: None, heard: view.now.mono, process: None, phase: Phase::Dialling };
        let conn = out.io.sessions.insert(Kind::Primary(Box::new(link)));
        self.following.link = Some(conn);
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
        if self.following.link != Some(conn) {
            return;
        }
        self.following.link = None;
        let most = if self.following.bad_rdb { MAX_RDB_BACKOFF } else { MAX_BACKOFF };
        self.following.redial.failed(view.now.mono, most, &mut out.rng);
        if was_up {
            let primary = self.following.primary.as_ref();
            let name = primary.map(|id| metadata.state.named(id)).unwrap_or_default();
            let follows = metadata.state.member(&metadata.me).is_some_and(|me| me.primary.as_ref() == primary);
            let next = if follows { ": connecting anew" } else { "" };
            log::info!("The stream of the primary {name} has ended at offset {}{next}", self.stream.offset());
            self.following.down_since = view.now.mono;
        }
        out.todo.connect = true;
    }

    /// What INFO and ROLE show of a replica, and what routing goes by.
    pub fn upstream(&self, out: &Effects) -> Option<Upstream> {
        self.following.primary?;
        let link = self.following.link.and_then(|conn| out.io.sessions.primary(conn));
        let state = match link.map(|link| &link.phase) {
            Some(Phase::Streaming(_)) => UpstreamLink::Up,
            Some(Phase::Syncing(sync)) => match sync.progress() {
                Some((read, total)) => UpstreamLink::Loading { read, total, since: self.following.down_since },
                None => UpstreamLink::Down { since: self.following.down_since },
            },
            _ => UpstreamLink::Down { since: self.following.down_since },
        };
        Some(Upstream { in_sync: self.following.in_sync, heard: link.map(|link| link.heard), link: state })
    }

    /// Once a turn: who was a primary when its process began, or when it came into its cluster, numbers its reign once it knows all that is
    /// decided.
    pub fn settle_reign(&mut self, metadata: &Metadata) {
        let unsettled = self.following.reign == 0 && self.following.primary.is_none() && !metadata.is_joiner();
        let leads = metadata.state.member(&metadata.me).is_some_and(|me| me.primary.is_none());
        if unsettled && leads && metadata.knows_newest_state() {
            self.begin_reign(metadata);
        }
    }

    /// Timers: once a second the primary hears how far this replica is. One that says nothing for too long is given up.
    pub fn tend_primary(&mut self, metadata: &Metadata, view: &View, out: &mut Effects) {
        if !out.timers.take_due(Timer::Primary, view.now.mono) {
            return;
        }
        let Some(conn) = self.following.link else { return };
        if view.is_at_its_end() {
            return out.timers.set(Timer::Primary, view.now.mono + ACK_PERIOD);
        }
        let elsewhere = self.following.primary.and_then(|primary| self.client_socket(&primary, metadata));
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
            self.following.stands();
        }
        self.tell_offset(conn, out);
        out.timers.set(Timer::Primary, view.now.mono + ACK_PERIOD);
    }
}

#[cfg(test)]
mod tests;
