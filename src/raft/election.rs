//! Who leads: time-outs, pre-votes, votes (§5.2, §5.4.1, dissertation §4.2.3 and §9.6).
//!
//! Owns: term and vote, the leader that is followed, campaigns, every change of role. Must not: send (answers and `take_vote_requests` wait
//! for the disk). Contract: docs/protocol.md, "Elections, leases, and who may write".

use super::entry::{Body, Payload};
use super::follow::check_index;
use super::message::{Message, Needs, Outgoing, Route, Vote, VoteRequest};
use super::progress::Progress;
use super::rates::Rates;
use super::role::{Campaign, Leader};
use super::terms::{TERM_LEAD, check_term, heed, reach};
use super::{HardState, PeerFault, Raft, Role, quorum};
use crate::types::numbers::TERM_LIMIT;
use crate::types::{ConnId, Millis, NodeId, Term};
use std::collections::BTreeSet;

/// Whom a node follows, and until when.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Election {
    /// The leader of the current term; a leader names itself.
    pub(super) leader: Option<NodeId>,
    /// When any leader was last heard: the base lease counts from here.
    heard_at: Option<Millis>,
    /// When to ask for votes, or to ask again. Means nothing to a leader.
    deadline: Millis,
    /// How long that is from when the wait began, as it was drawn: from [E, 2E). A slow disk stretches it.
    wait: Millis,
    /// The newest round of vote requests.
    round: u64,
}

impl<P: Payload> Raft<P> {
    /// E, and what a slow disk adds to it: elections start after once to twice that without a leader (ms).
    pub fn election_timeout(&self) -> Millis {
        self.settings.election_timeout + self.disk_allowance()
    }

    /// A wait begins, for a leader or for votes, of a length that is drawn now.
    pub(super) fn await_leader(&mut self, now: Millis) {
        let base = self.settings.election_timeout;
        self.election.wait = self.rng.between(base, 2 * base);
        self.wait_on(now);
    }

    /// The wait begins now: what is waited for could not come before, for what asks for it, or allows it, has been on its way to the disk
    /// \[N64 slow-disk\].
    pub(super) fn wait_on(&mut self, now: Millis) {
        let base = self.settings.election_timeout.max(1);
        self.election.deadline = now + self.election.wait.saturating_mul(self.election_timeout()) / base;
    }

    /// Timers.
    pub fn tick(&mut self, now: Millis) {
        match &mut self.role {
            Role::Leader(leader) => {
                leader.end_transfer(now);
                if self.quorum_answered_at(now).is_none_or(|at| at + self.election_timeout() < now) {
                    self.abdicate(now);
                }
            }
            Role::Follower | Role::PreCandidate(_) | Role::Candidate(_) => {
                if self.campaign_at().is_some_and(|at| at <= now) {
                    self.pre_campaign(now);
                }
            }
        }
    }

    /// When [`Raft::tick`] or [`Raft::replicate`] has something to do next.
    pub fn next_deadline(&self) -> Option<Millis> {
        let Role::Leader(leader) = &self.role else { return self.campaign_at() };
        let times = [
            leader.progress.values().any(|progress| progress.linked).then_some(leader.next_beat),
            leader.gate.opens_at(),
            self.await_ends_at(leader),
            leader.transfer.as_ref().map(|transfer| transfer.until),
            (self.voters().len() > 1).then(|| self.quorum_fails_at(leader)).flatten(),
        ];
        times.into_iter().flatten().min()
    }

    /// When a node that does not lead asks for votes. The only voter need not wait for anybody, unless a leader is still about.
    fn campaign_at(&self) -> Option<Millis> {
        if !self.may_campaign() {
            return None;
        }
        let alone = self.voters().len() == 1 && self.is_voter(&self.me);
        Some(if alone { self.election.heard_at.map_or(0, |at| at + self.settings.election_timeout) } else { self.election.deadline })
    }

    /// The send time of the newest round that a majority has acked, each later by what its disk is known to take; `now` if the leader alone
    /// is one.
    fn quorum_answered_at(&self, now: Millis) -> Option<Millis> {
        let leader = self.role.leader()?;
        let timeout = self.settings.election_timeout;
        let late = |progress: &Progress| progress.last_ack_sent_at() + 2 * progress.pace.allowance(timeout);
        let answered = |id: &NodeId| leader.progress.get(id).map_or(0, late);
        quorum::reached(self.voters(), |id| if *id == self.me { now } else { answered(id) })
    }

    /// How much longer than otherwise an answer may take, by the slowest of the disks that are known (ms).
    pub fn slowness(&self) -> Millis {
        let others = self.role.leader().map(|leader| leader.progress.values());
        let allowances = others.into_iter().flatten().map(|progress| 2 * progress.pace.allowance(self.settings.election_timeout));
        self.disk_allowance() + allowances.max().unwrap_or(0)
    }

