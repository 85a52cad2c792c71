//! What a replica says to its primary before the stream begins, and what it hears: from PING to the last byte of the RDB.
//!
//! Owns: the order of requests and replies, the two forms in which an RDB comes, and the bounds on both. Must not: read the RDB, or run the
//! stream.
//! Contract: Redis' replication protocol, as redis-server 7.0 and later speak it.
//!
//! It is asked with [`Handshake::next`] until it has nothing more to say about the bytes that are there; what it has used is not shown to
//! it again.

use crate::types::numbers::{FULLRESYNC_OFFSET, PRIMARY_REIGN, RDB_LENGTH};
use crate::types::{ClusterId, NodeId, ReplId};
use crate::wire::Reply;
use crate::wire::number::parse_u64;

/// The longest line of a primary.
const MAX_LINE: usize = 4096;
/// An RDB of unknown length ends with a mark of this length, told before it.
const MARK: usize = 40;

/// What the primary is told, and asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Introduction<'a> {
    /// `masteruser`; empty: the default user.
    pub user: &'a [u8],
    /// `masterauth`; empty: nothing is said.
    pub password: &'a [u8],
    /// The cluster that both are in.
    pub cluster: ClusterId,
    /// Who it has to be: another node may have its address by now.
    pub primary: NodeId,
    /// The client port that others reach this replica by.
    pub port: u16,
    /// The address that others reach this replica by; empty: the connection's.
    pub ip: &'a str,
    /// The Redis version that this replica is like.
    pub version: &'a str,
    /// Who asks.
    pub me: NodeId,
    /// The nonce of its process.
    pub process: u64,
}

/// What a primary's bytes meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard<'a> {
    /// The primary's data follows as an RDB, and then the stream behind this offset of this history.
    FullResync {
        /// Its history.
        id: ReplId,
        /// How far the data is in it.
        offset: u64,
    },
    /// The next bytes of the RDB.
    Rdb(&'a [u8]),
    /// It is whole. What is left is the stream's.
    RdbEnd,
    /// The stream goes on where this replica is, under this id. What is left is the stream's.
    Continue {
        /// The history's id from now on.
        id: ReplId,
    },
}

/// The primary did not do what was asked: the link is closed, and another one is tried later.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// It answers with an error.
    #[error("the primary answers {request} with {reply}")]
    Denied {
        /// The command's name.
        request: &'static str,
        /// The whole error, shortened and escaped.
        reply: String,
    },
    /// It answers with something else.
    #[error("the primary answers {request} with {reply}, which is no answer to it")]
    Misplaced {
        /// The command's name.
        request: &'static str,
        /// The line, shortened and escaped.
        reply: String,
    },
    /// A line does not end.
    #[error("the primary sends a line of more than {MAX_LINE} bytes")]
    LongLine,
}

/// What is awaited next.
#[derive(Debug)]
enum Stage {
    /// The answer to PING; then `told` is sent.
    Ping { told: Vec<u8>, answers: Answers },
    /// The answers to that.
    Told(Answers),
    /// The answer to PSYNC.
    Psync,
    /// The line that says how the RDB ends.
    Form,
    /// So many bytes of the RDB.
    Counted(u64),
    /// The RDB up to a mark.
    Marked(Box<Mark>),
    /// The stream.
    Done,
}

/// Answers that are still to come: AUTH's first, if it was sent, whether the primary is who was meant, which process that is, and so many
/// of REPLCONF.
#[derive(Clone, Copy, Debug)]
struct Answers {
    auth: bool,
    identity: bool,
    process: bool,
    replconf: u32,
}

/// See the module.
#[derive(Debug)]
pub struct Handshake {
    stage: Stage,
    /// The primary's, as it said when it was asked whether it is who is meant.
    reign: u64,
    /// The nonce of its process, if it knows that question, and so says [`CLOSING`] before it closes the link itself.
    process: Option<u64>,
    /// The history that this replica has, and how far.
    have: Option<(ReplId, u64)>,
}

impl Handshake {
    /// Begins: its PING is appended to `out`. A replica that has data asks to go on with it.
    pub fn begin(introduction: &Introduction<'_>, have: Option<(ReplId, u64)>, out: &mut Vec<u8>) -> Self {
        request(out, &["PING"]);
        let (told, answers) = introduction.requests();
        Self { stage: Stage::Ping { told, answers }, reign: 0, process: None, have }
    }

