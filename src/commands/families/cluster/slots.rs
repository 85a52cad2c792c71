//! Changing who owns slots.
//!
//! Owns: ADDSLOTS, ADDSLOTSRANGE, DELSLOTS, DELSLOTSRANGE, FLUSHSLOTS, SETSLOT: checks on the state of now, then one entry for each owner.
//! Must not: change the slot map. Contract: docs/protocol.md, "Log entries"; the texts are Valkey's.

use super::{member, unknown_node};
use crate::cluster::change::SlotChange;
use crate::cluster::{Change, Reason, State};
use crate::commands::engine::parse::{is, number};
use crate::commands::engine::{Context, Flow, Wait};
use crate::types::{NodeId, SLOT_COUNT, Slot, SlotRange};
use crate::wire::Args;
use std::collections::BTreeMap;

const BAD_SLOT: &str = "ERR Invalid or out of range slot";

/// Whether slots are to get an owner or to lose it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Assign,
    Unassign,
}

/// The slots that one request names, each at most once.
struct Named {
    wanted: Wanted,
    /// One mark a slot.
    marks: Vec<bool>,
}

impl Named {
    fn new(wanted: Wanted) -> Self {
        Self { wanted, marks: vec![false; usize::from(SLOT_COUNT)] }
    }

    /// Takes a slot in, if that makes sense for it.
    fn add(&mut self, slot: Slot, state: &State) -> Result<(), String> {
        match (self.wanted, state.owner(slot)) {
            (Wanted::Assign, Some(_)) => return Err(format!("ERR Slot {slot} is already busy")),
            (Wanted::Unassign, None) => return Err(format!("ERR Slot {slot} is already unassigned")),
            _ => {}
        }
        if std::mem::replace(&mut self.marks[slot.index()], true) {
            Err(format!("ERR Slot {slot} specified multiple times"))
        } else {
            Ok(())
        }
    }

    /// One change for each owner that the slots have now.
    fn changes(&self, state: &State, target: Option<NodeId>) -> Vec<Change> {
        let mut by_owner: BTreeMap<Option<NodeId>, Vec<Slot>> = BTreeMap::new();
        for slot in Slot::all().filter(|slot| self.marks[slot.index()]) {
            by_owner.entry(state.owner(slot)).or_default().push(slot);
        }
        by_owner.into_iter().map(|(source, slots)| change(state, source, target, Slot::ranges(slots))).collect()
    }
}

/// The entry that moves `ranges`, under the epochs of now.
fn change(state: &State, source: Option<NodeId>, target: Option<NodeId>, ranges: Vec<SlotRange>) -> Change {
    let side = |id: NodeId| (id, state.epoch_of(&id).unwrap_or(0));
    SlotChange { source: source.map(side), target: target.map(side), ranges }.into()
}

fn slot(arg: &[u8]) -> Result<Slot, String> {
    number::<u16>(arg).and_then(Slot::new).ok_or_else(|| BAD_SLOT.to_owned())
}

pub(super) fn addslots(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    assign(ctx, one_by_one(ctx.cluster.state, args, Wanted::Assign))
}

pub(super) fn addslotsrange(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    assign(ctx, by_range(ctx.cluster.state, args, Wanted::Assign))
}

pub(super) fn delslots(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    unassign(ctx, one_by_one(ctx.cluster.state, args, Wanted::Unassign))
}

pub(super) fn delslotsrange(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    unassign(ctx, by_range(ctx.cluster.state, args, Wanted::Unassign))
}

fn assign(ctx: &mut Context<'_>, named: Result<Named, String>) -> Flow {
    let me = ctx.cluster.me;
    let state = ctx.cluster.state;
    match (named, state.member(&me)) {
        (Err(text), _) => ctx.fail(&text),
        (Ok(_), None) => ctx.fail(Reason::ProposerNotMember.message()),
        (Ok(_), Some(member)) if !member.is_primary() => ctx.fail(Reason::TargetNotPrimary.message()),
        (Ok(named), Some(_)) => Flow::Wait(Wait::Changes(named.changes(state, Some(me)))),
    }
}

