//! Showing the cluster: who is in it, who owns what, which links there are.
//!
//! Owns: NODES, SLOTS, SHARDS, REPLICAS, LINKS, MYID, MYSHARDID as replies. Must not: decide what is shown (cluster::view does).

use super::member;
use crate::cluster::view::{self, OwnedRange, Viewer};
use crate::cluster::{Address, Member};
use crate::commands::engine::replicas::{self, Shown};
use crate::commands::engine::{Context, Flow, LinkView};
use crate::config::EndpointType;
use crate::types::NodeId;
use crate::wire::{Args, Reply};
use std::collections::BTreeMap;

pub(super) fn myid(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    let id = ctx.cluster.me.to_string();
    ctx.reply.bulk(id.as_bytes());
    Flow::Done
}

pub(super) fn myshardid(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    let shard = ctx.cluster.state.member(&ctx.cluster.me).map(|member| member.shard);
    match shard.or_else(|| ctx.cluster.address.shard_id()) {
        Some(shard) => ctx.reply.bulk(shard.to_string().as_bytes()),
        None => ctx.reply.error("ERR No shard ID yet"),
    }
    Flow::Done
}

/// This node's own address for clients: what it announces counts from the next command on, also within EXEC. Its IP, unless it was told
/// one, is what the cluster has found out.
fn own_address(ctx: &Context<'_>) -> Address {
    let (config, mut own) = (&*ctx.config, ctx.cluster.address.clone());
    let known = ctx.cluster.state.member(&ctx.cluster.me).map(|member| member.address.ip.as_str());
    match config.cluster_announce_ip.as_str() {
        "" => known.filter(|ip| !ip.is_empty()).into_iter().for_each(|ip| ip.clone_into(&mut own.ip)),
        told => told.clone_into(&mut own.ip),
    }
    (own.port, own.bus_port) = (config.announced_port(), config.announced_bus_port());
    own.hostname.clone_from(&config.cluster_announce_hostname);
    own
}

pub(super) fn nodes(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    let (mut text, own) = (String::new(), own_address(ctx));
    let viewer = Viewer { me: &ctx.cluster.me, own: &own, missed: ctx.cluster.missed };
    view::nodes(ctx.cluster.state, viewer, ctx.cluster.claims, ctx.cluster.outsiders, &mut text);
    ctx.reply.verbatim("txt", text.as_bytes());
    Flow::Done
}

pub(super) fn replicas(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let Some(id) = member(ctx, args.get(2)) else { return Flow::Done };
    let (state, me) = (ctx.cluster.state, ctx.cluster.me);
    if state.member(&id).is_some_and(|member| !member.is_primary()) {
        return ctx.fail("ERR The specified node is not a master");
    }
    let (replicas, own, missed) = (state.replicas_of(&id), own_address(ctx), ctx.cluster.missed);
    ctx.reply.array(replicas.len());
    for replica in replicas.iter().filter_map(|id| state.member(id)) {
        let mut line = String::new();
        view::node(state, replica, Viewer { me: &me, own: &own, missed }, &mut line);
        ctx.reply.bulk(line.trim_end().as_bytes());
    }
    Flow::Done
}

pub(super) fn slots(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    let (offsets, own, me) = (ctx.cluster.offsets, own_address(ctx), ctx.cluster.me);
    let viewer = Viewer { me: &me, own: &own, missed: ctx.cluster.missed };
    let ranges = view::slots(ctx.cluster.state, |id| offset_of(offsets, id) > 0);
    let endpoint = ctx.config.cluster_preferred_endpoint_type;
    ctx.reply.array(ranges.len());
    for OwnedRange { range, primary, replicas } in ranges {
        ctx.reply.array(3 + replicas.len());
        ctx.reply.int(i64::from(range.first().number()));
        ctx.reply.int(i64::from(range.last().number()));
        write_node(&mut ctx.reply, primary.id, viewer.address(primary), endpoint);
        replicas.iter().for_each(|replica| write_node(&mut ctx.reply, replica.id, viewer.address(replica), endpoint));
    }
    Flow::Done
}

/// `[endpoint, port, id, metadata]`: the metadata holds what the endpoint does not say.
fn write_node(reply: &mut Reply<'_>, id: NodeId, address: &Address, endpoint: EndpointType) {
    reply.array(4);
    match endpoint {
        EndpointType::Unknown => reply.null(),
        EndpointType::Ip | EndpointType::Hostname => reply.bulk(preferred(address, endpoint).as_bytes()),
    }
    reply.int(i64::from(address.port));
    reply.bulk(id.to_string().as_bytes());
    let ip = endpoint != EndpointType::Ip;
    let hostname = endpoint != EndpointType::Hostname && !address.hostname.is_empty();
    let zone = address.availability_zone();
    reply.map(usize::from(ip) + usize::from(hostname) + usize::from(!zone.is_empty()));
    if ip {
        write_pair(reply, "ip", &address.ip);
    }
    if hostname {
        write_pair(reply, "hostname", &address.hostname);
    }
    write_zone(reply, zone);
}

/// As in Valkey: the last field, and only of who announces a zone.
fn write_zone(reply: &mut Reply<'_>, zone: &str) {
    if !zone.is_empty() {
        write_pair(reply, "availability-zone", zone);
    }
}

