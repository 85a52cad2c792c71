//! MULTI, EXEC, DISCARD, WATCH, UNWATCH.
//!
//! Owns: the replies, and when an EXEC does not happen. The engine queues and runs.

use crate::commands::engine::transaction::{mixes, proceed, watched_has_changed};
use crate::commands::engine::{Command, Context, Flag, Flow, Group, KeyFlag, KeySpec};
use crate::session::Watched;
use crate::wire::Args;

/// A client may watch so many keys.
const MAX_WATCHED_KEYS: usize = 4096;

const FLAGS: &[Flag] = &[Flag::NoScript, Flag::Loading, Flag::Stale, Flag::Fast, Flag::AllowBusy];
/// What begins a transaction, or is to be said before one.
const BEFORE: &[Flag] = &[Flag::NoScript, Flag::Loading, Flag::Stale, Flag::Fast, Flag::NoMulti, Flag::AllowBusy];

/// While a change of the cluster waits for other nodes, other clients are served.
const MIXED: &str = "EXECABORT Transaction discarded because of: CLUSTER commands that change the cluster wait for other nodes, and would let other clients in between its commands on keys";

/// The family's commands.
pub const COMMANDS: &[Command] = &[
    Command::new("multi", 1, BEFORE, Group::TRANSACTIONS, "1.2.0", "Starts a transaction.", multi).also(&[Flag::Streamed, Flag::NotQueued]),
    Command::new(
        "exec",
        1,
        &[Flag::NoScript, Flag::Loading, Flag::Stale, Flag::SkipCommandlog],
        Group::TRANSACTIONS,
        "1.2.0",
        "Executes all commands in a transaction.",
        exec,
    )
    .also(&[Flag::Streamed, Flag::NotQueued, Flag::RunsQueue]),
    Command::new("discard", 1, FLAGS, Group::TRANSACTIONS, "2.0.0", "Discards a transaction.", discard).also(&[Flag::NotQueued]),
    Command::new(
        "watch",
        -2,
        BEFORE,
        Group::TRANSACTIONS,
        "2.2.0",
        "Monitors changes to keys to determine the execution of a transaction.",
        watch,
    )
    .also(&[Flag::NotQueued])
    .keys(&[KeySpec::all(&[KeyFlag::ReadOnly])]),
    Command::new("unwatch", 1, FLAGS, Group::TRANSACTIONS, "2.2.0", "Forgets about watched keys of a transaction.", unwatch),
];

fn multi(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    ctx.client.multi = Some(Box::default());
    ctx.done()
}

fn exec(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    let Some(transaction) = ctx.client.multi.take() else { return ctx.fail("ERR EXEC without MULTI") };
    let changed = watched_has_changed(ctx);
    ctx.client.unwatch_all(ctx.keyspace);
    if transaction.is_aborted() {
        return ctx.fail("EXECABORT Transaction discarded because of previous errors.");
    }
    if mixes(&transaction) {
        return ctx.fail(MIXED);
    }
    if changed {
        ctx.reply.null_array();
        return Flow::Done;
    }
    ctx.reply.array(transaction.len());
    proceed(ctx, Box::new(transaction.into_execution()))
}

fn discard(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    if ctx.client.multi.is_none() {
        return ctx.fail("ERR DISCARD without MULTI");
    }
    ctx.client.discard(ctx.keyspace);
    ctx.done()
}

fn watch(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
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
