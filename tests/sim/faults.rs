//! What goes wrong, and when: drawn from the seed, some kinds often in one run and never in another.
//!
//! Owns: the plan of faults and the cuts that are in force. Must not: touch what a correct system may rely on (what was synced stays).

mod addresses;
pub mod clocks;
mod damage;
mod disks;
mod ends;
mod hostile;
mod stranding;
pub mod timing;

use crate::sim::clients::Mode;
use crate::sim::machine::Machine;
use crate::sim::queue::{Event, MILLI, Micros, SECOND};
use crate::sim::sweep::SAFETY;
use crate::sim::trace::{self, note};
use crate::sim::world::World;
use pontoon::raft::RoleName;
use pontoon::rng::Rng;
use pontoon::store::memory::Fault as DiskFault;

/// The kinds of faults.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Kill,
    Move,
    LendAddress,
    PowerCut,
    CrashInWrite,
    DiskError,
    ShortWrite,
    StallDisk,
    Damage,
    SwapFiles,
    SetTiming,
    Stranger,
    HostileMember,
    Shutdown,
    Blackout,
    Pause,
    StopInTurn,
    Partition,
    OneWay,
    Split,
    Strand,
    Slow,
    BreakLinks,
    Stall,
    SetClock,
    SpoilRate,
    StepBack,
}

/// Every kind, with how often it is drawn beside the others.
const KINDS: [(Kind, u64); 27] = [
    (Kind::Kill, 8),
    (Kind::Move, 3),
    (Kind::LendAddress, 4),
    (Kind::PowerCut, 8),
    (Kind::CrashInWrite, 8),
    (Kind::DiskError, 3),
    (Kind::ShortWrite, 3),
    (Kind::StallDisk, 6),
    (Kind::Damage, 3),
    (Kind::SwapFiles, 2),
    (Kind::SetTiming, 4),
    (Kind::Stranger, 4),
    (Kind::HostileMember, 4),
    (Kind::Shutdown, 5),
    (Kind::Blackout, 1),
    (Kind::Pause, 8),
    (Kind::StopInTurn, 8),
    (Kind::Partition, 6),
    (Kind::OneWay, 6),
    (Kind::Split, 4),
    (Kind::Strand, 8),
    (Kind::Slow, 4),
    (Kind::BreakLinks, 6),
    (Kind::Stall, 6),
    (Kind::SetClock, 1),
    (Kind::SpoilRate, 3),
    (Kind::StepBack, 4),
];

/// A cut.
struct Cut {
    /// The directions that it holds back.
    pairs: Vec<(usize, usize)>,
    /// A primary that it keeps from hearing what becomes of its slots.
    primary: Option<usize>,
    stage: Stage,
}

/// The course of a cut.
#[derive(Clone, Copy)]
enum Stage {
    /// It begins when the leader has told its heir to take over, if that comes about.
    HandingOver { leader: usize, heir: usize, until: Micros },
    /// It is in force.
    Away,
    /// The primary comes home: it will be cut off so many times more.
    Flapping(u64),
}

/// The plan of a run.
pub struct Faults {
    rng: Rng,
    /// The kinds of this run.
    kinds: Vec<(Kind, u64)>,
    /// Between two faults, on average.
    gap: Micros,
    cuts: Vec<Option<Cut>>,
    pauses: u64,
    strangers: Vec<hostile::Stranger>,
}

impl Faults {
    /// Draws the plan: swarm testing, every kind is off in a third of the runs.
    pub fn new(mut rng: Rng) -> Self {
        let mut kinds: Vec<_> = KINDS.into_iter().filter(|_| rng.below(3) > 0).collect();
        if kinds.is_empty() {
            kinds.push((Kind::Kill, 1));
        }
        let gap = [SECOND, 2 * SECOND, 3 * SECOND, 6 * SECOND][rng.below(4) as usize];
        Self { rng, kinds, gap, cuts: Vec::new(), pauses: 0, strangers: Vec::new() }
    }

    fn draw(&mut self) -> Kind {
        let total = self.kinds.iter().map(|(_, weight)| weight).sum();
        let mut at = self.rng.below(total);
        for (kind, weight) in &self.kinds {
            if at < *weight {
                return *kind;
            }
            at -= weight;
        }
        unreachable!("a draw below the sum of weights meets one of them")
    }

