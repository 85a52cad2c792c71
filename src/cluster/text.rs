//! The text form of log entries, both ways: `term [id=..] TYPE args`, for the bus and nodes.conf alike.
//!
//! Owns: that text, but for the arguments of the entries in `change`, which stand in their files. Must not: judge what an entry does (judge
//! and apply do).
//! Contract: docs/protocol.md, "Log entries".

use super::change::Change;
use super::fields::{BadField, Fields, number};
use crate::raft::{Body, Entry, Origin, Payload};
use crate::types::NodeId;
use crate::types::numbers::{ENTRY_LEASE, ENTRY_TERM, PROPOSAL_INCARNATION, PROPOSAL_NUMBER};
use std::fmt::Write;

/// One entry of the cluster's log.
pub type ClusterEntry = Entry<Change>;

/// Why a text is no entry.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EntryError {
    /// A well-formed type name that this binary does not know: the whole message or file is refused, since skipping it would diverge.
    #[error("unknown entry type {0}")]
    UnknownType(String),
    /// Names the field.
    #[error("malformed entry: {0}")]
    Malformed(&'static str),
}

impl From<BadField> for EntryError {
    fn from(BadField(name): BadField) -> Self {
        Self::Malformed(name)
    }
}

/// Appends `TYPE args`.
pub fn format_body(body: &Body<Change>, out: &mut String) {
    // Writing to a String never fails.
    let _ = match body {
        Body::Noop { lease } => write!(out, "NOOP {lease}"),
        Body::AddVoter { ids } => {
            out.push_str("ADD_VOTER");
            ids.iter().try_for_each(|id| write!(out, " {id}"))
        }
        Body::DelVoter { id, by_hand } => write!(out, "DEL_VOTER {id}{}", if *by_hand { " manual" } else { "" }),
        Body::App(change) => {
            out.push_str(change.name());
            change.entry_type().write(out);
            Ok(())
        }
    };
}

/// Appends `term [id=..] TYPE args`, without a line end.
pub fn format_entry(entry: &ClusterEntry, out: &mut String) {
    let _ = write!(out, "{} ", entry.term);
    if let Some(origin) = &entry.origin {
        let _ = write!(out, "id={origin} ");
    }
    format_body(&entry.body, out);
}

/// Reads what [`format_entry`] writes.
pub fn parse_entry(line: &str) -> Result<ClusterEntry, EntryError> {
    let (term, rest) = line.split_once(' ').ok_or(EntryError::Malformed("term"))?;
    let term = number(term, &ENTRY_TERM).ok_or(EntryError::Malformed("term"))?;
    let (origin, rest) = parse_origin(rest)?;
    let body = parse_body(rest)?;
    if origin.is_some() && !may_have_origin(&body) {
        return Err(EntryError::Malformed("an id on an entry that only a leader makes"));
    }
    Ok(Entry { term, origin, body })
}

/// Reads `id=<origin> ` if it is there, and returns what follows.
fn parse_origin(text: &str) -> Result<(Option<Origin>, &str), EntryError> {
    let Some(text) = text.strip_prefix("id=") else { return Ok((None, text)) };
    let (origin, rest) = text.split_once(' ').ok_or(EntryError::Malformed("id"))?;
    let origin: Origin = origin.parse().map_err(|_| EntryError::Malformed("id"))?;
    // A proposal is itself outstanding, so the lowest outstanding one is never above it; the numbers go into snapshots, so their bound
    // holds here too.
    let bounded = PROPOSAL_NUMBER.take(origin.id.n).and(PROPOSAL_INCARNATION.take(origin.id.incarnation));
    if bounded.is_some() && origin.lowest <= origin.id.n { Ok((Some(origin), rest)) } else { Err(EntryError::Malformed("id")) }
}

/// Voting entries and NOOP are made by the leader alone and never deduplicated \[N16 voting-entries\].
fn may_have_origin(body: &Body<Change>) -> bool {
    matches!(body, Body::App(change) if change.founding_voter().is_none())
}

/// Reads what [`format_body`] writes.
pub fn parse_body(text: &str) -> Result<Body<Change>, EntryError> {
    let mut fields = Fields::new(text);
    let name = fields.text("type")?;
    let body = match name {
        "NOOP" => Body::Noop { lease: fields.number(&ENTRY_LEASE)? },
        "ADD_VOTER" => parse_add_voter(&mut fields)?,
        "DEL_VOTER" => Body::DelVoter { id: fields.parse("id")?, by_hand: parse_by_hand(&mut fields)? },
        _ => Body::App(Change::read(name, &mut fields)?),
    };
    fields.end()?;
    Ok(body)
}

