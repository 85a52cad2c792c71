//! How long keys live: EXPIRE, TTL, PERSIST and their kin.
//!
//! Owns: the conditions NX, XX, GT, LT and the arithmetic between clients' clocks and the keyspace's. Contract: Redis 7.2.

use crate::commands::engine::expiry::{end_life, persist_key};
use crate::commands::engine::parse::{NOT_AN_INTEGER, about, integer, is};
use crate::commands::engine::{Command, Context, Flag, Flow, Group, KeyFlag, KeySpec};
use crate::types::Millis;
use crate::wire::Args;

const CHANGE: &[Flag] = &[Flag::Write, Flag::Fast];
const LOOK: &[Flag] = &[Flag::Readonly, Flag::Fast];
const UPDATE: &[KeySpec] = &[KeySpec::one(&[KeyFlag::ReadWrite, KeyFlag::Update])];
const READ: &[KeySpec] = &[KeySpec::one(&[KeyFlag::ReadOnly, KeyFlag::Access])];
/// Two replicas asked at once answer differently.
const PASSING: &[&str] = &["nondeterministic_output"];

/// The family's commands.
pub const COMMANDS: &[Command] = &[
    Command::new("expire", -3, CHANGE, Group::GENERIC, "1.0.0", "Sets the time to live of a key in seconds.", expire).keys(UPDATE),
    Command::new("expireat", -3, CHANGE, Group::GENERIC, "1.2.0", "Sets the end of a key's life as Unix time in seconds.", expireat)
        .keys(UPDATE),
    Command::new("expiretime", 2, LOOK, Group::GENERIC, "7.0.0", "Returns the end of a key's life as Unix time in seconds.", expiretime)
        .keys(READ),
    Command::new("persist", 2, CHANGE, Group::GENERIC, "2.2.0", "Lets a key live for ever.", persist).keys(UPDATE),
    Command::new("pexpire", -3, CHANGE, Group::GENERIC, "2.6.0", "Sets the time to live of a key in milliseconds.", pexpire).keys(UPDATE),
    Command::new("pexpireat", -3, CHANGE, Group::GENERIC, "2.6.0", "Sets the end of a key's life as Unix time in milliseconds.", pexpireat)
        .keys(UPDATE),
    Command::new(
        "pexpiretime",
        2,
        LOOK,
        Group::GENERIC,
        "7.0.0",
        "Returns the end of a key's life as Unix time in milliseconds.",
        pexpiretime,
    )
    .keys(READ),
    Command::new("pttl", 2, LOOK, Group::GENERIC, "2.6.0", "Returns the time to live of a key in milliseconds.", pttl)
        .keys(READ)
        .tips(PASSING),
    Command::new("ttl", 2, LOOK, Group::GENERIC, "1.0.0", "Returns the time to live of a key in seconds.", ttl).keys(READ).tips(PASSING),
];

/// The conditions of one EXPIRE. GT takes a key that lives for ever as the later end.
#[derive(Clone, Copy, Default)]
struct Conditions {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

impl Conditions {
    fn parse(args: Args<'_>) -> Result<Self, Vec<u8>> {
        let mut conditions = Self::default();
        for word in args.iter() {
            let Self { nx, xx, gt, lt } = &mut conditions;
            let known = [("nx", nx), ("xx", xx), ("gt", gt), ("lt", lt)].into_iter().find(|(name, _)| is(word, name));
            let (_, flag) = known.ok_or_else(|| about("ERR Unsupported option ", word, ""))?;
            *flag = true;
        }
        let Self { nx, xx, gt, lt } = conditions;
        if nx && (xx || gt || lt) {
            return Err("ERR NX and XX, GT or LT options at the same time are not compatible".into());
        }
        if gt && lt {
            return Err("ERR GT and LT options at the same time are not compatible".into());
        }
        Ok(conditions)
    }

    /// Whether a key whose life ends at `old` may get the end `new`.
    fn allow(self, old: Option<Millis>, new: i64) -> bool {
        let old = old.map(|old| i64::try_from(old).unwrap_or(i64::MAX));
        let refused = self.nx && old.is_some()
            || self.xx && old.is_none()
            || self.gt && old.is_none_or(|old| new <= old)
            || self.lt && old.is_some_and(|old| new >= old);
        !refused
    }
}

fn expire(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    expire_at(ctx, args, "expire", 1000, ctx.now.wall)
}

fn pexpire(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    expire_at(ctx, args, "pexpire", 1, ctx.now.wall)
}

fn expireat(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    expire_at(ctx, args, "expireat", 1000, 0)
}

fn pexpireat(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    expire_at(ctx, args, "pexpireat", 1, 0)
}

/// Ends a key's life `scale` times the argument after `base`; at once, if that is past.
fn expire_at(ctx: &mut Context<'_>, args: Args<'_>, command: &str, scale: i64, base: Millis) -> Flow {
    let (key, now) = (args.get(1), ctx.now.wall);
    let conditions = match Conditions::parse(args.skip(3)) {
        Ok(conditions) => conditions,
        Err(text) => return ctx.fail(text),
    };
    let Some(number) = integer(args.get(2)) else { return ctx.fail(NOT_AN_INTEGER) };
    let Some(end) = number.checked_mul(scale).and_then(|millis| millis.checked_add_unsigned(base)) else {
        return ctx.fail(format!("ERR invalid expire time in '{command}' command"));
    };
    let allowed = ctx.keyspace.entry(ctx.slot, key, now).is_some_and(|entry| conditions.allow(entry.expiry, end));
    if allowed {
        // What ended before 1970 has ended.
        end_life(ctx, key, u64::try_from(end).unwrap_or(0));
    }
    ctx.reply.int(i64::from(allowed));
    Flow::Done
}

fn persist(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let changed = persist_key(ctx, args.get(1));
    ctx.reply.int(i64::from(changed));
    Flow::Done
}

/// Seconds, to the nearest.
fn seconds(millis: Millis) -> Millis {
    (millis + 500) / 1000
}

fn ttl(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let now = ctx.now.wall;
    reply_expiry(ctx, args, |expiry| seconds(expiry.saturating_sub(now)))
}

fn pttl(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let now = ctx.now.wall;
    reply_expiry(ctx, args, |expiry| expiry.saturating_sub(now))
}

fn expiretime(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    reply_expiry(ctx, args, seconds)
}

fn pexpiretime(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    reply_expiry(ctx, args, |expiry| expiry)
}

/// Answers the key's expiry as `show` has it; -1 if it has none, -2 if there is no such key.
fn reply_expiry(ctx: &mut Context<'_>, args: Args<'_>, show: impl Fn(Millis) -> Millis) -> Flow {
    let expiry = ctx.keyspace.entry(ctx.slot, args.get(1), ctx.now.wall).map(|entry| entry.expiry);
    ctx.looked_up(args.get(1), expiry.is_some());
    let answer = match expiry {
        None => -2,
        Some(None) => -1,
        Some(Some(expiry)) => i64::try_from(show(expiry)).unwrap_or(i64::MAX),
    };
    ctx.reply.int(answer);
    Flow::Done
}
