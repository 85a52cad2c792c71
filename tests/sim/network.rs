//! The network between hosts: connections as two byte streams, delayed, cut, reset, half open.
//!
//! Owns: what is under way and when it arrives. Within one direction of one connection bytes keep their order and are never lost
//! alone (TCP); they are lost with their connection, and overtake each other only across connections.

use crate::sim::hosts::{Hosts, Place};
use crate::sim::queue::{MILLI, Micros, SECOND};
use pontoon::node::Closed;
use pontoon::rng::Rng;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Who holds one end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// A machine's process.
    Machine(usize),
    /// A simulated client; they are never cut off.
    Client(usize),
    /// Somebody who says to nodes what no node says; never cut off.
    Stranger,
}

/// The end that dialled.
pub const DIALLER: usize = 0;
/// The end that listened.
pub const LISTENER: usize = 1;
/// More than this under way in one direction: the sender's socket is full.
const WINDOW: usize = 256 * 1024;
/// What one packet holds everywhere, about: a snapshot is longer, an AE seldom.
const PACKET: usize = 576;

struct Chunk {
    at: Micros,
    bytes: Vec<u8>,
}

struct End {
    owner: Option<Owner>,
    /// Closed here, or its process is gone.
    gone: bool,
    /// What its process will be told, and when.
    told: Option<(Micros, Closed)>,
    /// Bytes on their way to this end.
    inbound: VecDeque<Chunk>,
    inbound_bytes: usize,
    /// When the last of them arrives; later ones arrive no earlier.
    last_at: Micros,
}

/// A connection, from the first packet on.
pub struct Conn {
    /// Where it was dialled to.
    pub to: SocketAddr,
    /// The dialler's address.
    pub from: IpAddr,
    /// When the dialler hears that it is up.
    pub up_at: Option<Micros>,
    /// How often the first packet was sent.
    pub attempts: u32,
    /// Nothing that is sent now gets through: what was sent before was lost.
    broken: bool,
    /// This end's host has lost the address that the connection is with; another host has it.
    strayed: Option<Strayed>,
    ends: [End; 2],
}

/// An address that went from one end of a connection to another host.
#[derive(Clone, Copy)]
struct Strayed {
    side: usize,
    to: usize,
}

/// How long things take; drawn once a run.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Least delay.
    pub base: Micros,
    /// Added at random.
    pub jitter: Micros,
    /// One chunk in so many is late.
    pub late_one_in: u64,
    /// By up to this much.
    pub late: Micros,
    /// One write in so many that takes more than one packet is held up for seconds, as where big packets get lost; 0: none.
    pub big_stall_one_in: u64,
}

/// The best there is: nothing is late.
pub const CALM: Weather = Weather { base: 30, jitter: 300, late_one_in: u64::MAX, late: 1, big_stall_one_in: 0 };

/// Every connection of a run.
pub struct Network {
    conns: Vec<Conn>,
    rng: Rng,
    weather: Weather,
    /// `cuts[a][b]`: how many cuts hold back what `a` sends to `b`.
    cuts: Vec<Vec<u32>>,
    /// Added to what goes from the first machine to the second.
    slow: Vec<Vec<Micros>>,
    /// Where the machines are.
    pub hosts: Hosts,
}

impl Network {
    /// A network of so many machines.
    pub fn new(machines: usize, weather: Weather, mut rng: Rng) -> Self {
        let grid = || vec![vec![0; machines]; machines];
        let slow = vec![vec![0; machines]; machines];
        let hosts = Hosts::draw(machines, &mut rng);
        Self { conns: Vec::new(), rng, weather, cuts: grid(), slow, hosts }
    }

    /// The address that a dialler's packets to `to` come from.
    fn source(&self, owner: Owner, to: IpAddr) -> IpAddr {
        match owner {
            Owner::Machine(index) => self.hosts.source(index, to),
            Owner::Client(index) => IpAddr::V4(Ipv4Addr::new(10, 0, 1, index as u8 + 1)),
            Owner::Stranger => IpAddr::V4(Ipv4Addr::new(10, 0, 2, 1)),
        }
    }

