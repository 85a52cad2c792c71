//! Traces that once went wrong, found by thinking against the rules rather than by chance.
#![allow(dead_code)]

#[path = "raft/harness.rs"]
mod harness;

use harness::{Toy, World, id};
use pontoon::raft::message::Append;
use pontoon::raft::{Message, Token};
use pontoon::types::ConnId;

/// All that is on its way between a and b, and a's timers, for so long.
fn run(world: &mut World, span: u64) {
    let end = world.now + span;
    while world.now < end {
        loop {
            let mut moved = false;
            for (from, to) in [('a', 'b'), ('b', 'a')] {
                for answer in [false, true] {
                    moved |= world.deliver_one(from, to, answer).is_some();
                }
            }
            if !moved {
                break;
            }
        }
        world.now += 50;
        world.input('a', |raft, now| raft.tick(now));
    }
}

/// b is taken in by a, whose log begins behind 1; b's answer to the snapshot is lost if `stale`: a heartbeat of a's by an earlier link,
/// which a has given up and b has not, is read in the same turn after it.
fn snapshot_to_b(stale: bool) -> World {
    let mut world = World::new(1);
    world.found('a');
    for _ in 0..5 {
        world.input('a', |raft, _| raft.append(None, Toy::Say("x".to_owned())).expect("it leads"));
    }
    world.turn('a');
    world.compact('a', 6);
    world.add('b', World::blank());
    world.input('a', |raft, _| raft.append(None, Toy::Join(id('b'))).expect("it leads"));
    world.turn('a');
    while !world.links[&('a', 'b')].requests.iter().any(|message| matches!(message, Message::InstallSnapshot(_))) {
        let moved = world.deliver_one('a', 'b', false).is_some() | world.deliver_one('b', 'a', true).is_some();
        assert!(moved, "a snapshot is to come");
    }
    world.nodes.get_mut(&'b').expect("it is there").held = true;
    while world.deliver_one('a', 'b', false).is_some() {}
    if stale {
        let earlier = ConnId { place: 999, generation: 0 };
        let term = world.raft('a').term();
        let heartbeat = Append {
            leader: id('a'),
            term,
            prev_index: 0,
            prev_term: 0,
            quorum: 0,
            commit: 0,
            round: 1,
            token: Token::default(),
            lease: 0,
            entries: Vec::new(),
        };
        world.give(earlier, 'a', 'b', Message::Append(heartbeat)).expect("nothing is wrong with it");
    }
    world.nodes.get_mut(&'b').expect("it is there").held = false;
    world.turn('b');
    world
}

fn catches_up(stale: bool) {
    let mut world = snapshot_to_b(stale);
    run(&mut world, 60_000);
    world.input('a', |raft, _| raft.append(None, Toy::Say("y".to_owned())).expect("it leads"));
    run(&mut world, 60_000);
    let progress = world.raft('a').progress(&id('b')).expect("b is a member").clone();
    assert_eq!(
        (world.raft('b').log().last_index(), progress.flow_name()),
        (world.raft('a').log().last_index(), "pipeline"),
        "after two minutes of answered heartbeats on a link that is up"
    );
}

#[test]
fn a_snapshot_whose_answer_came_is_done() {
    catches_up(false);
}

#[test]
fn a_snapshot_whose_answer_is_lost_is_not_waited_for_for_ever() {
    catches_up(true);
}

/// NODE_INFO of a member, proposed by a fellow that has met an earlier life of it and sent again to the next leader, must not say which
/// life this is.
#[test]
fn node_info_does_not_change_the_join_nonce() {
    use pontoon::cluster::change::{NodeInfo, NodeJoin};
    use pontoon::cluster::{Address, Change, State};
    use pontoon::raft::{Body, Entry};
    use pontoon::types::{ClusterId, ShardId};
    let mut state = State::founding(ClusterId::from_bytes([9; 20]), id('a'));
    let address = |name: char, nonce: Option<u64>| {
        let mut address = Address { ip: "127.0.0.1".to_owned(), port: 7000, bus_port: 17000, ..Address::default() };
        address.set_shard_id(ShardId::from_bytes([name as u8; 20]));
        address.set_join_nonce(nonce);
        address
    };
    let changes = [
        Change::NodeJoin(NodeJoin { id: id('a'), address: address('a', None), voter: true }),
        Change::NodeJoin(NodeJoin { id: id('b'), address: address('b', Some(2)), voter: false }),
        Change::NodeInfo(NodeInfo { id: id('b'), address: address('b', Some(1)).without_shard_id(), nofailover: false }),
    ];
    for (index, change) in (1..).zip(changes) {
        let _ = state.apply(index, &Entry { term: 1, origin: None, body: Body::App(change) });
    }
    assert_eq!(state.member(&id('b')).expect("it has joined").address.join_nonce(), Some(2));
}