fn unassign(ctx: &mut Context<'_>, named: Result<Named, String>) -> Flow {
    match named {
        Err(text) => ctx.fail(&text),
        Ok(named) => Flow::Wait(Wait::Changes(named.changes(ctx.cluster.state, None))),
    }
}

/// All arguments are read before any is judged, as in Redis.
fn one_by_one(state: &State, args: Args<'_>, wanted: Wanted) -> Result<Named, String> {
    let slots: Vec<Slot> = args.skip(2).iter().map(slot).collect::<Result<_, _>>()?;
    let mut named = Named::new(wanted);
    slots.into_iter().try_for_each(|slot| named.add(slot, state))?;
    Ok(named)
}

fn by_range(state: &State, args: Args<'_>, wanted: Wanted) -> Result<Named, String> {
    let args = args.skip(1);
    if args.len().is_multiple_of(2) {
        let name = String::from_utf8_lossy(args.get(0)).to_ascii_lowercase();
        return Err(format!("ERR wrong number of arguments for 'cluster|{name}' command"));
    }
    let mut named = Named::new(wanted);
    for pair in (1..args.len()).step_by(2) {
        let (first, last) = (slot(args.get(pair))?, slot(args.get(pair + 1))?);
        let range = SlotRange::new(first, last);
        let range = range.ok_or_else(|| format!("ERR start slot number {first} is greater than end slot number {last}"))?;
        range.slots().try_for_each(|slot| named.add(slot, state))?;
    }
    Ok(named)
}

pub(super) fn flushslots(ctx: &mut Context<'_>, _args: Args<'_>) -> Flow {
    if !ctx.keyspace.is_empty() {
        return ctx.fail("ERR DB must be empty to perform CLUSTER FLUSHSLOTS.");
    }
    let (me, state) = (ctx.cluster.me, ctx.cluster.state);
    match state.ranges_of(&me) {
        ranges if ranges.is_empty() => ctx.done(),
        ranges => Flow::Wait(Wait::Changes(vec![change(state, Some(me), None, ranges)])),
    }
}

pub(super) fn setslot(ctx: &mut Context<'_>, args: Args<'_>) -> Flow {
    let me = ctx.cluster.me;
    if ctx.cluster.state.member(&me).is_some_and(|member| !member.is_primary()) {
        return ctx.fail("ERR Please use SETSLOT only with masters.");
    }
    let slot = match slot(args.get(2)) {
        Ok(slot) => slot,
        Err(text) => return ctx.fail(&text),
    };
    // None is migrating or importing.
    if args.len() == 4 && is(args.get(3), "stable") {
        return ctx.done();
    }
    if args.len() != 5 || !is(args.get(3), "node") {
        return ctx.fail("ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP");
    }
    let Some(target) = member(ctx, args.get(4)) else { return Flow::Done };
    bind(ctx, slot, target, args.get(4))
}

/// Binds a slot to a member, whoever owns it now.
fn bind(ctx: &mut Context<'_>, slot: Slot, target: NodeId, named: &[u8]) -> Flow {
    let state = ctx.cluster.state;
    let Some(member) = state.member(&target) else { return unknown_node(ctx, named) };
    if !member.is_primary() {
        return ctx.fail(Reason::TargetNotPrimary.message());
    }
    let owner = state.owner(slot);
    // Proposed even if it is so already as far as this node knows: it may lag, and an OK must not rest on that.
    if owner == Some(ctx.cluster.me) && owner != Some(target) && ctx.keyspace.count_in_slot(slot) > 0 {
        let text = format!("ERR Can't assign hashslot {slot} to a different node while I still hold keys for this hash slot.");
        return ctx.fail(&text);
    }
    Flow::Wait(Wait::Changes(vec![change(state, owner, Some(target), vec![slot.into()])]))
}
