//! The last resort, in some runs, when all else has been judged: most voters of a cluster are lost, and one survivor is told to go on.
//!
//! Owns: who is lost, wiped or only cut off from power, and what must hold then. Nobody had anything open, so nothing acknowledged is lost.

use crate::sim::clients::Mode;
use crate::sim::network::{CALM, Owner};
use crate::sim::queue::{Event, MILLI, Micros, SECOND};
use crate::sim::trace::{self, note};
use crate::sim::world::World;
use pontoon::types::ClusterId;

/// A node-timeout without a leader, the longest being 15 s, and time to ask.
const RECOVERED_WITHIN: Micros = 60 * SECOND;

/// What happens to whom.
struct Plan {
    /// The cluster.
    cluster: ClusterId,
    /// A majority of its voters.
    lost: Vec<usize>,
    /// Who goes on.
    chosen: usize,
    /// Whether the disks of the lost are lost as well. If not they come back, and are the old cluster.
    wiped: bool,
}

impl World {
    /// Loses a majority of the voters of the biggest cluster, if it is more than one node, and recovers it.
    pub fn suffer_disaster(&mut self) {
        let Some(plan) = self.draw_disaster() else { return };
        trace::at(self.now, format_args!("disaster"));
        note!("m{:?} are lost, wiped: {}, m{} is to go on", plan.lost, plan.wiped, plan.chosen);
        for &index in &plan.lost {
            self.lose_power_alone(index);
            self.machines[index].out_of_order = true;
            if plan.wiped {
                self.machines[index].wipe();
                self.checks.wiped(index);
            }
        }
        self.set_mode(Mode::Recover(plan.chosen));
        self.recover(&plan);
        self.stats.recoveries += 1;
        self.trouble_survivors(&plan);
        if !plan.wiped {
            // Who comes back is a bare majority of the old cluster: each frame that is late may cost it its leader, and a failover waits
            // for longer than such a leader leads.
            self.net.change_weather(CALM);
        }
    }

    fn draw_disaster(&mut self) -> Option<Plan> {
        let cluster = self.main_cluster()?;
        let in_it = |index: &usize| self.cluster_of(*index) == Some(cluster);
        let mut members: Vec<usize> = (0..self.machines.len()).filter(in_it).collect();
        shuffle(&mut members, &mut self.rng);
        let voters = self.machines[*members.first()?].node.as_ref()?.raft().voters().clone();
        let votes = |index: &usize| self.id_of(*index).is_some_and(|id| voters.contains(&id));
        let lost: Vec<usize> = members.iter().copied().filter(votes).take(voters.len() / 2 + 1).collect();
        let chosen = members.into_iter().find(|index| !lost.contains(index))?;
        Some(Plan { cluster, lost, chosen, wiped: self.rng.one_in(2) })
    }

    fn cluster_of(&self, index: usize) -> Option<ClusterId> {
        self.machines[index].node.as_ref().map(|node| node.state().cluster_id())
    }

    fn recover(&mut self, plan: &Plan) {
        let end = self.now + RECOVERED_WITHIN;
        while self.cluster_of(plan.chosen) == Some(plan.cluster) {
            assert!(self.now < end, "a survivor without a leader goes on alone when it is told to");
            self.run_until(self.now + 50 * MILLI);
        }
        let id = self.id_of(plan.chosen);
        let state = self.machines[plan.chosen].node.as_ref().map(|node| node.state());
        assert!(state.is_some_and(|state| state.ancestors().last() == Some(&plan.cluster)), "{id:?} has recovered its own cluster");
    }

    /// Survivors are killed while they come over, and the lost come back.
    fn trouble_survivors(&mut self, plan: &Plan) {
        for index in 0..self.machines.len() {
            let at = self.now + self.rng.below(10 * SECOND);
            if plan.lost.contains(&index) {
                self.machines[index].out_of_order = false;
                self.queue.push(at, Event::Start(index));
            } else if self.rng.one_in(2) {
                let pause = self.rng.below(SECOND);
                self.run_until(self.now + pause);
                let wakes = self.machines[index].end_process(&mut self.net, self.now);
                self.wake_all(wakes);
                self.queue.push(self.now + self.rng.below(2 * SECOND), Event::Start(index));
            }
        }
        self.wake(Owner::Client(0), self.now);
    }
}

fn shuffle(list: &mut [usize], rng: &mut pontoon::rng::Rng) {
    for last in (1..list.len()).rev() {
        list.swap(last, rng.below(last as u64 + 1) as usize);
    }
}
