//! Who is subscribed to what on this node, and the bytes of a message to all of them.
//!
//! Owns: the names with their subscribers, each client's own list of names, and what other nodes are to be told.
//! Must not: hold a message back: it goes to every subscriber's buffer at once, so that a limit on that buffer bounds it.

use super::client_list::ClientList;
use super::outgoing::Outgoing;
use crate::config::glob_matches;
use crate::types::{ConnId, Slot};
use crate::wire::Reply;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a name that clients subscribe to stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Scope {
    /// A channel of the whole cluster.
    Channel,
    /// A pattern of such channels.
    Pattern,
    /// A channel of the shard that serves this slot, which is the name's.
    Shard(Slot),
}

impl Scope {
    /// What SUBSCRIBE to such a name is called.
    pub fn subscribe_word(self) -> &'static str {
        match self {
            Self::Channel => "subscribe",
            Self::Pattern => "psubscribe",
            Self::Shard(_) => "ssubscribe",
        }
    }

    /// What UNSUBSCRIBE from such a name is called.
    pub fn unsubscribe_word(self) -> &'static str {
        match self {
            Self::Channel => "unsubscribe",
            Self::Pattern => "punsubscribe",
            Self::Shard(_) => "sunsubscribe",
        }
    }

    /// How a message that comes by such a name begins.
    fn head(self) -> &'static [u8] {
        match self {
            Self::Channel => b"*3\r\n$7\r\nmessage\r\n",
            Self::Pattern => b"*4\r\n$8\r\npmessage\r\n",
            Self::Shard(_) => b"*3\r\n$8\r\nsmessage\r\n",
        }
    }
}

/// A channel or a pattern, kept once for all its subscribers.
pub type Name = Arc<[u8]>;

/// Bytes that a subscription costs beside its name, about.
const OVERHEAD: usize = 100;
/// A client's subscriptions may take so many bytes.
const MAX_BYTES: usize = 64 << 20;
/// Scratch buffers larger than this give their memory back.
const KEPT_CAPACITY: usize = 64 * 1024;

/// What one client is subscribed to.
#[derive(Debug, Default)]
pub struct Subscriptions {
    /// No set is empty. Each name is in [`PubSub`] too, with this client among its subscribers.
    names: BTreeMap<Scope, BTreeSet<Name>>,
    bytes: usize,
}

impl Subscriptions {
    /// Whether it is subscribed to nothing.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// How many channels and patterns it is subscribed to.
    pub fn names(&self) -> usize {
        self.count(Scope::Channel) + self.count(Scope::Pattern)
    }

    /// How many names of this scope it is subscribed to.
    pub fn count(&self, scope: Scope) -> usize {
        self.names.get(&scope).map_or(0, BTreeSet::len)
    }

    /// How many shard channels it is subscribed to.
    pub fn shard_channels(&self) -> usize {
        self.names.range(FIRST_SHARD..).map(|(_, names)| names.len()).sum()
    }

    /// Every name with its scope.
    pub fn all(&self) -> impl Iterator<Item = (Scope, Name)> {
        self.names.iter().flat_map(|(scope, names)| names.iter().map(move |name| (*scope, name.clone())))
    }

    fn remove(&mut self, scope: Scope, name: &[u8]) -> bool {
        let Some(names) = self.names.get_mut(&scope) else { return false };
        if !names.remove(name) {
            return false;
        }
        self.bytes -= name.len() + OVERHEAD;
        if names.is_empty() {
            self.names.remove(&scope);
        }
        true
    }
}

/// Shard channels come after everything else.
const FIRST_SHARD: Scope = match Slot::new(0) {
    Some(slot) => Scope::Shard(slot),
    None => unreachable!(),
};

/// The clients subscribed to one name.
type Subscribers = BTreeSet<ConnId>;

/// See the module.
#[derive(Default)]
pub struct PubSub {
    /// No map and no set is empty.
    scopes: BTreeMap<Scope, BTreeMap<Name, Subscribers>>,
    /// What other nodes are to be told.
    pub outgoing: Outgoing,
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl PubSub {
    /// Whether a client may subscribe to these names in addition to its own.
    pub fn has_room<'n>(own: &Subscriptions, names: impl Iterator<Item = &'n [u8]>) -> bool {
        names.fold(own.bytes, |bytes, name| bytes + name.len() + OVERHEAD) <= MAX_BYTES
    }

    /// Subscribes a client to a name, if it is not subscribed yet.
    pub fn subscribe(&mut self, conn: ConnId, own: &mut Subscriptions, scope: Scope, name: &[u8]) {
        let names = self.scopes.entry(scope).or_default();
        let name = match names.get_key_value(name) {
            Some((known, _)) => known.clone(),
            None => name.into(),
        };
        if own.names.entry(scope).or_default().insert(name.clone()) {
            own.bytes += name.len() + OVERHEAD;
            names.entry(name).or_default().insert(conn);
        }
    }

