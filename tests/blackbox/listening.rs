//! `port` and `bind` at run time: where clients are taken in changes, and nothing else does.

use crate::cluster::{CALM, Cluster, lines};
use crate::node::Node;
use crate::ports::Port;
use crate::reply::{Raw, ask};
use crate::wait::{EndAtLast, until, until_true};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

fn reaches(ip: &str, port: u16) -> bool {
    TcpStream::connect((ip, port)).is_ok()
}

/// A key of the middle third of the slots.
const KEY: &str = "test";

/// Clients of this node are to come to another port from now on; the one that it had.
fn move_port(node: &mut Node) -> Port {
    let next = Port::reserve();
    assert_eq!(node.ask(&format!("CONFIG SET port {}", next.number)), "OK");
    std::mem::replace(&mut node.port, next)
}

/// Every node shows the member at this address.
fn all_show(cluster: &Cluster, id: &str, address: &str) {
    for node in &cluster.nodes {
        until(&format!("node {} to show {address}", node.number()), || match lines(node).into_iter().find(|line| line.id == id) {
            Some(line) if line.address == address => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }
}

#[test]
fn a_primary_moves_to_another_port_under_load() {
    let mut cluster = Cluster::with_slots(3, &[CALM]);
    cluster.nodes.push(Node::started(&[CALM]));
    cluster.nodes[0].meet(&cluster.nodes[3]);
    cluster.agreed();
    let id = cluster.nodes[1].id();
    assert_eq!(cluster.nodes[3].ask(&format!("CLUSTER REPLICATE {id}")), "OK");
    let is_up = |node: &Node, port: u16| {
        let info = node.ask("INFO replication");
        info.contains("master_link_status:up") && info.contains(&format!("master_port:{port}\r\n"))
    };
    until_true("the replica to be in step", || is_up(&cluster.nodes[3], cluster.nodes[1].number()));
    let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut loaded = Raw::connect(cluster.nodes[1].number());
    thread::scope(|scope| {
        let _end = EndAtLast(&stop);
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let count = written.load(Ordering::Relaxed) + 1;
                assert_eq!(loaded.say(&format!("INCR {KEY}")), format!(":{count}"), "the old connection goes on");
                written.store(count, Ordering::Relaxed);
            }
        });
        until_true("some writes", || written.load(Ordering::Relaxed) > 100);
        let old = move_port(&mut cluster.nodes[1]);
        let number = cluster.nodes[1].number();
        until_true("the old port to refuse", || !reaches("127.0.0.1", old.number));
        assert_eq!(cluster.nodes[1].ask("CONFIG GET port"), format!("[port {number}]"));
        all_show(&cluster, &id, &format!("127.0.0.1:{number}@{}", old.bus()));
        for at in [0, 2] {
            assert!(cluster.nodes[at].error(&format!("GET {KEY}")).ends_with(&format!(" 127.0.0.1:{number}")));
            for command in ["CLUSTER SLOTS", "CLUSTER SHARDS"] {
                let shown = cluster.nodes[at].ask(command);
                assert!(shown.contains(&number.to_string()) && !shown.contains(&old.number.to_string()), "{shown}");
            }
        }
        // The replica's link stays; one that dials anew finds the new port.
        assert!(is_up(&cluster.nodes[3], number) && !cluster.nodes[3].log().contains("connecting anew"), "{}", cluster.nodes[3].log());
        let before = written.load(Ordering::Relaxed);
        cluster.nodes[3].kill();
        cluster.nodes[3].start();
        until_true("the replica to be back", || is_up(&cluster.nodes[3], number) && cluster.nodes[1].ask("WAIT 1 100") == "1");
        // The primary knows it by its id, wherever it takes clients in.
        let old = move_port(&mut cluster.nodes[3]);
        until_true("the replica's old port to refuse", || !reaches("127.0.0.1", old.number));
        let replica = cluster.nodes[3].id();
        let told = || -> u64 {
            let shards = cluster.nodes[1].ask("CLUSTER SHARDS");
            let own = shards.split(&replica).nth(1).and_then(|own| own.split("replication-offset ").nth(1)).expect("it is shown");
            own.split(' ').next().and_then(|offset| offset.parse().ok()).expect("a number")
        };
        let first = told();
        until_true("the primary to tell how far it is", || told() > first);
        until_true("more writes", || written.load(Ordering::Relaxed) > before + 100);
    });
    let count: u64 = cluster.nodes[1].ask(&format!("GET {KEY}")).parse().unwrap();
    assert_eq!(count, written.load(Ordering::Relaxed));
    assert!(lines(&cluster.nodes[0]).iter().all(|line| !line.has_failed()));
}

