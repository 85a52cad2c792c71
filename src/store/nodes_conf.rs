//! The text of nodes.conf, both ways. Pure.
//!
//! Owns: the whole file: snapshot part, crc line, tail; the strictness of reading. Must not: touch a disk, or repair anything.
//! Contract: docs/nodes-conf.md.

use super::error::{Damage, Problem};
use super::record::parse_crc;
use super::standing::Standing;
use super::tail::{self, Tail, write_entries, write_synced};
use crate::cluster::fields::MAX_NUMBER;
use crate::cluster::{Change, Own, State, parse_snapshot};
use crate::raft::{HardState, Log};
use crate::types::NodeId;
use std::fmt::Write;

/// What a node is at one moment, as far as it must survive.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    /// Whose file it is.
    pub me: NodeId,
    /// The node's count of loads, this one included.
    pub incarnation: u64,
    /// Term and vote; the term is at least that of every entry.
    pub hard: HardState,
    /// The state as of its `last_applied`.
    pub state: &'a State,
    /// The log; what it holds up to `last_applied` is left out, and nothing after that is missing.
    pub log: &'a Log<Change>,
    /// How the node stands to the state's cluster.
    pub standing: &'a Standing,
}

/// A file as read, nothing raised or changed yet.
#[derive(Clone, PartialEq, Debug)]
pub struct Contents {
    /// Whose file it is, its incarnation, term and vote.
    pub own: Own,
    /// The state as of `lastApplied`.
    pub state: State,
    /// How the node stands to the state's cluster.
    pub standing: Standing,
    /// The tail.
    pub tail: Tail,
    /// How many bytes the snapshot part has, the crc line not counted.
    pub snapshot_bytes: usize,
    /// The snapshot's checksum.
    pub crc: u32,
}

/// The whole file.
pub fn write(image: &Image<'_>) -> String {
    let applied = image.state.last_applied();
    assert!(
        image.log.snapshot_index() <= applied && applied <= image.log.last_index(),
        "no entry is missing between the state and the log"
    );
    assert!(image.log.last_term() <= image.hard.term, "no entry is of a term above the current one");
    let mut out = String::new();
    let own = Own { me: image.me, incarnation: image.incarnation, term: image.hard.term, voted_for: image.hard.voted_for };
    image.state.write_snapshot(Some(&own), &mut out);
    image.standing.write(&mut out);
    let crc = crc32fast::hash(out.as_bytes());
    // Writing to a String never fails.
    let _ = writeln!(out, "crc {crc:08x}");
    write_entries(image.log, applied, &mut out);
    write_synced(image.log.last_index(), &mut out);
    out
}

/// Reads a file: any bytes give what a node wrote, or what is wrong with them.
pub fn read(bytes: &[u8]) -> Result<Contents, Damage> {
    if bytes.is_empty() {
        return Err(Damage { line: 1, offset: 0, problem: Problem::Empty });
    }
    let section = snapshot_section(bytes)?;
    let (own, state, standing) = read_snapshot(&bytes[..section.end])?;
    let crc_line = section.lines + 1;
    let at_crc = |problem| Damage { line: crc_line, offset: section.end, problem };
    let (term, current) = (state.last_term(), own.term);
    if term > current {
        return Err(at_crc(Problem::TermAboveCurrent { term, current }));
    }
    if own.incarnation >= MAX_NUMBER {
        return Err(at_crc(Problem::IncarnationSpent));
    }
    let log = Log::new(state.last_applied(), state.last_term());
    let tail = tail::read(bytes, section.end + CRC_LINE_BYTES, crc_line + 1, log, own.term)?;
    Ok(Contents { own, state, standing, tail, snapshot_bytes: section.end, crc: section.crc })
}

/// `crc `, 8 digits, line end.
const CRC_LINE_BYTES: usize = 4 + 8 + 1;

/// The snapshot part under a good checksum.
struct Section {
    end: usize,
    lines: usize,
    crc: u32,
}

/// Finds the crc line, the first that begins with `crc `, and checks it. Nothing above it is looked at before: whatever changed there is found by the checksum.
fn snapshot_section(bytes: &[u8]) -> Result<Section, Damage> {
    let no_crc = || Damage { line: line_count(bytes).max(1), offset: bytes.len(), problem: Problem::NoCrc };
    let end = if bytes.starts_with(b"crc ") {
        0
    } else {
        bytes.windows(5).position(|window| window == b"\ncrc ").map(|at| at + 1).ok_or_else(no_crc)?
    };
    let lines = line_count(&bytes[..end]);
    let at_crc = |problem| Damage { line: lines + 1, offset: end, problem };
    let line = bytes[end..].get(..CRC_LINE_BYTES).ok_or_else(|| at_crc(Problem::BadCrcLine))?;
    let stored = line.strip_suffix(b"\n").and_then(|line| parse_crc(&line[4..])).ok_or_else(|| at_crc(Problem::BadCrcLine))?;
    let computed = crc32fast::hash(&bytes[..end]);
    if computed != stored {
        return Err(at_crc(Problem::CrcMismatch { computed, stored }));
    }
    Ok(Section { end, lines, crc: computed })
}

fn line_count(bytes: &[u8]) -> usize {
    bytes.split_inclusive(|byte| *byte == b'\n').count()
}

/// Reads the snapshot part: the state's lines, then the standing's.
fn read_snapshot(bytes: &[u8]) -> Result<(Own, State, Standing), Damage> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = line_count(&bytes[..error.valid_up_to()]).max(1);
        Damage { line, offset: error.valid_up_to(), problem: Problem::Snapshot("not text".to_owned()) }
    })?;
    let state_lines = text.split_inclusive('\n').take_while(|line| !Standing::owns_line(line));
    let (count, length) = state_lines.fold((0, 0), |(count, length), line| (count + 1, length + line.len()));
    let (state_text, standing_text) = text.split_at(length);
    let at = |place: usize, reason: String| {
        let offset = text.split_inclusive('\n').take(place).map(str::len).sum();
        Damage { line: place + 1, offset, problem: Problem::Snapshot(reason) }
    };
    let (state, own) = parse_snapshot(state_text, true).map_err(|error| at(error.line.saturating_sub(1), error.reason))?;
    let standing = Standing::read(standing_text).map_err(|(place, reason)| at(count + place, reason))?;
    let own = own.ok_or_else(|| at(0, "no line says `myself`".to_owned()))?;
    Ok((own, state, standing))
}
