//! SET and its kin: a value, a condition, and how long the key lives.
//!
//! Owns: the options that SET and GETEX share, and reading points in time from clients. Contract: the words and order of checks of Redis
//! 7.2.

use super::bytes::{self, reply_value};
use crate::commands::engine::expiry::{end_life, expire, persist_key};
use crate::commands::engine::parse::{NOT_AN_INTEGER, SYNTAX_ERROR, integer, is};
use crate::commands::engine::{Command, Context, Event, Flag, Flow, Group, KeyFlag, KeySpec};
use crate::keyspace::Expiry;
use crate::types::Millis;
use crate::values::Bytes;
use crate::wire::Args;

const GROW: &[Flag] = &[Flag::Write, Flag::DenyOom];
const GROW_FAST: &[Flag] = &[Flag::Write, Flag::DenyOom, Flag::Fast];
const OVERWRITE: &[KeySpec] = &[KeySpec::one(&[KeyFlag::Overwrite, KeyFlag::Update])];
const INSERT: &[KeySpec] = &[KeySpec::one(&[KeyFlag::Overwrite, KeyFlag::Insert])];
const REPLACE: &[KeySpec] = &[KeySpec::one(&[KeyFlag::ReadWrite, KeyFlag::Access, KeyFlag::Update])];
const SET: &[KeySpec] = &[KeySpec::one(&[KeyFlag::ReadWrite, KeyFlag::Access, KeyFlag::Update, KeyFlag::Variable])
    .noted("RW and ACCESS due to the optional `GET` argument")];
const LIFE: &[KeySpec] =
    &[KeySpec::one(&[KeyFlag::ReadWrite, KeyFlag::Access, KeyFlag::Update]).noted("RW and UPDATE because it changes the TTL")];

/// The family's commands.
pub const COMMANDS: &[Command] = &[
    Command::new("getex", -2, &[Flag::Write, Flag::Fast], Group::STRING, "6.2.0", "Returns a value and sets how long it lives.", getex)
        .keys(LIFE),
    Command::new("getset", 3, GROW_FAST, Group::STRING, "1.0.0", "Returns the old value of a key and sets a new one.", getset)
        .keys(REPLACE),
    Command::new("psetex", 4, GROW, Group::STRING, "2.6.0", "Sets a value and its time to live in milliseconds.", psetex).keys(OVERWRITE),
    Command::new("set", -3, GROW, Group::STRING, "1.0.0", "Sets the string value of a key, whatever it held.", set)
        .keys(SET)
        .key_flags(set_flags),
    Command::new("setex", 4, GROW, Group::STRING, "2.0.0", "Sets a value and its time to live in seconds.", setex).keys(OVERWRITE),
    Command::new("setnx", 3, GROW_FAST, Group::STRING, "1.0.0", "Sets a value only if the key does not exist.", setnx).keys(INSERT),
];

/// How a client says when a key's life ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Clock {
    /// EX: seconds from now.
    Seconds,
    /// PX: milliseconds from now.
    Milliseconds,
    /// EXAT: Unix time in seconds.
    AtSecond,
    /// PXAT: Unix time in milliseconds.
    AtMillisecond,
}

impl Clock {
    fn of(word: &[u8]) -> Option<Self> {
        const WORDS: [(&str, Clock); 4] =
            [("ex", Clock::Seconds), ("px", Clock::Milliseconds), ("exat", Clock::AtSecond), ("pxat", Clock::AtMillisecond)];
        WORDS.into_iter().find_map(|(name, clock)| is(word, name).then_some(clock))
    }

    /// The point in time that a client means, or the error for `command`.
    fn read(self, arg: &[u8], command: &str, now: Millis) -> Result<Millis, String> {
        let number = integer(arg).ok_or(NOT_AN_INTEGER)?;
        let scale = if matches!(self, Self::Seconds | Self::AtSecond) { 1000 } else { 1 };
        let base = if matches!(self, Self::Seconds | Self::Milliseconds) { now } else { 0 };
        let end = number.checked_mul(scale).filter(|_| number > 0).and_then(|millis| millis.checked_add_unsigned(base));
        end.map(i64::unsigned_abs).ok_or_else(|| format!("ERR invalid expire time in '{command}' command"))
    }
}

/// What becomes of the key's life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Life<'a> {
    /// Nothing was said.
    Unsaid,
    /// KEEPTTL.
    Keep,
    /// PERSIST.
    Persist,
    /// It ends then.
    Until(Clock, &'a [u8]),
}

impl<'a> Life<'a> {
    /// Takes in one option; none if it contradicts an earlier one. The same one again is allowed: the last counts.
    fn and(self, other: Life<'a>) -> Option<Life<'a>> {
        let agrees = match (self, other) {
            (Self::Until(one, _), Self::Until(other, _)) => one == other,
            _ => self == Self::Unsaid || self == other,
        };
        agrees.then_some(other)
    }
}

/// On what a SET depends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Condition {
    /// NX.
    Absent,
    /// XX.
    Present,
}

/// The options of SET and GETEX.
#[derive(Clone, Copy, Debug)]
struct Options<'a> {
    condition: Option<Condition>,
    get: bool,
    life: Life<'a>,
}

/// The commands that take them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Set,
    Getex,
}

impl<'a> Options<'a> {
    /// Reads the options; none for a syntax error.
    fn parse(args: Args<'a>, dialect: Dialect) -> Option<Self> {
        let mut options = Self { condition: None, get: false, life: Life::Unsaid };
        let mut words = args.iter();
        while let Some(word) = words.next() {
            let set = dialect == Dialect::Set;
            if set && is(word, "nx") {
                options.require(Condition::Absent)?;
            } else if set && is(word, "xx") {
                options.require(Condition::Present)?;
            } else if set && is(word, "get") {
                options.get = true;
            } else {
                let life = match Clock::of(word) {
                    Some(clock) => Life::Until(clock, words.next()?),
                    None if set && is(word, "keepttl") => Life::Keep,
                    None if !set && is(word, "persist") => Life::Persist,
                    None => return None,
                };
                options.life = options.life.and(life)?;
            }
        }
        Some(options)
    }

