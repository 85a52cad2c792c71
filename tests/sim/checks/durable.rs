//! What a machine would know after a crash right now: its nodes.conf as the disk certainly has it.
//!
//! A reader of its own, by docs/nodes-conf.md, so that the loader is not its own witness. Reads again only what has changed.

use pontoon::store::MemoryDisk;
use pontoon::types::{ClusterId, LogIndex, NodeId, Term};
use std::path::Path;

/// The checksum of a line of the tail covers what follows it.
fn check_sum(line: &str, sum: &str) -> Option<()> {
    let (_, covered) = line.split_once(' ')?.1.split_once(' ')?;
    (u32::from_str_radix(sum, 16) == Ok(crc32fast::hash(covered.as_bytes()))).then_some(())
}

/// The promises that a disk keeps.
#[derive(Default)]
pub struct Durable {
    /// `myself`.
    pub id: Option<NodeId>,
    /// The cluster.
    pub cluster: Option<ClusterId>,
    /// `currentTerm`.
    pub term: Term,
    /// `votedFor`.
    pub voted_for: Option<NodeId>,
    snapshot_index: LogIndex,
    snapshot_term: Term,
    /// The snapshot part has been read.
    in_tail: bool,
    /// Terms of the log's tail.
    tail: Vec<Term>,
    /// What was read, up to the last whole line.
    read: Vec<u8>,
    version: u64,
}

impl Durable {
    /// Looks at the disk again if it has changed.
    pub fn refresh(&mut self, disk: &MemoryDisk, file: &Path) {
        let version = disk.durable_version();
        if version == self.version {
            return;
        }
        let bytes = disk.durable(file).unwrap_or_default();
        if !bytes.starts_with(&self.read) {
            *self = Self::default();
        }
        self.version = version;
        let from = self.read.len();
        let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n').filter(|end| *end >= from) else { return };
        for line in bytes[from..=end].split(|byte| *byte == b'\n') {
            // What no line of the format is, a crash has torn: the loader cuts it off, and it was never promised.
            let Some(()) = std::str::from_utf8(line).ok().and_then(|line| self.line(line)) else { break };
        }
        self.read = bytes[..=end].to_vec();
    }

    fn line(&mut self, line: &str) -> Option<()> {
        let mut words = line.split(' ');
        match words.next()? {
            "vars" => self.vars(words)?,
            "synced" => check_sum(line, words.next()?)?,
            "log" => {
                check_sum(line, words.next()?)?;
                let index: LogIndex = words.next()?.parse().ok()?;
                let term = words.next()?.parse().ok()?;
                if index != self.last_index() + 1 {
                    return None;
                }
                self.tail.push(term);
            }
            "crc" => self.in_tail = true,
            _ if self.in_tail && !line.is_empty() => return None,
            id if line.split(' ').nth(2).is_some_and(|flags| flags.contains("myself")) => self.id = id.parse().ok(),
            _ => {}
        }
        Some(())
    }

    fn vars<'a>(&mut self, mut words: impl Iterator<Item = &'a str>) -> Option<()> {
        while let Some(key) = words.next() {
            let value = words.next()?;
            match key {
                "cluster" => self.cluster = value.parse().ok(),
                "currentTerm" => self.term = value.parse().ok()?,
                "votedFor" => self.voted_for = value.parse().ok(),
                "lastApplied" => self.snapshot_index = value.parse().ok()?,
                "snapshotTerm" => self.snapshot_term = value.parse().ok()?,
                _ => {}
            }
        }
        Some(())
    }

    /// The last entry that is on disk, by itself or in the snapshot.
    pub fn last_index(&self) -> LogIndex {
        self.snapshot_index + self.tail.len() as LogIndex
    }

    /// That entry's term.
    pub fn term_at(&self, index: LogIndex) -> Option<Term> {
        match index.checked_sub(self.snapshot_index)? {
            0 => Some(self.snapshot_term),
            ahead => self.tail.get(ahead as usize - 1).copied(),
        }
    }

    /// Whether the entry of this index and term is on disk. Below the snapshot it is, if the snapshot is right (other checks see to that).
    pub fn holds(&self, index: LogIndex, term: Term) -> bool {
        index < self.snapshot_index || self.term_at(index) == Some(term)
    }
}
