//! The event loop: system calls around the core's turns. It decides nothing.
//!
//! Owns: the order of a turn as the shell sees it (docs/architecture.md, "One turn of the loop"): poll, accept, read (bus first), the
//! core's turn, flush, actions.
//! Reads never write: bytes leave only in `flush`, after the core's turn has put on disk what they promise, and in `act`, which has a
//! connection's last word.
//! Must not: look at bytes, keep protocol state, or run a timer of its own but the one that repeats an accept.

mod channels;

use std::cell::RefCell;
use std::io;
use std::mem;
use std::rc::Rc;
use std::time::Duration;

use mio::event::Event;
use mio::{Events, Interest, Poll, Token};

use super::connection::{Class, Connection, ReadEnd, WriteError};
use super::keys::Keys;
use super::listener::{Accepted, Listener};
use super::listeners::Listeners;
use super::listening::Shared;
use super::log_rotation::{self, Rotation};
use super::signals::{Came, Signals};
use super::stream::{Stream, is_refusal};
use super::table::Connections;
use super::usage::Meter;
use super::{clock, logger};
use crate::config::LogLevel;
use crate::node::{self, Action, Closed, Closing, Fatal, Node, Port, Signal, Turned};
use crate::store::Disk;
use crate::types::{ConnId, Millis};

const EVENTS_PER_POLL: usize = 1024;
/// Connections accepted per listener and turn.
const ACCEPTS_PER_TURN: usize = 128;
/// Bytes written to one connection a turn, or some more: the others are not to wait for a long reply.
const WRITTEN_A_TURN: usize = 1 << 20;
/// Pause before accepting again once file descriptors or memory have run out.
const ACCEPT_PAUSE: Millis = 100;
/// No sleep is longer (ms), whatever is due: the clock may have gone back since the node read it [N66 clock-set-back].
const LONGEST_SLEEP: Millis = 1_000;

/// Tokens from the top; a connection's is its id as a word, which never comes near.
const SIGNALS: Token = Token(usize::MAX);
const LISTENERS: Token = Token(usize::MAX - 1);
/// A token must hold a whole id.
const _: () = assert!(size_of::<usize>() >= size_of::<u64>());

/// Why the loop ended without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The system's event queue failed.
    #[error("event queue: {0}")]
    Queue(#[from] io::Error),
    /// The core cannot keep its promises; no byte has left since.
    #[error("{0}")]
    Core(Fatal),
}

/// One process's sockets around one node.
pub struct EventLoop<D: Disk> {
    poll: Poll,
    events: Events,
    signals: Signals,
    node: Node<D>,
    shared: Shared,
    /// Accepting has run out of something: not again before this time (mono ms).
    accept_again: Option<Millis>,
    /// That has been said already: not ten times a second.
    exhausted: bool,
    connections: Connections,
    /// To be read in the next reading phase; a connection stands in one of these, or in `held`, at most once (its `listed`).
    reading_bus: Vec<ConnId>,
    reading_clients: Vec<ConnId>,
    /// Readable, but the core takes nothing from them now: no edge will come when it does.
    held: Vec<ConnId>,
    /// Sockets that take bytes, with some left over perhaps: each stands in it once (its `unblocked`).
    unblocked: Vec<ConnId>,
    /// The core has been told something since its turn: the next one follows at once.
    noted: bool,
    loglevel: LogLevel,
    meter: Meter,
    rotation: Rotation,
}

