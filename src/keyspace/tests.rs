//! The keyspace against a model that is plainly right.

mod hashes;
mod snapshots;

use super::*;
use crate::values::Hash;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// One call. Keys are few, so that they meet; all share a hash tag or none do.
#[derive(Clone, Debug)]
enum Step {
    Set { key: u16, size: usize, expiry: Expiry },
    Append { key: u16, size: usize },
    Expire { key: u16, expiry: Option<Millis> },
    Remove { key: u16 },
    RemoveMany { from: u16, count: u16 },
    SetMany { from: u16, count: u16, expiry: Expiry },
    Wait { millis: Millis },
    Sweep { budget: usize },
    Clear { key: u16 },
}

fn expiries() -> impl Strategy<Value = Expiry> {
    prop_oneof![Just(Expiry::Keep), Just(Expiry::Never), (0..200u64).prop_map(Expiry::At)]
}

fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![0..40usize, Just(127), Just(128), 100..400usize]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..600u16;
    let step = prop_oneof![
        8 => (key.clone(), sizes(), expiries()).prop_map(|(key, size, expiry)| Step::Set { key, size, expiry }),
        4 => (key.clone(), sizes()).prop_map(|(key, size)| Step::Append { key, size }),
        4 => (key.clone(), proptest::option::of(0..200u64)).prop_map(|(key, expiry)| Step::Expire { key, expiry }),
        4 => key.clone().prop_map(|key| Step::Remove { key }),
        2 => (key.clone(), 0..600u16).prop_map(|(from, count)| Step::RemoveMany { from, count }),
        2 => (key.clone(), 0..600u16, expiries()).prop_map(|(from, count, expiry)| Step::SetMany { from, count, expiry }),
        1 => (1..60u64).prop_map(|millis| Step::Wait { millis }),
        2 => (0..200usize).prop_map(|budget| Step::Sweep { budget }),
        1 => key.prop_map(|key| Step::Clear { key }),
    ];
    proptest::collection::vec(step, 1..60)
}

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<Millis>)>;

/// Both sides of the comparison, and their clock.
struct Pair {
    keyspace: Keyspace,
    model: Model,
    tag: &'static str,
    now: Millis,
}

impl Pair {
    fn new(tag: &'static str) -> Self {
        Self { keyspace: Keyspace::new(7), model: Model::new(), tag, now: 0 }
    }

    fn key(&self, number: u16) -> Vec<u8> {
        // Some keys are too long for a record.
        let long = if number.is_multiple_of(50) { 300 } else { 1 };
        format!("{}{number:0long$}", self.tag).into_bytes()
    }

    fn set(&mut self, number: u16, size: usize, expiry: Expiry) {
        let (key, value) = (self.key(number), vec![number as u8; size]);
        self.keyspace.set_string(key_slot(&key), &key, &value, expiry, self.now);
        let old = self.model.get(&key).and_then(|(_, expiry)| *expiry);
        self.model.insert(key, (value, expiry.after(old)));
    }

    fn remove(&mut self, number: u16) {
        let key = self.key(number);
        assert_eq!(self.keyspace.remove(key_slot(&key), &key, self.now), self.model.remove(&key).is_some());
    }

    fn apply(&mut self, step: Step) {
        let now = self.now;
        match step {
            Step::Set { key, size, expiry } => self.set(key, size, expiry),
            Step::SetMany { from, count, expiry } => (from..from + count).for_each(|key| self.set(key, 9, expiry)),
            Step::Remove { key } => self.remove(key),
            Step::RemoveMany { from, count } => (from..from + count).for_each(|key| self.remove(key)),
            Step::Append { key, size } => {
                let key = self.key(key);
                let value = &mut self.model.entry(key.clone()).or_default().0;
                let end = value.len();
                value.resize(end + size, b'a');
                assert_eq!(self.keyspace.overwrite(key_slot(&key), &key, end, &vec![b'a'; size].as_slice().into(), now), Ok(()));
            }
            Step::Expire { key, expiry } => {
                let key = self.key(key);
                let found = self.model.get_mut(&key).map(|entry| entry.1 = expiry).is_some();
                assert_eq!(self.keyspace.set_expiry(key_slot(&key), &key, expiry, now), found);
            }
            Step::Wait { millis } => self.now += millis,
            Step::Sweep { budget } => {
                self.keyspace.expire_some(now, budget);
            }
            Step::Clear { key } => {
                let slot = key_slot(&self.key(key));
                self.keyspace.clear_slot(slot);
                self.keyspace.free_some(10);
                self.model.retain(|key, _| key_slot(key) != slot);
            }
        }
        let now = self.now;
        self.model.retain(|_, (_, expiry)| expiry.is_none_or(|expiry| now <= expiry));
    }

