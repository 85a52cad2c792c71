//! The bus's text by example, every frame there and back, and bytes that nobody should have sent.

mod strategies;

use super::*;
use crate::cluster::change::SlotChange;
use crate::cluster::{LeaderRequestKind, MAX_MEMBERS};
use crate::raft::message::{Append, AppendAck, InstallSnapshot, Vote, VoteRequest};
use crate::raft::{Body, Entry, Origin, ProposalId, Token};
use crate::types::{Extent, Slot, SlotRange};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn a() -> NodeId {
    NodeId::from_bytes([0xaa; 20])
}

fn framed(payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let length = (payload.len() + HEADER) as u32;
    [MAGIC, &length.to_be_bytes()[..], payload].concat()
}

fn encoded(frame: &Frame) -> Vec<u8> {
    let mut out = Vec::new();
    encode(frame, PROTOCOL_VERSION, &mut out).unwrap();
    out
}

/// The payload of `frame` is exactly `text`, and that reads as `frame`.
fn assert_text(frame: Frame, text: &str) {
    let bytes = encoded(&frame);
    assert_eq!(String::from_utf8_lossy(&bytes[HEADER..]), text);
    assert_eq!(bytes, framed(text));
    assert_eq!(decode(&bytes), Ok(Some((frame, bytes.len()))));
}

/// Why a frame with this payload is refused.
fn refusal(payload: impl AsRef<[u8]>) -> String {
    decode(&framed(payload)).expect_err("the payload is bad").to_string()
}

fn greeting() -> Greeting {
    let address = ":7101@17101".parse().unwrap();
    Greeting {
        id: a(),
        address,
        cluster: ClusterId::from_bytes([0xcc; 20]),
        version: PROTOCOL_VERSION,
        join_nonce: None,
        ancestors: Vec::new(),
        process: None,
    }
}

/// A change of two slots' owner, as a follower proposes it.
fn proposal() -> ClusterEntry {
    let range = |first, last| SlotRange::new(Slot::new(first).unwrap(), Slot::new(last).unwrap()).unwrap();
    let id = ProposalId { proposer: NodeId::from_bytes([0xbb; 20]), incarnation: 3, n: 9 };
    let change = Change::SlotChange(SlotChange { source: None, target: Some((a(), 5)), ranges: vec![range(0, 99), range(101, 101)] });
    Entry { term: 2, origin: Some(Origin { id, lowest: 8 }), body: Body::App(change) }
}

fn append(entries: Vec<ClusterEntry>) -> Append<Change> {
    let token = Token { nonce: u64::MAX, clock: 123 };
    Append { leader: a(), term: 4, prev_index: 10, prev_term: 3, quorum: 9, commit: 8, round: 77, token, lease: 5000, entries }
}

#[test]
fn greetings_and_meetings() {
    let cluster = "cccccccccccccccccccccccccccccccccccccccc";
    assert_text(Frame::Hello(greeting()), &format!("HELLO {A} :7101@17101 {cluster} 2 - -\n"));
    assert_text(Frame::Hi(greeting()), &format!("HI {A} :7101@17101 {cluster} 2 - -\n"));
    let recovered = Greeting {
        join_nonce: Some(7),
        ancestors: vec![ClusterId::from_bytes([1; 20]), ClusterId::from_bytes([2; 20])],
        process: Some(u64::MAX),
        ..greeting()
    };
    assert_text(
        Frame::Hello(recovered),
        &format!("HELLO {A} :7101@17101 {cluster} 2 7 {},{} 18446744073709551615\n", "01".repeat(20), "02".repeat(20)),
    );
    assert_text(Frame::Meet { singleton: true }, "MEET singleton\n");
    assert_text(Frame::Meet { singleton: false }, "MEET cluster\n");
    assert_text(Frame::AddMe { join_nonce: None }, "ADD_ME\n");
    assert_text(Frame::AddMe { join_nonce: Some(7) }, "ADD_ME 7\n");
    assert_text(Frame::Welcome, "WELCOME\n");
    assert_text(Frame::MeetRejected { reason: "both are in clusters".into() }, "MEET_REJECTED both are in clusters\n");
    assert_text(Frame::MeetRejected { reason: String::new() }, "MEET_REJECTED -\n");
    assert_text(Frame::Forgotten { last_term: 7, last_index: 9, join_nonce: None }, "FORGOTTEN 7 9 -\n");
}

