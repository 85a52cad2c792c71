//! What a replica is sent, in which order, and what is kept for it meanwhile.

use super::*;
use crate::keyspace::{Entry, Expiry, key_slot};
use crate::replication::handshake::{Handshake, Heard};
use crate::replication::rdb::Loader;
use crate::replication::{History, Introduction};
use crate::types::{ClusterId, NodeId};

const OLD: ReplId = ReplId::from_bytes([1; 20]);
const NEW: ReplId = ReplId::from_bytes([2; 20]);
const MARK: ReplId = ReplId::from_bytes([3; 20]);
/// About 64 keys of a [`Desk`].
const PIECE: usize = 64 * 1024;

/// A primary with this many keys.
struct Desk {
    keyspace: Keyspace,
    stream: Stream,
    out: Vec<u8>,
}

impl Desk {
    fn new(keys: u32) -> Self {
        let mut keyspace = Keyspace::new(1);
        for key in (0..keys).map(|number| format!("key:{number}").into_bytes()) {
            assert!(keyspace.add(key_slot(&key), Entry::string(&key, &[b'x'; 1000], None)));
        }
        Self { keyspace, stream: Stream::new(History::new(OLD, 0)), out: Vec::new() }
    }

    fn start(&mut self, replica: &mut Replica, request: Request) -> Start {
        replica.ask(request);
        let offer = Offer { id: NEW, mark: MARK, about: About { ctime: 0, used_memory: 0, replication: None } };
        replica.start(&mut self.keyspace, &mut self.stream, offer, &mut self.out)
    }

    fn feed(&mut self, replica: &mut Replica, room: usize) -> Fed {
        replica.feed(&mut self.keyspace, &self.stream, room, 7, &mut self.out)
    }

    fn write(&mut self, line: &str) {
        self.stream.feed(line.split(' ').map(str::as_bytes).collect::<Vec<_>>().into_iter());
    }

    fn sent(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.out)).into_owned()
    }
}

fn replica(eof: bool) -> Replica {
    let mut replica = Replica::introducing(0);
    replica.profile = Profile { eof, psync2: true, ..Profile::default() };
    replica
}

#[test]
fn a_copy_is_made_in_pieces_and_what_changes_meanwhile_follows_it() {
    let (mut desk, mut first) = (Desk::new(500), replica(true));
    assert_eq!(desk.start(&mut first, Request::Psync(None)), Start::Full { in_place_of_partial: false });
    assert_eq!(desk.out, format!("+FULLRESYNC {NEW} 0\r\n$EOF:{MARK}\r\n").into_bytes());
    let mut pieces = 0;
    while !desk.out.ends_with(MARK.to_string().as_bytes()) || pieces == 0 {
        let before = desk.out.len();
        let _fed = desk.feed(&mut first, PIECE);
        assert!(desk.out.len() - before < 2 * PIECE);
        pieces += 1;
        desk.write("DEL key:0");
    }
    assert!(pieces > 5 && first.needs() == Some(0) && first.behind(&desk.stream) == desk.stream.offset());
    assert_eq!((desk.feed(&mut first, 1000), first.is_online()), (Fed::Enough, false), "the stream waits for a word");
    let copy = std::mem::take(&mut desk.out);
    first.acknowledge(0, 9);
    assert_eq!((desk.feed(&mut first, 10), desk.out.len(), first.has_more(&desk.stream)), (Fed::Enough, 10, true));
    assert_eq!(desk.feed(&mut first, usize::MAX), Fed::Enough);
    assert!(!first.has_more(&desk.stream) && first.behind(&desk.stream) == 0);
    assert_eq!(desk.sent().matches("key:0").count(), pieces);

    let (cluster, primary) = (ClusterId::from_bytes([1; 20]), NodeId::from_bytes([1; 20]));
    let introduction = Introduction { user: b"", password: b"", cluster, primary, port: 1, ip: "", version: "", me: primary, process: 7 };
    let (mut said, mut used, mut rdb) = (b"+PONG\r\n+OK 1\r\n+OK 7\r\n+OK\r\n+OK\r\n+OK\r\n".to_vec(), 0, Loader::new(Keyspace::new(1)));
    let mut handshake = Handshake::begin(&introduction, None, &mut Vec::new());
    said.extend(copy);
    while let Some(heard) = handshake.next(&said, &mut used, &mut Vec::new()).unwrap() {
        match heard {
            Heard::Rdb(piece) => _ = rdb.feed(piece).unwrap(),
            Heard::RdbEnd => break,
            other => assert_eq!(other, Heard::FullResync { id: NEW, offset: 0 }),
        }
    }
    let loaded = rdb.finish().unwrap();
    assert_eq!((loaded.keyspace.len(), loaded.replication), (500, Some((NEW, 0))));
}

