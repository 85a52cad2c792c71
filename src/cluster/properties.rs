//! What holds for all inputs: texts round-trip, any bytes are read without a panic, and a history through a snapshot is the same history.

use super::scene::{id, join, origin, shard};
use super::*;
use crate::cluster::change::{Failover, NodeFail, NodeForget, NodeInfo, NodeJoin, NodeRecover, SetReplicaOf, SlotChange};
use crate::raft::{Body, Entry, Log, Origin};
use crate::types::{ClusterId, NodeId, ShardId, Slot};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

const NODES: u8 = 5;

fn nodes() -> impl Strategy<Value = NodeId> {
    (0..NODES).prop_map(id)
}

fn shards() -> impl Strategy<Value = ShardId> {
    (0..NODES + 2).prop_map(shard)
}

fn addresses() -> impl Strategy<Value = Address> {
    let text = "[A-Za-z0-9._:-]{0,12}";
    let keys = btree_map("[a-z.-]{1,8}", text, 0..16);
    (text, any::<u16>(), any::<u16>(), text, keys, option::of(shards())).prop_map(|(ip, port, bus_port, hostname, keys, shard)| {
        let mut address = Address { ip, port, bus_port, hostname, keys };
        if let Some(shard) = shard {
            address.set_shard_id(shard);
        }
        address
    })
}

fn ranges() -> impl Strategy<Value = Vec<(Slot, Slot)>> {
    vec((0u16..40, 0u16..8), 1..4).prop_map(|pairs| {
        let mut next = 0;
        let slot = |number| Slot::new(number).unwrap();
        let place = |(gap, more)| {
            let first = next + gap;
            next = first + more + 1;
            (slot(first), slot(first + more))
        };
        pairs.into_iter().map(place).collect()
    })
}

fn kinds() -> impl Strategy<Value = FailoverKind> {
    prop_oneof![Just(FailoverKind::Auto), Just(FailoverKind::Manual), Just(FailoverKind::Force), Just(FailoverKind::Takeover)]
}

fn changes() -> impl Strategy<Value = Change> {
    let side = || option::of((nodes(), 0u64..20));
    prop_oneof![
        (nodes(), addresses()).prop_map(|(id, address)| Change::NodeJoin(NodeJoin { id, address, voter: false })),
        (nodes(), 0u64..20).prop_map(|(id, epoch)| Change::NodeForget(NodeForget { id, epoch })),
        (side(), side(), ranges()).prop_map(|(source, target, ranges)| Change::SlotChange(SlotChange { source, target, ranges })),
        (nodes(), (shards(), 0u64..20), option::of(nodes()), (shards(), 0u64..20))
            .prop_map(|(id, source, primary, target)| Change::SetReplicaOf(SetReplicaOf { id, source, primary, target })),
        (nodes(), nodes(), shards(), 0u64..20, kinds()).prop_map(|(replica, primary, shard, epoch, kind)| Change::Failover(Failover {
            replica,
            primary,
            shard,
            epoch,
            kind
        })),
        (nodes(), addresses(), any::<bool>()).prop_map(|(id, address, nofailover)| Change::NodeInfo(NodeInfo { id, address, nofailover })),
        nodes().prop_map(|id| Change::NodeFail(NodeFail { id })),
        nodes().prop_map(|id| Change::NodeRecover(NodeRecover { id })),
    ]
}

fn origins() -> impl Strategy<Value = Option<Origin>> {
    let some = (0..NODES, 1u64..3, 1u64..12, 0u64..4)
        .prop_map(|(node, incarnation, n, back)| origin(node, incarnation, n, n.saturating_sub(back)));
    option::of(some)
}

