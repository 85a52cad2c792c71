//! Power cuts and disk errors at every operation of every step.

use crate::model::{Model, Step};
use crate::{FILE, founded, load, open, persist};
use pontoon::rng::Rng;
use pontoon::store::memory::{Fault, SECTOR};
use pontoon::store::{Loaded, MemoryDisk, Store};
use std::path::Path;

/// A step's two sides: what was acknowledged before it, and what it was writing.
struct Sides<'a> {
    before: &'a Model,
    after: &'a Model,
}

impl Sides<'_> {
    /// Everything acknowledged before, or the new state, or for an append anything between.
    fn hold(&self, loaded: &Loaded, what: &str) {
        let last = loaded.log.last_index();
        let old = last == self.before.last() && self.before.is(loaded, last);
        let new = last == self.after.last() && self.after.is(loaded, last);
        let appended = last >= self.before.last() && self.after.is(loaded, last) && self.before.hard == self.after.hard;
        assert!(old || new || appended, "{what}: loaded up to {last}, {} before, {} after", self.before.last(), self.after.last());
    }
}

/// How often each kind of step came up.
fn steps(seed: u64, count: usize, mut visit: impl FnMut(&MemoryDisk, &Model, &Model, Step, bool, &mut Rng)) {
    let mut rng = Rng::new(seed);
    let (disk, mut store, mut model) = founded(&mut rng);
    for _ in 0..count {
        let before = model.clone();
        let step = model.step(&mut rng);
        let full = step == Step::Apply || rng.one_in(10);
        visit(&disk, &before, &model, step, full, &mut rng);
        persist(&mut store, &disk, &model, full).unwrap();
        if rng.one_in(4) {
            store.idle_synced().unwrap();
        }
    }
}

/// The same disk with a store on it that has written what `before` says.
fn forked(disk: &MemoryDisk, before: &Model) -> (MemoryDisk, Store<MemoryDisk>) {
    let disk = disk.fork();
    let mut store = open(&disk).unwrap().0;
    store.persist(&before.image(), true).unwrap();
    (disk, store)
}

#[test]
fn a_power_cut_in_any_operation_leaves_the_old_state_or_the_new() {
    for seed in 0..2 {
        steps(seed, 40, |disk, before, after, step, full, rng| {
            for nth in 1..20 {
                let (disk, mut store) = forked(disk, before);
                disk.inject(nth, Fault::Die);
                if store.persist(&after.image(), full).is_ok() {
                    break;
                }
                for draw in 0..12 {
                    let disk = disk.fork();
                    disk.crash(rng);
                    let loaded = load(&disk).expect("the file is there");
                    Sides { before, after }.hold(&loaded, &format!("seed {seed}, {step:?}, operation {nth}, draw {draw}"));
                }
            }
        });
    }
}

#[test]
fn a_failing_operation_ends_the_store_and_promises_nothing() {
    steps(7, 30, |disk, before, after, step, full, rng| {
        for nth in 1..20 {
            let (disk, mut store) = forked(disk, before);
            disk.inject(nth, Fault::Fail);
            let durable = store.last_persisted();
            if store.persist(&after.image(), full).is_ok() {
                break;
            }
            assert_eq!(store.last_persisted(), durable, "{step:?}: promised what failed");
            let operations = disk.operations();
            assert!(store.persist(&after.image(), true).is_err() && store.idle_synced().is_err() == store.needs_synced_line());
            assert_eq!(disk.operations(), operations, "{step:?}: something was tried again");
            let cut = disk.fork();
            cut.crash(rng);
            Sides { before, after }.hold(&load(&cut).unwrap(), "after a failure and a power cut");
            disk.kill();
            Sides { before, after }.hold(&load(&disk).unwrap(), "after a failure and a restart");
        }
    });
}

#[test]
fn a_short_write_is_continued() {
    steps(8, 20, |disk, before, after, _, full, _| {
        for (nth, limit) in (1..4).flat_map(|nth| [1, 5, 511].map(|limit| (nth, limit))) {
            let (disk, mut store) = forked(disk, before);
            for more in 0..5 {
                disk.inject(nth + more, Fault::Short(limit));
            }
            persist(&mut store, &disk, after, full).unwrap();
        }
    });
}

#[test]
fn a_life_of_crashes_loses_nothing_that_was_acknowledged() {
    let mut torn = 0;
    for seed in 100..140 {
        let mut rng = Rng::new(seed);
        let (disk, mut store, mut model) = founded(&mut rng);
        for _ in 0..60 {
            let mut before = model.clone();
            let step = model.step(&mut rng);
            if rng.one_in(8) {
                disk.inject(1 + rng.below(8), Fault::Die);
            }
            let acknowledged = persist(&mut store, &disk, &model, step == Step::Apply).is_ok();
            if acknowledged {
                before = model.clone();
            }
            let alive = acknowledged && (rng.one_in(3) || store.idle_synced().is_ok());
            if alive && !rng.one_in(20) {
                continue;
            }
            torn += disk.crash(&mut rng).torn_files;
            let (next, loaded) = open(&disk).expect("no crash makes a file that is refused");
            let loaded = loaded.expect("the file is there");
            Sides { before: &before, after: &model }.hold(&loaded, &format!("seed {seed}"));
            if before.is(&loaded, loaded.log.last_index()) {
                model = before;
            }
            model.restart(&loaded);
            store = next;
            persist(&mut store, &disk, &model, false).unwrap();
        }
    }
    assert!(torn > 50, "only {torn} torn files");
}

