//! What is allocated, counted by the allocator itself: nothing on the hot path, which is a GET or a SET from the request's arguments to the
//! reply; and a long value once, however it comes.

use pontoon::cluster::change::{NodeJoin, SlotChange};
use pontoon::cluster::{Address, Change, State};
use pontoon::commands::{Cluster, Context, Flow, NO_SLOT, execute};
use pontoon::config::Config;
use pontoon::keyspace::{Keyspace, key_slot};
use pontoon::node::{Accepted, Node, Port};
use pontoon::raft::{Body, Entry, Raft, Settings};
use pontoon::replication::rdb::Loader;
use pontoon::replication::{History, Stream};
use pontoon::rng::Rng;
use pontoon::session::{Buffers, BusStats, Client, ClientList, PubSub, Push, Server};
use pontoon::store::{MemoryDisk, SyncTimes, Work};
use pontoon::types::{ClusterId, ConnId, NodeId, Now, ReplId, Slot};
use pontoon::wire::{OwnedArgs, Reply};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

/// Counts this thread's allocations, and their bytes.
struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// An allocation has changed its size. It may be another thread's: there may be fewer than none.
fn count(old: usize, new: usize) {
    let bytes = BYTES.get() + new as isize - old as isize;
    BYTES.set(bytes);
    PEAK.set(PEAK.get().max(bytes));
    COUNT.set(COUNT.get() + u64::from(new > 0));
}

/// How many bytes this takes beyond those that are in use before, at its most.
fn peak_of(work: impl FnOnce()) -> usize {
    let before = BYTES.get();
    PEAK.set(before);
    work();
    (PEAK.get() - before).unsigned_abs()
}

// SAFETY: every call goes to the system's allocator unchanged; the counter is a plain cell that allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(0, layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size(), 0);
        // SAFETY: the caller keeps the contract of `dealloc`, and the memory came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), size);
        // SAFETY: the caller keeps the contract of `realloc`, and the memory came from the system's allocator.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Nobody;

impl ClientList for Nobody {
    fn visit_others(&self, _visit: &mut dyn FnMut(&Client, Buffers)) {}

    fn count(&self) -> usize {
        1
    }

    fn kill(&mut self, _is_wanted: &dyn Fn(&Client) -> bool) -> usize {
        0
    }

