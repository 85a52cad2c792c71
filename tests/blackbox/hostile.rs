//! Clients and strangers that mean no good, or cannot keep up: the node bounds what they cost and goes on.

use crate::cluster::{CALM, Cluster, lines};
use crate::node::Node;
use crate::reply::Raw;
use crate::wait::{PATIENCE, now, until};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Resident memory of a process in bytes.
fn resident(pid: u32) -> usize {
    memory(pid, "VmRSS:")
}

/// One of Linux's figures of a process's memory, in bytes.
fn memory(pid: u32, name: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let line = status.lines().find(|line| line.starts_with(name)).expect("Linux says it");
    line.split_whitespace().nth(1).and_then(|number| number.parse::<usize>().ok()).expect("it is a number") * 1024
}

#[test]
fn a_slow_reader_costs_little_and_disturbs_nobody() {
    const VALUE: usize = 64 * 1024;
    const REQUESTS: usize = 2000;
    let node = Node::started(&[CALM]);
    assert_eq!(node.ask("CLUSTER ADDSLOTSRANGE 0 16383"), "OK");
    let value = "v".repeat(VALUE);
    until("the node to serve", || node.try_ask(&format!("SET big {value}")));
    let before = resident(node.pid());
    let stream = TcpStream::connect(("127.0.0.1", node.number())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut reading = stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        // More than the sockets' buffers hold: this thread stands until the replies are read.
        scope.spawn(|| (&stream).write_all(format!("GET big {}\r\n", " ".repeat(1000)).repeat(REQUESTS).as_bytes()));
        until("the node to hold the reader up", || {
            let clients = node.ask("CLIENT LIST");
            if clients.lines().any(|line| line.contains("cmd=get ") && !line.contains(" omem=0 ")) { Ok(()) } else { Err(clients) }
        });
        for _ in 0..50 {
            assert_eq!(node.ask("PING"), "PONG");
        }
        let grown = resident(node.pid()).saturating_sub(before);
        assert!(grown < 24 << 20, "{grown} bytes for one client that does not read; its replies are {} bytes", VALUE * REQUESTS);
        // It has lost nothing, and is served as fast as it reads.
        let reply = VALUE + "$65536\r\n\r\n".len();
        let mut left = reply * REQUESTS;
        let mut buffer = vec![0; 1 << 20];
        while left > 0 {
            let count = reading.read(&mut buffer).unwrap();
            assert!(count > 0 && count <= left, "the replies end {left} bytes early");
            left -= count;
        }
    });
}

/// Starts a node with this `client-output-buffer-limit` and asks for more than the sockets hold, without reading.
fn closes_a_slow_reader(limit: &str) {
    let node = Node::started(&[CALM, &format!("client-output-buffer-limit normal {limit}")]);
    assert_eq!(node.ask("CLUSTER ADDSLOTSRANGE 0 16383"), "OK");
    let value = "v".repeat(512 * 1024);
    until("the node to serve", || node.try_ask(&format!("SET big {value}")));
    let mut client = Raw::connect(node.number());
    client.send("GET big\r\n".repeat(100));
    until("the reader to be closed", || match node.ask("INFO STATS") {
        stats if stats.contains("client_output_buffer_limit_disconnections:1") => Ok(()),
        _ => Err("it is not".to_owned()),
    });
    let got = client.rest().len();
    assert!(got < 100 * value.len(), "{got}");
}

#[test]
fn a_reader_beyond_the_hard_output_limit_is_closed() {
    closes_a_slow_reader("262144 0 0");
}

#[test]
fn a_reader_beyond_the_soft_output_limit_is_closed_in_time() {
    closes_a_slow_reader("0 262144 1");
}

#[test]
fn too_many_clients_are_refused() {
    let node = Node::started(&[CALM, "maxclients 5"]);
    let held: Vec<Raw> = (0..5)
        .map(|_| {
            let mut client = Raw::connect(node.number());
            assert_eq!(client.say("PING"), "+PONG");
            client
        })
        .collect();
    let mut late = Raw::connect(node.number());
    assert_eq!(late.line(), "-ERR max number of clients reached");
    assert_eq!(late.rest(), b"");
    drop(held);
    until("room for another", || node.try_ask("PING"));
}

#[test]
fn a_silent_client_is_closed_after_the_timeout() {
    let node = Node::started(&[CALM, "timeout 1"]);
    let mut client = Raw::connect(node.number());
    assert_eq!(client.say("PING"), "+PONG");
    let began = now();
    assert_eq!(client.rest(), b"");
    assert!(began.elapsed() > Duration::from_millis(900), "{:?}", began.elapsed());
}

