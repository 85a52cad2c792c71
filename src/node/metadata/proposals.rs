//! Our own changes on their way through Raft, until they are applied, refused or too old.
//!
//! Owns: ids, what is pending, when it is sent again. Must not: decide whether a change is good (the leader's
//! [`crate::node::metadata::leader`] and apply do).
//! Contract: docs/protocol.md, "At most once" and "Proposals".

use crate::cluster::{Change, LeaderRequest, LeaderRequestKind, MAX_OUTCOMES, Outcome, Reason};
use crate::commands::{ChangeOutcome, WaitOutcome};
use crate::config::Config;
use crate::node::metadata::Metadata;
use crate::node::view::{Effects, View};
use crate::raft::{Body, Entry, Origin, ProposalId};
use crate::types::numbers::PROPOSAL_INCARNATION;
use crate::types::{ConnId, LogIndex, Millis, NodeId, Term};
use crate::wire::bus::{Frame, RejectReason};
use std::collections::BTreeMap;

/// How far an own change may be ahead of the oldest one outstanding; more are refused. Below what the at-most-once table keeps for a
/// proposer, with room for second tries, or the oldest would count as too old.
const MAX_AHEAD: u64 = MAX_OUTCOMES as u64 - 100;
/// Own requests at one time; more are refused.
const MAX_LEADER_REQUESTS: usize = 1000;
/// How often a change that came too late is tried again.
const MAX_ATTEMPTS: u32 = 10;
/// Loads of one nodes.conf, as far as they count for the numbers of proposals.
const MAX_LOADS: u64 = (1 << 29) - 1;

/// Which part of which client's request a change is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::node) struct Part {
    pub client: ConnId,
    pub number: usize,
}

/// Where a proposal went; sent again only when this would be another place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Target {
    /// Our own log, as leader of this term.
    OwnLog(Term),
    /// The leader of this term, by this link.
    Leader(Term, ConnId),
}

/// A proposal that was handed in and not answered yet.
#[derive(Clone, Copy)]
struct Sent {
    target: Target,
    /// What we had applied then. More since: who was not ready to take it may be so by now.
    applied: LogIndex,
}

struct Pending {
    change: Change,
    part: Option<Part>,
    /// Mono ms.
    since: Millis,
    attempts: u32,
    /// What had been applied when `change` was made, or made anew.
    seen: LogIndex,
    sent: Option<Sent>,
    /// A leader to whom it was sent never answered: it may have appended it, whatever a later one says [N17 retried-proposal].
    doubtful: bool,
    /// The leader found it stale against a later state than ours: wait until we have applied more than this.
    after: Option<LogIndex>,
}

struct PendingRequest {
    request: LeaderRequest,
    part: Option<Part>,
    since: Millis,
    sent: Option<Sent>,
}

impl PendingRequest {
    /// Whether this node is to give its slots up.
    fn hands_over(&self, node: &NodeId) -> bool {
        self.request.kind == LeaderRequestKind::HandOver && self.request.id == *node
    }
}

/// Everything of ours that is not decided yet.
#[derive(Default)]
pub(in crate::node) struct Proposals {
    /// The last `n` given out.
    last: u64,
    /// The incarnation in which this node proposes, where others have spoken in its name in one above its own.
    raised: Option<u64>,
    pending: BTreeMap<u64, Pending>,
    requests: Vec<PendingRequest>,
}

