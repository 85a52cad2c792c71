//! Questions about keys and their slots.
//!
//! Owns: KEYSLOT, COUNTKEYSINSLOT, GETKEYSINSLOT, FLUSHSLOT. Must not: look at other nodes' keys.

use crate::commands::engine::parse::{NOT_AN_INTEGER, SYNTAX_ERROR, integer, is};
use crate::commands::engine::{Context, Flow};
use crate::keyspace::key_slot;
use crate::types::Slot;
use crate::wire::Args;

pub(super) fn keyslot(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    ctx.reply.int(i64::from(key_slot(args.get(2)).number()));
    Flow::Done
}

pub(super) fn countkeysinslot(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let Some(number) = integer(args.get(2)) else { return ctx.fail(NOT_AN_INTEGER) };
    let Some(slot) = slot(number) else { return ctx.fail("ERR Invalid slot") };
    ctx.reply.int(i64::try_from(ctx.keyspace.count_in_slot(slot)).unwrap_or(i64::MAX));
    Flow::Done
}

pub(super) fn getkeysinslot(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let (Some(number), Some(most)) = (integer(args.get(2)), integer(args.get(3))) else { return ctx.fail(NOT_AN_INTEGER) };
    let (Some(slot), Ok(most)) = (slot(number), usize::try_from(most)) else { return ctx.fail("ERR Invalid slot or number of keys") };
    let count = ctx.keyspace.count_in_slot(slot).min(most);
    ctx.reply.array(count);
    ctx.keyspace.keys_in_slot(slot).take(count).for_each(|key| ctx.reply.bulk(key));
    Flow::Done
}

/// ASYNC and SYNC are the same: the keys are gone at once, their memory is freed between the turns.
pub(super) fn flushslot(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let Some(slot) = integer(args.get(2)).and_then(slot) else { return ctx.fail("ERR Invalid or out of range slot") };
    let options = args.skip(3);
    if options.len() > 1 || options.iter().any(|word| !is(word, "async") && !is(word, "sync")) {
        return ctx.fail(SYNTAX_ERROR);
    }
    ctx.keyspace.clear_slot(slot);
    ctx.done()
}

fn slot(number: i64) -> Option<Slot> {
    Slot::new(u16::try_from(number).ok()?)
}
