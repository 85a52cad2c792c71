//! The text of nodes.conf, both ways. Pure.
//!
//! Owns: the whole file: snapshot part, crc line, tail; the strictness of reading. Must not: touch a disk, or repair anything.
//! Contract: docs/nodes-conf.md.

use super::error::{Damage, Problem};
use super::record::parse_crc;
use super::standing::Standing;
use super::tail::{self, Tail, write_entries, write_synced};
use crate::cluster::{Change, Own, State, parse_snapshot};
use crate::raft::{HardState, Log};
use crate::types::NodeId;
use crate::types::numbers::INCARNATION;
use std::fmt::Write;

/// What a node is at one moment, as far as it must survive.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    /// Whose file it is.
    pub me: NodeId,
    /// The node's count of loads, this one included.
    pub incarnation: u64,
    /// Term and vote; the term is at least that of every entry.
    pub hard: HardState,
    /// The state as of its `last_applied`.
    pub state: &'a State,
    /// The log; what it holds up to `last_applied` is left out, and nothing after that is missing.
    pub log: &'a Log<Change>,
    /// How the node stands to the state's cluster.
    pub standing: &'a Standing,
}

/// A file as read, nothing raised or changed yet.
#[derive(Clone, PartialEq, Debug)]
pub struct Contents {
    /// Whose file it is, its incarnation, term and vote.
    pub own: Own,
    /// The state as of `lastApplied`.
    pub state: State,
    /// How the node stands to the state's cluster.
    pub standing: Standing,
    /// The tail.
    pub tail: Tail,
    /// How many bytes the snapshot part has, the crc line not counted.
    pub snapshot_bytes: usize,
    /// The snapshot's checksum.
    pub crc: u32,
}

/// The whole file.
pub fn write(image: &Image<'_>) -> String {
    let applied = image.state.last_applied();
    assert!(
        image.log.snapshot_index() <= applied && applied <= image.log.last_index(),
        "no entry is missing between the state and the log"
    );
    assert!(image.log.last_term() <= image.hard.term, "no entry is of a term above the current one");
    let mut out = String::new();
    let own = Own { me: image.me, incarnation: image.incarnation, term: image.hard.term, voted_for: image.hard.voted_for };
    image.state.write_snapshot(Some(&own), &mut out);
    image.standing.write(&mut out);
    let crc = crc32fast::hash(out.as_bytes());
    // Writing to a String never fails.
    let _ = writeln!(out, "crc {crc:08x}");
    write_entries(image.log, applied, &mut out);
    write_synced(image.log.last_index(), &mut out);
    out
}

/// Reads a file: any bytes give what a node wrote, or what is wrong with them.
pub fn read(bytes: &[u8]) -> Result<Contents, Damage> {
    if bytes.is_empty() {
        return Err(Damage { line: 1, offset: 0, problem: Problem::Empty });
    }
    let section = snapshot_section(bytes)?;
    let (own, state, standing) = read_snapshot(&bytes[..section.end])?;
    let crc_line = section.lines + 1;
    let at_crc = |problem| Damage { line: crc_line, offset: section.end, problem };
    let (term, current) = (state.last_term(), own.term);
    if term > current {
        return Err(at_crc(Problem::TermAboveCurrent { term, current }));
    }
    if state.last_applied() == 0 && term > 0 {
        return Err(at_crc(Problem::Snapshot("a snapshotTerm before the first entry".to_owned())));
    }
    if own.incarnation >= INCARNATION.greatest {
        return Err(at_crc(Problem::IncarnationSpent));
    }
    let log = Log::new(state.last_applied(), state.last_term());
    let tail = tail::read(bytes, section.end + CRC_LINE_BYTES, crc_line + 1, log, own.term)?;
    Ok(Contents { own, state, standing, tail, snapshot_bytes: section.end, crc: section.crc })
}

/// `crc `, 8 digits, line end.
const CRC_LINE_BYTES: usize = 4 + 8 + 1;

/// The snapshot part under a good checksum.
struct Section {
    end: usize,
    lines: usize,
    crc: u32,
}

/// Finds the crc line, the first that begins with `crc `, and checks it. Nothing above it is looked at before: whatever changed there is
/// found by the checksum.
fn snapshot_section(bytes: &[u8]) -> Result<Section, Damage> {
    let no_crc = || Damage { line: line_count(bytes).max(1), offset: bytes.len(), problem: Problem::NoCrc };
    let end = if bytes.starts_with(b"crc ") {
        0
    } else {
        bytes.windows(5).position(|window| window == b"\ncrc ").map(|at| at + 1).ok_or_else(no_crc)?
    };
    let lines = line_count(&bytes[..end]);
    let at_crc = |problem| Damage { line: lines + 1, offset: end, problem };
    let line = bytes[end..].get(..CRC_LINE_BYTES).ok_or_else(|| at_crc(Problem::BadCrcLine))?;
    let stored = line.strip_suffix(b"\n").and_then(|line| parse_crc(&line[4..])).ok_or_else(|| at_crc(Problem::BadCrcLine))?;
    let computed = crc32fast::hash(&bytes[..end]);
    if computed != stored {
        return Err(at_crc(Problem::CrcMismatch { computed, stored }));
    }
    Ok(Section { end, lines, crc: computed })
}

