//! The plan on its own: each rule by example, and from any start that it comes to rest where it should.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn id(n: usize) -> NodeId {
    NodeId::from_bytes([n as u8; 20])
}

/// Letters are zones, `-` is the empty one. Voters come first, the leader the first of them; `?` behind a zone says silent, `f` failed, `!`
/// forgetful. Behind the bar come the candidates. Ids count from 0, voters and candidates alike.
fn scene(text: &'static str, target: usize) -> Scene<'static> {
    let (voters, candidates) = text.split_once('|').expect("voters|candidates");
    let zone = |word: &'static str| if word.starts_with('-') { "" } else { &word[..1] };
    let health = |word: &str| match &word[1..] {
        "" => Health::Answers,
        "?" => Health::Silent,
        "f" => Health::Failed,
        _ => Health::Forgetful,
    };
    let voters: Vec<_> = voters.split_whitespace().collect();
    let first = voters.len();
    let voter = |(at, word): (usize, &&'static str)| Voter { id: id(at), zone: zone(word), health: health(word) };
    let candidate = |(at, word): (usize, &'static str)| Candidate { id: id(first + at), zone: zone(word) };
    Scene {
        me: id(0),
        voters: voters.iter().enumerate().map(voter).collect(),
        candidates: candidates.split_whitespace().enumerate().map(candidate).collect(),
        target,
        newest: None,
        asked: false,
    }
}

fn add(ids: &[usize]) -> Option<Step> {
    Some(Step::Add(ids.iter().copied().map(id).collect()))
}

fn remove(at: usize) -> Option<Step> {
    Some(Step::Remove(id(at)))
}

#[test]
fn growth_rests_on_odd_sizes_and_picks_the_emptiest_zone() {
    for (text, target, step) in [
        ("a | a", 3, None),
        ("a | a a", 3, add(&[1, 2])),
        ("a | a a b c", 3, add(&[3, 4])),
        ("a b c | a", 5, None),
        ("a b c | a d", 5, add(&[4])),
        ("a b c d | b e", 5, add(&[5])),
        ("a b c d |", 5, None),
        ("a b c | a d", 3, None),
        // A newcomer must not be needed at once: two of four are no majority.
        ("a b c? | d e", 5, None),
        ("a b c? d | e", 5, add(&[4])),
    ] {
        assert_eq!(scene(text, target).next(), step, "{text} toward {target}");
    }
}

#[test]
fn who_stays_failed_is_replaced_with_somebody_in_hand_only() {
    for (text, step) in [
        ("- - -? | -", None),
        ("- - -f |", None),
        ("- - -f | -", remove(2)),
        ("- -? -f | -", None),
        ("- - - -f -f | -", remove(4)),
        ("a b b af bf | c", remove(4)),
        ("a a b af bf | c", remove(3)),
        ("- - -! |", remove(2)),
    ] {
        assert_eq!(scene(text, 5.min(scene(text, 1).voters.len())).next(), step, "{text}");
    }
}

#[test]
fn one_too_many_leaves_but_neither_leader_nor_newcomer() {
    let newest = |text, target, newest: usize| Scene { newest: Some(id(newest)), ..scene(text, target) }.next();
    assert_eq!(scene("- - - - - |", 3).next(), remove(4));
    assert_eq!(scene("a b b c a? |", 3).next(), remove(4), "who does not answer goes first");
    assert_eq!(scene("a b b c d |", 3).next(), remove(2), "then where it is most crowded");
    assert_eq!(scene("- - -? -? |", 3).next(), remove(3));
    assert_eq!(scene("- -? -? -? - |", 3).next(), None, "the rest that answers would be no majority");
    assert_eq!(newest("- - - - |", 3, 3), remove(2));
    assert_eq!(newest("- - - -? |", 3, 3), remove(3), "not even the newest stays if it does not answer");
    assert_eq!(newest("- - |", 1, 1), remove(0), "the leader makes room for whom an operator has chosen");
    assert_eq!(Scene { asked: true, ..scene("- - - - - |", 3) }.next(), None);
}

#[test]
fn zones_are_evened_out_by_adding_first() {
    assert_eq!(scene("a a b | b", 3).next(), None);
    assert_eq!(scene("a a a | b b", 3).next(), add(&[3]));
    assert_eq!(scene("a a a b | b", 3).next(), remove(2));
    assert_eq!(scene("a a a? | b", 3).next(), None, "not while somebody is silent");
    assert_eq!(scene("- - - a b | c", 5).next(), add(&[5]), "who says nothing of its zone is in one with the others");
    assert_eq!(Scene { asked: true, ..scene("a a a | b b", 3) }.next(), None);
}

/// A member of the worlds below.
#[derive(Clone, Debug)]
struct Member {
    zone: &'static str,
    health: Health,
    eligible: bool,
    votes: bool,
}

#[derive(Clone, Debug)]
struct World {
    members: Vec<Member>,
    wanted: usize,
    me: usize,
    newest: Option<NodeId>,
}

impl World {
    fn scene(&self) -> Scene<'static> {
        let all = || self.members.iter().enumerate();
        let voters = all().filter(|(_, member)| member.votes);
        let candidates = all().filter(|(_, member)| !member.votes && member.eligible && member.health == Health::Answers);
        Scene {
            me: id(self.me),
            voters: voters.map(|(at, member)| Voter { id: id(at), zone: member.zone, health: member.health }).collect(),
            candidates: candidates.map(|(at, member)| Candidate { id: id(at), zone: member.zone }).collect(),
            target: self.wanted.min(all().filter(|(_, member)| member.eligible).count()).saturating_sub(1) | 1,
            newest: self.newest,
            asked: false,
        }
    }

    fn has_majority(&self) -> bool {
        let scene = self.scene();
        scene.carries(scene.voters.len())
    }

    fn take(&mut self, step: &Step) {
        match step {
            // The only other one takes over, and removes it then.
            Step::Remove(id) if *id == self::id(self.me) => {
                let successor = (0..self.members.len()).find(|at| *at != self.me && self.members[*at].votes);
                self.me = successor.expect("a leader hands over to somebody");
                assert_eq!((self.scene().voters.len(), self.members[self.me].health), (2, Health::Answers));
            }
            Step::Remove(id) => {
                let at = usize::from(id.as_bytes()[0]);
                assert!(std::mem::replace(&mut self.members[at].votes, false), "a voter is removed");
                self.newest = None;
            }
            Step::Add(ids) => {
                assert!(ids.len() == 1 || (ids.len() == 2 && self.scene().voters.len() == 1), "two only to a single one");
                for id in ids {
                    let at = usize::from(id.as_bytes()[0]);
                    assert!(!std::mem::replace(&mut self.members[at].votes, true), "who does not vote is added");
                }
                self.newest = Some(ids[0]).filter(|_| ids.len() == 1);
            }
        }
    }

    /// The sum of squares that the best spread of these voters and candidates would have.
    fn best_spread(&self) -> usize {
        let scene = self.scene();
        let mut room: BTreeMap<&str, usize> = BTreeMap::new();
        let zones = scene.voters.iter().map(|voter| voter.zone).chain(scene.candidates.iter().map(|candidate| candidate.zone));
        zones.for_each(|zone| *room.entry(zone).or_default() += 1);
        let mut taken: BTreeMap<&str, usize> = room.keys().map(|zone| (*zone, 0)).collect();
        for _ in 0..scene.voters.len() {
            let open = taken.iter_mut().filter(|(zone, count)| **count < room[*zone]);
            *open.min_by_key(|(_, count)| **count).expect("there is room for those who vote").1 += 1;
        }
        taken.values().map(|count| count * count).sum()
    }

    fn spread(&self) -> usize {
        let scene = self.scene();
        let zones: std::collections::BTreeSet<&str> = scene.voters.iter().map(|voter| voter.zone).collect();
        zones.into_iter().map(|zone| scene.crowd(zone).pow(2)).sum()
    }

    fn check_rest(&self) {
        let scene = self.scene();
        let size = scene.voters.len();
        let has = |health| scene.voters.iter().any(|voter| voter.health == health);
        assert!(!has(Health::Forgetful), "nobody votes who forgot what it had acknowledged");
        assert!(size <= scene.target, "nobody votes beyond the target");
        assert!(!has(Health::Failed) || scene.candidates.is_empty(), "a failed voter stays for want of a replacement only");
        if scene.voters.iter().all(|voter| voter.health == Health::Answers) {
            let missing = scene.target - size;
            assert!(missing == 0 || scene.candidates.len() < if size % 2 == 1 { 2 } else { 1 }, "it grows as long as it can");
            assert!(missing > 0 || self.spread() == self.best_spread(), "the zones are as even as they can be");
        }
    }
}

fn worlds() -> impl Strategy<Value = World> {
    let health =
        prop_oneof![6 => Just(Health::Answers), 1 => Just(Health::Silent), 1 => Just(Health::Failed), 1 => Just(Health::Forgetful)];
    let zone = prop_oneof![Just(""), Just("a"), Just("b"), Just("c"), Just("d")];
    let member = (zone, health, prop::bool::weighted(0.9), any::<bool>()).prop_map(|(zone, health, eligible, votes)| Member {
        zone,
        health,
        eligible,
        votes,
    });
    (prop::collection::vec(member, 1..12), 1usize..10, prop::option::of(0usize..12)).prop_map(|(mut members, wanted, newest)| {
        members[0] = Member { health: Health::Answers, eligible: true, votes: true, ..members[0].clone() };
        let newest = newest.filter(|at| members.get(*at).is_some_and(|member| member.votes)).map(id);
        World { members, wanted, me: 0, newest }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn from_any_start_it_comes_to_rest_where_it_should(mut world in worlds()) {
        prop_assume!(world.has_majority());
        let bound = 4 * world.members.len() + 4;
        let mut steps = Vec::new();
        while let Some(step) = world.scene().next() {
            world.take(&step);
            steps.push(step);
            assert!(world.has_majority(), "the voters that answer stay a majority: {steps:?}");
            assert!(steps.len() <= bound, "it comes to rest: {steps:?}");
        }
        world.check_rest();
    }
}
