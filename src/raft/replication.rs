//! The leader brings its log to everybody else (§5.3), in rounds.
//!
//! Owns: appending, AEs and heartbeats, what the answers mean. Must not: send what is not on the own disk \[N15 one-to-three\].
//! Contract: docs/protocol.md, "Pipelining" and "Rounds".

use super::entry::{Body, Entry, Origin, Payload};
use super::follow::check_index;
use super::log::Log;
use super::message::{Append, AppendAck, Message, Needs, Outgoing, Route};
use super::progress::Progress;
use super::role::Leader;
use super::settings::Class;
use super::snapshot::SnapshotSource;
use super::terms::heed;
use super::{NotLeader, PeerFault, Raft, Role, quorum};
use crate::types::{LogIndex, Millis, NodeId, Term};
use std::collections::BTreeSet;

/// The most entries in one AE.
pub(super) const MAX_BATCH_ENTRIES: usize = 1024;
/// About the most bytes of entries in one AE.
const MAX_BATCH_BYTES: usize = 1 << 20;

impl<P: Payload> Raft<P> {
    /// A leader appends a change. Not while it hands over.
    pub fn append(&mut self, origin: Option<Origin>, change: P) -> Result<LogIndex, NotLeader> {
        match self.role.leader() {
            Some(leader) if leader.transfer.is_none() => Ok(self.append_own(origin, Body::App(change))),
            _ => Err(NotLeader),
        }
    }

    /// A leader appends an entry of its own term.
    pub(super) fn append_own(&mut self, origin: Option<Origin>, body: Body<P>) -> LogIndex {
        let index = self.log.last_index() + 1;
        self.membership.appended(index, &body);
        if let Role::Leader(leader) = &mut self.role {
            leader.gate.appended(index, &body);
        }
        self.log.push(Entry { term: self.hard.term, origin, body })
    }

