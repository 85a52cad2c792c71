//! Test: every number of [`numbers::ALL`], wherever it is read. Its least and its greatest value are taken, one more is not.

use super::handshake::{Handshake, Introduction};
use super::rdb::Loader;
use crate::cluster::{Address, parse_entry, parse_snapshot};
use crate::keyspace::Keyspace;
use crate::store::nodes_conf;
use crate::types::numbers::{self, Field};
use crate::types::{ClusterId, NodeId};
use crate::wire::bus;

const ID: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// Whether a text is taken. Numbers stand in it as `{name}`, ids as `ID`.
type Reader = fn(&str) -> bool;

const FRAMES: &[&str] = &[
    "HELLO ID :7000@17000 ID {protocol version} {join nonce} -",
    "AE ID {term} {prev-index} {prev-term} {quorum} {commit} 0 {round} 5 {clock} {lease}",
    "AE_ACK {term} 1 {index} {last-index} {round} {reign} {offset} 5 {clock}",
    "VOTE_REQ ID {term} {last-index} {last-term} {round}",
    "VOTE {term} 1 {round} ID={age}",
    "FORGOTTEN {last-term} {last-index} {join nonce}",
    "ADD_ME {join nonce}",
    "WISH FORGET ID {join nonce}",
    "TIMEOUT_NOW {term}",
    "PROBE ID {number}",
    "FAILOVER_PREPARE {pause} {number}",
    "FAILOVER_OFFSET {reign} {offset} {number}",
    "FAILOVER_DONE {reign} {offset}",
    "CLOCK_OFF slow {millionths}",
    "REPL_OFFSETS ID {offset}",
    "INSTALL_SNAPSHOT ID {term} {last-index [of a snapshot]} {last-term} {round} 0 00000000",
];

const ENTRIES: &[&str] = &[
    "{term [of an entry]} NOOP {lease [of an entry]}",
    "1 NODE_FORGET ID {epoch}",
    "1 SLOT_CHANGE ID {source epoch} ID {target epoch} {slot range}",
    "1 id=ID:{incarnation [of a proposal]}.{number [of a proposal]}:0 NODE_FAIL ID",
    "1 NODE_INFO ID h:{port}@{port} noflags",
];

const NODE: &str = "ID h:1@2,,shard-id=ID myself,master - 0 0 1 connected\n";
const SNAPSHOTS: &[&str] = &[
    "ID h:1@2,,shard-id=ID myself,master - 0 0 {epoch [of a shard]} connected\n\
     vars cluster ID incarnation {incarnation} currentTerm {currentTerm} votedFor - lastApplied 8796093022207 snapshotTerm {snapshotTerm} \
     maxLease {maxLease} voters ID demoted -\n",
    "LINEvars cluster ID incarnation 1 currentTerm 1 votedFor - lastApplied {lastApplied} snapshotTerm 1 maxLease 1 voters ID demoted -\n\
     proposer ID {incarnation [of a proposer]} 0 {number [of an outcome]}:applied\n",
    "LINEvars cluster ID incarnation 1 currentTerm 1 votedFor - lastApplied 1 snapshotTerm 1 maxLease 1 voters ID demoted -\n\
     proposer ID 1 {lowest}\n",
];

const FILES: &[&str] = &["VARS joiner cluster ID shard ID nonce {join nonce} sponsor ID at 10.0.0.1:1@2 fallbackTerm {fallbackTerm}\n\
     fallback LINEBvars cluster ID lastApplied 1 snapshotTerm 1 maxLease 1 voters ID demoted -\n"];

fn is_frame(text: &str) -> bool {
    let bytes = [b"RAFT", &(text.len() as u32 + 8).to_be_bytes()[..], text.as_bytes()].concat();
    bus::decode(&bytes).is_ok_and(|frame| frame.is_some())
}

fn is_entry(text: &str) -> bool {
    parse_entry(text).is_ok()
}

fn is_snapshot(text: &str) -> bool {
    parse_snapshot(text, true).is_ok()
}

/// The snapshot part of a file, as given, with a tail that ends where it does.
fn is_file(text: &str) -> bool {
    nodes_conf::read(file(text, "1", "").as_bytes()).is_ok()
}

fn crc(content: &str) -> String {
    format!("{:08x}", crc32fast::hash(content.as_bytes()))
}

fn file(snapshot: &str, synced: &str, log: &str) -> String {
    let entry = if log.is_empty() { String::new() } else { format!("log {} {log}\n", crc(log)) };
    format!("{snapshot}crc {}\n{entry}synced {} {synced}\n", crc(snapshot), crc(synced))
}

/// A file whose state ends at this index.
fn file_at(index: u64, synced: u64, log: &str) -> bool {
    let vars = format!(
        "vars cluster ID incarnation 1 currentTerm 1 votedFor - lastApplied {index} snapshotTerm 1 maxLease 1 voters ID demoted -\n"
    );
    let text = format!("{NODE}{vars}").replace("ID", ID);
    nodes_conf::read(file(&text, &synced.to_string(), log).as_bytes()).is_ok()
}

fn is_handshake(reign: u64, offset: u64, length: u64) -> bool {
    let (cluster, primary) = (ClusterId::from_bytes([1; 20]), NodeId::from_bytes([2; 20]));
    let introduction = Introduction { user: b"", password: b"", cluster, primary, port: 1, ip: "", version: "7", me: primary, process: 5 };
    let mut handshake = Handshake::begin(&introduction, None, &mut Vec::new());
    let text = format!("+PONG\r\n+OK {reign}\r\n+OK 7\r\n+OK\r\n+OK\r\n+OK\r\n+FULLRESYNC {ID} {offset}\r\n${length}\r\n");
    let (mut used, mut out) = (0, Vec::new());
    while used < text.len() {
        if handshake.next(text.as_bytes(), &mut used, &mut out).is_err() {
            return false;
        }
    }
    true
}

