//! Key data against what clients were told.
//!
//! For each key that is written there is a floor: the highest number that the slot's owner must hold, because it was acknowledged, or
//! shown, by a node that answers for it. Who comes to own a slot by taking over from its primary answers for what it held by then; who is
//! given a slot answers for nothing, and neither does a process that has lost its memory. All else that goes below the floor is a loss.

use crate::sim::checks::Checks;
use crate::sim::checks::choices::Counted;
use crate::sim::checks::holdings::{Copy, Held, Watch, number};
use crate::sim::checks::leases::accepts;
use crate::sim::checks::model::By;
use crate::sim::checks::restarts::Numbers;
use crate::sim::clients::Purpose;
use crate::sim::machine::Machine;
use crate::sim::queue::Micros;
use crate::sim::resp::Reply;
use crate::sim::stats::Stats;
use crate::sim::writers::KEYS;
use pontoon::cluster::FailoverKind;
use pontoon::node::Node;
use pontoon::store::MemoryDisk;
use pontoon::types::{ClusterId, LogIndex, NodeId};
use std::collections::BTreeMap;

/// What a key held at least when something was asked for; good until it is lowered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Floor {
    cluster: Option<ClusterId>,
    number: u64,
    lowered: u64,
}

/// One key in one cluster.
#[derive(Default)]
struct Kept {
    /// The floor.
    number: u64,
    /// How often it was lowered.
    lowered: u64,
    /// The highest number that all replicas of its shard were said to hold.
    waited: u64,
    /// Who held it then: machines and the numbers of their processes.
    holders: Vec<(usize, u64)>,
    /// So much was committed then.
    waited_at: LogIndex,
    /// The highest one that any was said to hold.
    counted: Counted,
    /// The newest tenure of the slot in which anybody served.
    tenure: LogIndex,
    /// The newest one in which anybody was answered.
    answered_in: LogIndex,
    /// The machine and the number of the process that served in it.
    process: (usize, u64),
}

/// The keys that are written.
#[derive(Default)]
pub struct Custody {
    kept: BTreeMap<(ClusterId, usize), Kept>,
    copies: BTreeMap<usize, Copy>,
    /// What is there, and why the rest is not.
    pub watch: Watch,
    /// If not, keys are removed by request, and nothing is asked of them.
    keeps: bool,
}

impl Checks {
    /// What the process on this machine held when it had its last turn.
    pub fn held_by(&self, machine: &Machine) -> Option<Numbers> {
        let copy = self.custody.copies.get(&machine.index).filter(|copy| copy.process == machine.starts)?;
        Some(copy.now.map(|held| held.least))
    }
}

impl Custody {
    /// Whether what was written is to be kept.
    pub fn new(keeps: bool) -> Self {
        Self { keeps, ..Self::default() }
    }

    /// Whether anything is asked of the keys.
    pub fn is_kept(&self) -> bool {
        self.keeps
    }

    /// What WAIT has counted of a key.
    pub fn counted(&self, cluster: ClusterId, key: usize) -> Option<&Counted> {
        self.kept.get(&(cluster, key)).map(|kept| &kept.counted).filter(|counted| counted.number > 0)
    }

    /// Whether this machine may hold a number of a key, or ever did, or a later one.
    pub fn may_hold(&self, machine: usize, key: usize, number: u64) -> bool {
        self.copies.get(&machine).is_some_and(|copy| self.watch.may_hold(copy, key, number))
    }
}

impl Checks {
    /// What this key must hold at the process on this machine.
    pub fn floor(&self, machine: &Machine, key: usize) -> Floor {
        let Some(cluster) = machine.node.as_ref().map(|node| node.state().cluster_id()) else { return Floor::default() };
        let kept = self.custody.kept.get(&(cluster, key));
        let (number, lowered) = kept.map_or((0, 0), |kept| (kept.number, kept.lowered));
        Floor { cluster: Some(cluster), number, lowered }
    }

