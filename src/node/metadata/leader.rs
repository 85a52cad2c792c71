//! What a leader does with other nodes' requests, and by itself: proposals, members, failure flags, voters.
//!
//! Owns: the requests that wait for their turn, and what becomes of a proposal. Must not: count votes or acks (raft does).
//! Contract: docs/protocol.md, "Log entries" and "Membership and voting".

use crate::cluster::change::{NodeFail, NodeForget, NodeRecover};
use crate::cluster::{Change, LeaderRequest, LeaderRequestKind, Member, Outcome, Reason, Seen, format_body};
use crate::node::metadata::Metadata;
use crate::node::metadata::failover::Failovers;
use crate::node::metadata::gated_proposals::Gated;
use crate::node::metadata::holdings::Question;
use crate::node::timers::Timer;
use crate::node::view::{Effects, View};
use crate::raft::{Body, Entry, Payload, ProposalId, Prospect, VotingRefused};
use crate::types::{ConnId, Millis, NodeId};
use crate::wire::bus::{Frame, OLDEST_VERSION, RejectReason};

/// LeaderRequests that wait at one time; further ones are refused.
const MAX_ASKED: usize = 1024;
/// So far above the last one of the same member may a proposal's incarnation be: nobody is loaded more often in between. More would leave
/// no room \[N62 number-bounds\].
const INCARNATION_LEAD: u64 = 1 << 24;

/// A request that the leader has not yet turned into entries.
struct Asked {
    request: LeaderRequest,
    /// Where it came from; none for our own.
    from: Option<ConnId>,
    /// Mono ms. Who asked has given up when we do.
    since: Millis,
    /// Whether whom it is to forget holds what its shard's primary lacks.
    question: Option<Question>,
}

/// What a leader has on its desk. Emptied when it leads no more.
#[derive(Default)]
pub(in crate::node) struct Leading {
    asked: Vec<Asked>,
    /// Proposals that wait for the gate.
    pub(in crate::node) gated: Vec<Gated>,
    /// Primaries whose successors are sought.
    pub failovers: Failovers,
}

impl Leading {
    /// Whether members that are to be forgotten, or others for them, have been asked what they hold.
    pub fn asks_leavers(&self) -> bool {
        self.asked.iter().any(|asked| asked.question.is_some())
    }

    /// Primaries whose replicas are to take over.
    pub fn handovers(&self) -> impl Iterator<Item = NodeId> {
        self.asked.iter().filter(|asked| asked.request.kind == LeaderRequestKind::HandOver).map(|asked| asked.request.id)
    }
}

impl Metadata {
    /// PROPOSE came by `conn`.
    pub fn receive_propose(&mut self, conn: ConnId, from: NodeId, entry: Entry<Change>, view: &View, out: &mut Effects) {
        if !self.raft.leader_ready(self.state.last_applied()) {
            // Before its own NOOP is applied, or when it does not lead at all, a node's state may be older than the proposer's membership.
            return out.io.outbox.push(conn, Frame::Reject { reason: RejectReason::NotLeader, entry });
        }
        if self.state.member(&from).is_none() {
            self.tell_stranger(conn, &from, out);
            return out.io.outbox.push(conn, Frame::Reject { reason: RejectReason::Rejected(Some(Reason::ProposerNotMember)), entry });
        }
        if entry.origin.is_none_or(|origin| origin.id.proposer != from || !self.is_plausible(&origin.id)) {
            return out.io.outbox.push(conn, Frame::Reject { reason: RejectReason::Rejected(None), entry });
        }
        self.take_proposal(entry, Some(conn), view, out);
    }

    /// Whether a member's incarnation can have come so far since it last proposed anything.
    fn is_plausible(&self, id: &ProposalId) -> bool {
        let newest = self.state.newest_proposal(&id.proposer).map_or(0, |(incarnation, _)| incarnation);
        id.incarnation <= newest.saturating_add(INCARNATION_LEAD)
    }

    /// WISH came by `conn`.
    pub fn receive_wish(&mut self, conn: ConnId, from: NodeId, request: LeaderRequest, view: &View, out: &mut Effects) {
        if !self.raft.leader_ready(self.state.last_applied()) {
            return self.refuse_wish(request, Some(conn), RejectReason::NotLeader, out);
        }
        if self.state.member(&from).is_none() {
            self.tell_stranger(conn, &from, out);
            return self.refuse_wish(request, Some(conn), RejectReason::Rejected(Some(Reason::ProposerNotMember)), out);
        }
        self.take_request(request, Some(conn), view, out);
    }

