//! Who votes, by what has been appended (dissertation §4.1).
//!
//! Owns: the voting set as of the snapshot and after every voting entry of the log \[N27 snapshot-voters\], when the next change may be
//! appended, and what [`super::plan`] is told. Must not: count votes or acks. Contract: docs/protocol.md, "Membership and voting".

use super::entry::{Body, Payload};
use super::log::Log;
use super::plan::{Candidate, Health, Prospect, Scene, Step, Voter};
use super::{Raft, VotingRefused};
use crate::types::{LogIndex, Millis, NodeId};
use std::collections::BTreeSet;

/// A voter that stays failed for so many node-timeouts is replaced.
const REPLACED_AFTER: u64 = 4;

/// The voting set after one voting entry of the log.
#[derive(Clone, PartialEq, Debug)]
struct Change {
    index: LogIndex,
    voters: BTreeSet<NodeId>,
    /// Two voters at once: counts only from the own disk on \[N15 one-to-three\].
    two: bool,
}

/// The voting sets that the log tells.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Membership {
    /// As of the log's snapshot; empty for a joiner.
    base: BTreeSet<NodeId>,
    /// Whom the last voting entry that was compacted away had added alone; unknown after a load and of an installed snapshot.
    base_newest: Option<NodeId>,
    /// One for each voting entry of the log, in order of index.
    changes: Vec<Change>,
}

impl Membership {
    /// Reads the sets from a snapshot's voters and the log behind it.
    pub(super) fn of<P: Payload>(base: BTreeSet<NodeId>, log: &Log<P>) -> Self {
        let mut membership = Self { base, base_newest: None, changes: Vec::new() };
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
        for change in self.changes.drain(..covered) {
            self.base_newest = newcomer(&self.base, &change.voters);
            self.base = change.voters;
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

    /// Whom the newest voting entry has added, if that is what it did and this process has seen it.
    pub(super) fn newest(&self) -> Option<NodeId> {
        match self.changes.as_slice() {
            [] => self.base_newest,
            [last] => newcomer(&self.base, &last.voters),
            [.., before, last] => newcomer(&before.voters, &last.voters),
        }
    }

    /// Asserts that the sets are what the log tells.
    pub(super) fn check<P: Payload>(&self, log: &Log<P>) {
        let told = Self { base_newest: self.base_newest, ..Self::of(self.base.clone(), log) };
        assert_eq!(*self, told, "the voting sets are the snapshot's and the tail's");
    }
}

/// The one who votes after a change and did not before, if it is only one.
fn newcomer(before: &BTreeSet<NodeId>, after: &BTreeSet<NodeId>) -> Option<NodeId> {
    let mut added = after.difference(before);
    added.next().filter(|_| added.next().is_none()).copied()
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

    /// A node campaigns if it votes by its latest or by its latest committed configuration \[N13 learner-campaigns\], in a term that others
    /// would take.
    pub(super) fn may_campaign(&self) -> bool {
        !self.muted && self.has_term_left() && (self.is_voter(&self.me) || self.committed_voters().contains(&self.me))
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

    /// The leader's next voting entry of its own accord, toward `min(settings.voters, eligible members)` rounded down to an odd size;
    /// `asked` while somebody's request is being worked on. [`Body::DelVoter`] of the leader itself asks the caller to hand over.
    pub fn plan_voters(&self, members: &[Prospect], asked: bool, now: Millis) -> Option<Body<P>> {
        self.may_change_voters().ok()?;
        Some(match self.scene(members, asked, now).next()? {
            Step::Add(ids) => Body::AddVoter { ids },
            Step::Remove(id) => Body::DelVoter { id, by_hand: false },
        })
    }

    /// Who should vote next, so many at most, beside those who do.
    pub fn successors(&self, members: &[Prospect], count: usize, now: Millis) -> Vec<NodeId> {
        self.scene(members, true, now).best(count)
    }

    /// Whether the voters that answer are a majority without this one; true for who does not vote.
    pub fn can_spare(&self, id: &NodeId, now: Millis) -> bool {
        let scene = self.scene(&[], true, now);
        scene.voters.iter().find(|voter| voter.id == *id).is_none_or(|voter| scene.can_spare(voter))
    }

    /// Whether a node is this leader or answers its rounds, by a link that is up.
    pub fn answers(&self, id: &NodeId, now: Millis) -> bool {
        let span = self.settings.answer_span();
        *id == self.me || self.progress(id).is_some_and(|peer| peer.is_linked() && !peer.lost_memory() && peer.answers(now, span))
    }

    /// Whether a node holds what is committed and answers: its vote will not hold up the next commit (dissertation §4.2.1).
    pub fn is_ready(&self, id: &NodeId, now: Millis) -> bool {
        self.answers(id, now) && self.progress(id).is_some_and(|peer| peer.match_index() >= self.commit)
    }

    fn scene<'a>(&self, members: &[Prospect<'a>], asked: bool, now: Millis) -> Scene<'a> {
        let prospect = |id: &NodeId| members.iter().find(|member| member.id == *id);
        let voter = |id: &NodeId| {
            let known = prospect(id);
            let (zone, failed) = known.map_or(("", false), |member| (member.zone, member.failed));
            Voter { id: *id, zone, health: self.health(id, failed, now) }
        };
        let fit = |member: &&Prospect| member.eligible && !member.failed && !self.is_voter(&member.id) && self.is_ready(&member.id, now);
        let candidate = |member: &Prospect<'a>| Candidate { id: member.id, zone: member.zone };
        let eligible = members.iter().filter(|member| member.eligible).count();
        Scene {
            me: self.me,
            voters: self.voters().iter().map(voter).collect(),
            candidates: members.iter().filter(fit).map(candidate).collect(),
            target: self.settings.voters.min(eligible).saturating_sub(1) | 1,
            newest: self.membership.newest(),
            asked,
        }
    }

    /// By this leader's own clock: what an earlier one had waited for does not count.
    fn health(&self, id: &NodeId, failed: bool, now: Millis) -> Health {
        let silent_for = self.progress(id).map_or(0, |peer| now.saturating_sub(peer.last_ack_sent_at()));
        match self.progress(id) {
            Some(peer) if peer.lost_memory() => Health::Forgetful,
            _ if self.answers(id, now) => Health::Answers,
            _ if failed && silent_for > REPLACED_AFTER * self.settings.node_timeout => Health::Failed,
            _ => Health::Silent,
        }
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
    fn the_newest_is_whom_the_last_entry_added_alone() {
        let mut log = log();
        let newest = |log: &Log<Found>| Membership::of(set(&[7]), log).newest();
        assert_eq!(newest(&log), None, "the last one removed somebody");
        log.push(Entry { term: 1, origin: None, body: Body::AddVoter { ids: vec![id(4)] } });
        assert_eq!(newest(&log), Some(id(4)));
        let mut membership = Membership::of(set(&[7]), &log);
        membership.compact_to(6);
        assert_eq!((membership.newest(), membership.last_change()), (Some(id(4)), 0), "compaction forgets nobody");
        log.truncate_from(4);
        assert_eq!(newest(&log), None, "two at once");
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