    /// What the bytes from `used` on mean, if that can be said already; they count as used then. Its own words are appended to `out`.
    ///
    /// # Errors
    /// [`Refusal`]: the link is of no use.
    pub fn next<'a>(&mut self, bytes: &'a [u8], used: &mut usize, out: &mut Vec<u8>) -> Result<Option<Heard<'a>>, Refusal> {
        loop {
            let rest = bytes.get(*used..).unwrap_or_default();
            match &mut self.stage {
                Stage::Done => return Ok(None),
                Stage::Counted(0) => return Ok(Some(self.rdb_end())),
                Stage::Counted(left) => {
                    let count = usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                    *left -= count as u64;
                    *used += count;
                    return Ok((count > 0).then(|| Heard::Rdb(&rest[..count])));
                }
                Stage::Marked(mark) => match mark.find(rest) {
                    Found::At(0) => {
                        *used += MARK;
                        return Ok(Some(self.rdb_end()));
                    }
                    Found::At(count) | Found::NotIn(count) => {
                        *used += count;
                        return Ok((count > 0).then(|| Heard::Rdb(&rest[..count])));
                    }
                },
                _ => {
                    let Some(line) = line(rest, used)? else { return Ok(None) };
                    // Primaries send empty lines to show that they are at work.
                    if let Some(heard) = if line.is_empty() { None } else { self.hear(line, out)? } {
                        return Ok(Some(heard));
                    }
                }
            }
        }
    }

    /// The reign of the primary whose data this is; 0 before it has said so.
    pub fn reign(&self) -> u64 {
        self.reign
    }

    /// The nonce of the primary's process; none of one that does not know the question, or was not asked yet.
    pub fn process(&self) -> Option<u64> {
        self.process
    }

    /// How many bytes of the RDB are still to come, if the primary has said how many there are.
    pub fn rdb_left(&self) -> Option<u64> {
        match self.stage {
            Stage::Counted(left) => Some(left),
            _ => None,
        }
    }

    fn rdb_end(&mut self) -> Heard<'static> {
        self.stage = Stage::Done;
        Heard::RdbEnd
    }

    fn hear(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<Option<Heard<'static>>, Refusal> {
        match &mut self.stage {
            Stage::Ping { told, answers } => {
                // A primary that wants a password first says so to PING too, and a former one that shows clients nothing.
                let alive = [&b"+"[..], b"-NOAUTH", b"-NOPERM", b"-MASTERDOWN"].iter().any(|start| line.starts_with(start));
                if !alive {
                    return Err(refusal("PING", line));
                }
                out.append(told);
                self.stage = Stage::Told(*answers);
            }
            Stage::Told(answers) => {
                let error = line.starts_with(b"-");
                if std::mem::take(&mut answers.auth) {
                    if error {
                        return Err(refusal("AUTH", line));
                    }
                } else if std::mem::take(&mut answers.identity) {
                    // Its keys would take the place of the own: who does not know the question is no primary in a cluster
                    // \[N43 stranger-at-address\].
                    let reign = line.strip_prefix(b"+OK ").and_then(parse_u64).and_then(|reign| PRIMARY_REIGN.take(reign));
                    self.reign = reign.ok_or_else(|| refusal("REPLCONF", line))?;
                } else if std::mem::take(&mut answers.process) {
                    self.process = line.strip_prefix(b"+OK ").and_then(parse_u64).filter(|nonce| *nonce != 0);
                } else {
                    // Primaries do not know every option of newer ones.
                    answers.replconf -= 1;
                }
                if answers.replconf == 0 {
                    self.ask(out);
                }
            }
            Stage::Psync => return self.hear_psync(line),
            Stage::Form => self.stage = form(line)?,
            Stage::Counted(_) | Stage::Marked(_) | Stage::Done => {}
        }
        Ok(None)
    }

    fn ask(&mut self, out: &mut Vec<u8>) {
        match self.have {
            Some((id, offset)) => request(out, &["PSYNC", &id.to_string(), &offset.saturating_add(1).to_string()]),
            None => request(out, &["PSYNC", "?", "-1"]),
        }
        self.stage = Stage::Psync;
    }

    fn hear_psync(&mut self, line: &[u8]) -> Result<Option<Heard<'static>>, Refusal> {
        let mut words = line.split(|byte| *byte == b' ');
        let heard = match (words.next(), words.next(), words.next(), self.have) {
            (Some(b"+FULLRESYNC"), Some(id), Some(offset), _) => {
                self.stage = Stage::Form;
                repl_id(id)
                    .zip(parse_u64(offset).and_then(|offset| FULLRESYNC_OFFSET.take(offset)))
                    .map(|(id, offset)| Heard::FullResync { id, offset })
            }
            (Some(b"+CONTINUE"), id, None, Some((own, _))) => {
                self.stage = Stage::Done;
                id.map_or(Some(own), repl_id).map(|id| Heard::Continue { id })
            }
            _ => None,
        };
        heard.map_or_else(|| Err(refusal("PSYNC", line)), |heard| Ok(Some(heard)))
    }
}

