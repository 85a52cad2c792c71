//! Nodes in one process: whose process counts as ended, and whose does not.

use super::*;
use crate::node::Node;
use crate::node::io::sessions::{Kind, Session};
use crate::node::net::Net;
use crate::node::{Action, Closing, Port};
use crate::store::Disk;
use crate::wire::bus::{CLOSING, PROTOCOL_VERSION, encode};

const P: usize = 0;
const R: usize = 1;
const LEADER: usize = 2;
/// No replica, if the leader is none.
const OTHER: usize = 3;

impl Net {
    fn is_dead(&self) -> bool {
        self.nodes[LEADER].metadata.raft.is_dead(&self.nodes[P].metadata.me)
    }

    fn is_flagged(&self) -> bool {
        self.nodes[LEADER].metadata.state.member(&self.nodes[P].metadata.me).unwrap().failed
    }

    fn serves_keys(&self, at: usize) -> bool {
        self.nodes[at].accepts_writes(crate::keyspace::key_slot(b"key:0"), self.now)
    }

    /// Whoever dials the primary from there is refused at both of its ports.
    fn refuse_all(&mut self, from: &[usize]) {
        for at in from {
            [Port::Bus, Port::Client].into_iter().for_each(|port| self.refuse(*at, P, port));
        }
    }

    /// Its silence alone is not enough for so long.
    #[track_caller]
    fn stays_alive(&mut self, ms: Millis) {
        let until = self.now.mono + ms;
        while self.now.mono < until {
            self.step();
            assert!(!self.is_dead() && !self.serves_keys(R), "{} ms before", until - self.now.mono);
        }
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

    #[track_caller]
    fn is_replaced_at_once(&mut self) {
        let begun = self.now.mono;
        self.until("a successor", |net| net.serves_keys(R) || net.serves_keys(LEADER));
        assert!(self.now.mono - begun <= 75, "after {} ms", self.now.mono - begun);
    }
}

#[test]
fn who_was_killed_is_replaced_at_once() {
    for mut net in [Net::with_a_leading_replica(), Net::with_a_neutral_leader()] {
        net.kill(P);
        net.is_replaced_at_once();
    }
}

#[test]
fn who_was_killed_with_bytes_of_the_leader_that_it_had_not_read_is_replaced_at_once() {
    let mut net = Net::with_a_neutral_leader();
    net.kill_unread(P, &[LEADER]);
    net.is_replaced_at_once();
}

/// Nobody but the leader has seen an end that says anything.
#[test]
fn who_was_killed_with_bytes_of_its_replica_that_it_had_not_read_is_replaced_when_it_has_been_silent() {
    let mut net = Net::with_a_neutral_leader();
    net.kill_unread(P, &[R]);
    net.lives_on();
}

/// Another kernel refuses at the address that the cluster has for it: that of another machine, or of one that has taken the address over
/// [N51 shared-host].
#[test]
fn who_is_refused_everywhere_lives() {
    let mut net = Net::with_a_neutral_leader();
    net.refuse_all(&[R, LEADER, OTHER]);
    net.sever(LEADER, P, Closed::Error);
    net.lives_on();
}

#[test]
fn who_is_refused_everywhere_and_whose_connections_are_all_reset_lives() {
    for mut net in [Net::with_a_neutral_leader(), Net::with_a_leading_replica()] {
        let others: Vec<usize> = (1..net.nodes.len()).collect();
        net.refuse_all(&others);
        for at in others {
            net.sever(at, P, Closed::Error);
        }
        net.lives_on();
    }
}

/// The leader's link goes through a proxy that has ended. Nobody else says that the process has.
#[test]
fn who_is_gone_for_the_leader_alone_lives() {
    let mut net = Net::with_a_neutral_leader();
    net.refuse_all(&[LEADER]);
    net.sever(LEADER, P, Closed::Eof);
    net.stays_alive(25);
    assert!(
        net.nodes[LEADER].metadata.ended(&net.nodes[P].metadata.me, &net.nodes[LEADER].view, &net.nodes[LEADER].out).is_some(),
        "it has seen an end"
    );
    net.lives_on();
}

/// The same; and the replica knows nothing either, for its connection was reset.
#[test]
fn what_nobody_else_knows_confirms_nothing() {
    let mut net = Net::with_a_neutral_leader();
    net.refuse_all(&[R, LEADER, OTHER]);
    net.sever(LEADER, P, Closed::Eof);
    net.sever(R, P, Closed::Error);
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
        [R, LEADER].into_iter().for_each(|at| net.sever(at, P, Closed::Eof));
        net.lives_on();
    }
}

