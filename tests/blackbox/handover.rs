//! Whoever leads goes in order: hand-overs, rolling restarts, and that the cluster never has to find out by silence that its leader is
//! gone.

use crate::cluster::{CALM, Cluster, agreed, insist};
use crate::node::Node;
use crate::reply::{self, Raw};
use crate::wait::{EndAtLast, now, pause, until, until_true};
use rustix::process::Signal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// An election after silence takes far longer than the rest of this.
const SLOW_ELECTIONS: &str = "cluster-raft-election-timeout 20000";
/// The longest time without a leader, and so without a change, while nodes are restarted or leave in order: nobody has waited for an
/// election. In how few milliseconds a leader is replaced the simulation shows, src/node/shutdown.rs and
/// src/node/metadata/leader_transfer.rs.
const LIMIT: Duration = Duration::from_secs(15);

/// Has one change after the other agreed on, and watches the time between two of them.
struct Prober {
    ports: Vec<u16>,
    /// Through which node it asks.
    via: AtomicUsize,
    ended: AtomicBool,
    seen: Mutex<Seen>,
}

struct Seen {
    changes: usize,
    /// When the last change was agreed on.
    last: Instant,
    /// The longest time between two.
    gap: Duration,
}

impl Prober {
    /// Probes the cluster, at first through this node, while `work` goes on.
    fn beside<T>(ports: Vec<u16>, via: usize, work: impl FnOnce(&Self) -> T) -> T {
        let seen = Mutex::new(Seen { changes: 0, last: now(), gap: Duration::ZERO });
        let prober = Self { ports, via: AtomicUsize::new(via), ended: AtomicBool::new(false), seen };
        std::thread::scope(|scope| {
            let ending = EndAtLast(&prober.ended);
            scope.spawn(|| prober.run());
            prober.go_on();
            let result = work(&prober);
            drop(ending);
            result
        })
    }

    /// Asks through this node from now on.
    fn go_via(&self, node: usize) {
        self.via.store(node, Ordering::Relaxed);
        self.gap();
    }

    /// Waits for changes that were begun after this.
    fn go_on(&self) {
        let changes = || self.seen.lock().expect("no holder panics").changes;
        let enough = changes() + 3;
        until_true("changes to be agreed on", || changes() >= enough);
    }

    /// The longest time without a change since the last call.
    fn gap(&self) -> Duration {
        self.go_on();
        std::mem::take(&mut self.seen.lock().expect("no holder panics").gap)
    }

    /// Takes slots that nobody has, one by one: an entry each, and no gate holds it back.
    fn run(&self) {
        let mut connection = None;
        for slot in 0..16384 {
            if self.ended.load(Ordering::Relaxed) {
                return;
            }
            match self.ask(&format!("CLUSTER ADDSLOTS {slot}"), &mut connection) {
                Ok(()) => self.seen.lock().expect("no holder panics").note(),
                // It may be agreed on all the same; the next one will show.
                Err(_) => connection = None,
            }
            // There are slots enough for some minutes.
            pause(Duration::from_millis(10));
        }
        panic!("the prober has run out of slots");
    }

    fn ask(&self, line: &str, kept: &mut Option<(usize, redis::Connection)>) -> Result<(), String> {
        let via = self.via.load(Ordering::Relaxed);
        let (_, connection) = match kept.take_if(|(to, _)| *to == via) {
            Some(kept_one) => kept.insert(kept_one),
            None => kept.insert((via, self.connect(via)?)),
        };
        reply::ask(connection, line).map(drop)
    }

    fn connect(&self, via: usize) -> Result<redis::Connection, String> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/", self.ports[via])).expect("the address is one");
        client.get_connection_with_timeout(Duration::from_secs(2)).map_err(|error| error.to_string())
    }
}

impl Seen {
    fn note(&mut self) {
        self.gap = self.gap.max(self.last.elapsed());
        self.last = now();
        self.changes += 1;
    }
}