impl Proposals {
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.requests.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.pending.len() + self.requests.len()
    }

    /// How far the newest is ahead of the oldest.
    fn ahead(&self) -> u64 {
        self.pending.first_key_value().map_or(0, |(lowest, _)| self.last - lowest)
    }

    /// The numbers of what is pending.
    pub fn numbers(&self) -> Vec<u64> {
        self.pending.keys().copied().collect()
    }

    /// Whether a NODE_JOIN of this node is on its way.
    pub fn joins(&self, node: &NodeId) -> bool {
        self.pending.values().any(|pending| pending.change.adds().is_some_and(|(id, _)| id == node))
    }

    /// Whether any NODE_JOIN is on its way.
    pub fn joins_anybody(&self) -> bool {
        self.pending.values().any(|pending| pending.change.adds().is_some())
    }

    /// Whether a NODE_INFO of this node is on its way.
    pub fn informs_of(&self, node: &NodeId) -> bool {
        self.pending.values().any(|pending| pending.change.informs().is_some_and(|(id, _)| id == node))
    }

    /// Whether all slots of another node are being released.
    pub fn releases(&self, node: &NodeId) -> bool {
        let releases = |change: &Change| {
            let rehomes = change.facts().rehomes;
            rehomes.is_some_and(|rehomes| rehomes.source == Some(*node) && rehomes.target.is_none())
        };
        self.pending.values().any(|pending| pending.part.is_none() && releases(&pending.change))
    }

    /// Whether a primary still waits for a replica to take over from it.
    pub fn gives_up(&self, node: &NodeId) -> bool {
        self.requests.iter().any(|pending| pending.hands_over(node))
    }

    /// Nobody is to take over from this node by its own request: it will be asked anew.
    pub fn take_handover_back(&mut self, node: &NodeId) {
        self.requests.retain(|pending| !pending.hands_over(node));
    }

    /// Whether a slot change that nobody waits for (a claim) is on its way.
    pub fn claims(&self) -> bool {
        let claims = |change: &Change| change.facts().rehomes.is_some_and(|rehomes| rehomes.source.is_none());
        self.pending.values().any(|pending| pending.part.is_none() && claims(&pending.change))
    }
}

impl Metadata {
    /// Proposes a change; its outcome reaches `part`, if there is one.
    pub fn propose(&mut self, change: impl Into<Change>, part: Option<Part>, view: &View, out: &mut Effects) {
        if self.proposals.ahead() >= MAX_AHEAD {
            return self.decide(part, ChangeOutcome::Refused("ERR Too many changes of the cluster are pending".to_owned()), out);
        }
        self.proposals.last += 1;
        let n = self.proposals.last;
        let (since, seen) = (view.now.mono, self.state.last_applied());
        let pending = Pending { change: change.into(), part, since, attempts: 0, seen, sent: None, doubtful: false, after: None };
        self.proposals.pending.insert(n, pending);
        self.send_proposal(n, view, out);
    }

    /// Asks the leader for a change of a member, as it is known here, that it makes itself.
    pub fn ask_leader(&mut self, kind: LeaderRequestKind, id: NodeId, part: Option<Part>, view: &View, out: &mut Effects) {
        let request = LeaderRequest::new(kind, id, &self.state);
        if request.is_granted(&self.state) {
            return self.decide(part, ChangeOutcome::Applied, out);
        }
        if let Some(reason) = request.refused_by(&self.state) {
            return self.decide(part, ChangeOutcome::Rejected(reason), out);
        }
        if part.is_none() && self.proposals.requests.iter().any(|pending| pending.request == request) {
            return;
        }
        if self.proposals.requests.len() >= MAX_LEADER_REQUESTS {
            return self.decide(part, ChangeOutcome::Refused("ERR Too many changes of the cluster are pending".to_owned()), out);
        }
        self.proposals.requests.push(PendingRequest { request, part, since: view.now.mono, sent: None });
        self.send_request(self.proposals.requests.len() - 1, view, out);
    }

    /// The incarnation in which this node proposes: its own, unless that is in vain.
    pub fn proposal_incarnation(&self) -> u64 {
        self.proposals.raised.unwrap_or(self.incarnation)
    }

    pub fn proposal_id(&self, n: u64) -> ProposalId {
        ProposalId { proposer: self.me, incarnation: self.proposal_incarnation(), n }
    }

