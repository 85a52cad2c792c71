//! What a leader does with other nodes' wishes, and by itself: proposals, members, failure flags, voters.
//!
//! Owns: the wishes that wait for their turn, and what becomes of a proposal. Must not: count votes or acks (raft does).
//! Contract: docs/protocol.md, "Log entries" and "Membership and voting".

use crate::cluster::change::{NodeFail, NodeForget, NodeRecover};
use crate::cluster::{Change, Member, Outcome, Reason, Seen, Wish, WishKind, format_body};
use crate::node::Node;
use crate::node::metadata::failover::Failovers;
use crate::node::metadata::gated_proposals::Gated;
use crate::node::metadata::holdings::Question;
use crate::node::timers::Timer;
use crate::raft::{Body, Entry, Payload, ProposalId, Prospect, VotingRefused};
use crate::store::Disk;
use crate::types::{ConnId, Millis, NodeId};
use crate::wire::bus::{Frame, OLDEST_VERSION, RejectReason};

/// Wishes that wait at one time; further ones are refused.
const MAX_ASKED: usize = 1024;
/// So far above the last one of the same member may a proposal's incarnation be: nobody is loaded more often in between. More would leave no room \[N62\].
const INCARNATION_LEAD: u64 = 1 << 24;

/// A wish that the leader has not yet turned into entries.
struct Asked {
    wish: Wish,
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
        self.asked.iter().filter(|asked| asked.wish.kind == WishKind::HandOver).map(|asked| asked.wish.id)
    }
}

impl<D: Disk> Node<D> {
    /// PROPOSE came by `conn`.
    pub(in crate::node) fn receive_propose(&mut self, conn: ConnId, from: NodeId, entry: Entry<Change>) {
        if !self.metadata.raft.leader_ready(self.metadata.state.last_applied()) {
            // Before its own NOOP is applied, or when it does not lead at all, a node's state may be older than the proposer's membership.
            return self.io.outbox.push(conn, Frame::Reject { reason: RejectReason::NotLeader, entry });
        }
        if self.metadata.state.member(&from).is_none() {
            self.tell_stranger(conn, &from);
            return self.io.outbox.push(conn, Frame::Reject { reason: RejectReason::Rejected(Some(Reason::ProposerNotMember)), entry });
        }
        if entry.origin.is_none_or(|origin| origin.id.proposer != from || !self.is_plausible(&origin.id)) {
            return self.io.outbox.push(conn, Frame::Reject { reason: RejectReason::Rejected(None), entry });
        }
        self.take_proposal(entry, Some(conn));
    }

    /// Whether a member's incarnation can have come so far since it last proposed anything.
    fn is_plausible(&self, id: &ProposalId) -> bool {
        let newest = self.metadata.state.newest_proposal(&id.proposer).map_or(0, |(incarnation, _)| incarnation);
        id.incarnation <= newest.saturating_add(INCARNATION_LEAD)
    }

    /// WISH came by `conn`.
    pub(in crate::node) fn receive_wish(&mut self, conn: ConnId, from: NodeId, wish: Wish) {
        if !self.metadata.raft.leader_ready(self.metadata.state.last_applied()) {
            return self.refuse_wish(wish, Some(conn), RejectReason::NotLeader);
        }
        if self.metadata.state.member(&from).is_none() {
            self.tell_stranger(conn, &from);
            return self.refuse_wish(wish, Some(conn), RejectReason::Rejected(Some(Reason::ProposerNotMember)));
        }
        self.take_wish(wish, Some(conn));
    }

