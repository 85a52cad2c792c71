//! The one gate for bus messages: nothing that promises more than is on disk gets through.
//!
//! Owns: frames on their way out of this turn, and the assertion. Must not: decide what is sent.
//! Contract: docs/protocol.md, "Commit".

use crate::cluster::Change;
use crate::node::io::sessions::Kind;
use crate::node::metadata::links::Links;
use crate::node::view::Effects;
use crate::raft::{Message, Needs, Outgoing, Route};
use crate::session::Batch;
use crate::store::Persisted;
use crate::types::{ConnId, Term};
use crate::wire::bus::{self, Frame, OLDEST_VERSION, Unsendable};

/// A link with this much unsent is closed: its peer does not read.
const MAX_UNSENT: usize = 64 << 20;

/// Frames without an order of their own (greetings, MEET and its answers, PROPOSE, REJECT); they leave after this turn's persist all the
/// same.
#[derive(Default)]
pub(in crate::node) struct Outbox {
    frames: Vec<(ConnId, Frame)>,
}

impl Outbox {
    pub fn push(&mut self, conn: ConnId, frame: Frame) {
        self.frames.push((conn, frame));
    }

    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}

impl Effects {
    /// Lets one of Raft's messages out, if its link is up.
    pub fn send(&mut self, links: &Links, receipt: &Persisted, outgoing: Outgoing<Change>) {
        let conn = match outgoing.route {
            Route::Answer(conn) => Some(conn),
            Route::Request(id) => links.up(&id),
        };
        if let Some(conn) = conn {
            self.let_out(receipt, &outgoing.needs, conn, &Frame::Raft(outgoing.message));
        }
    }

    /// Lets the outbox out. What it holds speaks of our term at most, so that is what it needs.
    pub fn send_outbox(&mut self, term: Term, receipt: &Persisted) {
        let needs = Needs { term, ..Needs::default() };
        for (conn, frame) in std::mem::take(&mut self.io.outbox.frames) {
            self.let_out(receipt, &needs, conn, &frame);
        }
    }

    fn let_out(&mut self, receipt: &Persisted, needs: &Needs, conn: ConnId, frame: &Frame) {
        assert!(receipt.covers(needs), "a message leaves only when what it promises is on disk: {needs:?} against {receipt:?}");
        let Some(session) = self.io.sessions.get_mut(conn).filter(|session| !session.closing) else { return };
        let peer = if let Kind::Bus(bus) = &session.kind { bus.peer.as_ref() } else { None };
        // Who has not greeted yet is sent our greeting, which all know.
        let version = peer.map_or(OLDEST_VERSION, |peer| peer.version);
        match bus::encode(frame, version, session.transmit.end()) {
            Ok(()) => {}
            Err(error @ Unsendable::Unknown { .. }) => return log::debug!("not sent: {error}"),
            Err(error @ Unsendable::TooLong(_)) => return log::error!("not sent: {error}"),
        }
        let unsent = session.transmit.len();
        self.count_sent(frame);
        if unsent > MAX_UNSENT {
            self.io.bus_stats.buffer_limit_exceeded += 1;
            log::warn!("closing a bus link with {unsent} bytes that its peer does not read");
            return self.close(conn);
        }
        self.io.sessions.queue_output(conn);
    }

    /// Lets frames of PUBLISH out, written once for all links. They promise nothing.
    pub fn let_out_published(&mut self, _receipt: &Persisted, conn: ConnId, batch: &Batch) {
        let Some(session) = self.io.sessions.get_mut(conn).filter(|session| !session.closing) else { return };
        session.transmit.end().extend_from_slice(&batch.bytes);
        *self.io.bus_stats.sent.entry("publish").or_default() += batch.frames;
        self.io.sessions.queue_output(conn);
    }

    fn count_sent(&mut self, frame: &Frame) {
        *self.io.bus_stats.sent.entry(frame.stats_name()).or_default() += 1;
        self.io.bus_stats.snapshots_sent += u64::from(matches!(frame, Frame::Raft(Message::InstallSnapshot(_))));
    }
}
