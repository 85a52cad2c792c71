//! Every type of entry reads back, and does what its facts say and no more.

use super::*;
use crate::cluster::samples::{a_leader_would_append, histories, step, young};
use crate::cluster::state::Member;
use crate::cluster::{ClusterEntry, Outcome, format_body, parse_body};
use crate::raft::{Body, Payload};
use crate::types::{Slot, SlotRange};
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeSet;

#[test]
fn every_type_reads_back_under_its_name() {
    let mut runner = TestRunner::deterministic();
    for (name, samples) in Change::samples_by_type() {
        for _ in 0..64 {
            let body = Body::App(samples.new_tree(&mut runner).unwrap().current());
            let mut text = String::new();
            format_body(&body, &mut text);
            assert!(text.starts_with(&format!("{name} ")), "{text}");
            assert_eq!(parse_body(&text), Ok(body), "{text}");
        }
    }
}

#[test]
fn every_type_is_explained_in_the_protocol() {
    let protocol = include_str!("../../../docs/protocol.md");
    let firsts: Vec<&str> = protocol.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()).collect();
    for (name, _) in Change::samples_by_type() {
        assert!(firsts.iter().any(|first| first.contains(&format!("`{name}`"))), "docs/protocol.md, \"Log entries\" lacks {name}");
    }
}

/// The states before and after a change was applied.
struct Applied<'a> {
    before: &'a State,
    after: &'a State,
    change: &'a Change,
    facts: Facts<'a>,
}

impl Applied<'_> {
    /// The gate that a taken slot needs cannot be left out.
    fn slots_are_taken_from_whom_it_says(&self) {
        for slot in Slot::all() {
            let (old, new) = (self.before.owner(slot), self.after.owner(slot));
            if old == new {
                continue;
            }
            let named = |ranges: &[SlotRange]| ranges.iter().any(|range| range.contains(slot));
            if let Some(old) = old {
                let taken = self.change.takes_from(&old).unwrap_or_else(|| panic!("{slot} is taken from {old}"));
                assert!(matches!(taken, Taken::All) || matches!(taken, Taken::Ranges(ranges) if named(ranges)));
                assert_eq!(self.change.bars(), Some(old));
            }
            let shard = |owner: Option<NodeId>| owner.and_then(|owner| self.before.member(&owner)).map(|owner| owner.shard);
            if shard(old) != shard(new) {
                let rehomes = self.facts.rehomes.expect("slots change their shard");
                assert!(named(rehomes.ranges) && (rehomes.source, rehomes.target) == (old, new));
            }
            for id in [old, new].into_iter().flatten() {
                assert!(self.change.concerns(&id), "{id} has other slots");
            }
            assert!(self.facts.touches.owners);
        }
    }

    fn members_come_and_go_as_it_says(&self) {
        let ids = |state: &State| state.members().map(|member| member.id).collect::<BTreeSet<_>>();
        let (old, new) = (ids(self.before), ids(self.after));
        for id in old.symmetric_difference(&new) {
            assert_eq!(self.change.removes() == Some(*id), old.contains(id));
            assert_eq!(self.change.adds().map(|(id, _)| id) == Some(id), new.contains(id));
            assert!(self.change.concerns(id) && self.facts.touches.members);
        }
    }

    fn members_are_changed_as_it_says(&self) {
        for new in self.after.members() {
            let Some(old) = self.before.member(&new.id).filter(|old| *old != new) else { continue };
            assert!(self.facts.touches.members);
            assert!(!new.failed || old.failed || self.facts.fails == Some(new.id));
            assert!(new.address == old.address || self.change.informs().is_some_and(|(id, _)| *id == new.id));
            if new.primary != old.primary {
                assert!(self.change.gives_another_primary(&new.id, old.primary));
            }
        }
    }

    fn shards_are_reshaped_as_it_says(&self) {
        let shape = |state: &State, shard| {
            let of = state.members().filter(|member| member.shard == shard);
            of.map(|Member { id, primary, .. }| (*id, *primary)).collect::<Vec<_>>()
        };
        for shard in self.before.members().map(|member| member.shard) {
            if shape(self.before, shard) != shape(self.after, shard) {
                assert!(self.change.reshapes(&shard, self.before));
            }
        }
        if let Some(Succession { successor, predecessor, .. }) = self.change.succession() {
            let primary = |id: &NodeId| self.after.member(id).unwrap().primary;
            assert_eq!((primary(&successor), primary(&predecessor)), (None, Some(successor)));
        }
    }
}

#[test]
fn what_applying_does_is_what_the_facts_say() {
    let applied = RefCell::new(BTreeSet::new());
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::default()));
    let run = |history: Vec<(ClusterEntry, bool)>| {
        let mut state = young();
        for (entry, renew) in &history {
            // What was applied before under the same id would change nothing.
            let entry = step(&state, &ClusterEntry { origin: None, ..entry.clone() }, *renew);
            if !a_leader_would_append(&state, &entry.body) {
                continue;
            }
            let before = state.clone();
            let outcome = state.apply(before.last_applied() + 1, &entry);
            if let (Body::App(change), Outcome::Applied) = (&entry.body, outcome) {
                let applied_now = Applied { before: &before, after: &state, change, facts: change.facts() };
                applied_now.slots_are_taken_from_whom_it_says();
                applied_now.members_come_and_go_as_it_says();
                applied_now.members_are_changed_as_it_says();
                applied_now.shards_are_reshaped_as_it_says();
                applied.borrow_mut().insert(change.name());
            }
        }
        Ok(())
    };
    runner.run(&histories(60), run).unwrap();
    let names: BTreeSet<_> = Change::samples_by_type().into_iter().map(|(name, _)| name).collect();
    assert_eq!(*applied.borrow(), names, "each type has been applied at least once");
}
