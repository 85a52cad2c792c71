//! The end of every turn, in the order that makes durability visible. Nothing else makes promises, and nothing leaves before it has returned.
//!
//! Owns: the order, and the reason for each place in it. Must not: hold work of its own; every step is a small call into the room that does it.
//! Contract: docs/architecture.md, "One turn of the loop".

use crate::node::metadata::Metadata;
use crate::node::timers::Timer;
use crate::node::{Fatal, Node};
use crate::store::{Disk, Image, Persisted};
use crate::types::{Millis, Now};

/// An idle cluster's last append is covered by a `synced` line after so long (ms) \[N28\].
const IDLE_SYNCED: Millis = 1000;

/// The ordered list. An error ends the process: no byte of this turn has left, and none may.
pub(in crate::node) fn before_sleep<D: Disk>(node: &mut Node<D>, clock: &mut dyn FnMut() -> Now) -> Result<(), Fatal> {
    connect(node);
    let receipt = persist(node, clock)?;
    commit_and_apply(node, &receipt);
    deferred_acks(node, &receipt);
    deferred_votes(node, &receipt);
    vote_requests(node, &receipt);
    replicate(node, &receipt);
    proposals(node, &receipt);
    consequences(node);
    replies(node);
    feed(node);
    Ok(())
}

/// 1. First, because a link that is dialled now may be up by the next turn, and it needs nothing from disk.
fn connect<D: Disk>(node: &mut Node<D>) {
    node.with_metadata(Metadata::reconsider_meets);
    node.with_metadata(Metadata::connect_links);
    node.with_dataset(|dataset, metadata, view, out| dataset.connect_primary(metadata, view, out));
}

/// 2. One durable operation, before everything that relies on it: only this step makes the receipt that steps 3 to 8 take. Where it had to wait for the disk,
///    the clock is read again: what leaves now leaves at that time.
fn persist<D: Disk>(node: &mut Node<D>, clock: &mut dyn FnMut() -> Now) -> Result<Persisted, Fatal> {
    let syncs = node.store.disk().sync_times().count();
    let (receipt, begun) = write_what_is_due(node, clock)?;
    let syncs = node.store.disk().sync_times().count() - syncs;
    if syncs > 0 {
        node.read_clock(clock);
        let took = node.view.now.mono.saturating_sub(begun);
        node.machine.slow_disk.took(syncs, took, &mut node.metadata, &node.view);
    }
    node.metadata.raft.persisted(receipt.durable());
    Ok(receipt)
}

/// Also tells when that began (mono ms).
fn write_what_is_due<D: Disk>(node: &mut Node<D>, clock: &mut dyn FnMut() -> Now) -> Result<(Persisted, Millis), Fatal> {
    if let Some(cluster) = node.out.todo.keep_file_of.take() {
        node.store.keep_copy(&cluster.to_string())?;
    }
    let full =
        node.out.todo.rewrite || node.metadata.raft.needs_rewrite() || node.out.todo.rewrite_by.is_some_and(|by| by <= node.view.now.mono);
    let grown = node.metadata.raft.unpersisted_from() <= node.metadata.raft.log().last_index();
    if full || grown {
        node.read_clock(clock);
    }
    let now = node.view.now.mono;
    if !full && !grown && node.out.timers.take_due(Timer::Synced, now) {
        node.store.idle_synced()?;
    }
    let image = Image {
        me: node.metadata.me,
        incarnation: node.metadata.incarnation,
        hard: node.metadata.raft.hard(),
        state: &node.metadata.state,
        log: node.metadata.raft.log(),
        standing: &node.metadata.standing,
    };
    let receipt = node.store.persist(&image, full)?;
    if full {
        node.out.todo.rewrite = false;
        node.out.todo.rewrite_by = None;
    }
    if grown {
        node.out.timers.set(Timer::Synced, now + IDLE_SYNCED);
    }
    Ok((receipt, now))
}

/// 3. A leader's own copy counts only now that it is on disk: a cluster of one commits here, any other with the acks that came in.
fn commit_and_apply<D: Disk>(node: &mut Node<D>, _receipt: &Persisted) {
    node.metadata.raft.advance_commit(node.view.now.mono);
    node.apply_committed();
}

/// 4. "I have it" follows having it.
fn deferred_acks<D: Disk>(node: &mut Node<D>, receipt: &Persisted) {
    let extent = node.promised_extent();
    if let Some(ack) = node.metadata.raft.take_acks(extent, node.view.now.mono) {
        node.out.send(&node.metadata.links, receipt, ack);
    }
}

/// 5. A vote follows its votedFor.
fn deferred_votes<D: Disk>(node: &mut Node<D>, receipt: &Persisted) {
    for vote in node.metadata.raft.take_votes(node.view.now.mono) {
        node.out.send(&node.metadata.links, receipt, vote);
    }
}

/// 6. A candidate's request follows its term and its vote for itself.
fn vote_requests<D: Disk>(node: &mut Node<D>, receipt: &Persisted) {
    for request in node.metadata.raft.take_vote_requests(node.view.now.mono) {
        node.out.send(&node.metadata.links, receipt, request);
    }
}

/// 7. After 3, so that followers hear of the newest commit; only entries that are on this disk are sent.
fn replicate<D: Disk>(node: &mut Node<D>, receipt: &Persisted) {
    let state = &node.metadata.state;
    let mut snapshot = || {
        let mut text = String::new();
        state.write_snapshot(None, &mut text);
        Some((state.last_applied(), state.last_term(), text.into_bytes()))
    };
    let messages = node.metadata.raft.replicate(node.view.now.mono, &mut snapshot);
    for message in messages {
        node.out.send(&node.metadata.links, receipt, message);
    }
}

/// 8. After 3 and 7: what was decided by then is not sent again, and a primary has been granted what it could be before more is appended against it.
///    What clients publish leaves after what Raft says. What a leader appends here is persisted by the next turn, which follows at once.
fn proposals<D: Disk>(node: &mut Node<D>, receipt: &Persisted) {
    node.with_metadata(Metadata::review_gated);
    node.with_metadata(Metadata::retry_proposals);
    node.out.send_outbox(node.metadata.raft.term(), receipt);
    node.out.forward_published(receipt, &node.metadata, &node.view);
}

/// 9. What the applied entries mean for this node.
fn consequences<D: Disk>(node: &mut Node<D>) {
    node.draw_consequences();
}

/// 10. A client hears of its change when this node acts on it already.
fn replies<D: Disk>(node: &mut Node<D>) {
    node.with_dataset(|dataset, _, view, out| dataset.count_acks(view, out));
    node.answer_decided();
}

/// 11. Last: what the steps before have changed is in the stream by now.
fn feed<D: Disk>(node: &mut Node<D>) {
    node.with_dataset(|dataset, metadata, view, out| dataset.feed_replicas(metadata, view, out));
}