    /// A leader asks these at once how they are; who echoes the returned round, or a later one, has answered that. 0 of a node that does
    /// not lead.
    pub fn ask<'a>(&mut self, nodes: impl IntoIterator<Item = &'a NodeId>, now: Millis) -> u64 {
        let Role::Leader(leader) = &mut self.role else { return 0 };
        nodes.into_iter().for_each(|node| leader.hasten(node));
        leader.rounds.begin(now)
    }

    /// A leader replicates to the members and the voters, whether or not it has applied their NODE_JOIN \[N12 from-anybody\].
    pub(super) fn sync_peers(&mut self, now: Millis) {
        let Role::Leader(leader) = &mut self.role else { return };
        let (members, voters) = (&self.peers.members, self.membership.appended_set());
        let in_effect = self.membership.latest(self.disk.last_index());
        leader.progress.retain(|id, _| members.contains(id) || voters.contains(id) || in_effect.contains(id));
        for id in members.union(voters).chain(in_effect).filter(|id| **id != self.me) {
            let linked = self.peers.linked.contains(id);
            leader.progress.entry(*id).or_insert_with(|| Progress::new(self.log.last_index(), linked, now));
        }
        leader.rates.retain(|id| leader.progress.contains_key(id));
        leader.next_beat = now;
        self.class_peers();
    }

    /// Who is owed heartbeats how often.
    pub(super) fn class_peers(&mut self) {
        let Role::Leader(leader) = &mut self.role else { return };
        let voters = self.membership.latest(self.disk.last_index());
        for (id, progress) in &mut leader.progress {
            let class = Class { voter: voters.contains(id), slot_owner: self.peers.slot_owners.contains(id) };
            progress.beat = self.settings.beat(class, leader.lease);
            if progress.linked {
                leader.next_beat = leader.next_beat.min(progress.due_at());
            }
        }
    }

    /// `AE_ACK`. A stranger's is not believed, nor one of another term; a round counts by its send time \[N2 token-age\].
    pub(super) fn on_append_ack(&mut self, from: NodeId, ack: AppendAck, now: Millis) -> Result<(), PeerFault> {
        let term = self.hard.term;
        let voters = self.membership.latest(self.disk.last_index());
        let Role::Leader(leader) = &mut self.role else { return Ok(()) };
        let Some(progress) = leader.progress.get_mut(&from) else { return Ok(()) };
        if ack.term > term {
            self.enter_term(heed(&from, ack.term, term)?, None, now);
            return Ok(());
        }
        // Round 0 refuses an AE of an earlier term: it says its term and nothing else.
        if ack.term < term || ack.round == 0 {
            return Ok(());
        }
        if ack.round > leader.rounds.current() || (ack.ok && ack.index > self.disk.last_index()) {
            return Err(PeerFault::NeverSent);
        }
        check_index(ack.last_index, self.log.last_index())?;
        let lost_before = progress.lost_memory();
        let unseen_before = leader.gate.has_unseen(&from, progress.match_index());
        let sent_at = leader.rounds.sent_at(ack.round);
        progress.echoed(ack.round, sent_at, ack.last_index);
        if let Some(sent_at) = sent_at.filter(|_| ack.ok && ack.index > progress.match_index()) {
            progress.pace.note(1, now.saturating_sub(sent_at));
        }
        if progress.lost_memory() && !voters.contains(&from) {
            // What a learner has counts nowhere, so it may begin again.
            progress.start_over();
        } else if ack.ok {
            progress.matched(ack.index, ack.round);
        } else {
            progress.refused(ack.index, ack.round);
        }
        progress.holds_data(ack.round, ack.extent);
        if progress.lost_memory() && !lost_before {
            ::log::warn!(
                "{from} has lost what it had acknowledged up to {}, its log ends at {}: was an old nodes.conf restored there?",
                progress.match_index(),
                ack.last_index
            );
        }
        if unseen_before && !leader.gate.has_unseen(&from, progress.match_index()) {
            // It could not be granted anything for a while, so it is now.
            progress.last_sent = None;
            leader.gate.relieve(from);
        }
        if let Some(sent_at) = sent_at.filter(|_| ack.token.nonce != 0) {
            leader.rates.note(from, ack.token, sent_at, now, voters.iter(), &self.me);
        }
        leader.grants.received(from, ack.token, leader.rounds.current(), now);
        leader.stirred.insert(from);
        Ok(())
    }

    /// What the leader has to say now: entries that are on its own disk, snapshots, heartbeats that are due, commits, TIMEOUT_NOW.
    pub fn replicate(&mut self, now: Millis, snapshot: SnapshotSource<'_>) -> Vec<Outgoing<P>> {
        if !self.disk.holds(self.hard) {
            return Vec::new();
        }
        let own = self.disk.last_index();
        let voters = self.membership.latest(own);
        let Role::Leader(leader) = &mut self.role else { return Vec::new() };
        let granting = leader.quorum_index >= leader.noop_index;
        let round = leader.rounds.current();
        let acked = |id: &NodeId| if *id == self.me { round } else { leader.progress.get(id).map_or(0, |progress| progress.acked_round()) };
        let mut sender = Sender {
            me: self.me,
            term: self.hard.term,
            log: &self.log,
            durable: own,
            commit: self.commit,
            acked_round: if granting { quorum::reached(voters, acked) } else { None },
            spacing: self.settings.round_spacing(),
            now,
            snapshot,
            taken: None,
            snapshot_bytes: 0,
            out: Vec::new(),
        };
        sender.send_all(leader, voters);
        let mut out = sender.out;
        out.extend(leader.timeout_now(self.hard.term, self.log.last_index()));
        out
    }
}

