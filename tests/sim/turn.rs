//! A machine's process gets its turn: input, one turn of the node, and, once that is done, output; and the checks on all of it.
//!
//! This is the shell (docs/architecture.md, "One turn of the loop") of the simulated world; the real one is the server room. A turn takes
//! time, of which it may stand still for seconds (SIGSTOP). The process may be killed in that time: then nothing of the turn leaves.

use crate::sim::clock::{Clock, Readings};
use crate::sim::faults::clocks::LONGEST_SLEEP;
use crate::sim::hosts;
use crate::sim::machine::{Machine, Socket};
use crate::sim::network::{DIALLER, Owner};
use crate::sim::queue::{Event, MILLI, Micros, SECOND};
use crate::sim::trace::{self, note};
use crate::sim::world::World;
use pontoon::node::{Action, Closed, Closing, Turned};
use pontoon::store::MemoryDisk;
use pontoon::types::{ConnId, Millis, Now};

/// More turns than this in a second, in which nothing came, left or was written: the node would eat a whole core.
const MAX_IDLE_TURNS: u32 = 200;

/// What a turn costs between one client's requests and the next one's.
const CLIENT: Micros = 20;

/// How time passes in a turn, by the readings of its clock.
struct Course {
    clock: Clock,
    shown: Readings,
    disk: MemoryDisk,
    /// What its syncs had taken before this turn (ms).
    waited: Millis,
    /// The time of the last reading, without what the disk has taken.
    at: Micros,
    readings: u64,
    /// The process is still to be stopped for so long: before this reading, or, if there are less, after the turn.
    stop: Option<Micros>,
    stop_at: u64,
}

impl Course {
    fn read(&mut self) -> Now {
        if self.readings > 0 {
            self.at += CLIENT;
        }
        self.readings += 1;
        if self.readings == self.stop_at {
            self.at += self.stop.take().unwrap_or(0);
        }
        let now = self.now();
        self.shown.read(&self.clock, now)
    }

    /// What the turn has come to is so from then on.
    fn now(&self) -> Micros {
        self.at + (self.disk.waited() - self.waited) * MILLI
    }
}

impl World {
    /// A machine's event: its process runs if it can.
    pub fn wake_machine(&mut self, index: usize) {
        let machine = &mut self.machines[index];
        if machine.wake_at != Some(self.now) {
            return;
        }
        machine.wake_at = None;
        // The end of a turn looks for what comes next by itself.
        if !machine.is_running() || machine.turned.is_some() {
            return;
        }
        trace::at(self.now, format_args!("m{index}"));
        self.turn(index);
    }

    fn turn(&mut self, index: usize) {
        let machine = &mut self.machines[index];
        let news = machine.take_input(&mut self.net, self.now);
        let stall = machine.stall(self.now, &mut self.rng);
        machine.disk.slow_down(stall / MILLI);
        let (syncs, beside) = (machine.disk.syncs(), machine.disk.syncs_beside());
        let node = machine.node.as_mut().expect("a running machine has a process");
        let cluster = node.state().cluster_id();
        let stop = machine.stops_in_turn.take_if(|_| news.requests);
        let (disk, waited) = (machine.disk.clone(), machine.disk.waited());
        let stop_at = self.rng.between(2, 6);
        let (clock, shown) = (machine.clock.clone(), machine.readings.clone());
        let holds_lease = machine.holds_lease(self.now);
        let node = machine.node.as_mut().expect("a running machine has a process");
        let mut course = Course { clock, shown, disk, waited, at: self.now, readings: 0, stop, stop_at };
        let result = node.turn(&mut || course.read());
        self.stats.steps_back_seen += course.shown.seen - machine.readings.seen;
        machine.readings = course.shown.clone();
        let (syncs, beside) = (machine.disk.syncs() - syncs, machine.disk.syncs_beside() - beside);
        // Whoever gives up a cluster that had no leader keeps what it knew of it, in a file of its own.
        let most = 1 + u64::from(node.state().cluster_id() != cluster);
        assert!(syncs <= most, "a turn has one durable operation");
        assert!(beside <= 1, "a turn waits for one sync of another file");
        self.stats.turns += 1;
        let turned = match result {
            Ok(turned) => turned,
            Err(fatal) => {
                note!("ends: {fatal}");
                return self.process_ended(index, false);
            }
        };
        if machine.disk.is_dead() {
            note!("dies in a save");
            return self.process_ended(index, false);
        }
        if let Some(stop) = stop {
            let place = if course.stop.is_none() { "among its clients" } else { "after them" };
            note!("stands still for {stop} us {place}");
            self.stats.stops_in_turns += 1;
            self.stats.stops_among_clients += u64::from(course.stop.is_none());
        }
        self.stats.stalled_syncs += u64::from(stall > 0 && syncs + beside > 0);
        self.stats.leases_outwaited += u64::from(course.disk.waited() > waited && holds_lease && !machine.holds_lease(course.now()));
        machine.ahead_until = course.now();
        let cost = Machine::turn_cost(syncs + beside, &mut self.rng) + beside * stall;
        machine.busy_until = course.now() + cost + course.stop.unwrap_or(0);
        machine.turned = Some(turned);
        machine.idles = !news.any && syncs + beside == 0;
        self.queue.push(machine.busy_until, Event::Flush(index));
        self.wake_all(news.wakes);
        self.checks.after_turn(&self.machines, index, course.now(), &mut self.stats);
        self.checks.watch_ending(&self.machines, &self.net, index);
    }