    /// Appends a proposal of ours or another's, if it would be applied as things are \[N17\] and the gate is open.
    pub(in crate::node) fn try_append(&mut self, entry: &Entry<Change>) -> Result<Taken, RejectReason> {
        let Body::App(change) = &entry.body else { return Err(RejectReason::Rejected(None)) };
        if !self.metadata.raft.leader_ready(self.metadata.state.last_applied()) {
            return Err(RejectReason::NotLeader);
        }
        match entry.origin.map_or(Seen::New, |origin| self.metadata.state.outcome(&origin.id)) {
            Seen::New => {}
            // Its proposer hears of it by applying it.
            Seen::Done(_) => return Ok(Taken::Appended),
            Seen::Old => return Err(RejectReason::Rejected(Some(Reason::OldProposal))),
            Seen::NotMember => return Err(RejectReason::Rejected(Some(Reason::ProposerNotMember))),
        }
        if self.metadata.tail().holds(entry) {
            return Ok(Taken::Appended);
        }
        match self.metadata.state.would(change) {
            Outcome::Applied => {}
            Outcome::Stale => return Err(RejectReason::Conflict),
            Outcome::Rejected(reason) => return Err(RejectReason::Rejected(Some(reason))),
        }
        if change.address().is_some_and(|(_, address)| !address.leaves_room()) {
            return Err(RejectReason::Rejected(Some(Reason::BadAddress)));
        }
        if change.deposes().is_some_and(|node| self.must_wait(&node)) {
            return Ok(Taken::Waits);
        }
        if !self.all_speak(change.since()) {
            return Err(RejectReason::Rejected(None));
        }
        if !self.metadata.raft.tail_has_room() {
            return Err(RejectReason::Busy);
        }
        self.metadata.raft.append(entry.origin, change.clone()).map(|_| Taken::Appended).map_err(|_| RejectReason::NotLeader)
    }

    /// Whether every member speaks this version of the protocol: by its address, those included whose joining, or return to an older binary, is on its way,
    /// and by its greeting, which tells of such a return before the log does \[N26\].
    fn all_speak(&self, version: u32) -> bool {
        let tail = self.metadata.tail().addresses().map(|(_, address)| address);
        let mut addresses = self.metadata.state.members().map(|member| &member.address).chain(tail);
        let sessions = &self.io.sessions;
        let mut greetings = sessions.iter().filter_map(|(conn, _)| sessions.bus(conn)?.peer.as_ref());
        version <= OLDEST_VERSION
            || addresses.all(|address| address.protocol_version() >= version)
                && greetings.all(|peer| peer.version >= version || !self.is_known(&peer.id))
    }

    /// Puts a wish on the desk; it is looked at at once, and again whenever something was applied, until it is granted or too old.
    pub(in crate::node) fn take_wish(&mut self, wish: Wish, from: Option<ConnId>) {
        if !self.metadata.raft.is_leader() || self.metadata.leading.asked.len() >= MAX_ASKED {
            let reason = if self.metadata.raft.is_leader() { RejectReason::Busy } else { RejectReason::NotLeader };
            return self.refuse_wish(wish, from, reason);
        }
        self.metadata.leading.asked.retain(|asked| (asked.wish, asked.from) != (wish, from));
        self.metadata.leading.asked.push(Asked { wish, from, since: self.now.mono, question: None });
        self.review_wishes();
    }

    fn refuse_wish(&mut self, wish: Wish, from: Option<ConnId>, reason: RejectReason) {
        match from {
            Some(conn) => self.io.outbox.push(conn, Frame::WishRefused { reason, wish }),
            None => self.wish_refused(wish, reason),
        }
    }

    /// Takes each wish on the desk one step further. Whoever wished sees the end of it in its own applied state.
    pub(in crate::node) fn review_wishes(&mut self) {
        if self.metadata.leading.asked.is_empty() {
            return;
        }
        let asked = std::mem::take(&mut self.metadata.leading.asked);
        if !self.metadata.raft.is_leader() {
            return;
        }
        let (now, patience) = (self.now.mono, 3 * self.config.cluster_node_timeout);
        for mut asked in asked.into_iter().filter(|asked| now.saturating_sub(asked.since) <= patience) {
            match self.grant(asked.wish, &mut asked.question) {
                Granted::Yes => {}
                Granted::Later => self.metadata.leading.asked.push(asked),
                Granted::Never(reason) => self.refuse_wish(asked.wish, asked.from, RejectReason::Rejected(reason)),
            }
        }
    }