#[test]
fn who_keeps_a_link_open_lives() {
    let mut net = Net::with_a_leading_replica();
    net.refuse_all(&[R, LEADER]);
    net.sever(LEADER, P, Closed::Eof);
    // By a link of its own it asks the leader for something, and hears nothing.
    assert_eq!(net.ask(P, "CONFIG SET availability-zone east"), "+OK\r\n");
    net.until("its link", |net| net.nodes[LEADER].metadata.has_connection_with(&net.nodes[P].metadata.me, &net.nodes[LEADER].out));
    for _ in 0..180 {
        net.step();
        assert!(!net.is_dead());
    }
    assert!(net.nodes[LEADER].metadata.has_connection_with(&net.nodes[P].metadata.me, &net.nodes[LEADER].out));
}

#[test]
fn who_may_be_elsewhere_than_it_says_is_not_dead_for_being_refused() {
    let mut net = Net::with_a_leading_replica();
    assert_eq!(net.ask(P, "CONFIG SET cluster-fast-failure-detection no"), "+OK\r\n");
    let id = net.nodes[P].metadata.me;
    net.until("all to know", |net| (0..3).all(|at| !net.nodes[at].metadata.addresses[&id].refuses_for_itself()));
    net.kill(P);
    net.lives_on();
}

/// A frame that comes after the end of another link, and is itself the last.
#[test]
fn any_frame_voids_what_was_seen_before() {
    let mut net = Net::with_a_neutral_leader();
    net.refuse_all(&[R, LEADER, OTHER]);
    // The replica's answer is on its way for long.
    net.hold(R, LEADER, Port::Bus);
    [LEADER, R].into_iter().for_each(|at| net.sever(at, P, Closed::Eof));
    net.step();
    assert!(net.nodes[LEADER].metadata.ended(&net.nodes[P].metadata.me, &net.nodes[LEADER].view, &net.nodes[LEADER].out).is_some());
    assert_eq!(net.ask(P, "CONFIG SET availability-zone east"), "+OK\r\n");
    net.until("its greeting", |net| net.nodes[LEADER].metadata.has_connection_with(&net.nodes[P].metadata.me, &net.nodes[LEADER].out));
    net.sever(LEADER, P, Closed::Error);
    net.release(R, LEADER, Port::Bus);
    net.lives_on();
}

/// As a binary of version 1: it has not said which process it is, and says nothing before it closes a link.
#[test]
fn the_end_of_a_connection_with_an_older_binary_shows_nothing() {
    let mut net = Net::with_a_neutral_leader();
    let id = net.nodes[P].metadata.me;
    for at in [R, LEADER] {
        net.nodes[at].forget_process(&id);
    }
    net.kill(P);
    net.lives_on();
}

/// An older one says so of any refusal, and is asked for nothing by newer ones.
#[test]
fn what_a_witness_of_an_older_binary_says_is_no_evidence_nor_what_is_of_another_process_or_out_of_date() {
    // The second names a process that the leader had nothing to do with, the third one that has been heard since.
    for finding in [None, Some((7, 0)), Some((0, 1000))] {
        let mut net = Net::with_a_neutral_leader();
        net.refuse_all(&[R, LEADER, OTHER]);
        net.hold(R, LEADER, Port::Bus);
        let (id, process) = (net.nodes[P].metadata.me, net.nodes[P].view.nonce);
        net.sever(LEADER, P, if finding.is_some_and(|(_, age)| age > 0) { Closed::Error } else { Closed::Eof });
        let ended = finding.map(|(other, age)| bus::Ended { process: process ^ other, age, of_stream: true });
        net.answer_for_the_replica(id, Finding::Dead(ended));
        net.stays_alive(100);
        let (witness, leader) = (net.nodes[R].metadata.me, &mut net.nodes[LEADER]);
        assert!(leader.metadata.may_testify(&witness, &leader.out));
        leader.forget_process(&witness);
        assert!(!leader.metadata.may_testify(&witness, &leader.out));
    }
}

