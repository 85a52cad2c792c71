//! Nodes in one process: what clients are told of changes that are refused.

use super::*;
use crate::node::net::Net;

/// What a client of node 1 reads if its change is applied as one of a node that is no member, after one send or after two.
fn told(sent_twice: bool) -> String {
    let mut net = Net::with_members(3);
    let leader = (0..3).find(|at| net.nodes[*at].metadata.raft.is_leader()).unwrap();
    let asked = (leader + 1) % 3;
    net.hold(asked, leader, crate::node::Port::Bus);
    let owner = net.nodes[2].metadata.me;
    let client = net.say(asked, &format!("CLUSTER SETSLOT 77 NODE {owner}"));
    (0..3).for_each(|_| net.step());
    let node = &mut net.nodes[asked];
    let (n, pending) = node.metadata.proposals.pending.iter_mut().next().expect("it is on its way");
    let n = *n;
    pending.doubtful = sent_twice;
    node.metadata.proposal_applied(n, Outcome::Rejected(Reason::ProposerNotMember), &mut node.out);
    net.step();
    net.answer(asked, client).expect("it is decided")
}

#[test]
fn who_was_forgotten_does_not_say_that_a_change_will_not_be_made_while_a_copy_of_it_is_on_its_way() {
    assert!(told(false).starts_with("-ERR This node is not a member"), "{}", told(false));
    assert!(told(true).starts_with("-TIMEOUT"), "{}", told(true));
}
