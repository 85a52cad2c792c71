//! The longest turns of a node (CPU time of its thread) while large values are written, saved to a real disk, given to a replica, read,
//! changed during all of it, and removed.
//! `cargo bench --bench large_values`

use pontoon::config::Config;
use pontoon::node::{Accepted, Closed, Node, Port, Turned};
use pontoon::store::RealDisk;
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
    node: Node<RealDisk>,
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
        let taken = transmit.as_slice().iter().take(WRITTEN).copied().collect::<Vec<_>>();
        transmit.advance(taken.len());
        self.node.flushed(conn, taken.len());
        (taken.len(), taken)
    }

    /// Takes all that is to be sent to a client, this much at least; how many bytes.
    fn drain(&mut self, conn: ConnId, least: usize) -> usize {
        let mut taken = 0;
        loop {
            let (count, _) = self.take(conn);
            taken += count;
            if count == 0 && taken >= least {
                return taken;
            }
            self.turn();
        }
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

    /// Sends a long string behind these words.
    fn send(&mut self, conn: ConnId, words: &[&str], after: &[&str]) {
        let bulk = |word: &&str| format!("${}\r\n{word}\r\n", word.len());
        let head: String = words.iter().map(bulk).collect();
        self.say(conn, format!("*{}\r\n{head}${STRING}\r\n", words.len() + 1 + after.len()).as_bytes());
        let piece = vec![b'x'; 1 << 20];
        (0..STRING >> 20).for_each(|_| self.say(conn, &piece));
        self.say(conn, format!("\r\n{}", after.iter().map(bulk).collect::<String>()).as_bytes());
    }

    fn save(&mut self, conn: ConnId) {
        self.ask(conn, "BGSAVE");
        self.saved(conn);
    }

    fn saved(&mut self, conn: ConnId) {
        while !self.ask(conn, "INFO persistence").contains("rdb_bgsave_in_progress:0") {}
    }

    fn rest(&mut self) {
        (0..3000).for_each(|_| self.turn());
    }

    fn phase(&mut self, name: &str) {
        println!("{name:<60} {:>7} turns, the longest {:?}", self.turns, self.longest);
        (self.longest, self.turns) = (Duration::ZERO, 0);
    }
}

fn main() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("there is room");
    std::env::set_current_dir(&dir).expect("it has been made");
    let now = Now { mono: 1, wall: 1_700_000_000_000 };
    let node = Node::start(Config::shipped(), RealDisk::new(), 1, now).expect("the disk is empty");
    let mut bench = Bench { node, turned: None, now, longest: Duration::ZERO, turns: 0 };
    let client = bench.connect();
    while bench.ask(client, "CLUSTER ADDSLOTSRANGE 0 16383") != "+OK\r\n" {}
    while bench.ask(client, "SET a 1") != "+OK\r\n" {}
    bench.phase("start");
    string(&mut bench, client);
    hash(&mut bench, client);
}

fn string(bench: &mut Bench, client: ConnId) {
    bench.send(client, &["SET", "string"], &[]);
    bench.drain(client, 5);
    bench.phase("a string of 100 MiB is written");
    bench.save(client);
    bench.phase("it is saved");
    bench.ask(client, "BGSAVE");
    for byte in ["0", "50000000", "100000000"] {
        bench.ask(client, "APPEND string x");
        bench.ask(client, &format!("SETRANGE string {byte} changed"));
    }
    bench.saved(client);
    bench.phase("it is appended to and written into while it is saved");
    for request in ["GET string", "GETRANGE string 0 -1", "MGET string string", "GETSET string 1", "SETRANGE string 200000000 x"] {
        let shrinks = request.starts_with("GETSET");
        bench.say(client, format!("{request}\r\n").as_bytes());
        bench.drain(client, if request.starts_with("SETRANGE") { 5 } else { STRING });
        bench.phase(request);
        if shrinks {
            bench.send(client, &["APPEND", "string"], &[]);
            bench.drain(client, 5);
            bench.phase("APPEND of 100 MiB");
        }
    }
    let replica = bench.connect();
    bench.say(replica, b"REPLCONF capa eof\r\nPSYNC ? -1\r\n");
    bench.drain(replica, 2 * STRING - (10 << 20));
    bench.say(replica, b"REPLCONF ACK 0\r\n");
    bench.phase("it is given to a replica");
    bench.send(client, &["SET", "string"], &["PX", "1000000000"]);
    bench.drain(client, 5);
    bench.phase("it is written while there is a replica");
    bench.ask(client, "APPEND string x");
    bench.ask(client, "SETRANGE string 1000000 x");
    bench.drain(replica, STRING);
    bench.phase("the replica gets it");
    bench.ask(client, "MULTI");
    bench.send(client, &["SET", "string"], &[]);
    bench.drain(client, 5);
    bench.say(client, b"GET string\r\nEXEC\r\n");
    bench.drain(client, STRING);
    bench.drain(replica, STRING);
    bench.phase("MULTI, SET, GET, EXEC");
    bench.ask(client, "PEXPIRE string 1");
    bench.rest();
    bench.phase("it expires");
    bench.send(client, &["SET", "string"], &[]);
    bench.ask(client, "DEL string");
    bench.drain(replica, STRING);
    bench.rest();
    bench.phase("another is written and removed");
    bench.node.disconnected(replica, Closed::Eof);
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
    bench.rest();
    bench.phase("it is removed");
}
