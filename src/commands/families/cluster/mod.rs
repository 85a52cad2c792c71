//! The CLUSTER family: what operators, tools and clients ask about the cluster, and how they change it.
//!
//! Owns: the subcommands' table and what they share. Must not: change the cluster itself: a change is planned here and waits for the log
//! ([`Wait`](crate::commands::engine::Wait)). Contract: docs/protocol.md; replies and error texts are Valkey's, word for word.
//!
//! `slots` changes owners, `membership` changes members and voters, `replicate` who replicates whom, `failover` who takes over from whom,
//! `topology` shows them, `info` counts, `keys` asks about keys in slots, `raft` shows the consensus itself, `transfer` asks to lead it.

mod failover;
mod help;
mod info;
mod keys;
mod membership;
mod raft;
mod replicate;
mod slots;
#[cfg(test)]
mod tests;
mod topology;
mod transfer;

use crate::commands::engine::parse::{about, shown};
use crate::commands::engine::{Command, Context, Flag, Flow, Group, Handler};
use crate::types::NodeId;

/// The family's commands.
pub const COMMANDS: &[Command] =
    &[Command::container("cluster", Group::CLUSTER, "3.0.0", "A container for Redis Cluster commands.", SUBCOMMANDS)];

const ADMIN: &[Flag] = &[Flag::Admin, Flag::Stale];
const VIEW: &[Flag] = &[Flag::Loading, Flag::Stale];
const KEYS: &[Flag] = &[Flag::Stale];
const LOGGED: &[Flag] = &[Flag::Logged];
const WAITS: &[Flag] = &[Flag::Waits];
const WAITS_LOGGED: &[Flag] = &[Flag::Waits, Flag::Logged];
const AS_MEMBER: &[Flag] = &[Flag::AsMember, Flag::Waits];
const MEMBER_LOGGED: &[Flag] = &[Flag::AsMember, Flag::Waits, Flag::Logged];
const VARIES: &[&str] = &["nondeterministic_output"];

const fn sub(
    name: &'static str,
    arity: i32,
    flags: &'static [Flag],
    since: &'static str,
    summary: &'static str,
    handler: Handler,
) -> Command {
    Command::new(name, arity, flags, Group::CLUSTER, since, summary, handler)
}

