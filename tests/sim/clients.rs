//! Simulated clients: real requests over simulated connections, one at a time each, and what became of them.
//!
//! Owns: connections, waiting, giving up. What is asked is drawn in [`crate::sim::workload`].

use crate::sim::checks::custody::Floor;
use crate::sim::checks::promised_changes::{Answer, Asked};
use crate::sim::network::{DIALLER, LISTENER, Owner};
use crate::sim::queue::{MILLI, Micros, SECOND};
use crate::sim::resp::{self, Reply};
use crate::sim::trace::{self, note};
use crate::sim::world::World;
use crate::sim::writers::KEYS;
use pontoon::rng::Rng;
use pontoon::types::{NodeId, Slot};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A client that has waited for so long gives up and closes its connection.
const PATIENCE: Micros = 20 * SECOND;
/// One that only reads looks elsewhere soon: it sees what goes on while others wait for a node that stands still.
const READERS_PATIENCE: Micros = 500 * MILLI;

/// So many bytes of a word or value stand in the trace.
const LEGIBLE: usize = 60;

/// How much the clients do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Everything.
    Busy,
    /// Only what brings nodes back that an operator has to bring back.
    Quiet,
    /// Each changes something once more: that must succeed.
    Probe,
    /// An operator tells this machine's node to go on without the other voters.
    Recover(usize),
}

/// What a client is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Changes the owners of eight slots, from this one on.
    Slots(u16),
    /// Writes and reads keys, and looks at the cluster.
    Keys,
    /// Writes and reads keys of its own, whose numbers begin with this one.
    Writer(usize),
    /// Reads the writers' keys.
    Reader,
    /// Makes and unmakes the cluster.
    Operator,
    /// Makes shards of several nodes, and replicas take over.
    Sharder,
    /// Moves one slot after another, as it is told.
    Mover,
    /// Asks what a fault needs, at once.
    Errand,
}

/// What is done with a reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// The slot's owner is to change; how often that node had given up a cluster of its own before.
    Slot(Asked, u64),
    /// A value is read that this client may have written: its numbers are below this.
    Read(u64),
    /// This number is written to one of [`KEYS`](crate::sim::writers::KEYS).
    Write(usize, u64),
    /// As many replicas as the answer says hold this number, or a later one, in this key.
    Wait(usize, u64),
    /// One of these keys is read; what it must hold at least was this when it was asked for.
    Fetch(usize, Floor),
    /// A replica takes over from this primary.
    Succeed(NodeId),
    /// Nothing, but it must not be an error.
    Look,
    /// Whatever comes.
    Any,
}

/// One command.
#[derive(Clone, Debug)]
pub struct Command {
    /// Its words.
    pub words: Vec<String>,
    /// What for.
    pub purpose: Purpose,
}

/// Commands, sent at once, and where they go.
#[derive(Clone, Debug)]
pub struct Request {
    /// The machine.
    pub to: usize,
    /// At least one.
    pub commands: Vec<Command>,
}

impl Request {
    /// A single command.
    pub fn one(to: usize, words: Vec<String>, purpose: Purpose) -> Self {
        Self { to, commands: vec![Command { words, purpose }] }
    }
}

/// A connection to one machine.
struct Line {
    to: usize,
    conn: usize,
    buffer: Vec<u8>,
}

struct Pending {
    conn: usize,
    to: usize,
    /// What is not answered yet.
    purposes: VecDeque<Purpose>,
    /// So many of the answers to these are on their way.
    answers_sent: usize,
    /// The last number that was acknowledged by one of them.
    acknowledged: u64,
    /// Not sent yet: the connection is not up.
    unsent: Option<Vec<u8>>,
    deadline: Micros,
}

/// One client.
pub struct Client {
    /// What it is for.
    pub role: Role,
    lines: Vec<Line>,
    pending: Option<Pending>,
    next_at: Micros,
    wake_at: Option<Micros>,
    /// Its probe came true.
    pub satisfied: bool,
    /// The keys that it wrote for that.
    pub probed: BTreeSet<usize>,
    /// Counts what it wrote.
    pub written: u64,
    /// Where it was sent for a slot.
    pub moved: BTreeMap<Slot, usize>,
    /// What it was told to ask.
    pub orders: VecDeque<Request>,
}

