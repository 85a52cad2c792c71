//! A follower takes the leader's entries (§5.3).
//!
//! Owns: the consistency check, going back, the follower's commit index. Must not: acknowledge by itself (answers waits for the disk).
//! Contract: docs/protocol.md, "Wire format" and \[N22 leftover-suffix\].

use super::entry::Payload;
use super::message::Append;
use super::{PeerFault, Raft, Role};
use crate::types::{ConnId, LogIndex, Millis, NodeId, Term};

/// So far beyond the own log an index may be: nobody misses more entries. More would leave no room \[N62 number-bounds\].
const INDEX_LEAD: LogIndex = 1 << 32;

/// About so many bytes of entries wait to be applied at most. With the state, and what is appended before the next rewrite, they fit into a
/// file that is read again (64 MiB), with as much to spare \[N62 number-bounds\]. A leader leaves half of it to those that lead after it.
const MAX_TAIL_BYTES: u64 = 32 << 20;

/// How an AE meets the log.
enum Meets {
    /// The previous entry is missing or another one: the leader should go back to this index.
    No(LogIndex),
    /// It matches; from this index on the entries are new, and what stands there in their place goes.
    Yes(LogIndex),
}

impl<P: Payload> Raft<P> {
    /// `AE`. Everything is checked before anything changes.
    pub(super) fn on_append(&mut self, via: ConnId, from: NodeId, append: Append<P>, now: Millis) -> Result<(), PeerFault> {
        if !self.check_leader(via, from, append.leader, append.term, now)? {
            return Ok(());
        }
        check_terms(&append)?;
        let spoken_of = append.prev_index.max(append.quorum).max(append.commit);
        self.check_leaders_index(spoken_of)?;
        let meets = self.meet(&append)?;
        if let Meets::Yes(first_new) = meets {
            self.check_voters(&append, first_new)?;
        }
        let (term, round, prev) = (append.term, append.round, append.prev_index);
        self.follow(from, term, now);
        self.told_commit = Some((term, append.commit));
        match meets {
            Meets::No(hint) => self.answers.refused(via, from, term, round, prev, hint),
            Meets::Yes(first_new) if !self.has_room(&append, first_new) => {
                ::log::warn!("an AE with entries for which there is no room before others are applied is not taken");
                self.answers.refused(via, from, term, round, LogIndex::MAX, self.log.last_index() + 1);
            }
            Meets::Yes(first_new) => {
                let matched = prev + append.entries.len() as u64;
                let (agreed, commit) = (append.quorum.min(matched), append.commit.min(matched));
                self.take_grant(&append, now);
                self.take_entries(append, first_new);
                // Never by the own last index: a stale suffix is not the leader's [N22 leftover-suffix].
                self.commit = self.commit.max(commit);
                self.agreed.reached(agreed, self.commit, now);
                self.answers.matched(via, from, term, round, matched);
            }
        }
        Ok(())
    }

    /// An AE of which the entries cannot be read: the leader is heard, nothing is taken \[N26 mixed-versions\].
    pub fn refuse_append(&mut self, via: ConnId, from: NodeId, term: Term, round: u64, now: Millis) -> Result<(), PeerFault> {
        if self.check_leader(via, from, from, term, now)? {
            self.follow(from, term, now);
            let next = self.log.last_index() + 1;
            self.answers.refused(via, from, term, round, LogIndex::MAX, next);
        }
        Ok(())
    }

    /// Whether a message that only a leader sends is to be followed; one of a lower term is answered with the own term and nothing else.
    pub(super) fn check_leader(&mut self, via: ConnId, from: NodeId, leader: NodeId, term: Term, now: Millis) -> Result<bool, PeerFault> {
        self.check_speaker(from, leader)?;
        self.check_leaders_term(term, now)?;
        if term < self.hard.term {
            self.answers.outdated(via);
            return Ok(false);
        }
        // One that is not heard any more may never have led: who asks for votes forgets it too.
        let other = self.election.leader.is_some_and(|known| known != from) && self.base_lease_holds(now);
        if term == self.hard.term && (other || matches!(self.role, Role::Leader(_))) {
            Err(PeerFault::SecondLeader(term))
        } else {
            Ok(true)
        }
    }

