//! This node's clients as commands see them and as messages reach them.
//!
//! Owns: what a handler is shown of other clients, pushes into their buffers, and subscriptions that end because their slot is served
//! elsewhere.
//! Must not: know who is subscribed to what (session::pubsub does).

use crate::node::io::sessions::{Kind, Phase, Session, Sessions};
use crate::node::metadata::Metadata;
use crate::node::view::{Effects, View};
use crate::replication::Stream;
use crate::session::{Buffers, Client, ClientList, Push, Scope, confirm};
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
    /// Clients that the asking one wants closed, in order.
    pub killed: Vec<ConnId>,
}

/// Whose command runs.
#[derive(Clone, Copy)]
pub(in crate::node) struct Asking {
    pub conn: ConnId,
    pub resp3: bool,
}

impl<'a> Others<'a> {
    pub fn new(sessions: &'a mut Sessions, asking: Option<Asking>, limit: u64) -> Self {
        Self { sessions, asking, limit, own_pushes: Vec::new(), overrun: Vec::new(), killed: Vec::new() }
    }

    /// The other clients, but for those that are to be closed. The primary whose stream this node runs is one, as in Redis.
    fn others(&self) -> impl Iterator<Item = (ConnId, &Session, &Client)> {
        let sessions = self
            .sessions
            .iter()
            .filter(|(id, _)| self.asking.is_none_or(|asking| asking.conn != *id) && self.killed.binary_search(id).is_err());
        sessions.filter_map(|(id, session)| Some((id, session, client_of(&session.kind)?)))
    }
}

fn client_of(kind: &Kind) -> Option<&Client> {
    match kind {
        Kind::Client(client) => Some(&client.client),
        Kind::Primary(link) => match &link.phase {
            Phase::Streaming(reader) => Some(&reader.client),
            Phase::Dialling | Phase::Syncing(_) => None,
        },
        Kind::Bus(_) => None,
    }
}

fn buffers(session: &Session) -> Buffers {
    Buffers { input: session.receive.len(), output: session.transmit.len(), output_room: session.transmit.capacity() }
}

impl ClientList for Others<'_> {
    fn visit_others(&self, visit: &mut dyn FnMut(&Client, Buffers)) {
        self.others().for_each(|(_, session, client)| visit(client, buffers(session)));
    }

    fn count(&self) -> usize {
        self.sessions.client_count()
    }

    fn kill(&mut self, is_wanted: &dyn Fn(&Client) -> bool) -> usize {
        let killed: Vec<ConnId> = self.others().filter(|(_, _, client)| is_wanted(client)).map(|(id, ..)| id).collect();
        self.killed.extend(&killed);
        self.killed.sort_unstable();
        killed.len()
    }

    fn push(&mut self, to: ConnId, push: Push<'_>) {
        let beyond = |unsent: usize| self.limit > 0 && unsent as u64 > self.limit;
        if let Some(asking) = self.asking.filter(|asking| asking.conn == to) {
            // What is beyond the limit already is cut off by it once the command has ended.
            if !beyond(self.own_pushes.len()) {
                push.write(&mut self.own_pushes, asking.resp3);
            }
            return;
        }
        let Some(session) = self.sessions.get_mut(to).filter(|session| !session.closing) else { return };
        let Session { kind: Kind::Client(client), transmit, .. } = session else { return };
        let resp3 = client.client.resp3;
        let unsent = match &mut client.client.long_reply {
            Some(reply) => {
                push.write(&mut reply.after, resp3);
                reply.after.len().max(transmit.len())
            }
            None => {
                push.write_short(transmit.end(), resp3);
                if let Some(long) = push.long {
                    transmit.push(long.clone().into());
                    transmit.end().extend_from_slice(b"\r\n");
                }
                transmit.len()
            }
        };
        if beyond(unsent) {
            session.closing = true;
            self.overrun.push(to);
        }
        self.sessions.queue_output(to);
    }
}

impl Effects {
    /// Sends a message to this node's subscribers, outside of any client's command.
    pub fn publish_here(&mut self, scope: Scope, channel: &[u8], message: &[u8], stream: &Stream, view: &View) {
        let limit = view.config.client_output_buffer_limit.pubsub.hard;
        let mut others = Others::new(&mut self.io.sessions, None, limit);
        self.clients.publishing.pubsub.publish(scope, channel, message, &mut others);
        let overrun = others.overrun;
        self.close_overrun(&overrun, stream);
    }

    /// Closes subscribers that are beyond the hard limit.
    pub fn close_overrun(&mut self, overrun: &[ConnId], stream: &Stream) {
        for conn in overrun {
            if let Some(Kind::Client(client)) = self.io.sessions.get(*conn).map(|session| &session.kind) {
                let Client { id, addr, .. } = &client.client;
                log::warn!("closing subscriber {id} at {addr}: what it does not read is beyond client-output-buffer-limit");
            }
            self.server.stats.output_limit_disconnections += 1;
            self.end(*conn, stream);
        }
    }

    /// Owners of slots have changed: who listens to shard channels that are served elsewhere now is told that it does not any more.
    pub fn end_foreign_subscriptions(&mut self, metadata: &Metadata) {
        let foreign: Vec<Slot> = self.clients.publishing.pubsub.shard_slots().filter(|slot| !metadata.serves_channels_of(*slot)).collect();
        for slot in foreign {
            let scope = Scope::Shard(slot);
            for (conn, name) in self.clients.publishing.pubsub.subscribed_to_slot(slot) {
                let Some(session) = self.io.sessions.get_mut(conn) else { continue };
                let Kind::Client(client) = &mut session.kind else { continue };
                let (resp3, own) = (client.client.resp3, &mut client.client.subscriptions);
                self.clients.publishing.pubsub.unsubscribe(conn, own, scope, &name);
                confirm(&mut Reply::new(session.transmit.end(), resp3), own, scope, scope.unsubscribe_word(), Some(&name));
                self.io.sessions.queue_output(conn);
            }
        }
    }
}

/// Where pushes for a client go: behind the reply that is being written.
pub(in crate::node) fn client_pushes<'a>(client: &'a mut Client, out: &'a mut Vec<u8>) -> &'a mut Vec<u8> {
    match &mut client.long_reply {
        Some(reply) => &mut reply.after,
        None => out,
    }
}
