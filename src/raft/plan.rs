//! Who should vote: the leader's next step of its own accord, as a pure function of what it sees.
//!
//! Owns: the order of the rules, and what each asks for before it moves. One step is planned at a time and looked at anew when it is
//! committed.
//! Must not: read a log, a clock or an option. Contract: docs/protocol.md, "Who votes".
//!
//! With nothing but its own steps changing the scene the plan comes to rest: those that lost their memory and those beyond the target run
//! out, growth ends at the target, each replacement leaves one failed voter less, and each exchange makes the sum of the squares of the
//! zones' voters smaller.

use crate::types::NodeId;

#[cfg(test)]
mod tests;

/// A member as the plan needs to know it, from outside Raft.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prospect<'a> {
    /// Who.
    pub id: NodeId,
    /// Its availability zone; those that announce none share one, the empty one.
    pub zone: &'a str,
    /// Flagged as failed.
    pub failed: bool,
    /// It may vote without anybody asking for it: nobody has demoted it, and it is not leaving.
    pub eligible: bool,
}

/// How a voter does, as its leader sees it; the later, the more of a burden.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Health {
    /// It answers rounds, by a link that is up.
    Answers,
    /// It does not answer at the moment.
    Silent,
    /// It is flagged as failed and has been silent for so long that it is to be replaced.
    Failed,
    /// It lost what it had acknowledged: its vote is worth nothing.
    Forgetful,
}

/// A voter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Voter<'a> {
    pub(super) id: NodeId,
    pub(super) zone: &'a str,
    pub(super) health: Health,
}

/// A member that may be promoted, answers and has caught up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) id: NodeId,
    pub(super) zone: &'a str,
}

/// What the leader sees.
#[derive(Clone, Debug)]
pub(super) struct Scene<'a> {
    /// The leader.
    pub(super) me: NodeId,
    /// The voting set, the leader usually among them.
    pub(super) voters: Vec<Voter<'a>>,
    /// None of them votes.
    pub(super) candidates: Vec<Candidate<'a>>,
    /// How many should vote: odd.
    pub(super) target: usize,
    /// Whom the log's newest voting entry added, if that is what it did.
    pub(super) newest: Option<NodeId>,
    /// Somebody's request is being worked on, which may add one to remove another: nobody is one too many meanwhile.
    pub(super) asked: bool,
}

/// The next voting entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// One, or two to a single one \[N15 one-to-three\].
    Add(Vec<NodeId>),
    /// Perhaps the leader itself, which hands over instead.
    Remove(NodeId),
}

impl Scene<'_> {
    /// The next step; none if the set is as it should be, or as good as it can be made for now.
    pub(super) fn next(&self) -> Option<Step> {
        let removal = self.forgetful().or_else(|| self.surplus());
        removal.or_else(|| self.growth()).or_else(|| self.replaced()).or_else(|| self.exchange())
    }

    /// Who lost its memory must not vote, whatever the size.
    fn forgetful(&self) -> Option<Step> {
        let found = self.voters.iter().find(|voter| voter.health == Health::Forgetful);
        found.filter(|_| self.voters.len() > 1).map(|voter| Step::Remove(voter.id))
    }

    /// More vote than should: who does not answer goes first, then whoever stands where it is most crowded. The one that was just added
    /// stays, and so does the leader as long as another can go.
    fn surplus(&self) -> Option<Step> {
        if self.voters.len() <= self.target || self.asked {
            return None;
        }
        let silent = |voter: &Voter| voter.health != Health::Answers;
        let other = |voter: &Voter| voter.id != self.me && Some(voter.id) != self.newest;
        let leaver = self
            .most_burdensome(silent)
            .or_else(|| self.most_burdensome(other))
            .or_else(|| self.most_burdensome(|voter| voter.id == self.me));
        leaver.filter(|leaver| self.can_spare(leaver)).map(|leaver| Step::Remove(leaver.id))
    }

    /// Fewer vote than should. An odd size is left only with the pair in hand that leads to the next one, and only while the newcomer is
    /// not needed for the majority of the set that it enters: else its failure would be one too many \[N14 replaced-voter\].
    fn growth(&self) -> Option<Step> {
        let size = self.voters.len();
        if size >= self.target {
            return None;
        }
        match self.best(2).as_slice() {
            [a, b] if size == 1 => Some(Step::Add(vec![*a, *b])),
            [a, more @ ..] if (size.is_multiple_of(2) || !more.is_empty()) && self.carries(size + 1) => Some(Step::Add(vec![*a])),
            _ => None,
        }
    }

    /// A voter that stays failed makes room, with its replacement in hand \[N14 replaced-voter\]; growth then adds that. Failure alone
    /// removes nobody.
    fn replaced(&self) -> Option<Step> {
        let leaver = self.most_burdensome(|voter| voter.health == Health::Failed)?;
        let replacement = self.candidates.first();
        replacement.filter(|_| self.can_spare(leaver)).map(|_| Step::Remove(leaver.id))
    }

    /// Everything is well, but one zone has two voters more than another could have: one of the other joins, and is one too many.
    fn exchange(&self) -> Option<Step> {
        let well = self.voters.iter().all(|voter| voter.health == Health::Answers);
        if self.voters.len() != self.target || !well || self.asked {
            return None;
        }
        let least_crowded = self.candidates.iter().min_by_key(|candidate| (self.crowd(candidate.zone), candidate.id));
        let (newcomer, most) = (least_crowded?, self.voters.iter().map(|voter| self.crowd(voter.zone)).max()?);
        (most >= self.crowd(newcomer.zone) + 2).then(|| Step::Add(vec![newcomer.id]))
    }

    /// The best candidates, so many at most, each of a zone with the fewest voters beside those chosen before it.
    pub(super) fn best(&self, count: usize) -> Vec<NodeId> {
        let mut chosen: Vec<Candidate> = Vec::new();
        while chosen.len() < count {
            let crowd = |zone| self.crowd(zone) + chosen.iter().filter(|candidate| candidate.zone == zone).count();
            let others = self.candidates.iter().filter(|candidate| !chosen.contains(candidate));
            let Some(next) = others.min_by_key(|candidate| (crowd(candidate.zone), candidate.id)) else { break };
            chosen.push(*next);
        }
        chosen.iter().map(|candidate| candidate.id).collect()
    }

    /// How many voters a zone has.
    fn crowd(&self, zone: &str) -> usize {
        self.voters.iter().filter(|voter| voter.zone == zone).count()
    }

    /// Of those voters the one that does worst, of equals one where it is most crowded, of equals the last.
    fn most_burdensome(&self, which: impl Fn(&Voter) -> bool) -> Option<&Voter<'_>> {
        let those = self.voters.iter().filter(|voter| which(voter));
        those.max_by_key(|voter| (voter.health, self.crowd(voter.zone), voter.id))
    }

    /// Whether the voters that answer are a majority of a set of this size.
    fn carries(&self, size: usize) -> bool {
        2 * self.answering() > size
    }

    /// Whether the voters that answer are a majority without this one: else its leaving could never be committed, nor anything after it.
    pub(super) fn can_spare(&self, leaver: &Voter) -> bool {
        let lost = usize::from(leaver.health == Health::Answers);
        2 * (self.answering() - lost) > self.voters.len() - 1
    }

    fn answering(&self) -> usize {
        self.voters.iter().filter(|voter| voter.health == Health::Answers).count()
    }
}
