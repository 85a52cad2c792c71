//! Nodes in one process, for tests of what they do together: turns of 5 ms, in which bytes arrive that were sent in the turn before.
//!
//! Owns: the connections between them, which a test may cut or hold up, and their disks. Must not: decide anything for a node.

use super::*;
use crate::cluster::change::Failover;
use crate::cluster::{Change, FailoverKind};
use crate::commands::UpstreamLink;
use crate::config::{Launch, from_args};
use crate::replication::History;
use crate::store::MemoryDisk;
use crate::types::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// Each turn here succeeds, or the test has failed: bytes may leave at any time.
const TURNED: Turned = Turned::good();

/// A node and its session.
type End = (usize, ConnId);

/// Nodes, and the connections between them.
pub struct Net {
    pub nodes: Vec<Node<MemoryDisk>>,
    /// Those that run.
    up: BTreeSet<usize>,
    peers: BTreeMap<End, (End, Port)>,
    /// Nothing is sent from the first to the second to this port of either.
    held: Vec<(usize, usize, Port)>,
    /// What the first sends to the second, to this port of either, is under way: its sender has written it to its socket.
    slow: Vec<(usize, usize, Port)>,
    /// Bytes under way, in their order, and whom they are for. They are lost with their sender.
    under_way: Vec<(End, Vec<u8>)>,
    /// The first is refused at this port of the second, which runs.
    refused: Vec<(usize, usize, Port)>,
    pub now: Now,
    /// What each node's clock shows.
    clocks: Vec<Clock>,
    /// In the middle of a turn, which waits for its disk, until then by the clock of the net.
    busy_until: Vec<Millis>,
    /// A process that gets no turns: what it is sent waits.
    pub stopped: Option<usize>,
    /// Those to whom something has happened since their last turn.
    woken: BTreeSet<usize>,
}

/// A node's clock.
#[derive(Clone, Copy)]
struct Clock {
    /// It was set then, by the clock of the net,
    since: Millis,
    /// to this,
    shown: Millis,
    /// and has run at so many per cent of the right rate.
    percent: u64,
}

fn config(n: usize) -> Config {
    let args = [
        "--port",
        &(7000 + n).to_string(),
        "--cluster-announce-ip",
        "10.0.0.1",
        "--cluster-node-timeout",
        "1000",
        "--protected-mode",
        "no",
    ];
    match from_args(&args.map(str::to_owned), &|_| Err(std::io::ErrorKind::NotFound.into())) {
        Ok(Launch::Run(config)) => *config,
        _ => panic!("these are options of a running node"),
    }
}

impl Net {
    pub fn of(count: usize) -> Self {
        // Hours after the boot: a clock may go back.
        let now = Now { mono: 10_000_000, wall: 1_700_000_000_000 };
        let start = |n: usize| Node::start(config(n), MemoryDisk::new().process(), n as u64 + 1, now).unwrap();
        Self {
            nodes: (0..count).map(start).collect(),
            up: (0..count).collect(),
            peers: BTreeMap::new(),
            held: Vec::new(),
            slow: Vec::new(),
            under_way: Vec::new(),
            refused: Vec::new(),
            now,
            clocks: vec![Clock { since: now.mono, shown: now.mono, percent: 100 }; count],
            busy_until: vec![0; count],
            stopped: None,
            woken: BTreeSet::new(),
        }
    }

    /// What the node's clock shows now.
    pub fn clock(&self, at: usize) -> Now {
        let Clock { since, shown, percent } = self.clocks[at];
        Now { mono: shown + (self.now.mono - since) * percent / 100, ..self.now }
    }

    /// From now on the node's clock runs at so many per cent of the right rate.
    pub fn set_rate(&mut self, at: usize, percent: u64) {
        self.clocks[at] = Clock { since: self.now.mono, shown: self.clock(at).mono, percent };
    }

    /// The node's clock jumps.
    pub fn set_clock(&mut self, at: usize, shown: Millis) {
        self.clocks[at] = Clock { since: self.now.mono, shown, ..self.clocks[at] };
    }