    fn agree(&mut self) {
        self.keyspace.check();
        for (key, (value, expiry)) in &self.model {
            let entry = self.keyspace.entry(key_slot(key), key, self.now).expect("it is there");
            assert_eq!((entry.key, entry.value.string().unwrap().short(), entry.expiry), (&key[..], Some(&value[..]), *expiry));
        }
        let mut cursor = 0;
        let mut seen = Vec::new();
        loop {
            cursor = self.keyspace.scan(cursor, 10, &mut |entry| {
                if !entry.is_expired(self.now) {
                    seen.push(entry.key.to_vec());
                }
            });
            if cursor == 0 {
                break;
            }
        }
        seen.sort();
        assert!(seen.iter().eq(self.model.keys()), "a scan of a resting keyspace visits each key once");
        while self.keyspace.next_expiry().is_some_and(|expiry| expiry < self.now) {
            self.keyspace.expire_some(self.now, 1000);
        }
        assert_eq!(self.keyspace.len(), self.model.len(), "sweeping leaves exactly what lives");
        self.keyspace.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_the_model_does(one_slot: bool, steps in steps()) {
        let mut pair = Pair::new(if one_slot { "{tag}" } else { "key" });
        for step in steps {
            pair.apply(step);
        }
        pair.agree();
    }

    /// Redis' guarantee, and no key twice, while the dictionary grows and shrinks between the steps.
    #[test]
    fn a_scan_visits_once_what_is_there_throughout(one_slot: bool, count in 1..40usize, changes in proptest::collection::vec((0..5u32, 0..4000u32, 0..1500u32), 1..12)) {
        let mut keyspace = Keyspace::new(11);
        let key = |number: u32| format!("{}{number}", if one_slot { "{tag}" } else { "" }).into_bytes();
        let set = |keyspace: &mut Keyspace, number| {
            let key = key(number);
            keyspace.set_string(key_slot(&key), &key, b"value", Expiry::Never, 0);
        };
        (10_000..10_300).for_each(|number| set(&mut keyspace, number));
        (0..1000).for_each(|number| set(&mut keyspace, number));
        let mut seen = BTreeMap::<Vec<u8>, usize>::new();
        let (mut cursor, mut changes) = (0, changes.into_iter().cycle());
        for round in 0.. {
            cursor = keyspace.scan(cursor, count, &mut |entry| *seen.entry(entry.key.to_vec()).or_default() += 1);
            if cursor == 0 {
                break;
            }
            prop_assert!(round < 20_000, "a scan ends");
            let Some((kind, from, many)) = changes.next().filter(|_| round < 30) else { continue };
            for number in from..from + many {
                if kind < 2 {
                    set(&mut keyspace, number);
                } else {
                    keyspace.remove(key_slot(&key(number)), &key(number), 0);
                }
            }
        }
        for number in 10_000..10_300 {
            prop_assert_eq!(seen.get(&key(number)), Some(&1));
        }
        keyspace.check();
    }

    #[test]
    fn any_number_is_a_cursor(cursor: u64, count: usize) {
        let mut keyspace = Keyspace::new(3);
        for key in ["a", "b", "c"] {
            keyspace.set_string(key_slot(key.as_bytes()), key.as_bytes(), b"", Expiry::Never, 0);
        }
        let mut visited = 0;
        keyspace.scan(cursor, count, &mut |_| visited += 1);
        prop_assert!(visited <= 3);
    }
}

#[test]
fn a_dictionary_grows_and_shrinks_a_bucket_at_a_time() {
    let mut keyspace = Keyspace::new(1);
    let slot = key_slot(b"{t}");
    let key = |number: u32| format!("{{t}}{number}").into_bytes();
    let buckets = |keyspace: &Keyspace| keyspace.dictionary(slot).map_or(0, Dictionary::buckets);
    for number in 0..40_000 {
        let before = buckets(&keyspace);
        keyspace.set_string(slot, &key(number), b"v", Expiry::Never, 0);
        assert!(buckets(&keyspace) <= before + 1);
    }
    assert_eq!(buckets(&keyspace), 1250);
    keyspace.check();
    for number in 0..40_000 {
        let before = buckets(&keyspace);
        assert!(keyspace.remove(slot, &key(number), 0));
        assert!(buckets(&keyspace) + 1 >= before);
        if number % 5_000 == 0 {
            keyspace.check();
        }
    }
    assert!(keyspace.is_empty() && keyspace.dictionary(slot).is_none());
}

#[test]
fn a_key_lives_through_its_last_millisecond() {
    let mut keyspace = Keyspace::new(1);
    let slot = key_slot(b"k");
    keyspace.set_string(slot, b"k", b"v", Expiry::At(10), 0);
    assert!(keyspace.exists(slot, b"k", 10));
    assert_eq!((keyspace.next_expiry(), keyspace.volatile_len()), (Some(10), 1));
    assert_eq!(keyspace.expire_some(10, 100), 0);
    assert!(!keyspace.exists(slot, b"k", 11));
    assert_eq!((keyspace.len(), keyspace.expired_count(), keyspace.next_expiry()), (0, 1, None));
    // A new value does not inherit the old one's end.
    keyspace.set_string(slot, b"k", b"v", Expiry::At(10), 0);
    keyspace.set_string(slot, b"k", b"w", Expiry::Keep, 11);
    assert_eq!(keyspace.entry(slot, b"k", 11).unwrap().expiry, None);
}

#[test]
fn a_watch_sees_changes_of_its_key_only() {
    let mut keyspace = Keyspace::new(1);
    let slot = key_slot(b"{t}a");
    let touched = |keyspace: &mut Keyspace, change: &dyn Fn(&mut Keyspace), now| {
        keyspace.clear();
        keyspace.set_string(slot, b"{t}a", b"1", Expiry::At(50), 0);
        let version = keyspace.watch(slot, b"{t}a", 0);
        change(keyspace);
        let touched = keyspace.is_touched(slot, b"{t}a", version, now);
        keyspace.unwatch(b"{t}a");
        touched
    };
    assert!(!touched(&mut keyspace, &|_| (), 50));
    assert!(touched(&mut keyspace, &|_| (), 51), "it expired");
    assert!(!touched(&mut keyspace, &|keyspace| keyspace.set_string(slot, b"{t}b", b"", Expiry::Never, 0), 0));
    assert!(touched(&mut keyspace, &|keyspace| keyspace.set_string(slot, b"{t}a", b"1", Expiry::Keep, 0), 0));
    assert!(touched(&mut keyspace, &|keyspace| _ = keyspace.overwrite(slot, b"{t}a", 0, &b"".into(), 0), 0));
    assert!(touched(&mut keyspace, &|keyspace| assert_ne!(keyspace.remove(slot, b"{t}a", 0), Default::default()), 0));
    assert!(touched(&mut keyspace, &|keyspace| assert_ne!(keyspace.set_expiry(slot, b"{t}a", None, 0), Default::default()), 0));
    assert!(touched(&mut keyspace, &|keyspace| assert_ne!(keyspace.expire_some(51, 10), Default::default()), 0));
    assert!(touched(&mut keyspace, &Keyspace::clear, 0));
    // Absent at the watch, by expiry, and still absent.
    keyspace.set_string(slot, b"{t}a", b"1", Expiry::At(50), 0);
    let version = keyspace.watch(slot, b"{t}a", 60);
    keyspace.clear();
    assert!(!keyspace.is_touched(slot, b"{t}a", version, 60));
    // Gone and back again is a change.
    keyspace.set_string(slot, b"{t}a", b"1", Expiry::Never, 60);
    keyspace.remove(slot, b"{t}a", 60);
    assert!(keyspace.is_touched(slot, b"{t}a", version, 60));
}

#[test]
fn random_keys_are_spread_over_all() {
    let mut keyspace = Keyspace::new(5);
    assert_eq!(keyspace.random_key(0), None);
    for number in 0..100u32 {
        let key = if number < 50 { format!("{{t}}{number}") } else { format!("{number}") };
        keyspace.set_string(key_slot(key.as_bytes()), key.as_bytes(), b"", Expiry::Never, 0);
    }
    let mut drawn = BTreeMap::<Vec<u8>, u32>::new();
    for _ in 0..5_000 {
        *drawn.entry(keyspace.random_key(0).unwrap().to_vec()).or_default() += 1;
    }
    assert_eq!(drawn.len(), 100);
    assert!(drawn.values().all(|&times| (15..120).contains(&times)), "{drawn:?}");
}

#[test]
fn cleared_memory_is_freed_in_pieces() {
    let mut keyspace = Keyspace::new(5);
    for number in 0..5_000u32 {
        let key = format!("{{t}}{number}");
        keyspace.set_string(key_slot(b"t"), key.as_bytes(), b"", Expiry::Never, 0);
    }
    keyspace.clear();
    assert!(keyspace.is_empty() && keyspace.volatile_len() == 0);
    keyspace.check();
    let slices = (0..).take_while(|_| !keyspace.free_some(500)).count();
    assert!((5..=11).contains(&slices), "{slices}");
}

#[test]
fn of_large_values_fewer_are_freed_in_a_piece() {
    let mut keyspace = Keyspace::new(5);
    let large = vec![0; 1 << 20];
    for number in 0..40u32 {
        let expiry = if number < 20 { Expiry::At(1) } else { Expiry::Never };
        let key = number.to_le_bytes();
        keyspace.set_string(key_slot(&key), &key, &large, expiry, 0);
    }
    let expired = (0..).take_while(|_| keyspace.expire_some(2, 500) > 0).count();
    keyspace.clear();
    let freed = (0..).take_while(|_| !keyspace.free_some(500)).count();
    assert!((8..=10).contains(&expired) && (8..=10).contains(&freed), "{expired} {freed}");
}

#[test]
fn while_it_is_kept_still_only_writes_remove_what_has_expired() {
    let mut keyspace = Keyspace::new(1);
    let slot = key_slot(b"k");
    keyspace.set_string(slot, b"k", b"old", Expiry::At(100), 0);
    keyspace.keep_still(true);
    assert!(keyspace.get(slot, b"k", 200).is_none() && !keyspace.exists(slot, b"k", 200));
    assert_eq!((keyspace.len(), keyspace.expired_count()), (1, 0));
    keyspace.set_string(slot, b"k", b"new", Expiry::Keep, 200);
    assert_eq!((keyspace.len(), keyspace.expired_count()), (1, 1));
    assert!(keyspace.entry(slot, b"k", 200).is_some_and(|entry| entry.expiry.is_none()), "its life has no end any more");
}

#[test]
fn notes_tell_what_expired_and_what_is_new_while_they_are_wanted() {
    let mut keyspace = Keyspace::new(1);
    let slot = key_slot(b"{t}");
    let set = |keyspace: &mut Keyspace, key: &[u8], expiry, now| keyspace.set_string(slot, key, b"", expiry, now);
    set(&mut keyspace, b"{t}a", Expiry::At(50), 0);
    assert_eq!(keyspace.take_notes(), []);
    keyspace.want_notes(Wanted { expired: true, new: true });
    set(&mut keyspace, b"{t}a", Expiry::At(50), 0);
    set(&mut keyspace, b"{t}a", Expiry::At(60), 51);
    assert_eq!(keyspace.overwrite(slot, b"{t}b", 0, &b"".into(), 51), Ok(()));
    keyspace.remove(slot, b"{t}b", 51);
    assert_eq!(keyspace.expire_some(61, 10), 1);
    let (expired, new) = (|key: &[u8]| Note::Expired(key.into()), |key: &[u8]| Note::New(key.into()));
    assert_eq!(keyspace.take_notes(), [expired(b"{t}a"), new(b"{t}a"), new(b"{t}b"), expired(b"{t}a")]);
    keyspace.want_notes(Wanted::default());
    set(&mut keyspace, b"{t}c", Expiry::At(70), 61);
    assert!(!keyspace.exists(slot, b"{t}c", 71) && keyspace.take_notes().is_empty());
}

#[test]
fn an_edit_that_changes_nothing_makes_no_key() {
    let (mut keyspace, slot) = (Keyspace::new(1), key_slot(b"k"));
    let refused = keyspace.edit(slot, b"k", 0, |hash: &mut Hash, rules| {
        hash.set(b"field", b"", rules);
        None::<()>
    });
    assert_eq!((refused, keyspace.exists(slot, b"k", 0), keyspace.dirty()), (Ok(None), false, 0));
}
