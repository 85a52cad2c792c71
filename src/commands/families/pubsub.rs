//! Publish and subscribe: channels of the whole cluster, patterns of them, and shard channels, which live where their slot does.
//!
//! Owns: the commands. Must not: send anything to another node (the node does), or keep a message.
//!
//! SUBSCRIBE and its kin answer with a push for each name, not with one reply. A message to the client that published it follows the reply,
//! as since Redis 7.2: a push stands nowhere within another reply.

use crate::commands::engine::parse::{about, shown};
use crate::commands::engine::{Command, Context, Flag, Flow, Group, KeyFlag, KeySpec};
use crate::config::glob_matches;
use crate::keyspace::key_slot;
use crate::session::{Name, Push, Scope, confirm};
use crate::wire::{Args, Reply};

const PUBSUB: Group = Group::PUBSUB;
const FLAGS: &[Flag] = &[Flag::PubSub, Flag::NoScript, Flag::Loading, Flag::Stale];
const SUBSCRIBER: &[Flag] = &[Flag::Subscriber];
const PUBLISH: &[Flag] = &[Flag::PubSub, Flag::Loading, Flag::Stale, Flag::Fast];
const LOOK: &[Flag] = &[Flag::PubSub, Flag::Loading, Flag::Stale];
/// Routed by their slot as keys are.
const SHARD_CHANNEL: &[KeySpec] = &[KeySpec::one(&[KeyFlag::NotKey])];
const SHARD_CHANNELS: &[KeySpec] = &[KeySpec::all(&[KeyFlag::NotKey])];

/// The family's commands.
#[rustfmt::skip]
pub const COMMANDS: &[Command] = &[
    Command::new("psubscribe", -2, FLAGS, PUBSUB, "2.0.0", "Listens for messages published to channels that match one or more patterns.", psubscribe).also(SUBSCRIBER),
    Command::new("publish", 3, PUBLISH, PUBSUB, "2.0.0", "Posts a message to a channel.", publish),
    Command::container("pubsub", PUBSUB, "2.8.0", "A container for Pub/Sub commands.", SUBCOMMANDS),
    Command::new("punsubscribe", -1, FLAGS, PUBSUB, "2.0.0", "Stops listening to messages published to channels that match one or more patterns.", punsubscribe).also(SUBSCRIBER),
    Command::new("spublish", 3, PUBLISH, PUBSUB, "7.0.0", "Posts a message to a shard channel.", spublish).keys(SHARD_CHANNEL),
    Command::new("ssubscribe", -2, FLAGS, PUBSUB, "7.0.0", "Listens for messages published to shard channels.", ssubscribe).keys(SHARD_CHANNELS).also(SUBSCRIBER),
    Command::new("subscribe", -2, FLAGS, PUBSUB, "2.0.0", "Listens for messages published to channels.", subscribe).also(SUBSCRIBER),
    Command::new("sunsubscribe", -1, FLAGS, PUBSUB, "7.0.0", "Stops listening to messages posted to shard channels.", sunsubscribe).keys(SHARD_CHANNELS).also(SUBSCRIBER),
    Command::new("unsubscribe", -1, FLAGS, PUBSUB, "2.0.0", "Stops listening to messages posted to channels.", unsubscribe).also(SUBSCRIBER),
];

#[rustfmt::skip]
const SUBCOMMANDS: &[Command] = &[
    Command::new("channels", -2, LOOK, PUBSUB, "2.8.0", "Returns the active channels.", channels),
    Command::new("help", 2, &[Flag::Loading, Flag::Stale], PUBSUB, "6.2.0", "Returns helpful text about the different subcommands.", help),
    Command::new("numpat", 2, LOOK, PUBSUB, "2.8.0", "Returns a count of unique pattern subscriptions.", numpat),
    Command::new("numsub", -2, LOOK, PUBSUB, "2.8.0", "Returns a count of subscribers to channels.", numsub),
    Command::new("shardchannels", -2, LOOK, PUBSUB, "7.0.0", "Returns the active shard channels.", shardchannels),
    Command::new("shardnumsub", -2, LOOK, PUBSUB, "7.0.0", "Returns the count of subscribers of shard channels.", shardnumsub),
];

/// Says that the client's subscriptions have changed; who hears no replies hears that nevertheless.
fn tell(ctx: &mut Context<'_>, scope: Scope, word: &str, name: Option<&[u8]>) {
    let own = &ctx.client.subscriptions;
    if !ctx.client.replies.are_silent() {
        return confirm(&mut ctx.reply, own, scope, word, name);
    }
    let mut push = Vec::new();
    confirm(&mut Reply::new(&mut push, ctx.reply.resp3()), own, scope, word, name);
    ctx.clients.push(ctx.conn, Push { head: &push, tail: &[], long: None });
}

fn subscribe_to(ctx: &mut Context<'_>, args: Args<'_>, scope: Scope) -> Flow {
    if !ctx.client.subscriptions.has_room(args.skip(1).iter()) {
        return ctx.fail("ERR too many subscriptions");
    }
    for name in args.skip(1).iter() {
        ctx.pubsub.subscribe(ctx.conn, &mut ctx.client.subscriptions, scope, name);
        tell(ctx, scope, scope.subscribe_word(), Some(name));
    }
    Flow::Done
}

