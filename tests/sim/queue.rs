//! What happens when: simulated time and the queue of events.
//!
//! Owns: the order of events. Two events of one instant come in the order in which they were pushed, so a run is a function of its seed.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::net::IpAddr;

/// Simulated time in microseconds since the run began; also a duration.
pub type Micros = u64;

/// A millisecond in [`Micros`].
pub const MILLI: Micros = 1_000;
/// A second in [`Micros`].
pub const SECOND: Micros = 1_000_000;

/// Something that happens at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A machine has input, or its process' next deadline passed.
    Machine(usize),
    /// A turn is done: what it has to say leaves.
    Flush(usize),
    /// A client has input, or wants to do something.
    Client(usize),
    /// The first packet of a connection reaches the other side.
    Dial(usize),
    /// The next fault is due.
    Fault,
    /// A machine without power gets it back; no process runs on it yet.
    Boot(usize),
    /// A process that is down starts.
    Start(usize),
    /// A paused process goes on; the number tells this pause from a later one.
    Resume(usize, u64),
    /// A cut ends, if it is still there.
    Heal(usize),
    /// A cut begins, if it still may.
    Cut(usize),
    /// An address that another host has had comes back.
    Homecoming(IpAddr),
    /// Every clock runs as the others again, if clocks are at fault still.
    EndOddRate,
    /// A shutdown of this machine's process is called off.
    CallOff(usize),
    /// Most disks become slow for good.
    SlowDisks,
    /// A stranger speaks, if it is let in.
    Stranger(usize),
    /// The end of a phase.
    Nothing,
}

struct Scheduled {
    at: Micros,
    order: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    /// The heap gives the greatest first: the earliest is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// Events in the order of their time.
#[derive(Default)]
pub struct Queue {
    heap: BinaryHeap<Scheduled>,
    pushed: u64,
}

impl Queue {
    /// Notes an event.
    pub fn push(&mut self, at: Micros, event: Event) {
        self.pushed += 1;
        self.heap.push(Scheduled { at, order: self.pushed, event });
    }

    /// The earliest event, taken off.
    pub fn pop(&mut self) -> Option<(Micros, Event)> {
        self.heap.pop().map(|next| (next.at, next.event))
    }
}
