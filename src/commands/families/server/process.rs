//! The process: SHUTDOWN, TIME, MEMORY USAGE.
//!
//! Owns: the replies. Must not: end the process (the node does), or read a clock.

use crate::commands::engine::parse::{NOT_AN_INTEGER, SYNTAX_ERROR, integer, is};
use crate::commands::engine::{Command, Context, Flag, Flow, Group, KeyFlag, KeySpec, Wait};
use crate::config::ShutdownOptions;
use crate::wire::Args;

const SERVER: Group = Group::SERVER;
const TELLS: &[Flag] = &[Flag::Loading, Flag::Stale, Flag::Fast];
/// What a key costs beside its own bytes and its value's: its place in the table, lengths, and room left for growth.
const KEY_OVERHEAD_BYTES: usize = 24;

/// The family's commands.
pub const COMMANDS: &[Command] = &[
    Command::container("memory", SERVER, "4.0.0", "A container for memory diagnostics commands.", MEMORY),
    Command::new(
        "shutdown",
        -1,
        &[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale, Flag::NoMulti, Flag::AllowBusy],
        SERVER,
        "1.0.0",
        "Saves the cluster's metadata and the keys and shuts the server down.",
        shutdown,
    )
    .also(&[Flag::Logged]),
    Command::new("time", 1, TELLS, SERVER, "2.6.0", "Returns the server time.", time).tips(&["nondeterministic_output"]),
];

const MEMORY: &[Command] = &[
    Command::new("help", 2, &[Flag::Loading, Flag::Stale], SERVER, "4.0.0", "Returns helpful text about the different subcommands.", help),
    Command::new("usage", -3, &[Flag::Readonly], SERVER, "4.0.0", "Estimates the memory usage of a key.", usage).keys(&[KeySpec::range(
        2,
        2,
        1,
        &[KeyFlag::ReadOnly],
    )]),
];

/// NOW does not wait for anything to be handed over, FORCE does not care whether the keys can be saved.
fn shutdown(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    if args.len() == 2 && is(args.get(1), "abort") {
        return Flow::Wait(Wait::AbortShutdown);
    }
    let mut options = ShutdownOptions::default();
    let taken = args.skip(1).iter().all(|word| !is(word, "default") && options.take(word).is_ok());
    if taken { Flow::Wait(Wait::Shutdown(options)) } else { ctx.fail(SYNTAX_ERROR) }
}

fn time(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    let wall = ctx.now.wall;
    ctx.reply.array(2);
    ctx.reply.bulk((wall / 1000).to_string().as_bytes());
    ctx.reply.bulk((wall % 1000 * 1000).to_string().as_bytes());
    Flow::Done
}

fn usage(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let mut words = args.skip(3).iter();
    while let Some(word) = words.next() {
        match words.next().filter(|_| is(word, "samples")).map(integer) {
            Some(Some(0..)) => {}
            Some(None) => return ctx.fail(NOT_AN_INTEGER),
            _ => return ctx.fail(SYNTAX_ERROR),
        }
    }
    let key = args.get(2);
    match ctx.keyspace.entry(ctx.slot, key, ctx.now.wall) {
        None => ctx.reply.null(),
        Some(entry) => ctx.reply.int((key.len() + entry.value.cost() + KEY_OVERHEAD_BYTES) as i64),
    }
    Flow::Done
}

fn help(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    ctx.help("MEMORY", &["USAGE <key> [SAMPLES <count>]", "    Return an estimate of the memory in bytes used by <key> and its value."]);
    Flow::Done
}