/// It may have been a leader once. Whether P has begun anew since, with a lease, it would know by the stream only [N46 restarted-primary].
#[test]
fn a_replica_s_bus_link_alone_is_one_witness_as_any_other() {
    for of_stream in [false, true] {
        let mut net = Net::with_a_neutral_leader();
        net.refuse_all(&[R, LEADER, OTHER]);
        net.hold(R, LEADER, Port::Bus);
        let (id, process) = (net.nodes[P].metadata.me, net.nodes[P].view.nonce);
        net.sever(LEADER, P, Closed::Error);
        net.answer_for_the_replica(id, Finding::Dead(Some(bus::Ended { process, age: 0, of_stream })));
        if of_stream {
            net.until("the conclusion", Net::is_dead);
        } else {
            net.stays_alive(100);
        }
    }
}

/// It has given the stream up itself, and only the bus link has ended as that of a dead process.
#[test]
fn nor_is_a_leader_s_own_bus_link_more_though_it_replicates_the_other() {
    let mut net = Net::with_a_leading_replica();
    net.refuse_all(&[R, LEADER]);
    let stream = net.nodes[LEADER].dataset.replica_link.conn().unwrap();
    net.break_off(LEADER, stream);
    net.sever(LEADER, P, Closed::Eof);
    net.stays_alive(100);
}

#[test]
fn who_shares_the_stream_is_asked_first_and_unknown_leaves_it_to_the_next() {
    let mut net = Net::with_a_neutral_leader();
    net.hold(R, LEADER, Port::Bus);
    net.hold(OTHER, LEADER, Port::Bus);
    net.kill(P);
    let (id, replica, other) = (net.nodes[P].metadata.me, net.nodes[R].metadata.me, net.nodes[OTHER].metadata.me);
    let asked =
        |net: &Net| net.nodes[LEADER].metadata.failure_detector.inquiries.get(&id).map(|inquiry| inquiry.asked.clone()).unwrap_or_default();
    net.until("a question", |net| !asked(net).is_empty());
    assert_eq!(asked(&net), BTreeSet::from([replica]));
    net.answer_for_the_replica(id, Finding::Unknown);
    net.until("the next question", |net| asked(net) == BTreeSet::from([replica, other]));
    net.release(OTHER, LEADER, Port::Bus);
    (0..3).for_each(|_| net.step());
    assert!(
        !net.is_dead() && net.nodes[LEADER].metadata.failure_detector.inquiries.contains_key(&id),
        "the other one knows nothing, and it goes on"
    );
}

#[test]
fn what_was_seen_before_an_election_is_no_evidence_of_the_leader() {
    let mut net = Net::with_a_neutral_leader();
    net.hold(R, LEADER, Port::Bus);
    net.kill(P);
    let id = net.nodes[P].metadata.me;
    net.until("the inquiry", |net| net.nodes[LEADER].metadata.failure_detector.inquiries.contains_key(&id));
    let process = net.nodes[LEADER].metadata.ended(&id, &net.nodes[LEADER].view, &net.nodes[LEADER].out).map(|ended| ended.process);
    let inquiry = |of_stream| Inquiry {
        number: 0,
        since: 0,
        refused: true,
        witness: None,
        asked: BTreeSet::new(),
        testimonies: vec![Testimony { process: process.unwrap(), at: Millis::MAX, of_stream }],
    };
    let leader = &mut net.nodes[LEADER];
    assert!(
        leader.metadata.is_proven(&id, &inquiry(false), &leader.view, &leader.out)
            && leader.metadata.is_proven(&id, &inquiry(true), &leader.view, &leader.out)
    );
    leader.metadata.failure_detector.term += 1;
    assert!(
        !leader.metadata.is_proven(&id, &inquiry(false), &leader.view, &leader.out)
            && leader.metadata.is_proven(&id, &inquiry(true), &leader.view, &leader.out),
        "a later leadership"
    );
    // It has heard another process since.
    leader.with_metadata(|metadata, view, out| metadata.heard(&id, Some(process.unwrap() ^ 1), view, out));
    assert!(!leader.metadata.is_proven(&id, &inquiry(true), &leader.view, &leader.out));
}