    /// A turn is done, if its process is still there and runs: what it has to say leaves.
    pub fn end_turn(&mut self, index: usize) {
        let machine = &mut self.machines[index];
        if !machine.is_running() || machine.busy_until > self.now {
            return;
        }
        let Some(turned) = machine.turned.take() else { return };
        trace::at(self.now, format_args!("m{index}"));
        let sent = self.flush(index, &turned);
        let exit = self.act(index, &turned);
        self.count_idle(index, sent);
        if exit {
            return self.process_ended(index, true);
        }
        let deadline = self.machines[index].node.as_ref().map_or(0, |node| node.deadline());
        self.schedule(index, deadline);
    }

    /// A node that has nothing to do waits for its deadline.
    fn count_idle(&mut self, index: usize, sent: bool) {
        let machine = &mut self.machines[index];
        if sent || !machine.idles || self.now > machine.idle_since + SECOND {
            (machine.idle_turns, machine.idle_since) = (0, self.now);
        }
        machine.idle_turns += 1;
        assert!(machine.idle_turns <= MAX_IDLE_TURNS, "a node with nothing to do sleeps");
    }

    /// Hands the node's bytes to the network; what a message promises is compared with the disk first.
    fn flush(&mut self, index: usize, turned: &Turned) -> bool {
        let mut sent = false;
        while let Some(id) = self.machines[index].node.as_mut().and_then(|node| node.next_dirty(turned)) {
            sent |= self.flush_one(index, turned, id);
        }
        let full: Vec<ConnId> = self.machines[index].sockets.iter().filter(|socket| socket.full).filter_map(|socket| socket.id).collect();
        full.into_iter().for_each(|id| sent |= self.flush_one(index, turned, id));
        sent
    }

    fn flush_one(&mut self, index: usize, turned: &Turned, id: ConnId) -> bool {
        let machine = &mut self.machines[index];
        let Some(socket) = machine.sockets.iter_mut().find(|socket| socket.id == Some(id)) else { return false };
        let (conn, side) = (socket.conn, socket.side);
        socket.full = !socket.up || !self.net.has_room(conn, side);
        if socket.full {
            return false;
        }
        let Some(node) = &mut machine.node else { return false };
        let Some(transmit) = node.transmit_buffer(turned, id, machine.readings.read(&machine.clock, self.now)) else { return false };
        let mut bytes = Vec::new();
        transmit.drain(|piece| bytes.extend_from_slice(&piece));
        node.flushed(id, bytes.len());
        if bytes.is_empty() {
            return false;
        }
        let is_bus = hosts::is_bus(self.net.conn(conn).to.port());
        if is_bus {
            self.checks.sent(&self.machines, index, (conn, side), &bytes, &mut self.stats);
        } else if matches!(self.net.owner(conn, DIALLER), Some(Owner::Client(_))) {
            self.answers_leave(index, conn, &bytes);
        } else {
            self.count_syncs(self.net.owner(conn, DIALLER), &bytes);
        }
        let woken = self.net.send(conn, side, &bytes, self.now);
        self.wake_all(woken);
        true
    }

    /// What a primary tells a replica.
    fn count_syncs(&mut self, replica: Option<Owner>, bytes: &[u8]) {
        let continued = u64::from(has(bytes, b"+CONTINUE "));
        self.stats.full_syncs += u64::from(has(bytes, b"+FULLRESYNC "));
        self.stats.partial_syncs += continued;
        let Some(Owner::Machine(replica)) = replica else { return };
        let is_by_file = self.machines[replica].node.as_ref().is_some_and(|node| !node.is_in_sync());
        self.stats.files_continued += if is_by_file { continued } else { 0 };
    }

