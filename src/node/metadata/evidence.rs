//! What this node's own connections have shown of the processes at their other ends.
//!
//! Owns: whose process was reached where, which of these connections ended as only a kernel ends them, and how this node closes its own, so
//! that nobody takes that for its end. Must not: conclude anything (failure_detector does).
//! Contract: docs/protocol.md, "Known dead".
//!
//! The kernel of a process that has ended closes its connections in order, or resets those with bytes that it had not read. A process that
//! lives says a last word before it closes a connection in order, or resets it. So an end in order without that word says which process has
//! ended \[N51 shared-host\].

use crate::node::Closed;
use crate::node::io::sessions::{BusEnd, Kind, Phase, Session};
use crate::node::metadata::Metadata;
use crate::node::metadata::duplicate_ids::Duplicates;
use crate::node::metadata::links::bus_socket;
use crate::node::view::{Effects, View};
use crate::replication;
use crate::types::{ConnId, Millis, NodeId, Term};
use crate::wire::bus;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// The process at the other end of a connection, once it has said which it is. One that does not is of a binary that says no last word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Far {
    id: NodeId,
    process: u64,
    /// Where it is.
    ip: IpAddr,
    /// It has said its last word.
    is_closing: bool,
    /// By the stream between a primary and its replica, in step.
    of_stream: bool,
}

/// A connection of this node has ended as only the kernel of a dead process ends it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::node) struct Ended {
    /// The nonce of that process.
    pub process: u64,
    /// Its bus port and its client port, where it was reached.
    pub sockets: [SocketAddr; 2],
    /// When this node heard of the end (mono ms).
    pub at: Millis,
    /// In which term this node led then, if it did.
    pub led: Option<Term>,
    /// One of those that ended was the stream between the two, in step.
    pub of_stream: bool,
}

/// Of one member.
#[derive(Default)]
struct Known {
    /// The nonce of the process that was heard last.
    process: Option<u64>,
    /// When that was (mono ms).
    heard: Millis,
    /// The last that came from it.
    ended: Option<Ended>,
}

/// Of every member.
#[derive(Default)]
pub(in crate::node) struct Evidence {
    members: BTreeMap<NodeId, Known>,
    /// Those of whom the shell has told such an end since the last turn.
    undated: Vec<NodeId>,
    /// Those that have one id.
    pub duplicates: Duplicates,
}

impl Evidence {
    /// Any word of a member shows that a process of its lives: what was seen before says nothing any more \[N4 refused-connection\].
    pub fn heard(&mut self, id: NodeId, process: Option<u64>, now: Millis) {
        self.members.insert(id, Known { process, heard: now, ended: None });
    }

    /// When a member was heard last (mono ms); 0: not since it is known here.
    pub fn heard_at(&self, id: &NodeId) -> Millis {
        self.members.get(id).map_or(0, |known| known.heard)
    }

    /// A turn has begun: what the shell has told since the last one happened by now.
    pub fn date(&mut self, now: Millis) {
        for id in std::mem::take(&mut self.undated) {
            if let Some(ended) = self.members.get_mut(&id).and_then(|known| known.ended.as_mut()) {
                ended.at = now;
            }
        }
    }

    /// Which of a member's processes was heard last, if it said so.
    pub fn process_of(&self, id: &NodeId) -> Option<u64> {
        self.members.get(id)?.process
    }
}

impl Metadata {
    /// Members have come, gone or moved.
    pub fn review_evidence(&mut self) {
        let Metadata { evidence, addresses, .. } = self;
        evidence.members.retain(|id, _| addresses.contains_key(id));
    }