/// All of them.
pub struct Clients {
    /// The clients.
    pub list: Vec<Client>,
    /// How much they do.
    pub mode: Mode,
    /// Chance of what they do.
    pub rng: Rng,
    /// Between two requests of one client, on average.
    gap: Micros,
    /// How the cluster is to form: who meets whom.
    pub meets: Vec<(usize, usize)>,
    /// So many nodes are to own slots, and the others to replicate them; none: everybody may own slots.
    pub primaries: Option<usize>,
    /// Operators remove all keys of a node now and then.
    pub flushes: bool,
    /// They have replicas take over without asking anybody.
    pub takes_over: bool,
    /// Some values are so large that a sync or a save of them takes many turns.
    pub writes_large: bool,
}

impl Clients {
    /// Three that change slots, one for keys, two writers, a reader, two operators, three for errands; where there are to be replicas one
    /// who makes them, and four who move slots.
    pub fn new(machines: usize, mut rng: Rng) -> Self {
        use Role::{Errand, Keys, Mover, Operator, Reader, Sharder, Slots, Writer};
        let primaries = (!rng.one_in(4)).then(|| rng.between(1, 4) as usize);
        let roles =
            [Slots(0), Slots(8), Slots(16), Keys, Writer(0), Writer(KEYS.len() / 2), Reader, Operator, Operator, Errand, Errand, Errand];
        let client = |role| Client {
            role,
            lines: Vec::new(),
            pending: None,
            next_at: 0,
            wake_at: None,
            satisfied: false,
            probed: BTreeSet::new(),
            written: 0,
            moved: BTreeMap::new(),
            orders: VecDeque::new(),
        };
        let sharders = primaries.into_iter().flat_map(|_| [Sharder, Mover, Mover, Mover, Mover]);
        let list = roles.into_iter().chain(sharders).map(client).collect();
        let (flushes, takes_over, writes_large) = (rng.one_in(4), rng.one_in(3), rng.one_in(4));
        let gap = [200 * MILLI, 500 * MILLI, SECOND][rng.below(3) as usize];
        let meets = crate::sim::workload::draw_formation(machines, &mut rng);
        Self { list, mode: Mode::Busy, rng, gap, meets, primaries, flushes, takes_over, writes_large }
    }

    /// Whether this is earlier than the wake-up that the client has in the queue; it is noted then.
    pub fn wants_wake(&mut self, index: usize, at: Micros) -> bool {
        let wake_at = &mut self.list[index].wake_at;
        let earlier = wake_at.is_none_or(|set| at < set);
        if earlier {
            *wake_at = Some(at);
        }
        earlier
    }

    /// Whether every client that changes slots, or writes, has done so once more.
    pub fn all_satisfied(&self) -> bool {
        self.list.iter().all(|client| client.satisfied || !matches!(client.role, Role::Slots(_) | Role::Writer(_)))
    }

    /// Whether nobody waits for an answer.
    pub fn all_idle(&self) -> bool {
        self.list.iter().all(|client| client.pending.is_none())
    }
}

impl World {
    /// The clients begin, or go over to another mode.
    pub fn set_mode(&mut self, mode: Mode) {
        self.clients.mode = mode;
        for index in 0..self.clients.list.len() {
            self.clients.list[index].next_at = self.now + self.clients.rng.below(200 * MILLI);
            self.wake(Owner::Client(index), self.clients.list[index].next_at);
        }
    }

    /// A client's event: it reads, gives up, or asks.
    pub fn wake_client(&mut self, index: usize) {
        if self.clients.list[index].wake_at != Some(self.now) {
            return;
        }
        self.clients.list[index].wake_at = None;
        trace::at(self.now, format_args!("c{index}"));
        self.read_replies(index);
        self.send_pending(index);
        self.give_up(index);
        self.ask(index);
        self.plan_wake(index);
    }

    fn plan_wake(&mut self, index: usize) {
        let client = &self.clients.list[index];
        let at = match &client.pending {
            Some(pending) => pending.deadline,
            None => client.next_at.max(self.now + MILLI),
        };
        self.wake(Owner::Client(index), at);
    }