#[test]
fn bad_requests_get_an_error_and_the_door() {
    let node = Node::started(&[CALM]);
    for (bytes, error) in [
        ("*abc\r\n".to_owned(), "-ERR Protocol error: invalid multibulk length"),
        ("*99999999999\r\n".to_owned(), "-ERR Protocol error: invalid multibulk length"),
        ("*1\r\n$abc\r\n".to_owned(), "-ERR Protocol error: invalid bulk length"),
        ("*1\r\n$-5\r\n".to_owned(), "-ERR Protocol error: invalid bulk length"),
        ("*1\r\n$99999999999\r\n".to_owned(), "-ERR Protocol error: invalid bulk length"),
        ("*1\r\nXYZ\r\n".to_owned(), "-ERR Protocol error: expected '$', got 'X'"),
        ("GET \"foo\r\n".to_owned(), "-ERR Protocol error: unbalanced quotes in request"),
        ("a".repeat(70_000), "-ERR Protocol error: too big inline request"),
    ] {
        let mut client = Raw::connect(node.number());
        client.send(bytes.as_bytes());
        assert_eq!(client.line(), error, "{:?}", &bytes[..bytes.len().min(40)]);
        assert_eq!(client.rest(), b"", "nothing follows");
    }
    assert!(node.ask("INFO errorstats").contains("errorstat_ERR:count=8"), "they are counted");
    // Bytes of every kind, from a generator that gives the same each time.
    let mut seed = 1_u64;
    for _ in 0..200 {
        let bytes: Vec<u8> = (0..300)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (seed >> 56) as u8
            })
            .collect();
        let mut client = TcpStream::connect(("127.0.0.1", node.number())).unwrap();
        let _ = client.write_all(&bytes);
    }
    assert_eq!(node.ask("PING"), "PONG");
}

#[test]
fn a_request_that_memory_has_no_room_for_costs_its_client_only() {
    let node = Node::started(&[CALM]);
    assert_eq!(node.ask("CLUSTER ADDSLOTSRANGE 0 16383"), "OK");
    let limit = Rlimit { current: Some(memory(node.pid(), "VmSize:") as u64 + (64 << 20)), maximum: None };
    prlimit(Pid::from_raw(node.pid().cast_signed()), Resource::As, limit).expect("a child's limits can be changed");
    let mut client = Raw::connect(node.number());
    client.send("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$400000000\r\n");
    let piece = [b'v'; 1 << 16];
    // It stops reading at some point.
    while client.stream().write(&piece).is_ok() {}
    assert!(node.log().contains("there is no memory for a request of 4000000"), "{}", node.log());
    assert_eq!(node.ask("DBSIZE"), "0");
}

#[test]
fn garbage_on_the_bus_changes_nothing() {
    let mut cluster = Cluster::with_slots(3, &[CALM]);
    cluster.voters(3);
    let before = lines(&cluster.nodes[0]);
    let framed = |payload: &[u8]| [b"RAFT", &(payload.len() as u32 + 8).to_be_bytes()[..], payload].concat();
    let closed: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0; 64],
        b"RAFT\xff\xff\xff\xff".to_vec(),
        b"RAFT\x01\x00\x00\x01".to_vec(),
        b"RAFT\0\0\0\0".to_vec(),
        b"RAFT\0\0\0\x07xxxx".to_vec(),
        framed(b""),
        framed(b"NONSENSE 1 2 3"),
        framed(b"AE_ACK 1 1 1 1 1 1 1 1 1"),
        framed(b"HELLO x y z"),
        framed(b"\xff\xfe\0"),
        framed(format!("VOTE_REQ {} 999 999 999 1 transfer", "a".repeat(40)).as_bytes()),
    ];
    let mut half_open = Vec::new();
    for node in &cluster.nodes {
        for bytes in &closed {
            let mut stranger = Raw::connect(node.port.bus());
            let _ = stranger.stream().write_all(bytes);
            // Closed with bytes of ours unread, or in peace: either way it ends.
            assert_eq!(stranger.rest(), b"", "{:?}", String::from_utf8_lossy(bytes));
        }
        // Half a frame, and nothing at all: closed for their silence, long after the rest of this test.
        for bytes in [&b"RAFT\0\0\0\x40HEL"[..], b"RA", b"", b"RAFT\0\xff\xff\xff"] {
            let stranger = Raw::connect(node.port.bus());
            stranger.stream().write_all(bytes).unwrap();
            half_open.push(stranger);
        }
    }
    for mut stranger in half_open {
        assert_eq!(stranger.rest(), b"", "who never greets is closed");
    }
    cluster.agreed();
    cluster.ok();
    assert!(cluster.nodes.iter_mut().all(Node::is_running));
    assert_eq!(lines(&cluster.nodes[0]), before);
    let term: u64 = cluster.nodes[0].field("cluster_raft_current_term").parse().unwrap();
    assert!(term < 900, "a stranger's term was believed: {term}");
}

#[test]
fn a_stranger_of_another_cluster_is_not_heard() {
    let cluster = Cluster::formed(2, &[CALM]);
    let node = &cluster.nodes[0];
    let (before, id, foreign) = (lines(node), "a".repeat(40), "b".repeat(40));
    let frame = |payload: String| [b"RAFT", &(payload.len() as u32 + 8).to_be_bytes()[..], payload.as_bytes()].concat();
    let mut stranger = Raw::connect(node.port.bus());
    stranger.send(frame(format!("HELLO {id} :7000@17000 {foreign} 1 - -")));
    stranger.send(frame(format!("VOTE_REQ {id} 999 999 999 1 transfer")));
    stranger.send(frame(format!("AE {id} 999 0 0 9 9 0 1 1 1 5000")));
    until("the frames to be counted", || match node.field("cluster_stats_messages_foreign_dropped").parse::<u64>() {
        Ok(2..) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    cluster.agreed();
    assert_eq!(lines(node), before);
    let term: u64 = node.field("cluster_raft_current_term").parse().unwrap();
    assert!(term < 900, "a stranger's term was believed: {term}");
}
