//! Reading a snapshot's text back: any bytes give a state that holds every invariant, or an error that names line and reason.
//!
//! Owns: strictness. Must not: repair, guess, or panic. Contract: docs/nodes-conf.md. Writing is `snapshot`.

use super::address::Address;
use super::fields::{BadField, Fields, number};
use super::outcome::Outcome;
use super::proposals::{MAX_OUTCOMES, Proposals};
use super::slots::SlotMap;
use super::snapshot::Own;
use super::state::{MAX_MEMBERS, Member, State};
use crate::types::numbers::{
    CURRENT_TERM, INCARNATION, LAST_APPLIED, MAX_LEASE, OUTCOME_NUMBER, PROPOSER_INCARNATION, PROPOSER_LOWEST, SHARD_EPOCH, SNAPSHOT_TERM,
};
use crate::types::{ClusterId, LogIndex, Millis, NodeId, ShardId, SlotRange, Term};
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// Why a text is no snapshot.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct SnapshotError {
    /// Counted from 1 within the text.
    pub line: usize,
    /// What is wrong there.
    pub reason: String,
}

type Parsed<T> = Result<T, String>;

impl From<BadField> for String {
    fn from(BadField(name): BadField) -> Self {
        format!("bad or missing field: {name}")
    }
}

/// Reads what [`State::write_snapshot`] writes: a file's text (`in_file`), which says whose file it is, or one from the bus, which must
/// not.
pub fn parse_snapshot(text: &str, in_file: bool) -> Result<(State, Option<Own>), SnapshotError> {
    let mut reader = Reader::default();
    let mut count = 0;
    for line in text.split_terminator('\n') {
        count += 1;
        reader.line(line).map_err(|reason| SnapshotError { line: count, reason })?;
    }
    if !text.ends_with('\n') {
        return Err(SnapshotError { line: count, reason: "the last line has no end".to_owned() });
    }
    let (state, own) = reader.finish().map_err(|reason| SnapshotError { line: count, reason })?;
    match (in_file, &own) {
        (true, None) => Err(SnapshotError { line: count, reason: "no line says `myself`".to_owned() }),
        (false, Some(_)) => Err(SnapshotError { line: count, reason: "a snapshot from the bus says `myself`".to_owned() }),
        _ => Ok((state, own)),
    }
}

/// What the lines so far have said.
#[derive(Default)]
struct Reader {
    me: Option<NodeId>,
    state: Option<State>,
    own: Option<OwnVars>,
    members: BTreeMap<NodeId, Member>,
    shards: BTreeMap<ShardId, LogIndex>,
    slots: Option<SlotMap>,
}

/// The vars that only a file has.
#[derive(Clone, Copy)]
struct OwnVars {
    incarnation: u64,
    term: Term,
    voted_for: Option<NodeId>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Parsed<()> {
        let mut fields = Fields::new(line);
        let first = fields.text("record")?;
        match (first, &mut self.state) {
            ("vars", None) => self.vars(fields),
            ("vars", Some(_)) => Err("a second vars line".to_owned()),
            ("proposer", Some(state)) => proposer(fields, state),
            ("proposer", None) => Err("a proposer line before the vars line".to_owned()),
            (_, Some(_)) => Err("a line of no known kind after the vars line".to_owned()),
            (id, None) => self.node(id.parse().map_err(|_| "neither a node line nor a vars line".to_owned())?, fields),
        }
    }

    fn node(&mut self, id: NodeId, mut fields: Fields) -> Parsed<()> {
        let address = Address::in_a_line(fields.text("address")?).map_err(|_| BadField("address"))?;
        let flags = Flags::parse(fields.text("flags")?)?;
        if flags.myself && self.me.replace(id).is_some() {
            return Err("a second line says `myself`".to_owned());
        }
        let primary = fields.id_or_none("primary")?;
        if (fields.text("ping-sent")?, fields.text("pong-received")?) != ("0", "0") {
            return Err("ping-sent and pong-received are always 0".to_owned());
        }
        let epoch = fields.number(&SHARD_EPOCH)?;
        if !matches!(fields.text("link-state")?, "connected" | "disconnected") {
            return Err("the link state is neither connected nor disconnected".to_owned());
        }
        let ranges = fields.ranges("slot range")?;
        if flags.handshake {
            // This node's own line while it is no member: it says no more than who.
            let plain = flags.myself && primary.is_none() && epoch == 0 && ranges.is_empty();
            return if plain { Ok(()) } else { Err("only a `myself` without primary, epoch and slots can be in handshake".to_owned()) };
        }
        self.own_slots(id, &ranges)?;
        self.member(id, address, &flags, primary, epoch)
    }

