//! Frames that anybody may have sent: whatever is accepted of them, the node goes on, and what it has written loads again.

use crate::node::Port;
use crate::node::net::Net;
use crate::types::NodeId;
use crate::wire::bus;
use proptest::prelude::*;

const STRANGER: NodeId = NodeId::from_bytes([9; 20]);
/// What stands at a field's end, or is plausible beside a node's own numbers or just not.
const EDGES: [u64; 14] = [
    0,
    1,
    8191,
    3_600_000,
    3_600_001,
    1 << 24,
    (1 << 40) - 1,
    1 << 40,
    1 << 41,
    1 << 42,
    (1 << 61) + 1,
    (1 << 62) - 1,
    1 << 62,
    (1 << 63) - 1,
];

/// A frame that a node is sent, by what stands in it besides its own numbers.
#[derive(Clone, Debug)]
enum Word {
    /// An entry at the log's end, in the next term.
    Append {
        entry: String,
        edges: [u64; 4],
    },
    Snapshot {
        last_index: u64,
        last_term: u64,
        max_lease: u64,
    },
    VoteRequest {
        edges: [u64; 4],
        transfer: bool,
    },
    Forgotten(u64),
    Pause(u64),
}

fn edge() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), 0..100u64, prop::sample::select(&EDGES[..])]
}

fn entry() -> impl Strategy<Value = String> {
    let keys: String = (0..16).map(|key| format!(",k{key}=v")).collect();
    let id = STRANGER;
    prop_oneof![
        edge().prop_map(|lease| format!("NOOP {lease}")),
        Just("DEL_VOTER ME".to_owned()),
        Just(format!("ADD_VOTER {id}")),
        Just(format!("DEL_VOTER {id}")),
        Just(format!("NODE_JOIN {id} 10.0.0.9:7009@17009,,shard-id={} learner", "7".repeat(40))),
        (edge(), edge()).prop_map(|(incarnation, n)| format!("id=ME:{incarnation}.{n}:{n} NODE_INFO ME 10.0.0.1:7000@17000 noflags")),
        Just(format!("NODE_INFO ME 10.0.0.1:7000@17000,h{keys} noflags")),
        edge().prop_map(|epoch| format!("SLOT_CHANGE - 0 ME {epoch} 0-100")),
        edge().prop_map(move |epoch| format!("NODE_FORGET {id} {epoch}")),
        Just("NODE_FAIL ME".to_owned()),
    ]
}

fn word() -> impl Strategy<Value = Word> {
    let four = || [edge(), edge(), edge(), edge()];
    prop_oneof![
        4 => (entry(), four()).prop_map(|(entry, edges)| Word::Append { entry, edges }),
        2 => (edge(), edge(), edge()).prop_map(|(last_index, last_term, max_lease)| Word::Snapshot { last_index, last_term, max_lease }),
        1 => (four(), any::<bool>()).prop_map(|(edges, transfer)| Word::VoteRequest { edges, transfer }),
        1 => edge().prop_map(Word::Forgotten),
        1 => edge().prop_map(Word::Pause),
    ]
}

impl Net {
    /// A frame's text, made to fit where the node is.
    fn frame(&self, word: &Word) -> String {
        let node = &self.nodes[0];
        let (term, last) = (node.metadata.raft.term(), (node.metadata.raft.log().last_index(), node.metadata.raft.log().last_term()));
        match word {
            Word::Append { entry, edges: [quorum, commit, round, lease] } => {
                let entry = entry.replace("ME", &node.metadata.me.to_string());
                let (next, (index, last_term)) = (term + 1, last);
                // Mostly what is sent is committed too.
                let commit = if *commit == 0 { index + 1 } else { *commit };
                format!("AE {STRANGER} {next} {index} {last_term} {quorum} {commit} 1 {round} - - {lease}\n{next} {entry}\n")
            }
            Word::Snapshot { last_index, last_term, max_lease } => self.snapshot((last.0 + last_index, *last_term, *max_lease)),
            Word::VoteRequest { edges: [more, last_index, last_term, round], transfer } => {
                let (term, transfer) = (term.saturating_add(*more), if *transfer { " transfer" } else { "" });
                format!("VOTE_REQ {STRANGER} {term} {last_index} {last_term} {round}{transfer}")
            }
            Word::Forgotten(number) => format!("FORGOTTEN {number} {number} -"),
            Word::Pause(pause) => format!("FAILOVER_PREPARE {pause} 1"),
        }
    }

