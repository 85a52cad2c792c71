//! One run: every machine, connection, client and fault of a seed, and the loop that lets one event follow another.
//!
//! Owns: the order of things. Chance comes from the seed alone, each part with a stream of its own, so that a change in one does not
//! shift all the others.

use crate::sim::checks::Checks;
use crate::sim::clients::Clients;
use crate::sim::faults::Faults;
use crate::sim::faults::timing::draw_timing;
use crate::sim::hosts::Place;
use crate::sim::machine::{Machine, Socket};
use crate::sim::network::{DIALLER, LISTENER, Network, Owner, Weather};
use crate::sim::queue::{Event, MILLI, Micros, Queue, SECOND};
use crate::sim::stats::Stats;
use crate::sim::trace::{self, note};
use pontoon::node::Closed;
use pontoon::rng::Rng;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Availability zones; the first is none.
pub const ZONES: [&str; 4] = ["", "east", "west", "north"];
/// Each machine is a host of its own. The channel is the shell's: what is said without this does not come to a node.
const SECRET: &str = "what-all-machines-know-and-no-stranger";
/// When keys are saved by themselves: never, or often, or after a while, so that files are old.
const SAVES: [&str; 3] = ["", "1 1", "8 1"];
/// How often the first packet of a connection is sent before the dialler gives up.
const DIAL_ATTEMPTS: u32 = 6;

/// Everything of a run.
pub struct World {
    /// Simulated time.
    pub now: Micros,
    /// The same, for who reports a panic.
    pub clock: Arc<AtomicU64>,
    /// What is to happen.
    pub queue: Queue,
    /// Chance of the machines: how long turns take, what a crash leaves.
    pub rng: Rng,
    /// The connections.
    pub net: Network,
    /// The computers.
    pub machines: Vec<Machine>,
    /// Who asks them.
    pub clients: Clients,
    /// What goes wrong.
    pub faults: Faults,
    /// What must hold.
    pub checks: Checks,
    /// What was seen.
    pub stats: Stats,
}

impl World {
    /// The world of a seed; nothing has happened yet.
    pub fn new(seed: u64, clock: Arc<AtomicU64>) -> Self {
        let mut rng = Rng::new(seed);
        let count = rng.between(5, 8) as usize;
        let options = draw_options(count, &mut rng);
        let weather = draw_weather(&mut rng);
        let net = Network::new(count, weather, Rng::new(rng.next_u64()));
        let clients = Clients::new(count, Rng::new(rng.next_u64()));
        let checks = Checks::new(count, !clients.flushes);
        Self {
            now: 0,
            clock,
            queue: Queue::default(),
            net,
            machines: options.into_iter().enumerate().map(|(index, options)| Machine::new(index, options)).collect(),
            clients,
            faults: Faults::new(Rng::new(rng.next_u64())),
            checks,
            stats: Stats::default(),
            rng,
        }
    }

    /// Lets events happen until `end`.
    pub fn run_until(&mut self, end: Micros) {
        self.queue.push(end, Event::Nothing);
        while let Some((at, event)) = self.queue.pop() {
            self.now = at;
            self.clock.store(at, Ordering::Relaxed);
            if at >= end && event == Event::Nothing {
                return;
            }
            self.handle(event);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Nothing => {}
            Event::Machine(index) => self.wake_machine(index),
            Event::Flush(index) => self.end_turn(index),
            Event::Client(index) => self.wake_client(index),
            Event::Dial(conn) => self.first_packet(conn),
            Event::Fault => self.next_fault(),
            Event::Boot(index) => self.boot(index),
            Event::Start(index) => self.start(index),
            Event::Resume(index, pause) => self.resume(index, pause),
            Event::Heal(cut) => self.heal_cut(cut),
            Event::Cut(cut) => self.cut(cut),
            Event::Homecoming(ip) => self.bring_address_home(ip),
            Event::EndOddRate => self.end_odd_rate(),
            Event::CallOff(index) => self.call_off(index),
            Event::SlowDisks => self.slow_down_disks(),
            Event::Stranger(which) => self.hear_stranger(which),
        }
    }

