//! One simulated computer: power, disk, clock, and at most one process with its sockets.
//!
//! Owns: what a computer keeps when its process dies, and how a process begins and ends. Must not: know what the process says (checks do).

use crate::sim::clock::{Clock, Readings};
use crate::sim::hosts;
use crate::sim::network::{DIALLER, Network, Owner};
use crate::sim::queue::{MILLI, Micros};
use crate::sim::trace::note;
use pontoon::config::{Config, Launch, from_args};
use pontoon::node::{Accepted, Closed, Node, Port, Signal, StartError, Turned};
use pontoon::rng::Rng;
use pontoon::store::MemoryDisk;
use pontoon::store::memory::CrashReport;
use pontoon::types::ConnId;
use std::net::SocketAddr;
use std::path::PathBuf;

/// `shutdown-timeout` (s) where nobody sets it.
const SHUTDOWN_TIMEOUT: u64 = 10;

/// A process' end of a connection.
#[derive(Debug)]
pub struct Socket {
    /// The connection.
    pub conn: usize,
    /// Which end.
    pub side: usize,
    /// The node's name for it; none before it was accepted.
    pub id: Option<ConnId>,
    /// The node knows that it is up.
    pub up: bool,
    /// What the node was still to send when the socket was full.
    pub full: bool,
}

/// A simulated computer.
pub struct Machine {
    /// Which one.
    pub index: usize,
    /// Its disk, seen from outside every process.
    pub disk: MemoryDisk,
    /// Its clock since the last boot.
    pub clock: Clock,
    /// What the process has read from it.
    pub readings: Readings,
    /// The process, while it runs.
    pub node: Option<Node<MemoryDisk>>,
    /// The running process' own handle on the disk.
    pub handle: MemoryDisk,
    /// Its sockets, in the order in which they were made.
    pub sockets: Vec<Socket>,
    /// Set while the process is stopped (SIGSTOP): the number of the pause.
    pub paused: Option<u64>,
    /// The earliest wake-up in the queue.
    pub wake_at: Option<Micros>,
    /// The process is in the middle of a turn until then; it was, if that is past.
    pub busy_until: Micros,
    /// What that turn has come to is so from then on: the process was stopped in it.
    pub ahead_until: Micros,
    /// What that turn has to say has not left yet: with this it may.
    pub turned: Option<Turned>,
    /// The process will be stopped (SIGSTOP) for so long in the middle of the next turn in which it serves clients.
    pub stops_in_turn: Option<Micros>,
    /// Processes started so far.
    pub starts: u64,
    /// That turn had no input and wrote nothing.
    pub idles: bool,
    /// Turns in a row without input, output or a write, at most a second's.
    pub idle_turns: u32,
    /// When the first of them was.
    pub idle_since: Micros,
    /// A fault of the disk is on order that ends in a loss of power.
    pub dies_in_write: bool,
    /// The process has been told to end; whether it will save all keys before.
    pub last_words: Option<bool>,
    /// The least shutdown-timeout that the process was told (s).
    pub patience: u64,
    /// Its disk is slow.
    pub slow_disk: Option<SlowDisk>,
    /// Nobody switches it on for now.
    pub out_of_order: bool,
    /// Options for the process.
    pub options: Vec<String>,
}

impl Machine {
    /// A computer that was never switched on.
    pub fn new(index: usize, options: Vec<String>) -> Self {
        let disk = MemoryDisk::new();
        Self {
            index,
            handle: disk.process(),
            disk,
            clock: Clock::boot(0, 0, 0, 0),
            readings: Readings::default(),
            node: None,
            sockets: Vec::new(),
            paused: None,
            wake_at: None,
            busy_until: 0,
            ahead_until: 0,
            turned: None,
            stops_in_turn: None,
            starts: 0,
            idles: false,
            idle_turns: 0,
            idle_since: 0,
            dies_in_write: false,
            last_words: None,
            patience: SHUTDOWN_TIMEOUT,
            slow_disk: None,
            out_of_order: false,
            options,
        }
    }

    /// Somebody puts an empty disk in.
    pub fn wipe(&mut self) {
        self.disk = MemoryDisk::new();
        self.handle = self.disk.process();
    }

    /// Where it keeps nodes.conf.
    pub fn file(&self) -> PathBuf {
        PathBuf::from("nodes.conf")
    }

