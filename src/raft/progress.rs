//! What the leader knows of one other node's log, and what it may send next.
//!
//! Owns: match and next index, the flow of one follower. Must not: build messages (replication does).
//! Contract: docs/protocol.md, "Pipelining".

use super::pace::Pace;
use crate::types::{Extent, LogIndex, Millis};
use std::collections::VecDeque;

/// How many AEs with entries may be on their way to one follower.
const MAX_INFLIGHT: usize = 32;

/// How entries flow to a follower.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Flow {
    /// Where the logs meet is not known: one AE at a time. `sent` holds its previous index and its round.
    Probe { sent: Option<(LogIndex, u64)> },
    /// The logs meet: entries go out as they come, each once. Holds the last index of each AE on its way.
    Pipeline { inflight: VecDeque<LogIndex> },
    /// The entries are gone: a snapshot with this last index is on its way, sent in this round.
    Snapshot { index: LogIndex, round: u64 },
}

/// What the leader knows of one other node.
#[derive(Clone, PartialEq, Debug)]
pub struct Progress {
    /// Equal to the leader's log and on its disk up to here. Never falls; below `next_index`.
    match_index: LogIndex,
    /// The next entry to send, at most one past the leader's last.
    next_index: LogIndex,
    pub(super) flow: Flow,
    /// Our link to it is up.
    pub(super) linked: bool,
    lost_memory: bool,
    /// The round in which it first denied its match to this probe.
    denied_in: Option<u64>,
    /// The newest round that it echoed; 0 for none.
    acked_round: u64,
    last_ack_sent_at: Millis,
    /// How much of its primary's data it has, as it said with that, and up to where its log was known to match then.
    extent: (LogIndex, Extent),
    /// When it was heard before this leader was there, as far as its voters knew.
    heard_before: Option<Millis>,
    /// When it was last sent an AE or a snapshot; none: a heartbeat is due.
    pub(super) last_sent: Option<Millis>,
    /// The longest time between its heartbeats, at least 1.
    pub(super) beat: Millis,
    /// The commit index that it could take from what it was sent.
    pub(super) commit_sent: LogIndex,
    /// How long it took it to say that it has something on its disk.
    pub(super) pace: Pace,
}

impl Progress {
    /// A node of which nothing is known yet. `now` stands for the last answer, so that it has time to give one.
    pub(super) fn new(last_index: LogIndex, linked: bool, now: Millis) -> Self {
        Self {
            match_index: 0,
            next_index: last_index + 1,
            flow: Flow::Probe { sent: None },
            linked,
            lost_memory: false,
            denied_in: None,
            acked_round: 0,
            last_ack_sent_at: now,
            extent: (0, Extent::default()),
            heard_before: None,
            last_sent: None,
            beat: 1,
            commit_sent: 0,
            pace: Pace::default(),
        }
    }

    /// Known to be equal to the leader's log and on its disk up to here.
    pub fn match_index(&self) -> LogIndex {
        self.match_index
    }

    /// The next entry to send.
    pub fn next_index(&self) -> LogIndex {
        self.next_index
    }

    /// When the newest round that it echoed was sent; before the first echo, when the leader took it up.
    pub fn last_ack_sent_at(&self) -> Millis {
        self.last_ack_sent_at
    }

    /// When the newest round that it echoed was sent; none before the first echo.
    pub(super) fn acked_at(&self) -> Option<Millis> {
        (self.acked_round > 0).then_some(self.last_ack_sent_at)
    }

    /// When it was last known to answer anybody, this leader or an earlier one.
    pub fn heard_at(&self) -> Millis {
        self.acked_at().or(self.heard_before).unwrap_or(self.last_ack_sent_at)
    }

    /// A voter knows that it was heard at `at`, before this leader was there.
    pub(super) fn was_heard(&mut self, at: Millis) {
        self.heard_before = self.heard_before.max(Some(at));
    }

    /// Whether what it lacks of the log, up to `last_index`, is on its way or as good as: our link to it is up, the logs meet, and it is
    /// less than `lag` entries behind.
    pub(super) fn keeps_up(&self, last_index: LogIndex, lag: LogIndex) -> bool {
        self.linked && matches!(self.flow, Flow::Pipeline { .. }) && last_index - self.match_index < lag
    }

