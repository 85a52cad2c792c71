//! One command's declaration: what it is called, takes and touches, and what runs it.
//!
//! Owns: the shape of a declaration, and the names that COMMAND reports. Must not: run anything, or know a single command.

use super::context::Context;
use super::flow::Flow;
use crate::session::Access;
use crate::wire::Args;

/// What runs a command: it writes exactly one reply and returns [`Flow::Done`], or writes nothing and says what it waits for.
pub type Handler = fn(&mut Context<'_>, Args<'_>) -> Flow;

/// What a command with these arguments, its name first, does with its keys.
pub type KeyFlags = fn(Args<'_>) -> &'static [KeyFlag];

/// A property of a command. Most are told to clients, by COMMAND; the last ones are the engine's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Flag {
    /// Changes keys.
    Write,
    /// Reads keys.
    Readonly,
    /// May grow the memory in use.
    DenyOom,
    /// For operators.
    Admin,
    /// Not for scripts.
    NoScript,
    /// May block its client.
    Blocking,
    /// Runs while data is being loaded.
    Loading,
    /// Runs on a replica whose data may be old.
    Stale,
    /// Never in the log of slow commands.
    SkipCommandlog,
    /// Constant or logarithmic time.
    Fast,
    /// Allowed before authentication.
    NoAuth,
    /// Allowed while a script runs too long.
    AllowBusy,
    /// Refused inside MULTI.
    NoMulti,
    /// Refused while data is loaded beside the data that is served.
    NoAsyncLoading,
    /// About messages and not about keys; a slot that its arguments name is that of shard channels.
    PubSub,
    /// Runs MULTI's queue: it touches what the queue touches, and if it is refused so is the queue.
    RunsQueue,
    /// Inside MULTI it runs at once and is not queued.
    NotQueued,
    /// What it says of the connection's next command is not over with itself.
    ForNext,
    /// Possible for a RESP2 client with subscriptions, which takes what it reads for a message.
    Subscriber,
    /// Possible for a replica that has asked for data: it has no answer, which would be taken for a part of the stream.
    Replica,
    /// A primary may send it to its replicas though it writes nothing.
    Streamed,
    /// Refused like a write while the keys cannot be saved, so that who only watches hears of it.
    Probe,
    /// Takes something away or ends it, for all: the log says who has asked for it.
    Logged,
    /// Changes the cluster as a member of it: it waits while this node is about to become one.
    AsMember,
    /// May wait for other nodes or for the disk, and other clients are served meanwhile.
    Waits,
}

impl Flag {
    /// The name that COMMAND reports; none for the engine's own.
    pub const fn name(self) -> Option<&'static str> {
        let name = match self {
            Self::Write => "write",
            Self::Readonly => "readonly",
            Self::DenyOom => "denyoom",
            Self::Admin => "admin",
            Self::NoScript => "noscript",
            Self::Blocking => "blocking",
            Self::Loading => "loading",
            Self::Stale => "stale",
            Self::SkipCommandlog => "skip_commandlog",
            Self::Fast => "fast",
            Self::NoAuth => "no_auth",
            Self::AllowBusy => "allow_busy",
            Self::NoMulti => "no_multi",
            Self::NoAsyncLoading => "no_async_loading",
            Self::PubSub => "pubsub",
            Self::RunsQueue
            | Self::NotQueued
            | Self::ForNext
            | Self::Subscriber
            | Self::Replica
            | Self::Streamed
            | Self::Probe
            | Self::Logged
            | Self::AsMember
            | Self::Waits => return None,
        };
        Some(name)
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }

    const fn bits(flags: &[Self]) -> u32 {
        let (mut bits, mut at) = (0, 0);
        while at < flags.len() {
            bits |= flags[at].bit();
            at += 1;
        }
        bits
    }
}

/// What a command is about. A family may have a group of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Group {
    /// The name that COMMAND DOCS reports.
    pub name: &'static str,
    /// The ACL category that the whole group is in, if it is in one.
    pub category: Option<&'static str>,
}

