//! OBJECT: how a key's value is kept.
//!
//! Owns: the replies. Contract: Redis 7.2.

use crate::commands::engine::{Command, Context, Flag, Flow, Group, KeyFlag, KeySpec};
use crate::keyspace::Entry;
use crate::wire::{Args, Reply};

const KEY: &[KeySpec] = &[KeySpec::range(2, 2, 1, &[KeyFlag::ReadOnly])];
const LOOK: &[Flag] = &[Flag::Readonly];
const PASSING: &[&str] = &["nondeterministic_output"];

/// The family's commands.
pub const COMMANDS: &[Command] =
    &[Command::container("object", Group::GENERIC, "2.2.3", "A container for object introspection commands.", SUBCOMMANDS)];

const SUBCOMMANDS: &[Command] = &[
    Command::new("encoding", 3, LOOK, Group::GENERIC, "2.2.3", "Returns the internal encoding of an object.", encoding)
        .keys(KEY)
        .tips(PASSING),
    Command::new("freq", 3, LOOK, Group::GENERIC, "4.0.0", "Returns the logarithmic access frequency counter of an object.", freq)
        .keys(KEY)
        .tips(PASSING),
    Command::new(
        "help",
        2,
        &[Flag::Loading, Flag::Stale],
        Group::GENERIC,
        "6.2.0",
        "Returns helpful text about the different subcommands.",
        help,
    ),
    Command::new("idletime", 3, LOOK, Group::GENERIC, "2.2.3", "Returns the time since the last access to an object.", idletime)
        .keys(KEY)
        .tips(PASSING),
    Command::new("refcount", 3, LOOK, Group::GENERIC, "2.2.3", "Returns the reference count of a value of a key.", refcount)
        .keys(KEY)
        .tips(PASSING),
];

/// Answers from all that the key holds, or null. It does not count as used, but as looked for; a miss is no event.
fn look(ctx: &mut Context<'_>, args: Args<'_>, answer: impl FnOnce(&mut Reply<'_>, &Entry<'_>)) -> Flow {
    let entry = ctx.keyspace.entry(ctx.slot, args.get(2), ctx.now.wall);
    ctx.server.stats.looked_up(entry.is_some());
    match entry {
        Some(entry) => answer(&mut ctx.reply, &entry),
        None => ctx.reply.null(),
    }
    Flow::Done
}

fn encoding(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    look(ctx, args, |reply, entry| reply.bulk(entry.value.encoding().as_bytes()))
}

fn refcount(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    look(ctx, args, |reply, _| reply.int(1))
}

fn idletime(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let clock = ctx.keyspace.clock();
    look(ctx, args, |reply, entry| reply.int(entry.access.idle(clock).cast_signed()))
}

/// There is no eviction, and so nothing counts how often a key is used.
fn freq(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    const NOT_COUNTED: &str = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.";
    look(ctx, args, |reply, _| reply.error(NOT_COUNTED))
}

fn help(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    ctx.help(
        "OBJECT",
        &[
            "ENCODING <key>",
            "    Return the kind of internal representation used in order to store the value",
            "    associated with a <key>.",
            "FREQ <key>",
            "    Return the access frequency index of the <key>. The returned integer is",
            "    proportional to the logarithm of the recent access frequency of the key.",
            "IDLETIME <key>",
            "    Return the idle time of the <key>, that is the approximated number of",
            "    seconds elapsed since the last access to the key.",
            "REFCOUNT <key>",
            "    Return the number of references of the value associated with the specified",
            "    <key>.",
        ],
    );
    Flow::Done
}
