//! Three nodes in one process: what becomes of histories and keys when a replica takes over.

use super::*;
use crate::cluster::{Change, FailoverKind};
use crate::config::{Config, Launch, from_args};
use crate::node::{Accepted, Closed};
use crate::replication::History;
use crate::store::MemoryDisk;
use crate::types::Now;
use std::collections::BTreeMap;

type End = (usize, ConnId);

/// Nodes, and the connections between them: bytes arrive in the turn after they were sent.
struct Net {
    nodes: Vec<Node<MemoryDisk>>,
    peers: BTreeMap<End, End>,
    now: Now,
}

fn config(n: usize) -> Config {
    let args = ["--port", &(7000 + n).to_string(), "--cluster-announce-ip", "10.0.0.1", "--cluster-node-timeout", "1000"];
    match from_args(&args.map(str::to_owned), &|_| Err(std::io::ErrorKind::NotFound.into())) {
        Ok(Launch::Run(config)) => *config,
        _ => panic!("these are options of a running node"),
    }
}

impl Net {
    fn of(count: usize) -> Self {
        let now = Now { mono: 1000, wall: 1_700_000_000_000 };
        let start = |n| Node::start(config(n), MemoryDisk::new().process(), n as u64 + 1, now).unwrap();
        Self { nodes: (0..count).map(start).collect(), peers: BTreeMap::new(), now }
    }

    /// One turn of every node, and 5 ms.
    fn step(&mut self) {
        self.now = Now { mono: self.now.mono + 5, wall: self.now.wall + 5 };
        let now = self.now;
        for at in 0..self.nodes.len() {
            self.nodes[at].turn(&mut || now).unwrap();
            self.flush(at);
            self.act(at);
        }
    }

    fn flush(&mut self, at: usize) {
        while let Some(conn) = self.nodes[at].next_dirty() {
            let Some(transmit) = self.nodes[at].transmit_buffer(conn, self.now) else { continue };
            let bytes = transmit.as_slice().to_vec();
            let Some(&(peer, far)) = self.peers.get(&(at, conn)) else { continue };
            transmit.advance(bytes.len());
            self.nodes[at].flushed(conn, bytes.len());
            self.give(peer, far, &bytes);
        }
    }

    fn give(&mut self, at: usize, conn: ConnId, bytes: &[u8]) {
        let Some(buffer) = self.nodes[at].receive_buffer(conn) else { return };
        buffer.extend_from_slice(bytes);
        self.nodes[at].received(conn, bytes.len());
    }

    fn act(&mut self, at: usize) {
        while let Some(action) = self.nodes[at].next_action() {
            match action {
                Action::Dial { conn, socket, port } => {
                    let base = if port == Port::Bus { 17_000 } else { 7000 };
                    let peer = usize::from(socket.port() - base);
                    let Accepted::Session(far) = self.nodes[peer].accepted(port, socket, socket) else { panic!("there is room") };
                    self.peers.extend([((at, conn), (peer, far)), ((peer, far), (at, conn))]);
                    self.nodes[at].connected(conn, socket);
                }
                Action::Close(conn) => self.hang_up((at, conn)),
                Action::Exit(_) => panic!("nobody was told to end"),
            }
        }
    }

    fn hang_up(&mut self, end: End) {
        let Some(peer) = self.peers.remove(&end) else { return };
        self.peers.remove(&peer);
        self.nodes[peer.0].disconnected(peer.1, Closed::Eof);
    }

