//! An address that means another machine to who dials it: what is refused there says nothing of the process that is meant
//! [N51 shared-host].

use crate::hosts::{ADDRESSES, Hosts};
use crate::node::Node;
use crate::wait::{EndAtLast, PATIENCE, now, pause, until, until_true, within};
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The write lease is as long.
const LINES: &str = "cluster-node-timeout 3000\ncluster-secret a-secret-of-two-hosts-that-nobody-guesses";
/// No lease that was granted before this has passed is left after it.
const LEASE: Duration = Duration::from_millis(3100);

/// A node and the host that it is on.
struct Place {
    node: Node,
    host: usize,
}

impl Place {
    /// A node that listens on all addresses of its host, or on this one only.
    fn on(hosts: &Hosts, host: usize, bind: Option<&str>) -> Self {
        hosts.enter(host);
        let mut node = Node::new(&[LINES, "protected-mode no", if bind.is_none() { "bind 0.0.0.0" } else { "" }]);
        if let Some(bind) = bind {
            node.move_to(bind);
        }
        node.start();
        Self { node, host }
    }

    /// Asks it on its own host; the empty string while it has no answer.
    fn say(&self, hosts: &Hosts, line: &str) -> String {
        hosts.enter(self.host);
        self.node.try_ask(line).unwrap_or_default()
    }

    fn field(&self, hosts: &Hosts, name: &str) -> String {
        hosts.enter(self.host);
        self.node.field(name)
    }

    /// A client beside it writes to it alone, every 5 ms, until `ended`; the moments of the acknowledgements.
    fn write(&self, hosts: &Hosts, ended: &AtomicBool, acks: &Mutex<Vec<Instant>>) {
        hosts.enter(self.host);
        let mut connection = None;
        while !ended.load(Ordering::Relaxed) {
            let answer: Option<String> = match &mut connection {
                None => {
                    connection = self.node.try_connect().ok();
                    None
                }
                Some(connection) => redis::cmd("SET").arg("k").arg("1").query(connection).ok(),
            };
            if answer.as_deref() == Some("OK") {
                acks.lock().expect("no writer panics").push(now());
            }
            pause(Duration::from_millis(5));
        }
    }
}

/// S, P and its replica R are on one host, three more on the other. P is met at `address`, by S, which leads, and the others at their
/// hosts'.
fn form(hosts: &Hosts, address: &str, bind: Option<&str>) -> [Place; 6] {
    let at = |host| Place::on(hosts, host, None);
    let places = [at(0), Place::on(hosts, 0, bind), at(0), at(1), at(1), at(1)];
    let [s, p, r, l, v, w] = &places;
    for (place, ip) in [(p, address), (r, ADDRESSES[0]), (l, ADDRESSES[1]), (v, ADDRESSES[1]), (w, ADDRESSES[1])] {
        assert_eq!(s.say(hosts, &format!("CLUSTER MEET {ip} {}", place.node.number())), "OK");
        until_true("it to have joined", || place.field(hosts, "cluster_raft_leader").len() == 40);
    }
    // Neither P nor R votes: P, which hears of no leader, would show soon that it lives by asking for votes, and R, which reaches it, would
    // be asked first.
    let silent = [p, r].map(|place| place.say(hosts, "CLUSTER MYID"));
    for place in &places {
        until_true("three of the others to vote", || {
            let voters = place.field(hosts, "cluster_raft_voter_ids");
            silent.iter().filter(|id| voters.contains(*id)).for_each(|id| _ = s.say(hosts, &format!("CLUSTER DELVOTER {id}")));
            voters.split(',').count() == 3 && !silent.iter().any(|id| voters.contains(id))
        });
    }
    assert_eq!(s.field(hosts, "cluster_raft_role"), "leader");
    // It is met at P's address as well, as long as it knows no other. L is to reach it.
    assert_eq!(s.say(hosts, &format!("CONFIG SET cluster-announce-ip {}", ADDRESSES[0])), "OK");
    let place = format!("{}:{}@", ADDRESSES[0], s.node.number());
    until_true("S's address", || l.say(hosts, "CLUSTER NODES").contains(&place));
    until_true("the slots", || p.say(hosts, "CLUSTER ADDSLOTSRANGE 0 16383") == "OK");
    let id = p.say(hosts, "CLUSTER MYID");
    until_true("the replica", || r.say(hosts, &format!("CLUSTER REPLICATE {id}")) == "OK");
    until_true("its copy", || r.say(hosts, "INFO replication").contains("master_link_status:up"));
    until_true("P to serve", || p.say(hosts, "SET k 1") == "OK");
    places
}

