//! Which processes are known to be dead: by our own connection with them, by another member's, and because their ports refuse.
//!
//! Owns: a leader's inquiries, and the dials that answer them, for ourselves and for a leader that asks. Must not: act on a death (raft and
//! leader do).
//! Contract: docs/protocol.md, "Known dead".

use crate::cluster::Address;
use crate::node::Closed;
use crate::node::io::sessions::{BusEnd, Purpose};
use crate::node::metadata::Metadata;
use crate::node::metadata::evidence::Ended;
use crate::node::metadata::links::bus_socket;
use crate::node::timers::Timer;
use crate::node::view::{Effects, View};
use crate::types::{ConnId, Millis, NodeId, Term};
use crate::wire::bus::{self, Finding, Frame};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// A witness that has not answered for so long (ms) is not waited for.
const WITNESS_PATIENCE: Millis = 250;
/// An inquiry that has come to nothing in so long (ms) is over; the next refused dial begins another.
const PATIENCE: Millis = 1000;
/// Leaders' questions that are looked into at one time; there is one leader.
const MAX_ERRANDS: usize = 64;
/// Witnesses that are asked in one inquiry: hardly anybody knows but those that are asked first.
const MAX_WITNESSES: usize = 16;

/// Whether a process is dead: a leader's question to itself and to one witness at a time.
struct Inquiry {
    number: u64,
    since: Millis,
    /// Both ports have refused us.
    refused: bool,
    /// Who was asked last and has not answered, and when that was.
    witness: Option<(NodeId, Millis)>,
    /// Nobody is asked twice.
    asked: BTreeSet<NodeId>,
    testimonies: Vec<Testimony>,
}

/// A witness says that a process has ended.
struct Testimony {
    process: u64,
    /// When its connection with that ended (mono ms of ours), or up to the time later that the answer took.
    at: Millis,
    /// The two shared a stream, as primary and replica, and it is among what has ended.
    of_stream: bool,
}

/// Dials to both ports of a node.
struct Probe {
    of: NodeId,
    /// Who wants to know: a leader by this link, or we ourselves.
    asker: Option<ConnId>,
    number: u64,
    /// Those that are not decided yet.
    dials: Vec<ConnId>,
    /// The end of our own connection that was known when they began.
    after: Option<Ended>,
    /// A leader that asks waits no longer.
    until: Millis,
}

/// What is being found out.
#[derive(Default)]
pub(in crate::node) struct FailureDetector {
    /// Of our leadership.
    term: Term,
    /// Members whose links have ended, or whose ports refused one.
    suspects: BTreeSet<NodeId>,
    inquiries: BTreeMap<NodeId, Inquiry>,
    last_number: u64,
    probes: Vec<Probe>,
}

impl Metadata {
    /// The shell says that a connection has ended or a dial has failed; its session is still there.
    pub fn note_ended(&mut self, conn: ConnId, why: Closed, view: &View, out: &mut Effects) {
        let ended = self.note_end(conn, why, view, out);
        self.failure_detector.suspects.extend(ended);
        let Some(bus) = out.io.sessions.bus(conn) else { return };
        let was_up = bus.peer.is_some() && !bus.is_closing;
        match bus.end {
            BusEnd::Outbound { purpose: Purpose::Link(id) } if was_up || why == Closed::Refused => {
                self.failure_detector.suspects.insert(id);
            }
            BusEnd::Outbound { purpose: Purpose::Probe } if why == Closed::Refused => self.probe_refused(conn),
            _ => {}
        }
    }

    /// Something came from this process, or one that does not say which it is: the node lives, or another process has taken its place.
    /// Whatever was seen before says nothing any more.
    pub fn heard(&mut self, id: &NodeId, process: Option<u64>, view: &View, out: &mut Effects) {
        if self.addresses.contains_key(id) {
            self.evidence.heard(*id, process, view.now.mono);
        }
        self.raft.clear_dead(id);
        self.failure_detector.suspects.remove(id);
        if self.failure_detector.inquiries.contains_key(id) {
            self.end_inquiry(id, out);
        }
    }

    /// Once a turn, after the bus was read: leaders' questions are answered, and a leader looks into every suspicion of its own and draws
    /// its conclusions.
    pub fn tend_failure_detector(&mut self, view: &View, out: &mut Effects) {
        out.timers.take_due(Timer::FailureDetector, view.now.mono);
        self.evidence.date(view.now.mono);
        self.tend_errands(view, out);
        if !self.raft.is_leader() || !view.config.cluster_fast_failure_detection {
            self.failure_detector.suspects.clear();
            return self.drop_inquiries(out);
        }
        if self.failure_detector.term != self.raft.term() {
            self.drop_inquiries(out);
            self.failure_detector.term = self.raft.term();
            self.failure_detector.suspects.extend(self.links.unreached());
        }
        for id in std::mem::take(&mut self.failure_detector.suspects) {
            self.inquire(id, view, out);
        }
        for id in self.failure_detector.inquiries.keys().copied().collect::<Vec<_>>() {
            self.pursue(id, view, out);
        }
    }

