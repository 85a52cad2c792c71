//! A replica as its primary sees it: what it asked for, and how much of that it has got.
//!
//! Owns: the order of what it is sent (the answer to PSYNC, an RDB in one of two forms, the stream), made only as fast as it is taken. Must
//! not: know sessions, or keep the stream (the backlog does, once for all replicas). Contract: Redis' replication protocol;
//! docs/protocol.md, "Replication".

use super::Stream;
use super::rdb::{About, Format, Measure, Writer};
use crate::keyspace::{Keyspace, WalkStep};
use crate::types::{Millis, NodeId, ReplId};
use std::io::Write;

/// How an RDB is written for a replica. A network takes bytes faster than they can be packed, and packing would keep clients waiting.
const FORMAT: Format = Format { compress: false, checksum: true };

/// What a replica asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// All keys and then the stream, of which it will never say how far it has run it (SYNC).
    Sync,
    /// The stream from the byte with this offset in this history on; all keys if it names none, or if that is not to be had (PSYNC).
    Psync(Option<(ReplId, u64)>),
}

/// What a replica said of itself (REPLCONF).
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Profile {
    /// Where others reach it; empty: where it comes from.
    pub ip: String,
    /// Its client port; 0 if it did not say.
    pub port: u16,
    /// It takes an RDB that ends with a mark.
    pub eof: bool,
    /// It takes another history id for data that it has.
    pub psync2: bool,
    /// It wants no stream.
    pub rdb_only: bool,
    /// It wants an RDB without keys.
    pub no_keys: bool,
    /// It is a member of the cluster, and has asked for this node and no other.
    pub is_member: bool,
    /// Which member, if it is a node that says a last word before it closes the link itself, and is told one.
    pub node: Option<NodeId>,
    /// The nonce of its process.
    pub process: Option<u64>,
    /// It has said its last word.
    pub is_closing: bool,
}

/// A place in the stream: so many bytes of it were before.
#[derive(Clone, Copy, Debug)]
struct Place {
    history: ReplId,
    next: u64,
}

/// All keys as they were at one moment, on their way.
struct Copying {
    writer: Writer,
    form: Form,
    /// Where the stream begins behind them.
    then: Place,
}

enum Form {
    /// Sent as it is made, and ended by these digits.
    Marked(ReplId),
    /// Its length comes before it, and is counted first.
    Measured(Measure),
    /// Its length was said: sent as it is made.
    Counted,
}

/// How far it is.
enum Progress {
    /// It says who it is, and may never ask for anything.
    Introducing,
    /// It waits for an answer.
    Asking(Request),
    Copying(Box<Copying>),
    /// It has the RDB, whose end it finds only if nothing follows: the stream waits for its first word.
    Loading(Place),
    Streaming(Place),
    /// It has got all that it asked for.
    Done,
}

/// What a primary can tell a replica that asks.
pub struct Offer {
    /// For a history that begins with this replica.
    pub id: ReplId,
    /// At random: its digits mark the end of an RDB whose length is not known at its beginning.
    pub mark: ReplId,
    /// What the RDB says of itself, but for the place in the history.
    pub about: About,
}

/// How a replica's request was met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// It goes on where it was.
    Partial,
    /// It gets all keys.
    Full {
        /// It would have gone on where it was.
        in_place_of_partial: bool,
    },
    /// Too many copies are being made: this is to be called again.
    Later,
}

impl std::fmt::Display for Start {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Partial => "it goes on where it was",
            Self::Full { in_place_of_partial: false } => "it gets all keys",
            Self::Full { in_place_of_partial: true } => "it gets all keys, for what it has cannot be gone on with",
            Self::Later => "it has to wait, for many copies are being made",
        })
    }
}

/// What is left to be done for a replica.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Fed {
    /// Nothing, before it reads or something happens.
    Enough,
    /// More can be made at once.
    More,
    /// Nothing ever: the connection is to be closed once it has read.
    Finished,
    /// It cannot go on, for this reason: the connection is to be closed.
    Lost(&'static str),
}

/// See the module.
pub struct Replica {
    /// What it said of itself.
    pub profile: Profile,
    /// How much of the stream it says it has run.
    pub acked: u64,
    /// When it last showed that it is there (mono ms).
    pub heard: Millis,
    /// It will say how much it has run.
    acknowledges: bool,
    progress: Progress,
}

impl Replica {
    /// A client that says what it is as a replica.
    pub fn introducing(now: Millis) -> Self {
        Self { profile: Profile::default(), acked: 0, heard: now, acknowledges: true, progress: Progress::Introducing }
    }

    /// It asks; a second time changes nothing.
    pub fn ask(&mut self, request: Request) {
        if matches!(self.progress, Progress::Introducing) {
            self.acknowledges = request != Request::Sync;
            self.progress = Progress::Asking(request);
        }
    }

    /// Which member of the cluster it is, and the nonce of its process, if it has said both.
    pub fn member(&self) -> Option<(NodeId, u64)> {
        self.profile.node.filter(|_| self.profile.is_member).zip(self.profile.process)
    }

