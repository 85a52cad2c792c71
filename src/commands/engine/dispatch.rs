//! From a request to its handler: what is checked, in which order, and how a suspended command goes on.
//!
//! Owns: the order of the checks (that of Redis' processCommand), queueing inside MULTI, and the counters of calls and errors.
//! Must not: know what a command does. The hot path allocates nothing: lookup, slot and checks borrow from the request.

use super::admission;
use super::command::{Command, Flag};
use super::context::Context;
use super::flow::{Flow, WaitOutcome};
use super::parse::{about, shown};
use super::propagation::note_written;
use super::routing::{self, Redirect};
use super::run::{account, admit, run};
use super::table::Lookup;
use super::transaction;
use crate::commands::table;
use crate::session::{Client, CommandId};
use crate::wire::Args;

/// Runs, queues or refuses one request. After [`Flow::Wait`] the client must not be read, nor this be called for it, until [`resume`]
/// has returned [`Flow::Done`].
pub fn execute(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let Some(name) = args.nth(0) else { return Flow::Done };
    ctx.client.last_active = ctx.now.mono;
    ctx.client.last_command = None;
    let (is_replica, start) = (ctx.client.is_replica(), ctx.reply.mark());
    let flow = match table().lookup(name, args.nth(1)) {
        Lookup::Found(id) if !may_say(ctx.client, table().get(id).command) => Flow::Close,
        Lookup::Found(id) => {
            ctx.client.last_command = Some(id);
            dispatch(ctx, id, args)
        }
        Lookup::Unknown if is_of_http(name) => {
            ctx.server.warn_of_attack(ctx.client, ctx.now);
            Flow::Close
        }
        Lookup::Unknown => reject(ctx, None, unknown_command(args)),
        Lookup::UnknownSubcommand(container) => {
            let container = table().get(container).full_name.to_ascii_uppercase();
            let text = about("ERR unknown subcommand '", shown(args.get(1), 128), &format!("'. Try {container} HELP."));
            reject(ctx, None, text)
        }
    };
    // To a replica the connection brings the stream: a reply would be taken for a part of it.
    if is_replica && ctx.reply.mark() > start {
        return Flow::Close;
    }
    end_asking(ctx, &flow);
    flow
}

/// A browser that is made to send requests here says one of these before what its page has put into the body.
fn is_of_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

/// Who has asked for the stream may say little in it, and a primary only what belongs into one: it is no operator of its replicas.
fn may_say(client: &Client, command: &Command) -> bool {
    (!client.is_replica() || command.has(Flag::Replica)) && (!client.is_primary || command.may_be_streamed())
}

/// A wait of this client has ended: writes the reply and, inside EXEC, goes on with the next command, which may wait again.
pub fn resume(ctx: &mut Context<'_>, outcome: WaitOutcome) -> Flow {
    let start = ctx.reply.mark();
    match outcome {
        WaitOutcome::Replicas(count) => ctx.reply.int(count.cast_signed()),
        other => match other.failure() {
            None => ctx.reply.ok(),
            Some(text) => ctx.reply.error(&text),
        },
    }
    if let Some(id) = ctx.client.waiting.take() {
        account(ctx, id, start);
    }
    let dirty = ctx.keyspace.dirty();
    let flow = match ctx.client.execution.take() {
        Some(execution) => transaction::proceed(ctx, execution),
        None => Flow::Done,
    };
    note_written(ctx, dirty);
    end_asking(ctx, &flow);
    flow
}

/// All checks of a known command, then its handler or MULTI's queue.
fn dispatch(ctx: &mut Context<'_>, id: CommandId, args: Args<'_>) -> Flow {
    let entry = table().get(id);
    let command = entry.command;
    if !command.takes(args.len()) {
        let text = format!("ERR wrong number of arguments for '{}' command", entry.full_name);
        return reject(ctx, Some(id), text);
    }
    if !ctx.client.authenticated && !ctx.config.requirepass.is_empty() && !command.has(Flag::NoAuth) {
        return reject(ctx, Some(id), "NOAUTH Authentication required.");
    }
    if ctx.client.multi.is_some() {
        return dispatch_in_multi(ctx, id, args);
    }
    match admit(ctx, command, args) {
        Ok(_) if ctx.client.hears_messages_only() && !command.has(Flag::Subscriber) => {
            let text = format!(
                "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
                entry.full_name
            );
            reject(ctx, Some(id), text)
        }
        Err(Redirect::Leaving) if ctx.pause.is_some() => Flow::Held,
        Err(redirect) => refuse(ctx, id, redirect),
        Ok(_) => match admission::refusal(ctx, command) {
            Some(text) => reject(ctx, Some(id), text),
            None if admission::holds(ctx, command) => Flow::Held,
            None => run(ctx, id, args),
        },
    }
}