    /// The node's own state with these numbers, from a leader of the next term.
    fn snapshot(&self, (last_index, last_term, max_lease): (u64, u64, u64)) -> String {
        let (node, mut text) = (&self.nodes[0], String::new());
        node.metadata.state.write_snapshot(None, &mut text);
        let own = format!(
            " lastApplied {} snapshotTerm {} maxLease {} ",
            node.metadata.state.last_applied(),
            node.metadata.state.last_term(),
            node.metadata.state.max_lease()
        );
        let text = text.replace(&own, &format!(" lastApplied {last_index} snapshotTerm {last_term} maxLease {max_lease} "));
        let (term, crc) = (node.metadata.raft.term() + 1, crc32fast::hash(text.as_bytes()));
        format!("INSTALL_SNAPSHOT {STRANGER} {term} {last_index} {last_term} 1 {} {crc:08x}\n{text}", text.len())
    }

    fn hear_word(&mut self, word: &Word) {
        let frame = self.frame(word);
        self.hear(0, STRANGER, &[&frame]);
        self.step();
        self.step();
    }

    fn founded() -> Self {
        let mut net = Self::of(1);
        net.until("it to lead", |net| net.nodes[0].metadata.raft.is_leader() && net.nodes[0].metadata.state.last_applied() > 1);
        net
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_always_loads(words in prop::collection::vec(word(), 1..12)) {
        let mut net = Net::founded();
        for word in &words {
            net.hear_word(word);
        }
        net.kill(0);
        net.start(0);
        net.step();
        let (last, term) = (net.nodes[0].metadata.raft.log().last_index(), net.nodes[0].metadata.raft.log().last_term());
        prop_assert!(last < 1 << 43 && term < 1 << 62, "{last} {term}");
    }
}

#[test]
fn a_snapshot_from_the_end_of_all_numbers_is_not_installed() {
    let mut net = Net::founded();
    let before = net.nodes[0].metadata.state.last_applied();
    for index in [(1 << 63) - 1, (1 << 42) + 1, 1 << 42, 1 << 40, before + (1 << 32)] {
        net.hear_word(&Word::Snapshot { last_index: index - before, last_term: 1, max_lease: 0 });
        assert_eq!(net.nodes[0].metadata.state.last_applied(), before, "{index}");
    }
    for lease in [3_600_001, (1 << 63) - 1] {
        net.hear_word(&Word::Snapshot { last_index: 5, last_term: 1, max_lease: lease });
        assert_eq!(net.nodes[0].metadata.state.last_applied(), before);
    }
    net.hear_word(&Word::Snapshot { last_index: 5, last_term: 1, max_lease: 3_600_000 });
    assert_eq!((net.nodes[0].metadata.state.last_applied(), net.nodes[0].metadata.state.max_lease()), (before + 5, 3_600_000));
}

#[test]
fn a_lease_of_more_than_an_hour_does_not_stay_as_the_largest() {
    let mut net = Net::founded();
    for lease in [3_600_001, (1 << 63) - 1] {
        net.hear_word(&Word::Append { entry: format!("NOOP {lease}"), edges: [0, 0, 1, 5000] });
        net.hear_word(&Word::Append { entry: "NOOP 5000".to_owned(), edges: [0, 0, 1, lease] });
    }
    assert_eq!(net.nodes[0].metadata.state.max_lease(), net.nodes[0].metadata.raft.settings().lease);
    net.hear_word(&Word::Append { entry: "NOOP 3600000".to_owned(), edges: [0, 0, 1, 5000] });
    assert_eq!(net.nodes[0].metadata.state.max_lease(), 3_600_000);
}

/// Within the bound, frame by frame, as far as indices go: who has come there can still bring its state to others.
#[test]
fn who_has_taken_snapshots_step_by_step_is_understood() {
    let mut net = Net::founded();
    let mut index = net.nodes[0].metadata.state.last_applied();
    for more in [1 << 31, (1 << 32) - 1, (1 << 32) - 1] {
        net.hear_word(&Word::Snapshot { last_index: more, last_term: 1, max_lease: 0 });
        index += more;
        assert_eq!(net.nodes[0].metadata.state.last_applied(), index);
    }
    let reads = |index: u64| {
        let text = format!("INSTALL_SNAPSHOT {STRANGER} 1 {index} 1 1 0 00000000");
        let frame = [b"RAFT", &(text.len() as u32 + 8).to_be_bytes()[..], text.as_bytes()].concat();
        bus::decode(&frame).is_ok()
    };
    assert!(reads(1 << 42) && !reads((1 << 42) + 1), "as far as AE reaches");
}

#[test]
fn nobody_leads_in_term_0() {
    let mut net = Net::founded();
    let before = (net.nodes[0].metadata.raft.term(), net.nodes[0].metadata.raft.leader());
    net.hear(0, STRANGER, &[&format!("AE {STRANGER} 0 0 0 0 0 0 1 - - 1000")]);
    net.step();
    assert_eq!((net.nodes[0].metadata.raft.term(), net.nodes[0].metadata.raft.leader()), before);
}

/// Each frame is within the bound beside the receiver's own term; between the receivers nothing is.
#[test]
fn voters_that_were_led_far_apart_come_together() {
    let mut net = Net::with_members(4);
    net.until("three voters", |net| net.nodes.iter().all(|node| node.metadata.raft.voters().len() == 3));
    let leader = net.nodes.iter().position(|node| node.metadata.raft.is_leader()).unwrap();
    let term = net.nodes[leader].metadata.raft.term();
    let voters =
        (0..4).filter(|at| *at != leader && net.nodes[*at].metadata.raft.is_voter(&net.nodes[*at].metadata.me)).collect::<Vec<_>>();
    for (at, steps) in voters.into_iter().zip([2, 4]) {
        let frames: Vec<String> = (1..=steps).map(|n: u64| format!("AE {STRANGER} {} 0 0 0 0 0 1 - - 1000", term + (n << 24))).collect();
        net.hear(at, STRANGER, &frames.iter().map(String::as_str).collect::<Vec<_>>());
        net.step();
        assert!(net.nodes[at].metadata.raft.term() >= term + (steps << 24));
    }
    net.until("all to follow one leader", |net| {
        let leader = net.nodes[0].metadata.raft.leader();
        leader.is_some()
            && net.nodes.iter().all(|node| node.metadata.raft.leader() == leader && node.metadata.raft.term() > term + (4 << 24))
    });
    net.until("a change to be taken", |net| {
        net.nodes.iter().all(|node| node.metadata.raft.commit_index() == node.metadata.raft.log().last_index())
    });
}

/// Its nonce stands in HI. The cluster comes after it, where there is room, and it comes into the cluster.
#[test]
fn a_joiner_that_a_stranger_has_led_comes_in_all_the_same() {
    let mut net = Net::of(2);
    net.until("clusters of one", |net| net.nodes.iter().all(|node| node.metadata.state.member_count() == 1));
    let (cluster, joiner) = (net.nodes[0].metadata.state.cluster_id(), net.nodes[1].metadata.me);
    let _ = net.say(0, "CLUSTER MEET 10.0.0.1 7001");
    net.until("it to step down", |net| net.nodes[1].metadata.state.cluster_id() == cluster);
    net.hold(0, 1, Port::Bus);
    for term in [(1u64 << 62) - 1, 1 << 61, (1 << 61) - 1] {
        net.hear(1, STRANGER, &[&format!("AE {STRANGER} {term} 0 0 0 0 0 1 - - 1000")]);
        net.step();
    }
    let led = net.nodes[1].metadata.raft.term();
    assert!(((1 << 61) - 1..1 << 62).contains(&led), "{led}");
    net.release(0, 1, Port::Bus);
    net.until("it to be a member", |net| {
        net.nodes[1].metadata.state.member(&joiner).is_some() && net.nodes[0].metadata.state.member_count() == 2
    });
    assert!(net.nodes[0].metadata.raft.term() >= led && net.nodes[0].metadata.raft.term() < led + (1 << 25));
}

/// It is closed on, and nothing else.
#[test]
fn a_snapshot_that_cannot_be_installed_deposes_nobody() {
    let mut net = Net::with_members(3);
    net.until("three voters", |net| net.nodes.iter().all(|node| node.metadata.raft.voters().len() == 3));
    let (term, leader) = (net.nodes[0].metadata.raft.term(), net.nodes[0].metadata.raft.leader());
    let long_lease = net.snapshot((1000, 1, 3_600_001));
    let no_state = format!("INSTALL_SNAPSHOT {STRANGER} {} 1000 1 1 1 {:08x}\n\n", term + 1, crc32fast::hash(b"\n"));
    let another_index = net.snapshot((1000, 1, 5000)).replacen(" 1000 ", " 1001 ", 1);
    for frame in [long_lease, no_state, another_index] {
        for at in 0..3 {
            net.hear(at, STRANGER, &[&frame]);
            net.step();
            let raft = &net.nodes[at].metadata.raft;
            assert_eq!((raft.term(), raft.leader()), (term, leader), "{at}: {frame}");
        }
    }
}
