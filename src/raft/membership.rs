//! Who votes, by what has been appended (dissertation §4.1).
//!
//! Owns: the voting set as of the snapshot and after every voting entry of the log \[N27\], and the rules for the next change.
//! Must not: count anything. Contract: docs/protocol.md, "Membership and voting".

use super::entry::{Body, Payload};
use super::log::Log;
use super::{Raft, VotingRefused};
use crate::types::{LogIndex, Millis, NodeId};
use std::collections::BTreeSet;

/// The voting set after one voting entry of the log.
#[derive(Clone, PartialEq, Debug)]
struct Change {
    index: LogIndex,
    voters: BTreeSet<NodeId>,
    /// Two voters at once: counts only from the own disk on \[N15\].
    two: bool,
}

/// The voting sets that the log tells.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Membership {
    /// As of the log's snapshot; empty for a joiner.
    base: BTreeSet<NodeId>,
    /// One for each voting entry of the log, in order of index.
    changes: Vec<Change>,
}

impl Membership {
    /// Reads the sets from a snapshot's voters and the log behind it.
    pub(super) fn of<P: Payload>(base: BTreeSet<NodeId>, log: &Log<P>) -> Self {
        let mut membership = Self { base, changes: Vec::new() };
        for (index, entry) in log.iter_from(log.first_index()) {
            membership.appended(index, &entry.body);
        }
        membership
    }

    /// Takes note of an appended entry; true if it is a voting entry.
    pub(super) fn appended<P: Payload>(&mut self, index: LogIndex, body: &Body<P>) -> bool {
        let two = matches!(body, Body::AddVoter { ids } if ids.len() > 1);
        let mut voters = BTreeSet::new();
        if !body.change_voters(&mut voters) {
            return false;
        }
        voters = self.appended_set().clone();
        body.change_voters(&mut voters);
        self.changes.push(Change { index, voters, two });
        true
    }

    /// The voting entries from `index` on are taken back.
    pub(super) fn truncate_from(&mut self, index: LogIndex) {
        self.changes.retain(|change| change.index < index);
    }

    /// The log's snapshot moves up to `index`.
    pub(super) fn compact_to(&mut self, index: LogIndex) {
        let covered = self.changes.partition_point(|change| change.index <= index);
        if let Some(last) = self.changes.drain(..covered).next_back() {
            self.base = last.voters;
        }
    }

    /// The set after the last voting entry, in effect or not.
    pub(super) fn appended_set(&self) -> &BTreeSet<NodeId> {
        self.changes.last().map_or(&self.base, |change| &change.voters)
    }

    /// The set in effect on a node whose disk holds the log up to `durable`.
    pub(super) fn latest(&self, durable: LogIndex) -> &BTreeSet<NodeId> {
        match self.changes.as_slice() {
            [.., before, last] if last.two && last.index > durable => &before.voters,
            [last] if last.two && last.index > durable => &self.base,
            _ => self.appended_set(),
        }
    }

    /// The set as of `index`, not below the log's snapshot.
    pub(super) fn at(&self, index: LogIndex) -> &BTreeSet<NodeId> {
        self.changes.iter().rev().find(|change| change.index <= index).map_or(&self.base, |change| &change.voters)
    }

    /// Index of the last voting entry that the log holds; 0 for none.
    pub(super) fn last_change(&self) -> LogIndex {
        self.changes.last().map_or(0, |change| change.index)
    }

    /// Asserts that the sets are what the log tells.
    pub(super) fn check<P: Payload>(&self, log: &Log<P>) {
        assert_eq!(*self, Self::of(self.base.clone(), log), "the voting sets are the snapshot's and the tail's");
    }
}

impl<P: Payload> Raft<P> {
    /// The voting set in effect: of what has been appended.
    pub fn voters(&self) -> &BTreeSet<NodeId> {
        self.membership.latest(self.disk.last_index())
    }

    /// The voting set as of `index`, which is not before the log's snapshot.
    pub fn voters_at(&self, index: LogIndex) -> &BTreeSet<NodeId> {
        self.membership.at(index)
    }

    /// The voting set as of the commit index.
    pub fn committed_voters(&self) -> &BTreeSet<NodeId> {
        self.membership.at(self.commit)
    }

    /// Whether `id` is in [`Raft::voters`].
    pub fn is_voter(&self, id: &NodeId) -> bool {
        self.voters().contains(id)
    }

    /// A node campaigns if it votes by its latest or by its latest committed configuration \[N13\].
    pub(super) fn may_campaign(&self) -> bool {
        !self.muted && (self.is_voter(&self.me) || self.committed_voters().contains(&self.me))
    }

    /// Appends a voting entry, which takes effect at once. Sizes are the caller's business, see [`Raft::plan_voters`].
    pub fn change_voters(&mut self, body: Body<P>, now: Millis) -> Result<LogIndex, VotingRefused> {
        self.may_change_voters()?;
        match &body {
            Body::AddVoter { ids } => self.may_add(ids)?,
            Body::DelVoter { id, .. } if !self.is_voter(id) => return Err(VotingRefused::NotVoter),
            Body::DelVoter { .. } if self.voters().len() == 1 => return Err(VotingRefused::LastVoter),
            Body::DelVoter { .. } => {}
            Body::Noop { .. } | Body::App(_) => return Err(VotingRefused::NotVoting),
        }
        let index = self.append_own(None, body);
        self.sync_peers(now);
        Ok(index)
    }

