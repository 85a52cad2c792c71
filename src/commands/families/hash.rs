//! Hashes.
//!
//! Owns: what HSET, HGET, HSCAN and their kin do. Must not: know how a hash is kept. Contract: the Redis documentation's group "hash"; the
//! words of Valkey 8.1.

use crate::commands::engine::parse::{NOT_AN_INTEGER, SYNTAX_ERROR, cursor, integer, is};
use crate::commands::engine::{Command, Context, Event, Flag, Flow, Group, KeyFlag, KeySpec};
use crate::config::{EventClass, glob_matches};
use crate::values::{Hash, Parts, WrongType};
use crate::wire::{Args, number};

const READ: &[KeySpec] = &[KeySpec::one(&[KeyFlag::ReadOnly, KeyFlag::Access])];
const MEASURE: &[KeySpec] = &[KeySpec::one(&[KeyFlag::ReadOnly])];
const UPDATE: &[KeySpec] = &[KeySpec::one(&[KeyFlag::ReadWrite, KeyFlag::Update])];
const COUNT: &[KeySpec] = &[KeySpec::one(&[KeyFlag::ReadWrite, KeyFlag::Access, KeyFlag::Update])];
const INSERT: &[KeySpec] = &[KeySpec::one(&[KeyFlag::ReadWrite, KeyFlag::Insert])];
const DELETE: &[KeySpec] = &[KeySpec::one(&[KeyFlag::ReadWrite, KeyFlag::Delete])];
const GROW: &[Flag] = &[Flag::Write, Flag::DenyOom, Flag::Fast];
const LOOK: &[Flag] = &[Flag::Readonly];
const LOOK_FAST: &[Flag] = &[Flag::Readonly, Flag::Fast];
const HASH: Group = Group { name: "hash", category: Some("@hash") };
const SET: Event = Event::new("hset", EventClass::Hash);
const DELETED: Event = Event::new("hdel", EventClass::Hash);
const ADDED: Event = Event::new("hincrby", EventClass::Hash);
const UNORDERED: &[&str] = &["nondeterministic_output_order"];

/// What HSCAN looks at in one step, unless COUNT says otherwise, and what it looks at at most.
const DEFAULT_COUNT: usize = 10;
const MAX_COUNT: usize = 5000;

/// The family's commands.
pub const COMMANDS: &[Command] = &[
    Command::new("hdel", -3, &[Flag::Write, Flag::Fast], HASH, "2.0.0", "Deletes fields of a hash.", hdel).keys(DELETE),
    Command::new("hexists", 3, LOOK_FAST, HASH, "2.0.0", "Tells whether a field of a hash exists.", hexists).keys(MEASURE),
    Command::new("hget", 3, LOOK_FAST, HASH, "2.0.0", "Returns the value of a field of a hash.", hget).keys(READ),
    Command::new("hgetall", 2, LOOK, HASH, "2.0.0", "Returns all fields of a hash and their values.", hgetall).keys(READ).tips(UNORDERED),
    Command::new("hincrby", 4, GROW, HASH, "2.0.0", "Adds to the integer value of a field of a hash.", hincrby).keys(COUNT),
    Command::new("hkeys", 2, LOOK, HASH, "2.0.0", "Returns all fields of a hash.", hkeys).keys(READ).tips(UNORDERED),
    Command::new("hlen", 2, LOOK_FAST, HASH, "2.0.0", "Returns the number of fields of a hash.", hlen).keys(MEASURE),
    Command::new("hmget", -3, LOOK_FAST, HASH, "2.0.0", "Returns the values of fields of a hash.", hmget).keys(READ),
    Command::new("hmset", -4, GROW, HASH, "2.0.0", "Sets the values of fields of a hash.", hmset).keys(UPDATE),
    Command::new("hscan", -3, LOOK, HASH, "2.8.0", "Walks over the fields of a hash, some at a time.", hscan)
        .keys(READ)
        .tips(&["nondeterministic_output"]),
    Command::new("hset", -4, GROW, HASH, "2.0.0", "Sets the values of fields of a hash.", hset).keys(UPDATE),
    Command::new("hsetnx", 4, GROW, HASH, "2.0.0", "Sets the value of a field of a hash, if it is not there.", hsetnx).keys(INSERT),
    Command::new("hstrlen", 3, LOOK_FAST, HASH, "3.2.0", "Returns the length of the value of a field of a hash.", hstrlen).keys(MEASURE),
    Command::new("hvals", 2, LOOK, HASH, "2.0.0", "Returns all values of a hash.", hvals).keys(READ).tips(UNORDERED),
];

