//! The replicas of this node as commands show them.
//!
//! Owns: what is shown of each. Must not: judge or feed them.

use super::context::Context;
use crate::replication::Profile;
use crate::session::Client;
use crate::types::{Millis, NodeId};
use std::collections::BTreeMap;

/// A replica as ROLE and INFO show it.
pub struct Shown {
    pub ip: String,
    pub port: u16,
    /// Which member it is, if it has said so.
    pub node: Option<NodeId>,
    pub state: &'static str,
    pub online: bool,
    pub acked: u64,
    pub heard: Millis,
}

/// The replicas in the order in which they came.
pub fn replicas(ctx: &Context<'_>) -> Vec<Shown> {
    let mut shown = BTreeMap::new();
    let mut look = |client: &Client| {
        let Some(replica) = client.replica.as_ref().filter(|replica| replica.has_asked()) else { return };
        let Profile { ip, port, node, is_member, .. } = &replica.profile;
        let ip = if ip.is_empty() { client.addr.ip().to_string() } else { ip.clone() };
        let (state, online) = (replica.state(), replica.is_online());
        shown.insert(
            client.id,
            Shown { ip, port: *port, node: node.filter(|_| *is_member), state, online, acked: replica.acked, heard: replica.heard },
        );
    };
    ctx.clients.visit_others(&mut |client, _| look(client));
    look(ctx.client);
    shown.into_values().collect()
}