#[test]
fn entries_and_their_acknowledgement() {
    let mut heartbeat = append(vec![]);
    heartbeat.token = Token::default();
    assert_text(Frame::Raft(Message::Append(heartbeat)), &format!("AE {A} 4 10 3 9 8 0 77 - - 5000\n"));

    let noop = Entry { term: 4, origin: None, body: Body::Noop { lease: 5000 } };
    let slots = format!("2 id={B}:3.9:8 SLOT_CHANGE - 0 {A} 5 0-99 101\n");
    let text = format!("AE {A} 4 10 3 9 8 2 77 18446744073709551615 123 5000\n{slots}4 NOOP 5000\n");
    assert_text(Frame::Raft(Message::Append(append(vec![proposal(), noop]))), &text);

    let ack = AppendAck {
        term: 4,
        ok: true,
        index: 12,
        last_index: 13,
        round: 77,
        extent: Extent { reign: 9, offset: 1 << 40 },
        token: Token { nonce: 5, clock: 6 },
    };
    assert_text(Frame::Raft(Message::AppendAck(ack)), "AE_ACK 4 1 12 13 77 9 1099511627776 5 6\n");
    let ack = AppendAck { ok: false, token: Token::default(), extent: Extent::default(), ..ack };
    assert_text(Frame::Raft(Message::AppendAck(ack)), "AE_ACK 4 0 12 13 77 0 0 - -\n");
}

#[test]
fn votes() {
    let request = VoteRequest { pre: true, candidate: a(), term: 5, last_index: 12, last_term: 4, round: 2, transfer: false };
    assert_text(Frame::Raft(Message::VoteRequest(request)), &format!("PRE_VOTE_REQ {A} 5 12 4 2\n"));
    let request = VoteRequest { pre: false, transfer: true, ..request };
    assert_text(Frame::Raft(Message::VoteRequest(request)), &format!("VOTE_REQ {A} 5 12 4 2 transfer\n"));
    let denial = Vote { pre: true, term: 5, granted: false, round: 2, ages: vec![] };
    assert_text(Frame::Raft(Message::Vote(denial.clone())), "PRE_VOTE 5 0 2 -\n");
    let ages = vec![(a(), 120), (NodeId::from_bytes([0xbb; 20]), 0)];
    assert_text(Frame::Raft(Message::Vote(Vote { pre: false, granted: true, ages, ..denial })), &format!("VOTE 5 1 2 {A}=120,{B}=0\n"));
    assert_text(Frame::Raft(Message::TimeoutNow { term: 5 }), "TIMEOUT_NOW 5\n");
    assert_text(Frame::TransferLeader { term: 5 }, "TRANSFER_LEADER 5\n");
}

#[test]
fn proposals_and_refusals() {
    let line = format!("2 id={B}:3.9:8 SLOT_CHANGE - 0 {A} 5 0-99 101\n");
    let reject = |reason| Frame::Reject { reason, entry: proposal() };
    assert_text(Frame::Propose(proposal()), &format!("PROPOSE\n{line}"));
    assert_text(reject(RejectReason::Conflict), &format!("REJECT conflict\n{line}"));
    assert_text(reject(RejectReason::Rejected(Some(Reason::UnknownNode))), &format!("REJECT rejected unknown-node\n{line}"));
    assert_text(reject(RejectReason::Rejected(None)), &format!("REJECT rejected\n{line}"));
    assert_text(reject(RejectReason::NotLeader), &format!("REJECT not-leader\n{line}"));
    assert_text(reject(RejectReason::Busy), &format!("REJECT busy\n{line}"));
    let request = LeaderRequest { kind: LeaderRequestKind::Forget, id: a(), join_nonce: Some(7) };
    assert_text(Frame::LeaderRequest(request), &format!("WISH FORGET {A} 7\n"));
    assert_text(
        Frame::LeaderRequest(LeaderRequest { kind: LeaderRequestKind::AddVoter, join_nonce: None, ..request }),
        &format!("WISH ADDVOTER {A} -\n"),
    );
    let refused = |reason| Frame::LeaderRequestRefused { reason, request: LeaderRequest { kind: LeaderRequestKind::DelVoter, ..request } };
    assert_text(refused(RejectReason::Rejected(Some(Reason::LastVoter))), &format!("WISH_REFUSED DELVOTER {A} 7 rejected last-voter\n"));
    assert_text(refused(RejectReason::NotLeader), &format!("WISH_REFUSED DELVOTER {A} 7 not-leader\n"));
    let newer = framed(format!("REJECT rejected moon-phase\n{line}"));
    assert_eq!(decode(&newer), Ok(Some((reject(RejectReason::Rejected(None)), newer.len()))));
}

