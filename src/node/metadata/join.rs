//! MEET and what follows: how a one-node cluster gives itself up and becomes a member of another.
//!
//! Owns: our own meetings, the MEETs put off, who takes us in, whose ADD_ME is doubted. Must not: change the replicated state (a NODE_JOIN
//! does).
//! Contract: docs/protocol.md, "Joining".

use crate::cluster::change::{NodeJoin, SlotChange};
use crate::cluster::{Address, LeaderRequestKind};
use crate::commands::WaitOutcome;
use crate::node::io::redial::Redial;
use crate::node::io::sessions::Purpose;
use crate::node::metadata::Metadata;
use crate::node::metadata::links::bus_socket;
use crate::node::timers::Timer;
use crate::node::view::{Effects, View};
use crate::store::{Fallback, Joiner, Sponsor, Standing};
use crate::types::{ClusterId, ConnId, Millis, NodeId};
use crate::wire::bus::{Frame, Greeting};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// How long CLUSTER MEET waits for an answer (ms).
const MEET_PATIENCE: Millis = 5000;
/// The reason of a MEET_REJECTED to who has forgotten us.
const TAKES_ITSELF_FOR_A_MEMBER: &str = "takes-itself-for-a-member";
const NO_MERGE: &str = ": two clusters cannot be merged, but a node without slots and keys can be RESET, and join";
/// Own meetings at one time; more are refused.
const MAX_MEETINGS: usize = 1024;

/// One CLUSTER MEET of ours.
struct Meeting {
    socket: SocketAddr,
    /// Answered when it is decided; gone if the client left.
    client: Option<ConnId>,
    conn: Option<ConnId>,
    redial: Redial,
    /// Mono ms.
    deadline: Millis,
}

/// A MEET that cannot be answered yet.
struct Deferred {
    conn: ConnId,
    singleton: bool,
}

/// Joining and taking in.
#[derive(Default)]
pub(in crate::node) struct Joining {
    /// When we came into the cluster that we belong to, or wait for; the start of the process, if it was before (mono ms).
    pub since: Millis,
    meetings: Vec<Meeting>,
    deferred: Vec<Deferred>,
    /// The standing changed: look at the deferred ones again.
    pub reconsider: bool,
    /// Members in whose name an ADD_ME of another life came by a link of theirs, which may be an old one: they are dialled anew, and
    /// believed if they greet so. Until when (mono ms).
    doubted: BTreeMap<NodeId, Millis>,
    /// The cluster, recovered by force from ours, that we did not go over to last.
    pub declined: Option<ClusterId>,
}

impl Joining {
    pub fn new(now: Millis) -> Self {
        Self { since: now, ..Self::default() }
    }

    /// The addresses of meetings in progress, for CLUSTER NODES.
    pub fn sockets(&self) -> impl Iterator<Item = SocketAddr> {
        self.meetings.iter().map(|meeting| meeting.socket)
    }
}

impl Metadata {
    pub fn is_joiner(&self) -> bool {
        self.standing.is_joiner()
    }

    /// Whether we are a cluster of one, and nobody has been promised a place in it: a cluster that is about to grow must not be given up.
    pub fn is_singleton(&self) -> bool {
        // After a restart the others' NODE_JOINs may stand in the log's tail only.
        let joins = self.tail().joins().any(|(id, _)| *id != self.me);
        !self.is_joiner() && !joins && !self.proposals.joins_anybody() && self.addresses.keys().all(|id| *id == self.me)
    }

    /// CLUSTER MEET: the outcome reaches `client` later.
    pub fn begin_meeting(&mut self, client: ConnId, address: &Address, view: &View, out: &mut Effects) {
        let Some(socket) = bus_socket(address) else {
            let text = format!("ERR Invalid node address specified: {}:{}", address.ip, address.port);
            return out.clients.waiting.finish(client, WaitOutcome::Failed(text));
        };
        if self.joining.meetings.len() >= MAX_MEETINGS {
            return out.clients.waiting.finish(client, WaitOutcome::Failed("ERR Too many CLUSTER MEET in progress".to_owned()));
        }
        let deadline = view.now.mono + MEET_PATIENCE;
        self.joining.meetings.push(Meeting { socket, client: Some(client), conn: None, redial: Redial::default(), deadline });
        out.todo.connect = true;
    }

