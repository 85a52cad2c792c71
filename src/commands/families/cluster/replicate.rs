//! CLUSTER REPLICATE: this node becomes a replica, or a primary without slots.
//!
//! Owns: who may ask for it, in Redis' words, and the entry that is proposed. Must not: change anything (the entry does, once applied), or
//! sync with a primary (the node does, once it has one). Contract: docs/protocol.md, "Log entries".

use super::{member, wrong_arguments};
use crate::cluster::change::SetReplicaOf;
use crate::cluster::{Outcome, Reason};
use crate::commands::engine::parse::is;
use crate::commands::engine::{Context, Flow, Wait};
use crate::types::{NodeId, ShardId};
use crate::wire::Args;

/// `CLUSTER REPLICATE <node-id>` and, from Valkey 9, `CLUSTER REPLICATE NO ONE`.
pub(super) fn replicate(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    match args.len() {
        3 => replicate_member(ctx, args.get(2)),
        4 if is(args.get(2), "no") && is(args.get(3), "one") => replicate_nobody(ctx),
        _ => wrong_arguments(ctx, args.get(1)),
    }
}

/// A primary that owns slots or holds keys would lose them. A replica's keys are copies.
fn replicate_member(ctx: &mut Context<'_>, name: &[u8]) -> Flow {
    let Some(primary) = member(ctx, name) else { return Flow::Done };
    let is_primary = |id: &NodeId| ctx.cluster.state.member(id).is_some_and(|member| member.is_primary());
    if primary == ctx.cluster.me {
        return ctx.fail(Reason::SelfReplica.message());
    }
    if !is_primary(&primary) {
        return ctx.fail(Reason::PrimaryNotPrimary.message());
    }
    if is_primary(&ctx.cluster.me) && !ctx.keyspace.is_empty() {
        return ctx.fail(Reason::NotEmpty.message());
    }
    let shard = ctx.cluster.state.member(&primary).map(|member| member.shard);
    propose(ctx, Some(primary), shard)
}

/// The new shard's id is made of this node's and of an index, so that nobody has the same, nor this node from another time.
fn replicate_nobody(ctx: &mut Context<'_>) -> Flow {
    if !ctx.cluster.is_replica() {
        return ctx.done();
    }
    let mut shard = *ctx.cluster.me.as_bytes();
    shard[12..].copy_from_slice(&ctx.cluster.state.last_applied().to_be_bytes());
    propose(ctx, None, Some(ShardId::from_bytes(shard)))
}

/// Proposed even if it is so already as far as this node knows: it may lag, and an OK must not rest on that.
fn propose(ctx: &mut Context<'_>, primary: Option<NodeId>, target: Option<ShardId>) -> Flow {
    let (id, state) = (ctx.cluster.me, ctx.cluster.state);
    if ctx.cluster.awaited {
        return ctx.fail("ERR The successor of this node may not have all of its keys yet");
    }
    let (Some(me), Some(target)) = (state.member(&id), target) else { return ctx.fail(Reason::ProposerNotMember.message()) };
    let change = SetReplicaOf { id, source: (me.shard, state.epoch(&me.shard)), primary, target: (target, state.epoch(&target)) }.into();
    match state.would(&change) {
        Outcome::Rejected(reason) => ctx.fail(reason.message()),
        Outcome::Applied | Outcome::Stale => Flow::Wait(Wait::Changes(vec![change])),
    }
}
