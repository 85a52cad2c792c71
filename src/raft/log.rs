//! The replicated log as it stands in memory.
//!
//! Owns: the entries after the snapshot, their indices and terms. Must not: know roles, voters or disks.
//! Contract: docs/protocol.md, "Compaction and snapshots".

use super::entry::{Body, Entry, Payload};
use crate::types::{LogIndex, Term};
use std::collections::VecDeque;

/// About what an entry's line costs besides its payload, for batch limits.
const LINE_OVERHEAD: usize = 160;

/// The tail of the log behind a snapshot. Index 0 with term 0 stands for "nothing".
#[derive(Clone, Debug)]
pub struct Log<P> {
    /// The last entry that the snapshot covers.
    snapshot_index: LogIndex,
    /// That entry's term: what an AE at the boundary is checked against.
    snapshot_term: Term,
    /// Terms never go down from one entry to the next, nor below `snapshot_term`.
    entries: VecDeque<Entry<P>>,
    /// By entry: about how many bytes its line and those of all before it take, counted since some entry that may be gone. Each change asks
    /// for that.
    ends: VecDeque<u64>,
    /// So many when the entries here begin.
    begin: u64,
}

/// Two logs are the same whatever was there before.
impl<P: PartialEq> PartialEq for Log<P> {
    fn eq(&self, other: &Self) -> bool {
        let place = |log: &Self| (log.snapshot_index, log.snapshot_term);
        place(self) == place(other) && self.entries == other.entries
    }
}

impl<P> Log<P> {
    /// A log that begins behind this snapshot.
    pub fn new(snapshot_index: LogIndex, snapshot_term: Term) -> Self {
        Self { snapshot_index, snapshot_term, entries: VecDeque::new(), ends: VecDeque::new(), begin: 0 }
    }

    /// The last index that the snapshot covers.
    pub fn snapshot_index(&self) -> LogIndex {
        self.snapshot_index
    }

    /// The term of that entry.
    pub fn snapshot_term(&self) -> Term {
        self.snapshot_term
    }

    /// The first index that is held as an entry, whether or not there is one yet.
    pub fn first_index(&self) -> LogIndex {
        self.snapshot_index + 1
    }

    /// The last index, of an entry or of the snapshot.
    pub fn last_index(&self) -> LogIndex {
        self.snapshot_index + self.entries.len() as u64
    }

    /// The term at the last index.
    pub fn last_term(&self) -> Term {
        self.entries.back().map_or(self.snapshot_term, |entry| entry.term)
    }

    /// How many entries are held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no entry is held.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Where an index stands among the entries.
    fn place(&self, index: LogIndex) -> Option<usize> {
        let place = usize::try_from(index.checked_sub(self.first_index())?).ok()?;
        (place < self.entries.len()).then_some(place)
    }

    /// The entry at `index`, if it is held.
    pub fn get(&self, index: LogIndex) -> Option<&Entry<P>> {
        self.place(index).map(|place| &self.entries[place])
    }

    /// The term at `index`, known for the entries held and for the snapshot's last one.
    pub fn term_at(&self, index: LogIndex) -> Option<Term> {
        if index == self.snapshot_index { Some(self.snapshot_term) } else { self.get(index).map(|entry| entry.term) }
    }

    /// The entries from `index` on, with their indices.
    pub fn iter_from(&self, index: LogIndex) -> impl DoubleEndedIterator<Item = (LogIndex, &Entry<P>)> + ExactSizeIterator {
        let start = index.max(self.first_index());
        let place = (start - self.first_index()).min(self.entries.len() as u64) as usize;
        self.entries.range(place..).enumerate().map(move |(offset, entry)| (start + offset as u64, entry))
    }

    /// Drops the entries from `index` on; the snapshot cannot be cut.
    pub fn truncate_from(&mut self, index: LogIndex) {
        assert!(index > self.snapshot_index, "what a snapshot covers is never truncated");
        let kept = (index - self.first_index()).min(self.entries.len() as u64) as usize;
        self.entries.truncate(kept);
        self.ends.truncate(kept);
    }

