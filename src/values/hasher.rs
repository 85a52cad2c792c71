//! The hash that spreads keys, and the fields of large values, over buckets.
//!
//! Owns: SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF") under a secret key drawn from the seed, so that
//! nobody outside can choose keys that share a bucket. Must not: have randomness of its own.

use crate::rng::Rng;

/// The secret key.
#[derive(Clone, Copy, Debug)]
pub struct Hasher {
    key: (u64, u64),
}

/// What a key's hash says, as a dictionary uses it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyHash {
    /// Its low bits are the bucket's address; with its bits in reverse order it is the key's place in a scan.
    pub address: u32,
    /// Tells most keys of a bucket apart without reading them. Independent of the address.
    pub fingerprint: u8,
}

impl Hasher {
    /// The secret that this seed gives.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        Self { key: (rng.next_u64(), rng.next_u64()) }
    }

    /// What the key's hash says.
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        let word = siphash::<1, 3>(self.key, key);
        KeyHash { address: word as u32, fingerprint: (word >> 56) as u8 }
    }
}

impl KeyHash {
    /// Where in a scan the key comes (see `linear`).
    pub fn place(self) -> u32 {
        self.address.reverse_bits()
    }
}

/// SipHash-C-D.
fn siphash<const C: usize, const D: usize>(key: (u64, u64), bytes: &[u8]) -> u64 {
    let mut state =
        [key.0 ^ 0x736f_6d65_7073_6575, key.1 ^ 0x646f_7261_6e64_6f6d, key.0 ^ 0x6c79_6765_6e65_7261, key.1 ^ 0x7465_6462_7974_6573];
    let mut absorb = |word: u64| {
        state[3] ^= word;
        (0..C).for_each(|_| round(&mut state));
        state[0] ^= word;
    };
    let (words, rest) = bytes.as_chunks::<8>();
    words.iter().for_each(|word| absorb(u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    last[7] = bytes.len() as u8;
    absorb(u64::from_le_bytes(last));
    state[2] ^= 0xff;
    (0..D).for_each(|_| round(&mut state));
    state.into_iter().fold(0, |sum, word| sum ^ word)
}

fn round([a, b, c, d]: &mut [u64; 4]) {
    *a = a.wrapping_add(*b);
    *b = b.rotate_left(13) ^ *a;
    *a = a.rotate_left(32);
    *c = c.wrapping_add(*d);
    *d = d.rotate_left(16) ^ *c;
    *a = a.wrapping_add(*d);
    *d = d.rotate_left(21) ^ *a;
    *c = c.wrapping_add(*b);
    *b = b.rotate_left(17) ^ *c;
    *c = c.rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siphash_gives_the_vectors_of_its_authors() {
        let key = (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        let input: Vec<u8> = (0..15).collect();
        assert_eq!(siphash::<2, 4>(key, &input), 0xa129_ca61_49be_45e5);
        assert_eq!(siphash::<2, 4>(key, &[]), 0x726f_db47_dd0e_0e31);
        assert_eq!(siphash::<2, 4>(key, &input[..8]), 0x93f5_f579_9a93_2462);
    }

    #[test]
    fn another_seed_is_another_hash() {
        assert_eq!(Hasher::new(1).hash(b"key"), Hasher::new(1).hash(b"key"));
        assert_ne!(Hasher::new(1).hash(b"key"), Hasher::new(2).hash(b"key"));
    }
}