/// Nodes that answer without slots.
fn formed(count: usize, lines: &[&str]) -> Cluster {
    let cluster = Cluster::formed(count, &[&["cluster-require-full-coverage no"], lines].concat());
    cluster.voters(if count < 5 { 3 } else { 5 });
    cluster
}

fn ports(cluster: &Cluster) -> Vec<u16> {
    cluster.nodes.iter().map(Node::number).collect()
}

/// Stops every process but the one at this place.
fn stop_others(cluster: &Cluster, at: usize) {
    cluster.nodes.iter().enumerate().filter(|(other, _)| *other != at).for_each(|(_, node)| node.signal(Signal::STOP));
}

fn restart(node: &mut Node) {
    node.signal(Signal::TERM);
    assert_eq!(node.exit_status().code(), Some(0));
    node.start();
}

/// Waits until the node is as far as another one is now.
fn caught_up(nodes: &[Node], at: usize) {
    let applied = |node: &Node| node.field("cluster_raft_last_applied").parse::<u64>().unwrap_or(0);
    let target = applied(&nodes[(at + 1) % nodes.len()]);
    until("the node to have caught up", || match applied(&nodes[at]) {
        index if index >= target => Ok(()),
        index => Err(format!("it is at {index} of {target}")),
    });
}

/// Restarts node after node, in the order of their places or always whoever leads.
fn roll(cluster: &mut Cluster, what: &str, prober: &Prober, patient: bool, whom: impl Fn(&Cluster, usize) -> usize) {
    let count = cluster.nodes.len();
    let mut longest = Duration::ZERO;
    for turn in 0..count {
        let at = whom(cluster, turn);
        // Neither through the one that goes nor through the one before it.
        prober.go_via((at + count / 2) % count);
        restart(&mut cluster.nodes[at]);
        if patient {
            caught_up(&cluster.nodes, at);
        }
        longest = longest.max(prober.gap());
    }
    eprintln!("{count} nodes, {what}: at most {longest:?} without a change");
    assert!(longest < LIMIT, "{what}: {longest:?} without a change");
}

fn rolling_restarts(count: usize) {
    let mut cluster = formed(count, &[SLOW_ELECTIONS]);
    Prober::beside(ports(&cluster), 0, |prober| {
        let in_turn = |_: &Cluster, turn| turn;
        roll(&mut cluster, "each when the one before has caught up", prober, true, in_turn);
        roll(&mut cluster, "each when the one before answers", prober, false, in_turn);
        roll(&mut cluster, "always the leader", prober, false, |cluster, _| cluster.leader());
    });
    cluster.agreed();
}

#[test]
fn a_rolling_restart_of_six_nodes() {
    rolling_restarts(6);
}

#[test]
fn a_rolling_restart_of_three_nodes() {
    rolling_restarts(3);
}

#[test]
fn a_leader_may_be_forgotten_or_reset_without_a_pause() {
    let cluster = formed(6, &[SLOW_ELECTIONS]);
    let mut nodes: Vec<(usize, &Node)> = cluster.nodes.iter().enumerate().collect();
    // Who owns slots, as whoever is asked soon does, is not forgotten.
    let follower = (cluster.leader() + 1) % 6;
    Prober::beside(ports(&cluster), follower, |prober| {
        for how in ["FORGET", "RESET SOFT", "RESET HARD"] {
            let place = nodes.iter().position(|(_, node)| node.field("cluster_raft_role") == "leader").expect("somebody leads");
            let (_, leader) = nodes.remove(place);
            let (at, other) = *nodes.iter().find(|(at, _)| *at == follower).unwrap_or(&nodes[0]);
            prober.go_via(at);
            let id = leader.id();
            match how {
                "FORGET" => insist(other, &format!("CLUSTER FORGET {id}")),
                how => insist(leader, &format!("CLUSTER {how}")),
            };
            agreed(&nodes.iter().map(|(_, node)| *node).collect::<Vec<_>>());
            agreed(&[leader]);
            assert_eq!(leader.id() == id, how != "RESET HARD");
            let gap = prober.gap();
            eprintln!("{how} of the leader: at most {gap:?} without a change");
            assert!(gap < LIMIT, "{how} of the leader: {gap:?} without a change");
        }
    });
}

