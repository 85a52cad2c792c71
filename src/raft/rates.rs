//! Whose clock runs at another rate than the others', as a leader sees by the clocks in their tokens \[N65 clock-rate\].
//!
//! Owns: what each clock has shown at two moments some ten seconds apart, how far the rates can be apart by that, and who stands alone.
//! Must not: read a clock, or act on what it finds (lease and gate ask; the node says it). Contract: docs/protocol.md, "Clock rates".
//!
//! A clock was read after the round was sent that its token came with, and before the token came: between these two times of the leader's.
//! So two tokens tell the rate within an error that the delays bound, whatever they were made of. A pause of a machine whose clock stands
//! still meanwhile is a jump: it falls into one step, and any one step may be left out. Several jumps are a rate.

use super::message::Token;
use super::quorum;
use crate::types::{Millis, NodeId};
use std::collections::{BTreeMap, VecDeque};

/// A step is at least so long (ms).
const STEP: Millis = 10_000;
/// It ends with the sharpest reading of its last part of this length, and the first one begins with that of its first.
const EDGE: Millis = 2_000;
/// So many steps are looked at.
const KEPT: usize = 6;
/// Clocks that are certainly further apart than this differ: half of what leases allow for.
const OFF_PPM: i64 = 10_000;
const MILLION: i64 = 1_000_000;

/// How fast a clock runs beside the leader's, in millionths more (or less) than the same: from, to.
type Range = (i64, i64);

/// What a leader can say of a node's clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Rate {
    /// Not enough was seen of it yet.
    #[default]
    Unknown,
    /// It may run as the leader's does, or it is the leader's that stands alone.
    Fits,
    /// It certainly differs by more than one per cent from most of those that are known, the voters' and its own.
    Alone,
    /// It certainly differs from the leader's, and no majority says which of them is right.
    Disputed,
}

impl Rate {
    /// In a word, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Fits => "fits",
            Self::Alone => "alone",
            Self::Disputed => "disputed",
        }
    }
}

/// A reading of another node's clock.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Reading {
    /// What it showed,
    clock: Millis,
    /// at some time from here
    sent: Millis,
    /// to here, by the leader's clock.
    received: Millis,
}

impl Reading {
    fn delay(&self) -> Millis {
        self.received.saturating_sub(self.sent)
    }

    fn sharper(self, other: Option<Self>) -> Self {
        other.filter(|other| other.delay() < self.delay()).unwrap_or(self)
    }
}

/// What passed between two readings.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Passed {
    /// By the node's clock.
    theirs: i64,
    /// By the leader's: at least, at most.
    least: i64,
    most: i64,
}

impl Passed {
    fn between(begun: &Reading, ended: &Reading) -> Self {
        let span = |from: Millis, to: Millis| i64::try_from(to).unwrap_or(i64::MAX).saturating_sub(i64::try_from(from).unwrap_or(i64::MAX));
        Self { theirs: span(begun.clock, ended.clock), least: span(begun.received, ended.sent), most: span(begun.sent, ended.received) }
    }

    fn without(self, part: Self) -> Self {
        Self { theirs: self.theirs - part.theirs, least: self.least - part.most, most: self.most - part.least }
    }

    /// Readings are whole milliseconds: each span may be one longer or shorter. None if too little has passed to tell anything.
    fn rate(self) -> Option<Range> {
        let ppm = |theirs: i64, ours: i64| theirs.saturating_mul(MILLION) / ours - MILLION;
        (self.least > EDGE as i64 && self.theirs >= 0)
            .then(|| (ppm(self.theirs - 1, self.most + 1) - 1, ppm(self.theirs + 1, self.least - 1) + 1))
    }
}

/// One node's clock.
#[derive(Clone, PartialEq, Debug)]
struct Clock {
    nonce: u64,
    /// Where the present step began.
    begun: Reading,
    /// Where it may end: the sharpest reading of its last part.
    end: Option<Reading>,
    /// The last steps, each beginning where the one before ended.
    steps: VecDeque<(Reading, Reading)>,
    range: Option<Range>,
    rate: Rate,
}

impl Clock {
    fn new(nonce: u64, begun: Reading) -> Self {
        Self { nonce, begun, end: None, steps: VecDeque::new(), range: None, rate: Rate::Unknown }
    }

    /// True if a step ends with it.
    fn note(&mut self, reading: Reading) -> bool {
        let age = reading.sent.saturating_sub(self.begun.sent);
        if self.steps.is_empty() && age < EDGE {
            self.begun = self.begun.sharper(Some(reading));
        }
        if age + EDGE < STEP {
            return false;
        }
        let end = reading.sharper(self.end);
        self.end = Some(end);
        if age < STEP {
            return false;
        }
        if self.steps.len() == KEPT {
            self.steps.pop_front();
        }
        self.steps.push_back((self.begun, end));
        (self.begun, self.end) = (end, None);
        self.range = self.measure();
        true
    }

