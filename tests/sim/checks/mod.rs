//! What must hold, checked all along. The checks know the bytes on the wire, the bytes on the disks, the replies, and what a node says
//! of itself in public; nothing else of how it works.
//!
//! Owns: the picture of every cluster that ever was ([`history`]), of every node's log, and the sentences. A sentence that does not hold
//! is a panic; the sweep says in which seed and when.

mod choices;
pub mod custody;
pub mod durable;
pub mod endings;
pub mod history;
pub mod holdings;
mod leases;
pub mod model;
pub mod moves;
pub mod promised_changes;
mod promises;
mod restarts;

use crate::sim::machine::Machine;
use crate::sim::queue::Micros;
use crate::sim::stats::Stats;
use custody::Custody;
use durable::Durable;
use endings::Endings;
use history::History;
use moves::Moves;
use pontoon::cluster::change::NodeJoin;
use pontoon::cluster::{Change, FailoverKind, State};
use pontoon::node::Node;
use pontoon::raft::{Body, Raft};
use pontoon::store::MemoryDisk;
use pontoon::types::{ClusterId, LogIndex, NodeId, Term};
use promised_changes::Changes;
use restarts::Restarts;
use std::collections::{BTreeMap, BTreeSet};

/// What a node said of itself at the end of its last turn.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Said {
    id: Option<NodeId>,
    cluster: Option<ClusterId>,
    term: Term,
    leads: bool,
    first_index: LogIndex,
    last_index: LogIndex,
    last_term: Term,
    commit: LogIndex,
    quorum: LogIndex,
    applied: LogIndex,
}

/// One machine as the checks see it.
#[derive(Default)]
struct Seen {
    said: Said,
    /// The log's terms from `terms_from` on.
    terms: Vec<Term>,
    terms_from: LogIndex,
    durable: Durable,
    /// The voting set that it went by at the end of its last turn but one.
    voters: BTreeSet<NodeId>,
    /// What it had applied before its last turn: clients were served by that.
    served_by: LogIndex,
    /// It had slots and a lease at the end of its last turn.
    holds_lease: bool,
    /// Whom it knew to be dead then.
    dead: BTreeSet<NodeId>,
    /// Its clock was not to be trusted.
    doubtful: bool,
}

impl Seen {
    fn term_at(&self, index: LogIndex) -> Option<Term> {
        self.terms.get(index.checked_sub(self.terms_from)? as usize).copied()
    }
}

/// Every check of a run.
pub struct Checks {
    clusters: BTreeMap<ClusterId, History>,
    seen: Vec<Seen>,
    /// By connection: who said HELLO or HI on which side.
    greetings: BTreeMap<usize, [Option<(NodeId, ClusterId)>; 2]>,
    /// What clients asked for and were told.
    pub changes: Changes,
    /// What they wrote.
    pub custody: Custody,
    restarts: Restarts,
    moves: Moves,
    /// Who is about to end.
    pub endings: Endings,
    /// When each TAKEOVER was first seen to be committed, by its cluster and index.
    takeovers: BTreeMap<(ClusterId, LogIndex), Micros>,
    /// Entries that move slots and were committed by a leader whose clock was not to be trusted.
    by_doubtful_clocks: BTreeSet<(ClusterId, LogIndex)>,
}

impl Checks {
    /// For so many machines; whether what clients wrote is to be kept.
    pub fn new(machines: usize, keeps: bool) -> Self {
        let seen = (0..machines).map(|_| Seen::default()).collect();
        Self {
            clusters: BTreeMap::new(),
            seen,
            greetings: BTreeMap::new(),
            changes: Changes::default(),
            custody: Custody::new(keeps),
            restarts: Restarts::default(),
            moves: Moves::default(),
            endings: Endings::default(),
            takeovers: BTreeMap::new(),
            by_doubtful_clocks: BTreeSet::new(),
        }
    }

