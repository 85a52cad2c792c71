//! From committed to done: applying entries, and what they mean for this node.
//!
//! Owns: the bridge between Raft's commit index and the replicated state, and the consequences derived for our own id.
//! Must not: decide outcomes (cluster::apply does, the same on every node). Contract: docs/protocol.md, "What is replicated".

use crate::cluster::change::{SlotChange, Succession, Touches};
use crate::cluster::{Address, Change, FailoverKind, Outcome, Seen, State};
use crate::node::metadata::Metadata;
use crate::node::view::{Consequence, Effects, View};
use crate::raft::{Body, Entry, ProposalId};
use crate::store::Standing;
use crate::types::{Millis, NodeId, SLOT_COUNT, Slot};

/// Reasons to rewrite nodes.conf that can wait are coalesced for so long (ms).
const REWRITE_PATIENCE: Millis = 1000;

/// What applied entries changed, until step 9 of before-sleep looks.
#[derive(Default)]
pub(in crate::node) struct Changed {
    /// Members or their addresses.
    pub members: bool,
    /// Slot owners.
    pub owners: bool,
    /// Of any slot, with no entry that says so.
    pub state: bool,
}

impl Changed {
    /// The state is another one.
    pub fn everything() -> Self {
        Self { members: true, owners: true, state: true }
    }

    fn note(&mut self, touches: Touches) {
        self.members |= touches.members;
        self.owners |= touches.owners;
    }
}

impl Metadata {
    /// Applies the next entry that is committed; false if there is none. Outcomes of our own proposals reach whoever waits for them. What
    /// this node owns by then may be not its to serve: another entry takes it away, or its keys are elsewhere.
    pub fn apply_next(&mut self, view: &View, out: &mut Effects) -> bool {
        if self.state.last_applied() >= self.raft.commit_index() {
            return false;
        }
        let index = self.state.last_applied() + 1;
        let entry = self.raft.log().get(index).expect("a committed entry that is not applied is in the log");
        let change = entry.body.payload();
        let leaver = change.and_then(Change::removes).and_then(|id| self.state.member(&id));
        let leaver = leaver.map(|member| (member.id, member.address.join_nonce()));
        let outcome = self.state.apply(index, entry);
        let origin = entry.origin;
        if outcome == Outcome::Applied && concerns(&self.me, entry) {
            out.todo.rewrite_until(view.now.mono + REWRITE_PATIENCE);
        }
        if let Some(change) = change.filter(|_| outcome == Outcome::Applied) {
            self.changed.note(change.facts().touches);
            out.consequences.push(Consequence::SlotsOfOthers { index, ranges: change.others_slots(&self.me).to_vec() });
            let told = Some(change).filter(|_| self.is_of_this_life());
            if let Some((level, news)) = told.and_then(|change| change.news(&self.state, &self.me)) {
                log::log!(level, "{news}");
            }
            match told.and_then(Change::succession) {
                Some(Succession { successor, predecessor, kind }) if successor == self.me => {
                    out.consequences.push(Consequence::TakesOver { primary: predecessor, kind });
                }
                Some(Succession { successor, predecessor, kind }) if predecessor == self.me => {
                    out.consequences.push(Consequence::HandedOver { successor, kind: Some(kind) });
                }
                _ => {}
            }
        }
        if let Some((id, join_nonce)) = leaver.filter(|_| outcome == Outcome::Applied) {
            self.forgotten.add(id, join_nonce, view.now.mono);
            self.say_farewell(&id, out);
        }
        out.todo.consequences = true;
        if let Some(ProposalId { n, .. }) = origin.map(|origin| origin.id).filter(|id| self.is_own(id)) {
            self.proposal_applied(n, outcome, out);
        }
        true
    }

    /// Whether the state is the cluster's newest, as far as can be known. That from the disk may be older than what this node did when it
    /// last ran.
    pub fn knows_newest_state(&self) -> bool {
        self.raft.is_newest(self.state.last_applied(), self.state.last_term())
    }

    pub fn is_own(&self, id: &ProposalId) -> bool {
        id.proposer == self.me && id.incarnation == self.proposal_incarnation()
    }

    /// A snapshot replaces the whole state: who is not in it was forgotten, and what we had proposed may be decided in it.
    pub fn replace_state(&mut self, state: State, view: &View, out: &mut Effects) {
        for leaver in self.state.members().filter(|member| state.member(&member.id).is_none()) {
            self.forgotten.add(leaver.id, leaver.address.join_nonce(), view.now.mono);
        }
        let primary_in = |state: &State| state.member(&self.me).and_then(|me| me.primary);
        let (former, served) = (primary_in(&self.state), self.state.slot_count_of(&self.me) > 0);
        self.state = state;
        // Whether that was a planned failover is not known.
        match (former, primary_in(&self.state)) {
            (Some(primary), None) if self.state.slot_count_of(&self.me) > 0 => {
                out.consequences.push(Consequence::TakesOver { primary, kind: FailoverKind::Manual });
            }
            (None, Some(successor)) if served => out.consequences.push(Consequence::HandedOver { successor, kind: None }),
            _ => {}
        }
        self.changed = Changed::everything();
        out.todo.consequences = true;
        for n in self.proposals.numbers() {
            let id = self.proposal_id(n);
            if let Seen::Done(outcome) = self.state.outcome(&id) {
                self.proposal_applied(n, outcome, out);
            }
        }
        self.review_incarnation(out);
    }