/// Answers from the key's hash, none if it is not there, and counts a hit or a miss.
fn read(ctx: &mut Context<'_>, key: &[u8], answer: impl FnOnce(&mut crate::wire::Reply<'_>, Option<&Hash>)) -> Flow {
    let hash = ctx.keyspace.read::<Hash>(ctx.slot, key, ctx.now.wall);
    let found = !matches!(hash, Ok(None));
    let wrong = hash.map(|hash| answer(&mut ctx.reply, hash)).err();
    ctx.looked_up(key, found);
    wrong.map_or(Flow::Done, |wrong| ctx.wrong_type(wrong))
}

fn hget(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let mut buffer = Vec::new();
    read(ctx, args.get(1), |reply, hash| match hash.and_then(|hash| hash.get(args.get(2), &mut buffer)) {
        Some(value) => reply.bulk(value),
        None => reply.null(),
    })
}

fn hmget(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    read(ctx, args.get(1), |reply, hash| {
        let (fields, mut buffer) = (args.skip(2), Vec::new());
        reply.array(fields.len());
        for field in fields.iter() {
            match hash.and_then(|hash| hash.get(field, &mut buffer)) {
                Some(value) => reply.bulk(value),
                None => reply.null(),
            }
        }
    })
}

fn hexists(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    read(ctx, args.get(1), |reply, hash| {
        let there = hash.is_some_and(|hash| hash.get(args.get(2), &mut Vec::new()).is_some());
        reply.int(i64::from(there));
    })
}

fn hstrlen(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    read(ctx, args.get(1), |reply, hash| {
        let length = hash.and_then(|hash| Some(hash.get(args.get(2), &mut Vec::new())?.len()));
        reply.int(length.unwrap_or(0) as i64);
    })
}

fn hlen(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    read(ctx, args.get(1), |reply, hash| reply.int(hash.map_or(0, Hash::len) as i64))
}

fn hgetall(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    reply_all(ctx, args, Parts::Both)
}

fn hkeys(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    reply_all(ctx, args, Parts::Fields)
}

fn hvals(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    reply_all(ctx, args, Parts::Values)
}

/// Answers these parts of all pairs; of a large hash over several turns.
fn reply_all(ctx: &mut Context<'_>, args: Args<'_>, parts: Parts) -> Flow {
    let mut clone = None;
    let flow = read(ctx, args.get(1), |reply, hash| {
        let count = hash.map_or(0, Hash::len);
        if parts == Parts::Both {
            reply.map(count)
        } else {
            reply.array(count)
        }
        clone = hash.cloned();
    });
    if let Some(hash) = clone {
        ctx.reply_strings(hash.into(), parts);
    }
    flow
}

fn hset(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    match set_all(ctx, args, "hset") {
        Ok(added) => ctx.reply.int(added),
        Err(text) => return ctx.fail(&text),
    }
    Flow::Done
}

fn hmset(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    match set_all(ctx, args, "hmset") {
        Ok(_) => ctx.done(),
        Err(text) => ctx.fail(&text),
    }
}

/// Sets the pairs behind the key; how many fields are new, or the error.
fn set_all(ctx: &mut Context<'_>, args: Args<'_>, command: &str) -> Result<i64, String> {
    let pairs = args.skip(2);
    if !pairs.len().is_multiple_of(2) {
        return Err(format!("ERR wrong number of arguments for '{command}' command"));
    }
    let longest = pairs.iter().map(<[u8]>::len).max().unwrap_or(0);
    let added = ctx.keyspace.edit(ctx.slot, args.get(1), ctx.now.wall, |hash: &mut Hash, rules| {
        hash.prepare(pairs.len() / 2, longest, rules);
        let places = (0..pairs.len()).step_by(2);
        Some(places.filter(|at| hash.set(pairs.get(*at), pairs.get(at + 1), rules)).count() as i64)
    });
    let added = added.map_err(|wrong| wrong.to_string())?.unwrap_or(0);
    ctx.notify(SET, args.get(1));
    Ok(added)
}

fn hsetnx(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let (key, field, value) = (args.get(1), args.get(2), args.get(3));
    let set = ctx.keyspace.edit(ctx.slot, key, ctx.now.wall, |hash: &mut Hash, rules| {
        let free = hash.get(field, &mut Vec::new()).is_none();
        free.then(|| hash.set(field, value, rules))
    });
    match set {
        Err(wrong) => return ctx.wrong_type(wrong),
        Ok(None) => ctx.reply.int(0),
        Ok(Some(_)) => {
            ctx.notify(SET, key);
            ctx.reply.int(1);
        }
    }
    Flow::Done
}

