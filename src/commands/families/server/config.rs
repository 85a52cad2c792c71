//! CONFIG: the options in use, from and to clients.
//!
//! Owns: the replies. Must not: know an option (the config room does), or write a file (the node does).

use crate::cluster::Address;
use crate::commands::engine::parse::{SYNTAX_ERROR, about};
use crate::commands::engine::{Command, Context, Flag, Flow, Group, Listen, Wait};
use crate::config::{Config, SetError};
use crate::wire::Args;
use std::collections::BTreeMap;

const ADMIN: &[Flag] = &[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale];
const SERVER: Group = Group::SERVER;

/// By which the cluster's secret is read anew.
const SECRETS: [&str; 3] = ["cluster-secret-file", "cluster-secret", "cluster-secret-required"];

/// The family's commands.
pub const COMMANDS: &[Command] =
    &[Command::container("config", SERVER, "2.0.0", "A container for server configuration commands.", SUBCOMMANDS)];

const SUBCOMMANDS: &[Command] = &[
    Command::new("get", -3, ADMIN, SERVER, "2.0.0", "Returns the effective values of configuration parameters.", get),
    Command::new("help", 2, &[Flag::Loading, Flag::Stale], SERVER, "5.0.0", "Returns helpful text about the different subcommands.", help),
    Command::new("resetstat", 2, ADMIN, SERVER, "2.0.0", "Resets the server's statistics.", resetstat)
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    Command::new("rewrite", 2, ADMIN, SERVER, "2.8.0", "Persists the effective configuration to file.", rewrite)
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    Command::new("set", -4, ADMIN, SERVER, "2.0.0", "Sets configuration parameters in-flight.", set)
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
];

fn get(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let mut found: BTreeMap<&str, Vec<u8>> = args.skip(2).iter().flat_map(|pattern| ctx.config.get(pattern)).collect();
    // No option decides it: the log does.
    let primary = ctx.cluster.primary().and_then(|primary| ctx.cluster.state.member(&primary));
    if let Some(Address { ip, port, .. }) = primary.map(|primary| &primary.address) {
        let named = ["replicaof", "slaveof"];
        found.iter_mut().filter(|(name, _)| named.contains(name)).for_each(|(_, value)| *value = format!("{ip} {port}").into_bytes());
    }
    ctx.reply.map(found.len());
    for (name, value) in found {
        ctx.reply.bulk(name.as_bytes());
        ctx.reply.bulk(&value);
    }
    Flow::Done
}

fn set(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    if !args.len().is_multiple_of(2) {
        return ctx.fail(SYNTAX_ERROR);
    }
    let mut pairs = Vec::with_capacity(args.len() / 2 - 1);
    for at in (2..args.len()).step_by(2) {
        let (name, value) = (args.get(at), args.get(at + 1));
        // A name with a NUL is none of an option, and shown as far as that.
        let Some(name) = std::str::from_utf8(name).ok().filter(|name| !name.contains('\0')) else {
            let text = about("ERR Unknown option or number of arguments for CONFIG SET - '", name, "'");
            let before = Config::check_names(pairs.iter().map(|(name, _)| *name));
            return ctx.fail(before.err().map_or(text, |error| error.to_string().into_bytes()));
        };
        pairs.push((name, value));
    }
    let next = match ctx.config.with(&pairs) {
        Ok(next) => next,
        Err(error) => return ctx.fail(error.to_string()),
    };
    // Names only: a value may be a password.
    let names: Vec<&str> = pairs.iter().map(|(name, _)| *name).collect();
    ctx.log_asked(&format!("CONFIG SET {}", names.join(" ")));
    // The file may have changed though its name has not.
    let secrets = names.iter().find(|name| SECRETS.iter().any(|option| option.eq_ignore_ascii_case(name))).map(|name| (*name).to_owned());
    if secrets.is_some() || !next.listens_as(ctx.config) {
        let unlistened = SetError::unlistened(&names).to_string();
        return Flow::Wait(Wait::Listen(Listen { next: Box::new(next), unlistened, secrets }));
    }
    *ctx.config = next;
    ctx.server.config_changed = true;
    ctx.done()
}

fn rewrite(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    if ctx.config.file.is_none() {
        return ctx.fail("ERR The server is running without a config file");
    }
    Flow::Wait(Wait::RewriteConfig)
}

fn resetstat(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    ctx.server.stats.reset();
    ctx.keyspace.forget_expired_count();
    ctx.done()
}

fn help(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    ctx.help(
        "CONFIG",
        &[
            "GET <pattern>",
            "    Return parameters matching the glob-like <pattern> and their values.",
            "SET <directive> <value>",
            "    Set the configuration <directive> to <value>.",
            "RESETSTAT",
            "    Reset statistics reported by the INFO command.",
            "REWRITE",
            "    Rewrite the configuration file.",
        ],
    );
    Flow::Done
}
