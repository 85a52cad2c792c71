//! CLIENT: what a client says about itself, the list of all of them, and a pause for all.
//!
//! Owns: the lines of CLIENT LIST and INFO. Must not: touch connections, or hold a request.

use super::client_filter::Filter;
use crate::commands::engine::parse::{SYNTAX_ERROR, about, integer, is};
use crate::commands::engine::{Command, Context, Flag, Flow, Group, Wait};
use crate::commands::table;
use crate::session::{Buffers, Client, Held, Pause, Replies, Scope, seconds};
use crate::types::Now;
use crate::wire::Args;
use std::collections::BTreeMap;
use std::fmt::Write;

const OWN: &[Flag] = &[Flag::NoScript, Flag::Loading, Flag::Stale];
const ALL: &[Flag] = &[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale];
/// A client says it to each node that it is connected with.
const EVERYWHERE: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];
/// A reply buffer of Redis (PROTO_REPLY_CHUNK_BYTES).
const OWN_BUFFER: usize = 16 * 1024;
const CONNECTION: Group = Group::CONNECTION;

/// The family's commands.
pub const COMMANDS: &[Command] =
    &[Command::container("client", CONNECTION, "2.4.0", "A container for client connection commands.", SUBCOMMANDS)];

const SUBCOMMANDS: &[Command] = &[
    Command::new("getname", 2, OWN, CONNECTION, "2.6.9", "Returns the name of the connection.", getname),
    Command::new(
        "help",
        2,
        &[Flag::Loading, Flag::Stale],
        CONNECTION,
        "5.0.0",
        "Returns helpful text about the different subcommands.",
        help,
    ),
    Command::new("id", 2, OWN, CONNECTION, "5.0.0", "Returns the unique client ID of the connection.", id),
    Command::new("info", 2, OWN, CONNECTION, "6.2.0", "Returns information about the connection.", info).tips(&["nondeterministic_output"]),
    Command::new("kill", -3, ALL, CONNECTION, "2.4.0", "Terminates open connections.", kill),
    Command::new("list", -2, ALL, CONNECTION, "2.4.0", "Lists open connections.", list).tips(&["nondeterministic_output"]),
    Command::new("no-evict", 3, ALL, CONNECTION, "7.0.0", "Sets the client eviction mode of the connection.", no_evict),
    Command::new(
        "no-touch",
        3,
        OWN,
        CONNECTION,
        "7.2.0",
        "Controls whether commands sent by the client affect the LRU/LFU of accessed keys.",
        no_touch,
    ),
    Command::new("pause", -3, ALL, CONNECTION, "3.0.0", "Suspends commands processing.", pause),
    Command::new("reply", 3, OWN, CONNECTION, "3.2.0", "Instructs the server whether to reply to commands.", reply),
    Command::new("setinfo", 4, OWN, CONNECTION, "7.2.0", "Sets information specific to the client or connection.", setinfo)
        .tips(EVERYWHERE),
    Command::new("setname", 3, OWN, CONNECTION, "2.6.9", "Sets the connection name.", setname).tips(EVERYWHERE),
    Command::new("unpause", 2, ALL, CONNECTION, "6.2.0", "Resumes processing commands from paused clients.", unpause),
];

/// A name or version as text, if it has no space, newline or other character that would break CLIENT LIST.
pub(super) fn valid_name(name: &[u8]) -> Option<&str> {
    std::str::from_utf8(name).ok().filter(|name| name.bytes().all(|byte| byte.is_ascii_graphic()))
}

fn id(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    ctx.reply.int(ctx.client.id.cast_signed());
    Flow::Done
}

fn getname(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    match ctx.client.name.as_str() {
        "" => ctx.reply.null(),
        name => ctx.reply.bulk(name.as_bytes()),
    }
    Flow::Done
}

fn setname(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let Some(name) = valid_name(args.get(2)) else {
        return ctx.fail("ERR Client names cannot contain spaces, newlines or special characters.");
    };
    ctx.client.name = name.to_owned();
    ctx.done()
}

fn setinfo(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let (option, value) = (args.get(2), valid_name(args.get(3)));
    let field = match option {
        _ if is(option, "lib-name") => &mut ctx.client.lib_name,
        _ if is(option, "lib-ver") => &mut ctx.client.lib_ver,
        _ => {
            return ctx.fail(about("ERR Unrecognized option '", option, "'"));
        }
    };
    let Some(value) = value else {
        return ctx.fail(about("ERR ", option, " cannot contain spaces, newlines or special characters."));
    };
    value.clone_into(field);
    ctx.done()
}