    /// Something may have been applied as a proposal of this node that it never made: somebody lies, or its nodes.conf is an old one. What
    /// it proposes would count as old from there on, so it goes on above that. Its number of loads, which no other process of it has, keeps
    /// the ids of its processes apart \[N62 number-bounds\].
    pub fn review_incarnation(&mut self, out: &mut Effects) {
        let Some((incarnation, next)) = self.state.newest_proposal(&self.me) else { return };
        if (incarnation, next) <= (self.proposal_incarnation(), self.proposals.last + 1) {
            return;
        }
        let Some(raised) = PROPOSAL_INCARNATION.take(incarnation + 1) else { return };
        log::warn!("Changes were proposed in the name of this node, which it never made: its own are of incarnation {raised} from now on");
        self.proposals.raised = Some(raised);
        self.proposals.last = self.proposals.last.max(self.incarnation.min(MAX_LOADS) << 32);
        self.drop_pending(out);
    }

    /// The place where a proposal would go now.
    fn proposal_target(&self) -> Option<Target> {
        let term = self.raft.term();
        if self.raft.is_leader() {
            return self.raft.leader_ready(self.state.last_applied()).then_some(Target::OwnLog(term));
        }
        self.links.up(&self.raft.leader()?).map(|conn| Target::Leader(term, conn))
    }

    fn send_proposal(&mut self, n: u64, view: &View, out: &mut Effects) {
        let Some(target) = self.proposal_target() else {
            out.todo.connect = true;
            return;
        };
        let Some((&lowest, _)) = self.proposals.pending.first_key_value() else { return };
        let id = self.proposal_id(n);
        let Some(pending) = self.proposals.pending.get_mut(&n) else { return };
        let waits = pending.after.is_some_and(|index| self.state.last_applied() <= index);
        if waits || pending.sent.is_some_and(|sent| sent.target == target) {
            return;
        }
        pending.doubtful |= pending.sent.is_some();
        pending.sent = Some(Sent { target, applied: self.state.last_applied() });
        pending.after = None;
        let entry = Entry { term: 0, origin: Some(Origin { id, lowest }), body: Body::App(pending.change.clone()) };
        match target {
            Target::OwnLog(_) => self.take_proposal(entry, None, view, out),
            Target::Leader(_, conn) => out.io.outbox.push(conn, Frame::Propose(entry)),
        }
    }

    fn send_request(&mut self, at: usize, view: &View, out: &mut Effects) {
        let Some(target) = self.proposal_target() else {
            out.todo.connect = true;
            return;
        };
        let Some(pending) = self.proposals.requests.get_mut(at) else { return };
        if pending.sent.is_some_and(|sent| sent.target == target) {
            return;
        }
        pending.sent = Some(Sent { target, applied: self.state.last_applied() });
        let request = pending.request;
        match target {
            Target::OwnLog(_) => self.take_request(request, None, view, out),
            Target::Leader(_, conn) => out.io.outbox.push(conn, Frame::LeaderRequest(request)),
        }
    }

    /// Step 8 of before-sleep: what an event flagged goes out again, to where it has not been.
    pub fn retry_proposals(&mut self, view: &View, out: &mut Effects) {
        if !std::mem::take(&mut out.todo.proposals) {
            return;
        }
        for n in self.proposals.pending.keys().copied().collect::<Vec<_>>() {
            self.send_proposal(n, view, out);
        }
        for at in 0..self.proposals.requests.len() {
            self.send_request(at, view, out);
        }
    }

    /// REJECT came from the leader.
    pub fn receive_reject(&mut self, reason: RejectReason, entry: &Entry<Change>, out: &mut Effects) {
        if let Some(Origin { id, .. }) = entry.origin.filter(|origin| self.is_own(&origin.id)) {
            self.proposal_rejected(id.n, reason, out);
        }
    }