    /// Where a connection's first packet arrives now. Nowhere if its dialler has no longer the address that the answer would go to.
    pub fn place_of(&self, conn: usize) -> Place {
        let Conn { to, from, .. } = self.conns[conn];
        let dialler = match self.conns[conn].ends[DIALLER].owner {
            Some(Owner::Machine(machine)) if !self.hosts.has(machine, from) => return Place::Nowhere,
            Some(Owner::Machine(machine)) => Some(machine),
            _ => None,
        };
        self.hosts.place(dialler, to)
    }

    /// Begins a connection; [`crate::sim::world::World`] sends its first packet.
    pub fn dial(&mut self, owner: Owner, to: SocketAddr) -> usize {
        let end = |owner| End { owner, gone: false, told: None, inbound: VecDeque::new(), inbound_bytes: 0, last_at: 0 };
        let from = self.source(owner, to.ip());
        self.conns.push(Conn { to, from, up_at: None, attempts: 0, broken: false, strayed: None, ends: [end(Some(owner)), end(None)] });
        self.conns.len() - 1
    }

    /// The connection.
    pub fn conn(&mut self, conn: usize) -> &mut Conn {
        &mut self.conns[conn]
    }

    /// The listening kernel took it: from now on it has two ends. Returns when the dialler hears of it.
    pub fn accept(&mut self, conn: usize, listener: Owner, now: Micros) -> Micros {
        let dialler = self.conns[conn].ends[DIALLER].owner;
        let up_at = now + self.delay(Some(listener), dialler);
        self.conns[conn].ends[LISTENER].owner = Some(listener);
        self.conns[conn].up_at = Some(up_at);
        up_at
    }

    /// Who holds this end.
    pub fn owner(&self, conn: usize, side: usize) -> Option<Owner> {
        self.conns[conn].ends[side].owner
    }

    /// Whether this end was closed or abandoned.
    pub fn is_gone(&self, conn: usize, side: usize) -> bool {
        self.conns[conn].ends[side].gone
    }

    /// Whether what `from` sends does not reach `to` now.
    pub fn is_cut(&self, from: Option<Owner>, to: Option<Owner>) -> bool {
        match (from, to) {
            (Some(Owner::Machine(from)), Some(Owner::Machine(to))) => self.cuts[from][to] > 0 && !self.hosts.share(from, to),
            _ => false,
        }
    }

    /// How long a packet takes now.
    pub fn delay(&mut self, from: Option<Owner>, to: Option<Owner>) -> Micros {
        let Weather { base, jitter, late_one_in, late, .. } = self.weather;
        let slow = match (from, to) {
            (Some(Owner::Machine(from)), Some(Owner::Machine(to))) if self.hosts.share(from, to) => return self.rng.between(10, 60),
            (Some(Owner::Machine(from)), Some(Owner::Machine(to))) => self.slow[from][to],
            _ => 0,
        };
        let lateness = if self.rng.one_in(late_one_in) { self.rng.below(late) } else { 0 };
        base + slow + lateness + self.rng.below(jitter)
    }

    /// Whether this end's socket takes more bytes.
    pub fn has_room(&self, conn: usize, side: usize) -> bool {
        self.conns[conn].ends[1 - side].inbound_bytes < WINDOW
    }

    /// Sends bytes from this end, leaving at `at`. Returns whom to wake and when.
    pub fn send(&mut self, conn: usize, side: usize, bytes: &[u8], at: Micros) -> Option<(Owner, Micros)> {
        let (from, to) = (self.owner(conn, side), self.owner(conn, 1 - side));
        if let Some(strayed) = self.conns[conn].strayed {
            return if strayed.side == side { None } else { self.answer_for_another(conn, side, strayed.to, at) };
        }
        if self.conns[conn].ends[1 - side].gone {
            return self.answer_by_reset(conn, side, at);
        }
        if self.conns[conn].broken {
            return None;
        }
        // A stream has no frames: some of what was written at once arrives in two pieces.
        let first = if self.rng.one_in(16) { self.rng.below(bytes.len() as u64) as usize } else { bytes.len() };
        let mut arrival = at + self.delay(from, to);
        let big_stall = self.weather.big_stall_one_in;
        if bytes.len() > PACKET && big_stall > 0 && self.rng.one_in(big_stall) {
            arrival += self.rng.below(8 * SECOND);
        }
        for piece in [&bytes[..first], &bytes[first..]] {
            if piece.is_empty() {
                continue;
            }
            let end = &mut self.conns[conn].ends[1 - side];
            arrival = arrival.max(end.last_at);
            end.last_at = arrival;
            end.inbound_bytes += piece.len();
            end.inbound.push_back(Chunk { at: arrival, bytes: piece.to_vec() });
            arrival += self.rng.below(2 * MILLI);
        }
        to.map(|to| (to, self.conns[conn].ends[1 - side].last_at))
    }