    /// Appends a proposal of ours or another's, if it would be applied as things are \[N17 retried-proposal\] and the gate is open.
    pub fn try_append(&mut self, entry: &Entry<Change>, view: &View, out: &Effects) -> Result<Taken, RejectReason> {
        let Body::App(change) = &entry.body else { return Err(RejectReason::Rejected(None)) };
        if !self.raft.leader_ready(self.state.last_applied()) {
            return Err(RejectReason::NotLeader);
        }
        match entry.origin.map_or(Seen::New, |origin| self.state.outcome(&origin.id)) {
            Seen::New => {}
            // Its proposer hears of it by applying it.
            Seen::Done(_) => return Ok(Taken::Appended),
            Seen::Old => return Err(RejectReason::Rejected(Some(Reason::OldProposal))),
            Seen::NotMember => return Err(RejectReason::Rejected(Some(Reason::ProposerNotMember))),
        }
        if self.tail().holds(entry) {
            return Ok(Taken::Appended);
        }
        match self.state.would(change) {
            Outcome::Applied => {}
            Outcome::Stale => return Err(RejectReason::Conflict),
            Outcome::Rejected(reason) => return Err(RejectReason::Rejected(Some(reason))),
        }
        if change.address().is_some_and(|(_, address)| !address.leaves_room()) {
            return Err(RejectReason::Rejected(Some(Reason::BadAddress)));
        }
        if change.deposes().is_some_and(|node| self.must_wait(&node, view)) {
            return Ok(Taken::Waits);
        }
        if !self.all_speak(change.since(), out) {
            return Err(RejectReason::Rejected(None));
        }
        if !self.raft.tail_has_room() {
            return Err(RejectReason::Busy);
        }
        self.raft.append(entry.origin, change.clone()).map(|_| Taken::Appended).map_err(|_| RejectReason::NotLeader)
    }

    /// Whether every member speaks this version of the protocol: by its address, those included whose joining, or return to an older
    /// binary, is on its way, and by its greeting, which tells of such a return before the log does \[N26 mixed-versions\].
    fn all_speak(&self, version: u32, out: &Effects) -> bool {
        let tail = self.tail().addresses().map(|(_, address)| address);
        let mut addresses = self.state.members().map(|member| &member.address).chain(tail);
        let sessions = &out.io.sessions;
        let mut greetings = sessions.iter().filter_map(|(conn, _)| sessions.bus(conn)?.peer.as_ref());
        version <= OLDEST_VERSION
            || addresses.all(|address| address.protocol_version() >= version)
                && greetings.all(|peer| peer.version >= version || !self.is_known(&peer.id))
    }

    /// Puts a request on the desk; it is looked at at once, and again whenever something was applied, until it is granted or too old.
    pub fn take_request(&mut self, request: LeaderRequest, from: Option<ConnId>, view: &View, out: &mut Effects) {
        if !self.raft.is_leader() || self.leading.asked.len() >= MAX_ASKED {
            let reason = if self.raft.is_leader() { RejectReason::Busy } else { RejectReason::NotLeader };
            return self.refuse_wish(request, from, reason, out);
        }
        self.leading.asked.retain(|asked| (asked.request, asked.from) != (request, from));
        self.leading.asked.push(Asked { request, from, since: view.now.mono, question: None });
        self.review_requests(view, out);
    }

    fn refuse_wish(&mut self, request: LeaderRequest, from: Option<ConnId>, reason: RejectReason, out: &mut Effects) {
        match from {
            Some(conn) => out.io.outbox.push(conn, Frame::LeaderRequestRefused { reason, request }),
            None => self.request_refused(request, reason, out),
        }
    }

    /// Takes each request on the desk one step further. Whoever asked sees the end of it in its own applied state.
    pub fn review_requests(&mut self, view: &View, out: &mut Effects) {
        if self.leading.asked.is_empty() {
            return;
        }
        let asked = std::mem::take(&mut self.leading.asked);
        if !self.raft.is_leader() {
            return;
        }
        let (now, patience) = (view.now.mono, 3 * view.config.cluster_node_timeout);
        for mut asked in asked.into_iter().filter(|asked| now.saturating_sub(asked.since) <= patience) {
            match self.grant(asked.request, &mut asked.question, view, out) {
                Granted::Yes => {}
                Granted::Later => self.leading.asked.push(asked),
                Granted::Never(reason) => self.refuse_wish(asked.request, asked.from, RejectReason::Rejected(reason), out),
            }
        }
    }