fn entries() -> impl Strategy<Value = ClusterEntry> {
    let app = (origins(), changes()).prop_map(|(origin, change)| (origin, Body::App(change)));
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

/// A leader appends voting entries for members only, and never takes the last voter.
fn a_leader_would_append(state: &State, body: &Body<Change>) -> bool {
    match body {
        Body::AddVoter { ids } => ids.iter().all(|id| state.member(id).is_some()),
        Body::DelVoter { id, .. } => state.voters().len() > usize::from(state.voters().contains(id)),
        Body::App(Change::NodeJoin(NodeJoin { id, voter: true, .. })) => state.last_applied() == 0 || state.member(id).is_some(),
        _ => true,
    }
}

/// One step of a history: half of the stale changes are renewed first, or little would ever apply.
fn step(state: &State, entry: &ClusterEntry, renew: bool) -> ClusterEntry {
    let mut entry = entry.clone();
    if let Body::App(change) = &mut entry.body
        && renew
    {
        if let Change::SlotChange(SlotChange { source, ranges, .. }) = change {
            *source = state.owner(ranges[0].0).map(|id| (id, 0));
        }
        if let Ok(renewed) = state.renewed(change) {
            *change = renewed;
        }
    }
    entry
}

fn through_text(state: &State) -> State {
    let mut text = String::new();
    state.write_snapshot(None, &mut text);
    let (restored, own) = parse_snapshot(&text, false).expect("what was written is read");
    assert_eq!(own, None);
    restored
}

/// A cluster of four, from which every history starts: most changes then name members.
fn young() -> State {
    let mut state = State::founding(ClusterId::from_bytes([9; 20]), id(0));
    for n in 0..4 {
        let entry = Entry { term: 1, origin: None, body: Body::App(join(n, n == 0)) };
        assert_eq!(state.apply(u64::from(n) + 1, &entry), Outcome::Applied);
    }
    state
}

fn grown(history: &[(ClusterEntry, bool)]) -> State {
    let mut state = young();
    for (entry, renew) in history {
        let entry = step(&state, entry, *renew);
        if a_leader_would_append(&state, &entry.body) {
            state.apply(state.last_applied() + 1, &entry);
            state.check();
        }
    }
    state
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn an_address_reads_back(address in addresses()) {
        prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address));
    }

    #[test]
    fn an_entry_reads_back(entry in entries()) {
        let mut text = String::new();
        format_entry(&entry, &mut text);
        prop_assert_eq!(parse_entry(&text), Ok(entry));
    }

    #[test]
    fn any_text_is_an_entry_or_an_error(text in "\\PC{0,80}", entry in entries(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let _ = parse_entry(&text);
        let mut good = String::new();
        format_entry(&entry, &mut good);
        let mut bytes = good.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(Ok(entry)) = std::str::from_utf8(&bytes).map(parse_entry) {
            let mut again = String::new();
            format_entry(&entry, &mut again);
            prop_assert_eq!(parse_entry(&again), Ok(entry));
        }
    }

    #[test]
    fn a_history_through_a_snapshot_is_the_same_history(history in vec((entries(), any::<bool>()), 1..60), cut in 0usize..60) {
        let mut straight = young();
        let mut detour = straight.clone();
        for (at, (entry, renew)) in history.iter().enumerate() {
            let entry = step(&straight, entry, *renew);
            if a_leader_would_append(&straight, &entry.body) {
                let index = straight.last_applied() + 1;
                let before = straight.clone();
                let outcome = straight.apply(index, &entry);
                prop_assert_eq!(detour.apply(index, &entry), outcome);
                if let Entry { origin: None, body: Body::App(change), .. } = &entry {
                    prop_assert_eq!(before.would(change), outcome);
                }
                straight.check();
            }
            if at == cut {
                detour = through_text(&detour);
                detour.check();
            }
            prop_assert_eq!(straight.hash(), detour.hash());
        }
        prop_assert_eq!(straight, detour);
    }

    /// What waits to be applied is bounded by it, so that the file is.
    #[test]
    fn an_entry_s_line_is_no_longer_than_it_is_counted(entry in entries(), index in 1u64..1 << 43) {
        let mut line = format!("log 01234567 {index} ");
        format_entry(&entry, &mut line);
        let mut log = Log::new(index - 1, 0);
        log.push(entry);
        prop_assert!((line.len() as u64) < log.bytes(index, index + 1), "{line}");
    }

    #[test]
    fn any_text_is_a_snapshot_or_an_error(text in "(\\PC{0,40}\n){0,6}", in_file in any::<bool>()) {
        let _ = parse_snapshot(&text, in_file);
    }

    #[test]
    fn a_damaged_snapshot_is_refused_or_holds_every_invariant(
        history in vec((entries(), any::<bool>()), 1..30),
        edits in vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0u8..4, any::<char>()), 1..4),
        mine in option::of(nodes()),
    ) {
        let own = mine.map(|me| Own { me, incarnation: 3, term: 4, voted_for: Some(me) });
        let mut text = String::new();
        grown(&history).write_snapshot(own.as_ref(), &mut text);
        let mut chars: Vec<char> = text.chars().collect();
        for (from, to, kind, new) in edits {
            let (from, to) = (from.index(chars.len()), to.index(chars.len()));
            match kind {
                0 => chars[from] = new,
                1 => chars[from] = chars[to],
                2 => drop(chars.remove(from)),
                _ => {
                    let (low, high) = (from.min(to), from.max(to).min(from.min(to) + 90));
                    let copy: Vec<char> = chars[low..high].to_vec();
                    chars.splice(low..low, copy);
                }
            }
        }
        let damaged: String = chars.into_iter().collect();
        if let Ok((state, _)) = parse_snapshot(&damaged, mine.is_some()) {
            prop_assert_eq!(state.violated(), Ok(()));
            prop_assert_eq!(through_text(&state), state);
        }
    }
}