impl Introduction<'_> {
    fn requests(&self) -> (Vec<u8>, Answers) {
        let Self { user, password, cluster, primary, port, ip, version, me, process } = *self;
        let (mut told, mut answers) = (Vec::new(), Answers { auth: !password.is_empty(), identity: true, process: true, replconf: 0 });
        match (user.is_empty(), password.is_empty()) {
            (_, true) => {}
            (true, false) => request(&mut told, &[b"AUTH", password]),
            (false, false) => request(&mut told, &[b"AUTH", user, password]),
        }
        request(&mut told, &["REPLCONF", "cluster-id", &cluster.to_string(), "primary-id", &primary.to_string()]);
        request(&mut told, &["REPLCONF", "node-id", &me.to_string(), "process", &process.to_string()]);
        let port = port.to_string();
        let ip: &[&str] = if ip.is_empty() { &[] } else { &["ip-address", ip] };
        for words in [&["listening-port", &port][..], ip, &["capa", "eof", "capa", "psync2"], &["version", version]] {
            if !words.is_empty() {
                request(&mut told, &[&["REPLCONF"], words].concat());
                answers.replconf += 1;
            }
        }
        (told, answers)
    }
}

/// The last word of either side on a link that it closes itself, though it lives. In a primary's stream it is no part of the history.
pub const CLOSING: &[u8] = b"*2\r\n$8\r\nREPLCONF\r\n$7\r\nCLOSING\r\n";

/// How far a replica has run the stream.
pub fn acknowledgement(offset: u64, out: &mut Vec<u8>) {
    request(out, &["REPLCONF", "ACK", &offset.to_string()]);
}

/// A request has the form of a reply that is an array.
fn request(out: &mut Vec<u8>, words: &[impl AsRef<[u8]>]) {
    let mut reply = Reply::new(out, false);
    reply.array(words.len());
    words.iter().for_each(|word| reply.bulk(word.as_ref()));
}

/// The first line, without its end.
fn line<'a>(rest: &'a [u8], used: &mut usize) -> Result<Option<&'a [u8]>, Refusal> {
    let bounded = &rest[..rest.len().min(MAX_LINE)];
    let Some(end) = bounded.iter().position(|byte| *byte == b'\n') else {
        return if bounded.len() == MAX_LINE { Err(Refusal::LongLine) } else { Ok(None) };
    };
    *used += end + 1;
    Ok(Some(rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end])))
}

/// `$<length>`, or `$EOF:<mark>`.
fn form(line: &[u8]) -> Result<Stage, Refusal> {
    let mark = |line: &[u8]| line.strip_prefix(b"$EOF:")?.try_into().ok().map(|mark| Stage::Marked(Box::new(Mark::new(mark))));
    let count = |line: &[u8]| parse_u64(line.strip_prefix(b"$")?).and_then(|length| RDB_LENGTH.take(length)).map(Stage::Counted);
    mark(line).or_else(|| count(line)).ok_or_else(|| refusal("PSYNC", line))
}

fn repl_id(text: &[u8]) -> Option<ReplId> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn refusal(request: &'static str, line: &[u8]) -> Refusal {
    const SHOWN: usize = 256;
    let reply = line[..line.len().min(SHOWN)].escape_ascii().to_string();
    if line.starts_with(b"-") { Refusal::Denied { request, reply } } else { Refusal::Misplaced { request, reply } }
}

/// The end of an RDB whose length nobody knew when it began. Looked for as Horspool does: mostly one byte in forty is looked at.
#[derive(Debug)]
struct Mark {
    bytes: [u8; MARK],
    /// By the byte under the mark's last place: how far the mark may move on.
    steps: [u8; 256],
}

/// Where a mark is.
enum Found {
    /// It begins here.
    At(usize),
    /// It does not begin among so many first bytes.
    NotIn(usize),
}

impl Mark {
    fn new(bytes: [u8; MARK]) -> Self {
        let mut steps = [MARK as u8; 256];
        for (at, byte) in bytes[..MARK - 1].iter().enumerate() {
            steps[usize::from(*byte)] = (MARK - 1 - at) as u8;
        }
        Self { bytes, steps }
    }

    fn find(&self, bytes: &[u8]) -> Found {
        let mut at = 0;
        while let Some(window) = bytes.get(at..at + MARK) {
            if window == self.bytes {
                return Found::At(at);
            }
            at += usize::from(self.steps[usize::from(window[MARK - 1])]);
        }
        Found::NotIn(bytes.len().saturating_sub(MARK - 1))
    }
}

#[cfg(test)]
mod tests;
