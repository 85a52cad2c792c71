//! Answers that wait for the disk: AE_ACK and votes.
//!
//! Owns: what is still to be answered, and to which link. Must not: decide an answer. Contract: docs/protocol.md, "Elections, leases, and
//! who may write", and docs/architecture.md, "One turn of the loop".

use super::Raft;
use super::entry::Payload;
use super::message::{AppendAck, Message, Needs, Outgoing, Route, Token, Vote};
use crate::types::{ConnId, Extent, LogIndex, Millis, NodeId, Term};

/// What this turn's AEs of one leader in one term come to.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Ack {
    via: ConnId,
    leader: NodeId,
    term: Term,
    /// The highest round received.
    round: u64,
    /// Known to match up to here, on disk or not.
    matched: Option<LogIndex>,
    /// A refused previous index, and where to go back to.
    refused: Option<(LogIndex, LogIndex)>,
}

/// Answers not yet given, at most one of a kind for each link.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Answers {
    /// Of the leader and the term that the node follows.
    ack: Option<Ack>,
    votes: Vec<(ConnId, NodeId, Vote)>,
    /// Links by which an AE of a lower term came.
    outdated: Vec<ConnId>,
}

impl Answers {
    /// A new term: an ack belongs to one leader and one term. (Granted votes are looked at when they are taken.)
    pub(super) fn drop_ack(&mut self) {
        self.ack = None;
    }

    fn ack_of(&mut self, via: ConnId, leader: NodeId, term: Term, round: u64) -> &mut Ack {
        let kept = self.ack.filter(|ack| ack.leader == leader && ack.term == term && ack.via == via);
        let ack = self.ack.insert(kept.unwrap_or(Ack { via, leader, term, round, matched: None, refused: None }));
        ack.round = ack.round.max(round);
        ack
    }

    /// The log matches up to `index`; an earlier refusal below it is settled.
    pub(super) fn matched(&mut self, via: ConnId, leader: NodeId, term: Term, round: u64, index: LogIndex) {
        let ack = self.ack_of(via, leader, term, round);
        ack.matched = ack.matched.max(Some(index));
        ack.refused = ack.refused.filter(|&(prev, _)| prev > index);
    }

    /// An AE was refused: it outweighs a heartbeat that matched further below.
    pub(super) fn refused(&mut self, via: ConnId, leader: NodeId, term: Term, round: u64, prev: LogIndex, hint: LogIndex) {
        let ack = self.ack_of(via, leader, term, round);
        if ack.matched.is_none_or(|matched| matched < prev) {
            ack.refused = Some((prev, hint));
        }
    }

    /// A request for a vote is answered.
    pub(super) fn vote(&mut self, via: ConnId, candidate: NodeId, vote: Vote) {
        self.votes.retain(|(other, _, earlier)| *other != via || earlier.pre != vote.pre);
        self.votes.push((via, candidate, vote));
    }

    /// An AE of a lower term is refused.
    pub(super) fn outdated(&mut self, via: ConnId) {
        self.outdated.retain(|other| *other != via);
        self.outdated.push(via);
    }
}

impl<P: Payload> Raft<P> {
    /// The link by which questions came is gone: what was still to be answered there is dropped.
    pub fn answer_link_closed(&mut self, via: ConnId) {
        self.answers.ack = self.answers.ack.filter(|ack| ack.via != via);
        self.answers.votes.retain(|(other, ..)| *other != via);
        self.answers.outdated.retain(|other| *other != via);
    }

    /// The AE_ACK for this turn's AEs, as far as the disk holds what they brought; the rest is acknowledged when it does.
    pub fn take_acks(&mut self, extent: Extent, now: Millis) -> Option<Outgoing<P>> {
        let on_disk = self.disk.last_index();
        if !self.disk.holds(self.hard) {
            return None;
        }
        let ack = self.answers.ack.take()?;
        if ack.refused.is_none() && ack.matched > Some(on_disk) {
            self.answers.ack = Some(ack);
        }
        let (ok, index) = match ack.refused {
            Some((_, hint)) => (false, hint),
            None => (true, ack.matched.unwrap_or(0).min(on_disk)),
        };
        let needs = Needs { term: ack.term, vote: None, index: if ok { index } else { 0 } };
        let token = Token { nonce: self.nonce, clock: now };
        let last_index = self.log.last_index();
        let message = Message::AppendAck(AppendAck { term: ack.term, ok, index, last_index, round: ack.round, extent, token });
        Some(Outgoing { route: Route::Answer(ack.via), needs, message })
    }

    /// Votes and pre-votes given and denied, and the refusals of AEs of lower terms. A vote of a term that has passed is denied after all.
    pub fn take_votes(&mut self, now: Millis) -> Vec<Outgoing<P>> {
        if !self.disk.holds(self.hard) {
            return Vec::new();
        }
        let votes = std::mem::take(&mut self.answers.votes);
        let outdated = std::mem::take(&mut self.answers.outdated);
        if votes.iter().any(|(.., vote)| vote.granted && !vote.pre) {
            // Its candidate hears of it now.
            self.wait_on(now);
        }
        let votes = votes.into_iter().map(|(via, candidate, vote)| self.vote_answer(via, candidate, vote)).collect::<Vec<_>>();
        votes.into_iter().chain(outdated.into_iter().map(|via| self.outdated_answer(via))).collect()
    }

    fn vote_answer(&self, via: ConnId, candidate: NodeId, mut vote: Vote) -> Outgoing<P> {
        let term = self.hard.term;
        let stands = vote.pre || (vote.term == term && self.hard.voted_for == Some(candidate));
        if vote.granted && !stands {
            vote = Vote { granted: false, term, ages: Vec::new(), ..vote };
        }
        let promised = (vote.granted && !vote.pre).then_some(candidate);
        let needs = Needs { term: if vote.granted && vote.pre { 0 } else { vote.term }, vote: promised, index: 0 };
        Outgoing { route: Route::Answer(via), needs, message: Message::Vote(vote) }
    }

    /// The own term and nothing else. Above all not the AE's round: it was counted in another term, and if that leader has been elected
    /// again by then it would take the echo for one of its new rounds, which this node has never seen.
    fn outdated_answer(&self, via: ConnId) -> Outgoing<P> {
        let (term, last_index) = (self.hard.term, self.log.last_index());
        let ack = AppendAck { term, ok: false, index: 0, last_index, round: 0, extent: Extent::default(), token: Token::default() };
        Outgoing { route: Route::Answer(via), needs: Needs { term, ..Needs::default() }, message: Message::AppendAck(ack) }
    }

    /// Asserts that the pending ack belongs to the leader that is followed.
    pub(super) fn check_answers(&self) {
        if let Some(ack) = &self.answers.ack {
            assert!(ack.term == self.hard.term, "an ack belongs to one term");
            assert!(self.election.leader.is_none_or(|leader| leader == ack.leader), "an ack belongs to one leader");
        }
    }
}
