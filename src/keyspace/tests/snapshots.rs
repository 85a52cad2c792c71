//! Walks in steps against what the keyspace held when they began.

use super::*;

/// One step of a walk, each key once.
fn visit(keyspace: &mut Keyspace, id: WalkId, budget: usize, seen: &mut Model) -> WalkStep {
    keyspace.step_walk(id, budget, &mut |Entry { key, value, expiry, .. }| {
        let value = value.string().unwrap().short().unwrap();
        assert!(seen.insert(key.to_vec(), (value.to_vec(), expiry)).is_none(), "a key is visited once");
    })
}

/// A walk, what it is to see and what it has seen.
struct Walker {
    id: WalkId,
    expected: Model,
    begun: Millis,
    seen: Model,
    end: WalkStep,
}

impl Walker {
    fn begin(pair: &mut Pair) -> Self {
        let id = pair.keyspace.begin_walk().expect("there are few walks");
        Self { id, expected: pair.model.clone(), begun: pair.now, seen: Model::new(), end: WalkStep::More }
    }

    fn step(&mut self, keyspace: &mut Keyspace, budget: usize) {
        if self.end == WalkStep::More {
            self.end = visit(keyspace, self.id, budget, &mut self.seen);
        }
    }

    fn agree(mut self) {
        assert_eq!(self.end, WalkStep::Done);
        // Keys that had expired when it began are visited if nobody had removed them yet.
        self.seen.retain(|_, (_, expiry)| expiry.is_none_or(|expiry| self.begun <= expiry));
        assert!(self.seen == self.expected, "a walk sees what was there when it began");
    }
}

proptest! {
    #[test]
    fn a_walk_sees_the_keys_as_they_were(
        before in steps(), during in steps(), budget in 1..20_000usize, tag in prop_oneof![Just(""), Just("{t}")], second in 0..60usize,
    ) {
        let mut pair = Pair::new(tag);
        before.into_iter().for_each(|step| pair.apply(step));
        let mut walkers = vec![Walker::begin(&mut pair)];
        // A slot that is cleared voids walks; that is another test.
        for (number, step) in during.into_iter().filter(|step| !matches!(step, Step::Clear { .. })).enumerate() {
            if number == second {
                walkers.push(Walker::begin(&mut pair));
            }
            pair.apply(step);
            walkers.iter_mut().for_each(|walker| walker.step(&mut pair.keyspace, budget));
        }
        for walker in &mut walkers {
            while walker.end == WalkStep::More {
                walker.step(&mut pair.keyspace, budget);
            }
            prop_assert!(pair.keyspace.snapshots.is_drained(walker.id));
        }
        walkers.into_iter().for_each(Walker::agree);
        pair.agree();
    }
}

fn filled(keys: u32) -> Keyspace {
    let mut keyspace = Keyspace::new(3);
    for number in 0..keys {
        let key = format!("{number}");
        keyspace.set_string(key_slot(key.as_bytes()), key.as_bytes(), &[b'v'; 84], Expiry::Never, 0);
    }
    keyspace
}

#[test]
fn clearing_keys_that_are_to_come_voids_a_walk_and_clearing_others_does_not() {
    let mut keyspace = filled(1000);
    let ids: Vec<_> = (0..3).map(|_| keyspace.begin_walk().unwrap()).collect();
    let mut seen = Model::new();
    assert_eq!(visit(&mut keyspace, ids[0], usize::MAX, &mut seen), WalkStep::Done);
    assert_eq!(seen.len(), 1000);
    assert_eq!(visit(&mut keyspace, ids[1], 5_000, &mut Model::new()), WalkStep::More);
    let low = Slot::all().find(|slot| keyspace.count_in_slot(*slot) > 0).unwrap();
    let dirty = keyspace.dirty();
    keyspace.clear_slot(low);
    assert!(keyspace.dirty() > dirty, "keys that are cleared have changed");
    assert_eq!(visit(&mut keyspace, ids[1], 1, &mut Model::new()), WalkStep::More);
    assert_eq!(visit(&mut keyspace, ids[2], 1, &mut Model::new()), WalkStep::Voided);
    keyspace.clear();
    assert_eq!(visit(&mut keyspace, ids[1], 1, &mut Model::new()), WalkStep::Voided);
    assert_eq!(visit(&mut keyspace, ids[0], 1, &mut Model::new()), WalkStep::Done);
    let late = keyspace.begin_walk().unwrap();
    assert_eq!(visit(&mut keyspace, late, 1, &mut Model::new()), WalkStep::Done);
    ids.into_iter().for_each(|id| keyspace.end_walk(id));
    assert_eq!(keyspace.step_walk(late, 1, &mut |_| ()), WalkStep::Done);
}

