//! Which requests are refused or held though this node serves their keys.
//!
//! Owns: the rules while keys are loaded or cannot be saved, while clients are paused, and while this
//! node joins a cluster.
//! Must not: keep the held requests or end a pause (the node does). Contract: docs/operations.md, "Saving keys", "Replicas and failover".

use super::command::{Command, Flag};
use super::context::Context;
use crate::commands::table;
use crate::session::Held;

/// Why a command is not run now, if it is not: the keys are still being loaded, or what it writes could not be saved.
pub(super) fn refusal(ctx: &Context<'_>, command: &Command) -> Option<&'static str> {
    let persistence = &ctx.server.persistence;
    if persistence.failed && (writes(ctx, command) || command.has(Flag::Probe)) && is_bound_to_save(ctx) {
        return Some(
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.",
        );
    }
    (persistence.loading.is_some() && !command.has(Flag::Loading)).then_some("LOADING Redis is loading the dataset in memory")
}

/// Whether it writes, or runs a queue in which something does.
pub(super) fn writes(ctx: &Context<'_>, command: &Command) -> bool {
    let queued = || ctx.client.multi.as_ref().is_some_and(|transaction| transaction.writes());
    command.has(Flag::Write) || (command.has(Flag::RunsQueue) && queued())
}

fn is_bound_to_save(ctx: &Context<'_>) -> bool {
    ctx.config.stop_writes_on_bgsave_error && !ctx.config.save.is_empty() && !ctx.cluster.is_replica() && !ctx.client.is_primary
}

/// Whether an admitted request has to wait for the end of a pause, or until this node is a member of the cluster that it joins.
pub(super) fn holds(ctx: &Context<'_>, command: &Command) -> bool {
    if ctx.cluster.joins_soon && needs_membership(ctx, command) {
        return true;
    }
    // A primary's stream has been written already: a replica only catches up with it.
    let Some(pause) = ctx.pause.filter(|_| !ctx.client.is_primary) else { return false };
    pause.held == Held::All || writes(ctx, command)
}

/// Whether it is a member's to do, or runs a queue in which something is.
fn needs_membership(ctx: &Context<'_>, command: &Command) -> bool {
    let is_members = |id| table().get(id).command.has(Flag::AsMember);
    let queued = || ctx.client.multi.as_ref().is_some_and(|transaction| transaction.commands().any(is_members));
    command.has(Flag::AsMember) || (command.has(Flag::RunsQueue) && queued())
}