#[test]
fn deaths_and_failovers() {
    assert_text(Frame::Probe { id: a(), number: 7 }, &format!("PROBE {A} 7\n"));
    let probed = |finding| Frame::Probed { id: a(), number: 7, finding };
    let findings = [
        (Finding::Dead(Some(Ended { process: u64::MAX, age: 5, of_stream: true })), "dead 18446744073709551615 5 stream", "dead"),
        (Finding::Dead(Some(Ended { process: 1, age: 0, of_stream: false })), "dead 1 0 link", "dead"),
        (Finding::Dead(None), "dead", "dead"),
        (Finding::Alive, "alive", "unknown"),
        (Finding::Unknown, "unknown", "unknown"),
    ];
    for (finding, text, to_an_old_peer) in findings {
        assert_text(probed(finding), &format!("PROBED {A} 7 {text}\n"));
        let mut old = Vec::new();
        encode(&probed(finding), OLDEST_VERSION, &mut old).unwrap();
        assert_eq!(old, framed(format!("PROBED {A} 7 {to_an_old_peer}\n")));
    }
    assert_eq!(encoded(&Frame::Closing), CLOSING);
    assert_text(Frame::Closing, "CLOSING\n");
    assert!(encode(&Frame::Closing, OLDEST_VERSION, &mut Vec::new()).is_err(), "an old peer does not know it");
    assert_text(Frame::FailoverPrepare { pause: 5000, number: 3 }, "FAILOVER_PREPARE 5000 3\n");
    assert_text(Frame::FailoverOffset { end: Extent { reign: 9, offset: 123 }, number: 3 }, "FAILOVER_OFFSET 9 123 3\n");
    assert_text(Frame::FailoverDone { has: Extent { reign: 9, offset: 123 } }, "FAILOVER_DONE 9 123\n");
    assert_text(Frame::ReplOffsets(Vec::new()), "REPL_OFFSETS\n");
    assert_text(Frame::ClockOff { slow: true, millionths: 100_000 }, "CLOCK_OFF slow 100000\n");
    assert_text(Frame::ReplOffsets(vec![(a(), 9), (NodeId::from_bytes([0xbb; 20]), 0)]), &format!("REPL_OFFSETS {A} 9 {B} 0\n"));
    assert_eq!(refusal(format!("PROBED {A} 7 asleep\n")), "malformed PROBED: finding");
    assert_eq!(refusal(format!("PROBED {A} 7 dead 0 5\n")), "malformed PROBED: process");
    assert_eq!(refusal(format!("PROBED {A} 7 dead 9\n")), "malformed PROBED: age");
    assert_eq!(refusal(format!("PROBED {A} 7 dead 9 5 wire\n")), "malformed PROBED: connection");
    assert_eq!(refusal(format!("REPL_OFFSETS {A}\n")), "malformed REPL_OFFSETS: offset");
    assert_eq!(refusal(format!("REPL_OFFSETS {}\n", vec![format!("{A} 1"); 4097].join(" "))), "malformed REPL_OFFSETS: too many members");
}

