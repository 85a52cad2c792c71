//! Every entry type and every refusal, one test a rule of docs/protocol.md, "Log entries".

use super::scene::{Scene, id, join, origin, shard};
use super::*;
use crate::cluster::change::{NodeFail, NodeInfo, NodeJoin, NodeRecover};
use crate::raft::Body;
use crate::raft::Payload;
use crate::types::Slot;
use std::collections::BTreeSet;

fn refused(reason: Reason) -> Outcome {
    Outcome::Rejected(reason)
}

fn owner(scene: &Scene, slot: u16) -> Option<crate::types::NodeId> {
    scene.state.owner(Slot::new(slot).unwrap())
}

#[test]
fn a_founder_joins_as_the_only_voter_and_peers_as_learners() {
    let mut scene = Scene::of(2);
    assert_eq!(*scene.state.voters(), BTreeSet::from([id(0)]));
    assert_eq!(scene.state.epoch(&shard(1)), 2, "a new shard's epoch is the index of the entry that made it");
    assert_eq!(scene.state.member(&id(1)).unwrap().address.to_string(), "127.0.0.1:7001@17001");
    assert_eq!(scene.change(&join(1, false)), refused(Reason::AlreadyMember));
    let mut again = join(2, false);
    if let Change::NodeJoin(NodeJoin { address, .. }) = &mut again {
        address.set_shard_id(shard(1));
    }
    assert_eq!(scene.change(&again), refused(Reason::ShardExists));
    if let Change::NodeJoin(NodeJoin { address, .. }) = &mut again {
        *address = address.clone().without_shard_id();
    }
    assert_eq!(scene.change(&again), refused(Reason::BadAddress));
}

#[test]
fn a_joiner_that_starts_empty_reaches_the_founders_state() {
    let cluster = crate::types::ClusterId::from_bytes([0xcc; 20]);
    let (mut founder, mut joiner) = (State::founding(cluster, id(0)), State::empty(cluster));
    let entry = crate::raft::Entry { term: 1, origin: None, body: Body::App(join(0, true)) };
    founder.apply(1, &entry);
    joiner.apply(1, &entry);
    joiner.check();
    assert_eq!(founder, joiner);
    assert_eq!(founder.hash(), joiner.hash());
}

#[test]
fn slots_change_hands_only_from_their_owner() {
    let mut scene = Scene::of(3);
    assert_eq!(scene.change(&scene.slot_change(None, Some(2), &[(99, 99)])), Outcome::Stale, "owned by node 0");
    assert_eq!(scene.change(&scene.slot_change(Some(0), Some(2), &[(98, 100)])), Outcome::Stale, "100 is node 1's");
    assert_eq!(scene.change(&scene.slot_change(Some(0), Some(2), &[(500, 500)])), Outcome::Stale, "500 is nobody's");
    scene.do_(&scene.slot_change(Some(0), Some(2), &[(0, 9), (90, 99)]));
    assert_eq!((owner(&scene, 0), owner(&scene, 10), owner(&scene, 99)), (Some(id(2)), Some(id(0)), Some(id(2))));
    scene.do_(&scene.slot_change(Some(2), None, &[(5, 5)]));
    assert_eq!(owner(&scene, 5), None);
    assert_eq!(scene.state.slot_count_of(&id(2)), 19);
}

#[test]
fn slots_go_to_primaries_that_are_members_under_their_epochs() {
    let mut scene = Scene::of(3);
    assert_eq!(scene.change(&scene.slot_change(Some(0), Some(7), &[(0, 0)])), refused(Reason::UnknownNode));
    assert_eq!(scene.change(&scene.slot_change(Some(7), Some(1), &[(0, 0)])), Outcome::Stale);
    let before = [scene.slot_change(Some(1), Some(0), &[(100, 100)]), scene.slot_change(Some(0), Some(1), &[(0, 0)])];
    scene.do_(&scene.replica_of(2, 0));
    for change in &before {
        assert_eq!(scene.change(change), Outcome::Stale, "a shard's epoch moved on");
    }
    assert_eq!(scene.change(&scene.slot_change(Some(1), Some(2), &[(100, 100)])), refused(Reason::TargetNotPrimary));
    let epoch = scene.state.epoch_of(&id(0));
    scene.do_(&scene.slot_change(Some(1), Some(0), &[(100, 100)]));
    assert_eq!(scene.state.epoch_of(&id(0)), epoch, "owning slots is not membership: the epoch stays");
}

#[test]
fn forgetting_needs_a_learner_without_slots_and_replicas() {
    let mut scene = Scene::of(4);
    assert_eq!(scene.change(&scene.forget(0)), refused(Reason::IsVoter));
    assert_eq!(scene.change(&scene.forget(1)), refused(Reason::OwnsSlots));
    assert_eq!(scene.change(&scene.forget(9)), refused(Reason::UnknownNode));
    let stale = scene.forget(2);
    scene.do_(&scene.replica_of(3, 2));
    assert_eq!(scene.change(&stale), Outcome::Stale);
    assert_eq!(scene.change(&scene.forget(2)), refused(Reason::HasReplicas));
    let epoch = scene.state.epoch_of(&id(2)).unwrap();
    scene.do_(&scene.forget(3));
    assert!(scene.state.epoch_of(&id(2)).unwrap() > epoch, "its shard has a member less");
    scene.do_(&scene.forget(2));
    assert_eq!((scene.state.member_count(), scene.state.epoch(&shard(2))), (2, 0));
    scene.do_(&join(2, false));
    assert_eq!(scene.change(&stale), Outcome::Stale, "a forgotten id that came back has a new epoch [N29 shard-epoch]");
}