    /// Does what the node asks of its kernel. Returns whether it asks to end.
    fn act(&mut self, index: usize, turned: &Turned) -> bool {
        let mut exit = false;
        while let Some(action) = self.machines[index].node.as_mut().and_then(|node| node.next_action(turned)) {
            match action {
                Action::Dial { conn: id, socket, .. } => {
                    note!("dials {socket}");
                    let conn = self.dial(Owner::Machine(index), socket, self.now);
                    self.machines[index].sockets.push(Socket { conn, side: DIALLER, id: Some(id), up: false, full: false });
                }
                Action::Close { conn: id, how } => self.close(index, id, how),
                Action::Exit(_) => exit = true,
            }
        }
        exit
    }

    fn close(&mut self, index: usize, id: ConnId, how: Closing) {
        let sockets = &mut self.machines[index].sockets;
        let Some(at) = sockets.iter().position(|socket| socket.id == Some(id)) else { return };
        let socket = sockets.remove(at);
        note!("closes conn {}: {how:?}", socket.conn);
        let is_said = match how {
            Closing::Saying(word) if self.net.has_room(socket.conn, socket.side) => {
                let woken = self.net.send(socket.conn, socket.side, word, self.now);
                self.wake_all(woken);
                true
            }
            how => how == Closing::InOrder,
        };
        let told = if is_said {
            self.net.close_unread(socket.conn, socket.side, self.now)
        } else {
            self.net.close(socket.conn, socket.side, self.now, Closed::Error)
        };
        self.wake_all(told);
    }

    /// The process sleeps until its deadline, or until something comes; what it would not take yet is offered again a little later.
    fn schedule(&mut self, index: usize, deadline: Millis) {
        let machine = &self.machines[index];
        let news = machine.sockets.iter().filter_map(|socket| self.net.next_news(socket.conn, socket.side, !socket.up)).min();
        let again = self.now + MILLI;
        let at = machine.clock.when(deadline).min(self.now + LONGEST_SLEEP);
        self.wake(Owner::Machine(index), at);
        if let Some(news) = news {
            self.wake(Owner::Machine(index), if news <= self.now { again } else { news });
        }
    }

    /// The process is gone. After an error of its disk that was to be a loss of power, the power goes as well.
    fn process_ended(&mut self, index: usize, orderly: bool) {
        if orderly {
            self.stats.ends_judged += u64::from(self.checks.ends_in_order(&self.machines, index, self.now));
        }
        if orderly && self.machines[index].last_words == Some(true) {
            self.checks.ended_whole(&self.machines[index]);
        }
        let machine = &mut self.machines[index];
        if machine.dies_in_write && !orderly {
            self.lose_power(index);
        } else {
            let wakes = machine.end_process(&mut self.net, self.now);
            self.wake_all(wakes);
            self.stats.exits += 1;
        }
        let at = self.now + self.rng.between(50 * MILLI, 4 * SECOND);
        self.queue.push(at, Event::Start(index));
    }

    /// The power of a machine's host fails now. The others on it are started again some time later.
    pub fn lose_power(&mut self, index: usize) {
        self.net.hosts.set_powered(index, false);
        self.lose_memory(index);
        for fellow in self.net.hosts.fellows(index) {
            if self.machines[fellow].node.is_some() {
                self.lose_memory(fellow);
                self.restart_later(fellow);
            }
        }
    }

    /// What a power cut does to one machine.
    fn lose_memory(&mut self, index: usize) {
        let report = self.machines[index].lose_power(&mut self.net, &mut self.rng);
        note!("m{index} loses power: {report:?}");
        self.stats.power_cuts += 1;
        self.stats.torn_writes += report.torn_files as u64;
        self.stats.lost_writes += report.lost_files as u64;
        self.stats.lost_renames += report.lost_names as u64;
    }

    /// A machine of a host that goes on loses its power.
    pub fn lose_power_alone(&mut self, index: usize) {
        if self.net.hosts.fellows(index).is_empty() {
            return self.lose_power(index);
        }
        let wakes = self.machines[index].end_process(&mut self.net, self.now);
        self.wake_all(wakes);
        self.lose_memory(index);
    }
}

fn has(bytes: &[u8], words: &[u8]) -> bool {
    bytes.windows(words.len()).any(|window| window == words)
}