#[test]
fn a_snapshot_is_raw_text_under_a_checksum() {
    let snapshot = |bytes: &[u8]| {
        let bytes = bytes.to_vec();
        Frame::Raft(Message::InstallSnapshot(InstallSnapshot { leader: a(), term: 4, last_index: 20, last_term: 3, round: 7, bytes }))
    };
    assert_text(snapshot(b"123456789"), &format!("INSTALL_SNAPSHOT {A} 4 20 3 7 9 cbf43926\n123456789"));
    assert_text(snapshot(b"two\nlines\n\n"), &format!("INSTALL_SNAPSHOT {A} 4 20 3 7 11 26693d42\ntwo\nlines\n\n"));
    assert_eq!(refusal(format!("INSTALL_SNAPSHOT {A} 4 20 3 7 9 cbf43926\n123456780")), "INSTALL_SNAPSHOT with a wrong checksum");
    for (length, sum, field) in [(8, "cbf43926", "bytes"), (10, "cbf43926", "bytes"), (9, "CBF43926", "crc32"), (9, "+bf43926", "crc32")] {
        let text = refusal(format!("INSTALL_SNAPSHOT {A} 4 20 3 7 {length} {sum}\n123456789"));
        assert_eq!(text, format!("malformed INSTALL_SNAPSHOT: {field}"));
    }
}

#[test]
fn a_message_is_raw_bytes_of_two_lengths() {
    let publish =
        |sharded, channel: &[u8], message: &[u8]| Frame::Publish { sharded, channel: channel.to_vec(), message: message.to_vec() };
    assert_text(publish(false, b"news", b"hello"), "PUBLISH 0 4 5\nnewshello");
    assert_text(publish(true, b"two\nlines", b""), "PUBLISH 1 9 0\ntwo\nlines");
    assert_text(publish(false, b"", b""), "PUBLISH 0 0 0\n");
    let bytes = encoded(&publish(false, b"\xff\0", b"\r\n\xfe"));
    assert_eq!(decode(&bytes), Ok(Some((publish(false, b"\xff\0", b"\r\n\xfe"), bytes.len()))));
    let largest = i64::MAX;
    for lengths in ["4 4", "4 6", "9 1", "0 0", &format!("{largest} {largest}"), &format!("{largest} 9")] {
        assert_eq!(refusal(format!("PUBLISH 0 {lengths}\nnewshello")), "malformed PUBLISH: lengths", "{lengths}");
    }
    assert_eq!(refusal("PUBLISH 0 9223372036854775808 0\n"), "malformed PUBLISH: channel length");
    assert_eq!(refusal("PUBLISH 0 4 -1\nnews"), "malformed PUBLISH: message length");
    assert_eq!(refusal("PUBLISH yes 4 5\nnewshello"), "malformed PUBLISH: sharded");
    let mut out = b"before".to_vec();
    let too_long = encode_publish(false, b"news", &vec![0; MAX_FRAME], &mut out);
    assert!(too_long.is_err_and(|error| error.length > MAX_FRAME));
    assert_eq!(out, b"before");
}

#[test]
fn a_newer_binary_may_send_more_fields_and_the_last_line_may_lack_its_end() {
    let same = |long: &str, short: &str| {
        let (long, short) = (decode(&framed(long)).unwrap().unwrap().0, decode(&framed(short)).unwrap().unwrap().0);
        assert_eq!(long, short);
    };
    same("VOTE 5 1 2 - new x\n", "VOTE 5 1 2 -");
    same("AE_ACK 4 1 12 13 77 9 0 5 6 new\n", "AE_ACK 4 1 12 13 77 9 0 5 6\n");
    same(&format!("AE {A} 4 10 3 9 8 1 77 - - 500 new\n4 NOOP 1"), &format!("AE {A} 4 10 3 9 8 1 77 - - 500\n4 NOOP 1\n"));
    same(&format!("PROPOSE new\n4 NODE_FAIL {A}"), &format!("PROPOSE\n4 NODE_FAIL {A}\n"));
    same("WELCOME home\n", "WELCOME");
}

