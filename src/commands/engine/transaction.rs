//! Queueing inside MULTI, and running the queue command by command, over suspensions too.
//!
//! Must not: check a queued command; dispatch did before it queued it.
//!
//! A command that waits suspends its EXEC, and other clients' commands run meanwhile: transactions that change the cluster are in order,
//! but others see the time between two commands. What is about keys is atomic, so EXEC refuses what is both.

use super::command::{Command, Flag};
use super::context::Context;
use super::flow::Flow;
use super::run::{admit, run};
use crate::commands::table;
use crate::session::{Access, Client, CommandId, Execution, KeySlots, Queued, Transaction};
use crate::wire::{Args, OwnedArgs};

/// A queue may hold so many bytes; a client that queues more has its transaction aborted.
const MAX_QUEUED_BYTES: usize = 256 * 1024 * 1024;

/// At EXEC, the slots of the whole queue and what is done with them: the slot may have moved since the commands were queued. None if it
/// will not run, for a watched key has changed.
pub(super) fn queued_slots(ctx: &mut Context<'_>, command: &Command) -> Option<(KeySlots, Access)> {
    let touched = ctx.client.multi.as_ref().filter(|_| command.has(Flag::RunsQueue))?.touches();
    touched.filter(|_| !watched_has_changed(ctx))
}

/// Whether something has happened to a key that the client watches.
pub fn watched_has_changed(ctx: &mut Context<'_>) -> bool {
    let (keyspace, now) = (&mut *ctx.keyspace, ctx.now.wall);
    ctx.client.watched.iter().any(|watched| keyspace.is_touched(watched.slot, &watched.key, watched.version, now))
}

/// Queues a checked command and answers.
pub(super) fn enqueue(ctx: &mut Context<'_>, id: CommandId, slots: Option<KeySlots>, args: Args<'_>) {
    let Some(transaction) = ctx.client.multi.as_mut() else { return };
    // What is queued after a refused command will never run.
    if !transaction.is_aborted() {
        transaction.push(Queued { id, access: table().get(id).command.access(), args: OwnedArgs::from(args) }, slots);
        // What a primary has run its replicas must run too.
        if transaction.bytes() > MAX_QUEUED_BYTES && !ctx.client.is_primary {
            transaction.abort();
            return ctx.reply.error("ERR Transaction discarded: its commands take too much memory");
        }
    }
    ctx.reply.simple("QUEUED");
}

/// Inside MULTI, makes EXEC discard everything.
pub(super) fn abort(client: &mut Client) {
    if let Some(transaction) = &mut client.multi {
        transaction.abort();
    }
}

/// Whether a transaction may wait beside what it does with keys: others would see that half done.
pub fn mixes(transaction: &Transaction) -> bool {
    let commands = || transaction.commands().map(|id| table().get(id).command);
    commands().any(|command| command.has(Flag::Waits)) && commands().any(Command::is_about_keys)
}

/// Runs what is left of a transaction, as far as it goes without waiting; so far, it is one for replicas too.
pub fn proceed(ctx: &mut Context<'_>, execution: Box<Execution>) -> Flow {
    ctx.stream.begin_unit();
    let flow = run_queue(ctx, execution);
    ctx.stream.end_unit();
    flow
}

fn run_queue(ctx: &mut Context<'_>, mut execution: Box<Execution>) -> Flow {
    while let Some(queued) = execution.next_command() {
        let args = queued.args.as_args();
        // Asked again for each command: one before it may have taken or given the slot away.
        let flow = match admit(ctx, table().get(queued.id).command, args) {
            Ok(_) => run(ctx, queued.id, args),
            Err(redirect) => {
                let text = redirect.text(ctx);
                ctx.fail(&*text)
            }
        };
        if let Flow::Wait(wait) = &flow {
            let may_wait = wait.is_done_at_once() || table().get(queued.id).command.has(Flag::Waits);
            debug_assert!(may_wait, "{} waits, and says so", table().get(queued.id).full_name);
        }
        if flow != Flow::Done {
            ctx.client.execution = Some(execution);
            return flow;
        }
    }
    Flow::Done
}
