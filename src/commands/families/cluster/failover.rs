//! CLUSTER FAILOVER: this replica is to take over from its primary.
//!
//! Owns: who may ask for it. Must not: carry it out (the node does, while the client waits). Contract: docs/protocol.md, "Failover".

use super::wrong_arguments;
use crate::cluster::FailoverKind;
use crate::cluster::change::Failover;
use crate::commands::engine::parse::{SYNTAX_ERROR, is};
use crate::commands::engine::{Context, Flow, Wait};
use crate::wire::Args;

pub(super) fn failover(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let kind = match args.nth(2) {
        _ if args.len() > 3 => return wrong_arguments(ctx, args.get(1)),
        None => FailoverKind::Manual,
        Some(word) if is(word, "force") => FailoverKind::Force,
        Some(word) if is(word, "takeover") => FailoverKind::Takeover,
        Some(_) => return ctx.fail(SYNTAX_ERROR),
    };
    let (me, state) = (ctx.cluster.me, ctx.cluster.state);
    let Some(primary) = state.member(&me).and_then(|member| member.primary).and_then(|primary| state.member(&primary)) else {
        return ctx.fail("ERR You should send CLUSTER FAILOVER to a replica");
    };
    let in_sync = ctx.cluster.upstream.is_some_and(|upstream| upstream.in_sync);
    match kind {
        FailoverKind::Manual if primary.failed => ctx.fail("ERR Master is down or failed, please use CLUSTER FAILOVER FORCE"),
        FailoverKind::Manual if !in_sync => ctx.fail("ERR This replica has not completed a sync with its master yet"),
        FailoverKind::Manual => Flow::Wait(Wait::Failover),
        // One that has come back with an older copy may be all that is left; one with nothing would take the place of everything.
        FailoverKind::Force if !in_sync && ctx.keyspace.is_empty() => {
            ctx.fail("ERR This replica has no keys of its master: CLUSTER FAILOVER TAKEOVER promotes it all the same, without them")
        }
        kind => {
            let change =
                Failover { replica: me, primary: primary.id, shard: primary.shard, epoch: state.epoch(&primary.shard), kind }.into();
            Flow::Wait(Wait::Changes(vec![change]))
        }
    }
}