impl<D: Disk> EventLoop<D> {
    /// A loop for `node`, not yet run.
    pub fn new(mut node: Node<D>, bus: Vec<Listener>, clients: Vec<Listener>, keys: Keys, signals: Signals) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listeners = Listeners::new(poll.registry().try_clone()?, LISTENERS);
        let bus = bus.into_iter().map(|listener| (Port::Bus, listener));
        let clients = clients.into_iter().map(|listener| (Port::Client, listener));
        bus.chain(clients).try_for_each(|(port, listener)| listeners.add(port, listener).map(|_| ()))?;
        let shared = Shared { listeners: Rc::new(RefCell::new(listeners)), keys: Rc::new(RefCell::new(keys)) };
        node.listen_by(Box::new(shared.clone()));
        let loglevel = node.config().loglevel;
        let mut this = Self {
            poll,
            events: Events::with_capacity(EVENTS_PER_POLL),
            signals,
            node,
            shared,
            accept_again: None,
            exhausted: false,
            connections: Connections::default(),
            reading_bus: Vec::new(),
            reading_clients: Vec::new(),
            held: Vec::new(),
            unblocked: Vec::new(),
            noted: false,
            loglevel,
            meter: Meter::default(),
            rotation: Rotation::default(),
        };
        this.poll.registry().register(&mut this.signals.stream, SIGNALS, Interest::READABLE)?;
        Ok(this)
    }

    /// Turns until the node wants to exit; its exit code.
    pub fn run(&mut self) -> Result<i32, Failure> {
        loop {
            self.wait()?;
            self.accept();
            let served = self.read();
            self.look_around(served, clock::now().mono);
            let turned = self.node.turn(&mut clock::now).map_err(Failure::Core)?;
            self.flush(&turned);
            if let Some(code) = self.act(&turned) {
                // Who hears the end of a connection then looks whether the ports refuse.
                self.shared.listeners.borrow_mut().clear();
                self.connections.end_all();
                return Ok(code);
            }
        }
    }

    /// What the system is asked now and then: how this process does, if clients are served, and where its log is.
    fn look_around(&mut self, served: bool, now: Millis) {
        if served && let Some(usage) = self.meter.measure(now) {
            self.node.server_mut().usage = usage;
        }
        self.rotation.tend(&self.node.config().logfile, now);
    }

    // ---- wait ----

    /// Sleeps until something happens or is due, and notes what happened.
    fn wait(&mut self) -> io::Result<()> {
        let timeout = self.timeout();
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        self.noted = false;
        let events = mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            self.note(event);
        }
        self.events = events;
        Ok(())
    }

    /// How long to sleep at most.
    fn timeout(&mut self) -> Duration {
        self.release_held();
        let unread = !self.reading_bus.is_empty() || !self.reading_clients.is_empty();
        let unaccepted = self.accept_again.is_none() && self.shared.listeners.borrow().are_pending();
        if unread || unaccepted || self.noted || !self.unblocked.is_empty() {
            return Duration::ZERO;
        }
        let now = clock::now();
        let due = self.accept_again.unwrap_or(Millis::MAX).min(self.node.deadline());
        Duration::from_millis(due.saturating_sub(now.mono).min(LONGEST_SLEEP))
    }

    fn note(&mut self, event: &Event) {
        if event.token() == SIGNALS {
            return self.note_signals();
        }
        if !self.shared.listeners.borrow_mut().note(event.token()) {
            self.note_connection(ConnId::from_word(event.token().0 as u64), event);
        }
    }

    fn note_signals(&mut self) {
        let Came { end, hangup } = self.signals.take();
        if hangup {
            log_rotation::hung_up(&self.node.config().logfile);
            self.read_secrets_anew();
        }
        if let Some(signal) = end {
            let name = if signal == Signal::Term { "SIGTERM" } else { "SIGINT" };
            log::info!("Received {name} scheduling shutdown...");
            self.node.shutdown(signal);
        }
    }

    fn note_connection(&mut self, id: ConnId, event: &Event) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.dialling {
            self.settle_dial(id);
        }
        let Some(connection) = self.connections.get_mut(id).filter(|connection| !connection.dialling) else { return };
        if event.is_writable() && !mem::replace(&mut connection.writable, true) && !mem::replace(&mut connection.unblocked, true) {
            self.unblocked.push(id);
        }
        connection.hung_up |= event.is_read_closed();
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            connection.readable = true;
            self.list(id);
        }
    }

    /// The socket goes, and the core hears why. Where it may still be up it is not closed in order: the other end would take that for the
    /// end of this process.
    fn end(&mut self, id: ConnId, why: Closed) {
        if let Some(connection) = self.connections.remove(id).filter(|_| why == Closed::Error) {
            connection.stream.reset();
        }
        self.node.disconnected(id, why);
        self.noted = true;
    }

    // ---- accept ----

    fn accept(&mut self) {
        if let Some(at) = self.accept_again {
            // A clock that has gone back must not keep them waiting.
            if (at.saturating_sub(ACCEPT_PAUSE)..at).contains(&clock::now().mono) {
                return;
            }
            self.accept_again = None;
        }
        let places = self.shared.listeners.borrow().places();
        for at in 0..places {
            for _ in 0..ACCEPTS_PER_TURN {
                let accepted = self.shared.listeners.borrow_mut().accept(at);
                match accepted {
                    Some((port, Accepted::Connection(stream, peer))) => {
                        self.exhausted = false;
                        self.take_in(port, stream, peer);
                    }
                    Some((_, Accepted::None)) | None => break,
                    Some((_, Accepted::Exhausted(error))) => return self.pause_accepting(&error),
                }
            }
        }
    }

    /// No edge will tell when there is room again: a timer does.
    fn pause_accepting(&mut self, error: &io::Error) {
        if !mem::replace(&mut self.exhausted, true) {
            log::warn!("Accepting connections: {error}; trying again every {ACCEPT_PAUSE} ms");
        }
        self.accept_again = Some(clock::now().mono + ACCEPT_PAUSE);
    }

    fn take_in(&mut self, port: Port, mut stream: Stream, peer: std::net::SocketAddr) {
        let Ok(local) = stream.local_addr() else { return };
        match self.node.accepted(port, peer, local) {
            node::Accepted::Session(id) => {
                stream.tune(self.node.config().tcp_keepalive);
                stream.speak_by(self.shared.keys.borrow().await_offer(port));
                self.node.has_socket(id, stream.number());
                self.open(Connection::new(id, Class::accepted(port), stream, false));
            }
            // A courtesy: an empty socket takes a line at once, and nobody waits if it does not.
            node::Accepted::Refused(line) => drop(stream.write(line)),
        }
    }

    /// Registers a socket, once for both directions, and keeps it.
    fn open(&mut self, mut connection: Connection) {
        let id = connection.id;
        // The assertion at SIGNALS makes this cast whole.
        let token = Token(id.to_word() as usize);
        match connection.stream.register(self.poll.registry(), token) {
            Ok(()) => self.connections.insert(connection),
            Err(error) => {
                log::warn!("Registering a connection: {error}");
                self.end(id, Closed::Error);
            }
        }
    }

    // ---- read ----

    /// Notes that a connection is to be read.
    fn list(&mut self, id: ConnId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if mem::replace(&mut connection.listed, true) {
            return;
        }
        match connection.class {
            Class::Bus => self.reading_bus.push(id),
            Class::Client | Class::Primary => self.reading_clients.push(id),
        }
    }

    /// Every readable connection, the bus before the clients, a bounded amount each. True if there was a client among them.
    fn read(&mut self) -> bool {
        for id in mem::take(&mut self.reading_bus) {
            self.read_one(id);
        }
        let clients = mem::take(&mut self.reading_clients);
        for id in &clients {
            self.read_one(*id);
        }
        !clients.is_empty()
    }

    fn read_one(&mut self, id: ConnId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.listed = false;
        let end = connection.read(&mut self.node);
        self.after_read(id);
        match end {
            ReadEnd::Drained => {}
            ReadEnd::More => self.list(id),
            ReadEnd::Held => {
                self.connections.get_mut(id).into_iter().for_each(|connection| connection.listed = true);
                self.held.push(id);
            }
            ReadEnd::Eof => self.end(id, Closed::Eof),
            ReadEnd::Broken => self.end(id, Closed::Error),
        }
    }

    /// Lists again what the core takes again.
    fn release_held(&mut self) {
        let held = mem::take(&mut self.held);
        for id in held {
            let Some(connection) = self.connections.get_mut(id) else { continue };
            if self.node.receive_buffer(id).is_none() {
                self.held.push(id);
                continue;
            }
            connection.listed = false;
            self.list(id);
        }
    }

    // ---- flush ----

    /// Writes what the core has ready, and what sockets left over that take bytes again. Walks dirty connections only.
    fn flush(&mut self, turned: &Turned) {
        for id in mem::take(&mut self.unblocked) {
            self.connections.get_mut(id).into_iter().for_each(|connection| connection.unblocked = false);
            self.flush_one(turned, id);
        }
        while let Some(id) = self.node.next_dirty(turned) {
            self.flush_one(turned, id);
        }
    }

    fn flush_one(&mut self, turned: &Turned, id: ConnId) {
        let Some(connection) = self.connections.get_mut(id).filter(|connection| !connection.dialling) else { return };
        let mut written = 0;
        if let Err(WriteError::Broken(error)) = connection.catch_up() {
            log::debug!("Writing to a connection: {error:?}");
            return self.end(id, Closed::Error);
        }
        loop {
            // Each write by a clock of its own: the process may have been stopped since the last one.
            let Some(transmit) = self.node.transmit_buffer(turned, id, clock::now()) else { return };
            if transmit.is_empty() || !connection.writable {
                break;
            }
            if written >= WRITTEN_A_TURN {
                if !mem::replace(&mut connection.unblocked, true) {
                    self.unblocked.push(id);
                }
                break;
            }
            let next = transmit.as_slice();
            match connection.write(&next[..next.len().min(WRITTEN_A_TURN)]) {
                Ok(count) => {
                    transmit.advance(count);
                    written += count;
                    // The usual case; it needs no clock.
                    if transmit.is_empty() {
                        break;
                    }
                }
                // Its end is read in the next turn, unless nothing is taken from it.
                Err(WriteError::Closed) if self.node.receive_buffer(id).is_some() => {
                    self.list(id);
                    break;
                }
                Err(error) => {
                    log::debug!("Writing to a connection: {error:?}");
                    return self.end(id, Closed::Error);
                }
            }
        }
        self.node.flushed(id, written);
    }

    /// The core has let a connection go.
    fn close(&mut self, id: ConnId, how: Closing) {
        let Some(mut connection) = self.connections.remove(id).filter(|connection| !connection.dialling) else { return };
        let is_said = match how {
            Closing::InOrder => true,
            Closing::Saying(word) => connection.write(word).is_ok_and(|count| count == word.len()) && !connection.stream.is_behind(),
            Closing::Reset => false,
        };
        if !is_said {
            connection.stream.reset();
        }
    }

    // ---- actions ----

    /// What else the core wants from the system, after the bytes that it wanted out before; the exit code if it wants to end.
    fn act(&mut self, turned: &Turned) -> Option<i32> {
        while let Some(action) = self.node.next_action(turned) {
            match action {
                Action::Dial { conn, socket, port } => match Stream::dial(socket) {
                    Ok(stream) => self.open(Connection::new(conn, Class::dialled(port), stream, true)),
                    Err(error) if is_refusal(&error) => self.end(conn, Closed::Refused),
                    Err(error) => {
                        log::debug!("Dialling {socket}: {error}");
                        self.end(conn, Closed::Error);
                    }
                },
                Action::Close { conn, how } => self.close(conn, how),
                Action::Exit(code) => return Some(code),
            }
        }
        self.take_up_secrets();
        let wanted = self.node.config().loglevel;
        if wanted != mem::replace(&mut self.loglevel, wanted) {
            logger::set_level(wanted);
        }
        logger::set_replica(self.node.is_replica());
        logger::tell_lost();
        None
    }
}
