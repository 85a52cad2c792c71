//! A frame's bytes, written straight to the end of a transmit buffer.
//!
//! Owns: the text of every message. Must not: allocate for a heartbeat or its answer. Contract: docs/protocol.md, "Wire format".

use super::{
    Ended, Finding, Frame, FrameTooLong, Greeting, HEADER, MAGIC, MAX_ENTRIES, MAX_FRAME, MAX_REASON, OLDEST_VERSION, RejectReason,
    Unsendable,
};
use crate::cluster::{Change, ClusterEntry, LeaderRequest, format_entry};
use crate::raft::message::{Append, AppendAck, InstallSnapshot, Vote, VoteRequest};
use crate::raft::{Message, Token};
use crate::types::{Extent, NodeId};
use crate::wire::number::push_u64;
use std::io::Write;

/// Appends one frame for a peer that has announced this protocol version \[N26 mixed-versions\].
///
/// # Errors
/// [`Unsendable`], with `out` as it was: the peer would not know it, or no node would take it. Only a snapshot of a cluster with thousands
/// of members that all announce very much about themselves can get so long.
pub fn encode(frame: &Frame, version: u32, out: &mut Vec<u8>) -> Result<(), Unsendable> {
    if frame.since() > version {
        return Err(Unsendable::Unknown { name: frame.stats_name(), version });
    }
    Ok(framed(out, |out| payload(frame, version, out))?)
}

/// Appends a `PUBLISH`, as [`encode`] does, from borrowed bytes.
pub fn encode_publish(sharded: bool, channel: &[u8], message: &[u8], out: &mut Vec<u8>) -> Result<(), FrameTooLong> {
    framed(out, |out| publish(sharded, channel, message, out))
}

fn framed(out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) -> Result<(), FrameTooLong> {
    let start = out.len();
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[0; 4]);
    payload(out);
    let length = out.len() - start;
    if length > MAX_FRAME {
        out.truncate(start);
        return Err(FrameTooLong { length });
    }
    out[start + MAGIC.len()..start + HEADER].copy_from_slice(&(length as u32).to_be_bytes());
    Ok(())
}

fn payload(frame: &Frame, version: u32, out: &mut Vec<u8>) {
    match frame {
        Frame::Hello(greeting) => greet("HELLO", greeting, out),
        Frame::Hi(greeting) => greet("HI", greeting, out),
        Frame::Meet { singleton } => words(&["MEET", if *singleton { "singleton" } else { "cluster" }], out),
        Frame::AddMe { join_nonce } => Line::new(out, "ADD_ME").optional(*join_nonce).end(),
        Frame::Welcome => words(&["WELCOME"], out),
        Frame::MeetRejected { reason } => {
            out.extend_from_slice(b"MEET_REJECTED ");
            push_reason(reason, out);
            out.push(b'\n');
        }
        Frame::Forgotten { last_term, last_index, join_nonce } => {
            Line::new(out, "FORGOTTEN").number(*last_term).number(*last_index).or_none(*join_nonce).end();
        }
        Frame::Raft(message) => raft(message, out),
        Frame::Propose(entry) => {
            words(&["PROPOSE"], out);
            lines(std::slice::from_ref(entry), out);
        }
        Frame::Reject { reason, entry } => {
            rejection(Line::new(out, "REJECT"), *reason).end();
            lines(std::slice::from_ref(entry), out);
        }
        Frame::LeaderRequest(asked) => leader_request(Line::new(out, "WISH"), asked).end(),
        Frame::LeaderRequestRefused { reason, request: asked } => {
            rejection(leader_request(Line::new(out, "WISH_REFUSED"), asked), *reason).end()
        }
        Frame::TransferLeader { term } => Line::new(out, "TRANSFER_LEADER").number(*term).end(),
        Frame::Probe { id, number } => Line::new(out, "PROBE").id(id).number(*number).end(),
        Frame::Probed { id, number, finding } => found(Line::new(out, "PROBED").id(id).number(*number), *finding, version).end(),
        Frame::Closing => words(&["CLOSING"], out),
        Frame::FailoverPrepare { pause, number } => Line::new(out, "FAILOVER_PREPARE").number(*pause).number(*number).end(),
        Frame::FailoverDone { has } => Line::new(out, "FAILOVER_DONE").extent(*has).end(),
        Frame::FailoverOffset { end, number } => Line::new(out, "FAILOVER_OFFSET").extent(*end).number(*number).end(),
        Frame::ReplOffsets(offsets) => {
            let line = Line::new(out, "REPL_OFFSETS");
            offsets.iter().fold(line, |line, (id, offset)| line.id(id).number(*offset)).end();
        }
        Frame::ClockOff { slow, millionths } => {
            Line::new(out, "CLOCK_OFF").word(if *slow { "slow" } else { "fast" }).number(*millionths).end();
        }
        Frame::Publish { sharded, channel, message } => publish(*sharded, channel, message, out),
    }
}

