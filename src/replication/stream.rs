//! The stream of changes: on a primary made of its own commands, on a replica taken over from its primary, byte for byte.
//!
//! Owns: the history, the backlog, and the bytes that commands become: `SELECT 0` first, MULTI and EXEC around what must stay together.
//! Must not: know what a command changes (commands do), or who reads the stream.
//!
//! A primary without replicas records nothing and pays nothing. Its data goes on, so recording begins under a new id.
//!
//! Who decides over expired keys changes with the stream, so what changes it takes the keyspace and tells it.

use super::{Backlog, History};
use crate::keyspace::{Expired, Keyspace, Note};
use crate::types::ReplId;
use crate::values::Bytes;
use crate::wire::{Chain, Limits, Parser, number};

/// A stream is not bounded by who reads it.
pub const STREAMED: Limits =
    Limits { max_args: u32::MAX, max_bulk: u32::MAX, max_inline: 64 * 1024, max_request: u32::MAX, authenticated: true };
/// What is in a stream and changes nothing by itself.
const BESIDE_CHANGES: &[&str] = &["SELECT", "PING", "REPLCONF", "MULTI", "EXEC"];

/// Where the stream comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Source {
    /// This node's own commands.
    Own,
    /// Its primary.
    Primary,
}

/// The commands of one EXEC, which replicas must run together.
#[derive(Debug)]
enum Unit {
    /// There is no EXEC.
    None,
    /// Nothing was fed yet.
    Empty,
    /// One command was fed; it needs no MULTI if it stays alone.
    One(Chain),
    /// MULTI and the commands so far are in the stream.
    Open,
}

/// See the module.
#[derive(Debug)]
pub struct Stream {
    history: History,
    source: Source,
    /// Ends where the history does. None while nobody may ask for what has been.
    backlog: Option<Backlog>,
    /// Readers know by `SELECT 0` which database is meant.
    selected: bool,
    unit: Unit,
    /// The running command has fed what stands in its place.
    replaced: bool,
    scratch: Vec<u8>,
}

impl Stream {
    /// A stream of this history, of which nothing is kept.
    pub fn new(history: History) -> Self {
        Self { history, source: Source::Own, backlog: None, selected: false, unit: Unit::None, replaced: false, scratch: Vec::new() }
    }

    /// Which data this is.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Bytes of the stream so far.
    pub fn offset(&self) -> u64 {
        self.history.offset
    }

    /// The newest bytes, if any are kept.
    pub fn backlog(&self) -> Option<&Backlog> {
        self.backlog.as_ref()
    }

    /// Whether this node's changes become part of the stream.
    pub fn is_recording(&self) -> bool {
        self.source == Source::Own && self.backlog.is_some()
    }

    /// Whether this node's changes are what its data goes on by: it follows no primary, and no other one's stream may go on with its keys.
    pub fn is_own(&self) -> bool {
        self.source == Source::Own
    }

    /// A replica's primary decides over expired keys, and a primary with replicas tells what it decided.
    fn settle_expired(&mut self, keyspace: &mut Keyspace) {
        self.feed_expired(&keyspace.take_notes());
        keyspace.set_expired(match self.source {
            Source::Primary => Expired::Kept,
            Source::Own if self.backlog.is_some() => Expired::Told,
            Source::Own => Expired::Removed,
        });
    }

    /// How many commands that change something are in the stream from here, where a command begins, to its end. `None` if it is not kept
    /// from there on.
    pub fn writes_since(&self, from: u64) -> Option<u64> {
        let backlog = self.backlog.as_ref()?;
        let (mut parser, mut bytes) = (Parser::new(STREAMED), Vec::new());
        let (mut at, mut writes) = (from, 0);
        loop {
            let piece = backlog.piece(at)?;
            if piece.is_empty() {
                return Some(writes);
            }
            at += piece.len() as u64;
            bytes.extend_from_slice(piece);
            let mut used = 0;
            while let Some(parsed) = bytes.get(used..).filter(|rest| !rest.is_empty()).and_then(|rest| parser.next(rest).ok()?) {
                let name = parser.args(&bytes[used..]).nth(0).unwrap_or_default();
                writes += u64::from(!BESIDE_CHANGES.iter().any(|word| name.eq_ignore_ascii_case(word.as_bytes())));
                used += parsed.used;
            }
            bytes.drain(..used);
        }
    }