#[test]
fn a_node_is_told_to_lead() {
    let cluster = formed(4, &[CALM]);
    let leader = cluster.leader();
    let role = |at: usize| cluster.nodes[at].field("cluster_raft_role");
    let followers: Vec<usize> = (0..4).filter(|at| role(*at) == "follower").collect();
    let learner = (0..4).find(|at| role(*at) == "learner").expect("one of four does not vote");
    Prober::beside(ports(&cluster), learner, |prober| {
        for at in followers.iter().cycle().take(10) {
            assert_eq!(cluster.nodes[*at].ask("CLUSTER RAFT TRANSFER"), "OK");
            assert_eq!(role(*at), "leader");
            prober.go_on();
        }
        assert_eq!(cluster.nodes[leader].ask("CLUSTER RAFT TRANSFER"), "OK");
    });
    assert_eq!(cluster.leader(), leader);
    assert_eq!(cluster.nodes[leader].ask("CLUSTER RAFT TRANSFER"), "OK", "it leads already");
    let not_voting = format!("ERR Node {} is not a voter", cluster.nodes[learner].id());
    assert_eq!(cluster.nodes[learner].error("CLUSTER RAFT TRANSFER"), not_voting);
    assert!(cluster.nodes[leader].error("CLUSTER RAFT TRANSFER now").starts_with("ERR unknown subcommand or wrong number of arguments"));
    // Nobody is left who could hand over, or elect anybody.
    let asked = followers[0];
    stop_others(&cluster, asked);
    until("the leader to be missed", || match cluster.nodes[asked].error("CLUSTER RAFT TRANSFER") {
        error if error == "ERR The cluster has no leader that could hand over" => Ok(()),
        error if error.starts_with("TIMEOUT ") => Err(error),
        error => panic!("neither of a leader that does not hand over nor of none: {error}"),
    });
}

#[test]
fn a_leader_that_nobody_can_follow_ends_all_the_same() {
    let mut cluster = Cluster::formed(3, &[CALM]);
    cluster.voters(3);
    let leader = cluster.leader();
    stop_others(&cluster, leader);
    cluster.nodes[leader].signal(Signal::TERM);
    assert_eq!(cluster.nodes[leader].exit_status().code(), Some(0));
}

#[test]
fn a_shutdown_that_waits_is_called_off_or_cut_short() {
    let mut cluster = Cluster::formed(3, &["cluster-raft-election-timeout 60000"]);
    cluster.voters(3);
    let leader = cluster.leader();
    stop_others(&cluster, leader);
    let node = &mut cluster.nodes[leader];
    let mut client = Raw::connect(node.number());
    client.send("SHUTDOWN\r\n");
    until_true("the shutdown to begin", || node.log().contains("Handing the leadership over"));
    assert_eq!(node.ask("PING"), "PONG");
    assert_eq!(node.ask("SHUTDOWN ABORT"), "OK");
    assert_eq!(client.line(), "-ERR Errors trying to SHUTDOWN. Check logs.");
    assert_eq!(node.error("SHUTDOWN ABORT"), "ERR No shutdown in progress.");
    // From here on nothing is waited for as long as the hand-over would take.
    node.signal(Signal::INT);
    until_true("the shutdown to begin again", || node.log().matches("Shutting down").count() == 2);
    assert!(node.is_running());
    node.signal(Signal::TERM);
    assert_eq!(node.exit_status().code(), Some(0));
    node.start();
    client = Raw::connect(node.number());
    client.send("SHUTDOWN NOW\r\n");
    assert_eq!(client.rest(), b"");
    assert_eq!(node.exit_status().code(), Some(0));
}