#[test]
fn malformed_messages_name_what_is_wrong() {
    let ae = |count: &str, lines: &str| format!("AE {A} 4 10 3 9 8 {count} 77 - - 500\n{lines}");
    let cases = [
        (String::new(), "unknown message "),
        ("\n".into(), "unknown message "),
        ("hello".into(), "unknown message hello"),
        (" HELLO".into(), "unknown message "),
        (format!("{}\n", "\u{1b}".repeat(100)), &format!("unknown message {}", "\\u{1b}".repeat(32))),
        ("HELLO".into(), "malformed HELLO: id"),
        (format!("HELLO {A} 1.2.3.4:1@2 {A} 4294967296\n"), "malformed HELLO: protocol version"),
        (format!("HELLO {A}  1.2.3.4:1@2 {A} 1\n"), "malformed HELLO: address"),
        (format!("HELLO {A} 1.2.3.4:1@2 {A} 1 - x\n"), "malformed HELLO: ancestors"),
        (format!("HELLO {A} 1.2.3.4:1@2 {A} 1 - {}\n", vec![A; 17].join(",")), "malformed HELLO: ancestors"),
        (format!("HELLO {A} 1.2.3.4:1@2 {A} 1 x -\n"), "malformed HELLO: join nonce"),
        (format!("HELLO {A} 1.2.3.4:1@2 {A} 1 - -\nmore"), "malformed HELLO: more lines than the message has"),
        ("MEET both\n".into(), "malformed MEET: formation"),
        ("MEET_REJECTED\n".into(), "malformed MEET_REJECTED: reason"),
        (format!("MEET_REJECTED {}\n", "x".repeat(MAX_REASON + 1)), "malformed MEET_REJECTED: reason"),
        ("MEET_REJECTED a\tb\n".into(), "malformed MEET_REJECTED: reason"),
        ("VOTE 05 1 2\n".into(), "malformed VOTE: term"),
        ("VOTE 9223372036854775808 1 2\n".into(), "malformed VOTE: term"),
        ("VOTE 5 2 2 -\n".into(), "malformed VOTE: granted"),
        ("VOTE 5 1 2\n".into(), "malformed VOTE: ages"),
        (format!("VOTE 5 1 2 {A}=7,\n"), "malformed VOTE: ages"),
        (format!("VOTE 5 1 2 {A}=07\n"), "malformed VOTE: ages"),
        (format!("VOTE 5 1 2 {A}=1{}\n", format!(",{A}=1").repeat(MAX_MEMBERS)), "malformed VOTE: ages"),
        ("AE_ACK 4 true 12 13 77 9 0 - -\n".into(), "malformed AE_ACK: ok"),
        ("AE_ACK 4 1 12 13 77 9 0 0 6\n".into(), "malformed AE_ACK: nonce"),
        ("AE_ACK 4 1 12 13 77 9 0 - 6\n".into(), "malformed AE_ACK: clock"),
        ("AE_ACK 4 1 12 13 77 9 0 5 -\n".into(), "malformed AE_ACK: clock"),
        (ae("1", ""), "malformed AE: term"),
        (ae("2", "4 NOOP 1\n"), "malformed AE: term"),
        (ae("1", "4 NOOP 1\n4 NOOP 1\n"), "malformed AE: more entries than announced"),
        (ae("0", "\n"), "malformed AE: more entries than announced"),
        (ae("8193", ""), "malformed AE: count"),
        (ae("2", "4 NEW_KIND 1\nnonsense\n"), "malformed AE: term"),
        ("PROPOSE\n".into(), "malformed PROPOSE: term"),
        (format!("PROPOSE\n4 NODE_FAIL {A}\n4 NODE_FAIL {A}\n"), "malformed PROPOSE: id"),
        (format!("REJECT perhaps\n4 NODE_FAIL {A}\n"), "malformed REJECT: reason"),
    ];
    for (payload, text) in cases {
        assert_eq!(refusal(&payload), text, "{payload:?}");
    }
    assert_eq!(refusal(b"HELLO \xff\n"), "a message that is not text");
    assert_eq!(refusal(b"PROPOSE\n\xff\n"), "malformed PROPOSE: not text");
}

#[test]
fn an_unknown_entry_says_whom_to_answer() {
    let payload = format!("AE {A} 4 10 3 9 8 3 77 - - 500\n4 NOOP 1\n4 NEW_KIND x y\n4 NEWER_KIND\n");
    let append = Some(RefusedAppend { leader: a(), term: 4, prev_index: 10, round: 77 });
    let used = payload.len() + HEADER;
    assert_eq!(decode(&framed(&payload)), Err(FrameError::UnknownEntry { kind: "NEW_KIND".into(), append, used }));
    let payload = "PROPOSE\n4 NEW_KIND x y\n";
    let used = payload.len() + HEADER;
    assert_eq!(decode(&framed(payload)), Err(FrameError::UnknownEntry { kind: "NEW_KIND".into(), append: None, used }));
}