fn raft(message: &Message<Change>, out: &mut Vec<u8>) {
    match message {
        Message::Append(append) => entries(append, out),
        Message::AppendAck(ack) => acknowledge(ack, out),
        Message::VoteRequest(request) => ask(request, out),
        Message::Vote(vote) => answer(vote, out),
        Message::InstallSnapshot(snapshot) => install(snapshot, out),
        Message::TimeoutNow { term } => Line::new(out, "TIMEOUT_NOW").number(*term).end(),
    }
}

/// A first line that takes its fields one by one.
struct Line<'a>(&'a mut Vec<u8>);

impl<'a> Line<'a> {
    fn new(out: &'a mut Vec<u8>, name: &str) -> Self {
        out.extend_from_slice(name.as_bytes());
        Self(out)
    }

    fn number(self, n: u64) -> Self {
        self.0.push(b' ');
        push_u64(self.0, n);
        self
    }

    fn extent(self, Extent { reign, offset }: Extent) -> Self {
        self.number(reign).number(offset)
    }

    /// A last field that may be left out.
    fn optional(self, n: Option<u64>) -> Self {
        match n {
            Some(n) => self.number(n),
            None => self,
        }
    }

    fn or_none(self, n: Option<u64>) -> Self {
        match n {
            Some(n) => self.number(n),
            None => self.word("-"),
        }
    }

    /// One more in a list.
    fn and(self, value: impl std::fmt::Display) -> Self {
        write!(self.0, ",{value}").expect("writing to a Vec never fails");
        self
    }

    fn flag(self, set: bool) -> Self {
        self.word(if set { "1" } else { "0" })
    }

    fn word(self, word: &str) -> Self {
        self.0.push(b' ');
        self.0.extend_from_slice(word.as_bytes());
        self
    }

    fn shown(self, value: impl std::fmt::Display) -> Self {
        write!(self.0, " {value}").expect("writing to a Vec never fails");
        self
    }

    fn id(self, id: &NodeId) -> Self {
        self.shown(id)
    }

    /// Nonce and clock; `-` for both while there is no token.
    fn token(self, token: Token) -> Self {
        match token.nonce {
            0 => self.word("- -"),
            nonce => self.number(nonce).number(token.clock),
        }
    }

    fn end(self) {
        self.0.push(b'\n');
    }
}

fn words(words: &[&str], out: &mut Vec<u8>) {
    let [name, rest @ ..] = words else { return };
    rest.iter().fold(Line::new(out, name), |line, word| line.word(word)).end();
}

fn greet(name: &str, greeting: &Greeting, out: &mut Vec<u8>) {
    let Greeting { id, address, cluster, version, join_nonce, ancestors, process } = greeting;
    let line = Line::new(out, name).id(id).shown(address).shown(cluster).number(u64::from(*version)).or_none(*join_nonce);
    let line = match ancestors.split_first() {
        None => line.word("-"),
        Some((oldest, others)) => others.iter().fold(line.shown(oldest), Line::and),
    };
    line.optional(*process).end();
}

/// `AE leader term prev-index prev-term quorum commit count round nonce clock lease`, then a line for each entry.
fn entries(append: &Append<Change>, out: &mut Vec<u8>) {
    let Append { leader, term, prev_index, prev_term, quorum, commit, round, token, lease, entries } = append;
    assert!(entries.len() <= MAX_ENTRIES, "Raft's batches hold fewer entries than any node takes at once");
    Line::new(out, "AE")
        .id(leader)
        .number(*term)
        .number(*prev_index)
        .number(*prev_term)
        .number(*quorum)
        .number(*commit)
        .number(entries.len() as u64)
        .number(*round)
        .token(*token)
        .number(*lease)
        .end();
    lines(entries, out);
}

/// `AE_ACK term ok index last-index round reign repl-offset nonce clock`.
fn acknowledge(ack: &AppendAck, out: &mut Vec<u8>) {
    let AppendAck { term, ok, index, last_index, round, extent, token } = *ack;
    Line::new(out, "AE_ACK").number(term).flag(ok).number(index).number(last_index).number(round).extent(extent).token(token).end();
}

