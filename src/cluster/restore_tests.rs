//! Which texts are refused as snapshots, and with what reason.

use super::scene::{Scene, id, origin};
use super::*;
use crate::cluster::change::{NodeFail, NodeJoin, NodeRecover, SlotChange};
use crate::raft::Body;

fn scene() -> Scene {
    let mut scene = Scene::of(4);
    scene.do_(&scene.replica_of(2, 0));
    scene.do_(&Change::NodeFail(NodeFail { id: id(1) }));
    scene.body(None, Body::AddVoter { ids: vec![id(1), id(2)] });
    scene.body(None, Body::DelVoter { id: id(2), by_hand: true });
    scene.body(Some(origin(0, 3, 7, 6)), Body::App(Change::NodeRecover(NodeRecover { id: id(9) })));
    scene
}

fn own(n: u8) -> Own {
    Own { me: id(n), incarnation: 5, term: 9, voted_for: None }
}

fn file() -> String {
    let mut text = String::new();
    scene().state.write_snapshot(Some(&own(0)), &mut text);
    text
}

fn reason(text: &str) -> String {
    parse_snapshot(text, true).expect_err("must be refused").reason
}

#[test]
fn a_file_reads_as_in_the_documents() {
    let text = file();
    let lines: Vec<_> = text.lines().collect();
    let shard = super::scene::shard(0);
    assert_eq!(lines[0], format!("{} 127.0.0.1:7000@17000,,shard-id={shard} myself,master - 0 0 7 connected 0-99", id(0)));
    assert_eq!(lines[2], format!("{} 127.0.0.1:7002@17002,,shard-id={shard} slave {} 0 0 7 connected", id(2), id(0)));
    let cluster = scene().state.cluster_id();
    let (voters, demoted) = (format!("{},{}", id(0), id(1)), id(2));
    assert_eq!(
        lines[4],
        format!(
            "vars cluster {cluster} incarnation 5 currentTerm 9 votedFor - lastApplied 11 snapshotTerm 1 maxLease 0 voters {voters} demoted {demoted}"
        )
    );
    assert_eq!(lines[5], format!("proposer {} 3 6 7:unknown-node", id(0)));
    assert_eq!(parse_snapshot(&text, true), Ok((scene().state, Some(own(0)))));
}

#[test]
fn who_is_no_member_has_a_line_too() {
    for state in [State::empty(scene().state.cluster_id()), State::founding(scene().state.cluster_id(), id(8)), scene().state] {
        let mut text = String::new();
        state.write_snapshot(Some(&own(8)), &mut text);
        assert!(text.contains(&format!("{} :0@0 myself,handshake - 0 0 0 disconnected\n", id(8))));
        assert_eq!(parse_snapshot(&text, true), Ok((state, Some(own(8)))));
    }
}

#[test]
fn damage_is_named() {
    let text = file();
    let lines: Vec<_> = text.lines().collect();
    let with = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        reason(&text.replacen(from, to, 1))
    };
    assert_eq!(reason(""), "the last line has no end");
    assert_eq!(reason(text.trim_end()), "the last line has no end");
    assert_eq!(reason(&text.replace('\n', "\r\n")), "bad or missing field: slot range");
    assert_eq!(with("myself,", ""), "no line says `myself`");
    assert_eq!(with(" master -", " myself,master -"), "a second line says `myself`");
    assert_eq!(with("myself,master", "myself,master,master"), "the flag master stands twice");
    assert_eq!(with("myself,master", "myself,loud"), "an unknown flag");
    assert_eq!(with("myself,master", "myself"), "not exactly one of master, slave and handshake");
    assert_eq!(with("myself,master -", "myself,slave -"), "a slave names its primary, a master `-`");
    assert_eq!(reason(&format!("{}\n{text}", lines[1])), "slot 100 has two owners");
    assert_eq!(reason(&format!("{}\n{text}", lines[3])), "the member has two lines");
    assert_eq!(with(" 100-199", " 99-199"), "slot 99 has two owners");
    assert_eq!(with(" 0-99", " 0-99 99"), "bad or missing field: slot range");
    assert_eq!(with(" 0-99", " 0-16384"), "bad or missing field: slot range");
    assert_eq!(with("slave 0", &format!("slave {}0", "7".repeat(2))), "bad or missing field: primary");
    assert_eq!(with(&format!("slave {}", id(0)), &format!("slave {}", id(7))), "whom a replica replicates is a member");
    assert_eq!(with(&format!("slave {}", id(0)), &format!("slave {}", id(1))), "a replica is in its primary's shard");
    assert_eq!(with(&format!("slave {}", id(0)), &format!("slave {}", id(2))), "whom a replica replicates is a primary");
    assert_eq!(with(" 0 0 7 connected\n", " 0 0 8 connected\n"), "two members of a shard have different epochs");
    assert_eq!(with(" 0 0 2 ", " 0 0 200 "), "an epoch is the index of an applied entry");
    assert_eq!(with(" 0 0 2 ", " 0 1 2 "), "ping-sent and pong-received are always 0");
    assert_eq!(with(" connected 0-99", " perhaps 0-99"), "the link state is neither connected nor disconnected");
    assert_eq!(with(",,shard-id=", ",,shard-ie="), "the address has no shard-id");
    assert_eq!(
        with("myself,master - 0 0 7 connected 0-99", "myself,handshake - 0 0 7 disconnected"),
        "only a `myself` without primary, epoch and slots can be in handshake"
    );
}

