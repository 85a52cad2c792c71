//! What commands and checkers are shown of a node.
//!
//! Owns: the cached views of links and meetings, accessors, and the invariants that hold between rooms. Must not: change anything else.

use crate::cluster::view::Outsider;
use crate::cluster::{Address, Change, State};
use crate::commands::LinkView;
use crate::config::Config;
use crate::keyspace::Keyspace;
use crate::node::Node;
use crate::node::io::sessions::{BusEnd, Kind, Purpose};
use crate::raft::Raft;
use crate::session::Server;
use crate::store::{Disk, Standing};
use crate::types::{ConnId, NodeId, Now, Slot};

/// What commands are shown of the bus, as of the last cron.
#[derive(Default)]
pub(in crate::node) struct Views {
    /// The links, in the order in which CLUSTER LINKS shows them.
    pub links: Vec<LinkView>,
    /// Addresses that are being met, each under a name that stands for its id.
    pub handshakes: Vec<(NodeId, Address)>,
}

impl<D: Disk> Node<D> {
    /// The options in use.
    pub fn config(&self) -> &Config {
        &self.view.config
    }

    /// This node's id.
    pub fn id(&self) -> NodeId {
        self.metadata.me
    }

    /// Where it says that it is reached.
    pub fn address(&self) -> &Address {
        &self.metadata.own_address
    }

    /// The replicated state.
    pub fn state(&self) -> &State {
        &self.metadata.state
    }

    /// Consensus.
    pub fn raft(&self) -> &Raft<Change> {
        &self.metadata.raft
    }

    /// The keys.
    pub fn keyspace(&self) -> &Keyspace {
        &self.dataset.keyspace
    }

    /// How this node stands to its cluster.
    pub fn standing(&self) -> &Standing {
        &self.metadata.standing
    }

    /// Whether this node copies another one's keys.
    pub fn is_replica(&self) -> bool {
        self.dataset.is_replica()
    }

    /// Whether this node's keys are those of its shard: always for a primary, for a replica once a sync with its primary is complete.
    pub fn is_in_sync(&self) -> bool {
        self.dataset.is_in_sync()
    }

    /// How far this node's keys are in their history, in bytes of its stream. A replica that has nothing worth promoting says 0, any other at least 1.
    pub fn replication_offset(&self) -> u64 {
        self.dataset.replication_offset()
    }

    /// Whether a leader was heard so lately, by the time of the last turn, that it will be heard again, or another one.
    pub fn hears_leader(&self) -> bool {
        self.metadata.hears_leader(&self.view)
    }

    /// Whether the keys are still being loaded from the disk: until then this node holds none.
    pub fn is_loading(&self) -> bool {
        self.dataset.is_loading()
    }

    /// Whether a client's write to this slot would be acknowledged now.
    pub fn accepts_writes(&self, slot: Slot, now: Now) -> bool {
        let leaving = self.dataset.succession.yielding.leaving.iter().any(|range| range.contains(slot));
        let held = self.machine.steady.would_read(now).is_some_and(|now| self.dataset.lease.at(now.mono).is_some());
        self.metadata.outlook.usable && self.metadata.state.owner(slot) == Some(self.metadata.me) && !leaving && held
    }

    /// How often this node has said that two processes have one id.
    pub fn duplicates_seen(&self) -> u64 {
        self.out.io.bus_stats.duplicates
    }

    /// What the shell knows of the process: its id, its memory, its CPU time.
    pub fn server_mut(&mut self) -> &mut Server {
        &mut self.out.server
    }

    /// Asserts every invariant, also those between the rooms.
    pub fn check(&self) {
        self.metadata.raft.check();
        self.dataset.stream.check();
        self.dataset.check_foreign(&self.metadata, &self.view);
        assert!(
            self.dataset.following.primary().is_none() || !self.dataset.stream.is_recording(),
            "what a replica changes is in its primary's stream already"
        );
        assert!(self.metadata.state.last_applied() <= self.metadata.raft.commit_index(), "only what is committed is applied");
        assert!(
            self.metadata.raft.log().snapshot_index() <= self.metadata.state.last_applied(),
            "the log in memory begins where the state ends, or before"
        );
        assert!(self.metadata.raft.commit_index() <= self.metadata.raft.log().last_index(), "what is committed is in the log");
        assert_eq!(
            self.metadata.raft.voters_at(self.metadata.state.last_applied()),
            self.metadata.state.voters(),
            "the applied state's voters are those of the log"
        );
    }

    /// Cron: what CLUSTER LINKS and CLUSTER NODES show of the bus.
    pub(in crate::node) fn refresh_views(&mut self) {
        self.views.links =
            self.out.io.sessions.iter().filter_map(|(id, session)| self.link_view(id, &session.kind, session.transmit.len())).collect();
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
        self.views.handshakes = self.metadata.joining.sockets().map(handshake).collect();
    }

    fn link_view(&self, id: ConnId, kind: &Kind, unsent: usize) -> Option<LinkView> {
        let Kind::Bus(bus) = kind else { return None };
        let peer = bus.peer.as_ref();
        let (node, outbound) = match bus.end {
            BusEnd::Inbound => (peer?.id, false),
            BusEnd::Outbound { purpose: Purpose::Link(id) | Purpose::Publish(id) } => (id, true),
            BusEnd::Outbound { purpose: Purpose::Ask(_) | Purpose::Meet | Purpose::Probe } => return None,
        };
        let send_buffer = self.out.io.sessions.get(id).map_or(0, |session| session.transmit.capacity());
        Some(LinkView { node, outbound, greeted: peer.is_some(), created: bus.since.wall, heard: bus.heard, send_buffer, unsent })
    }
}

/// Who is in CLUSTER NODES without being in the state: this node while it joins, and whom it is meeting. Allocates nothing if there is nobody.
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