#[test]
fn a_bad_header_is_refused_before_the_frame_is_there() {
    for bytes in [&b"G"[..], b"GET / HTTP/1.1", b"RAFx", b"RA\0", b"*1\r\n$4\r\nPING\r\n"] {
        assert_eq!(decode(bytes), Err(FrameError::Magic));
    }
    for length in [0, 7, MAX_FRAME as u32 + 1, u32::MAX] {
        assert_eq!(decode(&[&MAGIC[..], &length.to_be_bytes()].concat()), Err(FrameError::Length(length)));
    }
    for length in [9, MAX_FRAME as u32] {
        assert_eq!(decode(&[&MAGIC[..], &length.to_be_bytes()].concat()), Ok(None));
    }
}

#[test]
fn what_a_node_sends_is_always_something_that_others_take() {
    let reason = "é\n".repeat(MAX_REASON);
    let bytes = encoded(&Frame::MeetRejected { reason });
    assert_eq!(decode(&bytes), Ok(Some((Frame::MeetRejected { reason: "?".repeat(MAX_REASON) }, bytes.len()))));

    let snapshot = |bytes| InstallSnapshot { leader: a(), term: 4, last_index: 20, last_term: 3, round: 7, bytes };
    let mut out = b"before".to_vec();
    let too_long = encode(&Frame::Raft(Message::InstallSnapshot(snapshot(vec![0; MAX_FRAME]))), 1, &mut out);
    assert!(matches!(too_long, Err(Unsendable::TooLong(FrameTooLong { length })) if length > MAX_FRAME));
    assert_eq!(out, b"before");
}

proptest! {
    #[test]
    fn every_frame_comes_back(frame in strategies::frame(), before: Vec<u8>, after: Vec<u8>) {
        let mut bytes = before.clone();
        encode(&frame, PROTOCOL_VERSION, &mut bytes).unwrap();
        let length = bytes.len() - before.len();
        bytes.extend_from_slice(&after);
        prop_assert!(bytes.starts_with(&before));
        prop_assert_eq!(decode(&bytes[before.len()..]), Ok(Some((frame, length))));
    }

    #[test]
    fn a_part_of_a_frame_is_no_frame_yet(frame in strategies::frame()) {
        let bytes = encoded(&frame);
        for length in 0..bytes.len() {
            prop_assert_eq!(decode(&bytes[..length]), Ok(None));
        }
    }

    #[test]
    fn a_changed_frame_is_refused_or_reads_as_what_it_says(
        frame in strategies::frame(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut payload = encoded(&frame)[HEADER..].to_vec();
        changes.iter().for_each(|(at, byte)| *at.get_mut(&mut payload) = *byte);
        if let Ok(Some((read, used))) = decode(&framed(&payload)) {
            prop_assert_eq!(used, payload.len() + HEADER);
            let bytes = encoded(&read);
            prop_assert_eq!(decode(&bytes), Ok(Some((read, bytes.len()))));
        }
    }

    #[test]
    fn any_bytes_never_panic(bytes: Vec<u8>, payload: Vec<u8>, text in "([A-Z_]{2,16})?( [-0-9a-z:@.=]{0,40}){0,9}\n?( ?[-0-9A-Z_:.=]{0,12}\n?){0,9}") {
        let _ = decode(&bytes);
        let _ = decode(&framed(payload));
        let _ = decode(&framed(text));
    }
}

/// A newer one would wait for ever for members that know it.
#[test]
fn every_type_of_entry_is_known_to_this_version() {
    for (name, samples) in Change::samples_by_type() {
        let since = samples.new_tree(&mut TestRunner::deterministic()).unwrap().current().since();
        assert!((OLDEST_VERSION..=PROTOCOL_VERSION).contains(&since), "{name} since {since}: raise PROTOCOL_VERSION");
    }
}
