//! What clients publish here and on other nodes: links of its own for it, so that no flood of messages keeps Raft waiting.
//!
//! Owns: one [`Lane`] for each member that is told something, and what waits for it. Must not: keep a message for a member that cannot be
//! reached.
//! Contract: docs/protocol.md, "PUBLISH".

use crate::node::io::redial::Redial;
use crate::node::io::sessions::{BusEnd, Kind, Purpose};
use crate::node::metadata::Metadata;
use crate::node::view::{Effects, View};
use crate::session::{Batch, PubSub};
use crate::store::Persisted;
use crate::types::{ConnId, Millis, NodeId};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// While so many bytes wait for one member no more is taken for it, unless `cluster-link-sendbuf-limit` says otherwise.
const MAX_WAITING: usize = 64 << 20;
/// A link is given more while it has less than this unsent. What waits beyond is shared by all lanes.
const ROOM: usize = 256 << 10;
/// A link is closed on which nothing was published for so long (ms).
const IDLE: Millis = 60_000;
/// So many bytes of others' messages are handled in a turn.
pub(in crate::node) const PER_TURN: usize = 256 << 10;

/// The way to one member.
#[derive(Default)]
struct Lane {
    conn: Option<ConnId>,
    /// HI has come.
    greeted: bool,
    /// Not on its link yet.
    waiting: VecDeque<Arc<Batch>>,
    /// The sum of their bytes.
    waiting_bytes: usize,
    /// When bytes left last, or were first put into the empty lane (mono ms).
    moved: Millis,
    redial: Redial,
}

/// See the module.
#[derive(Default)]
pub(in crate::node) struct Publishing {
    /// This node's subscribers, and what its clients have published.
    pub pubsub: PubSub,
    lanes: BTreeMap<NodeId, Lane>,
    /// Every other member that is not flagged as failed.
    everybody: Vec<NodeId>,
    /// Those of them in this node's shard.
    shard: Vec<NodeId>,
}

impl Effects {
    /// The members have changed: who is to be told.
    pub fn refresh_audience(&mut self, metadata: &Metadata) {
        let own_shard = metadata.state.member(&metadata.me).map(|me| me.shard);
        let others = || metadata.state.members().filter(|member| member.id != metadata.me && !member.failed);
        self.clients.publishing.everybody = others().map(|member| member.id).collect();
        self.clients.publishing.shard = others().filter(|member| Some(member.shard) == own_shard).map(|member| member.id).collect();
        self.clients.publishing.pubsub.outgoing.to_all = !self.clients.publishing.everybody.is_empty();
        self.clients.publishing.pubsub.outgoing.to_shard = !self.clients.publishing.shard.is_empty();
        let Publishing { lanes, everybody, .. } = &mut self.clients.publishing;
        let gone: Vec<Lane> = lanes.extract_if(.., |id, _| !everybody.contains(id)).map(|(_, lane)| lane).collect();
        for conn in gone.into_iter().filter_map(|lane| lane.conn) {
            self.close(conn);
        }
    }

    /// Step 8 of before-sleep: what was published in this turn is put into the lanes, and the links are given what they take.
    pub fn forward_published(&mut self, receipt: &Persisted, metadata: &Metadata, view: &View) {
        if !self.clients.publishing.pubsub.outgoing.is_empty() {
            let (all, shard) = self.clients.publishing.pubsub.outgoing.take();
            self.put_into_lanes(all, |publishing| publishing.everybody.clone(), metadata, view);
            self.put_into_lanes(shard, |publishing| publishing.shard.clone(), metadata, view);
        }
        if std::mem::take(&mut self.todo.publish) {
            for id in self.clients.publishing.lanes.keys().copied().collect::<Vec<_>>() {
                self.fill_link(receipt, &id);
            }
        }
    }

    fn put_into_lanes(&mut self, batch: Batch, audience: fn(&Publishing) -> Vec<NodeId>, metadata: &Metadata, view: &View) {
        if batch.frames == 0 {
            return;
        }
        let batch = Arc::new(batch);
        for id in audience(&self.clients.publishing) {
            if !self.put_into_lane(id, &batch, metadata, view) {
                self.io.bus_stats.publish_dropped += batch.frames;
            }
        }
    }

