//! Who may serve a slot: one node at a time, also while processes stand still, and nobody's answer leaves after its successor's first.

use crate::sim::checks::Checks;
use crate::sim::checks::promised_changes::CLIENT_SLOTS;
use crate::sim::faults::timing::LONGEST_LEASE;
use crate::sim::machine::Machine;
use crate::sim::queue::Micros;
use crate::sim::stats::Stats;
use crate::sim::writers::KEYS;
use pontoon::node::Node;
use pontoon::store::MemoryDisk;
use pontoon::types::{ClusterId, LogIndex, Slot};

/// The slots that clients use or change one by one.
fn slots() -> impl Iterator<Item = Slot> {
    (0..CLIENT_SLOTS).filter_map(Slot::new).chain(KEYS.iter().map(|key| key.slot()))
}

/// Whether the process, going on now if it stands still, would take a write to this slot. That it takes less than it would tell does not
/// count: it learns first what has arrived.
pub fn accepts(machine: &Machine, slot: Slot, now: Micros) -> bool {
    machine.node.as_ref().is_some_and(|node| node.accepts_writes(slot, machine.clock.read(now)))
}

impl Checks {
    /// A node has had its turn. Who accepts writes begins to do so in a turn of its own, so no two ever do if no two do after a turn.
    pub fn look_at_leases(&mut self, machines: &[Machine], index: usize, now: Micros, stats: &mut Stats) {
        let machine = &machines[index];
        let Some(node) = &machine.node else { return };
        self.count_lapses(machine, node, now, stats);
        let is_rival = |other: &&Machine| {
            let cluster = other.node.as_ref().map(|node| node.state().cluster_id());
            other.index != index && other.ahead_until <= now && cluster == Some(node.state().cluster_id())
        };
        for slot in slots().filter(|slot| accepts(machine, *slot, now)) {
            for rival in machines.iter().filter(is_rival).filter(|rival| accepts(rival, slot, now)) {
                let overtaken =
                    [node].into_iter().chain(&rival.node).any(|node| self.is_overtaken(node, node.state().last_applied(), slot, now));
                let outlasts = self.outlasts(machine, rival, now);
                stats.overlong_leases += u64::from(outlasts && !overtaken);
                assert!(overtaken || outlasts, "one node at a time accepts writes to slot {slot}, not m{index} and m{}", rival.index);
            }
        }
    }

    /// Whether an operator gave this node's slot away without asking whether it still serves (TAKEOVER), and it had not heard of it. That
    /// lasts no longer than a lease.
    pub fn is_overtaken(&self, node: &Node<MemoryDisk>, applied: LogIndex, slot: Slot, now: Micros) -> bool {
        let cluster = node.state().cluster_id();
        let Some(history) = self.clusters.get(&cluster) else { return false };
        // Its clock may be slow by half a percent.
        let lease = LONGEST_LEASE * 201 / 200;
        let mut takeovers = history.model.takeovers_from(node.id(), slot, applied);
        takeovers.any(|index| self.takeovers.get(&(cluster, index)).is_some_and(|at| now <= at + lease))
    }

    /// Whether it may be a clock's fault that these two serve one slot: that of the one that does not know yet that it has lost it, or that
    /// of the leader which took its lease for over.
    fn outlasts(&self, one: &Machine, other: &Machine, now: Micros) -> bool {
        let applied = |machine: &Machine| machine.node.as_ref().map_or(0, |node| node.state().last_applied());
        let (old, new) = if applied(one) < applied(other) { (one, other) } else { (other, one) };
        let cluster = old.node.as_ref().map(|node| node.state().cluster_id());
        old.has_doubtful_clock(now) || cluster.is_some_and(|cluster| self.is_by_doubtful_clock(cluster, applied(old), applied(new)))
    }

    /// Whether slots were moved after one entry, up to another, by a leader whose clock was not to be trusted.
    pub(super) fn is_by_doubtful_clock(&self, cluster: ClusterId, after: LogIndex, to: LogIndex) -> bool {
        after < to && self.by_doubtful_clocks.range((cluster, after + 1)..=(cluster, to)).next().is_some()
    }

    /// A TAKEOVER may be committed by now.
    pub(super) fn note_takeovers(&mut self, machine: usize, now: Micros) {
        let Some((cluster, index)) = self.seen[machine].said.cluster.zip(self.history(machine).model.last_takeover()) else { return };
        self.takeovers.entry((cluster, index)).or_insert(now);
    }

    fn count_lapses(&mut self, machine: &Machine, node: &Node<MemoryDisk>, now: Micros, stats: &mut Stats) {
        let has_slots = node.state().slot_count_of(&node.id()) > 0;
        let holds = machine.holds_lease(now);
        let held = std::mem::replace(&mut self.seen[machine.index].holds_lease, holds);
        stats.lapsed_leases += u64::from(held && !holds && has_slots);
    }
}
