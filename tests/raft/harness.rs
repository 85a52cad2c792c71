//! A world of Raft cores with explicit disks and links, for the scenarios and the random schedules.
//!
//! A crash keeps what the last persist wrote and nothing else. A link is one direction of a pair: requests go along it, answers come back
//! on it. Every message is checked against the disk image as it leaves, and the world keeps the paper's safety properties (figure 3) by
//! itself.

#[path = "watch.rs"]
mod watch;

use pontoon::raft::*;
use pontoon::rng::Rng;
use pontoon::types::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// E and W of every node.
pub const TIMEOUT: Millis = 1000;
pub const LEASE: Millis = 5000;

/// A payload that is just enough to join, to be gated, and to be told from another.
#[derive(Clone, PartialEq, Debug)]
pub enum Toy {
    Found(NodeId),
    Join(NodeId),
    Depose(NodeId),
    /// Bars, and is not gated.
    Fail(NodeId),
    Say(String),
}

impl Payload for Toy {
    fn founding_voter(&self) -> Option<NodeId> {
        if let Self::Found(id) = self { Some(*id) } else { None }
    }
    fn deposes(&self) -> Option<NodeId> {
        if let Self::Depose(id) = self { Some(*id) } else { None }
    }
    fn bars(&self) -> Option<NodeId> {
        if let Self::Depose(id) | Self::Fail(id) = self { Some(*id) } else { None }
    }
    fn size(&self) -> usize {
        if let Self::Say(text) = self { text.len() } else { 40 }
    }
}

/// Nodes are letters.
pub fn id(name: char) -> NodeId {
    NodeId::from_bytes([name as u8; 20])
}

pub fn name(id: &NodeId) -> char {
    id.as_bytes()[0] as char
}

pub fn names<'a>(ids: impl IntoIterator<Item = &'a NodeId>) -> String {
    ids.into_iter().map(name).collect()
}

/// What entries make, as far as Raft's caller must know it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct State {
    pub index: LogIndex,
    pub term: Term,
    pub members: BTreeSet<NodeId>,
    pub voters: BTreeSet<NodeId>,
    pub max_lease: Millis,
}

impl State {
    fn apply(&mut self, index: LogIndex, entry: &Entry<Toy>) {
        assert_eq!(index, self.index + 1, "entries are applied in order");
        (self.index, self.term) = (index, entry.term);
        entry.body.change_voters(&mut self.voters);
        match &entry.body {
            Body::App(Toy::Join(id) | Toy::Found(id)) => drop(self.members.insert(*id)),
            Body::Noop { lease } => self.max_lease = self.max_lease.max(*lease),
            _ => {}
        }
    }
}

/// What is on a node's disk: the log with the state at its snapshot.
#[derive(Clone, Debug)]
pub struct Image {
    pub hard: HardState,
    pub log: Log<Toy>,
    pub base: State,
}

pub struct Node {
    /// None while crashed.
    pub raft: Option<Raft<Toy>>,
    pub image: Image,
    /// The state at the snapshot of the log in memory, and as applied.
    pub base: State,
    pub state: State,
    /// Inputs are noted, turns only come when asked for.
    pub held: bool,
    /// Counts loads: the nonce of the tokens.
    pub loads: u64,
    /// The newest token clock that was ever returned to this process.
    pub granted: Option<Millis>,
}

/// One direction of a pair.
#[derive(Default)]
pub struct Link {
    pub conn: Option<ConnId>,
    pub requests: VecDeque<Message<Toy>>,
    pub answers: VecDeque<Message<Toy>>,
}

