//! The connections of a node, whoever is at the other end.
//!
//! Owns: sessions, what is unsent on them, and what the shell is to do. Must not: know another part of the node.

pub(in crate::node) mod closing;
pub(in crate::node) mod guard;
pub(in crate::node) mod long_values;
pub(in crate::node) mod redial;
pub(in crate::node) mod sessions;
pub(in crate::node) mod transmit;

use crate::node::Action;
use crate::node::outbox::Outbox;
use crate::session::BusStats;
use crate::types::{ConnId, Now};
use sessions::{BusEnd, BusSession, Kind, Port, Purpose};
use std::collections::VecDeque;
use std::net::SocketAddr;
use transmit::Transmit;

/// See the module.
#[derive(Default)]
pub(in crate::node) struct Io {
    pub sessions: sessions::Sessions,
    pub outbox: Outbox,
    pub actions: VecDeque<Action>,
    pub bus_stats: BusStats,
    pub guard: guard::Guard,
    /// How many clients there have been.
    clients: u64,
}

impl Io {
    /// The next client's id; none is used twice.
    pub fn next_client(&mut self) -> u64 {
        self.clients += 1;
        self.clients
    }

    /// Opens a session on the bus and asks the shell to connect it.
    pub fn dial(&mut self, socket: SocketAddr, purpose: Purpose, now: Now) -> ConnId {
        let session = BusSession {
            end: BusEnd::Outbound { purpose },
            peer: None,
            remote_ip: socket.ip(),
            local_ip: None,
            since: now,
            heard: 0,
            publishes: false,
            is_closing: false,
        };
        let conn = self.sessions.insert(Kind::Bus(Box::new(session)));
        self.actions.push_back(Action::Dial { conn, socket, port: Port::Bus });
        conn
    }

    /// What is to be written to a connection.
    pub fn transmit_mut(&mut self, conn: ConnId) -> Option<&mut Transmit> {
        self.sessions.get_mut(conn).map(|session| &mut session.transmit)
    }
}