fn line_count(bytes: &[u8]) -> usize {
    bytes.split_inclusive(|byte| *byte == b'\n').count()
}

/// Reads the snapshot part: the state's lines, then the standing's.
fn read_snapshot(bytes: &[u8]) -> Result<(Own, State, Standing), Damage> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = line_count(&bytes[..error.valid_up_to()]).max(1);
        Damage { line, offset: error.valid_up_to(), problem: Problem::Snapshot("not text".to_owned()) }
    })?;
    let state_lines = text.split_inclusive('\n').take_while(|line| !Standing::owns_line(line));
    let (count, length) = state_lines.fold((0, 0), |(count, length), line| (count + 1, length + line.len()));
    let (state_text, standing_text) = text.split_at(length);
    let at = |place: usize, reason: String| {
        let offset = text.split_inclusive('\n').take(place).map(str::len).sum();
        Damage { line: place + 1, offset, problem: Problem::Snapshot(reason) }
    };
    let no_myself = || Damage { line: 1, offset: 0, problem: Problem::NoMyself };
    if !state_text.lines().any(says_myself) {
        return Err(no_myself());
    }
    let (mut state, own) = parse_snapshot(state_text, true).map_err(|error| at(error.line.saturating_sub(1), error.reason))?;
    state.cap_lease();
    let standing = Standing::read(standing_text).map_err(|(place, reason)| at(count + place, reason))?;
    let own = own.ok_or_else(no_myself)?;
    Ok((own, state, standing))
}

