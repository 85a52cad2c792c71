//! A disk that is slow against the election timeout is said aloud.
//!
//! Owns: when that is, and how often it is said. Must not: measure (before-sleep does), or wait for anything: what is waited for is Raft's.
//! Contract: docs/operations.md, "What to watch".

use crate::node::metadata::Metadata;
use crate::node::view::View;
use crate::types::Millis;

/// From this part of the election timeout on a disk is slow: an election takes several syncs in a row.
const PART: Millis = 4;
/// Said at most so often (ms).
const AGAIN: Millis = 60_000;

/// What was said of it last.
#[derive(Debug, Default)]
pub(in crate::node) struct SlowDisk {
    /// When (mono ms); none: the disk is good.
    said: Option<Millis>,
}

impl SlowDisk {
    /// The turn's durable operation took so long, in so many syncs.
    pub fn took(&mut self, syncs: u64, took: Millis, metadata: &mut Metadata, view: &View) {
        metadata.raft.disk_took(syncs, took);
        let (each, timeout, now) = (metadata.raft.sync_time(), view.config.election_timeout(), view.now.mono);
        if each < timeout.div_ceil(PART) {
            if self.said.take().is_some() {
                log::info!("The disk of nodes.conf takes {each} ms for a sync again");
            }
        } else if self.said.is_none_or(|at| now >= at + AGAIN) {
            self.said = Some(now);
            log::warn!(
                "The disk of nodes.conf takes {each} ms for a sync: elections are begun after {} ms instead of {timeout}, and every change waits for two such syncs",
                metadata.raft.election_timeout()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::net::Net;

    /// Three vote, with E = 1 s and W = 5 s; a sync of each takes so long.
    fn net(syncs: [Millis; 3]) -> Net {
        let mut net = Net::with_members(3);
        net.until("three voters", |net| net.nodes.iter().all(|node| node.metadata.raft.voters().len() == 3));
        for node in 0..3 {
            assert_eq!(net.ask(node, "CONFIG SET cluster-node-timeout 15000"), "+OK\r\n");
        }
        assert_eq!(net.ask(1, "CLUSTER RAFT TRANSFER"), "+OK\r\n");
        (0..3).for_each(|node| net.nodes[node].store.disk().slow_down(syncs[node]));
        net
    }

    /// Who leads, and has its first entry applied.
    fn leader(net: &Net) -> Option<usize> {
        (0..3).find(|node| net.is_up(*node) && net.nodes[*node].metadata.raft.leader_ready(net.nodes[*node].metadata.state.last_applied()))
    }

    fn elected(net: &mut Net, within: Millis) -> usize {
        let begun = net.now.mono;
        net.until("a leader at work", |net| leader(net).is_some());
        assert!(net.now.mono - begun <= within, "after {} ms", net.now.mono - begun);
        leader(net).unwrap()
    }

    /// For so long, with a change every second, nobody else leads.
    fn keeps_leading(net: &mut Net, at: usize, span: Millis) {
        let (term, until) = (net.nodes[at].metadata.raft.term(), net.now.mono + span);
        for number in 0.. {
            let word = if number % 2 == 0 { "DELSLOTS" } else { "ADDSLOTS" };
            net.say(at, &format!("CLUSTER {word} 9000"));
            let next = net.now.mono + 1000;
            while net.now.mono < next {
                net.step();
                assert_eq!(net.nodes[at].metadata.raft.term(), term, "another election");
                assert!(net.nodes[at].metadata.raft.is_leader(), "it has stepped down");
            }
            if net.now.mono >= until {
                return;
            }
        }
    }

    #[test]
    fn a_leader_is_elected_and_stays_however_slow_the_disks() {
        for (each, within) in [(600, 10_000), (1500, 20_000)] {
            let mut net = net([each; 3]);
            net.kill(1);
            let at = elected(&mut net, within);
            keeps_leading(&mut net, at, 20_000);
            net.start(1);
            keeps_leading(&mut net, at, 20_000);
        }
    }

    #[test]
    fn it_is_enough_that_the_voters_are_slow() {
        for syncs in [[1500, 10, 10], [10, 10, 1500], [1500, 10, 1500]] {
            let mut net = net(syncs);
            net.kill(1);
            let at = elected(&mut net, 20_000);
            keeps_leading(&mut net, at, 20_000);
        }
    }
}
