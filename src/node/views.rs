//! What commands are shown of the bus.
//!
//! Owns: the cached views of links and meetings. Must not: change anything else.

use crate::cluster::Address;
use crate::cluster::view::Outsider;
use crate::commands::LinkView;
use crate::node::io::Io;
use crate::node::io::sessions::{BusEnd, Kind, Purpose, Session};
use crate::node::metadata::Metadata;
use crate::node::metadata::links::Links;
use crate::node::view::View;
use crate::store::Standing;
use crate::types::{Millis, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// What commands are shown of the bus, as of the last cron.
#[derive(Default)]
pub(in crate::node) struct Views {
    /// The links, in the order in which CLUSTER LINKS shows them.
    pub links: Vec<LinkView>,
    /// Addresses that are being met, each under a name that stands for its id.
    pub handshakes: Vec<(NodeId, Address)>,
    /// Whom this node has not reached for node-timeout though it wants to.
    pub missed: BTreeSet<NodeId>,
    /// Since when it does not reach whom it wants to (mono ms).
    unreached: BTreeMap<NodeId, Millis>,
}

impl Views {
    /// Cron: what CLUSTER LINKS and CLUSTER NODES show of the bus.
    pub fn refresh(&mut self, io: &Io, metadata: &Metadata, view: &View) {
        self.links = io.sessions.iter().filter_map(|(_, session)| link_view(session)).collect();
        let handshake = |socket: std::net::SocketAddr| {
            let mut name = [0; 20];
            name[..2].copy_from_slice(&socket.port().to_be_bytes());
            match socket.ip() {
                std::net::IpAddr::V4(ip) => name[2..6].copy_from_slice(&ip.octets()),
                std::net::IpAddr::V6(ip) => name[2..18].copy_from_slice(&ip.octets()),
            }
            let address = Address { ip: socket.ip().to_string(), port: 0, bus_port: socket.port(), ..Address::default() };
            (NodeId::from_bytes(name), address)
        };
        self.handshakes = metadata.joining.sockets().map(handshake).collect();
        self.review_unreached(&metadata.links, view);
    }

    fn review_unreached(&mut self, links: &Links, view: &View) {
        let (now, unreached) = (view.now.mono, links.unreached());
        self.unreached = unreached.map(|id| (id, self.unreached.get(&id).copied().unwrap_or(now))).collect();
        let is_missed = |since: Millis| now.saturating_sub(since) >= view.config.cluster_node_timeout;
        self.missed = self.unreached.iter().filter(|(_, since)| is_missed(**since)).map(|(id, _)| *id).collect();
    }
}

fn link_view(session: &Session) -> Option<LinkView> {
    let Kind::Bus(bus) = &session.kind else { return None };
    let peer = bus.peer.as_ref();
    let (node, outbound) = match bus.end {
        BusEnd::Inbound => (peer?.id, false),
        BusEnd::Outbound { purpose: Purpose::Link(id) | Purpose::Publish(id) } => (id, true),
        BusEnd::Outbound { purpose: Purpose::Ask(_) | Purpose::Meet | Purpose::Probe } => return None,
    };
    let (send_buffer, unsent) = (session.transmit.capacity(), session.transmit.len());
    Some(LinkView { node, outbound, greeted: peer.is_some(), created: bus.since.wall, heard: bus.heard, send_buffer, unsent })
}

/// Who is in CLUSTER NODES without being in the state: this node while it joins, and whom it is meeting. Allocates nothing if there is
/// nobody.
pub(in crate::node) fn outsiders<'a>(
    me: &NodeId,
    own: &'a Address,
    standing: &'a Standing,
    handshakes: &'a [(NodeId, Address)],
) -> Vec<Outsider<'a>> {
    let joiner = standing.is_joiner().then_some(Outsider { id: *me, address: own, myself: true });
    let met = handshakes.iter().map(|(id, address)| Outsider { id: *id, address, myself: false });
    joiner.into_iter().chain(met).collect()
}

#[cfg(test)]
mod tests {
    use crate::node::Port;
    use crate::node::net::Net;

    #[test]
    fn who_is_missed_shows_that_before_the_cluster_knows() {
        let mut net = Net::with_members(2);
        assert_eq!(net.nodes[0].metadata.raft.voters().len(), 1, "nobody else can flag it");
        net.stopped = Some(0);
        let begun = net.now.mono;
        net.until("node 0 to be missed", |net| !net.nodes[1].views.missed.is_empty());
        let patience = net.nodes[1].config().cluster_node_timeout;
        assert!((patience..=3 * patience).contains(&(net.now.mono - begun)), "after {} ms", net.now.mono - begun);
        let text = net.ask(1, "CLUSTER NODES");
        assert!(text.contains(" master,fail? - "), "{text}");
        assert_eq!(net.ask(1, "CLUSTER INFO").matches("cluster_slots_pfail:16384\r\n").count(), 1);
        net.stopped = None;
        let is_well = |net: &Net| net.nodes.iter().all(|node| node.metadata.state.members().all(|member| !member.failed));
        net.until("it to be reached", |net| net.nodes[1].views.missed.is_empty() && is_well(net));
        assert!(!net.ask(1, "CLUSTER NODES").contains("fail"));
    }

    #[test]
    fn what_a_node_announces_shows_there_at_once() {
        let mut net = Net::with_members(2);
        [(0, 1), (1, 0)].into_iter().for_each(|(from, to)| net.hold(from, to, Port::Bus));
        let options = "cluster-announce-port 9001 cluster-announce-bus-port 9002 cluster-announce-hostname a.b";
        assert_eq!(net.ask(1, &format!("CONFIG SET {options}")), "+OK\r\n");
        let text = net.ask(1, "CLUSTER NODES");
        assert!(text.contains(":9001@9002,a.b myself,"), "{text}");
        let text = net.ask(1, "MULTI\r\nCONFIG SET cluster-announce-hostname c.d\r\nCLUSTER NODES\r\nEXEC");
        assert!(text.contains(":9001@9002,c.d myself,"), "{text}");
        assert!(net.ask(1, "CLUSTER SHARDS").contains(":9001\r\n"));
        assert!(!net.ask(0, "CLUSTER NODES").contains("9001"), "elsewhere it is known when it is committed");
    }
}
