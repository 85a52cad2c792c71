//! What a process holds that began anew, with keys from its disk or without.
//!
//! Owns: what the process before it had saved when it ended in order, and who held more of its node's slots when it began. A primary that
//! comes back with an old file, or with none, is not to serve that while a replica has the keys; one that was told to end has all of them
//! in its file.

use crate::sim::checks::Checks;
use crate::sim::checks::history::History;
use crate::sim::machine::Machine;
use crate::sim::queue::Micros;
use crate::sim::writers::KEYS;
use pontoon::cluster::Change;
use pontoon::cluster::change::NodeRecover;
use pontoon::raft::Body;
use pontoon::types::{ClusterId, LogIndex, Millis, NodeId, Term};
use std::collections::BTreeMap;

/// The number in each key; 0: none.
pub type Numbers = [u64; KEYS.len()];

/// How the process on a machine began.
struct Restart {
    /// By its machine's clock (ms).
    at: Millis,
    /// Where its node was a member, or alone.
    cluster: ClusterId,
    /// So much was committed by then.
    committed: LogIndex,
    /// The replicas of its node, in step with it.
    heirs: Vec<Heir>,
    /// What its file holds at least, in whatever slots its node had when it was saved.
    saved: Option<Numbers>,
}

/// A replica.
struct Heir {
    machine: usize,
    process: u64,
    id: NodeId,
    held: Numbers,
    /// It was flagged as failed, and the leader of this term knew better.
    returning: Option<Term>,
}

impl Heir {
    /// Since which entry it counts as living, if it does.
    fn lives_since(&self, history: &History, restarted_at: LogIndex) -> Option<LogIndex> {
        let Some(term) = self.returning else { return Some(restarted_at) };
        let recovered = history.model.recovered_at(&self.id)?;
        // The flag may have gone by the word of a later leader, which was not the one to be asked.
        (recovered > restarted_at && history.committed_term(recovered) <= Some(term)).then_some(recovered)
    }
}

/// Every machine's last.
#[derive(Default)]
pub struct Restarts {
    last: BTreeMap<usize, Restart>,
    /// The process that ended in order, by its number, and what it had saved.
    ended: BTreeMap<usize, (u64, Numbers)>,
}

impl Restarts {
    /// A machine has another disk.
    pub fn lost_files(&mut self, index: usize) {
        self.ended.remove(&index);
    }
}

impl Checks {
    /// A machine has other keys on its disk than it has saved.
    pub fn lost_keys(&mut self, index: usize) {
        self.restarts.lost_files(index);
    }

    /// A process ends in order; its keys are in their file.
    pub fn ended_whole(&mut self, machine: &Machine) {
        let Some(node) = &machine.node else { return };
        let held = self.held_by(machine).unwrap_or_default();
        let is_own = |key: usize| node.state().owner(KEYS[key].slot()) == Some(node.id());
        let saved = std::array::from_fn(|key| if is_own(key) { held[key] } else { 0 });
        self.restarts.ended.insert(machine.index, (machine.starts, saved));
    }

    /// A process begins.
    pub fn note_restart(&mut self, machines: &[Machine], index: usize, now: Micros) {
        let machine = &machines[index];
        let Some(node) = &machine.node else { return };
        let (cluster, id) = (node.state().cluster_id(), node.id());
        let model = self.clusters.get(&cluster).map(|history| &history.model);
        let has_failed = |id: &NodeId| model.is_some_and(|model| model.failed.contains(id));
        let replicas: Vec<NodeId> = model.into_iter().flat_map(|model| model.replicas_of(&id)).collect();
        let leader = leader(machines, cluster);
        let in_step = |other: &Machine| {
            let node = other.node.as_ref().filter(|node| node.state().cluster_id() == cluster && node.is_in_sync())?;
            // By an old file it may take itself for a primary.
            node.state().member(&node.id()).filter(|member| member.primary == Some(id))?;
            let held = self.held_by(other).filter(|_| replicas.contains(&node.id()))?;
            // Who is flagged as failed is waited for only if the leader knows that the flag is about to go.
            let returning = leader.filter(|leader| has_failed(&node.id()) && awaits(leader, &node.id(), now)).and_then(term);
            let counts = returning.is_some() || !has_failed(&node.id());
            counts.then_some(Heir { machine: other.index, process: other.starts, id: node.id(), held, returning })
        };
        let heirs = machines.iter().filter_map(in_step).collect();
        let ended = self.restarts.ended.remove(&index).filter(|(process, _)| process + 1 == machine.starts);
        let at = machine.clock.steady(now);
        let committed = model.map_or(0, |model| model.applied);
        self.restarts.last.insert(index, Restart { at, cluster, committed, heirs, saved: ended.map(|(_, saved)| saved) });
    }

    /// What this key must be where a process serves it that began after its node had come to own the slot: what was saved in order, and
    /// what a replica has, unless the cluster had so long to promote one and could not.
    pub fn retained(&self, machines: &[Machine], index: usize, key: usize, owner_since: LogIndex, now: Micros) -> u64 {
        let machine = &machines[index];
        let (Some(restart), Some(node)) = (self.restarts.last.get(&index), &machine.node) else { return 0 };
        // Who leaves a cluster or a shard drops its keys.
        let cluster = Some(node.state().cluster_id()).filter(|cluster| *cluster == restart.cluster && owner_since <= restart.committed);
        let Some(history) = cluster.and_then(|cluster| self.clusters.get(&cluster)) else { return 0 };
        let model = &history.model;
        if !model.has_stayed_since(&node.id(), restart.committed) {
            return 0;
        }
        let in_time = machine.clock.steady(now) < restart.at + node.raft().settings().node_timeout;
        let is_there = |heir: &&Heir| {
            let other = &machines[heir.machine];
            let follows = model.members.get(&heir.id).is_some_and(|place| place.primary == Some(node.id()));
            in_time
                && follows
                && other.node.is_some()
                && other.starts == heir.process
                && heir.lives_since(history, restart.committed).is_some_and(|since| !model.has_failed_since(&heir.id, since))
                && model.has_stayed_since(&heir.id, restart.committed)
        };
        let heirs = restart.heirs.iter().filter(is_there).map(|heir| heir.held[key]);
        heirs.chain(restart.saved.map(|saved| saved[key])).max().unwrap_or(0)
    }
}

/// Who leads the cluster: of several who think so, the one of the latest term.
fn leader(machines: &[Machine], cluster: ClusterId) -> Option<&Machine> {
    let leads =
        |machine: &&Machine| machine.node.as_ref().is_some_and(|node| node.raft().is_leader() && node.state().cluster_id() == cluster);
    machines.iter().filter(leads).max_by_key(|machine| term(machine))
}

fn term(machine: &Machine) -> Option<Term> {
    machine.node.as_ref().map(|node| node.raft().term())
}

/// Whether this leader knows that a member lives which is flagged as failed.
fn awaits(leader: &Machine, id: &NodeId, now: Micros) -> bool {
    let Some(node) = &leader.node else { return false };
    let (raft, mono) = (node.raft(), leader.clock.steady(now));
    let mut tail = raft.log().iter_from(node.state().last_applied() + 1);
    let is_logged =
        tail.any(|(_, entry)| matches!(&entry.body, Body::App(Change::NodeRecover(NodeRecover { id: recovered })) if recovered == id));
    let answers = raft.progress(id).is_some_and(|progress| progress.answers(mono, raft.settings().node_timeout / 2));
    is_logged || answers && !raft.is_dead(id)
}