/// After CONFIG REWRITE and a restart the bus is at port + 10000 again: the others find the node there, as one that has moved.
#[test]
fn a_restart_takes_the_bus_along() {
    let mut cluster = Cluster::with_slots(3, &[CALM]);
    let id = cluster.nodes[1].id();
    let old = move_port(&mut cluster.nodes[1]);
    let number = cluster.nodes[1].number();
    all_show(&cluster, &id, &format!("127.0.0.1:{number}@{}", old.bus()));
    assert_eq!(cluster.nodes[1].ask("CONFIG REWRITE"), "OK");
    cluster.nodes[1].kill();
    cluster.nodes[1].start();
    all_show(&cluster, &id, &format!("127.0.0.1:{number}@{}", number + 10_000));
    cluster.ok();
    cluster.agreed();
    assert!(!reaches("127.0.0.1", old.number) && !reaches("127.0.0.1", old.bus()));
}

#[test]
fn what_is_not_possible_changes_nothing() {
    let node = Node::started(&[CALM]);
    let other = Port::reserve();
    let taken = TcpListener::bind(("127.0.0.1", other.number)).unwrap();
    let own = node.number();
    let refused = |line: &str, name: &str, reason: &str| {
        let error = node.error(&format!("CONFIG SET {line}"));
        assert_eq!(error, format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}"), "{line}");
        assert_eq!(node.ask("CONFIG GET port bind timeout"), format!("[bind 127.0.0.1 port {own} timeout 0]"));
    };
    let (port, number) = ("Unable to listen on this port. Check server logs.", other.number);
    let bind = "Failed to bind to specified addresses.";
    refused(&format!("port {number}"), "port", port);
    refused(&format!("timeout 5 port {number}"), "port", port);
    // 192.0.2.0/24 is for documentation: no host has it.
    refused("timeout 5 bind 192.0.2.1", "bind", bind);
    refused("bind -192.0.2.1", "bind", bind);
    refused(&format!("port {number} bind 127.0.0.1"), "port", port);
    refused(&format!("bind 127.0.0.1 port {number}"), "bind", bind);
    refused(&format!("port {}", own + 10_000), "port", "port and cluster-port must differ");
    refused("port 70000", "port", "argument must be between 0 and 65535 inclusive");
    let nobody = "port 0 would let nobody in: there is neither TLS nor a Unix socket; use 'bind' to keep other hosts out";
    refused("port 0", "port", nobody);
    refused("bind ", "bind", "bind needs at least one address: without one nobody could connect");
    assert!(node.log().contains(&format!("Could not create server TCP listening socket 127.0.0.1:{number}: Address already in use")));
    drop(taken);
    // Within a transaction nobody else is served in between.
    let mut client = node.try_connect().unwrap();
    for line in ["CLUSTER ADDSLOTSRANGE 0 16383", "MULTI", "SET a 1", &format!("CONFIG SET timeout 7 port {number}"), "GET a"] {
        ask(&mut client, line).unwrap();
    }
    let reply = ask(&mut client, "EXEC").unwrap();
    assert_eq!(crate::reply::text_of(reply).unwrap(), "[OK OK 1]");
    let mut moved = Raw::connect(number);
    assert_eq!(moved.say("CONFIG GET timeout").as_str(), "*2");
    until_true("the old port to refuse", || !reaches("127.0.0.1", own));
}

#[test]
fn clients_come_to_other_addresses() {
    let node = Node::started(&[CALM, "bind 127.0.0.1"]);
    let port = node.number();
    let mut client = Raw::connect(port);
    let bound = |client: &mut Raw, bind: &str, takes: &[&str], refuses: &[&str]| {
        assert_eq!(client.say(&format!("CONFIG SET bind \"{bind}\"")), "+OK");
        assert!(takes.iter().all(|ip| reaches(ip, port)), "{bind}");
        until_true(bind, || refuses.iter().all(|ip| !reaches(ip, port)));
        assert_eq!(client.say("PING"), "+PONG", "a connection stays");
    };
    bound(&mut client, "127.0.0.2", &["127.0.0.2"], &["127.0.0.1", "127.0.0.3"]);
    let warning = "Others send clients to 127.0.0.1, where 'bind' takes in none";
    assert!(reaches("127.0.0.1", node.port.bus()) && !reaches("127.0.0.2", node.port.bus()), "the bus stays");
    bound(&mut client, "*", &["127.0.0.1", "127.0.0.2", "127.0.0.3"], &[]);
    bound(&mut client, "127.0.0.1 -192.0.2.1 127.0.0.3", &["127.0.0.1", "127.0.0.3"], &["127.0.0.2"]);
    assert_eq!(node.ask("CONFIG REWRITE"), "OK");
    let text = std::fs::read_to_string(node.config_file()).unwrap();
    assert!(text.contains("\nbind 127.0.0.1 -192.0.2.1 127.0.0.3\n"), "{text}");
    // Who has no cluster has no address that others could send clients to.
    assert!(!node.log().contains(warning));
    let cluster = Cluster::formed(2, &[CALM]);
    assert_eq!(cluster.nodes[1].ask("CONFIG SET bind 127.0.0.2"), "OK");
    until_true("the warning", || cluster.nodes[1].log().contains(warning));
}
