//! One client's protocol state: everything about it except its bytes.
//!
//! Owns: what HELLO, CLIENT, MULTI and WATCH leave behind between commands. Must not: touch buffers or connections.

use super::LongReply;
use super::command::CommandId;
use super::subscriptions::Subscriptions;
use super::transaction::{Execution, Transaction};
use crate::keyspace::{Keyspace, Version};
use crate::replication::Replica;
use crate::types::{Extent, LeaseNumber, Millis, Now, Slot};
use std::net::SocketAddr;

/// A client between two commands.
#[derive(Debug)]
pub struct Client {
    /// Counts up over the process's life, never used twice.
    pub id: u64,
    /// Where it comes from.
    pub addr: SocketAddr,
    /// Where it came in.
    pub laddr: SocketAddr,
    /// Its socket, as the process numbers them; -1 if it has none.
    pub fd: i32,
    /// What has come and gone by its connection.
    pub totals: Totals,
    /// When it was accepted.
    pub created: Now,
    /// Monotonic time of its last command, or of more of a long reply, for `idle=` and the `timeout` option.
    pub last_active: Millis,
    /// CLIENT SETNAME.
    pub name: String,
    /// CLIENT SETINFO LIB-NAME.
    pub lib_name: String,
    /// CLIENT SETINFO LIB-VER.
    pub lib_ver: String,
    /// HELLO 3. The node makes each reply with it.
    pub resp3: bool,
    /// May use commands: true from the start if there is no password.
    pub authenticated: bool,
    /// It is the primary that this node replicates, and its requests are the stream: no question where keys belong, and nobody reads the
    /// replies.
    pub is_primary: bool,
    /// READONLY: a replica may answer its reads.
    pub readonly: bool,
    /// ASKING: the next command, or the next transaction up to its EXEC, may touch a slot that is being imported.
    pub asking: bool,
    /// It has come by a channel of who knows the cluster's secret.
    pub is_keyed: bool,
    /// CLIENT REPLY.
    pub replies: Replies,
    /// CLIENT NO-EVICT.
    pub no_evict: bool,
    /// CLIENT NO-TOUCH.
    pub no_touch: bool,
    /// Commands queued since MULTI.
    pub multi: Option<Box<Transaction>>,
    /// An EXEC whose command at hand is suspended; the dispatch goes on with it.
    pub execution: Option<Box<Execution>>,
    /// Keys watched for the next EXEC.
    pub watched: Vec<Watched>,
    /// Channels and patterns that it listens to; [`super::PubSub`] has it among their subscribers.
    pub subscriptions: Subscriptions,
    /// The command that runs or ran last; none if it was none.
    pub last_command: Option<CommandId>,
    /// This command of it is suspended: it is not read until that has ended.
    pub waiting: Option<CommandId>,
    /// How far the replication stream was when a command of its own had last changed something, and in which reign: WAIT says nothing of
    /// another one's.
    pub written: Extent,
    /// The oldest write lease that replies which are not sent yet stand on: they leave only while it is held. The node clears it.
    pub under_lease: Option<LeaseNumber>,
    /// A pause holds its next request.
    pub held: bool,
    /// What it is as a replica of this node, if it has said anything of that.
    pub replica: Option<Box<Replica>>,
    /// The connection is to be closed once its replies are sent.
    pub close_after_reply: bool,
    /// A reply of which not all is written yet. No command runs before that.
    pub long_reply: Option<Box<LongReply>>,
}

/// Whether a client hears replies. Messages, and what answers SUBSCRIBE and its kin, it always hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replies {
    /// It does.
    On,
    /// Not the one to the next command.
    SkipNext,
    /// Not the one to the command at hand.
    Skip,
    /// It does not.
    Off,
}

impl Replies {
    /// Whether the command at hand is not answered.
    pub fn are_silent(self) -> bool {
        matches!(self, Self::Skip | Self::Off)
    }

