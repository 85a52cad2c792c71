//! Which processes are known to be dead: their kernels refuse connections, by our own account and that of another member.
//!
//! Owns: the dials that find it out, for ourselves as leader and for a leader that asks. Must not: act on a death (raft and leading do).
//! Contract: docs/protocol.md, "Known dead".

use super::links::bus_socket;
use super::sessions::{BusEnd, Kind, Purpose};
use super::timers::Timer;
use super::{Closed, Node};
use crate::cluster::Address;
use crate::store::Disk;
use crate::types::{ConnId, Millis, NodeId, Term};
use crate::wire::bus::Frame;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// A witness that has not answered for so long (ms) is not waited for.
const WITNESS_PATIENCE: Millis = 250;
/// An inquiry that has come to nothing in so long (ms) is over; the next refused dial begins another.
const PATIENCE: Millis = 1000;
/// Leaders' questions that are looked into at one time; there is one leader.
const MAX_ERRANDS: usize = 64;

/// Whether a process is dead: a leader's question to itself and to one witness at a time.
struct Inquiry {
    number: u64,
    since: Millis,
    /// Both ports have refused us.
    refused: bool,
    /// Who was asked last, and when.
    witness: Option<(NodeId, Millis)>,
    /// Nobody is asked twice.
    asked: BTreeSet<NodeId>,
    /// They have refused a witness too.
    confirmed: bool,
}

/// Dials to both ports of a node.
struct Probe {
    of: NodeId,
    /// Who wants to know: a leader by this link, or we ourselves.
    asker: Option<ConnId>,
    number: u64,
    /// Those that are not decided yet.
    dials: Vec<ConnId>,
}

/// What is being found out.
#[derive(Default)]
pub(super) struct Deaths {
    /// Of our leadership: what was seen before an election counts for nothing after it \[N4\].
    term: Term,
    /// Members whose links their kernels have closed, or whose ports refused one.
    suspects: BTreeSet<NodeId>,
    inquiries: BTreeMap<NodeId, Inquiry>,
    last_number: u64,
    probes: Vec<Probe>,
}

impl<D: Disk> Node<D> {
    /// The shell says that a connection has ended or a dial has failed; its session is still there.
    pub(super) fn note_ended(&mut self, conn: ConnId, why: Closed) {
        let Some(bus) = self.sessions.bus(conn) else { return };
        match bus.end {
            BusEnd::Outbound { purpose: Purpose::Link(id) } if bus.peer.is_some() || why == Closed::Refused => {
                self.deaths.suspects.insert(id);
            }
            BusEnd::Outbound { purpose: Purpose::Probe } if why == Closed::Refused => self.probe_refused(conn),
            _ => {}
        }
    }

    /// A frame of this node came: it lives, or another process has taken its place. Whatever was seen before says nothing any more.
    pub(super) fn heard(&mut self, id: &NodeId) {
        self.raft.clear_dead(id);
        self.deaths.suspects.remove(id);
        if self.deaths.inquiries.contains_key(id) {
            self.end_inquiry(id);
        }
    }

    /// Once a turn, after the bus was read: a leader looks into every suspicion, and draws its conclusions.
    pub(super) fn tend_deaths(&mut self) {
        self.timers.take_due(Timer::Deaths, self.now.mono);
        if !self.raft.is_leader() || !self.config.cluster_fast_failure_detection {
            self.deaths.suspects.clear();
            return self.drop_inquiries();
        }
        if self.deaths.term != self.raft.term() {
            self.drop_inquiries();
            self.deaths.term = self.raft.term();
            self.deaths.suspects.extend(self.links.unreached());
        }
        for id in std::mem::take(&mut self.deaths.suspects) {
            self.inquire(id);
        }
        for id in self.deaths.inquiries.keys().copied().collect::<Vec<_>>() {
            self.pursue(id);
        }
    }

    fn drop_inquiries(&mut self) {
        if !std::mem::take(&mut self.deaths.inquiries).is_empty() {
            self.drop_own_probes(None);
        }
    }