    /// The process is killed: its connections end, and its ports refuse new ones.
    pub fn kill(&mut self, at: usize) {
        self.up.remove(&at);
        self.nodes[at].store.disk().kill();
        let ends: Vec<End> = self.peers.keys().filter(|end| end.0 == at).copied().collect();
        ends.into_iter().for_each(|end| self.hang_up(end, Closed::Eof));
    }

    /// The process is killed with bytes from these nodes that it has not read: its kernel resets those connections, and ends the others in
    /// order.
    pub fn kill_unread(&mut self, at: usize, from: &[usize]) {
        for peer in from {
            self.sever(*peer, at, Closed::Error);
        }
        self.kill(at);
    }

    /// Somebody between two nodes ends all their connections: the first sees this, the second a reset.
    pub fn sever(&mut self, at: usize, other: usize, why: Closed) {
        let between = |end: &End, peer: &End| (end.0, peer.0) == (at, other);
        let ends: Vec<(End, End)> =
            self.peers.iter().filter(|(end, (peer, _))| between(end, peer)).map(|(end, (peer, _))| (*end, *peer)).collect();
        for (end, peer) in ends {
            self.peers.remove(&end);
            self.peers.remove(&peer);
            self.disconnect(end.0, end.1, why);
            self.disconnect(peer.0, peer.1, Closed::Error);
        }
    }

    /// Another process goes on with its disk.
    pub fn start(&mut self, at: usize) {
        let disk = self.nodes[at].store.disk().process();
        self.nodes[at] = Node::start(config(at), disk, self.now.mono, self.clock(at)).unwrap();
        self.up.insert(at);
    }

    /// Another node has come to its address, from an empty disk: a cluster of one, with other keys.
    pub fn replace(&mut self, at: usize) {
        self.kill(at);
        self.nodes[at] = Node::start(config(at), MemoryDisk::new().process(), self.now.mono, self.clock(at)).unwrap();
        self.up.insert(at);
        self.until("a cluster of one", |net| net.nodes[at].metadata.state.member_count() == 1);
        assert_eq!(self.ask(at, "CLUSTER ADDSLOTSRANGE 0 16383"), "+OK\r\n");
        self.until("it to serve", |net| net.nodes[at].metadata.state.slot_count_of(&net.nodes[at].metadata.me) > 0);
        while self.ask(at, "SET strange 1") != "+OK\r\n" {}
    }

    pub fn is_up(&self, at: usize) -> bool {
        self.up.contains(&at)
    }

    /// The first closes its connection, as it does when it gives one up.
    pub fn break_off(&mut self, at: usize, conn: ConnId) {
        self.nodes[at].close(conn);
        self.act(at);
    }

    /// What one sends to the other from now on stays with it.
    pub fn hold(&mut self, from: usize, to: usize, port: Port) {
        self.held.push((from, to, port));
    }

    /// What one sends to the other from now on leaves it, and does not arrive.
    pub fn delay(&mut self, from: usize, to: usize, port: Port) {
        self.slow.push((from, to, port));
    }

    /// It arrives.
    pub fn arrive(&mut self, from: usize, to: usize, port: Port) {
        self.slow.retain(|slow| *slow != (from, to, port));
        let arrives = |end: &End| self.peers.get(end).is_some_and(|(sender, by)| (sender.0, end.0, *by) == (from, to, port));
        let (now, later) = std::mem::take(&mut self.under_way).into_iter().partition(|(end, _)| arrives(end));
        self.under_way = later;
        let now: Vec<(End, Vec<u8>)> = now;
        now.into_iter().for_each(|((at, conn), bytes)| self.give(at, conn, &bytes));
    }

    /// The first reaches this port of the second no more: somebody on the way refuses.
    pub fn refuse(&mut self, from: usize, to: usize, port: Port) {
        self.refused.push((from, to, port));
    }

    /// Nobody refuses there any more.
    pub fn accept(&mut self, from: usize, to: usize, port: Port) {
        self.refused.retain(|refused| *refused != (from, to, port));
    }

