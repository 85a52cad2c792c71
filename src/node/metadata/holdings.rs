//! How much of their shards' data members hold: a leader asks them, before one takes over, and before one leaves.
//!
//! Owns: such a question, what is an answer to it, and whether a member may leave by that. Must not: choose a successor (failover does), or
//! forget anybody (leader does). Contract: docs/protocol.md, "Failover" and "Forgetting a replica".

use crate::node::metadata::Metadata;
use crate::node::view::{Held, View};
use crate::types::{Extent, LogIndex, NodeId, Term};
use std::collections::BTreeSet;

/// Members have been asked.
#[derive(Clone, Copy, Debug)]
pub(in crate::node) struct Question {
    /// Of our leadership.
    term: Term,
    /// Who echoes it was asked then, or later.
    round: u64,
    /// And speaks of its present primary only if it knows what was applied then.
    index: LogIndex,
}

impl Metadata {
    /// What AE_ACK says: how much this node holds as a copy of the primary that its log names. While an entry in it is not applied, or its
    /// consequences are not drawn, that gives this node another one it says reign 0, which is no answer: an offset would be taken for one
    /// in that one's history \[N39 former-offset\], and nothing for the truth \[N45 zero-offset\]. Nor has a primary an answer that lacks
    /// the keys of its slots \[N55 forgotten-predecessor\].
    pub fn promised_extent(&self, view: &View) -> Extent {
        let Held { primary, extent: Extent { reign, offset }, lacks_keys, goes, .. } = view.held;
        let moves = self.tail().gives_another_primary(&self.me, primary);
        let lacks = self.state.slot_count_of(&self.me) > 0 && lacks_keys;
        let is_settled = self.state.member(&self.me).is_some_and(|me| me.primary == primary) && !moves && !lacks;
        // A replica at its last save takes what it has with it; a former primary is still there for its successor.
        let offset = if goes && primary.is_some() { 0 } else { offset };
        if is_settled { Extent { reign: reign.max(1), offset } } else { Extent::default() }
    }

    /// A leader asks these members at once how much they hold.
    pub fn ask_holdings(&mut self, members: &BTreeSet<NodeId>, view: &View) -> Question {
        let index = self.state.last_applied();
        Question { term: self.raft.term(), round: self.raft.ask(members, view.now.mono), index }
    }

    /// What a member of this primary's shard has answered to that: none yet, or not while its shard changes \[N45 zero-offset\].
    pub fn holding(&self, question: &Question, primary: &NodeId, id: &NodeId, view: &View) -> Option<Extent> {
        let since = self.state.epoch_of(primary).unwrap_or(0);
        let said = match self.raft.progress(id) {
            _ if *id == self.me => Some(self.promised_extent(view)),
            Some(progress) if progress.acked_round() >= question.round && progress.match_index() >= question.index => {
                progress.extent(since)
            }
            _ => None,
        };
        said.filter(|extent| extent.reign > 0)
    }

    /// Whether a member that is to be forgotten may hold what its shard's primary lacks \[N55 forgotten-predecessor\]. Not if its process
    /// is dead or it stays failed: nobody waits for it then. Nor if the primary, asked since, has begun its own reign: that begins with all
    /// that is left of those before it.
    pub fn may_be_missed(&mut self, id: NodeId, asked: &mut Option<Question>, view: &View) -> bool {
        let Some(member) = self.state.member(&id) else { return false };
        let Some(primary) = member.primary.filter(|primary| self.state.slot_count_of(primary) > 0) else { return false };
        if self.raft.is_dead(&id) || member.failed && !self.answers_again(&id, view) {
            return false;
        }
        let shard_known = |question: &Question| question.index >= self.state.epoch_of(&primary).unwrap_or(0);
        let Some(question) = asked.filter(|question| question.term == self.raft.term() && shard_known(question)) else {
            *asked = Some(self.ask_holdings(&BTreeSet::from([id, primary]), view));
            return true;
        };
        let (held, has) = (self.holding(&question, &primary, &id, view), self.holding(&question, &primary, &primary, view));
        let nothing = held.is_some_and(|held| held.offset == 0);
        !nothing && has.is_none_or(|has| held.is_some_and(|held| held.reign > has.reign))
    }
}