fn subscribe(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    subscribe_to(ctx, args, Scope::Channel)
}

fn psubscribe(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    subscribe_to(ctx, args, Scope::Pattern)
}

/// Not within EXEC, whose commands have a reply each. SUBSCRIBE and PSUBSCRIBE are taken there, for they always were.
fn ssubscribe(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    if ctx.stream.in_unit() {
        return ctx.fail("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client");
    }
    subscribe_to(ctx, args, Scope::Shard(ctx.slot))
}

/// From the names given, or from all of the client's own in these scopes.
fn unsubscribe_from(ctx: &mut Context<'_>, args: Args<'_>, scope: Scope, all: fn(Scope) -> bool) -> Flow {
    let own = &ctx.client.subscriptions;
    let named = args.skip(1).iter().map(|name| (scope, name.into()));
    let names: Vec<(Scope, Name)> = if args.len() > 1 { named.collect() } else { own.all().filter(|(scope, _)| all(*scope)).collect() };
    for (scope, name) in &names {
        ctx.pubsub.unsubscribe(ctx.conn, &mut ctx.client.subscriptions, *scope, name);
        tell(ctx, *scope, scope.unsubscribe_word(), Some(name));
    }
    if names.is_empty() {
        tell(ctx, scope, scope.unsubscribe_word(), None);
    }
    Flow::Done
}

fn unsubscribe(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    unsubscribe_from(ctx, args, Scope::Channel, |scope| scope == Scope::Channel)
}

fn punsubscribe(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    unsubscribe_from(ctx, args, Scope::Pattern, |scope| scope == Scope::Pattern)
}

fn sunsubscribe(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    unsubscribe_from(ctx, args, Scope::Shard(ctx.slot), |scope| matches!(scope, Scope::Shard(_)))
}

/// The reply counts this node's receivers only, as in Redis.
fn publish_to(ctx: &mut Context<'_>, args: Args<'_>, scope: Scope) -> Flow {
    let (channel, message) = (args.get(1), args.get(2));
    if let Err(error) = ctx.pubsub.outgoing.publish(scope != Scope::Channel, channel, message) {
        return ctx.fail(format!("ERR the message is too long for the cluster bus: {error}"));
    }
    let receivers = ctx.pubsub.publish(scope, channel, message, ctx.clients);
    ctx.reply.int(receivers as i64);
    Flow::Done
}

fn publish(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    publish_to(ctx, args, Scope::Channel)
}

fn spublish(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    publish_to(ctx, args, Scope::Shard(ctx.slot))
}

/// The names that match the pattern, or all if there is none.
fn list<'n>(reply: &mut Reply<'_>, args: Args<'_>, names: impl Iterator<Item = &'n Name>) {
    let pattern = match args.len() {
        2 => None,
        3 => Some(args.get(2)),
        _ => {
            return reply.error(about(
                "ERR unknown subcommand or wrong number of arguments for '",
                shown(args.get(1), 128),
                "'. Try PUBSUB HELP.",
            ));
        }
    };
    let names: Vec<&Name> = names.filter(|name| pattern.is_none_or(|pattern| glob_matches(pattern, name, false))).collect();
    reply.array(names.len());
    names.iter().for_each(|name| reply.bulk(name));
}

fn channels(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    list(&mut ctx.reply, args, ctx.pubsub.channels());
    Flow::Done
}

fn shardchannels(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    list(&mut ctx.reply, args, ctx.pubsub.shard_channels());
    Flow::Done
}

/// Each name with the number of its subscribers.
fn count(ctx: &mut Context<'_>, args: Args<'_>, scope: fn(&[u8]) -> Scope) -> Flow {
    let names = args.skip(2);
    ctx.reply.array(names.len() * 2);
    for name in names.iter() {
        ctx.reply.bulk(name);
        ctx.reply.int(ctx.pubsub.subscribers(scope(name), name) as i64);
    }
    Flow::Done
}

fn numsub(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    count(ctx, args, |_| Scope::Channel)
}

fn shardnumsub(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    count(ctx, args, |name| Scope::Shard(key_slot(name)))
}

fn numpat(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    ctx.reply.int(ctx.pubsub.count(Scope::Pattern) as i64);
    Flow::Done
}

fn help(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    ctx.help(
        "PUBSUB",
        &[
            "CHANNELS [<pattern>]",
            "    Return the currently active channels matching a <pattern> (default: '*').",
            "NUMPAT",
            "    Return number of subscriptions to patterns.",
            "NUMSUB [<channel> ...]",
            "    Return the number of subscribers for the specified channels, excluding",
            "    pattern subscriptions(default: no channels).",
            "SHARDCHANNELS [<pattern>]",
            "    Return the currently active shard level channels matching a <pattern> (default: '*').",
            "SHARDNUMSUB [<shardchannel> ...]",
            "    Return the number of subscribers for the specified shard level channel(s)",
        ],
    );
    Flow::Done
}
