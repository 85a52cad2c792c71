//! The connections as the core sees them: bytes in, bytes out, and who is at the other end.
//!
//! Owns: the table of sessions, which of them have input to be handled or output to be flushed.
//! Must not: call the system (the server room holds the sockets) or decide anything about a peer.

use crate::node::io::transmit::Transmit;
use crate::replication::Sync;
use crate::session::Client;
use crate::types::{ConnId, Millis, NodeId, Now};
use crate::wire::Chain;
use crate::wire::bus::Greeting;
use crate::wire::resp::Parser;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// A client with this much unsent is not served further until it reads: a slow reader costs no more than this and one reply.
pub(in crate::node) const MAX_UNSENT: usize = 1 << 20;
/// A client that is not served further is not read further than this.
pub(in crate::node) const MAX_UNREAD: usize = 1 << 20;
/// So many of them from one link.
pub(in crate::node) const SHARE: usize = 64 << 10;

/// Which listening port a connection came in by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Port {
    /// RESP clients.
    Client,
    /// Other nodes.
    Bus,
}

/// What our outbound bus link is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::node) enum Purpose {
    /// A member, or the node that takes this joiner in.
    Link(NodeId),
    /// A member that is asked whether this node was forgotten, where our state has it.
    Ask(NodeId),
    /// A CLUSTER MEET in progress; its id is not known before its HI.
    Meet,
    /// To see whether a port refuses; closed as soon as it does not.
    Probe,
    /// A member that is told what clients publish here.
    Publish(NodeId),
}

/// One end of a bus link: requests go out on outbound ones and come in on inbound ones, answers the other way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::node) enum BusEnd {
    Inbound,
    Outbound { purpose: Purpose },
}

pub(in crate::node) struct BusSession {
    pub end: BusEnd,
    /// Who the peer said it is, in HELLO or HI, with the IP filled in from the connection where it did not know its own.
    pub peer: Option<Greeting>,
    pub remote_ip: IpAddr,
    pub local_ip: Option<IpAddr>,
    /// When it was dialled or accepted.
    pub since: Now,
    /// Unix time in ms of its last frame; 0 before the first.
    pub heard: Millis,
    /// The peer publishes on it: it is read after the others, a bounded amount a turn.
    pub publishes: bool,
    /// The peer has said its last word: it lives, and closes the link.
    pub is_closing: bool,
}

pub(in crate::node) struct ClientSession {
    pub client: Client,
    pub parser: Parser,
    /// It has input, and too much unsent to be served.
    pub held_up: bool,
    /// Since when more is unsent than the soft output limit (mono ms).
    pub behind_since: Option<Millis>,
}

/// Our link to the primary that this node replicates.
pub(in crate::node) struct PrimaryLink {
    pub primary: NodeId,
    pub socket: SocketAddr,
    /// Our end of it, once it is up.
    pub local: Option<SocketAddr>,
    /// When it was dialled, or the primary last sent anything (mono ms).
    pub heard: Millis,
    /// The nonce of the primary's process, once it has said it.
    pub process: Option<u64>,
    pub phase: Phase,
}

/// How far a link to a primary has come.
pub(in crate::node) enum Phase {
    Dialling,
    Syncing(Box<Sync>),
    Streaming(Box<StreamReader>),
}

/// Runs a primary's stream.
pub(in crate::node) struct StreamReader {
    pub client: Client,
    pub parser: Parser,
    /// The stream's bytes since MULTI: they count once their EXEC has run.
    pub unfinished: Chain,
    /// A command of it had an error reply: said once.
    pub failed: bool,
    /// The primary has said its last word: it lives, and closes the link.
    pub is_closing: bool,
}

pub(in crate::node) enum Kind {
    Bus(Box<BusSession>),
    Client(Box<ClientSession>),
    Primary(Box<PrimaryLink>),
}

pub(in crate::node) struct Session {
    pub receive: Vec<u8>,
    pub transmit: Transmit,
    pub kind: Kind,
    /// Closed as soon as everything in `transmit` is written; nothing more is read.
    pub closing: bool,
    /// Stands in the list of sessions with input.
    queued_input: bool,
    /// Stands in the list of sessions with output.
    queued_output: bool,
}

impl Session {
    /// Nothing is left to be sent, so nothing of it stands on a lease.
    pub fn has_said_all(&mut self) {
        if let Kind::Client(client) = &mut self.kind {
            client.client.under_lease = None;
        }
    }

    fn input(&self) -> Input {
        match &self.kind {
            Kind::Bus(bus) if bus.publishes => Input::Publications,
            Kind::Bus(_) => Input::Bus,
            Kind::Client(_) | Kind::Primary(_) => Input::Clients,
        }
    }

    /// Whether nothing more is to be read, because what was is not handled yet.
    pub fn is_full(&self) -> bool {
        match &self.kind {
            Kind::Client(_) => self.receive.len() >= MAX_UNREAD && (self.is_waiting() || self.transmit.len() >= MAX_UNSENT),
            Kind::Bus(bus) => bus.publishes && self.queued_input && self.receive.len() >= SHARE,
            Kind::Primary(_) => false,
        }
    }

    /// Whether it is a client whose command waits, or is still being answered.
    pub fn is_waiting(&self) -> bool {
        matches!(&self.kind, Kind::Client(client) if client.client.is_busy())
    }
}

/// Where what came in is handled within a turn, in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::node) enum Input {
    /// Bus links.
    Bus,
    /// Bus links on which a peer publishes.
    Publications,
    /// Clients.
    Clients,
}

