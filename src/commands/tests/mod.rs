//! Tests of the command layer on a node without a network: a [`Desk`] holds everything that a context borrows.

mod connection;
mod hashes;
mod hostile;
mod introspection;
mod keys;
mod long_strings;
mod notify;
mod pause;
mod peers;
mod persistence;
mod propagation;
mod pubsub;
mod routing;
mod server;
mod table;
mod transactions;

use super::*;
use crate::cluster::change::{NodeJoin, SlotChange};
use crate::cluster::{Address, Change, State};
use crate::config::Config;
use crate::keyspace::Keyspace;
use crate::raft::{Body, Entry, Raft, Settings};
use crate::replication::{History, Stream};
use crate::rng::Rng;
use crate::session::{Buffers, BusStats, Client, ClientList, Held, PONTOON_VERSION, Pause, Progress, PubSub, Push, Replies, Server};
use crate::store::{SyncTimes, Work};
use crate::types::{ClusterId, ConnId, LeaseNumber, LogIndex, Millis, NodeId, Now, ReplId, Slot, SlotRange};
use crate::values::{Bytes, Shared};
use crate::wire::{Chain, Limits, OwnedArgs, Parser, Reply};
use std::collections::{BTreeMap, BTreeSet};

/// A client that sits at a node: a cluster of one, which owns every slot until a test says otherwise.
pub(crate) struct Desk {
    pub now: Now,
    pub client: Client,
    pub keyspace: Keyspace,
    pub stream: Stream,
    /// How much of the stream a test has looked at.
    pub read: u64,
    pub state: State,
    pub raft: Raft<Change>,
    pub config: Config,
    pub server: Server,
    pub offsets: BTreeMap<NodeId, u64>,
    pub stats: BusStats,
    pub leaving: Vec<SlotRange>,
    pub lease: Option<LeaseNumber>,
    pub upstream: Option<Upstream>,
    pub usable: bool,
    pub joins_soon: bool,
    pub missed: BTreeSet<NodeId>,
    pub last_contact: Option<Millis>,
    pub syncs: SyncTimes,
    pub others: Others,
    pub pause: Option<Pause>,
    pub pubsub: PubSub,
}

/// The other clients, and what was pushed to any client.
#[derive(Default)]
pub(crate) struct Others {
    pub clients: Vec<Client>,
    pub pushed: Vec<(ConnId, String)>,
}

impl ClientList for Others {
    fn visit_others(&self, visit: &mut dyn FnMut(&Client, Buffers)) {
        self.clients.iter().for_each(|client| visit(client, Buffers { input: 1, output: 2, output_room: 3 }));
    }

    fn count(&self) -> usize {
        self.clients.len() + 1
    }

    fn kill(&mut self, is_wanted: &dyn Fn(&Client) -> bool) -> usize {
        self.clients.extract_if(.., |client| is_wanted(client)).count()
    }

    fn push(&mut self, to: ConnId, push: Push<'_>) {
        let mut bytes = Vec::new();
        push.write(&mut bytes, false);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        self.pushed.push((to, text.replace("\r\n", " ").trim_end().to_owned()));
    }
}

/// The connection of a desk's client.
pub(crate) const CONN: ConnId = ConnId { place: 3, generation: 1 };

pub(crate) const ME: NodeId = NodeId::from_bytes([0xaa; 20]);
pub(crate) const OTHER: NodeId = NodeId::from_bytes([0xbb; 20]);

fn address(port: u16, shard: &str) -> Address {
    let keys = [("shard-id".to_owned(), shard.repeat(20))].into();
    Address { ip: "127.0.0.1".to_owned(), port, bus_port: port + 10_000, hostname: String::new(), keys }
}

pub(crate) fn slot(number: u16) -> Slot {
    Slot::new(number).unwrap()
}

pub(crate) fn a_client(id: u64) -> Client {
    let addr = "127.0.0.1:50000".parse().unwrap();
    Client::new(id, addr, "127.0.0.1:6379".parse().unwrap(), Now { mono: 1000, wall: 1_700_000_000_000 }, true)
}

impl Desk {
    pub fn new() -> Self {
        let now = Now { mono: 5000, wall: 1_700_000_005_000 };
        let join = Change::NodeJoin(NodeJoin { id: ME, address: address(7001, "0a"), voter: true });
        let settings = Settings { election_timeout: 1000, lease: 5000, node_timeout: 15_000, voters: 5 };
        let mut desk = Self {
            now,
            client: a_client(7),
            keyspace: Keyspace::new(1),
            stream: Stream::new(History::new(ReplId::from_bytes([1; 20]), 0)),
            read: 0,
            state: State::founding(ClusterId::from_bytes([1; 20]), ME),
            raft: Raft::found(ME, join.clone(), 1, settings, Rng::new(1), now.mono),
            config: Config::shipped(),
            server: Server { run_id: "f".repeat(40), started: Now { mono: 0, wall: 1_700_000_000_000 }, ..Server::default() },
            offsets: BTreeMap::new(),
            stats: BusStats::default(),
            leaving: Vec::new(),
            lease: Some(3),
            upstream: None,
            usable: true,
            joins_soon: false,
            missed: BTreeSet::new(),
            last_contact: Some(now.mono),
            syncs: SyncTimes::default(),
            others: Others::default(),
            pause: None,
            pubsub: PubSub::default(),
        };
        (desk.config.cluster_announce_port, desk.config.cluster_announce_bus_port) = (7001, 17_001);
        desk.apply(join);
        desk.give_slots(None, Some(ME), 0, 16383);
        desk
    }

