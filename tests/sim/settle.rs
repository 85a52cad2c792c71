//! After the faults: does the cluster find itself again?
//!
//! Asked of every cluster that still has a majority of its voters: one leader, every member at the same index with the same state,
//! nobody stuck half way in, as many voters as the leader wants, spread over the zones, nobody counted as failed, every slot of a living
//! owner served, every replica with its primary's keys, and a change that a client asks for is made. Then every
//! leader is told to end, and must not be missed.

use crate::sim::checks::moves::foreign_slot;
use crate::sim::queue::{MILLI, Micros};
use crate::sim::stats::Stats;
use crate::sim::world::World;
use pontoon::cluster::{Change, State};
use pontoon::keyspace::Keyspace;
use pontoon::node::{Node, Signal};
use pontoon::raft::Raft;
use pontoon::store::MemoryDisk;
use pontoon::types::{ClusterId, Millis, NodeId, Slot, Term};
use pontoon::values::{Face, Hash, Parts, Place, View};
use std::collections::{BTreeMap, BTreeSet};

/// The longest time without a leader after the one before was told to end.
const HANDOVER: Micros = 200 * MILLI;

type Nodes<'a> = BTreeMap<NodeId, &'a Node<MemoryDisk>>;

impl World {
    /// The running nodes by cluster.
    fn by_cluster(&self) -> BTreeMap<ClusterId, Nodes<'_>> {
        let mut clusters: BTreeMap<ClusterId, Nodes<'_>> = BTreeMap::new();
        for node in self.machines.iter().filter_map(|machine| machine.node.as_ref()) {
            clusters.entry(node.state().cluster_id()).or_default().insert(node.raft().id(), node);
        }
        clusters
    }

    /// Why things are not as they should be, if they are not.
    pub fn unsettled(&self) -> Option<String> {
        if self.machines.iter().any(|machine| machine.node.is_none()) {
            return Some("every process runs".to_owned());
        }
        let clusters = self.by_cluster();
        let unsettled = clusters.iter().filter(|(_, nodes)| has_majority(nodes)).find_map(|(cluster, nodes)| unsettled(cluster, nodes));
        unsettled.or_else(|| self.misplaced(&clusters)).or_else(|| self.unserved(&clusters)).or_else(|| self.kept_from_others(&clusters))
    }

    /// Nobody keeps keys of slots that others own.
    fn kept_from_others(&self, clusters: &BTreeMap<ClusterId, Nodes<'_>>) -> Option<String> {
        let mut settled = clusters.values().filter(|nodes| has_majority(nodes)).flat_map(BTreeMap::values);
        settled.find_map(|node| Some(format!("{} holds no key of slot {}, which another one owns", node.id(), foreign_slot(node)?)))
    }

    /// Every slot that a living node owns is served.
    fn unserved(&self, clusters: &BTreeMap<ClusterId, Nodes<'_>>) -> Option<String> {
        let running = self.machines.iter().filter_map(|machine| Some((machine, machine.node.as_ref()?)));
        let mut settled = running.filter(|(_, node)| clusters.get(&node.state().cluster_id()).is_some_and(has_majority));
        settled.find_map(|(machine, node)| {
            let now = machine.clock.read(self.now);
            let is_owned = |slot: &Slot| node.state().owner(*slot) == Some(node.id());
            let slot = Slot::all().filter(is_owned).find(|slot| !node.accepts_writes(*slot, now))?;
            Some(format!("m{} takes writes to its slot {slot}", machine.index))
        })
    }

    /// Whoever was moved is known to be where it is, to itself and to others.
    fn misplaced(&self, clusters: &BTreeMap<ClusterId, Nodes<'_>>) -> Option<String> {
        let nodes = self.machines.iter().enumerate().filter_map(|(index, machine)| Some((index, machine.node.as_ref()?)));
        let settled =
            |node: &Node<MemoryDisk>| clusters.get(&node.state().cluster_id()).filter(|nodes| nodes.len() > 1 && has_majority(nodes));
        nodes.filter(|(_, node)| settled(node).is_some()).find_map(|(index, node)| {
            let known = &node.state().member(&node.raft().id())?.address.ip;
            let mut leaders = self.machines.iter().filter(|machine| machine.node.as_ref().is_some_and(|other| leads_for(other, node)));
            let lost = leaders.find(|leader| !self.reaches(leader.index, known, index))?;
            Some(format!("m{index} is known at {known}, where m{} finds it", lost.index))
        })
    }

    /// How many clusters lost their majority for good: nodes that left without a leader's consent (RESET HARD).
    pub fn beyond_help(&self) -> u64 {
        self.by_cluster().values().filter(|nodes| !has_majority(nodes)).count() as u64
    }

    /// Settled and in fair weather, every leader that is not the only voter is told to end: another one leads before it is missed.
    pub fn hand_over(&mut self) {
        let leaders = self.replaceable_leaders();
        let ended = |stats: &Stats| stats.exits + stats.power_cuts;
        let expected = ended(&self.stats) + leaders.len() as u64;
        leaders.iter().for_each(|(index, ..)| self.shut_down(*index, Signal::Term));
        self.run_until(self.now + HANDOVER);
        if ended(&self.stats) > expected {
            // A disk has failed late, as ordered in the first phase, and nothing can be asked of the others.
            return;
        }
        assert_eq!(ended(&self.stats), expected, "within {} ms a leader that was told to end has done so", HANDOVER / MILLI);
        let clusters = self.by_cluster();
        for (index, cluster, term) in &leaders {
            let leads = |node: &&Node<MemoryDisk>| node.raft().is_leader() && node.raft().term() > *term;
            let found = clusters.get(cluster).is_some_and(|nodes| nodes.values().any(leads));
            assert!(found, "within {} ms after the leader m{index} was told to end another one leads", HANDOVER / MILLI);
        }
        self.stats.handovers += leaders.len() as u64;
    }

    /// Leaders that somebody could follow, each with its cluster and term. Who waits for a replica that is gone, and does not count as
    /// failed yet, is none.
    fn replaceable_leaders(&self) -> Vec<(usize, ClusterId, Term)> {
        let running = self.machines.iter().filter_map(|machine| Some((machine.index, machine.node.as_ref()?)));
        let clusters = self.by_cluster();
        let waits = |node: &Node<MemoryDisk>| {
            let (state, nodes) = (node.state(), &clusters[&node.state().cluster_id()]);
            let mut replicas = state.replicas_of(&node.raft().id()).into_iter().filter_map(|id| state.member(&id));
            replicas.any(|replica| !replica.failed && !nodes.contains_key(&replica.id))
        };
        let leaders = running.filter(|(_, node)| node.raft().is_leader() && node.raft().voters().len() > 1 && !waits(node));
        leaders.map(|(index, node)| (index, node.state().cluster_id(), node.raft().term())).collect()
    }

    /// Every member of every cluster has the state that the committed log makes, slot by slot.
    pub fn compare_states(&mut self) {
        let states: Vec<_> = self.machines.iter().filter_map(|machine| machine.node.as_ref()).map(|node| node.state()).collect();
        states.into_iter().for_each(|state| self.checks.compare(state));
    }
}

