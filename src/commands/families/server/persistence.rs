//! Saving the keys: SAVE, BGSAVE, LASTSAVE.
//!
//! Owns: the replies. Must not: touch a file (the node does). Contract: docs/operations.md, "Saving keys".

use crate::commands::engine::parse::{SYNTAX_ERROR, is};
use crate::commands::engine::{Command, Context, Flag, Flow, Group, Wait};
use crate::wire::Args;

const SAVES: &[Flag] = &[Flag::Admin, Flag::NoScript, Flag::NoAsyncLoading];
const IN_PROGRESS: &str = "ERR Background save already in progress";

/// The family's commands.
pub const COMMANDS: &[Command] = &[
    Command::new("bgsave", -1, SAVES, Group::SERVER, "1.0.0", "Saves the keys to disk, in the background.", bgsave),
    Command::new(
        "lastsave",
        1,
        &[Flag::Loading, Flag::Stale, Flag::Fast],
        Group::SERVER,
        "1.0.0",
        "Returns the Unix timestamp of the last successful save to disk.",
        lastsave,
    )
    .tips(&["nondeterministic_output"])
    .categories(&["@admin", "@dangerous"]),
    Command::new(
        "save",
        1,
        &[Flag::Admin, Flag::NoScript, Flag::NoAsyncLoading, Flag::NoMulti],
        Group::SERVER,
        "1.0.0",
        "Saves the keys to disk, and answers when they are there.",
        save,
    ),
];

/// With and without SCHEDULE the same: a save waits for nothing but another save.
fn bgsave(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    if args.len() > 2 || args.nth(1).is_some_and(|word| !is(word, "schedule")) {
        return ctx.fail(SYNTAX_ERROR);
    }
    let persistence = &mut ctx.server.persistence;
    if persistence.saving_since.is_some() || persistence.save_asked {
        return ctx.fail(IN_PROGRESS);
    }
    persistence.save_asked = true;
    // What an EXEC writes after this is saved too.
    ctx.reply.simple(if ctx.stream.in_unit() { "Background saving scheduled" } else { "Background saving started" });
    Flow::Done
}

fn save(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    let persistence = &ctx.server.persistence;
    if persistence.saving_since.is_some() || persistence.save_asked {
        return ctx.fail(IN_PROGRESS);
    }
    Flow::Wait(Wait::Save)
}

fn lastsave(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    ctx.reply.int((ctx.server.persistence.saved_at / 1000) as i64);
    Flow::Done
}
