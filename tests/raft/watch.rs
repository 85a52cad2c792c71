//! The paper's safety properties (figure 3) and those of leases and the gate, looked at after every input and at every message that leaves.

use super::*;

impl World {
    /// What an ack says is on the disk as the message says it, and equal to the leader's log.
    pub(super) fn watch_promise(&self, node: char, out: &Outgoing<Toy>) {
        let Image { hard, log, .. } = &self.nodes[&node].image;
        match &out.message {
            Message::AppendAck(ack) if ack.ok => {
                assert!(hard.term == ack.term && log.last_index() >= ack.index, "an ack is for what is on disk");
                let (leader, _) = self.leaders.get(&ack.term).unwrap_or(&('?', 0));
                if let Some(raft) =
                    self.nodes.get(leader).and_then(|at| at.raft.as_ref()).filter(|raft| raft.term() == ack.term && raft.is_leader())
                {
                    let ours = log.term_at(ack.index);
                    let theirs = raft.log().term_at(ack.index);
                    assert!(ours.is_none() || theirs.is_none() || ours == theirs, "an ack is for what matches");
                }
            }
            Message::Vote(vote) if vote.granted && !vote.pre => assert_eq!(hard.term, vote.term, "a vote is on disk"),
            Message::VoteRequest(request) if !request.pre => {
                assert_eq!((hard.term, hard.voted_for), (request.term, Some(id(node))), "a candidate's own vote is on disk");
            }
            _ => {}
        }
    }

    /// [N1 token-return]: a lease begins before the election of every later leader.
    pub(super) fn watch_token(&mut self, leader: char, to: char, message: &Message<Toy>) {
        let Message::Append(append) = message else { return };
        let token = append.token;
        if token.nonce == 0 {
            return;
        }
        for (term, (_, elected_at)) in self.leaders.range(append.term + 1..) {
            assert!(token.clock <= *elected_at, "{leader} of term {} grants a lease that began in term {term}", append.term);
        }
        let at = self.nodes.get_mut(&to).expect("a known node");
        if token.nonce == at.loads {
            at.granted = at.granted.max(Some(token.clock));
        }
    }

    /// The commit gate: whoever loses slots by what has been committed knows it or has no lease any more.
    pub(super) fn watch_gate(&mut self, node: char) {
        let Some(raft) = &self.nodes[&node].raft else { return };
        for (index, entry) in raft.log().iter_from(self.nodes[&node].state.index + 1).take_while(|(index, _)| *index <= raft.commit_index())
        {
            let Body::App(Toy::Depose(primary)) = &entry.body else { continue };
            if self.committed.contains_key(&index) {
                continue;
            }
            let Some(primary) = self.nodes.get(&name(primary)) else { continue };
            let Some(theirs) = &primary.raft else { continue };
            let knows = theirs.log().last_index() >= index && theirs.log().term_at(index).is_none_or(|term| term == entry.term);
            let lapsed = primary.granted.is_none_or(|clock| clock + LEASE * 98 / 100 <= self.now) && theirs.lease_end() <= self.now;
            assert!(knows || lapsed, "entry {index} commits while {} may still serve", name(&theirs.id()));
        }
    }

    /// Election safety, log matching, leader completeness, overlap of voting sets; after every input. What a node did in a term that is not
    /// on its disk may be undone by a crash, and nobody heard of it.
    pub(super) fn watch(&mut self, node: char) {
        let Some(raft) = self.nodes[&node].raft.as_ref().filter(|raft| raft.hard() == self.nodes[&node].image.hard) else { return };
        let mark = (raft.hard(), raft.log().snapshot_index(), raft.log().last_index(), raft.log().last_term(), raft.is_leader());
        if self.watched.insert(node, mark) == Some(mark) {
            return;
        }
        let mut before = raft.log().snapshot_term();
        let mut voters: Option<BTreeSet<NodeId>> = None;
        for (index, entry) in raft.log().iter_from(raft.log().first_index()) {
            let seen = self.entries.entry((index, entry.term)).or_insert_with(|| (before, entry.clone()));
            assert_eq!((seen.0, &seen.1), (before, entry), "log matching at {index} of {node}");
            before = entry.term;
            let old = voters.get_or_insert_with(|| self.nodes[&node].base.voters.clone());
            let mut new = old.clone();
            if entry.body.change_voters(&mut new) {
                let changed = old.symmetric_difference(&new).count();
                assert!(changed <= 1 || (old.len() == 1 && new.len() == 3), "consecutive voting sets overlap");
                *old = new;
            }
        }
        if raft.is_leader() {
            let led = *self.leaders.entry(raft.term()).or_insert((node, self.now));
            assert_eq!(led.0, node, "election safety: one leader in term {}", raft.term());
            // Only what was committed in earlier terms: a deposed leader need not have what its successor commits.
            for (index, entry) in self.committed.range(raft.log().first_index()..) {
                let held = raft.log().get(*index);
                assert!(held == Some(entry) || entry.term > raft.term(), "leader completeness: {node} lacks entry {index}");
            }
        }
    }
}
