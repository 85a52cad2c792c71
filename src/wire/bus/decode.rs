//! A frame out of bytes that anybody may have sent.
//!
//! Owns: every check that a frame's text can fail. Must not: panic on any bytes, or hold more than the frame's own bounds allow.
//! Contract: docs/protocol.md, "Wire format".

use super::fields::{Fields, number};
use super::{Ended, Finding, Frame, FrameError, Greeting, HEADER, MAGIC, MAX_FRAME, MAX_REASON, RefusedAppend, RejectReason};
use crate::channel;
use crate::cluster::{
    Change, ClusterEntry, EntryError, LeaderRequest, LeaderRequestKind, MAX_ANCESTORS, MAX_MEMBERS, Outcome, parse_entry,
};
use crate::raft::message::{Append, AppendAck, InstallSnapshot, Vote, VoteRequest};
use crate::raft::{Body, Message};
use crate::types::numbers::{self, LEASE};
use crate::types::{ClusterId, Millis, NodeId};

/// The frame at the start of `buf` and how many bytes it takes, or `None` while it is not there as a whole.
/// One that is no frame, or too long, is refused as soon as its header shows it.
pub fn decode(buf: &[u8]) -> Result<Option<(Frame, usize)>, FrameError> {
    let begun = buf.len().min(MAGIC.len());
    if buf[..begun] != MAGIC[..begun] {
        return Err(FrameError::Magic);
    }
    let Some(&[_, _, _, _, a, b, c, d]) = buf.first_chunk::<HEADER>() else { return Ok(None) };
    if buf.starts_with(channel::MAGIC) {
        return Err(FrameError::SecretWanted);
    }
    let announced = u32::from_be_bytes([a, b, c, d]);
    let length = announced as usize;
    if !(HEADER..=MAX_FRAME).contains(&length) {
        return Err(FrameError::Length(announced));
    }
    let Some(payload) = buf.get(HEADER..length) else { return Ok(None) };
    let (line, body) = match payload.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&payload[..at], &payload[at + 1..]),
        None => (payload, &[][..]),
    };
    message(Fields::new(line)?, body, length).map(|frame| Some((frame, length)))
}

/// Reads a frame by its first line and what follows that.
fn message(mut line: Fields<'_>, body: &[u8], used: usize) -> Result<Frame, FrameError> {
    Ok(match line.message() {
        "AE" => Frame::Raft(Message::Append(append(line, body, used)?)),
        "INSTALL_SNAPSHOT" => Frame::Raft(Message::InstallSnapshot(snapshot(line, body)?)),
        "PUBLISH" => publish(line, body)?,
        "PROPOSE" => Frame::Propose(one_entry(&line, body, used)?),
        "REJECT" => Frame::Reject { reason: reject_reason(&mut line)?, entry: one_entry(&line, body, used)? },
        _ if !body.is_empty() => return Err(line.malformed("more lines than the message has")),
        _ => single_line(line)?,
    })
}

