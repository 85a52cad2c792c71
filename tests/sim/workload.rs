//! What the simulated clients ask for.
//!
//! They look at nodes' states to ask what makes sense at the moment (a slot's owner gives it away); by the time that the request
//! arrives it may not any more, and that is part of the game.

use crate::sim::checks::promised_changes::{Asked, CLIENT_SLOTS};
use crate::sim::clients::{Mode, Purpose, Request, Role};
use crate::sim::queue::{Micros, SECOND};
use crate::sim::sweep::SAFETY;
use crate::sim::world::{World, ZONES};
use pontoon::cluster::{Member, State};
use pontoon::keyspace::key_slot;
use pontoon::rng::Rng;
use pontoon::types::{ClusterId, NodeId, Slot};
use std::collections::BTreeMap;

/// So long after the faults operators wait for who is half way in: a joiner gives up after four node-timeouts, the longest being 15 s.
const PATIENCE: Micros = 70 * SECOND;

/// Who meets whom at first: a star, a star inside out, a chain, both ways at once, or at random.
pub fn draw_formation(machines: usize, rng: &mut Rng) -> Vec<(usize, usize)> {
    let shape = rng.below(5);
    let pair = |index: usize, rng: &mut Rng| match shape {
        0 => (0, index),
        1 => (index, 0),
        2 => (index - 1, index),
        3 => (index, index - 1),
        _ => (rng.below(machines as u64) as usize, index),
    };
    let mut meets: Vec<_> = (1..machines).map(|index| pair(index, rng)).collect();
    if rng.one_in(3) {
        let crossing: Vec<_> = meets.iter().map(|(from, to)| (*to, *from)).collect();
        meets = meets.into_iter().zip(crossing).flat_map(|(there, back)| [there, back]).collect();
    }
    // The operators take them from the end.
    meets.reverse();
    meets
}

impl World {
    /// The cluster that most machines are in.
    pub fn main_cluster(&self) -> Option<ClusterId> {
        let mut sizes: BTreeMap<ClusterId, usize> = BTreeMap::new();
        for node in self.machines.iter().filter_map(|machine| machine.node.as_ref()) {
            *sizes.entry(node.state().cluster_id()).or_default() += 1;
        }
        sizes.into_iter().max_by_key(|(_, size)| *size).map(|(cluster, _)| cluster)
    }

    fn is_in(&self, index: usize, cluster: ClusterId) -> bool {
        let node = self.machines[index].node.as_ref();
        node.is_some_and(|node| node.state().cluster_id() == cluster && !node.standing().is_joiner())
    }

    /// A random machine that runs a member of the main cluster.
    pub fn some_member(&mut self) -> Option<usize> {
        let cluster = self.main_cluster()?;
        let members: Vec<usize> = (0..self.machines.len()).filter(|index| self.is_in(*index, cluster)).collect();
        self.pick(&members)
    }