    fn answer_by_reset(&mut self, conn: usize, side: usize, at: Micros) -> Option<(Owner, Micros)> {
        let (me, other) = (self.owner(conn, side), self.owner(conn, 1 - side));
        let on = matches!(other, Some(Owner::Machine(machine)) if self.hosts.is_powered(machine));
        if !on || self.is_cut(me, other) || self.is_cut(other, me) {
            return None;
        }
        let told_at = at + self.delay(me, other) + self.delay(other, me);
        self.tell(conn, side, told_at, Closed::Error)
    }

    /// A packet of a connection arrives at a host that has the other end's address, and knows of no such connection.
    fn answer_for_another(&mut self, conn: usize, side: usize, host: usize, at: Micros) -> Option<(Owner, Micros)> {
        let (me, there) = (self.owner(conn, side), self.hosts.on(host).next().map(Owner::Machine));
        if !self.hosts.is_host_powered(host) || self.is_cut(me, there) || self.is_cut(there, me) {
            return None;
        }
        let told_at = at + self.delay(me, there) + self.delay(there, me);
        self.tell(conn, side, told_at, Closed::Error)
    }

    /// A machine's host has lent this address: what others send to its ends of connections with it goes to the other host, and what it
    /// sends from there goes nowhere.
    pub fn stray(&mut self, machine: usize, ip: IpAddr, to: usize) {
        for conn in 0..self.conns.len() {
            let is_far = |owner: Option<Owner>| !matches!(owner, Some(Owner::Machine(other)) if self.hosts.share(machine, other));
            let [dialler, listener] = [DIALLER, LISTENER].map(|side| self.owner(conn, side));
            let Conn { from, to: dialled, .. } = self.conns[conn];
            let side = match () {
                () if from == ip && !is_far(dialler) && is_far(listener) => DIALLER,
                () if dialled.ip() == ip && listener.is_some() && !is_far(listener) && is_far(dialler) => LISTENER,
                () => continue,
            };
            self.conns[conn].strayed = Some(Strayed { side, to });
            let end = &mut self.conns[conn].ends[side];
            (end.inbound, end.inbound_bytes) = (VecDeque::new(), 0);
        }
    }

    /// An address is where it was: what is left of connections that have strayed is reset.
    pub fn end_strays(&mut self, ip: IpAddr, now: Micros, within: Micros) -> Vec<(Owner, Micros)> {
        let is_of = |conn: &Conn| conn.strayed.is_some() && (conn.from == ip || conn.to.ip() == ip);
        let strayed: Vec<usize> = (0..self.conns.len()).filter(|conn| is_of(&self.conns[*conn])).collect();
        let mut wakes = Vec::new();
        for conn in strayed {
            self.conns[conn].strayed = None;
            self.conns[conn].broken = true;
            for side in [DIALLER, LISTENER] {
                let at = now + self.rng.below(within);
                wakes.extend(self.tell(conn, side, at, Closed::Error));
            }
        }
        wakes
    }

    /// A host has this address no more, not for itself either: nothing gets through by it, and connections with it are reset.
    pub fn end_at(&mut self, ip: IpAddr, now: Micros, within: Micros) -> Vec<(Owner, Micros)> {
        let mut wakes = Vec::new();
        for conn in 0..self.conns.len() {
            let Conn { from, to, .. } = self.conns[conn];
            let is_lost = |(owner, own): (Option<Owner>, IpAddr)| {
                own == ip && matches!(owner, Some(Owner::Machine(index)) if !self.hosts.has(index, ip))
            };
            let sides = [(self.owner(conn, DIALLER), from), (self.owner(conn, LISTENER), to.ip())];
            if self.conns[conn].strayed.is_some() || !sides.into_iter().any(is_lost) {
                continue;
            }
            self.conns[conn].broken = true;
            for side in [DIALLER, LISTENER] {
                let end = &mut self.conns[conn].ends[side];
                (end.inbound, end.inbound_bytes) = (VecDeque::new(), 0);
                let at = now + self.rng.below(within);
                wakes.extend(self.tell(conn, side, at, Closed::Error));
            }
        }
        wakes
    }

