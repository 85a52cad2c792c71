//! When a key was used last.
//!
//! Owns: the form in which each entry keeps that: 24 bits, which are Redis' LRU clock. Must not: read a clock.

use crate::types::Millis;

/// A point in time in seconds, of which the low 24 bits are kept: 194 days.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Access([u8; 3]);

impl Access {
    /// Bytes of it in an entry.
    pub(super) const SIZE: usize = 3;

    /// This time on the wall clock.
    pub fn at(now: Millis) -> Self {
        let [low, middle, high, ..] = (now / 1000).to_le_bytes();
        Self([low, middle, high])
    }

    pub(super) fn from_bytes(bytes: [u8; 3]) -> Self {
        Self(bytes)
    }

    pub(super) fn to_bytes(self) -> [u8; 3] {
        self.0
    }

    /// Seconds from it to `now`.
    pub fn idle(self, now: Self) -> u64 {
        let seconds = |Self([low, middle, high]): Self| u32::from_le_bytes([low, middle, high, 0]);
        (seconds(now).wrapping_sub(seconds(self)) & 0xff_ffff).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_round() {
        let (before, after) = (Access::at(0xff_fffe * 1000), Access::at(0x100_0003 * 1000 + 999));
        assert_eq!((before.idle(after), after.idle(after)), (5, 0));
    }
}
