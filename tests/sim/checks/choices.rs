//! Whom a leader has promoted in the place of a failed primary: no worse one than a replica that holds what WAIT counted, and answers.
//!
//! Owns: which replicas held what WAIT counted, be it one of many. That a replica answers is the leader's own word: it has answered a round
//! that was sent within E.

use crate::sim::checks::Checks;
use crate::sim::checks::endings::Process;
use crate::sim::machine::Machine;
use crate::sim::queue::Micros;
use crate::sim::writers::KEYS;
use pontoon::cluster::change::Failover;
use pontoon::cluster::{Change, FailoverKind};
use pontoon::node::Node;
use pontoon::raft::Body;
use pontoon::store::MemoryDisk;
use pontoon::types::{LogIndex, NodeId};

/// The highest number of a key that WAIT has counted anywhere, and who held it then.
#[derive(Default)]
pub struct Counted {
    /// The number.
    pub number: u64,
    /// Processes of replicas.
    pub holders: Vec<Process>,
}

impl Checks {
    /// A node has had its turn; its log ended at this index before.
    pub fn look_at_choices(&mut self, machines: &[Machine], index: usize, last_before: LogIndex, now: Micros) {
        let Some(node) = machines[index].node.as_ref().filter(|node| node.raft().is_leader() && self.custody.is_kept()) else { return };
        for (_, entry) in node.raft().log().iter_from(last_before + 1) {
            if let Body::App(Change::Failover(Failover { replica, primary, kind: FailoverKind::Auto, .. })) = &entry.body {
                self.check_choice(machines, (index, now), *replica, *primary);
            }
        }
    }

    fn check_choice(&self, machines: &[Machine], (index, now): (usize, Micros), chosen: NodeId, primary: NodeId) {
        let (leader, Some(node)) = (&machines[index], &machines[index].node) else { return };
        let cluster = node.state().cluster_id();
        let runs = |id: NodeId| {
            move |machine: &&Machine| machine.node.as_ref().is_some_and(|node| node.id() == id && node.state().cluster_id() == cluster)
        };
        let Some(chosen) = machines.iter().find(runs(chosen)) else { return };
        for (key, place) in KEYS.iter().enumerate().filter(|(_, place)| node.state().owner(place.slot()) == Some(primary)) {
            let Some(counted) = self.custody.counted(cluster, key) else { continue };
            let answering = counted.holders.iter().map(|(machine, process)| (&machines[*machine], process));
            let mut answering = answering.filter(|(machine, process)| {
                let holds = machine.starts == **process && self.custody.may_hold(machine.index, key, counted.number);
                holds && machine.node.as_ref().is_some_and(|other| other.is_in_sync() && answers(leader, node, other, primary, now))
            });
            let Some((better, _)) = answering.next() else { continue };
            let is_good = self.custody.may_hold(chosen.index, key, counted.number);
            assert!(
                is_good,
                "m{} holds {} of {}, which WAIT counted, and answers: it is promoted, not m{}",
                better.index, counted.number, place.0, chosen.index
            );
        }
    }
}

/// Whether, by the leader's knowledge, a node may take over from a primary, knows what has been decided, and has answered lately.
fn answers(leader: &Machine, node: &Node<MemoryDisk>, other: &Node<MemoryDisk>, primary: NodeId, now: Micros) -> bool {
    let (id, raft, mono) = (other.id(), node.raft(), leader.clock.steady(now));
    let may = node.state().member(&id).is_some_and(|member| member.primary == Some(primary) && !member.failed);
    let answered = |progress: &pontoon::raft::Progress| {
        progress.match_index() >= node.state().last_applied() && progress.answers(mono, raft.settings().election_timeout)
    };
    may && other.state().cluster_id() == node.state().cluster_id() && (id == node.id() || raft.progress(&id).is_some_and(answered))
}
