//! Who takes over from a failed primary: the leader asks the replicas how much they hold, and has the best of them promoted.
//!
//! Owns: the search for a successor. Must not: rank replicas (cluster does), find out who has failed (deaths and raft do).
//! Contract: docs/protocol.md, "Failover".

use crate::cluster::change::Failover;
use crate::cluster::{FailoverKind, LeaderRequest, Reason};
use crate::node::metadata::Metadata;
use crate::node::metadata::holdings::Question;
use crate::node::metadata::leader::Granted;
use crate::node::timers::Timer;
use crate::node::view::{Effects, View};
use crate::types::{Millis, NodeId, Term};
use std::collections::{BTreeMap, BTreeSet};

/// How long a replica that was silent already is waited for (ms), if not all have answered; then the best of those that have is taken.
const PATIENCE: Millis = 100;

/// The replicas of a primary have been asked.
#[derive(Clone, Copy)]
struct Search {
    question: Question,
    /// Mono ms.
    began: Millis,
}

/// A leader's searches.
#[derive(Default)]
pub(in crate::node) struct Failovers {
    /// Owners of slots that are flagged as failed.
    vacant: BTreeSet<NodeId>,
    /// Of our leadership.
    term: Term,
    searches: BTreeMap<NodeId, Search>,
    /// For whom nobody was found, which has been said.
    without_successor: BTreeSet<NodeId>,
}

/// Who takes over.
enum Successor {
    /// Not all have answered.
    Sought,
    /// None of them holds anything worth promoting. That may change with any answer.
    Nobody,
    Found(NodeId),
}

impl Metadata {
    /// The owners of slots, or who of them has failed, may have changed. Returns whether none of them has.
    pub fn refresh_vacancies(&mut self, view: &View, out: &mut Effects) -> bool {
        let failed = |id: &&NodeId| self.state.member(id).is_some_and(|member| member.failed);
        let vacant = self.state.slot_owners().filter(failed).copied().collect();
        if self.leading.failovers.vacant != vacant {
            self.leading.failovers.vacant = vacant;
            out.timers.at_most(Timer::Failover, view.now.mono);
        }
        self.leading.failovers.vacant.is_empty()
    }

    /// Once a turn: every failed primary's place is filled as soon as somebody is known who can.
    pub fn tend_failovers(&mut self, view: &View, out: &mut Effects) {
        out.timers.take_due(Timer::Failover, view.now.mono);
        if !self.raft.leader_ready(self.state.last_applied()) {
            return;
        }
        if self.leading.failovers.term != self.raft.term() {
            self.leading.failovers.term = self.raft.term();
            self.leading.failovers.searches.clear();
            self.leading.failovers.without_successor.clear();
        }
        let demotion: BTreeSet<NodeId> = self.leading.handovers().collect();
        let asked = !demotion.is_empty() || self.leading.asks_leavers();
        self.leading.failovers.searches.retain(|primary, _| self.leading.failovers.vacant.contains(primary) || demotion.contains(primary));
        self.leading.failovers.without_successor.retain(|primary| self.leading.failovers.vacant.contains(primary));
        if asked {
            self.review_requests(view, out);
        }
        for primary in self.leading.failovers.vacant.clone() {
            if self.is_shard_changing(&primary) {
                continue;
            }
            if self.answers_again(&primary, view) {
                // It keeps its slots, and may have a lease for them: its flag goes at once.
                self.tend_members(view, out);
                continue;
            }
            match self.seek_successor(primary, view, out) {
                Successor::Sought => {}
                Successor::Nobody => self.tell_without_successor(primary),
                Successor::Found(replica) => self.promote(replica, primary, FailoverKind::Auto, view, out),
            }
        }
    }

    /// A primary that lives asks to hand over.
    pub fn grant_handover(&mut self, request: LeaderRequest, view: &View, out: &mut Effects) -> Granted {
        if request.is_granted(&self.state) {
            return Granted::Yes;
        }
        if self.is_shard_changing(&request.id) || self.is_replica_returning(&request.id, view, out) {
            return Granted::Later;
        }
        match self.seek_successor(request.id, view, out) {
            Successor::Sought => return Granted::Later,
            Successor::Nobody => return Granted::Never(Some(Reason::NoSuccessor)),
            Successor::Found(replica) => self.promote(replica, request.id, FailoverKind::Manual, view, out),
        }
        Granted::Later
    }

