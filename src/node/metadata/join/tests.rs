//! What clients of a node hear while it joins.

use crate::node::Port;
use crate::node::metadata::proposals::proposal_patience;
use crate::node::net::Net;

/// Node 1 has given its own cluster up for that of node 0, and is no member yet.
fn with_a_joiner() -> Net {
    let mut net = Net::of(2);
    net.until("clusters of one", |net| net.nodes.iter().all(|node| node.metadata.state.member_count() == 1));
    assert_eq!(net.ask(0, "CLUSTER ADDSLOTSRANGE 0 99"), "+OK\r\n");
    assert_eq!(net.ask(0, "CLUSTER MEET 10.0.0.1 7001"), "+OK\r\n");
    assert!(net.nodes[1].metadata.is_joiner());
    net
}

#[test]
fn what_only_members_may_do_waits_for_the_join() {
    let mut net = with_a_joiner();
    let primary = net.nodes[0].metadata.me;
    let asked = [
        ("CLUSTER ADDSLOTSRANGE 100 199", "+OK\r\n"),
        ("CLUSTER ADDSLOTS 200", "+OK\r\n"),
        (
            "MULTI\r\nCLUSTER ADDSLOTS 201\r\nCLUSTER ADDSLOTS 0\r\nEXEC",
            "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n-ERR Slot 0 is already busy\r\n",
        ),
        (&format!("CLUSTER SETSLOT 99 NODE {primary}"), "+OK\r\n"),
        ("CLUSTER DELSLOTS 300", "-ERR Slot 300 is already unassigned\r\n"),
    ];
    let waiting: Vec<_> = asked.iter().map(|(line, reply)| (net.say(1, line), *reply)).collect();
    assert_eq!(net.ask(1, "CLUSTER KEYSLOT a"), ":15495\r\n", "what tells goes on");
    for (conn, reply) in waiting {
        net.until("the answer", |net| {
            let unsent = &net.nodes[1].out.io.sessions.get(conn).expect("it is there").transmit;
            unsent.len() == reply.len()
        });
        assert_eq!(net.answer(1, conn).as_deref(), Some(reply));
    }
    assert_eq!(net.nodes[1].metadata.state.slot_count_of(&net.nodes[1].metadata.me), 102);
}

#[test]
fn who_is_not_taken_in_says_so_in_the_time_of_a_proposal() {
    let mut net = with_a_joiner();
    [(0, 1), (1, 0)].into_iter().for_each(|(from, to)| net.hold(from, to, Port::Bus));
    let (conn, begun) = (net.say(1, "CLUSTER ADDSLOTS 200"), net.now.mono);
    let patience = proposal_patience(net.nodes[1].config());
    net.until("the refusal", |net| {
        let unsent = &net.nodes[1].out.io.sessions.get(conn).expect("it is there").transmit;
        !unsent.is_empty()
    });
    assert_eq!(net.answer(1, conn).as_deref(), Some("-ERR This node is not a member of the cluster\r\n"));
    let took = net.now.mono - begun;
    assert!(took >= patience - 100 && took <= patience + 1100, "{took}");
}