/// `PRE_VOTE_REQ|VOTE_REQ candidate term last-index last-term round [transfer]`.
fn ask(request: &VoteRequest, out: &mut Vec<u8>) {
    let VoteRequest { pre, candidate, term, last_index, last_term, round, transfer } = request;
    let line = Line::new(out, if *pre { "PRE_VOTE_REQ" } else { "VOTE_REQ" })
        .id(candidate)
        .number(*term)
        .number(*last_index)
        .number(*last_term)
        .number(*round);
    if *transfer { line.word("transfer").end() } else { line.end() }
}

/// `PRE_VOTE|VOTE term granted round id=age,...|-`.
fn answer(vote: &Vote, out: &mut Vec<u8>) {
    let Vote { pre, term, granted, round, ages } = vote;
    let line = Line::new(out, if *pre { "PRE_VOTE" } else { "VOTE" }).number(*term).flag(*granted).number(*round);
    match ages.split_first() {
        None => line.word("-").end(),
        Some(((id, age), others)) => {
            let line = line.shown(format_args!("{id}={age}"));
            others.iter().fold(line, |line, (id, age)| line.and(format_args!("{id}={age}"))).end();
        }
    }
}

/// `INSTALL_SNAPSHOT leader term last-index last-term round bytes crc32`, then the snapshot's text.
fn install(snapshot: &InstallSnapshot, out: &mut Vec<u8>) {
    let InstallSnapshot { leader, term, last_index, last_term, round, bytes } = snapshot;
    Line::new(out, "INSTALL_SNAPSHOT")
        .id(leader)
        .number(*term)
        .number(*last_index)
        .number(*last_term)
        .number(*round)
        .number(bytes.len() as u64)
        .shown(format_args!("{:08x}", crc32fast::hash(bytes)))
        .end();
    out.extend_from_slice(bytes);
}

/// `PUBLISH sharded channel-length message-length`, then the bytes of both.
fn publish(sharded: bool, channel: &[u8], message: &[u8], out: &mut Vec<u8>) {
    Line::new(out, "PUBLISH").flag(sharded).number(channel.len() as u64).number(message.len() as u64).end();
    out.extend_from_slice(channel);
    out.extend_from_slice(message);
}

/// `conflict|rejected [code]|not-leader|busy`.
fn rejection(line: Line<'_>, reason: RejectReason) -> Line<'_> {
    match reason {
        RejectReason::Conflict => line.word("conflict"),
        RejectReason::Rejected(None) => line.word("rejected"),
        RejectReason::Rejected(Some(why)) => line.word("rejected").word(why.code()),
        RejectReason::NotLeader => line.word("not-leader"),
        RejectReason::Busy => line.word("busy"),
    }
}

/// `dead process age stream|link`, `alive` or `unknown`, as far as a peer of this version knows that.
fn found(line: Line<'_>, finding: Finding, version: u32) -> Line<'_> {
    match finding {
        Finding::Dead(Some(Ended { process, age, of_stream })) if version > OLDEST_VERSION => {
            line.word("dead").number(process).number(age).word(if of_stream { "stream" } else { "link" })
        }
        Finding::Dead(_) => line.word("dead"),
        Finding::Alive if version > OLDEST_VERSION => line.word("alive"),
        Finding::Alive | Finding::Unknown => line.word("unknown"),
    }
}

/// `FORGET|ADDVOTER|DELVOTER id join-nonce|-`.
fn leader_request<'a>(line: Line<'a>, request: &LeaderRequest) -> Line<'a> {
    line.word(request.kind.name()).id(&request.id).or_none(request.join_nonce)
}

/// Every entry on a line of its own. One buffer serves them all; a heartbeat has none.
fn lines(entries: &[ClusterEntry], out: &mut Vec<u8>) {
    let mut text = String::new();
    for entry in entries {
        text.clear();
        format_entry(entry, &mut text);
        out.extend_from_slice(text.as_bytes());
        out.push(b'\n');
    }
}

/// Printable ASCII of bounded length, `-` if there is none: it ends up in logs and error replies.
fn push_reason(reason: &str, out: &mut Vec<u8>) {
    if reason.is_empty() {
        out.push(b'-');
    }
    let printable = |c: char| if c == ' ' || c.is_ascii_graphic() { c as u8 } else { b'?' };
    out.extend(reason.chars().take(MAX_REASON).map(printable));
}
