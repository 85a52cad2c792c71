//! What a snapshot of 1,000 members and every slot in a run of its own costs the loop, from the leader's turn that sends it to the
//! follower's turn that has it on disk. Times are this thread's CPU time, so that other work on the machine does not count. They are held
//! against the limit where the build is optimised: `cargo test --profile sim --test snapshot_cost -- --nocapture` prints them.

use pontoon::cluster::change::{NodeJoin, SlotChange};
use pontoon::cluster::{Address, Change, State};
use pontoon::config::{Config, Launch, from_args};
use pontoon::node::{Accepted, Action, Node, Port};
use pontoon::raft::message::{AppendAck, InstallSnapshot};
use pontoon::raft::{Body, Entry, HardState, Log, Message, Token};
use pontoon::store::{Image, MemoryDisk, RealDisk, Standing, Store, nodes_conf};
use pontoon::types::{ClusterId, ConnId, Extent, NodeId, Now, Slot};
use pontoon::wire::bus::{self, Frame, Greeting, PROTOCOL_VERSION};
use rustix::time::{ClockId, clock_gettime};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

const MEMBERS: u16 = 1000;
/// Of the loop's time, for everything that one snapshot costs at both ends.
const LIMIT_MS: f64 = 50.0;
/// Followers that need a snapshot at the same moment.
const CROWD: usize = 50;
const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9);

fn clock(id: ClockId) -> f64 {
    let time = clock_gettime(id);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

/// Milliseconds of CPU that `work` takes.
fn cost<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let began = clock(ClockId::ThreadCPUTime);
    let result = work();
    (clock(ClockId::ThreadCPUTime) - began, result)
}

fn within_limit(what: &str, ms: f64) {
    println!("{what}: {ms:.1} ms");
    let unoptimised = std::env::current_exe().is_ok_and(|path| path.components().any(|part| part.as_os_str() == "debug"));
    assert!(unoptimised || ms <= LIMIT_MS, "{what} takes {ms:.1} ms, more than {LIMIT_MS}");
}

fn id(n: u16) -> NodeId {
    let [high, low] = n.to_be_bytes();
    let mut bytes = [high ^ 0x5a; 20];
    bytes[1] = low;
    NodeId::from_bytes(bytes)
}

fn address(n: u16) -> Address {
    let text = format!("10.1.{}.{}:6379@16379,node-{n}.cache.example.com,human-nodename=cache-{n},shard-id={}", n / 250, n % 250, id(n));
    text.parse().expect("the address reads")
}

/// A cluster of a thousand members, of whom `me` votes alone, and of which every slot has another owner than its neighbours.
fn crowd(cluster: ClusterId, me: NodeId) -> State {
    let mut state = State::founding(cluster, me);
    let mut apply = |change: Change| {
        let entry = Entry { term: 1, origin: None, body: Body::App(change) };
        state.apply(state.last_applied() + 1, &entry);
    };
    apply(Change::NodeJoin(NodeJoin { id: me, address: address(0), voter: true }));
    for n in 1..MEMBERS {
        apply(Change::NodeJoin(NodeJoin { id: id(n), address: address(n), voter: false }));
    }
    for n in 0..MEMBERS {
        let member = if n == 0 { me } else { id(n) };
        let ranges = Slot::all().skip(usize::from(n)).step_by(usize::from(MEMBERS)).map(Into::into).collect();
        let target = state.epoch_of(&member).map(|epoch| (member, epoch));
        let entry = Entry { term: 1, origin: None, body: Body::App(Change::SlotChange(SlotChange { source: None, target, ranges })) };
        state.apply(state.last_applied() + 1, &entry);
    }
    assert_eq!((state.member_count(), state.slot_runs().count()), (1000, 16384));
    state
}

fn config() -> Config {
    match from_args(&[""; 0], &|_| Err(std::io::ErrorKind::NotFound.into())) {
        Ok(Launch::Run(config)) => *config,
        _ => panic!("the defaults are a running node's"),
    }
}