    /// The clock of a kernel that boots now; often so young that it shows for long what an earlier one showed before.
    pub fn boot(now: Micros, rng: &mut Rng) -> Clock {
        let drift = rng.below(10_001) as i64 - 5_000;
        let oldest = [5_000, 5_000, 100_000, 10_000_000][rng.below(4) as usize];
        let start = rng.between(1_000, oldest);
        Clock::boot(now, drift, start, 1_700_000_000_000 + rng.below(1_000_000))
    }

    /// Starts the process on this client port. Panics if it refuses: every disk of this simulation is one that a node must load.
    pub fn start(&mut self, port: u16, now: Micros, seed: u64) {
        self.handle = self.disk.process();
        self.starts += 1;
        self.idle_turns = 0;
        self.paused = None;
        (self.busy_until, self.ahead_until) = (now, now);
        self.readings = Readings::begin(&self.clock, now);
        self.patience = SHUTDOWN_TIMEOUT;
        let started = Node::start(self.config(port), self.handle.clone(), seed, self.clock.read(now));
        self.node = Some(started.unwrap_or_else(|error| panic!("a node starts from what a crash left on its disk, but: {error}")));
    }

    /// What a process would begin with that ends before it has done anything, or why it would not begin.
    pub fn try_start(&self, port: u16, now: Micros, seed: u64) -> Result<Node<MemoryDisk>, StartError> {
        let handle = self.disk.process();
        let started = Node::start(self.config(port), handle.clone(), seed, self.clock.read(now));
        handle.kill();
        started
    }

    fn config(&self, port: u16) -> Config {
        let options: Vec<&str> = self.options.iter().map(String::as_str).collect();
        let port = port.to_string();
        let first = ["--port", &port, "--cluster-require-full-coverage", "no", "--protected-mode", "no"];
        let args: Vec<String> = first.iter().chain(&options).map(|arg| (*arg).to_owned()).collect();
        match from_args(&args, &|_| Err(std::io::ErrorKind::NotFound.into())) {
            Ok(Launch::Run(config)) => *config,
            Ok(_) => panic!("the simulated options ask for a running node"),
            Err(error) => panic!("the simulated options are right, but: {error}"),
        }
    }

    /// The process is gone (killed, or ended by itself); the kernel closes its sockets in its name. Returns whom to wake.
    pub fn end_process(&mut self, net: &mut Network, now: Micros) -> Vec<(Owner, Micros)> {
        self.forget_process();
        self.handle.kill();
        self.sockets.drain(..).filter_map(|socket| net.close_unread(socket.conn, socket.side, now)).collect()
    }

    fn forget_process(&mut self) {
        self.node = None;
        self.paused = None;
        self.turned = None;
        self.stops_in_turn = None;
        self.dies_in_write = false;
        self.last_words = None;
    }

    /// The process is to end in order.
    pub fn shut_down(&mut self, signal: Signal) {
        self.is_asked_to_end(false, false);
        if let Some(node) = &mut self.node {
            node.shutdown(signal);
        }
    }

    /// It is, or will be when it hears of it; to save its keys without save points, or not to save them with any.
    pub fn is_asked_to_end(&mut self, saves: bool, does_not: bool) {
        let Some(node) = &self.node else { return };
        // The second time it ends without saving.
        let has_save_points = saves || self.options.iter().all(|option| !option.is_empty());
        self.last_words = Some(self.last_words.is_none() && has_save_points && !does_not && !node.is_loading());
    }

    /// Whether the process has slots and a lease.
    pub fn holds_lease(&self, now: Micros) -> bool {
        let holds =
            |node: &Node<MemoryDisk>| node.state().slot_count_of(&node.id()) > 0 && node.raft().lease_end() > self.clock.steady(now);
        self.node.as_ref().is_some_and(holds)
    }

    /// Whether its clock gives leases to the process that may last longer than others believe, or makes it believe that others' are over.
    pub fn has_doubtful_clock(&self, now: Micros) -> bool {
        self.readings.is_doubtful(&self.clock, now)
    }

    /// The power fails: nobody is told, and the disk keeps what it had plus any part of what was on its way.
    pub fn lose_power(&mut self, net: &mut Network, rng: &mut Rng) -> CrashReport {
        self.forget_process();
        for socket in self.sockets.drain(..) {
            net.abandon(socket.conn, socket.side);
        }
        self.disk.crash(rng)
    }

