//! How a node stands to the cluster whose id it carries, as far as a restart must know.
//!
//! Owns: [`Standing`] and its lines in nodes.conf. Must not: decide who joins (the node does). Contract: docs/nodes-conf.md, "A node that
//! joins".

use crate::cluster::fields::{Fields, number, write_ranges};
use crate::cluster::{Address, State, parse_snapshot};
use crate::types::numbers::{FALLBACK_TERM, JOIN_NONCE};
use crate::types::{ClusterId, NodeId, ShardId, SlotRange, Term};
use std::fmt::Write;

/// How a node stands to the cluster.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Standing {
    /// It belongs to it, alone or with others.
    #[default]
    Member,
    /// It belongs to it, and has slots of its own former cluster that it still means to claim; never empty.
    Claiming(Vec<SlotRange>),
    /// It gave up its own one-node cluster and waits for its NODE_JOIN to be applied.
    Joiner(Box<Joiner>),
}

/// What a joiner keeps until it has joined.
#[derive(Clone, PartialEq, Debug)]
pub struct Joiner {
    /// The cluster that it wants to join.
    pub cluster: ClusterId,
    /// Its shard, the same in both clusters.
    pub shard: ShardId,
    /// Drawn when it stepped down. Its NODE_JOIN carries it, and a leader that dials it says it: what does not know it knows an earlier
    /// life of this node at most. None for a founder who comes over to a cluster that was recovered from the one it founded.
    pub nonce: Option<u64>,
    /// Who takes it in.
    pub sponsor: Sponsor,
    /// The slots that it owned, ascending; it claims those that nobody owns once it has joined.
    pub claims: Vec<SlotRange>,
    /// The way back. None once it has acknowledged anything of the new cluster: that must never be forgotten \[N19 joiner-falls-back\].
    pub fallback: Option<Fallback>,
}

/// The member that proposes a joiner's NODE_JOIN.
#[derive(Clone, PartialEq, Debug)]
pub struct Sponsor {
    /// Who.
    pub id: NodeId,
    /// Where it was when it was met.
    pub address: Address,
}

/// A one-node cluster as it was when its node gave it up, all of its log applied.
#[derive(Clone, PartialEq, Debug)]
pub struct Fallback {
    /// Its state.
    pub state: State,
    /// Its term.
    pub term: Term,
}

impl Standing {
    /// What it waits for, if it waits to be added.
    pub fn joiner(&self) -> Option<&Joiner> {
        match self {
            Self::Joiner(joiner) => Some(joiner),
            Self::Member | Self::Claiming(_) => None,
        }
    }

    /// Whether it waits to be added.
    pub fn is_joiner(&self) -> bool {
        self.joiner().is_some()
    }

    /// The slots that it means to claim.
    pub fn claims(&self) -> &[SlotRange] {
        match self {
            Self::Member => &[],
            Self::Claiming(claims) => claims,
            Self::Joiner(joiner) => &joiner.claims,
        }
    }

    /// Appends its lines; none for a plain member.
    pub(super) fn write(&self, out: &mut String) {
        if let Self::Joiner(joiner) = self {
            joiner.write(out);
        }
        if !self.claims().is_empty() {
            out.push_str("claims");
            write_ranges(self.claims(), out);
            out.push('\n');
        }
        if let Some(fallback) = self.joiner().and_then(|joiner| joiner.fallback.as_ref()) {
            fallback.write(out);
        }
    }

    /// Whether a line of the snapshot part is one of a standing; the first of them ends the state's own lines.
    pub(super) fn owns_line(line: &str) -> bool {
        ["joiner ", "claims ", "fallback "].iter().any(|word| line.starts_with(word))
    }

    /// Reads the lines that [`Standing::write`] writes, all of them or an error with the place of the bad one (from 0).
    pub(super) fn read(text: &str) -> Result<Self, (usize, String)> {
        let mut reader = Reader::default();
        let mut count = 0;
        for line in text.lines() {
            reader.line(line).map_err(|reason| (count, reason))?;
            count += 1;
        }
        reader.finish().map_err(|reason| (count.saturating_sub(1), reason))
    }
}

