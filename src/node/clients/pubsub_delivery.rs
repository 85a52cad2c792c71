//! This node's clients as commands see them and as messages reach them.
//!
//! Owns: what a handler is shown of other clients, pushes into their buffers, and subscriptions that end because their slot is served elsewhere.
//! Must not: know who is subscribed to what (session::pubsub does).

use crate::commands::notify;
use crate::keyspace::Wanted;
use crate::node::Node;
use crate::node::clients::serve::client_pushes;
use crate::node::io::sessions::{Kind, Session, Sessions};
use crate::session::{Buffers, Client, ClientList, Scope, confirm};
use crate::store::Disk;
use crate::types::{ConnId, Slot};
use crate::wire::Reply;

/// The sessions as handlers may see and reach them, while the asking one is lent out.
pub(in crate::node) struct Others<'a> {
    sessions: &'a mut Sessions,
    asking: Option<Asking>,
    /// A subscriber with more unsent is closed; 0: no limit.
    limit: u64,
    /// Pushes for the asking client, to follow its reply.
    pub own_pushes: Vec<u8>,
    /// Clients beyond the limit, to be closed.
    pub overrun: Vec<ConnId>,
}

/// Whose command runs.
#[derive(Clone, Copy)]
pub(in crate::node) struct Asking {
    pub conn: ConnId,
    pub resp3: bool,
}

impl<'a> Others<'a> {
    pub fn new(sessions: &'a mut Sessions, asking: Option<Asking>, limit: u64) -> Self {
        Self { sessions, asking, limit, own_pushes: Vec::new(), overrun: Vec::new() }
    }
}

fn write_push(out: &mut Vec<u8>, resp3: bool, head: &[u8], tail: &[u8]) {
    out.push(if resp3 { b'>' } else { b'*' });
    out.extend_from_slice(&head[1..]);
    out.extend_from_slice(tail);
}

fn buffers(session: &Session) -> Buffers {
    Buffers { input: session.receive.len(), output: session.transmit.len() }
}

impl ClientList for Others<'_> {
    fn visit_others(&self, visit: &mut dyn FnMut(&Client, Buffers)) {
        for (id, session) in self.sessions.iter() {
            if let (Kind::Client(client), true) = (&session.kind, self.asking.is_none_or(|asking| asking.conn != id)) {
                visit(&client.client, buffers(session));
            }
        }
    }

    fn count(&self) -> usize {
        self.sessions.client_count()
    }

    fn push(&mut self, to: ConnId, head: &[u8], tail: &[u8]) {
        let beyond = |unsent: usize| self.limit > 0 && unsent as u64 > self.limit;
        if let Some(asking) = self.asking.filter(|asking| asking.conn == to) {
            // What is beyond the limit already is cut off by it once the command has ended.
            if !beyond(self.own_pushes.len()) {
                write_push(&mut self.own_pushes, asking.resp3, head, tail);
            }
            return;
        }
        let Some(session) = self.sessions.get_mut(to).filter(|session| !session.closing) else { return };
        let Session { kind: Kind::Client(client), transmit, .. } = session else { return };
        let resp3 = client.client.resp3;
        let out = client_pushes(&mut client.client, transmit.end());
        write_push(out, resp3, head, tail);
        if beyond(out.len().max(transmit.len())) {
            session.closing = true;
            self.overrun.push(to);
        }
        self.sessions.queue_output(to);
    }
}

impl<D: Disk> Node<D> {
    /// Sends a message to this node's subscribers, outside of any client's command.
    pub(in crate::node) fn publish_here(&mut self, scope: Scope, channel: &[u8], message: &[u8]) {
        let limit = self.view.config.client_output_buffer_limit.pubsub.hard;
        let mut others = Others::new(&mut self.out.io.sessions, None, limit);
        self.out.clients.publishing.pubsub.publish(scope, channel, message, &mut others);
        let overrun = others.overrun;
        self.close_overrun(&overrun);
    }

    /// What this node wants to know of keys that expire, or are made.
    pub(in crate::node) fn wanted_notes(&self) -> Wanted {
        notify::wanted(self.view.config.notify_keyspace_events)
    }

    /// What the keyspace did by itself since the last command is told, to replicas and as events.
    pub(in crate::node) fn settle_notes(&mut self) {
        let notes = self.dataset.keyspace.take_notes();
        self.dataset.stream.feed_expired(&notes);
        let (events, limit) = (self.view.config.notify_keyspace_events, self.view.config.client_output_buffer_limit.pubsub.hard);
        let mut others = Others::new(&mut self.out.io.sessions, None, limit);
        notify::publish_notes(events, &notes, &mut self.out.clients.publishing.pubsub, &mut others);
        let overrun = others.overrun;
        self.close_overrun(&overrun);
    }

    /// Closes subscribers that are beyond the hard limit.
    pub(in crate::node) fn close_overrun(&mut self, overrun: &[ConnId]) {
        for conn in overrun {
            if let Some(Kind::Client(client)) = self.out.io.sessions.get(*conn).map(|session| &session.kind) {
                let Client { id, addr, .. } = &client.client;
                log::warn!("closing subscriber {id} at {addr}: what it does not read is beyond client-output-buffer-limit");
            }
            self.out.server.stats.output_limit_disconnections += 1;
            self.close(*conn);
        }
    }

    /// Whether this node serves a slot's shard channels: it owns the slot, or replicates the owner.
    fn serves_channels_of(&self, slot: Slot) -> bool {
        let primary = self.metadata.state.member(&self.metadata.me).and_then(|me| me.primary);
        self.metadata.state.owner(slot).is_some_and(|owner| owner == self.metadata.me || Some(owner) == primary)
    }

    /// Owners of slots have changed: who listens to shard channels that are served elsewhere now is told that it does not any more.
    pub(in crate::node) fn end_foreign_subscriptions(&mut self) {
        let foreign: Vec<Slot> = self.out.clients.publishing.pubsub.shard_slots().filter(|slot| !self.serves_channels_of(*slot)).collect();
        for slot in foreign {
            let scope = Scope::Shard(slot);
            for (conn, name) in self.out.clients.publishing.pubsub.subscribed_to_slot(slot) {
                let Some(session) = self.out.io.sessions.get_mut(conn) else { continue };
                let Kind::Client(client) = &mut session.kind else { continue };
                let (resp3, own) = (client.client.resp3, &mut client.client.subscriptions);
                self.out.clients.publishing.pubsub.unsubscribe(conn, own, scope, &name);
                confirm(&mut Reply::new(session.transmit.end(), resp3), own, scope, scope.unsubscribe_word(), Some(&name));
                self.out.io.sessions.queue_output(conn);
            }
        }
    }
}