    fn read_replies(&mut self, index: usize) {
        let mut ended = Vec::new();
        let mut replies = Vec::new();
        for line in &mut self.clients.list[index].lines {
            while let Some(bytes) = self.net.take(line.conn, DIALLER, self.now) {
                line.buffer.extend(bytes);
            }
            while let Some((reply, used)) = resp::read(&line.buffer) {
                line.buffer.drain(..used);
                replies.push((line.conn, reply));
            }
            if self.net.ending(line.conn, DIALLER, self.now).is_some() {
                self.net.abandon(line.conn, DIALLER);
                ended.push(line.conn);
            }
        }
        for (conn, reply) in replies {
            self.replied(index, conn, reply);
        }
        for conn in ended {
            self.clients.list[index].lines.retain(|line| line.conn != conn);
            self.lost(index, conn);
        }
    }

    fn replied(&mut self, index: usize, conn: usize, reply: Reply) {
        note!("reads {}", reply.legible(LEGIBLE));
        let client = &mut self.clients.list[index];
        let pending = client.pending.as_mut().filter(|pending| pending.conn == conn && pending.unsent.is_none());
        let pending = pending.unwrap_or_else(|| panic!("a reply answers a request, but nobody asked for {reply:?}"));
        let to = pending.to;
        let purpose = pending.purposes.pop_front().expect("a request that waits for answers is for something");
        pending.answers_sent -= 1;
        if pending.purposes.is_empty() {
            let often = if matches!(client.role, Role::Writer(_) | Role::Reader) { 8 } else { 1 };
            client.pending = None;
            client.next_at = self.now + if client.orders.is_empty() { self.clients.rng.below(2 * self.clients.gap / often) } else { 0 };
        }
        self.judge(index, to, purpose, &reply);
    }

    /// A node's answers to a client leave; what a client knows counts from this moment, whether or not it gets through.
    pub fn answers_leave(&mut self, index: usize, conn: usize, bytes: &[u8]) {
        let Some(Owner::Client(client)) = self.net.owner(conn, DIALLER) else { return };
        let Some(pending) = self.clients.list[client].pending.as_mut().filter(|pending| pending.conn == conn) else { return };
        let mut rest = bytes;
        while let Some((reply, used)) = resp::read(rest) {
            rest = &rest[used..];
            let purpose = &pending.purposes[pending.answers_sent];
            pending.answers_sent += 1;
            match purpose {
                Purpose::Write(_, number) if reply.is_done() => pending.acknowledged = *number,
                // Nobody took what was to be waited for.
                Purpose::Wait(_, number) if pending.acknowledged != *number => continue,
                _ => {}
            }
            self.checks.answer_leaves(&self.machines, (index, self.now), purpose, &reply, &mut self.stats);
        }
    }

