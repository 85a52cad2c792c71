//! What operators read of the cluster's changes: who takes over from whom, and who has failed.
//!
//! Owns: these lines of the log, and how they name nodes. Must not: change anything. Contract: docs/operations.md, "What a failover says".

use crate::cluster::change::{Failover, NodeFail, NodeRecover};
use crate::cluster::{Change, FailoverKind, State};
use crate::node::Node;
use crate::session::Client;
use crate::store::Disk;
use crate::types::NodeId;

/// A node by its id and, if it is a member, by where clients reach it.
fn named(state: &State, id: &NodeId) -> String {
    state.member(id).map_or_else(|| id.to_string(), |member| format!("{id} ({}:{})", member.address.ip, member.address.port))
}

/// A replica by where others reach it, as far as it said that, and as the member that announces that place.
pub(in crate::node) fn replica_named(state: &State, client: &Client) -> String {
    let profile = client.replica.as_ref().map(|replica| &replica.profile);
    let ip = profile.map(|profile| profile.ip.clone()).filter(|ip| !ip.is_empty()).unwrap_or_else(|| client.addr.ip().to_string());
    let Some(port) = profile.map(|profile| profile.port).filter(|port| *port > 0) else { return client.addr.to_string() };
    let member = state.members().find(|member| member.address.ip == ip && member.address.port == port);
    member.map_or_else(|| format!("{ip}:{port}"), |member| named(state, &member.id))
}

impl<D: Disk> Node<D> {
    /// A node as the log names it.
    pub(in crate::node) fn named(&self, id: &NodeId) -> String {
        named(&self.metadata.state, id)
    }

    /// An entry with this change was applied.
    pub(in crate::node) fn chronicle(&self, change: &Change) {
        match change {
            Change::Failover(Failover { replica, primary, kind, .. }) => self.chronicle_failover(replica, primary, *kind),
            Change::NodeFail(NodeFail { id }) => log::warn!("{} is flagged as failed", self.named(id)),
            Change::NodeRecover(NodeRecover { id }) => log::info!("{} answers again: it is not flagged as failed any more", self.named(id)),
            _ => {}
        }
    }

    fn chronicle_failover(&self, replica: &NodeId, primary: &NodeId, kind: FailoverKind) {
        let told = match (*replica == self.me, *primary == self.me) {
            (true, _) => format!("This node takes over from {}", self.named(primary)),
            (_, true) => format!("{} takes over from this node, which becomes its replica", self.named(replica)),
            _ => format!("{} takes over from {}", self.named(replica), self.named(primary)),
        };
        match kind {
            FailoverKind::Auto => {
                log::warn!("{told}: automatic failover, for the primary has failed. Writes that the replica did not have are lost")
            }
            FailoverKind::Manual => log::info!("{told}: planned failover. The primary hands over all that it has"),
            FailoverKind::Force => {
                log::warn!(
                    "{told}: CLUSTER FAILOVER FORCE, which does without the primary's answer. Writes that the replica did not have are lost"
                );
            }
            FailoverKind::Takeover => log::warn!(
                "{told}: CLUSTER FAILOVER TAKEOVER, which waits for nothing. Writes that the replica did not have are lost, also those that the \
                 old primary goes on to acknowledge until it hears of this or its write lease ends"
            ),
        }
    }
}
