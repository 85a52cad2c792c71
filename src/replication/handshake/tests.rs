//! A primary's side is played by bytes, cut anywhere.

use super::*;
use proptest::prelude::*;

const ID: &str = "0123456789abcdef0123456789abcdef01234567";
const OTHER: &str = "fedcba9876543210fedcba9876543210fedcba98";
const MARK_TEXT: &str = "a1b2c3d4e5f6a7b8c9d0a1b2c3d4e5f6a7b8c9d0";

fn plain() -> Introduction<'static> {
    let (cluster, primary) = (ClusterId::from_bytes([0xcc; 20]), NodeId::from_bytes([0xaa; 20]));
    Introduction {
        user: b"",
        password: b"",
        cluster,
        primary,
        port: 7000,
        ip: "",
        version: "7.2.4",
        me: NodeId::from_bytes([0xbb; 20]),
        process: u64::MAX,
    }
}

/// How it says whom it means, and who it is.
fn identity() -> String {
    let (cluster, primary, me) = ("cc".repeat(20), "aa".repeat(20), "bb".repeat(20));
    format!("REPLCONF cluster-id {cluster} primary-id {primary} | REPLCONF node-id {me} process {}", u64::MAX)
}

fn id(text: &str) -> ReplId {
    text.parse().unwrap()
}

/// What was heard, in words; pieces of the RDB are put together.
#[derive(Default, PartialEq, Debug)]
struct Told {
    events: Vec<String>,
    rdb: Vec<u8>,
    /// Bytes that are the stream's.
    stream: Vec<u8>,
    said: String,
}

/// Plays these bytes to a replica, in pieces of these lengths (again and again).
fn play(introduction: &Introduction<'_>, have: Option<(ReplId, u64)>, bytes: &[u8], pieces: &[usize]) -> Result<Told, Refusal> {
    let (mut told, mut out, mut buffer, mut at) = (Told::default(), Vec::new(), Vec::new(), 0);
    let mut handshake = Handshake::begin(introduction, have, &mut out);
    let mut lengths = pieces.iter().cycle();
    while at < bytes.len() {
        let length = lengths.next().map_or(1, |length| (*length).clamp(1, bytes.len() - at));
        buffer.extend_from_slice(&bytes[at..at + length]);
        at += length;
        let mut used = 0;
        while let Some(heard) = handshake.next(&buffer, &mut used, &mut out)? {
            match heard {
                Heard::FullResync { id, offset } => told.events.push(format!("full {id} {offset}")),
                Heard::Rdb(piece) => {
                    assert!(!piece.is_empty());
                    told.rdb.extend_from_slice(piece);
                }
                Heard::RdbEnd => told.events.push("end".to_owned()),
                Heard::Continue { id } => told.events.push(format!("continue {id}")),
            }
        }
        buffer.drain(..used);
    }
    told.stream = buffer;
    let words = out.split(|byte| *byte == b'\n').map(|line| String::from_utf8_lossy(line).trim().to_owned());
    let words: Vec<String> = words.filter(|line| !line.starts_with('$') && !line.is_empty()).collect();
    told.said = words.join(" ").replace("*1", "|").replace("*2", "|").replace("*3", "|").replace("*5", "|");
    Ok(told)
}

#[test]
fn it_introduces_itself_and_asks_for_everything() {
    let told = play(&plain(), None, b"+PONG\r\n+OK 9\r\n+OK 7\r\n+OK\r\n+OK\r\n+OK\r\n", &[1]).unwrap();
    let identity = identity();
    let said =
        format!("| PING | {identity} | REPLCONF listening-port 7000 | REPLCONF capa eof capa psync2 | REPLCONF version 7.2.4 | PSYNC ? -1");
    assert_eq!((told.said, told.events.len()), (said, 0));
    let known = Introduction { user: b"u", password: b"p", ip: "10.0.0.1", ..plain() };
    let told = play(
        &known,
        Some((id(ID), 41)),
        b"-NOAUTH Authentication required.\r\n+OK\r\n+OK 9\r\n+OK 7\r\n+OK\r\n+OK\r\n+OK\r\n-ERR Unrecognized\r\n",
        &[64],
    );
    let said = format!(
        "| PING | AUTH u p | {identity} | REPLCONF listening-port 7000 | REPLCONF ip-address 10.0.0.1 | REPLCONF capa eof capa psync2 | REPLCONF version 7.2.4 | PSYNC {ID} 42"
    );
    assert_eq!(told.unwrap().said, said);
    assert!(play(&Introduction { password: b"p", ..plain() }, None, b"+PONG\r\n", &[9]).unwrap().said.contains("| AUTH p |"));
}