/// One pass over the followers.
pub(super) struct Sender<'a, P> {
    pub(super) me: NodeId,
    pub(super) term: Term,
    pub(super) log: &'a Log<P>,
    /// What is on the own disk: nothing beyond is sent.
    durable: LogIndex,
    commit: LogIndex,
    /// The newest round that a majority has acked; none: nothing is granted.
    acked_round: Option<u64>,
    spacing: Millis,
    pub(super) now: Millis,
    pub(super) snapshot: SnapshotSource<'a>,
    /// The snapshot of this pass, made at most once.
    pub(super) taken: Option<Option<(LogIndex, Term, Vec<u8>)>>,
    /// How many bytes of snapshots this pass has sent.
    pub(super) snapshot_bytes: usize,
    pub(super) out: Vec<Outgoing<P>>,
}

impl<P: Payload> Sender<'_, P> {
    /// Everybody if a heartbeat is due, or there are entries or a commit that nobody was told of; else only who gave a reason. Most turns
    /// of a leader of many are one follower's answer, which must not cost a look at all of them.
    fn send_all(&mut self, leader: &mut Leader, voters: &BTreeSet<NodeId>) {
        let mut progress = std::mem::take(&mut leader.progress);
        let mut stirred = std::mem::take(&mut leader.stirred);
        let everybody = leader.next_beat <= self.now || leader.looked_at != (self.durable, self.commit);
        if everybody {
            (leader.next_beat, leader.looked_at) = (Millis::MAX, (self.durable, self.commit));
            stirred.clone_from(voters);
        }
        // The voters first: the others wait for what they decide. Who was served has nothing due any more.
        for id in stirred {
            if let Some(progress) = progress.get_mut(&id) {
                self.send_to(id, progress, leader);
            }
        }
        for (id, progress) in progress.iter_mut().filter(|_| everybody) {
            self.send_to(*id, progress, leader);
        }
        leader.progress = progress;
    }

    fn send_to(&mut self, id: NodeId, progress: &mut Progress, leader: &mut Leader) {
        if !progress.linked {
            return;
        }
        progress.stay_within(self.durable);
        while progress.may_send(self.durable) {
            let prev = progress.next_index() - 1;
            if self.log.term_at(prev).is_none() {
                if !self.send_snapshot(id, progress, leader) {
                    break;
                }
                continue;
            }
            let entries = self.log.slice(prev + 1, self.durable, MAX_BATCH_ENTRIES, MAX_BATCH_BYTES);
            let last = prev + entries.len() as u64;
            let round = self.append(id, prev, entries, progress, leader);
            progress.sent(last, round);
        }
        if progress.due_at() <= self.now || progress.owes_commit(self.commit) {
            let prev = progress.heartbeat_prev();
            // What a snapshot covers is held by term no more: the beginning always matches.
            let prev = if self.log.term_at(prev).is_some() { prev } else { 0 };
            self.append(id, prev, Vec::new(), progress, leader);
        }
        leader.next_beat = leader.next_beat.min(progress.due_at());
    }

    /// The round for what is sent now.
    pub(super) fn round(&self, leader: &mut Leader) -> u64 {
        leader.rounds.at(self.now, self.spacing)
    }

    fn append(&mut self, id: NodeId, prev: LogIndex, entries: Vec<Entry<P>>, progress: &mut Progress, leader: &mut Leader) -> u64 {
        let round = self.round(leader);
        let last = prev + entries.len() as u64;
        let barred = leader.gate.bars(&id, progress.match_index()) || leader.rates.withholds(&id);
        leader.gate.sent_to(&id);
        let token = self.acked_round.filter(|_| !barred).map(|acked| leader.grants.grant(&id, acked)).unwrap_or_default();
        let append = Append {
            leader: self.me,
            term: self.term,
            prev_index: prev,
            prev_term: self.log.term_at(prev).unwrap_or(0),
            quorum: leader.quorum_index,
            commit: self.commit,
            round,
            token,
            lease: leader.lease,
            entries,
        };
        progress.last_sent = Some(self.now);
        progress.commit_sent = progress.commit_sent.max(self.commit.min(last));
        let needs = Needs { term: self.term, vote: None, index: last };
        self.out.push(Outgoing { route: Route::Request(id), needs, message: Message::Append(append) });
        round
    }
}