    fn grant(&mut self, wish: Wish, question: &mut Option<Question>) -> Granted {
        if !self.metadata.raft.leader_ready(self.metadata.state.last_applied()) {
            return Granted::Later;
        }
        let id = wish.id;
        // A ready leader knows every life of a member that anybody has applied: this one is over [N37].
        if self.metadata.state.member(&id).is_some() && !wish.is_about_a_member(&self.metadata.state) {
            return if wish.kind == WishKind::AddVoter { Granted::Never(Some(Reason::UnknownNode)) } else { Granted::Yes };
        }
        match wish.kind {
            WishKind::AddVoter if self.metadata.state.member(&id).is_none() => Granted::Never(Some(Reason::UnknownNode)),
            // A voter must be a member: what becomes of it is known when that is applied.
            WishKind::AddVoter if self.is_leaving(&id) => Granted::Later,
            // Nor does it vote before it answers: a silent voter more may be one too many.
            WishKind::AddVoter if !self.metadata.raft.is_voter(&id) && !self.metadata.raft.is_ready(&id, self.now.mono) => Granted::Later,
            WishKind::AddVoter => self.grant_voting(Body::AddVoter { ids: vec![id] }),
            WishKind::DelVoter if self.metadata.raft.voters().len() > 1 && !self.can_spare(&id) => self.find_heirs(),
            WishKind::DelVoter => self.demote(id),
            WishKind::Forget if self.may_be_missed(id, question) => Granted::Later,
            WishKind::Forget => self.grant_forget(wish),
            WishKind::HandOver => self.grant_handover(wish),
        }
    }

    fn grant_voting(&mut self, body: Body<Change>) -> Granted {
        match self.metadata.raft.change_voters(body, self.now.mono) {
            Ok(_) | Err(VotingRefused::AlreadyVoter | VotingRefused::NotVoter) => Granted::Yes,
            // Not the leader: it is handing over, and whoever wished asks the next one.
            Err(VotingRefused::NotReady | VotingRefused::InFlight | VotingRefused::NotLeader) => Granted::Later,
            Err(VotingRefused::LastVoter) => Granted::Never(Some(Reason::LastVoter)),
            Err(_) => Granted::Never(None),
        }
    }

    /// DEL_VOTER by hand; a leader hands over first and leaves the rest to the next one.
    fn demote(&mut self, id: NodeId) -> Granted {
        if id == self.me && self.metadata.raft.is_voter(&id) && self.metadata.raft.voters().len() > 1 {
            self.hand_over(None);
            return Granted::Later;
        }
        self.grant_voting(Body::DelVoter { id, by_hand: true })
    }

    /// A voter that cannot be spared is to leave: another takes its place first [N14], or two in one entry where one alone voted [N15].
    fn find_heirs(&mut self) -> Granted {
        let wanted = if self.metadata.raft.voters().len() == 1 && self.config.cluster_raft_voters >= 3 { 2 } else { 1 };
        let ids = self.metadata.raft.heirs(&self.prospects(), wanted, self.now.mono);
        if ids.is_empty() {
            return Granted::Later;
        }
        match self.grant_voting(Body::AddVoter { ids }) {
            Granted::Yes => Granted::Later,
            other => other,
        }
    }

    fn can_spare(&self, id: &NodeId) -> bool {
        self.metadata.raft.can_spare(id, self.now.mono)
    }

