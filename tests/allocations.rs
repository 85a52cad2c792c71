//! The hot path allocates nothing: the allocator itself counts what a GET and a SET cost, from the request's arguments to the reply.

use pontoon::cluster::{Address, Change, State};
use pontoon::commands::{Buffers, BusStats, Client, ClientList, Cluster, Context, Flow, NO_SLOT, PubSub, Server, execute};
use pontoon::config::Config;
use pontoon::keyspace::Keyspace;
use pontoon::raft::{Body, Entry, Raft, Settings};
use pontoon::replication::{History, Stream};
use pontoon::rng::Rng;
use pontoon::store::{SyncTimes, Work};
use pontoon::types::{ClusterId, ConnId, NodeId, Now, ReplId, Slot};
use pontoon::wire::{OwnedArgs, Reply};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;

/// Counts this thread's allocations.
struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; the counter is a plain cell that allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and the memory came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
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

    fn push(&mut self, _to: ConnId, _head: &[u8], _tail: &[u8]) {}
}

const ME: NodeId = NodeId::from_bytes([1; 20]);
const NOW: Now = Now { mono: 1, wall: 1_700_000_000_000 };

/// A cluster of one that owns every slot.
fn state(join: &Change) -> State {
    let mut state = State::founding(ClusterId::from_bytes([1; 20]), ME);
    let entry = |change| Entry { term: 1, origin: None, body: Body::App(change) };
    state.apply(1, &entry(join.clone()));
    let ranges = Slot::new(0).zip(Slot::new(16383)).into_iter().collect();
    state.apply(2, &entry(Change::SlotChange { source: None, target: Some((ME, 1)), ranges }));
    assert_eq!(state.assigned_slots(), 16384);
    state
}

const SETTINGS: Settings = Settings { election_timeout: 1000, lease: 5000, node_timeout: 15_000, voters: 5 };

#[test]
fn get_and_set_allocate_nothing() {
    let address: Address = format!("127.0.0.1:1@2,,shard-id={}", "0a".repeat(20)).parse().unwrap();
    let join = Change::NodeJoin { id: ME, address: address.clone(), voter: true };
    let (state, raft) = (state(&join), Raft::found(ME, join, 1, SETTINGS, Rng::new(1), 1));
    let (mut keyspace, mut config, mut server, stats) = (Keyspace::new(1), Config::shipped(), Server::default(), BusStats::default());
    let (syncs, mut pubsub, local) = (SyncTimes::default(), PubSub::default(), "127.0.0.1:1".parse().unwrap());
    let mut stream = Stream::new(History::new(ReplId::from_bytes([1; 20]), 0));
    let (mut client, mut out) = (Client::new(1, local, local, NOW, true), Vec::with_capacity(4096));
    let cluster = Cluster {
        me: ME,
        address: &address,
        state: &state,
        raft: &raft,
        joining: false,
        links: &[],
        outsiders: &[],
        claims: &[],
        offset: 0,
        offsets: &BTreeMap::new(),
        stats: &stats,
        leaving: &[],
        lease: Some(0),
        lease_lapses: 0,
        upstream: None,
        reign: 1,
        usable: true,
        last_contact: None,
        proposals_pending: 0,
        awaited: false,
        has_bequest: false,
        store: Work { appends: 0, rewrites: 0, syncs: &syncs },
    };
    for round in 0..3 {
        for words in [&["SET", "key", "value"][..], &["GET", "key"], &["get", "missing"], &["ping"], &["exists", "key"]] {
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
    }
    assert!(COUNT.get() > 0, "the counter counts");
}
