//! LZF, the compression of RDB strings (Lehmann's liblzf).
//!
//! Owns: packing and unpacking, into a vector. Must not: allocate for what was not received. It is our own because the crate of that name allocates and
//! clears half a mebibyte for each string, which is more work than most strings.
//!
//! A control byte below 32 says that so many bytes, and one more, follow as they are. Any other is a reference to bytes before: its high three bits are
//! the length less two (7: a byte to be added follows), its low five and one more byte the distance less one.

const LITERALS_MAX: usize = 32;
const REFERENCE_MIN: usize = 3;
const REFERENCE_MAX: usize = 264;
const DISTANCE_MAX: usize = 1 << 13;
/// The most bytes that one packed byte can become: a reference takes three for the longest.
pub(super) const RATIO_MAX: u64 = (REFERENCE_MAX / 3) as u64;
/// The longest string that is packed: a longer one would hold the loop for too long.
pub(super) const PACKED_MAX: usize = 1 << 20;
const TABLE_BITS: u32 = 13;

/// Packs strings, one after the other.
pub(super) struct Packer {
    /// By a hash of three bytes, where they were seen last: `base`, one, and the place. What is not above `base` is of an earlier string.
    seen: Box<[u32]>,
    base: u32,
    /// The last string.
    packed: Vec<u8>,
}

impl Packer {
    pub fn new() -> Self {
        Self { seen: vec![0; 1 << TABLE_BITS].into(), base: 0, packed: Vec::new() }
    }

    /// `bytes` in packed form, if that saves at least four of them.
    pub fn pack(&mut self, bytes: &[u8]) -> Option<&[u8]> {
        if bytes.len() > PACKED_MAX {
            return None;
        }
        let mut packed = std::mem::take(&mut self.packed);
        packed.clear();
        let limit = bytes.len().saturating_sub(4);
        let (mut at, mut literals) = (0, 0);
        while at < bytes.len() && packed.len() + (at - literals) < limit {
            match self.find(bytes, at) {
                Some((distance, length)) => {
                    push_literals(&bytes[literals..at], &mut packed);
                    push_reference(distance, length, &mut packed);
                    at += length;
                    literals = at;
                }
                // The longer nothing was found, the less is looked for.
                None => at += 1 + (at - literals) / 64,
            }
        }
        push_literals(&bytes[literals..], &mut packed);
        self.forget(bytes.len());
        self.packed = packed;
        (self.packed.len() + 4 <= bytes.len()).then_some(&self.packed)
    }

    /// The distance and length of what stands at `at` and was there before; notes the place.
    fn find(&mut self, bytes: &[u8], at: usize) -> Option<(usize, usize)> {
        let rest = &bytes[at..];
        let &[a, b, c] = rest.first_chunk()?;
        let hash = u32::from_le_bytes([a, b, c, 0]).wrapping_mul(0x9e37_79b1) >> (32 - TABLE_BITS);
        let last = std::mem::replace(&mut self.seen[hash as usize], self.base + 1 + at as u32);
        let before = last.checked_sub(self.base + 1)? as usize;
        let distance = at - before;
        let length = bytes[before..].iter().zip(rest).take(REFERENCE_MAX).take_while(|(one, other)| one == other).count();
        (distance <= DISTANCE_MAX && length >= REFERENCE_MIN).then_some((distance, length))
    }

    /// The next string's places lie above this one's.
    fn forget(&mut self, length: usize) {
        self.base += length as u32;
        if self.base > u32::MAX - 2 * PACKED_MAX as u32 {
            self.seen.fill(0);
            self.base = 0;
        }
    }
}

fn push_literals(bytes: &[u8], out: &mut Vec<u8>) {
    for run in bytes.chunks(LITERALS_MAX) {
        out.push(run.len() as u8 - 1);
        out.extend_from_slice(run);
    }
}

fn push_reference(distance: usize, length: usize, out: &mut Vec<u8>) {
    let (far, near) = ((distance - 1) >> 8, (distance - 1) as u8);
    match length - 2 {
        short @ ..7 => out.push((short << 5 | far) as u8),
        long => out.extend([(7 << 5 | far) as u8, (long - 7) as u8]),
    }
    out.push(near);
}

