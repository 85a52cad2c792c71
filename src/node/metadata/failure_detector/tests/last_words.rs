//! How connections are closed by who lives, so that their ends show nothing.

use super::*;
use crate::node::io::closing;

/// P gives all of its connections up.
fn closes_all(net: &mut Net) {
    let ends: Vec<ConnId> = net.nodes[P].out.io.sessions.iter().map(|(conn, _)| conn).collect();
    ends.into_iter().for_each(|conn| net.break_off(P, conn));
}

#[test]
fn who_closes_its_connections_lives() {
    let mut net = Net::with_a_neutral_leader();
    net.refuse_all(&[R, LEADER, OTHER]);
    closes_all(&mut net);
    net.lives_on();
}

/// What is left of its last words stands in the others' buffers as the end comes, or was read.
#[test]
fn a_last_word_counts_read_or_not() {
    for reads in [false, true] {
        let mut net = Net::with_a_neutral_leader();
        net.refuse_all(&[R, LEADER, OTHER]);
        let words = [(LEADER, CLOSING, Port::Bus), (R, crate::replication::CLOSING, Port::Client)];
        for (at, word, port) in words {
            let conn = net.link_between(at, P, port);
            net.give(at, conn, word);
        }
        if reads {
            net.step();
        }
        [LEADER, R].into_iter().for_each(|at| net.sever(at, P, Closed::Eof));
        net.lives_on();
    }
}

/// A word in the middle of another would be none.
#[test]
fn a_connection_with_something_unsent_is_reset() {
    let mut net = Net::with_a_neutral_leader();
    for at in [R, LEADER] {
        [Port::Bus, Port::Client].into_iter().for_each(|port| net.hold(P, at, port));
    }
    assert_eq!(net.ask(P, "SET key:0 changed"), "+OK\r\n");
    net.until("an answer that cannot leave", |net| {
        let links = net.nodes[P].out.io.sessions.iter().filter(|(_, session)| !session.transmit.is_empty());
        links
            .filter(|(conn, _)| {
                closing::of(net.nodes[P].out.io.sessions.get(*conn).unwrap(), &net.nodes[P].dataset.stream) == Closing::Reset
            })
            .count()
            >= 2
    });
    net.refuse_all(&[R, LEADER, OTHER]);
    closes_all(&mut net);
    net.lives_on();
}

/// Its own close is no word of the other.
#[test]
fn what_a_node_closes_itself_shows_nothing() {
    let mut net = Net::with_a_neutral_leader();
    net.refuse_all(&[R, LEADER, OTHER]);
    let link = net.nodes[LEADER].metadata.links.up(&net.nodes[P].metadata.me).unwrap();
    net.break_off(LEADER, link);
    let stream = net.nodes[R].dataset.replica_link.conn().unwrap();
    net.break_off(R, stream);
    net.lives_on();
}

/// The shell hears how each connection is closed.
#[test]
fn clients_see_nothing_of_all_this() {
    let mut net = Net::with_a_neutral_leader();
    let conn = net.say(P, "PING");
    net.nodes[P].close(conn);
    let turned = net.nodes[P].turn(&mut || net.now).unwrap();
    assert_eq!(net.nodes[P].next_action(&turned), Some(Action::Close { conn, how: Closing::InOrder }));
}