#[test]
fn an_rdb_comes_with_its_length_or_with_a_mark_behind_it() {
    let start = format!("+PONG\r\n+OK 9\r\n+OK 7\r\n+OK\r\n+OK\r\n+OK\r\n\n+FULLRESYNC {ID} 77\r\n\n\n");
    let counted = format!("{start}$5\r\nREDISstream");
    let marked = format!("{start}$EOF:{MARK_TEXT}\r\nREDIS{MARK_TEXT}stream");
    for bytes in [counted, marked] {
        let told = play(&plain(), None, bytes.as_bytes(), &[1]).unwrap();
        assert_eq!(told.events, [format!("full {ID} 77"), "end".to_owned()]);
        assert_eq!((&told.rdb[..], &told.stream[..]), (&b"REDIS"[..], &b"stream"[..]));
        assert_eq!(play(&plain(), None, bytes.as_bytes(), &[1000]).unwrap(), told);
    }
    let empty = format!("{start}$0\r\nstream");
    assert_eq!(play(&plain(), None, empty.as_bytes(), &[1000]).unwrap().events.len(), 2);
}

#[test]
fn the_stream_may_go_on_under_the_same_id_or_another() {
    let start = "+PONG\r\n+OK 9\r\n+OK 7\r\n+OK\r\n+OK\r\n+OK\r\n";
    let have = Some((id(ID), 5));
    let told = play(&plain(), have, format!("{start}+CONTINUE\r\n*1\r\n").as_bytes(), &[3]).unwrap();
    assert_eq!((told.events, &told.stream[..]), (vec![format!("continue {ID}")], &b"*1\r\n"[..]));
    let told = play(&plain(), have, format!("{start}+CONTINUE {OTHER}\r\n").as_bytes(), &[3]).unwrap();
    assert_eq!(told.events, [format!("continue {OTHER}")]);
}

#[test]
fn what_is_no_answer_ends_it() {
    let start = "+PONG\r\n+OK 9\r\n+OK 7\r\n+OK\r\n+OK\r\n+OK\r\n";
    let have = Some((id(ID), 5));
    let refused = |bytes: &str| play(&plain(), have, format!("{start}{bytes}").as_bytes(), &[7]).unwrap_err();
    assert_eq!(refused("-LOADING later\r\n").to_string(), "the primary answers PSYNC with -LOADING later");
    for bytes in [
        "+OK\r\n".to_owned(),
        "+CONTINUE 12\r\n".to_owned(),
        format!("+CONTINUE {ID} 7\r\n"),
        format!("+FULLRESYNC {ID}\r\n"),
        format!("+FULLRESYNC {ID} -1\r\n"),
        format!("+FULLRESYNC {ID} 99999999999999999999\r\n"),
        format!("+FULLRESYNC {ID} 7\r\n$-1\r\n"),
        format!("+FULLRESYNC {ID} 7\r\n$EOF:abc\r\n"),
        format!("+FULLRESYNC {ID} 7\r\nREDIS0010\r\n"),
    ] {
        assert!(matches!(refused(&bytes), Refusal::Misplaced { request: "PSYNC", .. }), "{bytes}");
    }
    assert!(matches!(refused(&format!("+FULLRESYNC {ID} 7\r\n-ERR no\r\n")), Refusal::Denied { .. }));
    assert_eq!(refused(&"+".repeat(MAX_LINE + 1)), Refusal::LongLine);
    let asked_for_all = play(&plain(), None, format!("{start}+CONTINUE {ID}\r\n").as_bytes(), &[7]);
    assert!(matches!(asked_for_all, Err(Refusal::Misplaced { .. })), "there is nothing to go on with");
    assert!(matches!(play(&plain(), None, b"-ERR no\r\n", &[7]), Err(Refusal::Denied { request: "PING", .. })));
    let secret = Introduction { password: b"p", ..plain() };
    assert!(matches!(play(&secret, None, b"+PONG\r\n-WRONGPASS no\r\n", &[7]), Err(Refusal::Denied { request: "AUTH", .. })));
}

