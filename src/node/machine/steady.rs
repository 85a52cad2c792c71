//! A clock that only goes forward, whatever the readings of the system's do \[N66 clock-set-back\].
//!
//! Owns: the time that this node goes by, and what happens when a reading is earlier than one before it. Must not: read a clock.
//! Contract: docs/protocol.md, "Clock".

use crate::types::{Millis, Now};

/// A reading that is earlier by no more than this (ms) is taken for the latest one: two cores may differ by a hair.
const TOLERATED: Millis = 1;

/// The time since some moment, never less than the readings tell.
#[derive(Clone, Copy, Debug)]
pub(in crate::node) struct Steady {
    /// The latest time that was told.
    latest: Millis,
    /// What readings are behind by now: the sum of what they went back by.
    behind: Millis,
}

impl Steady {
    /// Goes by the readings as they are, until one goes back.
    pub fn new(now: Now) -> Self {
        Self { latest: now.mono, behind: 0 }
    }

    /// The time at this reading, and by how much the clock went back with it (0: it did not). How long that took nobody knows: the time
    /// stands still for it.
    pub fn read(&mut self, reading: Now) -> (Now, Millis) {
        let mono = reading.mono.saturating_add(self.behind);
        let back = self.latest.saturating_sub(mono);
        self.latest = self.latest.max(mono);
        let back = if back > TOLERATED { back } else { 0 };
        self.behind = self.behind.saturating_add(back);
        (Now { mono: self.latest, ..reading }, back)
    }

    /// The time at this reading, if it does not go back.
    pub fn would_read(mut self, reading: Now) -> Option<Now> {
        let (now, back) = self.read(reading);
        (back == 0).then_some(now)
    }

    /// What the system's clock shows at this time.
    pub fn reading_at(&self, time: Millis) -> Millis {
        time.saturating_sub(self.behind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Port;
    use crate::node::net::Net;
    use crate::types::Slot;

    fn at(mono: Millis) -> Now {
        Now { mono, wall: 7 }
    }

    #[test]
    fn time_stands_still_where_the_clock_goes_back_and_goes_on_from_there() {
        let mut steady = Steady::new(at(5000));
        assert_eq!(steady.read(at(5100)), (at(5100), 0));
        assert_eq!(steady.read(at(5099)), (at(5100), 0), "by a hair");
        assert_eq!((steady.would_read(at(1100)), steady.would_read(at(5200))), (None, Some(at(5200))));
        assert_eq!(steady.read(at(1100)), (at(5100), 4000));
        assert_eq!((steady.read(at(1150)), steady.reading_at(5200)), ((at(5150), 0), 1200));
        assert_eq!(steady.read(at(150)), (at(5150), 1000), "and again");
        assert_eq!(steady.read(at(160)), (at(5160), 0));
    }

    /// Three vote; node 0 owns all slots, and node 2, which replicates it, leads.
    fn net() -> Net {
        let mut net = Net::with_a_leading_replica();
        net.until("a lease", serves);
        net
    }

    /// Node 0 would acknowledge a write.
    fn serves(net: &Net) -> bool {
        let slot = Slot::new(7).unwrap();
        net.nodes[0].accepts_writes(slot, net.clock(0))
    }

    fn back_by(net: &mut Net, node: usize, by: Millis) {
        let shown = net.clock(node).mono - by;
        net.set_clock(node, shown);
    }

    #[test]
    fn a_leader_whose_clock_goes_back_steps_down_and_follows() {
        let mut net = net();
        let term = net.nodes[2].metadata.raft.term();
        [0, 1].into_iter().for_each(|other| net.hold(other, 2, Port::Bus));
        back_by(&mut net, 2, 3_600_000);
        net.until("it to step down by itself", |net| !net.nodes[2].metadata.raft.is_leader());
        [0, 1].into_iter().for_each(|other| net.release(other, 2, Port::Bus));
        net.until("all to follow one leader", |net| {
            net.nodes.iter().all(|node| {
                node.metadata.raft.term() > term
                    && node.metadata.raft.leader().is_some()
                    && node.metadata.raft.leader() == net.nodes[0].metadata.raft.leader()
            })
        });
        net.until("its primary to serve", serves);
        // Its timers run on by the clock as it is now.
        let now = net.clock(2).mono;
        assert!(net.nodes[2].deadline() <= now + 1000, "it sleeps for {} ms", net.nodes[2].deadline() - now);
    }

    #[test]
    fn a_primary_whose_clock_goes_back_has_no_lease_until_it_is_granted_another() {
        let mut net = net();
        let lapses = net.nodes[0].dataset.lease.lapses();
        [1, 2].into_iter().for_each(|other| net.hold(other, 0, Port::Bus));
        back_by(&mut net, 0, 500);
        assert!(!serves(&net));
        net.say(0, "PING");
        net.until("it to notice", |net| net.nodes[0].dataset.lease.lapses() == lapses + 1);
        assert!(net.nodes[0].machine.steady.behind > 400);
        // A grant for what it had said before does not count.
        [1, 2].into_iter().for_each(|other| net.release(other, 0, Port::Bus));
        net.step();
        assert!(!serves(&net));
        net.until("another lease", serves);
    }

    /// Between the turn and what it says.
    #[test]
    fn a_reply_does_not_leave_once_the_clock_has_gone_back() {
        let mut net = net();
        let (writer, other) = (net.say(0, "SET k 1"), net.say(0, "PING"));
        let now = net.clock(0);
        let turned = net.nodes[0].turn(&mut || now).unwrap();
        let earlier = Now { mono: now.mono - 100, ..now };
        assert!(net.nodes[0].transmit_buffer(&turned, writer, earlier).is_none());
        assert!(net.nodes[0].transmit_buffer(&turned, other, earlier).is_some_and(|answer| answer.as_slice() == b"+PONG\r\n"));
    }
}