    /// It goes on its way.
    pub fn release(&mut self, from: usize, to: usize, port: Port) {
        self.held.retain(|held| *held != (from, to, port));
        let waiting: Vec<End> =
            self.peers.iter().filter(|(end, (peer, by))| (end.0, peer.0, *by) == (from, to, port)).map(|(end, _)| *end).collect();
        waiting.into_iter().for_each(|(at, conn)| self.nodes[at].out.io.sessions.queue_output(conn));
    }

    /// 5 ms, and one turn of every node to which something has happened, or that has something to do by then: the others sleep.
    pub fn step(&mut self) {
        self.now = Now { mono: self.now.mono + 5, wall: self.now.wall + 5 };
        let stopped = self.stopped;
        for at in self.up.clone().into_iter().filter(|at| stopped != Some(*at)) {
            if self.busy_until[at] > self.now.mono {
                continue;
            }
            // Of a turn that has waited for its disk.
            self.flush(at);
            self.act(at);
            self.turn(at);
            if self.busy_until[at] <= self.now.mono {
                self.flush(at);
                self.act(at);
            }
        }
    }

    fn turn(&mut self, at: usize) {
        let (now, disk) = (self.clock(at), self.nodes[at].store.disk().clone());
        if !self.woken.remove(&at) && self.nodes[at].deadline() > now.mono {
            return;
        }
        let before = disk.waited();
        self.nodes[at].turn(&mut || Now { mono: now.mono + disk.waited() - before, ..now }).unwrap();
        self.busy_until[at] = self.now.mono + disk.waited() - before;
    }

    fn flush(&mut self, at: usize) {
        while let Some(conn) = self.nodes[at].next_dirty(&TURNED) {
            let Some(&((peer, far), port)) = self.peers.get(&(at, conn)) else { continue };
            if self.held.contains(&(at, peer, port)) {
                continue;
            }
            let now = self.clock(at);
            let Some(transmit) = self.nodes[at].transmit_buffer(&TURNED, conn, now) else { continue };
            let mut bytes = Vec::new();
            transmit.drain(|piece| bytes.extend_from_slice(&piece));
            self.nodes[at].flushed(conn, bytes.len());
            if self.slow.contains(&(at, peer, port)) {
                self.under_way.push(((peer, far), bytes));
            } else {
                self.give(peer, far, &bytes);
            }
        }
    }

    pub fn give(&mut self, at: usize, conn: ConnId, bytes: &[u8]) {
        let Some(buffer) = self.nodes[at].receive_buffer(conn) else { return };
        buffer.extend_from_slice(bytes);
        self.nodes[at].received(conn, bytes.len());
        self.woken.insert(at);
    }

    fn act(&mut self, at: usize) {
        while let Some(action) = self.nodes[at].next_action(&TURNED) {
            match action {
                Action::Dial { conn, socket, .. } => {
                    // A probe looks at both ports.
                    let (base, port) = if socket.port() < 17_000 { (7000, Port::Client) } else { (17_000, Port::Bus) };
                    let peer = usize::from(socket.port() - base);
                    if !self.up.contains(&peer) || self.refused.contains(&(at, peer, port)) {
                        self.disconnect(at, conn, Closed::Refused);
                        continue;
                    }
                    let Accepted::Session(far) = self.nodes[peer].accepted(port, socket, socket) else { panic!("there is room") };
                    self.peers.extend([((at, conn), ((peer, far), port)), ((peer, far), ((at, conn), port))]);
                    self.nodes[at].connected(conn, socket);
                    self.woken.insert(at);
                }
                Action::Close { conn, how } => self.close(at, conn, how),
                Action::Exit(_) => self.kill(at),
            }
        }
    }

    fn close(&mut self, at: usize, conn: ConnId, how: Closing) {
        if let (Closing::Saying(word), Some(((peer, far), _))) = (how, self.peers.get(&(at, conn)).copied()) {
            self.give(peer, far, word);
        }
        self.hang_up((at, conn), if how == Closing::Reset { Closed::Error } else { Closed::Eof });
    }