    /// Whether somebody who would take over is flagged as failed and lives. The flag goes at once, and is not held against it
    /// \[N49 returning-replica\].
    fn is_replica_returning(&mut self, primary: &NodeId, view: &View, out: &mut Effects) -> bool {
        let returning = self.state.willing_replicas(primary).any(|replica| replica.failed && self.answers_again(&replica.id, view));
        if returning {
            self.tend_members(view, out);
        }
        returning
    }

    /// Whether an entry that is in the log and not applied may change this primary's shard, or who of it may take over. Its replicas are
    /// asked anew after that: what they say meanwhile is nothing, whatever they have \[N45 zero-offset\].
    fn is_shard_changing(&mut self, primary: &NodeId) -> bool {
        let changing = self.tail().reshapes_shard_of(primary, &self.state);
        if changing {
            self.leading.failovers.searches.remove(primary);
        }
        changing
    }

    /// The replicas are asked once. What they say later is newer only, so the first answer of one that has caught up meanwhile will do.
    fn seek_successor(&mut self, primary: NodeId, view: &View, out: &mut Effects) -> Successor {
        let now = view.now.mono;
        let replicas: BTreeSet<NodeId> = self.state.able_replicas(&primary).map(|replica| replica.id).collect();
        if replicas.is_empty() {
            return Successor::Nobody;
        }
        let search = match self.leading.failovers.searches.get(&primary) {
            Some(search) => *search,
            None => {
                let search = Search { question: self.ask_holdings(&replicas, view), began: now };
                self.leading.failovers.searches.insert(primary, search);
                search
            }
        };
        let answer = |id: &NodeId| self.holding(&search.question, &primary, id, view);
        let missing = || replicas.iter().filter(|replica| !self.raft.is_dead(replica) && answer(replica).is_none());
        let all = missing().next().is_none();
        let until = missing().map(|replica| search.began + self.patience_with(replica, search.began, view, out)).max();
        if let Some(until) = until.filter(|until| now < *until) {
            out.timers.at_most(Timer::Failover, until);
            return Successor::Sought;
        }
        match self.state.successor(&primary, |id| answer(id).unwrap_or_default()) {
            Some(replica) => Successor::Found(replica),
            None if all => Successor::Nobody,
            None => Successor::Sought,
        }
    }

    /// How long a replica that is not known to be dead may take to answer (ms). One that has answered lately may alone hold what WAIT has
    /// counted, and a disk or a way that is slow is no reason to lose that \[N57 slow-answers\]: it has as long as a leader is waited for.
    fn patience_with(&self, replica: &NodeId, asked: Millis, view: &View, out: &Effects) -> Millis {
        let span = view.config.election_timeout();
        let answers = self.raft.progress(replica).is_some_and(|progress| progress.answered_lately(asked, span));
        // Its process has ended as this leader's own connection shows, though no other member may have had one with it to confirm that.
        let has_ended = self.ended(replica, view, out).is_some();
        if answers && !has_ended { span.max(PATIENCE) } else { PATIENCE }
    }

    /// Once for each failure: it is looked again and again.
    fn tell_without_successor(&mut self, primary: NodeId) {
        if self.leading.failovers.without_successor.insert(primary) {
            let name = self.state.named(&primary);
            log::warn!(
                "Nobody can take over from {name}: no replica that has its keys may and answers. Its slots wait for it, or for one that does"
            );
        }
    }

    /// Appends the FAILOVER, unless the gate is shut. It does not wait there like others: who is the best may have changed when the gate
    /// opens.
    fn promote(&mut self, replica: NodeId, primary: NodeId, kind: FailoverKind, view: &View, out: &mut Effects) {
        let now = view.now.mono;
        if self.must_wait(&primary, view) {
            let opens_at = self.raft.fails_at(&primary).filter(|at| *at > now);
            return opens_at.into_iter().for_each(|at| out.timers.at_most(Timer::Failover, at));
        }
        let Some(old) = self.state.member(&primary) else { return };
        let (shard, epoch) = (old.shard, self.state.epoch(&old.shard));
        if self.raft.append(None, Failover { replica, primary, shard, epoch, kind }.into()).is_ok() {
            log::info!("Promoting {} in the place of {}", self.state.named(&replica), self.state.named(&primary));
        }
    }
}

#[cfg(test)]
mod tests;