    /// The process at this end will hear that the connection is over, unless it hears so before.
    pub fn tell(&mut self, conn: usize, side: usize, at: Micros, why: Closed) -> Option<(Owner, Micros)> {
        let end = &mut self.conns[conn].ends[side];
        if end.gone || end.told.is_some_and(|(earlier, _)| earlier <= at) {
            return None;
        }
        end.told = Some((at, why));
        end.owner.map(|owner| (owner, at))
    }

    /// The next bytes for this end that have arrived.
    pub fn take(&mut self, conn: usize, side: usize, now: Micros) -> Option<Vec<u8>> {
        if self.is_cut(self.owner(conn, 1 - side), self.owner(conn, side)) {
            return None;
        }
        let end = &mut self.conns[conn].ends[side];
        if end.inbound.front()?.at > now {
            return None;
        }
        let chunk = end.inbound.pop_front()?;
        end.inbound_bytes -= chunk.bytes.len();
        Some(chunk.bytes)
    }

    /// When there is something for this end's process: bytes, an end, or, to a dialler that waits for it, the beginning.
    pub fn next_news(&self, conn: usize, side: usize, waits: bool) -> Option<Micros> {
        let is_cut = self.is_cut(self.owner(conn, 1 - side), self.owner(conn, side));
        let end = &self.conns[conn].ends[side];
        let bytes = self.next_bytes(conn, side);
        let told = end.told.filter(|(_, why)| *why != Closed::Eof || (end.inbound.is_empty() && !is_cut)).map(|(at, _)| at);
        let up = self.conns[conn].up_at.filter(|_| waits);
        [bytes, told, up].into_iter().flatten().min()
    }

    /// What this end hears about the connection's end by now; an orderly one only after all bytes.
    pub fn ending(&self, conn: usize, side: usize, now: Micros) -> Option<Closed> {
        let end = &self.conns[conn].ends[side];
        let (at, why) = end.told?;
        let held = why == Closed::Eof && (!end.inbound.is_empty() || self.is_cut(self.owner(conn, 1 - side), self.owner(conn, side)));
        (at <= now && !held).then_some(why)
    }

    /// This end is closed by its process at `at`.
    pub fn close(&mut self, conn: usize, side: usize, at: Micros, why: Closed) -> Option<(Owner, Micros)> {
        self.abandon(conn, side);
        // Its last packet gets to nobody who knows the connection.
        if self.conns[conn].strayed.is_some() {
            return None;
        }
        let (from, to) = (self.owner(conn, side), self.owner(conn, 1 - side));
        let arrival = (at + self.delay(from, to)).max(self.conns[conn].ends[1 - side].last_at);
        self.tell(conn, 1 - side, arrival, why)
    }

    /// The kernel closes this end, for its process or because that is gone: in order, or by a reset where bytes were never read. A reset is
    /// sent once; where it does not get through, the other end hears of it when it sends.
    pub fn close_unread(&mut self, conn: usize, side: usize, now: Micros) -> Option<(Owner, Micros)> {
        if self.next_bytes(conn, side).is_none_or(|at| at > now) {
            return self.close(conn, side, now, Closed::Eof);
        }
        let is_cut = self.is_cut(self.owner(conn, side), self.owner(conn, 1 - side));
        if is_cut {
            self.abandon(conn, side);
            return None;
        }
        self.close(conn, side, now, Closed::Error)
    }

    /// When the next bytes for this end arrive, if they are not held back.
    fn next_bytes(&self, conn: usize, side: usize) -> Option<Micros> {
        let is_cut = self.is_cut(self.owner(conn, 1 - side), self.owner(conn, side));
        self.conns[conn].ends[side].inbound.front().map(|chunk| chunk.at).filter(|_| !is_cut)
    }

