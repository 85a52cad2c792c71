//! The state as text: the snapshot section of nodes.conf, which INSTALL_SNAPSHOT carries too.
//!
//! Owns: writing node lines, the vars line and the proposer lines. Must not: touch the log tail, checksums or a joiner's own line (the
//! store's).
//! Contract: docs/nodes-conf.md. Reading it back is `restore`.

use super::address::Address;
use super::fields::write_id;
use super::line::NodeLine;
use super::state::{Member, State};
use crate::types::{LogIndex, NodeId, SlotRange, Term};
use std::fmt::{Display, Write};

/// What a file says about the node whose file it is; never part of what goes over the bus.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Own {
    /// `myself`.
    pub me: NodeId,
    /// Its count of loads.
    pub incarnation: u64,
    /// `currentTerm`.
    pub term: Term,
    /// `votedFor`.
    pub voted_for: Option<NodeId>,
}

impl State {
    /// Appends node lines, the vars line and proposer lines. `own` in a file, none on the bus.
    pub fn write_snapshot(&self, own: Option<&Own>, out: &mut String) {
        let slots = self.slots_by_owner();
        for member in self.members() {
            let ranges = slots.get(&member.id).map_or(&[][..], Vec::as_slice);
            write_member(member, own.is_some_and(|own| own.me == member.id), self.epoch(&member.shard), ranges, out);
        }
        // `myself` always has a line, or an emptied file could pass for a fresh one.
        if let Some(own) = own.filter(|own| self.member(&own.me).is_none()) {
            write_outsider(&own.me, out);
        }
        self.write_vars(own, out);
        self.write_proposals(out);
    }

    fn write_vars(&self, own: Option<&Own>, out: &mut String) {
        // Writing to a String never fails.
        let _ = write!(out, "vars cluster {}", self.cluster);
        if let Some(own) = own {
            let _ = write!(out, " incarnation {} currentTerm {} votedFor ", own.incarnation, own.term);
            write_id(own.voted_for.as_ref(), out);
        }
        let _ = write!(out, " lastApplied {} snapshotTerm {} maxLease {}", self.last_applied, self.last_term, self.max_lease);
        out.push_str(" voters ");
        write_ids(self.voters.iter(), out);
        out.push_str(" demoted ");
        write_ids(self.demoted.iter(), out);
        if !self.ancestors.is_empty() {
            out.push_str(" ancestors ");
            write_ids(self.ancestors.iter(), out);
        }
        out.push('\n');
    }

    fn write_proposals(&self, out: &mut String) {
        for (proposer, table) in &self.proposals {
            let _ = write!(out, "proposer {proposer} {} {}", table.incarnation, table.lowest);
            for (n, outcome) in &table.outcomes {
                let _ = write!(out, " {n}:{}", outcome.code());
            }
            out.push('\n');
        }
    }
}

fn write_member(member: &Member, myself: bool, epoch: LogIndex, ranges: &[SlotRange], out: &mut String) {
    let mut address = member.address.clone();
    address.set_shard_id(member.shard);
    let flags = [
        ("myself", myself),
        ("master", member.is_primary()),
        ("slave", !member.is_primary()),
        ("fail", member.failed),
        ("nofailover", member.nofailover),
    ];
    let primary = member.primary.as_ref();
    NodeLine { id: &member.id, address, flags: &flags, primary, epoch, connected: !member.failed, ranges }.write(out);
}

/// The line of a node that is no member (yet): it says who, and nothing of the state.
fn write_outsider(me: &NodeId, out: &mut String) {
    let flags = [("myself", true), ("handshake", true)];
    NodeLine { id: me, address: Address::default(), flags: &flags, primary: None, epoch: 0, connected: false, ranges: &[] }.write(out);
}

/// `a,b`, or `-` for none.
fn write_ids(ids: impl ExactSizeIterator<Item = impl Display>, out: &mut String) {
    if ids.len() == 0 {
        out.push('-');
    }
    for (place, id) in ids.enumerate() {
        let _ = write!(out, "{}{id}", if place > 0 { "," } else { "" });
    }
}
