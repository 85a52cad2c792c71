//! Whether this node may serve a command's keys, and where to send the client if not.
//!
//! Owns: the slot of a command's keys, and the texts of MOVED, CROSSSLOT and CLUSTERDOWN. Must not: run or queue anything.
//! The order of the checks is that of Redis' getNodeByQuery.

use super::admission;
use super::command::{Command, Flag, KeySpec};
use super::context::{Cluster, Context, UpstreamLink};
use crate::cluster::Address;
use crate::config::{Config, EndpointType};
use crate::keyspace::key_slot;
use crate::session::{Access, KeySlots};
use crate::types::{LeaseNumber, NodeId, Slot};
use crate::wire::Args;
use std::borrow::Cow;

/// The slots of these keys; none if there are no keys.
pub(super) fn key_slots(specs: &[KeySpec], args: Args<'_>) -> Option<KeySlots> {
    let mut slots = None;
    for spec in specs {
        for at in spec.indices(args.len()) {
            KeySlots::add(&mut slots, key_slot(args.get(at)));
        }
    }
    slots
}

/// Why this node does not serve a command's keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Redirect {
    /// Nobody owns the slot.
    Unserved,
    /// The keys are of several slots.
    CrossSlot,
    /// The cluster is down, or this node cannot know that it is not: it has no lease.
    Down,
    /// The cluster is down, and only reads are allowed meanwhile.
    DownForWrites,
    /// The slot is this node's, but an entry in its log takes it away once applied (docs/protocol.md, "The gate"), or its keys are not here
    /// yet.
    Leaving,
    /// Another node's slot.
    Moved(Slot, NodeId),
    /// It would show a replica's copy, which may be old.
    Stale,
    /// Fewer replicas are there than a write needs.
    TooFewReplicas,
    /// It has no keys and would change a replica's copy as a whole.
    ReadOnly,
}

/// Whether this node may serve these slots to the asking client, and under which lease; a replica needs none, and channels neither.
pub(super) fn check(ctx: &Context<'_>, slots: KeySlots, access: Access) -> Result<Option<LeaseNumber>, Redirect> {
    let Context { cluster, config, .. } = ctx;
    let slot = slots.first;
    if ctx.client.is_primary {
        return if slots.several { Err(Redirect::CrossSlot) } else { Ok(None) };
    }
    let Some(owner) = cluster.state.owner(slot) else { return Err(Redirect::Unserved) };
    if slots.several {
        return Err(Redirect::CrossSlot);
    }
    let own = owner == cluster.me;
    if !cluster.usable || (own && access != Access::Channels && cluster.lease.is_none()) {
        match access {
            Access::Channels if config.cluster_allow_pubsubshard_when_down => {}
            Access::Write if config.cluster_allow_reads_when_down => return Err(Redirect::DownForWrites),
            Access::Read if config.cluster_allow_reads_when_down => {}
            _ => return Err(Redirect::Down),
        }
    }
    match access {
        // The replicas of a shard serve its channels as its primary does.
        Access::Channels if own || cluster.primary() == Some(owner) => return Ok(None),
        Access::Read if !own && has_copy(ctx, owner) => return check_stale(ctx).map(|()| None),
        _ if !own && is_here(ctx, owner) => return Err(Redirect::Unserved),
        _ if !own => return Err(Redirect::Moved(slot, owner)),
        _ => {}
    }
    if cluster.leaving.iter().any(|range| range.contains(slot)) {
        return Err(Redirect::Leaving);
    }
    if access == Access::Write {
        check_replicas(ctx)?;
    }
    Ok(cluster.lease)
}

/// Whether the owner was where this node is now, or where the client asks: that would be sent round in a circle. Where it has gone, or
/// whether it is gone, is not known yet. A hostname may have been given to this node with another IP: a pod keeps its name.
fn is_here(ctx: &Context<'_>, owner: NodeId) -> bool {
    let Some(Address { ip, port, hostname, .. }) = ctx.cluster.state.member(&owner).map(|member| &member.address) else { return false };
    let (own, asked) = (ctx.cluster.address, ctx.client.laddr);
    let by_name = ctx.config.cluster_preferred_endpoint_type == EndpointType::Hostname && !hostname.is_empty();
    let has_its_name = *ip == own.ip || by_name && hostname.eq_ignore_ascii_case(&own.hostname);
    (has_its_name && *port == own.port) || (*port == asked.port() && ip.parse() == Ok(asked.ip().to_canonical()))
}

