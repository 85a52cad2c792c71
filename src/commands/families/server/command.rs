//! COMMAND: the command table as clients read it, above all the places of keys.
//!
//! Owns: the shapes of COMMAND, INFO, DOCS, LIST, GETKEYS. Must not: know a single command.

use crate::commands::engine::parse::{SYNTAX_ERROR, is};
use crate::commands::engine::{Command, Context, Flag, Flow, Group, Handler, KeyFlag, KeySpec, Lookup};
use crate::commands::table;
use crate::config::glob_matches;
use crate::session::CommandId;
use crate::wire::{Args, Reply};

const FLAGS: &[Flag] = &[Flag::Loading, Flag::Stale];
const UNORDERED: &[&str] = &["nondeterministic_output_order"];

/// The family's commands.
pub const COMMANDS: &[Command] =
    &[about("command", -1, "2.8.13", "Returns detailed information about all commands.", command).tips(UNORDERED).subcommands(SUBCOMMANDS)];

const SUBCOMMANDS: &[Command] = &[
    about("count", 2, "2.8.13", "Returns a count of commands.", count),
    about("docs", -2, "7.0.0", "Returns documentary information about one, multiple or all commands.", docs).tips(UNORDERED),
    about("getkeys", -3, "2.8.13", "Extracts the key names from an arbitrary command.", getkeys),
    about("getkeysandflags", -3, "7.0.0", "Extracts the key names and access flags for an arbitrary command.", getkeysandflags),
    about("help", 2, "5.0.0", "Returns helpful text about the different subcommands.", help),
    about("info", -2, "2.8.13", "Returns information about one, multiple or all commands.", info).tips(UNORDERED),
    about("list", -2, "7.0.0", "Returns a list of command names.", list).tips(UNORDERED),
];

/// Of the server's group, but in the connection's ACL category, as in Redis.
const fn about(name: &'static str, arity: i32, since: &'static str, summary: &'static str, handler: Handler) -> Command {
    Command::new(name, arity, FLAGS, Group::SERVER, since, summary, handler).categories(&["@connection"])
}

fn command(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    write_all(&mut ctx.reply);
    Flow::Done
}

fn write_all(reply: &mut Reply<'_>) {
    reply.array(table().command_count());
    for id in table().commands() {
        write_info(reply, id);
    }
}

fn count(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    ctx.reply.int(table().command_count() as i64);
    Flow::Done
}

fn info(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    if args.len() == 2 {
        write_all(&mut ctx.reply);
        return Flow::Done;
    }
    ctx.reply.array(args.len() - 2);
    for name in args.skip(2).iter() {
        match by_full_name(name) {
            Some(id) => write_info(&mut ctx.reply, id),
            None => ctx.reply.null(),
        }
    }
    Flow::Done
}

/// `get`, or `client|list`.
fn by_full_name(name: &[u8]) -> Option<CommandId> {
    let mut words = name.splitn(2, |byte| *byte == b'|');
    let id = table().command(words.next()?)?;
    match words.next() {
        None => Some(id),
        Some(word) => table().children(id).find(|child| table().get(*child).command.name.as_bytes().eq_ignore_ascii_case(word)),
    }
}

/// The ten fields of one command, its subcommands in the last.
fn write_info(reply: &mut Reply<'_>, id: CommandId) {
    let entry = table().get(id);
    let command = entry.command;
    reply.array(10);
    reply.bulk(entry.full_name.as_bytes());
    reply.int(command.arity.into());
    let flags: Vec<&str> = command.flags.iter().filter_map(|flag| flag.name()).collect();
    write_words(reply, flags.into_iter());
    let legacy = command.keys.first().map_or((0, 0, 0), |spec| (spec.first.into(), spec.last.into(), spec.step.into()));
    for number in [legacy.0, legacy.1, legacy.2] {
        reply.int(number);
    }
    let categories = categories(command);
    write_words(reply, categories.iter().copied());
    reply.set(command.tips.len());
    for tip in command.tips {
        reply.bulk(tip.as_bytes());
    }
    reply.set(command.keys.len());
    for spec in command.keys {
        write_key_spec(reply, spec);
    }
    let children = table().children(id);
    reply.set(children.len());
    for child in children {
        write_info(reply, child);
    }
}

fn write_words<'w>(reply: &mut Reply<'_>, words: impl ExactSizeIterator<Item = &'w str>) {
    reply.set(words.len());
    for word in words {
        reply.simple(word);
    }
}

/// Its ACL categories: those that Redis derives from flags and group, and those of its own.
fn categories(command: &Command) -> Vec<&'static str> {
    let scripting = command.group == Group::SCRIPTING;
    let candidates = [
        command.group.category,
        command.has(Flag::Write).then_some("@write"),
        (command.has(Flag::Readonly) && !scripting).then_some("@read"),
        command.has(Flag::Admin).then_some("@admin"),
        command.has(Flag::Admin).then_some("@dangerous"),
        command.has(Flag::Blocking).then_some("@blocking"),
        command.has(Flag::PubSub).then_some("@pubsub"),
        Some(if command.has(Flag::Fast) { "@fast" } else { "@slow" }),
    ];
    candidates.into_iter().flatten().chain(command.categories.iter().copied()).collect()
}