    /// When check-quorum fails if nobody answers any more.
    fn quorum_fails_at(&self, leader: &Leader) -> Option<Millis> {
        let at = self.quorum_answered_at(Millis::MAX)?;
        Some(at.max(leader.elected_at) + self.election_timeout() + 1)
    }

    /// A higher term: whatever was promised or asked in the old one is over.
    pub(super) fn enter_term(&mut self, term: Term, voted_for: Option<NodeId>, now: Millis) {
        debug_assert!(term > self.hard.term, "terms never go down");
        self.abdicate(now);
        self.hard = HardState { term, voted_for };
        self.disk.hard_state_changed();
        self.answers.drop_ack();
    }

    /// Stops leading or asking, in the same term: `voted_for` stays, or a second vote could be given in it.
    fn become_follower(&mut self, now: Millis) {
        if let Role::Leader(leader) = &self.role {
            self.heard.led(self.hard.term, leader.progress.iter().map(|(id, progress)| (*id, progress.heard_at())).collect());
            self.keep_lease(now);
            self.await_leader(now);
        }
        self.role = Role::Follower;
    }

    /// A leader that cannot or must not lead any more.
    pub(super) fn abdicate(&mut self, now: Millis) {
        self.election.leader = None;
        self.become_follower(now);
    }

    /// A message of the leader of `term` is taken. A joiner that has never acknowledged anything gives it its vote as well: it could have
    /// voted in that term in an earlier life.
    pub(super) fn follow(&mut self, leader: NodeId, term: Term, now: Millis) {
        if term > self.hard.term {
            let vote = self.is_blank().then_some(leader);
            self.enter_term(term, vote, now);
        }
        self.become_follower(now);
        self.election.leader = Some(leader);
        self.heard.leader(leader, term, now);
        self.election.heard_at = Some(now);
        self.await_leader(now);
    }

    /// Whether this is a joiner that has acknowledged nothing: no log, no voters.
    pub(super) fn is_blank(&self) -> bool {
        self.log.last_index() == 0 && self.membership.appended_set().is_empty()
    }

    /// Whether a leader's term can be, and is to be followed. Who comes into a cluster knows none of its terms. Who never asks for votes,
    /// and hears no leader, hears of the cluster's terms by this alone: it comes as near as it may, and follows the next such message.
    pub(super) fn check_leaders_term(&mut self, term: Term, now: Millis) -> Result<(), PeerFault> {
        let reach = reach(self.hard.term);
        let checked = if self.is_blank() { check_term(term, reach - TERM_LEAD) } else { check_term(term, self.hard.term) };
        let below = term.min(reach).saturating_sub(1);
        if checked.is_err() && term < TERM_LIMIT && !self.may_campaign() && !self.base_lease_holds(now) && below > self.hard.term {
            self.enter_term(below, None, now);
        }
        checked
    }

    /// Asks whether an election could be won; the only voter need not ask.
    fn pre_campaign(&mut self, now: Millis) {
        if self.voters().len() == 1 && self.is_voter(&self.me) {
            return self.campaign(false, now);
        }
        self.election.leader = None;
        let votes = match &mut self.role {
            Role::Candidate(before) => (std::mem::take(&mut before.granted), before.sent_at),
            Role::PreCandidate(before) => std::mem::take(&mut before.votes),
            Role::Follower | Role::Leader(_) => Default::default(),
        };
        let campaign = Campaign { votes, ..self.new_campaign(false, now) };
        self.role = Role::PreCandidate(campaign);
        self.count_votes(now);
    }

    /// Asks for votes in a new term.
    pub(super) fn campaign(&mut self, transfer: bool, now: Millis) {
        self.enter_term(self.hard.term + 1, Some(self.me), now);
        let campaign = self.new_campaign(transfer, now);
        self.role = Role::Candidate(campaign);
        self.count_votes(now);
    }

    fn new_campaign(&mut self, transfer: bool, now: Millis) -> Campaign {
        self.election.round += 1;
        self.await_leader(now);
        let mut asked = self.voters().clone();
        // The own vote counts only by the latest configuration [N13 learner-campaigns].
        let granted = asked.take(&self.me).into_iter().collect();
        let heard = self.heard.since(self.log.last_term()).collect();
        let (unsent, votes, took) = (asked.clone(), Default::default(), Default::default());
        Campaign { round: self.election.round, transfer, granted, asked, unsent, sent_at: None, votes, took, heard }
    }