    #[track_caller]
    fn until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        for _ in 0..4000 {
            if holds(self) {
                return;
            }
            self.step();
        }
        panic!("waited for {what}");
    }

    /// Says this as a client of one node, and gives the whole answer.
    #[track_caller]
    fn ask(&mut self, at: usize, lines: &str) -> String {
        let place = "10.0.0.9:9".parse().unwrap();
        let Accepted::Session(conn) = self.nodes[at].accepted(Port::Client, place, place) else { panic!("there is room") };
        self.give(at, conn, format!("{lines}\r\n").as_bytes());
        for _ in 0..4000 {
            self.step();
            let transmit = self.nodes[at].transmit_buffer(conn, self.now).unwrap();
            if !transmit.is_empty() {
                let answer = String::from_utf8_lossy(transmit.as_slice()).into_owned();
                self.nodes[at].disconnected(conn, Closed::Eof);
                return answer;
            }
        }
        panic!("waited for an answer to {lines}");
    }

    fn in_sync(&self, at: usize) -> bool {
        self.nodes[at].is_in_sync() && self.nodes[at].upstream().is_none_or(|upstream| upstream.link == UpstreamLink::Up)
    }

    fn history(&self, at: usize) -> History {
        *self.nodes[at].stream.history()
    }

    /// One of INFO's numbers.
    fn info(&mut self, at: usize, name: &str) -> u64 {
        let text = self.ask(at, "INFO");
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.parse().ok()).unwrap()
    }

    /// Nodes 1 and 2 replicate node 0, which has all slots and some keys.
    fn with_replicas() -> Self {
        let mut net = Self::of(3);
        net.until("clusters of one", |net| net.nodes.iter().all(|node| node.state.member_count() == 1));
        assert_eq!(net.ask(0, "CLUSTER ADDSLOTSRANGE 0 16383"), "+OK\r\n");
        for at in [1, 2] {
            assert_eq!(net.ask(0, &format!("CLUSTER MEET 10.0.0.1 {}", 7000 + at)), "+OK\r\n");
            let primary = net.nodes[0].me;
            net.until("the primary to be known", |net| {
                net.nodes[at].state.member(&primary).is_some() && net.nodes[at].raft.leader().is_some()
            });
            assert_eq!(net.ask(at, &format!("CLUSTER REPLICATE {primary}")), "+OK\r\n");
        }
        net.until("the replicas to be in sync", |net| net.in_sync(1) && net.in_sync(2));
        for number in 0..50 {
            assert_eq!(net.ask(0, &format!("SET key:{number} {number}")), "+OK\r\n");
        }
        net
    }

    /// The leader lets `replica` take over from `primary`.
    fn fail_over(&mut self, replica: usize, primary: usize, kind: FailoverKind) {
        let leader = self.nodes.iter().position(|node| node.raft.is_leader()).unwrap();
        let (replica, primary) = (self.nodes[replica].me, self.nodes[primary].me);
        let state = &self.nodes[leader].state;
        let shard = state.member(&primary).unwrap().shard;
        let change = Change::Failover { replica, primary, shard, epoch: state.epoch(&shard), kind };
        self.nodes[leader].raft.append(None, change).unwrap();
        self.until("the replica to own the slots", |net| net.nodes.iter().all(|node| node.state.slot_count_of(&replica) > 0));
    }

    #[track_caller]
    fn all_equal(&mut self, primary: usize) {
        self.until("all to be in sync, at equal offsets", |net| {
            (0..3).all(|at| {
                net.in_sync(at) && net.history(at).offset == net.history(primary).offset && net.history(at).id == net.history(primary).id
            })
        });
        let keys = self.ask(primary, "DBSIZE");
        assert!((0..3).all(|at| self.ask(at, "DBSIZE") == keys));
    }
}

#[test]
fn who_takes_over_goes_on_with_the_history_and_the_others_follow_without_a_full_sync() {
    let mut net = Net::with_replicas();
    net.all_equal(0);
    let before = net.history(0);
    net.fail_over(1, 0, FailoverKind::Manual);
    net.all_equal(1);
    let after = net.history(1);
    assert_eq!(after.second, Some((before.id, before.offset + 1)));
    assert_eq!(net.ask(1, "SET key:0 new"), "+OK\r\n");
    net.all_equal(1);
    for at in [0, 2] {
        assert!(net.ask(at, "READONLY\r\nGET key:0").ends_with("$3\r\nnew\r\n"));
        assert_eq!(net.history(at), net.history(1));
    }
    assert_eq!((net.info(1, "sync_full"), net.info(1, "sync_partial_ok")), (0, 2));
    // And back again.
    net.fail_over(0, 1, FailoverKind::Manual);
    net.all_equal(0);
    assert_eq!((net.info(0, "sync_full"), net.info(0, "sync_partial_ok")), (2, 2));
}

#[test]
fn who_has_more_than_its_successor_gets_all_keys() {
    let mut net = Net::with_replicas();
    net.all_equal(0);
    // The link breaks, and the primary writes on: its successor knows nothing of that.
    let link = net.nodes[1].following.link.unwrap();
    net.nodes[1].close(link);
    net.nodes[1].following.dial_at = Millis::MAX;
    assert_eq!(net.ask(0, "SET lost 1"), "+OK\r\n");
    assert!(net.nodes[1].is_in_sync() && net.history(1).offset < net.history(0).offset);
    net.fail_over(1, 0, FailoverKind::Force);
    net.all_equal(1);
    assert_eq!(net.ask(1, "EXISTS lost"), ":0\r\n");
    assert_eq!(net.info(1, "sync_full"), 2);
}

#[test]
fn what_was_received_is_run_before_a_replica_leads() {
    let mut net = Net::with_replicas();
    net.all_equal(0);
    // In the receive buffer, with half a command behind it, when the primary is gone.
    let (link, before) = (net.nodes[1].following.link.unwrap(), net.history(1).offset);
    net.give(1, link, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n*1\r\n$5\r\nMULTI\r\n*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n*2\r\n$3\r\nDEL\r\n$1");
    net.nodes[1].disconnected(link, Closed::Eof);
    assert_eq!((net.history(1).offset, net.nodes[1].keyspace.len()), (before + 27, 51));
    assert!(net.nodes[1].is_in_sync() && net.nodes[1].replication_offset() == before + 27);
}