    fn own_slots(&mut self, id: NodeId, ranges: &[SlotRange]) -> Parsed<()> {
        let slots = self.slots.get_or_insert_with(SlotMap::new);
        for range in ranges {
            if let Some(slot) = range.slots().find(|slot| slots.owner(*slot).is_some()) {
                return Err(format!("slot {slot} has two owners"));
            }
            slots.assign(*range, Some(id));
        }
        Ok(())
    }

    fn member(&mut self, id: NodeId, address: Address, flags: &Flags, primary: Option<NodeId>, epoch: LogIndex) -> Parsed<()> {
        let shard = address.shard_id().ok_or("the address has no shard-id")?;
        let address = address.without_shard_id();
        if flags.replica != primary.is_some() {
            return Err("a slave names its primary, a master `-`".to_owned());
        }
        if self.shards.insert(shard, epoch).is_some_and(|other| other != epoch) {
            return Err("two members of a shard have different epochs".to_owned());
        }
        let member = Member { id, address, shard, primary, failed: flags.failed, nofailover: flags.nofailover };
        if self.members.insert(id, member).is_some() {
            return Err("the member has two lines".to_owned());
        }
        if self.members.len() > MAX_MEMBERS { Err("more members than a cluster takes".to_owned()) } else { Ok(()) }
    }

    fn vars(&mut self, fields: Fields) -> Parsed<()> {
        let vars = Vars::parse(fields)?;
        let own = (vars.incarnation, vars.term, vars.voted_for);
        self.own = match own {
            (Some(incarnation), Some(term), Some(voted_for)) => Some(OwnVars { incarnation, term, voted_for }),
            (None, None, None) => None,
            _ => return Err("incarnation, currentTerm and votedFor stand together or not at all".to_owned()),
        };
        let missing = |name: &str| format!("vars has no {name}");
        let mut state = State::empty(vars.cluster.ok_or_else(|| missing("cluster"))?);
        state.last_applied = vars.last_applied.ok_or_else(|| missing("lastApplied"))?;
        state.last_term = vars.snapshot_term.ok_or_else(|| missing("snapshotTerm"))?;
        state.max_lease = vars.max_lease.ok_or_else(|| missing("maxLease"))?;
        state.voters = vars.voters.ok_or_else(|| missing("voters"))?;
        state.demoted = vars.demoted.ok_or_else(|| missing("demoted"))?;
        state.ancestors = vars.ancestors.unwrap_or_default();
        state.members = std::mem::take(&mut self.members);
        state.shards = std::mem::take(&mut self.shards);
        if let Some(slots) = self.slots.take() {
            state.slots = slots;
        }
        self.state = Some(state);
        Ok(())
    }

    fn finish(self) -> Parsed<(State, Option<Own>)> {
        let state = self.state.ok_or("no vars line")?;
        state.violated()?;
        let own = match (self.me, self.own) {
            (Some(me), Some(OwnVars { incarnation, term, voted_for })) => Some(Own { me, incarnation, term, voted_for }),
            (None, None) => None,
            (Some(_), None) => return Err("`myself` without incarnation, currentTerm and votedFor".to_owned()),
            (None, Some(_)) => return Err("no line says `myself`".to_owned()),
        };
        Ok((state, own))
    }
}

/// The flags of a node line.
#[derive(Default)]
struct Flags {
    myself: bool,
    handshake: bool,
    primary: bool,
    replica: bool,
    failed: bool,
    nofailover: bool,
}

impl Flags {
    fn parse(text: &str) -> Parsed<Self> {
        let mut flags = Self::default();
        for name in text.split(',') {
            let flag = match name {
                "myself" => &mut flags.myself,
                "handshake" => &mut flags.handshake,
                "master" => &mut flags.primary,
                "slave" => &mut flags.replica,
                "fail" => &mut flags.failed,
                "nofailover" => &mut flags.nofailover,
                _ => return Err("an unknown flag".to_owned()),
            };
            if std::mem::replace(flag, true) {
                return Err(format!("the flag {name} stands twice"));
            }
        }
        let roles = [flags.handshake, flags.primary, flags.replica].into_iter().filter(|set| *set).count();
        if roles == 1 { Ok(flags) } else { Err("not exactly one of master, slave and handshake".to_owned()) }
    }
}

