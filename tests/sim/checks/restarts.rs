//! What a process holds that began anew, with keys from its disk or without.
//!
//! Owns: what the process before it had saved when it ended in order, and who held more of its node's slots when it began. A primary that comes back with
//! an old file, or with none, is not to serve that while a replica has the keys; one that was told to end has all of them in its file.

use crate::sim::checks::Checks;
use crate::sim::machine::Machine;
use crate::sim::queue::Micros;
use crate::sim::writers::KEYS;
use pontoon::types::{ClusterId, LogIndex, Millis, NodeId};
use std::collections::BTreeMap;

/// The number in each key; 0: none.
pub type Numbers = [u64; KEYS.len()];

/// How the process on a machine began.
struct Restart {
    /// By its machine's clock (mono ms).
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
        // Who is flagged as failed is not waited for.
        let has_failed = |id: &NodeId| model.is_some_and(|model| model.failed.contains(id));
        let replicas: Vec<NodeId> = model.into_iter().flat_map(|model| model.replicas_of(&id)).filter(|id| !has_failed(id)).collect();
        let in_step = |other: &Machine| {
            let node = other.node.as_ref().filter(|node| node.state().cluster_id() == cluster && node.is_in_sync())?;
            // By an old file it may take itself for a primary.
            node.state().member(&node.id()).filter(|member| member.primary == Some(id))?;
            let held = self.held_by(other).filter(|_| replicas.contains(&node.id()))?;
            Some(Heir { machine: other.index, process: other.starts, id: node.id(), held })
        };
        let heirs = machines.iter().filter_map(in_step).collect();
        let ended = self.restarts.ended.remove(&index).filter(|(process, _)| process + 1 == machine.starts);
        let at = machine.clock.read(now).mono;
        let committed = model.map_or(0, |model| model.applied);
        self.restarts.last.insert(index, Restart { at, cluster, committed, heirs, saved: ended.map(|(_, saved)| saved) });
    }

    /// What this key must be where a process serves it that began after its node had come to own the slot: what was saved in order, and what a replica has,
    /// unless the cluster had so long to promote one and could not.
    pub fn retained(&self, machines: &[Machine], index: usize, key: usize, owner_since: LogIndex, now: Micros) -> u64 {
        let machine = &machines[index];
        let (Some(restart), Some(node)) = (self.restarts.last.get(&index), &machine.node) else { return 0 };
        // Who leaves a cluster or a shard drops its keys.
        let cluster = Some(node.state().cluster_id()).filter(|cluster| *cluster == restart.cluster && owner_since <= restart.committed);
        let Some(model) = cluster.and_then(|cluster| self.clusters.get(&cluster)).map(|history| &history.model) else { return 0 };
        if !model.has_stayed_since(&node.id(), restart.committed) {
            return 0;
        }
        let in_time = machine.clock.read(now).mono < restart.at + node.raft().settings().node_timeout;
        let is_there = |heir: &&Heir| {
            let other = &machines[heir.machine];
            let follows = model.members.get(&heir.id).is_some_and(|place| place.primary == Some(node.id()));
            in_time
                && follows
                && other.node.is_some()
                && other.starts == heir.process
                && !model.has_failed_since(&heir.id, restart.committed)
                && model.has_stayed_since(&heir.id, restart.committed)
        };
        let heirs = restart.heirs.iter().filter(is_there).map(|heir| heir.held[key]);
        heirs.chain(restart.saved.map(|saved| saved[key])).max().unwrap_or(0)
    }
}
