//! Ports for nodes: a client port and, 10000 above it, a bus port, both free and ours alone.
//!
//! Owns: a lock file per port pair, so that other tests on this machine leave it alone even while the node is down.
//! Both ranges lie below the one that Linux gives to outgoing connections, so no connection can take a port either.

use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

// Neither these nor those 10000 above are those of scripts/.
const FIRST: u16 = 12_200;
const COUNT: u16 = 7_800;
const BUS_OFFSET: u16 = 10_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A pair of ports that is reserved while this lives.
pub struct Port {
    pub number: u16,
    _lock: File,
}

impl Port {
    pub fn reserve() -> Self {
        let dir = std::env::temp_dir().join("pontoon-test-ports");
        std::fs::create_dir_all(&dir).expect("the directory of port locks can be made");
        // Test processes begin at different places; the lock decides.
        let begin = (std::process::id() % u32::from(COUNT / 7)) as u16 * 7;
        for _ in 0..COUNT {
            let number = FIRST + (begin + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT;
            let path = dir.join(number.to_string());
            let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path).expect("a port lock can be opened");
            if lock.try_lock().is_ok() && is_free(number) && is_free(number + BUS_OFFSET) {
                return Self { number, _lock: lock };
            }
        }
        panic!("no two free ports 10000 apart");
    }

    pub fn bus(&self) -> u16 {
        self.number + BUS_OFFSET
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}