/// The keys of the vars line, each at most once.
#[derive(Default)]
struct Vars {
    cluster: Option<ClusterId>,
    incarnation: Option<u64>,
    term: Option<Term>,
    voted_for: Option<Option<NodeId>>,
    last_applied: Option<LogIndex>,
    snapshot_term: Option<Term>,
    max_lease: Option<Millis>,
    voters: Option<BTreeSet<NodeId>>,
    demoted: Option<BTreeSet<NodeId>>,
    ancestors: Option<Vec<ClusterId>>,
}

impl Vars {
    fn parse(mut fields: Fields) -> Parsed<Self> {
        let mut vars = Self::default();
        while let Some(key) = fields.next() {
            match key {
                "cluster" => once(&mut vars.cluster, fields.parse("cluster")?, key)?,
                "incarnation" => once(&mut vars.incarnation, fields.number(&INCARNATION)?, key)?,
                "currentTerm" => once(&mut vars.term, fields.number(&CURRENT_TERM)?, key)?,
                "votedFor" => once(&mut vars.voted_for, fields.id_or_none("votedFor")?, key)?,
                "lastApplied" => once(&mut vars.last_applied, fields.number(&LAST_APPLIED)?, key)?,
                "snapshotTerm" => once(&mut vars.snapshot_term, fields.number(&SNAPSHOT_TERM)?, key)?,
                "maxLease" => once(&mut vars.max_lease, fields.number(&MAX_LEASE)?, key)?,
                "voters" => once(&mut vars.voters, id_set(fields.text("voters")?)?, key)?,
                "demoted" => once(&mut vars.demoted, id_set(fields.text("demoted")?)?, key)?,
                "ancestors" => once(&mut vars.ancestors, ids(fields.text("ancestors")?)?, key)?,
                // An older binary must not half-understand a newer file.
                _ => return Err(format!("unknown vars key {:?}", key.chars().take(64).collect::<String>())),
            }
        }
        Ok(vars)
    }
}

fn once<T>(place: &mut Option<T>, value: T, key: &str) -> Parsed<()> {
    if place.replace(value).is_some() { Err(format!("the key {key} stands twice")) } else { Ok(()) }
}

/// `a,b`, or `-` for none.
fn ids<T: FromStr>(text: &str) -> Parsed<Vec<T>> {
    let listed = text.split(',').filter(|_| text != "-");
    listed.map(|id| id.parse().map_err(|_| "a bad id in a list of ids".to_owned())).collect()
}

fn id_set(text: &str) -> Parsed<BTreeSet<NodeId>> {
    let listed = ids(text)?;
    let (count, set) = (listed.len(), BTreeSet::from_iter(listed));
    if set.len() == count { Ok(set) } else { Err("an id stands twice in a list of ids".to_owned()) }
}

/// `<id> <incarnation> <lowest> <n>:<code>...`
fn proposer(mut fields: Fields, state: &mut State) -> Parsed<()> {
    let id: NodeId = fields.parse("proposer")?;
    let (incarnation, lowest) = (fields.number(&PROPOSER_INCARNATION)?, fields.number(&PROPOSER_LOWEST)?);
    let mut outcomes = BTreeMap::new();
    while let Some(field) = fields.next() {
        let (n, code) = field.split_once(':').ok_or("an outcome is not <n>:<code>")?;
        let n = number(n, &OUTCOME_NUMBER).ok_or("an outcome's number is none")?;
        let outcome = Outcome::from_code(code).ok_or("an unknown outcome")?;
        if outcomes.last_key_value().is_some_and(|(last, _)| *last >= n) || outcomes.len() >= MAX_OUTCOMES {
            return Err("outcomes are out of order or too many".to_owned());
        }
        outcomes.insert(n, outcome);
    }
    match state.proposals.insert(id, Proposals { incarnation, lowest, outcomes }) {
        Some(_) => Err("the proposer has two lines".to_owned()),
        None => Ok(()),
    }
}