    /// Notes that a process has something to do at `at`.
    pub fn wake(&mut self, owner: Owner, at: Micros) {
        let at = at.max(self.now);
        match owner {
            Owner::Machine(index) => {
                let machine = &mut self.machines[index];
                let at = at.max(machine.busy_until);
                if machine.wake_at.is_none_or(|earlier| at < earlier) {
                    machine.wake_at = Some(at);
                    self.queue.push(at, Event::Machine(index));
                }
            }
            Owner::Stranger => {}
            Owner::Client(index) => {
                if self.clients.wants_wake(index, at) {
                    self.queue.push(at, Event::Client(index));
                }
            }
        }
    }

    /// See [`World::wake`].
    pub fn wake_all(&mut self, wakes: impl IntoIterator<Item = (Owner, Micros)>) {
        wakes.into_iter().for_each(|(owner, at)| self.wake(owner, at));
    }

    /// Wakes every running machine: what was held back may have arrived.
    pub fn wake_machines(&mut self) {
        (0..self.machines.len()).for_each(|index| self.wake(Owner::Machine(index), self.now));
    }

    /// A process dials: its first packet leaves at `at`.
    pub fn dial(&mut self, from: Owner, to: SocketAddr, at: Micros) -> usize {
        let conn = self.net.dial(from, to);
        let target = self.owner_at(self.net.place_of(conn));
        let delay = self.net.delay(Some(from), target);
        self.queue.push(at + delay, Event::Dial(conn));
        self.stats.dials += 1;
        conn
    }

    /// Whose links decide what gets to a place.
    fn owner_at(&self, place: Place) -> Option<Owner> {
        match place {
            Place::Machine(index) => Some(Owner::Machine(index)),
            Place::Kernel(host) => self.net.hosts.on(host).next().map(Owner::Machine),
            Place::Nowhere => None,
        }
    }

    /// The first packet of a connection arrives, or is lost and sent again later.
    fn first_packet(&mut self, conn: usize) {
        if self.net.is_gone(conn, DIALLER) {
            return;
        }
        let from = self.net.owner(conn, DIALLER);
        let place = self.net.place_of(conn);
        let to = self.owner_at(place);
        let is_on = match place {
            Place::Machine(index) => self.net.hosts.is_powered(index),
            Place::Kernel(host) => self.net.hosts.is_host_powered(host),
            Place::Nowhere => false,
        };
        match place {
            _ if !is_on || self.net.is_cut(from, to) || self.net.is_cut(to, from) => self.lose_first_packet(conn),
            Place::Machine(index) if self.machines[index].node.is_some() => {
                let up_at = self.net.accept(conn, Owner::Machine(index), self.now);
                self.machines[index].sockets.push(Socket { conn, side: LISTENER, id: None, up: false, full: false });
                self.wake(Owner::Machine(index), self.now);
                self.wake_all(from.map(|from| (from, up_at)));
            }
            _ => {
                self.stats.refused_dials += 1;
                self.stats.refused_by_others += u64::from(matches!((place, from), (Place::Kernel(_), Some(Owner::Machine(_)))));
                let at = self.now + self.net.delay(to, from);
                let told = self.net.tell(conn, DIALLER, at, Closed::Refused);
                self.wake_all(told);
            }
        }
    }

    fn lose_first_packet(&mut self, conn: usize) {
        self.stats.lost_dials += 1;
        let state = self.net.conn(conn);
        state.attempts += 1;
        let attempts = state.attempts;
        if attempts < DIAL_ATTEMPTS {
            self.queue.push(self.now + (SECOND << (attempts - 1)), Event::Dial(conn));
            return;
        }
        let told = self.net.tell(conn, DIALLER, self.now, Closed::Error);
        self.wake_all(told);
    }

    /// Starts a machine that is down, its kernel first if need be.
    pub fn start(&mut self, index: usize) {
        if self.machines[index].node.is_some() || self.machines[index].out_of_order {
            return;
        }
        trace::at(self.now, format_args!("m{index}"));
        self.boot(index);
        note!("starts");
        let seed = self.rng.next_u64();
        let port = self.net.hosts.port(index);
        let machine = &mut self.machines[index];
        machine.start(port, self.now, seed);
        let has_file = machine.disk.live(Path::new("dump.rdb")).is_some();
        self.stats.files_loaded += u64::from(has_file);
        self.checks.started(&self.machines, index, self.now);
        self.wake(Owner::Machine(index), self.now + MILLI);
    }