    /// The same for the command after one that has ended.
    pub fn for_next(self) -> Self {
        match self {
            Self::SkipNext => Self::Skip,
            Self::Skip => Self::On,
            Self::On | Self::Off => self,
        }
    }
}

/// What has come and gone by a client's connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bytes read.
    pub input: u64,
    /// Bytes written.
    pub output: u64,
    /// Commands that have run.
    pub commands: u64,
}

/// A watched key. The keyspace counts its watchers, so each goes back through [`Client::unwatch_all`].
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    /// The key's slot.
    pub slot: Slot,
    /// The key.
    pub key: Box<[u8]>,
    /// Its version when it was first watched.
    pub version: Version,
}

impl Client {
    /// A client that was just accepted; `authenticated` if no password is asked for.
    pub fn new(id: u64, addr: SocketAddr, laddr: SocketAddr, now: Now, authenticated: bool) -> Self {
        Self {
            id,
            addr,
            laddr,
            fd: -1,
            totals: Totals::default(),
            created: now,
            last_active: now.mono,
            name: String::new(),
            lib_name: String::new(),
            lib_ver: String::new(),
            resp3: false,
            authenticated,
            is_primary: false,
            readonly: false,
            asking: false,
            is_keyed: false,
            replies: Replies::On,
            no_evict: false,
            no_touch: false,
            multi: None,
            execution: None,
            watched: Vec::new(),
            subscriptions: Subscriptions::default(),
            last_command: None,
            waiting: None,
            written: Extent::default(),
            under_lease: None,
            held: false,
            replica: None,
            close_after_reply: false,
            long_reply: None,
        }
    }

    /// Whether it is not served until something has happened that is not its own doing.
    pub fn is_blocked(&self) -> bool {
        self.waiting.is_some() || self.held
    }

    /// Whether no command of it runs now: it is blocked, or the last one is still being answered.
    pub fn is_busy(&self) -> bool {
        self.is_blocked() || self.long_reply.is_some()
    }

    /// Whether its silence means anything: it does not wait for this node, nor listen to channels, nor does this node keep it.
    pub fn may_be_idle(&self) -> bool {
        !self.is_blocked() && self.subscriptions.is_empty() && !self.is_replica()
    }

    /// Whether it speaks RESP2 and is subscribed: it takes what it reads for a message, so only a few commands are possible.
    pub fn hears_messages_only(&self) -> bool {
        !self.resp3 && !self.subscriptions.is_empty()
    }

    /// Forgets the watched keys.
    pub fn unwatch_all(&mut self, keyspace: &mut Keyspace) {
        for watched in self.watched.drain(..) {
            keyspace.unwatch(&watched.key);
        }
        self.watched = Vec::new();
    }

    /// Ends the transaction, if there is one, and forgets the watched keys.
    pub fn discard(&mut self, keyspace: &mut Keyspace) {
        self.multi = None;
        self.unwatch_all(keyspace);
    }

    /// The client is gone.
    pub fn leave(mut self, keyspace: &mut Keyspace) {
        self.discard(keyspace);
        if let Some(replica) = self.replica {
            replica.leave(keyspace);
        }
    }

    /// Whether it has asked for this node's data.
    pub fn is_replica(&self) -> bool {
        self.replica.as_ref().is_some_and(|replica| replica.has_asked())
    }

    /// RESET: as just accepted, but for the connection itself and what library it runs.
    pub fn reset(&mut self, keyspace: &mut Keyspace, authenticated: bool) {
        self.discard(keyspace);
        let mut fresh = Self::new(self.id, self.addr, self.laddr, self.created, authenticated);
        (fresh.fd, fresh.totals) = (self.fd, self.totals);
        fresh.last_active = self.last_active;
        fresh.last_command = self.last_command;
        fresh.under_lease = self.under_lease;
        fresh.lib_name = std::mem::take(&mut self.lib_name);
        fresh.lib_ver = std::mem::take(&mut self.lib_ver);
        *self = fresh;
    }
}