    /// The other end hears that the connection is over.
    fn hang_up(&mut self, end: End, why: Closed) {
        let Some((peer, _)) = self.peers.remove(&end) else { return };
        self.peers.remove(&peer);
        if !self.up.contains(&peer.0) {
            return;
        }
        self.disconnect(peer.0, peer.1, why);
    }

    /// The node hears that a connection is over.
    pub fn disconnect(&mut self, at: usize, conn: ConnId, why: Closed) {
        self.nodes[at].disconnected(conn, why);
        self.woken.insert(at);
    }

    /// Somebody who calls himself `from`, of the same cluster, says these frames by a connection of his own.
    pub fn hear(&mut self, at: usize, from: NodeId, frames: &[&str]) {
        let place = "10.0.0.9:9".parse().unwrap();
        let Accepted::Session(conn) = self.nodes[at].accepted(Port::Bus, place, place) else { panic!("there is room") };
        // As everybody reads it in HI.
        let nonce = self.nodes[at].metadata.own_address.join_nonce().map_or("-".to_owned(), |nonce| nonce.to_string());
        let hello = format!("HELLO {from} 10.0.0.9:9@10009 {} 1 {nonce} -", self.nodes[at].metadata.state.cluster_id());
        for text in std::iter::once(&*hello).chain(frames.iter().copied()) {
            let length = (text.len() + 8) as u32;
            self.give(at, conn, &[b"RAFT", &length.to_be_bytes()[..], text.as_bytes()].concat());
        }
    }