    /// Only whose death somebody can make up for, and replicas, which clients read from: of others it is enough to hear after node-timeout. They may be
    /// back by then, and an owner of slots that is flagged as failed may take the whole cluster down.
    fn inquire(&mut self, id: NodeId) {
        let owns = |id: &NodeId| self.state.slot_count_of(id) > 0;
        let is_replaceable = owns(&id) && self.state.able_replicas(&id).next().is_some();
        let is_replica = self.state.member(&id).and_then(|member| member.primary).is_some_and(|primary| owns(&primary));
        if !(is_replaceable || is_replica) || self.raft.is_dead(&id) || self.deaths.inquiries.contains_key(&id) {
            return;
        }
        let number = self.next_number();
        let inquiry = Inquiry { number, since: self.now.mono, refused: false, witness: None, asked: BTreeSet::new(), confirmed: false };
        self.deaths.inquiries.insert(id, inquiry);
        if !self.probe(id, None, number) {
            self.deaths.inquiries.remove(&id);
        }
    }

    fn next_number(&mut self) -> u64 {
        self.deaths.last_number += 1;
        self.deaths.last_number
    }

    /// Takes an inquiry one step further.
    fn pursue(&mut self, id: NodeId) {
        let Some(inquiry) = self.deaths.inquiries.get(&id) else { return };
        let now = self.now.mono;
        if now >= inquiry.since + PATIENCE {
            return self.end_inquiry(&id);
        }
        self.timers.at_most(Timer::Deaths, inquiry.since + PATIENCE);
        if inquiry.confirmed || !self.needs_witness(&id) {
            if inquiry.refused && !self.has_link_with(&id) {
                self.conclude(id);
            }
            return;
        }
        match inquiry.witness.filter(|(witness, asked)| self.may_testify(witness) && now < asked + WITNESS_PATIENCE) {
            Some((_, asked)) => self.timers.at_most(Timer::Deaths, asked + WITNESS_PATIENCE),
            None => self.ask_witness(id),
        }
    }

    /// The process is dead.
    fn conclude(&mut self, id: NodeId) {
        self.deaths.inquiries.remove(&id);
        log::warn!("The process of {id} is gone: its ports refuse connections");
        self.raft.set_dead(id);
        self.tend_members();
    }

    /// Whether there is anybody but the dead to be asked.
    fn needs_witness(&self, of: &NodeId) -> bool {
        let gone = |id: &NodeId| self.deaths.inquiries.contains_key(id) || self.raft.is_dead(id);
        self.state.members().any(|member| member.id != self.me && member.id != *of && !member.failed && !gone(&member.id))
    }

    fn may_testify(&self, witness: &NodeId) -> bool {
        self.links.up(witness).is_some() && !self.deaths.inquiries.contains_key(witness)
    }

    /// The one that has answered last is the likeliest to answer.
    fn ask_witness(&mut self, id: NodeId) {
        let Some(inquiry) = self.deaths.inquiries.get(&id) else { return };
        let fit =
            |witness: &&NodeId| **witness != self.me && **witness != id && !inquiry.asked.contains(witness) && self.may_testify(witness);
        let heard = |witness: &&NodeId| self.raft.progress(witness).map(|progress| progress.last_ack_sent_at());
        let Some(&witness) = self.addresses.keys().filter(fit).max_by_key(heard) else { return };
        let (Some(conn), Some(inquiry)) = (self.links.up(&witness), self.deaths.inquiries.get_mut(&id)) else { return };
        inquiry.asked.insert(witness);
        inquiry.witness = Some((witness, self.now.mono));
        let number = inquiry.number;
        self.outbox.push(conn, Frame::Probe { id, number });
        self.timers.at_most(Timer::Deaths, self.now.mono + WITNESS_PATIENCE);
    }

