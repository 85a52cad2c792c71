//! What clients see of the state: CLUSTER NODES as text, CLUSTER SLOTS and SHARDS as plain data, the counts of CLUSTER INFO.
//!
//! Owns: which facts are shown, in what order. Must not: know RESP or what links are up. Contract: docs/protocol.md; the line is `line`'s.

use super::address::Address;
use super::line::NodeLine;
use super::state::{Member, State};
use crate::types::{NodeId, SLOT_COUNT, ShardId, Slot, SlotRange};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// An address as clients see it: without the keys that only nodes need.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a>(pub &'a Address);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Address { ip, port, bus_port, hostname, .. } = self.0;
        write!(f, "{ip}:{port}@{bus_port}")?;
        if hostname.is_empty() { Ok(()) } else { write!(f, ",{hostname}") }
    }
}

/// A node that is no member of the state: this one while it joins, or one that was met and has not answered.
#[derive(Clone, Copy, Debug)]
pub struct Outsider<'a> {
    /// Its id; of a node met, whatever stands for it until it says its own.
    pub id: NodeId,
    /// Where it is.
    pub address: &'a Address,
    /// Whether it is this node.
    pub myself: bool,
}

/// Who shows the state, and what only it knows.
#[derive(Clone, Copy, Debug)]
pub struct Viewer<'a> {
    /// Its id.
    pub me: &'a NodeId,
    /// What it announces of itself: the state may have that a moment later.
    pub own: &'a Address,
    /// Whom it wants to reach and has not for node-timeout: `fail?`, unless the cluster knows more.
    pub missed: &'a BTreeSet<NodeId>,
}

impl Viewer<'_> {
    /// Where a member is.
    pub fn address<'b>(&'b self, member: &'b Member) -> &'b Address {
        if member.id == *self.me { self.own } else { &member.address }
    }

    fn misses(&self, member: &Member) -> bool {
        !member.failed && self.missed.contains(&member.id)
    }
}

/// Appends CLUSTER NODES as the viewer shows it. Slots that it means to claim it shows as its own as long as nobody owns them: whoever
/// waits until all nodes show the same waits for that too.
pub fn nodes(state: &State, viewer: Viewer<'_>, claims: &[SlotRange], outsiders: &[Outsider], out: &mut String) {
    let mut slots = state.slots_by_owner();
    if !claims.is_empty() {
        slots.insert(*viewer.me, with_claims(state, viewer.me, claims));
    }
    for member in state.members() {
        let ranges = slots.get(&member.id).map_or(&[][..], Vec::as_slice);
        write_member(state, member, viewer, ranges, out);
    }
    for Outsider { id, address, myself } in outsiders {
        let flags = [("myself", *myself), ("master", *myself), ("handshake", !*myself)];
        let ranges = if *myself { claims } else { &[] };
        NodeLine { id, address: Shown(address), flags: &flags, primary: None, epoch: 0, connected: *myself, ranges }.write(out);
    }
}

/// What the node owns, and what it claims of what nobody owns.
fn with_claims(state: &State, me: &NodeId, claims: &[SlotRange]) -> Vec<SlotRange> {
    let mut claimed = vec![false; usize::from(SLOT_COUNT)];
    claims.iter().flat_map(|range| range.slots()).for_each(|slot| claimed[slot.index()] = true);
    Slot::ranges(Slot::all().filter(|slot| state.owner(*slot).map_or(claimed[slot.index()], |owner| owner == *me)))
}

/// Appends the one line of a member.
pub fn node(state: &State, member: &Member, viewer: Viewer<'_>, out: &mut String) {
    write_member(state, member, viewer, &state.ranges_of(&member.id), out);
}

fn write_member(state: &State, member: &Member, viewer: Viewer<'_>, ranges: &[SlotRange], out: &mut String) {
    let flags = [
        ("myself", member.id == *viewer.me),
        ("master", member.is_primary()),
        ("slave", !member.is_primary()),
        ("fail?", viewer.misses(member)),
        ("fail", member.failed),
        ("nofailover", member.nofailover),
    ];
    let (address, primary, epoch) = (Shown(viewer.address(member)), member.primary.as_ref(), state.epoch(&member.shard));
    // The tools skip who is `disconnected`, so only who is flagged as failed is: one node's broken link says nothing about the cluster.
    NodeLine { id: &member.id, address, flags: &flags, primary, epoch, connected: !member.failed, ranges }.write(out);
}