impl Group {
    /// CLUSTER and its kin.
    pub const CLUSTER: Self = Self { name: "cluster", category: None };
    /// The connection's own state.
    pub const CONNECTION: Self = Self { name: "connection", category: Some("@connection") };
    /// Keys of any type.
    pub const GENERIC: Self = Self { name: "generic", category: Some("@keyspace") };
    /// Channels and their messages.
    pub const PUBSUB: Self = Self { name: "pubsub", category: None };
    /// Scripts and functions.
    pub const SCRIPTING: Self = Self { name: "scripting", category: Some("@scripting") };
    /// The server as a whole.
    pub const SERVER: Self = Self { name: "server", category: None };
    /// String values.
    pub const STRING: Self = Self { name: "string", category: Some("@string") };
    /// MULTI and its kin.
    pub const TRANSACTIONS: Self = Self { name: "transactions", category: Some("@transaction") };
}

/// What a command does with its keys: key-spec flags under the names that COMMAND reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyFlag {
    /// Reads the value's data or metadata only.
    ReadOnly,
    /// Reads and changes the value.
    ReadWrite,
    /// Overwrites the value without looking at it.
    Overwrite,
    /// Removes the key.
    Remove,
    /// Returns or copies the value's data.
    Access,
    /// Changes the value's data.
    Update,
    /// Adds data only.
    Insert,
    /// Deletes some of the value's data.
    Delete,
    /// The flags depend on the arguments.
    Variable,
    /// No key, but routed like one: a shard channel.
    NotKey,
}

impl KeyFlag {
    /// The name that COMMAND reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "RO",
            Self::ReadWrite => "RW",
            Self::Overwrite => "OW",
            Self::Remove => "RM",
            Self::Access => "access",
            Self::Update => "update",
            Self::Insert => "insert",
            Self::Delete => "delete",
            Self::Variable => "variable_flags",
            Self::NotKey => "not_key",
        }
    }
}

/// Where keys stand among the arguments: from `first` to `last`, every `step`th.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeySpec {
    /// Index of the first key; the command's name is argument 0.
    pub first: u16,
    /// Index of the last key; negative counts from the end, -1 being the last argument.
    pub last: i16,
    /// Distance from one key to the next.
    pub step: u16,
    /// What happens to these keys.
    pub flags: &'static [KeyFlag],
    /// Why that, for people.
    pub notes: Option<&'static str>,
}

impl KeySpec {
    /// One key, the first argument.
    pub const fn one(flags: &'static [KeyFlag]) -> Self {
        Self::range(1, 1, 1, flags)
    }

    /// Every argument is a key.
    pub const fn all(flags: &'static [KeyFlag]) -> Self {
        Self::range(1, -1, 1, flags)
    }

    /// Keys from `first` to `last`, every `step`th.
    pub const fn range(first: u16, last: i16, step: u16, flags: &'static [KeyFlag]) -> Self {
        Self { first, last, step, flags, notes: None }
    }

    /// The same with a word to people.
    pub const fn noted(self, notes: &'static str) -> Self {
        Self { notes: Some(notes), ..self }
    }

    /// The indices of the keys among `count` arguments; empty if there are too few for one.
    pub fn indices(&self, count: usize) -> impl Iterator<Item = usize> + use<> {
        let end = match usize::try_from(self.last) {
            Ok(last) => (last + 1).min(count),
            Err(_) => (count + 1).saturating_sub(usize::from(self.last.unsigned_abs())),
        };
        (usize::from(self.first)..end).step_by(usize::from(self.step))
    }
}

