//! A replica that takes over from a living primary: from the first word to that primary until it has all that the primary had.
//!
//! Owns: CLUSTER FAILOVER in progress, and what a new primary still waits for. Must not: copy keys (replica_link does), or choose a
//! successor (failover does).
//! Contract: docs/protocol.md, "Failover".

use crate::cluster::FailoverKind;
use crate::cluster::change::Failover;
use crate::commands::{UpstreamLink, WaitOutcome};
use crate::node::dataset::Dataset;
use crate::node::dataset::demotion::Demotion;
use crate::node::metadata::Metadata;
use crate::node::metadata::proposals::Part;
use crate::node::timers::Timer;
use crate::node::view::{Consequence, Effects, View};
use crate::types::{ConnId, Extent, Millis, NodeId};
use crate::wire::bus::Frame;

/// CLUSTER FAILOVER of this replica, until it is applied.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    client: ConnId,
    /// Mono ms; then it is called off.
    until: Millis,
    proposed: bool,
}

impl Attempt {
    /// Why it is given up. What was not proposed will not happen.
    fn failure(self, Question { end, .. }: Question, follows: bool) -> WaitOutcome {
        let text = match end {
            _ if self.proposed => return WaitOutcome::Timeout,
            _ if !follows => "ERR This node does not replicate that primary any more, and nothing was changed by this failover",
            None => "TIMEOUT The primary did not answer in time, and nothing was changed: CLUSTER FAILOVER FORCE does without it",
            Some(_) => "TIMEOUT This replica did not catch up with its primary in time, and nothing was changed",
        };
        WaitOutcome::Failed(text.to_owned())
    }
}

/// What a primary is asked: where its stream ends.
#[derive(Clone, Copy, Debug)]
struct Question {
    primary: NodeId,
    /// The link by which it was asked, and the number of the question: an answer to an earlier one says where the stream was then
    /// \[N25 failover-offset\].
    asked: Option<(ConnId, u64)>,
    /// What it said.
    end: Option<Extent>,
}

/// See the module. While both are there, the attempt has been applied and the question is about the end of the stream for good.
#[derive(Default)]
pub(in crate::node) struct Takeover {
    attempt: Option<Attempt>,
    question: Option<Question>,
    /// How many questions this process has asked.
    questions: u64,
    /// From whom an entry in the log's tail makes this node take over: it will be asked, and is dialled already.
    pub next_predecessor: Option<NodeId>,
    /// The predecessor that is being told that this node has everything: the link to it is kept for that.
    done: Option<NodeId>,
    /// The other side: this node as the primary that gives its slots up.
    pub demotion: Demotion,
}

impl Takeover {
    fn next_question(&mut self) -> u64 {
        self.questions += 1;
        self.questions
    }

    /// Whom it is to be asked.
    pub fn asks(&self) -> Option<NodeId> {
        self.question.map(|question| question.primary).or(self.next_predecessor).or(self.done)
    }
}

impl Dataset {
    /// CLUSTER FAILOVER.
    pub fn begin_failover(&mut self, client: ConnId, metadata: &Metadata, view: &View, out: &mut Effects) {
        let primary = metadata.state.member(&metadata.me).and_then(|me| me.primary);
        let Some(primary) = primary.filter(|_| self.takeover.attempt.is_none()) else {
            return out.clients.waiting.finish(client, WaitOutcome::Failed("ERR A failover is in progress already".to_owned()));
        };
        log::info!("Taking over from {}, as asked", metadata.state.named(&primary));
        let until = view.now.mono + view.config.cluster_manual_failover_timeout;
        self.takeover.attempt = Some(Attempt { client, until, proposed: false });
        self.takeover.question = Some(Question { primary, asked: None, end: None });
        out.timers.set(Timer::ManualFailover, until);
        out.todo.connect = true;
    }

    /// A client was told this, or has left: a failover that it asked for and that was not granted is over.
    pub fn failover_ended(&mut self, client: ConnId, outcome: &WaitOutcome, metadata: &Metadata, out: &mut Effects) {
        if self.takeover.attempt.is_some_and(|attempt| attempt.client == client) {
            self.call_failover_off(outcome.clone(), metadata, out);
        }
    }

    /// The primary serves writes again, unless it has learned by now that it is none any more.
    fn call_failover_off(&mut self, outcome: WaitOutcome, metadata: &Metadata, out: &mut Effects) {
        let Some(attempt) = self.takeover.attempt.take() else { return };
        let why = outcome.clone().failure();
        out.clients.waiting.finish(attempt.client, outcome);
        if let (false, Some(question)) = (self.role.predecessor().is_some(), self.takeover.question) {
            if let Some(why) = why {
                log::warn!("Taking over from {} is called off: {why}", metadata.state.named(&question.primary));
            }
            self.takeover.question = None;
            if let Some(conn) = metadata.links.up(&question.primary) {
                let number = self.takeover.next_question();
                out.io.outbox.push(conn, Frame::FailoverPrepare { pause: 0, number });
            }
        }
    }

    fn has_caught_up(&self, end: Extent) -> bool {
        let own = self.extent();
        own.offset > 0 && own >= end
    }