pub struct World {
    pub now: Millis,
    pub nodes: BTreeMap<char, Node>,
    pub links: BTreeMap<(char, char), Link>,
    pub settings: Settings,
    seed: u64,
    next_conn: u32,
    /// Who led each term, from when on.
    pub leaders: BTreeMap<Term, (char, Millis)>,
    /// Every entry ever seen with the term before it: log matching.
    entries: BTreeMap<(LogIndex, Term), (Term, Entry<Toy>)>,
    /// What anybody took for committed.
    pub committed: BTreeMap<LogIndex, Entry<Toy>>,
    pub snapshots: u64,
    pub commits: u64,
    /// What each node was when it was last looked at.
    watched: BTreeMap<char, (HardState, LogIndex, LogIndex, Term, bool)>,
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self {
            now: 10_000,
            nodes: BTreeMap::new(),
            links: BTreeMap::new(),
            settings: Settings { election_timeout: TIMEOUT, lease: LEASE, node_timeout: 15_000, voters: 5 },
            seed,
            next_conn: 1,
            leaders: BTreeMap::new(),
            entries: BTreeMap::new(),
            committed: BTreeMap::new(),
            snapshots: 0,
            commits: 0,
            watched: BTreeMap::new(),
        }
    }

    /// A node with this on its disk; it is linked with all that are there.
    pub fn add(&mut self, node: char, image: Image) {
        let (base, state) = (image.base.clone(), image.base.clone());
        self.nodes.insert(node, Node { raft: None, image, base, state, held: false, loads: 0, granted: None });
        let others: Vec<char> = self.nodes.keys().copied().filter(|other| *other != node).collect();
        self.start(node);
        for other in others {
            self.links.insert((node, other), Link::default());
            self.links.insert((other, node), Link::default());
            self.heal(node, other);
            self.heal(other, node);
        }
    }

    pub fn blank() -> Image {
        Image { hard: HardState::default(), log: Log::new(0, 0), base: State::default() }
    }

    /// The disk of a member of a cluster that has just been formed: everybody knows who is in it, the log is empty.
    pub fn formed(members: &[char], voters: &[char]) -> Image {
        let set = |names: &[char]| names.iter().copied().map(id).collect();
        Image { base: State { members: set(members), voters: set(voters), ..State::default() }, ..Self::blank() }
    }

    fn rng(&mut self, node: char) -> Rng {
        let loads = self.nodes[&node].loads;
        Rng::new(self.seed ^ (node as u64) << 32 ^ loads)
    }

    /// Loads the node from its disk.
    pub fn start(&mut self, node: char) {
        let rng = self.rng(node);
        let (now, settings) = (self.now, self.settings);
        let at = self.nodes.get_mut(&node).expect("a known node");
        assert!(at.raft.is_none());
        at.loads += 1;
        at.granted = None;
        let Image { hard, log, base } = at.image.clone();
        (at.base, at.state) = (base.clone(), base.clone());
        let mut raft = Raft::new(id(node), hard, log, base.voters.clone(), base.index, at.loads, settings, rng, now);
        raft.set_members(base.members.iter().copied(), now);
        raft.set_slot_owners(base.members.iter());
        raft.set_max_lease(base.max_lease);
        raft.check();
        at.raft = Some(raft);
    }

    /// Replaces the node by the founder of a cluster.
    pub fn found(&mut self, node: char) {
        self.add_if_new(node);
        let rng = self.rng(node);
        let (now, settings) = (self.now, self.settings);
        let at = self.nodes.get_mut(&node).expect("a known node");
        let voters = BTreeSet::from([id(node)]);
        at.base = State { voters: voters.clone(), ..State::default() };
        at.state = at.base.clone();
        at.raft = Some(Raft::found(id(node), Toy::Found(id(node)), at.loads, settings, rng, now));
        self.watch(node);
        self.turn_unless_held(node);
    }

    fn add_if_new(&mut self, node: char) {
        if !self.nodes.contains_key(&node) {
            self.add(node, Self::blank());
        }
    }

    pub fn raft(&self, node: char) -> &Raft<Toy> {
        self.nodes[&node].raft.as_ref().expect("a running node")
    }

    /// Gives a running node an input, then its turn; nothing if it is down.
    pub fn input<R>(&mut self, node: char, input: impl FnOnce(&mut Raft<Toy>, Millis) -> R) -> Option<R> {
        let now = self.now;
        let raft = self.nodes.get_mut(&node)?.raft.as_mut()?;
        let result = input(raft, now);
        raft.check();
        self.watch(node);
        self.turn_unless_held(node);
        Some(result)
    }

    fn turn_unless_held(&mut self, node: char) {
        if !self.nodes[&node].held {
            self.turn(node);
        }
    }

    pub fn crash(&mut self, node: char) {
        self.nodes.get_mut(&node).expect("a known node").raft = None;
        for other in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.cut(node, other);
            self.cut(other, node);
        }
    }

    pub fn restart(&mut self, node: char) {
        self.start(node);
        for other in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.heal(node, other);
            self.heal(other, node);
        }
        self.turn_unless_held(node);
    }

    /// The link from `a` to `b` breaks, with all that is on it.
    pub fn cut(&mut self, a: char, b: char) {
        let Some(link) = self.links.get_mut(&(a, b)) else { return };
        let Some(conn) = std::mem::take(link).conn else { return };
        if let Some(raft) = &mut self.nodes.get_mut(&a).expect("a known node").raft {
            raft.link_down(id(b));
        }
        if let Some(raft) = &mut self.nodes.get_mut(&b).expect("a known node").raft {
            raft.answer_link_closed(conn);
        }
    }

    pub fn heal(&mut self, a: char, b: char) {
        let Some(link) = self.links.get_mut(&(a, b)) else { return };
        if a == b || link.conn.is_some() || self.nodes[&a].raft.is_none() || self.nodes[&b].raft.is_none() {
            return;
        }
        link.conn = Some(ConnId { place: self.next_conn, generation: 0 });
        self.next_conn += 1;
        self.input(a, |raft, _| raft.link_up(id(b)));
    }

    /// Delivers the next message of `a` to `b`: an answer on b's link or a request on a's own.
    pub fn deliver_one(&mut self, a: char, b: char, answer: bool) -> Option<(Message<Toy>, Result<(), PeerFault>)> {
        let (link, queue) = if answer { ((b, a), false) } else { ((a, b), true) };
        let link = self.links.get_mut(&link)?;
        let conn = link.conn?;
        let message = if queue { link.requests.pop_front()? } else { link.answers.pop_front()? };
        let result = self.give(conn, a, b, message.clone());
        if result.is_err() {
            if answer { self.cut(b, a) } else { self.cut(a, b) }
        }
        Some((message, result))
    }

    /// Has `b` take a message of `a`; a snapshot is installed at once.
    pub fn give(&mut self, conn: ConnId, a: char, b: char, message: Message<Toy>) -> Result<(), PeerFault> {
        let step = self.input_raw(b, |raft, now| raft.step(conn, id(a), message, now)).unwrap_or(Ok(Step::Done))?;
        if let Step::Snapshot(snapshot) = step {
            self.install(b, conn, snapshot);
        }
        self.watch(b);
        self.turn_unless_held(b);
        Ok(())
    }

    fn input_raw<R>(&mut self, node: char, input: impl FnOnce(&mut Raft<Toy>, Millis) -> R) -> Option<R> {
        let now = self.now;
        let raft = self.nodes.get_mut(&node)?.raft.as_mut()?;
        let result = input(raft, now);
        raft.check();
        Some(result)
    }

    fn install(&mut self, node: char, conn: ConnId, snapshot: InstallSnapshot) {
        self.snapshots += 1;
        let at = self.nodes.get_mut(&node).expect("a known node");
        let state = parse_state(&snapshot);
        (at.base, at.state) = (state.clone(), state.clone());
        let raft = at.raft.as_mut().expect("a running node");
        raft.snapshot_installed(&snapshot, state.voters.clone(), conn, self.now);
        raft.set_members(state.members.iter().copied(), self.now);
        raft.set_slot_owners(state.members.iter());
        raft.set_max_lease(state.max_lease);
        raft.check();
    }

    /// Before sleep: persist, commit, apply, answer, replicate.
    pub fn turn(&mut self, node: char) {
        self.persist(node);
        self.input_raw(node, |raft, now| raft.advance_commit(now));
        self.watch_gate(node);
        self.apply(node);
        let now = self.now;
        let Some(at) = self.nodes.get_mut(&node) else { return };
        let Some(raft) = &mut at.raft else { return };
        let mut out: Vec<Outgoing<Toy>> = raft.take_acks(Extent::default(), now).into_iter().collect();
        out.extend(raft.take_votes(now));
        out.extend(raft.take_vote_requests(now));
        let state = &at.state;
        out.extend(raft.replicate(now, &mut || Some((state.index, state.term, format_state(state)))));
        raft.check();
        for message in out {
            self.leave(node, message);
        }
    }

    pub fn persist(&mut self, node: char) {
        let at = self.nodes.get_mut(&node).expect("a known node");
        let Some(raft) = &mut at.raft else { return };
        at.image = Image { hard: raft.hard(), log: raft.log().clone(), base: at.base.clone() };
        let HardState { term, voted_for } = raft.hard();
        raft.persisted(Durable { term, voted_for, last_index: raft.log().last_index() });
        raft.check();
        self.watch(node);
    }

    fn apply(&mut self, node: char) {
        let now = self.now;
        let at = self.nodes.get_mut(&node).expect("a known node");
        let Some(raft) = &mut at.raft else { return };
        let before = at.state.members.len();
        for (index, entry) in raft.log().iter_from(at.state.index + 1).take_while(|(index, _)| *index <= raft.commit_index()) {
            at.state.apply(index, entry);
            let known = self.committed.entry(index).or_insert_with(|| entry.clone());
            assert_eq!(known, entry, "state machine safety: entry {index} is the same everywhere");
            self.commits += 1;
        }
        assert_eq!(raft.committed_voters(), &at.state.voters, "the state's voters are those of the log");
        if at.state.members.len() != before {
            let members = at.state.members.clone();
            raft.set_members(members.iter().copied(), now);
            raft.set_slot_owners(members.iter());
        }
        raft.set_max_lease(at.state.max_lease);
        raft.applied(at.state.index);
    }

    pub fn compact(&mut self, node: char, index: LogIndex) {
        let at = self.nodes.get_mut(&node).expect("a known node");
        let Some(raft) = &mut at.raft else { return };
        let index = index.min(at.state.index);
        for (at_index, entry) in raft.log().iter_from(at.base.index + 1).take_while(|(at_index, _)| *at_index <= index) {
            at.base.apply(at_index, entry);
        }
        raft.compact_to(index);
        raft.check();
    }

    /// The gate: nothing leaves that the disk image does not hold.
    fn leave(&mut self, node: char, out: Outgoing<Toy>) {
        let Image { hard, log, .. } = &self.nodes[&node].image;
        let Needs { term, vote, index } = out.needs;
        assert!(hard.term >= term && log.last_index() >= index, "{node} promises what is not on its disk: {out:?}");
        assert!(vote.is_none() || (hard.term == term && hard.voted_for == vote), "{node} promises a vote that is not on its disk: {out:?}");
        self.watch_promise(node, &out);
        match out.route {
            Route::Request(to) => {
                self.watch_token(node, name(&to), &out.message);
                let link = self.links.get_mut(&(node, name(&to))).expect("every pair has a link");
                assert!(link.conn.is_some(), "{node} sends where it has no link");
                link.requests.push_back(out.message);
            }
            Route::Answer(conn) => {
                if let Some(link) = self.links.values_mut().find(|link| link.conn == Some(conn)) {
                    link.answers.push_back(out.message);
                }
            }
        }
    }
}

fn format_state(state: &State) -> Vec<u8> {
    format!("{} {} {} {} {}", state.index, state.term, names(&state.members), names(&state.voters), state.max_lease).into_bytes()
}

fn parse_state(snapshot: &InstallSnapshot) -> State {
    let text = String::from_utf8(snapshot.bytes.clone()).expect("it is text");
    let fields: Vec<&str> = text.split(' ').collect();
    let number = |place: usize| fields[place].parse().expect("it is a number");
    let ids = |place: usize| fields[place].chars().map(id).collect();
    State { index: number(0), term: number(1), members: ids(2), voters: ids(3), max_lease: number(4) }
}
