//! Who takes over from a primary.
//!
//! Owns: the choice among its replicas. Must not: know how offsets are learned. Contract: docs/protocol.md, "Failover".

use super::state::{Member, State};
use crate::types::{Extent, NodeId};
use std::cmp::Reverse;

impl State {
    /// The replicas of `primary` that would take over, also those that are flagged as failed.
    pub fn willing_replicas(&self, primary: &NodeId) -> impl Iterator<Item = &Member> {
        let willing = |member: &&Member| !member.nofailover && member.address.replica_priority() > 0;
        self.members().filter(move |member| member.primary.as_ref() == Some(primary)).filter(willing)
    }

    /// Those of them that can: they are not failed.
    pub fn able_replicas(&self, primary: &NodeId) -> impl Iterator<Item = &Member> {
        self.willing_replicas(primary).filter(|member| !member.failed)
    }

    /// The replica that should take over from `primary`: the one with most of its data; of equals the one with the lowest priority number,
    /// then with the lowest id. Who has nothing worth promoting is never chosen.
    pub fn successor(&self, primary: &NodeId, extent_of: impl Fn(&NodeId) -> Extent) -> Option<NodeId> {
        let ranked = self.able_replicas(primary).map(|member| (extent_of(&member.id), member));
        let best = ranked
            .filter(|(extent, _)| extent.offset > 0)
            .min_by_key(|(extent, member)| (Reverse(*extent), member.address.replica_priority(), member.id));
        best.map(|(_, member)| member.id)
    }
}

#[cfg(test)]
mod tests {
    use super::super::change::Change;
    use super::super::scene::{Scene, id};
    use super::*;
    use crate::cluster::change::{NodeFail, NodeInfo};

    /// Nodes 2, 3 and 4 replicate node 0, node 5 replicates node 1.
    fn scene() -> Scene {
        let mut scene = Scene::of(6);
        for (replica, primary) in [(2, 0), (3, 0), (4, 0), (5, 1)] {
            scene.do_(&scene.replica_of(replica, primary));
        }
        scene
    }

    fn inform(scene: &mut Scene, n: u8, priority: u32, nofailover: bool) {
        let mut address = scene.state.member(&id(n)).unwrap().address.clone();
        address.set_replica_priority(priority);
        scene.do_(&Change::NodeInfo(NodeInfo { id: id(n), address, nofailover }));
    }

    /// The choice for node 0 with these offsets of nodes 2, 3 and 4.
    fn choice(scene: &Scene, offsets: [u64; 3]) -> Option<NodeId> {
        choice_of(scene, offsets.map(|offset| (7, offset)))
    }

    /// The same with reigns.
    fn choice_of(scene: &Scene, extents: [(u64, u64); 3]) -> Option<NodeId> {
        let numbered = |wanted: &NodeId| (2..5).zip(extents).find(|(n, _)| id(*n) == *wanted).map_or((9, 1000), |(_, extent)| extent);
        scene.state.successor(&id(0), |id| {
            let (reign, offset) = numbered(id);
            Extent { reign, offset }
        })
    }

    #[test]
    fn offsets_count_within_a_reign_only() {
        let scene = scene();
        assert_eq!(choice_of(&scene, [(5, 1000), (6, 10), (6, 11)]), Some(id(4)), "the other has what nobody goes on with");
        assert_eq!(choice_of(&scene, [(5, 1000), (6, 0), (4, 2000)]), Some(id(2)), "nobody has the newest");
        assert_eq!(choice_of(&scene, [(0, 3), (0, 2), (0, 1)]), Some(id(2)));
        assert_eq!(choice_of(&scene, [(9, 0), (9, 0), (1, 1)]), Some(id(4)));
    }

    #[test]
    fn most_data_wins_then_priority_then_id() {
        let mut scene = scene();
        assert_eq!(choice(&scene, [10, 30, 20]), Some(id(3)));
        assert_eq!(choice(&scene, [10, 10, 10]), Some(id(2)));
        inform(&mut scene, 4, 50, false);
        assert_eq!(choice(&scene, [10, 10, 10]), Some(id(4)));
        assert_eq!(choice(&scene, [10, 11, 10]), Some(id(3)), "data outweighs priority");
    }

    #[test]
    fn who_has_nothing_or_may_not_is_never_chosen() {
        let mut scene = scene();
        assert_eq!(choice(&scene, [0, 0, 0]), None);
        assert_eq!(choice(&scene, [0, 0, 1]), Some(id(4)));
        inform(&mut scene, 3, 0, false);
        assert_eq!(choice(&scene, [10, 30, 20]), Some(id(4)), "priority 0");
        inform(&mut scene, 4, 100, true);
        assert_eq!(choice(&scene, [10, 30, 20]), Some(id(2)), "nofailover");
        scene.do_(&Change::NodeFail(NodeFail { id: id(2) }));
        assert_eq!(choice(&scene, [10, 30, 20]), None, "failed");
    }
}
