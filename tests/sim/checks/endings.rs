//! Orderly ends: an owner of slots that is told to end (SIGTERM, SHUTDOWN) leaves nothing behind that a replica could have had.
//!
//! Owns: who could have had it. That is every replica that has been there since the word came, its process running, no link between the two
//! cut, and a leader heard. A process that takes `shutdown-timeout`, or is told twice, may leave without.

use crate::sim::checks::Checks;
use crate::sim::machine::Machine;
use crate::sim::network::{Network, Owner};
use crate::sim::queue::Micros;
use crate::sim::writers::KEYS;
use pontoon::node::Node;
use pontoon::store::MemoryDisk;
use pontoon::types::{ClusterId, Millis, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// A machine and the number of its process.
pub type Process = (usize, u64);

/// A process is about to end.
struct Ending {
    process: u64,
    /// By its machine's clock (ms).
    since: Millis,
    cluster: ClusterId,
    id: NodeId,
    /// It was told again, or in a way that it may not have heard.
    hurried: bool,
    /// It owned slots meanwhile, by its own state: a replica owes nothing, its primary has what counts.
    owned_slots: bool,
    /// Who could have all that it has.
    heirs: BTreeSet<Process>,
}

/// See the module.
#[derive(Default)]
pub struct Endings {
    /// By machine.
    under_way: BTreeMap<usize, Ending>,
    /// Who has ended in time, with somebody there who could have everything.
    whole: BTreeSet<Process>,
}

impl Endings {
    /// Whether this process has ended in order, in time.
    pub fn was_whole(&self, process: Process) -> bool {
        self.whole.contains(&process)
    }
}

impl Checks {
    /// The process on this machine is told to end.
    pub fn told_to_end(&mut self, machines: &[Machine], index: usize, now: Micros) {
        let machine = &machines[index];
        let Some(node) = &machine.node else { return };
        let (cluster, id, process) = (node.state().cluster_id(), node.id(), machine.starts);
        if let Some(ending) = self.endings.under_way.get_mut(&index).filter(|ending| ending.process == process) {
            ending.hurried = true;
            return;
        }
        let heirs =
            machines.iter().filter(|other| self.could_have_all(other, cluster, id)).map(|other| (other.index, other.starts)).collect();
        self.endings.under_way.insert(
            index,
            Ending { process, since: machine.clock.steady(now), cluster, id, hurried: false, owned_slots: owns_slots(node), heirs },
        );
    }

    /// It is not to wait for anybody.
    pub fn hurry(&mut self, index: usize) {
        self.endings.under_way.get_mut(&index).into_iter().for_each(|ending| ending.hurried = true);
    }

    /// A process that is about to end has had a turn.
    pub fn watch_ending(&mut self, machines: &[Machine], net: &Network, index: usize) {
        let Some(mut ending) = self.endings.under_way.remove(&index) else { return };
        let Some(node) = machines[index].node.as_ref().filter(|_| machines[index].starts == ending.process) else { return };
        let is_cut = |from, to| net.is_cut(Some(Owner::Machine(from)), Some(Owner::Machine(to)));
        ending.heirs.retain(|(other, process)| {
            let other = &machines[*other];
            // Without a leader nobody says whether a replica that is not connected is coming back.
            let is_near = node.hears_leader() && !is_cut(index, other.index) && !is_cut(other.index, index);
            other.starts == *process && is_near && self.could_have_all(other, ending.cluster, ending.id)
        });
        ending.owned_slots |= owns_slots(node);
        self.endings.under_way.insert(index, ending);
    }

    /// Whether the process on this machine runs and replicates a node, or has taken over from it.
    fn could_have_all(&self, other: &Machine, cluster: ClusterId, id: NodeId) -> bool {
        let Some(model) = self.clusters.get(&cluster).map(|history| &history.model) else { return false };
        let follows = |node: &Node<MemoryDisk>| {
            let place = |id| model.members.get(id);
            let of_shard = place(&node.id()).zip(place(&id)).is_some_and(|(one, other)| one.shard == other.shard);
            node.id() != id && node.state().cluster_id() == cluster && of_shard && !model.failed.contains(&node.id())
        };
        other.is_running() && other.node.as_ref().is_some_and(follows)
    }

    /// A process ends in order: what it has, one of those has who could have it. Returns whether there was anything to be judged.
    pub fn ends_in_order(&mut self, machines: &[Machine], index: usize, now: Micros) -> bool {
        let Some(ending) = self.endings.under_way.remove(&index) else { return false };
        let machine = &machines[index];
        let in_time =
            ending.process == machine.starts && !ending.hurried && machine.clock.steady(now) < ending.since + machine.patience * 990;
        if !in_time || !ending.owned_slots || ending.heirs.is_empty() || !self.custody.is_kept() {
            return false;
        }
        let Some(model) = self.clusters.get(&ending.cluster).map(|history| &history.model) else { return false };
        let shard = model.members.get(&ending.id).map(|place| place.shard);
        let is_own =
            |key: usize| model.owner(KEYS[key].slot()).and_then(|owner| model.members.get(&owner)).map(|place| place.shard) == shard;
        let Some(held) = self.held_by(machine) else { return false };
        let own = (0..KEYS.len()).filter(|key| is_own(*key) && held[*key] > 0);
        let own: Vec<usize> = own.collect();
        // Who has come to the shard since has it as well as any.
        let there = machines.iter().filter(|other| self.could_have_all(other, ending.cluster, ending.id)).map(|other| other.index);
        let heirs: BTreeSet<usize> = ending.heirs.iter().map(|(heir, _)| *heir).chain(there).collect();
        let lacking = own.iter().copied().filter(|key| !heirs.iter().any(|heir| self.custody.may_hold(*heir, *key, held[*key])));
        let lacking: Vec<_> = lacking.map(|key| (KEYS[key].0, held[key])).collect();
        assert!(
            lacking.is_empty(),
            "who ends in order leaves nothing behind that a replica of {:?} could have had: {lacking:?}",
            ending.heirs
        );
        self.endings.whole.insert((index, ending.process));
        !own.is_empty()
    }
}

fn owns_slots(node: &Node<MemoryDisk>) -> bool {
    node.state().slot_count_of(&node.id()) > 0
}