fn single_line(mut line: Fields<'_>) -> Result<Frame, FrameError> {
    Ok(match line.message() {
        "HELLO" => Frame::Hello(greeting(line)?),
        "HI" => Frame::Hi(greeting(line)?),
        "MEET" => Frame::Meet { singleton: line.choice("formation", "cluster", "singleton")? },
        "ADD_ME" => Frame::AddMe { join_nonce: line.optional_number(&numbers::JOIN_NONCE)? },
        "WELCOME" => Frame::Welcome,
        "MEET_REJECTED" => Frame::MeetRejected { reason: meet_reason(&line)? },
        "FORGOTTEN" => Frame::Forgotten {
            last_term: line.number(&numbers::LAST_TERM)?,
            last_index: line.number(&numbers::LAST_INDEX)?,
            join_nonce: line.number_or_none(&numbers::JOIN_NONCE)?,
        },
        "AE_ACK" => Frame::Raft(Message::AppendAck(append_ack(line)?)),
        "PRE_VOTE_REQ" => Frame::Raft(Message::VoteRequest(vote_request(line, true)?)),
        "VOTE_REQ" => Frame::Raft(Message::VoteRequest(vote_request(line, false)?)),
        "PRE_VOTE" => Frame::Raft(Message::Vote(vote(line, true)?)),
        "VOTE" => Frame::Raft(Message::Vote(vote(line, false)?)),
        "TIMEOUT_NOW" => Frame::Raft(Message::TimeoutNow { term: line.number(&numbers::TERM)? }),
        "WISH" => Frame::LeaderRequest(leader_request(&mut line)?),
        "WISH_REFUSED" => {
            let request = leader_request(&mut line)?;
            Frame::LeaderRequestRefused { reason: reject_reason(&mut line)?, request }
        }
        "TRANSFER_LEADER" => Frame::TransferLeader { term: line.number(&numbers::TERM)? },
        "PROBE" => Frame::Probe { id: line.parse("id")?, number: line.number(&numbers::NUMBER)? },
        "PROBED" => Frame::Probed { id: line.parse("id")?, number: line.number(&numbers::NUMBER)?, finding: finding(&mut line)? },
        "CLOSING" => Frame::Closing,
        "FAILOVER_PREPARE" => Frame::FailoverPrepare { pause: line.number(&numbers::PAUSE)?, number: line.number(&numbers::NUMBER)? },
        "FAILOVER_DONE" => Frame::FailoverDone { has: line.extent()? },
        "FAILOVER_OFFSET" => Frame::FailoverOffset { end: line.extent()?, number: line.number(&numbers::NUMBER)? },
        "CLOCK_OFF" => Frame::ClockOff { slow: line.choice("direction", "fast", "slow")?, millionths: line.number(&numbers::MILLIONTHS)? },
        "REPL_OFFSETS" => Frame::ReplOffsets(offsets(line)?),
        _ => return Err(line.unknown()),
    })
}

fn greeting(mut line: Fields<'_>) -> Result<Greeting, FrameError> {
    Ok(Greeting {
        id: line.parse("id")?,
        address: line.parse("address")?,
        cluster: line.parse("cluster id")?,
        version: u32::try_from(line.number(&numbers::VERSION)?).map_err(|_| line.malformed("protocol version"))?,
        join_nonce: line.number_or_none(&numbers::JOIN_NONCE)?,
        ancestors: ancestors(&mut line)?,
        process: line.optional_nonce("process")?,
    })
}

fn finding(line: &mut Fields<'_>) -> Result<Finding, FrameError> {
    match line.text("finding")? {
        "dead" => Ok(Finding::Dead(match line.optional_nonce("process")? {
            Some(process) => Some(Ended { process, age: line.number(&numbers::AGE)?, of_stream: of_stream(line)? }),
            None => None,
        })),
        "alive" => Ok(Finding::Alive),
        "unknown" => Ok(Finding::Unknown),
        _ => Err(line.malformed("finding")),
    }
}

fn of_stream(line: &mut Fields<'_>) -> Result<bool, FrameError> {
    match line.text("connection")? {
        "stream" => Ok(true),
        "link" => Ok(false),
        _ => Err(line.malformed("connection")),
    }
}

fn ancestors(line: &mut Fields<'_>) -> Result<Vec<ClusterId>, FrameError> {
    let listed = line.text("ancestors")?;
    if listed == "-" {
        return Ok(Vec::new());
    }
    let ids: Result<Vec<ClusterId>, _> = listed.split(',').take(MAX_ANCESTORS + 1).map(str::parse).collect();
    ids.ok().filter(|ids| ids.len() <= MAX_ANCESTORS).ok_or_else(|| line.malformed("ancestors"))
}