    /// One of these at random.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        from.get(self.clients.rng.below(from.len() as u64) as usize).copied()
    }

    /// The state of the process on this machine.
    pub fn state_of(&self, index: usize) -> Option<&State> {
        self.machines[index].node.as_ref().map(|node| node.state())
    }

    /// The node id of the process on this machine.
    pub fn id_of(&self, index: usize) -> Option<NodeId> {
        self.machines[index].node.as_ref().map(|node| node.raft().id())
    }

    /// The machine whose process has this id.
    pub fn machine_of(&self, id: NodeId) -> Option<usize> {
        (0..self.machines.len()).find(|index| self.id_of(*index) == Some(id))
    }

    /// What a client asks next, if there is anything.
    pub fn next_request(&mut self, index: usize) -> Option<Request> {
        match (self.clients.list[index].role, self.clients.mode) {
            (Role::Slots(first), Mode::Busy) => self.change_slot(first),
            (Role::Slots(first), Mode::Probe) if !self.clients.list[index].satisfied => self.change_slot(first),
            (Role::Writer(first), Mode::Probe) if !self.clients.list[index].satisfied => self.write_once_more(index, first),
            (Role::Keys, Mode::Busy) => self.use_keys(index),
            (Role::Writer(first), Mode::Busy) => self.write_or_read(index, first),
            (Role::Reader, Mode::Busy) => self.read(index),
            (Role::Sharder, Mode::Busy) => self.shape_shards(),
            (Role::Mover, Mode::Busy) => self.clients.list[index].orders.pop_front(),
            (Role::Operator, Mode::Busy) => self.operate(),
            (Role::Operator, Mode::Recover(chosen)) => self.recover_quorum(chosen),
            (Role::Operator, _) => self.bring_back(),
            _ => None,
        }
    }

    fn change_slot(&mut self, first: u16) -> Option<Request> {
        let slot = Slot::new(first + self.clients.rng.below(8) as u16)?;
        let looked_at = self.some_member()?;
        let owner = self.state_of(looked_at)?.owner(slot).and_then(|owner| self.machine_of(owner));
        let to = owner.filter(|_| !self.clients.rng.one_in(3)).or_else(|| self.some_owner_to_be(looked_at)).unwrap_or(looked_at);
        let node = self.id_of(to)?;
        // What the asked node knows itself: it answers OK at once to what it believes to be so already.
        let state = self.state_of(to)?;
        let members = self.owners_to_be(state);
        let Some(owner) = state.owner(slot) else {
            return Some(self.slot_request(to, Asked { node, slot, target: Some(node) }, &["ADDSLOTS", &slot.to_string()]));
        };
        if self.clients.rng.one_in(4) {
            return Some(self.slot_request(to, Asked { node, slot, target: None }, &["DELSLOTS", &slot.to_string()]));
        }
        let others: Vec<NodeId> = members.into_iter().filter(|id| *id != owner).collect();
        let target = self.pick(&others)?;
        let words = ["SETSLOT", &slot.to_string(), "NODE", &target.to_string()];
        Some(self.slot_request(to, Asked { node, slot, target: Some(target) }, &words))
    }

    fn slot_request(&self, to: usize, asked: Asked, words: &[&str]) -> Request {
        let before = self.checks.changes.times_given_up(asked.node);
        Request::one(to, cluster(words), Purpose::Slot(asked, before))
    }

    /// Who may be given slots: everybody, or, where there are to be replicas, no more than so many primaries.
    pub fn owners_to_be(&self, state: &State) -> Vec<NodeId> {
        let owners: Vec<NodeId> = state.slot_owners().copied().collect();
        let wanted = self.clients.primaries;
        let may_own = |member: &&Member| {
            let is_free = member.is_primary() && owners.len() < wanted.unwrap_or(0);
            wanted.is_none() || is_free || owners.contains(&member.id)
        };
        state.members().filter(may_own).map(|member| member.id).collect()
    }

    /// A machine of one of them, as the node on this machine sees it.
    fn some_owner_to_be(&mut self, looked_at: usize) -> Option<usize> {
        let owners = self.owners_to_be(self.state_of(looked_at)?);
        let owner = self.pick(&owners)?;
        self.machine_of(owner)
    }

    fn use_keys(&mut self, index: usize) -> Option<Request> {
        let key = format!("key:{}", self.clients.rng.below(20));
        let any = self.clients.rng.below(self.machines.len() as u64) as usize;
        let owner = self.some_member().and_then(|member| self.state_of(member)?.owner(key_slot(key.as_bytes())));
        let to = owner.and_then(|owner| self.machine_of(owner)).unwrap_or(any);
        let client = &mut self.clients.list[index];
        let words: Vec<String> = match self.clients.rng.below(8) {
            0 => return Some(Request::one(to, cluster(&["INFO"]), Purpose::Look)),
            1 => return Some(Request::one(to, cluster(&["NODES"]), Purpose::Look)),
            2 => return Some(Request::one(to, cluster(&["SLOTS"]), Purpose::Look)),
            3 => return Some(Request::one(to, cluster(&["SHARDS"]), Purpose::Look)),
            4 | 5 => {
                client.written += 1;
                vec!["SET".into(), key, (client.written - 1).to_string()]
            }
            _ => vec!["GET".into(), key],
        };
        let purpose = if words.len() == 2 { Purpose::Read(self.clients.list[index].written) } else { Purpose::Any };
        Some(Request::one(to, words, purpose))
    }

    fn operate(&mut self) -> Option<Request> {
        if let Some((from, to)) = self.clients.meets.pop() {
            return Some(self.meet(from, to));
        }
        let to = self.some_member()?;
        let members: Vec<NodeId> = self.state_of(to)?.members().map(|member| member.id).collect();
        let any = self.pick(&members)?.to_string();
        let asks = |words: &[&str]| Some(Request::one(to, cluster(words), Purpose::Any));
        match self.clients.rng.below(18) {
            0..=4 => self.meet_outsider(to),
            5 => asks(&["FORGET", &any]),
            6 => self.reset(),
            7 | 8 => asks(&["ADDVOTER", &any]),
            9 | 10 => asks(&["DELVOTER", &any]),
            11 => asks(&["SAVECONFIG"]),
            12 => self.flush_slots(to),
            13 if self.clients.flushes => Some(Request::one(to, vec!["FLUSHALL".into()], Purpose::Any)),
            14 => Some(Request::one(to, vec![if self.clients.rng.one_in(2) { "SAVE" } else { "BGSAVE" }.into()], Purpose::Any)),
            15 => asks(&["RAFT", "TRANSFER"]),
            16 => Some(self.set_option(to)),
            _ => {
                let first = self.clients.rng.between(u64::from(CLIENT_SLOTS), 16_000);
                let last = (first + self.clients.rng.below(4_000)).min(16_383);
                let to = self.some_owner_to_be(to)?;
                Some(Request::one(to, cluster(&["ADDSLOTSRANGE", &first.to_string(), &last.to_string()]), Purpose::Any))
            }
        }
    }

    /// CONFIG SET of what the leader plans the voting set by.
    fn set_option(&mut self, to: usize) -> Request {
        let (name, value) = match self.clients.rng.one_in(2) {
            true => ("cluster-raft-voters", self.clients.rng.between(1, 8).to_string()),
            false => ("availability-zone", ZONES[self.clients.rng.below(ZONES.len() as u64) as usize].to_owned()),
        };
        self.stats.options_set += 1;
        let words = ["CONFIG", "SET", name, &value];
        Request::one(to, words.map(str::to_owned).into(), Purpose::Look)
    }

    fn meet(&mut self, from: usize, to: usize) -> Request {
        let (port, bus_port) = (self.net.hosts.port(to), self.net.hosts.bus_port(to));
        let words = ["MEET", &self.address_to_meet(from, to).to_string(), &port.to_string(), &bus_port.to_string()];
        Request::one(from, cluster(&words), Purpose::Any)
    }

    /// A member meets a node that is none; or the other way round.
    fn meet_outsider(&mut self, member: usize) -> Option<Request> {
        let main = self.main_cluster()?;
        let outside: Vec<usize> = (0..self.machines.len()).filter(|index| !self.is_in(*index, main)).collect();
        let other = self.pick(&outside)?;
        Some(if self.clients.rng.one_in(4) { self.meet(other, member) } else { self.meet(member, other) })
    }

    fn flush_slots(&mut self, to: usize) -> Option<Request> {
        if !self.clients.rng.one_in(4) {
            return None;
        }
        self.checks.changes.release_asked(self.id_of(to)?);
        Some(Request::one(to, cluster(&["FLUSHSLOTS"]), Purpose::Any))
    }

    fn reset(&mut self) -> Option<Request> {
        let to = self.clients.rng.below(self.machines.len() as u64) as usize;
        let how = if self.clients.rng.one_in(3) { "HARD" } else { "SOFT" };
        self.checks.changes.release_asked(self.id_of(to)?);
        self.stats.resets += 1;
        Some(Request::one(to, cluster(&["RESET", how]), Purpose::Any))
    }

    /// Until it has come true.
    fn recover_quorum(&self, to: usize) -> Option<Request> {
        let done = self.state_of(to).is_none_or(|state| !state.ancestors().is_empty());
        (!done).then(|| Request::one(to, cluster(&["RECOVER", "QUORUM"]), Purpose::Any))
    }

    /// Pairs of members of which the first believes the second where it was before it was moved.
    pub fn lost_sight(&self) -> impl Iterator<Item = (usize, usize)> {
        let pairs = (0..self.machines.len()).flat_map(|from| (0..self.machines.len()).map(move |to| (from, to)));
        pairs.filter(|&(from, to)| {
            let address = self.id_of(to).and_then(|id| Some(self.state_of(from)?.member(&id)?.address.ip.clone()));
            let same = self.state_of(from).map(State::cluster_id) == self.state_of(to).map(State::cluster_id);
            from != to && same && address.is_some_and(|ip| !self.reaches(from, &ip, to))
        })
    }

    /// Once all is quiet: whoever is stuck half way into a cluster is met again by its leader. A node that nobody told that it was
    /// forgotten (all whom it knows as voters have left as well) meets the leader.
    fn bring_back(&mut self) -> Option<Request> {
        let lost: Vec<(usize, usize)> = self.lost_sight().collect();
        if let Some((from, to)) = self.pick(&lost).filter(|_| self.clients.rng.one_in(3)) {
            return Some(self.meet(from, to));
        }
        let leads = |index: &usize| self.machines[*index].node.as_ref().is_some_and(|node| node.raft().is_leader());
        let leaders: Vec<usize> = (0..self.machines.len()).filter(leads).collect();
        let leader = self.pick(&leaders)?;
        let state = self.state_of(leader)?;
        let is_outside = |index: &usize| {
            let node = self.machines[*index].node.as_ref().filter(|node| node.state().cluster_id() == state.cluster_id());
            node.is_some_and(|node| node.standing().is_joiner() || state.member(&node.raft().id()).is_none())
        };
        let outside: Vec<usize> = (0..self.machines.len()).filter(is_outside).collect();
        let other = self.pick(&outside).filter(|_| self.clients.rng.one_in(3))?;
        // Who takes itself for a member, and knows nobody any more, believes only whom its own client names.
        let waits = self.machines[other].node.as_ref().is_some_and(|node| node.standing().is_joiner());
        // One that is half way in, and was forgotten, may know its cluster by addresses only that mean its own host: it meets nobody before
        // it is in.
        if waits && self.now > SAFETY + PATIENCE {
            self.checks.changes.release_asked(self.id_of(other)?);
            return Some(Request::one(other, cluster(&["RESET", "HARD"]), Purpose::Any));
        }
        Some(if waits { self.meet(leader, other) } else { self.meet(other, leader) })
    }
}

/// The words of a CLUSTER command.
pub fn cluster(words: &[&str]) -> Vec<String> {
    std::iter::once("CLUSTER").chain(words.iter().copied()).map(str::to_owned).collect()
}
