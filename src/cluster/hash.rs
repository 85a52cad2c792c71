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
        [self.last_applied, self.last_term, self.max_lease].iter().for_each(|number| hash.number(*number));
        hash.number(self.members.len() as u64);
        self.members().for_each(|member| hash_member(&mut hash, member));
        hash.ids(self.voters.iter());
        hash.ids(self.demoted.iter());
        for (shard, epoch) in &self.shards {
            hash.bytes(shard.as_bytes());
            hash.number(*epoch);
        }
        for (owner, (first, last)) in self.slots.runs() {
            hash.bytes(owner.as_bytes());
            hash.number(u64::from(first.number()) << 16 | u64::from(last.number()));
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
