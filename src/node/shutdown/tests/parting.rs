//! What a primary that is told to end owes to its replicas, and for how long it waits for them.

use super::*;
use crate::cluster::FailoverKind;
use crate::node::Port;

const R: usize = 1;
const OTHER: usize = 2;
/// E of these nodes is 200 ms: less than this and nobody has waited for a timer.
const AT_ONCE: Millis = 100;

/// Node 0 has all slots and some keys. Node 1 is its replica and not in step yet, node 2 has nothing and leads.
fn with_a_new_replica() -> Net {
    let mut net = Net::with_members(3);
    net.until("three voters", |net| net.nodes.iter().all(|node| node.metadata.raft.voters().len() == 3));
    assert_eq!(net.ask(OTHER, "CLUSTER RAFT TRANSFER"), "+OK\r\n");
    for number in 0..50 {
        assert_eq!(net.ask(P, &format!("SET key:{number} {number}")), "+OK\r\n");
    }
    let primary = net.nodes[P].metadata.me;
    net.hold(P, R, Port::Client);
    assert_eq!(net.ask(R, &format!("CLUSTER REPLICATE {primary}")), "+OK\r\n");
    net.until("it to ask for data", |net| net.nodes[R].dataset.replica_link.conn().is_some());
    net
}

/// The same in step. It is the only one.
fn with_one_replica() -> Net {
    let mut net = with_a_new_replica();
    net.release(P, R, Port::Client);
    net.until("the replica to be in step", |net| net.in_sync(R) && net.history(R).offset == net.history(P).offset);
    net
}

#[track_caller]
fn stays(net: &mut Net, at: usize, millis: Millis) {
    let until = net.now.mono + millis;
    while net.now.mono < until {
        net.step();
        assert!(net.is_up(at), "it has ended {} ms too early", until - net.now.mono);
    }
}

/// It ends, and this one serves all that was acknowledged.
#[track_caller]
fn ends_and_leaves_all_to(net: &mut Net, successor: usize) {
    net.until("the end", |net| !net.is_up(P));
    let slot = crate::keyspace::key_slot(b"last");
    net.until("the keys to be served", |net| net.nodes[successor].accepts_writes(slot, net.now));
    assert_eq!(net.ask(successor, "GET last"), "$1\r\n1\r\n");
    assert_eq!(net.ask(successor, "DBSIZE"), ":51\r\n");
}

#[track_caller]
fn ends_at_once(net: &mut Net, at: usize) {
    let begun = net.now.mono;
    net.until("the end", |net| !net.is_up(at));
    assert!(net.now.mono - begun <= AT_ONCE, "after {} ms", net.now.mono - begun);
}

#[test]
fn a_replica_that_gets_all_keys_is_waited_for() {
    let mut net = with_a_new_replica();
    assert_eq!(net.ask(P, "SET last 1"), "+OK\r\n");
    net.nodes[P].shutdown(Signal::Term);
    stays(&mut net, P, 3000);
    net.release(P, R, Port::Client);
    ends_and_leaves_all_to(&mut net, R);
}

#[test]
fn a_replica_that_has_to_dial_again_is_waited_for() {
    let mut net = with_one_replica();
    net.refuse(R, P, Port::Client);
    net.break_off(R, net.nodes[R].dataset.replica_link.conn().unwrap());
    assert_eq!(net.ask(P, "SET last 1"), "+OK\r\n");
    net.nodes[P].shutdown(Signal::Term);
    stays(&mut net, P, 3000);
    net.accept(R, P, Port::Client);
    ends_and_leaves_all_to(&mut net, R);
}

#[test]
fn what_is_written_to_a_socket_is_not_with_a_replica() {
    let mut net = with_one_replica();
    net.delay(P, R, Port::Client);
    assert_eq!(net.ask(P, "SET last 1"), "+OK\r\n");
    net.nodes[P].shutdown(Signal::Term);
    stays(&mut net, P, 3000);
    net.arrive(P, R, Port::Client);
    ends_and_leaves_all_to(&mut net, R);
}

/// It was told where the stream ended, and all of that was written to its socket.
#[test]
fn a_successor_that_was_told_the_end_has_not_got_there() {
    let mut net = with_one_replica();
    net.delay(P, R, Port::Client);
    assert_eq!(net.ask(P, "SET last 1"), "+OK\r\n");
    net.fail_over(R, P, FailoverKind::Manual);
    net.nodes[P].shutdown(Signal::Term);
    stays(&mut net, P, 3000);
    net.arrive(P, R, Port::Client);
    ends_and_leaves_all_to(&mut net, R);
}

