//! CLUSTER FAILOVER that comes to nothing, or to its end in another way: what whoever asked is told.

use super::*;

#[test]
fn a_failover_that_was_not_proposed_says_that_nothing_was_changed() {
    let mut net = net();
    assert_eq!(net.ask(R, "CONFIG SET cluster-manual-failover-timeout 300"), "+OK\r\n");
    net.hold(P, R, Port::Bus);
    let unanswered = "-TIMEOUT The primary did not answer in time, and nothing was changed: CLUSTER FAILOVER FORCE does without it\r\n";
    assert_eq!(net.ask(R, "CLUSTER FAILOVER"), unanswered);
    net.release(P, R, Port::Bus);
    net.hold(P, R, Port::Client);
    assert_eq!(net.ask(P, "SET last 1"), "+OK\r\n");
    assert_eq!(
        net.ask(R, "CLUSTER FAILOVER"),
        "-TIMEOUT This replica did not catch up with its primary in time, and nothing was changed\r\n"
    );
    net.hold(R, LEADER, Port::Bus);
    net.release(P, R, Port::Client);
    net.until("the last write", |net| net.nodes[R].dataset.keyspace.len() == 51);
    assert_eq!(net.ask(R, "CLUSTER FAILOVER"), "-TIMEOUT The cluster did not answer in time: the change may still be applied\r\n");
    net.release(R, LEADER, Port::Bus);
    let successor = net.nodes[R].metadata.me;
    net.until("what may still be applied", |net| net.nodes[P].metadata.state.slot_count_of(&successor) > 0);
}

#[test]
fn a_failover_that_the_leader_makes_by_itself_meanwhile_is_done() {
    let mut net = net();
    assert_eq!(net.ask(R, "CONFIG SET cluster-manual-failover-timeout 60000"), "+OK\r\n");
    net.stopped = Some(P);
    // Of equals the other one is chosen.
    assert_eq!(net.ask(LEADER, "CONFIG SET cluster-replica-no-failover yes"), "+OK\r\n");
    assert_eq!(net.ask(R, "CLUSTER FAILOVER"), "+OK\r\n");
    assert!(serves(&net, R));
}
