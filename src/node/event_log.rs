//! How replicas are named in the log.
//!
//! Owns: that name. Must not: change anything; the words of each change of the cluster are its own (cluster::change has them).
//! Contract: docs/operations.md, "What a failover says".

use crate::cluster::State;
use crate::session::Client;

/// A replica by where others reach it, as far as it said that, and as the member that announces that place.
pub(in crate::node) fn replica_named(state: &State, client: &Client) -> String {
    let profile = client.replica.as_ref().map(|replica| &replica.profile);
    let ip = profile.map(|profile| profile.ip.clone()).filter(|ip| !ip.is_empty()).unwrap_or_else(|| client.addr.ip().to_string());
    let Some(port) = profile.map(|profile| profile.port).filter(|port| *port > 0) else { return client.addr.to_string() };
    let member = state.members().find(|member| member.address.ip == ip && member.address.port == port);
    member.map_or_else(|| format!("{ip}:{port}"), |member| state.named(&member.id))
}