/// A binary that does not say so: it shows that it has everything when the old primary asks it for the stream that goes on.
#[test]
fn a_successor_that_says_nothing_is_known_by_what_it_goes_on_with() {
    let mut net = with_one_replica();
    assert_eq!(net.ask(P, "SET last 1"), "+OK\r\n");
    net.nodes[P].shutdown(Signal::Term);
    while net.is_up(P) {
        net.step();
        net.nodes[R].take_peers_for_old();
    }
    ends_and_leaves_all_to(&mut net, R);
}

/// Its replicas may have more, or it alone has what was acknowledged last: that is found out first.
#[test]
fn who_has_just_started_with_the_newest_keys_leaves_them_to_a_replica() {
    let mut net = with_one_replica();
    net.kill(R);
    assert_eq!(net.ask(P, "SET last 1"), "+OK\r\n");
    assert_eq!(net.ask(P, "SAVE"), "+OK\r\n");
    net.kill(P);
    net.start(R);
    net.start(P);
    net.until("the doubt", |net| net.nodes[P].dataset.role.is_unsettled() && net.nodes[P].metadata.knows_newest_state());
    net.nodes[P].shutdown(Signal::Term);
    ends_and_leaves_all_to(&mut net, R);
}

#[test]
fn one_replica_that_has_everything_is_enough() {
    let mut net = Net::with_a_leading_replica();
    net.refuse(R, P, Port::Client);
    net.break_off(R, net.nodes[R].dataset.replica_link.conn().unwrap());
    assert_eq!(net.ask(P, "SET last 1"), "+OK\r\n");
    net.nodes[P].shutdown(Signal::Term);
    ends_at_once(&mut net, P);
    ends_and_leaves_all_to(&mut net, OTHER);
}

#[test]
fn a_replica_that_hangs_is_waited_for_until_the_time_is_over_and_nothing_is_acknowledged_meanwhile() {
    let mut net = with_one_replica();
    for (option, value) in [("shutdown-timeout", 3), ("cluster-node-timeout", 100_000)] {
        for at in [P, OTHER] {
            assert_eq!(net.ask(at, &format!("CONFIG SET {option} {value}")), "+OK\r\n");
        }
    }
    net.stopped = Some(R);
    assert_eq!(net.ask(P, "SET last 1"), "+OK\r\n");
    net.nodes[P].shutdown(Signal::Term);
    net.step();
    let writer = net.say(P, "SET last 2");
    stays(&mut net, P, 2900);
    assert_eq!(net.answer(P, writer), None);
    let begun = net.now.mono;
    while net.is_up(P) {
        assert!(net.nodes[P].out.io.sessions.get(writer).is_some_and(|session| session.transmit.is_empty()));
        net.step();
    }
    assert!(net.now.mono - begun <= 200, "{} ms too late", net.now.mono - begun);
    assert!(!net.nodes[P].dataset.role.has_final_offset(), "nobody has taken over");
}

#[test]
fn without_a_replica_that_lives_nothing_is_waited_for() {
    let mut net = Net::with_members(1);
    net.nodes[P].shutdown(Signal::Term);
    ends_at_once(&mut net, P);
    let mut net = with_one_replica();
    net.kill(R);
    let replica = net.nodes[R].metadata.me;
    net.until("the flag", |net| net.nodes[P].metadata.state.member(&replica).is_some_and(|member| member.failed));
    net.nodes[P].shutdown(Signal::Term);
    ends_at_once(&mut net, P);
}

/// Nobody is left who could say that a replica is gone, and who is there would dial within a second.
/// The primary has led, and flagged its replica. Others may lead by now, to whom it answers.
#[test]
fn a_flag_that_may_be_out_of_date_is_no_reason_to_end() {
    let mut net = with_one_replica();
    let replica = net.nodes[R].metadata.me;
    assert_eq!(net.ask(P, "SET last 1"), "+OK\r\n");
    net.until("it to be there", |net| net.history(R).offset == net.history(P).offset);
    assert_eq!(net.ask(P, "CLUSTER RAFT TRANSFER"), "+OK\r\n");
    let cut = [(R, P, Port::Bus), (R, OTHER, Port::Bus), (R, P, Port::Client)];
    cut.into_iter().for_each(|(from, to, port)| net.hold(from, to, port));
    net.until("the flag", |net| net.nodes[P].metadata.state.member(&replica).unwrap().failed);
    let link = net.nodes[R].dataset.replica_link.conn().unwrap();
    net.break_off(R, link);
    net.hold(OTHER, P, Port::Bus);
    net.until("it to lead no more", |net| !net.nodes[P].metadata.raft.is_leader());
    net.nodes[P].shutdown(Signal::Term);
    stays(&mut net, P, AT_ONCE);
    cut.into_iter().for_each(|(from, to, port)| net.release(from, to, port));
    net.release(OTHER, P, Port::Bus);
    ends_and_leaves_all_to(&mut net, R);
}