#[test]
fn an_old_end_shows_nothing() {
    let mut net = Net::with_a_neutral_leader();
    let (id, patience) = (net.nodes[P].metadata.me, net.nodes[R].view.config.cluster_node_timeout / 2);
    net.kill(P);
    let begun = net.now.mono;
    net.until("the end", |net| net.nodes[R].metadata.ended(&id, &net.nodes[R].view, &net.nodes[R].out).is_some());
    let replica = &mut net.nodes[R];
    replica.view.now.mono = begun + patience;
    assert!(replica.metadata.ended(&id, &replica.view, &replica.out).is_some());
    replica.view.now.mono += 10;
    assert!(
        replica.metadata.ended(&id, &replica.view, &replica.out).is_none(),
        "a process that has begun since may have been granted a lease"
    );
}

/// The leader has had no link with it. Its own host would refuse.
#[test]
fn a_loopback_address_is_nobody_s_unless_it_is_everybody_s() {
    let mut net = Net::with_a_neutral_leader();
    let (id, leader) = (net.nodes[P].metadata.me, &mut net.nodes[LEADER]);
    for (ip, is_known) in [("10.0.0.9", true), ("127.0.0.1", false), ("::1", false), ("169.254.1.1", false), ("fe80::1", false)] {
        leader.metadata.addresses.get_mut(&id).unwrap().ip = ip.to_owned();
        assert_eq!(leader.metadata.place_to_be_refused(&id, &leader.view, &leader.out).is_some(), is_known, "{ip}");
    }
    for (ip, is_known) in [("127.0.0.1", true), ("169.254.1.1", false)] {
        leader.metadata.addresses.values_mut().for_each(|address| address.ip = ip.to_owned());
        assert_eq!(leader.metadata.place_to_be_refused(&id, &leader.view, &leader.out).is_some(), is_known, "{ip} for all");
    }
}

impl Net {
    /// The primary was killed, and nobody can take over from it: the one that would has no copy.
    fn with_a_dead_primary() -> Self {
        let mut net = Self::with_a_leading_replica();
        assert_eq!(net.ask(LEADER, "CONFIG SET replica-priority 0"), "+OK\r\n");
        let id = net.nodes[P].metadata.me;
        net.until("one that may take over", |net| net.nodes[LEADER].metadata.state.willing_replicas(&id).count() == 1);
        net.nodes[R].dataset.role.diverged();
        net.kill(P);
        net.until("the flag", |net| net.is_dead() && net.is_flagged());
        (0..100).for_each(|_| net.step());
        assert!(net.is_dead() && net.is_flagged(), "nobody has heard of it since");
        net
    }

    /// The connection of two nodes that the first has dialled to this port of the second.
    fn link_between(&self, at: usize, other: usize, port: Port) -> ConnId {
        match port {
            Port::Bus => self.nodes[at].metadata.links.up(&self.nodes[other].metadata.me).unwrap(),
            Port::Client => self.nodes[at].dataset.replica_link.conn().unwrap(),
        }
    }

    /// What the leader hears from its witness, whose own answers are held up.
    fn answer_for_the_replica(&mut self, id: NodeId, finding: Finding) {
        let witness = self.nodes[R].metadata.me;
        self.until("the question", |net| {
            let inquiry = net.nodes[LEADER].metadata.failure_detector.inquiries.get(&id);
            inquiry.is_some_and(|inquiry| inquiry.witness.is_some_and(|(asked, _)| asked == witness))
        });
        let number = self.nodes[LEADER].metadata.failure_detector.inquiries[&id].number;
        self.tell_leader(&Frame::Probed { id, number, finding });
    }

    fn tell_leader(&mut self, frame: &Frame) {
        let mut bytes = Vec::new();
        encode(frame, PROTOCOL_VERSION, &mut bytes).unwrap();
        let link = self.nodes[LEADER].metadata.links.up(&self.nodes[R].metadata.me).unwrap();
        self.give(LEADER, link, &bytes);
    }
}