    /// Drops the entries up to `index`, which a snapshot covers from now on; nothing if `index` is not held.
    pub fn compact_to(&mut self, index: LogIndex) {
        let Some(place) = self.place(index) else { return };
        self.snapshot_term = self.entries[place].term;
        self.snapshot_index = index;
        self.begin = self.ends[place];
        self.entries.drain(..=place);
        self.ends.drain(..=place);
    }

    /// Takes a snapshot's place: a suffix that agrees with it stays, everything else goes (§7).
    pub fn restore(&mut self, index: LogIndex, term: Term) {
        if self.term_at(index) == Some(term) {
            self.compact_to(index);
        } else {
            *self = Self::new(index, term);
        }
    }

    /// The first index of the run of equal terms that `index` stands in, as far as it is held.
    pub fn first_of_term(&self, index: LogIndex) -> LogIndex {
        let Some(term) = self.term_at(index) else { return index };
        let mut first = index;
        while first > self.first_index() && self.term_at(first - 1) == Some(term) {
            first -= 1;
        }
        first
    }

    /// Asserts what the fields promise.
    pub fn check(&self) {
        let terms = std::iter::once(self.snapshot_term).chain(self.entries.iter().map(|entry| entry.term));
        assert!(terms.is_sorted(), "terms never go down in a log");
        assert!(self.snapshot_index > 0 || self.snapshot_term == 0, "index 0 has term 0");
        assert!(self.ends.len() == self.entries.len() && self.ends.front().is_none_or(|end| *end > self.begin), "each entry is counted");
    }
}

impl<P: Payload> Log<P> {
    /// Adds an entry at `last_index() + 1`, which is returned.
    pub fn push(&mut self, entry: Entry<P>) -> LogIndex {
        assert!(entry.term >= self.last_term(), "terms never go down in a log");
        self.ends.push_back(self.end_before(self.ends.len()) + entry.size() as u64);
        self.entries.push_back(entry);
        self.last_index()
    }

    /// Copies the entries from `from` up to `to`, at most `max_entries` and about `max_bytes`, but at least one if there is one.
    pub fn slice(&self, from: LogIndex, to: LogIndex, max_entries: usize, max_bytes: usize) -> Vec<Entry<P>> {
        let mut bytes = 0;
        let mut fits = |entry: &&Entry<P>| {
            let first = bytes == 0;
            bytes += entry.size();
            first || bytes <= max_bytes
        };
        let count = (to + 1).saturating_sub(from).min(max_entries as u64) as usize;
        self.iter_from(from).take(count).map(|(_, entry)| entry).take_while(&mut fits).cloned().collect()
    }

    /// About how many bytes the lines of the entries from `from` to before `to` take, as far as they are held.
    pub fn bytes(&self, from: LogIndex, to: LogIndex) -> u64 {
        let before = |index: LogIndex| self.end_before(index.saturating_sub(self.first_index()).min(self.entries.len() as u64) as usize);
        before(to).saturating_sub(before(from))
    }

    /// What is counted up to the entry at this place.
    fn end_before(&self, place: usize) -> u64 {
        place.checked_sub(1).map_or(self.begin, |last| self.ends[last])
    }
}

