use super::*;
use crate::node::net::Net;

const FAR: &str = "FORGOTTEN 1000000 1000000 -";

impl Net {
    fn with_voters(count: usize) -> Self {
        let mut net = Self::with_members(count);
        net.until("three voters", |net| net.nodes.iter().all(|node| node.metadata.raft.voters().len() == 3));
        net
    }

    /// Who runs, and is in the cluster of node 0.
    fn fellows(&self) -> Vec<usize> {
        let cluster = self.nodes[0].metadata.state.cluster_id();
        (0..self.nodes.len()).filter(|at| self.is_up(*at) && self.nodes[*at].metadata.state.cluster_id() == cluster).collect()
    }

    fn is_alone(&self, at: usize) -> bool {
        self.nodes[at].metadata.state.member_count() == 1
    }

    fn run(&mut self, millis: Millis) {
        (0..millis / 5).for_each(|_| self.step());
    }
}

#[test]
fn a_cluster_does_not_dissolve_at_a_strangers_word() {
    let mut net = Net::with_voters(4);
    let names = [NodeId::from_bytes([9; 20]), net.nodes[0].metadata.me, net.nodes[1].metadata.me];
    for name in names {
        for at in 0..4 {
            if net.nodes[at].metadata.me != name {
                net.hear(at, name, &[FAR]);
            }
        }
        net.run(100);
        assert!(net.nodes.iter().filter(|node| node.metadata.doubts_membership()).count() > 2, "they ask");
        net.run(3500);
        assert!(!net.nodes.iter().any(|node| node.metadata.doubts_membership()), "not for ever");
        assert_eq!(net.fellows(), [0, 1, 2, 3]);
    }
    assert_eq!(net.ask(2, "CLUSTER DELSLOTS 7"), "+OK\r\n");
}

#[test]
fn who_is_forgotten_hears_it_at_once_and_asks() {
    for down in [false, true] {
        let mut net = Net::with_voters(4);
        let leader = (0..4).find(|at| net.nodes[*at].metadata.raft.is_leader()).unwrap();
        let leaver = (1..4).find(|at| *at != leader).unwrap();
        let id = net.nodes[leaver].metadata.me;
        if down {
            net.kill(leaver);
        }
        assert_eq!(net.ask(leader, &format!("CLUSTER FORGET {id}")), "+OK\r\n");
        if down {
            net.start(leaver);
        }
        let since = net.now.mono;
        net.until("it to be alone", |net| net.is_alone(leaver));
        assert!(down || net.now.mono - since < 200, "{} ms", net.now.mono - since);
        assert_eq!((net.nodes[leaver].metadata.me, net.fellows().len()), (id, 3));
    }
}

/// All that it knows are somewhere else, so nobody can confirm what the one says that meets it: its own operator has to.
#[test]
fn who_knows_nobody_any_more_is_told_by_whom_its_own_client_names() {
    let mut net = Net::with_voters(4);
    let leader = (0..4).find(|at| net.nodes[*at].metadata.raft.is_leader()).unwrap();
    let leaver = (1..4).find(|at| *at != leader).unwrap();
    let id = net.nodes[leaver].metadata.me;
    net.kill(leaver);
    assert_eq!(net.ask(leader, &format!("CLUSTER FORGET {id}")), "+OK\r\n");
    net.start(leaver);
    (0..4).filter(|at| *at != leaver).for_each(|at| net.refuse(leaver, at, crate::node::Port::Bus));
    let answer = net.ask(leader, &format!("CLUSTER MEET 10.0.0.1 {}", 7000 + leaver));
    assert!(answer.starts_with("-ERR The node to meet was forgotten and has not heard of it"), "{answer}");
    assert!(!net.is_alone(leaver));
    net.accept(leaver, leader, crate::node::Port::Bus);
    // As if it had them all at places where they are no more.
    net.nodes[leaver].metadata.addresses.clear();
    assert_eq!(net.ask(leaver, &format!("CLUSTER MEET 10.0.0.1 {}", 7000 + leader)), "+OK\r\n");
    net.until("it to have joined", |net| net.nodes[leaver].metadata.state.member_count() == 4);
    assert_eq!(net.nodes[leaver].metadata.state.cluster_id(), net.nodes[leader].metadata.state.cluster_id());
}