/// Whether `myself` is among the flags of a node line. Asked before the state is read, since what to do about it differs from all else.
fn says_myself(line: &str) -> bool {
    line.split(' ').nth(2).is_some_and(|flags| flags.split(',').any(|flag| flag == "myself"))
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Scene, sealed};
    use super::*;
    use crate::store::{Fallback, Joiner, Sponsor};
    use crate::types::{ClusterId, NodeId, ShardId, Slot, SlotRange};

    fn problem(text: &str) -> Problem {
        read(text.as_bytes()).expect_err("it must be refused").problem
    }

    fn record(word: &str, content: &str) -> String {
        let mut out = String::new();
        super::super::record::write(word, content, &mut out);
        out
    }

    #[test]
    fn a_file_reads_back_whatever_the_standing() {
        let mut scene = Scene::founded();
        scene.append("SLOT_CHANGE - 0 - 0 3");
        scene.state.apply(1, &scene.log.get(1).unwrap().clone());
        let slots = |first, last| SlotRange::new(Slot::new(first).unwrap(), Slot::new(last).unwrap()).unwrap();
        let claims = vec![slots(0, 5), slots(7, 7)];
        let way_back = Fallback { state: scene.state.clone(), term: 3 };
        let joiner = |fallback| {
            let sponsor = Sponsor { id: NodeId::from_bytes([3; 20]), address: "10.0.0.1:7000@17000,host,a=b".parse().unwrap() };
            let (cluster, shard) = (ClusterId::from_bytes([1; 20]), ShardId::from_bytes([2; 20]));
            Standing::Joiner(Box::new(Joiner { cluster, shard, nonce: Some(9), sponsor, claims: claims.clone(), fallback }))
        };
        for standing in [Standing::Member, Standing::Claiming(claims.clone()), joiner(None), joiner(Some(way_back))] {
            scene.standing = standing;
            let text = write(&scene.image());
            let contents = read(text.as_bytes()).unwrap();
            assert_eq!((contents.own.me, contents.own.incarnation), (scene.me, scene.incarnation));
            assert_eq!((&contents.state, &contents.standing), (&scene.state, &scene.standing), "{text}");
            assert_eq!(contents.tail.log.iter_from(0).collect::<Vec<_>>(), scene.log.iter_from(2).collect::<Vec<_>>());
            assert_eq!((contents.tail.log.snapshot_index(), contents.tail.synced, contents.tail.cut), (1, 3, None));
        }
    }

    #[test]
    fn the_example_loads() {
        let text = include_str!("../../nodes.conf.example");
        let contents = read(text.as_bytes()).unwrap();
        assert_eq!((contents.state.member_count(), contents.state.voters().len()), (4, 3));
        assert_eq!(contents.state.assigned_slots(), 16384);
        assert_eq!((contents.tail.log.first_index(), contents.tail.log.last_index(), contents.tail.synced), (14, 16, 15));
        assert_eq!(contents.tail.cut, None);
    }

    #[test]
    fn empty_files_and_files_of_nobody_are_refused() {
        assert_eq!(problem(""), Problem::Empty);
        assert_eq!(problem("\n\n"), Problem::NoCrc);
        assert_eq!(problem("vars currentEpoch 0 lastVoteEpoch 0\n"), Problem::NoCrc);
        assert_eq!(problem(&sealed("")), Problem::NoMyself);
        let text = Scene::founded().snapshot().replace("myself,handshake", "master");
        assert_eq!(problem(&sealed(&text)), Problem::NoMyself);
    }

    #[test]
    fn an_unknown_key_is_refused_by_its_name_and_line() {
        let text = sealed(&Scene::founded().snapshot().replace("maxLease", "maxLeash"));
        let damage = read(text.as_bytes()).unwrap_err();
        assert_eq!(damage.line, 2);
        assert!(damage.to_string().contains("maxLeash"), "{damage}");
        let text = sealed(&format!("{}later x\n", Scene::founded().snapshot()));
        assert_eq!(read(text.as_bytes()).unwrap_err().line, 3);
    }

    #[test]
    fn the_lines_of_a_standing_are_read_strictly() {
        let snapshot = Scene::founded().snapshot();
        let id = "ab".repeat(20);
        let joiner = format!("joiner cluster {id} shard {id} nonce 7 sponsor {id} at 10.0.0.1:7000@17000 fallbackTerm");
        let unmet = format!("joiner cluster {id} shard {id} nonce 7");
        for (lines, line) in [
            (format!("{joiner} 1\n"), 3),
            (format!("{joiner} -\nfallback x\n"), 4),
            (format!("{joiner} - -\n"), 3),
            (format!("{unmet} fallbackTerm -\n"), 3),
            (format!("{unmet} sponsor - at 10.0.0.1:7000@17000 fallbackTerm -\n"), 3),
            (format!("{unmet} sponsor {id} at - fallbackTerm -\n"), 3),
            (format!("{joiner} -\n{joiner} -\n"), 4),
            (format!("claims 1\n{joiner} -\n"), 4),
            ("claims 5-1\n".to_owned(), 3),
            ("claims 1\nclaims 2\n".to_owned(), 4),
            ("fallback x\n".to_owned(), 3),
            (format!("{joiner} -\nvars\n"), 4),
        ] {
            let damage = read(sealed(&format!("{snapshot}{lines}")).as_bytes()).expect_err(&lines);
            assert_eq!(damage.line, line, "{lines}: {damage}");
            assert!(matches!(damage.problem, Problem::Snapshot(_)), "{damage}");
        }
    }

    #[test]
    fn what_no_node_writes_is_refused_under_a_good_checksum() {
        let snapshot = sealed(&Scene::founded().snapshot());
        let tail = |records: &[(&str, &str)]| {
            let records: String = records.iter().map(|(word, content)| record(word, content)).collect();
            problem(&format!("{snapshot}{records}"))
        };
        assert_eq!(tail(&[("log", "2 1 NOOP 5")]), Problem::Gap { expected: 1, found: 2 });
        assert_eq!(tail(&[("log", "1 2 NOOP 5"), ("log", "2 1 NOOP 5")]), Problem::TermDown { last: 2, found: 1 });
        assert_eq!(tail(&[("log", "1 4 NOOP 5")]), Problem::TermAboveCurrent { term: 4, current: 3 });
        assert_eq!(tail(&[("log", "1 1 FUTURE x")]), Problem::Record("unknown entry type FUTURE".to_owned()));
        assert_eq!(tail(&[("later", "1 x")]), Problem::Record("unknown record `later`".to_owned()));
        assert!(matches!(tail(&[("log", "1 1 NOOP")]), Problem::Record(_)) && matches!(tail(&[("log", "x")]), Problem::Record(_)));
        assert_eq!(tail(&[("synced", "1")]), Problem::WrongSynced { last: 0, found: 1 });
        assert_eq!(tail(&[]), Problem::NoSynced);
        assert_eq!(problem(&snapshot.replace("currentTerm 3", "currentTerm 4")[..]).advice(), Problem::NoSynced.advice());
    }

    #[test]
    fn a_term_or_an_incarnation_at_its_end_is_refused() {
        let spent = Scene { incarnation: INCARNATION.greatest, ..Scene::founded() }.snapshot();
        assert_eq!(problem(&format!("{}{}", sealed(&spent), record("synced", "0"))), Problem::IncarnationSpent);
        let mut scene = Scene::founded();
        let early = scene.snapshot().replace("snapshotTerm 0", "snapshotTerm 1");
        assert!(matches!(problem(&sealed(&early)), Problem::Snapshot(_)));
        scene.state.apply(1, &scene.log.get(1).unwrap().clone());
        let high = scene.snapshot().replace("snapshotTerm 1", "snapshotTerm 9");
        assert_eq!(problem(&sealed(&high)), Problem::TermAboveCurrent { term: 9, current: 3 });
    }

    #[test]
    fn a_bad_line_is_cut_off_unless_a_synced_record_follows_it() {
        let mut scene = Scene::founded();
        scene.append("NOOP 7");
        let good = write(&scene.image());
        let torn = format!("{good}{}log 00000000 4 1 NO", record("synced", "3"));
        let cut = read(torn.as_bytes()).unwrap().tail.cut.unwrap();
        assert_eq!((cut.bytes, &torn[cut.offset..]), (23 - 4, "log 00000000 4 1 NO"));
        let followed = format!("{torn}\n{}", record("synced", "3"));
        let synced_at = followed.rfind("synced").unwrap();
        assert_eq!(problem(&followed), Problem::DamagedDurable { why: "its crc is wrong", synced_at });
    }
}
