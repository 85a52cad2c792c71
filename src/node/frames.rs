//! Frames from other nodes: who may say what by which link, and who in the house is told.
//!
//! Owns: greetings and the dispatch of frames. Must not: answer by itself beyond HI (the rooms that decide queue their answers).
//! Contract: docs/protocol.md, "Wire format" and "Cluster id".

use crate::channel;
use crate::cluster::{Address, Change, parse_snapshot};
use crate::keyspace::key_slot;
use crate::node::Node;
use crate::node::clients::pubsub_links::PER_TURN;
use crate::node::io::sessions::{BusEnd, Input, Purpose, SHARE};
use crate::raft::message::InstallSnapshot;
use crate::raft::{Message, Step};
use crate::session::Scope;
use crate::store::Disk;
use crate::types::numbers::LEASE;
use crate::types::{ConnId, NodeId};
use crate::wire::bus::{self, Frame, FrameError, Greeting, PROTOCOL_VERSION};

/// Nobody who has not said who it is may have more than this received and kept.
const MAX_GREETING: usize = 8 * 1024;
/// A drained receive buffer larger than this gives its memory back.
const KEPT_CAPACITY: usize = 16 * 1024;

/// A peer broke the protocol: its link is closed, and nothing else has changed.
#[derive(Debug, thiserror::Error)]
pub(in crate::node) enum Fault {
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Raft(#[from] crate::raft::PeerFault),
    #[error("{0}")]
    Snapshot(String),
    #[error("{0} is out of place on this link")]
    OutOfPlace(&'static str),
}

impl<D: Disk> Node<D> {
    /// Handles every whole frame that has come in.
    pub(in crate::node) fn read_bus(&mut self) {
        for _ in 0..self.out.io.sessions.input_count(Input::Bus) {
            if let Some(conn) = self.out.io.sessions.next_input(Input::Bus) {
                self.read_link(conn, usize::MAX);
            }
        }
    }

    /// Handles what has come in on one link, up to about this many bytes; how many that were. The rest is for the next turn.
    pub(in crate::node) fn read_link(&mut self, conn: ConnId, budget: usize) -> usize {
        let Some(session) = self.out.io.sessions.get_mut(conn) else { return 0 };
        let mut received = std::mem::take(&mut session.receive);
        let mut used = 0;
        let result = self.read_frames(conn, &received, &mut used, budget);
        if let Err(fault) = result {
            match fault {
                Fault::Frame(FrameError::SecretWanted) => self.channel_ended(conn, channel::Fault::Wanted),
                fault => {
                    let peer = self.out.io.sessions.bus(conn).map(|bus| bus.remote_ip.to_string()).unwrap_or_default();
                    log::warn!("closing a bus link with {peer}: {fault}");
                }
            }
            self.close(conn);
        }
        if let Some(session) = self.out.io.sessions.get_mut(conn) {
            received.drain(..used);
            if received.is_empty() {
                received.shrink_to(KEPT_CAPACITY);
            }
            session.receive = received;
        }
        used
    }

    fn read_frames(&mut self, conn: ConnId, received: &[u8], used: &mut usize, budget: usize) -> Result<(), Fault> {
        // A frame may close its own link: what comes behind it is nobody's any more.
        while self.out.io.sessions.get(conn).is_some_and(|session| !session.closing) {
            if *used >= budget {
                self.out.io.sessions.queue_input(conn);
                return Ok(());
            }
            match bus::decode(&received[*used..]) {
                Ok(None)
                    if received.len() - *used > MAX_GREETING && self.out.io.sessions.bus(conn).is_some_and(|bus| bus.peer.is_none()) =>
                {
                    return Err(Fault::OutOfPlace("a long frame before the greeting"));
                }
                Ok(None) => return Ok(()),
                Ok(Some((frame, length))) => {
                    *used += length;
                    self.receive_frame(conn, frame)?;
                }
                Err(FrameError::UnknownEntry { kind, append: Some(append), used: length }) => {
                    *used += length;
                    log::error!("refusing an AE with an entry of unknown type {kind}: is this binary older than the leader's?");
                    if self.friend(conn)? == Some(append.leader) {
                        self.metadata.raft.refuse_append(conn, append.leader, append.term, append.round, self.view.now.mono)?;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn receive_frame(&mut self, conn: ConnId, frame: Frame) -> Result<(), Fault> {
        *self.out.io.bus_stats.received.entry(frame.stats_name()).or_default() += 1;
        let Some(bus) = self.out.io.sessions.bus_mut(conn) else { return Ok(()) };
        bus.heard = self.view.now.wall;
        let (end, publishes) = (bus.end, bus.publishes);
        // What was published may have waited here while its sender died: it says nothing of whether that lives.
        if let Some((id, process)) = bus.peer.as_ref().filter(|_| !publishes).map(|peer| (peer.id, peer.process)) {
            self.with_metadata(|metadata, view, out| metadata.heard(&id, process, view, out));
        }
        self.with_metadata(|metadata, view, out| metadata.note_process(conn, view, out));
        match (end, frame) {
            (_, Frame::Closing) => {
                self.friend(conn)?;
                if let Some(bus) = self.out.io.sessions.bus_mut(conn) {
                    bus.is_closing = true;
                }
                Ok(())
            }
            (BusEnd::Inbound, Frame::Hello(greeting)) => self.receive_hello(conn, greeting),
            (BusEnd::Outbound { purpose }, Frame::Hi(greeting)) => self.receive_hi(conn, purpose, greeting),
            (BusEnd::Inbound, Frame::Meet { singleton }) => {
                let peer = self.peer(conn).ok_or(Fault::OutOfPlace("MEET before HELLO"))?;
                self.with_metadata(|metadata, view, out| metadata.receive_meet(conn, &peer, singleton, view, out));
                Ok(())
            }
            (BusEnd::Outbound { purpose: Purpose::Meet }, frame) => {
                let peer = self.peer(conn).ok_or(Fault::OutOfPlace("an answer before HI"))?;
                match frame {
                    Frame::AddMe { join_nonce } => {
                        self.with_metadata(|metadata, view, out| metadata.receive_add_me(conn, &peer, join_nonce, view, out))
                    }
                    Frame::Welcome => self.with_metadata(|metadata, view, out| metadata.receive_welcome(conn, &peer, view, out)),
                    Frame::MeetRejected { reason } => {
                        self.with_metadata(|metadata, _, out| metadata.receive_meet_rejected(conn, &reason, out))
                    }
                    // A node of the cluster that we believe ours: we go on as a cluster of one, and the meeting with it.
                    Frame::Forgotten { last_term, last_index, join_nonce } if peer.cluster == self.metadata.state.cluster_id() => {
                        self.with_metadata(|metadata, view, out| {
                            metadata.receive_forgotten(conn, last_term, last_index, join_nonce, view, out)
                        });
                    }
                    _ => return Err(Fault::OutOfPlace("what is no answer to MEET")),
                }
                Ok(())
            }
            (BusEnd::Outbound { purpose: Purpose::Ask(_) | Purpose::Publish(_) }, frame) if !matches!(frame, Frame::Forgotten { .. }) => {
                Err(Fault::OutOfPlace("what is no answer on this link"))
            }
            (end, frame) => match self.friend(conn)? {
                Some(id) if matches!(end, BusEnd::Inbound) => self.receive_request(conn, id, frame),
                Some(id) => self.receive_answer(conn, id, frame),
                None => Ok(()),
            },
        }
    }

    /// Who is at the other end, once it has said so.
    fn peer(&self, conn: ConnId) -> Option<Greeting> {
        self.out.io.sessions.bus(conn)?.peer.clone()
    }

    /// The peer's id if it is of our cluster; frames of other clusters are dropped and counted. Before a greeting nothing is taken.
    fn friend(&mut self, conn: ConnId) -> Result<Option<NodeId>, Fault> {
        let peer = self.out.io.sessions.bus(conn).and_then(|bus| bus.peer.as_ref());
        let peer = peer.ok_or(Fault::OutOfPlace("a frame before the greeting"))?;
        if peer.cluster == self.metadata.state.cluster_id() {
            return Ok(Some(peer.id));
        }
        self.out.io.bus_stats.foreign += 1;
        Ok(None)
    }

    /// Our own greeting, to `peer` if that is known. The IP stays empty while we are not sure of it.
    pub(in crate::node) fn greeting(&self, peer: Option<&NodeId>) -> Greeting {
        let join_nonce = peer.and_then(|id| self.metadata.address_of(id)).and_then(Address::join_nonce);
        let (id, mut address, cluster) = (self.metadata.me, self.metadata.own_address.clone(), self.metadata.state.cluster_id());
        if !self.metadata.tells_ip(&self.view) {
            address.ip.clear();
        }
        let ancestors = self.metadata.state.ancestors().to_vec();
        Greeting { id, address, cluster, version: PROTOCOL_VERSION, join_nonce, ancestors, process: Some(self.view.nonce) }
    }

    /// The peer has said who it is; an IP that it did not tell is filled in.
    fn introduce(&mut self, conn: ConnId, mut greeting: Greeting) {
        let Some(bus) = self.out.io.sessions.bus_mut(conn) else { return };
        let (remote, local) = (bus.remote_ip.to_canonical(), bus.local_ip);
        if greeting.address.ip.is_empty() {
            greeting.address.ip = self.metadata.seen_at(remote, &self.view);
        }
        self.with_metadata(|metadata, view, out| metadata.heard(&greeting.id, greeting.process, view, out));
        if let Some(bus) = self.out.io.sessions.bus_mut(conn) {
            bus.peer = Some(greeting);
        }
        self.with_metadata(|metadata, view, out| metadata.note_process(conn, view, out));
        if let Some(local) = local {
            self.with_metadata(|metadata, view, out| metadata.learn_own_ip(local, view, out));
        }
    }

    fn receive_hello(&mut self, conn: ConnId, greeting: Greeting) -> Result<(), Fault> {
        if self.out.io.sessions.bus(conn).is_some_and(|bus| bus.peer.is_some()) {
            return Err(Fault::OutOfPlace("a second HELLO"));
        }
        let (id, cluster) = (greeting.id, greeting.cluster);
        self.introduce(conn, greeting);
        // Not after our own HELLO: who dials us counts us as a member or means to meet us, so a node that was forgotten is not taken along.
        if self.peer(conn).is_some_and(|peer| self.with_metadata(|metadata, view, out| metadata.follow_recovery(&peer, view, out))) {
            return Ok(());
        }
        self.out.io.outbox.push(conn, Frame::Hi(self.greeting(Some(&id))));
        if cluster == self.metadata.state.cluster_id() {
            self.with_metadata(|metadata, _, out| metadata.tell_stranger(conn, &id, out));
            self.with_metadata(|metadata, _, out| metadata.note_address(conn, id, out));
            self.primary_greets(&id);
            self.with_metadata(|metadata, view, out| metadata.dial_at_once(&id, view, out));
        }
        Ok(())
    }

    fn receive_hi(&mut self, conn: ConnId, purpose: Purpose, greeting: Greeting) -> Result<(), Fault> {
        if self.out.io.sessions.bus(conn).is_some_and(|bus| bus.peer.is_some()) {
            return Err(Fault::OutOfPlace("a second HI"));
        }
        let (id, cluster) = (greeting.id, greeting.cluster);
        self.introduce(conn, greeting);
        match purpose {
            Purpose::Meet => {
                if let Some(peer) = self.peer(conn) {
                    self.with_metadata(|metadata, view, out| metadata.meeting_greeted(conn, &peer, view, out));
                }
            }
            Purpose::Probe => return Err(Fault::OutOfPlace("an answer to nothing")),
            Purpose::Ask(asked) => self
                .with_metadata(|metadata, _, out| metadata.ask_greeted(conn, asked == id && cluster == metadata.state.cluster_id(), out)),
            Purpose::Link(dialled) if dialled != id => {
                self.with_metadata(|metadata, _, out| metadata.answered_by_another(conn, dialled, id, out))
            }
            Purpose::Publish(dialled) if dialled != id || cluster != self.metadata.state.cluster_id() => self.close(conn),
            // Not ours, or not yet (it is just joining): the link is closed by its silence and dialled again.
            Purpose::Link(_) if cluster != self.metadata.state.cluster_id() => {
                self.out.io.bus_stats.foreign += 1;
                self.with_metadata(|metadata, view, out| metadata.follow_sponsor(id, cluster, view, out));
            }
            Purpose::Link(_) => self.with_metadata(|metadata, view, out| metadata.link_greeted(id, view, out)),
            Purpose::Publish(_) => self.out.lane_greeted(id),
        }
        Ok(())
    }

    /// Requests come on links that others dialled.
    fn receive_request(&mut self, conn: ConnId, from: NodeId, frame: Frame) -> Result<(), Fault> {
        match frame {
            Frame::Raft(
                message @ (Message::Append(_) | Message::VoteRequest(_) | Message::InstallSnapshot(_) | Message::TimeoutNow { .. }),
            ) => return self.step_raft(conn, from, message),
            Frame::Propose(entry) => self.with_metadata(|metadata, view, out| metadata.receive_propose(conn, from, entry, view, out)),
            Frame::LeaderRequest(request) => {
                self.with_metadata(|metadata, view, out| metadata.receive_wish(conn, from, request, view, out))
            }
            Frame::Forgotten { last_term, last_index, join_nonce } => {
                self.with_metadata(|metadata, view, out| metadata.receive_forgotten(conn, last_term, last_index, join_nonce, view, out))
            }
            Frame::Probe { id, number } => self.with_metadata(|metadata, view, out| metadata.receive_probe(conn, id, number, view, out)),
            Frame::ReplOffsets(offsets) => self.metadata.receive_copies(&from, offsets),
            Frame::ClockOff { slow, millionths } => self.metadata.receive_clock_off(&from, slow, millionths, &self.view),
            // Who waits for its own predecessor has nothing to pass on yet.
            Frame::FailoverPrepare { .. } if self.dataset.role.predecessor().is_some() => {}
            Frame::FailoverPrepare { pause, number } => {
                let end = self.with_dataset(|dataset, metadata, view, out| dataset.prepare_failover(from, pause, metadata, view, out));
                self.out.io.outbox.push(conn, Frame::FailoverOffset { end, number });
            }
            Frame::FailoverDone { has } => self.with_dataset(|dataset, _, _, _| dataset.receive_failover_done(from, has)),
            Frame::TransferLeader { term } => {
                if term == self.metadata.raft.term() {
                    self.metadata.hand_over(Some(from), &self.view);
                }
            }
            Frame::AddMe { join_nonce } => {
                if let Some(peer) = self.peer(conn) {
                    self.with_metadata(|metadata, view, out| metadata.receive_add_me(conn, &peer, join_nonce, view, out));
                }
            }
            Frame::Publish { sharded, channel, message } => self.receive_publish(conn, &from, sharded, &channel, &message),
            _ => return Err(Fault::OutOfPlace("an answer")),
        }
        Ok(())
    }

    /// Answers come on the links that we dialled; a link that was replaced is closed, so they are answers to what was asked on it.
    fn receive_answer(&mut self, conn: ConnId, from: NodeId, frame: Frame) -> Result<(), Fault> {
        match frame {
            Frame::Raft(message @ (Message::AppendAck(_) | Message::Vote(_))) => {
                if let Some(link) = self.metadata.links.get_mut(&from) {
                    link.answered = self.view.now.mono;
                }
                return self.step_raft(conn, from, message);
            }
            Frame::Reject { reason, entry } => self.with_metadata(|metadata, _, out| metadata.receive_reject(reason, &entry, out)),
            Frame::LeaderRequestRefused { reason, request } => {
                self.with_metadata(|metadata, _, out| metadata.request_refused(request, reason, out))
            }
            Frame::FailoverOffset { end, number } => {
                self.with_dataset(|dataset, _, _, _| dataset.receive_failover_offset(conn, end, number))
            }
            Frame::Probed { id, number, finding } => {
                self.with_metadata(|metadata, view, out| metadata.receive_probed(&from, id, number, finding, view, out))
            }
            Frame::Forgotten { last_term, last_index, join_nonce } => {
                self.with_metadata(|metadata, view, out| metadata.receive_forgotten(conn, last_term, last_index, join_nonce, view, out))
            }
            _ => return Err(Fault::OutOfPlace("a request")),
        }
        Ok(())
    }

    fn step_raft(&mut self, conn: ConnId, from: NodeId, message: Message<Change>) -> Result<(), Fault> {
        let leads = matches!(message, Message::Append(_) | Message::InstallSnapshot(_));
        if matches!(message, Message::VoteRequest(_)) {
            self.with_metadata(|metadata, _, out| metadata.tell_stranger(conn, &from, out));
        }
        if leads && !self.metadata.is_expected_by(conn, &self.out) {
            log::debug!("{from} knows an earlier life of this node only: not followed");
            return Ok(());
        }
        match self.metadata.raft.step(conn, from, message, self.view.now.mono)? {
            Step::Done => {}
            Step::Snapshot(snapshot) => self.install(conn, snapshot)?,
        }
        if leads && self.metadata.raft.leader() == Some(from) {
            self.metadata.outlook.leader_heard = Some(self.view.now.mono);
            self.with_metadata(|metadata, _, out| metadata.burn_bridges(out));
            self.with_metadata(|metadata, view, out| metadata.reached_by_leader(conn, view, out));
        }
        Ok(())
    }

    /// The whole state from the leader. It is acknowledged by Raft once it is on disk.
    fn install(&mut self, conn: ConnId, snapshot: InstallSnapshot) -> Result<(), Fault> {
        let bad = |why: String| Fault::Snapshot(format!("a snapshot that cannot be installed: {why}"));
        let text = std::str::from_utf8(&snapshot.bytes).map_err(|error| bad(error.to_string()))?;
        let (state, _) = parse_snapshot(text, false).map_err(|error| bad(error.to_string()))?;
        if state.last_applied() != snapshot.last_index
            || state.last_term() != snapshot.last_term
            || state.cluster_id() != self.metadata.state.cluster_id()
        {
            return Err(bad("it is not what its header says".to_owned()));
        }
        if LEASE.take(state.max_lease()).is_none() {
            return Err(bad(format!("its maxLease is more than {} ms", LEASE.greatest)));
        }
        let voters = state.voters().clone();
        self.metadata.raft.snapshot_installed(&snapshot, voters, conn, self.view.now.mono);
        self.with_metadata(|metadata, view, out| metadata.replace_state(state, view, out));
        self.out.io.bus_stats.snapshots_installed += 1;
        Ok(())
    }

    /// Handles what other nodes publish, a bounded amount a turn, one link after another.
    pub(in crate::node) fn read_publications(&mut self) {
        let mut left = PER_TURN;
        for _ in 0..self.out.io.sessions.input_count(Input::Publications) {
            if left == 0 {
                return;
            }
            if let Some(conn) = self.out.io.sessions.next_input(Input::Publications) {
                left = left.saturating_sub(self.read_link(conn, SHARE.min(left)));
            }
        }
    }

    /// A member tells what was published there. Who is no member, as far as this node knows, is not heard.
    pub(in crate::node) fn receive_publish(&mut self, conn: ConnId, from: &NodeId, sharded: bool, channel: &[u8], message: &[u8]) {
        if let Some(bus) = self.out.io.sessions.bus_mut(conn) {
            bus.publishes = true;
        }
        if self.metadata.is_known(from) {
            let scope = if sharded { Scope::Shard(key_slot(channel)) } else { Scope::Channel };
            self.out.publish_here(scope, channel, message, &self.dataset.stream, &self.view);
            self.settle();
        }
    }
}

#[cfg(test)]
mod tests;