/// Whether its history is taken.
fn is_rdb_offset(offset: u64) -> bool {
    let string = |text: &str| [&[text.len() as u8][..], text.as_bytes()].concat();
    let aux = |name: &str, value: &str| [&b"\xfa"[..], &string(name), &string(value)].concat();
    let bytes = [&b"REDIS0010"[..], &aux("repl-id", ID), &aux("repl-offset", &offset.to_string()), b"\xff", &[0; 8]].concat();
    let mut loader = Loader::new(Keyspace::new(2));
    assert_eq!(loader.feed(&bytes), Ok(bytes.len()));
    let loaded = loader.finish().unwrap();
    assert_ne!(loaded.replication.is_some(), loaded.beyond, "what is not taken is said");
    loaded.replication.is_some()
}

/// Whether a string of this length may still come.
fn is_rdb_string(length: u64) -> bool {
    Loader::new(Keyspace::new(2)).feed(&[&b"REDIS0010\x00\x81"[..], &length.to_be_bytes()].concat()).is_ok()
}

/// What is not a matter of one number in one line.
fn special(field: &Field) -> Option<fn(u64) -> bool> {
    Some(match *field {
        numbers::COUNT => |count| is_frame(&format!("AE {ID} 1 0 0 0 0 {count} 1 - - 5\n{}", "1 NOOP 5\n".repeat(count as usize))),
        numbers::REPLICA_PRIORITY => |priority| {
            let address: Address = format!("h:1@2,,replica-priority={priority}").parse().unwrap();
            u64::from(address.replica_priority()) == priority
        },
        numbers::PROTOCOL_VERSION => |version| {
            let address: Address = format!("h:1@2,,protocol-version={version}").parse().unwrap();
            u64::from(address.protocol_version()) == version
        },
        numbers::LOG_INDEX => |index| file_at(index.saturating_sub(1).max(1), index.max(2), &format!("{} 1 NOOP 5", index.max(2))),
        numbers::SYNCED_INDEX => |index| file_at(index.max(1), index.max(1), ""),
        numbers::PRIMARY_REIGN => |reign| is_handshake(reign, 1, 1),
        numbers::FULLRESYNC_OFFSET => |offset| is_handshake(1, offset, 1),
        numbers::RDB_LENGTH => |length| is_handshake(1, 1, length),
        numbers::RDB_OFFSET => is_rdb_offset,
        numbers::RDB_STRING => is_rdb_string,
        _ => return None,
    })
}

/// The template with this field's value; all other numbers are 1.
fn fill(template: &str, field: &Field, value: u64) -> Option<String> {
    let place = format!("{{{}}}", field.name);
    if !template.contains(&place) {
        return None;
    }
    let fallback = NODE.replace("myself,", "");
    let vars = format!(
        "{NODE}vars cluster ID incarnation 1 currentTerm 1 votedFor - lastApplied 1 snapshotTerm 1 maxLease 1 voters ID demoted -\n"
    );
    let text = template.replace(&place, &value.to_string());
    let text = text.replace("VARS ", &vars).replace("LINEB", &format!("{fallback}fallback ")).replace("LINE", NODE).replace("ID", ID);
    Some(numbers::ALL.iter().fold(text, |text, other| text.replace(&format!("{{{}}}", other.name), "1")))
}

/// Those for which 0 is nothing, or contradicts what stands beside it.
const FROM_ONE: [Field; 4] = [numbers::SHARD_EPOCH, numbers::LAST_APPLIED, numbers::CURRENT_TERM, numbers::FALLBACK_TERM];

/// Lengths of what follows in the same frame, to the byte: the frame's own bound comes first.
const LENGTHS: [Field; 3] = [numbers::BYTES, numbers::CHANNEL_LENGTH, numbers::MESSAGE_LENGTH];

#[test]
fn least_and_greatest_are_taken_and_one_more_is_not() {
    let samples: [(&[&str], Reader); 4] = [(FRAMES, is_frame), (ENTRIES, is_entry), (SNAPSHOTS, is_snapshot), (FILES, is_file)];
    for field in numbers::ALL.iter().filter(|field| !LENGTHS.contains(field)) {
        let least = u64::from(FROM_ONE.contains(field));
        let values = [(least, true), (field.greatest, true), (field.greatest + 1, false)];
        let mut seen = 0;
        for (templates, reader) in samples {
            for template in templates {
                for (value, taken) in values {
                    let Some(text) = fill(template, field, value) else { continue };
                    assert_eq!(reader(&text), taken, "{field:?}: {text}");
                    seen += 1;
                }
            }
        }
        if let Some(reads) = special(field) {
            for (value, taken) in values {
                assert_eq!(reads(value), taken, "{field:?}: {value}");
                seen += 1;
            }
        }
        assert!(seen > 0, "nothing reads {field:?}");
        assert_eq!(numbers::ALL.iter().filter(|other| other.name == field.name).count(), 1, "{field:?}");
    }
}

#[test]
fn lengths_are_those_of_what_follows() {
    assert!(is_frame("PUBLISH 0 1 2\nabc") && is_frame("PUBLISH 1 0 0"));
    for beyond in [1, numbers::MAX_FRAME, numbers::MAX_FRAME + 1, u64::MAX] {
        assert!(!is_frame(&format!("PUBLISH 0 {beyond} 3\nabc")) && !is_frame(&format!("PUBLISH 0 3 {beyond}\nabc")), "{beyond}");
        assert!(!is_frame(&format!("INSTALL_SNAPSHOT {ID} 1 1 1 1 {beyond} 00000000")), "{beyond}");
    }
}
