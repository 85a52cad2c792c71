//! Clocks that do not run as the others': what a leader says of them, and that it does not lead on by one.
//!
//! Owns: what was said, on either side. Must not: measure anything, or withhold a lease (raft does). Contract: docs/protocol.md, "Clock
//! rates".

use crate::node::metadata::Metadata;
use crate::node::view::{Effects, View};
use crate::raft::Rate;
use crate::types::{Millis, NodeId};
use crate::wire::bus::Frame;
use std::collections::BTreeMap;

/// A node that gets no lease because of its clock is told so this often (ms), and takes it to be so for three times as long.
const TOLD_EVERY: Millis = 10_000;

/// What is known and was said of clocks.
#[derive(Debug, Default)]
pub(in crate::node) struct Clocks {
    /// By a leader: of whose clock it has said that it is off, its own included.
    said: BTreeMap<NodeId, Rate>,
    /// When it tells them next (mono ms).
    tell_at: Millis,
    /// When a leader has told this node last that its clock is off (mono ms).
    told_at: Option<Millis>,
}

impl Clocks {
    /// Whether this node gets no lease because of its clock, as it was told.
    pub fn withheld(&self) -> bool {
        self.told_at.is_some()
    }
}

/// As people say it.
fn difference(slow: bool, millionths: u64) -> String {
    let (whole, tenths) = (millionths / 10_000, millionths / 1_000 % 10);
    format!("{whole}.{tenths} % {}", if slow { "slower" } else { "faster" })
}

impl Metadata {
    /// Cron.
    pub fn tend_clocks(&mut self, view: &View, out: &mut Effects) {
        let now = view.now.mono;
        if self.clocks.told_at.take_if(|at| *at + 3 * TOLD_EVERY < now).is_some() {
            log::info!("The leader does not say any more that this node's clock is off");
            self.raft.set_clock_off(false);
        }
        if !self.raft.is_leader() {
            return self.clocks.said.clear();
        }
        let off: BTreeMap<NodeId, Rate> = self.clocks_that_are_off().collect();
        for (id, rate) in off.iter().filter(|(id, rate)| self.clocks.said.get(id) != Some(rate)) {
            self.say_clock_off(id, *rate);
        }
        for id in self.clocks.said.keys().filter(|id| !off.contains_key(id)) {
            log::info!("The clock of {} runs as the others' again", self.state.named(id));
        }
        self.clocks.said = off;
        if self.clocks.tell_at <= now {
            self.clocks.tell_at = now + TOLD_EVERY;
            self.tell_clocks_off(out);
        }
        if self.raft.clock_rate(&self.me).0 == Rate::Alone {
            self.hand_over(None, view);
        }
    }

    fn clocks_that_are_off(&self) -> impl Iterator<Item = (NodeId, Rate)> {
        let all = self.raft.followers().map(|(id, _)| *id).chain([self.me]);
        all.map(|id| (id, self.raft.clock_rate(&id).0)).filter(|(_, rate)| matches!(rate, Rate::Alone | Rate::Disputed))
    }

    fn say_clock_off(&self, id: &NodeId, rate: Rate) {
        let faster = self.raft.clock_rate(id).1.unwrap_or(0);
        let difference = difference(faster < 0, faster.unsigned_abs());
        match rate {
            Rate::Alone if *id == self.me => {
                log::error!("This node's clock does not run as the others': it grants no write lease, and hands the leadership over");
            }
            Rate::Alone => {
                log::error!(
                    "The clock of {} runs {difference} than most: it is granted no write lease until they agree again",
                    self.state.named(id)
                );
            }
            _ if self.raft.withholds_for_clock(id) => log::error!(
                "The clock of {} runs {difference} than this leader's, and no majority tells which is right: it is granted no write lease",
                self.state.named(id)
            ),
            _ => log::error!(
                "The clock of {} runs {difference} than this leader's, and no majority tells which is right",
                self.state.named(id)
            ),
        }
    }

    fn tell_clocks_off(&mut self, out: &mut Effects) {
        let withheld = self.clocks.said.keys().filter(|id| **id != self.me && self.raft.withholds_for_clock(id));
        let told: Vec<_> = withheld.filter_map(|id| Some((self.links.up(id)?, self.raft.clock_rate(id).1.unwrap_or(0)))).collect();
        for (conn, faster) in told {
            out.io.outbox.push(conn, Frame::ClockOff { slow: faster < 0, millionths: faster.unsigned_abs() });
        }
    }

