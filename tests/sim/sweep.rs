//! A run from beginning to end, and many of them over a range of seeds on two threads.
//!
//! Owns: the phases of a run (safety under faults, heal, liveness, hand-over), the report of a failure. A failed run names its seed, which
//! is all that is needed to see it again.

use crate::sim::clients::Mode;
use crate::sim::network::CALM;
use crate::sim::queue::{Event, MILLI, Micros, SECOND};
use crate::sim::stats::Stats;
use crate::sim::trace::{self, note};
use crate::sim::world::World;
use std::cell::RefCell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Faults and clients at work.
pub const SAFETY: Micros = 60 * SECOND;
/// The longest that a healed cluster may take to settle: a joiner gives up after four node-timeouts, the longest being 15 s.
const LIVENESS: Micros = 150 * SECOND;
/// How often it is looked at meanwhile.
const LOOK: Micros = 100 * MILLI;
/// Seeds run side by side.
const THREADS: usize = 2;

/// A sentence that did not hold.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The run.
    pub seed: u64,
    /// Simulated time.
    pub at: Micros,
    /// What should have been true, and where.
    pub sentence: String,
}

thread_local! {
    /// The words of the last panic on this thread: [`catch_unwind`] does not say where it was.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs one seed.
pub fn run(seed: u64) -> Result<Stats, Failure> {
    let clock = Arc::new(AtomicU64::new(0));
    let mut world = World::new(seed, Arc::clone(&clock));
    let result = catch_unwind(AssertUnwindSafe(|| live(&mut world)));
    let at = clock.load(Ordering::Relaxed);
    world.stats.seconds = at / SECOND;
    result.map(|()| world.stats.clone()).map_err(|_| {
        let sentence = PANIC.take().unwrap_or_default();
        note!("FAILED: {sentence}");
        Failure { seed, at, sentence }
    })
}

/// The life of a world.
fn live(world: &mut World) {
    for index in 0..world.machines.len() {
        let late = if world.rng.one_in(6) { 25 * SECOND } else { SECOND };
        let at = world.rng.below(late);
        world.queue.push(at, Event::Start(index));
    }
    world.begin_faults();
    world.set_mode(Mode::Busy);
    world.run_until(SAFETY);
    trace::at(world.now, format_args!("heal"));
    note!("the faults are over");
    world.heal_all();
    world.set_mode(Mode::Quiet);
    settle(world);
    if world.beyond_help() == 0 {
        world.set_mode(Mode::Probe);
        settle(world);
        hand_over(world);
    }
    world.compare_states();
    world.checks.check_unexplained();
    if world.beyond_help() == 0 && world.rng.one_in(2) {
        world.suffer_clone();
        settle(world);
        world.compare_states();
    }
    if world.beyond_help() == 0 && world.rng.one_in(10) {
        world.suffer_odd_clock();
        settle(world);
        world.compare_states();
    }
    if world.beyond_help() == 0 && world.rng.one_in(4) {
        world.suffer_disaster();
        settle(world);
        assert_eq!(world.beyond_help(), 0, "whoever is left behind comes over to the recovered cluster");
        world.compare_states();
    }
}

/// In fair weather leaders are told to end.
fn hand_over(world: &mut World) {
    world.mend_disks();
    world.set_mode(Mode::Quiet);
    let weather = world.net.change_weather(CALM);
    // What is under way from before may be late: a turn that has begun waits for two syncs of a slow disk, a second each.
    world.run_until(world.now + 3 * SECOND);
    settle(world);
    world.hand_over();
    world.net.change_weather(weather);
    settle(world);
}

/// Waits until the world has settled down, clients and all.
fn settle(world: &mut World) {
    let end = world.now + LIVENESS;
    let is_probe = world.clients.mode == Mode::Probe;
    let is_recovery = matches!(world.clients.mode, Mode::Recover(_));
    loop {
        world.run_until(world.now + LOOK);
        let behind = || (is_recovery && world.beyond_help() > 0).then(|| "whoever is left behind comes over".to_owned());
        let unsettled =
            world.unsettled().or_else(behind).or_else(|| (!world.clients.all_idle()).then(|| "no client waits for an answer".to_owned()));
        let unsettled =
            unsettled.or_else(|| (is_probe && !world.clients.all_satisfied()).then(|| "what clients ask for once more is done".to_owned()));
        match unsettled {
            None => break,
            Some(sentence) => assert!(world.now < end, "within {} s after the faults: {sentence}", LIVENESS / SECOND),
        }
    }
    world.stats.settled += 1;
    world.stats.beyond_help = world.beyond_help();
}

/// Runs a seed with its trace.
pub fn run_traced(seed: u64) -> (Result<Stats, Failure>, String) {
    trace::begin();
    let result = run(seed);
    (result, trace::end())
}

/// Says what panicked where, to the run and not to the terminal.
pub fn catch_panics() {
    std::panic::set_hook(Box::new(|info| PANIC.set(Some(info.to_string().replace('\n', " ")))));
}

/// What a sweep of many seeds found.
pub struct Found {
    /// What was seen in all runs.
    pub stats: Stats,
    /// The failure with the lowest seed.
    pub failure: Option<Failure>,
}

/// Runs seeds in order until the end of the range or the first failure, which is the same however the threads race.
pub fn sweep(seeds: Range<u64>) -> Found {
    let next = AtomicU64::new(seeds.start);
    let end = AtomicU64::new(seeds.end);
    let found = Mutex::new(Found { stats: Stats::default(), failure: None });
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end.load(Ordering::Relaxed) {
            break;
        }
        let result = run(seed);
        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(stats) => found.stats.add(&stats),
            Err(failure) => {
                end.fetch_min(seed, Ordering::Relaxed);
                if found.failure.as_ref().is_none_or(|known| failure.seed < known.seed) {
                    found.failure = Some(failure);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(work);
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}