    /// Dials the meetings that have no connection; a joiner's wait until it has joined.
    pub fn dial_meetings(&mut self, view: &View, out: &mut Effects) {
        if self.is_joiner() {
            return;
        }
        for at in 0..self.joining.meetings.len() {
            let Meeting { socket, conn, redial, .. } = &self.joining.meetings[at];
            if conn.is_some() {
                continue;
            }
            if let Some(due) = redial.wait(view.now.mono) {
                out.timers.at_most(Timer::Dial, due);
                continue;
            }
            let conn = out.dial(*socket, Purpose::Meet, view);
            self.joining.meetings[at].conn = Some(conn);
        }
    }

    /// HI came on a meeting's link.
    pub fn meeting_greeted(&mut self, conn: ConnId, peer: &Greeting, view: &View, out: &mut Effects) {
        if peer.cluster == self.state.cluster_id()
            && let Some(meeting) = self.joining.meetings.iter().find(|meeting| meeting.conn == Some(conn))
        {
            self.fellow_met(meeting.socket, peer, view, out);
        }
        // It may not know yet that it was forgotten: should others tell it so too, it is a cluster of its own by the next dial, and joins
        // as a new one.
        if peer.cluster == self.state.cluster_id() {
            self.tell_stranger(conn, &peer.id, out);
        }
        if peer.id == self.me {
            return self.end_meeting(conn, Ok(()), out);
        }
        // A member is asked as well: what it says before it answers may be that it knows us no more.
        let singleton = self.is_singleton();
        out.io.outbox.push(conn, Frame::Meet { singleton });
    }

    /// The link of a meeting is gone before an answer came: the peer may be about to step down to somebody else. It is dialled again.
    pub fn meeting_lost(&mut self, conn: ConnId, view: &View, out: &mut Effects) {
        let redial = Redial::later(view.now.mono);
        if let Some(meeting) = self.joining.meetings.iter_mut().find(|meeting| meeting.conn == Some(conn)) {
            out.timers.at_most(Timer::Dial, redial.at);
            (meeting.conn, meeting.redial) = (None, redial);
        }
    }

    pub fn end_meeting(&mut self, conn: ConnId, result: Result<(), String>, out: &mut Effects) {
        let Some(at) = self.joining.meetings.iter().position(|meeting| meeting.conn == Some(conn)) else { return };
        let meeting = self.joining.meetings.swap_remove(at);
        self.joining.reconsider = true;
        out.close(conn);
        self.answer_meeting(meeting, result, out);
    }

    fn answer_meeting(&mut self, meeting: Meeting, result: Result<(), String>, out: &mut Effects) {
        if let Some(client) = meeting.client {
            out.clients.waiting.conclude(client, result);
        }
    }

    /// MEET came by `conn`: step down, invite, refuse, or put it off.
    pub fn receive_meet(&mut self, conn: ConnId, peer: &Greeting, singleton: bool, view: &View, out: &mut Effects) {
        if peer.cluster == self.state.cluster_id() {
            if self.doubts_membership() {
                return self.defer_meet(conn, singleton, out);
            }
            // Ours already, but the peer does not know it: our NODE_JOIN got lost [N19 joiner-falls-back]. Log and term stay.
            if let Standing::Joiner(joiner) = &mut self.standing {
                joiner.sponsor = Sponsor { id: peer.id, address: peer.address.clone() };
                out.todo.rewrite = true;
                out.todo.connect = true;
            }
            return out.io.outbox.push(conn, Frame::AddMe { join_nonce: self.own_address.join_nonce() });
        }
        if self.is_joiner() {
            return self.defer_meet(conn, singleton, out);
        }
        if !self.is_singleton() {
            let answer = if singleton { Frame::Welcome } else { Frame::MeetRejected { reason: "both-in-clusters".to_owned() } };
            return out.io.outbox.push(conn, answer);
        }
        let pending = self.joining.meetings.iter().any(|meeting| meeting.conn.is_some());
        if singleton && pending && peer.id > self.me {
            return self.defer_meet(conn, singleton, out);
        }
        self.step_down(peer, Some(conn), view, out);
        // Leaves after this turn's persist, as every frame does: first the disk, then ADD_ME [N19 joiner-falls-back].
        out.io.outbox.push(conn, Frame::AddMe { join_nonce: self.own_address.join_nonce() });
    }