    /// A node has had its turn: does whoever serves a key hold what it must?
    pub fn look_at_keys(&mut self, machines: &[Machine], index: usize, now: Micros, stats: &mut Stats) {
        let machine = &machines[index];
        let Some(node) = &machine.node else { return };
        let Custody { copies, watch, .. } = &mut self.custody;
        let copy = copies.entry(index).or_default();
        let committed = self.clusters.get(&node.state().cluster_id()).map_or(0, |history| history.model.applied);
        let mut before = watch.look(copy, machine, node, committed, machine.clock.read(now).wall);
        if !std::mem::replace(&mut copy.in_sync, node.is_in_sync()) {
            // In the turn in which it takes over it may have got all keys of its primary first, which are others.
            before.iter_mut().for_each(|held| held.least = 0);
        }
        let serves = KEYS.iter().any(|key| accepts(machine, key.slot(), now));
        copy.certain = copy.certain.or((serves || follows(node)).then_some(committed));
        let held = copy.now;
        stats.expirations = watch.expirations;
        if !self.custody.keeps {
            return;
        }
        for (key, place) in KEYS.iter().enumerate() {
            if accepts(machine, place.slot(), now) {
                self.serves(machines, (index, key), (before[key], held[key]), now, stats);
            }
        }
    }

    fn serves(&mut self, machines: &[Machine], (index, key): (usize, usize), (before, now): (Held, Held), at: Micros, stats: &mut Stats) {
        let machine = &machines[index];
        let Some(node) = &machine.node else { return };
        let (cluster, id) = (node.state().cluster_id(), node.id());
        let Some(model) = self.clusters.get(&cluster).map(|history| &history.model) else { return };
        let Some(tenure) = model.tenure(KEYS[key].slot(), id, node.state().last_applied()) else { return };
        let process = (index, machine.starts);
        let Some(copy) = self.custody.copies.get(&index) else { return };
        let (began, certain, there) = (copy.began, copy.certain, copy.value(key));
        let is_new = self.custody.kept.get(&(cluster, key)).is_some_and(|kept| kept.process != process);
        let retained = if is_new { self.retained(machines, index, key, tenure.index, at) } else { 0 };
        let kept = self.custody.kept.entry((cluster, key)).or_default();
        let (floor, name) = (kept.number, KEYS[key].0);
        if tenure.index < kept.tenure {
            return;
        }
        if let (Some(number), Some(certain)) = (there, certain) {
            self.moves.serves(model, (cluster, key), number, tenure, (index, certain));
        }
        let changes = model.changes(KEYS[key].slot(), kept.tenure, tenure.index);
        let old = &machines[kept.process.0];
        let left = self.endings.was_whole(kept.process);
        let went_on = (left || old.starts == kept.process.1) && began < tenure.index;
        let is_moved = changes.contains(&By::Move);
        let is_kept = is_moved || now.most >= retained.min(floor);
        assert!(is_kept, "{name} was {retained} in a replica or a file, and who has come back serves {now:?}");
        let is_regular = |by: &By| matches!(by, By::Failover(_, FailoverKind::Auto | FailoverKind::Manual));
        // By force too: who had it has it still.
        let inherits = matches!(changes[..], [By::Failover(..)]) || !changes.is_empty() && changes.iter().all(is_regular);
        if inherits && kept.holders.contains(&process) && model.has_stayed_since(&id, kept.waited_at) {
            assert!(now.most >= kept.waited, "{} of {name} was with every replica, and one of them serves {now:?}", kept.waited);
        }
        match changes[..] {
            [] if kept.process == process => {}
            [] => {
                stats.lost_memories += u64::from(now.most < floor);
                stats.kept_memories += u64::from(now.most >= floor && floor > 0);
                kept.lower(now.most);
            }
            [By::Failover(from, kind @ (FailoverKind::Auto | FailoverKind::Manual))] if went_on => {
                // Its memory is gone with the process that WAIT has counted: the others' were asked for above.
                let forgot = !kept.holders.contains(&process) && kept.holders.iter().any(|(holder, _)| *holder == index);
                let lives = old.node.as_ref().is_some_and(|node| node.id() == from) && !model.failed.contains(&from);
                kept.is_taken_over(name, now, forgot, (left || lives) && kind == FailoverKind::Manual);
                stats.unreplicated_writes += u64::from(now.most < floor);
                kept.lower(now.most);
            }
            _ if is_moved => kept.lower(0),
            _ => kept.lower(now.most),
        }
        if began < tenure.index && !changes.is_empty() && !is_moved {
            let is_kept = now.most >= before.least.min(floor);
            assert!(is_kept, "{name} keeps what it holds when a node takes over: {now:?} after {before:?}");
        }
        // What waited for it to serve may have been read before it was written.
        kept.lowered += u64::from(kept.process != process);
        (kept.tenure, kept.process) = (tenure.index, process);
        assert!(now.most >= kept.number, "{} of {name} was acknowledged, and its owner holds {now:?}", kept.number);
    }