/// Whether as many replicas are there as a write needs.
fn check_replicas(ctx: &Context<'_>) -> Result<(), Redirect> {
    let needed = if ctx.config.min_replicas_max_lag > 0 { ctx.config.min_replicas_to_write } else { 0 };
    if ctx.server.good_replicas < needed { Err(Redirect::TooFewReplicas) } else { Ok(()) }
}

/// Whether a command without keys may run, and under which lease. What it would change on a replica is its primary's to change, and who has
/// slots changes their keys under a lease only, and none while some of them are on their way to another node.
pub(super) fn check_keyless(ctx: &Context<'_>, command: &Command) -> Result<Option<LeaseNumber>, Redirect> {
    let cluster = &ctx.cluster;
    // The end of its stream may come when this node has taken over already.
    if ctx.client.is_primary {
        return Ok(None);
    }
    let writes = admission::writes(ctx, command);
    if cluster.is_replica() {
        return match () {
            () if writes => Err(Redirect::ReadOnly),
            () if command.has(Flag::Stale) => Ok(None),
            () => check_stale(ctx).map(|()| None),
        };
    }
    match cluster.lease {
        _ if !writes => Ok(None),
        None if cluster.state.slot_count_of(&cluster.me) > 0 => Err(Redirect::Down),
        _ if !cluster.leaving.is_empty() => Err(Redirect::Leaving),
        lease => check_replicas(ctx).map(|()| lease),
    }
}

/// Whether this replica has the owner's keys, and the client takes them from there.
fn has_copy(ctx: &Context<'_>, owner: NodeId) -> bool {
    let cluster = &ctx.cluster;
    ctx.client.readonly && cluster.primary() == Some(owner) && cluster.upstream.is_some_and(|upstream| upstream.in_sync)
}

/// Whether this replica may show what it has: it may be old.
fn check_stale(ctx: &Context<'_>) -> Result<(), Redirect> {
    let fresh = ctx.cluster.upstream.is_none_or(|upstream| upstream.link == UpstreamLink::Up);
    if fresh || ctx.config.replica_serve_stale_data { Ok(()) } else { Err(Redirect::Stale) }
}

impl Redirect {
    /// It is no matter of the slot: the same keys are refused here now, and nowhere else.
    pub const fn is_refusal(self) -> bool {
        matches!(self, Self::TooFewReplicas | Self::ReadOnly | Self::Stale)
    }

    /// The error that sends the client on.
    pub fn text(self, ctx: &Context<'_>) -> Cow<'static, str> {
        let text = match self {
            Self::Unserved => "CLUSTERDOWN Hash slot not served",
            Self::CrossSlot => "CROSSSLOT Keys in request don't hash to the same slot",
            Self::Down => "CLUSTERDOWN The cluster is down",
            Self::DownForWrites => "CLUSTERDOWN The cluster is down and only accepts read commands",
            Self::TooFewReplicas => "NOREPLICAS Not enough good replicas to write.",
            Self::ReadOnly => "READONLY You can't write against a read only replica.",
            Self::Stale => "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            Self::Leaving => "TRYAGAIN The slot is on its way to another node",
            Self::Moved(slot, owner) => return moved(&ctx.cluster, ctx.config, slot, owner).into(),
        };
        text.into()
    }
}

/// `MOVED slot endpoint:port`; the endpoint is what `cluster-preferred-endpoint-type` says.
fn moved(cluster: &Cluster<'_>, config: &Config, slot: Slot, owner: NodeId) -> String {
    // An owner is always a member, so the address is there; without it the client can only ask the node that it knows.
    let Some(member) = cluster.state.member(&owner) else { return format!("MOVED {slot} :0") };
    let address = &member.address;
    let endpoint = match config.cluster_preferred_endpoint_type {
        EndpointType::Ip => address.ip.as_str(),
        EndpointType::Hostname if address.hostname.is_empty() => "?",
        EndpointType::Hostname => address.hostname.as_str(),
        EndpointType::Unknown => "",
    };
    format!("MOVED {slot} {endpoint}:{}", address.port)
}
