//! Replicas and who asks after them: REPLCONF, PSYNC, SYNC; ROLE, WAIT; REPLICAOF, SLAVEOF and FAILOVER, which a cluster does not have.
//!
//! Owns: reading replicas' words. Must not: send them anything but replies (the node feeds those that have asked).
//! Contract: docs/protocol.md, "Replication"; the words are those of Redis' replicas.

use crate::commands::engine::parse::{NOT_AN_INTEGER, SYNTAX_ERROR, about, integer, is};
use crate::commands::engine::replicas::{Shown, replicas};
use crate::commands::engine::{Command, Context, Flag, Flow, Group, UpstreamLink, Wait};
use crate::replication::{Replica, Request};
use crate::types::ReplId;
use crate::wire::Args;
use crate::wire::number::parse_u64;
use std::str::FromStr;

/// The longest address that a replica may announce.
const MAX_IP: usize = 255;

/// The family's commands.
pub const COMMANDS: &[Command] = &[
    Command::new(
        "failover",
        -1,
        &[Flag::Admin, Flag::NoScript, Flag::Stale],
        Group::SERVER,
        "6.2.0",
        "Starts a coordinated failover from a server to one of its replicas.",
        failover,
    ),
    Command::new(
        "psync",
        -3,
        &[Flag::Admin, Flag::NoScript, Flag::NoAsyncLoading, Flag::NoMulti],
        Group::SERVER,
        "2.8.0",
        "An internal command used in replication.",
        psync,
    )
    // A former primary has its successor's keys, whatever it shows to clients.
    .also(&[Flag::Replica, Flag::Stale]),
    Command::new(
        "replconf",
        -1,
        &[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale, Flag::AllowBusy],
        Group::SERVER,
        "3.0.0",
        "An internal command for configuring the replication stream.",
        replconf,
    )
    .also(&[Flag::Replica]),
    Command::new(
        "replicaof",
        3,
        REPLICATES,
        Group::SERVER,
        "5.0.0",
        "Configures a server as replica of another, or promotes it to a master.",
        replicaof,
    ),
    Command::new("role", 1, TELLS, Group::SERVER, "2.8.12", "Returns the replication role.", role).categories(&["@admin", "@dangerous"]),
    Command::new(
        "slaveof",
        3,
        REPLICATES,
        Group::SERVER,
        "1.0.0",
        "Sets a Redis server as a replica of another, or promotes it to being a master.",
        replicaof,
    ),
    Command::new(
        "sync",
        1,
        &[Flag::Admin, Flag::NoScript, Flag::NoAsyncLoading, Flag::NoMulti],
        Group::SERVER,
        "1.0.0",
        "An internal command used in replication.",
        sync,
    )
    .also(&[Flag::Replica]),
    Command::new(
        "wait",
        3,
        &[Flag::Blocking],
        // As in Valkey, of the generic group, and not of its category.
        Group { category: Some("@connection"), ..Group::GENERIC },
        "3.0.0",
        "Blocks until the asynchronous replication of all preceding write commands sent by the connection is completed.",
        wait,
    )
    .tips(&["request_policy:all_shards", "response_policy:agg_min"]),
];

const REPLICATES: &[Flag] = &[Flag::Admin, Flag::NoAsyncLoading, Flag::NoScript, Flag::Stale];
const TELLS: &[Flag] = &[Flag::NoScript, Flag::Loading, Flag::Stale, Flag::Fast];
const WAIT_AT_REPLICA: &str = "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be \
     writable (which is not the default) writes to replicas are just local and are not propagated.";

fn role(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    if let Some(primary) = ctx.cluster.primary().and_then(|id| ctx.cluster.state.member(&id)) {
        ctx.reply.array(5);
        ctx.reply.bulk(b"slave");
        ctx.reply.bulk(primary.address.ip.as_bytes());
        ctx.reply.int(i64::from(primary.address.port));
        let (state, offset) = match ctx.cluster.upstream.map(|upstream| upstream.link) {
            Some(UpstreamLink::Up) => ("connected", ctx.stream.offset().cast_signed()),
            Some(UpstreamLink::Loading { .. }) => ("sync", -1),
            Some(UpstreamLink::Down { .. }) | None => ("connect", -1),
        };
        ctx.reply.bulk(state.as_bytes());
        ctx.reply.int(offset);
        return Flow::Done;
    }
    let online: Vec<Shown> = replicas(ctx).into_iter().filter(|replica| replica.online).collect();
    ctx.reply.array(3);
    ctx.reply.bulk(b"master");
    ctx.reply.int(ctx.stream.offset().cast_signed());
    ctx.reply.array(online.len());
    for Shown { ip, port, acked, .. } in online {
        ctx.reply.array(3);
        for word in [ip, port.to_string(), acked.to_string()] {
            ctx.reply.bulk(word.as_bytes());
        }
    }
    Flow::Done
}