    /// Whether a replica that holds history `id` up to before `next` can go on with what is kept.
    pub fn can_continue(&self, id: ReplId, next: u64) -> bool {
        let kept = |backlog: &Backlog| next > backlog.start() && next <= backlog.end() + 1;
        self.history.continues(id, next) && self.backlog.as_ref().is_some_and(kept)
    }

    /// A replica is there: what comes from now on is kept for it. If changes went by unrecorded before, this is another history.
    pub fn record(&mut self, new_id: ReplId, keyspace: &mut Keyspace) {
        if self.backlog.is_none() && self.source == Source::Own {
            self.restart(History::new(new_id, self.history.offset));
        }
        self.backlog.get_or_insert_with(|| Backlog::new(self.history.offset));
        self.settle_expired(keyspace);
    }

    /// The next command is preceded by `SELECT 0`: a reader begins here that has heard nothing before.
    pub fn introduce(&mut self) {
        self.selected = false;
    }

    /// No replica was there for long: changes are not recorded any more, and what follows is another history. Its offset is beyond that of
    /// whoever has the one before: they do not have everything.
    pub fn forget(&mut self, new_id: ReplId, keyspace: &mut Keyspace) {
        self.history = History::new(new_id, self.history.offset + 1);
        self.backlog = None;
        self.settle_expired(keyspace);
    }

    /// Drops what is older than the newest `size` bytes, but nothing from `needed` on.
    pub fn trim(&mut self, size: u64, needed: u64) {
        if let Some(backlog) = &mut self.backlog {
            let place = backlog.end().saturating_sub(size).min(needed);
            backlog.drop_before(place);
        }
    }

    // ---- a replica's ----

    /// This node replicates another now: its own commands are no part of the stream. What it holds is still the history that it was.
    pub fn follow(&mut self, keyspace: &mut Keyspace) {
        self.source = Source::Primary;
        self.settle_expired(keyspace);
    }

    /// The keys are other ones than before: those of this history. Nothing of before is kept.
    pub fn restart(&mut self, history: History) {
        self.backlog = Some(Backlog::new(history.offset));
        self.history = history;
        self.selected = false;
    }

    /// The primary goes on with the same history under this id.
    pub fn rename(&mut self, id: ReplId) {
        self.history.renamed(id);
    }

    /// The primary's stream went on with these bytes.
    pub fn relay<'a>(&mut self, bytes: impl Into<Bytes<'a>>) {
        let bytes = bytes.into();
        let before = self.history.offset;
        self.history.offset += bytes.len() as u64;
        self.backlog.get_or_insert_with(|| Backlog::new(before)).append(bytes);
    }

    /// This node is a primary now, with the data that it has: under a new id, for others may have had more of the old one. Nothing happens
    /// if it was one already.
    pub fn lead(&mut self, new_id: ReplId, keyspace: &mut Keyspace) {
        if std::mem::replace(&mut self.source, Source::Own) == Source::Primary {
            self.history.renamed(new_id);
            self.selected = false;
            self.settle_expired(keyspace);
        }
    }

    // ---- a primary's ----

    /// A command that changed something, if changes are recorded.
    pub fn feed<'a>(&mut self, words: impl ExactSizeIterator<Item: Into<Bytes<'a>>> + Clone) {
        if !self.is_recording() {
            return;
        }
        match std::mem::replace(&mut self.unit, Unit::Open) {
            Unit::None => {
                self.emit(words);
                self.unit = Unit::None;
            }
            Unit::Empty => {
                let mut first = Chain::default();
                encode(words, &mut Vec::new(), |bytes| first.push(bytes));
                self.unit = Unit::One(first);
            }
            Unit::One(mut first) => {
                self.relay(b"*1\r\n$5\r\nMULTI\r\n");
                self.select();
                first.drain(|bytes| self.relay(bytes));
                self.emit(words);
            }
            Unit::Open => self.emit(words),
        }
    }

    /// A DEL for each key that was removed because it had expired: replicas wait for that.
    pub fn feed_expired(&mut self, notes: &[Note]) {
        for note in notes {
            if let Note::Expired(key) = note {
                self.feed([&b"DEL"[..], key].into_iter());
            }
        }
    }

    /// As [`Stream::feed`], in place of the running command as it came.
    pub fn replace<'a>(&mut self, words: impl ExactSizeIterator<Item: Into<Bytes<'a>>> + Clone) {
        self.replaced = true;
        self.feed(words);
    }

    /// Whether the running command has been replaced; asked once, when it has run.
    pub fn take_replaced(&mut self) -> bool {
        std::mem::take(&mut self.replaced)
    }

    /// What is fed from now on belongs together.
    pub fn begin_unit(&mut self) {
        self.unit = Unit::Empty;
    }

    /// So much belonged together.
    pub fn end_unit(&mut self) {
        match std::mem::replace(&mut self.unit, Unit::None) {
            Unit::None | Unit::Empty => {}
            Unit::One(mut command) => {
                self.select();
                command.drain(|bytes| self.relay(bytes));
            }
            Unit::Open => self.emit([&b"EXEC"[..]].into_iter()),
        }
    }

    /// Whether what is fed belongs together with other commands: an EXEC runs.
    pub fn in_unit(&self) -> bool {
        !matches!(self.unit, Unit::None)
    }

    fn emit<'a>(&mut self, words: impl ExactSizeIterator<Item: Into<Bytes<'a>>>) {
        self.select();
        let mut scratch = std::mem::take(&mut self.scratch);
        encode(words, &mut scratch, |bytes| self.relay(bytes));
        self.scratch = scratch;
    }

    fn select(&mut self) {
        if !std::mem::replace(&mut self.selected, true) {
            self.relay(b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n");
        }
    }

    /// Asserts every invariant.
    pub fn check(&self) {
        let ends = self.backlog.as_ref().is_none_or(|backlog| backlog.end() == self.history.offset);
        assert!(ends, "the backlog ends where the history does");
        assert!(!self.in_unit(), "between two commands no EXEC runs");
    }
}

