//! Who is subscribed to what on this node, and the bytes of a message to all of them.
//!
//! Owns: the names with their subscribers, and what other nodes are to be told.
//! Must not: hold a message back: it goes to every subscriber's buffer at once, so that a limit on that buffer bounds it.

use super::client_list::{ClientList, Push};
use super::outgoing::Outgoing;
use super::subscriptions::{FIRST_SHARD, Name, Scope, Subscriptions};
use crate::config::glob_matches;
use crate::types::{ConnId, Slot};
use crate::values::{Rubble, Shared};
use crate::wire::Reply;
use std::collections::{BTreeMap, BTreeSet};

/// Scratch buffers larger than this give their memory back.
const KEPT_CAPACITY: usize = 64 * 1024;
/// A message of this length and more lies in one buffer for all who get it.
const LONG: usize = 16 * 1024;

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
    /// Subscribes a client to a name, if it is not subscribed yet.
    pub fn subscribe(&mut self, conn: ConnId, own: &mut Subscriptions, scope: Scope, name: &[u8]) {
        let names = self.scopes.entry(scope).or_default();
        let name = match names.get_key_value(name) {
            Some((known, _)) => known.clone(),
            None => name.into(),
        };
        if own.insert(scope, name.clone()) {
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
        for (scope, name) in std::mem::take(own).all() {
            self.remove(conn, scope, &name);
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
        let (mut receivers, mut long) = (0, None);
        tail.clear();
        let mut send = |head: &[u8], subscribers: &Subscribers| {
            if tail.is_empty() {
                let mut text = Reply::new(tail, false);
                text.bulk(channel);
                if message.len() < LONG {
                    text.bulk(message);
                } else {
                    text.piece(Some(message.len()), b"", false);
                    long = Some(Shared::new(message.to_vec(), &Rubble::default()));
                }
            }
            let push = Push { head, tail, long: long.as_ref() };
            subscribers.iter().for_each(|conn| clients.push(*conn, push));
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
