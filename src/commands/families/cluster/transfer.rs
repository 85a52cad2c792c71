//! CLUSTER RAFT TRANSFER: this node is to lead.
//!
//! Owns: who may ask for it. Must not: ask the leader (the node does, while the client waits). Contract: docs/protocol.md, "Leader
//! transfer".

use crate::commands::engine::{Context, Flow, Wait};

pub(super) fn transfer(ctx: &mut Context<'_>) -> Flow {
    let (me, raft) = (ctx.cluster.me, ctx.cluster.raft);
    match raft.leader() {
        Some(leader) if leader == me => ctx.done(),
        _ if !raft.is_voter(&me) => {
            let text = format!("ERR Node {me} is not a voter");
            ctx.fail(&text)
        }
        Some(_) => {
            ctx.log_asked("CLUSTER RAFT TRANSFER");
            Flow::Wait(Wait::Lead)
        }
        None => ctx.fail("ERR The cluster has no leader that could hand over"),
    }
}