    /// This end is gone and nobody is told: its machine lost power.
    pub fn abandon(&mut self, conn: usize, side: usize) {
        let end = &mut self.conns[conn].ends[side];
        end.gone = true;
        end.inbound.clear();
        end.inbound_bytes = 0;
    }

    /// The connection breaks: what is under way is lost, both ends hear of it, each at its own time.
    pub fn reset(&mut self, conn: usize, now: Micros) -> [Option<(Owner, Micros)>; 2] {
        self.conns[conn].broken = true;
        [DIALLER, LISTENER].map(|side| {
            let end = &mut self.conns[conn].ends[side];
            end.inbound.clear();
            end.inbound_bytes = 0;
            let at = now + self.rng.below(SECOND);
            self.tell(conn, side, at, Closed::Error)
        })
    }

    /// Packets of this connection are lost and sent again ever later: what is under way, and what follows, arrives no earlier than `until`.
    /// Other connections of the same pair go on, so that what was said on it is stale when it comes.
    pub fn stall(&mut self, conn: usize, until: Micros) -> [Option<(Owner, Micros)>; 2] {
        [DIALLER, LISTENER].map(|side| {
            let end = &mut self.conns[conn].ends[side];
            end.inbound.iter_mut().for_each(|chunk| chunk.at = chunk.at.max(until));
            end.last_at = end.last_at.max(until);
            end.owner.map(|owner| (owner, until))
        })
    }

    /// Holds back what the first machine sends to the second (`true`), or lets it go.
    pub fn cut(&mut self, from: usize, to: usize, holds: bool) {
        let count = &mut self.cuts[from][to];
        *count = if holds { *count + 1 } else { count.saturating_sub(1) };
    }

    /// Delays what the first machine sends to the second by this much more.
    pub fn set_slow(&mut self, from: usize, to: usize, by: Micros) {
        self.slow[from][to] = by;
    }

    /// Lets everything go as fast as it can; what stood still arrives now.
    pub fn heal(&mut self, now: Micros) {
        self.cuts.iter_mut().flatten().for_each(|count| *count = 0);
        self.slow.iter_mut().flatten().for_each(|by| *by = 0);
        self.weather.big_stall_one_in = 0;
        for end in self.conns.iter_mut().flat_map(|conn| &mut conn.ends) {
            end.inbound.iter_mut().for_each(|chunk| chunk.at = chunk.at.min(now));
            end.last_at = end.last_at.min(now);
            end.told = end.told.map(|(at, why)| (at.min(now), why));
        }
    }

    /// The weather changes; what it was.
    pub fn change_weather(&mut self, to: Weather) -> Weather {
        std::mem::replace(&mut self.weather, to)
    }

    /// The connections between two machines that are still alive.
    pub fn between(&self, first: usize, second: usize) -> Vec<usize> {
        let (first, second) = (Some(Owner::Machine(first)), Some(Owner::Machine(second)));
        let pair = |conn: &Conn| (conn.ends[0].owner, conn.ends[1].owner);
        let alive = |conn: &Conn| !conn.ends[0].gone && !conn.ends[1].gone;
        let wanted = |conn: &Conn| alive(conn) && (pair(conn) == (first, second) || pair(conn) == (second, first));
        (0..self.conns.len()).filter(|&conn| wanted(&self.conns[conn])).collect()
    }

    /// The connections whose other end still believes in a process that vanished with its host.
    pub fn half_open(&self, host: usize) -> Vec<(usize, usize)> {
        let was_here = |owner: Option<Owner>| matches!(owner, Some(Owner::Machine(machine)) if self.hosts.of(machine) == host);
        let lost = |conn: &Conn, side: usize| conn.ends[side].gone && was_here(conn.ends[side].owner) && !conn.ends[1 - side].gone;
        let sides = |conn: usize| [DIALLER, LISTENER].map(|side| (conn, side));
        (0..self.conns.len())
            .flat_map(sides)
            .filter(|&(conn, side)| lost(&self.conns[conn], side))
            .map(|(conn, side)| (conn, 1 - side))
            .collect()
    }
}