    /// WISH_REFUSED: another leader is asked, or this one again once it is ready; anything else is final.
    pub fn request_refused(&mut self, request: LeaderRequest, reason: RejectReason, out: &mut Effects) {
        if matches!(reason, RejectReason::Rejected(_)) {
            return self.finish_requests(|pending| pending.request == request, rejected(reason), out);
        }
        let applied = self.state.last_applied();
        for pending in self.proposals.requests.iter_mut().filter(|pending| pending.request == request) {
            out.todo.proposals |= pending.sent.take().is_some_and(|sent| sent.applied < applied);
        }
    }

    pub fn proposal_rejected(&mut self, n: u64, reason: RejectReason, out: &mut Effects) {
        let applied = self.state.last_applied();
        let Some(pending) = self.proposals.pending.get_mut(&n) else { return };
        // Who is not the leader, or not ready, says nothing about the change: it may be in the log.
        pending.attempts += u32::from(reason == RejectReason::Conflict);
        if matches!(reason, RejectReason::Rejected(_)) || pending.attempts > MAX_ATTEMPTS {
            return self.give_up(n, rejected(reason), out);
        }
        // The id stays: this leader refused it, an earlier one may have appended it [N17 retried-proposal].
        let sent = pending.sent.take();
        // What made it stale, or the leader ready for it, may have been applied here before the answer came.
        pending.after = Some(match reason {
            RejectReason::Conflict => pending.seen,
            _ => sent.map_or(applied, |sent| sent.applied),
        });
        out.todo.consequences = true;
    }

    /// A change that no leader takes any more. It may be applied all the same if an earlier leader never answered: then that is the answer.
    fn give_up(&mut self, n: u64, why: ChangeOutcome, out: &mut Effects) {
        if let Some(pending) = self.proposals.pending.remove(&n) {
            self.decide(pending.part, if pending.doubtful { ChangeOutcome::Timeout } else { why }, out);
        }
    }

    /// An entry of ours was applied. A refusal that the state does not keep is no last word on what was sent more than once: this node may
    /// be a member again when the next copy comes [N17 retried-proposal].
    pub fn proposal_applied(&mut self, n: u64, outcome: Outcome, out: &mut Effects) {
        if let Outcome::Rejected(Reason::ProposerNotMember | Reason::OldProposal) = outcome {
            return self.give_up(n, settled(outcome), out);
        }
        let Some(mut pending) = self.proposals.pending.remove(&n) else { return };
        pending.attempts += 1;
        if outcome != Outcome::Stale || pending.attempts > MAX_ATTEMPTS {
            return self.decide(pending.part, settled(outcome), out);
        }
        match self.state.renewed(&pending.change) {
            Ok(change) => {
                self.proposals.last += 1;
                let n = self.proposals.last;
                let seen = self.state.last_applied();
                self.proposals.pending.insert(n, Pending { change, seen, sent: None, doubtful: false, after: None, ..pending });
                out.todo.proposals = true;
            }
            // Why it cannot be done any more says more than that it came too late.
            Err(obstacle) => self.decide(pending.part, ChangeOutcome::Refused(obstacle.to_string()), out),
        }
    }

    /// Entries were applied: what waited for that may go on.
    pub fn review_proposals(&mut self, out: &mut Effects) {
        let applied = self.state.last_applied();
        // A leader that was not ready for a request may be so now.
        out.todo.proposals |= self.proposals.requests.iter().any(|pending| pending.sent.is_none());
        let mut hopeless = Vec::new();
        for (&n, pending) in &mut self.proposals.pending {
            if pending.after.is_none_or(|index| index >= applied) {
                continue;
            }
            out.todo.proposals = true;
            match self.state.renewed(&pending.change) {
                Ok(change) => (pending.change, pending.seen) = (change, applied),
                Err(obstacle) => hopeless.push((n, obstacle)),
            }
        }
        for (n, obstacle) in hopeless {
            self.give_up(n, ChangeOutcome::Refused(obstacle.to_string()), out);
        }
        let granted: Vec<_> = self.proposals.requests.extract_if(.., |pending| pending.request.is_granted(&self.state)).collect();
        for pending in granted {
            self.decide(pending.part, ChangeOutcome::Applied, out);
        }
    }