/// Appends what `packed` unpacks to, which must be `length` bytes; none if it is something else. What was appended until then stays.
pub(super) fn unpack(packed: &[u8], length: usize, out: &mut Vec<u8>) -> Option<()> {
    let (start, end) = (out.len(), out.len() + length);
    out.reserve(length);
    let mut packed = packed;
    while let Some((&control, mut rest)) = packed.split_first() {
        if usize::from(control) < LITERALS_MAX {
            let (run, behind) = rest.split_at_checked(usize::from(control) + 1)?;
            if run.len() > end - out.len() {
                return None;
            }
            out.extend_from_slice(run);
            packed = behind;
            continue;
        }
        let mut take = || {
            let (&byte, behind) = rest.split_first()?;
            rest = behind;
            Some(usize::from(byte))
        };
        let length = 2 + usize::from(control >> 5) + if control >> 5 == 7 { take()? } else { 0 };
        let distance = 1 + (usize::from(control & 31) << 8 | take()?);
        if length > end - out.len() || distance > out.len() - start {
            return None;
        }
        for at in out.len() - distance..out.len() - distance + length {
            out.push(out[at]);
        }
        packed = rest;
    }
    (out.len() == end).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_reads_what_redis_writes() {
        let mut out = Vec::new();
        // As liblzf packs 200 times `a`.
        assert_eq!(unpack(&[1, 97, 97, 224, 187, 0, 1, 97, 97], 200, &mut out), Some(()));
        assert_eq!(out, [b'a'; 200]);
        for (bad, length) in
            [(&[1, 97][..], 2), (&[0, 97, 32, 1], 4), (&[0, 97, 32, 0], 3), (&[0, 97], 2), (&[0, 97, 224, 9], 20), (&[32], 3)]
        {
            assert_eq!(unpack(bad, length, &mut Vec::new()), None, "{bad:?}");
        }
    }

    #[test]
    fn what_does_not_get_shorter_is_left_alone() {
        let mut packer = Packer::new();
        let mut rng = crate::rng::Rng::new(1);
        let noise: Vec<u8> = (0..10_000).map(|_| rng.next_u64() as u8).collect();
        for bytes in [&b""[..], b"aaaa", b"abcdefghijklmnopqrstuvwxyz", &noise, &vec![0; PACKED_MAX + 1]] {
            assert_eq!(packer.pack(bytes), None);
        }
        assert!(packer.pack(&vec![0; PACKED_MAX]).is_some_and(|packed| packed.len() < PACKED_MAX / 80));
    }

    #[test]
    fn places_of_earlier_strings_are_forgotten_before_they_run_out() {
        let mut packer = Packer { base: u32::MAX - 2 * PACKED_MAX as u32, ..Packer::new() };
        let bytes = vec![7; PACKED_MAX];
        for _ in 0..3 {
            let mut out = Vec::new();
            assert_eq!(unpack(packer.pack(&bytes).unwrap(), bytes.len(), &mut out), Some(()));
            assert_eq!(out, bytes);
        }
    }

    proptest! {
        #[test]
        fn what_was_packed_unpacks(strings in proptest::collection::vec(proptest::collection::vec(0..4u8, 0..3000), 1..4), far in 0..9000usize) {
            let mut packer = Packer::new();
            for mut bytes in strings {
                let again = bytes.clone();
                bytes.extend(std::iter::repeat_n(5, far).chain(again));
                let mut out = b"x".to_vec();
                if let Some(packed) = packer.pack(&bytes) {
                    prop_assert!(packed.len() + 4 <= bytes.len());
                    prop_assert_eq!(unpack(packed, bytes.len(), &mut out), Some(()));
                    prop_assert_eq!(&out[1..], &bytes);
                }
            }
        }

        #[test]
        fn any_bytes_unpack_or_not(packed: Vec<u8>, length in 0..5000usize) {
            let mut out = Vec::new();
            let done = unpack(&packed, length, &mut out);
            prop_assert!(out.len() <= length);
            prop_assert_eq!(done.is_some(), done.is_some() && out.len() == length);
        }
    }
}