    /// The members as the plan of voters needs to know them.
    fn prospects(&self) -> Vec<Prospect<'_>> {
        let leavers = self.metadata.tail().leavers();
        let eligible = |id: &NodeId| !self.metadata.state.demoted().contains(id) && !leavers.contains(id);
        let members = self.metadata.state.members();
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
    fn grant_forget(&mut self, wish: Wish) -> Granted {
        let id = wish.id;
        let Some(epoch) = self.metadata.state.epoch_of(&id) else { return Granted::Yes };
        let change = NodeForget { id, epoch }.into();
        if self.metadata.raft.is_voter(&id) {
            return match wish.refused_by(&self.metadata.state) {
                Some(reason) => Granted::Never(Some(reason)),
                None if !self.can_spare(&id) => self.find_heirs(),
                None => match self.demote(id) {
                    Granted::Yes => Granted::Later,
                    other => other,
                },
            };
        }
        if self.is_leaving(&id) {
            return Granted::Later;
        }
        match self.metadata.state.would(&change) {
            // It is granted when it has been applied: what stands before it in the log may make it stale. Not appended: handing over.
            Outcome::Applied => {
                let _ = self.metadata.raft.append(None, change);
                Granted::Later
            }
            // The demotion is not applied yet.
            Outcome::Stale => Granted::Later,
            Outcome::Rejected(_) if self.metadata.state.voters().contains(&id) => Granted::Later,
            Outcome::Rejected(reason) => Granted::Never(Some(reason)),
        }
    }

    /// Whether this member is about to be forgotten.
    fn is_leaving(&self, member: &NodeId) -> bool {
        self.metadata.tail().leavers().contains(member)
    }

    /// Cron of a leader, and whenever somebody has been silent for too long: flags what fell silent and what answers again, and tends the voting set.
    pub(in crate::node) fn tend_members(&mut self) {
        if self.metadata.raft.leader_ready(self.metadata.state.last_applied()) {
            self.flag_failures();
            self.tend_voters();
        }
    }

    /// The timer is set for who will be the next to have been silent for too long.
    fn flag_failures(&mut self) {
        for change in self.failure_changes() {
            self.append_gated(change);
        }
        let living = self.metadata.state.members().filter(|member| !member.failed);
        let next = living.filter_map(|member| self.metadata.raft.fails_at(&member.id)).filter(|at| *at > self.now.mono).min();
        next.into_iter().for_each(|at| self.timers.set(Timer::Failure, at));
    }

    /// NODE_FAIL for who is silent for too long, NODE_RECOVER once a round is acknowledged again.
    fn failure_changes(&self) -> Vec<Change> {
        let fails = |id: &NodeId| self.metadata.raft.fails_at(id).is_some_and(|at| at <= self.now.mono);
        self.metadata
            .state
            .members()
            .filter_map(|member| match member.failed {
                false if fails(&member.id) => Some(NodeFail { id: member.id }.into()),
                true if self.answers_again(&member.id) => Some(NodeRecover { id: member.id }.into()),
                _ => None,
            })
            .collect()
    }

    /// Whether a member that is flagged as failed lives. Of a new leader's followers nothing is known before their first answer: neither that they are dead nor
    /// that they live.
    pub(in crate::node) fn answers_again(&self, id: &NodeId) -> bool {
        let (now, patience) = (self.now.mono, self.config.cluster_node_timeout / 2);
        let answers = || self.metadata.raft.progress(id).is_some_and(|progress| progress.answers(now, patience));
        *id == self.me || !self.metadata.raft.is_dead(id) && answers()
    }

    /// The next step of the plan, which hands over where it is the leader that should vote no more.
    fn tend_voters(&mut self) {
        let now = self.now.mono;
        match self.metadata.raft.plan_voters(&self.prospects(), !self.metadata.leading.asked.is_empty(), now) {
            None => {}
            Some(Body::DelVoter { id, .. }) if id == self.me => drop(self.metadata.raft.transfer_to(None, now)),
            Some(body) => {
                let mut text = String::new();
                format_body(&body, &mut text);
                match self.metadata.raft.change_voters(body, now) {
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

/// What became of a wish at one look.
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