    fn drop_inquiries(&mut self, out: &mut Effects) {
        if !std::mem::take(&mut self.failure_detector.inquiries).is_empty() {
            self.drop_own_probes(None, out);
        }
    }

    /// Only whose death somebody can make up for, and replicas, which clients read from: of others it is enough to hear after node-timeout.
    /// They may be back by then, and an owner of slots that is flagged as failed may take the whole cluster down.
    fn inquire(&mut self, id: NodeId, view: &View, out: &mut Effects) {
        let owns = |id: &NodeId| self.state.slot_count_of(id) > 0;
        let is_replaceable = owns(&id) && self.state.able_replicas(&id).next().is_some();
        let is_replica = self.state.member(&id).and_then(|member| member.primary).is_some_and(|primary| owns(&primary));
        if !(is_replaceable || is_replica) || self.raft.is_dead(&id) || self.failure_detector.inquiries.contains_key(&id) {
            return;
        }
        let Some(sockets) = self.place_to_be_refused(&id, view, out) else { return };
        self.failure_detector.last_number += 1;
        let (number, since) = (self.failure_detector.last_number, view.now.mono);
        let inquiry = Inquiry { number, since, refused: false, witness: None, asked: BTreeSet::new(), testimonies: Vec::new() };
        self.failure_detector.inquiries.insert(id, inquiry);
        self.probe(id, None, number, sockets, view, out);
    }

    /// Where our own connection with the process was; without one, where the cluster knows it to be, if that means one machine to all.
    fn place_to_be_refused(&self, id: &NodeId, view: &View, out: &Effects) -> Option<[SocketAddr; 2]> {
        let known = || ports(self.addresses.get(id)?).filter(|[bus, _]| !self.means_another_to_others(bus.ip()));
        self.ended(id, view, out).map(|ended| ended.sockets).or_else(known)
    }

    /// Whether each host takes an address for its own, or its own network's. Where everybody is known by a loopback address, there is one
    /// host only.
    fn means_another_to_others(&self, ip: IpAddr) -> bool {
        let is_local = |address: &Address| address.ip.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        match ip {
            ip if ip.is_loopback() => !self.addresses.values().all(is_local),
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        }
    }

    /// Takes an inquiry one step further.
    fn pursue(&mut self, id: NodeId, view: &View, out: &mut Effects) {
        let Some(inquiry) = self.failure_detector.inquiries.get(&id) else { return };
        let now = view.now.mono;
        if now >= inquiry.since + PATIENCE {
            return self.end_inquiry(&id, out);
        }
        out.timers.at_most(Timer::FailureDetector, inquiry.since + PATIENCE);
        if self.is_proven(&id, inquiry, view, out) {
            if inquiry.refused && !self.has_connection_with(&id, out) {
                self.conclude(id, view, out);
            }
            return;
        }
        match inquiry.witness.filter(|(witness, asked)| self.may_testify(witness, out) && now < asked + WITNESS_PATIENCE) {
            Some((_, asked)) => out.timers.at_most(Timer::FailureDetector, asked + WITNESS_PATIENCE),
            None => self.ask_witness(id, view, out),
        }
    }

    /// Whether somebody has shown that the process has ended, beside this node's refusals: this node by a connection of its own since its
    /// election, and anybody else too; or who shared a stream with it, which may be this node. What a witness saw counts only if this node
    /// has heard nothing since, and of no other process.
    fn is_proven(&self, id: &NodeId, inquiry: &Inquiry, view: &View, out: &Effects) -> bool {
        let own = self.ended(id, view, out);
        if own.is_some_and(|ended| ended.of_stream) && self.share_stream(&self.me, id) {
            return true;
        }
        let has_own = own.is_some_and(|ended| ended.led == Some(self.failure_detector.term));
        let (last, heard) = (self.evidence.process_of(id), self.evidence.heard_at(id));
        let holds = |testimony: &Testimony| {
            let is_meant = last.is_none_or(|last| last == testimony.process);
            is_meant && (has_own || (testimony.of_stream && heard <= testimony.at))
        };
        inquiry.testimonies.iter().any(holds)
    }