    /// False if the member cannot be told.
    fn put_into_lane(&mut self, id: NodeId, batch: &Arc<Batch>, metadata: &Metadata, view: &View) -> bool {
        let now = view.now.mono;
        let limit = match view.config.cluster_link_sendbuf_limit {
            0 => MAX_WAITING,
            limit => usize::try_from(limit).unwrap_or(usize::MAX),
        };
        let lane = self.clients.publishing.lanes.entry(id).or_default();
        if lane.conn.is_none() {
            if lane.redial.wait(now).is_some() {
                return false;
            }
            let Some(socket) = metadata.place_of(&id) else { return false };
            let conn = self.io.dial(socket, Purpose::Publish(id), view.now);
            self.clients.publishing.lanes.insert(id, Lane { conn: Some(conn), moved: now, ..Lane::default() });
        }
        let unsent = self.unsent_on_lane(&id);
        let Some(lane) = self.clients.publishing.lanes.get_mut(&id) else { return false };
        match lane.waiting_bytes + unsent {
            0 => lane.moved = now,
            pending if pending >= limit => return false,
            _ => {}
        }
        lane.waiting_bytes += batch.bytes.len();
        lane.waiting.push_back(Arc::clone(batch));
        self.todo.publish |= lane.greeted;
        true
    }

    /// What its link has taken and not sent.
    fn unsent_on_lane(&self, id: &NodeId) -> usize {
        let conn = self.clients.publishing.lanes.get(id).and_then(|lane| lane.conn);
        conn.and_then(|conn| self.io.sessions.get(conn)).map_or(0, |session| session.transmit.len())
    }

    fn fill_link(&mut self, receipt: &Persisted, id: &NodeId) {
        while self.unsent_on_lane(id) < ROOM {
            let Some(lane) = self.clients.publishing.lanes.get_mut(id).filter(|lane| lane.greeted) else { return };
            let (Some(conn), Some(batch)) = (lane.conn, lane.waiting.pop_front()) else { return };
            lane.waiting_bytes -= batch.bytes.len();
            self.let_out_published(receipt, conn, &batch);
        }
    }

    /// HI has come: what waited may leave.
    pub fn lane_greeted(&mut self, id: NodeId) {
        if let Some(lane) = self.clients.publishing.lanes.get_mut(&id) {
            lane.greeted = true;
            self.todo.publish = true;
        }
    }

    /// The session of a lane's link is gone, and what waited for it is lost: whoever was subscribed there may be gone as well.
    pub fn lane_lost(&mut self, id: NodeId, conn: ConnId, view: &View) {
        let redial = Redial::later(view.now.mono);
        let Some(lane) = self.clients.publishing.lanes.get_mut(&id).filter(|lane| lane.conn == Some(conn)) else { return };
        let lost = std::mem::replace(lane, Lane { redial, ..Lane::default() });
        self.io.bus_stats.publish_dropped += lost.waiting.iter().map(|batch| batch.frames).sum::<u64>();
    }

    /// Bytes have left by this connection, which may be a lane's.
    pub fn lane_flushed(&mut self, conn: ConnId, count: usize, view: &View) {
        let Some(session) = self.io.sessions.get(conn) else { return };
        let Kind::Bus(bus) = &session.kind else { return };
        let BusEnd::Outbound { purpose: Purpose::Publish(id) } = bus.end else { return };
        let has_room = session.transmit.len() < ROOM;
        let Some(lane) = self.clients.publishing.lanes.get_mut(&id).filter(|_| count > 0) else { return };
        lane.moved = view.now.mono;
        self.todo.publish |= has_room && lane.greeted && !lane.waiting.is_empty();
    }

    /// Cron: a link that takes nothing for half of node-timeout is closed, and so is one that has been idle for long.
    pub fn close_silent_lanes(&mut self, view: &View) {
        let (now, patience) = (view.now.mono, view.config.cluster_node_timeout / 2);
        let silent = |(id, lane): (&NodeId, &Lane)| {
            let pending = lane.waiting_bytes + self.unsent_on_lane(id) > 0;
            lane.conn.filter(|_| now.saturating_sub(lane.moved) > if pending { patience } else { IDLE })
        };
        for conn in self.clients.publishing.lanes.iter().filter_map(silent).collect::<Vec<_>>() {
            log::debug!("closing a link for PUBLISH that takes nothing, or that nobody needs");
            self.close(conn);
        }
    }
}
