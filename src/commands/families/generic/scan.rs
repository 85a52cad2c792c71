//! Walking over all keys: SCAN, KEYS, RANDOMKEY.
//!
//! Owns: SCAN's options, and which keys of a step are shown. The walk and its guarantee are the keyspace's.

use crate::commands::engine::parse::{NOT_AN_INTEGER, SYNTAX_ERROR, about, cursor, integer, is};
use crate::commands::engine::{Command, Context, Flag, Flow, Group};
use crate::config::glob_matches;
use crate::keyspace::Entry;
use crate::types::Millis;
use crate::wire::Args;

/// Keys that one step of KEYS looks at.
const STEP: usize = 1000;
/// What SCAN looks at in one step, unless COUNT says otherwise.
const DEFAULT_COUNT: usize = 10;
/// The types that TYPE takes, Pontoon's own or not.
const TYPES: [&str; 6] = ["string", "list", "set", "zset", "hash", "stream"];
/// Redis' hints for clients: what comes is in no order, each shard is asked by itself, and SCAN's cursor is the node's own.
const UNORDERED: &[&str] = &["request_policy:all_shards", "nondeterministic_output_order"];
const RANDOM: &[&str] = &["request_policy:all_shards", "response_policy:special", "nondeterministic_output"];
const CURSOR: &[&str] = &["nondeterministic_output", "request_policy:special", "response_policy:special"];

/// The family's commands.
pub const COMMANDS: &[Command] = &[
    Command::new("keys", 2, &[Flag::Readonly], Group::GENERIC, "1.0.0", "Returns all keys that match a pattern.", keys)
        .categories(&["@dangerous"])
        .tips(UNORDERED),
    Command::new("randomkey", 1, &[Flag::Readonly], Group::GENERIC, "1.0.0", "Returns a random key.", randomkey).tips(RANDOM),
    Command::new("scan", -2, &[Flag::Readonly], Group::GENERIC, "2.8.0", "Walks over the keys, some at a time.", scan).tips(CURSOR),
];

/// Which entries are shown.
struct Filter<'a> {
    pattern: Option<&'a [u8]>,
    type_name: Option<&'a [u8]>,
    now: Millis,
}

impl Filter<'_> {
    fn shows(&self, entry: &Entry<'_>) -> bool {
        !entry.is_expired(self.now)
            && self.type_name.is_none_or(|name| is(name, entry.value.type_name()))
            && self.pattern.is_none_or(|pattern| glob_matches(pattern, entry.key, false))
    }
}

/// SCAN's options, and where it goes on.
struct Scan<'a> {
    cursor: u64,
    count: usize,
    filter: Filter<'a>,
}

impl<'a> Scan<'a> {
    /// Reads the arguments after the name, or says what is wrong.
    fn parse(args: Args<'a>, now: Millis) -> Result<Self, Vec<u8>> {
        let cursor = cursor(args.get(0)).ok_or("ERR invalid cursor")?;
        let mut scan = Self { cursor, count: DEFAULT_COUNT, filter: Filter { pattern: None, type_name: None, now } };
        let mut words = args.skip(1).iter();
        while let Some(word) = words.next() {
            let value = words.next().ok_or(SYNTAX_ERROR)?;
            if is(word, "count") {
                let count = integer(value).ok_or(NOT_AN_INTEGER)?;
                scan.count = usize::try_from(count).ok().filter(|count| *count > 0).ok_or(SYNTAX_ERROR)?;
            } else if is(word, "match") {
                scan.filter.pattern = (value != b"*").then_some(value);
            } else if is(word, "type") {
                if !TYPES.iter().any(|name| is(value, name)) {
                    return Err(about("ERR unknown type name '", value, "'"));
                }
                scan.filter.type_name = Some(value);
            } else {
                return Err(SYNTAX_ERROR.into());
            }
        }
        Ok(scan)
    }
}

fn scan(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let scan = match Scan::parse(args.skip(1), ctx.now.wall) {
        Ok(scan) => scan,
        Err(text) => return ctx.fail(text),
    };
    let mut found = Vec::new();
    let cursor = ctx.keyspace.scan(scan.cursor, scan.count, &mut |entry| {
        if scan.filter.shows(&entry) {
            found.push(entry.key);
        }
    });
    ctx.reply.array(2);
    ctx.reply.bulk(cursor.to_string().as_bytes());
    ctx.reply.array(found.len());
    found.into_iter().for_each(|key| ctx.reply.bulk(key));
    Flow::Done
}

fn keys(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let pattern = Some(args.get(1)).filter(|pattern| *pattern != b"*");
    let filter = Filter { pattern, type_name: None, now: ctx.now.wall };
    let (mut found, mut cursor) = (Vec::new(), 0);
    loop {
        cursor = ctx.keyspace.scan(cursor, STEP, &mut |entry| {
            if filter.shows(&entry) {
                found.push(entry.key);
            }
        });
        if cursor == 0 {
            break;
        }
    }
    ctx.reply.array(found.len());
    found.into_iter().for_each(|key| ctx.reply.bulk(key));
    Flow::Done
}

fn randomkey(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    match ctx.keyspace.random_key(ctx.now.wall) {
        Some(key) => ctx.reply.bulk(key),
        None => ctx.reply.null(),
    }
    Flow::Done
}
