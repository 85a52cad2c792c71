//! The end of every turn, in the order that makes durability visible. Nothing else makes promises, and nothing leaves before it has
//! returned.
//!
//! Owns: the order, and the reason for each place in it. Must not: hold work of its own; every step is a small call into the room that does
//! it.
//! Contract: docs/architecture.md, "One turn of the loop".

use crate::node::metadata::Metadata;
use crate::node::timers::Timer;
use crate::node::{Fatal, Node};
use crate::store::{Disk, Image, Persisted};
use crate::types::{Millis, Now};

/// An idle cluster's last append is covered by a `synced` line after so long (ms) \[N28 synced-line\].
const IDLE_SYNCED: Millis = 1000;

impl<D: Disk> Node<D> {
    /// The ordered list. An error ends the process: no byte of this turn has left, and none may.
    pub(in crate::node) fn before_sleep(&mut self, clock: &mut dyn FnMut() -> Now) -> Result<(), Fatal> {
        self.connect();
        let receipt = self.persist(clock)?;
        self.commit_and_apply(&receipt);
        self.deferred_acks(&receipt);
        self.deferred_votes(&receipt);
        self.vote_requests(&receipt);
        self.replicate(&receipt);
        self.proposals(&receipt);
        self.consequences();
        self.replies();
        self.feed();
        Ok(())
    }

    /// 1. First, because a link that is dialled now may be up by the next turn, and it needs nothing from disk.
    fn connect(&mut self) {
        self.with_metadata(Metadata::reconsider_meets);
        self.with_metadata(Metadata::connect_links);
        self.with_dataset(|dataset, metadata, view, out| dataset.connect_primary(metadata, view, out));
    }

    /// 2. One durable operation, before everything that relies on it: only this step makes the receipt that steps 3 to 8 take. Where it had
    ///    to wait for the disk, the clock is read again: what leaves now leaves at that time.
    fn persist(&mut self, clock: &mut dyn FnMut() -> Now) -> Result<Persisted, Fatal> {
        let syncs = self.store.disk().sync_times().count();
        let (receipt, begun) = self.write_what_is_due(clock)?;
        let syncs = self.store.disk().sync_times().count() - syncs;
        if syncs > 0 {
            self.read_clock(clock);
            let took = self.view.now.mono.saturating_sub(begun);
            self.machine.slow_disk.took(syncs, took, &mut self.metadata, &self.view);
        }
        self.metadata.raft.persisted(receipt.durable());
        Ok(receipt)
    }

    /// Also tells when that began (mono ms).
    fn write_what_is_due(&mut self, clock: &mut dyn FnMut() -> Now) -> Result<(Persisted, Millis), Fatal> {
        if let Some(cluster) = self.out.todo.keep_file_of.take() {
            self.store.keep_copy(&cluster.to_string())?;
        }
        let full = self.out.todo.rewrite
            || self.metadata.raft.needs_rewrite()
            || self.out.todo.rewrite_by.is_some_and(|by| by <= self.view.now.mono);
        let grown = self.metadata.raft.unpersisted_from() <= self.metadata.raft.log().last_index();
        if full || grown {
            self.read_clock(clock);
        }
        let now = self.view.now.mono;
        if !full && !grown && self.out.timers.take_due(Timer::Synced, now) {
            self.store.idle_synced()?;
        }
        let image = Image {
            me: self.metadata.me,
            incarnation: self.metadata.incarnation,
            hard: self.metadata.raft.hard(),
            state: &self.metadata.state,
            log: self.metadata.raft.log(),
            standing: &self.metadata.standing,
        };
        let receipt = self.store.persist(&image, full)?;
        if full {
            self.out.todo.rewrite = false;
            self.out.todo.rewrite_by = None;
        }
        if grown {
            self.out.timers.set(Timer::Synced, now + IDLE_SYNCED);
        }
        Ok((receipt, now))
    }

    /// 3. A leader's own copy counts only now that it is on disk: a cluster of one commits here, any other with the acks that came in.
    fn commit_and_apply(&mut self, _receipt: &Persisted) {
        self.metadata.raft.advance_commit(self.view.now.mono);
        self.apply_committed();
    }

    /// 4. "I have it" follows having it.
    fn deferred_acks(&mut self, receipt: &Persisted) {
        let extent = self.promised_extent();
        if let Some(ack) = self.metadata.raft.take_acks(extent, self.view.now.mono) {
            self.out.send(&self.metadata.links, receipt, ack);
        }
    }

    /// 5. A vote follows its votedFor.
    fn deferred_votes(&mut self, receipt: &Persisted) {
        for vote in self.metadata.raft.take_votes(self.view.now.mono) {
            self.out.send(&self.metadata.links, receipt, vote);
        }
    }

    /// 6. A candidate's request follows its term and its vote for itself.
    fn vote_requests(&mut self, receipt: &Persisted) {
        for request in self.metadata.raft.take_vote_requests(self.view.now.mono) {
            self.out.send(&self.metadata.links, receipt, request);
        }
    }

    /// 7. After 3, so that followers hear of the newest commit; only entries that are on this disk are sent.
    fn replicate(&mut self, receipt: &Persisted) {
        let state = &self.metadata.state;
        let mut snapshot = || {
            let mut text = String::new();
            state.write_snapshot(None, &mut text);
            Some((state.last_applied(), state.last_term(), text.into_bytes()))
        };
        let messages = self.metadata.raft.replicate(self.view.now.mono, &mut snapshot);
        for message in messages {
            self.out.send(&self.metadata.links, receipt, message);
        }
    }

    /// 8. After 3 and 7: what was decided by then is not sent again, and a primary has been granted what it could be before more is
    ///    appended against it.
    ///    What clients publish leaves after what Raft says. What a leader appends here is persisted by the next turn, which follows at
    ///    once.
    fn proposals(&mut self, receipt: &Persisted) {
        self.with_metadata(Metadata::review_gated);
        self.with_metadata(Metadata::retry_proposals);
        self.out.send_outbox(self.metadata.raft.term(), receipt);
        self.out.forward_published(receipt, &self.metadata, &self.view);
    }

    /// 9. What the applied entries mean for this self.
    fn consequences(&mut self) {
        self.draw_consequences();
    }

    /// 10. A client hears of its change when this node acts on it already.
    fn replies(&mut self) {
        self.with_dataset(|dataset, _, view, out| dataset.count_acks(view, out));
        self.answer_decided();
    }

    /// 11. Last: what the steps before have changed is in the stream by now.
    fn feed(&mut self) {
        self.with_dataset(|dataset, metadata, view, out| dataset.feed_replicas(metadata, view, out));
    }
}
