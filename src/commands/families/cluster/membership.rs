//! Changing who belongs to the cluster and who votes, and what Redis has beside it.
//!
//! Owns: MEET, FORGET, RESET, ADDVOTER, DELVOTER, RECOVER, SAVECONFIG, and the epoch commands that Raft leaves without effect.
//! Must not: talk to peers: the node does, while the client waits. Contract: docs/protocol.md, "Membership and voting".

use super::{member, node_id, unknown_node, wrong_arguments};
use crate::cluster::change::NodeForget;
use crate::cluster::{Outcome, Reason};
use crate::commands::engine::parse::{MOST_SHOWN, NOT_AN_INTEGER, SYNTAX_ERROR, about, integer, is, shown};
use crate::commands::engine::{Context, Flow, Wait};
use crate::types::NodeId;
use crate::wire::Args;
use std::net::IpAddr;

/// Added to a client port for the bus port that MEET does not name.
const BUS_PORT_OFFSET: i64 = 10_000;

pub(super) fn meet(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    if args.len() > 5 {
        return wrong_arguments(ctx, args.get(1));
    }
    let Some(port) = integer(args.get(3)) else { return bad_port(ctx, "base", args.get(3)) };
    let bus_port = match args.nth(4) {
        None => port.saturating_add(BUS_PORT_OFFSET),
        Some(arg) => match integer(arg) {
            Some(port) => port,
            None => return bad_port(ctx, "bus", arg),
        },
    };
    let ip = std::str::from_utf8(args.get(2)).ok().and_then(|ip| ip.parse::<IpAddr>().ok());
    let valid = |port| u16::try_from(port).ok().filter(|port| *port != 0);
    match (ip, valid(port), valid(bus_port)) {
        (Some(ip), Some(port), Some(bus_port)) => Flow::Wait(Wait::Meet { ip: ip.to_string(), port, bus_port }),
        _ => {
            let (before, port) = (about("ERR Invalid node address specified: ", args.get(2), ":"), shown(args.get(3), MOST_SHOWN));
            ctx.fail([&before, port].concat())
        }
    }
}

fn bad_port(ctx: &mut Context<'_>, which: &str, arg: &[u8]) -> Flow {
    ctx.fail(about(&format!("ERR Invalid {which} port specified: "), arg, ""))
}

/// An id that is no member goes to the node as well: it knows who was forgotten a moment ago, because tools send FORGET to every node.
pub(super) fn forget(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let Some(id) = node_id(args.get(2)) else { return unknown_node(ctx, args.get(2)) };
    let (me, state) = (ctx.cluster.me, ctx.cluster.state);
    if id == me {
        return ctx.fail("ERR I tried hard but I can't forget myself...");
    }
    if state.member(&me).and_then(|member| member.primary) == Some(id) {
        return ctx.fail("ERR Can't forget my master!");
    }
    match state.would(&NodeForget { id, epoch: state.epoch_of(&id).unwrap_or(0) }.into()) {
        // A voter is demoted first, and of an unknown node the node knows more.
        Outcome::Applied | Outcome::Stale | Outcome::Rejected(Reason::IsVoter | Reason::UnknownNode) => Flow::Wait(Wait::Forget(id)),
        Outcome::Rejected(reason) => ctx.fail(reason.message()),
    }
}

pub(super) fn reset(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let hard = match args.nth(2) {
        _ if args.len() > 3 => return wrong_arguments(ctx, args.get(1)),
        None => false,
        Some(arg) if is(arg, "soft") => false,
        Some(arg) if is(arg, "hard") => true,
        Some(_) => return ctx.fail(SYNTAX_ERROR),
    };
    let replica = ctx.cluster.state.member(&ctx.cluster.me).is_some_and(|member| !member.is_primary());
    if !replica && !ctx.keyspace.is_empty() {
        return ctx.fail("ERR CLUSTER RESET can't be called with master nodes containing keys");
    }
    Flow::Wait(Wait::Reset { hard })
}

pub(super) fn addvoter(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    change_voter(ctx, args, true)
}

pub(super) fn delvoter(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    change_voter(ctx, args, false)
}

/// Judged by the latest set, appended or not: that is the one in force.
fn change_voter(ctx: &mut Context<'_>, args: Args<'_>, to_vote: bool) -> Flow {
    let Some(id) = member(ctx, args.get(2)) else { return Flow::Done };
    let votes = ctx.cluster.raft.voters().contains(&id);
    match (to_vote, votes) {
        (true, false) => Flow::Wait(Wait::AddVoter(id)),
        (false, true) => Flow::Wait(Wait::DelVoter(id)),
        (true, true) => fail_about(ctx, &id, "is already a voter"),
        (false, false) => fail_about(ctx, &id, "is not a voter"),
    }
}

fn fail_about(ctx: &mut Context<'_>, id: &NodeId, what: &str) -> Flow {
    let text = format!("ERR Node {id} {what}");
    ctx.fail(&text)
}

/// The word QUORUM is there to be typed: this is the last resort.
pub(super) fn recover(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    if is(args.get(2), "quorum") { Flow::Wait(Wait::RecoverQuorum) } else { ctx.fail(SYNTAX_ERROR) }
}

pub(super) fn saveconfig(_ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    Flow::Wait(Wait::SaveConfig)
}

/// Checked as in Redis, without another effect: an epoch here is the index of a log entry.
pub(super) fn set_config_epoch(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    match integer(args.get(2)) {
        None => ctx.fail(NOT_AN_INTEGER),
        Some(epoch) if epoch < 0 => {
            let text = format!("ERR Invalid config epoch specified: {epoch}");
            ctx.fail(&text)
        }
        Some(_) if ctx.cluster.state.member_count() > 1 || ctx.cluster.joining => {
            ctx.fail("ERR The user can assign a config epoch only when the node does not know any other node.")
        }
        Some(_) if ctx.server.config_epoch_given => ctx.fail("ERR Node config epoch is already non-zero"),
        Some(epoch) => {
            ctx.server.config_epoch_given = epoch > 0;
            ctx.done()
        }
    }
}

/// Whatever there is, an epoch is already above all earlier ones: it is where the log has given this shard something.
pub(super) fn bumpepoch(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    let text = format!("STILL {}", ctx.cluster.state.epoch_of(&ctx.cluster.me).unwrap_or(0));
    ctx.reply.simple(&text);
    Flow::Done
}

/// There are no reports to count: the flag itself is agreed on.
pub(super) fn count_failure_reports(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let Some(id) = member(ctx, args.get(2)) else { return Flow::Done };
    let failed = ctx.cluster.state.member(&id).is_some_and(|member| member.failed);
    ctx.reply.int(i64::from(failed));
    Flow::Done
}