/// A node with the test as its shell and its peers.
struct Shell {
    node: Node<MemoryDisk>,
    now: Now,
    /// What it has wanted, and not been given yet.
    actions: Vec<Action>,
}

impl Shell {
    fn start(disk: MemoryDisk) -> Self {
        let now = Now { mono: 100_000, wall: 1_700_000_000_000 };
        let mut shell = Self { node: Node::start(config(), disk, 7, now).expect("the node starts"), now, actions: Vec::new() };
        shell.settle();
        shell
    }

    /// One turn: what it cost, and the frames that left.
    fn turn(&mut self) -> (f64, Vec<(ConnId, Frame)>) {
        let (ms, turned) = cost(|| self.node.turn(&mut || self.now).expect("the disk works"));
        let mut frames = Vec::new();
        while let Some(conn) = self.node.next_dirty(&turned) {
            let transmit = self.node.transmit_buffer(&turned, conn, self.now).expect("what is to be written has a session");
            let mut written = 0;
            while let Some((frame, length)) = bus::decode(transmit.as_slice()).expect("the node sends frames") {
                frames.push((conn, frame));
                transmit.advance(length);
                written += length;
            }
            self.node.flushed(conn, written);
        }
        self.actions.extend(std::iter::from_fn(|| self.node.next_action(&turned)));
        (ms, frames)
    }

    /// Turns until nothing is pressing.
    fn settle(&mut self) -> Vec<(ConnId, Frame)> {
        let mut frames = self.turn().1;
        while self.node.deadline() <= self.now.mono {
            frames.extend(self.turn().1);
        }
        frames
    }

    fn receive(&mut self, conn: ConnId, frame: &Frame) {
        let buffer = self.node.receive_buffer(conn).expect("a link takes what comes");
        let before = buffer.len();
        bus::encode(frame, PROTOCOL_VERSION, buffer).expect("the frame has its bounds");
        let count = buffer.len() - before;
        self.node.received(conn, count);
    }
}

fn greeting(n: u16, cluster: ClusterId) -> Greeting {
    Greeting { id: id(n), address: address(n), cluster, version: PROTOCOL_VERSION, join_nonce: None, ancestors: Vec::new(), process: None }
}

/// The nodes.conf of the one voter of `state`.
fn file_of(me: NodeId, state: &State) -> String {
    let log = Log::new(state.last_applied(), state.last_term());
    let hard = HardState { term: 1, voted_for: Some(me) };
    nodes_conf::write(&Image { me, incarnation: 1, hard, state, log: &log, standing: &Standing::Member })
}

#[test]
fn a_thousand_members_travel_in_one_snapshot() {
    let mut follower = Shell::start(MemoryDisk::new());
    let state = crowd(follower.node.state().cluster_id(), follower.node.id());

    let (writing, text) = cost(|| {
        let mut text = String::new();
        state.write_snapshot(None, &mut text);
        text
    });
    let (last_index, last_term, bytes) = (state.last_applied(), state.last_term(), text.into_bytes());
    println!("a snapshot of {} bytes, written in {writing:.1} ms", bytes.len());
    let snapshot = InstallSnapshot { leader: id(1), term: 5, last_index, last_term, round: 1, bytes };
    let frame = Frame::Raft(Message::InstallSnapshot(snapshot));
    let (encoding, ()) = cost(|| bus::encode(&frame, PROTOCOL_VERSION, &mut Vec::new()).unwrap());

    let Accepted::Session(conn) = follower.node.accepted(Port::Bus, LOCAL, LOCAL) else { panic!("it takes a link") };
    follower.receive(conn, &Frame::Hello(greeting(1, state.cluster_id())));
    follower.settle();
    follower.receive(conn, &frame);
    let (installing, answers) = follower.turn();
    assert!(follower.node.state() == &state, "the snapshot is the state now");
    let acked = |frame: &Frame| matches!(frame, Frame::Raft(Message::AppendAck(ack)) if ack.ok && ack.index == last_index);
    assert!(answers.iter().any(|(_, frame)| acked(frame)), "it is on disk, and acknowledged, in the same turn");

    println!("encoding {encoding:.1} ms, the follower's turn {installing:.1} ms");
    within_limit("written, encoded, installed and on disk", writing + encoding + installing);
    follower.now.mono += 1;
    within_limit("the turn after that", follower.turn().0);
}

