//! What one client is subscribed to, and how it hears of that.
//!
//! Owns: its list of names, and the bound on it. Must not: know the other subscribers of a name ([`super::PubSub`] does, and changes both).

use crate::types::Slot;
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
    pub(super) fn head(self) -> &'static [u8] {
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

/// What one client is subscribed to.
#[derive(Debug, Default)]
pub struct Subscriptions {
    /// No set is empty. Each name is in [`super::PubSub`] too, with this client among its subscribers.
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

    /// Whether it may subscribe to these names beside those that it has.
    pub fn has_room<'n>(&self, names: impl Iterator<Item = &'n [u8]>) -> bool {
        names.fold(self.bytes, |bytes, name| bytes + name.len() + OVERHEAD) <= MAX_BYTES
    }

    /// True if it was not subscribed to it yet.
    pub(super) fn insert(&mut self, scope: Scope, name: Name) -> bool {
        let cost = name.len() + OVERHEAD;
        let new = self.names.entry(scope).or_default().insert(name);
        self.bytes += if new { cost } else { 0 };
        new
    }

    /// True if it was subscribed to it.
    pub(super) fn remove(&mut self, scope: Scope, name: &[u8]) -> bool {
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
pub(super) const FIRST_SHARD: Scope = match Slot::new(0) {
    Some(slot) => Scope::Shard(slot),
    None => unreachable!(),
};

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