    fn judge(&mut self, index: usize, to: usize, purpose: Purpose, reply: &Reply) {
        match purpose {
            Purpose::Write(key, _) | Purpose::Fetch(key, _) => {
                if reply.is_done() && self.clients.mode == Mode::Probe {
                    self.clients.list[index].probed.insert(key);
                }
                self.follow(index, KEYS[key].slot(), reply);
            }
            Purpose::Wait(..) => {}
            Purpose::Slot(asked, before) => {
                let answer = match reply {
                    // It has another id since: under which one it did what it was asked nobody can say.
                    reply if reply.is_ok() && self.id_of(to) != Some(asked.node) => return self.settle_reborn(index, to, asked, before),
                    reply if reply.is_ok() => Answer::Made,
                    Reply::Error(text) if text.starts_with("TIMEOUT") => Answer::Unknown,
                    Reply::Error(_) => Answer::Refused,
                    other => panic!("a change of slots is answered with OK or an error, not {other:?}"),
                };
                self.settle(index, asked, answer, before);
            }
            Purpose::Read(below) => {
                if let Reply::Bulk(value) = reply {
                    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse::<u64>().ok());
                    assert!(number.is_some_and(|number| number < below), "a value that is read was written before");
                    self.stats.reads += 1;
                }
            }
            Purpose::Look => assert!(!matches!(reply, Reply::Error(_)), "a look at the cluster is no error: {reply:?}"),
            Purpose::Succeed(predecessor) if reply.is_ok() => self.forget_predecessor(predecessor),
            Purpose::Succeed(_) | Purpose::Any => {}
        }
    }

    fn settle_reborn(&mut self, index: usize, to: usize, asked: Asked, before: u64) {
        self.settle(index, asked, Answer::Unknown, before);
        if let Some(node) = self.id_of(to) {
            let target = if asked.target == Some(asked.node) { Some(node) } else { asked.target };
            self.settle(index, Asked { node, target, ..asked }, Answer::Unknown, before);
        }
    }

    fn settle(&mut self, index: usize, asked: Asked, answer: Answer, before: u64) {
        match answer {
            Answer::Made => {
                self.stats.acknowledged += 1;
                self.clients.list[index].satisfied |= self.clients.mode == Mode::Probe;
            }
            Answer::Unknown => self.stats.unanswered += 1,
            Answer::Refused => {}
        }
        self.checks.answered(asked, answer, before);
    }

    /// The connection is over; what was asked on it may have been done.
    fn lost(&mut self, index: usize, conn: usize) {
        let client = &mut self.clients.list[index];
        let Some(pending) = client.pending.take_if(|pending| pending.conn == conn) else { return };
        note!("gives up conn {conn}");
        client.next_at = self.now + self.clients.rng.below(500 * MILLI);
        client.moved.clear();
        for purpose in pending.purposes {
            let Purpose::Slot(asked, before) = purpose else { continue };
            let answer = if pending.unsent.is_some() { Answer::Refused } else { Answer::Unknown };
            self.settle(index, asked, answer, before);
        }
    }

    fn send_pending(&mut self, index: usize) {
        let Some(pending) = &mut self.clients.list[index].pending else { return };
        let (conn, to) = (pending.conn, pending.to);
        if self.net.conn(conn).up_at.is_none_or(|at| at > self.now) {
            return;
        }
        // Somebody else has had its address when the first packet came.
        if self.net.owner(conn, LISTENER).is_some_and(|owner| owner != Owner::Machine(to)) {
            return self.hang_up(index, conn);
        }
        if let Some(bytes) = pending.unsent.take() {
            let woken = self.net.send(pending.conn, DIALLER, &bytes, self.now);
            self.wake_all(woken);
        }
    }

    fn give_up(&mut self, index: usize) {
        let Some(conn) =
            self.clients.list[index].pending.as_ref().filter(|pending| pending.deadline <= self.now).map(|pending| pending.conn)
        else {
            return;
        };
        self.hang_up(index, conn);
    }

    fn hang_up(&mut self, index: usize, conn: usize) {
        self.clients.list[index].lines.retain(|line| line.conn != conn);
        let woken = self.net.close(conn, DIALLER, self.now, pontoon::node::Closed::Eof);
        self.wake_all(woken);
        self.lost(index, conn);
    }

    fn ask(&mut self, index: usize) {
        let client = &self.clients.list[index];
        if client.pending.is_some() || client.next_at > self.now {
            return;
        }
        match self.next_request(index) {
            Some(request) => self.send(index, request),
            None => self.clients.list[index].next_at = self.now + 300 * MILLI,
        }
    }

    /// Somebody asks this at once, unless everybody for that waits for an answer. Returns whether it was asked.
    pub fn have_asked(&mut self, request: Request) -> bool {
        let is_free = |client: &Client| client.role == Role::Errand && client.pending.is_none();
        let Some(index) = self.clients.list.iter().position(is_free) else { return false };
        trace::at(self.now, format_args!("c{index}"));
        self.send(index, request);
        self.plan_wake(index);
        true
    }

    fn send(&mut self, index: usize, request: Request) {
        let Request { to, commands } = request;
        let mut bytes = Vec::new();
        for Command { words, .. } in &commands {
            note!("asks m{to} {:?}", words.iter().map(|word| word.get(..LEGIBLE).unwrap_or(word)).collect::<Vec<_>>());
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            bytes.extend(resp::request(&words));
        }
        let conn = self.line_to(index, to);
        let purposes = commands.into_iter().map(|command| command.purpose).collect();
        let patience = if self.clients.list[index].role == Role::Reader { READERS_PATIENCE } else { PATIENCE };
        let pending = Pending { conn, to, purposes, answers_sent: 0, acknowledged: 0, unsent: Some(bytes), deadline: self.now + patience };
        self.clients.list[index].pending = Some(pending);
        self.send_pending(index);
    }

    fn line_to(&mut self, index: usize, to: usize) -> usize {
        if let Some(line) = self.clients.list[index].lines.iter().find(|line| line.to == to) {
            return line.conn;
        }
        let address = self.client_address(to);
        let conn = self.dial(Owner::Client(index), address, self.now);
        self.clients.list[index].lines.push(Line { to, conn, buffer: Vec::new() });
        conn
    }
}