#[test]
fn a_leader_serves_the_others_between_many_snapshots() {
    let (cluster, me) = (ClusterId::from_bytes([9; 20]), id(0));
    let state = crowd(cluster, me);
    let mut leader = Shell::start(MemoryDisk::with_file("nodes.conf", file_of(me, &state)));
    assert!(leader.node.raft().is_leader() && leader.node.raft().log().first_index() > 1, "it leads, and has only the end of the log");
    let links = links_of(&mut leader, cluster);
    let rounds = leader.settle();
    for (n, conn) in links.iter().enumerate() {
        let round = rounds.iter().find_map(|(to, frame)| match frame {
            Frame::Raft(Message::Append(append)) if to == conn => Some(append.round),
            _ => None,
        });
        let round = round.unwrap_or_else(|| panic!("follower {n} is asked where the logs meet"));
        let ack = AppendAck {
            term: leader.node.raft().term(),
            ok: false,
            index: 1,
            last_index: 0,
            round,
            extent: Extent::default(),
            token: Token::default(),
        };
        leader.receive(*conn, &Frame::Raft(Message::AppendAck(ack)));
    }
    let (mut sent, mut turns, mut longest) = (0, 0, 0.0_f64);
    while sent < CROWD {
        assert!(leader.node.deadline() <= leader.now.mono, "what is left to send keeps the loop awake");
        let (ms, frames) = leader.turn();
        sent += frames.iter().filter(|(_, frame)| matches!(frame, Frame::Raft(Message::InstallSnapshot(_)))).count();
        (turns, longest) = (turns + 1, longest.max(ms));
    }
    println!("{CROWD} snapshots in {turns} turns");
    assert!(sent == CROWD && turns > 1, "each once, and not all in one turn");
    within_limit("the longest of these turns", longest);
}

/// Links to some of the followers, greeted.
fn links_of(leader: &mut Shell, cluster: ClusterId) -> Vec<ConnId> {
    let mut links = Vec::new();
    for action in std::mem::take(&mut leader.actions) {
        let Action::Dial { conn, socket, .. } = action else { continue };
        let IpAddr::V4(ip) = socket.ip() else { continue };
        let [.., high, low] = ip.octets();
        if links.len() < CROWD {
            leader.node.connected(conn, LOCAL);
            leader.receive(conn, &Frame::Hi(greeting(u16::from(high) * 250 + u16::from(low), cluster)));
            links.push(conn);
        }
    }
    links
}

#[test]
fn a_thousand_members_on_a_real_disk() {
    let me = id(0);
    let state = crowd(ClusterId::from_bytes([9; 20]), me);
    let text = file_of(me, &state);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("nodes.conf");
    let log = Log::new(state.last_applied(), state.last_term());
    let hard = HardState { term: 1, voted_for: Some(me) };
    let image = Image { me, incarnation: 1, hard, state: &state, log: &log, standing: &Standing::Member };
    let (mut store, _) = Store::open(RealDisk::new(), path.clone()).unwrap();
    let mut best = f64::MAX;
    for _ in 0..5 {
        let began = clock(ClockId::Monotonic);
        store.persist(&image, true).unwrap();
        best = best.min(clock(ClockId::Monotonic) - began);
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    println!("a file of {} bytes rewritten and synced in {best:.1} ms of real time, the best of five", text.len());
    drop(store);
    let (loading, loaded) = cost(|| Store::open(RealDisk::new(), Path::new(&path).to_owned()));
    assert!(loaded.unwrap().1.is_some_and(|loaded| loaded.state == state));
    within_limit("loading it", loading);
}
