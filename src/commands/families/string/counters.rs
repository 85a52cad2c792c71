//! Strings that are numbers: the INCR family.
//!
//! Owns: when a value counts as a number, and what overflows. Contract: the error words of Redis 7.2.

use super::long_double::LongDouble;
use crate::commands::engine::parse::{NOT_AN_INTEGER, integer};
use crate::commands::engine::{Command, Context, Event, Flag, Flow, Group, KeyFlag, KeySpec};
use crate::config::EventClass;
use crate::keyspace::Expiry;
use crate::values::View;
use crate::wire::Args;
use crate::wire::number::Digits;

const GROW_FAST: &[Flag] = &[Flag::Write, Flag::DenyOom, Flag::Fast];
const COUNT: &[KeySpec] = &[KeySpec::one(&[KeyFlag::ReadWrite, KeyFlag::Access, KeyFlag::Update])];

const ADDED: Event = Event::new("incrby", EventClass::String);
const ADDED_FLOAT: Event = Event::new("incrbyfloat", EventClass::String);

/// The family's commands.
pub const COMMANDS: &[Command] = &[
    Command::new("decr", 2, GROW_FAST, Group::STRING, "1.0.0", "Decrements the integer value of a key by one.", decr).keys(COUNT),
    Command::new("decrby", 3, GROW_FAST, Group::STRING, "1.0.0", "Subtracts a number from the integer value of a key.", decrby).keys(COUNT),
    Command::new("incr", 2, GROW_FAST, Group::STRING, "1.0.0", "Increments the integer value of a key by one.", incr).keys(COUNT),
    Command::new("incrby", 3, GROW_FAST, Group::STRING, "1.0.0", "Adds a number to the integer value of a key.", incrby).keys(COUNT),
    Command::new("incrbyfloat", 3, GROW_FAST, Group::STRING, "2.6.0", "Adds a decimal number to the value of a key.", incrbyfloat)
        .keys(COUNT),
];

const OVERFLOW: &str = "ERR increment or decrement would overflow";

fn incr(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    add(ctx, args.get(1), 1)
}

fn decr(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    add(ctx, args.get(1), -1)
}

fn incrby(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    match integer(args.get(2)) {
        Some(number) => add(ctx, args.get(1), number),
        None => ctx.fail(NOT_AN_INTEGER),
    }
}

fn decrby(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let Some(number) = integer(args.get(2)) else { return ctx.fail(NOT_AN_INTEGER) };
    match number.checked_neg() {
        Some(number) => add(ctx, args.get(1), number),
        None => ctx.fail("ERR decrement would overflow"),
    }
}

/// Adds to the key's integer, 0 if it is not there; its time to live stays.
fn add(ctx: &mut Context<'_>, key: &[u8], number: i64) -> Flow {
    let old = match ctx.keyspace.get(ctx.slot, key, ctx.now.wall).map(View::string) {
        None => Some(0),
        Some(Ok(string)) => string.short().and_then(integer),
        Some(Err(wrong)) => return ctx.wrong_type(wrong),
    };
    let Some(old) = old else { return ctx.fail(NOT_AN_INTEGER) };
    let Some(new) = old.checked_add(number) else { return ctx.fail(OVERFLOW) };
    ctx.keyspace.set_string(ctx.slot, key, Digits::of_i64(new).as_slice(), Expiry::Keep, ctx.now.wall);
    ctx.notify(ADDED, key);
    ctx.reply.int(new);
    Flow::Done
}

fn incrbyfloat(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    const NOT_A_FLOAT: &str = "ERR value is not a valid float";
    let old = match ctx.keyspace.get(ctx.slot, args.get(1), ctx.now.wall).map(View::string) {
        None => Some(LongDouble::ZERO),
        Some(Ok(string)) => string.short().and_then(LongDouble::parse),
        Some(Err(wrong)) => return ctx.wrong_type(wrong),
    };
    let (Some(old), Some(more)) = (old, LongDouble::parse(args.get(2))) else { return ctx.fail(NOT_A_FLOAT) };
    let Some(sum) = old.plus(more) else { return ctx.fail("ERR increment would produce NaN or Infinity") };
    let text = sum.show();
    ctx.keyspace.set_string(ctx.slot, args.get(1), text.as_bytes(), Expiry::Keep, ctx.now.wall);
    // The sum, for it may come out otherwise elsewhere.
    ctx.propagate_instead(&[b"SET".into(), args.get(1).into(), text.as_bytes().into(), b"KEEPTTL".into()]);
    ctx.notify(ADDED_FLOAT, args.get(1));
    ctx.reply.bulk(text.as_bytes());
    Flow::Done
}
