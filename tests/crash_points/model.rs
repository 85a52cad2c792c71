//! A node of which only the durable side is real: it makes entries, applies them, votes, truncates, and keeps its whole history to compare
//! with.

use pontoon::cluster::{Address, ClusterEntry, State, parse_body};
use pontoon::raft::{Body, Entry, HardState, Log, Origin, ProposalId};
use pontoon::rng::Rng;
use pontoon::store::{Fallback, Image, Joiner, Loaded, Sponsor, Standing};
use pontoon::types::{ClusterId, NodeId, ShardId, Slot, SlotRange};
use std::rc::Rc;

#[derive(Clone)]
pub struct Model {
    pub me: NodeId,
    pub incarnation: u64,
    pub hard: HardState,
    pub standing: Standing,
    pub entries: Vec<ClusterEntry>,
    pub applied: u64,
    cluster: ClusterId,
    shard: ShardId,
    /// The state at every index; the last has every entry applied, so that new ones fit.
    states: Vec<Rc<State>>,
    log: Log<pontoon::cluster::Change>,
}

/// What a step changed, as far as the file is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    Entries,
    Apply,
    Vote,
    Truncate,
    Standing,
}

impl Model {
    pub fn found(rng: &mut Rng) -> Self {
        let (me, cluster) = (rng.node_id(), rng.cluster_id());
        let mut model = Self {
            me,
            incarnation: 1,
            hard: HardState { term: 1, voted_for: Some(me) },
            standing: Standing::Member,
            entries: Vec::new(),
            applied: 0,
            cluster,
            shard: rng.shard_id(),
            states: vec![Rc::new(State::founding(cluster, me))],
            log: Log::new(0, 0),
        };
        let join = format!("NODE_JOIN {me} 127.0.0.1:7000@17000,,shard-id={} voter", model.shard);
        model.push(parse_body(&join).unwrap(), None);
        model.push(Body::Noop { lease: 5000 }, None);
        model
    }

    pub fn image(&self) -> Image<'_> {
        Image {
            me: self.me,
            incarnation: self.incarnation,
            hard: self.hard,
            state: &self.states[self.applied as usize],
            log: &self.log,
            standing: &self.standing,
        }
    }

    pub fn last(&self) -> u64 {
        self.entries.len() as u64
    }

    fn push(&mut self, body: Body<pontoon::cluster::Change>, origin: Option<Origin>) {
        let entry = Entry { term: self.hard.term, origin, body };
        let mut state = self.newest().clone();
        state.apply(self.last() + 1, &entry);
        state.check();
        self.states.push(Rc::new(state));
        self.log.push(entry.clone());
        self.entries.push(entry);
    }

    fn newest(&self) -> &State {
        &self.states[self.entries.len()]
    }

    fn any_member(&self, rng: &mut Rng) -> NodeId {
        let place = rng.below(self.newest().member_count() as u64) as usize;
        self.newest().members().nth(place).expect("the founder is a member").id
    }

    pub fn push_any(&mut self, rng: &mut Rng) {
        let n = self.last() + 1;
        let member = self.any_member(rng);
        let text = match rng.below(6) {
            0 => format!(
                "NODE_JOIN {} 10.0.0.{}:7000@17000,host-{n}.example,availability-zone=z{n},shard-id={} learner",
                rng.node_id(),
                n % 256,
                rng.shard_id()
            ),
            1 if !self.newest().voters().contains(&member) => format!("ADD_VOTER {member}"),
            2 if self.newest().voters().len() > 1 && self.newest().voters().contains(&member) => format!("DEL_VOTER {member} manual"),
            3 => format!("NODE_FAIL {member}"),
            4 => format!("NOOP {}", rng.between(1000, 9000)),
            _ => {
                let first = rng.below(16000);
                let epoch = self.newest().epoch_of(&member).unwrap_or(0);
                format!("SLOT_CHANGE - 0 {member} {epoch} {first}-{} {}", first + 50, first + 99)
            }
        };
        let body = parse_body(&text).expect("the model writes good entries");
        let id = ProposalId { proposer: self.me, incarnation: self.incarnation, n };
        let origin = matches!(body, Body::App(_)).then_some(Origin { id, lowest: n.saturating_sub(3).max(1) });
        self.push(body, origin);
    }

    /// Takes back the entries after `last`.
    pub fn truncate(&mut self, last: u64) {
        assert!(last >= self.applied);
        self.entries.truncate(last as usize);
        self.log.truncate_from(last + 1);
        self.states.truncate(last as usize + 1);
    }

    /// One thing happens to the node.
    pub fn step(&mut self, rng: &mut Rng) -> Step {
        match rng.below(10) {
            0 => {
                self.hard = HardState { term: self.hard.term + 1, voted_for: rng.one_in(2).then(|| rng.node_id()) };
                Step::Vote
            }
            1 => {
                let index = rng.between(self.applied, self.last() + 1);
                self.applied = index;
                if rng.one_in(2) {
                    self.log.compact_to(self.applied);
                }
                Step::Apply
            }
            2 if self.last() > self.applied.max(1) => {
                let last = rng.between(self.applied.max(1), self.last());
                // A node that has the new leader's term already truncates without a change of term or vote.
                if self.entries.last().is_some_and(|entry| entry.term == self.hard.term) {
                    self.hard = HardState { term: self.hard.term + 1, voted_for: None };
                }
                self.truncate(last);
                (0..rng.below(4)).for_each(|_| self.push_any(rng));
                Step::Truncate
            }
            3 if rng.one_in(3) => {
                self.standing = self.any_standing(rng);
                Step::Standing
            }
            _ => {
                (0..=rng.below(5)).for_each(|_| self.push_any(rng));
                Step::Entries
            }
        }
    }

    pub fn any_standing(&self, rng: &mut Rng) -> Standing {
        let slot = |number| Slot::new(number).expect("a slot's number");
        let claims = vec![SlotRange::new(slot(0), slot(99)).unwrap(), slot(7000).into()];
        match rng.below(3) {
            0 => Standing::Member,
            1 => Standing::Claiming(claims),
            _ => {
                let fallback =
                    rng.one_in(2).then(|| Fallback { state: (*self.states[self.applied as usize]).clone(), term: self.hard.term });
                let sponsor = Sponsor { id: self.me, address: Address { ip: "10.0.0.1".to_owned(), ..Address::default() } };
                Standing::Joiner(Box::new(Joiner { cluster: self.cluster, shard: self.shard, nonce: Some(7), sponsor, claims, fallback }))
            }
        }
    }

    /// Whether a node that loaded this is this node, with its log up to `last`.
    pub fn is(&self, loaded: &Loaded, last: u64) -> bool {
        let applied = loaded.state.last_applied();
        applied <= last
            && last <= self.last()
            && (loaded.me, loaded.incarnation, loaded.hard) == (self.me, self.incarnation + 1, self.hard)
            && loaded.standing == self.standing
            && loaded.state == *self.states[applied as usize]
            && loaded.log.snapshot_index() == applied
            && loaded.log.last_index() == last
            && loaded.log.iter_from(0).all(|(index, entry)| *entry == self.entries[index as usize - 1])
    }

    /// Goes on as the node that loaded this.
    pub fn restart(&mut self, loaded: &Loaded) {
        self.applied = loaded.state.last_applied();
        self.incarnation = loaded.incarnation;
        self.entries.truncate(loaded.log.last_index() as usize);
        self.states.truncate(self.entries.len() + 1);
        self.log = loaded.log.clone();
    }
}
