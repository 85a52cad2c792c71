//! Nodes in one process: a primary that comes back, or ends, while its replica is flagged as failed.

use super::*;
use crate::cluster::change::NodeRecover;
use crate::cluster::{LeaderRequest, LeaderRequestKind};

/// R, the only one that would take over, is flagged as failed, and has all keys.
fn with_a_flagged_replica() -> Net {
    let mut net = net();
    let (replica, other) = (net.nodes[R].metadata.me, net.nodes[LEADER].metadata.me);
    assert_eq!(net.ask(LEADER, "CONFIG SET cluster-replica-no-failover yes"), "+OK\r\n");
    net.until("all to know", |net| net.nodes.iter().all(|node| node.metadata.state.member(&other).unwrap().nofailover));
    net.hold(R, LEADER, Port::Bus);
    net.until("the flag", |net| [P, LEADER].iter().all(|at| net.nodes[*at].metadata.state.member(&replica).unwrap().failed));
    assert_eq!(net.ask(P, "SET last 1"), "+OK\r\n");
    net.all_equal(P);
    net
}

fn restart(net: &mut Net, at: usize) {
    net.kill(at);
    net.start(at);
}

#[test]
fn a_replica_whose_flag_is_about_to_go_takes_over_from_a_restarted_primary() {
    let mut net = with_a_flagged_replica();
    net.release(R, LEADER, Port::Bus);
    let replica = net.nodes[R].metadata.me;
    net.until("an answer", |net| net.nodes[LEADER].metadata.answers_again(&replica, &net.nodes[LEADER].view));
    assert!(net.nodes[LEADER].metadata.state.member(&replica).unwrap().failed, "it is not even proposed");
    restart(&mut net, P);
    whoever_serves_has_all(&mut net);
}

#[test]
fn a_flag_that_the_log_takes_back_is_waited_for() {
    let mut net = with_a_flagged_replica();
    let (primary, replica) = (net.nodes[P].metadata.me, net.nodes[R].metadata.me);
    net.nodes[LEADER].metadata.raft.append(None, Change::NodeRecover(NodeRecover { id: replica })).unwrap();
    let request = LeaderRequest::new(LeaderRequestKind::HandOver, primary, &net.nodes[LEADER].metadata.state);
    net.nodes[LEADER].with_metadata(|metadata, view, out| metadata.take_request(request, None, view, out));
    assert!(
        net.nodes[LEADER].metadata.leading.handovers().next().is_some()
            && !net.nodes[LEADER].metadata.answers_again(&replica, &net.nodes[LEADER].view)
    );
    net.release(R, LEADER, Port::Bus);
    net.until("a successor", |net| net.nodes[P].metadata.state.slot_count_of(&primary) == 0);
    assert_eq!(net.ask(R, "GET last"), "$1\r\n1\r\n");
}

#[test]
fn nobody_waits_for_a_replica_that_is_dead() {
    for members in [2, 3] {
        let mut net = Net::with_members(members);
        let (primary, replica) = (net.nodes[P].metadata.me, net.nodes[R].metadata.me);
        assert_eq!(net.ask(R, &format!("CLUSTER REPLICATE {primary}")), "+OK\r\n");
        if members == 3 {
            net.until("three voters", |net| net.nodes.iter().all(|node| node.metadata.raft.voters().len() == 3));
            assert_eq!(net.ask(LEADER, "CLUSTER RAFT TRANSFER"), "+OK\r\n");
        }
        net.until("a copy", |net| net.in_sync(R));
        net.kill(R);
        net.until("the flag", |net| net.nodes[P].metadata.state.member(&replica).unwrap().failed);
        // Else the gate would wait for R's leases once more: what is committed is known from the last rewrite.
        assert_eq!(net.ask(P, "CLUSTER SAVECONFIG"), "+OK\r\n");
        restart(&mut net, P);
        let begun = net.now.mono;
        net.until("it to serve", |net| serves(net, P));
        assert!(net.now.mono - begun <= 100, "{members}: after {} ms", net.now.mono - begun);
    }
}