/// What a crash can leave of an append: the old bytes, and of the new ones any sectors, in a file of any length that has been asked for.
fn with_sectors(old: &[u8], new: &[u8], length: usize, kept: impl Fn(usize) -> bool) -> Vec<u8> {
    let mut bytes = old.to_vec();
    bytes.resize(length, 0);
    for (place, start) in sectors(old, new).enumerate().filter(|(place, _)| kept(*place)) {
        let _ = place;
        let (start, end) = (start.min(length), (start + SECTOR).min(length));
        bytes[start..end].copy_from_slice(&new[start..end]);
    }
    bytes
}

/// Where the sectors begin that an append touches.
fn sectors(old: &[u8], new: &[u8]) -> impl Iterator<Item = usize> + Clone {
    (old.len() / SECTOR * SECTOR..new.len()).step_by(SECTOR)
}

/// Every subset of up to 8 sectors, 1,000 drawn ones beyond, each at full length and cut after its last sector.
fn torn_appends(old: &[u8], new: &[u8], rng: &mut Rng, mut visit: impl FnMut(Vec<u8>)) {
    let count = sectors(old, new).count();
    let subsets: Vec<u64> = if count <= 8 {
        (0..1 << count).collect()
    } else {
        (0..1000).map(|_| rng.next_u64() & rng.next_u64().rotate_left(rng.below(64) as u32) | rng.next_u64() << 60).collect()
    };
    for subset in subsets {
        let kept = |place: usize| subset >> (place % 64) & 1 == 1;
        let after_last = sectors(old, new).enumerate().filter(|(place, _)| kept(*place)).map(|(_, start)| start + SECTOR).last();
        visit(with_sectors(old, new, new.len(), kept));
        visit(with_sectors(old, new, after_last.unwrap_or(0).clamp(old.len(), new.len()), kept));
    }
}

/// Loads a file of these bytes, which must be one that a crash can leave.
fn load_bytes(bytes: Vec<u8>) -> Loaded {
    load(&MemoryDisk::with_file(FILE, bytes)).expect("the file is there")
}

/// Walks over every append and every idle `synced` line of a life: calls with the model before and after it, and the file's bytes before
/// and after.
fn appends(seed: u64, entries: u64, mut visit: impl FnMut(&Sides<'_>, &[u8], &[u8], &mut Rng)) {
    let mut rng = Rng::new(seed);
    let (disk, mut store, mut model) = founded(&mut rng);
    let bytes = || disk.durable(Path::new(FILE)).unwrap();
    for _ in 0..4 {
        let (before, old) = (model.clone(), bytes());
        (0..=rng.below(entries)).for_each(|_| model.push_any(&mut rng));
        persist(&mut store, &disk, &model, false).unwrap();
        let new = bytes();
        assert!(new.starts_with(&old), "an append changes nothing before it");
        visit(&Sides { before: &before, after: &model }, &old, &new, &mut rng);
        store.idle_synced().unwrap();
        visit(&Sides { before: &model, after: &model }, &new, &bytes(), &mut rng);
    }
}

#[test]
fn every_prefix_of_every_append_loads() {
    for seed in 0..2 {
        appends(seed, 8, |sides, old, new, _| {
            for length in old.len()..=new.len() {
                sides.hold(&load_bytes(new[..length].to_vec()), &format!("seed {seed}, {length} of {}..{}", old.len(), new.len()));
            }
        });
    }
}

#[test]
fn every_subset_of_an_appends_sectors_loads() {
    for (seed, entries) in [(0, 3), (1, 8), (2, 12), (3, 20)] {
        appends(seed, entries, |sides, old, new, rng| {
            torn_appends(old, new, rng, |bytes| sides.hold(&load_bytes(bytes), &format!("seed {seed}")));
        });
    }
}

#[test]
fn whatever_is_left_of_a_rewrites_temporary_file_is_of_no_account() {
    let mut rng = Rng::new(5);
    let (disk, mut store, before) = founded(&mut rng);
    let old = disk.durable(Path::new(FILE)).unwrap();
    let mut after = before.clone();
    (0..10).for_each(|_| after.push_any(&mut rng));
    store.persist(&after.image(), true).unwrap();
    let new = disk.durable(Path::new(FILE)).unwrap();
    let mut leave = |temporary: Vec<u8>| {
        let disk = MemoryDisk::with_file(FILE, old.clone());
        disk.put(format!("{FILE}.tmp"), temporary);
        let (mut store, loaded) = open(&disk).unwrap();
        assert!(before.is(&loaded.unwrap(), before.last()));
        persist(&mut store, &disk, &after, false).unwrap();
    };
    (0..new.len()).step_by(7).for_each(|length| leave(new[..length].to_vec()));
    torn_appends(&[], &new, &mut rng, &mut leave);
}
