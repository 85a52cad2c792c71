//! Handing the leadership over (dissertation §3.10), with an end \[N18 endless-transfer\].
//!
//! Owns: the transfer under way, TIMEOUT_NOW. Must not: decide when to hand over (the node does). Contract: docs/protocol.md, "Leader
//! transfer".

use super::entry::Payload;
use super::message::{Message, Needs, Outgoing, Route};
use super::rates::Rate;
use super::role::Leader;
use super::{Raft, Role};
use crate::types::{LogIndex, Millis, NodeId, Term};

/// A transfer under way: no new proposals until it has ended.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Transfer {
    pub(super) target: NodeId,
    /// Then it is called off.
    pub(super) until: Millis,
    /// TIMEOUT_NOW has gone out.
    sent: bool,
}

impl<P: Payload> Raft<P> {
    /// Hands the leadership to `target`, or to the voter that is closest to the log's end, of those that answer; of several to the one that
    /// answered last; not to one whose clock stands alone. False if this is no leader, there is nobody to take it, or it is being handed
    /// over already: a second request must not prolong the first. It is called off after E, or when the link to the target is lost: see
    /// [`Raft::transferring`].
    pub fn transfer_to(&mut self, target: Option<NodeId>, now: Millis) -> bool {
        let timeout = self.settings.election_timeout;
        let Role::Leader(leader) = &self.role else { return false };
        let fit = |id: &NodeId| {
            if leader.rates.of(id).0 == Rate::Alone {
                return None;
            }
            let progress = leader.progress.get(id).filter(|progress| progress.linked && progress.answers(now, timeout))?;
            Some((progress.match_index(), progress.last_ack_sent_at(), *id))
        };
        let candidates = self.voters().iter().filter(|id| target.is_none_or(|target| target == **id));
        let Some((_, _, target)) = candidates.filter_map(fit).max() else { return false };
        let Role::Leader(leader) = &mut self.role else { return false };
        if leader.transfer.is_some() {
            return false;
        }
        leader.transfer = Some(Transfer { target, until: now + timeout, sent: false });
        true
    }

    /// To whom the leadership is being handed over.
    pub fn transferring(&self) -> Option<NodeId> {
        self.role.leader()?.transfer.as_ref().map(|transfer| transfer.target)
    }

    /// TIMEOUT_NOW is obeyed only from the leader and in the term that one follows.
    pub(super) fn on_timeout_now(&mut self, from: NodeId, term: Term, now: Millis) {
        if term == self.hard.term && self.election.leader == Some(from) && matches!(self.role, Role::Follower) && self.may_campaign() {
            self.campaign(true, now);
        }
    }
}

impl Leader {
    /// Calls the transfer off once its time is over, or its target cannot be heard of any more.
    pub(super) fn end_transfer(&mut self, now: Millis) {
        let linked = |id: &NodeId| self.progress.get(id).is_some_and(|progress| progress.linked);
        self.transfer = self.transfer.take().filter(|transfer| now < transfer.until && linked(&transfer.target));
    }

    /// TIMEOUT_NOW, once, when the target has the whole log.
    pub(super) fn timeout_now<P>(&mut self, term: Term, last_index: LogIndex) -> Option<Outgoing<P>> {
        let transfer = self.transfer.as_mut().filter(|transfer| !transfer.sent)?;
        let progress = self.progress.get(&transfer.target)?;
        if !progress.linked || progress.match_index() < last_index {
            return None;
        }
        transfer.sent = true;
        let needs = Needs { term, ..Needs::default() };
        Some(Outgoing { route: Route::Request(transfer.target), needs, message: Message::TimeoutNow { term } })
    }
}