    /// The rate over all steps but one, whichever that is: a jump may be in it.
    fn measure(&self) -> Option<Range> {
        let (first, last) = (self.steps.front()?, self.steps.back()?);
        let all = Passed::between(&first.0, &last.1);
        let rest = |(begun, ended): &(Reading, Reading)| all.without(Passed::between(begun, ended)).rate();
        let ranges = self.steps.iter().map(rest).collect::<Option<Vec<_>>>()?;
        let (least, most) = (ranges.iter().map(|range| range.0).min()?, ranges.iter().map(|range| range.1).max()?);
        (self.steps.len() > 1).then_some((least, most))
    }
}

/// Whether two clocks certainly differ by more than is tolerated.
fn differ(one: Range, other: Range) -> bool {
    one.0.saturating_sub(other.1) > OFF_PPM || other.0.saturating_sub(one.1) > OFF_PPM
}

/// All clocks, as one leadership sees them.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Rates {
    clocks: BTreeMap<NodeId, Clock>,
    /// It is the leader's own clock that stands alone.
    own_alone: bool,
    /// An earlier leader has said so: until this one has measured enough voters, it takes it for true.
    suspect: bool,
}

impl Rates {
    /// Of a new leader, which was told that its clock is off, or was not.
    pub(super) fn new(suspect: bool) -> Self {
        Self { clocks: BTreeMap::new(), own_alone: suspect, suspect }
    }

    /// A token came with the answer to a round that was sent at `sent`. `voters`: those whose clocks count, the leader `me` among them or
    /// not.
    pub(super) fn note<'a>(
        &mut self,
        from: NodeId,
        token: Token,
        sent: Millis,
        now: Millis,
        voters: impl Iterator<Item = &'a NodeId> + Clone,
        me: &NodeId,
    ) {
        let reading = Reading { clock: token.clock, sent, received: now };
        let fresh = || Clock::new(token.nonce, reading);
        let clock = self.clocks.entry(from).or_insert_with(fresh);
        // Another process, perhaps after a reboot: another clock.
        if clock.nonce != token.nonce || token.clock < clock.begun.clock {
            *clock = fresh();
        }
        if clock.note(reading) {
            self.judge(voters, me);
        }
    }

    /// Forgets those that are followed no more.
    pub(super) fn retain(&mut self, followed: impl Fn(&NodeId) -> bool) {
        self.clocks.retain(|id, _| followed(id));
    }

    /// Each against the voters'. The leader's own clock is the measure: it runs at its own rate.
    fn judge<'a>(&mut self, voters: impl Iterator<Item = &'a NodeId> + Clone, me: &NodeId) {
        let majority = quorum::majority(voters.clone().count());
        let others = voters.filter(|id| *id != me).filter_map(|id| Some((*id, self.clocks.get(id)?.range?)));
        let known: Vec<(NodeId, Range)> = others.chain([(*me, (0, 0))]).collect();
        let alone = |id: &NodeId, range: Range| {
            let others = known.iter().filter(|(other, _)| other != id);
            let (all, apart) = others.fold((1, 0), |(all, apart), (_, other)| (all + 1, apart + usize::from(differ(range, *other))));
            2 * apart > all
        };
        self.suspect &= known.len() < majority;
        self.own_alone = self.suspect || alone(me, (0, 0));
        for (id, clock) in &mut self.clocks {
            clock.rate = match clock.range {
                None => Rate::Unknown,
                Some(range) if alone(id, range) => Rate::Alone,
                Some(range) if !self.own_alone && differ(range, (0, 0)) => Rate::Disputed,
                Some(_) => Rate::Fits,
            };
        }
    }

    /// Whether the leader's own clock stands alone: by it nobody knows when a lease ends.
    pub(super) fn own_alone(&self) -> bool {
        self.own_alone
    }

    /// What can be said of a node's clock, and about how much faster than the leader's it runs, in millionths.
    pub(super) fn of(&self, id: &NodeId) -> (Rate, Option<i64>) {
        let clock = self.clocks.get(id);
        let middle = |(least, most): Range| least.midpoint(most);
        (clock.map_or(Rate::Unknown, |clock| clock.rate), clock.and_then(|clock| clock.range).map(middle))
    }

    /// Whether a node gets no tokens: its clock stands alone, or it may be the one that is too slow for the leader's waits.
    pub(super) fn withholds(&self, id: &NodeId) -> bool {
        let slower = |clock: &Clock| clock.range.is_some_and(|(_, most)| most < 0);
        self.own_alone
            || self.clocks.get(id).is_some_and(|clock| match clock.rate {
                Rate::Alone => true,
                Rate::Disputed => slower(clock),
                Rate::Unknown | Rate::Fits => false,
            })
    }

    /// A lease that ends after `span` by the node's clock lasts so long by the leader's: longer, where that clock is known to be slow.
    pub(super) fn outlasted(&self, id: &NodeId, span: Millis) -> Millis {
        let Some((least, _)) = self.clocks.get(id).filter(|_| self.withholds(id)).and_then(|clock| clock.range) else { return span };
        // A clock that seems to stand still is taken for one of a tenth of the speed.
        let speed = (MILLION + least).clamp(MILLION / 10, MILLION).unsigned_abs();
        span.saturating_mul(MILLION.unsigned_abs()) / speed
    }
}

#[cfg(test)]
mod tests;
