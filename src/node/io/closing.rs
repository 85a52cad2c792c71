//! How this node closes a connection though it lives, so that its end is not taken for its process's.
//!
//! Owns: which connections hear a last word, and which are reset. Must not: close anything.
//! Contract: docs/protocol.md, "Known dead".

use crate::node::Closing;
use crate::node::io::sessions::{BusEnd, BusSession, Kind, Purpose, Session};
use crate::replication::{self, Stream};
use crate::wire::bus;

/// For a link of the bus.
pub(in crate::node) fn of_link(link: &BusSession, all_is_sent: bool) -> Closing {
    match &link.peer {
        Some(peer) if peer.process.is_some() => saying(bus::CLOSING, all_is_sent),
        // Who has heard our greeting, and has not greeted yet.
        None if matches!(link.end, BusEnd::Outbound { purpose } if purpose != Purpose::Probe) => Closing::Reset,
        Some(_) | None => Closing::InOrder,
    }
}

/// For any connection; `stream` is what this node's replicas follow.
pub(in crate::node) fn of(session: &Session, stream: &Stream) -> Closing {
    let all_is_sent = session.transmit.is_empty();
    match &session.kind {
        Kind::Bus(link) => of_link(link, all_is_sent),
        Kind::Primary(link) if link.process.is_some() => saying(replication::CLOSING, all_is_sent),
        Kind::Primary(_) => Closing::InOrder,
        Kind::Client(client) => match client.client.replica.as_deref().filter(|replica| replica.member().is_some()) {
            // Between two commands only.
            Some(replica) if replica.is_online() && !replica.has_more(stream) => saying(replication::CLOSING, all_is_sent),
            Some(_) if !session.closing => Closing::Reset,
            _ => Closing::InOrder,
        },
    }
}

fn saying(word: &'static [u8], all_is_sent: bool) -> Closing {
    if all_is_sent { Closing::Saying(word) } else { Closing::Reset }
}
