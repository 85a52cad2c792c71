//! How much of their shards' data members hold: a leader asks them, before one takes over, and before one leaves.
//!
//! Owns: such a question, what is an answer to it, and whether a member may leave by that. Must not: choose a successor (failover does), or forget anybody
//! (leader does). Contract: docs/protocol.md, "Failover" and "Forgetting a replica".

use crate::node::Node;
use crate::store::Disk;
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

impl<D: Disk> Node<D> {
    /// A leader asks these members at once how much they hold.
    pub(in crate::node) fn ask_holdings(&mut self, members: &BTreeSet<NodeId>) -> Question {
        let index = self.metadata.state.last_applied();
        Question { term: self.metadata.raft.term(), round: self.metadata.raft.ask(members, self.view.now.mono), index }
    }

    /// What a member of this primary's shard has answered to that: none yet, or not while its shard changes \[N45\].
    pub(in crate::node) fn holding(&self, question: &Question, primary: &NodeId, id: &NodeId) -> Option<Extent> {
        let since = self.metadata.state.epoch_of(primary).unwrap_or(0);
        let said = match self.metadata.raft.progress(id) {
            _ if *id == self.metadata.me => Some(self.promised_extent()),
            Some(progress) if progress.acked_round() >= question.round && progress.match_index() >= question.index => {
                progress.extent(since)
            }
            _ => None,
        };
        said.filter(|extent| extent.reign > 0)
    }

    /// Whether a member that is to be forgotten may hold what its shard's primary lacks \[N55\]. Not if its process is dead or it stays failed: nobody waits for
    /// it then. Nor if the primary, asked since, has begun its own reign: that begins with all that is left of those before it.
    pub(in crate::node) fn may_be_missed(&mut self, id: NodeId, asked: &mut Option<Question>) -> bool {
        let Some(member) = self.metadata.state.member(&id) else { return false };
        let Some(primary) = member.primary.filter(|primary| self.metadata.state.slot_count_of(primary) > 0) else { return false };
        if self.metadata.raft.is_dead(&id) || member.failed && !self.answers_again(&id) {
            return false;
        }
        let shard_known = |question: &Question| question.index >= self.metadata.state.epoch_of(&primary).unwrap_or(0);
        let Some(question) = asked.filter(|question| question.term == self.metadata.raft.term() && shard_known(question)) else {
            *asked = Some(self.ask_holdings(&BTreeSet::from([id, primary])));
            return true;
        };
        let (held, has) = (self.holding(&question, &primary, &id), self.holding(&question, &primary, &primary));
        let nothing = held.is_some_and(|held| held.offset == 0);
        !nothing && has.is_none_or(|has| held.is_some_and(|held| held.reign > has.reign))
    }
}