    /// Applies one more entry.
    pub fn apply(&mut self, change: Change) {
        let index = self.state.last_applied() + 1;
        let outcome = self.state.apply(index, &Entry { term: 1, origin: None, body: Body::App(change) });
        assert_eq!(outcome, crate::cluster::Outcome::Applied);
    }

    /// Another member, on port 7002.
    pub fn add_other(&mut self) {
        self.apply(Change::NodeJoin(NodeJoin { id: OTHER, address: address(7002, "0b"), voter: false }));
    }

    /// Changes the owner of a range.
    pub fn give_slots(&mut self, from: Option<NodeId>, to: Option<NodeId>, first: u16, last: u16) {
        let epoch = |id: NodeId| -> (NodeId, LogIndex) { (id, self.state.epoch_of(&id).unwrap()) };
        let (source, target) = (from.map(epoch), to.map(epoch));
        self.apply(Change::SlotChange(SlotChange { source, target, ranges: vec![SlotRange::new(slot(first), slot(last)).unwrap()] }));
    }

    fn with<R>(&mut self, call: impl FnOnce(&mut Context<'_>) -> R) -> (R, Chain) {
        let mut out = Chain::default();
        let (port, hostname) = (self.config.announced_port(), self.config.cluster_announce_hostname.clone());
        let address = Address { hostname, ..address(port, "0a") };
        let (resp3, offset) = (self.client.resp3, self.stream.offset());
        self.keyspace.want_notes(crate::commands::notify::wanted(self.config.notify_keyspace_events));
        let mut ctx = Context {
            now: self.now,
            slot: NO_SLOT,
            client: &mut self.client,
            conn: CONN,
            reply: Reply::within(&mut out, resp3),
            keyspace: &mut self.keyspace,
            stream: &mut self.stream,
            cluster: Cluster {
                me: ME,
                address: &address,
                missed: &self.missed,
                state: &self.state,
                raft: &self.raft,
                joining: self.joins_soon,
                joins_soon: self.joins_soon,
                links: &[],
                outsiders: &[],
                claims: &[],
                offset,
                offsets: &self.offsets,
                stats: &self.stats,
                leaving: &self.leaving,
                lease: self.lease,
                lease_lapses: 3,
                lease_withheld: false,
                upstream: self.upstream,
                reign: 5,
                process: 7,
                usable: self.usable,
                last_contact: self.last_contact,
                proposals_pending: 2,
                awaited: false,
                has_final_offset: false,
                store: Work { appends: 3, rewrites: 4, syncs: &self.syncs },
            },
            config: &mut self.config,
            pubsub: &mut self.pubsub,
            server: &mut self.server,
            clients: &mut self.others,
            pause: self.pause,
        };
        let result = call(&mut ctx);
        (result, out)
    }

    /// One request.
    pub fn request<A: AsRef<[u8]>>(&mut self, args: impl IntoIterator<Item = A>) -> (Flow, Vec<u8>) {
        let args: OwnedArgs = args.into_iter().collect();
        let (flow, reply) = self.with(|ctx| execute(ctx, args.as_args()));
        (flow, written(reply))
    }

    /// One request that has a buffer of its own, which others may hold.
    pub fn long_request(&mut self, words: &[&[u8]]) -> Chain {
        let bulks = words.iter().flat_map(|word| [format!("${}\r\n", word.len()).as_bytes(), word, b"\r\n"].concat());
        let mut bytes: Vec<u8> = format!("*{}\r\n", words.len()).into_bytes().into_iter().chain(bulks).collect();
        bytes.shrink_to_fit();
        let (request, mut parser) = (Shared::new(bytes, self.keyspace.rubble()), Parser::new(Limits::default()));
        parser.next(&request).unwrap().expect("it is whole");
        let (flow, reply) = self.with(|ctx| execute(ctx, parser.args_within(&request)));
        assert_eq!(flow, Flow::Done);
        reply
    }

    /// A request of words; its reply as text, which must be there at once.
    pub fn ask(&mut self, line: &str) -> String {
        let (flow, reply) = self.request(line.split(' '));
        assert_eq!(flow, Flow::Done, "{line}");
        String::from_utf8(reply).unwrap()
    }

    /// A request of words that must wait.
    pub fn wait(&mut self, line: &str) -> Wait {
        let (Flow::Wait(wait), reply) = self.request(line.split(' ')) else { panic!("{line} does not wait") };
        assert_eq!((String::from_utf8(reply).unwrap().as_str(), self.client.waiting.is_some()), ("", true));
        wait
    }

    /// The wait is over.
    pub fn resume(&mut self, outcome: WaitOutcome) -> (Flow, String) {
        let (flow, reply) = self.with(|ctx| resume(ctx, outcome));
        (flow, String::from_utf8(written(reply)).unwrap())
    }
}

/// All bytes of a reply.
fn written(mut reply: Chain) -> Vec<u8> {
    let mut bytes = Vec::new();
    reply.drain(|piece| bytes.extend_from_slice(&piece));
    bytes
}