#[test]
fn a_step_keeps_to_its_budget_and_walks_are_few() {
    let mut keyspace = filled(0);
    // All in one bucket's reach: a step must stop within it.
    for number in 0..40 {
        keyspace.set_string(key_slot(b"t"), format!("{{t}}{number}").as_bytes(), &[0; 1000], Expiry::Never, 0);
    }
    let id = keyspace.begin_walk().unwrap();
    let mut steps = Vec::new();
    loop {
        let mut visited = 0;
        let end = keyspace.step_walk(id, 2000, &mut |_| visited += 1);
        steps.push(visited);
        if end == WalkStep::Done {
            break;
        }
    }
    assert!(steps.iter().all(|visited| *visited <= 2) && steps.len() >= 20, "{steps:?}");
    let ids: Vec<_> = std::iter::from_fn(|| keyspace.begin_walk()).collect();
    assert_eq!(ids.len(), 7, "one is under way");
    keyspace.end_walk(id);
    assert!(keyspace.begin_walk().is_some());
}

#[test]
fn a_keyspace_takes_over_another_ones_keys() {
    let (mut keyspace, mut loaded) = (filled(100), Keyspace::new(9));
    let slot = key_slot(b"new");
    assert!(loaded.add(slot, Entry::string(b"new", b"value", Some(50))));
    assert!(!loaded.add(slot, Entry::string(b"new", b"other", None)));
    let (walk, dirty) = (keyspace.begin_walk().unwrap(), keyspace.dirty());
    let watched = [&b"new"[..], b"7", b"neither"].map(|key| (key, keyspace.watch(key_slot(key), key, 0)));
    keyspace.replace(loaded);
    keyspace.check();
    assert_eq!((keyspace.len(), keyspace.volatile_len(), keyspace.dirty()), (1, 1, dirty));
    assert_eq!(keyspace.get(slot, b"new", 0).map(|value| value.string().unwrap().short().unwrap()), Some(&b"value"[..]));
    let touched = watched.map(|(key, version)| keyspace.is_touched(key_slot(key), key, version, 0));
    assert_eq!(touched, [true, true, false]);
    assert_eq!(keyspace.step_walk(walk, 1, &mut |_| ()), WalkStep::Voided);
    assert!(!keyspace.free_some(50) && keyspace.free_some(100));
}

#[test]
fn dirty_counts_changes_and_not_expiry() {
    let mut keyspace = Keyspace::new(1);
    let slot = key_slot(b"k");
    let mut counted = |change: &dyn Fn(&mut Keyspace)| {
        let before = keyspace.dirty();
        change(&mut keyspace);
        keyspace.dirty() - before
    };
    assert_eq!(counted(&|keyspace| keyspace.set_string(slot, b"k", b"1", Expiry::At(5), 0)), 1);
    assert_eq!(counted(&|keyspace| _ = keyspace.overwrite(slot, b"k", 0, &b"".into(), 0)), 1);
    assert_eq!(counted(&|keyspace| assert!(keyspace.get(slot, b"k", 9).is_none())), 0);
    assert_eq!(counted(&|keyspace| assert!(!keyspace.remove(slot, b"k", 9))), 0);
    assert_eq!(counted(&|keyspace| assert!(!keyspace.set_expiry(slot, b"k", None, 9))), 0);
    assert_eq!(counted(&|keyspace| keyspace.set_string(slot, b"k", b"1", Expiry::At(5), 0)), 1);
    assert_eq!(counted(&|keyspace| assert!(keyspace.set_expiry(slot, b"k", Some(4), 0))), 1);
    assert_eq!(counted(&|keyspace| assert_eq!(keyspace.expire_some(9, 10), 1)), 0);
    assert_eq!(counted(&Keyspace::clear), 0);
}
