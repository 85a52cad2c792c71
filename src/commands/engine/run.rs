//! An admitted command runs: its handler, what replicas are told of it, and the counters.
//!
//! Owns: what happens around every handler, whether it is called by dispatch or from EXEC's queue. Must not: know what a command does.

use super::command::{Command, Flag};
use super::context::{Context, NO_SLOT};
use super::flow::Flow;
use super::propagation::propagate;
use super::routing::{self, Redirect, key_slots};
use crate::commands::table;
use crate::session::{CommandId, KeySlots};
use crate::wire::Args;

/// What the log shows of a request's arguments.
const MAX_LOGGED_ARGS: usize = 4;
const MAX_LOGGED_BYTES: usize = 64;

/// Whether this node may serve the command and its keys; sets the context's slot, and notes which lease the reply stands on.
pub(super) fn admit(ctx: &mut Context<'_>, command: &Command, args: Args<'_>) -> Result<Option<KeySlots>, Redirect> {
    let access = command.access();
    let slots = key_slots(command.keys, args);
    let lease = match slots {
        Some(slots) => routing::check(ctx, slots, access)?,
        None => routing::check_keyless(ctx, command)?,
    };
    ctx.slot = slots.map_or(NO_SLOT, |slots| slots.first);
    ctx.client.under_lease = ctx.client.under_lease.or(lease);
    Ok(slots)
}

/// Runs an admitted command and counts it.
pub(super) fn run(ctx: &mut Context<'_>, id: CommandId, args: Args<'_>) -> Flow {
    let (start, dirty) = (ctx.reply.mark(), ctx.keyspace.dirty());
    let command = table().get(id).command;
    let timed = ctx.server.stats.begin(id);
    let flow = (command.handler)(ctx, args);
    ctx.client.totals.commands += 1;
    // As in Redis, when it has run: CONFIG RESETSTAT counts, and INFO does not show itself.
    ctx.server.stats.end(id, timed, ctx.config.latency_tracking, ctx.now);
    propagate(ctx, command, args, dirty);
    if command.has(Flag::Logged) && !ctx.reply.since(start).starts_with(b"-") {
        log_request(ctx, id, args);
    }
    match flow {
        Flow::Done => account(ctx, id, start),
        // Of an EXEC whose command waits, that command is the one that waits.
        Flow::Wait(_) => _ = ctx.client.waiting.get_or_insert(id),
        Flow::Held | Flow::Close => {}
    }
    flow
}

/// What was asked for, as far as a line of the log goes.
fn log_request(ctx: &Context<'_>, id: CommandId, args: Args<'_>) {
    let entry = table().get(id);
    let mut asked = entry.full_name.replace('|', " ").to_ascii_uppercase();
    for arg in args.skip(1 + usize::from(entry.parent.is_some())).iter().take(MAX_LOGGED_ARGS) {
        asked.push(' ');
        asked.extend(arg.iter().take(MAX_LOGGED_BYTES).flat_map(|byte| byte.escape_ascii()).map(char::from));
    }
    ctx.log_asked(&asked);
}

/// Counts the reply written since `start`, if it is an error.
pub(super) fn account(ctx: &mut Context<'_>, id: CommandId, start: usize) {
    if let [b'-', error @ ..] = ctx.reply.since(start) {
        ctx.server.stats.error_reply(error);
        ctx.server.stats.failed(id);
    }
}