    /// Ends a subscription, if there is one.
    pub fn unsubscribe(&mut self, conn: ConnId, own: &mut Subscriptions, scope: Scope, name: &[u8]) {
        if own.remove(scope, name) {
            self.remove(conn, scope, name);
        }
    }

    /// Ends all subscriptions of a client.
    pub fn leave(&mut self, conn: ConnId, own: &mut Subscriptions) {
        for (scope, names) in std::mem::take(own).names {
            names.iter().for_each(|name| self.remove(conn, scope, name));
        }
    }

    fn remove(&mut self, conn: ConnId, scope: Scope, name: &[u8]) {
        let Some(names) = self.scopes.get_mut(&scope) else { return };
        let Some(subscribers) = names.get_mut(name) else { return };
        subscribers.remove(&conn);
        if subscribers.is_empty() {
            names.remove(name);
        }
        if names.is_empty() {
            self.scopes.remove(&scope);
        }
    }

    /// Whether nobody is subscribed to anything.
    pub fn is_empty(&self) -> bool {
        self.scopes.is_empty()
    }

    /// How many names of this scope have subscribers.
    pub fn count(&self, scope: Scope) -> usize {
        self.scopes.get(&scope).map_or(0, BTreeMap::len)
    }

    /// How many clients are subscribed to this very name.
    pub fn subscribers(&self, scope: Scope, name: &[u8]) -> usize {
        self.scopes.get(&scope).and_then(|names| names.get(name)).map_or(0, Subscribers::len)
    }

    /// The channels with subscribers.
    pub fn channels(&self) -> impl Iterator<Item = &Name> {
        self.scopes.get(&Scope::Channel).into_iter().flat_map(BTreeMap::keys)
    }

    /// The shard channels with subscribers, by slot.
    pub fn shard_channels(&self) -> impl Iterator<Item = &Name> {
        self.scopes.range(FIRST_SHARD..).flat_map(|(_, names)| names.keys())
    }

    /// The slots of shard channels with subscribers.
    pub fn shard_slots(&self) -> impl Iterator<Item = Slot> {
        self.scopes.range(FIRST_SHARD..).filter_map(|(scope, _)| match scope {
            Scope::Shard(slot) => Some(*slot),
            Scope::Channel | Scope::Pattern => None,
        })
    }

    /// The subscribers of a slot's shard channels, each with the channel.
    pub fn subscribed_to_slot(&self, slot: Slot) -> Vec<(ConnId, Name)> {
        let names = self.scopes.get(&Scope::Shard(slot)).into_iter().flatten();
        names.flat_map(|(name, subscribers)| subscribers.iter().map(|conn| (*conn, name.clone()))).collect()
    }

    /// Sends a message to this node's subscribers of a channel, and of the patterns that match it; how many subscriptions that were.
    pub fn publish(&mut self, scope: Scope, channel: &[u8], message: &[u8], clients: &mut dyn ClientList) -> usize {
        let Self { scopes, head, tail, .. } = self;
        let mut receivers = 0;
        tail.clear();
        let mut send = |head: &[u8], subscribers: &Subscribers| {
            if tail.is_empty() {
                let mut text = Reply::new(tail, false);
                text.bulk(channel);
                text.bulk(message);
            }
            subscribers.iter().for_each(|conn| clients.push(*conn, head, tail));
            receivers += subscribers.len();
        };
        if let Some(subscribers) = scopes.get(&scope).and_then(|names| names.get(channel)) {
            send(scope.head(), subscribers);
        }
        let patterns = scopes.get(&Scope::Pattern).filter(|_| scope == Scope::Channel);
        for (pattern, subscribers) in patterns.into_iter().flatten() {
            if glob_matches(pattern, channel, false) {
                head.clear();
                head.extend_from_slice(Scope::Pattern.head());
                Reply::new(head, false).bulk(pattern);
                send(head, subscribers);
            }
        }
        head.shrink_to(KEPT_CAPACITY);
        tail.shrink_to(KEPT_CAPACITY);
        receivers
    }
}

/// What a client hears of each change of its subscriptions: `<word> <name> <how many it has now>`.
pub fn confirm(reply: &mut Reply<'_>, own: &Subscriptions, scope: Scope, word: &str, name: Option<&[u8]>) {
    reply.push(3);
    reply.bulk(word.as_bytes());
    match name {
        Some(name) => reply.bulk(name),
        None => reply.null(),
    }
    let count = if matches!(scope, Scope::Shard(_)) { own.shard_channels() } else { own.names() };
    reply.int(count as i64);
}
