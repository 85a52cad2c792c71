//! Our own changes on their way through Raft, until they are applied, refused or too old.
//!
//! Owns: ids, what is pending, when it is sent again. Must not: decide whether a change is good (the leader's [`crate::node::metadata::leader`] and apply do).
//! Contract: docs/protocol.md, "At most once" and "Proposals".

use crate::cluster::{Change, MAX_OUTCOMES, Outcome, Reason, Wish, WishKind};
use crate::commands::{ChangeOutcome, WaitOutcome};
use crate::node::Node;
use crate::raft::{Body, Entry, Origin, ProposalId};
use crate::store::Disk;
use crate::types::numbers::PROPOSAL_INCARNATION;
use crate::types::{ConnId, LogIndex, Millis, NodeId, Term};
use crate::wire::bus::{Frame, RejectReason};
use std::collections::BTreeMap;

/// How far an own change may be ahead of the oldest one outstanding; more are refused. Below what the at-most-once table keeps for a
/// proposer, with room for second tries, or the oldest would count as too old.
const MAX_AHEAD: u64 = MAX_OUTCOMES as u64 - 100;
/// Own wishes at one time; more are refused.
const MAX_WISHES: usize = 1000;
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
    /// A leader to whom it was sent never answered: it may have appended it, whatever a later one says [N17].
    doubtful: bool,
    /// The leader found it stale against a later state than ours: wait until we have applied more than this.
    after: Option<LogIndex>,
}

struct PendingWish {
    wish: Wish,
    part: Option<Part>,
    since: Millis,
    sent: Option<Sent>,
}

impl PendingWish {
    /// Whether this node is to give its slots up.
    fn hands_over(&self, node: &NodeId) -> bool {
        self.wish.kind == WishKind::HandOver && self.wish.id == *node
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
    wishes: Vec<PendingWish>,
}

impl Proposals {
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.wishes.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.pending.len() + self.wishes.len()
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
        self.wishes.iter().any(|pending| pending.hands_over(node))
    }

    /// Nobody is to take over from this node by its own wish: it will be wished anew.
    pub fn take_handover_back(&mut self, node: &NodeId) {
        self.wishes.retain(|pending| !pending.hands_over(node));
    }

    /// Whether a slot change that nobody waits for (a claim) is on its way.
    pub fn claims(&self) -> bool {
        let claims = |change: &Change| change.facts().rehomes.is_some_and(|rehomes| rehomes.source.is_none());
        self.pending.values().any(|pending| pending.part.is_none() && claims(&pending.change))
    }
}

impl<D: Disk> Node<D> {
    /// Proposes a change; its outcome reaches `part`, if there is one.
    pub(in crate::node) fn propose(&mut self, change: impl Into<Change>, part: Option<Part>) {
        if self.metadata.proposals.ahead() >= MAX_AHEAD {
            return self.decide(part, ChangeOutcome::Refused("ERR Too many changes of the cluster are pending".to_owned()));
        }
        self.metadata.proposals.last += 1;
        let n = self.metadata.proposals.last;
        let (since, seen) = (self.now.mono, self.metadata.state.last_applied());
        let pending = Pending { change: change.into(), part, since, attempts: 0, seen, sent: None, doubtful: false, after: None };
        self.metadata.proposals.pending.insert(n, pending);
        self.send_proposal(n);
    }

    /// Asks the leader for a change of a member, as it is known here, that it makes itself.
    pub(in crate::node) fn wish(&mut self, kind: WishKind, id: NodeId, part: Option<Part>) {
        let wish = Wish::new(kind, id, &self.metadata.state);
        if wish.is_granted(&self.metadata.state) {
            return self.decide(part, ChangeOutcome::Applied);
        }
        if let Some(reason) = wish.refused_by(&self.metadata.state) {
            return self.decide(part, ChangeOutcome::Rejected(reason));
        }
        if part.is_none() && self.metadata.proposals.wishes.iter().any(|pending| pending.wish == wish) {
            return;
        }
        if self.metadata.proposals.wishes.len() >= MAX_WISHES {
            return self.decide(part, ChangeOutcome::Refused("ERR Too many changes of the cluster are pending".to_owned()));
        }
        self.metadata.proposals.wishes.push(PendingWish { wish, part, since: self.now.mono, sent: None });
        self.send_wish(self.metadata.proposals.wishes.len() - 1);
    }

    /// The incarnation in which this node proposes: its own, unless that is in vain.
    pub(in crate::node) fn proposal_incarnation(&self) -> u64 {
        self.metadata.proposals.raised.unwrap_or(self.metadata.incarnation)
    }

    pub(in crate::node) fn proposal_id(&self, n: u64) -> ProposalId {
        ProposalId { proposer: self.me, incarnation: self.proposal_incarnation(), n }
    }

