//! Keys of any type: whether they are there, what they hold, and removing them.
//!
//! Owns: DEL, EXISTS, TYPE and their kin, FLUSHALL, DBSIZE. See `expire.rs` for their lives and `scan.rs` for walking over them.

use crate::commands::engine::parse::{SYNTAX_ERROR, is};
use crate::commands::engine::{Command, Context, Event, Flag, Flow, Group, KeyFlag, KeySpec};
use crate::wire::Args;

const LOOK_FAST: &[Flag] = &[Flag::Readonly, Flag::Fast];
const REMOVE_ALL: &[KeySpec] = &[KeySpec::all(&[KeyFlag::Remove, KeyFlag::Delete])];
const MEASURE: &[KeySpec] = &[KeySpec::one(&[KeyFlag::ReadOnly])];
const MEASURE_ALL: &[KeySpec] = &[KeySpec::all(&[KeyFlag::ReadOnly])];
const COUNTED: &[&str] = &["request_policy:multi_shard", "response_policy:agg_sum"];
const FLUSHES: &[&str] = &["@keyspace", "@dangerous"];
const LOGGED: &[Flag] = &[Flag::Logged];
const FLUSHED: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

/// The family's commands.
pub const COMMANDS: &[Command] = &[
    Command::new("dbsize", 1, LOOK_FAST, Group::SERVER, "1.0.0", "Returns the number of keys.", dbsize)
        .categories(&["@keyspace"])
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"]),
    Command::new("del", -2, &[Flag::Write], Group::GENERIC, "1.0.0", "Deletes one or more keys.", del).keys(REMOVE_ALL).tips(COUNTED),
    Command::new("exists", -2, LOOK_FAST, Group::GENERIC, "1.0.0", "Counts which of the keys exist.", exists)
        .keys(MEASURE_ALL)
        .tips(COUNTED),
    Command::new("flushall", -1, &[Flag::Write], Group::SERVER, "1.0.0", "Removes all keys.", flush)
        .categories(FLUSHES)
        .tips(FLUSHED)
        .also(LOGGED),
    Command::new("flushdb", -1, &[Flag::Write], Group::SERVER, "1.0.0", "Removes all keys of the only database.", flush)
        .categories(FLUSHES)
        .tips(FLUSHED)
        .also(LOGGED),
    Command::new("touch", -2, LOOK_FAST, Group::GENERIC, "3.2.1", "Counts which of the keys exist, as a use of them.", touch)
        .keys(MEASURE_ALL)
        .tips(COUNTED),
    Command::new("type", 2, LOOK_FAST, Group::GENERIC, "1.0.0", "Returns the type of the value of a key.", type_of).keys(MEASURE),
    Command::new("unlink", -2, &[Flag::Write, Flag::Fast], Group::GENERIC, "4.0.0", "Deletes one or more keys.", del)
        .keys(REMOVE_ALL)
        .tips(COUNTED),
];

fn dbsize(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    ctx.reply.int(ctx.keyspace.len() as i64);
    Flow::Done
}

fn del(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let mut removed = 0;
    for key in args.skip(1).iter() {
        if ctx.keyspace.remove(ctx.slot, key, ctx.now.wall) {
            ctx.notify(Event::DEL, key);
            removed += 1;
        }
    }
    ctx.reply.int(removed);
    Flow::Done
}

fn exists(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let mut count = 0;
    for key in args.skip(1).iter() {
        let found = ctx.keyspace.exists(ctx.slot, key, ctx.now.wall);
        ctx.looked_up(key, found);
        count += i64::from(found);
    }
    ctx.reply.int(count);
    Flow::Done
}

/// It is a use of the keys even by a client whose commands are none.
fn touch(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    ctx.keyspace.set_touches(true);
    let mut count = 0;
    for key in args.skip(1).iter() {
        let found = ctx.keyspace.get(ctx.slot, key, ctx.now.wall).is_some();
        ctx.looked_up(key, found);
        count += i64::from(found);
    }
    ctx.keyspace.set_touches(!ctx.client.no_touch);
    ctx.reply.int(count);
    Flow::Done
}

fn type_of(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let name = ctx.keyspace.entry(ctx.slot, args.get(1), ctx.now.wall).map(|entry| entry.value.type_name());
    ctx.looked_up(args.get(1), name.is_some());
    ctx.reply.simple(name.unwrap_or("none"));
    Flow::Done
}

/// ASYNC and SYNC are the same: the keys are gone at once, their memory is freed between the turns.
fn flush(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let options = args.skip(1);
    if options.len() > 1 || options.iter().any(|word| !is(word, "async") && !is(word, "sync")) {
        return ctx.fail(SYNTAX_ERROR);
    }
    ctx.keyspace.clear();
    // What was cleared must not come back with a restart: nobody waits for a save point.
    if !ctx.config.save.is_empty() {
        ctx.server.persistence.save_asked = true;
        ctx.server.persistence.saved_dirty = ctx.keyspace.dirty();
    }
    ctx.done()
}