fn replicaof(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    ctx.fail("ERR REPLICAOF not allowed in cluster mode.")
}

fn wait(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    if ctx.cluster.is_replica() {
        return ctx.fail(WAIT_AT_REPLICA);
    }
    let Some(count) = integer(args.get(1)) else { return ctx.fail(NOT_AN_INTEGER) };
    let until = match integer(args.get(2)).map(u64::try_from) {
        None => return ctx.fail("ERR timeout is not an integer or out of range"),
        Some(Err(_)) => return ctx.fail("ERR timeout is negative"),
        Some(Ok(0)) => None,
        Some(Ok(ms)) => Some(ctx.now.mono.saturating_add(ms)),
    };
    let written = ctx.client.written;
    // Of an earlier reign: nobody knows whether its end is part of what this node, or any replica, has now.
    if written.offset > 0 && written.reign != ctx.cluster.reign {
        ctx.reply.int(0);
        return Flow::Done;
    }
    // A transaction does not wait: it would let others in between.
    if ctx.stream.in_unit() {
        let there = replicas(ctx).into_iter().filter(|replica| replica.online && replica.acked >= written.offset).count();
        ctx.reply.int(there as i64);
        return Flow::Done;
    }
    Flow::Wait(Wait::Replicas { written, count: u64::try_from(count).unwrap_or(0), until })
}

fn failover(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    ctx.fail("ERR FAILOVER not allowed in cluster mode. Use CLUSTER FAILOVER command instead.")
}

fn sync(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    ask(ctx, Request::Sync)
}

fn psync(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    if args.len() > 3 {
        return ctx.fail("ERR PSYNC takes a history and an offset only: failovers of a cluster are CLUSTER FAILOVER");
    }
    let id: Option<ReplId> = std::str::from_utf8(args.get(1)).ok().and_then(|id| id.parse().ok());
    let Some(next) = integer(args.get(2)) else { return ctx.fail(NOT_AN_INTEGER) };
    ask(ctx, Request::Psync(id.zip(u64::try_from(next).ok())))
}

/// The node answers: what becomes of the client from here on is no reply.
fn ask(ctx: &mut Context<'_>, request: Request) -> Flow {
    if ctx.config.has_secret() && !ctx.config.cluster_secret_foreign_sync && !ctx.client.is_keyed {
        return ctx.fail("NOPERM Only nodes that know the cluster's secret get a copy of the keys (cluster-secret-foreign-sync)");
    }
    if !ctx.client.subscriptions.is_empty() {
        return ctx.fail("ERR SYNC and PSYNC are not possible with subscriptions");
    }
    replica(ctx).ask(request);
    Flow::Done
}

/// The asking client as a replica, which it may become.
fn replica<'a>(ctx: &'a mut Context<'_>) -> &'a mut Replica {
    let now = ctx.now.mono;
    ctx.client.replica.get_or_insert_with(|| Box::new(Replica::introducing(now)))
}

fn replconf(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    // The last word, of a replica whose link ends though it lives.
    if args.len() == 2 && is(args.get(1), "closing") {
        if let Some(replica) = &mut ctx.client.replica {
            replica.profile.is_closing = true;
        }
        return Flow::Done;
    }
    if args.len().is_multiple_of(2) {
        return ctx.fail(SYNTAX_ERROR);
    }
    let mut told = None;
    for at in (1..args.len()).step_by(2) {
        match configure(ctx, args.get(at), args.get(at + 1)) {
            Ok(Answer::Given) => {}
            Ok(Answer::Number(number)) => told = Some(number),
            Ok(Answer::None) => return Flow::Done,
            Err(text) => return ctx.fail(&text),
        }
    }
    if let Some(number) = told {
        ctx.reply.simple(&format!("OK {number}"));
        return Flow::Done;
    }
    ctx.done()
}

/// Whether an argument is this id.
fn names<Id: FromStr + PartialEq>(arg: &[u8], id: &Id) -> bool {
    std::str::from_utf8(arg).is_ok_and(|text| text.parse::<Id>().is_ok_and(|named| named == *id))
}

/// Whether an option has an answer at all.
enum Answer {
    Given,
    /// With a number: the reign, or the nonce of the process.
    Number(u64),
    None,
}

/// What 0 and 1 say.
fn switch(number: i64) -> Result<bool, Vec<u8>> {
    match number {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err("ERR value is out of range, value must between 0 and 1".into()),
    }
}