    fn finish_requests(&mut self, which: impl Fn(&PendingRequest) -> bool, result: ChangeOutcome, out: &mut Effects) {
        let ended: Vec<_> = self.proposals.requests.extract_if(.., |pending| which(pending)).collect();
        for pending in ended {
            self.decide(pending.part, result.clone(), out);
        }
    }

    /// Cron: what a leader has refused is asked again, for it may have become ready without anything being applied; what is too old is
    /// given up. It may still be applied, and the client is told so.
    pub fn expire_proposals(&mut self, view: &View, out: &mut Effects) {
        for pending in self.proposals.pending.values_mut().filter(|pending| pending.after.is_some()) {
            pending.after = None;
            out.todo.proposals = true;
        }
        out.todo.proposals |= self.proposals.requests.iter().any(|pending| pending.sent.is_none());
        let Some(limit) = view.now.mono.checked_sub(proposal_patience(&view.config)) else { return };
        let old: Vec<_> = self.proposals.pending.iter().filter(|(_, pending)| pending.since < limit).map(|(n, _)| *n).collect();
        for n in old {
            if let Some(pending) = self.proposals.pending.remove(&n) {
                self.decide(pending.part, ChangeOutcome::Timeout, out);
            }
        }
        // Another client's equal request is younger, and has its own time.
        self.finish_requests(|pending| pending.since < limit, ChangeOutcome::Timeout, out);
    }

    /// The cluster that they were meant for is not ours any more; it may apply them all the same, and we shall not hear of it.
    pub fn drop_proposals(&mut self, out: &mut Effects) {
        self.drop_pending(out);
        self.finish_requests(|_| true, ChangeOutcome::Timeout, out);
        self.proposals.raised = None;
    }

    fn drop_pending(&mut self, out: &mut Effects) {
        for (_, pending) in std::mem::take(&mut self.proposals.pending) {
            self.decide(pending.part, ChangeOutcome::Timeout, out);
        }
    }

    fn decide(&mut self, part: Option<Part>, result: ChangeOutcome, out: &mut Effects) {
        if let Some(part) = part {
            return out.clients.waiting.decide(part, result);
        }
        match WaitOutcome::from(result) {
            // This node has asked to hand over, and goes on without that.
            WaitOutcome::Failed(error) if error == Reason::NoSuccessor.message() => log::debug!("No replica can take over from this node"),
            // What is still needed is proposed again, without end while no leader is reached.
            WaitOutcome::Timeout => log::debug!("A change that this node made by itself was not decided in time"),
            WaitOutcome::Failed(error) => log::warn!("A change that this node made by itself was not applied: {error}"),
            WaitOutcome::Done | WaitOutcome::Changes(_) | WaitOutcome::Replicas(_) => {}
        }
    }
}

/// How long a change may take until it is given up (ms).
pub(in crate::node) fn proposal_patience(config: &Config) -> Millis {
    3 * config.cluster_node_timeout
}

/// What a client hears of an applied entry.
fn settled(outcome: Outcome) -> ChangeOutcome {
    match outcome {
        Outcome::Applied => ChangeOutcome::Applied,
        Outcome::Stale => ChangeOutcome::Stale,
        Outcome::Rejected(reason) => ChangeOutcome::Rejected(reason),
    }
}

/// What a client hears of a proposal that the leader did not take.
fn rejected(reason: RejectReason) -> ChangeOutcome {
    match reason {
        RejectReason::Rejected(Some(reason)) => ChangeOutcome::Rejected(reason),
        RejectReason::Conflict => ChangeOutcome::Stale,
        _ => ChangeOutcome::Refused("ERR The cluster's leader refused the change".to_owned()),
    }
}

#[cfg(test)]
mod tests;