    fn pick(&mut self, from: &[usize]) -> Option<usize> {
        from.get(self.rng.below(from.len() as u64) as usize).copied()
    }
}

impl World {
    /// Begins the plan: in some runs at once, in others when the cluster has had time to form.
    pub fn begin_faults(&mut self) {
        let first = if self.faults.rng.one_in(4) { 0 } else { self.faults.rng.between(5 * SECOND, 15 * SECOND) };
        self.queue.push(first, Event::Fault);
        if self.faults.kinds.iter().any(|(kind, _)| *kind == Kind::StallDisk) && self.faults.rng.one_in(6) {
            let at = self.faults.rng.below(SAFETY);
            self.queue.push(at, Event::SlowDisks);
        }
    }

    /// A fault is due.
    pub fn next_fault(&mut self) {
        if self.clients.mode != Mode::Busy {
            return;
        }
        let kind = self.faults.draw();
        trace::at(self.now, format_args!("fault"));
        note!("{kind:?}");
        self.inflict(kind);
        let gap = self.faults.gap;
        let next = self.faults.rng.between(gap / 8, gap * 2);
        self.queue.push(self.now + next, Event::Fault);
    }

    fn inflict(&mut self, kind: Kind) {
        let index = self.faults.rng.below(self.machines.len() as u64) as usize;
        match kind {
            Kind::Kill => self.kill(index),
            Kind::Move => self.move_away(index),
            Kind::LendAddress => self.lend_address(index),
            Kind::PowerCut => self.cut_power(index),
            Kind::CrashInWrite => self.spoil_disk(index, DiskFault::Die),
            Kind::DiskError => self.spoil_disk(index, DiskFault::Fail),
            Kind::ShortWrite => {
                let bytes = self.faults.rng.between(1, 700) as usize;
                self.spoil_disk(index, DiskFault::Short(bytes));
            }
            Kind::StallDisk => self.stall_disk(index),
            Kind::Damage => self.damage(index),
            Kind::SwapFiles => self.swap_files(index),
            Kind::SetTiming => self.set_timing(index),
            Kind::Stranger => self.send_stranger(index),
            Kind::HostileMember => self.corrupt_member(index),
            Kind::Shutdown => self.end_in_order(index),
            Kind::Blackout => self.black_out(),
            Kind::Pause => self.pause(index),
            Kind::StopInTurn => self.stop_in_turn(index),
            Kind::Partition => self.cut_off(index),
            Kind::OneWay => self.cut_one_way(index),
            Kind::Split => self.split(),
            Kind::Strand => self.strand(),
            Kind::Slow => self.slow_down(index),
            Kind::BreakLinks => self.break_links(index),
            Kind::Stall => self.stall_links(index),
            Kind::SetClock => self.set_wall_clock(index),
            Kind::SpoilRate => self.spoil_rate(index),
            Kind::StepBack => self.step_back(index),
        }
    }

    /// A process that is down starts some time later, after its kernel.
    pub fn restart_later(&mut self, index: usize) {
        // Now and then for so long that a voter is replaced.
        let longest = match self.faults.rng.below(20) {
            0 => 60 * SECOND,
            1..=4 => 15 * SECOND,
            _ => 2 * SECOND,
        };
        let after = self.faults.rng.between(50 * MILLI, longest);
        // Not beyond the faults: then everybody is started anyhow, and whoever is lost later stays lost.
        let start = (self.now + after).min(SAFETY);
        self.queue.push(start, Event::Start(index));
        if !self.net.hosts.is_powered(index) {
            let boot = self.faults.rng.between(self.now, start + 1);
            self.queue.push(boot, Event::Boot(index));
        }
    }

    fn kill(&mut self, index: usize) {
        if self.machines[index].node.is_none() {
            return;
        }
        let wakes = self.machines[index].end_process(&mut self.net, self.now);
        self.wake_all(wakes);
        self.stats.kills += 1;
        self.restart_later(index);
    }

    fn cut_power(&mut self, index: usize) {
        if self.machines[index].node.is_some() {
            self.lose_power(index);
            self.restart_later(index);
        }
    }