/// The leadership goes to the other host. There P's address means that host itself, whose kernel refuses at both of P's ports.
fn one_primary_at_a_time(address: &str, bind: Option<&str>) {
    let Some(hosts) = Hosts::make() else { return };
    if let Some(shared) = bind {
        hosts.both_have(shared);
    }
    let places = form(&hosts, address, bind);
    let [s, p, r, others @ ..] = &places;
    // Two of the three vote.
    let l = others.iter().find(|place| place.field(&hosts, "cluster_raft_role") == "follower").expect("S is not alone");
    let (ended, old, new) = (AtomicBool::new(false), Mutex::default(), Mutex::default());
    std::thread::scope(|scope| {
        let _last = EndAtLast(&ended);
        scope.spawn(|| p.write(&hosts, &ended, &old));
        scope.spawn(|| r.write(&hosts, &ended, &new));
        until_true("P to acknowledge", || !old.lock().expect("no writer panics").is_empty());
        until_true("L to lead", || l.field(&hosts, "cluster_raft_role") == "leader" || l.say(&hosts, "CLUSTER RAFT TRANSFER") == "OK");
        // Whom the leader asks is on its own host, sooner or later.
        s.node.signal(Signal::STOP);
        let begun = now();
        let lapsed = || if begun.elapsed() > LEASE { Ok(()) } else { Err("it may have one".to_owned()) };
        within(2 * LEASE, "P to have no lease of an earlier leader", lapsed);
        // However that went, somebody serves in the end.
        until("the slots to be served", || {
            let served = [&old, &new]
                .iter()
                .any(|acks| acks.lock().expect("no writer panics").last().is_some_and(|at| at.elapsed() < Duration::from_millis(500)));
            if served { Ok(()) } else { Err("nobody acknowledges".to_owned()) }
        });
    });
    let (old, new) = (old.into_inner().expect("no writer panics"), new.into_inner().expect("no writer panics"));
    if let Some(first) = new.first() {
        let late: Vec<&Instant> = old.iter().filter(|at| *at > first).collect();
        let span = late.last().map(|at| **at - *first).unwrap_or_default();
        assert!(late.is_empty(), "P acknowledged {} writes after R's first, the last {span:?} later", late.len());
    }
}

#[test]
fn a_loopback_address_is_another_host_s_own() {
    one_primary_at_a_time("127.0.0.1", None);
}

#[test]
fn an_address_that_both_hosts_have_is_each_one_s_own() {
    one_primary_at_a_time("172.30.0.2", Some("172.30.0.2"));
}

/// Who knows no password is served from the other host only if somebody has said so, or a member has been there when the process began.
#[test]
fn strangers_are_denied_in_protected_mode() {
    let Some(hosts) = Hosts::make() else { return };
    hosts.enter(0);
    let mut node = Node::started(&[LINES, "bind 0.0.0.0"]);
    hosts.enter(1);
    let other = Node::started(&[LINES, "bind 0.0.0.0", "protected-mode no"]);
    let port = node.number();
    let greet = || {
        let mut stream = TcpStream::connect((ADDRESSES[0], port)).expect("the port is open");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        let _ = stream.write_all(b"PING\r\n");
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).expect("it answers");
        answer
    };
    assert_eq!(greet(), *b"-DENIED");
    hosts.enter(0);
    assert_eq!(node.ask("CONFIG SET protected-mode no"), "OK");
    assert_eq!(node.ask(&format!("CLUSTER MEET {} {}", ADDRESSES[1], other.number())), "OK");
    until("both in one cluster", || if node.ask("CLUSTER NODES").lines().count() == 2 { Ok(()) } else { Err(node.ask("CLUSTER NODES")) });
    assert_eq!(node.ask("CLUSTER SAVECONFIG"), "OK");
    node.kill();
    node.start();
    assert!(node.log().contains("Anybody who reaches this host's port is served"), "{}", node.log());
    hosts.enter(1);
    assert_eq!(greet(), *b"+PONG\r\n");
}
