//! From a command that changed something to the replication stream.
//!
//! Owns: what replicas get in place of a command whose outcome depends on the time or on the machine. Must not: know the stream's bytes.
//!
//! A replica runs what it gets at `now` 0, where nothing has expired: which keys have is the primary's to say, by a DEL of its own.

use super::command::{Command, Flag};
use super::context::Context;
use crate::types::{Extent, Millis};
use crate::values::Bytes;
use crate::wire::Args;
use crate::wire::number::Digits;

impl Context<'_> {
    /// The running command has changed a key: replicas get these words in its place.
    pub fn propagate_instead(&mut self, words: &[Bytes<'_>]) {
        if self.stream.is_recording() {
            self.settle_notes();
            self.stream.replace(words.iter().cloned());
        }
    }

    /// The same with a point in time as the last word.
    pub fn propagate_until(&mut self, words: &[Bytes<'_>], end: Millis) {
        if self.stream.is_recording() {
            self.settle_notes();
            let end = Digits::of_u64(end);
            let words: Vec<Bytes<'_>> = words.iter().cloned().chain([end.as_slice().into()]).collect();
            self.stream.replace(words.iter().cloned());
        }
    }
}

/// A command has run, and `dirty` was the count of changes before: what it changed becomes part of the stream.
pub(super) fn propagate(ctx: &mut Context<'_>, command: &Command, args: Args<'_>, dirty: u64) {
    ctx.settle_notes();
    if !ctx.stream.is_recording() {
        return;
    }
    let (changed, replaced) = (ctx.keyspace.dirty() != dirty, ctx.stream.take_replaced());
    if changed && !replaced && command.has(Flag::Write) {
        if args.are_shared() { ctx.stream.feed(args.pieces()) } else { ctx.stream.feed(args.iter()) }
    }
    // A write that changed nothing may have found so what others have done, or the time, and replicas have not heard of.
    if command.has(Flag::Write) {
        note_end(ctx);
    } else {
        note_written(ctx, dirty);
    }
}

/// A client has changed something since `dirty` was the count of changes, and all of that is in the stream: WAIT goes by its end.
pub(super) fn note_written(ctx: &mut Context<'_>, dirty: u64) {
    if ctx.keyspace.dirty() != dirty {
        note_end(ctx);
    }
}

fn note_end(ctx: &mut Context<'_>) {
    if ctx.stream.is_recording() {
        ctx.client.written = Extent { reign: ctx.cluster.reign, offset: ctx.stream.offset() };
    }
}
