//! Frames that no honest node sends: from a stranger, who has read the cluster's id in a HI, and from a member's place in a link that is
//! up.
//!
//! Owns: what they say. The bus has no key, so who speaks as a leader of a term that can be is believed, and so is a member about itself.
//! Everything else must do no harm, and this is what is sent here (docs/testing.md, "Hostile frames"): numbers that cannot be, terms that
//! are over, answers to nothing, questions.

use crate::sim::hosts;
use crate::sim::network::{DIALLER, LISTENER, Owner};
use crate::sim::queue::{Event, MILLI, Micros, SECOND};
use crate::sim::trace::note;
use crate::sim::world::World;
use pontoon::cluster::State;
use pontoon::rng::Rng;
use pontoon::types::{ClusterId, NodeId, Term};
use std::net::SocketAddr;

/// A stranger that is not let in for so long goes away.
const PATIENCE: Micros = 3 * SECOND;
/// The greatest number that a frame can hold.
const GREATEST: u64 = (1 << 63) - 1;
/// So far above one's own a term is not believed.
const TERM_LEAD: Term = 1 << 24;

/// Somebody who is no machine, on its way to one.
pub(super) struct Stranger {
    conn: usize,
    /// Its HELLO, as that of this node.
    greeting: (NodeId, ClusterId),
    hello: Vec<u8>,
    /// What follows once it has read HI.
    words: Vec<u8>,
    until: Micros,
}

/// A frame of these lines.
fn frame(text: &str) -> Vec<u8> {
    let length = text.len() as u32 + 8;
    [b"RAFT", &length.to_be_bytes()[..], text.as_bytes()].concat()
}

/// A number from beyond all that can be.
fn huge(rng: &mut Rng) -> u64 {
    [1 << 53, 1 << 61, (1 << 62) - 1, 1 << 62, GREATEST - 1, GREATEST][rng.below(6) as usize]
}

/// A number at one of its ends.
fn edge(rng: &mut Rng, near: u64) -> u64 {
    let small = [0, 1, near.saturating_sub(1), near, near + 1];
    if rng.one_in(2) { small[rng.below(5) as usize] } else { huge(rng) }
}

/// What is known of the cluster.
struct Known {
    cluster: ClusterId,
    term: Term,
    last_index: u64,
    leader: Option<NodeId>,
    members: Vec<NodeId>,
}

impl Known {
    fn member(&self, rng: &mut Rng) -> NodeId {
        self.members[rng.below(self.members.len() as u64) as usize]
    }

    /// A term that is over, or one that cannot be.
    fn impossible_term(&self, rng: &mut Rng) -> Term {
        if rng.one_in(2) { rng.below(self.term.max(1)) } else { self.term + TERM_LEAD + 1 + huge(rng) / 2 }
    }

    /// One that cannot be, one that is over, or one that may follow soon.
    fn asked_term(&self, rng: &mut Rng) -> Term {
        if rng.one_in(3) { self.term + rng.below(3) } else { self.impossible_term(rng) }
    }

    /// A snapshot whose numbers have no room, of a cluster of one.
    fn snapshot(&self, leader: NodeId, term: Term, rng: &mut Rng) -> String {
        let (index, last_term) = (huge(rng), term.min(rng.between(1, term + 2)));
        let lines = format!(
            "{leader} 10.9.9.9:7000@17000 myself,master - 0 0 0 connected\nvars cluster {} lastApplied {index} snapshotTerm {last_term}\n",
            self.cluster
        );
        format!("INSTALL_SNAPSHOT {leader} {term} {index} {last_term} 1 {} {:08x}\n{lines}", lines.len(), crc32fast::hash(lines.as_bytes()))
    }

