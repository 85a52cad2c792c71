//! One number for the whole state: equal on every node at an equal index, whatever process or build computed it.
//!
//! Owns: the canonical order and the function (FNV-1a, 64 bits). Must not: depend on addresses, places or map seeds.

use super::outcome::Outcome;
use super::state::{Member, State};
use crate::types::NodeId;
use std::fmt::Write;

struct Fnv(u64);

impl Fnv {
    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    /// Counts first: where one list ends and the next begins is part of what is hashed.
    fn ids<'a>(&mut self, ids: impl ExactSizeIterator<Item = &'a NodeId>) {
        self.number(ids.len() as u64);
        ids.for_each(|id| self.bytes(id.as_bytes()));
    }
}

impl Write for Fnv {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}

impl State {
    /// Equal for equal states.
    pub fn hash(&self) -> u64 {
        let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
        hash.bytes(self.cluster.as_bytes());
        self.ancestors.iter().for_each(|cluster| hash.bytes(cluster.as_bytes()));
        [self.last_applied, self.last_term, self.max_lease].iter().for_each(|number| hash.number(*number));
        hash.number(self.members.len() as u64);
        self.members().for_each(|member| hash_member(&mut hash, member));
        hash.ids(self.voters.iter());
        hash.ids(self.demoted.iter());
        hash.number(self.shards.len() as u64);
        for (shard, epoch) in &self.shards {
            hash.bytes(shard.as_bytes());
            hash.number(*epoch);
        }
        hash.number(self.slots.assigned() as u64);
        for (owner, range) in self.slots.runs() {
            hash.bytes(owner.as_bytes());
            hash.number(u64::from(range.first().number()) << 16 | u64::from(range.last().number()));
        }
        self.hash_proposals(&mut hash);
        hash.0
    }

    fn hash_proposals(&self, hash: &mut Fnv) {
        for (proposer, table) in &self.proposals {
            hash.bytes(proposer.as_bytes());
            [table.incarnation, table.lowest, table.outcomes.len() as u64].iter().for_each(|number| hash.number(*number));
            for (n, outcome) in &table.outcomes {
                hash.number(*n);
                hash_outcome(hash, *outcome);
            }
        }
    }
}

fn hash_member(hash: &mut Fnv, member: &Member) {
    hash.bytes(member.id.as_bytes());
    hash.bytes(member.shard.as_bytes());
    hash.ids(member.primary.iter());
    hash.bytes(&[u8::from(member.failed), u8::from(member.nofailover)]);
    // No value of an address holds a space, so it ends there.
    let _ = write!(hash, "{} ", member.address);
}

fn hash_outcome(hash: &mut Fnv, outcome: Outcome) {
    hash.bytes(outcome.code().as_bytes());
    hash.bytes(b" ");
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Scene, id, origin};
    use super::*;
    use crate::cluster::Change;
    use crate::cluster::change::NodeRecover;
    use crate::raft::Body;
    use std::collections::BTreeSet;

    #[test]
    fn every_part_of_the_state_counts() {
        let mut scene = Scene::of(4);
        scene.do_(&scene.replica_of(3, 0));
        scene.body(Some(origin(0, 1, 2, 2)), Body::App(Change::NodeRecover(NodeRecover { id: id(1) })));
        let base = scene.state;
        let member = |state: &mut State, change: fn(&mut Member)| change(state.members.get_mut(&id(1)).unwrap());
        let changes: [&dyn Fn(&mut State); 16] = [
            &|state| state.cluster = crate::types::ClusterId::from_bytes([0; 20]),
            &|state| state.ancestors.push(crate::types::ClusterId::from_bytes([1; 20])),
            &|state| state.last_applied += 1,
            &|state| state.last_term += 1,
            &|state| state.max_lease += 1,
            &|state| _ = state.members.remove(&id(2)),
            &|state| _ = state.voters.insert(id(1)),
            &|state| _ = state.demoted.insert(id(1)),
            &|state| *state.shards.values_mut().next().unwrap() += 1,
            &|state| state.slots.assign(crate::types::Slot::new(9).unwrap().into(), None),
            &|state| state.proposals.get_mut(&id(0)).unwrap().incarnation += 1,
            &|state| _ = state.proposals.get_mut(&id(0)).unwrap().outcomes.insert(3, Outcome::Stale),
            &|state| member(state, |member| member.failed = true),
            &|state| member(state, |member| member.nofailover = true),
            &|state| member(state, |member| member.primary = Some(id(0))),
            &|state| member(state, |member| member.address.hostname = "h".to_owned()),
        ];
        let mut hashes = BTreeSet::from([base.hash()]);
        for change in changes {
            let mut changed = base.clone();
            change(&mut changed);
            assert_ne!(changed, base);
            hashes.insert(changed.hash());
        }
        assert_eq!(hashes.len(), changes.len() + 1);
    }

    #[test]
    fn the_hash_is_the_same_in_every_build() {
        assert_eq!(format!("{:016x}", Scene::of(3).state.hash()), "2c2457d2aaa5799a");
    }
}