    /// The members, and how they are reached.
    pub fn refresh_members(&mut self, view: &View, out: &mut Effects) {
        self.addresses = self.state.members().map(|member| (member.id, member.address.clone())).collect();
        self.review_found();
        self.evidence.duplicates.retain(|id| self.addresses.contains_key(id));
        self.review_evidence();
        out.consequences.push(Consequence::Members);
        self.raft.set_members(self.state.members().map(|member| member.id), view.now.mono);
        out.todo.connect = true;
    }

    /// How a node is reached that is a member, or whose NODE_JOIN is in the log's tail: it may be a voter already.
    pub fn address_of(&self, node: &NodeId) -> Option<&Address> {
        self.addresses.get(node).or_else(|| self.tail().joins_as(node))
    }

    /// Whether a node is a member, or its NODE_JOIN is in the log's tail.
    pub fn is_known(&self, node: &NodeId) -> bool {
        self.state.member(node).is_some() || self.tail().joins_as(node).is_some()
    }

    /// Whether this node serves a slot's shard channels: it owns the slot, or replicates the owner.
    pub fn serves_channels_of(&self, slot: Slot) -> bool {
        let primary = self.state.member(&self.me).and_then(|me| me.primary);
        self.state.owner(slot).is_some_and(|owner| owner == self.me || Some(owner) == primary)
    }

    /// Who owns slots, and whether all of them are served.
    pub fn refresh_owners(&mut self, view: &View, out: &mut Effects) {
        self.raft.set_slot_owners(self.state.slot_owners());
        let owners_live = self.refresh_vacancies(view, out);
        self.outlook.covered = self.state.assigned_slots() == usize::from(SLOT_COUNT) && owners_live;
    }

    /// What this node brought with it when it joined: slots that nobody owns become its own again \[N20 kept-slots\].
    pub fn make_claims(&mut self, view: &View, out: &mut Effects) {
        let Standing::Claiming(claims) = &self.standing else { return };
        if self.proposals.claims() {
            return;
        }
        let slots = claims.iter().flat_map(|range| range.slots());
        let free: Vec<Slot> = slots.filter(|slot| self.state.owner(*slot).is_none()).collect();
        if free.is_empty() {
            // Each is ours by now, or another's.
            self.standing = Standing::Member;
            out.todo.rewrite = true;
            return out.consequences.push(Consequence::ClaimsSettled);
        }
        let target = self.state.epoch_of(&self.me).map(|epoch| (self.me, epoch));
        self.propose(SlotChange { source: None, target, ranges: Slot::ranges(free) }, None, view, out);
    }

    /// Keeps the log in memory short (docs/protocol.md, "Compaction and snapshots"). At the beginning of a turn, so that what a turn
    /// brought is there until its end.
    pub fn trim_log(&mut self, view: &View) {
        let held = self.state.last_applied().saturating_sub(self.raft.log().snapshot_index());
        let kept = view.config.cluster_raft_log_kept;
        if held > 2 * kept {
            self.raft.compact_to(self.state.last_applied() - kept);
        }
    }
}

/// Whether an applied entry concerns this node, so that nodes.conf should soon show it in its snapshot.
fn concerns(me: &NodeId, entry: &Entry<Change>) -> bool {
    match &entry.body {
        Body::AddVoter { ids } => ids.contains(me),
        Body::DelVoter { id, .. } => id == me,
        Body::Noop { .. } => false,
        Body::App(change) => change.concerns(me),
    }
}

#[cfg(test)]
mod tests {
    use crate::node::net::Net;

    /// What redis-cli compares of CLUSTER NODES: who owns which slots.
    fn owners_shown(text: &str) -> Vec<(String, String)> {
        let words = text.lines().map(|line| line.splitn(9, ' ').collect::<Vec<_>>());
        let mut owners: Vec<_> = words.filter(|words| words.len() == 9).map(|words| (words[0].to_owned(), words[8].to_owned())).collect();
        owners.sort();
        owners
    }

    #[test]
    fn a_node_that_brings_slots_shows_them_before_they_are_its_own_again() {
        let mut net = Net::of(2);
        net.until("clusters of one", |net| net.nodes.iter().all(|node| node.metadata.state.member_count() == 1));
        for (at, range) in ["0 8191", "8192 16383"].iter().enumerate() {
            assert_eq!(net.ask(at, &format!("CLUSTER ADDSLOTSRANGE {range}")), "+OK\r\n");
        }
        net.say(0, "CLUSTER MEET 10.0.0.1 7001");
        // redis-cli --cluster create goes on as soon as all show the same: all slots must be among that.
        while net.nodes.iter().any(|node| node.metadata.state.assigned_slots() < 16384) {
            let asked = [0, 1].map(|at| (at, net.say(at, "CLUSTER NODES")));
            net.step();
            let [one, other] = asked.map(|(at, conn)| owners_shown(&net.answer(at, conn).unwrap()));
            assert!(one != other || one.len() == 2, "both show {one:?}");
        }
    }
}