    /// What somebody says who is no leader: everything in it, or its term, cannot be.
    fn request(&self, me: NodeId, rng: &mut Rng) -> String {
        let (near, any) = (self.last_index, self.member(rng));
        let impossible = self.impossible_term(rng);
        match rng.below(12) {
            0..=2 => {
                let kind = if rng.one_in(3) { "PRE_VOTE_REQ" } else { "VOTE_REQ" };
                let transfer = if rng.one_in(2) { " transfer" } else { "" };
                format!("{kind} {me} {} {} {} {}{transfer}\n", self.asked_term(rng), edge(rng, near), edge(rng, self.term), edge(rng, 1))
            }
            3 => {
                let numbers = [edge(rng, near), edge(rng, self.term), edge(rng, near), edge(rng, near)];
                let [prev, prev_term, quorum, commit] = numbers;
                format!("AE {me} {impossible} {prev} {prev_term} {quorum} {commit} 0 {} - - {}\n", edge(rng, 1), edge(rng, 5_000))
            }
            4 => self.snapshot(me, impossible, rng),
            5 => format!("FORGOTTEN {} {} -\n", edge(rng, self.term), edge(rng, near)),
            6 => format!("TIMEOUT_NOW {}\n", edge(rng, self.term)),
            7 => format!("TRANSFER_LEADER {}\n", edge(rng, self.term)),
            8 => format!("PROBE {any} {}\n", edge(rng, 1)),
            9 => format!("FAILOVER_PREPARE {} {}\n", edge(rng, 1_000), edge(rng, 1)),
            10 => format!("WISH {} {any} -\n", ["FORGET", "ADDVOTER", "DELVOTER", "HANDOVER"][rng.below(4) as usize]),
            _ => format!("PROPOSE\n0 id={me}:{}.{}:{} NODE_FAIL {any}\n", edge(rng, 1), edge(rng, 1), edge(rng, 1)),
        }
    }

    /// What a member says on its own link that is no lie about itself that would be believed.
    fn members_request(&self, me: NodeId, rng: &mut Rng) -> String {
        let near = self.last_index;
        match rng.below(8) {
            // The leader of the term says what cannot be.
            0 | 1 if self.leader == Some(me) => self.snapshot(me, self.term, rng),
            2 if self.leader == Some(me) => format!("AE {me} {} {} {} 0 0 0 1 - - {}\n", self.term, huge(rng), self.term, edge(rng, 5_000)),
            3 => format!(
                "VOTE_REQ {me} {} {} {} 1 transfer\n",
                self.term + TERM_LEAD + 1 + huge(rng) / 2,
                edge(rng, near),
                edge(rng, self.term)
            ),
            4 => format!("FORGOTTEN {} {} -\n", edge(rng, self.term), edge(rng, near)),
            5 => format!("REPL_OFFSETS {} {}\n", self.member(rng), edge(rng, 1)),
            6 => format!("PROBE {} {}\n", self.member(rng), edge(rng, 1)),
            _ => format!(
                "AE {me} {} {} {} {} {} 0 {} - - 5000\n",
                self.impossible_term(rng),
                edge(rng, near),
                1,
                edge(rng, near),
                edge(rng, near),
                edge(rng, 1)
            ),
        }
    }

    /// An answer to nothing, or one that cannot be.
    fn answer(&self, rng: &mut Rng) -> String {
        let any = self.member(rng);
        match rng.below(7) {
            0 => format!("AE_ACK {} 1 {} {} {} 0 0 7 7\n", self.term, GREATEST, GREATEST, edge(rng, 1)),
            1 => format!(
                "AE_ACK {} {} {} {} {} 0 0 7 7\n",
                self.impossible_term(rng),
                rng.below(2),
                edge(rng, 1),
                edge(rng, 1),
                edge(rng, 1)
            ),
            2 => format!("VOTE {} 1 {} -\n", self.impossible_term(rng), huge(rng)),
            3 => format!("PROBED {any} {} dead\n", huge(rng)),
            4 => format!("FAILOVER_OFFSET {} {} {}\n", huge(rng), huge(rng), huge(rng)),
            // Who was dialled is believed: only that it knows less than the other is no lie that counts.
            5 => format!("FORGOTTEN 0 {} -\n", edge(rng, self.last_index)),
            _ => format!("REJECT rejected\n0 id={any}:{}.{}:{} NODE_FAIL {any}\n", huge(rng), huge(rng), huge(rng)),
        }
    }
}

impl World {
    fn known_of(&self, index: usize) -> Option<Known> {
        let node = self.machines[index].node.as_ref()?;
        let (raft, state) = (node.raft(), node.state());
        let members: Vec<NodeId> = state.members().map(|member| member.id).collect();
        let known =
            Known { cluster: state.cluster_id(), term: raft.term(), last_index: raft.log().last_index(), leader: raft.leader(), members };
        (!known.members.is_empty()).then_some(known)
    }

