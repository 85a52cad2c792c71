//! All that can happen to a role, in every order, against what a careful reader of the same events believes.

use super::*;
use crate::rng::Rng;

#[derive(Clone, Copy, Debug)]
enum Event {
    Follow { other_shard: bool, failed: bool },
    Lead,
    Synced,
    Diverged,
    StandStill(bool),
    HandOver(FailoverKind),
    TakeOver(FailoverKind),
    CaughtUp,
    PredecessorGone,
    Asked,
    Settled,
}

const EVENTS: [Event; 16] = [
    Event::Follow { other_shard: false, failed: false },
    Event::Follow { other_shard: false, failed: true },
    Event::Follow { other_shard: true, failed: false },
    Event::Lead,
    Event::Synced,
    Event::Diverged,
    Event::StandStill(true),
    Event::StandStill(false),
    Event::HandOver(FailoverKind::Manual),
    Event::HandOver(FailoverKind::Force),
    Event::TakeOver(FailoverKind::Manual),
    Event::TakeOver(FailoverKind::Auto),
    Event::CaughtUp,
    Event::PredecessorGone,
    Event::Asked,
    Event::Settled,
];

/// What is here, as it was seen to come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Seen {
    /// A copy of the shard's keys: a sync with its primary, or a handover to the one that is followed, which waits for the rest.
    copy: bool,
    other_shard: bool,
    follows: bool,
    /// A process that has begun without knowing.
    doubt: bool,
    waits: bool,
    /// The successor waits for this node.
    awaited: bool,
}

struct Ids {
    other: NodeId,
    shards: [ShardId; 2],
}

impl Event {
    fn happens(self, role: &mut Role, ids: &Ids) {
        match self {
            Self::Follow { other_shard, failed } => role.follow(ids.other, ids.shards[usize::from(other_shard)], failed),
            Self::Lead => role.lead(),
            Self::Synced => role.synced(7),
            Self::Diverged => role.diverged(),
            Self::StandStill(handing_over) => drop(role.stand_still(handing_over)),
            Self::HandOver(kind) => role.hand_over(ids.other, kind, Extent { reign: 5, offset: 50 }),
            Self::TakeOver(kind) => drop(role.take_over(ids.other, kind)),
            Self::CaughtUp => drop(role.caught_up()),
            Self::PredecessorGone => {
                if role.caught_up() {
                    role.rely_on_copy();
                }
            }
            Self::Asked => role.find_out(Unsettled::Until(9)),
            Self::Settled => role.settled(),
        }
    }

    fn is_seen(self, seen: Seen) -> Seen {
        match self {
            Self::Follow { other_shard, failed } => {
                let copy = if seen.follows { seen.copy && seen.other_shard == other_shard } else { seen.awaited && !failed };
                Seen { copy, other_shard, follows: true, ..seen }
            }
            Self::Lead => Seen { follows: false, copy: false, awaited: false, ..seen },
            Self::Synced => Seen { copy: seen.follows, awaited: false, ..seen },
            Self::Diverged => Seen { copy: false, ..seen },
            Self::StandStill(_) => seen,
            Self::HandOver(kind) => Seen { awaited: kind == FailoverKind::Manual && !seen.doubt, ..seen },
            Self::TakeOver(_) if seen.doubt => seen,
            Self::TakeOver(FailoverKind::Manual) => Seen { waits: true, ..seen },
            Self::TakeOver(_) => Seen { doubt: !seen.copy, waits: seen.waits && seen.copy, ..seen },
            Self::CaughtUp => Seen { waits: false, ..seen },
            Self::PredecessorGone => Seen { doubt: seen.doubt || seen.waits && !seen.copy, waits: false, ..seen },
            Self::Asked => Seen { doubt: true, waits: false, ..seen },
            Self::Settled => Seen { doubt: false, waits: false, ..seen },
        }
    }
}

/// Nothing is promised that was not seen.
fn check(role: &Role, seen: Seen, events: &[Event]) {
    assert_eq!((role.is_replica(), role.has_copy()), (seen.follows, seen.copy), "{events:?}");
    assert_eq!((role.is_unsettled(), role.predecessor().is_some()), (seen.doubt, seen.waits), "{events:?}");
    assert_eq!(role.is_awaited(), seen.awaited, "{events:?}");
    let lacks = seen.doubt || seen.waits;
    assert!(!(lacks && (role.may_feed() || role.decides_over_keys())), "who lacks keys gives none and drops none: {events:?}");
    assert!(!(role.is_replica() && role.decides_over_keys()), "a replica's keys are its primary's: {events:?}");
    assert_eq!(role.extent(0).offset, u64::from(seen.follows && seen.copy), "{events:?}");
    assert_eq!(role.extent(9).offset, if seen.follows && !seen.copy { 0 } else { 9 }, "{events:?}");
    assert!(!role.is_awaited() || role.has_final_offset(), "what a successor waits for is known: {events:?}");
}

fn walk(role: &Role, seen: Seen, ids: &Ids, events: &mut Vec<Event>, depth: usize) {
    check(role, seen, events);
    for event in EVENTS.into_iter().filter(|_| depth > 0) {
        let mut next = role.clone();
        event.happens(&mut next, ids);
        events.push(event);
        walk(&next, event.is_seen(seen), ids, events, depth - 1);
        events.pop();
    }
}

#[test]
fn no_order_of_events_makes_it_promise_what_it_has_not_seen() {
    let mut rng = Rng::new(1);
    let ids = Ids { other: rng.node_id(), shards: [rng.shard_id(), rng.shard_id()] };
    let seen = Seen { copy: false, other_shard: false, follows: false, doubt: true, waits: false, awaited: false };
    walk(&Role::of_new_process(), seen, &ids, &mut Vec::new(), 5);
}
