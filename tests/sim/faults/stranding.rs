//! A leader that is cut off with one primary, or without it: what it does not hear of its own deposition, and how the primary comes home.

use super::{Cut, Stage};
use crate::sim::clients::{Purpose, Request};
use crate::sim::queue::{Event, MILLI, SECOND};
use crate::sim::workload::cluster;
use crate::sim::world::World;
use crate::sim::writers::KEYS;
use pontoon::types::Slot;

impl World {
    /// A leader that hears of its deposition late: only a primary hears it. That primary is cut off with it, at any moment or when the
    /// leader has just handed over; or its process starts anew. Somebody else is to have a slot of it.
    pub(super) fn strand(&mut self) {
        let leaders = self.leaders();
        let Some(leader) = self.faults.pick(&leaders) else { return };
        let owners: Vec<usize> = self.owners_as_seen_by(leader).into_iter().filter(|owner| *owner != leader).collect();
        let Some(primary) = self.faults.pick(&owners) else { return };
        let starts_anew = self.faults.rng.one_in(4);
        let others = (0..self.machines.len()).filter(|other| ![leader, primary].contains(other));
        let stranded = if starts_anew { &[leader][..] } else { &[leader, primary] };
        let pairs = others.flat_map(|other| stranded.iter().flat_map(move |one| [(*one, other), (other, *one)])).collect();
        self.stats.strandings += 1;
        if starts_anew {
            self.begin_cut_for(15 * SECOND, Cut { pairs, primary: None, stage: Stage::Away });
            return self.kill(primary);
        }
        let heir = if self.faults.rng.one_in(3) { None } else { self.heir_of(leader, primary) };
        let Some(heir) = heir else {
            self.begin_cut_for(15 * SECOND, Cut { pairs, primary: Some(primary), stage: Stage::Away });
            return self.claim_slot_of(primary, leader);
        };
        self.have_asked(Request::one(heir, cluster(&["RAFT", "TRANSFER"]), Purpose::Any));
        let stage = Stage::HandingOver { leader, heir, until: self.now + SECOND };
        self.faults.cuts.push(Some(Cut { pairs, primary: Some(primary), stage }));
        self.queue.push(self.now, Event::Cut(self.faults.cuts.len() - 1));
    }

    /// A voter besides the primary.
    fn heir_of(&mut self, leader: usize, primary: usize) -> Option<usize> {
        let voters = self.machines[leader].node.as_ref()?.raft().voters().iter().filter_map(|id| self.machine_of(*id));
        let heirs: Vec<usize> = voters.filter(|index| ![leader, primary].contains(index)).collect();
        self.faults.pick(&heirs)
    }

    /// Another owner of slots is to have one whose key is written.
    pub(super) fn claim_slot_of(&mut self, primary: usize, leader: usize) {
        let Some((state, id)) = self.state_of(primary).zip(self.id_of(primary)) else { return };
        let slots: Vec<Slot> = KEYS.iter().map(|key| key.slot()).filter(|slot| state.owner(*slot) == Some(id)).collect();
        let owners: Vec<usize> = self.owners_as_seen_by(primary).into_iter().filter(|owner| ![leader, primary].contains(owner)).collect();
        if let (Some(to), false) = (self.faults.pick(&owners), slots.is_empty())
            && let Some(target) = self.id_of(to)
        {
            let slot = slots[self.faults.rng.below(slots.len() as u64) as usize];
            self.have_asked(Request::one(to, cluster(&["SETSLOT", &slot.to_string(), "NODE", &target.to_string()]), Purpose::Any));
        }
    }

    /// Before a stranded primary is heard again, whoever leads the others hands over, and what they say to it becomes slow.
    pub(super) fn prepare_homecoming(&mut self, index: usize, pairs: Vec<(usize, usize)>, primary: usize) {
        let leaders = self.leaders();
        for leader in leaders.into_iter().filter(|leader| pairs.contains(&(primary, *leader))) {
            if let Some(heir) = self.heir_of(leader, primary) {
                self.have_asked(Request::one(heir, cluster(&["RAFT", "TRANSFER"]), Purpose::Any));
            }
        }
        let by = [20 * MILLI, 150 * MILLI, 700 * MILLI][self.faults.rng.below(3) as usize];
        (0..self.machines.len()).for_each(|other| self.net.set_slow(other, primary, by));
        let stage = Stage::Flapping(self.faults.rng.below(6));
        self.faults.cuts[index] = Some(Cut { pairs, primary: Some(primary), stage });
        self.heal_within(4 * SECOND, index);
    }
}