    /// Something may have been applied as a proposal of this node that it never made: somebody lies, or its nodes.conf is an old one. What it proposes would
    /// count as old from there on, so it goes on above that. Its number of loads, which no other process of it has, keeps the ids of its processes apart \[N62\].
    pub(in crate::node) fn review_incarnation(&mut self) {
        let Some((incarnation, next)) = self.metadata.state.newest_proposal(&self.me) else { return };
        if (incarnation, next) <= (self.proposal_incarnation(), self.metadata.proposals.last + 1) {
            return;
        }
        let Some(raised) = PROPOSAL_INCARNATION.take(incarnation + 1) else { return };
        log::warn!("Changes were proposed in the name of this node, which it never made: its own are of incarnation {raised} from now on");
        self.metadata.proposals.raised = Some(raised);
        self.metadata.proposals.last = self.metadata.proposals.last.max(self.metadata.incarnation.min(MAX_LOADS) << 32);
        self.drop_pending();
    }

    /// The place where a proposal would go now.
    fn proposal_target(&self) -> Option<Target> {
        let term = self.metadata.raft.term();
        if self.metadata.raft.is_leader() {
            return self.metadata.raft.leader_ready(self.metadata.state.last_applied()).then_some(Target::OwnLog(term));
        }
        self.metadata.links.up(&self.metadata.raft.leader()?).map(|conn| Target::Leader(term, conn))
    }

    fn send_proposal(&mut self, n: u64) {
        let Some(target) = self.proposal_target() else {
            self.todo.connect = true;
            return;
        };
        let Some((&lowest, _)) = self.metadata.proposals.pending.first_key_value() else { return };
        let id = self.proposal_id(n);
        let Some(pending) = self.metadata.proposals.pending.get_mut(&n) else { return };
        let waits = pending.after.is_some_and(|index| self.metadata.state.last_applied() <= index);
        if waits || pending.sent.is_some_and(|sent| sent.target == target) {
            return;
        }
        pending.doubtful |= pending.sent.is_some();
        pending.sent = Some(Sent { target, applied: self.metadata.state.last_applied() });
        pending.after = None;
        let entry = Entry { term: 0, origin: Some(Origin { id, lowest }), body: Body::App(pending.change.clone()) };
        match target {
            Target::OwnLog(_) => self.take_proposal(entry, None),
            Target::Leader(_, conn) => self.io.outbox.push(conn, Frame::Propose(entry)),
        }
    }

    fn send_wish(&mut self, at: usize) {
        let Some(target) = self.proposal_target() else {
            self.todo.connect = true;
            return;
        };
        let Some(pending) = self.metadata.proposals.wishes.get_mut(at) else { return };
        if pending.sent.is_some_and(|sent| sent.target == target) {
            return;
        }
        pending.sent = Some(Sent { target, applied: self.metadata.state.last_applied() });
        let wish = pending.wish;
        match target {
            Target::OwnLog(_) => self.take_wish(wish, None),
            Target::Leader(_, conn) => self.io.outbox.push(conn, Frame::Wish(wish)),
        }
    }

    /// Step 8 of before-sleep: what an event flagged goes out again, to where it has not been.
    pub(in crate::node) fn retry_proposals(&mut self) {
        if !std::mem::take(&mut self.todo.proposals) {
            return;
        }
        for n in self.metadata.proposals.pending.keys().copied().collect::<Vec<_>>() {
            self.send_proposal(n);
        }
        for at in 0..self.metadata.proposals.wishes.len() {
            self.send_wish(at);
        }
    }

    /// REJECT came from the leader.
    pub(in crate::node) fn receive_reject(&mut self, reason: RejectReason, entry: &Entry<Change>) {
        if let Some(Origin { id, .. }) = entry.origin.filter(|origin| self.is_own(&origin.id)) {
            self.proposal_rejected(id.n, reason);
        }
    }

    /// WISH_REFUSED: another leader is asked, or this one again once it is ready; anything else is final.
    pub(in crate::node) fn wish_refused(&mut self, wish: Wish, reason: RejectReason) {
        if matches!(reason, RejectReason::Rejected(_)) {
            return self.finish_wishes(|pending| pending.wish == wish, rejected(reason));
        }
        let applied = self.metadata.state.last_applied();
        for pending in self.metadata.proposals.wishes.iter_mut().filter(|pending| pending.wish == wish) {
            self.todo.proposals |= pending.sent.take().is_some_and(|sent| sent.applied < applied);
        }
    }

    pub(in crate::node) fn proposal_rejected(&mut self, n: u64, reason: RejectReason) {
        let applied = self.metadata.state.last_applied();
        let Some(pending) = self.metadata.proposals.pending.get_mut(&n) else { return };
        // Who is not the leader, or not ready, says nothing about the change: it may be in the log.
        pending.attempts += u32::from(reason == RejectReason::Conflict);
        if matches!(reason, RejectReason::Rejected(_)) || pending.attempts > MAX_ATTEMPTS {
            return self.give_up(n, rejected(reason));
        }
        // The id stays: this leader refused it, an earlier one may have appended it [N17].
        let sent = pending.sent.take();
        // What made it stale, or the leader ready for it, may have been applied here before the answer came.
        pending.after = Some(match reason {
            RejectReason::Conflict => pending.seen,
            _ => sent.map_or(applied, |sent| sent.applied),
        });
        self.todo.consequences = true;
    }

