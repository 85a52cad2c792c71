//! A seeded generator: the only source of chance in the pure rooms.
//!
//! Owns: xoshiro256** (Blackman and Vigna, "Scrambled linear pseudorandom number generators"), seeded by SplitMix64.
//! Must not: read entropy of its own; the shell seeds it. Not for secrets.

use crate::types::{ClusterId, NodeId, ReplId, ShardId};

/// A deterministic stream of numbers from one seed.
#[derive(Clone, Debug)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// The stream of this seed.
    pub fn new(seed: u64) -> Self {
        let mut mix = seed;
        let state = std::array::from_fn(|_| {
            mix = mix.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = mix;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        });
        Self { state }
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number in `0..bound`; 0 if `bound` is 0. The bias of the multiply is below 2^-32 for the bounds used here.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `low..high`, `low` if the range is empty.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low))
    }

    /// True once in `n`.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// A stream of its own for another room.
    pub fn fork(&mut self) -> Self {
        Self::new(self.next_u64())
    }

    fn bytes20(&mut self) -> [u8; 20] {
        let mut bytes = [0; 20];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
        bytes
    }

    /// A fresh node id.
    pub fn node_id(&mut self) -> NodeId {
        NodeId::from_bytes(self.bytes20())
    }

    /// A fresh shard id.
    pub fn shard_id(&mut self) -> ShardId {
        ShardId::from_bytes(self.bytes20())
    }

    /// A fresh cluster id.
    pub fn cluster_id(&mut self) -> ClusterId {
        ClusterId::from_bytes(self.bytes20())
    }

    /// A fresh id of a replication history.
    pub fn repl_id(&mut self) -> ReplId {
        ReplId::from_bytes(self.bytes20())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_stream() {
        let draw = |seed| {
            let mut rng = Rng::new(seed);
            (0..4).map(|_| rng.next_u64()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let mut rng = Rng::new(3);
        assert!((0..1000).all(|_| (5..9).contains(&rng.between(5, 9))));
        assert_eq!(rng.below(0), 0);
    }
}
