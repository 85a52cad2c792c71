//! Nodes in one process: the end of one of them.

use super::*;
use crate::commands::WaitOutcome;
use crate::node::net::Net;
use crate::store::MemoryDisk;
use crate::types::{ConnId, Millis};
use crate::wire::bus::OLDEST_VERSION;

mod parting;

const P: usize = 0;

#[test]
fn the_end_waits_for_no_timer() {
    let mut net = Net::with_replicas();
    net.until("three voters", |net| net.nodes.iter().all(|node| node.metadata.raft.voters().len() == 3));
    net.all_equal(0);
    let leader = (0..3).find(|at| net.nodes[*at].metadata.raft.is_leader()).unwrap();
    assert_eq!(net.ask(leader, "CONFIG SET save '3600 1'"), "+OK\r\n");
    let begun = net.now.mono;
    net.nodes[leader].shutdown(Signal::Term);
    net.until("its end", |net| !net.is_up(leader));
    assert!(net.now.mono - begun <= 75, "after {} ms", net.now.mono - begun);
}

impl Node<MemoryDisk> {
    /// As if its peers did not know the newest frames.
    fn take_peers_for_old(&mut self) {
        let conns: Vec<ConnId> = self.out.io.sessions.iter().map(|(conn, _)| conn).collect();
        for conn in conns {
            if let Some(peer) = self.out.io.sessions.bus_mut(conn).and_then(|bus| bus.peer.as_mut()) {
                peer.version = OLDEST_VERSION;
            }
        }
    }
}

/// An EXEC waits for its first command, which is decided while the keys are being saved.
#[test]
fn a_transaction_that_waited_does_not_go_on_once_the_last_save_has_begun() {
    let mut net = Net::with_members(1);
    let client = net.say(P, "MULTI\r\nCLUSTER MEET 10.0.0.1 7009\r\nCONFIG SET maxclients 77\r\nEXEC");
    (0..3).for_each(|_| net.step());
    net.nodes[P].shutdown(Signal::Term);
    net.until("the last save", |net| net.nodes[P].view.shutdown == Shutdown::Saving);
    net.nodes[P].out.clients.waiting.finish(client, WaitOutcome::Done);
    net.step();
    assert!(net.is_up(P), "the save takes several turns");
    let answer = net.answer(P, client).expect("the transaction has begun");
    assert!(answer.ends_with("*2\r\n"), "{answer}");
    net.until("the end", |net| !net.is_up(P));
    assert_ne!(net.nodes[P].view.config.maxclients, 77);
}

#[test]
fn nobody_is_served_during_the_last_save_whoever_ends_a_pause() {
    let mut net = Net::with_members(1);
    let client = net.say(P, "MULTI\r\nCLUSTER MEET 10.0.0.1 7009\r\nCLIENT UNPAUSE\r\nEXEC");
    (0..3).for_each(|_| net.step());
    net.nodes[P].shutdown(Signal::Term);
    net.until("the last save", |net| net.nodes[P].view.shutdown == Shutdown::Saving);
    net.nodes[P].out.clients.waiting.finish(client, WaitOutcome::Done);
    let writer = net.say(P, "SET late 1");
    while net.is_up(P) {
        net.step();
        assert_eq!(
            (
                net.nodes[P].dataset.keyspace.len(),
                net.nodes[P].out.io.sessions.get(writer).is_some_and(|session| !session.transmit.is_empty())
            ),
            (0, false)
        );
    }
}

/// Its own pause is no reason to wait.
#[test]
fn a_transaction_that_pauses_clients_ends() {
    let mut net = Net::with_members(1);
    let client = net.say(P, "MULTI\r\nCLIENT PAUSE 100000\r\nSET a 1\r\nCLIENT UNPAUSE\r\nEXEC");
    net.say(P, "SET a 2");
    net.step();
    assert_eq!(net.nodes[P].dataset.keyspace.len(), 1, "nobody comes in between");
    assert!(net.answer(P, client).unwrap().ends_with("*3\r\n+OK\r\n+OK\r\n+OK\r\n"));
}
