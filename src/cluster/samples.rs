//! What this room's property tests make changes and histories of. Few nodes and small epochs: most changes mean somebody.

use super::scene::{Scene, id, join, origin, shard};
use super::{Address, Change, ClusterEntry, State};
use crate::raft::{Body, Entry, Origin};
use crate::types::{LogIndex, NodeId, ShardId, Slot, SlotRange};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use std::ops::Range;

const NODES: u8 = 5;
/// A few epochs, of those that a short history has.
pub const EPOCHS: Range<LogIndex> = 0..20;

pub fn nodes() -> impl Strategy<Value = NodeId> {
    (0..NODES).prop_map(id)
}

pub fn shards() -> impl Strategy<Value = ShardId> {
    (0..NODES + 2).prop_map(shard)
}

pub fn addresses() -> BoxedStrategy<Address> {
    let text = "[A-Za-z0-9._:-]{0,12}";
    let keys = btree_map("[a-z.-]{1,8}", text, 0..16);
    let address = |(ip, port, bus_port, hostname, keys, shard)| {
        let mut address = Address { ip, port, bus_port, hostname, keys };
        if let Some(shard) = shard {
            address.set_shard_id(shard);
        }
        address
    };
    (text, any::<u16>(), any::<u16>(), text, keys, option::of(shards())).prop_map(address).boxed()
}

pub fn ranges() -> impl Strategy<Value = Vec<SlotRange>> {
    vec((0u16..40, 0u16..8), 1..4).prop_map(|pairs| {
        let mut next = 0;
        let slot = |number| Slot::new(number).unwrap();
        let place = |(gap, more)| {
            let first = next + gap;
            next = first + more + 1;
            SlotRange::new(slot(first), slot(first + more)).unwrap()
        };
        pairs.into_iter().map(place).collect()
    })
}

fn origins() -> impl Strategy<Value = Option<Origin>> {
    let some = (0..NODES, 1u64..3, 1u64..12, 0u64..4)
        .prop_map(|(node, incarnation, n, back)| origin(node, incarnation, n, n.saturating_sub(back)));
    option::of(some)
}

/// Entries of every type, those of Raft's own among them.
pub fn entries() -> impl Strategy<Value = ClusterEntry> {
    let app = (origins(), Change::samples()).prop_map(|(origin, change)| (origin, Body::App(change)));
    let own = prop_oneof![
        (0u64..9000).prop_map(|lease| Body::Noop { lease }),
        nodes().prop_map(|id| Body::AddVoter { ids: vec![id] }),
        Just(Body::AddVoter { ids: vec![id(1), id(2)] }),
        (nodes(), any::<bool>()).prop_map(|(id, by_hand)| Body::DelVoter { id, by_hand }),
        Just(Body::App(join(0, true))),
    ];
    (1u64..100, prop_oneof![3 => app, 1 => own.prop_map(|body| (None, body))]).prop_map(|(term, (origin, body))| Entry {
        term,
        origin,
        body,
    })
}

/// A history, in which those entries that say so are made to fit what came before.
pub fn histories(longest: usize) -> impl Strategy<Value = Vec<(ClusterEntry, bool)>> {
    vec((entries(), any::<bool>()), 1..longest)
}

/// A leader appends voting entries for members only, and never takes the last voter.
pub fn a_leader_would_append(state: &State, body: &Body<Change>) -> bool {
    match body {
        Body::Noop { .. } => true,
        Body::AddVoter { ids } => ids.iter().all(|id| state.member(id).is_some()),
        Body::DelVoter { id, .. } => state.voters().len() > usize::from(state.voters().contains(id)),
        Body::App(change) => change.facts().founding_voter.is_none_or(|id| state.last_applied() == 0 || state.member(&id).is_some()),
    }
}

/// One step of a history: half of the stale changes are renewed first, or little would ever apply.
pub fn step(state: &State, entry: &ClusterEntry, renew: bool) -> ClusterEntry {
    let mut entry = entry.clone();
    if let Body::App(change) = &mut entry.body
        && renew
    {
        if let Change::SlotChange(change) = change {
            change.source = state.owner(change.ranges[0].first()).map(|id| (id, 0));
        }
        if let Ok(renewed) = state.renewed(change) {
            *change = renewed;
        }
    }
    entry
}

/// A cluster of four, from which every history starts: most changes then name members. Nodes 0 and 1 have slots, node 2 replicates node 0.
pub fn young() -> State {
    let mut scene = Scene::of(4);
    scene.do_(&scene.replica_of(2, 0));
    scene.state
}