#[test]
fn without_a_mark_the_length_comes_first_and_the_stream_at_once() {
    let (mut desk, mut old) = (Desk::new(300), replica(false));
    assert_eq!(desk.start(&mut old, Request::Sync), Start::Full { in_place_of_partial: false });
    let mut changes = 0..;
    let mut change = |desk: &mut Desk| {
        for number in changes.by_ref().take(40) {
            let key = format!("key:{number}");
            desk.keyspace.set_string(key_slot(key.as_bytes()), key.as_bytes(), b"longer or shorter", Expiry::Never, 0);
        }
    };
    while desk.out.is_empty() {
        assert!(old.is_kept_waiting() && desk.feed(&mut old, PIECE) == Fed::More || !desk.out.is_empty());
        change(&mut desk);
    }
    let said = desk.out.len();
    while !old.is_online() {
        assert!(!old.is_kept_waiting() && old.has_more(&desk.stream));
        let before = desk.out.len();
        let _fed = desk.feed(&mut old, PIECE);
        assert!(desk.out.len() - before < 2 * PIECE, "nothing is gathered");
        change(&mut desk);
    }
    desk.write("DEL a");
    assert!(!old.is_overdue(u64::MAX, 60_000), "who came by SYNC says nothing");
    let _fed = desk.feed(&mut old, usize::MAX);
    let length: usize = std::str::from_utf8(&desk.out[1..said - 2]).unwrap().parse().unwrap();
    let (file, stream) = desk.out[said..].split_at(length);
    assert!(stream.starts_with(b"*2\r\n$6\r\nSELECT\r\n"));
    let mut rdb = Loader::new(Keyspace::new(1));
    assert_eq!((rdb.feed(file).unwrap(), rdb.keys()), (length, 300));
    assert!(rdb.is_complete() && desk.keyspace.len() > 300);
}

#[test]
fn a_large_value_comes_in_pieces() {
    for eof in [true, false] {
        let (mut desk, mut replica) = (Desk::new(0), replica(eof));
        for key in ["{t}a", "{t}b", "c", "d"] {
            let key = key.as_bytes();
            assert!(desk.keyspace.add(key_slot(key), Entry::string(key, &[b'x'; 300_000], None)));
        }
        assert_eq!(desk.start(&mut replica, Request::Psync(None)), Start::Full { in_place_of_partial: false });
        while replica.has_more(&desk.stream) {
            let before = desk.out.len();
            let fed = desk.feed(&mut replica, 200_000);
            assert!(fed != Fed::Enough || desk.out.len() > before, "who has nothing to read never asks for more");
            assert!(desk.out.len() - before < 300_000);
        }
        assert!(desk.out.len() > 1_200_000);
    }
}

#[test]
fn a_replica_has_not_run_what_it_was_not_sent() {
    let (mut desk, mut back) = (Desk::new(3), replica(true));
    desk.stream.record(OLD, &mut desk.keyspace);
    assert_eq!(desk.start(&mut back, Request::Psync(Some((OLD, 1)))), Start::Partial);
    desk.write("DEL a");
    assert_eq!(desk.feed(&mut back, 10), Fed::Enough);
    back.acknowledge(u64::MAX, 3);
    back.acknowledge(11, 4);
    assert_eq!((back.acked, back.heard), (0, 4));
    back.acknowledge(10, 5);
    back.acknowledge(9, 6);
    assert_eq!((back.acked, back.heard), (10, 6));
}