/// One entry of CLUSTER SLOTS: a maximal range, its owner, who replicates it.
#[derive(Clone, PartialEq, Debug)]
pub struct OwnedRange<'a> {
    /// The slots.
    pub range: SlotRange,
    /// Its owner.
    pub primary: &'a Member,
    /// Replicas of the owner that can be read from, in the order of their ids.
    pub replicas: Vec<&'a Member>,
}

/// CLUSTER SLOTS, ascending. Left out are replicas that have failed, and those that have no copy of their primary's keys.
pub fn slots(state: &State, has_copy: impl Fn(&NodeId) -> bool) -> Vec<OwnedRange<'_>> {
    let mut replicas: BTreeMap<NodeId, Vec<&Member>> = BTreeMap::new();
    for member in state.members().filter(|member| !member.failed && has_copy(&member.id)) {
        if let Some(primary) = member.primary {
            replicas.entry(primary).or_default().push(member);
        }
    }
    let owned = |(owner, range)| {
        let primary = state.member(&owner)?;
        Some(OwnedRange { range, primary, replicas: replicas.get(&owner).cloned().unwrap_or_default() })
    };
    state.slot_runs().filter_map(owned).collect()
}

/// One entry of CLUSTER SHARDS.
#[derive(Clone, PartialEq, Debug)]
pub struct Shard<'a> {
    /// Its id.
    pub id: ShardId,
    /// Its slots.
    pub ranges: Vec<SlotRange>,
    /// The primary first, then the replicas in the order of their ids.
    pub nodes: Vec<&'a Member>,
}

/// CLUSTER SHARDS in the order of shard ids.
pub fn shards(state: &State) -> Vec<Shard<'_>> {
    let mut slots = state.slots_by_owner();
    let mut by_id: BTreeMap<ShardId, Shard> = BTreeMap::new();
    for member in state.members() {
        let shard = by_id.entry(member.shard).or_insert_with(|| Shard { id: member.shard, ranges: Vec::new(), nodes: Vec::new() });
        if member.is_primary() {
            shard.ranges = slots.remove(&member.id).unwrap_or_default();
            shard.nodes.insert(0, member);
        } else {
            shard.nodes.push(member);
        }
    }
    by_id.into_values().collect()
}

/// The counts of CLUSTER INFO.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Slots with an owner.
    pub assigned: usize,
    /// Slots whose owner is flagged as failed.
    pub failed: usize,
    /// Slots whose owner is missed by the viewer.
    pub missed: usize,
    /// Primaries with slots: `cluster_size`.
    pub owners: usize,
}