    /// A process was started: what was certainly on its disk is what it knows.
    pub fn started(&mut self, machines: &[Machine], index: usize, now: Micros) {
        self.note_restart(machines, index, now);
        self.moves.started(index);
        let machine = &machines[index];
        let Some(node) = &machine.node else { return };
        let seen = &mut self.seen[machine.index];
        seen.durable.refresh(&machine.disk, &machine.file());
        let (durable, raft) = (&seen.durable, node.raft());
        // After a kill the machine still shows bytes that are not on disk, and the node reads those.
        let is_all = machine.disk.live(&machine.file()) == machine.disk.durable(&machine.file());
        if durable.id.is_some() && is_all {
            assert_eq!(durable.id, Some(raft.id()), "a restarted node is who it was");
            assert_eq!(durable.cluster, Some(node.state().cluster_id()), "a restarted node is in the cluster where it was");
            assert!(raft.term() >= durable.term, "a restarted node knows its term");
            assert!(
                raft.log().last_index() >= durable.last_index(),
                "a restarted node has the log that was on its disk: {} {}",
                raft.log().last_index(),
                durable.last_index()
            );
        }
        let Said { id, cluster, .. } = seen.said;
        seen.said = Said { id, cluster, ..Said::default() };
        seen.terms.clear();
        seen.holds_lease = false;
    }

    /// A node has had its turn.
    pub fn after_turn(&mut self, machines: &[Machine], index: usize, now: Micros, stats: &mut Stats) {
        let machine = &machines[index];
        let Some(node) = &machine.node else { return };
        node.check();
        let seen = &mut self.seen[index];
        let is_same = seen.said.cluster == Some(node.state().cluster_id());
        seen.served_by = if is_same { seen.said.applied } else { 0 };
        self.seen[index].doubtful = machine.has_doubtful_clock(now);
        let last_before = if is_same { self.seen[index].said.last_index } else { 0 };
        if self.seen[index].said != said(node) {
            self.after_change(machines, index, stats);
        }
        self.note_takeovers(index, now);
        self.count_dead(index, node, stats);
        self.look_at_leases(machines, index, now, stats);
        self.look_at_keys(machines, index, now, stats);
        self.look_at_choices(machines, index, last_before, now);
    }

    /// A node says something else of itself than before its turn.
    fn after_change(&mut self, machines: &[Machine], index: usize, stats: &mut Stats) {
        let machine = &machines[index];
        let Some(node) = &machine.node else { return };
        let said = said(node);
        let seen = &mut self.seen[machine.index];
        let before = std::mem::replace(&mut seen.said, said);
        if before.cluster == said.cluster {
            if said.first_index > before.applied + 1 {
                self.moves.leapt(index, before.applied, said.first_index - 1);
            }
            assert!(said.applied >= before.applied, "what a node has applied it does not undo: {} after {}", said.applied, before.applied);
        }
        if before.cluster != said.cluster {
            self.descended(machine.index, node);
            self.seen[machine.index].terms.clear();
            self.left(before);
            self.came(machine.index, node.raft());
        }
        if node.standing().is_joiner() && self.history(machine.index).model.members.contains_key(&node.id()) {
            self.changes.release_asked(node.id());
        }
        self.check_log(machine.index, node.raft());
        if said.leads && (!before.leads || before.term != said.term) {
            self.check_leader(machine.index, node.raft(), stats);
        }
        self.check_quorum(machines, index, before);
        self.check_commit(machines, index, before, stats);
        self.seen[index].voters.clone_from(node.raft().voters());
        if said.applied != before.applied || said.cluster != before.cluster {
            self.history(machine.index).applied(node.state());
        }
    }

    fn history(&mut self, machine: usize) -> &mut History {
        let cluster = self.seen[machine].said.cluster.expect("a node that had a turn is in a cluster");
        self.clusters.entry(cluster).or_insert_with(History::new)
    }

    /// A machine has another disk: what was promised of the old one is nobody's any more.
    pub fn wiped(&mut self, machine: usize) {
        self.seen[machine] = Seen::default();
        self.restarts.lost_files(machine);
    }

