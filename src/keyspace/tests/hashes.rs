//! Values that are no strings, among strings: what keys hold, what they cost, and walks over them as they were.

use super::*;
use crate::values::{Hash, Parts, Piece, Place, Value};

#[derive(Clone, PartialEq, Debug)]
enum Held {
    Bytes(Vec<u8>),
    Fields(BTreeMap<Vec<u8>, Vec<u8>>),
}

type Keys = BTreeMap<Vec<u8>, (Held, Option<Millis>)>;

#[derive(Clone, Debug)]
enum Change {
    Field { key: u8, field: u8, size: usize },
    Fields { key: u8, count: u8 },
    NoField { key: u8, field: u8 },
    NoFields { key: u8, count: u8 },
    Bytes { key: u8, size: usize, expiry: Expiry },
    Append { key: u8, size: usize },
    Remove { key: u8 },
    Expire { key: u8, expiry: Option<Millis> },
    Pass { millis: Millis },
    Begin,
    Free,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let (key, field) = (0..12u8, 0..60u8);
    let size = prop_oneof![4 => 0..30usize, 2 => 100..2000usize, 1 => 60_000..70_000usize];
    let expiry = prop_oneof![Just(Expiry::Keep), Just(Expiry::Never), (1..100u64).prop_map(Expiry::At)];
    let change = prop_oneof![
        6 => (key.clone(), field.clone(), size.clone()).prop_map(|(key, field, size)| Change::Field { key, field, size }),
        3 => (key.clone(), any::<u8>()).prop_map(|(key, count)| Change::Fields { key, count }),
        4 => (key.clone(), field).prop_map(|(key, field)| Change::NoField { key, field }),
        2 => (key.clone(), any::<u8>()).prop_map(|(key, count)| Change::NoFields { key, count }),
        2 => (key.clone(), size.clone(), expiry).prop_map(|(key, size, expiry)| Change::Bytes { key, size, expiry }),
        2 => (key.clone(), size).prop_map(|(key, size)| Change::Append { key, size }),
        2 => key.clone().prop_map(|key| Change::Remove { key }),
        2 => (key, proptest::option::of(1..100u64)).prop_map(|(key, expiry)| Change::Expire { key, expiry }),
        1 => (1..30u64).prop_map(|millis| Change::Pass { millis }),
        2 => Just(Change::Begin),
        2 => Just(Change::Free),
    ];
    proptest::collection::vec(change, 1..120)
}

fn name(key: u8) -> Vec<u8> {
    format!("{{t}}{key}").into_bytes()
}

fn field(number: u8) -> Vec<u8> {
    if number.is_multiple_of(3) { number.to_string().into_bytes() } else { format!("field:{number}").into_bytes() }
}

fn shown(view: View<'_>) -> Held {
    match view.of::<Hash>() {
        Err(_) => {
            let string = view.string().unwrap();
            Held::Bytes(string.bytes(0..string.len()).into_owned())
        }
        Ok(hash) => {
            let (mut strings, mut place) = (Vec::<Vec<u8>>::new(), Some(Place::default()));
            while let Some(from) = place {
                place = hash.walk_for_test(from, &mut |piece| {
                    if piece.begins() {
                        strings.push(Vec::new());
                    }
                    strings.last_mut().unwrap().extend_from_slice(piece.bytes);
                });
            }
            let map: BTreeMap<_, _> = strings.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
            assert_eq!((map.len(), 2 * map.len()), (hash.len(), strings.len()));
            Held::Fields(map)
        }
    }
}

impl Hash {
    fn walk_for_test(&self, from: Place, tell: &mut dyn FnMut(Piece<'_>)) -> Option<Place> {
        Value::from(self.clone()).walk(from, Parts::Both, 1000, tell)
    }
}

struct Both {
    keyspace: Keyspace,
    keys: Keys,
    now: Millis,
    walks: Vec<(WalkId, Keys, Millis, Keys, bool)>,
}

impl Both {
    fn edit(&mut self, key: u8, change: impl Fn(&mut Hash, &Rules) -> bool, model: impl Fn(&mut BTreeMap<Vec<u8>, Vec<u8>>)) {
        let key = name(key);
        let done = self.keyspace.edit(key_slot(&key), &key, self.now, |hash: &mut Hash, rules| change(hash, rules).then_some(()));
        let (held, expiry) = self.keys.remove(&key).unwrap_or((Held::Fields(BTreeMap::new()), None));
        match held {
            Held::Bytes(_) => {
                assert_eq!(done, Err(WrongType));
                self.keys.insert(key, (held, expiry));
            }
            Held::Fields(mut fields) => {
                let before = fields.clone();
                model(&mut fields);
                assert!(done.unwrap().is_some() || before == fields);
                if !fields.is_empty() {
                    self.keys.insert(key, (Held::Fields(fields), expiry));
                }
            }
        }
    }