fn hdel(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let (key, now) = (args.get(1), ctx.now.wall);
    let deleted = ctx.keyspace.edit(ctx.slot, key, now, |hash: &mut Hash, _| {
        let deleted = args.skip(2).iter().filter(|field| hash.remove(field)).count() as i64;
        (deleted > 0).then_some(deleted)
    });
    match deleted {
        Err(wrong) => return ctx.wrong_type(wrong),
        Ok(None) => ctx.reply.int(0),
        Ok(Some(deleted)) => {
            ctx.notify(DELETED, key);
            if !ctx.keyspace.exists(ctx.slot, key, now) {
                ctx.notify(Event::DEL, key);
            }
            ctx.reply.int(deleted);
        }
    }
    Flow::Done
}

fn hincrby(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let (key, field) = (args.get(1), args.get(2));
    let Some(more) = integer(args.get(3)) else { return ctx.fail(NOT_AN_INTEGER) };
    let old = match integer_of(ctx, key, field) {
        Err(wrong) => return ctx.wrong_type(wrong),
        Ok(None) => return ctx.fail("ERR hash value is not an integer"),
        Ok(Some(old)) => old,
    };
    let Some(sum) = old.checked_add(more) else { return ctx.fail("ERR increment or decrement would overflow") };
    let mut text = Vec::with_capacity(20);
    number::push_i64(&mut text, sum);
    let set = ctx.keyspace.edit(ctx.slot, key, ctx.now.wall, |hash: &mut Hash, rules| Some(hash.set(field, &text, rules)));
    if let Err(wrong) = set {
        return ctx.wrong_type(wrong);
    }
    ctx.notify(ADDED, key);
    ctx.reply.int(sum);
    Flow::Done
}

/// The field's integer, 0 if it is not there; none if it is no integer.
fn integer_of(ctx: &mut Context<'_>, key: &[u8], field: &[u8]) -> Result<Option<i64>, WrongType> {
    let (hash, mut buffer) = (ctx.keyspace.read::<Hash>(ctx.slot, key, ctx.now.wall)?, Vec::new());
    Ok(hash.and_then(|hash| hash.get(field, &mut buffer)).map_or(Some(0), integer))
}

/// HSCAN's options.
struct Scan<'a> {
    count: usize,
    pattern: Option<&'a [u8]>,
    values: bool,
}

impl<'a> Scan<'a> {
    fn parse(args: Args<'a>) -> Result<Self, &'static str> {
        let mut scan = Self { count: DEFAULT_COUNT, pattern: None, values: true };
        let mut words = args.iter();
        while let Some(word) = words.next() {
            if is(word, "novalues") {
                scan.values = false;
                continue;
            }
            let value = words.next().ok_or(SYNTAX_ERROR)?;
            if is(word, "count") {
                let count = integer(value).ok_or(NOT_AN_INTEGER)?;
                scan.count = usize::try_from(count).ok().filter(|count| *count > 0).ok_or(SYNTAX_ERROR)?.min(MAX_COUNT);
            } else if is(word, "match") {
                scan.pattern = (value != b"*").then_some(value);
            } else {
                return Err(SYNTAX_ERROR);
            }
        }
        Ok(scan)
    }
}

fn hscan(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let Some(cursor) = cursor(args.get(2)) else { return ctx.fail("ERR invalid cursor") };
    let scan = match ctx.keyspace.entry(ctx.slot, args.get(1), ctx.now.wall).map(|entry| entry.value.of::<Hash>().is_ok()) {
        Some(true) => Scan::parse(args.skip(3)),
        // Of what is not there nothing is scanned, however.
        Some(false) | None => Ok(Scan { count: DEFAULT_COUNT, pattern: None, values: true }),
    };
    let scan = match scan {
        Ok(scan) => scan,
        Err(text) => {
            ctx.looked_up(args.get(1), true);
            return ctx.fail(text);
        }
    };
    read(ctx, args.get(1), |reply, hash| {
        let mut shown: Vec<Vec<u8>> = Vec::new();
        let next = hash.map_or(0, |hash| {
            hash.scan(cursor, scan.count, &mut |field, value| {
                if scan.pattern.is_none_or(|pattern| glob_matches(pattern, field, false)) {
                    shown.push(field.to_vec());
                    shown.extend(scan.values.then(|| value.to_vec()));
                }
            })
        });
        reply.array(2);
        reply.bulk(next.to_string().as_bytes());
        reply.array(shown.len());
        shown.iter().for_each(|string| reply.bulk(string));
    })
}