    /// One change in flight at a time, and only once this leader's term is on a majority's disks: until then an earlier leader's change
    /// could still come back (the bug of the dissertation's single-server changes, repaired by its author in 2015).
    fn may_change_voters(&self) -> Result<(), VotingRefused> {
        let leader = self.role.leader().ok_or(VotingRefused::NotLeader)?;
        if leader.transfer.is_some() {
            return Err(VotingRefused::NotLeader);
        }
        if leader.quorum_index < leader.noop_index {
            return Err(VotingRefused::NotReady);
        }
        if self.membership.last_change() > self.commit { Err(VotingRefused::InFlight) } else { Ok(()) }
    }

    fn may_add(&self, ids: &[NodeId]) -> Result<(), VotingRefused> {
        match ids {
            [_] => {}
            [a, b] if a != b && self.voters().len() == 1 => {}
            _ => return Err(VotingRefused::TwoToOneOnly),
        }
        if ids.iter().any(|id| self.is_voter(id)) {
            return Err(VotingRefused::AlreadyVoter);
        }
        // A node that has not come to its own NODE_JOIN yet votes for nobody: as a voter it would only be in the way.
        let remembers = |id: &NodeId| self.progress(id).is_some_and(|progress| progress.match_index() >= self.commit);
        if ids.iter().all(remembers) { Ok(()) } else { Err(VotingRefused::NotReady) }
    }

    /// The leader's next step of its own accord toward `min(settings.voters, member_count)`, rounded down to an odd size: out of
    /// `candidates` (members that may be promoted, best first) those that have caught up. It never leaves an odd size without the pair in
    /// hand that leads to the next one, and it demotes a voter that lost its memory, whatever the size.
    pub fn plan_voters(&self, candidates: &[NodeId], member_count: usize, now: Millis) -> Option<Body<P>> {
        self.may_change_voters().ok()?;
        let voters = self.voters();
        let forgetful = |id: &&NodeId| self.progress(id).is_some_and(|progress| progress.lost_memory());
        if let Some(&id) = voters.iter().find(forgetful).filter(|_| voters.len() > 1) {
            return Some(Body::DelVoter { id, by_hand: false });
        }
        let target = self.settings.voters.min(member_count).saturating_sub(1) | 1;
        let mut ready = candidates.iter().filter(|id| !voters.contains(id) && self.caught_up(id, now)).copied();
        let ids = match (voters.len(), ready.next(), ready.next()) {
            (1, Some(a), Some(b)) if target >= 3 => vec![a, b],
            (size, Some(a), Some(_)) if size > 1 && size < target => vec![a],
            (size, Some(a), None) if size.is_multiple_of(2) && size < target => vec![a],
            _ => return None,
        };
        Some(Body::AddVoter { ids })
    }

    /// Whether a learner holds what is committed and answers: promoting it will not hold up the next commit (dissertation §4.2.1).
    fn caught_up(&self, id: &NodeId, now: Millis) -> bool {
        self.progress(id).is_some_and(|progress| {
            progress.match_index() >= self.commit && progress.answers(now, self.settings.election_timeout.max(3 * progress.beat))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::Entry;
    use super::*;

    #[derive(Clone, PartialEq, Debug)]
    struct Found(NodeId);

    impl Payload for Found {
        fn founding_voter(&self) -> Option<NodeId> {
            Some(self.0)
        }
        fn deposes(&self) -> Option<NodeId> {
            None
        }
        fn size(&self) -> usize {
            0
        }
    }

    fn set(ids: &[u8]) -> BTreeSet<NodeId> {
        ids.iter().copied().map(id).collect()
    }

    fn id(n: u8) -> NodeId {
        NodeId::from_bytes([n; 20])
    }

    fn log() -> Log<Found> {
        let bodies = [
            Body::App(Found(id(1))),
            Body::Noop { lease: 1 },
            Body::AddVoter { ids: vec![id(2), id(3)] },
            Body::Noop { lease: 1 },
            Body::DelVoter { id: id(1), by_hand: false },
        ];
        let mut log = Log::new(0, 0);
        for body in bodies {
            log.push(Entry { term: 1, origin: None, body });
        }
        log
    }

    #[test]
    fn the_set_is_the_snapshots_and_the_tails() {
        let mut log = log();
        let mut membership = Membership::of(BTreeSet::new(), &log);
        membership.check(&log);
        let at: Vec<_> = (0..=5).map(|index| membership.at(index).clone()).collect();
        assert_eq!(at, [set(&[]), set(&[1]), set(&[1]), set(&[1, 2, 3]), set(&[1, 2, 3]), set(&[2, 3])]);
        assert_eq!(membership.last_change(), 5);

        log.compact_to(4);
        membership.compact_to(4);
        membership.check(&log);
        assert_eq!((membership.at(4), membership.appended_set()), (&set(&[1, 2, 3]), &set(&[2, 3])));

        log.truncate_from(5);
        membership.truncate_from(5);
        membership.check(&log);
        assert_eq!((membership.appended_set(), membership.last_change()), (&set(&[1, 2, 3]), 0));
    }

    #[test]
    fn two_at_once_count_from_the_disk_on() {
        let mut log = log();
        log.truncate_from(4);
        let membership = Membership::of(BTreeSet::new(), &log);
        assert_eq!((membership.latest(2), membership.latest(3)), (&set(&[1]), &set(&[1, 2, 3])));
        assert_eq!(membership.appended_set(), &set(&[1, 2, 3]));
        log.compact_to(2);
        let membership = Membership::of(set(&[1]), &log);
        assert_eq!((membership.latest(2), membership.latest(3)), (&set(&[1]), &set(&[1, 2, 3])));
    }
}
