//! Handing the leadership over (dissertation §3.10), with an end \[N18\].
//!
//! Owns: the transfer under way, TIMEOUT_NOW. Must not: decide when to hand over (the node does). Contract: docs/protocol.md, "Leader
//! transfer".

use super::entry::Payload;
use super::message::{Message, Needs, Outgoing, Route};
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
    /// Hands the leadership to `target`, or to the voter that is closest to the log's end and answers. False if this is no leader, or there
    /// is nobody to take it. It is called off after E: see [`Raft::transferring`].
    pub fn transfer_to(&mut self, target: Option<NodeId>, now: Millis) -> bool {
        let timeout = self.settings.election_timeout;
        let fit = |leader: &Leader, id: &NodeId| {
            leader
                .progress
                .get(id)
                .filter(|progress| progress.linked && progress.answers(now, timeout))
                .map(|progress| progress.match_index())
        };
        let Role::Leader(leader) = &self.role else { return false };
        let candidates = self.voters().iter().filter(|id| target.is_none_or(|target| target == **id));
        let best = candidates.filter_map(|id| Some((fit(leader, id)?, *id))).max_by_key(|&(index, _)| index);
        let Some((_, target)) = best else { return false };
        let Role::Leader(leader) = &mut self.role else { return false };
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
    /// Calls the transfer off once its time is over.
    pub(super) fn end_transfer(&mut self, now: Millis) {
        self.transfer = self.transfer.take().filter(|transfer| now < transfer.until);
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
