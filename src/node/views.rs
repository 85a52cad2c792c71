//! What commands are shown of the bus.
//!
//! Owns: the cached views of links and meetings. Must not: change anything else.

use crate::cluster::Address;
use crate::cluster::view::Outsider;
use crate::commands::LinkView;
use crate::node::io::Io;
use crate::node::io::sessions::{BusEnd, Kind, Purpose, Session};
use crate::node::metadata::join::Joining;
use crate::store::Standing;
use crate::types::NodeId;

/// What commands are shown of the bus, as of the last cron.
#[derive(Default)]
pub(in crate::node) struct Views {
    /// The links, in the order in which CLUSTER LINKS shows them.
    pub links: Vec<LinkView>,
    /// Addresses that are being met, each under a name that stands for its id.
    pub handshakes: Vec<(NodeId, Address)>,
}

impl Views {
    /// Cron: what CLUSTER LINKS and CLUSTER NODES show of the bus.
    pub fn refresh(&mut self, io: &Io, joining: &Joining) {
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
        self.handshakes = joining.sockets().map(handshake).collect();
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