    /// Where the AE's entries meet the log. What is committed is never touched: the leader of a sound cluster has it.
    fn meet(&self, append: &Append<P>) -> Result<Meets, PeerFault> {
        let (log, prev) = (&self.log, append.prev_index);
        match log.term_at(prev) {
            // A previous index below the snapshot matches: what a snapshot covers is committed.
            _ if prev < log.snapshot_index() => {}
            Some(term) if term == append.prev_term => {}
            Some(_) if prev <= self.commit => return Err(PeerFault::TruncatesCommitted(prev)),
            Some(_) => return Ok(Meets::No(log.first_of_term(prev).max(self.commit + 1))),
            None => return Ok(Meets::No(log.last_index() + 1)),
        }
        let held = (prev + 1..).zip(&append.entries).filter(|(index, _)| *index >= log.snapshot_index());
        let new = held.map(|(index, entry)| (index, log.term_at(index), entry.term)).find(|(_, held, term)| *held != Some(*term));
        match new {
            Some((index, Some(_), _)) if index <= self.commit => Err(PeerFault::TruncatesCommitted(index)),
            Some((index, ..)) => Ok(Meets::Yes(index)),
            None => Ok(Meets::Yes(LogIndex::MAX)),
        }
    }

    /// Whether a leader's log can reach there: who comes into a cluster has none of its own to compare with.
    pub(super) fn check_leaders_index(&self, index: LogIndex) -> Result<(), PeerFault> {
        if self.is_blank() { Ok(()) } else { check_index(index, self.log.last_index()) }
    }

    /// Somebody votes after each voting entry: no leader removes the last voter, and no file that tells of it would load.
    fn check_voters(&self, append: &Append<P>, first_new: LogIndex) -> Result<(), PeerFault> {
        let mut voters = self.membership.at(first_new.saturating_sub(1)).clone();
        for entry in append.entries.iter().skip(append.before(first_new)) {
            if entry.body.change_voters(&mut voters) && voters.is_empty() {
                return Err(PeerFault::NoVoters);
            }
        }
        Ok(())
    }

    /// Whether what this AE brings that is new can wait to be applied with what waits already.
    fn has_room(&self, append: &Append<P>, first_new: LogIndex) -> bool {
        let new = append.entries.iter().skip(append.before(first_new)).map(|entry| entry.size() as u64).sum::<u64>();
        new == 0 || self.log.bytes(self.applied_index() + 1, first_new) + new <= MAX_TAIL_BYTES
    }

    /// Whether a leader may append one more change of this node's or another's making.
    pub fn tail_has_room(&self) -> bool {
        self.log.bytes(self.applied_index() + 1, LogIndex::MAX) <= MAX_TAIL_BYTES / 2
    }

    fn take_entries(&mut self, append: Append<P>, first_new: LogIndex) {
        if first_new <= self.log.last_index() {
            self.log.truncate_from(first_new);
            self.membership.truncate_from(first_new);
            self.disk.truncated_from(first_new);
        }
        let known = append.before(first_new);
        for entry in append.entries.into_iter().skip(known) {
            self.membership.appended(self.log.last_index() + 1, &entry.body);
            self.log.push(entry);
        }
    }
}

impl<P> Append<P> {
    /// How many of its entries come before this index.
    fn before(&self, index: LogIndex) -> usize {
        usize::try_from(index.saturating_sub(self.prev_index + 1)).unwrap_or(usize::MAX)
    }
}

/// Whether another node's log can reach to `index`, as far as one knows whose own ends at `last`.
pub(super) fn check_index(index: LogIndex, last: LogIndex) -> Result<(), PeerFault> {
    if index < last.saturating_add(INDEX_LEAD) { Ok(()) } else { Err(PeerFault::BadIndex(index)) }
}

/// The terms in an AE never go down, from the previous entry's to the leader's.
fn check_terms<P>(append: &Append<P>) -> Result<(), PeerFault> {
    let entries = append.entries.iter().map(|entry| entry.term);
    let sorted = std::iter::once(append.prev_term).chain(entries).chain([append.term]).is_sorted();
    let zero = append.entries.first().is_some_and(|entry| entry.term == 0) || (append.prev_index == 0) != (append.prev_term == 0);
    if sorted && !zero { Ok(()) } else { Err(PeerFault::BadTerm) }
}

