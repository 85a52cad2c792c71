//! A leader's rounds: numbers that answers echo, so that only the time of *sending* ever counts \[N2 token-age\].
//!
//! Owns: round numbers and when each began. Must not: know who answered. Contract: docs/protocol.md, "Rounds".

use crate::types::Millis;
use std::collections::VecDeque;

/// How many rounds are remembered; an older echo tells no time any more.
const REMEMBERED: usize = 512;

/// The rounds of one leadership. A round may be sent for a few milliseconds after it began: its send time is taken as its beginning,
/// which errs on the safe side.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Rounds {
    /// When each of the last rounds began, never falling; the newest, number `current`, last.
    begun: VecDeque<Millis>,
    /// The newest round; 0 before the first.
    current: u64,
}

impl Rounds {
    /// The newest round's number.
    pub fn current(&self) -> u64 {
        self.current
    }

    /// The round for what is sent now: the newest, or a new one if that began `spacing` ago.
    pub fn at(&mut self, now: Millis, spacing: Millis) -> u64 {
        if self.begun.back().is_none_or(|&begun| begun + spacing <= now) {
            self.begin(now);
        }
        self.current
    }

    /// A new round: what was sent before is no part of it.
    pub fn begin(&mut self, now: Millis) -> u64 {
        if self.begun.len() == REMEMBERED {
            self.begun.pop_front();
        }
        self.begun.push_back(now);
        self.current += 1;
        self.current
    }

    /// When the round was sent, at the earliest.
    pub fn sent_at(&self, round: u64) -> Option<Millis> {
        let back = usize::try_from(self.current.checked_sub(round)?).ok()?;
        self.begun.iter().rev().nth(back).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_lasts_its_spacing_and_is_remembered_a_while() {
        let mut rounds = Rounds::default();
        assert_eq!(rounds.sent_at(0), None);
        assert_eq!((rounds.at(100, 10), rounds.at(109, 10), rounds.at(110, 10)), (1, 1, 2));
        assert_eq!((rounds.sent_at(1), rounds.sent_at(2), rounds.sent_at(3)), (Some(100), Some(110), None));
        for n in 0..600 {
            rounds.at(1000 + n * 10, 10);
        }
        assert_eq!(rounds.current(), 602);
        assert_eq!((rounds.sent_at(602), rounds.sent_at(91), rounds.sent_at(90)), (Some(6990), Some(1880), None));
    }
}