#[test]
fn all_nodes_may_be_told_to_end_at_the_same_time() {
    let mut net = Net::with_replicas();
    net.until("three voters", |net| net.nodes.iter().all(|node| node.metadata.raft.voters().len() == 3));
    net.all_equal(P);
    let begun = net.now.mono;
    (0..3).for_each(|at| net.nodes[at].shutdown(Signal::Term));
    net.until("all ends", |net| (0..3).all(|at| !net.is_up(at)));
    assert!(net.now.mono - begun <= 1500, "after {} ms", net.now.mono - begun);
}

#[test]
fn a_replica_that_may_not_take_over_is_to_have_everything_too() {
    let mut net = with_one_replica();
    assert_eq!(net.ask(R, "CONFIG SET replica-priority 0"), "+OK\r\n");
    let primary = net.nodes[P].metadata.me;
    net.until("it to be known", |net| net.nodes[P].metadata.state.willing_replicas(&primary).next().is_none());
    net.delay(P, R, Port::Client);
    assert_eq!(net.ask(P, "SET last 1"), "+OK\r\n");
    net.nodes[P].shutdown(Signal::Term);
    stays(&mut net, P, 2000);
    net.arrive(P, R, Port::Client);
    ends_at_once(&mut net, P);
    assert_eq!(net.nodes[R].dataset.keyspace.len(), 51);
}

/// It has everything, and is no successor. The leadership takes longer.
#[test]
fn what_replicas_have_in_the_end_is_everything() {
    let mut net = with_one_replica();
    assert_eq!(net.ask(R, "CONFIG SET replica-priority 0"), "+OK\r\n");
    let primary = net.nodes[P].metadata.me;
    net.until("it to be known", |net| net.nodes[P].metadata.state.willing_replicas(&primary).next().is_none());
    net.nodes[P].shutdown(Signal::Term);
    net.nodes[P].turn(&mut || net.now).unwrap();
    let writer = net.say(P, "SET late 1");
    while net.is_up(P) {
        net.step();
        assert_eq!(
            (
                net.nodes[P].dataset.keyspace.len(),
                net.nodes[P].out.io.sessions.get(writer).is_some_and(|session| !session.transmit.is_empty())
            ),
            (50, false)
        );
    }
}

/// The first successor dies before it has said that it has everything.
#[test]
fn slots_that_come_back_are_given_to_another_replica() {
    let mut net = Net::with_a_leading_replica();
    for replica in [R, OTHER] {
        net.delay(P, replica, Port::Client);
    }
    assert_eq!(net.ask(P, "SET last 1"), "+OK\r\n");
    net.fail_over(R, P, FailoverKind::Manual);
    net.nodes[P].shutdown(Signal::Term);
    stays(&mut net, P, 500);
    net.kill(R);
    net.arrive(P, OTHER, Port::Client);
    ends_and_leaves_all_to(&mut net, OTHER);
}

/// It hands its leadership over by then, and another replica is not asked any more.
#[test]
fn slots_that_come_back_late_take_no_writes() {
    let mut net = with_one_replica();
    assert_eq!(net.ask(P, "CLUSTER RAFT TRANSFER"), "+OK\r\n");
    net.until("its first entry", |net| net.nodes[P].metadata.raft.leader_ready(net.nodes[P].metadata.state.last_applied()));
    net.nodes[P].view.shutdown = Shutdown::HandingOver(net.nodes[P].metadata.raft.term());
    net.nodes[P].tend_ending();
    let writer = net.say(P, "SET last 1");
    net.until("the end", |net| !net.is_up(P));
    assert_eq!(net.answer(P, writer), None);
}

#[test]
fn writes_go_on_when_the_shutdown_is_called_off() {
    let mut net = with_one_replica();
    net.delay(P, R, Port::Client);
    assert_eq!(net.ask(P, "SET other 1"), "+OK\r\n");
    net.nodes[P].shutdown(Signal::Term);
    stays(&mut net, P, 500);
    let writer = net.say(P, "SET last 1");
    (0..10).for_each(|_| net.step());
    assert_eq!(net.answer(P, writer), None);
    assert_eq!(net.ask(P, "SHUTDOWN ABORT"), "+OK\r\n");
    (0..10).for_each(|_| net.step());
    assert_eq!(net.answer(P, writer).as_deref(), Some("+OK\r\n"));
    stays(&mut net, P, 3000);
}