    fn require(&mut self, condition: Condition) -> Option<()> {
        let agrees = self.condition.is_none_or(|known| known == condition);
        self.condition = Some(condition);
        agrees.then_some(())
    }
}

/// With GET it reads the key too.
fn set_flags(args: Args<'_>) -> &'static [KeyFlag] {
    if args.skip(3).iter().any(|word| is(word, "get")) {
        &[KeyFlag::ReadWrite, KeyFlag::Access, KeyFlag::Update]
    } else {
        &[KeyFlag::Overwrite, KeyFlag::Update]
    }
}

fn set(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let Some(options) = Options::parse(args.skip(3), Dialect::Set) else { return ctx.fail(SYNTAX_ERROR) };
    let expiry = match options.life {
        Life::Keep => Expiry::Keep,
        Life::Unsaid | Life::Persist => Expiry::Never,
        Life::Until(clock, arg) => match clock.read(arg, "set", ctx.now.wall) {
            Ok(end) => Expiry::At(end),
            Err(text) => return ctx.fail(&text),
        },
    };
    let found = if options.get {
        match reply_value(ctx, args.get(1)) {
            Ok(found) => found,
            Err(wrong) => return ctx.wrong_type(wrong),
        }
    } else {
        options.condition.is_some() && ctx.keyspace.exists(ctx.slot, args.get(1), ctx.now.wall)
    };
    let holds = options.condition.is_none_or(|condition| (condition == Condition::Present) == found);
    if holds {
        set_string(ctx, args, 2, expiry);
        if options.get && !matches!(expiry, Expiry::At(_)) {
            propagate_without_get(ctx, args);
        }
    }
    match (options.get, holds) {
        (true, _) => {}
        (false, true) => ctx.reply.ok(),
        (false, false) => ctx.reply.null(),
    }
    Flow::Done
}

/// Replicas read nothing.
fn propagate_without_get(ctx: &mut Context<'_>, args: Args<'_>) {
    let kept = (0..args.len()).filter(|at| *at < 3 || !is(args.get(*at), "get"));
    let words: Vec<Bytes<'_>> = kept.map(|at| args.value(at)).collect();
    ctx.propagate_instead(&words);
}

/// Sets the key that is the first argument to the value in this place. Replicas get the end of its life as the point in time that it is. A
/// value whose life has ended already is never there.
fn set_string(ctx: &mut Context<'_>, args: Args<'_>, place: usize, expiry: Expiry) {
    let (key, value) = (args.get(1), args.value(place));
    if let Expiry::At(end) = expiry
        && end <= ctx.now.wall
    {
        return expire(ctx, key);
    }
    ctx.keyspace.set_bytes(ctx.slot, key, &value, expiry, ctx.now.wall);
    ctx.notify(bytes::SET, key);
    if let Expiry::At(end) = expiry {
        ctx.notify(Event::EXPIRE, key);
        ctx.propagate_until(&[b"SET".into(), key.into(), value, b"PXAT".into()], end);
    }
}

fn setnx(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let free = !ctx.keyspace.exists(ctx.slot, args.get(1), ctx.now.wall);
    if free {
        set_string(ctx, args, 2, Expiry::Never);
    }
    ctx.reply.int(i64::from(free));
    Flow::Done
}

fn setex(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    set_until(ctx, args, Clock::Seconds, "setex")
}

fn psetex(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    set_until(ctx, args, Clock::Milliseconds, "psetex")
}

fn set_until(ctx: &mut Context<'_>, args: Args<'_>, clock: Clock, command: &str) -> Flow {
    match clock.read(args.get(2), command, ctx.now.wall) {
        Err(text) => ctx.fail(&text),
        Ok(end) => {
            set_string(ctx, args, 3, Expiry::At(end));
            ctx.done()
        }
    }
}

fn getset(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    if let Err(wrong) = reply_value(ctx, args.get(1)) {
        return ctx.wrong_type(wrong);
    }
    set_string(ctx, args, 2, Expiry::Never);
    ctx.propagate_instead(&[b"SET".into(), args.get(1).into(), args.value(2)]);
    Flow::Done
}

fn getex(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let key = args.get(1);
    let Some(options) = Options::parse(args.skip(2), Dialect::Getex) else { return ctx.fail(SYNTAX_ERROR) };
    let end = match options.life {
        // As in Redis, a key that is not there, or is no string, hides a bad time.
        Life::Until(clock, arg) if is_string(ctx, key) => match clock.read(arg, "getex", ctx.now.wall) {
            Ok(end) => Some(end),
            Err(text) => {
                ctx.looked_up(key, true);
                return ctx.fail(text);
            }
        },
        _ => None,
    };
    match reply_value(ctx, key) {
        Ok(true) => {}
        Ok(false) => return Flow::Done,
        Err(wrong) => return ctx.wrong_type(wrong),
    }
    match (options.life, end) {
        (_, Some(end)) => end_life(ctx, key, end),
        (Life::Persist, None) => _ = persist_key(ctx, key),
        _ => {}
    }
    Flow::Done
}

fn is_string(ctx: &mut Context<'_>, key: &[u8]) -> bool {
    ctx.keyspace.get(ctx.slot, key, ctx.now.wall).is_some_and(|value| value.string().is_ok())
}
