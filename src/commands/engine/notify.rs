//! Keyspace notifications: what happened to keys, published to this node's subscribers (`notify-keyspace-events`).
//!
//! Owns: the events, their classes and channels. Must not: cost more than a look at the option while nobody wants an event.
//! Contract: the Redis documentation on keyspace notifications. They stay on the node that owns the key: no other node is told.

use super::context::Context;
use crate::config::{EventClass, KeyspaceEvents};
use crate::keyspace::{Note, Wanted};
use crate::session::{ClientList, PubSub, Scope};

/// What happened to a key. A family has events of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    name: &'static str,
    class: EventClass,
}

impl Event {
    /// It was deleted.
    pub const DEL: Self = Self::new("del", EventClass::Generic);
    /// It was given a time to live.
    pub const EXPIRE: Self = Self::new("expire", EventClass::Generic);
    /// It was removed because its time was over.
    pub const EXPIRED: Self = Self::new("expired", EventClass::Expired);
    /// A read did not find it.
    const KEYMISS: Self = Self::new("keymiss", EventClass::KeyMiss);
    /// It was made; what made it is an event of its own.
    const NEW: Self = Self::new("new", EventClass::New);
    /// Its time to live was taken away.
    pub const PERSIST: Self = Self::new("persist", EventClass::Generic);

    /// An event of this name, as listeners hear it, and class.
    pub const fn new(name: &'static str, class: EventClass) -> Self {
        Self { name, class }
    }
}

/// Which of the keyspace's notes become events.
pub fn wanted(events: KeyspaceEvents) -> Wanted {
    Wanted { expired: events.tells(EventClass::Expired), new: events.tells(EventClass::New) }
}

/// Publishes an event, if its class is wanted.
pub fn publish(events: KeyspaceEvents, event: Event, key: &[u8], pubsub: &mut PubSub, clients: &mut dyn ClientList) {
    if !events.tells(event.class) || pubsub.is_empty() {
        return;
    }
    let name = event.name.as_bytes();
    if events.has(EventClass::Keyspace) {
        pubsub.publish(Scope::Channel, &[b"__keyspace@0__:", key].concat(), name, clients);
    }
    if events.has(EventClass::Keyevent) {
        pubsub.publish(Scope::Channel, &[b"__keyevent@0__:", name].concat(), key, clients);
    }
}

/// Publishes the events that the keyspace's notes are.
pub fn publish_notes(events: KeyspaceEvents, notes: &[Note], pubsub: &mut PubSub, clients: &mut dyn ClientList) {
    for note in notes {
        let (event, key) = match note {
            Note::Expired(key) => (Event::EXPIRED, key),
            Note::New(key) => (Event::NEW, key),
        };
        publish(events, event, key, pubsub, clients);
    }
}

impl Context<'_> {
    /// Something happened to a key.
    #[inline]
    pub fn notify(&mut self, event: Event, key: &[u8]) {
        let events = self.config.notify_keyspace_events;
        if events.tells(event.class) {
            self.settle_notes();
            publish(events, event, key, self.pubsub, self.clients);
        }
    }

    /// A read looked for a key.
    pub fn looked_up(&mut self, key: &[u8], found: bool) {
        self.server.stats.looked_up(found);
        if !found {
            self.notify(Event::KEYMISS, key);
        }
    }

    /// What the keyspace did by itself on the way is told, to replicas and as events, before what the command does.
    pub fn settle_notes(&mut self) {
        let notes = self.keyspace.take_notes();
        self.stream.feed_expired(&notes);
        publish_notes(self.config.notify_keyspace_events, &notes, self.pubsub, self.clients);
    }
}
