//! The log tail of nodes.conf, and the torn-tail rule.
//!
//! Owns: telling a torn last append (cut off) from damage (refused). Must not: touch a disk, or keep an entry that comes after a bad line.
//! Contract: docs/nodes-conf.md, "The log tail".

use super::error::{Damage, Problem};
use super::record::{self, LOG, Record, SYNCED};
use crate::cluster::fields::number;
use crate::cluster::{Change, ClusterEntry, EntryError, format_entry, parse_entry};
use crate::raft::{Body, Log};
use crate::types::numbers::{LEASE, LOG_INDEX};
use crate::types::{LogIndex, Term};
use std::fmt::Write;

/// Appends a `synced` line.
pub fn write_synced(index: LogIndex, out: &mut String) {
    record::write(SYNCED, &index.to_string(), out);
}

/// Appends the lines of the entries after `after`.
pub fn write_entries(log: &Log<Change>, after: LogIndex, out: &mut String) {
    let mut content = String::new();
    for (index, entry) in log.iter_from(after + 1) {
        content.clear();
        // Writing to a String never fails.
        let _ = write!(content, "{index} ");
        format_entry(entry, &mut content);
        record::write(LOG, &content, out);
    }
}

/// What was cut from a file's end: the remains of an append that never finished.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cut {
    /// The first bad line, counted from 1.
    pub line: usize,
    /// Where it begins.
    pub offset: usize,
    /// How many bytes went.
    pub bytes: usize,
    /// What is wrong with the first bad line.
    pub why: &'static str,
}

/// A tail as loaded.
#[derive(Clone, PartialEq, Debug)]
pub struct Tail {
    /// The entries after the snapshot.
    pub log: Log<Change>,
    /// The index of the last `synced` line: everything up to it was once certainly on disk.
    pub synced: LogIndex,
    /// What was cut off.
    pub cut: Option<Cut>,
}

/// Reads the tail that begins at byte `start`, in line `line`, behind a snapshot of `log`'s index and term.
pub fn read(bytes: &[u8], start: usize, line: usize, log: Log<Change>, current_term: Term) -> Result<Tail, Damage> {
    let mut reader = Reader { log, current_term, synced: None };
    let (mut offset, mut line) = (start, line);
    for text in bytes[start..].split_inclusive(|byte| *byte == b'\n') {
        let at = |problem| Damage { line, offset, problem };
        match record::read(text) {
            Ok(record) => reader.take(record).map_err(at)?,
            Err(why) => {
                let cut = reader.torn(bytes, Cut { line, offset, bytes: bytes.len() - offset, why }).map_err(at)?;
                return reader.finish(Some(cut)).map_err(at);
            }
        }
        (offset, line) = (offset + text.len(), line + 1);
    }
    reader.finish(None).map_err(|problem| Damage { line, offset, problem })
}

struct Reader {
    log: Log<Change>,
    current_term: Term,
    synced: Option<LogIndex>,
}

impl Reader {
    fn take(&mut self, record: Record<'_>) -> Result<(), Problem> {
        match record {
            Record::Log(content) => self.entry(content),
            Record::Synced(found) if found == self.log.last_index() => {
                self.synced = Some(found);
                Ok(())
            }
            Record::Synced(found) => Err(Problem::WrongSynced { last: self.log.last_index(), found }),
            Record::Unknown(word) => Err(Problem::Record(format!("unknown record `{word}`"))),
        }
    }

    fn entry(&mut self, content: &str) -> Result<(), Problem> {
        let malformed = || Problem::Record("malformed entry: index".to_owned());
        let (index, text) = content.split_once(' ').ok_or_else(malformed)?;
        let (found, expected) = (number(index, &LOG_INDEX).ok_or_else(malformed)?, self.log.last_index() + 1);
        if found != expected {
            return Err(Problem::Gap { expected, found });
        }
        let mut entry = parse_entry(text).map_err(|error: EntryError| Problem::Record(error.to_string()))?;
        // Earlier binaries took any [N62 number-bounds].
        if let Body::Noop { lease } = &mut entry.body {
            *lease = LEASE.greatest.min(*lease);
        }
        self.judge_term(&entry)?;
        self.log.push(entry);
        Ok(())
    }

    fn judge_term(&self, entry: &ClusterEntry) -> Result<(), Problem> {
        let (term, last, current) = (entry.term, self.log.last_term(), self.current_term);
        if term < last {
            return Err(Problem::TermDown { last, found: term });
        }
        if term > current { Err(Problem::TermAboveCurrent { term, current }) } else { Ok(()) }
    }

    /// A bad line: the remains of a torn append, unless a good `synced` record after it proves that it was once on disk.
    fn torn(&self, bytes: &[u8], cut: Cut) -> Result<Cut, Problem> {
        match record::find_synced(bytes, cut.offset) {
            Some(synced_at) => Err(Problem::DamagedDurable { why: cut.why, synced_at }),
            None => Ok(cut),
        }
    }

    /// What a rewrite wrote ends with a `synced` line and was on disk before the file got its name: a file without one is no file after a
    /// crash.
    fn finish(self, cut: Option<Cut>) -> Result<Tail, Problem> {
        let synced = self.synced.ok_or(Problem::NoSynced)?;
        Ok(Tail { log: self.log, synced, cut })
    }
}