    fn grant(&mut self, request: LeaderRequest, question: &mut Option<Question>, view: &View, out: &mut Effects) -> Granted {
        if !self.raft.leader_ready(self.state.last_applied()) {
            return Granted::Later;
        }
        let id = request.id;
        // A ready leader knows every life of a member that anybody has applied: this one is over [N37 join-nonce].
        if self.state.member(&id).is_some() && !request.is_about_a_member(&self.state) {
            return if request.kind == LeaderRequestKind::AddVoter { Granted::Never(Some(Reason::UnknownNode)) } else { Granted::Yes };
        }
        match request.kind {
            LeaderRequestKind::AddVoter if self.state.member(&id).is_none() => Granted::Never(Some(Reason::UnknownNode)),
            // A voter must be a member: what becomes of it is known when that is applied.
            LeaderRequestKind::AddVoter if self.is_leaving(&id) => Granted::Later,
            // Nor does it vote before it answers: a silent voter more may be one too many.
            LeaderRequestKind::AddVoter if !self.raft.is_voter(&id) && !self.raft.is_ready(&id, view.now.mono) => Granted::Later,
            LeaderRequestKind::AddVoter => self.grant_voting(Body::AddVoter { ids: vec![id] }, view),
            LeaderRequestKind::DelVoter if self.raft.voters().len() > 1 && !self.can_spare(&id, view) => self.find_successors(view),
            LeaderRequestKind::DelVoter => self.demote(id, view),
            LeaderRequestKind::Forget if self.may_be_missed(id, question, view) => Granted::Later,
            LeaderRequestKind::Forget => self.grant_forget(request, view),
            LeaderRequestKind::HandOver => self.grant_handover(request, view, out),
        }
    }

    fn grant_voting(&mut self, body: Body<Change>, view: &View) -> Granted {
        match self.raft.change_voters(body, view.now.mono) {
            Ok(_) | Err(VotingRefused::AlreadyVoter | VotingRefused::NotVoter) => Granted::Yes,
            // Not the leader: it is handing over, and whoever asked asks the next one.
            Err(VotingRefused::NotReady | VotingRefused::InFlight | VotingRefused::NotLeader) => Granted::Later,
            Err(VotingRefused::LastVoter) => Granted::Never(Some(Reason::LastVoter)),
            Err(_) => Granted::Never(None),
        }
    }

    /// DEL_VOTER by hand; a leader hands over first and leaves the rest to the next one.
    fn demote(&mut self, id: NodeId, view: &View) -> Granted {
        if id == self.me && self.raft.is_voter(&id) && self.raft.voters().len() > 1 {
            self.hand_over(None, view);
            return Granted::Later;
        }
        self.grant_voting(Body::DelVoter { id, by_hand: true }, view)
    }

    /// A voter that cannot be spared is to leave: another takes its place first [N14 replaced-voter], or two in one entry where one alone
    /// voted [N15 one-to-three].
    fn find_successors(&mut self, view: &View) -> Granted {
        let wanted = if self.raft.voters().len() == 1 && view.config.cluster_raft_voters >= 3 { 2 } else { 1 };
        let ids = self.raft.successors(&self.prospects(), wanted, view.now.mono);
        if ids.is_empty() {
            return Granted::Later;
        }
        match self.grant_voting(Body::AddVoter { ids }, view) {
            Granted::Yes => Granted::Later,
            other => other,
        }
    }

    fn can_spare(&self, id: &NodeId, view: &View) -> bool {
        self.raft.can_spare(id, view.now.mono)
    }