    /// It has asked, and so is a replica.
    pub fn has_asked(&self) -> bool {
        !matches!(self.progress, Progress::Introducing)
    }

    /// It waits for an answer.
    pub fn is_asking(&self) -> bool {
        matches!(self.progress, Progress::Asking(_))
    }

    /// It follows the stream.
    pub fn is_online(&self) -> bool {
        matches!(self.progress, Progress::Streaming(_))
    }

    /// It follows the stream, or is about to, and will say how far it has run it.
    pub fn will_acknowledge(&self) -> bool {
        self.has_asked() && self.acknowledges && !self.profile.rdb_only
    }

    /// It gets nothing for a while, and could take its primary for dead: an empty line tells it otherwise.
    pub fn is_kept_waiting(&self) -> bool {
        match &self.progress {
            Progress::Asking(_) => true,
            Progress::Copying(copy) => matches!(copy.form, Form::Measured(_)),
            Progress::Introducing | Progress::Loading(_) | Progress::Streaming(_) | Progress::Done => false,
        }
    }

    /// It has said or read nothing for longer than this, though it should have.
    pub fn is_overdue(&self, now: Millis, limit: Millis) -> bool {
        let expected = match &self.progress {
            Progress::Copying(copy) => !matches!(copy.form, Form::Measured(_)),
            Progress::Loading(_) | Progress::Streaming(_) => self.acknowledges,
            Progress::Introducing | Progress::Asking(_) | Progress::Done => false,
        };
        expected && now.saturating_sub(self.heard) > limit
    }

    /// INFO's word for how far it is.
    pub fn state(&self) -> &'static str {
        match self.progress {
            Progress::Introducing | Progress::Asking(_) => "wait_bgsave",
            Progress::Copying(_) | Progress::Loading(_) | Progress::Done => "send_bulk",
            Progress::Streaming(_) => "online",
        }
    }

    /// It has run so much of the stream. More than it was sent it cannot have run: that says no more than that it is there.
    pub fn acknowledge(&mut self, offset: u64, now: Millis) {
        if self.needs().is_some_and(|sent| offset <= sent) {
            self.acked = self.acked.max(offset);
        }
        self.heard = now;
        if let Progress::Loading(place) = self.progress {
            self.progress = Progress::Streaming(place);
        }
    }

    fn place(&self) -> Option<Place> {
        match &self.progress {
            Progress::Copying(copy) => Some(copy.then),
            Progress::Loading(place) | Progress::Streaming(place) => Some(*place),
            Progress::Introducing | Progress::Asking(_) | Progress::Done => None,
        }
    }

    /// Bytes of the stream before the first that it still needs.
    pub fn needs(&self) -> Option<u64> {
        self.place().map(|place| place.next)
    }

    /// Bytes that are kept for it and for nobody else.
    pub fn behind(&self, stream: &Stream) -> u64 {
        self.needs().map_or(0, |next| stream.offset().saturating_sub(next))
    }

    /// Whether there is something to send to it once it has read what it was sent.
    pub fn has_more(&self, stream: &Stream) -> bool {
        match &self.progress {
            Progress::Copying(_) => true,
            Progress::Streaming(place) => place.next < stream.offset(),
            Progress::Introducing | Progress::Asking(_) | Progress::Loading(_) | Progress::Done => false,
        }
    }

    /// Answers its request: the answer is appended to `out`, what it announces is made by [`Replica::feed`].
    pub fn start(&mut self, keyspace: &mut Keyspace, stream: &mut Stream, offer: Offer, out: &mut Vec<u8>) -> Start {
        let Progress::Asking(request) = self.progress else { return Start::Later };
        if let Request::Psync(Some((id, next))) = request
            && stream.can_continue(id, next)
        {
            let history = stream.history().id;
            let renamed = if self.profile.psync2 { format!(" {history}") } else { String::new() };
            line(out, format_args!("+CONTINUE{renamed}"));
            self.progress = Progress::Streaming(Place { history, next: next - 1 });
            return Start::Partial;
        }
        stream.record(offer.id, keyspace);
        let then = Place { history: stream.history().id, next: stream.offset() };
        let about = About { replication: Some((then.history, then.next)), ..offer.about };
        let mut no_keys = Keyspace::new(0);
        let keys = if self.profile.no_keys { &mut no_keys } else { keyspace };
        let mark = self.profile.eof.then_some(offer.mark);
        let Some((writer, form)) = begin_copy(keys, &about, mark) else { return Start::Later };
        stream.introduce();
        if request != Request::Sync {
            line(out, format_args!("+FULLRESYNC {} {}", then.history, then.next));
        }
        if let Form::Marked(mark) = &form {
            line(out, format_args!("$EOF:{mark}"));
        }
        self.progress = Progress::Copying(Box::new(Copying { writer, form, then }));
        if self.profile.no_keys {
            // Its length, if that comes first, and all of it.
            let _whole = [self.copy(&mut no_keys, 1, out), self.copy(&mut no_keys, 1, out)];
        }
        Start::Full { in_place_of_partial: matches!(request, Request::Psync(Some(_))) }
    }

    /// Appends what comes next: `room` bytes, and of an RDB also the rest of the value that passes them.
    pub fn feed(&mut self, keyspace: &mut Keyspace, stream: &Stream, room: usize, now: Millis, out: &mut Vec<u8>) -> Fed {
        match &mut self.progress {
            Progress::Introducing | Progress::Asking(_) | Progress::Loading(_) => Fed::Enough,
            Progress::Copying(_) => {
                let fed = self.copy(keyspace, room, out);
                if !matches!(self.progress, Progress::Copying(_)) {
                    self.heard = now;
                }
                fed
            }
            Progress::Streaming(place) => place.relay(stream, room, out),
            Progress::Done => Fed::Finished,
        }
    }

    fn copy(&mut self, keyspace: &mut Keyspace, room: usize, out: &mut Vec<u8>) -> Fed {
        let Progress::Copying(copy) = &mut self.progress else { return Fed::Enough };
        // What is sent as it is made waits for room.
        if room == 0 {
            return Fed::Enough;
        }
        let before = out.len();
        let (step, measured) = match &mut copy.form {
            Form::Measured(measure) => (measure.step(keyspace, room), true),
            Form::Marked(_) | Form::Counted => (copy.writer.step(keyspace, room, out), false),
        };
        match step {
            // Who has nothing to read would never ask for more.
            WalkStep::More if measured || out.len() == before => Fed::More,
            WalkStep::More => Fed::Enough,
            WalkStep::Done if measured => {
                copy.announce(keyspace, out);
                Fed::More
            }
            WalkStep::Done => self.copied(keyspace, out),
            WalkStep::Voided => Fed::Lost("the keys were cleared or replaced as a whole while it got them"),
        }
    }

    fn copied(&mut self, keyspace: &mut Keyspace, out: &mut Vec<u8>) -> Fed {
        let Progress::Copying(copy) = std::mem::replace(&mut self.progress, Progress::Done) else { return Fed::Enough };
        let Copying { writer, form, then } = *copy;
        writer.end(keyspace);
        let next = match form {
            Form::Marked(mark) => {
                out.extend(mark.to_string().bytes());
                Progress::Loading(then)
            }
            Form::Measured(_) | Form::Counted => Progress::Streaming(then),
        };
        if self.profile.rdb_only {
            return Fed::Finished;
        }
        self.progress = next;
        Fed::More
    }

    /// It is gone.
    pub fn leave(self, keyspace: &mut Keyspace) {
        if let Progress::Copying(copy) = self.progress {
            copy.writer.end(keyspace);
            if let Form::Measured(measure) = copy.form {
                measure.end(keyspace);
            }
        }
    }
}