#[test]
fn a_primary_that_is_not_who_was_meant_is_asked_for_nothing() {
    for answer in
        ["-ERR This is not the primary that is meant: it is node 1", "-ERR Unrecognized REPLCONF option: cluster-id", "-NOAUTH no"]
    {
        let error = play(&plain(), Some((id(ID), 5)), format!("+PONG\r\n{answer}\r\n").as_bytes(), &[7]).unwrap_err();
        assert_eq!(error.to_string(), format!("the primary answers REPLCONF with {answer}"));
    }
    let misplaced = play(&plain(), None, b"+PONG\r\n+OK\r\n", &[7]).unwrap_err();
    assert!(matches!(misplaced, Refusal::Misplaced { request: "REPLCONF", .. }));
    let secret = Introduction { password: b"p", ..plain() };
    let denied = play(&secret, None, b"-NOAUTH\r\n+OK\r\n-ERR no\r\n", &[7]);
    assert!(matches!(denied, Err(Refusal::Denied { request: "REPLCONF", .. })));
}

#[test]
fn a_primary_of_an_older_version_does_not_say_which_process_it_is() {
    for (answer, process) in [("+OK 7", Some(7)), ("-ERR Unrecognized REPLCONF option: node-id", None), ("+OK", None), ("+OK 0", None)] {
        let (mut used, mut out) = (0, Vec::new());
        let mut handshake = Handshake::begin(&plain(), None, &mut out);
        let bytes = format!("+PONG\r\n+OK 9\r\n{answer}\r\n+OK\r\n+OK\r\n+OK\r\n");
        assert_eq!(handshake.next(bytes.as_bytes(), &mut used, &mut out), Ok(None));
        assert_eq!((handshake.process(), handshake.reign()), (process, 9));
        assert!(String::from_utf8_lossy(&out).contains("PSYNC"), "it goes on all the same");
    }
}

#[test]
fn an_acknowledgement_is_a_request() {
    let mut out = Vec::new();
    acknowledgement(18, &mut out);
    assert_eq!(out, b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$2\r\n18\r\n");
}

proptest! {
    #[test]
    fn wherever_the_bytes_are_cut_the_same_is_heard(
        rdb in prop::collection::vec(prop::sample::select(b"a1b2c3d4e5f6\0".to_vec()), 0..400),
        stream in prop::collection::vec(any::<u8>(), 0..60),
        pieces in prop::collection::vec(1usize..90, 1..8),
        marked in any::<bool>(),
    ) {
        let form = if marked { format!("EOF:{MARK_TEXT}") } else { rdb.len().to_string() };
        let mut bytes = format!("+PONG\r\n+OK 9\r\n+OK 7\r\n+OK\r\n+OK\r\n+OK\r\n+FULLRESYNC {ID} 1\r\n${form}\r\n").into_bytes();
        bytes.extend_from_slice(&rdb);
        if marked {
            bytes.extend_from_slice(MARK_TEXT.as_bytes());
        }
        bytes.extend_from_slice(&stream);
        let told = play(&plain(), None, &bytes, &pieces).unwrap();
        prop_assert_eq!(told.rdb, rdb);
        prop_assert_eq!(told.stream, stream);
        prop_assert_eq!(told.events.len(), 2);
    }

    #[test]
    fn any_bytes_are_heard_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), pieces in prop::collection::vec(1usize..90, 1..4)) {
        let _ = play(&plain(), None, &bytes, &pieces);
        let mut after = b"+PONG\r\n+OK 9\r\n+OK 7\r\n+OK\r\n+OK\r\n+OK\r\n".to_vec();
        after.extend_from_slice(&bytes);
        let _ = play(&plain(), Some((id(ID), 1)), &after, &pieces);
    }
}