/// Counts for CLUSTER INFO and for whether the cluster is usable.
pub fn counts(state: &State, missed: &BTreeSet<NodeId>) -> Counts {
    let slots = |is_meant: &dyn Fn(&Member) -> bool| -> usize {
        let owners = state.slot_owners().filter(|id| state.member(id).is_some_and(is_meant));
        owners.map(|id| usize::from(state.slot_count_of(id))).sum()
    };
    Counts {
        assigned: state.assigned_slots(),
        failed: slots(&|owner| owner.failed),
        missed: slots(&|owner| !owner.failed && missed.contains(&owner.id)),
        owners: state.slot_owners().count(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Scene, id};
    use super::*;

    const NOBODY: BTreeSet<NodeId> = BTreeSet::new();

    /// Node 0's own, as the scene has it.
    fn own(scene: &Scene, n: u8) -> Address {
        scene.state.member(&id(n)).map(|member| member.address.clone()).unwrap_or_default()
    }

    #[test]
    fn what_only_the_viewer_knows_is_shown_too() {
        let mut scene = Scene::of(3);
        scene.do_(&crate::cluster::Change::NodeFail(crate::cluster::change::NodeFail { id: id(1) }));
        let own = Address { port: 9000, ..own(&scene, 0) };
        let missed = [id(1), id(2)].into();
        let (me, mut text) = (id(0), String::new());
        nodes(&scene.state, Viewer { me: &me, own: &own, missed: &missed }, &[], &[], &mut text);
        let fields: Vec<_> = text.lines().map(|line| line.split(' ').skip(1).take(2).collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(fields, ["127.0.0.1:9000@17000 myself,master", "127.0.0.1:7001@17001 master,fail", "127.0.0.1:7002@17002 master,fail?"]);
        assert_eq!(counts(&scene.state, &[id(0), id(1)].into()), Counts { assigned: 200, failed: 100, missed: 100, owners: 2 });
    }

    #[test]
    fn nodes_are_shown_as_tools_expect_them() {
        let mut scene = Scene::of(3);
        scene.do_(&scene.replica_of(2, 0));
        scene.do_(&crate::cluster::Change::NodeFail(crate::cluster::change::NodeFail { id: id(1) }));
        let mut text = String::new();
        let (me, own) = (id(0), own(&scene, 0));
        let viewer = Viewer { me: &me, own: &own, missed: &NOBODY };
        nodes(&scene.state, viewer, &[], &[], &mut text);
        let epoch = |n| scene.state.epoch_of(&id(n)).unwrap();
        let expected = format!(
            "{} 127.0.0.1:7000@17000 myself,master - 0 0 {} connected 0-99\n{} 127.0.0.1:7001@17001 master,fail - 0 0 {} disconnected 100-199\n{} 127.0.0.1:7002@17002 slave {} 0 0 {} connected\n",
            id(0),
            epoch(0),
            id(1),
            epoch(1),
            id(2),
            id(0),
            epoch(0)
        );
        assert_eq!(text, expected);
        let mut one = String::new();
        node(&scene.state, scene.state.member(&id(2)).unwrap(), viewer, &mut one);
        assert_eq!(Some(one.trim_end()), expected.lines().last());
    }

    #[test]
    fn who_joins_or_was_met_is_shown_beside_the_members() {
        let scene = Scene::of(1);
        let address = Address { port: 7, bus_port: 17, hostname: "h".to_owned(), ..Address::default() };
        let claims = [SlotRange::new(Slot::new(0).unwrap(), Slot::new(9).unwrap()).unwrap()];
        let mut text = String::new();
        let outsiders = [Outsider { id: id(8), address: &address, myself: true }, Outsider { id: id(9), address: &address, myself: false }];
        nodes(&scene.state, Viewer { me: &id(8), own: &address, missed: &NOBODY }, &claims, &outsiders, &mut text);
        let lines: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(lines[0], format!("{} :7@17,h myself,master - 0 0 0 connected 0-9", id(8)));
        assert_eq!(lines[1], format!("{} :7@17,h handshake - 0 0 0 disconnected", id(9)));
    }

    #[test]
    fn a_member_shows_what_it_claims_beside_what_it_owns_unless_it_is_anothers() {
        let scene = Scene::of(2);
        let claims = [SlotRange::new(Slot::new(150).unwrap(), Slot::new(205).unwrap()).unwrap()];
        for (me, shown) in [(0, ["0-99 200-205", "100-199"]), (1, ["0-99", "100-205"])] {
            let mut text = String::new();
            nodes(&scene.state, Viewer { me: &id(me), own: &own(&scene, me), missed: &NOBODY }, &claims, &[], &mut text);
            let slots: Vec<_> = text.lines().map(|line| line.splitn(9, ' ').last().unwrap()).collect();
            assert_eq!(slots, shown, "{me}");
        }
    }

    #[test]
    fn slots_and_shards_agree_and_slots_leave_replicas_out_that_cannot_be_read_from() {
        let mut scene = Scene::of(5);
        scene.do_(&scene.replica_of(2, 0));
        scene.do_(&scene.replica_of(3, 0));
        scene.do_(&scene.replica_of(4, 0));
        scene.do_(&crate::cluster::Change::NodeFail(crate::cluster::change::NodeFail { id: id(2) }));
        let ranges = slots(&scene.state, |member| *member != id(4));
        assert_eq!(ranges.len(), 2);
        assert_eq!((ranges[0].range.first().number(), ranges[0].range.last().number(), ranges[0].primary.id), (0, 99, id(0)));
        assert_eq!(ranges[0].replicas.iter().map(|member| member.id).collect::<Vec<_>>(), [id(3)]);
        let shards = shards(&scene.state);
        assert_eq!(shards.len(), 2);
        let first = shards.iter().find(|shard| shard.nodes[0].id == id(0)).unwrap();
        assert_eq!((first.nodes.len(), first.ranges.len()), (4, 1));
        assert_eq!(counts(&scene.state, &NOBODY), Counts { assigned: 200, failed: 0, missed: 0, owners: 2 });
        scene.do_(&crate::cluster::Change::NodeFail(crate::cluster::change::NodeFail { id: id(1) }));
        assert_eq!(counts(&scene.state, &NOBODY).failed, 100);
    }
}
