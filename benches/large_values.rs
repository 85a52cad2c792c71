//! The longest turns of a node (CPU time of its thread) while large values are written, saved, given to a replica, read, changed during all
//! of it, and removed.
//! `cargo bench --bench large_values`

use pontoon::config::Config;
use pontoon::node::{Accepted, Node, Port, Turned};
use pontoon::store::MemoryDisk;
use pontoon::types::{ConnId, Now};
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

const FIELDS: usize = 1_000_000;
const STRING: usize = 100 << 20;
/// What the shell reads and writes at once.
const READ: usize = 64 << 10;
const WRITTEN: usize = 1 << 20;

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

struct Bench {
    node: Node<MemoryDisk>,
    /// The last turn; none before the first.
    turned: Option<Turned>,
    now: Now,
    longest: Duration,
    turns: usize,
}

impl Bench {
    fn connect(&mut self) -> ConnId {
        let place = "127.0.0.1:1".parse().expect("it is an address");
        let Accepted::Session(conn) = self.node.accepted(Port::Client, place, place) else { panic!("there is room") };
        conn
    }

    fn turn(&mut self) {
        self.now = Now { mono: self.now.mono + 1, wall: self.now.wall + 1 };
        let (before, now) = (cpu(), self.now);
        self.turned = Some(self.node.turn(&mut || now).expect("its disk is good"));
        self.longest = self.longest.max(cpu() - before);
        self.turns += 1;
    }

    /// Says this, as the shell would bring it.
    fn say(&mut self, conn: ConnId, bytes: &[u8]) {
        for piece in bytes.chunks(READ) {
            let buffer = self.node.receive_buffer(conn).expect("the client is there");
            buffer.extend_from_slice(piece);
            self.node.received(conn, piece.len());
            self.turn();
        }
    }

    /// Takes what is to be sent to a client; how many bytes, and the last of them.
    fn take(&mut self, conn: ConnId) -> (usize, Vec<u8>) {
        let now = self.now;
        let turned = self.turned.as_ref().expect("a turn has made it");
        let transmit = self.node.transmit_buffer(turned, conn, now).expect("the client is there");
        let taken = transmit.as_slice()[..transmit.len().min(WRITTEN)].to_vec();
        transmit.advance(taken.len());
        self.node.flushed(conn, taken.len());
        (taken.len(), taken)
    }

    fn ask(&mut self, conn: ConnId, request: &str) -> String {
        self.say(conn, request.as_bytes());
        self.say(conn, b"\r\n");
        for _ in 0..1000 {
            let (count, reply) = self.take(conn);
            if count > 0 {
                return String::from_utf8_lossy(&reply).into_owned();
            }
            self.turn();
        }
        panic!("no answer to {request}");
    }

    fn phase(&mut self, name: &str) {
        println!("{name:<60} {:>7} turns, the longest {:?}", self.turns, self.longest);
        (self.longest, self.turns) = (Duration::ZERO, 0);
    }
}

fn main() {
    let now = Now { mono: 1, wall: 1_700_000_000_000 };
    let node = Node::start(Config::shipped(), MemoryDisk::new().process(), 1, now).expect("the disk is empty");
    let mut bench = Bench { node, turned: None, now, longest: Duration::ZERO, turns: 0 };
    let client = bench.connect();
    while bench.ask(client, "CLUSTER ADDSLOTSRANGE 0 16383") != "+OK\r\n" {}
    while bench.ask(client, "SET a 1") != "+OK\r\n" {}
    bench.phase("start");
    hash(&mut bench, client);
    string(&mut bench, client);
}

fn hash(bench: &mut Bench, client: ConnId) {
    for first in (0..FIELDS).step_by(100) {
        let pairs: Vec<String> = (first..first + 100).map(|field| format!("field:{field:08} value:{field}")).collect();
        bench.ask(client, &format!("HSET hash {}", pairs.join(" ")));
    }
    bench.phase("a hash of a million fields is written");
    let (replica, reader) = (bench.connect(), bench.connect());
    bench.say(replica, b"REPLCONF capa eof\r\nPSYNC ? -1\r\n");
    bench.ask(client, "BGSAVE");
    bench.say(reader, b"HGETALL hash\r\n");
    let (mut field, mut sent, mut read) = (0, 0, 0);
    loop {
        field = (field + 7919) % FIELDS;
        bench.ask(client, &format!("HSET hash field:{field:08} changed"));
        let more = (bench.take(replica).0, bench.take(reader).0);
        (sent, read) = (sent + more.0, read + more.1);
        if more.1 == 0 && bench.ask(client, "INFO persistence").contains("rdb_bgsave_in_progress:0") {
            break;
        }
    }
    println!("{sent} bytes to the replica, {read} to the reader");
    bench.phase("it is saved, given to a replica, read, and changed meanwhile");
    bench.ask(client, "DEL hash");
    (0..2000).for_each(|_| bench.turn());
    bench.phase("it is removed");
}

fn string(bench: &mut Bench, client: ConnId) {
    let reader = bench.connect();
    bench.say(client, format!("*3\r\n$3\r\nSET\r\n$6\r\nstring\r\n${STRING}\r\n").as_bytes());
    let piece = vec![b'x'; 1 << 20];
    (0..STRING >> 20).for_each(|_| bench.say(client, &piece));
    bench.ask(client, "");
    bench.phase("a string of 100 MiB is written");
    bench.ask(client, "BGSAVE");
    while !bench.ask(client, "INFO persistence").contains("rdb_bgsave_in_progress:0") {}
    bench.phase("it is saved");
    bench.say(reader, b"GET string\r\n");
    let mut read = 0;
    while read < STRING {
        bench.turn();
        read += bench.take(reader).0;
    }
    bench.phase("it is read");
    bench.ask(client, "BGSAVE");
    bench.ask(client, "APPEND string x");
    bench.phase("it is appended to while it is saved");
    while !bench.ask(client, "INFO persistence").contains("rdb_bgsave_in_progress:0") {}
    bench.ask(client, "DEL string");
    (0..2000).for_each(|_| bench.turn());
    bench.phase("it is removed");
}