    fn push(&mut self, _to: ConnId, _push: Push<'_>) {}
}

const ME: NodeId = NodeId::from_bytes([1; 20]);
const NOW: Now = Now { mono: 1, wall: 1_700_000_000_000 };

/// A cluster of one that owns every slot.
fn state(join: &Change) -> State {
    let mut state = State::founding(ClusterId::from_bytes([1; 20]), ME);
    let entry = |change| Entry { term: 1, origin: None, body: Body::App(change) };
    state.apply(1, &entry(join.clone()));
    let ranges = Slot::ranges(Slot::all());
    state.apply(2, &entry(Change::SlotChange(SlotChange { source: None, target: Some((ME, 1)), ranges })));
    assert_eq!(state.assigned_slots(), 16384);
    state
}

const SETTINGS: Settings = Settings { election_timeout: 1000, lease: 5000, node_timeout: 15_000, voters: 5 };

const REQUESTS: [&[&str]; 5] = [&["SET", "key", "value"], &["GET", "key"], &["get", "missing"], &["ping"], &["exists", "key"]];

#[test]
fn get_and_set_allocate_nothing() {
    let address: Address = format!("127.0.0.1:1@2,,shard-id={}", "0a".repeat(20)).parse().unwrap();
    let join = Change::NodeJoin(NodeJoin { id: ME, address: address.clone(), voter: true });
    let (state, raft) = (state(&join), Raft::found(ME, join, 1, SETTINGS, Rng::new(1), 1));
    let (mut keyspace, mut config, mut server, mut pubsub) = (Keyspace::new(1), Config::shipped(), Server::default(), PubSub::default());
    let (mut stream, local) = (Stream::new(History::new(ReplId::from_bytes([1; 20]), 0)), "127.0.0.1:1".parse().unwrap());
    let (mut client, mut out) = (Client::new(1, local, local, NOW, true), Vec::with_capacity(4096));
    let cluster = Cluster {
        me: ME,
        address: &address,
        state: &state,
        raft: &raft,
        joining: false,
        joins_soon: false,
        missed: &BTreeSet::new(),
        links: &[],
        outsiders: &[],
        claims: &[],
        offset: 0,
        offsets: &BTreeMap::new(),
        stats: &BusStats::default(),
        leaving: &[],
        lease: Some(0),
        lease_lapses: 0,
        lease_withheld: false,
        upstream: None,
        reign: 1,
        process: 1,
        usable: true,
        last_contact: None,
        proposals_pending: 0,
        awaited: false,
        has_final_offset: false,
        store: Work { appends: 0, rewrites: 0, syncs: &SyncTimes::default() },
    };
    for (round, words) in (0..3).flat_map(|round| REQUESTS.map(|words| (round, words))) {
        let args: OwnedArgs = words.iter().collect();
        out.clear();
        let mut context = Context {
            now: NOW,
            slot: NO_SLOT,
            client: &mut client,
            conn: ConnId { place: 0, generation: 0 },
            reply: Reply::new(&mut out, false),
            keyspace: &mut keyspace,
            stream: &mut stream,
            cluster,
            config: &mut config,
            pubsub: &mut pubsub,
            server: &mut server,
            clients: &mut Nobody,
            pause: None,
        };
        let (before, flow, after) = (COUNT.get(), execute(&mut context, args.as_args()), COUNT.get());
        assert!(flow == Flow::Done && !out.starts_with(b"-"));
        // The first round makes the table, the counters and the slot's dictionary.
        assert!(round == 0 || after == before, "{words:?}: {} allocations", after - before);
    }
    assert!(COUNT.get() > 0, "the counter counts");
}

/// Long enough that all else is small beside it.
const LONG: usize = 16 << 20;

#[test]
fn a_long_value_is_loaded_into_its_place() {
    let piece = [b'v'; 64 << 10];
    let mut loaded = None;
    let peak = peak_of(|| {
        let mut loader = Loader::new(Keyspace::new(1));
        let length = u32::try_from(LONG).unwrap().to_be_bytes();
        loader.feed(&[&b"REDIS0010\x00\x04long\x80"[..], &length].concat()).unwrap();
        (0..LONG / piece.len()).for_each(|_| assert_eq!(loader.feed(&piece), Ok(piece.len())));
        loader.feed(b"\xff\0\0\0\0\0\0\0\0").unwrap();
        loaded = Some(loader.finish().unwrap().keyspace);
    });
    assert!((LONG..LONG + (1 << 20)).contains(&peak), "{peak} bytes");
    let slot = key_slot(b"long");
    assert!(loaded.unwrap().get(slot, b"long", 0).is_some_and(|value| value.string().is_ok_and(|bytes| bytes.len() == LONG)));
}

/// A cluster of one that owns every slot, and a client.
fn owner() -> (Node<MemoryDisk>, ConnId, Now) {
    let mut now = NOW;
    let mut node = Node::start(Config::shipped(), MemoryDisk::new().process(), 1, now).expect("the disk is empty");
    let place = "127.0.0.1:1".parse().expect("it is an address");
    let Accepted::Session(conn) = node.accepted(Port::Client, place, place) else { panic!("there is room") };
    while say(&mut node, conn, &mut now, b"CLUSTER ADDSLOTSRANGE 0 16383\r\n") != b"+OK\r\n" {}
    while say(&mut node, conn, &mut now, b"SET a 1\r\n") != b"+OK\r\n" {}
    (node, conn, now)
}

/// Says this, as the shell would bring it, and gives the answer.
fn say(node: &mut Node<MemoryDisk>, conn: ConnId, now: &mut Now, bytes: &[u8]) -> Vec<u8> {
    for piece in bytes.chunks(64 << 10) {
        let buffer = node.receive_buffer(conn).expect("the client is there");
        buffer.reserve(16 << 10);
        buffer.extend_from_slice(piece);
        node.received(conn, piece.len());
        node.turn(&mut || *now).expect("its disk is good");
    }
    for _ in 0..1000 {
        *now = Now { mono: now.mono + 10, wall: now.wall + 10 };
        let turned = node.turn(&mut || *now).expect("its disk is good");
        let transmit = node.transmit_buffer(&turned, conn, *now).expect("the client is there");
        if !transmit.is_empty() {
            let answer = transmit.as_slice().to_vec();
            transmit.advance(answer.len());
            return answer;
        }
    }
    panic!("waited for an answer");
}

#[test]
fn a_long_value_is_received_into_its_place() {
    let (mut node, conn, mut now) = owner();
    let request = |command: &str, rest: &str| {
        let mut request = format!("{command}${LONG}\r\n").into_bytes();
        request.resize(request.len() + LONG, b'v');
        [&request, rest.as_bytes()].concat()
    };
    for (request, answer) in [
        (request("*3\r\n$3\r\nSET\r\n$4\r\nlong\r\n", "\r\nSTRLEN long\r\n"), format!("+OK\r\n:{LONG}\r\n")),
        (request("*4\r\n$6\r\nPSETEX\r\n$4\r\nlife\r\n$5\r\n90000\r\n", "\r\nSTRLEN life\r\n"), format!("+OK\r\n:{LONG}\r\n")),
        (request("*5\r\n$3\r\nSET\r\n$4\r\nlong\r\n", "\r\n$2\r\nEX\r\n$2\r\n90\r\nGETRANGE long -1 -1\r\n"), "+OK\r\n$1\r\nv\r\n".into()),
    ] {
        let peak = peak_of(|| assert_eq!(say(&mut node, conn, &mut now, &request), answer.as_bytes()));
        assert!((LONG..LONG + (1 << 20)).contains(&peak), "{peak} bytes");
    }
    assert_eq!(say(&mut node, conn, &mut now, b"PTTL life\r\n").len(), b":90000\r\n".len());
    // What is queued is copied, and the same in the end.
    assert_eq!(say(&mut node, conn, &mut now, b"MULTI\r\n"), b"+OK\r\n");
    let queued = request("*3\r\n$3\r\nSET\r\n$4\r\ncopy\r\n", "\r\n");
    assert_eq!(say(&mut node, conn, &mut now, &queued), b"+QUEUED\r\n");
    assert_eq!(say(&mut node, conn, &mut now, b"EXEC\r\nSTRLEN copy\r\n"), format!("*1\r\n+OK\r\n:{LONG}\r\n").as_bytes());
}