    fn defer_meet(&mut self, conn: ConnId, singleton: bool, out: &mut Effects) {
        self.joining.deferred.retain(|deferred| deferred.conn != conn && out.io.sessions.get(deferred.conn).is_some());
        self.joining.deferred.push(Deferred { conn, singleton });
    }

    /// Nodes of our cluster that have forgotten us, as they say and no member does, are to meet us by a word typed here: we cannot take
    /// theirs \[N60 false-forgotten\].
    pub fn reject_deferred_fellows(&mut self, out: &mut Effects) {
        for Deferred { conn, singleton } in std::mem::take(&mut self.joining.deferred) {
            let peer = out.io.sessions.bus(conn).and_then(|bus| bus.peer.as_ref());
            match peer.is_some_and(|peer| peer.cluster == self.state.cluster_id()) {
                true => out.io.outbox.push(conn, Frame::MeetRejected { reason: TAKES_ITSELF_FOR_A_MEMBER.to_owned() }),
                false => self.joining.deferred.push(Deferred { conn, singleton }),
            }
        }
    }

    /// What was put off may be decided now.
    pub fn reconsider_meets(&mut self, view: &View, out: &mut Effects) {
        if !std::mem::take(&mut self.joining.reconsider) {
            return;
        }
        for Deferred { conn, singleton } in std::mem::take(&mut self.joining.deferred) {
            if let Some(peer) = out.io.sessions.bus(conn).and_then(|bus| bus.peer.clone()) {
                self.receive_meet(conn, &peer, singleton, view, out);
            }
        }
        out.todo.connect = true;
    }

    /// ADD_ME: a joiner of our cluster asks for its NODE_JOIN, as the answer to our MEET or by itself after a WELCOME.
    pub fn receive_add_me(&mut self, conn: ConnId, peer: &Greeting, join_nonce: Option<u64>, view: &View, out: &mut Effects) {
        if self.is_joiner() {
            return;
        }
        let known = self.addresses.get(&peer.id);
        let met = self.joining.meetings.iter().any(|meeting| meeting.conn == Some(conn));
        if known.is_some_and(|known| known.join_nonce() != join_nonce) {
            if met || self.greets_with(&peer.id, join_nonce, out) {
                self.joining.doubted.remove(&peer.id);
                self.end_earlier_life(peer.id, view, out);
            } else {
                self.doubt(peer.id, view, out);
            }
        } else if known.is_none() && !met && self.was_forgotten(&peer.id, join_nonce) {
            self.tell_stranger(conn, &peer.id, out);
        } else if known.is_none() && !self.proposals.joins(&peer.id) {
            let mut address = peer.address.clone();
            address.set_join_nonce(join_nonce);
            // A shard id of its own is drawn for the member; a joiner's announced one is kept if it has one.
            if address.shard_id().is_none() {
                address.keys.insert("shard-id".to_owned(), out.rng.shard_id().to_string());
            }
            self.propose(NodeJoin { id: peer.id, address, voter: false }, None, view, out);
        }
        self.end_meeting(conn, Ok(()), out);
    }

    /// A member has lost its memory, it says so itself: it is forgotten, after the slots that it does not serve any more are released, one
    /// step for each time that it asks.
    fn end_earlier_life(&mut self, id: NodeId, view: &View, out: &mut Effects) {
        let ranges = self.state.ranges_of(&id);
        match self.state.epoch_of(&id) {
            Some(epoch) if !ranges.is_empty() => {
                if !self.proposals.releases(&id) {
                    self.propose(SlotChange { source: Some((id, epoch)), target: None, ranges }, None, view, out);
                }
            }
            _ => self.ask_leader(LeaderRequestKind::Forget, id, None, view, out),
        }
    }

    /// Whether a node said this join nonce on the link to it that we have dialled.
    fn greets_with(&self, id: &NodeId, join_nonce: Option<u64>, out: &Effects) -> bool {
        let peer = self.links.up(id).and_then(|conn| out.io.sessions.bus(conn)?.peer.as_ref());
        peer.is_some_and(|peer| peer.address.join_nonce() == join_nonce)
    }

