//! Whole nodes on a simulated network, disk and clock: docs/testing.md, "Simulation".
//!
//! `SIM_SEEDS=a..b` sweeps another range (b excluded), `SIM_SEED=n` replays one seed, `SIM_TRACE=file` writes its trace.

mod sim;

use sim::sweep::{Failure, catch_panics, run, run_traced, sweep};
use std::ops::Range;

/// Swept with optimisation, in the profile `sim`.
const SEEDS: Range<u64> = 0..2_000;
/// Swept without: each seed takes many times as long.
const FEW_SEEDS: Range<u64> = 0..60;
/// From so many seeds on every kind of fault must have been seen.
const ENOUGH: u64 = 200;

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn report(failure: &Failure) -> String {
    let Failure { seed, at, sentence } = failure;
    format!(
        "seed {seed} fails at {}.{:06} s: {sentence}\n\
         replay: SIM_SEED={seed} SIM_TRACE=trace.txt cargo test --profile sim --test simulation a_range_of_seeds",
        at / 1_000_000,
        at % 1_000_000
    )
}

/// The range that was asked for, or the usual one of this profile.
fn range() -> Range<u64> {
    let number =
        |text: &str| text.trim().parse::<u64>().unwrap_or_else(|_| panic!("SIM_SEEDS is a..b, and SIM_SEED a number, not {text:?}"));
    if let Some(text) = variable("SIM_SEEDS") {
        let (first, last) = text.split_once("..").unwrap_or_else(|| panic!("SIM_SEEDS is a..b, not {text:?}"));
        return number(first)..number(last);
    }
    if let Some(seed) = variable("SIM_SEED") {
        let seed = number(&seed);
        return seed..seed + 1;
    }
    let unoptimised = std::env::current_exe().is_ok_and(|path| path.components().any(|part| part.as_os_str() == "debug"));
    if unoptimised { FEW_SEEDS } else { SEEDS }
}

#[test]
fn a_range_of_seeds() {
    catch_panics();
    let seeds = range();
    if let Some(file) = variable("SIM_TRACE") {
        let (result, trace) = run_traced(seeds.start);
        std::fs::write(&file, trace).unwrap_or_else(|error| panic!("writing {file}: {error}"));
        let _ = std::panic::take_hook();
        let stats = result.unwrap_or_else(|failure| panic!("{}", report(&failure)));
        return println!("seed {} holds\n{stats}", seeds.start);
    }
    let count = seeds.end.saturating_sub(seeds.start);
    let found = sweep(seeds);
    let _ = std::panic::take_hook();
    if let Some(failure) = found.failure {
        panic!("{}", report(&failure));
    }
    println!("{count} seeds hold; seen in them:\n{}", found.stats);
    let missing = if count < ENOUGH { Vec::new() } else { found.stats.missing() };
    assert!(missing.is_empty(), "a sweep that never saw these proves nothing about them: {missing:?}");
}

#[test]
fn a_seed_is_a_run_byte_for_byte() {
    catch_panics();
    let (first, trace) = run_traced(7);
    let (second, again) = run_traced(7);
    assert!(trace == again, "two runs of a seed give the same trace");
    assert_eq!(first.map_err(|failure| failure.sentence), second.map_err(|failure| failure.sentence));
    let untraced = run(7);
    assert!(untraced.is_ok(), "a trace is that of a whole run");
    assert!(trace.lines().count() > 1_000, "a trace tells what happened");
}