    /// A node has recovered its cluster by force: the new one begins with all of that node's log.
    fn descended(&mut self, machine: usize, node: &Node<MemoryDisk>) {
        let (cluster, log) = (node.state().cluster_id(), node.raft().log());
        let Some(parent) = node.state().ancestors().last().and_then(|parent| self.clusters.get(parent)) else { return };
        if !self.clusters.contains_key(&cluster) {
            let seen = &self.seen[machine];
            let history = parent.recovered(node.id(), log.snapshot_index(), |index| seen.term_at(index));
            self.clusters.insert(cluster, history);
        }
    }

    /// A node left this cluster for another one. If it was alone there, what that cluster acknowledged is given up with it.
    fn left(&mut self, before: Said) {
        let (Some(id), Some(cluster)) = (before.id, before.cluster) else { return };
        let Some(history) = self.clusters.get_mut(&cluster) else { return };
        if history.model.members.keys().eq([&id]) {
            self.changes.gave_up(id);
            history.given_up = true;
        }
    }

    /// A node is in another cluster than before. One that goes back to its own cluster of one may begin it anew.
    fn came(&mut self, machine: usize, raft: &Raft<Change>) {
        let history = self.history(machine);
        if history.given_up && history.model.members.contains_key(&raft.id()) {
            history.given_up = false;
            if raft.log().last_index() < history.committed() {
                *history = History::new();
            }
        }
    }

    /// What is new in a node's log agrees with every other log.
    fn check_log(&mut self, machine: usize, raft: &Raft<Change>) {
        let log = raft.log();
        let (first, last) = (log.first_index(), log.last_index());
        let seen = &self.seen[machine];
        let mut from = last + 1;
        while from > first && seen.term_at(from - 1).is_none_or(|known| log.term_at(from - 1) != Some(known)) {
            from -= 1;
        }
        for index in from..=last {
            let previous = log.term_at(index - 1).expect("a log knows the term before its first entry");
            let entry = log.get(index).expect("a log has what is between its first and last index");
            self.history(machine).has(index, previous, entry);
        }
        let seen = &mut self.seen[machine];
        // A snapshot may have brought more than was seen so far.
        let gap = from > seen.terms_from + seen.terms.len() as LogIndex;
        if seen.terms.is_empty() || first < seen.terms_from || from < seen.terms_from || gap {
            (seen.terms_from, from) = (first, first);
            seen.terms.clear();
        }
        seen.terms.truncate((from - seen.terms_from) as usize);
        seen.terms.extend((from..=last).filter_map(|index| log.term_at(index)));
    }

    fn check_leader(&mut self, machine: usize, raft: &Raft<Change>, stats: &mut Stats) {
        let history = self.history(machine);
        let news = history.leads(raft.term(), raft.id());
        stats.elections += u64::from(news);
        history.check_leader(raft.term(), raft.log().last_index(), |index| raft.log().term_at(index));
    }

    /// What a node calls committed is what the others call so, and a leader says it first.
    fn check_commit(&mut self, machines: &[Machine], machine: usize, before: Said, stats: &mut Stats) {
        let Some(node) = &machines[machine].node else { return };
        let raft = node.raft();
        let (log, commit) = (raft.log(), raft.commit_index());
        let from = if before.cluster == self.seen[machine].said.cluster { before.commit } else { 0 };
        let mut first = false;
        let mut moves = Vec::new();
        for index in from.max(log.first_index() - 1) + 1..=commit {
            let entry = log.get(index).expect("a committed entry is in the log until it is applied");
            let history = self.history(machine);
            let replaces = history.model.replaces(&entry.body);
            if history.commits(index, entry, raft.term()) {
                first = true;
                if matches!(entry.body, Body::App(Change::SlotChange(_) | Change::Failover(_))) {
                    moves.push(index);
                }
                stats.replacements += u64::from(replaces);
                count_failover(stats, history.model.failover());
                count(stats, &entry.body);
            }
        }
        let seen = &self.seen[machine];
        if let Some(cluster) = seen.said.cluster.filter(|_| seen.doubtful) {
            self.by_doubtful_clocks.extend(moves.into_iter().map(|index| (cluster, index)));
        }
        // It may have led until then: what it committed can be its own removal.
        assert!(!first || raft.is_leader() || before.leads, "a leader is the first to know that entry {commit} is committed");
    }