#[test]
fn a_node_becomes_a_replica_and_a_primary_again() {
    let mut scene = Scene::of(4);
    assert_eq!(scene.change(&scene.replica_of(0, 1)), refused(Reason::NotEmpty));
    assert_eq!(scene.change(&scene.replica_of(2, 2)), refused(Reason::SelfReplica));
    assert_eq!(scene.change(&scene.replica_of(2, 9)), refused(Reason::UnknownNode));
    let stale = scene.replica_of(3, 0);
    scene.do_(&scene.replica_of(2, 0));
    assert_eq!(scene.change(&stale), Outcome::Stale);
    assert_eq!(scene.change(&scene.replica_of(3, 2)), refused(Reason::PrimaryNotPrimary));
    assert_eq!((scene.state.replicas_of(&id(0)), scene.state.epoch(&shard(2))), (vec![id(2)], 0));
    let epoch = scene.state.epoch(&shard(0));
    scene.do_(&scene.replica_of(2, 0));
    assert_eq!(scene.state.epoch(&shard(0)), epoch, "nothing changed");
    assert_eq!(scene.change(&scene.primary_again(2, shard(1))), refused(Reason::ShardExists));
    scene.do_(&scene.primary_again(2, shard(2)));
    assert!(scene.state.epoch(&shard(0)) > epoch && scene.state.member(&id(2)).unwrap().is_primary());
    scene.do_(&scene.replica_of(3, 2));
    assert_eq!(scene.change(&scene.replica_of(2, 0)), refused(Reason::HasReplicas));
    scene.do_(&scene.primary_again(2, shard(9)));
    assert_eq!(scene.state.member(&id(2)).unwrap().shard, shard(2), "it is a primary already");
}

#[test]
fn a_failover_swaps_the_shards_roles() {
    let mut scene = Scene::of(4);
    scene.do_(&scene.replica_of(2, 0));
    scene.do_(&scene.replica_of(3, 0));
    assert_eq!(scene.change(&scene.failover(2, 0, FailoverKind::Auto)), refused(Reason::PrimaryAlive));
    assert_eq!(scene.change(&scene.failover(1, 0, FailoverKind::Force)), refused(Reason::NotItsReplica));
    assert_eq!(scene.change(&scene.failover(9, 0, FailoverKind::Force)), refused(Reason::UnknownNode));
    let (stale, again) = (scene.failover(3, 0, FailoverKind::Force), scene.failover(2, 0, FailoverKind::Auto));
    scene.do_(&Change::NodeFail(NodeFail { id: id(0) }));
    scene.do_(&again);
    assert_eq!(scene.change(&stale), Outcome::Stale);
    assert_eq!(scene.state.ranges_of(&id(2)).len(), 1);
    assert_eq!(scene.state.slot_count_of(&id(0)), 0);
    assert_eq!(scene.state.replicas_of(&id(2)), [id(0), id(3)]);
    scene.do_(&scene.failover(0, 2, FailoverKind::Manual));
    assert_eq!(scene.state.slot_count_of(&id(0)), 100);
}

#[test]
fn whom_the_gate_waits_for_and_whom_a_change_bars() {
    let scene = Scene::of(3);
    let asked = |change: Change| (change.deposes(), change.bars());
    assert_eq!(asked(scene.failover(2, 0, FailoverKind::Force)), (Some(id(0)), Some(id(0))));
    assert_eq!(asked(scene.failover(2, 0, FailoverKind::Takeover)), (None, Some(id(0))));
    assert_eq!(asked(Change::NodeFail(NodeFail { id: id(1) })), (None, Some(id(1))));
    assert_eq!(asked(Change::NodeRecover(NodeRecover { id: id(1) })), (None, None));
    assert_eq!(asked(scene.replica_of(2, 0)), (Some(id(2)), Some(id(2))));
}

#[test]
fn a_nodes_own_words_never_move_it_to_another_shard() {
    let mut scene = Scene::of(2);
    let mut address: Address = "10.0.0.9:1@2,h".parse().unwrap();
    address.set_shard_id(shard(0));
    scene.do_(&Change::NodeInfo(NodeInfo { id: id(1), address: address.clone(), nofailover: true }));
    let member = scene.state.member(&id(1)).unwrap();
    assert_eq!((member.shard, member.address.to_string(), member.nofailover), (shard(1), "10.0.0.9:1@2,h".to_owned(), true));
    assert_eq!(
        scene.change(&Change::NodeInfo(NodeInfo { id: id(9), address: address.clone(), nofailover: true })),
        refused(Reason::UnknownNode)
    );
    address.hostname = "two words".to_owned();
    assert_eq!(scene.change(&Change::NodeInfo(NodeInfo { id: id(1), address, nofailover: true })), refused(Reason::BadAddress));
}