    /// Whether one of them replicates the other.
    fn share_stream(&self, one: &NodeId, other: &NodeId) -> bool {
        let primary_of = |id: &NodeId| self.state.member(id).and_then(|member| member.primary);
        primary_of(one) == Some(*other) || primary_of(other) == Some(*one)
    }

    /// The process is dead.
    fn conclude(&mut self, id: NodeId, view: &View, out: &mut Effects) {
        self.failure_detector.inquiries.remove(&id);
        log::warn!("The process of {id} is gone: its connections have ended, and its ports refuse new ones");
        self.raft.set_dead(id);
        self.tend_members(view, out);
    }

    /// Who is reached, is not suspected itself, and knows what is evidence.
    fn may_testify(&self, witness: &NodeId, out: &Effects) -> bool {
        let peer = self.links.up(witness).and_then(|conn| out.io.sessions.bus(conn)?.peer.as_ref());
        peer.is_some_and(|peer| peer.process.is_some()) && !self.failure_detector.inquiries.contains_key(witness)
    }

    /// Those come first that share a stream with the process; of others the one that has answered last is the likeliest to answer.
    fn ask_witness(&mut self, id: NodeId, view: &View, out: &mut Effects) {
        let Some(inquiry) = self.failure_detector.inquiries.get(&id).filter(|inquiry| inquiry.asked.len() < MAX_WITNESSES) else { return };
        let fit = |witness: &&NodeId| {
            **witness != self.me && **witness != id && !inquiry.asked.contains(witness) && self.may_testify(witness, out)
        };
        let heard = |witness: &NodeId| self.raft.progress(witness).map(|progress| progress.last_ack_sent_at());
        let rank = |witness: &&NodeId| (self.share_stream(witness, &id), heard(witness));
        let Some(&witness) = self.addresses.keys().filter(fit).max_by_key(rank) else { return };
        let (Some(conn), Some(inquiry)) = (self.links.up(&witness), self.failure_detector.inquiries.get_mut(&id)) else { return };
        inquiry.asked.insert(witness);
        inquiry.witness = Some((witness, view.now.mono));
        let number = inquiry.number;
        out.io.outbox.push(conn, Frame::Probe { id, number });
        out.timers.at_most(Timer::FailureDetector, view.now.mono + WITNESS_PATIENCE);
    }

    /// PROBED came from `from`. What belongs to an inquiry that is over is late.
    pub fn receive_probed(&mut self, from: &NodeId, id: NodeId, number: u64, finding: Finding, view: &View, out: &mut Effects) {
        let (now, share_stream) = (view.now.mono, self.share_stream(from, &id));
        let Some(inquiry) = self.failure_detector.inquiries.get_mut(&id).filter(|inquiry| inquiry.number == number) else { return };
        if inquiry.witness.take_if(|(witness, _)| witness == from).is_none() {
            return;
        }
        match finding {
            Finding::Dead(Some(bus::Ended { process, age, of_stream })) => {
                let of_stream = of_stream && share_stream;
                inquiry.testimonies.push(Testimony { process, at: now.saturating_sub(age), of_stream });
            }
            Finding::Alive => self.end_inquiry(&id, out),
            // Neither confirms it nor ends it: the next one is asked.
            Finding::Dead(None) | Finding::Unknown => {}
        }
    }

    /// It has come to nothing. The link is dialled again anyway, and may be refused again.
    fn end_inquiry(&mut self, id: &NodeId, out: &mut Effects) {
        self.failure_detector.inquiries.remove(id);
        self.drop_own_probes(Some(id), out);
    }
}

/// The dials, and leaders' questions.
impl Metadata {
    /// PROBE came by `conn`. Who has no connection with that process, and had none, knows nothing of it.
    pub fn receive_probe(&mut self, conn: ConnId, id: NodeId, number: u64, view: &View, out: &mut Effects) {
        let errands = self.failure_detector.probes.iter().filter(|probe| probe.asker.is_some()).count();
        let place = self.ended(&id, view, out).map(|ended| ended.sockets).or_else(|| self.connected_at(&id, out));
        match place.filter(|_| id != self.me && errands < MAX_ERRANDS) {
            Some(sockets) => self.probe(id, Some(conn), number, sockets, view, out),
            None => out.io.outbox.push(conn, Frame::Probed { id, number, finding: Finding::Unknown }),
        }
    }