/// One command or subcommand, as its family declares it:
/// `Command::new("get", 2, &[Flag::Readonly, Flag::Fast], Group::STRING, "1.0.0", "Returns ...", get).keys(&[KeySpec::one(&[...])])`.
#[derive(Debug)]
pub struct Command {
    /// Lower-case name; a subcommand's own word only.
    pub name: &'static str,
    /// Number of arguments with the name (and a subcommand's container); negative: at least that many.
    pub arity: i32,
    /// Its properties, but for those that [`Command::also`] gives it.
    pub flags: &'static [Flag],
    /// Where its keys are.
    pub keys: &'static [KeySpec],
    /// What it does with its keys, where that depends on its arguments.
    pub key_flags: Option<KeyFlags>,
    /// Its group.
    pub group: Group,
    /// The Redis version that brought it.
    pub since: &'static str,
    /// One sentence for COMMAND DOCS.
    pub summary: &'static str,
    /// Hints for clients (`request_policy:all_shards`, ...), as COMMAND reports them.
    pub tips: &'static [&'static str],
    /// ACL categories beside those that follow from its flags and group (`@dangerous`, ...).
    pub categories: &'static [&'static str],
    /// What runs it.
    pub handler: Handler,
    /// Its subcommands; the first argument names one of them, if there is one.
    pub subcommands: &'static [Command],
    /// The bits of all its properties, so that dispatch needs no walk.
    bits: u32,
}

impl Command {
    /// A command without keys, tips and subcommands.
    pub const fn new(
        name: &'static str,
        arity: i32,
        flags: &'static [Flag],
        group: Group,
        since: &'static str,
        summary: &'static str,
        handler: Handler,
    ) -> Self {
        Self {
            name,
            arity,
            flags,
            keys: &[],
            key_flags: None,
            group,
            since,
            summary,
            tips: &[],
            categories: &[],
            handler,
            subcommands: &[],
            bits: Flag::bits(flags),
        }
    }

    /// A command that does nothing without one of these subcommands.
    pub const fn container(
        name: &'static str,
        group: Group,
        since: &'static str,
        summary: &'static str,
        subcommands: &'static [Command],
    ) -> Self {
        Self { subcommands, ..Self::new(name, -2, &[], group, since, summary, no_subcommand) }
    }

    /// The same with these keys.
    pub const fn keys(self, keys: &'static [KeySpec]) -> Self {
        Self { keys, ..self }
    }

    /// The same with keys of which it does what this says of its arguments. Their own flags are what it may do.
    pub const fn key_flags(self, key_flags: KeyFlags) -> Self {
        Self { key_flags: Some(key_flags), ..self }
    }

    /// The same with these tips.
    pub const fn tips(self, tips: &'static [&'static str]) -> Self {
        Self { tips, ..self }
    }

    /// The same in these ACL categories too.
    pub const fn categories(self, categories: &'static [&'static str]) -> Self {
        Self { categories, ..self }
    }

    /// The same with these properties of the engine's own too.
    pub const fn also(self, flags: &'static [Flag]) -> Self {
        Self { bits: self.bits | Flag::bits(flags), ..self }
    }

    /// The same with these subcommands, all optional.
    pub const fn subcommands(self, subcommands: &'static [Command]) -> Self {
        Self { subcommands, ..self }
    }

    /// Whether it has this property.
    pub const fn has(&self, flag: Flag) -> bool {
        self.bits & flag.bit() != 0
    }

    /// Whether a primary may send it to its replicas.
    pub const fn may_be_streamed(&self) -> bool {
        self.has(Flag::Streamed) || self.has(Flag::Write)
    }

    /// What it does with what a slot holds.
    pub const fn access(&self) -> Access {
        match () {
            () if self.has(Flag::Write) => Access::Write,
            () if self.has(Flag::PubSub) => Access::Channels,
            () => Access::Read,
        }
    }

    /// Whether it reads or writes keys, those that it names or any.
    pub fn is_about_keys(&self) -> bool {
        let is_key = |spec: &KeySpec| !spec.flags.contains(&KeyFlag::NotKey);
        self.has(Flag::Write) || self.has(Flag::Readonly) || self.keys.iter().any(is_key)
    }

    /// Whether it may be called with this many arguments, its name included.
    pub const fn takes(&self, count: usize) -> bool {
        let wanted = self.arity.unsigned_abs() as usize;
        if self.arity < 0 { count >= wanted } else { count == wanted }
    }
}

/// A container's handler. Dispatch finds the subcommand or refuses, so this only answers if a container is called by itself.
fn no_subcommand(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    ctx.reply.error("ERR missing subcommand");
    Flow::Done
}