#[test]
fn failure_flags_come_and_go() {
    let mut scene = Scene::of(2);
    for _ in 0..2 {
        scene.do_(&Change::NodeFail(NodeFail { id: id(1) }));
        assert!(scene.state.member(&id(1)).unwrap().failed);
    }
    scene.do_(&Change::NodeRecover(NodeRecover { id: id(1) }));
    assert!(!scene.state.member(&id(1)).unwrap().failed);
    assert_eq!(scene.change(&Change::NodeFail(NodeFail { id: id(9) })), refused(Reason::UnknownNode));
    assert_eq!(scene.change(&Change::NodeRecover(NodeRecover { id: id(9) })), refused(Reason::UnknownNode));
}

#[test]
fn voting_entries_set_what_append_set_and_noops_the_largest_lease() {
    let mut scene = Scene::of(3);
    for _ in 0..2 {
        scene.body(None, Body::AddVoter { ids: vec![id(1), id(2)] });
        assert_eq!(scene.state.voters().len(), 3);
    }
    scene.body(None, Body::DelVoter { id: id(2), by_hand: true });
    assert_eq!((scene.state.voters().len(), scene.state.demoted().len()), (2, 1));
    scene.body(None, Body::AddVoter { ids: vec![id(2)] });
    assert!(scene.state.demoted().is_empty(), "a promotion ends the demotion by hand");
    scene.body(None, Body::DelVoter { id: id(2), by_hand: false });
    assert!(scene.state.demoted().is_empty());
    scene.body(None, Body::DelVoter { id: id(2), by_hand: true });
    scene.do_(&scene.forget(2));
    assert!(scene.state.demoted().is_empty());
    for lease in [5000, 2000] {
        scene.body(None, Body::Noop { lease });
        assert_eq!(scene.state.max_lease(), 5000);
    }
}

#[test]
fn a_proposal_applies_once_and_answers_the_same_for_ever() {
    let mut scene = Scene::of(3);
    let give = scene.slot_change(None, Some(1), &[(300, 300)]);
    let propose = |scene: &mut Scene, n, change: &Change| scene.body(Some(origin(2, 1, n, 1)), Body::App(change.clone()));
    assert_eq!(propose(&mut scene, 1, &give), Outcome::Applied);
    scene.do_(&scene.slot_change(Some(1), None, &[(300, 300)]));
    assert_eq!(propose(&mut scene, 1, &give), Outcome::Applied);
    assert_eq!(owner(&scene, 300), None, "the second time had no effect");
    let taken = scene.slot_change(None, Some(1), &[(0, 0)]);
    assert_eq!(propose(&mut scene, 2, &taken), Outcome::Stale);
    assert_eq!(propose(&mut scene, 2, &give), Outcome::Stale, "the first outcome stays");
    assert_eq!(scene.body(Some(origin(2, 1, 4, 4)), Body::App(give.clone())), Outcome::Applied);
    let back = scene.slot_change(Some(1), None, &[(300, 300)]);
    assert_eq!(propose(&mut scene, 3, &back), refused(Reason::OldProposal));
    assert_eq!(scene.body(Some(origin(2, 2, 1, 1)), Body::App(Change::NodeFail(NodeFail { id: id(1) }))), Outcome::Applied);
    assert_eq!(scene.state.outcome(&origin(2, 1, 9, 1).id), Seen::Old);
    assert_eq!(scene.state.outcome(&origin(2, 2, 1, 1).id), Seen::Done(Outcome::Applied));
    assert_eq!(scene.state.outcome(&origin(2, 3, 1, 1).id), Seen::New);
}

#[test]
fn only_members_propose_and_who_is_forgotten_is_forgotten_whole() {
    let mut scene = Scene::of(3);
    let fail = Body::App(Change::NodeFail(NodeFail { id: id(1) }));
    assert_eq!(scene.body(Some(origin(5, 1, 1, 1)), fail.clone()), refused(Reason::ProposerNotMember));
    assert_eq!(scene.body(Some(origin(2, 1, 1, 1)), Body::App(join(5, false))), Outcome::Applied, "judged by its proposer");
    assert_eq!(scene.body(Some(origin(5, 1, 1, 1)), fail), Outcome::Applied);
    let own = scene.forget(5);
    assert_eq!(scene.body(Some(origin(5, 1, 2, 1)), Body::App(own)), Outcome::Applied);
    assert_eq!(scene.state.outcome(&origin(5, 1, 1, 1).id), Seen::NotMember);
    scene.do_(&join(5, false));
    assert_eq!(scene.state.outcome(&origin(5, 1, 1, 1).id), Seen::New);
}

#[test]
#[should_panic(expected = "entries are applied in order")]
fn an_index_is_never_skipped() {
    let mut scene = Scene::of(1);
    let next = scene.state.last_applied() + 2;
    scene.state.apply(next, &crate::raft::Entry { term: 1, origin: None, body: Body::Noop { lease: 1 } });
}