    /// Asks a node itself which life it is in: it repeats its ADD_ME until then.
    fn doubt(&mut self, id: NodeId, view: &View, out: &mut Effects) {
        let until = view.now.mono + view.config.cluster_node_timeout;
        if self.joining.doubted.insert(id, until).is_none() {
            if let Some(conn) = self.links.get_mut(&id).and_then(|link| link.conn) {
                out.close(conn);
            }
            out.todo.connect = true;
        }
    }

    /// The nodes that are doubted.
    pub fn doubted(&self) -> impl Iterator<Item = NodeId> {
        self.joining.doubted.keys().copied()
    }

    /// WELCOME: the peer's cluster takes us in; step down to it if we are still a cluster of one.
    pub fn receive_welcome(&mut self, conn: ConnId, peer: &Greeting, view: &View, out: &mut Effects) {
        if !self.is_singleton() {
            return self.end_meeting(
                conn,
                Err(format!("ERR The node to meet is in another cluster, and so is this one by now{NO_MERGE}")),
                out,
            );
        }
        self.end_meeting(conn, Ok(()), out);
        self.step_down(peer, None, view, out);
    }

    /// MEET_REJECTED.
    pub fn receive_meet_rejected(&mut self, conn: ConnId, reason: &str, out: &mut Effects) {
        if reason == TAKES_ITSELF_FOR_A_MEMBER {
            let text = "ERR The node to meet was forgotten and has not heard of it from a member that it knows: send it a CLUSTER MEET with a member's address";
            return self.end_meeting(conn, Err(text.to_owned()), out);
        }
        let reason: String = reason.chars().filter(char::is_ascii_graphic).take(64).collect();
        self.end_meeting(conn, Err(format!("ERR The node to meet is in another cluster ({reason}){NO_MERGE}")), out);
    }

    /// Gives up our one-node cluster for the peer's; the old one stays on disk as fallback until we are a member.
    fn step_down(&mut self, peer: &Greeting, keep: Option<ConnId>, view: &View, out: &mut Effects) {
        log::info!("Joining cluster {} by way of {}", peer.cluster, peer.id);
        let claims = self.state.ranges_of(&self.me);
        let shard = self.state.member(&self.me).map_or_else(|| out.rng.shard_id(), |member| member.shard);
        let nonce = Some(out.rng.next_u64() >> 1);
        self.own_address.set_join_nonce(nonce);
        let fallback = Some(Fallback { state: self.state.clone(), term: self.raft.term() });
        let sponsor = Sponsor { id: peer.id, address: peer.address.clone() };
        self.join_as(Joiner { cluster: peer.cluster, shard, nonce, sponsor, claims, fallback }, view, out);
        // Meetings with the node that takes us in have come true; others are dialled again once we have joined.
        let met = bus_socket(&peer.address);
        for mut meeting in std::mem::take(&mut self.joining.meetings) {
            match met == Some(meeting.socket) {
                true => self.answer_meeting(meeting, Ok(()), out),
                false => {
                    meeting.conn = None;
                    self.joining.meetings.push(meeting);
                }
            }
        }
        self.drop_bus_links(keep, view, out);
    }

    /// A joiner from now on.
    pub fn join_as(&mut self, joiner: Joiner, view: &View, out: &mut Effects) {
        let cluster = joiner.cluster;
        self.standing = Standing::Joiner(Box::new(joiner));
        self.become_joiner(cluster, view, out);
    }

    /// Who takes this joiner in.
    pub fn sponsor(&self) -> Option<&Sponsor> {
        self.standing.joiner().map(|joiner| &joiner.sponsor)
    }

    /// A joiner's request, to the node that takes it in; once there is no way back, to any member that it knows.
    pub fn ask_to_be_added(&mut self, id: NodeId, out: &mut Effects) {
        let fit = self.standing.joiner().is_some_and(|joiner| joiner.sponsor.id == id || joiner.fallback.is_none());
        if let (true, Some(conn)) = (fit, self.links.up(&id)) {
            out.io.outbox.push(conn, Frame::AddMe { join_nonce: self.own_address.join_nonce() });
        }
    }

