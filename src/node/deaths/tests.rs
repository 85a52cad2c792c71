//! Nodes in one process: whose process counts as ended, and whose does not.

use super::super::Port;
use super::super::net::Net;
use super::*;
use crate::wire::bus::{PROTOCOL_VERSION, encode};

const P: usize = 0;
const R: usize = 1;
const LEADER: usize = 2;

impl Net {
    fn is_dead(&self) -> bool {
        self.nodes[LEADER].raft.is_dead(&self.nodes[P].me)
    }

    fn is_flagged(&self) -> bool {
        self.nodes[LEADER].state.member(&self.nodes[P].me).unwrap().failed
    }

    fn serves_keys(&self, at: usize) -> bool {
        self.nodes[at].accepts_writes(crate::keyspace::key_slot(b"key:0"), self.now)
    }

    /// The leader's link with the primary breaks.
    fn lose_primary(&mut self) {
        let link = self.nodes[LEADER].links.up(&self.nodes[P].me).unwrap();
        self.break_off(LEADER, link);
    }

    /// Until its silence alone is enough: it is not taken for dead, and has no lease when it is flagged.
    #[track_caller]
    fn lives_on(&mut self) {
        let begun = self.now.mono;
        while !self.is_flagged() {
            self.step();
            assert!(!self.is_dead(), "after {} ms", self.now.mono - begun);
            assert!(self.now.mono - begun < 5000, "it is silent");
        }
        assert!(self.now.mono - begun >= 900 && !self.serves_keys(P), "after {} ms", self.now.mono - begun);
    }
}

#[test]
fn who_was_killed_is_replaced_at_once() {
    let mut net = Net::with_a_leading_replica();
    let begun = net.now.mono;
    net.kill(P);
    net.until("a successor", |net| net.serves_keys(R) || net.serves_keys(LEADER));
    assert!(net.now.mono - begun <= 75, "after {} ms", net.now.mono - begun);
}

#[test]
fn who_refuses_the_leader_alone_lives() {
    let mut net = Net::with_a_leading_replica();
    for port in [Port::Bus, Port::Client] {
        net.refuse(LEADER, P, port);
    }
    net.lose_primary();
    net.lives_on();
}

#[test]
fn who_refuses_at_one_port_lives() {
    for port in [Port::Bus, Port::Client] {
        let mut net = Net::with_a_leading_replica();
        for from in [R, LEADER] {
            net.refuse(from, P, port);
        }
        net.hold(P, LEADER, Port::Bus);
        net.lose_primary();
        net.lives_on();
    }
}

#[test]
fn who_keeps_a_link_open_lives() {
    let mut net = Net::with_a_leading_replica();
    for (from, port) in [(R, Port::Bus), (R, Port::Client), (LEADER, Port::Bus), (LEADER, Port::Client)] {
        net.refuse(from, P, port);
    }
    net.lose_primary();
    // By a link of its own it asks the leader for something, and hears nothing.
    assert_eq!(net.ask(P, "CONFIG SET availability-zone east"), "+OK\r\n");
    net.until("its link", |net| net.nodes[LEADER].has_link_with(&net.nodes[P].me));
    for _ in 0..180 {
        net.step();
        assert!(!net.is_dead());
    }
    assert!(net.nodes[LEADER].has_link_with(&net.nodes[P].me));
}

#[test]
fn who_may_be_elsewhere_than_it_says_is_not_dead_for_being_refused() {
    let mut net = Net::with_a_leading_replica();
    assert_eq!(net.ask(P, "CONFIG SET cluster-fast-failure-detection no"), "+OK\r\n");
    let id = net.nodes[P].me;
    net.until("all to know", |net| (0..3).all(|at| !net.nodes[at].addresses[&id].refuses_for_itself()));
    net.kill(P);
    net.lives_on();
}