const INPUTS: usize = 3;

#[derive(Default)]
struct Place {
    generation: u32,
    session: Option<Session>,
}

/// The table. A place is used again under another generation, so that a stale [`ConnId`] finds nothing.
#[derive(Default)]
pub(in crate::node) struct Sessions {
    places: Vec<Place>,
    free: Vec<u32>,
    /// Those with input, by [`Input`].
    inputs: [VecDeque<ConnId>; INPUTS],
    /// In the order in which they were written to: what the core sends first leaves first.
    output: VecDeque<ConnId>,
    clients: usize,
}

impl Sessions {
    /// The id that the next [`Sessions::insert`] gives.
    pub fn next_id(&self) -> ConnId {
        match self.free.last() {
            Some(&place) => ConnId { place, generation: self.places[place as usize].generation },
            None => ConnId { place: self.places.len() as u32, generation: 0 },
        }
    }

    pub fn insert(&mut self, kind: Kind) -> ConnId {
        let id = self.next_id();
        if self.free.pop().is_none() {
            self.places.push(Place::default());
        }
        self.clients += usize::from(matches!(kind, Kind::Client(_)));
        let session =
            Session { receive: Vec::new(), transmit: Transmit::default(), kind, closing: false, queued_input: false, queued_output: false };
        self.places[id.place as usize].session = Some(session);
        id
    }

    pub fn remove(&mut self, id: ConnId) -> Option<Session> {
        let place = self.places.get_mut(id.place as usize).filter(|place| place.generation == id.generation)?;
        let session = place.session.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(id.place);
        self.clients -= usize::from(matches!(session.kind, Kind::Client(_)));
        Some(session)
    }

    pub fn get(&self, id: ConnId) -> Option<&Session> {
        let place = self.places.get(id.place as usize)?;
        place.session.as_ref().filter(|_| place.generation == id.generation)
    }

    pub fn get_mut(&mut self, id: ConnId) -> Option<&mut Session> {
        let place = self.places.get_mut(id.place as usize)?;
        place.session.as_mut().filter(|_| place.generation == id.generation)
    }

    pub fn bus(&self, id: ConnId) -> Option<&BusSession> {
        match &self.get(id)?.kind {
            Kind::Bus(bus) => Some(bus),
            Kind::Client(_) | Kind::Primary(_) => None,
        }
    }

    pub fn bus_mut(&mut self, id: ConnId) -> Option<&mut BusSession> {
        match &mut self.get_mut(id)?.kind {
            Kind::Bus(bus) => Some(bus),
            Kind::Client(_) | Kind::Primary(_) => None,
        }
    }

    pub fn primary(&self, id: ConnId) -> Option<&PrimaryLink> {
        match &self.get(id)?.kind {
            Kind::Primary(link) => Some(link),
            Kind::Bus(_) | Kind::Client(_) => None,
        }
    }

    pub fn primary_mut(&mut self, id: ConnId) -> Option<&mut PrimaryLink> {
        match &mut self.get_mut(id)?.kind {
            Kind::Primary(link) => Some(link),
            Kind::Bus(_) | Kind::Client(_) => None,
        }
    }

    /// Takes a session out to work on it; its place is kept.
    pub fn lend(&mut self, id: ConnId) -> Option<Session> {
        let place = self.places.get_mut(id.place as usize).filter(|place| place.generation == id.generation)?;
        place.session.take()
    }

    /// Puts a lent session back.
    pub fn give_back(&mut self, id: ConnId, session: Session) {
        if let Some(place) = self.places.get_mut(id.place as usize) {
            place.session = Some(session);
        }
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// How many sessions are clients.
    pub fn client_count(&self) -> usize {
        self.clients
    }

    pub fn iter(&self) -> impl Iterator<Item = (ConnId, &Session)> {
        self.places.iter().zip(0..).filter_map(|(place, number)| {
            let id = ConnId { place: number, generation: place.generation };
            place.session.as_ref().map(|session| (id, session))
        })
    }

    /// Notes that a session has input to be handled this turn.
    pub fn queue_input(&mut self, id: ConnId) {
        let Some(session) = self.get_mut(id) else { return };
        if std::mem::replace(&mut session.queued_input, true) {
            return;
        }
        let input = session.input();
        self.inputs[input as usize].push_back(id);
    }

    /// Notes that a session has output to be flushed after this turn.
    pub fn queue_output(&mut self, id: ConnId) {
        let Some(session) = self.get_mut(id) else { return };
        if !std::mem::replace(&mut session.queued_output, true) {
            self.output.push_back(id);
        }
    }

    /// How many sessions stand in this list of those with input: as many are to be handled in this turn.
    pub fn input_count(&self, input: Input) -> usize {
        self.inputs[input as usize].len()
    }

    /// The next session with input, taken off its list; `None` if it is gone, or the list is empty.
    pub fn next_input(&mut self, input: Input) -> Option<ConnId> {
        let id = self.inputs[input as usize].pop_front()?;
        self.get_mut(id)?.queued_input = false;
        Some(id)
    }

    /// Whether input is left for another turn.
    pub fn has_input(&self) -> bool {
        self.inputs.iter().any(|list| !list.is_empty())
    }

    /// The next session with output, taken off the list.
    pub fn next_output(&mut self) -> Option<ConnId> {
        while let Some(id) = self.output.pop_front() {
            if let Some(session) = self.get_mut(id) {
                session.queued_output = false;
                return Some(id);
            }
        }
        None
    }
}