#[test]
fn both_walks_of_a_copy_with_its_length_end_with_it() {
    let mut desk = Desk::new(300);
    for rounds in 0..20 {
        let mut replica = replica(false);
        replica.profile.no_keys = rounds % 2 == 0;
        assert_eq!(desk.start(&mut replica, Request::Sync), Start::Full { in_place_of_partial: false });
        for _ in 0..rounds {
            let _fed = desk.feed(&mut replica, 1);
        }
        replica.leave(&mut desk.keyspace);
    }
    let mut replicas: Vec<Replica> = (0..9).map(|_| replica(true)).collect();
    let starts: Vec<Start> = replicas.iter_mut().map(|replica| desk.start(replica, Request::Psync(None))).collect();
    assert_eq!(starts.iter().filter(|start| **start == Start::Later).count(), 1);
    let mut old = replica(false);
    replicas.remove(0).leave(&mut desk.keyspace);
    assert_eq!(desk.start(&mut old, Request::Sync), Start::Later, "one walk is not enough");
    replicas.remove(0).leave(&mut desk.keyspace);
    assert_ne!(desk.start(&mut old, Request::Sync), Start::Later);
}

#[test]
fn who_has_the_same_history_goes_on_in_it() {
    let mut desk = Desk::new(3);
    desk.stream.record(OLD, &mut desk.keyspace);
    desk.write("DEL a");
    let offset = desk.stream.offset();
    let mut back = replica(true);
    assert_eq!(desk.start(&mut back, Request::Psync(Some((OLD, 24)))), Start::Partial);
    assert_eq!(desk.feed(&mut back, usize::MAX), Fed::Enough);
    assert_eq!(desk.sent(), format!("+CONTINUE {OLD}\r\n*2\r\n$3\r\nDEL\r\n$1\r\na\r\n"));
    assert_eq!((back.needs(), back.is_online()), (Some(offset), true));
    for elsewhere in [(OLD, 0), (OLD, offset + 2), (NEW, 1)] {
        let mut other = replica(true);
        assert_eq!(desk.start(&mut other, Request::Psync(Some(elsewhere))), Start::Full { in_place_of_partial: true });
        other.leave(&mut desk.keyspace);
    }
    desk.stream.rename(NEW);
    assert!(matches!(desk.feed(&mut back, 10), Fed::Lost(_)), "it has to hear of the new id");
}

#[test]
fn who_wants_no_stream_or_no_keys_gets_none() {
    let (mut desk, mut cli) = (Desk::new(300), replica(true));
    cli.profile = Profile { rdb_only: true, no_keys: true, eof: true, ..Profile::default() };
    assert_eq!(desk.start(&mut cli, Request::Sync), Start::Full { in_place_of_partial: false });
    assert_eq!(desk.feed(&mut cli, PIECE), Fed::Finished);
    assert!(desk.out.ends_with(MARK.to_string().as_bytes()) && desk.out.len() < 400);
    assert!(cli.needs().is_none());
}

#[test]
fn a_copy_cannot_go_on_once_the_keys_are_cleared_and_too_many_wait() {
    let mut desk = Desk::new(300);
    let mut replicas: Vec<Replica> = (0..9).map(|_| replica(true)).collect();
    let starts: Vec<Start> = replicas.iter_mut().map(|replica| desk.start(replica, Request::Psync(None))).collect();
    assert_eq!((starts.last(), starts.iter().filter(|start| **start == Start::Later).count()), (Some(&Start::Later), 1));
    assert!(replicas[8].is_kept_waiting());
    desk.keyspace.clear();
    let mut last = replicas.pop().unwrap();
    assert!(replicas.iter_mut().all(|replica| matches!(desk.feed(replica, PIECE), Fed::Lost(_))));
    replicas.into_iter().for_each(|replica| replica.leave(&mut desk.keyspace));
    assert_ne!(desk.start(&mut last, Request::Psync(None)), Start::Later);
}