/// Whether somebody can be elected: who votes by its own log, by the votes of those whom that log names and who are there. Who knows more
/// than it votes for nobody who knows less, be it that its own log says that it votes no more.
fn has_majority(nodes: &Nodes<'_>) -> bool {
    let end = |raft: &Raft<Change>| (raft.log().last_term(), raft.log().last_index());
    let mut candidates = nodes.iter().filter(|(id, node)| node.raft().is_voter(id)).map(|(_, node)| node.raft());
    candidates.any(|raft| {
        let votes = |voter: &&NodeId| nodes.get(voter).is_some_and(|node| end(node.raft()) <= end(raft));
        2 * raft.voters().iter().filter(votes).count() > raft.voters().len()
    })
}

fn leads_for(node: &Node<MemoryDisk>, other: &Node<MemoryDisk>) -> bool {
    node.raft().is_leader() && node.state().cluster_id() == other.state().cluster_id()
}

fn unsettled(cluster: &ClusterId, nodes: &Nodes<'_>) -> Option<String> {
    let leaders: Vec<&Node<MemoryDisk>> = nodes.values().filter(|node| node.raft().is_leader()).copied().collect();
    let [leader] = leaders[..] else { return Some(format!("cluster {cluster} has one leader, not {}", leaders.len())) };
    let (raft, state) = (leader.raft(), leader.state());
    if !raft.leader_ready(state.last_applied()) || state.last_applied() != raft.log().last_index() {
        return Some(format!("the leader of cluster {cluster} has applied all of its log"));
    }
    if let Some(missing) = unbalanced(leader).or_else(|| unreplicated(state, nodes)) {
        return Some(format!("in cluster {cluster} {missing}"));
    }
    let members: BTreeSet<NodeId> = state.members().map(|member| member.id).collect();
    nodes.iter().find_map(|(id, node)| {
        let here = members.contains(id);
        if node.standing().is_joiner() || !here {
            return Some(format!("{id} is a member of cluster {cluster} or of another one"));
        }
        let same = node.state().last_applied() == state.last_applied() && node.state().hash() == state.hash();
        (here && !same).then(|| format!("{id} has the state of its leader in cluster {cluster}"))
    })
}