    /// Goes on if a majority of the voters, as they are now, said yes.
    fn count_votes(&mut self, now: Millis) {
        let Some(campaign) = self.role.campaign() else { return };
        if quorum::won(self.voters(), &campaign.votes.0) {
            return self.lead(now);
        }
        if !quorum::won(self.voters(), &campaign.granted) {
            return;
        }
        match self.role {
            Role::PreCandidate(_) => self.campaign(false, now),
            Role::Candidate(_) => self.lead(now),
            Role::Follower | Role::Leader(_) => {}
        }
    }

    /// Becomes the leader: its NOOP is the first entry of the term (§5.4.2).
    fn lead(&mut self, now: Millis) {
        let lease = self.settings.lease;
        let noops = self.log.iter_from(self.log.first_index()).map(|(_, entry)| match entry.body {
            Body::Noop { lease } => lease,
            Body::AddVoter { .. } | Body::DelVoter { .. } | Body::App(_) => 0,
        });
        let mut leader = Leader {
            noop_index: self.log.last_index() + 1,
            lease,
            max_lease: noops.max().unwrap_or(0).max(lease),
            elected_at: now,
            quorum_index: 0,
            progress: Default::default(),
            rounds: Default::default(),
            grants: Default::default(),
            gate: Default::default(),
            rates: Rates::new(self.clock_is_off),
            transfer: None,
            next_beat: now,
            stirred: Default::default(),
            looked_at: Default::default(),
        };
        for (index, entry) in self.log.iter_from(self.commit + 1) {
            leader.gate.appended(index, &entry.body);
        }
        let (heard, took) = self.role.campaign().map(|campaign| (campaign.heard.clone(), campaign.took.clone())).unwrap_or_default();
        self.role = Role::Leader(Box::new(leader));
        self.election.leader = Some(self.me);
        self.sync_peers(now);
        self.were_heard(heard.into_iter());
        self.were_slow(took.into_iter());
        self.append_own(None, Body::Noop { lease });
    }

    /// What a new leader is told of the others' silence.
    fn were_heard(&mut self, heard: impl Iterator<Item = (NodeId, Millis)>) {
        let Role::Leader(leader) = &mut self.role else { return };
        for (id, at) in heard {
            if let Some(progress) = leader.progress.get_mut(&id) {
                progress.was_heard(at);
            }
        }
    }

    /// What a new leader knows of the voters' disks: a vote is a rewrite, which is two syncs.
    fn were_slow(&mut self, took: impl Iterator<Item = (NodeId, Millis)>) {
        let Role::Leader(leader) = &mut self.role else { return };
        for (id, took) in took {
            if let Some(progress) = leader.progress.get_mut(&id) {
                progress.pace.note(2, took);
            }
        }
    }

    /// While a leader is heard, nobody is helped to depose it; a leader that has its quorum hears itself.
    pub(super) fn base_lease_holds(&self, now: Millis) -> bool {
        let heard = self.election.heard_at.is_some_and(|at| now < at + self.settings.election_timeout);
        heard || matches!(self.role, Role::Leader(_))
    }

    /// Whether a leader can have handed over to `candidate`: to a voter alone, as far as this node knows. Who lags and does not know it
    /// denies the vote for as long as the base lease lasts, and the candidate asks again after that \[N59 runaway-term\].
    fn may_take_over(&self, candidate: &NodeId) -> bool {
        self.is_voter(candidate) || self.committed_voters().contains(candidate)
    }

    /// The candidate's log is at least as good as the own one (§5.4.1).
    fn up_to_date(&self, request: &VoteRequest) -> bool {
        (request.last_term, request.last_index) >= (self.log.last_term(), self.log.last_index())
    }

    /// `PRE_VOTE_REQ` and `VOTE_REQ`: answered by the own log, term and lease, whatever the configuration says.
    pub(super) fn on_vote_request(&mut self, via: ConnId, from: NodeId, request: VoteRequest, now: Millis) -> Result<(), PeerFault> {
        self.check_speaker(from, request.candidate)?;
        check_term(request.term, self.hard.term)?;
        check_index(request.last_index, self.log.last_index())?;
        let refused = self.base_lease_holds(now) && !(request.transfer && self.may_take_over(&request.candidate));
        let granted = if refused {
            // The term stays, however high the request's is [N32 refused-vote].
            false
        } else if request.pre {
            self.would_vote(&request)
        } else {
            self.vote(&request, now)
        };
        let term = if granted { request.term } else { self.hard.term };
        let heard = self.heard.since(request.last_term).filter(|_| granted && !request.pre);
        let ages = heard.map(|(id, at)| (id, now.saturating_sub(at))).collect();
        self.answers.vote(via, from, Vote { pre: request.pre, term, granted, round: request.round, ages });
        Ok(())
    }

