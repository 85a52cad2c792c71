//! CLUSTER HELP and CLUSTER RAFT HELP.
//!
//! Owns: one or two lines for each subcommand. Must not: name one that is not in the table (a test walks both).

use crate::commands::engine::{Context, Flow};
use crate::wire::Args;

pub(super) const LINES: &[&str] = &[
    "ADDSLOTS <slot> [<slot> ...]",
    "    Assign slots to current node.",
    "ADDSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]",
    "    Assign slots which are between <start-slot> and <end-slot> to current node.",
    "ADDVOTER <node-id>",
    "    Make a member vote in the cluster's consensus.",
    "BUMPEPOCH",
    "    Advance the cluster config epoch.",
    "COUNT-FAILURE-REPORTS <node-id>",
    "    Return number of failure reports for <node-id>.",
    "COUNTKEYSINSLOT <slot>",
    "    Return the number of keys in <slot>.",
    "DELSLOTS <slot> [<slot> ...]",
    "    Delete slots information from current node.",
    "DELSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]",
    "    Delete slots information which are between <start-slot> and <end-slot> from current node.",
    "DELVOTER <node-id>",
    "    Make a voter a learner, until it is made a voter again.",
    "FAILOVER [FORCE|TAKEOVER]",
    "    Promote current replica node to being a master.",
    "FLUSHSLOT <slot> [ASYNC|SYNC]",
    "    Remove all keys of a slot from current node.",
    "FLUSHSLOTS",
    "    Delete current node own slots information.",
    "FORGET <node-id>",
    "    Remove a node from the cluster.",
    "GETKEYSINSLOT <slot> <count>",
    "    Return key names stored by current node in a slot.",
    "INFO",
    "    Return information about the cluster.",
    "KEYSLOT <key>",
    "    Return the hash slot for <key>.",
    "LINKS",
    "    Return information about all network links between this node and its peers.",
    "    Output format is an array where each array element is a map containing attributes of a link",
    "MEET <ip> <port> [<bus-port>]",
    "    Connect nodes into a working cluster.",
    "MYID",
    "    Return the node id.",
    "MYSHARDID",
    "    Return the node's shard id.",
    "NODES",
    "    Return cluster configuration seen by node. Output format:",
    "    <id> <ip:port@bus-port[,hostname]> <flags> <master> <pings> <pongs> <epoch> <link> <slot> ...",
    "RAFT (LOG [<count>]|PEERS|TRANSFER)",
    "    Look into the consensus, or lead it. See CLUSTER RAFT HELP.",
    "RECOVER QUORUM",
    "    Go on without the other voters when a majority of them is lost for good. Acknowledged changes can be lost.",
    "REPLICAS <node-id>",
    "    Return <node-id> replicas.",
    "REPLICATE (<node-id>|NO ONE)",
    "    Configure current node as replica to <node-id>, or turn it into empty primary.",
    "RESET [HARD|SOFT]",
    "    Reset current node (default: soft).",
    "SAVECONFIG",
    "    Force saving cluster configuration on disk.",
    "SET-CONFIG-EPOCH <epoch>",
    "    Set config epoch of current node.",
    "SETSLOT <slot> (NODE <node-id>|STABLE)",
    "    Set slot owner, or nothing: no slot is migrating here.",
    "SHARDS",
    "    Return information about slot range mappings and the nodes associated with them.",
    "SLOTS",
    "    Return information about slots range mappings. Each range is made of:",
    "    start, end, master and replicas IP addresses, ports and ids",
];

pub(super) fn help(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    ctx.help("CLUSTER", LINES);
    Flow::Done
}

/// CLUSTER RAFT HELP.
pub(super) fn raft(ctx: &mut Context<'_>) -> Flow {
    ctx.help(
        "CLUSTER RAFT",
        &[
            "LOG [<count>]",
            "    The last <count> (default 10) entries of the replicated log that are in memory, oldest first:",
            "    <index> <term> applied|committed|appended <proposal>|- <entry>",
            "PEERS",
            "    On the leader how far every other node has the log, elsewhere the leader.",
            "TRANSFER",
            "    Make this node, which must be a voter, the leader: the present one hands over.",
        ],
    );
    Flow::Done
}