/// The rest of the line, which people will read.
fn meet_reason(line: &Fields<'_>) -> Result<String, FrameError> {
    let reason = line.rest();
    let printable = reason.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if reason.is_empty() || reason.len() > MAX_REASON || !printable {
        return Err(line.malformed("reason"));
    }
    Ok(if reason == "-" { String::new() } else { reason.to_owned() })
}

fn append(mut line: Fields<'_>, body: &[u8], used: usize) -> Result<Append<Change>, FrameError> {
    let (leader, term, prev_index) = (line.parse("leader")?, line.number(&numbers::TERM)?, line.number(&numbers::PREV_INDEX)?);
    let (prev_term, quorum, commit) = (line.number(&numbers::PREV_TERM)?, line.number(&numbers::QUORUM)?, line.number(&numbers::COMMIT)?);
    let (count, round, token, lease) =
        (line.number(&numbers::COUNT)?, line.number(&numbers::ROUND)?, line.token()?, line.number(&numbers::LEASE)?);
    let refused = RefusedAppend { leader, term, prev_index, round };
    let entries = entries(&line, body, count, refused, used)?;
    Ok(Append { leader, term, prev_index, prev_term, quorum, commit, round, token, lease, entries })
}

fn append_ack(mut line: Fields<'_>) -> Result<AppendAck, FrameError> {
    Ok(AppendAck {
        term: line.number(&numbers::TERM)?,
        ok: line.choice("ok", "0", "1")?,
        index: line.number(&numbers::INDEX)?,
        last_index: line.number(&numbers::LAST_INDEX)?,
        round: line.number(&numbers::ROUND)?,
        extent: line.extent()?,
        token: line.token()?,
    })
}

fn vote_request(mut line: Fields<'_>, pre: bool) -> Result<VoteRequest, FrameError> {
    Ok(VoteRequest {
        pre,
        candidate: line.parse("candidate")?,
        term: line.number(&numbers::TERM)?,
        last_index: line.number(&numbers::LAST_INDEX)?,
        last_term: line.number(&numbers::LAST_TERM)?,
        round: line.number(&numbers::ROUND)?,
        transfer: line.next() == Some("transfer"),
    })
}

fn vote(mut line: Fields<'_>, pre: bool) -> Result<Vote, FrameError> {
    let (term, granted, round) = (line.number(&numbers::TERM)?, line.choice("granted", "0", "1")?, line.number(&numbers::ROUND)?);
    Ok(Vote { pre, term, granted, round, ages: ages(&mut line)? })
}

/// Ids with milliseconds: who was heard how long ago.
fn ages(line: &mut Fields<'_>) -> Result<Vec<(NodeId, Millis)>, FrameError> {
    let listed = line.text("ages")?;
    if listed == "-" {
        return Ok(Vec::new());
    }
    let age = |pair: &str| {
        let (id, age) = pair.split_once('=')?;
        Some((id.parse().ok()?, number(age, &numbers::AGE)?))
    };
    let ages: Option<Vec<(NodeId, Millis)>> = listed.split(',').take(MAX_MEMBERS + 1).map(age).collect();
    ages.filter(|ages| ages.len() <= MAX_MEMBERS).ok_or_else(|| line.malformed("ages"))
}

fn snapshot(mut line: Fields<'_>, body: &[u8]) -> Result<InstallSnapshot, FrameError> {
    let (leader, term) = (line.parse("leader")?, line.number(&numbers::TERM)?);
    let (last_index, last_term, round) =
        (line.number(&numbers::SNAPSHOT_INDEX)?, line.number(&numbers::LAST_TERM)?, line.number(&numbers::ROUND)?);
    if line.number(&numbers::BYTES)? != body.len() as u64 {
        return Err(line.malformed("bytes"));
    }
    if line.checksum("crc32")? != crc32fast::hash(body) {
        return Err(FrameError::Checksum);
    }
    Ok(InstallSnapshot { leader, term, last_index, last_term, round, bytes: body.to_vec() })
}

