//! The connection's own commands: HELLO, AUTH, PING, ECHO, SELECT, QUIT, RESET, READONLY, READWRITE, ASKING.
//!
//! Owns: protocol version, authentication and the routing modes of a client. Must not: touch keys.

use super::client::valid_name;
use crate::commands::engine::parse::{SYNTAX_ERROR, about, integer, is, small};
use crate::commands::engine::{Command, Context, Flag, Flow, Group};
use crate::session::SERVER_NAME;
use crate::types::REDIS_VERSION;
use crate::wire::Args;

const ALWAYS: &[Flag] = &[Flag::NoScript, Flag::Loading, Flag::Stale, Flag::Fast, Flag::NoAuth, Flag::AllowBusy];
const MODE: &[Flag] = &[Flag::Loading, Flag::Stale, Flag::Fast];

/// The family's commands.
pub const COMMANDS: &[Command] = &[
    Command::new(
        "asking",
        1,
        &[Flag::Fast],
        Group::CONNECTION,
        "3.0.0",
        "Signals that a cluster client is following an -ASK redirect.",
        asking,
    )
    .also(&[Flag::ForNext]),
    Command::new("auth", -2, ALWAYS, Group::CONNECTION, "1.0.0", "Authenticates the connection.", auth),
    Command::new("echo", 2, MODE, Group::CONNECTION, "1.0.0", "Returns the given string.", echo),
    Command::new("hello", -1, ALWAYS, Group::CONNECTION, "6.0.0", "Handshakes with the server.", hello),
    Command::new("ping", -1, &[Flag::Fast], Group::CONNECTION, "1.0.0", "Returns the server's liveliness response.", ping)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .also(&[Flag::Streamed, Flag::Subscriber, Flag::Probe]),
    Command::new("quit", -1, ALWAYS, Group::CONNECTION, "1.0.0", "Closes the connection.", quit).also(&[Flag::NotQueued, Flag::Subscriber]),
    Command::new(
        "readonly",
        1,
        MODE,
        Group::CONNECTION,
        "3.0.0",
        "Enables read-only queries for a connection to a cluster replica node.",
        readonly,
    ),
    Command::new(
        "readwrite",
        1,
        MODE,
        Group::CONNECTION,
        "3.0.0",
        "Enables read-write queries for a connection to a cluster replica node.",
        readwrite,
    ),
    Command::new("reset", 1, ALWAYS, Group::CONNECTION, "6.2.0", "Resets the connection.", reset)
        .also(&[Flag::NotQueued, Flag::Subscriber]),
    Command::new("select", 2, MODE, Group::CONNECTION, "1.0.0", "Changes the selected database.", select).also(&[Flag::Streamed]),
];

const WRONG_PASS: &str = "WRONGPASS invalid username-password pair or user is disabled.";
const HELLO_NEEDS_AUTH: &str = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> \
     <pass> option can be used to authenticate the client and select the RESP protocol version at the same time";
const NO_PASSWORD_SET: &str = "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
     configuration is correct?";

fn ping(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    match args.len() {
        // Among messages, a reply looks like one.
        1 | 2 if ctx.client.hears_messages_only() => {
            ctx.reply.array(2);
            ctx.reply.bulk(b"pong");
            ctx.reply.bulk(args.nth(1).unwrap_or_default());
        }
        1 => ctx.reply.simple("PONG"),
        2 => ctx.reply.bulk(args.get(1)),
        _ => ctx.reply.error("ERR wrong number of arguments for 'ping' command"),
    }
    Flow::Done
}

fn echo(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    ctx.reply.bulk(args.get(1));
    Flow::Done
}

fn select(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    match small(args.get(1)) {
        Ok(0) => ctx.done(),
        Ok(_) => ctx.fail("ERR SELECT is not allowed in cluster mode"),
        Err(text) => ctx.fail(text),
    }
}

fn quit(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    ctx.client.close_after_reply = true;
    ctx.done()
}

fn reset(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    if ctx.client.is_replica() {
        return ctx.fail("ERR can only reset normal client connections");
    }
    let authenticated = ctx.config.requirepass.is_empty();
    ctx.pubsub.leave(ctx.conn, &mut ctx.client.subscriptions);
    ctx.client.reset(ctx.keyspace, authenticated);
    ctx.reply.set_resp3(false);
    ctx.reply.simple("RESET");
    Flow::Done
}