fn no_evict(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let Some(on) = on_or_off(args.get(2)) else { return ctx.fail(SYNTAX_ERROR) };
    ctx.client.no_evict = on;
    ctx.done()
}

fn no_touch(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let Some(on) = on_or_off(args.get(2)) else { return ctx.fail(SYNTAX_ERROR) };
    ctx.client.no_touch = on;
    ctx.done()
}

fn on_or_off(arg: &[u8]) -> Option<bool> {
    if is(arg, "on") { Some(true) } else { is(arg, "off").then_some(false) }
}

fn info(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    let mut line = String::new();
    write_line(&mut line, ctx.client, Buffers::default(), ctx.now);
    ctx.reply.verbatim("txt", line.as_bytes());
    Flow::Done
}

fn list(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let filter = match Filter::default().parse(args.skip(2)) {
        Ok(_) if args.len() == 3 => return ctx.fail(SYNTAX_ERROR),
        Ok(filter) => filter,
        Err(text) => return ctx.fail(text),
    };
    let (now, me) = (ctx.now, ctx.client.id);
    let mut lines: BTreeMap<u64, String> = BTreeMap::new();
    let mut show = |client: &Client, buffers: Buffers| {
        if filter.fits(client, me, now) {
            write_line(lines.entry(client.id).or_default(), client, buffers, now);
        }
    };
    ctx.clients.visit_others(&mut show);
    // What it sent is being run, and its reply is not written yet.
    show(ctx.client, Buffers::default());
    let text: String = lines.into_values().collect();
    ctx.reply.verbatim("txt", text.as_bytes());
    Flow::Done
}

fn kill(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let by_address = args.len() == 3;
    let mut filter = Filter::default();
    if by_address {
        filter.addr = Some(args.get(2));
    } else {
        filter.others_only = true;
        filter = match filter.parse(args.skip(2)) {
            Ok(filter) => filter,
            Err(text) => return ctx.fail(text),
        };
    }
    let (now, me) = (ctx.now, ctx.client.id);
    let itself = filter.fits(ctx.client, me, now);
    ctx.client.close_after_reply |= itself;
    match ctx.clients.kill(&|client| filter.fits(client, me, now)) + usize::from(itself) {
        count if !by_address => ctx.reply.int(count as i64),
        0 => ctx.reply.error("ERR No such client"),
        _ => ctx.reply.ok(),
    }
    Flow::Done
}

fn reply(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let replies = &mut ctx.client.replies;
    match args.get(2) {
        word if is(word, "on") => {
            *replies = Replies::On;
            ctx.reply.ok();
        }
        word if is(word, "off") => *replies = Replies::Off,
        word if is(word, "skip") && *replies == Replies::Off => {}
        word if is(word, "skip") => *replies = Replies::SkipNext,
        _ => return ctx.fail(SYNTAX_ERROR),
    }
    Flow::Done
}

fn write_line(line: &mut String, client: &Client, buffers: Buffers, now: Now) {
    let queued = client.multi.as_ref().map_or(-1, |transaction| transaction.len() as i64);
    let queued_bytes = client.multi.as_ref().map_or(0, |transaction| transaction.bytes());
    let command = client.last_command.map_or("NULL", |id| table().get(id).full_name.as_str());
    let Client { id, addr, laddr, fd, name, lib_name, lib_ver, watched, subscriptions, totals, .. } = client;
    let (age, idle) = (seconds(client.created.mono, now.mono), seconds(client.last_active, now.mono));
    let Buffers { input, output, output_room } = buffers;
    // As Redis counts them: what has room in the client's own buffer, and what stands in a list behind it.
    let own = output.min(OWN_BUFFER);
    let (listed, pieces) = (output - own, (output - own).div_ceil(OWN_BUFFER));
    let written = writeln!(
        line,
        "id={id} addr={addr} laddr={laddr} fd={fd} name={name} age={age} idle={idle} flags={} capa= db=0 sub={} psub={} ssub={} multi={queued} watch={} \
         qbuf={input} qbuf-free=0 argv-mem=0 multi-mem={queued_bytes} rbs={output_room} rbp={own} \
         obl={own} oll={pieces} omem={listed} tot-mem={} events={} cmd={command} \
         user=default redir=-1 resp={} lib-name={lib_name} lib-ver={lib_ver} \
         tot-net-in={} tot-net-out={} tot-cmds={}",
        flags(client),
        subscriptions.count(Scope::Channel),
        subscriptions.count(Scope::Pattern),
        subscriptions.shard_channels(),
        watched.len(),
        input + output.max(output_room) + queued_bytes,
        if output > 0 { "rw" } else { "r" },
        if client.resp3 { 3 } else { 2 },
        totals.input,
        totals.output,
        totals.commands,
    );
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
}