    /// Switches a machine's host on, if it is off: its kernel resets what is left of connections from before, and refuses new ones.
    fn boot(&mut self, index: usize) {
        if self.machines[index].out_of_order {
            return;
        }
        if self.net.hosts.clock(index).is_none() || !self.net.hosts.is_powered(index) {
            *self.net.hosts.clock(index) = Some(Machine::boot(self.now, &mut self.rng));
            self.net.hosts.set_powered(index, true);
            for (conn, side) in self.net.half_open(self.net.hosts.of(index)) {
                let at = self.now + self.rng.below(3 * SECOND);
                let told = self.net.tell(conn, side, at, Closed::Error);
                self.wake_all(told);
            }
        }
        self.read_host_clock(index);
    }

    /// Every machine on this one's host goes by the host's clock.
    pub fn read_host_clock(&mut self, index: usize) {
        let Some(clock) = self.net.hosts.clock(index).clone() else { return };
        let host = self.net.hosts.of(index);
        for machine in self.net.hosts.on(host) {
            self.machines[machine].clock = clock.clone();
        }
    }

    /// A stopped process goes on, if it is still stopped by this pause.
    fn resume(&mut self, index: usize, pause: u64) {
        let machine = &mut self.machines[index];
        if machine.paused == Some(pause) {
            machine.paused = None;
            self.queue.push(self.now.max(machine.busy_until), Event::Flush(index));
            self.wake(Owner::Machine(index), self.now);
        }
    }

    /// The client port of a machine.
    pub fn client_address(&self, index: usize) -> SocketAddr {
        SocketAddr::new(self.net.hosts.ip(index), self.net.hosts.port(index))
    }
}

/// What each machine is configured with: small timeouts in some runs, few voters in others, zones in most, in half of them so short a log
/// in memory that who was away needs a snapshot, in half of them an election timeout of its own, and in a third a write lease and a
/// node-timeout of its own. Keys are saved by themselves in most.
fn draw_options(machines: usize, rng: &mut Rng) -> Vec<Vec<String>> {
    let node_timeout = [2_000, 5_000, 5_000, 15_000][rng.below(4) as usize].to_string();
    let voters = [3, 5, 5, 7][rng.below(4) as usize].to_string();
    let kept = if rng.one_in(2) { 64 } else { rng.below(9) }.to_string();
    let zones = rng.below(4);
    let save = SAVES[rng.below(SAVES.len() as u64) as usize];
    let (differ, leases_differ) = (rng.one_in(2), rng.one_in(3));
    let mut options = || {
        let election = if rng.one_in(3) { rng.between(1_000, 2_000) } else { rng.between(200, 400) }.to_string();
        let zone = ZONES[rng.below(zones + 1) as usize];
        let options = ["--cluster-node-timeout", &node_timeout, "--cluster-raft-voters", &voters, "--cluster-raft-log-kept", &kept];
        let secret = ["--cluster-secret", SECRET];
        let zone = ["--availability-zone", zone].into_iter().filter(|_| !zone.is_empty());
        let timing = ["--cluster-raft-election-timeout", &election].into_iter().filter(|_| differ);
        let leases = if leases_differ { draw_timing(rng) } else { Vec::new() };
        options.into_iter().chain(secret).chain(zone).chain(timing).chain(["--save", save]).map(str::to_owned).chain(leases).collect()
    };
    (0..machines).map(|_| options()).collect()
}

fn draw_weather(rng: &mut Rng) -> Weather {
    let big_stall_one_in = if rng.one_in(4) { 3 } else { 0 };
    let (base, jitter, late_one_in, late) = match rng.below(4) {
        0 => (30, 100, 1_000, 5 * MILLI),
        1 => (200, 2 * MILLI, 50, 50 * MILLI),
        2 => (MILLI, 20 * MILLI, 100, 400 * MILLI),
        _ => (10 * MILLI, 5 * MILLI, 20, 30 * MILLI),
    };
    Weather { base, jitter, late_one_in, late, big_stall_one_in }
}