    /// CLOCK_OFF. The lease is the leader's to give; what is asked of this node is not to lead by such a clock.
    pub fn receive_clock_off(&mut self, from: &NodeId, slow: bool, millionths: u64, view: &View) {
        if self.raft.leader() != Some(*from) {
            return;
        }
        self.raft.set_clock_off(true);
        if self.clocks.told_at.replace(view.now.mono).is_none() {
            let difference = difference(slow, millionths);
            log::error!(
                "This node's clock runs {difference} than the others', says the leader, {}: it grants it no write lease until they agree again",
                self.state.named(from)
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Port;
    use crate::node::net::Net;
    use crate::types::Slot;

    /// Three vote; node 0 owns all slots, the others replicate it, and node 2 leads.
    fn net() -> Net {
        let mut net = Net::with_a_leading_replica();
        for at in 0..3 {
            // Its own clock decides how long a node is silent before it counts as failed, and the lease is not longer.
            assert_eq!(net.ask(at, "CONFIG SET cluster-write-lease 1000"), "+OK\r\n");
        }
        net
    }

    fn pass(net: &mut Net, span: Millis) {
        let until = net.now.mono + span;
        while net.now.mono < until {
            net.step();
        }
    }

    /// Who would acknowledge a write.
    fn writers(net: &Net) -> Vec<usize> {
        let slot = Slot::new(7).unwrap();
        (0..3).filter(|at| net.nodes[*at].accepts_writes(slot, net.clock(*at))).collect()
    }

    /// Node 0 is cut off until another one writes, and as long again: never two at a time.
    fn cut_off(net: &mut Net) {
        for other in [1, 2] {
            for port in [Port::Bus, Port::Client] {
                net.hold(0, other, port);
                net.hold(other, 0, port);
            }
        }
        let mut successor_since = None;
        while successor_since.is_none_or(|since| net.now.mono < since + 3000) {
            net.step();
            let writers = writers(net);
            assert!(writers.len() <= 1, "{writers:?} write");
            if writers.iter().any(|at| *at != 0) {
                successor_since.get_or_insert(net.now.mono);
            }
        }
    }

    #[test]
    fn a_primary_with_a_slow_clock_is_granted_nothing_until_it_is_right() {
        let mut net = net();
        net.set_rate(0, 90);
        let peers = "CLUSTER RAFT PEERS";
        pass(&mut net, 20_000);
        net.until("it to be found", |net| net.nodes[0].metadata.clocks.withheld());
        assert!(net.ask(2, peers).contains("\r\nalone\r\n"), "{}", net.ask(2, peers));
        assert_eq!(net.info(2, "cluster_clocks_off"), 1);
        net.until("its lease to end", |net| writers(net).is_empty());
        assert_eq!(net.info(0, "cluster_lease_withheld"), 1);
        net.set_rate(0, 100);
        pass(&mut net, 50_000);
        net.until("it to serve again", |net| writers(net) == [0]);
        pass(&mut net, 30_000);
        net.until("it to be over", |net| !net.nodes[0].metadata.clocks.withheld());
        assert_eq!(net.info(2, "cluster_clocks_off"), 0);
    }

    #[test]
    fn a_primary_with_a_slow_clock_that_is_cut_off_writes_no_longer_than_its_successor_waits() {
        let mut net = net();
        net.set_rate(0, 80);
        pass(&mut net, 10_000);
        net.until("it to be found", |net| net.nodes[2].metadata.raft.withholds_for_clock(&net.nodes[0].metadata.me));
        cut_off(&mut net);
    }

    #[test]
    fn a_leader_at_double_rate_hands_over() {
        let mut net = net();
        let term = net.nodes[2].metadata.raft.term();
        net.set_rate(2, 200);
        net.until("it to hand over", |net| net.nodes.iter().any(|node| node.metadata.raft.is_leader() && node.metadata.raft.term() > term));
        // The next one finds it too, and tells it: it does not lead on if it is elected again, though its time-outs are the shortest.
        pass(&mut net, 20_000);
        net.until("it to be told", |net| net.nodes[2].metadata.clocks.withheld());
        assert!(!net.nodes[2].metadata.raft.is_leader());
        assert_eq!(writers(&net), [0]);
        cut_off(&mut net);
    }

    #[test]
    fn a_jump_is_no_rate() {
        let mut net = net();
        pass(&mut net, 15_000);
        // A machine whose clock stood still while it was frozen.
        let shown = net.clock(1).mono - 5_000;
        net.set_clock(1, shown);
        for _ in 0..6 {
            pass(&mut net, 10_000);
            assert_eq!((net.info(2, "cluster_clocks_off"), writers(&net)), (0, vec![0]));
        }
    }
}
