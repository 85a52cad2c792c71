//! How long answers take that wait for a disk, so that time-outs allow for it \[N64 slow-disk\].
//!
//! Owns: the last few durations, of one disk. Must not: measure, or touch anything that safety rests on: leases and waits never look here.
//! Contract: docs/protocol.md, "Slow disks".

use crate::types::Millis;

/// So many of the last syncs are looked at.
const KEPT: usize = 4;
/// No time-out grows by more than so many times E.
const MOST: Millis = 10;

/// The last syncs of a disk, or what stands for them in answers from elsewhere.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Pace {
    /// In ms, in no order.
    last: [Millis; KEPT],
    next: usize,
}

impl Pace {
    /// So many syncs, or as good as, took so long together.
    pub(super) fn note(&mut self, syncs: u64, took: Millis) {
        for _ in 0..syncs.min(KEPT as u64) {
            self.last[self.next] = took / syncs;
            self.next = (self.next + 1) % KEPT;
        }
    }

    /// What a sync takes (ms): the second longest of the last four, for a single hiccup is no slow disk.
    pub(super) fn sync_time(&self) -> Millis {
        let mut last = self.last;
        last.sort_unstable();
        last[KEPT - 2]
    }

    /// How much longer than `timeout`, which is E, to wait for something that takes one rewrite of nodes.conf, which is two syncs.
    pub(super) fn allowance(&self, timeout: Millis) -> Millis {
        self.sync_time().saturating_mul(2).min(timeout.saturating_mul(MOST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_of_four_make_a_slow_disk() {
        let mut pace = Pace::default();
        assert_eq!(pace.allowance(1000), 0);
        pace.note(1, 600);
        assert_eq!(pace.sync_time(), 0, "a hiccup");
        pace.note(1, 500);
        assert_eq!((pace.sync_time(), pace.allowance(1000)), (500, 1000));
        // A rewrite is two syncs.
        pace.note(2, 3000);
        assert_eq!(pace.sync_time(), 1500);
        (0..3).for_each(|_| pace.note(1, 2));
        assert_eq!(pace.sync_time(), 2, "it is fast again");
    }

    #[test]
    fn what_it_allows_is_bounded() {
        let mut pace = Pace::default();
        pace.note(2, Millis::MAX);
        assert_eq!(pace.allowance(1000), 10_000);
        pace.note(0, 5);
        assert_eq!(pace.allowance(20), 200);
    }
}