fn write_key_spec(reply: &mut Reply<'_>, spec: &KeySpec) {
    // In key specs, `lastkey` counts from the first key, unless it counts from the end.
    let last = if spec.last < 0 { spec.last.into() } else { i64::from(spec.last) - i64::from(spec.first) };
    reply.map(3 + usize::from(spec.notes.is_some()));
    if let Some(notes) = spec.notes {
        reply.bulk(b"notes");
        reply.bulk(notes.as_bytes());
    }
    reply.bulk(b"flags");
    write_words(reply, spec.flags.iter().map(|flag| flag.name()));
    write_method(reply, "begin_search", "index", &[("index", spec.first.into())]);
    write_method(reply, "find_keys", "range", &[("lastkey", last), ("keystep", spec.step.into()), ("limit", 0)]);
}

fn write_method(reply: &mut Reply<'_>, name: &str, kind: &str, numbers: &[(&str, i64)]) {
    reply.bulk(name.as_bytes());
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
    reply.map(numbers.len());
    for (name, number) in numbers {
        reply.bulk(name.as_bytes());
        reply.int(*number);
    }
}

fn docs(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let ids: Vec<CommandId> = match args.len() {
        2 => table().commands().collect(),
        // A name that is no command is left out, as in Redis.
        _ => args.skip(2).iter().filter_map(by_full_name).collect(),
    };
    write_docs(&mut ctx.reply, &ids);
    Flow::Done
}

fn write_docs(reply: &mut Reply<'_>, ids: &[CommandId]) {
    reply.map(ids.len());
    for id in ids {
        let entry = table().get(*id);
        let children: Vec<CommandId> = table().children(*id).collect();
        let facts = [("summary", entry.command.summary), ("since", entry.command.since), ("group", entry.command.group.name)];
        reply.bulk(entry.full_name.as_bytes());
        reply.map(facts.len() + usize::from(!children.is_empty()));
        for (name, value) in facts {
            reply.bulk(name.as_bytes());
            reply.bulk(value.as_bytes());
        }
        if !children.is_empty() {
            reply.bulk(b"subcommands");
            write_docs(reply, &children);
        }
    }
}

fn list(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let wanted: Vec<CommandId> = match args.len() {
        2 => table().all().collect(),
        5 if is(args.get(2), "filterby") => {
            let (kind, what) = (args.get(3), args.get(4));
            let matching: &dyn Fn(&CommandId) -> bool = match kind {
                _ if is(kind, "pattern") => &|id| glob_matches(what, table().get(*id).full_name.as_bytes(), true),
                _ if is(kind, "aclcat") => &|id| categories(table().get(*id).command).iter().any(|name| is(what, &name[1..])),
                _ if is(kind, "module") => &|_| false,
                _ => return ctx.fail(SYNTAX_ERROR),
            };
            table().all().filter(matching).collect()
        }
        _ => return ctx.fail(SYNTAX_ERROR),
    };
    ctx.reply.array(wanted.len());
    for id in wanted {
        ctx.reply.bulk(table().get(id).full_name.as_bytes());
    }
    Flow::Done
}

/// A key and what happens to it.
type Key<'a> = (&'a [u8], &'static [KeyFlag]);

/// The keys of a whole command with what happens to each, or Redis' words for why there are none.
fn keys_of(args: Args<'_>) -> Result<Vec<Key<'_>>, &'static str> {
    let Lookup::Found(id) = table().lookup(args.get(0), args.nth(1)) else { return Err("ERR Invalid command specified") };
    let command = table().get(id).command;
    if command.keys.iter().all(|spec| spec.flags.contains(&KeyFlag::NotKey)) {
        return Err("ERR The command has no key arguments");
    }
    if !command.takes(args.len()) {
        return Err("ERR Invalid number of arguments specified for command");
    }
    let by_arguments = command.key_flags.map(|flags| flags(args));
    let of_spec = |spec: &'static KeySpec| spec.indices(args.len()).map(move |at| (args.get(at), by_arguments.unwrap_or(spec.flags)));
    let keys: Vec<_> = command.keys.iter().flat_map(of_spec).collect();
    if keys.is_empty() { Err("ERR Invalid arguments specified for command") } else { Ok(keys) }
}

fn getkeys(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let keys = match keys_of(args.skip(2)) {
        Ok(keys) => keys,
        Err(text) => return ctx.fail(text),
    };
    ctx.reply.array(keys.len());
    for (key, _) in keys {
        ctx.reply.bulk(key);
    }
    Flow::Done
}

fn getkeysandflags(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let keys = match keys_of(args.skip(2)) {
        Ok(keys) => keys,
        Err(text) => return ctx.fail(text),
    };
    ctx.reply.array(keys.len());
    for (key, flags) in keys {
        ctx.reply.array(2);
        ctx.reply.bulk(key);
        write_words(&mut ctx.reply, flags.iter().map(|flag| flag.name()));
    }
    Flow::Done
}

fn help(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    ctx.help(
        "COMMAND",
        &[
            "(no subcommand)",
            "    Return details about all commands.",
            "COUNT",
            "    Return the total number of commands in this server.",
            "LIST [FILTERBY (MODULE|ACLCAT|PATTERN) <what>]",
            "    Return a list of all commands in this server.",
            "INFO [<command-name> ...]",
            "    Return details about multiple commands; about all if none is given.",
            "DOCS [<command-name> ...]",
            "    Return documentation details about multiple commands; about all if none is given.",
            "GETKEYS <full-command>",
            "    Return the keys from a full command.",
            "GETKEYSANDFLAGS <full-command>",
            "    Return the keys and the access flags from a full command.",
        ],
    );
    Flow::Done
}
