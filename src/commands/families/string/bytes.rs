//! Strings: reading and writing their bytes. SET and its kin, which also say how long the key lives, are in `set.rs`.
//!
//! Owns: what GET, MGET, MSET, APPEND and the ranges do. Must not: know how values are kept.

use crate::commands::engine::parse::{NOT_AN_INTEGER, integer};
use crate::commands::engine::{Command, Context, Event, Flag, Flow, Group, KeyFlag, KeySpec};
use crate::config::EventClass;
use crate::keyspace::Expiry;
use crate::types::STRING_MAX;
use crate::values::{Str, View, WrongType};
use crate::wire::{Args, Reply};
use std::ops::Range;

const READ: &[KeySpec] = &[KeySpec::one(&[KeyFlag::ReadOnly, KeyFlag::Access])];
const READ_ALL: &[KeySpec] = &[KeySpec::all(&[KeyFlag::ReadOnly, KeyFlag::Access])];
const MEASURE: &[KeySpec] = &[KeySpec::one(&[KeyFlag::ReadOnly])];
const PAIRS: &[KeySpec] = &[KeySpec::range(1, -1, 2, &[KeyFlag::Overwrite, KeyFlag::Update])];
const NEW_PAIRS: &[KeySpec] = &[KeySpec::range(1, -1, 2, &[KeyFlag::Overwrite, KeyFlag::Insert])];
const INSERT: &[KeySpec] = &[KeySpec::one(&[KeyFlag::ReadWrite, KeyFlag::Insert])];
const UPDATE: &[KeySpec] = &[KeySpec::one(&[KeyFlag::ReadWrite, KeyFlag::Update])];
const TAKE: &[KeySpec] = &[KeySpec::one(&[KeyFlag::ReadWrite, KeyFlag::Access, KeyFlag::Delete])];
const GROW: &[Flag] = &[Flag::Write, Flag::DenyOom];
const GROW_FAST: &[Flag] = &[Flag::Write, Flag::DenyOom, Flag::Fast];
const LOOK: &[Flag] = &[Flag::Readonly];
const LOOK_FAST: &[Flag] = &[Flag::Readonly, Flag::Fast];

const APPENDED: Event = Event::new("append", EventClass::String);
const PART_SET: Event = Event::new("setrange", EventClass::String);
/// A key was set to a string.
pub(super) const SET: Event = Event::new("set", EventClass::String);

/// The family's commands.
pub const COMMANDS: &[Command] = &[
    Command::new("append", 3, GROW_FAST, Group::STRING, "2.0.0", "Appends a string to the value of a key.", append).keys(INSERT),
    Command::new("get", 2, LOOK_FAST, Group::STRING, "1.0.0", "Returns the string value of a key.", get).keys(READ),
    Command::new("getdel", 2, &[Flag::Write, Flag::Fast], Group::STRING, "6.2.0", "Returns the value of a key and deletes it.", getdel)
        .keys(TAKE),
    Command::new("getrange", 4, LOOK, Group::STRING, "2.4.0", "Returns a part of the string value of a key.", getrange).keys(READ),
    Command::new("mget", -2, LOOK_FAST, Group::STRING, "1.0.0", "Returns the string values of one or more keys.", mget)
        .keys(READ_ALL)
        .tips(&["request_policy:multi_shard"]),
    Command::new("mset", -3, GROW, Group::STRING, "1.0.1", "Sets one or more keys to string values.", mset)
        .keys(PAIRS)
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"]),
    Command::new("msetnx", -3, GROW, Group::STRING, "1.0.1", "Sets several keys, only if none of them exists.", msetnx).keys(NEW_PAIRS),
    Command::new("setrange", 4, GROW, Group::STRING, "2.2.0", "Overwrites a part of a string from an offset on.", setrange).keys(UPDATE),
    Command::new("strlen", 2, LOOK_FAST, Group::STRING, "2.2.0", "Returns the length of a string value.", strlen).keys(MEASURE),
    Command::new("substr", 4, LOOK, Group::STRING, "1.0.0", "Returns a part of the string value of a key.", getrange).keys(READ),
];

/// Answers from the key's value, none if it is not there, and counts a hit or a miss. True if it was there; an error says that it is no
/// string.
fn read(ctx: &mut Context<'_>, key: &[u8], answer: impl FnOnce(&mut Reply<'_>, Option<Str<'_>>)) -> Result<bool, WrongType> {
    let value = ctx.keyspace.get(ctx.slot, key, ctx.now.wall);
    let found = value.is_some();
    let value = value.map(View::string).transpose();
    if let Ok(bytes) = value {
        answer(&mut ctx.reply, bytes);
    }
    let read = value.map(|_| found);
    ctx.looked_up(key, found);
    read
}

/// Answers the key's value or null. True if it was there.
///
/// # Errors
/// It is no string, and nothing is answered.
pub(super) fn reply_value(ctx: &mut Context<'_>, key: &[u8]) -> Result<bool, WrongType> {
    read(ctx, key, |reply, value| match value {
        Some(string) => reply.string(string, 0..string.len()),
        None => reply.null(),
    })
}

fn get(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    match reply_value(ctx, args.get(1)) {
        Ok(_) => Flow::Done,
        Err(wrong) => ctx.wrong_type(wrong),
    }
}

