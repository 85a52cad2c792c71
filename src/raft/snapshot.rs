//! Snapshots: made for a follower whose next entry is gone, installed by it (§7), and compaction.
//!
//! Owns: when one is sent and what it does to log and voters. Must not: know what is in one (the caller writes and parses it).
//! Contract: docs/protocol.md, "Compaction and snapshots".

use super::entry::Payload;
use super::membership::Membership;
use super::message::{InstallSnapshot, Message, Needs, Outgoing, Route};
use super::progress::Progress;
use super::replication::Sender;
use super::role::Leader;
use super::{PeerFault, Raft, Step};
use crate::types::{ConnId, LogIndex, Millis, NodeId, Term};
use std::collections::BTreeSet;

/// About the most bytes of snapshots that leave in one turn, but at least one snapshot does: when many followers need one, the rest follow
/// in the next turns, with the bus served between them.
const MAX_BYTES_A_TURN: usize = 1 << 20;

/// Makes the snapshot of the state as it is applied: its index, term and text; none if it cannot be made now.
pub type SnapshotSource<'a> = &'a mut dyn FnMut() -> Option<(LogIndex, Term, Vec<u8>)>;

impl<P: Payload> Raft<P> {
    /// `INSTALL_SNAPSHOT`. One that brings nothing new is acknowledged all the same \[N24 old-snapshot\].
    pub(super) fn on_install_snapshot(
        &mut self,
        via: ConnId,
        from: NodeId,
        snapshot: InstallSnapshot,
        now: Millis,
    ) -> Result<Step, PeerFault> {
        let InstallSnapshot { leader, term, last_index, last_term, round, .. } = snapshot;
        if !self.check_leader(via, from, leader, term, now)? {
            return Ok(Step::Done);
        }
        if last_term > term || (last_index == 0) != (last_term == 0) {
            return Err(PeerFault::BadTerm);
        }
        self.check_leaders_index(last_index)?;
        if last_index > self.commit {
            // Whether it can be installed only its text says: until then nothing changes.
            return Ok(Step::Snapshot(snapshot));
        }
        self.follow(from, term, now);
        self.answers.matched(via, from, term, round, last_index);
        Ok(Step::Done)
    }

    /// The snapshot that [`Step::Snapshot`] handed out is installed in memory: its leader is followed, and it is acknowledged once the file
    /// is rewritten.
    pub fn snapshot_installed(&mut self, snapshot: &InstallSnapshot, voters: BTreeSet<NodeId>, via: ConnId, now: Millis) {
        let &InstallSnapshot { leader, term, last_index, last_term, round, .. } = snapshot;
        assert!(last_index > self.commit, "a snapshot that brings nothing new is never installed");
        self.follow(leader, term, now);
        self.log.restore(last_index, last_term);
        self.membership = Membership::of(voters, &self.log);
        self.disk.replaced();
        self.commit = last_index;
        self.answers.matched(via, leader, term, round, last_index);
    }

    /// Drops applied entries from memory.
    pub fn compact_to(&mut self, index: LogIndex) {
        assert!(index <= self.commit, "only what is committed is compacted");
        if index <= self.log.snapshot_index() {
            return;
        }
        self.log.compact_to(index);
        self.membership.compact_to(index);
    }
}

impl<P: Payload> Sender<'_, P> {
    /// False if there is none to send now.
    pub(super) fn send_snapshot(&mut self, id: NodeId, progress: &mut Progress, leader: &mut Leader) -> bool {
        if self.snapshot_bytes >= MAX_BYTES_A_TURN {
            leader.next_beat = self.now;
            return false;
        }
        let source = &mut *self.snapshot;
        let Some((last_index, last_term, bytes)) = self.taken.get_or_insert_with(source).clone() else { return false };
        self.snapshot_bytes += bytes.len();
        let round = self.round(leader);
        let snapshot = InstallSnapshot { leader: self.me, term: self.term, last_index, last_term, round, bytes };
        progress.sent_snapshot(last_index, round);
        progress.last_sent = Some(self.now);
        let needs = Needs { term: self.term, vote: None, index: last_index };
        self.out.push(Outgoing { route: Route::Request(id), needs, message: Message::InstallSnapshot(snapshot) });
        true
    }
}
