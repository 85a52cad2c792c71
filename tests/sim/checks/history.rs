//! What one cluster has agreed on, as seen from outside: leaders, votes, entries, the committed log, the states that it made.
//!
//! Owns: the sentences of the Raft paper (Figure 3) as code.

use crate::sim::checks::model::Model;
use pontoon::cluster::change::NodeForget;
use pontoon::cluster::{Change, ClusterEntry, State};
use pontoon::raft::Body;
use pontoon::types::{LogIndex, NodeId, Term};
use std::collections::BTreeMap;

/// An entry that some node called committed.
struct Committed {
    term: Term,
    /// The term of who first said so: every leader of a later one has it.
    said_in: Term,
}

/// The past of one cluster.
pub struct History {
    leaders: BTreeMap<Term, NodeId>,
    votes: BTreeMap<(Term, NodeId), NodeId>,
    /// Every entry that any node ever had.
    entries: BTreeMap<(LogIndex, Term), (Term, ClusterEntry)>,
    /// From index 1 on.
    committed: Vec<Committed>,
    hashes: BTreeMap<LogIndex, u64>,
    /// What the committed log means.
    pub model: Model,
    /// Its only node left it.
    pub given_up: bool,
}

impl History {
    /// Of a cluster that nobody has heard of.
    pub fn new() -> Self {
        Self {
            leaders: BTreeMap::new(),
            votes: BTreeMap::new(),
            entries: BTreeMap::new(),
            committed: Vec::new(),
            hashes: BTreeMap::new(),
            model: Model::new(),
            given_up: false,
        }
    }

    /// Of the cluster that `survivor` makes of this one by force, taking all of its log, up to `last`, for committed.
    pub fn recovered(&self, survivor: NodeId, last: LogIndex, term_at: impl Fn(LogIndex) -> Option<Term>) -> Self {
        let mut model = self.model.clone();
        assert!(last >= model.applied, "nobody had anything open, so the survivor has all that was committed");
        for index in model.applied + 1..=last {
            let term = term_at(index).unwrap_or_else(|| panic!("its log was seen before: {index} of {last}, applied {}", model.applied));
            model.apply(&self.entries[&(index, term)].1);
        }
        model.voters = [survivor].into();
        model.effects.clear();
        let term_of = |index| self.committed_term(index).or_else(|| term_at(index)).expect("it is committed, or in the survivor's log");
        let committed = (1..=last).map(|index| Committed { term: term_of(index), said_in: 0 }).collect();
        Self { committed, model, ..Self::new() }
    }

    /// A node leads a term. Returns whether that is news.
    pub fn leads(&mut self, term: Term, id: NodeId) -> bool {
        let leader = *self.leaders.entry(term).or_insert(id);
        assert_eq!(leader, id, "there is one leader in term {term}");
        self.leaders.len() > 1 || leader != id
    }

    /// A node gives its vote, to itself perhaps.
    pub fn votes(&mut self, term: Term, voter: NodeId, candidate: NodeId) {
        let given = *self.votes.entry((term, voter)).or_insert(candidate);
        assert_eq!(given, candidate, "{voter} votes once in term {term}");
    }

    /// A node has this entry, after one of term `previous`. Two logs with an entry of one index and term are equal up to there.
    pub fn has(&mut self, index: LogIndex, previous: Term, entry: &ClusterEntry) {
        let known = self.entries.entry((index, entry.term)).or_insert_with(|| (previous, entry.clone()));
        assert!(known.1 == *entry, "logs match: entry {index} of term {} is {:?} and {entry:?}", entry.term, known.1);
        assert_eq!(known.0, previous, "logs match: what stands before entry {index} of term {}", entry.term);
    }

    /// The highest index that anyone called committed.
    pub fn committed(&self) -> LogIndex {
        self.committed.len() as LogIndex
    }

    /// The term of a committed entry.
    pub fn committed_term(&self, index: LogIndex) -> Option<Term> {
        self.committed.get((index as usize).checked_sub(1)?).map(|committed| committed.term)
    }

    /// A node of term `said_in` calls this entry committed. Returns whether it is the first to do so.
    pub fn commits(&mut self, index: LogIndex, entry: &ClusterEntry, said_in: Term) -> bool {
        if let Some(term) = self.committed_term(index) {
            assert_eq!(entry.term, term, "a committed entry stays: {index}");
            return false;
        }
        assert_eq!(index, self.committed() + 1, "the committed log has no gaps");
        self.committed.push(Committed { term: entry.term, said_in });
        if let Body::App(Change::NodeForget(NodeForget { id, .. })) = &entry.body {
            // It did not vote any more, by an entry before that, and whoever wins a term has that one: what this life of the node gave
            // to others counts for nobody, and its next life knows nothing of it.
            self.votes.retain(|(_, voter), _| voter != id);
        }
        self.model.apply(entry);
        true
    }

    /// A leader has every entry that was committed in an earlier term.
    pub fn check_leader(&self, term: Term, last_index: LogIndex, term_at: impl Fn(LogIndex) -> Option<Term>) {
        for (committed, index) in self.committed.iter().zip(1..) {
            if committed.said_in >= term {
                continue;
            }
            assert!(index <= last_index, "the leader of term {term} has the committed entry {index}");
            let own = term_at(index);
            assert!(own.is_none_or(|own| own == committed.term), "the leader of term {term} has entry {index} as it was committed");
        }
    }

    /// A node's state after it applied everything up to its `last_applied`.
    pub fn applied(&mut self, state: &State) {
        let index = state.last_applied();
        if index == 0 {
            return;
        }
        let hash = state.hash();
        let known = *self.hashes.entry(index).or_insert(hash);
        assert_eq!(known, hash, "every node has the same state at index {index}");
        if index == self.model.applied {
            self.model.compare(state, false);
        }
    }
}
