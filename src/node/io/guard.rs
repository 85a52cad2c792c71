//! Who is turned away from the bus, and from the links between nodes: who does not know the cluster's secret and, as long as there is none,
//! who comes from another host.
//!
//! Owns: that rule, how many it was, and what the log says of it now and then. Must not: know what a channel is made of (the shell speaks
//! it). Contract: docs/security.md.

use crate::channel::Fault;
use crate::cluster::State;
use crate::config::Config;
use crate::node::io::Io;
use crate::node::io::sessions::{BusEnd, Kind};
use crate::types::{ConnId, Millis, NodeId, Now};
use std::net::IpAddr;

/// The log is told so often at most, of each of these.
const SAID_EVERY: Millis = 10_000;
/// And reminded so often that anybody may come.
const REMINDED_EVERY: Millis = 60_000;
/// Why a node without a secret has no link with another host.
pub(in crate::node) const NO_SECRET: &str = "nodes of other hosts are not linked with while there is no cluster secret: set \
'cluster-secret-file' on every node (docs/security.md)";

/// What may be said again, and how often it was not.
#[derive(Default)]
struct Said {
    again: Millis,
    kept_back: u64,
}

impl Said {
    /// What to say now, if anything.
    fn or_not(&mut self, text: &str, now: Now) -> Option<String> {
        if now.mono < self.again {
            self.kept_back += 1;
            return None;
        }
        self.again = now.mono + SAID_EVERY;
        let more = match std::mem::take(&mut self.kept_back) {
            0 => String::new(),
            count => format!(" (and {count} more since the last such line)"),
        };
        Some(format!("{text}{more}"))
    }
}

/// See the module.
#[derive(Default)]
pub(in crate::node) struct Guard {
    /// There are members on other hosts since before there were secrets.
    is_waived: bool,
    next_reminder: Millis,
    inbound: Said,
    outbound: Said,
}

/// Whether these are the two ends of a connection within one host.
fn are_one_host(remote: IpAddr, local: IpAddr) -> bool {
    let (remote, local) = (remote.to_canonical(), local.to_canonical());
    remote.is_loopback() || remote == local
}

impl Guard {
    /// At start: without a secret, members that cannot be on this host's loopback stay linked.
    pub fn waive(&mut self, config: &Config, state: &State, me: &NodeId) {
        let is_elsewhere = |ip: &str| ip.parse::<IpAddr>().is_ok_and(|ip| !ip.is_loopback());
        self.is_waived = !config.has_secret() && state.members().any(|member| member.id != *me && is_elsewhere(&member.address.ip));
    }

    /// Whether a bus link between these two addresses may be.
    pub fn lets_in(&self, config: &Config, remote: IpAddr, local: IpAddr) -> bool {
        config.has_secret() || self.is_waived || are_one_host(remote, local)
    }
}

impl Io {
    /// Somebody has come whom this node lets in on no account.
    pub fn turn_away(&mut self, remote: IpAddr, why: &str, now: Now) {
        self.bus_stats.turned_away += 1;
        if let Some(text) = self.guard.inbound.or_not(&format!("Turned {remote} away: {why}"), now) {
            log::warn!("{text}");
        }
    }

    /// A connection is about to end, for its channel has.
    pub fn channel_ended(&mut self, conn: ConnId, why: Fault, now: Now) {
        let Some(session) = self.sessions.get(conn) else { return };
        let (remote, is_ours) = match &session.kind {
            Kind::Bus(bus) => (bus.remote_ip, matches!(bus.end, BusEnd::Outbound { .. })),
            Kind::Client(client) => (client.client.addr.ip(), false),
            Kind::Primary(link) => (link.socket.ip(), true),
        };
        if !is_ours {
            return self.turn_away(remote, &why.to_string(), now);
        }
        if let Some(text) = self.guard.outbound.or_not(&format!("No link with {remote}: {why}"), now) {
            log::warn!("{text}");
        }
    }

    /// Cron.
    pub fn remind_of_missing_secret(&mut self, config: &Config, now: Now) {
        if self.guard.is_waived && !config.has_secret() && now.mono >= self.guard.next_reminder {
            self.guard.next_reminder = now.mono + REMINDED_EVERY;
            log::warn!(
                "Whoever reaches the bus port is a member: there are members on other hosts and no cluster secret. Set \
                 'cluster-secret-file' on every node (docs/security.md); the next minor version will not start without"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::net::Net;

    #[test]
    fn without_a_secret_only_this_host_is_linked_with_unless_members_are_elsewhere() {
        let mut config = Config::shipped();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut guard = Guard::default();
        assert!(guard.lets_in(&config, ip("127.0.0.2"), ip("127.0.0.1")) && guard.lets_in(&config, ip("::1"), ip("::1")));
        assert!(guard.lets_in(&config, ip("192.0.2.1"), ip("192.0.2.1")), "by this host's own address");
        assert!(guard.lets_in(&config, ip("::ffff:192.0.2.1"), ip("192.0.2.1")));
        assert!(!guard.lets_in(&config, ip("192.0.2.2"), ip("192.0.2.1")));
        config.set(&[("cluster-secret", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")]).unwrap();
        assert!(guard.lets_in(&config, ip("192.0.2.2"), ip("192.0.2.1")), "the channel judges");
        let Net { nodes, .. } = Net::with_members(2);
        let (state, me) = (&nodes[0].metadata.state, nodes[0].metadata.me);
        guard.waive(&config, state, &me);
        assert!(!guard.is_waived);
        config.set(&[("cluster-secret", "")]).unwrap();
        guard.waive(&config, state, &me);
        assert!(guard.is_waived && guard.lets_in(&config, ip("192.0.2.2"), ip("192.0.2.1")));
    }

    #[test]
    fn the_log_is_told_now_and_then_and_of_how_many() {
        let mut said = Said::default();
        let at = |mono| Now { mono, wall: 0 };
        assert_eq!(said.or_not("a", at(0)).as_deref(), Some("a"));
        assert_eq!((said.or_not("b", at(1)), said.or_not("b", at(SAID_EVERY - 1))), (None, None));
        assert_eq!(said.or_not("c", at(SAID_EVERY)).as_deref(), Some("c (and 2 more since the last such line)"));
    }
}