    /// What a leader takes for agreed (and commits, now or when nothing stands in the way) has a majority of disks behind it.
    fn check_quorum(&mut self, machines: &[Machine], machine: usize, before: Said) {
        let said = self.seen[machine].said;
        let known = if before.leads && before.term == said.term { before.quorum } else { 0 };
        let Some(node) = machines[machine].node.as_ref().filter(|_| said.leads && said.quorum > known) else { return };
        for (seen, machine) in self.seen.iter_mut().zip(machines) {
            seen.durable.refresh(&machine.disk, &machine.file());
        }
        let term = node.raft().log().term_at(said.quorum);
        assert!(term.is_none_or(|term| term == said.term), "a leader counts copies of entries of its own term only");
        self.check_majority(node, &self.seen[machine].voters, before.last_index, said.quorum);
    }

    /// The set that counts is that of some moment of the turn: a turn may append voting entries before or after it agrees on something.
    fn check_majority(&self, node: &Node<MemoryDisk>, before: &BTreeSet<NodeId>, last_before: LogIndex, index: LogIndex) {
        let (raft, cluster) = (node.raft(), Some(node.state().cluster_id()));
        let holds = |id: &&NodeId| {
            let is_at = |durable: &Durable| durable.id == Some(**id) && durable.cluster == cluster;
            self.seen.iter().any(|seen| is_at(&seen.durable) && seen.durable.holds(index, raft.term()))
        };
        let has_majority = |voters: &BTreeSet<NodeId>| 2 * voters.iter().filter(holds).count() > voters.len();
        let mut voters = before.clone();
        let mut then =
            raft.log().iter_from(last_before + 1).filter(|(_, entry)| entry.body.change_voters(&mut voters) && has_majority(&voters));
        let holds = has_majority(raft.voters()) || has_majority(before) || then.next().is_some();
        assert!(holds, "what a leader takes for agreed, entry {index} of term {}, is on a majority's disks", raft.term());
    }

    /// Whom a leader has found out to be dead since its last turn.
    fn count_dead(&mut self, index: usize, node: &Node<MemoryDisk>, stats: &mut Stats) {
        let raft = node.raft();
        let dead = node.state().members().map(|member| member.id).filter(|id| raft.is_dead(id)).collect();
        let before = std::mem::replace(&mut self.seen[index].dead, dead);
        stats.known_dead += self.seen[index].dead.difference(&before).count() as u64;
    }

    /// A node's whole state against the committed log, if it has applied all of that.
    pub fn compare(&self, state: &State) {
        if let Some(history) = self.clusters.get(&state.cluster_id()).filter(|history| history.model.applied == state.last_applied()) {
            history.model.compare(state, true);
        }
    }
}

fn said(node: &Node<MemoryDisk>) -> Said {
    let (raft, state) = (node.raft(), node.state());
    let log = raft.log();
    Said {
        id: Some(raft.id()),
        cluster: Some(state.cluster_id()),
        term: raft.term(),
        leads: raft.is_leader(),
        first_index: log.first_index(),
        last_index: log.last_index(),
        last_term: log.last_term(),
        commit: raft.commit_index(),
        quorum: raft.quorum_index(),
        applied: state.last_applied(),
    }
}

fn count_failover(stats: &mut Stats, kind: Option<FailoverKind>) {
    match kind {
        None => {}
        Some(FailoverKind::Auto) => stats.automatic_failovers += 1,
        Some(FailoverKind::Manual) => stats.manual_failovers += 1,
        Some(FailoverKind::Force) => stats.forced_failovers += 1,
        Some(FailoverKind::Takeover) => stats.takeovers += 1,
    }
}

fn count(stats: &mut Stats, body: &Body<Change>) {
    stats.commits += 1;
    match body {
        Body::AddVoter { .. } => stats.voters_added += 1,
        Body::DelVoter { .. } => stats.voters_removed += 1,
        Body::App(Change::NodeJoin(NodeJoin { voter: false, .. })) => stats.joins += 1,
        Body::App(Change::NodeForget(_)) => stats.forgets += 1,
        Body::App(Change::SlotChange(_)) => stats.slot_changes += 1,
        _ => {}
    }
}