impl<D: Disk> Node<D> {
    /// As if the other end had not said which process it is.
    fn forget_process(&mut self, id: &NodeId) {
        for conn in self.out.io.sessions.iter().map(|(conn, _)| conn).collect::<Vec<_>>() {
            match &mut self.out.io.sessions.get_mut(conn).unwrap().kind {
                Kind::Bus(bus) => bus.peer.iter_mut().filter(|peer| peer.id == *id).for_each(|peer| peer.process = None),
                Kind::Primary(link) => link.process = link.process.filter(|_| link.primary != *id),
                Kind::Client(_) => {}
            }
        }
        self.metadata.heard(id, None, &self.view, &mut self.out);
    }
}

#[test]
fn who_was_dead_and_comes_back_recovers() {
    let mut net = Net::with_a_dead_primary();
    net.start(P);
    let (id, begun) = (net.nodes[P].metadata.me, net.now.mono);
    net.until("the flag to go", |net| net.nodes.iter().all(|node| node.metadata.state.member(&id).is_some_and(|member| !member.failed)));
    assert!(!net.is_dead() && net.now.mono - begun <= 200, "after {} ms", net.now.mono - begun);
    net.until("it to serve", |net| net.serves_keys(P));
}

/// Its bus port is not reached.
#[test]
fn who_was_dead_and_greets_lives() {
    let mut net = Net::with_a_dead_primary();
    net.refuse(LEADER, P, Port::Bus);
    net.start(P);
    net.until("its greeting", |net| net.nodes[LEADER].metadata.has_connection_with(&net.nodes[P].metadata.me, &net.nodes[LEADER].out));
    assert!(!net.is_dead() && net.nodes[LEADER].metadata.links.up(&net.nodes[P].metadata.me).is_none());
}

#[test]
fn what_a_witness_saw_before_a_process_came_back_says_nothing_of_it() {
    let mut net = Net::with_a_neutral_leader();
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
    let id = net.nodes[P].metadata.me;
    for _ in 0..400 {
        net.step();
        assert!(!net.nodes[LEADER].metadata.raft.is_dead(&id) && !net.nodes[LEADER].metadata.state.member(&id).unwrap().failed);
    }
}

/// Its links break once more, though nobody refuses.
#[test]
fn what_was_found_out_of_an_earlier_process_is_void() {
    let mut net = Net::with_a_neutral_leader();
    net.hold(R, LEADER, Port::Bus);
    net.kill(P);
    (0..10).for_each(|_| net.step());
    net.start(P);
    let id = net.nodes[P].metadata.me;
    net.until("the link", |net| net.nodes[LEADER].metadata.links.up(&id).is_some());
    net.hold(P, LEADER, Port::Bus);
    let links: Vec<ConnId> =
        net.nodes[LEADER].out.io.sessions.iter().filter(|(_, session)| is_with(session, &id)).map(|(conn, _)| conn).collect();
    links.into_iter().for_each(|link| net.break_off(LEADER, link));
    net.release(R, LEADER, Port::Bus);
    for _ in 0..100 {
        net.step();
        assert!(!net.is_dead());
    }
}

#[test]
fn an_answer_to_an_earlier_inquiry_is_none_to_this() {
    let mut net = Net::with_a_neutral_leader();
    net.hold(R, LEADER, Port::Bus);
    net.kill(P);
    let id = net.nodes[P].metadata.me;
    net.until("the question", |net| {
        net.nodes[LEADER].metadata.failure_detector.inquiries.get(&id).is_some_and(|inquiry| inquiry.witness.is_some())
    });
    let number = net.nodes[LEADER].metadata.failure_detector.inquiries[&id].number - 1;
    let process = net.nodes[LEADER].metadata.ended(&id, &net.nodes[LEADER].view, &net.nodes[LEADER].out).map(|ended| ended.process);
    let ended = process.map(|process| bus::Ended { process, age: 0, of_stream: true });
    net.tell_leader(&Frame::Probed { id, number, finding: Finding::Dead(ended) });
    for _ in 0..30 {
        net.step();
        assert!(!net.is_dead());
    }
}

fn is_with(session: &Session, id: &NodeId) -> bool {
    matches!(&session.kind, Kind::Bus(bus) if bus.peer.as_ref().is_some_and(|peer| peer.id == *id))
}

mod last_words;
