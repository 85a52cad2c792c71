//! Two processes with one id: a copied nodes.conf, or a machine restored from an image while the old one runs.
//!
//! Owns: which process each member was last heard from, and saying so if there are two. Must not: take sides. Nobody can tell which of them
//! remembers what the other has promised, so the operator has to end one. Contract: docs/operations.md, "nodes.conf";
//! \[N68 two-processes\].

use crate::node::metadata::Metadata;
use crate::node::view::{Effects, View};
use crate::types::{ConnId, Millis, NodeId};
use std::collections::BTreeMap;

/// How often the same two are told of (ms).
const REPEAT: Millis = 60_000;
/// After a process that was followed by another one has been heard again so often, both live. Once may be what a dead one had sent.
const CERTAIN: u32 = 2;

/// A process as its greeting shows it.
struct Process {
    nonce: u64,
    /// `ip:port@cport`
    place: String,
}

/// By which processes one id speaks.
struct Voice {
    last: Process,
    /// Who spoke before it.
    before: Option<Process>,
    /// How often one of the two was heard again after the other.
    returns: u32,
    /// Until then it is not told again (mono ms).
    quiet_until: Millis,
}

/// Of members. Others are nobody's concern.
#[derive(Default)]
pub(in crate::node) struct Duplicates {
    voices: BTreeMap<NodeId, Voice>,
}

impl Duplicates {
    /// Whom the cluster has forgotten is not listened to any more.
    pub fn retain(&mut self, is_member: impl Fn(&NodeId) -> bool) {
        self.voices.retain(|id, _| is_member(id));
    }
}

impl Voice {
    fn new(last: Process) -> Self {
        Self { last, before: None, returns: 0, quiet_until: 0 }
    }

    /// Another process than the last time speaks.
    fn change_to(&mut self, process: Process) {
        let nonce = process.nonce;
        let last = std::mem::replace(&mut self.last, process);
        let before = self.before.replace(last);
        self.returns = if before.is_some_and(|before| before.nonce == nonce) { self.returns + 1 } else { 0 };
    }
}

impl Metadata {
    /// A frame came by this connection, whose peer has greeted. Binaries of version 1 do not say which process they are.
    pub fn note_process(&mut self, conn: ConnId, view: &View, out: &mut Effects) {
        let Some(peer) = out.io.sessions.bus(conn).and_then(|bus| bus.peer.as_ref()) else { return };
        let (id, Some(nonce)) = (peer.id, peer.process) else { return };
        let known = self.evidence.duplicates.voices.get_mut(&id);
        if nonce == view.nonce || peer.cluster != self.state.cluster_id() {
            return;
        }
        if known.as_ref().is_some_and(|voice| voice.last.nonce == nonce) || self.state.member(&id).is_none() {
            return;
        }
        let process = Process { nonce, place: format!("{}:{}@{}", peer.address.ip, peer.address.port, peer.address.bus_port) };
        match known {
            Some(voice) => voice.change_to(process),
            None => _ = self.evidence.duplicates.voices.insert(id, Voice::new(process)),
        }
        self.tell_of_duplicate(id, view, out);
    }

    fn tell_of_duplicate(&mut self, id: NodeId, view: &View, out: &mut Effects) {
        let Some(voice) = self.evidence.duplicates.voices.get_mut(&id) else { return };
        // Who speaks under our own id is never us.
        let certain = id == self.me || voice.returns >= CERTAIN;
        if !certain || view.now.mono < voice.quiet_until {
            return;
        }
        voice.quiet_until = view.now.mono + REPEAT;
        let (one, other) = (&voice.last.place, voice.before.as_ref().map_or("this one", |before| before.place.as_str()));
        log::error!(
            "Two processes call themselves {id}: the one at {one}, and {other}. Both have one nodes.conf, or a copy of it: end one of them at once, \
             for what either has promised the other does not know"
        );
        out.io.bus_stats.duplicates += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::net::Net;
    use crate::node::{Accepted, Port};

    /// A process that calls itself node 1 greets node 0 and says something; how often node 0 has told of two since.
    fn speaks(net: &mut Net, process: u64) -> u64 {
        let (id, place) = (net.nodes[1].metadata.me, "10.0.0.1:17001".parse().unwrap());
        let Accepted::Session(conn) = net.nodes[0].accepted(Port::Bus, place, place) else { panic!("there is room") };
        let hello = format!("HELLO {id} 10.0.0.1:7001@17001 {} 2 - - {process}", net.nodes[0].metadata.state.cluster_id());
        for text in [hello, format!("PROBED {id} 1 unknown")] {
            let length = (text.len() + 8) as u32;
            net.give(0, conn, &[b"RAFT", &length.to_be_bytes()[..], text.as_bytes()].concat());
        }
        net.step();
        net.nodes[0].duplicates_seen()
    }

    #[test]
    fn who_speaks_again_after_its_successor_lives_beside_it() {
        let mut net = Net::with_members(2);
        net.kill(1);
        let processes = [5, 6, 5];
        assert_eq!(processes.map(|process| speaks(&mut net, process)), [0, 0, 0], "restarts, and what a dead one had sent");
        assert_eq!(speaks(&mut net, 6), 1);
        assert_eq!(speaks(&mut net, 5), 1, "it was told");
        net.now.mono += REPEAT;
        assert_eq!(speaks(&mut net, 6), 2);
    }
}