    /// The members as the plan of voters needs to know them.
    fn prospects(&self) -> Vec<Prospect<'_>> {
        let leavers = self.tail().leavers();
        let eligible = |id: &NodeId| !self.state.demoted().contains(id) && !leavers.contains(id);
        let members = self.state.members();
        members
            .map(|Member { id, address, failed, .. }| Prospect {
                id: *id,
                zone: address.availability_zone(),
                failed: *failed,
                eligible: eligible(id),
            })
            .collect()
    }

    /// A voter is demoted first; the demotion must be applied before the forgetting is appended.
    fn grant_forget(&mut self, request: LeaderRequest, view: &View) -> Granted {
        let id = request.id;
        let Some(epoch) = self.state.epoch_of(&id) else { return Granted::Yes };
        let change = NodeForget { id, epoch }.into();
        if self.raft.is_voter(&id) {
            return match request.refused_by(&self.state) {
                Some(reason) => Granted::Never(Some(reason)),
                None if !self.can_spare(&id, view) => self.find_successors(view),
                None => match self.demote(id, view) {
                    Granted::Yes => Granted::Later,
                    other => other,
                },
            };
        }
        if self.is_leaving(&id) {
            return Granted::Later;
        }
        match self.state.would(&change) {
            // It is granted when it has been applied: what stands before it in the log may make it stale. Not appended: handing over.
            Outcome::Applied => {
                let _ = self.raft.append(None, change);
                Granted::Later
            }
            // The demotion is not applied yet.
            Outcome::Stale => Granted::Later,
            Outcome::Rejected(_) if self.state.voters().contains(&id) => Granted::Later,
            Outcome::Rejected(reason) => Granted::Never(Some(reason)),
        }
    }

    /// Whether this member is about to be forgotten.
    fn is_leaving(&self, member: &NodeId) -> bool {
        self.tail().leavers().contains(member)
    }

    /// Cron of a leader, and whenever somebody has been silent for too long: flags what fell silent and what answers again, and tends the
    /// voting set.
    pub fn tend_members(&mut self, view: &View, out: &mut Effects) {
        if self.raft.leader_ready(self.state.last_applied()) {
            self.flag_failures(view, out);
            self.tend_voters(view);
        }
    }

    /// The timer is set for who will be the next to have been silent for too long.
    fn flag_failures(&mut self, view: &View, out: &mut Effects) {
        for change in self.failure_changes(view) {
            self.append_gated(change, view, out);
        }
        let living = self.state.members().filter(|member| !member.failed);
        let next = living.filter_map(|member| self.raft.fails_at(&member.id)).filter(|at| *at > view.now.mono).min();
        next.into_iter().for_each(|at| out.timers.set(Timer::Failure, at));
    }

    /// NODE_FAIL for who is silent for too long, NODE_RECOVER once a round is acknowledged again.
    fn failure_changes(&self, view: &View) -> Vec<Change> {
        let fails = |id: &NodeId| self.raft.fails_at(id).is_some_and(|at| at <= view.now.mono);
        self.state
            .members()
            .filter_map(|member| match member.failed {
                false if fails(&member.id) => Some(NodeFail { id: member.id }.into()),
                true if self.answers_again(&member.id, view) => Some(NodeRecover { id: member.id }.into()),
                _ => None,
            })
            .collect()
    }

    /// Whether a member that is flagged as failed lives. Of a new leader's followers nothing is known before their first answer: neither
    /// that they are dead nor that they live.
    pub fn answers_again(&self, id: &NodeId, view: &View) -> bool {
        let (now, patience) = (view.now.mono, view.config.cluster_node_timeout / 2);
        let answers = || self.raft.progress(id).is_some_and(|progress| progress.answers(now, patience));
        *id == self.me || !self.raft.is_dead(id) && answers()
    }

    /// The next step of the plan, which hands over where it is the leader that should vote no more.
    fn tend_voters(&mut self, view: &View) {
        let now = view.now.mono;
        match self.raft.plan_voters(&self.prospects(), !self.leading.asked.is_empty(), now) {
            None => {}
            Some(Body::DelVoter { id, .. }) if id == self.me => drop(self.raft.transfer_to(None, now)),
            Some(body) => {
                let mut text = String::new();
                format_body(&body, &mut text);
                match self.raft.change_voters(body, now) {
                    Ok(_) => log::info!("Changing who votes: {text}"),
                    Err(refused) => log::debug!("Voters stay as they are, no {text}: {refused}"),
                }
            }
        }
    }
}

/// What became of a proposal that is not refused.
pub(in crate::node) enum Taken {
    /// It is in the log, or was applied before.
    Appended,
    /// It has to wait for the gate.
    Waits,
}

/// What became of a request at one look.
pub(in crate::node) enum Granted {
    /// Nothing is left to be done for it.
    Yes,
    /// Look again when something was applied.
    Later,
    /// It cannot be.
    Never(Option<Reason>),
}

#[cfg(test)]
mod tests;