/// Writes a command as a request, piece by piece: a long argument is not copied on the way.
fn encode<'a>(words: impl ExactSizeIterator<Item: Into<Bytes<'a>>>, scratch: &mut Vec<u8>, mut write: impl FnMut(Bytes<'_>)) {
    scratch.clear();
    scratch.push(b'*');
    number::push_u64(scratch, words.len() as u64);
    scratch.extend_from_slice(b"\r\n");
    for word in words {
        let word = word.into();
        scratch.push(b'$');
        number::push_u64(scratch, word.len() as u64);
        scratch.extend_from_slice(b"\r\n");
        write(scratch.as_slice().into());
        write(word);
        scratch.clear();
        scratch.extend_from_slice(b"\r\n");
    }
    write(scratch.as_slice().into());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::slice;

    const ID: ReplId = ReplId::from_bytes([1; 20]);
    const NEW: ReplId = ReplId::from_bytes([2; 20]);

    fn feed(stream: &mut Stream, line: &str) {
        stream.feed(line.split(' ').map(str::as_bytes).collect::<Vec<_>>().into_iter());
    }

    /// Everything that is kept, lengths and line ends left out.
    fn words(stream: &Stream) -> String {
        let backlog = stream.backlog().unwrap();
        let text = std::str::from_utf8(backlog.piece(backlog.start()).unwrap()).unwrap();
        let kept = text.split("\r\n").filter(|line| !line.starts_with('$'));
        kept.map(|line| line.replace('*', "|")).collect::<Vec<_>>().join(" ")
    }

    fn recording() -> Stream {
        let mut stream = Stream::new(History::new(ID, 0));
        stream.record(ID, &mut Keyspace::new(1));
        stream
    }

    #[test]
    fn nothing_is_recorded_before_a_replica_is_there_and_then_under_a_new_id() {
        let mut stream = Stream::new(History::new(ID, 7));
        feed(&mut stream, "SET a 1");
        assert_eq!((stream.offset(), stream.is_recording()), (7, false));
        stream.record(NEW, &mut Keyspace::new(1));
        assert!(stream.is_recording() && stream.history().id == NEW && stream.history().second.is_none());
        stream.record(ID, &mut Keyspace::new(1));
        assert_eq!(stream.history().id, NEW);
        stream.feed(["PING".as_bytes()].into_iter());
        assert_eq!(stream.offset(), 7 + 23 + 14);
        assert!(stream.can_continue(NEW, 8) && stream.can_continue(NEW, 45));
        assert!(!stream.can_continue(NEW, 7) && !stream.can_continue(NEW, 46) && !stream.can_continue(ID, 8));
        stream.check();
        stream.forget(ID, &mut Keyspace::new(1));
        assert!(!stream.is_recording() && !stream.can_continue(NEW, 45) && stream.offset() == 45);
    }

    #[test]
    fn writes_are_counted_from_where_a_command_begins() {
        let mut stream = recording();
        assert_eq!(stream.writes_since(0), Some(0));
        feed(&mut stream, "SET a 1");
        let begun = stream.offset();
        feed(&mut stream, "PING");
        stream.begin_unit();
        feed(&mut stream, "SET b 2");
        stream.feed([&b"SET"[..], b"c", &[b'x'; 200_000]].into_iter());
        stream.end_unit();
        assert_eq!((stream.writes_since(0), stream.writes_since(begun), stream.writes_since(stream.offset())), (Some(3), Some(2), Some(0)));
        stream.trim(10, u64::MAX);
        assert_eq!(stream.writes_since(begun), None);
    }

    #[test]
    fn commands_are_requests_after_a_select() {
        let mut stream = recording();
        stream.feed([&b"SET"[..], b"k", b"\r\n\0"].into_iter());
        let kept = stream.backlog().unwrap().piece(0).unwrap();
        assert_eq!(kept, b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\n\r\n\0\r\n");
        feed(&mut stream, "DEL k");
        stream.introduce();
        feed(&mut stream, "DEL k");
        assert!(words(&stream).ends_with("|2 DEL k |2 SELECT 0 |2 DEL k "));
    }

    #[test]
    fn what_belongs_together_is_a_transaction_if_it_is_more_than_one() {
        let mut stream = recording();
        stream.begin_unit();
        assert!(stream.in_unit());
        stream.end_unit();
        assert_eq!(stream.offset(), 0);
        stream.begin_unit();
        feed(&mut stream, "SET a 1");
        stream.end_unit();
        assert_eq!(words(&stream), "|2 SELECT 0 |3 SET a 1 ");
        stream.begin_unit();
        feed(&mut stream, "SET b 2");
        feed(&mut stream, "DEL a");
        feed(&mut stream, "DEL b");
        stream.end_unit();
        assert!(words(&stream).ends_with("|1 MULTI |3 SET b 2 |2 DEL a |2 DEL b |1 EXEC "));
        stream.introduce();
        stream.begin_unit();
        feed(&mut stream, "SET a 1");
        feed(&mut stream, "DEL a");
        stream.end_unit();
        assert!(words(&stream).ends_with("|1 MULTI |2 SELECT 0 |3 SET a 1 |2 DEL a |1 EXEC "));
        stream.check();
    }

    #[test]
    fn a_replica_takes_over_bytes_and_leads_on_under_a_new_id() {
        let mut stream = Stream::new(History::new(NEW, 0));
        stream.follow(&mut Keyspace::new(1));
        stream.restart(History::new(ID, 100));
        stream.relay(b"*1\r\n$4\r\nPING\r\n");
        feed(&mut stream, "SET a 1");
        assert_eq!(stream.offset(), 114);
        stream.record(NEW, &mut Keyspace::new(1));
        assert_eq!(stream.history().id, ID, "who reads a replica reads its primary's history");
        stream.lead(NEW, &mut Keyspace::new(1));
        feed(&mut stream, "SET a 1");
        assert!(stream.can_continue(ID, 115) && stream.can_continue(ID, 101) && !stream.can_continue(ID, 116));
        assert!(stream.can_continue(NEW, 115 + 23 + 27));
    }

    #[test]
    fn what_a_replica_still_needs_is_kept() {
        let mut stream = recording();
        let long = vec![b'x'; 100_000];
        for _ in 0..10 {
            stream.feed(slice::from_ref(&&long[..]).iter().copied());
        }
        stream.trim(10, 500_000);
        assert!(stream.can_continue(ID, 500_001) && !stream.can_continue(ID, 300_000));
        stream.trim(10, u64::MAX);
        assert!(!stream.can_continue(ID, 500_001) && stream.can_continue(ID, stream.offset() - 9));
    }
}
