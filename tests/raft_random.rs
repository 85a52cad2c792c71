//! Random schedules of a few Raft cores: crashes before and after the disk, delays, cut links, membership changes, compaction, transfers.
//! `RAFT_SEEDS=a..b` sweeps another range (b excluded).

#[path = "raft/harness.rs"]
mod harness;

use harness::{LEASE, TIMEOUT, Toy, World, id, name};
use pontoon::raft::{Body, Prospect, RoleName};
use pontoon::rng::Rng;
use pontoon::types::NodeId;
use std::collections::BTreeSet;

/// Schedules and inputs each, by default.
const SEEDS: std::ops::Range<u64> = 0..400;
const INPUTS: usize = 1000;

#[derive(Default, Debug)]
struct Seen {
    elections: u64,
    commits: u64,
    snapshots: u64,
    crashes: u64,
    voting: u64,
    transfers: u64,
    known_dead: u64,
    three_voters: u64,
}

fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> Option<T> {
    from.get(rng.below(from.len() as u64) as usize).copied()
}

struct Run {
    rng: Rng,
    world: World,
    said: u64,
    seen: Seen,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut world = World::new(seed);
        let names: Vec<char> = ('a'..='e').take(3 + rng.below(3) as usize).collect();
        if rng.one_in(3) {
            // From one founder and joiners.
            world.found('a');
            names[1..].iter().for_each(|name| world.add(*name, World::blank()));
        } else {
            let voters = 3 + rng.below(names.len() as u64 - 2) as usize;
            names.iter().for_each(|name| world.add(*name, World::formed(&names, &names[..voters])));
        }
        Self { rng, world, said: 0, seen: Seen::default() }
    }

    fn node(&mut self) -> char {
        let nodes: Vec<char> = self.world.nodes.keys().copied().collect();
        pick(&mut self.rng, &nodes).expect("there are nodes")
    }

    fn leaders(&self) -> Vec<char> {
        let leads = |node: &&char| self.world.nodes[node].raft.as_ref().is_some_and(|raft| raft.is_leader());
        self.world.nodes.keys().filter(leads).copied().collect()
    }

    /// Delivers one waiting message, any link's, in the order of that link.
    fn deliver(&mut self) -> bool {
        let waiting: Vec<(char, char, bool)> = self
            .world
            .links
            .iter()
            .flat_map(|(&(a, b), link)| {
                let request = (!link.requests.is_empty()).then_some((a, b, false));
                let answer = (!link.answers.is_empty()).then_some((b, a, true));
                request.into_iter().chain(answer)
            })
            .collect();
        let Some((from, to, answer)) = pick(&mut self.rng, &waiting) else { return false };
        if let Some((_, Err(fault))) = self.world.deliver_one(from, to, answer) {
            panic!("no honest node is at fault: {fault}");
        }
        true
    }

    fn tick(&mut self) {
        let scale = pick(&mut self.rng, &[5, 60, 400]).expect("there are scales");
        self.world.now += self.rng.below(scale);
        // Now and then one that was stopped for a while, or that is not due.
        let now = self.world.now;
        let due = |node: &char| self.world.nodes[node].raft.as_ref().and_then(|raft| raft.next_deadline()).is_some_and(|at| at <= now);
        let due: Vec<char> = self.world.nodes.keys().copied().filter(due).collect();
        let node = pick(&mut self.rng, &due).unwrap_or_else(|| self.node());
        self.world.input(node, |raft, now| raft.tick(now));
    }

    fn crash_or_restart(&mut self) {
        let node = self.node();
        if let Some(down) = self.world.nodes.iter().find(|(_, at)| at.raft.is_none()).map(|(down, _)| *down).filter(|_| self.rng.one_in(2))
        {
            self.world.restart(down);
        }
        if self.world.nodes[&node].raft.is_none() {
            return;
        }
        self.seen.crashes += 1;
        if self.rng.one_in(2) {
            // Between the disk and the messages.
            self.world.persist(node);
        }
        self.world.crash(node);
        self.world.nodes.get_mut(&node).expect("a known node").held = false;
    }

    fn links(&mut self) {
        let (a, b) = (self.node(), self.node());
        if a == b {
        } else if self.rng.one_in(3) {
            self.world.cut(a, b);
        } else {
            self.world.heal(a, b);
        }
    }

    fn hold(&mut self) {
        let node = self.node();
        let at = self.world.nodes.get_mut(&node).expect("a known node");
        at.held = !at.held;
        if !at.held {
            self.world.turn(node);
        }
    }

    fn propose(&mut self) {
        let leaders = self.leaders();
        let Some(leader) = pick(&mut self.rng, &leaders) else { return };
        let node = self.node();
        self.said += 1;
        let missing = !self.world.nodes[&leader].state.members.contains(&id(node));
        let change = match self.rng.below(7) {
            _ if missing => Toy::Join(id(node)),
            0 => Toy::Depose(id(node)),
            1 => Toy::Fail(id(node)),
            _ => Toy::Say(format!("{}", self.said)),
        };
        self.world.input(leader, |raft, _| raft.append(None, change).ok());
    }

    fn voting(&mut self) {
        let leaders = self.leaders();
        let Some(leader) = pick(&mut self.rng, &leaders) else { return };
        let members: Vec<NodeId> = self.world.nodes[&leader].state.members.iter().copied().collect();
        let (Some(some), raft) = (pick(&mut self.rng, &members), self.world.raft(leader)) else { return };
        let zone = |id: &NodeId| if name(id) < 'd' { "west" } else { "east" };
        let prospects: Vec<_> = members.iter().map(|id| Prospect { id: *id, zone: zone(id), failed: false, eligible: true }).collect();
        let shrink = raft.voters().len() > 1 && self.rng.one_in(3);
        let body = match raft.plan_voters(&prospects, false, self.world.now) {
            Some(body) => body,
            None if shrink => Body::DelVoter { id: some, by_hand: true },
            None if raft.voters().len() > 1 => Body::AddVoter { ids: vec![some] },
            None => return,
        };
        let appended = self.world.input(leader, |raft, now| raft.change_voters(body, now).is_ok());
        self.seen.voting += u64::from(appended == Some(true));
    }

    fn transfer(&mut self) {
        let leaders = self.leaders();
        let Some(leader) = pick(&mut self.rng, &leaders) else { return };
        let begun = self.world.input(leader, |raft, now| raft.transfer_to(None, now));
        self.seen.transfers += u64::from(begun == Some(true));
    }

    /// A leader learns that a process is dead that is.
    fn observe(&mut self) {
        let leaders = self.leaders();
        let down = self.world.nodes.iter().find(|(_, at)| at.raft.is_none()).map(|(down, _)| *down);
        let (Some(leader), Some(down)) = (pick(&mut self.rng, &leaders), down) else { return };
        self.seen.known_dead += 1;
        self.world.input(leader, |raft, _| raft.set_dead(id(down)));
        self.world.input(leader, |raft, _| raft.append(None, Toy::Depose(id(down))).ok());
    }

    fn await_gate(&mut self) {
        let leaders = self.leaders();
        let Some(leader) = pick(&mut self.rng, &leaders) else { return };
        let nodes = if self.rng.one_in(2) { BTreeSet::from([id(self.node())]) } else { BTreeSet::new() };
        self.world.input(leader, |raft, _| raft.await_gate(nodes));
    }

    fn compact(&mut self) {
        let node = self.node();
        let Some(raft) = &self.world.nodes[&node].raft else { return };
        let (first, commit) = (raft.log().first_index(), raft.commit_index());
        let index = self.rng.between(first, commit + 1);
        self.world.compact(node, index);
    }

    fn input(&mut self) {
        match self.rng.below(100) {
            0..=65 => drop(self.deliver()),
            66 => self.observe(),
            67 => self.await_gate(),
            68..=85 => self.tick(),
            86 => self.crash_or_restart(),
            87..=88 => self.links(),
            89 => self.hold(),
            90..=94 => self.propose(),
            95..=97 => self.voting(),
            98 => self.compact(),
            _ if self.rng.one_in(3) => self.transfer(),
            _ => {}
        }
    }

    /// Everybody is up and linked: soon there must be a leader that commits, and all must agree.
    fn heal(&mut self) {
        let nodes: Vec<char> = self.world.nodes.keys().copied().collect();
        for node in &nodes {
            self.world.nodes.get_mut(node).expect("a known node").held = false;
            if self.world.nodes[node].raft.is_none() {
                self.world.restart(*node);
            }
        }
        for leader in self.leaders() {
            self.world.input(leader, |raft, _| raft.await_gate(BTreeSet::new()));
        }
        for (a, b) in nodes.iter().flat_map(|a| nodes.iter().map(move |b| (*a, *b))) {
            self.world.heal(a, b);
        }
        self.quiet(15 * TIMEOUT + 3 * LEASE);
        let leaders = self.leaders();
        assert_eq!(leaders.len(), 1, "a healed world has a leader");
        let leader = leaders[0];
        self.world.input(leader, |raft, _| raft.append(None, Toy::Say("healed".into())).expect("it leads"));
        self.quiet(2 * TIMEOUT);
        let raft = self.world.raft(leader);
        assert_eq!(raft.commit_index(), raft.log().last_index(), "a healed leader commits");
        let state = &self.world.nodes[&leader].state;
        let reached: BTreeSet<NodeId> = state.members.union(&state.voters).copied().collect();
        for id in reached {
            assert_eq!(&self.world.nodes[&name(&id)].state, state, "everybody gets there");
        }
        self.seen.three_voters += u64::from(state.voters.len() >= 3);
        assert!(nodes.iter().all(|node| self.world.raft(*node).role() != RoleName::Candidate), "nobody is left asking");
    }

    fn quiet(&mut self, span: u64) {
        let end = self.world.now + span;
        while self.world.now < end {
            while self.deliver() {}
            self.world.now += 25;
            let now = self.world.now;
            let due = |node: &&char| self.world.nodes[node].raft.as_ref().and_then(|raft| raft.next_deadline()).is_some_and(|at| at <= now);
            let due: Vec<char> = self.world.nodes.keys().filter(due).copied().collect();
            for node in due {
                self.world.input(node, |raft, now| raft.tick(now));
            }
        }
    }
}

fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("RAFT_SEEDS") else { return SEEDS };
    let (from, to) = text.split_once("..").expect("RAFT_SEEDS=from..to");
    from.parse().expect("a number")..to.parse().expect("a number")
}

#[test]
fn random_schedules_keep_the_promises() {
    let mut total = Seen::default();
    for seed in seeds() {
        let run = std::panic::catch_unwind(|| {
            let mut run = Run::new(seed);
            (0..INPUTS).for_each(|_| run.input());
            if seed % 4 == 0 {
                run.heal();
            }
            run.seen.elections = run.world.leaders.len() as u64;
            run.seen.commits = run.world.commits;
            run.seen.snapshots = run.world.snapshots;
            run.seen
        });
        let seen = run.unwrap_or_else(|_| panic!("RAFT_SEEDS={seed}..{} replays it", seed + 1));
        total.elections += seen.elections;
        total.commits += seen.commits;
        total.snapshots += seen.snapshots;
        total.crashes += seen.crashes;
        total.voting += seen.voting;
        total.transfers += seen.transfers;
        total.known_dead += seen.known_dead;
        total.three_voters += seen.three_voters;
    }
    println!("{total:?}");
    let Seen { elections, commits, snapshots, crashes, voting, transfers, known_dead, three_voters } = total;
    let kinds = [elections, commits, snapshots, crashes, voting, transfers, known_dead, three_voters];
    assert!(seeds().end - seeds().start < 100 || kinds.iter().all(|&count| count > 0), "a kind of event never happened: {total:?}");
}