    /// The next turn that writes will meet this.
    fn spoil_disk(&mut self, index: usize, fault: DiskFault) {
        let machine = &mut self.machines[index];
        if machine.node.is_none() || machine.dies_in_write {
            return;
        }
        machine.dies_in_write = fault == DiskFault::Die;
        machine.disk.inject(self.faults.rng.between(1, 8), fault);
        match fault {
            DiskFault::Die => self.stats.crashes_in_writes += 1,
            DiskFault::Fail => self.stats.disk_errors += 1,
            DiskFault::Short(_) => self.stats.short_writes += 1,
        }
    }

    fn black_out(&mut self) {
        self.stats.blackouts += 1;
        let power = self.faults.rng.one_in(2);
        for index in 0..self.machines.len() {
            if power { self.cut_power(index) } else { self.kill(index) }
        }
    }

    fn draw_stop(&mut self) -> Micros {
        let longest = if self.faults.rng.one_in(4) { 12 * SECOND } else { 2 * SECOND };
        self.faults.rng.between(10 * MILLI, longest)
    }

    fn pause(&mut self, index: usize) {
        let stop = self.draw_stop();
        let machine = &mut self.machines[index];
        if !machine.is_running() {
            return;
        }
        self.faults.pauses += 1;
        machine.paused = Some(self.faults.pauses);
        self.queue.push(self.now + stop, Event::Resume(index, self.faults.pauses));
        self.stats.pauses += 1;
    }

    /// The next turn in which this process, or that of an owner of slots, serves clients will take that long.
    fn stop_in_turn(&mut self, index: usize) {
        let owners = self.owners_as_seen_by(index);
        let index = self.faults.pick(&owners).unwrap_or(index);
        // Mostly for so long that another one may have taken its place by then.
        let stop = if self.faults.rng.one_in(3) { self.draw_stop() } else { self.faults.rng.between(2 * SECOND, 12 * SECOND) };
        let machine = &mut self.machines[index];
        machine.stops_in_turn = Some(stop).filter(|_| machine.is_running());
    }

    fn owners_as_seen_by(&self, index: usize) -> Vec<usize> {
        let owners = self.state_of(index).into_iter().flat_map(|state| state.slot_owners());
        owners.filter_map(|owner| self.machine_of(*owner)).collect()
    }

    fn cut_off(&mut self, index: usize) {
        let others = (0..self.machines.len()).filter(|other| *other != index);
        self.begin_cut(others.flat_map(|other| [(index, other), (other, index)]).collect());
        self.stats.partitions += 1;
    }

    fn cut_one_way(&mut self, index: usize) {
        let other = self.faults.rng.below(self.machines.len() as u64) as usize;
        let all = self.faults.rng.one_in(3);
        let inward = self.faults.rng.one_in(2);
        let peers = (0..self.machines.len()).filter(|peer| *peer != index && (all || *peer == other));
        self.begin_cut(peers.map(|peer| if inward { (peer, index) } else { (index, peer) }).collect());
        self.stats.one_way_cuts += 1;
    }

    /// Two groups that do not hear each other.
    fn split(&mut self) {
        let count = self.machines.len();
        let left: Vec<bool> = (0..count).map(|_| self.faults.rng.one_in(2)).collect();
        let pairs = (0..count).flat_map(|from| (0..count).map(move |to| (from, to)));
        self.begin_cut(pairs.filter(|(from, to)| left[*from] != left[*to]).collect());
        self.stats.partitions += 1;
    }

    fn leaders(&self) -> Vec<usize> {
        let leads = |machine: &&Machine| machine.node.as_ref().is_some_and(|node| node.raft().is_leader());
        self.machines.iter().filter(leads).map(|machine| machine.index).collect()
    }

    fn begin_cut(&mut self, pairs: Vec<(usize, usize)>) {
        let longest = if self.faults.rng.one_in(4) { 15 * SECOND } else { 3 * SECOND };
        self.begin_cut_for(longest, Cut { pairs, primary: None, stage: Stage::Away });
    }

    fn begin_cut_for(&mut self, longest: Micros, cut: Cut) {
        for (from, to) in &cut.pairs {
            self.net.cut(*from, *to, true);
        }
        self.faults.cuts.push(Some(cut));
        self.heal_within(longest, self.faults.cuts.len() - 1);
    }

    fn heal_within(&mut self, longest: Micros, cut: usize) {
        let until = self.now + self.faults.rng.between(50 * MILLI, longest);
        self.queue.push(until, Event::Heal(cut));
    }