fn preferred(address: &Address, endpoint: EndpointType) -> &str {
    match endpoint {
        EndpointType::Ip => &address.ip,
        EndpointType::Hostname if address.hostname.is_empty() => "?",
        EndpointType::Hostname => &address.hostname,
        EndpointType::Unknown => "",
    }
}

pub(super) fn write_pair(reply: &mut Reply<'_>, key: &str, value: &str) {
    reply.bulk(key.as_bytes());
    reply.bulk(value.as_bytes());
}

pub(super) fn shards(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    let (shards, own, me) = (view::shards(ctx.cluster.state), own_address(ctx), ctx.cluster.me);
    let viewer = Viewer { me: &me, own: &own, missed: ctx.cluster.missed };
    let (endpoint, offsets) = (ctx.config.cluster_preferred_endpoint_type, known_offsets(ctx));
    ctx.reply.array(shards.len());
    for shard in shards {
        ctx.reply.map(2);
        ctx.reply.bulk(b"slots");
        ctx.reply.array(2 * shard.ranges.len());
        for range in shard.ranges {
            ctx.reply.int(i64::from(range.first().number()));
            ctx.reply.int(i64::from(range.last().number()));
        }
        ctx.reply.bulk(b"nodes");
        ctx.reply.array(shard.nodes.len());
        for member in shard.nodes {
            write_shard_node(&mut ctx.reply, member, viewer.address(member), offset_of(&offsets, &member.id), endpoint);
        }
    }
    Flow::Done
}

/// What the leader has told is old. Of itself this node knows better, and of the replicas that are connected to it.
fn known_offsets(ctx: &Context<'_>) -> BTreeMap<NodeId, u64> {
    let (me, state) = (ctx.cluster.me, ctx.cluster.state);
    let mut offsets = ctx.cluster.offsets.clone();
    offsets.insert(me, ctx.cluster.offset);
    let connected = replicas::replicas(ctx);
    for replica in state.replicas_of(&me).iter().filter_map(|id| state.member(id)) {
        let (ip, port) = (&replica.address.ip, replica.address.port);
        let is_there = |shown: &Shown| shown.ip == *ip && shown.port == port;
        let is_it = |shown: &&Shown| shown.node.map_or_else(|| is_there(shown), |node| node == replica.id) && shown.acked > 0;
        if let Some(shown) = connected.iter().find(is_it) {
            offsets.insert(replica.id, shown.acked);
        }
    }
    offsets
}

fn offset_of(offsets: &BTreeMap<NodeId, u64>, id: &NodeId) -> u64 {
    offsets.get(id).copied().unwrap_or(0)
}

fn write_shard_node(reply: &mut Reply<'_>, member: &Member, address: &Address, offset: u64, endpoint: EndpointType) {
    let (hostname, zone) = (&address.hostname, address.availability_zone());
    reply.map(7 + usize::from(!hostname.is_empty()) + usize::from(!zone.is_empty()));
    write_pair(reply, "id", &member.id.to_string());
    reply.bulk(b"port");
    reply.int(i64::from(address.port));
    write_pair(reply, "ip", &address.ip);
    write_pair(reply, "endpoint", preferred(address, endpoint));
    if !hostname.is_empty() {
        write_pair(reply, "hostname", hostname);
    }
    write_pair(reply, "role", if member.is_primary() { "master" } else { "replica" });
    reply.bulk(b"replication-offset");
    reply.int(i64::try_from(offset).unwrap_or(i64::MAX));
    let health = match member.failed {
        true => "fail",
        false if offset == 0 && !member.is_primary() => "loading",
        false => "online",
    };
    write_pair(reply, "health", health);
    write_zone(reply, zone);
}

pub(super) fn links(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    ctx.reply.array(ctx.cluster.links.len());
    ctx.cluster.links.iter().for_each(|link| write_link(&mut ctx.reply, link));
    Flow::Done
}

fn write_link(reply: &mut Reply<'_>, link: &LinkView) {
    let int = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
    reply.map(6);
    write_pair(reply, "direction", if link.outbound { "to" } else { "from" });
    write_pair(reply, "node", &link.node.to_string());
    reply.bulk(b"create-time");
    reply.int(i64::try_from(link.created).unwrap_or(i64::MAX));
    write_pair(reply, "events", if link.unsent > 0 { "rw" } else { "r" });
    reply.bulk(b"send-buffer-allocated");
    reply.int(int(link.send_buffer));
    reply.bulk(b"send-buffer-used");
    reply.int(int(link.unsent));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_shown_as_in_redis() {
        let node = NodeId::from_bytes([7; 20]);
        let link = LinkView { node, outbound: true, greeted: true, created: 5, heard: 6, send_buffer: 48, unsent: 9 };
        let mut out = Vec::new();
        write_link(&mut Reply::new(&mut out, true), &link);
        let expected = format!(
            "%6\r\n$9\r\ndirection\r\n$2\r\nto\r\n$4\r\nnode\r\n$40\r\n{node}\r\n$11\r\ncreate-time\r\n:5\r\n$6\r\nevents\r\n$2\r\nrw\r\n$21\r\nsend-buffer-allocated\r\n:48\r\n$16\r\nsend-buffer-used\r\n:9\r\n"
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