    /// An answer leaves a node.
    pub fn answer_leaves(
        &mut self,
        machines: &[Machine],
        (index, at): (usize, Micros),
        purpose: &Purpose,
        reply: &Reply,
        stats: &mut Stats,
    ) {
        let Some(node) = machines[index].node.as_ref().filter(|_| self.custody.keeps) else { return };
        self.seen[index].doubtful = machines[index].has_doubtful_clock(at);
        match (purpose, reply) {
            (Purpose::Write(key, number), reply) if reply.is_done() => {
                stats.writes += 1;
                stats.deletes += u64::from(!reply.is_ok());
                let Custody { copies, watch, .. } = &mut self.custody;
                watch.acknowledged(copies.get(&index), *key, *number);
                self.acknowledged((index, machines[index].starts), at, node, *key, *number);
            }
            (Purpose::Wait(key, number), Reply::Integer(count)) if *count > 0 => {
                stats.waits += 1;
                self.waited(machines, node, index, (*key, *number), *count as usize);
            }
            (Purpose::Fetch(key, floor), Reply::Bulk(value)) => {
                stats.fetches += 1;
                let number = number(value);
                self.fetched(node, (index, at), *key, floor, Held { least: number, most: number });
            }
            (Purpose::Fetch(key, floor), Reply::Null) => {
                let before = self.custody.copies.get(&index).map_or(Held::default(), |copy| copy.now[*key]);
                let held = self.custody.watch.absent(*key, before);
                self.fetched(node, (index, at), *key, floor, held);
            }
            _ => {}
        }
    }

    /// What is known of a key where this node is, and since when the node owned it, by what it had applied.
    fn kept(&mut self, node: &Node<MemoryDisk>, applied: LogIndex, key: usize) -> Option<(LogIndex, &mut Kept)> {
        let cluster = node.state().cluster_id();
        let model = &self.clusters.get(&cluster)?.model;
        let tenure = model.tenure(KEYS[key].slot(), node.id(), applied)?;
        Some((tenure.index, self.custody.kept.entry((cluster, key)).or_default()))
    }

    /// This node's answer leaves: nobody's has who came to own the key later. What is answered after a TAKEOVER without knowing of it is
    /// lost.
    fn answers(&mut self, node: &Node<MemoryDisk>, (index, at): (usize, Micros), key: usize) -> Option<(LogIndex, &mut Kept)> {
        let served_by = self.seen[index].served_by;
        let cluster = node.state().cluster_id();
        let answered_in = self.custody.kept.get(&(cluster, key)).map_or(0, |kept| kept.answered_in);
        let outlasts = self.seen[index].doubtful || self.is_by_doubtful_clock(cluster, served_by, answered_in);
        let excused = outlasts || self.is_overtaken(node, served_by, KEYS[key].slot(), at);
        let (tenure, kept) = self.kept(node, served_by, key)?;
        if excused && tenure < kept.tenure {
            return None;
        }
        let later = kept.answered_in;
        assert!(tenure >= later || excused, "no owner of {} by entry {tenure} answers after one by entry {later}", KEYS[key].0);
        kept.answered_in = later.max(tenure);
        Some((tenure, kept))
    }