    /// Whether a vote for this request would be given, now and in its term.
    fn would_vote(&self, request: &VoteRequest) -> bool {
        if self.muted {
            return false;
        }
        let free = self.hard.voted_for.is_none_or(|id| id == request.candidate);
        (request.term > self.hard.term || (request.term == self.hard.term && free)) && self.up_to_date(request)
    }

    fn vote(&mut self, request: &VoteRequest, now: Millis) -> bool {
        if request.term > self.hard.term {
            self.enter_term(request.term, None, now);
        }
        let granted = self.would_vote(request);
        if granted {
            if self.hard.voted_for.is_none() {
                self.hard.voted_for = Some(request.candidate);
                self.disk.hard_state_changed();
            }
            self.await_leader(now);
        }
        granted
    }

    /// `PRE_VOTE` and `VOTE`. Only an answer to the newest round from one that was asked is believed.
    pub(super) fn on_vote(&mut self, from: NodeId, vote: Vote, now: Millis) -> Result<(), PeerFault> {
        let vote = Vote { term: heed(&from, vote.term, self.hard.term)?, ..vote };
        let term = self.hard.term;
        let pre = matches!(self.role, Role::PreCandidate(_));
        if self.is_leader() && vote.granted && !vote.pre && vote.term == term {
            // One more than was needed: what it tells of the others counts all the same.
            self.were_heard(vote.ages.into_iter().map(|(id, age)| (id, now.saturating_sub(age))));
            return Ok(());
        }
        let voted_for_itself = self.hard.voted_for == Some(self.me);
        let Some(campaign) = self.role.campaign_mut().filter(|campaign| campaign.asked.contains(&from)) else { return Ok(()) };
        // It waited for a disk for longer than this node waited for it. It is a vote all the same, in a term that goes on.
        let late = pre && !vote.pre && vote.granted && vote.term == term && voted_for_itself;
        if late {
            campaign.votes.0.insert(from);
            campaign.take_vote(from, vote.ages, campaign.votes.1, now);
            self.count_votes(now);
            return Ok(());
        }
        if vote.pre != pre || vote.round != campaign.round {
            return Ok(());
        }
        match vote.granted {
            true if vote.term == term + u64::from(pre) => {
                campaign.granted.insert(from);
                campaign.take_vote(from, vote.ages, campaign.sent_at, now);
                self.count_votes(now);
            }
            true => {}
            false if vote.term > term => {
                self.enter_term(vote.term, None, now);
                self.ask_again_soon(now);
            }
            // Most likely the base lease, which is over soon.
            false if pre => self.ask_again_soon(now),
            false => {}
        }
        Ok(())
    }

    /// A denied pre-vote is tried again after E/10..E/5.
    fn ask_again_soon(&mut self, now: Millis) {
        let base = self.settings.election_timeout;
        let soon = now + self.rng.between(base / 10, (base / 5).max(base / 10 + 1)).max(1);
        self.election.deadline = self.election.deadline.min(soon);
    }

    /// The vote requests that may leave: a real one only once the term and the own vote are on disk. Without a link they wait for one.
    pub fn take_vote_requests(&mut self, now: Millis) -> Vec<Outgoing<P>> {
        let pre = matches!(self.role, Role::PreCandidate(_));
        let (last_index, last_term, hard, me) = (self.log.last_index(), self.log.last_term(), self.hard, self.me);
        if !self.disk.holds(hard) || self.disk.last_index() < last_index {
            return Vec::new();
        }
        let linked = &self.peers.linked;
        let Some(campaign) = self.role.campaign_mut() else { return Vec::new() };
        let request = VoteRequest {
            pre,
            candidate: me,
            term: hard.term + u64::from(pre),
            last_index,
            last_term,
            round: campaign.round,
            transfer: campaign.transfer,
        };
        let needs = Needs { term: hard.term, vote: (!pre).then_some(me), index: last_index };
        let ready: BTreeSet<NodeId> = campaign.unsent.intersection(linked).copied().collect();
        campaign.unsent.retain(|id| !ready.contains(id));
        // What is on its way to the disk is not on its way to anybody [N64 slow-disk].
        if !pre && !ready.is_empty() && campaign.sent_at.is_none() {
            campaign.sent_at = Some(now);
            self.wait_on(now);
        }
        ready.into_iter().map(|id| Outgoing { route: Route::Request(id), needs, message: Message::VoteRequest(request) }).collect()
    }

    /// The sender speaks for itself.
    pub(super) fn check_speaker(&self, from: NodeId, named: NodeId) -> Result<(), PeerFault> {
        if from != named || from == self.me { Err(PeerFault::WrongSender) } else { Ok(()) }
    }

    /// Whether there is a next term that others would take. If not, only a recovery by force helps.
    pub fn has_term_left(&self) -> bool {
        self.hard.term < TERM_LIMIT - 1
    }
}