impl Place {
    /// Appends the stream from here on.
    fn relay(&mut self, stream: &Stream, room: usize, out: &mut Vec<u8>) -> Fed {
        let same = |_: &&super::Backlog| stream.history().id == self.history;
        let Some(backlog) = stream.backlog().filter(same) else { return Fed::Lost("the data goes on as another history") };
        let mut left = room;
        while left > 0 {
            let Some(piece) = backlog.piece(self.next) else { return Fed::Lost("what it needs next is not kept any more") };
            let piece = &piece[..piece.len().min(left)];
            if piece.is_empty() {
                break;
            }
            out.extend_from_slice(piece);
            self.next += piece.len() as u64;
            left -= piece.len();
        }
        Fed::Enough
    }
}

impl Copying {
    /// Says the length, once it is known.
    fn announce(&mut self, keyspace: &mut Keyspace, out: &mut Vec<u8>) {
        if let Form::Measured(measure) = std::mem::replace(&mut self.form, Form::Counted) {
            line(out, format_args!("${}", measure.length()));
            measure.end(keyspace);
        }
    }
}

/// A copy of these keys as they are now, ended by this mark or preceded by its length. None if there are too many.
fn begin_copy(keyspace: &mut Keyspace, about: &About, mark: Option<ReplId>) -> Option<(Writer, Form)> {
    let writer = Writer::begin(keyspace, about, FORMAT)?;
    let form = match mark {
        Some(mark) => Some(Form::Marked(mark)),
        None => Measure::begin(keyspace, &writer).map(Form::Measured),
    };
    let Some(form) = form else {
        writer.end(keyspace);
        return None;
    };
    Some((writer, form))
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { profile, acked, heard, .. } = self;
        f.debug_struct("Replica")
            .field("profile", profile)
            .field("acked", acked)
            .field("heard", heard)
            .field("state", &self.state())
            .finish()
    }
}

fn line(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let written = out.write_fmt(format_args!("{text}\r\n"));
    debug_assert!(written.is_ok(), "writing to a Vec cannot fail");
}

#[cfg(test)]
mod tests;