/// What it has goes with it: nobody is to rely on it.
#[test]
fn a_replica_at_its_last_save_is_no_successor() {
    let mut net = with_one_replica();
    net.nodes[R].shutdown(Signal::Term);
    net.until("the last save", |net| net.nodes[R].view.shutdown == Shutdown::Saving);
    assert_eq!(net.nodes[R].promised_extent().offset, 0);
    assert!(net.nodes[R].promised_extent().reign > 0);
    // Nor does it run or acknowledge any more. The stream ends with the process, which shows that it is dead.
    let link = net.nodes[R].dataset.replica_link.conn().unwrap();
    let told = |net: &Net| (net.history(R).offset, net.nodes[R].out.io.sessions.get(link).unwrap().transmit.len());
    let before = told(&net);
    net.nodes[R].out.io.sessions.get_mut(link).unwrap().receive.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
    net.nodes[R].run_primary(link);
    net.nodes[R].with_dataset(|dataset, metadata, view, out| dataset.tend_primary(metadata, view, out));
    assert!(net.nodes[R].receive_buffer(link).is_none() && told(&net) == before);
    net.nodes[R].abort_shutdown().unwrap();
    (0..2).for_each(|_| net.step());
    assert_eq!(net.history(R).offset, before.0 + 14, "it goes on with what has come meanwhile");
}

#[test]
fn who_is_to_end_safely_does_not_while_nobody_has_its_slots() {
    let mut net = with_one_replica();
    assert_eq!(net.ask(P, "CONFIG SET shutdown-timeout 1 shutdown-on-sigterm safe"), "+OK\r\n");
    net.delay(P, R, Port::Client);
    assert_eq!(net.ask(P, "SET last 1"), "+OK\r\n");
    net.nodes[P].shutdown(Signal::Term);
    stays(&mut net, P, 3000);
    assert!(net.nodes[P].view.shutdown == Shutdown::No && net.nodes[P].out.clients.pauses.in_force().is_none());
    let asker = net.say(P, "SHUTDOWN SAFE NOW");
    (0..3).for_each(|_| net.step());
    assert_eq!(net.answer(P, asker).as_deref(), Some("-ERR Errors trying to SHUTDOWN. Check logs.\r\n"));
    net.arrive(P, R, Port::Client);
    net.nodes[P].shutdown(Signal::Term);
    ends_and_leaves_all_to(&mut net, R);
    // A cluster of one: SAFE does not end it, FORCE does.
    let mut net = Net::with_members(1);
    net.say(P, "SHUTDOWN SAFE");
    stays(&mut net, P, 1000);
    net.say(P, "SHUTDOWN SAFE FORCE");
    ends_at_once(&mut net, P);
}

#[test]
fn each_signal_ends_a_node_in_its_own_way() {
    let mut net = with_one_replica();
    assert_eq!(net.ask(P, "CONFIG SET shutdown-on-sigint 'nosave now'"), "+OK\r\n");
    net.delay(P, R, Port::Client);
    assert_eq!(net.ask(P, "SET last 1"), "+OK\r\n");
    net.nodes[P].shutdown(Signal::Int);
    assert_eq!(net.nodes[P].view.shutdown, Shutdown::Now);
    for (word, saves) in [("save", true), ("nosave", false)] {
        let mut net = Net::with_members(1);
        assert_eq!(net.ask(P, &format!("CONFIG SET shutdown-on-sigterm {word}")), "+OK\r\n");
        net.nodes[P].shutdown(Signal::Term);
        net.step();
        assert_eq!(net.nodes[P].view.shutdown == Shutdown::Saving, saves, "{word}");
    }
}

#[test]
fn without_time_no_replica_is_waited_for() {
    let mut net = with_one_replica();
    assert_eq!(net.ask(P, "CONFIG SET shutdown-timeout 0"), "+OK\r\n");
    net.delay(P, R, Port::Client);
    assert_eq!(net.ask(P, "SET last 1"), "+OK\r\n");
    net.nodes[P].shutdown(Signal::Term);
    ends_at_once(&mut net, P);
}

/// A redis-server, or whoever else follows the stream without being a member.
#[test]
fn a_stranger_that_follows_the_stream_is_to_have_its_end() {
    let mut net = Net::with_members(1);
    let follower = net.say(P, "REPLCONF capa eof\r\nPSYNC ? -1");
    net.until("the end of the RDB", |net| {
        net.nodes[P]
            .dataset
            .replicas(&net.nodes[P].out)
            .any(|client| client.replica.as_ref().is_some_and(|replica| replica.state() == "send_bulk"))
    });
    (0..10).for_each(|_| net.step());
    net.give(P, follower, b"REPLCONF ACK 0\r\n");
    assert_eq!(net.ask(P, "SET last 1"), "+OK\r\n");
    net.nodes[P].shutdown(Signal::Term);
    stays(&mut net, P, 3000);
    let end = net.history(P).offset;
    net.give(P, follower, format!("REPLCONF ACK {end}\r\n").as_bytes());
    ends_at_once(&mut net, P);
}
