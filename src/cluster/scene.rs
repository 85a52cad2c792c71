//! A small cluster for this room's tests: members by number, changes as `now` would propose them.

use super::address::Address;
use super::change::{Change, FailoverKind};
use super::outcome::Outcome;
use super::state::State;
use super::text::ClusterEntry;
use crate::cluster::change::{Failover, NodeForget, NodeJoin, SetReplicaOf, SlotChange};
use crate::raft::{Body, Entry, Origin, ProposalId};
use crate::types::{ClusterId, NodeId, ShardId, Slot, SlotRange};

/// Node number `n`.
pub fn id(n: u8) -> NodeId {
    NodeId::from_bytes([n; 20])
}

/// The shard that node number `n` founds.
pub fn shard(n: u8) -> ShardId {
    ShardId::from_bytes([0x80 | n; 20])
}

/// Node number `n` joins.
pub fn join(n: u8, voter: bool) -> Change {
    let port = 7000 + u16::from(n);
    let mut address = Address { ip: "127.0.0.1".to_owned(), port, bus_port: port + 10000, ..Address::default() };
    address.set_shard_id(shard(n));
    Change::NodeJoin(NodeJoin { id: id(n), address, voter })
}

/// The proposal `n` of node number `proposer`.
pub fn origin(proposer: u8, incarnation: u64, n: u64, lowest: u64) -> Origin {
    Origin { id: ProposalId { proposer: id(proposer), incarnation, n }, lowest }
}

fn slot(number: u16) -> Slot {
    Slot::new(number).unwrap()
}

/// A state and the log's next index.
pub struct Scene {
    pub state: State,
}

impl Scene {
    /// Node 0 founded the cluster and is its only voter; nodes 0 and 1 own 0-99 and 100-199.
    pub fn of(members: u8) -> Self {
        let mut scene = Self { state: State::founding(ClusterId::from_bytes([0xcc; 20]), id(0)) };
        for n in 0..members {
            scene.do_(&join(n, n == 0));
        }
        for n in 0..members.min(2) {
            let first = u16::from(n) * 100;
            scene.do_(&scene.slot_change(None, Some(n), &[(first, first + 99)]));
        }
        scene
    }

    /// Applies what must take effect.
    pub fn do_(&mut self, change: &Change) {
        assert_eq!(self.change(change), Outcome::Applied, "{change:?}");
    }

    /// Applies a change that the leader made; what it had no effect on stayed the same.
    pub fn change(&mut self, change: &Change) -> Outcome {
        self.body(None, Body::App(change.clone()))
    }

    pub fn body(&mut self, origin: Option<Origin>, body: Body<Change>) -> Outcome {
        let before = self.state.clone();
        let entry: ClusterEntry = Entry { term: 1, origin, body };
        let outcome = self.state.apply(before.last_applied() + 1, &entry);
        self.state.check();
        if outcome != Outcome::Applied {
            let mut rest = self.state.clone();
            (rest.last_applied, rest.last_term) = (before.last_applied, before.last_term);
            rest.proposals = before.proposals.clone();
            assert_eq!(rest, before, "what is refused has no effect");
        }
        outcome
    }

    pub fn slot_change(&self, source: Option<u8>, target: Option<u8>, ranges: &[(u16, u16)]) -> Change {
        let side = |n: u8| (id(n), self.state.epoch_of(&id(n)).unwrap_or(0));
        let ranges = ranges.iter().map(|(first, last)| SlotRange::new(slot(*first), slot(*last)).unwrap()).collect();
        Change::SlotChange(SlotChange { source: source.map(side), target: target.map(side), ranges })
    }

    pub fn forget(&self, n: u8) -> Change {
        Change::NodeForget(NodeForget { id: id(n), epoch: self.state.epoch_of(&id(n)).unwrap_or(0) })
    }

    fn shard_of(&self, n: u8) -> (ShardId, u64) {
        self.state.member(&id(n)).map_or((shard(n), 0), |member| (member.shard, self.state.epoch(&member.shard)))
    }

    pub fn replica_of(&self, n: u8, primary: u8) -> Change {
        Change::SetReplicaOf(SetReplicaOf {
            id: id(n),
            source: self.shard_of(n),
            primary: Some(id(primary)),
            target: self.shard_of(primary),
        })
    }

    pub fn primary_again(&self, n: u8, shard: ShardId) -> Change {
        Change::SetReplicaOf(SetReplicaOf { id: id(n), source: self.shard_of(n), primary: None, target: (shard, 0) })
    }

    pub fn failover(&self, replica: u8, primary: u8, kind: FailoverKind) -> Change {
        let (shard, epoch) = self.shard_of(primary);
        Change::Failover(Failover { replica: id(replica), primary: id(primary), shard, epoch, kind })
    }
}
