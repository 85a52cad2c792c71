//! What is wrong with a file, or with the disk, in words for the person who has to deal with it.
//!
//! Owns: errors, each with what to do. Must not: decide (tail, nodes_conf and Store do). Contract: docs/nodes-conf.md, "Reading".

use crate::types::{LogIndex, Term};
use std::io;
use std::path::PathBuf;

/// Why a node does not start from its nodes.conf.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Another process has the file.
    #[error(
        "{path}: in use by another process, which holds the lock {lock}. Two nodes on one file would destroy each other's state: give each its own cluster-config-file or dir",
        path = path.display(), lock = lock.display()
    )]
    Locked {
        /// nodes.conf.
        path: PathBuf,
        /// Its lock file.
        lock: PathBuf,
    },
    /// The file cannot be read or locked.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The file is not what a node wrote.
    #[error("{path}: line {}: {} (at byte {}). {}", damage.line, damage.problem, damage.offset, damage.problem.advice(), path = path.display())]
    Damaged {
        /// nodes.conf.
        path: PathBuf,
        /// Where and what.
        damage: Damage,
    },
}

/// An operation of the disk failed: nothing may leave this process any more, and it ends.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {operation} failed: {source}", path = path.display())]
pub struct DiskError {
    /// What was tried.
    pub operation: &'static str,
    /// On which file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Where a file is not what a node wrote, and how.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}, byte {offset}: {problem}")]
pub struct Damage {
    /// Counted from 1.
    pub line: usize,
    /// Where the line begins, in bytes from the file's start.
    pub offset: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Problem {
    /// No bytes.
    #[error("the file is empty")]
    Empty,
    /// A snapshot that does not say whose it is.
    #[error("no line says `myself`")]
    NoMyself,
    /// No line `crc ...` ends the snapshot.
    #[error("no crc line: the snapshot part has no end (a nodes.conf of Redis or Valkey has none, and cannot be taken over)")]
    NoCrc,
    /// The crc line itself.
    #[error("the crc line is not `crc`, 8 lower-case hex digits and a line end")]
    BadCrcLine,
    /// The snapshot's checksum.
    #[error("the snapshot part is damaged: its crc is {computed:08x}, the crc line says {stored:08x}")]
    CrcMismatch {
        /// What the bytes give.
        computed: u32,
        /// What the line says.
        stored: u32,
    },
    /// The snapshot under a good checksum.
    #[error("{0}")]
    Snapshot(String),
    /// No node wrote a term that a record above denies.
    #[error("term {term} is above currentTerm {current}")]
    TermAboveCurrent {
        /// Of the entry or snapshot.
        term: Term,
        /// `currentTerm`.
        current: Term,
    },
    /// `incarnation` cannot be raised.
    #[error("incarnation is at its end")]
    IncarnationSpent,
    /// An index is not the next one.
    #[error("index {found} where {expected} must come")]
    Gap {
        /// The one before plus one.
        expected: LogIndex,
        /// What stands there.
        found: LogIndex,
    },
    /// Terms never go down in a log.
    #[error("term {found} after term {last}")]
    TermDown {
        /// Of the entry before.
        last: Term,
        /// What stands there.
        found: Term,
    },
    /// A record that this binary cannot read, under a good checksum.
    #[error("{0}")]
    Record(String),
    /// A bad line in what was durable.
    #[error("damaged line ({why}) in what was once on disk: the `synced` record at byte {synced_at} stands after it")]
    DamagedDurable {
        /// What is wrong with the line.
        why: &'static str,
        /// Where the record that proves it begins.
        synced_at: usize,
    },
    /// A `synced` line that does not name the index before it.
    #[error("`synced {found}` after index {last}")]
    WrongSynced {
        /// The last index before it.
        last: LogIndex,
        /// What it says.
        found: LogIndex,
    },
    /// The end of what was written in one piece is missing.
    #[error("no good `synced` line: what was written together with the snapshot is damaged or cut off")]
    NoSynced,
}

impl Problem {
    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Empty | Self::NoMyself => {
                "That is not a fresh node: starting would give this one a new identity. If that is what you want, remove the file; if not, see docs/nodes-conf.md, \"When a node refuses its file\""
            }
            Self::Record(_) | Self::Snapshot(_) => {
                "A newer Pontoon may have written it: start that one. Otherwise see docs/nodes-conf.md, \"When a node refuses its file\""
            }
            _ => {
                "Do not repair it by hand and do not put an old copy in its place: a node that forgets what it acknowledged breaks the cluster. See docs/nodes-conf.md, \"When a node refuses its file\""
            }
        }
    }
}
