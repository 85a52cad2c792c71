//! What a million small keys cost in resident memory (docs/architecture.md, "Keyspace"). A binary of its own: nothing else may allocate.

use pontoon::keyspace::{Expiry, Keyspace, key_slot};

const KEYS: usize = 1_000_000;
const LIMIT_BYTES: usize = 58_000_000;

/// Resident memory of this process in bytes, from Linux.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has /proc/self/statm");
    let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("the second field is a number");
    pages * 4096
}

fn fill(keyspace: &mut Keyspace, tag: &str) {
    for number in 0..KEYS {
        let key = format!("{tag}{number:0width$}", width = 16 - tag.len());
        let value = format!("{number:016}");
        keyspace.set_string(key_slot(key.as_bytes()), key.as_bytes(), value.as_bytes(), Expiry::Never, 0);
    }
}

#[test]
fn a_million_keys_of_16_and_16_bytes_stay_below_58_mb() {
    for tag in ["key:", "{t}:"] {
        let mut keyspace = Keyspace::new(1);
        fill(&mut keyspace, tag);
        assert_eq!(keyspace.len(), KEYS);
        let resident = resident_bytes();
        println!("{KEYS} keys `{tag}...`: {:.1} MB resident", resident as f64 / 1e6);
        assert!(resident <= LIMIT_BYTES, "{resident} bytes");
        keyspace.clear();
        while !keyspace.free_some(10_000) {}
    }
}