/// Nobody who is there counts as failed, every replica has the keys of its primary, and takes the place of one that is gone.
fn unreplicated(state: &State, nodes: &Nodes<'_>) -> Option<String> {
    let present = state.members().filter_map(|member| Some((member, nodes.get(&member.id)?)));
    let mut present = present.map(|(member, node)| (member, node, member.primary.map(|primary| (primary, nodes.get(&primary)))));
    present.find_map(|(member, node, primary)| match primary {
        _ if member.failed => Some(format!("{} is there and has not failed", member.id)),
        Some((primary, None)) if node.is_in_sync() && state.slot_count_of(&primary) > 0 => {
            Some(format!("{} takes over from {primary}, which is gone for good", member.id))
        }
        Some((_, Some(primary))) if !node.is_in_sync() => Some(format!("{} is in step with its primary {}", member.id, primary.id())),
        Some((_, Some(primary))) if !same_keys(node, primary) => {
            let (here, there) = (node.keyspace().len(), primary.keyspace().len());
            Some(format!("{} holds the keys of its primary {}: here are {here}, there {there}", member.id, primary.id()))
        }
        _ => None,
    })
}

fn same_keys(one: &Node<MemoryDisk>, other: &Node<MemoryDisk>) -> bool {
    let (one, other) = (one.keyspace(), other.keyspace());
    one.len() == other.len()
        && Slot::all().filter(|slot| one.count_in_slot(*slot) > 0).all(|slot| entries(one, slot) == entries(other, slot))
}

/// A key, its value as fields (a string has one, without a name), and its expiry.
type Shown<'a> = (&'a [u8], BTreeMap<Vec<u8>, Vec<u8>>, Option<Millis>);

/// What a slot holds: keys, their values and when they end.
fn entries(keyspace: &Keyspace, slot: Slot) -> Vec<Shown<'_>> {
    let entries = keyspace.entries_in_slot(slot);
    let mut entries: Vec<_> = entries.map(|entry| (entry.key, contents(entry.value), entry.expiry)).collect();
    entries.sort_unstable();
    entries
}

/// A hash's fields; a string as that of a field without a name.
fn contents(value: View<'_>) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let Ok(hash) = value.of::<Hash>() else {
        let string = value.string().expect("nothing else is written");
        return [(Vec::new(), string.bytes(0..string.len()).into_owned())].into();
    };
    let mut strings = Vec::new();
    let rest = hash.walk(Place::default(), Parts::Both, usize::MAX, &mut |piece| strings.push(piece.bytes.to_vec()));
    assert_eq!(rest, None, "nothing is long");
    strings.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

/// With everybody well there are as many voters as the leader wants and members may vote, and no zone has two more than another could have.
fn unbalanced(leader: &Node<MemoryDisk>) -> Option<String> {
    let (raft, state) = (leader.raft(), leader.state());
    // Gone for good, under another id.
    if state.members().any(|member| member.failed) {
        return None;
    }
    let eligible = |id: &NodeId| !state.demoted().contains(id);
    let wanted = raft.settings().voters.min(state.members().filter(|member| eligible(&member.id)).count());
    let odd = if wanted.is_multiple_of(2) { wanted - 1 } else { wanted };
    if raft.voters().len() != odd {
        return Some(format!("{odd} members vote, not {}", raft.voters().len()));
    }
    let mut zones: BTreeMap<&str, usize> = BTreeMap::new();
    for voter in raft.voters().iter().filter_map(|id| state.member(id)) {
        *zones.entry(voter.address.availability_zone()).or_default() += 1;
    }
    let most = zones.values().max().copied().unwrap_or(0);
    let others = state.members().filter(|member| eligible(&member.id) && !raft.is_voter(&member.id)).map(|member| &member.address);
    let mut better = others.filter(|address| zones.get(address.availability_zone()).copied().unwrap_or(0) + 2 <= most);
    better.next().map(|address| format!("zone {:?} has its share of the voters", address.availability_zone()))
}