    /// Whether its process does anything now.
    pub fn is_running(&self) -> bool {
        self.node.is_some() && self.paused.is_none()
    }

    /// Gives the process what has arrived.
    pub fn take_input(&mut self, net: &mut Network, now: Micros) -> News {
        let mut news = News::default();
        let Some(node) = &mut self.node else { return news };
        self.sockets.retain_mut(|socket| deliver(node, net, socket, now, &mut news));
        news
    }

    /// How much longer than usual a sync takes now.
    pub fn stall(&self, now: Micros, rng: &mut Rng) -> Micros {
        self.slow_disk.filter(|disk| now < disk.until).map_or(0, |disk| rng.between(disk.least, disk.most))
    }

    /// How long this turn took, by what it did to the disk.
    pub fn turn_cost(syncs: u64, rng: &mut Rng) -> Micros {
        let slow = if rng.one_in(50) { 40 * MILLI } else { 3 * MILLI };
        rng.between(20, 120) + if syncs > 0 { rng.between(200, slow) } else { 0 }
    }
}

/// A disk whose syncs take long.
#[derive(Clone, Copy, Debug)]
pub struct SlowDisk {
    /// Then it is as fast as others.
    pub until: Micros,
    /// What a sync takes at least.
    pub least: Micros,
    /// And below this.
    pub most: Micros,
}

/// What came of handing a process its input.
#[derive(Default)]
pub struct News {
    /// There was something.
    pub any: bool,
    /// A client asked for something.
    pub requests: bool,
    /// Who is to hear of a connection that was refused, or of a socket that takes bytes again.
    pub wakes: Vec<(Owner, Micros)>,
}

/// Moves one socket's news into the node; false once the socket is no more.
fn deliver(node: &mut Node<MemoryDisk>, net: &mut Network, socket: &mut Socket, now: Micros, news: &mut News) -> bool {
    if socket.id.is_none() {
        accept(node, net, socket);
        news.any = true;
    }
    let Some(id) = socket.id else {
        news.wakes.extend(net.close(socket.conn, socket.side, now, Closed::Eof));
        return false;
    };
    if !socket.up && net.conn(socket.conn).up_at.is_some_and(|at| at <= now) {
        (socket.up, news.any) = (true, true);
        node.connected(id, local_of(net, socket));
    }
    while socket.up && node.receive_buffer(id).is_some() {
        let had_room = net.has_room(socket.conn, 1 - socket.side);
        let Some(bytes) = net.take(socket.conn, socket.side, now) else { break };
        if let Some(buffer) = node.receive_buffer(id) {
            buffer.extend_from_slice(&bytes);
        }
        node.received(id, bytes.len());
        news.any = true;
        news.requests |= matches!(net.owner(socket.conn, DIALLER), Some(Owner::Client(_)));
        if !had_room && net.has_room(socket.conn, 1 - socket.side) {
            news.wakes.extend(net.owner(socket.conn, 1 - socket.side).map(|sender| (sender, now)));
        }
    }
    let Some(why) = net.ending(socket.conn, socket.side, now) else { return true };
    note!("conn {} ends: {why:?}", socket.conn);
    news.any = true;
    node.disconnected(id, why);
    net.abandon(socket.conn, socket.side);
    false
}

fn accept(node: &mut Node<MemoryDisk>, net: &mut Network, socket: &mut Socket) {
    let to = net.conn(socket.conn).to;
    let port = if hosts::is_bus(to.port()) { Port::Bus } else { Port::Client };
    let from = net.conn(socket.conn).from;
    if let Accepted::Session(id) = node.accepted(port, SocketAddr::new(from, ephemeral(socket.conn)), to) {
        (socket.id, socket.up) = (Some(id), true);
        // The channel is the shell's: what machines dial comes by it.
        node.is_keyed(id);
    }
}

fn ephemeral(conn: usize) -> u16 {
    40_000 + (conn % 20_000) as u16
}

/// The dialler's own address, as its kernel tells it.
fn local_of(net: &mut Network, socket: &Socket) -> SocketAddr {
    SocketAddr::new(net.conn(socket.conn).from, ephemeral(socket.conn))
}