    fn propose_failover(&mut self, primary: NodeId, part: Part, metadata: &mut Metadata, view: &View, out: &mut Effects) {
        let Some(old) = metadata.state.member(&primary) else { return };
        let (shard, epoch) = (old.shard, metadata.state.epoch(&old.shard));
        metadata.propose(Failover { replica: metadata.me, primary, shard, epoch, kind: FailoverKind::Manual }, Some(part), view, out);
    }

    /// Asks once on each link: writes are to be held for so long, and where does the stream end?
    fn put_question(&mut self, question: Question, pause: Millis, metadata: &Metadata, out: &mut Effects) {
        let asked = question.asked.map(|(conn, _)| conn);
        let Some(conn) = metadata.links.up(&question.primary).filter(|conn| asked != Some(*conn)) else { return };
        let number = self.takeover.next_question();
        out.io.outbox.push(conn, Frame::FailoverPrepare { pause, number });
        self.takeover.question = Some(Question { asked: Some((conn, number)), end: None, ..question });
    }

    /// FAILOVER_OFFSET came by `conn`.
    pub fn receive_failover_offset(&mut self, conn: ConnId, end: Extent, number: u64) {
        if let Some(question) = self.takeover.question.as_mut().filter(|question| question.asked == Some((conn, number))) {
            question.end = Some(end);
        }
    }

    /// A FAILOVER in favour of this node was applied.
    pub fn succeed(&mut self, primary: NodeId, kind: FailoverKind, view: &View, out: &mut Effects) {
        if self.role.take_over(primary, kind) {
            self.takeover.question = Some(Question { primary, asked: None, end: None });
            out.hold_writes(view.now.mono + view.config.cluster_manual_failover_timeout);
            out.todo.connect = true;
        }
    }

    /// The slots are somebody else's again: what this node may have waited for is not to come.
    pub fn stop_catching_up(&mut self) {
        if self.role.caught_up() {
            (self.takeover.question, self.takeover.attempt) = (None, None);
        }
    }

    /// The old primary may be waiting for that with its end. It may not rely on who ends itself.
    fn tell_predecessor(&mut self, primary: NodeId, metadata: &Metadata, view: &View, out: &mut Effects) {
        if let Some(conn) = metadata.links.up(&primary).filter(|_| !view.is_at_its_end()) {
            out.io.outbox.push(conn, Frame::FailoverDone { has: self.extent() });
            self.takeover.done = Some(primary);
        }
    }
}

impl Dataset {
    /// Once a turn: asks, proposes once this replica has caught up, serves once it has everything.
    pub fn tend_takeover_of_primary(&mut self, metadata: &mut Metadata, view: &View, out: &mut Effects) {
        let late = out.timers.take_due(Timer::ManualFailover, view.now.mono);
        out.todo.connect |= self.takeover.done.take().is_some();
        let Some(question) = self.takeover.question else { return };
        if self.role.predecessor().is_some() {
            return self.await_predecessor(question, metadata, view, out);
        }
        let follows = metadata.state.member(&metadata.me).and_then(|me| me.primary) == Some(question.primary);
        let Some(attempt) = self.takeover.attempt else { return };
        if late || !follows {
            // It may have come to it in another way: the primary has failed meanwhile.
            let leads = !follows && metadata.state.slot_count_of(&metadata.me) > 0;
            return self.call_failover_off(if leads { WaitOutcome::Done } else { attempt.failure(question, follows) }, metadata, out);
        }
        // Without the link it is not known to be the same history, and the primary's clients would be held for as long as that takes.
        if self.upstream(out).is_none_or(|upstream| upstream.link != UpstreamLink::Up) {
            return;
        }
        self.put_question(question, attempt.until.saturating_sub(view.now.mono), metadata, out);
        let end = self.takeover.question.and_then(|question| question.end);
        if !attempt.proposed && end.is_some_and(|end| self.has_caught_up(end)) {
            self.takeover.attempt = Some(Attempt { proposed: true, ..attempt });
            self.propose_failover(question.primary, Part { client: attempt.client, number: 0 }, metadata, view, out);
        }
    }

    /// Nobody is served before this node has what its predecessor had, or that one is gone \[N25 failover-offset\].
    fn await_predecessor(&mut self, question: Question, metadata: &Metadata, view: &View, out: &mut Effects) {
        let predecessor = metadata.state.member(&question.primary);
        let lost = metadata.state.slot_count_of(&metadata.me) == 0;
        let gone = lost
            || metadata.raft.is_dead(&question.primary)
            || predecessor.is_none_or(|member| member.failed || member.primary != Some(metadata.me));
        if !gone && question.end.is_none_or(|end| self.extent() < end) {
            return self.put_question(question, 0, metadata, out);
        }
        let name = metadata.state.named(&question.primary);
        log::info!("This node has taken over from {name}{}", if gone { ", which is gone" } else { ", and has all that it had" });
        self.stop_catching_up();
        if gone && !lost {
            self.role.rely_on_copy();
        }
        if !gone {
            self.tell_predecessor(question.primary, metadata, view, out);
        }
        // Before anybody is served: its own changes are the stream from now on.
        out.consequences.push(Consequence::CaughtUp);
    }
}

#[cfg(test)]
mod tests;