/// The two lengths are those of what follows, to the byte.
fn publish(mut line: Fields<'_>, body: &[u8]) -> Result<Frame, FrameError> {
    let sharded = line.choice("sharded", "0", "1")?;
    let (channel, message) = (line.number(&numbers::CHANNEL_LENGTH)?, line.number(&numbers::MESSAGE_LENGTH)?);
    // Both are below 2^63, so their sum does not overflow.
    if channel + message != body.len() as u64 {
        return Err(line.malformed("lengths"));
    }
    let (channel, message) = body.split_at(channel as usize);
    Ok(Frame::Publish { sharded, channel: channel.to_vec(), message: message.to_vec() })
}

/// A reason of a newer leader is a rejection without a reason that we know.
fn reject_reason(line: &mut Fields<'_>) -> Result<RejectReason, FrameError> {
    Ok(match line.text("reason")? {
        "conflict" => RejectReason::Conflict,
        "not-leader" => RejectReason::NotLeader,
        "busy" => RejectReason::Busy,
        "rejected" => RejectReason::Rejected(match line.next().and_then(Outcome::from_code) {
            Some(Outcome::Rejected(why)) => Some(why),
            _ => None,
        }),
        _ => return Err(line.malformed("reason")),
    })
}

fn leader_request(line: &mut Fields<'_>) -> Result<LeaderRequest, FrameError> {
    let name = line.text("wish")?;
    let kind = LeaderRequestKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| line.malformed("wish"))?;
    Ok(LeaderRequest { kind, id: line.parse("id")?, join_nonce: line.number_or_none(&numbers::JOIN_NONCE)? })
}

/// No more members than a cluster takes.
fn offsets(mut line: Fields<'_>) -> Result<Vec<(NodeId, u64)>, FrameError> {
    let mut offsets = Vec::new();
    while !line.rest().is_empty() {
        if offsets.len() == MAX_MEMBERS {
            return Err(line.malformed("too many members"));
        }
        offsets.push((line.parse("id")?, line.number(&numbers::OFFSET)?));
    }
    Ok(offsets)
}

/// As many entries as announced, a line each.
fn entries(line: &Fields<'_>, body: &[u8], count: u64, refused: RefusedAppend, used: usize) -> Result<Vec<ClusterEntry>, FrameError> {
    let mut unknown = None;
    let mut entries = Vec::new();
    let mut rest = text(line, body)?;
    for _ in 0..count {
        let (entry, after) = rest.split_once('\n').unwrap_or((rest, ""));
        rest = after;
        match parse_entry(entry) {
            Ok(ClusterEntry { body: Body::Noop { lease }, .. }) if LEASE.take(lease).is_none() => return Err(line.malformed(LEASE.name)),
            Ok(entry) => entries.push(entry),
            Err(EntryError::Malformed(what)) => return Err(line.malformed(what)),
            // Read on: what is malformed further down outweighs it.
            Err(EntryError::UnknownType(kind)) => unknown = unknown.or(Some(kind)),
        }
    }
    if !rest.is_empty() {
        return Err(line.malformed("more entries than announced"));
    }
    match unknown {
        Some(kind) => Err(FrameError::UnknownEntry { kind, append: Some(refused), used }),
        None => Ok(entries),
    }
}

/// The only line of `body`; its end may be missing.
fn one_entry(line: &Fields<'_>, body: &[u8], used: usize) -> Result<ClusterEntry, FrameError> {
    let text = text(line, body)?;
    parse_entry(text.strip_suffix('\n').unwrap_or(text)).map_err(|error| match error {
        EntryError::Malformed(what) => line.malformed(what),
        EntryError::UnknownType(kind) => FrameError::UnknownEntry { kind, append: None, used },
    })
}

fn text<'a>(line: &Fields<'_>, body: &'a [u8]) -> Result<&'a str, FrameError> {
    str::from_utf8(body).map_err(|_| line.malformed("not text"))
}