fn getdel(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    match reply_value(ctx, args.get(1)) {
        Ok(true) => {
            ctx.keyspace.remove(ctx.slot, args.get(1), ctx.now.wall);
            ctx.notify(Event::DEL, args.get(1));
            ctx.propagate_instead(&[b"DEL".into(), args.get(1).into()]);
            Flow::Done
        }
        Ok(false) => Flow::Done,
        Err(wrong) => ctx.wrong_type(wrong),
    }
}

fn mget(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    ctx.reply.array(args.len() - 1);
    for key in args.skip(1).iter() {
        // A key of another type is as one that is not there.
        if reply_value(ctx, key).is_err() {
            ctx.reply.null();
        }
    }
    Flow::Done
}

fn mset(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    if args.len().is_multiple_of(2) {
        return ctx.fail("ERR wrong number of arguments for 'mset' command");
    }
    set_all(ctx, args);
    ctx.done()
}

fn msetnx(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    if args.len().is_multiple_of(2) {
        return ctx.fail("ERR wrong number of arguments for 'msetnx' command");
    }
    let taken = (1..args.len()).step_by(2).any(|at| ctx.keyspace.exists(ctx.slot, args.get(at), ctx.now.wall));
    if !taken {
        set_all(ctx, args);
    }
    ctx.reply.int(i64::from(!taken));
    Flow::Done
}

fn set_all(ctx: &mut Context<'_>, args: Args<'_>) {
    for at in (1..args.len()).step_by(2) {
        ctx.keyspace.set_bytes(ctx.slot, args.get(at), &args.value(at + 1), Expiry::Never, ctx.now.wall);
        ctx.notify(SET, args.get(at));
    }
}

fn strlen(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    match read(ctx, args.get(1), |reply, value| reply.int(value.map_or(0, Str::len) as i64)) {
        Ok(_) => Flow::Done,
        Err(wrong) => ctx.wrong_type(wrong),
    }
}

/// True if no string may become this long. What a primary has is not its replica's to refuse.
fn is_too_long(ctx: &Context<'_>, length: usize) -> bool {
    let most = if ctx.client.is_primary { STRING_MAX } else { ctx.config.proto_max_bulk_len };
    length as u64 > most
}

const TOO_LONG: &str = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";

/// The length of the key's value without counting a hit or a miss: writes do not.
fn current_length(ctx: &mut Context<'_>, key: &[u8]) -> Result<usize, WrongType> {
    let string = ctx.keyspace.get(ctx.slot, key, ctx.now.wall).map(View::string).transpose()?;
    Ok(string.map_or(0, Str::len))
}

fn append(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let (key, more) = (args.get(1), args.get(2));
    let end = match current_length(ctx, key) {
        Ok(end) => end,
        Err(wrong) => return ctx.wrong_type(wrong),
    };
    let length = end + more.len();
    if is_too_long(ctx, length) {
        return ctx.fail(TOO_LONG);
    }
    if let Err(wrong) = ctx.keyspace.overwrite(ctx.slot, key, end, &args.value(2), ctx.now.wall) {
        return ctx.wrong_type(wrong);
    }
    ctx.notify(APPENDED, key);
    ctx.reply.int(length as i64);
    Flow::Done
}

fn setrange(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let (key, part) = (args.get(1), args.get(3));
    let Some(offset) = integer(args.get(2)) else { return ctx.fail(NOT_AN_INTEGER) };
    let Ok(offset) = usize::try_from(offset) else { return ctx.fail("ERR offset is out of range") };
    let length = match current_length(ctx, key) {
        Ok(length) => length,
        Err(wrong) => return ctx.wrong_type(wrong),
    };
    if part.is_empty() {
        ctx.reply.int(length as i64);
        return Flow::Done;
    }
    let end = offset.saturating_add(part.len());
    if is_too_long(ctx, end) {
        return ctx.fail(TOO_LONG);
    }
    if let Err(wrong) = ctx.keyspace.overwrite(ctx.slot, key, offset, &args.value(3), ctx.now.wall) {
        return ctx.wrong_type(wrong);
    }
    ctx.notify(PART_SET, key);
    ctx.reply.int(length.max(end) as i64);
    Flow::Done
}

fn getrange(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let (Some(start), Some(end)) = (integer(args.get(2)), integer(args.get(3))) else { return ctx.fail(NOT_AN_INTEGER) };
    let read = read(ctx, args.get(1), |reply, value| {
        let value = value.unwrap_or(Str::Short(b""));
        reply.string(value, range(value.len(), start, end));
    });
    match read {
        Ok(_) => Flow::Done,
        Err(wrong) => ctx.wrong_type(wrong),
    }
}

/// From `start` to `end`, both included; negative ones count from the end of so many bytes.
fn range(length: usize, start: i64, end: i64) -> Range<usize> {
    let length = length as i64;
    if start < 0 && end < 0 && start > end {
        return 0..0;
    }
    let from_start = |place: i64| if place < 0 { place.saturating_add(length).max(0) } else { place };
    let (start, end) = (from_start(start), from_start(end).min(length - 1));
    if start > end { 0..0 } else { start as usize..end as usize + 1 }
}