    #[track_caller]
    pub fn until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        for _ in 0..4000 {
            if holds(self) {
                return;
            }
            self.step();
        }
        panic!("waited for {what}");
    }

    /// A client of one node says this.
    pub fn say(&mut self, at: usize, lines: &str) -> ConnId {
        let place = "10.0.0.9:9".parse().unwrap();
        let Accepted::Session(conn) = self.nodes[at].accepted(Port::Client, place, place) else { panic!("there is room") };
        self.give(at, conn, format!("{lines}\r\n").as_bytes());
        conn
    }

    /// What is to be written to a client of one node.
    pub fn transmit(&mut self, at: usize, conn: ConnId) -> &mut Transmit {
        let now = self.clock(at);
        self.nodes[at].transmit_buffer(&TURNED, conn, now).expect("the client is there")
    }

    /// What it has been answered, if it has.
    pub fn answer(&mut self, at: usize, conn: ConnId) -> Option<String> {
        let transmit = self.transmit(at, conn);
        (!transmit.is_empty()).then(|| String::from_utf8_lossy(transmit.as_slice()).into_owned())
    }

    /// Says this as a client of one node, and gives the whole answer.
    #[track_caller]
    pub fn ask(&mut self, at: usize, lines: &str) -> String {
        let conn = self.say(at, lines);
        for _ in 0..4000 {
            self.step();
            if let Some(answer) = self.answer(at, conn) {
                self.disconnect(at, conn, Closed::Eof);
                return answer;
            }
        }
        panic!("waited for an answer to {lines}");
    }

    pub fn in_sync(&self, at: usize) -> bool {
        self.nodes[at].dataset.role.is_in_sync()
            && self.nodes[at].dataset.upstream(&self.nodes[at].out).is_none_or(|upstream| upstream.link == UpstreamLink::Up)
    }

    pub fn history(&self, at: usize) -> History {
        *self.nodes[at].dataset.stream.history()
    }

    /// One of INFO's numbers.
    pub fn info(&mut self, at: usize, name: &str) -> u64 {
        let text = self.ask(at, "INFO");
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.parse().ok()).unwrap()
    }

    /// One cluster: node 0 has all slots.
    pub fn with_members(count: usize) -> Self {
        let mut net = Self::of(count);
        net.until("clusters of one", |net| net.nodes.iter().all(|node| node.metadata.state.member_count() == 1));
        assert_eq!(net.ask(0, "CLUSTER ADDSLOTSRANGE 0 16383"), "+OK\r\n");
        for at in 1..count {
            assert_eq!(net.ask(0, &format!("CLUSTER MEET 10.0.0.1 {}", 7000 + at)), "+OK\r\n");
            let primary = net.nodes[0].metadata.me;
            net.until("the primary to be known", |net| {
                net.nodes[at].metadata.state.member(&primary).is_some() && net.nodes[at].metadata.raft.leader().is_some()
            });
        }
        net
    }

    /// Nodes 1 and 2 replicate node 0, which has some keys.
    pub fn with_replicas() -> Self {
        let mut net = Self::with_members(3);
        let primary = net.nodes[0].metadata.me;
        for at in [1, 2] {
            assert_eq!(net.ask(at, &format!("CLUSTER REPLICATE {primary}")), "+OK\r\n");
        }
        net.until("the replicas to be in sync", |net| net.in_sync(1) && net.in_sync(2));
        for number in 0..50 {
            assert_eq!(net.ask(0, &format!("SET key:{number} {number}")), "+OK\r\n");
        }
        net
    }

    /// The same. All three vote, and node 2 leads.
    pub fn with_a_leading_replica() -> Self {
        let mut net = Self::with_replicas();
        net.until("three voters", |net| net.nodes.iter().all(|node| node.metadata.raft.voters().len() == 3));
        assert_eq!(net.ask(2, "CLUSTER RAFT TRANSFER"), "+OK\r\n");
        net.all_equal(0);
        net
    }

    /// Node 1 replicates node 0, which has some keys. Three vote, and node 2 leads; it and node 3 have nothing to do with those keys.
    pub fn with_a_neutral_leader() -> Self {
        let mut net = Self::with_members(4);
        let primary = net.nodes[0].metadata.me;
        assert_eq!(net.ask(1, &format!("CLUSTER REPLICATE {primary}")), "+OK\r\n");
        net.until("the replica to be in sync", |net| net.in_sync(1));
        for number in 0..50 {
            assert_eq!(net.ask(0, &format!("SET key:{number} {number}")), "+OK\r\n");
        }
        net.until("three voters", |net| net.nodes.iter().all(|node| node.metadata.raft.voters().len() == 3));
        let leader = net.nodes[2].metadata.me;
        assert_eq!(net.ask(2, "CLUSTER RAFT TRANSFER"), "+OK\r\n");
        net.until("all to follow", |net| net.nodes.iter().all(|node| node.metadata.raft.leader() == Some(leader)));
        net.until("all keys to be there", |net| net.history(1).offset == net.history(0).offset);
        net.until("its links", |net| [0, 1, 3].iter().all(|at| net.nodes[2].metadata.links.up(&net.nodes[*at].metadata.me).is_some()));
        net
    }

    /// The leader lets `replica` take over from `primary`.
    pub fn fail_over(&mut self, replica: usize, primary: usize, kind: FailoverKind) {
        let leader = self.nodes.iter().position(|node| node.metadata.raft.is_leader()).unwrap();
        let (replica, primary) = (self.nodes[replica].metadata.me, self.nodes[primary].metadata.me);
        let state = &self.nodes[leader].metadata.state;
        let shard = state.member(&primary).unwrap().shard;
        let change = Change::Failover(Failover { replica, primary, shard, epoch: state.epoch(&shard), kind });
        self.nodes[leader].metadata.raft.append(None, change).unwrap();
        self.until("the replica to own the slots", |net| net.nodes.iter().all(|node| node.metadata.state.slot_count_of(&replica) > 0));
    }

    #[track_caller]
    pub fn all_equal(&mut self, primary: usize) {
        self.until("all to be in sync, at equal offsets", |net| {
            (0..3).all(|at| {
                net.in_sync(at) && net.history(at).offset == net.history(primary).offset && net.history(at).id == net.history(primary).id
            })
        });
        let keys = self.ask(primary, "DBSIZE");
        assert!((0..3).all(|at| self.ask(at, "DBSIZE") == keys));
    }
}
