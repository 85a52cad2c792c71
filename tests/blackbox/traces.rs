//! Traces that once went wrong, found by thinking against the rules rather than by chance.

use crate::cluster::{CALM, Cluster, insist, lines};
use crate::node::Node;
use crate::wait::{now, pause, until};
use std::time::Duration;

/// A member that never got as far as to apply its own NODE_JOIN asks to be added for ever: FORGET of it does not last, though nobody has
/// met it again.
#[test]
fn a_joiner_that_was_forgotten_stays_forgotten() {
    let member = Node::started(&["cluster-node-timeout 30000"]);
    let mut joiner = Node::started(&["cluster-node-timeout 30000", "cluster-announce-bus-port 1"]);
    let id = joiner.id();
    member.meet(&joiner);
    let known = || lines(&member).iter().any(|line| line.id == id);
    until("its NODE_JOIN", || if known() { Ok(()) } else { Err(member.ask("CLUSTER NODES")) });
    joiner.kill();
    assert_eq!(insist(&member, &format!("CLUSTER FORGET {id}")), "OK");
    assert!(!known());
    joiner.start();
    let end = now() + Duration::from_secs(5);
    while now() < end {
        assert!(!known(), "it is a member again, and nobody has met it: {}", member.ask("CLUSTER NODES"));
        pause(Duration::from_millis(50));
    }
}

/// RESET waits for the leader to forget this node; going over to a recovered cluster is not that.
#[test]
fn a_reset_under_way_is_called_off_by_going_over() {
    let mut cluster = Cluster::formed(5, &["cluster-node-timeout 2000"]);
    cluster.voters(5);
    let leader = cluster.leader();
    let others: Vec<usize> = (0..5).filter(|at| *at != leader).collect();
    let (survivor, resetting) = (others[0], others[1]);
    for at in [others[2], others[3], leader] {
        cluster.nodes[at].kill();
    }
    let (survivor, resetting) = (&cluster.nodes[survivor], &cluster.nodes[resetting]);
    let answer = std::thread::scope(|scope| {
        let asked = scope.spawn(|| resetting.try_ask("CLUSTER RESET SOFT"));
        until("the recovery to be allowed", || survivor.try_ask("CLUSTER RECOVER QUORUM").map(drop));
        asked.join().expect("it does not panic")
    });
    let cluster_of = |node: &Node| node.field("cluster_raft_cluster_id");
    until("the other one to come over", || match resetting.log().contains("Going over") {
        true => Ok(()),
        false => Err(format!("{answer:?}")),
    });
    until("it to belong to the recovered cluster", || {
        if cluster_of(resetting) == cluster_of(survivor) { Ok(()) } else { Err(format!("RESET said {answer:?}: {}", resetting.log())) }
    });
}

/// A node that does not know that it was forgotten is met again: it keeps its log and its join nonce. A member that lags between the two
/// throws it out of its new life.
#[test]
fn who_was_met_again_is_not_thrown_out_by_who_lags() {
    let mut cluster = Cluster::formed(3, &[CALM]);
    cluster.voters(3);
    let leader = cluster.leader();
    let (met, lagging) = ((leader + 1) % 3, (leader + 2) % 3);
    let id = cluster.nodes[met].id();
    cluster.nodes[met].kill();
    assert_eq!(insist(&cluster.nodes[leader], &format!("CLUSTER FORGET {id}")), "OK");
    let lists = |node: &Node| lines(node).iter().any(|line| line.id == id);
    until("one voter", || {
        let voters = cluster.nodes[lagging].field("cluster_raft_voters");
        if voters == "1" && !lists(&cluster.nodes[lagging]) { Ok(()) } else { Err(voters) }
    });
    assert_eq!(cluster.nodes[leader].field("cluster_raft_role"), "leader");
    cluster.nodes[lagging].signal(rustix::process::Signal::STOP);
    cluster.nodes[leader].kill();
    cluster.nodes[leader].move_to_another_port();
    cluster.nodes[leader].start();
    let config = cluster.nodes[met].config_file();
    let text = std::fs::read_to_string(&config).expect("it is there") + "cluster-announce-bus-port 1\n";
    std::fs::write(&config, text).expect("it can be written");
    cluster.nodes[met].start();
    // The leader is where nobody knows it, the other one is silent: who is met has to be told by its own client where to ask.
    until("it to be met", || cluster.nodes[met].try_ask(&format!("CLUSTER MEET 127.0.0.1 {}", cluster.nodes[leader].number())).map(drop));
    until("its NODE_JOIN", || if lists(&cluster.nodes[leader]) { Ok(()) } else { Err(String::new()) });
    let told = || cluster.nodes[met].log().matches("The cluster has forgotten this node").count();
    let before = told();
    cluster.nodes[lagging].signal(rustix::process::Signal::CONT);
    let end = now() + Duration::from_secs(6);
    while now() < end {
        assert_eq!(told(), before, "it was thrown out after MEET had said OK");
        pause(Duration::from_millis(50));
    }
}

/// What stood still on a connection of an earlier life (a joiner that has gone back since, and was met by another member later) comes at
/// last: its ADD_ME names a join nonce that is over. The member that it is by now is thrown out, though nobody has asked for that.
#[test]
fn a_stale_add_me_throws_nobody_out() {
    use std::io::Write;
    let cluster = Cluster::formed(4, &["cluster-node-timeout 4000"]);
    cluster.voters(3);
    let leader = cluster.leader();
    let (member, asked) = (&cluster.nodes[(leader + 1) % 4], &cluster.nodes[(leader + 2) % 4]);
    let id = member.id();
    let address = lines(asked).into_iter().find(|line| line.id == id).expect("it is a member").address;
    let mut earlier = std::net::TcpStream::connect(("127.0.0.1", asked.port.bus())).expect("it listens");
    for text in [format!("HELLO {id} {address} {} 1 - -\n", asked.field("cluster_raft_cluster_id")), "ADD_ME 1\n".to_owned()] {
        let length = u32::try_from(text.len() + 8).expect("it is short");
        earlier.write_all(&[b"RAFT", length.to_be_bytes().as_slice(), text.as_bytes()].concat()).expect("it is taken");
    }
    let end = now() + Duration::from_secs(3);
    while now() < end {
        assert!(lines(asked).iter().any(|line| line.id == id), "it was forgotten: {}", member.log());
        pause(Duration::from_millis(50));
    }
}