#[test]
fn damaged_vars_and_proposers_are_named() {
    let text = file();
    let with = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        reason(&text.replacen(from, to, 1))
    };
    let vars = text.lines().nth(4).unwrap();
    let proposer = text.lines().nth(5).unwrap();
    assert_eq!(with(&format!("{vars}\n{proposer}\n"), ""), "no vars line");
    assert_eq!(reason(&format!("{text}{vars}\n")), "a second vars line");
    assert_eq!(reason(&format!("{text}{proposer}\n")), "the proposer has two lines");
    assert_eq!(reason(&format!("{proposer}\n{text}")), "a proposer line before the vars line");
    assert_eq!(reason(&format!("{text}nonsense\n")), "a line of no known kind after the vars line");
    assert_eq!(with(" maxLease", " futureKey 1 maxLease"), "unknown vars key \"futureKey\"");
    assert_eq!(with(" maxLease 0", ""), "vars has no maxLease");
    assert_eq!(with(" maxLease 0", " maxLease 0 maxLease 0"), "the key maxLease stands twice");
    assert_eq!(with(" maxLease 0", " maxLease 00"), "bad or missing field: maxLease");
    assert_eq!(with(" maxLease 0", " maxLease 9223372036854775808"), "bad or missing field: maxLease");
    assert_eq!(with(" incarnation 5", ""), "incarnation, currentTerm and votedFor stand together or not at all");
    assert_eq!(with(&format!("voters {},", id(0)), &format!("voters {},", id(1))), "an id stands twice in a list of ids");
    assert_eq!(with(&format!("voters {},{}", id(0), id(1)), "voters -"), "once an entry is applied there is a voter");
    assert_eq!(with(&format!("demoted {}", id(2)), &format!("demoted {}", id(0))), "who was demoted is a member and no voter");
    assert_eq!(with(&format!("proposer {}", id(0)), &format!("proposer {}", id(7))), "only members have a table of proposals");
    assert_eq!(with(" 7:unknown-node", " 5:unknown-node"), "outcomes below the low mark are gone");
    assert_eq!(with(" 7:unknown-node", " 7:applied 7:applied"), "outcomes are out of order or too many");
    assert_eq!(with(" 7:unknown-node", " 7:perhaps"), "an unknown outcome");
}

#[test]
fn the_bus_and_the_file_are_told_apart() {
    let (mut bus, file) = (String::new(), file());
    scene().state.write_snapshot(None, &mut bus);
    assert_eq!(parse_snapshot(&bus, false), Ok((scene().state, None)));
    assert_eq!(parse_snapshot(&bus, true).unwrap_err().reason, "no line says `myself`");
    assert_eq!(parse_snapshot(&file, false).unwrap_err().reason, "a snapshot from the bus says `myself`");
    assert_eq!(parse_snapshot(&bus.replace(" connected ", " perhaps "), false).unwrap_err().line, 1);
}

#[test]
fn the_largest_clusters_state_reads_back() {
    let state = large();
    let mut text = String::new();
    state.write_snapshot(None, &mut text);
    let (restored, _) = parse_snapshot(&text, false).unwrap();
    assert_eq!((restored.hash(), restored.check()), (state.hash(), ()));
}

/// 1000 members, every slot owned, neighbours by different nodes.
fn large() -> State {
    let mut rng = crate::rng::Rng::new(1);
    let members: Vec<_> = (0..1000).map(|_| (rng.node_id(), rng.shard_id())).collect();
    let mut state = State::founding(rng.cluster_id(), members[0].0);
    let mut apply = |body| state.apply(state.last_applied() + 1, &crate::raft::Entry { term: 1, origin: None, body });
    for (at, (id, shard)) in members.iter().enumerate() {
        let mut address: Address = "10.0.0.1:7000@17000".parse().unwrap();
        address.set_shard_id(*shard);
        assert_eq!(apply(Body::App(Change::NodeJoin(NodeJoin { id: *id, address, voter: at == 0 }))), Outcome::Applied);
    }
    for (at, (id, _)) in members.iter().enumerate() {
        let ranges = crate::types::Slot::all().filter(|slot| slot.index() % 1000 == at).map(Into::into).collect();
        let change = Change::SlotChange(SlotChange { source: None, target: Some((*id, at as u64 + 1)), ranges });
        assert_eq!(apply(Body::App(change)), Outcome::Applied);
    }
    state
}
