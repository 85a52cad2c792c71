//! MULTI, EXEC, DISCARD, WATCH, UNWATCH.
//!
//! Owns: the queue, and running it command by command, over suspensions too. Must not: check a queued command; dispatch did before it queued it.
//!
//! A command that waits suspends its EXEC, and other clients' commands run meanwhile: a transaction with CLUSTER changes in it is in order,
//! but others see the time between two of them. One without is atomic.

use super::client::{Client, LongValue, Watched};
use super::context::{Context, Flow};
use super::dispatch;
use super::routing::{Access, KeySlots};
use super::table;
use super::table::{Command, CommandId, Flag, Group, KeyFlag, KeySpec};
use crate::wire::{Args, OwnedArgs};

/// A queue may hold so many bytes; a client that queues more has its transaction aborted.
const MAX_QUEUED_BYTES: usize = 256 * 1024 * 1024;
/// A client may watch so many keys.
const MAX_WATCHED_KEYS: usize = 4096;

const FLAGS: &[Flag] = &[Flag::NoScript, Flag::Loading, Flag::Stale, Flag::Fast, Flag::AllowBusy];

/// The family's commands.
pub const COMMANDS: &[Command] = &[
    Command::new("multi", 1, FLAGS, Group::Transactions, "1.2.0", "Starts a transaction.", multi).streamed(),
    Command::new(
        "exec",
        1,
        &[Flag::NoScript, Flag::Loading, Flag::Stale, Flag::SkipSlowlog],
        Group::Transactions,
        "1.2.0",
        "Executes all commands in a transaction.",
        exec,
    )
    .streamed(),
    Command::new("discard", 1, FLAGS, Group::Transactions, "2.0.0", "Discards a transaction.", discard),
    Command::new(
        "watch",
        -2,
        FLAGS,
        Group::Transactions,
        "2.2.0",
        "Monitors changes to keys to determine the execution of a transaction.",
        watch,
    )
    .keys(&[KeySpec::all(&[KeyFlag::ReadOnly])]),
    Command::new("unwatch", 1, FLAGS, Group::Transactions, "2.2.0", "Forgets about watched keys of a transaction.", unwatch),
];

/// What MULTI has begun.
#[derive(Debug, Default)]
pub struct Transaction {
    queue: Vec<Queued>,
    /// The slots of all keys and shard channels in the queue.
    slots: Option<KeySlots>,
    /// What is done with them, or with keys of any slot.
    access: Option<Access>,
    /// A command was refused: EXEC will discard everything.
    aborted: bool,
    /// Bytes held by the queue.
    bytes: usize,
}

impl Transaction {
    /// How many commands are queued.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none is queued yet.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether a queued command is a write.
    pub fn writes(&self) -> bool {
        self.access == Some(Access::Write)
    }

