//! When something is dialled again: after a pause, which may double with each failure, or at once.
//!
//! Owns: the pause. Must not: dial, or know whom.

use crate::rng::Rng;
use crate::types::Millis;

/// First pause before anything is dialled again (ms).
const FIRST: Millis = 50;
/// Every pause, where it does not double (ms).
const EVEN: Millis = 200;

/// Something that is dialled until it is there.
#[derive(Debug, Default)]
pub(in crate::node) struct Redial {
    /// Not before (mono ms).
    pub at: Millis,
    /// The longest that the last pause could be; 0 once it stood.
    pause: Millis,
}

impl Redial {
    /// What has failed and is tried at an even pace.
    pub fn later(now: Millis) -> Self {
        Self { at: now + EVEN, pause: 0 }
    }

    /// When it may be dialled, if that is not now.
    pub fn wait(&self, now: Millis) -> Option<Millis> {
        (now < self.at).then_some(self.at)
    }

    /// It need not wait any longer.
    pub fn at_once(&mut self, now: Millis) {
        self.at = now;
    }

    /// It stands: the next failure is another matter than the last.
    pub fn stands(&mut self) {
        self.pause = 0;
    }

    /// It failed, or has ended: again after a pause of twice as long, at `most` so many ms, and no less than half of that, lest all dial at
    /// once.
    pub fn failed(&mut self, now: Millis, most: Millis, rng: &mut Rng) {
        self.pause = (self.pause * 2).clamp(FIRST, most);
        self.at = now + rng.between(self.pause / 2, self.pause);
    }

    /// The pause ends at a multiple of this, so that one look serves all that are due.
    pub fn align(&mut self, grid: Millis) {
        self.at = self.at.next_multiple_of(grid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_most_until_it_stands() {
        let (mut redial, mut rng) = (Redial::default(), Rng::new(1));
        assert_eq!(redial.wait(0), None);
        for longest in [50, 100, 200, 300, 300] {
            redial.failed(1000, 300, &mut rng);
            assert!((1000 + longest / 2..=1000 + longest).contains(&redial.at), "{}", redial.at);
        }
        redial.align(1000);
        assert_eq!((redial.wait(1999), redial.wait(2000)), (Some(2000), None));
        redial.at_once(1500);
        assert_eq!(redial.wait(1500), None);
        redial.stands();
        redial.failed(1000, 300, &mut rng);
        assert!(redial.at <= 1050);
    }
}
