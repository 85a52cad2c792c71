//! What replicas say: REPLCONF, PSYNC, SYNC.
//!
//! Owns: reading their words. Must not: send them anything but replies (the node feeds those that have asked).
//! Contract: docs/protocol.md, "Replication"; the words are those of Redis' replicas.

use super::context::{Context, Flow};
use super::parse::{NOT_AN_INTEGER, SYNTAX_ERROR, integer, is, shown};
use super::table::{Command, Flag, Group};
use crate::replication::{Replica, Request};
use crate::types::ReplId;
use crate::wire::Args;

/// The longest address that a replica may announce.
const MAX_IP: usize = 255;

/// The family's commands.
pub const COMMANDS: &[Command] = &[
    Command::new(
        "psync",
        -3,
        &[Flag::Admin, Flag::NoScript, Flag::NoMulti],
        Group::Server,
        "2.8.0",
        "An internal command used in replication.",
        psync,
    ),
    Command::new(
        "replconf",
        -1,
        &[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale, Flag::AllowBusy],
        Group::Server,
        "3.0.0",
        "An internal command for configuring the replication stream.",
        replconf,
    ),
    Command::new(
        "sync",
        1,
        &[Flag::Admin, Flag::NoScript, Flag::NoMulti],
        Group::Server,
        "1.0.0",
        "An internal command used in replication.",
        sync,
    ),
];

fn sync(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    ask(ctx, Request::Sync)
}

fn psync(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    if args.len() > 3 {
        return ctx.fail("ERR PSYNC takes a history and an offset only: failovers of a cluster are CLUSTER FAILOVER");
    }
    let id: Option<ReplId> = std::str::from_utf8(args.get(1)).ok().and_then(|id| id.parse().ok());
    let next = integer(args.get(2)).and_then(|next| u64::try_from(next).ok());
    ask(ctx, Request::Psync(id.zip(next)))
}

/// The node answers: what becomes of the client from here on is no reply.
fn ask(ctx: &mut Context<'_>, request: Request) -> Flow {
    replica(ctx).ask(request);
    Flow::Done
}

/// The asking client as a replica, which it may become.
fn replica<'a>(ctx: &'a mut Context<'_>) -> &'a mut Replica {
    let now = ctx.now.mono;
    ctx.client.replica.get_or_insert_with(|| Box::new(Replica::introducing(now)))
}

fn replconf(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    if args.len().is_multiple_of(2) {
        return ctx.fail(SYNTAX_ERROR);
    }
    for at in (1..args.len()).step_by(2) {
        match configure(ctx, args.get(at), args.get(at + 1)) {
            Ok(Answer::Given) => {}
            Ok(Answer::None) => return Flow::Done,
            Err(text) => return ctx.fail(&text),
        }
    }
    ctx.done()
}

/// Whether an option has an answer at all.
enum Answer {
    Given,
    None,
}

fn configure(ctx: &mut Context<'_>, option: &[u8], value: &[u8]) -> Result<Answer, String> {
    let number = || integer(value).ok_or_else(|| NOT_AN_INTEGER.to_owned());
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
                return Err(format!("ERR REPLCONF ip-address provided by replica instance is too long: {} bytes", ip.len()));
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
        _ if is(option, "rdb-only") => replica(ctx).profile.rdb_only = number()? != 0,
        _ if is(option, "rdb-filter-only") => {
            let unknown = value.split(u8::is_ascii_whitespace).find(|word| !word.is_empty() && !is(word, "functions"));
            if let Some(word) = unknown {
                return Err(format!("ERR Unsupported rdb-filter-only option: {}", shown(word, 128)));
            }
            replica(ctx).profile.no_keys = true;
        }
        _ => return Err(format!("ERR Unrecognized REPLCONF option: {}", shown(option, 128))),
    }
    Ok(Answer::Given)
}