    /// A change that no leader takes any more. It may be applied all the same if an earlier leader never answered: then that is the answer.
    fn give_up(&mut self, n: u64, why: ChangeOutcome) {
        if let Some(pending) = self.metadata.proposals.pending.remove(&n) {
            self.decide(pending.part, if pending.doubtful { ChangeOutcome::Timeout } else { why });
        }
    }

    /// An entry of ours was applied.
    pub(in crate::node) fn proposal_applied(&mut self, n: u64, outcome: Outcome) {
        let Some(mut pending) = self.metadata.proposals.pending.remove(&n) else { return };
        pending.attempts += 1;
        if outcome != Outcome::Stale || pending.attempts > MAX_ATTEMPTS {
            return self.decide(pending.part, settled(outcome));
        }
        match self.metadata.state.renewed(&pending.change) {
            Ok(change) => {
                self.metadata.proposals.last += 1;
                let n = self.metadata.proposals.last;
                let seen = self.metadata.state.last_applied();
                self.metadata.proposals.pending.insert(n, Pending { change, seen, sent: None, doubtful: false, after: None, ..pending });
                self.todo.proposals = true;
            }
            // Why it cannot be done any more says more than that it came too late.
            Err(obstacle) => self.decide(pending.part, ChangeOutcome::Refused(obstacle.to_string())),
        }
    }

    /// Entries were applied: what waited for that may go on.
    pub(in crate::node) fn review_proposals(&mut self) {
        let applied = self.metadata.state.last_applied();
        // A leader that was not ready for a wish may be so now.
        self.todo.proposals |= self.metadata.proposals.wishes.iter().any(|pending| pending.sent.is_none());
        let mut hopeless = Vec::new();
        for (&n, pending) in &mut self.metadata.proposals.pending {
            if pending.after.is_none_or(|index| index >= applied) {
                continue;
            }
            self.todo.proposals = true;
            match self.metadata.state.renewed(&pending.change) {
                Ok(change) => (pending.change, pending.seen) = (change, applied),
                Err(obstacle) => hopeless.push((n, obstacle)),
            }
        }
        for (n, obstacle) in hopeless {
            self.give_up(n, ChangeOutcome::Refused(obstacle.to_string()));
        }
        let granted: Vec<_> =
            self.metadata.proposals.wishes.extract_if(.., |pending| pending.wish.is_granted(&self.metadata.state)).collect();
        for pending in granted {
            self.decide(pending.part, ChangeOutcome::Applied);
        }
    }

    fn finish_wishes(&mut self, which: impl Fn(&PendingWish) -> bool, result: ChangeOutcome) {
        let ended: Vec<_> = self.metadata.proposals.wishes.extract_if(.., |pending| which(pending)).collect();
        for pending in ended {
            self.decide(pending.part, result.clone());
        }
    }

    /// Cron: what a leader has refused is asked again, for it may have become ready without anything being applied; what is too old is given
    /// up. It may still be applied, and the client is told so.
    pub(in crate::node) fn expire_proposals(&mut self) {
        for pending in self.metadata.proposals.pending.values_mut().filter(|pending| pending.after.is_some()) {
            pending.after = None;
            self.todo.proposals = true;
        }
        self.todo.proposals |= self.metadata.proposals.wishes.iter().any(|pending| pending.sent.is_none());
        let Some(limit) = self.now.mono.checked_sub(3 * self.config.cluster_node_timeout) else { return };
        let old: Vec<_> = self.metadata.proposals.pending.iter().filter(|(_, pending)| pending.since < limit).map(|(n, _)| *n).collect();
        for n in old {
            if let Some(pending) = self.metadata.proposals.pending.remove(&n) {
                self.decide(pending.part, ChangeOutcome::Timeout);
            }
        }
        // Another client's equal wish is younger, and has its own time.
        self.finish_wishes(|pending| pending.since < limit, ChangeOutcome::Timeout);
    }

    /// The cluster that they were meant for is not ours any more; it may apply them all the same, and we shall not hear of it.
    pub(in crate::node) fn drop_proposals(&mut self) {
        self.drop_pending();
        self.finish_wishes(|_| true, ChangeOutcome::Timeout);
        self.metadata.proposals.raised = None;
    }

    fn drop_pending(&mut self) {
        for (_, pending) in std::mem::take(&mut self.metadata.proposals.pending) {
            self.decide(pending.part, ChangeOutcome::Timeout);
        }
    }

    fn decide(&mut self, part: Option<Part>, result: ChangeOutcome) {
        if let Some(part) = part {
            return self.clients.waiting.decide(part, result);
        }
        match WaitOutcome::from(result) {
            // This node has wished to hand over, and goes on without that.
            WaitOutcome::Failed(error) if error == Reason::NoSuccessor.message() => log::debug!("No replica can take over from this node"),
            // What is still needed is proposed again, without end while no leader is reached.
            WaitOutcome::Timeout => log::debug!("A change that this node made by itself was not decided in time"),
            WaitOutcome::Failed(error) => log::warn!("A change that this node made by itself was not applied: {error}"),
            WaitOutcome::Done | WaitOutcome::Changes(_) | WaitOutcome::Replicas(_) => {}
        }
    }
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
