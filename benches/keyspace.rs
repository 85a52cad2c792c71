//! Times of the keyspace: throughput, and the longest single call while one slot grows to five million keys and shrinks again.
//! `cargo bench --bench keyspace`

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use pontoon::keyspace::{Expiry, Keyspace, key_slot};
use pontoon::types::Slot;
use std::time::{Duration, Instant};

const KEYS: u32 = 5_000_000;

fn main() {
    for (name, tag) in [("one slot", "{tag}:"), ("all slots", "key:")] {
        println!("{KEYS} keys, {name}");
        let mut keyspace = Keyspace::new(1);
        measure("set", tag, |slot, key| keyspace.set_string(slot, key, b"value of 16 byte", Expiry::Never, 0));
        measure("get", tag, |slot, key| assert!(keyspace.get(slot, key, 0).is_some()));
        measure("expire", tag, |slot, key| assert!(keyspace.set_expiry(slot, key, Some(1), 0)));
        scan(&keyspace);
        sweep(&mut keyspace);
        measure("set", tag, |slot, key| keyspace.set_string(slot, key, b"value of 16 byte", Expiry::Never, 0));
        measure("remove", tag, |slot, key| assert!(keyspace.remove(slot, key, 0)));
    }
}

/// Runs a call for every key; the keys are made outside of the measured time.
fn measure(name: &str, tag: &str, mut call: impl FnMut(Slot, &[u8])) {
    let (mut total, mut longest) = (Duration::ZERO, Duration::ZERO);
    for number in 0..KEYS {
        let key = format!("{tag}{number:010}");
        let slot = key_slot(key.as_bytes());
        let start = Instant::now();
        call(slot, key.as_bytes());
        let took = start.elapsed();
        total += took;
        longest = longest.max(took);
    }
    println!("  {name:<7} {:>5} ns each, longest {longest:?}", total.as_nanos() / u128::from(KEYS));
}

fn scan(keyspace: &Keyspace) {
    let (mut cursor, mut visited, mut longest) = (0, 0, Duration::ZERO);
    let start = Instant::now();
    loop {
        let step = Instant::now();
        cursor = keyspace.scan(cursor, 10, &mut |_| visited += 1);
        longest = longest.max(step.elapsed());
        if cursor == 0 {
            break;
        }
    }
    println!("  scan    {visited} keys in {:?}, longest step {longest:?}", start.elapsed());
}

fn sweep(keyspace: &mut Keyspace) {
    let (mut slices, mut longest) = (0, Duration::ZERO);
    let start = Instant::now();
    while !keyspace.is_empty() {
        let slice = Instant::now();
        keyspace.expire_some(10, 1000);
        longest = longest.max(slice.elapsed());
        slices += 1;
    }
    println!("  sweep   in {:?}, {slices} slices of 1000, longest {longest:?}", start.elapsed());
}