/// Redis' letters for what a client is and does.
fn flags(client: &Client) -> String {
    let letters = [
        ('S', client.is_replica()),
        ('M', client.is_primary),
        ('P', !client.subscriptions.is_empty()),
        ('x', client.multi.is_some()),
        ('b', client.is_blocked()),
        ('c', client.close_after_reply),
        ('r', client.readonly),
        ('e', client.no_evict),
        ('T', client.no_touch),
    ];
    let set: String = letters.iter().filter(|(_, on)| *on).map(|(letter, _)| letter).collect();
    if set.is_empty() { "N".to_owned() } else { set }
}

fn pause(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
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

fn unpause(_ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    Flow::Wait(Wait::Unpause)
}

const HELP: &[&str] = &[
    "GETNAME",
    "    Return the name of the current connection.",
    "ID",
    "    Return the ID of the current connection.",
    "INFO",
    "    Return information about the current client connection.",
    "KILL <ip:port>",
    "    Kill connection made from <ip:port>.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Kill connections. Options are:",
    "    * ADDR (<ip:port>|<unixsocket>:0)",
    "      Kill connections made from the specified address",
    "    * LADDR (<ip:port>|<unixsocket>:0)",
    "      Kill connections made to specified local address",
    "    * TYPE (NORMAL|PRIMARY|REPLICA|PUBSUB)",
    "      Kill connections by type.",
    "    * USER <username>",
    "      Kill connections authenticated by <username>.",
    "    * SKIPME (YES|NO)",
    "      Skip killing current connection (default: yes).",
    "    * ID <client-id> [<client-id>...]",
    "      Kill connections by client ids.",
    "    * MAXAGE <maxage>",
    "      Kill connections older than the specified age.",
    "LIST [options ...]",
    "    Return information about client connections. Options:",
    "    * TYPE (NORMAL|PRIMARY|REPLICA|PUBSUB)",
    "      Return clients of specified type.",
    "    * USER <username>",
    "      Return clients authenticated by <username>.",
    "    * ADDR <ip:port>",
    "      Return clients connected from the specified address.",
    "    * LADDR <ip:port>",
    "      Return clients connected to the specified local address.",
    "    * ID <client-id> [<client-id>...]",
    "      Return clients with the specified IDs.",
    "    * SKIPME (YES|NO)",
    "      Exclude the current client from the list (default: no).",
    "    * MAXAGE <maxage>",
    "      List connections older than the specified age.",
    "NO-EVICT (ON|OFF)",
    "    Protect current client connection from eviction.",
    "NO-TOUCH (ON|OFF)",
    "    Will not touch LRU/LFU stats when this mode is on.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Suspend all, or just write, clients for <timeout> milliseconds.",
    "REPLY (ON|OFF|SKIP)",
    "    Control the replies sent to the current connection.",
    "SETINFO <option> <value>",
    "    Set client meta attr. Options are:",
    "    * LIB-NAME: the client lib name.",
    "    * LIB-VER: the client lib version.",
    "SETNAME <name>",
    "    Assign the name <name> to the current connection.",
    "UNPAUSE",
    "    Stop the current client pause, resuming traffic.",
];

fn help(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    ctx.help("CLIENT", HELP);
    Flow::Done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_what_tools_read() {
        let at = |text: &str| text.parse().unwrap();
        let now = Now { mono: 9000, wall: 0 };
        let mut client = Client::new(7, at("10.0.0.9:5"), at("10.0.0.1:6379"), Now { mono: 2000, wall: 0 }, true);
        (client.fd, client.totals) = (12, crate::session::Totals { input: 26, output: 40_020, commands: 3 });
        let mut line = String::new();
        write_line(&mut line, &client, Buffers { input: 5, output: 40_000, output_room: 65_536 }, now);
        let expected = "id=7 addr=10.0.0.9:5 laddr=10.0.0.1:6379 fd=12 name= age=7 idle=7 flags=N capa= db=0 sub=0 psub=0 ssub=0 multi=-1 watch=0 qbuf=5 \
                        qbuf-free=0 argv-mem=0 multi-mem=0 rbs=65536 rbp=16384 obl=16384 oll=2 omem=23616 tot-mem=65541 events=rw cmd=NULL user=default \
                        redir=-1 resp=2 lib-name= lib-ver= tot-net-in=26 tot-net-out=40020 tot-cmds=3\n";
        assert_eq!(line, expected);
    }
}