impl Net {
    /// The primary was killed, and nobody can take over from it: the one that would has no copy.
    fn with_a_dead_primary() -> Self {
        let mut net = Self::with_a_leading_replica();
        assert_eq!(net.ask(LEADER, "CONFIG SET replica-priority 0"), "+OK\r\n");
        let id = net.nodes[P].me;
        net.until("one that may take over", |net| net.nodes[LEADER].state.willing_replicas(&id).count() == 1);
        net.nodes[R].following.diverged();
        net.kill(P);
        net.until("the flag", |net| net.is_dead() && net.is_flagged());
        (0..100).for_each(|_| net.step());
        assert!(net.is_dead() && net.is_flagged(), "nobody has heard of it since");
        net
    }
}

#[test]
fn who_was_dead_and_comes_back_recovers() {
    let mut net = Net::with_a_dead_primary();
    net.start(P);
    let (id, begun) = (net.nodes[P].me, net.now.mono);
    net.until("the flag to go", |net| net.nodes.iter().all(|node| node.state.member(&id).is_some_and(|member| !member.failed)));
    assert!(!net.is_dead() && net.now.mono - begun <= 200, "after {} ms", net.now.mono - begun);
    net.until("it to serve", |net| net.serves_keys(P));
}

/// Its bus port is not reached.
#[test]
fn who_was_dead_and_greets_lives() {
    let mut net = Net::with_a_dead_primary();
    net.refuse(LEADER, P, Port::Bus);
    net.start(P);
    net.until("its greeting", |net| net.nodes[LEADER].has_link_with(&net.nodes[P].me));
    assert!(!net.is_dead() && net.nodes[LEADER].links.up(&net.nodes[P].me).is_none());
}

#[test]
fn what_a_witness_saw_before_a_process_came_back_says_nothing_of_it() {
    let mut net = Net::with_a_leading_replica();
    net.hold(R, LEADER, Port::Bus);
    net.kill(P);
    for _ in 0..10 {
        net.step();
    }
    net.start(P);
    for _ in 0..10 {
        net.step();
    }
    net.release(R, LEADER, Port::Bus);
    let id = net.nodes[P].me;
    for _ in 0..400 {
        net.step();
        assert!(!net.nodes[LEADER].raft.is_dead(&id) && !net.nodes[LEADER].state.member(&id).unwrap().failed);
    }
}

/// Its links break once more, though nobody refuses.
#[test]
fn what_was_found_out_of_an_earlier_process_is_void() {
    let mut net = Net::with_a_leading_replica();
    net.hold(R, LEADER, Port::Bus);
    net.kill(P);
    (0..10).for_each(|_| net.step());
    net.start(P);
    let id = net.nodes[P].me;
    net.until("the link", |net| net.nodes[LEADER].links.up(&id).is_some());
    net.hold(P, LEADER, Port::Bus);
    let links: Vec<ConnId> = net.nodes[LEADER].sessions.iter().filter(|(_, session)| is_with(session, &id)).map(|(conn, _)| conn).collect();
    links.into_iter().for_each(|link| net.break_off(LEADER, link));
    net.release(R, LEADER, Port::Bus);
    for _ in 0..100 {
        net.step();
        assert!(!net.is_dead());
    }
}

#[test]
fn an_answer_to_an_earlier_inquiry_is_none_to_this() {
    let mut net = Net::with_a_leading_replica();
    for port in [Port::Bus, Port::Client] {
        net.refuse(LEADER, P, port);
    }
    net.hold(R, LEADER, Port::Bus);
    net.lose_primary();
    let (id, witness) = (net.nodes[P].me, net.nodes[R].me);
    net.until("the question", |net| net.nodes[LEADER].deaths.inquiries.get(&id).is_some_and(|inquiry| inquiry.witness.is_some()));
    let number = net.nodes[LEADER].deaths.inquiries[&id].number - 1;
    let mut bytes = Vec::new();
    encode(&Frame::Probed { id, number, dead: true }, PROTOCOL_VERSION, &mut bytes).unwrap();
    let link = net.nodes[LEADER].links.up(&witness).unwrap();
    net.give(LEADER, link, &bytes);
    for _ in 0..100 {
        net.step();
        assert!(!net.is_dead());
    }
}

fn is_with(session: &super::super::sessions::Session, id: &NodeId) -> bool {
    matches!(&session.kind, Kind::Bus(bus) if bus.peer.as_ref().is_some_and(|peer| peer.id == *id))
}