    /// A cut ends. Some of the connections across it have given up meanwhile.
    pub fn heal_cut(&mut self, index: usize) {
        let Some(cut) = self.faults.cuts[index].take() else { return };
        let flaps = match (cut.primary, cut.stage) {
            (Some(primary), Stage::Away) => return self.prepare_homecoming(index, cut.pairs, primary),
            (_, Stage::Flapping(flaps)) => flaps,
            _ => 0,
        };
        for (from, to) in &cut.pairs {
            self.net.cut(*from, *to, false);
            // What comes and goes loses what was under way.
            if flaps > 0 || self.faults.rng.one_in(3) {
                self.break_between(*from, *to);
            }
        }
        self.wake_machines();
        if flaps > 0 {
            self.faults.cuts[index] = Some(cut);
            let again = self.faults.rng.between(50 * MILLI, SECOND);
            self.queue.push(self.now + again, Event::Cut(index));
        }
    }

    /// A cut begins, or begins again: a link that comes and goes.
    pub fn cut(&mut self, index: usize) {
        let Some(mut cut) = self.faults.cuts[index].take() else { return };
        let longest = match cut.stage {
            Stage::HandingOver { leader, heir, until } => {
                let takes_over = self.machines[heir].node.as_ref().is_some_and(|node| node.raft().role() == RoleName::Candidate);
                if !takes_over && self.now < until {
                    self.faults.cuts[index] = Some(cut);
                    return self.queue.push(self.now + MILLI / 10, Event::Cut(index));
                } else if !takes_over {
                    return;
                }
                cut.stage = Stage::Away;
                cut.primary.into_iter().for_each(|primary| self.claim_slot_of(primary, leader));
                15 * SECOND
            }
            Stage::Flapping(flaps) => {
                cut.stage = Stage::Flapping(flaps - 1);
                SECOND
            }
            Stage::Away => unreachable!("it is in force"),
        };
        for (from, to) in &cut.pairs {
            self.net.cut(*from, *to, true);
        }
        self.faults.cuts[index] = Some(cut);
        self.heal_within(longest, index);
    }

    fn slow_down(&mut self, index: usize) {
        let other = self.faults.rng.below(self.machines.len() as u64) as usize;
        let by = [0, 20 * MILLI, 150 * MILLI, 700 * MILLI][self.faults.rng.below(4) as usize];
        self.net.set_slow(index, other, by);
        self.stats.slow_links += 1;
    }

    fn break_links(&mut self, index: usize) {
        let other = self.faults.rng.below(self.machines.len() as u64) as usize;
        self.break_between(index, other);
    }

    /// Some of the connections to another machine, or to all others.
    fn stall_links(&mut self, index: usize) {
        let other = self.faults.rng.below(self.machines.len() as u64) as usize;
        let all = self.faults.rng.one_in(3);
        let longest = if self.faults.rng.one_in(3) { 15 * SECOND } else { 3 * SECOND };
        for peer in (0..self.machines.len()).filter(|peer| all || *peer == other) {
            for conn in self.net.between(index, peer) {
                let until = self.now + self.faults.rng.between(50 * MILLI, longest);
                let wakes = self.net.stall(conn, until);
                self.stats.stalls += 1;
                self.wake_all(wakes.into_iter().flatten());
            }
        }
    }

    fn break_between(&mut self, first: usize, second: usize) {
        for conn in self.net.between(first, second) {
            let wakes = self.net.reset(conn, self.now);
            self.stats.resets_of_links += 1;
            self.wake_all(wakes.into_iter().flatten());
        }
    }

    /// The faults are over: every link is whole, every process runs.
    pub fn heal_all(&mut self) {
        self.count_foreign_files();
        self.end_stalls();
        self.right_rates();
        self.bring_addresses_home();
        self.remove_bridges();
        self.net.heal(self.now);
        self.faults.cuts.iter_mut().for_each(|cut| *cut = None);
        for index in 0..self.machines.len() {
            let machine = &mut self.machines[index];
            machine.stops_in_turn = None;
            if let Some(pause) = machine.paused {
                self.queue.push(self.now, Event::Resume(index, pause));
            }
            if machine.node.is_none() {
                self.queue.push(self.now + 10 * MILLI, Event::Start(index));
            }
        }
        self.wake_machines();
    }
}
