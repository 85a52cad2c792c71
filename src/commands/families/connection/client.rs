//! CLIENT: what a client says about itself, the list of all of them, and a pause for all.
//!
//! Owns: the lines of CLIENT LIST and INFO. Must not: touch connections, or hold a request.

use crate::commands::engine::parse::{SYNTAX_ERROR, about, integer, is};
use crate::commands::engine::{Command, Context, Flag, Flow, Group, Wait};
use crate::commands::table;
use crate::session::{Buffers, Client, Held, Pause, Scope, seconds};
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Normal,
    Primary,
    Replica,
    PubSub,
}

impl Class {
    fn of(client: &Client) -> Self {
        match () {
            () if client.is_primary => Self::Primary,
            () if client.is_replica() => Self::Replica,
            () if client.subscriptions.is_empty() => Self::Normal,
            () => Self::PubSub,
        }
    }

    fn named(name: &[u8]) -> Result<Self, Vec<u8>> {
        const NAMES: [(&str, Class); 6] = [
            ("normal", Class::Normal),
            ("replica", Class::Replica),
            ("slave", Class::Replica),
            ("pubsub", Class::PubSub),
            ("primary", Class::Primary),
            ("master", Class::Primary),
        ];
        let named = NAMES.into_iter().find(|(known, _)| is(name, known));
        named.map(|(_, class)| class).ok_or_else(|| about("ERR Unknown client type '", name, "'"))
    }
}

/// Which clients CLIENT LIST shows: those that fit all of it.
#[derive(Default)]
struct Filter<'a> {
    class: Option<Class>,
    ids: Option<Vec<i64>>,
    addr: Option<&'a [u8]>,
    laddr: Option<&'a [u8]>,
    others_only: bool,
    min_age: u64,
}

impl<'a> Filter<'a> {
    fn parse(args: Args<'a>) -> Result<Self, Vec<u8>> {
        let (mut filter, mut at) = (Self::default(), 0);
        while let Some(option) = args.nth(at) {
            let value = args.nth(at + 1).ok_or(SYNTAX_ERROR)?;
            at += 2;
            match option {
                _ if is(option, "id") => at += filter.take_ids(args.skip(at - 1))? - 1,
                _ if is(option, "type") => filter.class = Some(Class::named(value)?),
                _ if is(option, "addr") => filter.addr = Some(value),
                _ if is(option, "laddr") => filter.laddr = Some(value),
                _ if is(option, "skipme") => filter.others_only = yes_or_no(value).ok_or(SYNTAX_ERROR)?,
                // There is one user.
                _ if is(option, "user") && value == b"default" => {}
                _ if is(option, "user") => return Err(about("ERR No such user '", value, "'")),
                _ if is(option, "maxage") => {
                    let age = integer(value).ok_or("ERR maxage is not an integer or out of range")?;
                    filter.min_age = u64::try_from(age).ok().filter(|age| *age > 0).ok_or("ERR maxage should be greater than 0")?;
                }
                _ => return Err(SYNTAX_ERROR.into()),
            }
        }
        Ok(filter)
    }

    /// The ids that these words begin with; how many there are.
    fn take_ids(&mut self, words: Args<'_>) -> Result<usize, Vec<u8>> {
        let ids: Vec<i64> = words.iter().map_while(integer).collect();
        match ids.iter().min() {
            None => Err(SYNTAX_ERROR.into()),
            Some(..=0) => Err("ERR client-id should be greater than 0".into()),
            Some(_) => {
                self.ids.get_or_insert_default().extend_from_slice(&ids);
                Ok(ids.len())
            }
        }
    }

    fn shows(&self, client: &Client, me: u64, now: Now) -> bool {
        self.class.is_none_or(|class| class == Class::of(client))
            && self.ids.as_ref().is_none_or(|ids| ids.contains(&client.id.cast_signed()))
            && self.addr.is_none_or(|addr| client.addr.to_string().as_bytes() == addr)
            && self.laddr.is_none_or(|addr| client.laddr.to_string().as_bytes() == addr)
            && !(self.others_only && client.id == me)
            && seconds(client.created.mono, now.mono) >= self.min_age
    }
}

fn yes_or_no(arg: &[u8]) -> Option<bool> {
    if is(arg, "yes") { Some(true) } else { is(arg, "no").then_some(false) }
}

fn list(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let filter = match Filter::parse(args.skip(2)) {
        Ok(filter) => filter,
        Err(text) => return ctx.fail(text),
    };
    let (now, me) = (ctx.now, ctx.client.id);
    let mut lines: BTreeMap<u64, String> = BTreeMap::new();
    let mut show = |client: &Client, buffers: Buffers| {
        if filter.shows(client, me, now) {
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

fn help(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    ctx.help(
        "CLIENT",
        &[
            "GETNAME",
            "    Return the name of the current connection.",
            "ID",
            "    Return the ID of the current connection.",
            "INFO",
            "    Return information about the current client connection.",
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
            "SETINFO <option> <value>",
            "    Set client meta attr. Options are:",
            "    * LIB-NAME: the client lib name.",
            "    * LIB-VER: the client lib version.",
            "SETNAME <name>",
            "    Assign the name <name> to the current connection.",
            "UNPAUSE",
            "    Stop the current client pause, resuming traffic.",
        ],
    );
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