    fn acknowledged(&mut self, process: (usize, u64), at: Micros, node: &Node<MemoryDisk>, key: usize, number: u64) {
        let Some((tenure, kept)) = self.answers(node, (process.0, at), key) else { return };
        if (kept.tenure, kept.process) == (tenure, process) {
            kept.number = kept.number.max(number);
        }
    }

    fn waited(&mut self, machines: &[Machine], node: &Node<MemoryDisk>, index: usize, (key, number): (usize, u64), count: usize) {
        // It may have gone with its slot meanwhile.
        if self.custody.copies.get(&index).is_none_or(|copy| copy.now[key].most < number) {
            return;
        }
        let copies = self.custody.copies.iter().filter(|(machine, _)| **machine != index);
        let count_held = copies.clone().filter(|(_, copy)| self.custody.watch.may_hold(copy, key, number)).count();
        assert!(count_held >= count, "{count} replicas hold {} = {number}, says WAIT, and {count_held} do", KEYS[key].0);
        let mut holders: Vec<_> =
            copies.filter(|(_, copy)| copy.now[key].least >= number).map(|(machine, copy)| (*machine, copy.process)).collect();
        let holds = |id: &NodeId| holders.iter().any(|(machine, _)| machines[*machine].node.as_ref().is_some_and(|node| node.id() == *id));
        let cluster = node.state().cluster_id();
        let are_all = self.clusters.get(&cluster).is_some_and(|history| history.model.replicas_of(&node.id()).iter().all(holds));
        let replicas = holders.clone();
        holders.extend(self.custody.copies.get(&index).map(|copy| (index, copy.process)));
        let committed = self.clusters.get(&cluster).map_or(0, |history| history.model.applied);
        let applied = node.state().last_applied();
        if let Some((tenure, kept)) = self.kept(node, applied, key)
            && kept.tenure == tenure
        {
            let number = number.min(kept.number);
            if number > kept.counted.number {
                kept.counted = Counted { number, holders: replicas };
            }
            if are_all && number > kept.waited {
                (kept.waited, kept.holders, kept.waited_at) = (number, holders, committed);
            }
        }
    }

    fn fetched(&mut self, node: &Node<MemoryDisk>, (index, at): (usize, Micros), key: usize, floor: &Floor, read: Held) {
        let process = self.custody.copies.get(&index).map_or(0, |copy| copy.process);
        let Some((tenure, kept)) = self.answers(node, (index, at), key) else { return };
        // Who has served for a part of its last turn only was not seen to serve.
        let is_seen = tenure < kept.tenure || (kept.tenure, kept.process) == (tenure, (index, process));
        let is_judged = floor.cluster == Some(node.state().cluster_id()) && floor.lowered == kept.lowered && is_seen;
        assert!(!is_judged || read.most >= floor.number, "{} is read as {read:?}, it was {} before", KEYS[key].0, floor.number);
        if kept.tenure == tenure && is_judged {
            kept.number = kept.number.max(read.least);
        }
    }
}

impl Kept {
    /// The next primary holds this: it is one of those that had everything, unless it forgot that; and if its predecessor has handed over
    /// it has all.
    fn is_taken_over(&self, name: &str, now: Held, forgot: bool, is_handed_over: bool) {
        let is_kept = now.most >= self.waited || forgot;
        assert!(is_kept, "{} of {name} is with every replica, and the next primary has {now:?}", self.waited);
        let is_whole = now.most >= self.number || !is_handed_over;
        assert!(is_whole, "a manual failover loses nothing: {name} is {now:?}, not {}", self.number);
    }

    /// Less is kept from now on.
    fn lower(&mut self, number: u64) {
        if number < self.number {
            self.number = number;
            self.lowered += 1;
        }
        self.waited = self.waited.min(number);
        self.counted.number = self.counted.number.min(number);
    }
}

/// Whether a node has the keys of its primary.
fn follows(node: &Node<MemoryDisk>) -> bool {
    node.is_in_sync() && node.state().member(&node.id()).is_some_and(|member| member.primary.is_some())
}