#[cfg(test)]
mod tests {
    use super::super::entry::{Body, Entry};
    use super::super::log::Log;
    use super::super::{Durable, HardState, Message, Settings};
    use super::*;
    use crate::rng::Rng;
    use std::collections::BTreeSet;

    #[derive(Clone, PartialEq, Debug)]
    struct Nothing(usize);

    impl Payload for Nothing {
        fn founding_voter(&self) -> Option<NodeId> {
            None
        }

        fn deposes(&self) -> Option<NodeId> {
            None
        }

        fn size(&self) -> usize {
            self.0
        }
    }

    const ME: NodeId = NodeId::from_bytes([1; 20]);
    const LEADER: NodeId = NodeId::from_bytes([2; 20]);
    const LINK: ConnId = ConnId { place: 0, generation: 0 };

    fn noop(term: Term) -> Entry<Nothing> {
        Entry { term, origin: None, body: Body::Noop { lease: 500 } }
    }

    fn append(prev_index: LogIndex, prev_term: Term, commit: LogIndex, entries: Vec<Entry<Nothing>>) -> Message<Nothing> {
        let (quorum, round, token, lease) = (0, 1, Default::default(), 0);
        Message::Append(Append { leader: LEADER, term: 3, prev_index, prev_term, quorum, commit, round, token, lease, entries })
    }

    #[test]
    fn a_state_is_the_newest_once_the_leader_has_said_how_far_it_is() {
        let settings = Settings { election_timeout: 100, lease: 500, node_timeout: 1000, voters: 3 };
        let (mut log, voters) = (Log::new(0, 0), BTreeSet::from([ME, LEADER]));
        (1..=3).for_each(|_| _ = log.push(noop(2)));
        let hard = HardState { term: 3, voted_for: None };
        let mut raft = Raft::new(ME, hard, log, voters, 2, 7, settings, Rng::new(1), 0);
        assert!(!raft.is_newest(2, 2), "what a file says may be old");
        let _ = raft.step(LINK, LEADER, append(3, 2, 3, vec![]), 10).unwrap();
        assert!(!raft.is_newest(3, 2), "the leader may not know yet what earlier ones had committed");
        let _ = raft.step(LINK, LEADER, append(3, 2, 4, vec![noop(3)]), 10).unwrap();
        assert!(!raft.is_newest(3, 2) && raft.is_newest(4, 3));
        let _ = raft.step(LINK, LEADER, append(4, 3, 6, vec![noop(3)]), 10).unwrap();
        assert!(!raft.is_newest(5, 3), "entry 6 is committed, wherever it is");
    }

    #[test]
    fn what_waits_to_be_applied_is_bounded_and_goes_on_once_it_is_applied() {
        let settings = Settings { election_timeout: 100, lease: 500, node_timeout: 1000, voters: 3 };
        let (log, voters) = (Log::new(0, 0), BTreeSet::from([ME, LEADER]));
        let mut raft = Raft::new(ME, HardState { term: 3, voted_for: None }, log, voters, 0, 7, settings, Rng::new(1), 0);
        let large = || Entry { term: 3, origin: None, body: Body::App(Nothing(8 << 20)) };
        let hear = |raft: &mut Raft<Nothing>, prev: LogIndex, term, commit, entries| {
            let _ = raft.step(LINK, LEADER, append(prev, term, commit, entries), 10).unwrap();
            raft.persisted(Durable { term: raft.term(), voted_for: None, last_index: raft.log().last_index() });
            (raft.take_acks(Default::default(), 10).unwrap().message, raft.log().last_index())
        };
        let ok = |message: &Message<Nothing>| matches!(message, Message::AppendAck(ack) if ack.ok);
        assert_eq!(hear(&mut raft, 0, 0, 3, vec![large(), large(), large()]).1, 3);
        let (answer, last) = hear(&mut raft, 3, 3, 4, vec![large()]);
        assert!(!ok(&answer) && last == 3, "with what an entry's line costs these are 32 MiB, committed or not: {answer:?}");
        let (answer, last) = hear(&mut raft, 3, 3, 3, vec![]);
        assert!(ok(&answer) && last == 3, "a heartbeat is heard");
        raft.applied(2);
        let (answer, last) = hear(&mut raft, 3, 3, 4, vec![large()]);
        assert!(ok(&answer) && last == 4);
    }
}