    /// Whether a connection with it is still there: its kernel has not closed it.
    fn has_link_with(&self, id: &NodeId) -> bool {
        let is_with = |kind: &Kind| matches!(kind, Kind::Bus(bus) if bus.peer.as_ref().is_some_and(|peer| peer.id == *id));
        self.sessions.iter().any(|(_, session)| is_with(&session.kind))
    }

    /// PROBE came by `conn`.
    pub(super) fn receive_probe(&mut self, conn: ConnId, id: NodeId, number: u64) {
        let errands = self.deaths.probes.iter().filter(|probe| probe.asker.is_some()).count();
        if id == self.me || errands >= MAX_ERRANDS || !self.probe(id, Some(conn), number) {
            self.outbox.push(conn, Frame::Probed { id, number, dead: false });
        }
    }

    /// PROBED came from `from`. What belongs to an inquiry that is over is late.
    pub(super) fn receive_probed(&mut self, from: &NodeId, id: NodeId, number: u64, dead: bool) {
        let Some(inquiry) = self.deaths.inquiries.get_mut(&id).filter(|inquiry| inquiry.number == number) else { return };
        if inquiry.witness.is_none_or(|(witness, _)| witness != *from) {
            return;
        }
        inquiry.confirmed = dead;
        if !dead {
            self.end_inquiry(&id);
        }
    }

    /// It has come to nothing. The link is dialled again anyway, and may be refused again.
    fn end_inquiry(&mut self, id: &NodeId) {
        self.deaths.inquiries.remove(id);
        self.drop_own_probes(Some(id));
    }

    /// Dials both ports of a member. False if nothing would follow from a refusal there.
    fn probe(&mut self, of: NodeId, asker: Option<ConnId>, number: u64) -> bool {
        let Some(sockets) = self.addresses.get(&of).filter(|address| address.refuses_for_itself()).and_then(ports) else { return false };
        let dials = sockets.map(|socket| self.dial(socket, Purpose::Probe)).to_vec();
        self.deaths.probes.push(Probe { of, asker, number, dials });
        true
    }

    /// A port has refused.
    fn probe_refused(&mut self, conn: ConnId) {
        let Some(at) = self.deaths.probes.iter().position(|probe| probe.dials.contains(&conn)) else { return };
        self.deaths.probes[at].dials.retain(|dial| *dial != conn);
        if self.deaths.probes[at].dials.is_empty() {
            let Probe { of, asker, number, .. } = self.deaths.probes.swap_remove(at);
            match asker {
                Some(leader) => self.outbox.push(leader, Frame::Probed { id: of, number, dead: true }),
                None => {
                    if let Some(inquiry) = self.deaths.inquiries.get_mut(&of).filter(|inquiry| inquiry.number == number) {
                        inquiry.refused = true;
                    }
                }
            }
        }
    }

    /// The session of a dial is gone, and its port has not refused.
    pub(super) fn probe_failed(&mut self, conn: ConnId) {
        let Some(at) = self.deaths.probes.iter().position(|probe| probe.dials.contains(&conn)) else { return };
        let Probe { of, asker, number, dials } = self.deaths.probes.swap_remove(at);
        dials.into_iter().for_each(|dial| self.close(dial));
        match asker {
            Some(leader) => self.outbox.push(leader, Frame::Probed { id: of, number, dead: false }),
            None => self.end_inquiry(&of),
        }
    }

    /// Our own dials to this node, or all of them, are of no use any more.
    fn drop_own_probes(&mut self, of: Option<&NodeId>) {
        let own = |probe: &mut Probe| probe.asker.is_none() && of.is_none_or(|of| probe.of == *of);
        let dropped: Vec<Probe> = self.deaths.probes.extract_if(.., own).collect();
        dropped.into_iter().flat_map(|probe| probe.dials).for_each(|dial| self.close(dial));
    }
}

/// The bus port and the client port.
fn ports(address: &Address) -> Option<[SocketAddr; 2]> {
    let bus = bus_socket(address)?;
    Some([bus, SocketAddr::new(bus.ip(), address.port)])
}

#[cfg(test)]
mod tests;