    /// The node that takes us in greets with another cluster than we know it in: it has stepped down itself meanwhile. As long as we have
    /// acknowledged nothing we go with it.
    pub fn follow_sponsor(&mut self, id: NodeId, cluster: ClusterId, view: &View, out: &mut Effects) {
        let is_sponsor = self.sponsor().is_some_and(|sponsor| sponsor.id == id);
        let Standing::Joiner(joiner) = &mut self.standing else { return };
        if !is_sponsor || joiner.fallback.is_none() || self.raft.term() > 0 {
            return;
        }
        log::info!("Joining cluster {cluster}, which {id} has joined");
        joiner.cluster = cluster;
        self.become_joiner(cluster, view, out);
        self.drop_bus_links(None, view, out);
    }

    /// Whether a NODE_JOIN of ours with this nonce has been applied.
    fn has_joined(&self, nonce: Option<u64>) -> bool {
        self.state.member(&self.me).is_some_and(|member| member.address.join_nonce() == nonce)
    }

    /// Whether what is applied now is about this node as it is: a joiner is also told of what an earlier life of it did.
    pub fn is_of_this_life(&self) -> bool {
        self.standing.joiner().is_none_or(|joiner| self.has_joined(joiner.nonce))
    }

    /// Whether a NODE_JOIN of ours with this nonce has been applied, or is in the log's tail.
    pub fn log_has_joined(&self, nonce: Option<u64>) -> bool {
        let mut joins = self.tail().joins();
        self.has_joined(nonce) || joins.any(|(id, address)| *id == self.me && address.join_nonce() == nonce)
    }

    /// Whether a leader may be followed on this link: a joiner follows only who knows that it joins, not who remembers an earlier life of
    /// it.
    pub fn is_expected_by(&self, conn: ConnId, out: &Effects) -> bool {
        let known = out.io.sessions.bus(conn).and_then(|bus| bus.peer.as_ref()).and_then(|peer| peer.join_nonce);
        self.standing.joiner().is_none_or(|joiner| known == joiner.nonce)
    }

    /// Applied entries made us a member: joined. Those of an earlier life do not count.
    pub fn joined(&mut self, out: &mut Effects) {
        let Standing::Joiner(joiner) = &self.standing else { return };
        if !self.has_joined(joiner.nonce) {
            return;
        }
        log::info!("Joined cluster {}", joiner.cluster);
        self.standing = match joiner.claims.is_empty() {
            true => Standing::Member,
            false => Standing::Claiming(joiner.claims.clone()),
        };
        self.joining.reconsider = true;
        out.todo.rewrite = true;
        out.todo.connect = true;
    }

    /// Cron: overdue meetings are answered; a joiner that nobody took in goes back to what it was.
    pub fn check_joining(&mut self, view: &View, out: &mut Effects) {
        let now = view.now.mono;
        self.joining.doubted.retain(|_, until| now < *until);
        while let Some(at) = self.joining.meetings.iter().position(|meeting| meeting.deadline <= now) {
            let meeting = self.joining.meetings.swap_remove(at);
            self.joining.reconsider = true;
            if let Some(conn) = meeting.conn {
                out.close(conn);
            }
            let text = format!("TIMEOUT The node to meet has not answered at {}; it may still join", meeting.socket);
            self.answer_meeting(meeting, Err(text), out);
        }
        // Its NODE_JOIN may have got lost with a leader: whoever has it on its way takes no second one.
        if let Some(id) = self.sponsor().map(|sponsor| sponsor.id) {
            self.ask_to_be_added(id, out);
        }
        if now.saturating_sub(self.joining.since) > 4 * view.config.cluster_node_timeout {
            self.revert(view, out);
        }
    }

    /// A joiner that took anything from a leader may have acknowledged it and must not forget it: there is no way back any more
    /// \[N19 joiner-falls-back\].
    pub fn burn_bridges(&mut self, out: &mut Effects) {
        if let Standing::Joiner(joiner) = &mut self.standing
            && self.raft.term() > 0
        {
            out.todo.rewrite |= joiner.fallback.take().is_some();
        }
    }

    pub fn revert(&mut self, view: &View, out: &mut Effects) {
        let Standing::Joiner(joiner) = &mut self.standing else { return };
        let Some(fallback) = joiner.fallback.take() else { return };
        log::warn!("Nobody took this node in: back to its own cluster {}", fallback.state.cluster_id());
        self.standing = Standing::Member;
        self.return_to(fallback, view, out);
    }
}

#[cfg(test)]
mod tests;