    /// Dials both ports of a member, unless nothing would follow from a refusal there.
    fn probe(&mut self, of: NodeId, asker: Option<ConnId>, number: u64, sockets: [SocketAddr; 2], view: &View, out: &mut Effects) {
        let after = self.ended(&of, view, out);
        let until = view.now.mono + WITNESS_PATIENCE;
        let mut probe = Probe { of, asker, number, dials: Vec::new(), after, until };
        if !self.addresses.get(&of).is_some_and(Address::refuses_for_itself) {
            return self.end_probe(probe, Finding::Unknown, out);
        }
        probe.dials = sockets.map(|socket| out.dial(socket, Purpose::Probe, view)).to_vec();
        self.failure_detector.probes.push(probe);
        if asker.is_some() {
            out.timers.at_most(Timer::FailureDetector, until);
        }
    }

    fn probe_with(&mut self, conn: ConnId) -> Option<usize> {
        self.failure_detector.probes.iter().position(|probe| probe.dials.contains(&conn))
    }

    /// A port has refused.
    fn probe_refused(&mut self, conn: ConnId) {
        let Some(at) = self.probe_with(conn) else { return };
        let probe = &mut self.failure_detector.probes[at];
        probe.dials.retain(|dial| *dial != conn);
        let Probe { of, number, asker: None, .. } = *probe else { return };
        if probe.dials.is_empty() {
            self.failure_detector.probes.swap_remove(at);
            if let Some(inquiry) = self.failure_detector.inquiries.get_mut(&of).filter(|inquiry| inquiry.number == number) {
                inquiry.refused = true;
            }
        }
    }

    /// Somebody listens there.
    pub fn probe_accepted(&mut self, conn: ConnId, out: &mut Effects) {
        match self.probe_with(conn) {
            Some(at) => {
                let probe = self.failure_detector.probes.swap_remove(at);
                self.end_probe(probe, Finding::Alive, out);
            }
            None => out.close(conn),
        }
    }

    /// The session of a dial is gone, and its port has neither refused nor taken it.
    pub fn probe_failed(&mut self, conn: ConnId, out: &mut Effects) {
        if let Some(at) = self.probe_with(conn) {
            let probe = self.failure_detector.probes.swap_remove(at);
            self.end_probe(probe, Finding::Unknown, out);
        }
    }

    fn end_probe(&mut self, probe: Probe, finding: Finding, out: &mut Effects) {
        let Probe { of, asker, number, dials, .. } = probe;
        dials.into_iter().for_each(|dial| out.close(dial));
        match asker {
            Some(leader) => out.io.outbox.push(leader, Frame::Probed { id: of, number, finding }),
            None => self.end_inquiry(&of, out),
        }
    }

    /// Both ports have refused, for a leader: that counts after the end of our own connection. The one may be seen a moment before the
    /// other.
    fn tend_errands(&mut self, view: &View, out: &mut Effects) {
        let now = view.now.mono;
        let is_due = |probe: &mut Probe| probe.asker.is_some() && (probe.dials.is_empty() || now >= probe.until);
        let due: Vec<Probe> = self.failure_detector.probes.extract_if(.., is_due).collect();
        for mut probe in due {
            match self.ended(&probe.of, view, out) {
                Some(ended) if probe.dials.is_empty() && probe.after == Some(ended) => {
                    let (process, age, of_stream) = (ended.process, now.saturating_sub(ended.at), ended.of_stream);
                    self.end_probe(probe, Finding::Dead(Some(bus::Ended { process, age, of_stream })), out);
                }
                _ if now >= probe.until => self.end_probe(probe, Finding::Unknown, out),
                Some(ended) => {
                    probe.dials = ended.sockets.map(|socket| out.dial(socket, Purpose::Probe, view)).to_vec();
                    probe.after = Some(ended);
                    self.failure_detector.probes.push(probe);
                }
                None => self.failure_detector.probes.push(probe),
            }
        }
        if let Some(until) = self.failure_detector.probes.iter().filter(|probe| probe.asker.is_some()).map(|probe| probe.until).min() {
            out.timers.at_most(Timer::FailureDetector, until);
        }
    }

    /// Our own dials to this node, or all of them, are of no use any more.
    fn drop_own_probes(&mut self, of: Option<&NodeId>, out: &mut Effects) {
        let own = |probe: &mut Probe| probe.asker.is_none() && of.is_none_or(|of| probe.of == *of);
        let dropped: Vec<Probe> = self.failure_detector.probes.extract_if(.., own).collect();
        dropped.into_iter().flat_map(|probe| probe.dials).for_each(|dial| out.close(dial));
    }
}

/// The bus port and the client port.
fn ports(address: &Address) -> Option<[SocketAddr; 2]> {
    let bus = bus_socket(address)?;
    Some([bus, SocketAddr::new(bus.ip(), address.port)])
}

#[cfg(test)]
mod tests;