const SUBCOMMANDS: &[Command] = &[
    sub("addslots", -3, ADMIN, "3.0.0", "Assigns new hash slots to a node.", slots::addslots).also(AS_MEMBER),
    sub("addslotsrange", -4, ADMIN, "7.0.0", "Assigns new hash slot ranges to a node.", slots::addslotsrange).also(AS_MEMBER),
    sub("addvoter", 3, ADMIN, "7.2.4", "Makes a member of the cluster vote in its consensus.", membership::addvoter).also(MEMBER_LOGGED),
    sub("bumpepoch", 2, ADMIN, "3.0.0", "Advances the cluster config epoch.", membership::bumpepoch).tips(VARIES),
    sub(
        "count-failure-reports",
        3,
        ADMIN,
        "3.0.0",
        "Returns the number of active failure reports for a node.",
        membership::count_failure_reports,
    )
    .tips(VARIES),
    sub("countkeysinslot", 3, KEYS, "3.0.0", "Returns the number of keys in a hash slot.", keys::countkeysinslot),
    sub("delslots", -3, ADMIN, "3.0.0", "Sets hash slots as unbound for a node.", slots::delslots).also(AS_MEMBER),
    sub("delslotsrange", -4, ADMIN, "7.0.0", "Sets hash slot ranges as unbound for a node.", slots::delslotsrange).also(AS_MEMBER),
    sub("delvoter", 3, ADMIN, "7.2.4", "Makes a member of the cluster a learner, until it is made a voter again.", membership::delvoter)
        .also(MEMBER_LOGGED),
    sub("failover", -2, ADMIN, "3.0.0", "Forces a replica to perform a manual failover of its master.", failover::failover)
        .also(WAITS_LOGGED),
    sub("flushslot", -3, &[Flag::Admin, Flag::Write], "7.2.4", "Removes all keys of a hash slot.", keys::flushslot).also(LOGGED),
    sub("flushslots", 2, ADMIN, "3.0.0", "Deletes all slots information from a node.", slots::flushslots).also(MEMBER_LOGGED),
    sub("forget", 3, ADMIN, "3.0.0", "Removes a node from the nodes table.", membership::forget).also(MEMBER_LOGGED),
    sub("getkeysinslot", 4, KEYS, "3.0.0", "Returns the key names in a hash slot.", keys::getkeysinslot).tips(VARIES),
    sub("help", 2, VIEW, "5.0.0", "Returns helpful text about the different subcommands.", help::help),
    sub("info", 2, VIEW, "3.0.0", "Returns information about the state of a node.", info::info).tips(VARIES),
    sub("keyslot", 3, KEYS, "3.0.0", "Returns the hash slot for a key.", keys::keyslot),
    sub("links", 2, VIEW, "7.0.0", "Returns a list of all TCP links to and from peer nodes.", topology::links).tips(VARIES),
    sub("meet", -4, ADMIN, "3.0.0", "Forces a node to handshake with another node.", membership::meet).also(WAITS_LOGGED),
    sub("myid", 2, VIEW, "3.0.0", "Returns the ID of a node.", topology::myid),
    sub("myshardid", 2, VIEW, "7.2.0", "Returns the shard ID of a node.", topology::myshardid).tips(VARIES),
    sub("nodes", 2, VIEW, "3.0.0", "Returns the cluster configuration for a node.", topology::nodes).tips(VARIES),
    sub("raft", -3, ADMIN, "7.2.4", "Shows the replicated log or who has how much of it, or makes this node lead.", raft::raft)
        .also(WAITS)
        .tips(VARIES),
    sub("recover", 3, ADMIN, "7.2.4", "Goes on with one survivor when a majority of the voters is lost for good.", membership::recover)
        .also(WAITS_LOGGED),
    sub("replicas", 3, ADMIN, "5.0.0", "Lists the replica nodes of a master node.", topology::replicas).tips(VARIES),
    sub("replicate", -3, ADMIN, "3.0.0", "Configure a node as replica of a master node.", replicate::replicate).also(MEMBER_LOGGED),
    sub("reset", -2, &[Flag::Admin, Flag::Stale, Flag::NoScript], "3.0.0", "Resets a node.", membership::reset).also(WAITS_LOGGED),
    sub("saveconfig", 2, ADMIN, "3.0.0", "Forces a node to save the cluster configuration to disk.", membership::saveconfig).also(WAITS),
    sub("set-config-epoch", 3, ADMIN, "3.0.0", "Sets the configuration epoch for a new node.", membership::set_config_epoch),
    sub("setslot", -4, ADMIN, "3.0.0", "Binds a hash slot to a node.", slots::setslot).also(AS_MEMBER),
    sub("shards", 2, VIEW, "7.0.0", "Returns the mapping of cluster slots to shards.", topology::shards).tips(VARIES),
    sub("slaves", 3, ADMIN, "3.0.0", "Lists the replica nodes of a master node.", topology::replicas).tips(VARIES),
    sub("slots", 2, VIEW, "3.0.0", "Returns the mapping of cluster slots to nodes.", topology::slots).tips(VARIES),
];

/// The member that an argument names; without one the error is written.
fn member(ctx: &mut Context<'_>, arg: &[u8]) -> Option<NodeId> {
    let named = node_id(arg).filter(|id| ctx.cluster.state.member(id).is_some());
    if named.is_none() {
        let _ = unknown_node(ctx, arg);
    }
    named
}

fn node_id(arg: &[u8]) -> Option<NodeId> {
    std::str::from_utf8(arg).ok()?.parse().ok()
}

fn unknown_node(ctx: &mut Context<'_>, arg: &[u8]) -> Flow {
    ctx.fail(about("ERR Unknown node ", arg, ""))
}

/// What Redis answers to a subcommand that it has, with arguments that it does not take.
fn wrong_arguments(ctx: &mut Context<'_>, subcommand: &[u8]) -> Flow {
    ctx.fail(about("ERR unknown subcommand or wrong number of arguments for '", shown(subcommand, 128), "'. Try CLUSTER HELP."))
}