    /// Somebody dials a node, greets it under an id of its own or a member's, and says a few things.
    pub(super) fn send_stranger(&mut self, index: usize) {
        let Some(known) = self.known_of(index) else { return };
        let rng = &mut self.faults.rng;
        // Under a member's id only what cannot be is said.
        let name: String = (0..40).map(|_| char::from_digit(rng.below(16) as u32, 16).expect("a digit")).collect();
        let own: NodeId = name.parse().expect("40 hex digits are an id");
        let is_member = rng.one_in(3);
        let me = if is_member { known.member(rng) } else { own };
        let place = if rng.one_in(2) { "" } else { "10.9.9.9" };
        let hello = frame(&format!("HELLO {me} {place}:7000@17000 {} {} - -\n", known.cluster, rng.between(1, 3)));
        let mut words = Vec::new();
        for _ in 0..rng.between(1, 6) {
            let text = if is_member { known.members_request(me, rng) } else { known.request(me, rng) };
            note!("hostile: {}", text.trim_end());
            words.extend(frame(&text));
        }
        if rng.one_in(8) {
            let length = rng.below(words.len() as u64) as usize;
            words.truncate(length);
        }
        let socket = SocketAddr::new(self.net.hosts.ip(index), self.net.hosts.bus_port(index));
        let conn = self.dial(Owner::Stranger, socket, self.now);
        self.faults.strangers.push(Stranger { conn, greeting: (me, known.cluster), hello, words, until: self.now + PATIENCE });
        self.queue.push(self.now + 20 * MILLI, Event::Stranger(self.faults.strangers.len() - 1));
        self.stats.strangers += 1;
    }

    /// A stranger speaks once it is let in, and leaves.
    pub fn hear_stranger(&mut self, which: usize) {
        let Stranger { conn, greeting, until, .. } = self.faults.strangers[which];
        if self.now >= until {
            let told = self.net.close(conn, DIALLER, self.now, pontoon::node::Closed::Eof);
            return self.wake_all(told);
        }
        let stranger = &mut self.faults.strangers[which];
        let said = match () {
            () if !stranger.hello.is_empty() && self.net.conn(conn).up_at.is_some_and(|at| at <= self.now) => {
                self.checks.greeted(conn, DIALLER, greeting);
                std::mem::take(&mut stranger.hello)
            }
            () if self.checks.greeting(conn, LISTENER).is_some() => std::mem::take(&mut stranger.words),
            () => Vec::new(),
        };
        if !said.is_empty() {
            let woken = self.net.send(conn, DIALLER, &said, self.now);
            self.wake_all(woken);
        }
        self.queue.push(self.now + 50 * MILLI, Event::Stranger(which));
    }

    /// A frame more comes by a link between two members, from either end.
    pub(super) fn corrupt_member(&mut self, index: usize) {
        let others: Vec<usize> = (0..self.machines.len()).filter(|other| !self.links_between(index, *other).is_empty()).collect();
        let Some(other) = self.faults.pick(&others) else { return };
        let links = self.links_between(index, other);
        // What cannot be is so to the one that hears it.
        let (Some(conn), Some(known)) = (self.faults.pick(&links), self.known_of(other)) else { return };
        let side = if self.net.owner(conn, DIALLER) == Some(Owner::Machine(index)) { DIALLER } else { LISTENER };
        let Some(me) = self.id_of(index) else { return };
        let rng = &mut self.faults.rng;
        let text = if side == DIALLER { known.members_request(me, rng) } else { known.answer(rng) };
        note!("hostile, m{index} to m{other}, conn {conn}: {}", text.trim_end());
        let woken = self.net.send(conn, side, &frame(&text), self.now);
        self.wake_all(woken);
        self.stats.hostile_frames += 1;
    }

    /// The connections between two members by which the first has greeted the second.
    fn links_between(&mut self, index: usize, other: usize) -> Vec<usize> {
        let cluster = self.state_of(other).map(State::cluster_id).filter(|_| other != index);
        let me = self.id_of(index).zip(cluster.filter(|cluster| self.state_of(index).map(State::cluster_id) == Some(*cluster)));
        let mut links = self.net.between(index, other);
        links.retain(|conn| {
            let side = if self.net.owner(*conn, DIALLER) == Some(Owner::Machine(index)) { DIALLER } else { LISTENER };
            hosts::is_bus(self.net.conn(*conn).to.port()) && me.is_some() && self.checks.greeting(*conn, side) == me
        });
        links
    }
}