    /// The shell says that a connection has ended; its session is still there. Returns the member, if it looks as if its process had.
    pub fn note_end(&mut self, conn: ConnId, why: Closed, view: &View, out: &mut Effects) -> Option<NodeId> {
        let session = out.io.sessions.get(conn)?;
        let word = if matches!(session.kind, Kind::Bus(_)) { bus::CLOSING } else { replication::CLOSING };
        // What waits to be read may be the last word.
        let is_closing = |far: &Far| far.is_closing || session.receive.ends_with(word);
        let far = self.far(session).filter(|far| why == Closed::Eof && !is_closing(far))?;
        let address = self.addresses.get(&far.id)?;
        // The end of an earlier process may be seen late.
        if self.evidence.process_of(&far.id).is_some_and(|last| last != far.process) {
            return None;
        }
        let sockets = [address.bus_port, address.port].map(|port| SocketAddr::new(far.ip, port));
        let led = self.raft.is_leader().then(|| self.raft.term());
        let known = self.evidence.members.entry(far.id).or_default();
        let of_stream = far.of_stream || known.ended.is_some_and(|before| before.of_stream && before.process == far.process);
        let ended = Ended { process: far.process, sockets, at: view.now.mono, led, of_stream };
        (known.process, known.ended) = (Some(far.process), Some(ended));
        self.evidence.undated.push(far.id);
        Some(far.id)
    }

    /// What shows that the process of a member has ended: the last that came from it was the end of a connection, and none is left. A
    /// process that has begun since may have been granted a lease that the asker knows nothing of, but not at once
    /// \[N46 restarted-primary\], so that this holds for a while only. Behind a proxy the end may be the proxy's.
    pub fn ended(&self, id: &NodeId, view: &View, out: &Effects) -> Option<Ended> {
        let ended = self.evidence.members.get(id)?.ended?;
        if !view.config.cluster_fast_failure_detection || !self.addresses.get(id)?.refuses_for_itself() {
            return None;
        }
        let is_fresh = view.now.mono.saturating_sub(ended.at) <= view.config.cluster_node_timeout / 2;
        (is_fresh && !self.has_connection_with(id, out)).then_some(ended)
    }

    /// Where a member's process is connected with this node: its bus port and its client port.
    pub fn connected_at(&self, id: &NodeId, out: &Effects) -> Option<[SocketAddr; 2]> {
        let address = self.addresses.get(id)?;
        let far = out.io.sessions.iter().filter_map(|(_, session)| self.far(session)).find(|far| far.id == *id)?;
        Some([address.bus_port, address.port].map(|port| SocketAddr::new(far.ip, port)))
    }

    /// Whether a connection with it is still there: its kernel has not closed it.
    pub fn has_connection_with(&self, id: &NodeId, out: &Effects) -> bool {
        out.io.sessions.iter().any(|(_, session)| match &session.kind {
            Kind::Bus(bus) => bus.peer.as_ref().is_some_and(|peer| peer.id == *id),
            Kind::Primary(_) | Kind::Client(_) => self.far(session).is_some_and(|far| far.id == *id),
        })
    }

    /// Who is at the other end: a bus link that was greeted, or the stream between a primary and its replica. A connection that was
    /// accepted shows where its process is only if the cluster knows it to be there: who comes from elsewhere is behind a translation of
    /// addresses.
    fn far(&self, session: &Session) -> Option<Far> {
        match &session.kind {
            Kind::Bus(bus) => {
                let peer = bus.peer.as_ref().filter(|peer| peer.cluster == self.state.cluster_id() && !bus.publishes)?;
                let ip = bus.remote_ip.to_canonical();
                let is_there = matches!(bus.end, BusEnd::Outbound { .. }) || self.is_known_at(&peer.id, ip);
                is_there.then_some(Far { id: peer.id, process: peer.process?, ip, is_closing: bus.is_closing, of_stream: false })
            }
            Kind::Primary(link) => {
                let Phase::Streaming(reader) = &link.phase else { return None };
                let (ip, is_closing) = (link.socket.ip().to_canonical(), reader.is_closing);
                Some(Far { id: link.primary, process: link.process?, ip, is_closing, of_stream: true })
            }
            Kind::Client(client) => {
                let replica = client.client.replica.as_deref().filter(|replica| replica.is_online())?;
                let (id, process) = replica.member()?;
                let ip = client.client.addr.ip().to_canonical();
                self.is_known_at(&id, ip).then_some(Far { id, process, ip, is_closing: replica.profile.is_closing, of_stream: true })
            }
        }
    }

    fn is_known_at(&self, id: &NodeId, ip: IpAddr) -> bool {
        self.addresses.get(id).and_then(bus_socket).is_some_and(|socket| socket.ip() == ip)
    }
}