    /// The newest round that it echoed; 0 for none.
    pub fn acked_round(&self) -> u64 {
        self.acked_round
    }

    /// How much of its primary's data it had when it echoed the newest round. None if it had not got the entry `since` then, which may have
    /// given it that primary.
    pub fn extent(&self, since: LogIndex) -> Option<Extent> {
        let (matched, extent) = self.extent;
        (matched >= since).then_some(extent)
    }

    /// It has not got what it had acknowledged to this leader, on this link or an earlier one: it must not vote any more.
    pub fn lost_memory(&self) -> bool {
        self.lost_memory
    }

    /// Whether our link to it is up.
    pub fn is_linked(&self) -> bool {
        self.linked
    }

    /// How entries flow to it, in a word: `probe` (where the logs meet is not known), `pipeline` or `snapshot`.
    pub fn flow_name(&self) -> &'static str {
        match self.flow {
            Flow::Probe { .. } => "probe",
            Flow::Pipeline { .. } => "pipeline",
            Flow::Snapshot { .. } => "snapshot",
        }
    }

    /// How many messages with entries, probes or snapshots are on their way to it.
    pub fn in_flight(&self) -> usize {
        match &self.flow {
            Flow::Probe { sent } => usize::from(sent.is_some()),
            Flow::Pipeline { inflight } => inflight.len(),
            Flow::Snapshot { .. } => 1,
        }
    }

    /// Whether it echoed a round that was sent less than `span` ago.
    pub fn answers(&self, now: Millis, span: Millis) -> bool {
        self.acked_round > 0 && now.saturating_sub(self.last_ack_sent_at) < span
    }

    /// Whether at `now` it had answered, as far as is known, a round that was sent no longer ago than `span` and the time between two of
    /// its heartbeats.
    pub fn answered_lately(&self, now: Millis, span: Millis) -> bool {
        now.saturating_sub(self.heard_at()) < span + self.beat
    }

    /// A new link: what was on its way on the old one is forgotten.
    pub(super) fn link_up(&mut self) {
        self.linked = true;
        self.last_sent = None;
        self.probe(if self.match_index > 0 { self.match_index + 1 } else { self.next_index });
    }

    pub(super) fn link_down(&mut self) {
        self.linked = false;
        self.probe(if self.match_index > 0 { self.match_index + 1 } else { self.next_index });
    }

    /// Goes back to `next`, never below what matches.
    fn probe(&mut self, next: LogIndex) {
        self.next_index = next.max(self.match_index + 1);
        self.flow = Flow::Probe { sent: None };
        self.denied_in = None;
        self.commit_sent = self.commit_sent.min(self.match_index);
    }

    /// It echoed a round, sent at `sent_at` as far as that is remembered; `last_index` is its own, which may show that it has lost
    /// its memory: within a leader's term nobody truncates what it has acknowledged to that leader, and a restart keeps what is on disk.
    pub(super) fn echoed(&mut self, round: u64, sent_at: Option<Millis>, last_index: LogIndex) {
        self.acked_round = self.acked_round.max(round);
        self.last_ack_sent_at = sent_at.map_or(self.last_ack_sent_at, |at| at.max(self.last_ack_sent_at));
        self.lost_memory |= last_index < self.match_index;
    }

    /// It said so with its echo of this round, by a log that matches up to where it is known to match by now.
    pub(super) fn holds_data(&mut self, round: u64, extent: Extent) {
        if round >= self.acked_round {
            self.extent = (self.match_index, extent);
        }
    }

    /// It has lost its memory and does not vote: its log is brought up from the beginning, and what it acknowledges from now on is new.
    pub(super) fn start_over(&mut self) {
        (self.match_index, self.next_index) = (0, 1);
        self.lost_memory = false;
        self.probe(1);
    }

    /// It matches up to `index`.
    pub(super) fn matched(&mut self, index: LogIndex, round: u64) {
        self.match_index = self.match_index.max(index);
        self.next_index = self.next_index.max(self.match_index + 1);
        match &mut self.flow {
            // `next_index` is past what the probe carried: that is on its way and goes only once.
            Flow::Probe { sent: Some((prev, _)) } if index >= *prev => self.flow = Flow::Pipeline { inflight: VecDeque::new() },
            // A later round was answered, the probe was not.
            Flow::Probe { sent: Some((prev, sent)) } if round > *sent => {
                let next = *prev + 1;
                self.probe(next);
            }
            Flow::Probe { .. } => {}
            Flow::Pipeline { inflight } => {
                while inflight.front().is_some_and(|&last| last <= index) {
                    inflight.pop_front();
                }
            }
            Flow::Snapshot { index: awaited, .. } if index >= *awaited => self.flow = Flow::Pipeline { inflight: VecDeque::new() },
            Flow::Snapshot { .. } => self.look_after_snapshot(round),
        }
    }

    /// What was sent after the snapshot was answered, the snapshot was not: its answer is lost, or it is. Find out.
    fn look_after_snapshot(&mut self, answered: u64) {
        if let Flow::Snapshot { index, round } = self.flow
            && answered > round
        {
            self.probe(index + 1);
        }
    }

    /// It refused an AE and names where to go back to. What cannot be the answer to the AE that counts is ignored.
    pub(super) fn refused(&mut self, hint: LogIndex, round: u64) {
        match self.flow {
            // It denies what it had acknowledged: there is no way back, and asking again would go on for ever.
            Flow::Probe { sent: Some((prev, sent)) } if prev == self.match_index && prev > 0 => self.denied(sent, round),
            Flow::Probe { sent: Some((prev, sent)) } if round >= sent && hint <= prev => self.probe(hint),
            Flow::Pipeline { .. } => self.probe(hint.min(self.next_index)),
            Flow::Snapshot { .. } => self.look_after_snapshot(round),
            Flow::Probe { .. } => {}
        }
    }

    /// A refusal in a round after the probe's may still speak of an AE that was on its way before the probe; a second one, of a later turn,
    /// cannot.
    fn denied(&mut self, sent: u64, round: u64) {
        match self.denied_in {
            Some(first) if round > first => self.lost_memory = true,
            None if round > sent => self.denied_in = Some(round),
            _ => {}
        }
    }

    /// Nothing is sent beyond the leader's own disk, not even as a previous index.
    pub(super) fn stay_within(&mut self, durable: LogIndex) {
        self.next_index = self.next_index.min(durable + 1).max(self.match_index + 1);
    }

    /// When its next heartbeat is due: at whole multiples of its beat, so that one wake-up of the leader serves all of a kind.
    pub(super) fn due_at(&self) -> Millis {
        self.last_sent.map_or(0, |at| (at / self.beat + 1) * self.beat)
    }

    /// Whether an AE may go out now that carries entries or finds out where the logs meet.
    pub(super) fn may_send(&self, durable: LogIndex) -> bool {
        match &self.flow {
            Flow::Probe { sent } => sent.is_none(),
            Flow::Pipeline { inflight } => self.next_index <= durable && inflight.len() < MAX_INFLIGHT,
            Flow::Snapshot { .. } => false,
        }
    }

    /// An AE with the entries up to `last` goes out.
    pub(super) fn sent(&mut self, last: LogIndex, round: u64) {
        let prev = self.next_index - 1;
        match &mut self.flow {
            Flow::Probe { sent } => *sent = Some((prev, round)),
            Flow::Pipeline { inflight } => inflight.push_back(last),
            Flow::Snapshot { .. } => unreachable!("a follower that waits for a snapshot is sent no entries"),
        }
        self.next_index = last + 1;
    }

    /// A snapshot goes out.
    pub(super) fn sent_snapshot(&mut self, index: LogIndex, round: u64) {
        self.flow = Flow::Snapshot { index, round };
        self.next_index = index + 1;
    }

    /// The previous index of a message without entries: in a pipeline what it will have by then, else what it has for certain.
    pub(super) fn heartbeat_prev(&self) -> LogIndex {
        if matches!(self.flow, Flow::Pipeline { .. }) { self.next_index - 1 } else { self.match_index }
    }

    /// Whether the commit index should be told at once: only where the entries have gone out.
    pub(super) fn owes_commit(&self, commit: LogIndex) -> bool {
        matches!(self.flow, Flow::Pipeline { .. }) && self.commit_sent < commit.min(self.next_index - 1)
    }

    /// Asserts what the fields promise.
    pub(super) fn check(&self, last_index: LogIndex) {
        assert!(self.match_index < self.next_index, "match stays below next");
        assert!(self.match_index <= last_index, "nobody matches what the leader does not have");
        if let Flow::Pipeline { inflight } = &self.flow {
            assert!(self.next_index <= last_index + 1, "next is at most one past the leader's last index");
            assert!(inflight.len() <= MAX_INFLIGHT && inflight.iter().is_sorted(), "a bounded amount is on its way, in order");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a pipeline, matching up to 5 of 5.
    fn pipelined() -> Progress {
        let mut progress = Progress::new(5, true, 100);
        progress.sent(5, 1);
        progress.echoed(1, Some(100), 5);
        progress.matched(5, 1);
        progress
    }

    #[test]
    fn a_probe_waits_for_its_answer_then_entries_flow() {
        let mut progress = Progress::new(5, true, 100);
        assert!(progress.may_send(5) && !progress.answers(100, 1000));
        progress.sent(7, 1);
        assert!(!progress.may_send(9));
        assert_eq!((progress.heartbeat_prev(), progress.owes_commit(9)), (0, false));
        // A heartbeat's answer is not the probe's, but a later round's is a sign that there will be none.
        progress.matched(0, 1);
        assert!(!progress.may_send(9));
        progress.matched(5, 1);
        assert_eq!((progress.match_index(), progress.next_index(), progress.may_send(9), progress.may_send(7)), (5, 8, true, false));
        assert!(progress.owes_commit(9));
        progress.check(9);
    }

    #[test]
    fn a_bounded_amount_is_on_its_way() {
        let mut progress = pipelined();
        let mut last = 5;
        while progress.may_send(1000) {
            last += 1;
            progress.sent(last, 2);
        }
        assert_eq!(last, 5 + MAX_INFLIGHT as u64);
        progress.matched(7, 2);
        assert!(progress.may_send(1000));
        progress.check(1000);
    }

    #[test]
    fn what_people_see_of_the_flow() {
        let mut progress = Progress::new(5, true, 100);
        let seen = |progress: &Progress| (progress.flow_name(), progress.in_flight());
        assert_eq!(seen(&progress), ("probe", 0));
        progress.sent(5, 1);
        assert_eq!(seen(&progress), ("probe", 1));
        progress.matched(5, 1);
        assert_eq!(seen(&progress), ("pipeline", 0));
        progress.sent(6, 2);
        progress.sent(7, 2);
        assert_eq!(seen(&progress), ("pipeline", 2));
        progress.sent_snapshot(9, 1);
        assert_eq!(seen(&progress), ("snapshot", 1));
        progress.link_down();
        assert_eq!(seen(&progress), ("probe", 0));
    }

    #[test]
    fn going_back_stops_at_the_match() {
        let mut progress = pipelined();
        progress.sent(9, 2);
        progress.refused(2, 2);
        assert_eq!((progress.next_index(), progress.may_send(9)), (6, true));
        // The refusal of another AE that was on its way says nothing about the probe.
        progress.sent(9, 3);
        progress.refused(8, 3);
        assert!(!progress.may_send(9));
        // It denies what it had: no probe without end.
        progress.refused(2, 3);
        assert!(!progress.may_send(9));
        progress.link_down();
        progress.link_up();
        assert!(progress.may_send(9));
    }

    #[test]
    fn memory_is_lost_on_any_link_and_rebuilt_from_the_start() {
        let mut progress = pipelined();
        progress.refused(1, 2);
        assert!(!progress.lost_memory());
        progress.link_down();
        progress.link_up();
        progress.echoed(4, None, 4);
        assert!(progress.lost_memory());
        assert_eq!((progress.acked_round(), progress.last_ack_sent_at()), (4, 100));
        progress.start_over();
        assert_eq!((progress.match_index(), progress.next_index(), progress.lost_memory()), (0, 1, false));
        progress.echoed(5, None, 4);
        assert!(progress.may_send(5) && !progress.lost_memory());
    }

    #[test]
    fn a_match_that_is_denied_again_and_again_is_lost() {
        let mut progress = pipelined();
        progress.refused(6, 2);
        progress.sent(5, 3);
        // One refusal may be that of an AE that was on its way before the probe.
        progress.refused(3, 3);
        progress.refused(3, 4);
        assert!(!progress.lost_memory());
        progress.refused(3, 5);
        assert!(progress.lost_memory());
    }
}
