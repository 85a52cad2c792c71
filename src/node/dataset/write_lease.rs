//! The write lease at the node: whether clients are served now, and whether what they were told may still leave.
//!
//! Owns: the end of the lease as this turn knows it, and its lapses. Must not: grant anything (raft does), or decide which requests need a
//! lease (commands does). Contract: docs/protocol.md, "The write lease".

use crate::node::dataset::Dataset;
use crate::node::metadata::Metadata;
use crate::node::view::View;
use crate::types::{LeaseNumber, Millis};

/// The lease of this process.
#[derive(Default)]
pub(in crate::node) struct Lease {
    /// When it ends (mono ms), as of the last [`Lease::renew`].
    end: Millis,
    /// It had not ended then.
    held: bool,
    /// How often it has lapsed: what was done before a lapse is not told after it, whatever was granted since.
    number: LeaseNumber,
}

impl Lease {
    /// What it is called, while it is held.
    pub fn at(&self, now: Millis) -> Option<LeaseNumber> {
        (now < self.end).then_some(self.number)
    }

    /// How often it has lapsed.
    pub fn lapses(&self) -> LeaseNumber {
        self.number
    }

    /// Takes its end as it is known now; it has lapsed if that has passed, or if the one that was known has passed meanwhile. True if it is
    /// held now and was not, or the other way round.
    fn renew(&mut self, end: Millis, now: Millis) -> bool {
        let before = self.held;
        if before && now >= self.end.min(end) {
            self.number += 1;
        }
        self.end = end;
        self.held = now < end;
        self.held != before
    }
}

impl Dataset {
    /// Takes over what Raft knows of the lease.
    pub fn renew_lease(&mut self, metadata: &Metadata, view: &View) {
        let changed = self.lease.renew(metadata.raft.lease_end(), view.now.mono);
        if changed && metadata.state.slot_count_of(&metadata.me) > 0 {
            match self.lease.held {
                true => log::info!("This node has a write lease and serves its slots"),
                false => log::warn!("The write lease has run out: this node does not serve its slots until the leader grants another"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::net::Net;
    use crate::node::{Accepted, Port};
    use crate::types::Now;

    #[test]
    fn what_was_held_over_a_lapse_is_served_under_the_next_lease() {
        let mut net = Net::of(1);
        net.until("a cluster of one", |net| net.nodes[0].metadata.state.member_count() == 1);
        assert_eq!(net.ask(0, "CLUSTER ADDSLOTSRANGE 0 16383"), "+OK\r\n");
        assert_eq!(net.ask(0, "CLIENT PAUSE 100 WRITE"), "+OK\r\n");
        let place = "10.0.0.9:9".parse().unwrap();
        let Accepted::Session(conn) = net.nodes[0].accepted(Port::Client, place, place) else { panic!("there is room") };
        net.give(0, conn, b"SET k 1\r\n");
        net.step();
        assert!(net.nodes[0].dataset.lease.renew(0, net.now.mono), "it runs out");
        net.until("the end of the pause", |net| net.nodes[0].out.clients.pauses.held.is_empty());
        net.step();
        assert_eq!(net.transmit(0, conn).as_slice(), b"+OK\r\n");
    }

    /// The process stood still between the turn and what it says \[N9 lease-at-reply\].
    #[test]
    fn what_was_done_under_a_lease_is_not_told_after_it() {
        let mut net = Net::of(1);
        net.until("a cluster of one", |net| net.nodes[0].metadata.state.member_count() == 1);
        assert_eq!(net.ask(0, "CLUSTER ADDSLOTSRANGE 0 16383"), "+OK\r\n");
        let (writer, other) = (net.say(0, "SET k 1"), net.say(0, "PING"));
        let now = net.now;
        let turned = net.nodes[0].turn(&mut || now).unwrap();
        net.nodes[0].dataset.lease.renew(now.mono + 100, now.mono);
        let late = Now { mono: now.mono + 100, ..now };
        assert!(net.nodes[0].transmit_buffer(&turned, writer, late).is_none());
        assert!(net.nodes[0].transmit_buffer(&turned, other, late).is_some_and(|answer| answer.as_slice() == b"+PONG\r\n"));
    }

    #[test]
    fn a_lease_that_is_extended_in_time_keeps_its_number() {
        let mut lease = Lease::default();
        assert_eq!(lease.at(0), None);
        assert!(lease.renew(100, 10));
        assert!(!lease.renew(200, 99));
        assert_eq!((lease.at(150), lease.at(200)), (Some(0), None));
    }

    #[test]
    fn one_that_lapsed_unseen_is_another_afterwards() {
        let mut lease = Lease::default();
        lease.renew(100, 10);
        assert!(!lease.renew(300, 100));
        assert_eq!(lease.at(150), Some(1));
        assert!(lease.renew(300, 400) && !lease.renew(300, 500));
        assert_eq!(lease.at(299), Some(2), "one lapse counts once");
        lease.renew(Millis::MAX, 600);
        assert!(lease.renew(500, 700), "it voted alone, and others have come");
        assert_eq!(lease.at(499), Some(3));
    }
}