impl<P: Payload> Entry<P> {
    /// About how many bytes its line takes.
    pub(super) fn size(&self) -> usize {
        LINE_OVERHEAD
            + match &self.body {
                Body::App(payload) => payload.size(),
                Body::Noop { .. } | Body::AddVoter { .. } | Body::DelVoter { .. } => 0,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NodeId;

    #[derive(Clone, PartialEq, Debug)]
    struct Sized(usize);

    impl Payload for Sized {
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

    fn log(terms: &[Term]) -> Log<Sized> {
        let mut log = Log::new(10, 1);
        for &term in terms {
            log.push(Entry { term, origin: None, body: Body::App(Sized(1000)) });
        }
        log
    }

    #[test]
    fn indices_and_terms() {
        let log = log(&[1, 2, 2]);
        assert_eq!((log.first_index(), log.last_index(), log.last_term(), log.len()), (11, 13, 2, 3));
        let terms: Vec<_> = (9..=14).map(|index| log.term_at(index)).collect();
        assert_eq!(terms, [None, Some(1), Some(1), Some(2), Some(2), None]);
        assert!(log.get(10).is_none() && log.get(11).is_some() && log.get(u64::MAX).is_none());
        assert_eq!((log.first_of_term(13), log.first_of_term(11), log.first_of_term(99)), (12, 11, 99));
        let empty = Log::<Sized>::new(0, 0);
        assert_eq!((empty.last_index(), empty.last_term(), empty.term_at(0)), (0, 0, Some(0)));
    }

    #[test]
    fn truncation_compaction_and_restoring() {
        let mut cut = log(&[1, 2, 2]);
        cut.truncate_from(12);
        assert_eq!((cut.last_index(), cut.last_term()), (11, 1));
        cut.truncate_from(50);
        assert_eq!(cut.last_index(), 11);
        let mut compacted = log(&[1, 2, 3]);
        compacted.compact_to(12);
        assert_eq!((compacted.snapshot_index(), compacted.snapshot_term(), compacted.last_index()), (12, 2, 13));
        compacted.compact_to(5);
        assert_eq!(compacted.snapshot_index(), 12);
        let mut agrees = log(&[1, 2, 3]);
        agrees.restore(12, 2);
        assert_eq!((agrees.first_index(), agrees.last_index()), (13, 13));
        let mut differs = log(&[1, 2, 3]);
        differs.restore(12, 4);
        assert_eq!((differs.last_index(), differs.last_term(), differs.len()), (12, 4, 0));
        differs.check();
    }

    #[test]
    fn bytes_are_those_of_the_entries_that_are_held_whatever_was_there_before() {
        let push = |log: &mut Log<Sized>, size| log.push(Entry { term: 3, origin: None, body: Body::App(Sized(size)) });
        let sums = |log: &Log<Sized>| {
            let sum = |from, to| log.iter_from(from).filter(|(index, _)| *index < to).map(|(_, entry)| entry.size() as u64).sum::<u64>();
            (9..=18).all(|from| (from..=18).chain([LogIndex::MAX]).all(|to| log.bytes(from, to) == sum(from, to)))
        };
        let mut log = log(&[1, 2]);
        (1..=4).for_each(|size| _ = push(&mut log, size));
        assert!(sums(&log) && log.bytes(11, 12) == 1160);
        log.truncate_from(14);
        assert!(sums(&log));
        push(&mut log, 50);
        log.compact_to(12);
        push(&mut log, 7);
        assert!(sums(&log) && log.bytes(0, LogIndex::MAX) == 3 * 160 + 58);
        let mut other = Log::new(12, 2);
        [1, 50, 7].into_iter().for_each(|size| _ = push(&mut other, size));
        assert_eq!(log, other, "what was there before makes no difference");
        log.restore(30, 3);
        assert!(sums(&log) && log.bytes(0, LogIndex::MAX) == 0);
    }

    #[test]
    fn slices_are_bounded_but_never_empty_for_nothing() {
        let log = log(&[1; 10]);
        let count = |from, to, entries, bytes| log.slice(from, to, entries, bytes).len();
        assert_eq!((count(11, 20, 100, 1 << 20), count(15, 20, 100, 1 << 20), count(11, 14, 100, 1 << 20)), (10, 6, 4));
        assert_eq!((count(11, 20, 3, 1 << 20), count(11, 20, 100, 1), count(11, 20, 100, 2400)), (3, 1, 2));
        assert_eq!((count(21, 20, 100, 1 << 20), count(21, 30, 100, 1 << 20)), (0, 0));
    }

    #[test]
    #[should_panic(expected = "terms never go down in a log")]
    fn a_lower_term_is_never_appended() {
        log(&[2, 1]);
    }
}
