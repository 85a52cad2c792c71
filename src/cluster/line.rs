//! One node as one line, in the layout that operators and tools of Redis and Valkey know: for nodes.conf, INSTALL_SNAPSHOT and CLUSTER
//! NODES alike.
//!
//! Owns: the order of the fields. Must not: decide what is shown. Contract: docs/nodes-conf.md.

use super::fields::{write_id, write_ranges};
use crate::types::{LogIndex, NodeId, SlotRange};
use std::fmt::{Display, Write};

/// What stands in a line: `<id> <address> <flags> <primary|-> 0 0 <epoch> <link-state> <range>...`.
pub(super) struct NodeLine<'a, A> {
    pub id: &'a NodeId,
    pub address: A,
    /// Those that are set, in this order; there is always one.
    pub flags: &'a [(&'static str, bool)],
    pub primary: Option<&'a NodeId>,
    pub epoch: LogIndex,
    pub connected: bool,
    pub ranges: &'a [SlotRange],
}

impl<A: Display> NodeLine<'_, A> {
    pub fn write(&self, out: &mut String) {
        // Writing to a String never fails.
        let _ = write!(out, "{} {}", self.id, self.address);
        let mut separator = ' ';
        for (name, _) in self.flags.iter().filter(|(_, set)| *set) {
            out.push(separator);
            out.push_str(name);
            separator = ',';
        }
        out.push(' ');
        write_id(self.primary, out);
        let _ = write!(out, " 0 0 {} {}", self.epoch, if self.connected { "connected" } else { "disconnected" });
        write_ranges(self.ranges, out);
        out.push('\n');
    }
}
