//! Clients that write: ever higher numbers to keys of their own, at the node that owns the slot, as far as they know.
//!
//! Owns: the keys, what is written and read, and following MOVED. What became of it is judged in [`crate::sim::checks::custody`].

use crate::sim::clients::{Command, Purpose, Request};
use crate::sim::resp::Reply;
use crate::sim::world::World;
use pontoon::keyspace::key_slot;
use pontoon::types::Slot;

/// A key that is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key(pub &'static str);

impl Key {
    /// Its slot.
    pub fn slot(self) -> Slot {
        key_slot(self.0.as_bytes())
    }

    /// Whether it holds a hash, of which one field is what is written; else a string is.
    fn is_hash(self) -> bool {
        matches!(self.0, "c" | "f" | "i" | "l")
    }
}

/// The keys, each written by one client only, each in a slot of its own above those that are changed one by one.
pub const KEYS: [Key; 12] =
    [Key("a"), Key("b"), Key("c"), Key("d"), Key("e"), Key("f"), Key("g"), Key("h"), Key("i"), Key("j"), Key("k"), Key("l")];
/// Commands sent at once, at most: they wait together while a process is stopped.
const BATCH: u64 = 8;
/// A value that does not live long lives for less (ms).
const SHORT_LIFE: u64 = 3_000;
/// The field of a hash that is written.
pub const FIELD: &str = "number";
/// A large hash gets so many fields more: it is packed no longer.
const FIELDS: usize = 600;
/// A large value has less (bytes): a few of them fill a socket, and take a full sync or a save many turns.
const LARGE: u64 = 200_000;

impl World {
    /// A few writes to one key, a wait for a replica behind them now and then; or a read.
    pub fn write_or_read(&mut self, index: usize, first: usize) -> Option<Request> {
        if self.clients.rng.one_in(3) {
            return self.read(index);
        }
        let key = first + self.clients.rng.below(KEYS.len() as u64 / 2) as usize;
        let to = self.believed_owner(index, key)?;
        let batch = if self.clients.rng.one_in(4) { self.clients.rng.between(1, BATCH) } else { 1 };
        let mut commands: Vec<Command> = (0..batch).map(|_| self.write(index, key)).collect();
        if self.clients.rng.one_in(3) {
            let patience = self.clients.rng.between(1, 2_000).to_string();
            let purpose = Purpose::Wait(key, self.clients.list[index].written);
            commands.push(Command { words: words(&["WAIT", "1", &patience]), purpose });
        }
        Some(Request { to, commands })
    }

    /// A read of any key, where its owner is believed to be.
    pub fn read(&mut self, index: usize) -> Option<Request> {
        let key = self.clients.rng.below(KEYS.len() as u64) as usize;
        let to = self.believed_owner(index, key)?;
        Some(Request { to, commands: vec![self.fetch(to, key)] })
    }

    /// A write to one of its keys that it has not probed yet, if their owner is there. Without one it has done what it can.
    pub fn write_once_more(&mut self, index: usize, first: usize) -> Option<Request> {
        let member = self.some_member()?;
        let owner = |key: usize| self.state_of(member)?.owner(KEYS[key].slot()).and_then(|owner| self.machine_of(owner));
        let probed = &self.clients.list[index].probed;
        let left = (first..first + KEYS.len() / 2).filter(|key| !probed.contains(key)).find_map(|key| Some((key, owner(key)?)));
        let Some((key, to)) = left else {
            self.clients.list[index].satisfied = true;
            return None;
        };
        Some(Request { to, commands: vec![self.set(index, key)] })
    }

    /// The next number: as a value that stays, lives for a while only, or is gone at once.
    fn write(&mut self, index: usize, key: usize) -> Command {
        let kind = self.clients.rng.below(10);
        let command = self.set(index, key);
        let Purpose::Write(_, number) = command.purpose else { return command };
        let watch = &mut self.checks.custody.watch;
        let words = match kind {
            0 | 1 => {
                watch.deletes(key, number);
                words(&["DEL", KEYS[key].0])
            }
            2 | 3 if KEYS[key].is_hash() => command.words,
            2 => {
                watch.passes(key, number);
                let life = self.clients.rng.between(50, SHORT_LIFE).to_string();
                [command.words, words(&["PX", &life])].concat()
            }
            // Over at once where another machine's wall clock is ahead.
            3 => [command.words, words(&["PX", &self.clients.rng.between(100_000, 3_000_000).to_string()])].concat(),
            _ => command.words,
        };
        Command { words, ..command }
    }

    /// A value that stays.
    fn set(&mut self, index: usize, key: usize) -> Command {
        let is_large = self.clients.writes_large && self.clients.rng.one_in(3);
        let padding = if is_large { self.clients.rng.between(1_000, LARGE) } else { 0 } as usize;
        let client = &mut self.clients.list[index];
        client.written += 1;
        let value = format!("{}{}", client.written, ":".repeat(padding));
        let purpose = Purpose::Write(key, client.written);
        self.stats.large_values += u64::from(is_large);
        if !KEYS[key].is_hash() {
            return Command { words: words(&["SET", KEYS[key].0, &value]), purpose };
        }
        let mut words = words(&["HSET", KEYS[key].0, FIELD, &value]);
        if is_large {
            let first = self.clients.rng.below(2_000) as usize;
            words.extend((first..first + FIELDS).flat_map(|field| [field.to_string(), value[..1].to_owned()]));
        }
        Command { words, purpose }
    }

    fn fetch(&self, to: usize, key: usize) -> Command {
        let floor = self.checks.floor(&self.machines[to], key);
        let words = if KEYS[key].is_hash() { words(&["HGET", KEYS[key].0, FIELD]) } else { words(&["GET", KEYS[key].0]) };
        Command { words, purpose: Purpose::Fetch(key, floor) }
    }

    /// Where the client was sent last; else, often, where a member says that the owner is; else anywhere.
    fn believed_owner(&mut self, index: usize, key: usize) -> Option<usize> {
        let slot = KEYS[key].slot();
        if let Some(to) = self.clients.list[index].moved.get(&slot) {
            return Some(*to);
        }
        let member = self.some_member()?;
        let owner = self.state_of(member)?.owner(slot).and_then(|owner| self.machine_of(owner));
        Some(owner.filter(|_| !self.clients.rng.one_in(8)).unwrap_or(member))
    }

    /// Remembers where a slot's owner is said to be; after any other error it is looked for anew.
    pub fn follow(&mut self, index: usize, slot: Slot, reply: &Reply) {
        let Reply::Error(text) = reply else { return };
        self.clients.list[index].moved.remove(&slot);
        let socket = text.strip_prefix("MOVED ").and_then(|rest| rest.split(' ').nth(1)?.parse::<std::net::SocketAddr>().ok());
        if let Some(to) = socket.and_then(|socket| self.machine_at(socket)) {
            self.clients.list[index].moved.insert(slot, to);
        }
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().copied().map(str::to_owned).collect()
}
