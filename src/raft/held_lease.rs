//! The primary's side of the write lease: until when it may serve.
//!
//! Owns: which returned token counts, and from when on. Must not: know whether the node owns slots, or read a clock (whoever serves does,
//! right before). Contract: docs/protocol.md, "The write lease".

use super::entry::Payload;
use super::message::Append;
use super::role::Leader;
use super::settings::usable;
use super::{Raft, quorum};
use crate::types::{LogIndex, Millis, NodeId, Term};

/// What leaders have granted to this process.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct HeldLease {
    /// In this leader's term the log is known to equal the leader's up to `matched`.
    term: Term,
    matched: LogIndex,
    /// Everything up to here is applied.
    applied: LogIndex,
    /// The newest grant that does not count yet: what must be applied first, and its end.
    pending: Option<(LogIndex, Millis)>,
    /// The end of the longest lease that counts (mono ms); 0 for none. Never falls while the clock goes on: a new leader waits for it to
    /// pass.
    end: Millis,
    /// A token counts only if it was made after this (mono ms) \[N66 clock-set-back\].
    voided_at: Millis,
}

impl HeldLease {
    /// The log equals that of the leader of `term` up to `index`.
    fn matched(&mut self, term: Term, index: LogIndex) {
        let before = if self.term == term { self.matched } else { 0 };
        (self.term, self.matched) = (term, before.max(index));
    }

    /// A lease until `end` came with an AE that spoke of `quorum` and `commit`. It counts once this node knows what the leader knew: every
    /// entry that might take its slots, and every one that has \[N5 own-noop\]. Where the log lacks something, a later AE brings it, and a
    /// newer token.
    fn granted(&mut self, quorum: LogIndex, commit: LogIndex, end: Millis) {
        if quorum <= self.matched {
            self.pending = Some((commit, end));
            self.settle();
        }
    }

    fn applied(&mut self, index: LogIndex) {
        self.applied = index;
        self.settle();
    }

    fn settle(&mut self) {
        if let Some((_, end)) = self.pending.take_if(|(commit, _)| *commit <= self.applied) {
            self.extend(end);
        }
    }

    /// What was granted for a token that was made by now does not count, also if the grant is still to come.
    fn void(&mut self, now: Millis) {
        (self.pending, self.end, self.voided_at) = (None, 0, now);
    }

    fn extend(&mut self, end: Millis) {
        self.end = self.end.max(end);
    }
}

impl<P: Payload> Raft<P> {
    /// Everything up to `index` is applied: what was granted on that condition counts from now on.
    pub fn applied(&mut self, index: LogIndex) {
        self.held_lease.applied(index);
    }

    /// As far as [`Raft::applied`] was told.
    pub(super) fn applied_index(&self) -> LogIndex {
        self.held_lease.applied
    }

    /// When the write lease of this node ends (mono ms), to be compared with a *fresh* clock. [`Millis::MAX`] for the only voter: nobody
    /// can be elected without it.
    pub fn lease_end(&self) -> Millis {
        let own = self.role.leader().and_then(|leader| self.own_lease(leader, Millis::MAX));
        own.unwrap_or(0).max(self.held_lease.end)
    }

    /// The clock went back \[N66 clock-set-back\]: how long ago anything was is not known, so a leader steps down and no lease that was
    /// granted until now counts.
    /// `now` goes on from the latest reading.
    pub fn clock_went_back(&mut self, now: Millis) {
        if self.is_leader() {
            self.abdicate(now);
        }
        self.held_lease.void(now);
    }

    /// An AE of the leader that is followed is taken: its previous entry matches.
    pub(super) fn take_grant(&mut self, append: &Append<P>, now: Millis) {
        let held = &mut self.held_lease;
        held.matched(append.term, append.prev_index + append.entries.len() as u64);
        // Of an earlier life of this process [N3 token-nonce].
        if append.token.nonce != self.nonce || append.token.clock > now {
            return;
        }
        // Of the time before the clock went back [N66 clock-set-back].
        if append.token.clock <= held.voided_at {
            return;
        }
        held.granted(append.quorum, append.commit, append.token.clock.saturating_add(usable(append.lease)));
    }

    /// A leader's own lease begins when its newest majority-acked round was sent, the own answer being given at `own`; none before a
    /// majority's disks hold its NOOP.
    fn own_lease(&self, leader: &Leader, own: Millis) -> Option<Millis> {
        // By a clock that stands alone nobody knows when a lease ends [N65 clock-rate].
        if leader.quorum_index < leader.noop_index || leader.rates.own_alone() {
            return None;
        }
        let acked_at = |id: &NodeId| if *id == self.me { Some(own) } else { leader.progress.get(id)?.acked_at() };
        let begun = quorum::reached(self.voters(), acked_at)??;
        Some(begun.saturating_add(usable(leader.lease)))
    }

    /// The leadership is over, the lease that it gave is not.
    pub(super) fn keep_lease(&mut self, now: Millis) {
        if let Some(end) = self.role.leader().and_then(|leader| self.own_lease(leader, now)) {
            self.held_lease.extend(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_counts_once_the_log_matches_and_what_is_committed_is_applied() {
        let mut held = HeldLease::default();
        held.matched(2, 10);
        held.granted(11, 8, 500);
        held.applied(9);
        assert_eq!(held.end, 0, "the leader knew of entry 11");
        held.matched(2, 11);
        held.granted(11, 10, 600);
        assert_eq!(held.end, 0, "entry 10 is not applied");
        held.applied(10);
        assert_eq!(held.end, 600);
        held.granted(11, 10, 550);
        assert_eq!(held.end, 600, "what was granted before still stands");
    }

    #[test]
    fn what_is_void_does_not_come_back() {
        let mut held = HeldLease::default();
        held.granted(0, 0, 500);
        held.granted(0, 5, 600);
        held.void(100);
        held.applied(5);
        assert_eq!((held.end, held.voided_at), (0, 100));
        held.granted(0, 0, 300);
        assert_eq!(held.end, 300, "shorter than what was granted before");
    }

    #[test]
    fn what_matched_an_earlier_leader_proves_nothing() {
        let mut held = HeldLease::default();
        held.applied(10);
        held.matched(2, 10);
        held.matched(3, 5);
        held.granted(8, 5, 500);
        assert_eq!(held.end, 0);
        held.matched(3, 8);
        held.granted(8, 5, 500);
        assert_eq!(held.end, 500);
    }
}
