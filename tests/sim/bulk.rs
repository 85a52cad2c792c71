//! Slots that move in bulk: many clients at once, each one slot after another, while a replica of their owner takes over.
//!
//! Owns: who moves which slots where, and back.

use crate::sim::checks::promised_changes::CLIENT_SLOTS;
use crate::sim::clients::{Purpose, Request, Role};
use crate::sim::network::Owner;
use crate::sim::workload::cluster;
use crate::sim::world::World;
use crate::sim::writers::KEYS;
use pontoon::types::{NodeId, Slot};

/// So many slots that hold no written key go along.
const COMPANIONS: usize = 8;

impl World {
    /// The slots of a replica's primary go to another owner, with the keys that are written among them, and often to the replica
    /// afterwards, which takes over meanwhile.
    pub fn move_in_bulk(&mut self, looked_at: usize, replica: usize) -> Option<Request> {
        let state = self.state_of(looked_at)?;
        let heir = self.id_of(replica)?;
        let primary = state.member(&heir)?.primary?;
        let others: Vec<NodeId> = self.owners_to_be(state).into_iter().filter(|id| *id != primary).collect();
        let is_own = |slot: &Slot| state.owner(*slot) == Some(primary);
        let keys = KEYS.iter().map(|key| key.slot()).filter(is_own);
        let rest = Slot::all().skip(usize::from(CLIENT_SLOTS)).filter(is_own).take(COMPANIONS);
        let slots: Vec<Slot> = keys.chain(rest).collect();
        let target = self.pick(&others).filter(|_| !slots.is_empty())?;
        let returns = self.clients.rng.one_in(2);
        self.stats.bulk_moves += 1;
        let movers: Vec<usize> = (0..self.clients.list.len()).filter(|index| self.clients.list[*index].role == Role::Mover).collect();
        for (slot, mover) in slots.into_iter().zip(movers.iter().cycle()) {
            for to in [target].into_iter().chain(Some(heir).filter(|_| returns)) {
                let words = cluster(&["SETSLOT", &slot.to_string(), "NODE", &to.to_string()]);
                // An owner refuses while it has keys of the slot.
                let asked = self.machine_of(to).unwrap_or(looked_at);
                self.clients.list[*mover].orders.push_back(Request::one(asked, words, Purpose::Any));
            }
        }
        movers.into_iter().for_each(|mover| self.wake(Owner::Client(mover), self.now));
        let takes_over = !self.clients.rng.one_in(4);
        takes_over.then(|| Request::one(replica, cluster(&["FAILOVER"]), Purpose::Succeed(primary)))
    }

    /// The predecessor of whoever has taken over is to be forgotten at once, as operators are told to do with a node that goes.
    pub fn forget_predecessor(&mut self, predecessor: NodeId) {
        if !self.clients.rng.one_in(4) {
            return;
        }
        if let Some(member) = self.some_member() {
            self.stats.forgotten_predecessors += 1;
            self.have_asked(Request::one(member, cluster(&["FORGET", &predecessor.to_string()]), Purpose::Any));
        }
    }
}