fn parse_add_voter(fields: &mut Fields) -> Result<Body<Change>, EntryError> {
    let mut ids: Vec<NodeId> = vec![fields.parse("id")?];
    if let Some(second) = fields.next() {
        ids.push(second.parse().map_err(|_| EntryError::Malformed("second id"))?);
        if ids[0] == ids[1] {
            return Err(EntryError::Malformed("the same id twice"));
        }
    }
    Ok(Body::AddVoter { ids })
}

fn parse_by_hand(fields: &mut Fields) -> Result<bool, EntryError> {
    match fields.next() {
        None => Ok(false),
        Some("manual") => Ok(true),
        Some(_) => Err(EntryError::Malformed("manual")),
    }
}

/// Only what looks like a type can be one of a newer binary; anything else is damage.
pub(super) fn unknown_type(name: &str) -> EntryError {
    let plausible = name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    if plausible { EntryError::UnknownType(name.to_owned()) } else { EntryError::Malformed("type") }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{id, shard};
    use super::*;

    #[test]
    fn entries_read_as_in_the_documents() {
        let (a, b, s) = (id(1), id(2), shard(1));
        for text in [
            format!("3 NODE_JOIN {a} :7000@17000,,shard-id={s} voter"),
            format!("3 id={a}:4.5:2 NODE_JOIN {b} 10.0.0.1:7000@17000,host,shard-id={s} learner"),
            format!("3 NODE_FORGET {a} 17"),
            format!("3 ADD_VOTER {a}"),
            format!("3 ADD_VOTER {a} {b}"),
            format!("3 DEL_VOTER {a}"),
            format!("3 DEL_VOTER {a} manual"),
            format!("3 id={a}:4.5:5 SLOT_CHANGE - 0 {b} 9 0-5460 7000 7002-7003"),
            format!("3 SLOT_CHANGE {a} 4 - 0 16383"),
            format!("3 SET_REPLICA_OF {a} {s} 4 {b} {s} 9"),
            format!("3 SET_REPLICA_OF {a} {s} 4 - {s} 0"),
            format!("3 FAILOVER {a} {b} {s} 9 auto"),
            format!("3 NODE_INFO {a} 10.0.0.1:7000@17000 noflags"),
            format!("3 NODE_FAIL {a}"),
            format!("3 NODE_RECOVER {a}"),
            "3 NOOP 5000".to_owned(),
        ] {
            let entry = parse_entry(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let mut again = String::new();
            format_entry(&entry, &mut again);
            assert_eq!(again, text);
        }
    }

    #[test]
    fn a_type_of_a_newer_binary_is_told_from_damage() {
        assert_eq!(parse_entry("3 SLOT_MIGRATE a b"), Err(EntryError::UnknownType("SLOT_MIGRATE".to_owned())));
        assert_eq!(parse_entry("3 slot_change a b"), Err(EntryError::Malformed("type")));
        assert_eq!(parse_entry(&format!("3 {}", "A".repeat(65))), Err(EntryError::Malformed("type")));
    }

    #[test]
    fn anything_loose_is_refused() {
        let (a, b) = (id(1), id(2));
        for text in [
            "".to_owned(),
            "3".to_owned(),
            "3 ".to_owned(),
            "x NOOP 1".to_owned(),
            "03 NOOP 1".to_owned(),
            "3 NOOP".to_owned(),
            "3 NOOP 1 ".to_owned(),
            "3  NOOP 1".to_owned(),
            "3 NOOP 1 2".to_owned(),
            "3 NOOP 9223372036854775808".to_owned(),
            format!("3 id={a}:1.1:1 NOOP 1"),
            format!("3 id={a}:1.1:1 ADD_VOTER {b}"),
            format!("3 id={a}:1.1:2 NODE_FAIL {b}"),
            format!("3 id={a}:1.9223372036854775808:1 NODE_FAIL {b}"),
            format!("3 id={a}:1.1 NODE_FAIL {b}"),
            format!("3 ADD_VOTER {a} {a}"),
            format!("3 DEL_VOTER {a} soon"),
            format!("3 SLOT_CHANGE - 1 {a} 1 5"),
            format!("3 SLOT_CHANGE - 0 {a} 1"),
            format!("3 SLOT_CHANGE - 0 {a} 1 5-5"),
            format!("3 SLOT_CHANGE - 0 {a} 1 6-5"),
            format!("3 SLOT_CHANGE - 0 {a} 1 5 5-6"),
            format!("3 SLOT_CHANGE - 0 {a} 1 7 5"),
            format!("3 SLOT_CHANGE - 0 {a} 1 16384"),
            format!("3 NODE_JOIN {a} 10.0.0.1:7000@17000 leader"),
            format!("3 NODE_FAIL {}", a.to_string().replace('0', "A")),
        ] {
            assert!(matches!(parse_entry(&text), Err(EntryError::Malformed(_))), "{text:?}");
        }
    }
}