impl Joiner {
    fn write(&self, out: &mut String) {
        // Writing to a String never fails.
        let _ = write!(out, "joiner cluster {} shard {} nonce ", self.cluster, self.shard);
        let _ = match self.nonce {
            Some(nonce) => write!(out, "{nonce}"),
            None => write!(out, "-"),
        };
        let _ = write!(out, " sponsor {} at {} fallbackTerm ", self.sponsor.id, self.sponsor.address);
        let _ = match &self.fallback {
            Some(fallback) => writeln!(out, "{}", fallback.term),
            None => writeln!(out, "-"),
        };
    }
}

impl Fallback {
    fn write(&self, out: &mut String) {
        let mut text = String::new();
        self.state.write_snapshot(None, &mut text);
        for line in text.lines() {
            let _ = writeln!(out, "fallback {line}");
        }
    }
}

/// What the lines so far have said.
#[derive(Default)]
struct Reader<'a> {
    joiner: Option<&'a str>,
    claims: Option<Vec<SlotRange>>,
    fallback: String,
}

impl<'a> Reader<'a> {
    fn line(&mut self, line: &'a str) -> Result<(), String> {
        match line.split_once(' ').ok_or("a line of no known kind")? {
            ("joiner", rest) if self.joiner.is_none() && self.claims.is_none() => self.joiner = Some(rest),
            ("claims", rest) if self.claims.is_none() && self.fallback.is_empty() => {
                self.claims = Some(Fields::new(rest).ranges("slot range")?);
            }
            ("fallback", rest) => {
                self.fallback.push_str(rest);
                self.fallback.push('\n');
            }
            ("joiner" | "claims", _) => return Err("a line twice or out of order".to_owned()),
            _ => return Err("a line of no known kind after a joiner's".to_owned()),
        }
        Ok(())
    }

    fn finish(self) -> Result<Standing, String> {
        let claims = self.claims.unwrap_or_default();
        match self.joiner {
            Some(line) => Ok(Standing::Joiner(Box::new(read_joiner(line, claims, &self.fallback)?))),
            None if !self.fallback.is_empty() => Err("fallback lines without a joiner line".to_owned()),
            None if claims.is_empty() => Ok(Standing::Member),
            None => Ok(Standing::Claiming(claims)),
        }
    }
}

fn read_joiner(line: &str, claims: Vec<SlotRange>, fallback: &str) -> Result<Joiner, String> {
    let mut fields = Fields::new(line);
    let mut key = |name: &'static str| match fields.text(name) {
        Ok(key) if key == name => fields.text(name).map_err(String::from),
        _ => Err(format!("the joiner line has no {name} in its place")),
    };
    let cluster = key("cluster")?.parse().map_err(|_| "bad cluster id")?;
    let shard = key("shard")?.parse().map_err(|_| "bad shard id")?;
    let nonce = match key("nonce")? {
        "-" => None,
        nonce => Some(number(nonce, &JOIN_NONCE).ok_or("bad nonce")?),
    };
    let sponsor = Sponsor {
        id: key("sponsor")?.parse().map_err(|_| "bad sponsor")?,
        address: key("at")?.parse().map_err(|_| "bad address of the sponsor")?,
    };
    let fallback = match key("fallbackTerm")? {
        "-" if fallback.is_empty() => None,
        "-" => return Err("fallback lines though there is no way back".to_owned()),
        term => Some(read_fallback(term, fallback)?),
    };
    fields.end()?;
    Ok(Joiner { cluster, shard, nonce, sponsor, claims, fallback })
}

fn read_fallback(term: &str, text: &str) -> Result<Fallback, String> {
    let term = number(term, &FALLBACK_TERM).ok_or("bad fallbackTerm")?;
    let (mut state, _) = parse_snapshot(text, false).map_err(|error| format!("fallback {error}"))?;
    if state.last_term() > term {
        return Err("the fallback's state is of a term above fallbackTerm".to_owned());
    }
    state.cap_lease();
    Ok(Fallback { state, term })
}