    /// Bytes held by the queue.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// A checked command that waits for EXEC.
#[derive(Debug)]
struct Queued {
    id: CommandId,
    args: OwnedArgs,
}

/// An EXEC whose command at hand is suspended.
#[derive(Debug)]
pub struct Execution {
    rest: std::vec::IntoIter<Queued>,
}

impl Execution {
    /// Whether a write is left.
    pub fn writes(&self) -> bool {
        self.rest.as_slice().iter().any(|queued| Access::of(table().get(queued.id).command) == Access::Write)
    }
}

/// Inside MULTI, what runs instead of being queued.
pub(super) fn runs_at_once(command: &Command) -> bool {
    matches!(command.name, "exec" | "discard" | "multi" | "watch" | "quit" | "reset")
}

/// At EXEC, the slots of the whole queue and what is done with them: the slot may have moved since the commands were queued.
pub(super) fn queued_slots(ctx: &Context<'_>, command: &Command) -> Option<(KeySlots, Access)> {
    let transaction = ctx.client.multi.as_ref().filter(|transaction| command.name == "exec" && !transaction.aborted)?;
    Some((transaction.slots?, transaction.access?))
}

/// Queues a checked command and answers.
pub(super) fn enqueue(ctx: &mut Context<'_>, id: CommandId, slots: Option<KeySlots>, args: Args<'_>) {
    let Some(transaction) = ctx.client.multi.as_mut() else { return };
    // What is queued after a refused command will never run.
    if !transaction.aborted {
        let args = OwnedArgs::from(args);
        transaction.bytes += args.size() + size_of::<Queued>();
        // What a primary has run its replicas must run too.
        if transaction.bytes > MAX_QUEUED_BYTES && !ctx.client.is_primary {
            **transaction = Transaction { aborted: true, ..Transaction::default() };
            return ctx.reply.error("ERR Transaction discarded: its commands take too much memory");
        }
        transaction.queue.push(Queued { id, args });
        let access = Access::of(table().get(id).command);
        if slots.is_some() || access == Access::Write {
            transaction.access = transaction.access.max(Some(access));
        }
        if let Some(slots) = slots {
            KeySlots::add(&mut transaction.slots, slots.first);
        }
    }
    ctx.reply.simple("QUEUED");
}

/// Inside MULTI, makes EXEC discard everything; what was queued can go at once.
pub(super) fn abort(client: &mut Client) {
    if let Some(transaction) = &mut client.multi {
        **transaction = Transaction { aborted: true, ..Transaction::default() };
    }
}

/// Runs what is left of a transaction, as far as it goes without waiting; so far, it is one for replicas too.
pub(super) fn proceed(ctx: &mut Context<'_>, execution: Box<Execution>) -> Flow {
    // Their arguments are the queue's.
    ctx.client.long_value = LongValue::Lent;
    ctx.stream.begin_unit();
    let flow = run_queue(ctx, execution);
    ctx.stream.end_unit();
    flow
}

fn run_queue(ctx: &mut Context<'_>, mut execution: Box<Execution>) -> Flow {
    while let Some(queued) = execution.rest.next() {
        let args = queued.args.as_args();
        // Asked again for each command: one before it may have taken or given the slot away.
        let flow = match dispatch::admit(ctx, table().get(queued.id).command, args) {
            Ok(_) => dispatch::run(ctx, queued.id, args),
            Err(redirect) => {
                redirect.write(ctx);
                Flow::Done
            }
        };
        if flow != Flow::Done {
            ctx.client.execution = Some(execution);
            return flow;
        }
    }
    Flow::Done
}

fn multi(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    if ctx.client.multi.is_some() {
        return ctx.fail("ERR MULTI calls can not be nested");
    }
    ctx.client.multi = Some(Box::default());
    ctx.done()
}

fn exec(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    let Some(transaction) = ctx.client.multi.take() else { return ctx.fail("ERR EXEC without MULTI") };
    let now = ctx.now.wall;
    let changed = ctx.client.watched.iter().any(|watched| ctx.keyspace.is_touched(watched.slot, &watched.key, watched.version, now));
    ctx.client.unwatch_all(ctx.keyspace);
    if transaction.aborted {
        return ctx.fail("EXECABORT Transaction discarded because of previous errors.");
    }
    if changed {
        ctx.reply.null_array();
        return Flow::Done;
    }
    ctx.reply.array(transaction.queue.len());
    proceed(ctx, Box::new(Execution { rest: transaction.queue.into_iter() }))
}

fn discard(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    if ctx.client.multi.is_none() {
        return ctx.fail("ERR DISCARD without MULTI");
    }
    ctx.client.discard(ctx.keyspace);
    ctx.done()
}

fn watch(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    if ctx.client.multi.is_some() {
        return ctx.fail("ERR WATCH inside MULTI is not allowed");
    }
    if ctx.client.watched.len() + args.len() > MAX_WATCHED_KEYS {
        return ctx.fail("ERR too many watched keys");
    }
    for key in args.skip(1).iter() {
        if ctx.client.watched.iter().all(|watched| *watched.key != *key) {
            let slot = ctx.slot;
            let version = ctx.keyspace.watch(slot, key, ctx.now.wall);
            ctx.client.watched.push(Watched { slot, key: key.into(), version });
        }
    }
    ctx.done()
}

fn unwatch(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    ctx.client.unwatch_all(ctx.keyspace);
    ctx.done()
}
