//! CLIENT PAUSE and UNPAUSE, and which requests a pause holds.
//!
//! Owns: the rule. Must not: keep the held requests or end a pause (the node does). Contract: docs/operations.md, "Replicas and failover".

use super::context::{Context, Flow, Wait};
use super::parse::{integer, is};
use super::table::{Command, Flag};
use crate::types::Millis;
use crate::wire::Args;

/// Which requests wait.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Held {
    /// Those that change keys.
    Writes,
    /// Every one.
    All,
}

/// Requests are held, not refused, until a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pause {
    /// Which.
    pub held: Held,
    /// When it ends by itself (mono ms).
    pub until: Millis,
}

/// Whether an admitted request has to wait for the end of a pause.
pub(super) fn holds(ctx: &Context<'_>, command: &Command) -> bool {
    // A primary's stream has been written already: a replica only catches up with it.
    let Some(pause) = ctx.pause.filter(|_| !ctx.client.is_primary) else { return false };
    let queued = || ctx.client.multi.as_ref().is_some_and(|transaction| transaction.writes());
    pause.held == Held::All || command.has(Flag::Write) || (command.name == "exec" && queued())
}

pub(super) fn pause(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let held = match args.nth(3) {
        _ if args.len() > 4 => return ctx.fail("ERR unknown subcommand or wrong number of arguments for 'pause'. Try CLIENT HELP."),
        None => Held::All,
        Some(word) if is(word, "all") => Held::All,
        Some(word) if is(word, "write") => Held::Writes,
        Some(_) => return ctx.fail("ERR CLIENT PAUSE mode must be WRITE or ALL"),
    };
    match integer(args.get(2)).map(u64::try_from) {
        None => ctx.fail("ERR timeout is not an integer or out of range"),
        Some(Err(_)) => ctx.fail("ERR timeout is negative"),
        Some(Ok(ms)) => {
            let until = ctx.now.mono.saturating_add(ms);
            Flow::Wait(Wait::Pause(Pause { held, until }))
        }
    }
}

pub(super) fn unpause(_ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    Flow::Wait(Wait::Unpause)
}
