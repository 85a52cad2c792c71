//! An operator who makes shards of several nodes: slots for a few, replicas of all others, and now and then another primary.

use crate::sim::clients::{Purpose, Request};
use crate::sim::workload::cluster;
use crate::sim::world::World;
use crate::sim::writers::KEYS;
use pontoon::cluster::{Member, State};
use pontoon::types::Slot;

impl World {
    /// What is missing most, or a change of what is there.
    pub fn shape_shards(&mut self) -> Option<Request> {
        let looked_at = self.some_member()?;
        if let Some(request) = self.give_slots(looked_at).or_else(|| self.make_replica(looked_at)) {
            return Some(request);
        }
        let state = self.state_of(looked_at)?;
        let replicas: Vec<_> = state.members().filter(|member| !member.is_primary()).map(|member| member.id).collect();
        let replica = self.pick(&replicas).and_then(|id| self.machine_of(id))?;
        let words = match self.clients.rng.below(12) {
            0..=3 => {
                let primary = self.id_of(replica).and_then(|id| self.state_of(looked_at)?.member(&id)?.primary)?;
                return Some(Request::one(replica, cluster(&["FAILOVER"]), Purpose::Succeed(primary)));
            }
            11 => return self.move_in_bulk(looked_at, replica),
            4 | 9 | 10 => vec!["FAILOVER", "FORCE"],
            8 if self.clients.takes_over => vec!["FAILOVER", "TAKEOVER"],
            5 if self.clients.rng.one_in(4) => vec!["RESET", "SOFT"],
            6 => return self.move_replica(looked_at, replica),
            7 => return self.move_slot(looked_at),
            _ => return None,
        };
        Some(Request::one(replica, cluster(&words), Purpose::Any))
    }

    /// The slots of keys that nobody owns.
    fn give_slots(&mut self, looked_at: usize) -> Option<Request> {
        let state = self.state_of(looked_at)?;
        let free = KEYS.iter().map(|key| key.slot()).filter(|slot| state.owner(*slot).is_none());
        let free: Vec<String> = free.take(4).map(|slot| slot.to_string()).collect();
        let owners = self.owners_to_be(state);
        let owner = self.pick(&owners).filter(|_| !free.is_empty())?;
        let words: Vec<&str> = std::iter::once("ADDSLOTS").chain(free.iter().map(String::as_str)).collect();
        Some(Request::one(self.machine_of(owner)?, cluster(&words), Purpose::Any))
    }

    /// A primary that is none of those that are to own slots replicates one of them.
    fn make_replica(&mut self, looked_at: usize) -> Option<Request> {
        let state = self.state_of(looked_at)?;
        let owners: Vec<_> = state.slot_owners().copied().collect();
        if owners.len() < self.clients.primaries? {
            return None;
        }
        let is_idle = |member: &&Member| member.is_primary() && !owners.contains(&member.id);
        let idle: Vec<_> = state.members().filter(is_idle).map(|member| member.id).collect();
        let to = self.pick(&idle).and_then(|id| self.machine_of(id))?;
        let primary = self.pick(&owners)?.to_string();
        Some(Request::one(to, cluster(&["REPLICATE", &primary]), Purpose::Any))
    }

    fn move_replica(&mut self, looked_at: usize, replica: usize) -> Option<Request> {
        let owners: Vec<_> = self.state_of(looked_at)?.slot_owners().copied().collect();
        let primary = self.pick(&owners)?.to_string();
        Some(Request::one(replica, cluster(&["REPLICATE", &primary]), Purpose::Any))
    }

    /// A slot of a key goes to another owner, without the key.
    fn move_slot(&mut self, looked_at: usize) -> Option<Request> {
        let slot: Slot = KEYS[self.clients.rng.below(KEYS.len() as u64) as usize].slot();
        let state: &State = self.state_of(looked_at)?;
        let others: Vec<_> = self.owners_to_be(state).into_iter().filter(|id| state.owner(slot) != Some(*id)).collect();
        let target = self.pick(&others)?.to_string();
        Some(Request::one(looked_at, cluster(&["SETSLOT", &slot.to_string(), "NODE", &target]), Purpose::Any))
    }
}