/// The same inside MULTI: EXEC and a few others run, everything else is queued.
fn dispatch_in_multi(ctx: &mut Context<'_>, id: CommandId, args: Args<'_>) -> Flow {
    let command = table().get(id).command;
    if command.has(Flag::NoMulti) {
        return reject(ctx, Some(id), "ERR Command not allowed inside a transaction");
    }
    let slots = match transaction::queued_slots(ctx, command) {
        Some((slots, access)) => routing::check(ctx, slots, access).map(|_| Some(slots)),
        None => admit(ctx, command, args),
    };
    match slots {
        Err(Redirect::Leaving) if ctx.pause.is_some() => Flow::Held,
        Err(redirect) => refuse(ctx, id, redirect),
        Ok(slots) => match admission::refusal(ctx, command) {
            Some(text) => reject(ctx, Some(id), text),
            None if admission::holds(ctx, command) => Flow::Held,
            None if command.has(Flag::NotQueued) => run(ctx, id, args),
            None => {
                transaction::enqueue(ctx, id, slots, args);
                Flow::Done
            }
        },
    }
}

/// Refuses a request that never ran; inside MULTI its transaction is lost.
fn reject(ctx: &mut Context<'_>, id: Option<CommandId>, text: impl AsRef<[u8]>) -> Flow {
    let (start, text) = (ctx.reply.mark(), text.as_ref());
    match id {
        Some(id) if table().get(id).command.has(Flag::RunsQueue) => {
            ctx.client.discard(ctx.keyspace);
            let reason = text.strip_prefix(b"ERR ").unwrap_or(text);
            ctx.reply.error([b"EXECABORT Transaction discarded because of: ", reason].concat());
        }
        _ => {
            transaction::abort(ctx.client);
            ctx.reply.error(text);
        }
    }
    count_rejection(ctx, id, start);
    Flow::Done
}

/// Sends the client elsewhere; inside MULTI the transaction is lost, and at EXEC it is over.
fn refuse(ctx: &mut Context<'_>, id: CommandId, redirect: Redirect) -> Flow {
    let text = redirect.text(ctx);
    if redirect.is_refusal() {
        return reject(ctx, Some(id), &*text);
    }
    let start = ctx.reply.mark();
    if table().get(id).command.has(Flag::RunsQueue) {
        ctx.client.discard(ctx.keyspace);
    } else {
        transaction::abort(ctx.client);
    }
    ctx.reply.error(&*text);
    count_rejection(ctx, Some(id), start);
    Flow::Done
}

fn count_rejection(ctx: &mut Context<'_>, id: Option<CommandId>, start: usize) {
    if let Some(id) = id {
        ctx.server.stats.rejected(id);
    }
    ctx.server.stats.error_reply(ctx.reply.since(start + 1));
}

/// ASKING holds for one command, or from before MULTI to its EXEC.
fn end_asking(ctx: &mut Context<'_>, flow: &Flow) {
    if !ctx.client.asking || ctx.client.multi.is_some() || *flow != Flow::Done {
        return;
    }
    let for_next = |id| table().get(id).command.has(Flag::ForNext);
    ctx.client.asking = ctx.client.last_command.is_some_and(for_next);
}

/// Redis' text: the name, and the first arguments as far as 128 bytes go.
fn unknown_command(args: Args<'_>) -> Vec<u8> {
    let mut list = Vec::new();
    for arg in args.skip(1).iter() {
        if list.len() >= 128 {
            break;
        }
        let shown = shown(arg, 128 - list.len());
        list.extend_from_slice(&[b"'", shown, b"' "].concat());
    }
    [b"ERR unknown command '", shown(args.get(0), 128), b"', with args beginning with: ", &list].concat()
}
