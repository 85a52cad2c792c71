//! Nothing is promised that is not on the disk: every bus message is read as it leaves, and compared with what a crash at that moment
//! would leave of nodes.conf.

use crate::sim::checks::Checks;
use crate::sim::checks::durable::Durable;
use crate::sim::checks::history::History;
use crate::sim::machine::Machine;
use crate::sim::stats::Stats;
use crate::sim::trace::{self, note};
use pontoon::cluster::Change;
use pontoon::raft::Message;
use pontoon::types::{ClusterId, NodeId, Term};
use pontoon::wire::{Frame, bus};

/// One end of a link, as the last HELLO or HI from there said.
pub type Greeting = Option<(NodeId, ClusterId)>;

impl Checks {
    /// Bytes leave a machine by one side of a bus connection. They are whole frames: the shell takes all that there is.
    pub fn sent(&mut self, machines: &[Machine], from: usize, (conn, side): (usize, usize), mut bytes: &[u8], stats: &mut Stats) {
        self.seen[from].durable.refresh(&machines[from].disk, &machines[from].file());
        while !bytes.is_empty() {
            let (frame, used) = match bus::decode(bytes) {
                Ok(Some(decoded)) => decoded,
                other => panic!("a node sends whole frames that others can read, not {other:?}"),
            };
            bytes = &bytes[used..];
            if trace::is_on() {
                note!("conn {conn} says {}", brief(&frame));
            }
            self.frame(machines, from, (conn, side), &frame, stats);
        }
    }

    /// Somebody who is no machine greets by this side of a connection.
    pub fn greeted(&mut self, conn: usize, side: usize, greeting: (NodeId, ClusterId)) {
        self.greetings.entry(conn).or_default()[side] = Some(greeting);
    }

    /// What was last said in HELLO or HI by this side.
    pub fn greeting(&self, conn: usize, side: usize) -> Greeting {
        self.greetings.get(&conn).and_then(|greetings| greetings[side])
    }

    fn frame(&mut self, machines: &[Machine], from: usize, (conn, side): (usize, usize), frame: &Frame, stats: &mut Stats) {
        match frame {
            Frame::Hello(greeting) | Frame::Hi(greeting) => {
                self.greetings.entry(conn).or_default()[side] = Some((greeting.id, greeting.cluster));
            }
            Frame::Raft(message) => {
                let greetings = self.greetings.get(&conn).copied().unwrap_or_default();
                let (me, peer) = (greetings[side], greetings[1 - side]);
                self.promise(machines, from, me, peer, message, stats);
            }
            _ => {}
        }
    }

    fn promise(&mut self, machines: &[Machine], from: usize, me: Greeting, peer: Greeting, message: &Message<Change>, stats: &mut Stats) {
        let durable = &self.seen[from].durable;
        let (id, cluster) = me.expect("a link begins with HELLO and HI");
        assert_eq!((durable.id, durable.cluster), (Some(id), Some(cluster)), "who speaks of a cluster is in it, on disk too");
        stats.promises += 1;
        holds_term(durable, message);
        match message {
            Message::Append(append) => {
                let last = append.prev_index + append.entries.len() as u64;
                assert!(append.entries.is_empty() || durable.last_index() >= last, "a leader sends what is on its own disk: {last}");
                self.clusters.entry(cluster).or_insert_with(History::new).leads(append.term, append.leader);
            }
            Message::AppendAck(ack) if ack.ok => {
                assert!(durable.last_index() >= ack.index, "an AE_ACK promises entry {}, on disk is {}", ack.index, durable.last_index());
                self.check_ack(machines, from, ack.index, ack.term, peer);
            }
            Message::VoteRequest(request) if !request.pre => self.vote(from, cluster, request.term, id, id),
            Message::Vote(vote) if !vote.pre && vote.granted => {
                let (candidate, _) = peer.expect("a link begins with HELLO and HI");
                self.vote(from, cluster, vote.term, id, candidate);
                stats.votes += 1;
            }
            Message::InstallSnapshot(_) => stats.snapshots += 1,
            _ => {}
        }
    }

    /// A vote, a candidate's own included, is on disk, and the only one of its term.
    fn vote(&mut self, from: usize, cluster: ClusterId, term: Term, voter: NodeId, candidate: NodeId) {
        let durable = &self.seen[from].durable;
        assert!(durable.term > term || durable.voted_for == Some(candidate), "a vote in term {term} for {candidate} is on disk");
        self.clusters.entry(cluster).or_insert_with(History::new).votes(term, voter, candidate);
    }

    /// An acknowledged prefix is the leader's: compared with the leader's log, if it still leads that term.
    fn check_ack(&self, machines: &[Machine], from: usize, index: u64, term: Term, peer: Greeting) {
        let Some((leader, cluster)) = peer else { return };
        let mut nodes = machines.iter().filter_map(|machine| machine.node.as_ref());
        // By now it may lead a cluster of its own, in a term of the same number.
        let node = nodes.find(|node| node.raft().id() == leader && node.state().cluster_id() == cluster);
        let Some(raft) = node.map(|node| node.raft()).filter(|raft| raft.is_leader() && raft.term() == term) else { return };
        let durable = &self.seen[from].durable;
        let (own, leaders) = (durable.term_at(index), raft.log().term_at(index));
        assert!(index <= raft.log().last_index(), "an AE_ACK acknowledges entry {index}, which its leader has not");
        assert!(own.is_none() || leaders.is_none() || own == leaders, "an AE_ACK acknowledges entry {index} as its leader has it");
    }
}

/// The term that a message speaks of is on disk; a pre-vote that is asked for or given speaks of a term that may never be.
fn holds_term(durable: &Durable, message: &Message<Change>) {
    let (term, what) = match message {
        Message::Append(append) => (append.term, "AE"),
        Message::AppendAck(ack) => (ack.term, "AE_ACK"),
        Message::VoteRequest(request) if !request.pre => (request.term, "VOTE_REQ"),
        Message::Vote(vote) if !vote.pre || !vote.granted => (vote.term, "VOTE"),
        Message::InstallSnapshot(snapshot) => (snapshot.term, "INSTALL_SNAPSHOT"),
        Message::TimeoutNow { term } => (*term, "TIMEOUT_NOW"),
        Message::VoteRequest(_) | Message::Vote(_) => return,
    };
    assert!(durable.term >= term, "{what} speaks of term {term}, on disk is {}", durable.term);
}

/// A frame in a line of the trace.
fn brief(frame: &Frame) -> String {
    match frame {
        Frame::Raft(Message::InstallSnapshot(snapshot)) => {
            format!("INSTALL_SNAPSHOT term {} last {} ({} bytes)", snapshot.term, snapshot.last_index, snapshot.bytes.len())
        }
        Frame::Raft(message) => format!("{message:?}"),
        other => format!("{other:?}"),
    }
}