    fn set(&mut self, key: u8, size: usize, expiry: Expiry) {
        let key = name(key);
        self.keyspace.set_string(key_slot(&key), &key, &vec![b's'; size], expiry, self.now);
        let old = self.keys.get(&key).and_then(|(_, expiry)| *expiry);
        self.keys.insert(key, (Held::Bytes(vec![b's'; size]), expiry.after(old)));
    }

    fn append(&mut self, key: u8, size: usize) {
        let (key, more) = (name(key), vec![b'a'; size]);
        match self.keys.get_mut(&key) {
            Some((Held::Fields(_), _)) => {
                assert_eq!(self.keyspace.overwrite(key_slot(&key), &key, 0, &more.as_slice().into(), self.now), Err(WrongType));
            }
            Some((Held::Bytes(bytes), _)) => {
                assert_eq!(self.keyspace.overwrite(key_slot(&key), &key, bytes.len(), &more.as_slice().into(), self.now), Ok(()));
                bytes.extend(more);
            }
            None => {}
        }
    }

    fn apply(&mut self, change: Change) {
        let now = self.now;
        match change {
            Change::Field { key, field: number, size } => self.edit(
                key,
                |hash, rules| {
                    hash.set(&field(number), &vec![number; size], rules);
                    true
                },
                |fields| _ = fields.insert(field(number), vec![number; size]),
            ),
            Change::Fields { key, count } => self.edit(
                key,
                |hash, rules| (0..count).map(|number| hash.set(&field(number), b"7", rules)).count() > 0,
                |fields| (0..count).for_each(|number| _ = fields.insert(field(number), b"7".to_vec())),
            ),
            Change::NoField { key, field: number } => {
                self.edit(key, |hash, _| hash.remove(&field(number)), |fields| _ = fields.remove(&field(number)))
            }
            Change::NoFields { key, count } => self.edit(
                key,
                |hash, _| (0..count).filter(|number| hash.remove(&field(*number))).count() > 0,
                |fields| (0..count).for_each(|number| _ = fields.remove(&field(number))),
            ),
            Change::Bytes { key, size, expiry } => self.set(key, size, expiry),
            Change::Append { key, size } => self.append(key, size),
            Change::Remove { key } => {
                let key = name(key);
                assert_eq!(self.keyspace.remove(key_slot(&key), &key, now), self.keys.remove(&key).is_some());
            }
            Change::Expire { key, expiry } => {
                let key = name(key);
                let found = self.keys.get_mut(&key).map(|entry| entry.1 = expiry).is_some();
                assert_eq!(self.keyspace.set_expiry(key_slot(&key), &key, expiry, now), found);
            }
            Change::Pass { millis } => {
                self.now += millis;
                self.keyspace.expire_some(self.now, 5);
            }
            Change::Begin => {
                if let Some(id) = self.keyspace.begin_walk() {
                    self.walks.push((id, self.keys.clone(), now, Keys::new(), false));
                }
            }
            Change::Free => _ = self.keyspace.free_some(100),
        }
        let now = self.now;
        self.keys.retain(|_, (_, expiry)| expiry.is_none_or(|expiry| now <= expiry));
    }

    fn step(&mut self, budget: usize) {
        for (id, _, _, seen, done) in &mut self.walks {
            if !*done {
                let end = self.keyspace.step_walk(*id, budget, &mut |entry| {
                    assert!(seen.insert(entry.key.to_vec(), (shown(entry.value), entry.expiry)).is_none());
                });
                *done = end == WalkStep::Done;
            }
        }
    }

    fn agree(&mut self) {
        self.keyspace.check();
        for (key, (held, expiry)) in &self.keys {
            let entry = self.keyspace.entry(key_slot(key), key, self.now).expect("it is there");
            assert_eq!((&shown(entry.value), entry.expiry), (held, *expiry));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn hashes_among_strings_are_kept_counted_and_walked(changes in changes(), budget in 1..50_000usize) {
        let mut thresholds = Thresholds::SHIPPED;
        (thresholds.hash.entries, thresholds.hash.value) = (8, 40);
        let keyspace = Keyspace::with_thresholds(5, thresholds);
        let mut both = Both { keyspace, keys: Keys::new(), now: 0, walks: Vec::new() };
        for change in changes {
            both.apply(change);
            both.agree();
            both.step(budget);
        }
        while both.walks.iter().any(|walk| !walk.4) {
            both.step(budget);
        }
        for (id, expected, begun, mut seen, _) in std::mem::take(&mut both.walks) {
            seen.retain(|_, (_, expiry)| expiry.is_none_or(|expiry| begun <= expiry));
            prop_assert!(seen == expected);
            both.keyspace.end_walk(id);
        }
        let keys: Vec<_> = both.keys.keys().cloned().collect();
        keys.iter().for_each(|key| assert!(both.keyspace.remove(key_slot(key), key, both.now)));
        let now = both.now;
        while both.keyspace.next_expiry().is_some_and(|at| at < now) {
            both.keyspace.expire_some(now, 100);
        }
        both.keyspace.clear();
        prop_assert_eq!(both.keyspace.cost(), Keyspace::new(1).cost(), "nothing is counted that is not there");
        while !both.keyspace.free_some(1000) {}
    }
}