/// Which of a cluster's nodes speaks, and which it means; none for another option.
fn introduce(ctx: &mut Context<'_>, option: &[u8], value: &[u8]) -> Option<Result<Answer, Vec<u8>>> {
    let answer = match option {
        _ if is(option, "cluster-id") && ctx.config.requires_secret() && !ctx.client.is_keyed => {
            Err("ERR This node takes members by the cluster's secret only (cluster-secret-file)".into())
        }
        _ if is(option, "cluster-id") => {
            let (me, cluster) = (ctx.cluster.me, ctx.cluster.state.cluster_id());
            if ctx.cluster.joining || !names(value, &cluster) {
                let text = format!("ERR This node is no member of the cluster that is meant: it is node {me}, in cluster {cluster}");
                return Some(Err(text.into()));
            }
            replica(ctx).profile.is_member = true;
            Ok(Answer::Given)
        }
        _ if is(option, "primary-id") => {
            let (me, reign) = (ctx.cluster.me, ctx.cluster.reign);
            // Who is to be a primary and has not applied that yet may hold less than its predecessor, which asks it as its replica. A
            // predecessor feeds its successor.
            let leads = ctx.cluster.has_final_offset || ctx.cluster.state.member(&me).is_some_and(|member| member.primary.is_none());
            match reign {
                _ if !names(value, &me) => Err(format!("ERR This node is not the primary that is meant: it is node {me}").into()),
                reign if leads && reign > 0 => Ok(Answer::Number(reign)),
                _ => Err("ERR This node does not know yet whether it is a primary".into()),
            }
        }
        // Who says which member it is knows what the last word of such a link is, and hears whose process it is linked with.
        _ if is(option, "node-id") => match std::str::from_utf8(value).ok().and_then(|id| id.parse().ok()) {
            None => Err("ERR REPLCONF node-id is no node's id".into()),
            id => {
                replica(ctx).profile.node = id;
                Ok(Answer::Given)
            }
        },
        _ if is(option, "process") => match parse_u64(value).filter(|nonce| *nonce != 0) {
            None => Err("ERR REPLCONF process is no nonce".into()),
            nonce => {
                replica(ctx).profile.process = nonce;
                Ok(Answer::Number(ctx.cluster.process))
            }
        },
        _ => return None,
    };
    Some(answer)
}

fn configure(ctx: &mut Context<'_>, option: &[u8], value: &[u8]) -> Result<Answer, Vec<u8>> {
    if let Some(answer) = introduce(ctx, option, value) {
        return answer;
    }
    let number = || integer(value).ok_or_else(|| Vec::from(NOT_AN_INTEGER));
    match option {
        _ if is(option, "ack") => {
            let now = ctx.now.mono;
            if let (Some(replica), Some(offset)) = (&mut ctx.client.replica, integer(value)) {
                replica.acknowledge(u64::try_from(offset).unwrap_or(0), now);
            }
            return Ok(Answer::None);
        }
        // Asked of replicas, by their primary, in its stream.
        _ if is(option, "getack") => return Ok(Answer::None),
        _ if is(option, "listening-port") => replica(ctx).profile.port = u16::try_from(number()?).unwrap_or(0),
        _ if is(option, "ip-address") => {
            let ip = std::str::from_utf8(value).ok().filter(|ip| ip.bytes().all(|byte| byte.is_ascii_graphic() && byte != b','));
            let ip = ip.ok_or("ERR REPLCONF ip-address provided by replica instance is no address")?;
            if ip.len() > MAX_IP {
                return Err(format!("ERR REPLCONF ip-address provided by replica instance is too long: {} bytes", ip.len()).into());
            }
            ip.clone_into(&mut replica(ctx).profile.ip);
        }
        _ if is(option, "capa") => {
            let profile = &mut replica(ctx).profile;
            profile.eof |= is(value, "eof");
            profile.psync2 |= is(value, "psync2");
        }
        // What every version that speaks this protocol understands is what is sent.
        _ if is(option, "version") => {}
        _ if is(option, "rdb-only") => replica(ctx).profile.rdb_only = switch(number()?)?,
        _ if is(option, "rdb-filter-only") => {
            let unknown = value.split(u8::is_ascii_whitespace).find(|word| !word.is_empty() && !is(word, "functions"));
            if let Some(word) = unknown {
                return Err(about("ERR Unsupported rdb-filter-only option: ", word, ""));
            }
            replica(ctx).profile.no_keys = true;
        }
        _ => return Err(about("ERR Unrecognized REPLCONF option: ", option, "")),
    }
    Ok(Answer::Given)
}
