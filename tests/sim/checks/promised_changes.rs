//! What clients were told, against what the committed log says: an acknowledged change is never lost and never applied twice.
//!
//! Every slot of the simulated clients is changed by one client at a time, one slot a change. So each effective change of such a slot
//! answers exactly one request: one that was answered with OK, or one whose answer never came.

use crate::sim::checks::Checks;
use crate::sim::checks::model::Effect;
use pontoon::types::{NodeId, Slot};
use std::collections::{BTreeMap, BTreeSet};

/// A client asks this node to change the owner of a slot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Asked {
    /// Who is asked, and so proposes it.
    pub node: NodeId,
    /// The slot.
    pub slot: Slot,
    /// Its owner from then on.
    pub target: Option<NodeId>,
}

/// What the client knows of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It was made.
    Made,
    /// It was not, and will not be.
    Refused,
    /// It may have been, or may still be.
    Unknown,
}

/// The slots that simulated clients change one by one; what else owns slots uses higher ones.
pub const CLIENT_SLOTS: u16 = 64;

/// The requests that matter later.
#[derive(Default)]
pub struct Changes {
    unknown: BTreeMap<Asked, u32>,
    /// Asked to give up all their slots (RESET, FLUSHSLOTS), or on the way in again under an id that is a member.
    released: BTreeSet<NodeId>,
    /// Was to own this slot: a node that then joins another cluster claims it there.
    claims: BTreeSet<(NodeId, Slot)>,
    /// How often a node's one-node cluster ended, and with it what that cluster had acknowledged.
    given_up: BTreeMap<NodeId, u64>,
}

impl Changes {
    /// A node was asked to give up all its slots.
    pub fn release_asked(&mut self, node: NodeId) {
        self.released.insert(node);
    }

    /// A node gave up its one-node cluster.
    pub fn gave_up(&mut self, node: NodeId) {
        *self.given_up.entry(node).or_default() += 1;
    }

    /// How often it did so far; an answer from before is not judged after.
    pub fn times_given_up(&self, node: NodeId) -> u64 {
        self.given_up.get(&node).copied().unwrap_or_default()
    }
}

impl Checks {
    /// A client's request has its answer, or never will.
    pub fn answered(&mut self, asked: Asked, answer: Answer, given_up_before: u64) {
        if let Some(target) = asked.target.filter(|_| answer != Answer::Refused) {
            self.changes.claims.insert((target, asked.slot));
        }
        // The cluster in which it was made may be gone with all that it acknowledged.
        let is_judged = self.changes.times_given_up(asked.node) == given_up_before;
        match answer {
            Answer::Refused => {}
            Answer::Made if is_judged => self.check_made(asked),
            Answer::Made | Answer::Unknown => *self.changes.unknown.entry(asked).or_default() += 1,
        }
    }

    fn check_made(&mut self, asked: Asked) {
        let answers = |effect: &&mut Effect| {
            !effect.explained && effect.proposer == Some(asked.node) && effect.target == asked.target && effect.names(asked.slot)
        };
        // The newest in the cluster where the node is now, or else in one that it has left since.
        let now = self.seen.iter().find(|seen| seen.said.id == Some(asked.node)).and_then(|seen| seen.said.cluster);
        let (here, left): (Vec<_>, Vec<_>) = self.clusters.iter_mut().partition(|(cluster, _)| Some(**cluster) == now);
        let mut effects = here.into_iter().chain(left).flat_map(|(_, history)| history.model.effects.iter_mut().rev());
        let effect = effects.find(answers);
        match effect {
            Some(effect) => effect.explained = true,
            // A late effect of an earlier request made it so already, and nothing was left to do.
            None => {
                let owned = self.clusters.values().any(|history| history.model.owner(asked.slot) == asked.target);
                assert!(owned, "an acknowledged change is in the committed log: {asked:?}");
            }
        }
    }

    /// At the end of a run: what nobody explains happened twice, or was refused and happened all the same.
    pub fn check_unexplained(&mut self) {
        let Changes { unknown, released, claims, .. } = &mut self.changes;
        for effect in self.clusters.values().flat_map(|history| &history.model.effects).filter(|effect| !effect.explained) {
            let (Some(range), Some(proposer)) = (effect.ranges.first(), effect.proposer) else { continue };
            let slot = range.first();
            let inherited = || self.clusters.values().any(|history| history.model.has_inherited(proposer, slot));
            let owned = claims.contains(&(proposer, slot)) || inherited();
            let claimed = effect.source.is_none() && effect.target == Some(proposer) && owned;
            let gave_up = released.contains(&proposer) || effect.source.is_some_and(|source| released.contains(&source));
            let is_release = effect.target.is_none() && gave_up;
            if slot.number() >= CLIENT_SLOTS || claimed || is_release {
                continue;
            }
            let left = unknown.get_mut(&Asked { node: proposer, slot, target: effect.target }).filter(|left| **left > 0);
            let Some(left) = left else {
                panic!("a change is applied once, and only if it was not refused: entry {} {effect:?}", effect.index)
            };
            *left -= 1;
        }
    }
}
