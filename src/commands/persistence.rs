//! Saving the keys: SAVE, BGSAVE, LASTSAVE, and which requests are refused while keys are loaded or cannot be saved.
//!
//! Owns: what is known of saving and loading, and the replies. Must not: touch a file (the node does). Contract: docs/operations.md, "Saving keys".

use super::context::{Context, Flow, Wait};
use super::parse::{SYNTAX_ERROR, is};
use super::table::{Command, Flag, Group};
use crate::types::{Millis, Now};
use crate::wire::Args;

const SAVES: &[Flag] = &[Flag::Admin, Flag::NoScript, Flag::NoAsyncLoading];
const IN_PROGRESS: &str = "ERR Background save already in progress";

/// The family's commands.
pub const COMMANDS: &[Command] = &[
    Command::new("bgsave", -1, SAVES, Group::Server, "1.0.0", "Saves the keys to disk, in the background.", bgsave),
    Command::new(
        "lastsave",
        1,
        &[Flag::Loading, Flag::Stale, Flag::Fast],
        Group::Server,
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
        Group::Server,
        "1.0.0",
        "Saves the keys to disk, and answers when they are there.",
        save,
    ),
];

/// What is known of the file of the keys. The node keeps it.
#[derive(Debug, Default)]
pub struct Persistence {
    /// The file is being loaded.
    pub loading: Option<Progress>,
    /// How many keys the last load brought, expired ones among them.
    pub keys_loaded: u64,
    /// Somebody wants a save to begin.
    pub save_asked: bool,
    /// A save is under way, begun then (mono ms).
    pub saving_since: Option<Millis>,
    /// When the last good save ended, or the process began (Unix time in ms).
    pub saved_at: Millis,
    /// [`crate::keyspace::Keyspace::dirty`] as it was when the last good save began.
    pub saved_dirty: u64,
    /// The last save failed.
    pub failed: bool,
    /// How long the last save took (ms).
    pub took: Option<Millis>,
    /// Good saves since the start.
    pub saves: u64,
}

/// How far a load is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// When it began.
    pub began: Now,
    /// The file's length in bytes.
    pub total: u64,
    /// How many of them were read.
    pub done: u64,
}

impl Progress {
    /// How many per cent are done.
    pub fn percent(&self) -> f64 {
        if self.total == 0 { 0.0 } else { self.done as f64 / self.total as f64 * 100.0 }
    }

    /// Seconds until it is done, if it goes on as it went.
    pub fn eta(&self, now: Now) -> u64 {
        let elapsed = now.mono.saturating_sub(self.began.mono) as f64 / 1000.0;
        let left = self.total.saturating_sub(self.done) as f64;
        if self.done == 0 { 1 } else { (elapsed * left / self.done as f64) as u64 }
    }
}

/// Why a command is not run now, if it is not: the keys are still being loaded, or what it writes could not be saved.
pub(super) fn refusal(ctx: &Context<'_>, command: &Command) -> Option<&'static str> {
    let persistence = &ctx.server.persistence;
    if persistence.failed && writes(ctx, command) && is_bound_to_save(ctx) {
        return Some(
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.",
        );
    }
    (persistence.loading.is_some() && !command.has(Flag::Loading)).then_some("LOADING Redis is loading the dataset in memory")
}

/// Redis counts PING too, so that who only watches hears of it.
fn writes(ctx: &Context<'_>, command: &Command) -> bool {
    let queued = || ctx.client.multi.as_ref().is_some_and(|transaction| transaction.writes());
    command.has(Flag::Write) || command.name == "ping" || (command.name == "exec" && queued())
}

fn is_bound_to_save(ctx: &Context<'_>) -> bool {
    ctx.config.stop_writes_on_bgsave_error && !ctx.config.save.is_empty() && !ctx.cluster.is_replica() && !ctx.client.is_primary
}

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