fn readonly(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    ctx.client.readonly = true;
    ctx.done()
}

fn readwrite(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    ctx.client.readonly = false;
    ctx.done()
}

fn asking(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    ctx.client.asking = true;
    ctx.done()
}

fn auth(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let (user, password) = match args.len() {
        2 if ctx.config.requirepass.is_empty() => return ctx.fail(NO_PASSWORD_SET),
        2 => (&b"default"[..], args.get(1)),
        3 => (args.get(1), args.get(2)),
        _ => return ctx.fail(SYNTAX_ERROR),
    };
    if !authenticate(ctx, user, password) {
        return ctx.fail(WRONG_PASS);
    }
    ctx.done()
}

/// There is one user, `default`; without a password set, any is right.
fn authenticate(ctx: &mut Context<'_>, user: &[u8], password: &[u8]) -> bool {
    let wanted = &ctx.config.requirepass;
    let right = user == b"default" && (wanted.is_empty() || same(wanted, password));
    ctx.client.authenticated |= right;
    right
}

/// Compares in a time that does not tell how much of a guess was right.
fn same(wanted: &[u8], given: &[u8]) -> bool {
    let differences = given.iter().enumerate().fold(0, |found, (at, byte)| found | (byte ^ wanted[at % wanted.len()]));
    differences == 0 && given.len() == wanted.len()
}

/// What HELLO asks for, before any of it is done.
#[derive(Default)]
struct Hello<'a> {
    resp3: Option<bool>,
    credentials: Option<(&'a [u8], &'a [u8])>,
    name: Option<&'a str>,
}

impl<'a> Hello<'a> {
    fn parse(args: Args<'a>) -> Result<Self, Vec<u8>> {
        let mut hello = Self::default();
        if let Some(version) = args.nth(1) {
            hello.resp3 = Some(match integer(version).ok_or("ERR Protocol version is not an integer or out of range")? {
                2 => false,
                3 => true,
                _ => return Err("NOPROTO unsupported protocol version".into()),
            });
        }
        let mut at = 2;
        while let Some(option) = args.nth(at) {
            match (args.nth(at + 1), args.nth(at + 2)) {
                (Some(user), Some(password)) if is(option, "auth") => {
                    hello.credentials = Some((user, password));
                    at += 3;
                }
                (Some(name), _) if is(option, "setname") => {
                    hello.name = Some(valid_name(name).ok_or("ERR Client names cannot contain spaces, newlines or special characters.")?);
                    at += 2;
                }
                _ => return Err(about("ERR Syntax error in HELLO option '", option, "'")),
            }
        }
        Ok(hello)
    }
}

fn hello(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let hello = match Hello::parse(args) {
        Ok(hello) => hello,
        Err(text) => return ctx.fail(text),
    };
    if let Some((user, password)) = hello.credentials
        && !authenticate(ctx, user, password)
    {
        return ctx.fail(WRONG_PASS);
    }
    if !ctx.client.authenticated && !ctx.config.requirepass.is_empty() {
        return ctx.fail(HELLO_NEEDS_AUTH);
    }
    if let Some(name) = hello.name {
        ctx.client.name = name.to_owned();
    }
    if let Some(resp3) = hello.resp3 {
        ctx.client.resp3 = resp3;
        ctx.reply.set_resp3(resp3);
    }
    write_hello(ctx);
    Flow::Done
}

fn write_hello(ctx: &mut Context<'_>) {
    let role = if ctx.cluster.is_replica() { "replica" } else { "master" };
    let proto = if ctx.client.resp3 { 3 } else { 2 };
    let zone = &ctx.config.availability_zone;
    let reply = &mut ctx.reply;
    reply.map(7 + usize::from(!zone.is_empty()));
    for (key, value) in [("server", SERVER_NAME), ("version", REDIS_VERSION)] {
        reply.bulk(key.as_bytes());
        reply.bulk(value.as_bytes());
    }
    for (key, value) in [("proto", proto), ("id", ctx.client.id.cast_signed())] {
        reply.bulk(key.as_bytes());
        reply.int(value);
    }
    for (key, value) in [("mode", "cluster"), ("role", role)] {
        reply.bulk(key.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
    if !zone.is_empty() {
        reply.bulk(b"availability_zone");
        reply.bulk(zone.as_bytes());
    }
}
