//! `protected-mode`: without a password nobody but this host is served, unless somebody has said so or members elsewhere need the port.
//!
//! Owns: who is refused, in Redis' words, and the reminder of a node that is open. Must not: know a command.
//! Contract: docs/operations.md, "A node".

use crate::cluster::State;
use crate::config::{Config, Protection};
use crate::node::view::{Effects, View};
use crate::types::{Millis, NodeId};
use std::net::{IpAddr, SocketAddr};

/// The log is reminded so often that anybody may connect.
const REMINDED_EVERY: Millis = 60_000;

const DENIED: &[u8] = b"-DENIED Pontoon is running in protected mode because protected mode is enabled and no password is set for the default \
user. In this mode connections are only accepted from the loopback interface. If you want to connect from external computers to Pontoon you \
may adopt one of the following solutions: 1) Just disable protected mode sending the command 'CONFIG SET protected-mode no' from the loopback \
interface by connecting to Pontoon from the same host the server is running, however MAKE SURE Pontoon is not publicly accessible from \
internet if you do so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode by editing \
the Pontoon configuration file, and setting the protected mode option to 'no', and then restarting the server. 3) If you started the server \
manually just for testing, restart it with the '--protected-mode no' option. 4) Set up an authentication password for the default user. NOTE: \
You only need to do one of the above things in order for the server to start accepting connections from the outside.\r\n";

/// What a client from there is told before it is closed, if it is refused.
pub(in crate::node) fn refusal(config: &Config, remote: SocketAddr) -> Option<&'static [u8]> {
    let is_refused = config.protected_mode.is_on() && config.requirepass.is_empty() && !remote.ip().is_loopback();
    is_refused.then_some(DENIED)
}

/// At start: where nothing was said, members that cannot be on this host's loopback go on replicating by the client port.
pub(in crate::node) fn waive(config: &mut Config, state: &State, me: &NodeId) {
    let is_elsewhere = |ip: &str| ip.parse::<IpAddr>().is_ok_and(|ip| !ip.is_loopback());
    let others = state.members().filter(|member| member.id != *me);
    if config.protected_mode == Protection::Unsaid && others.into_iter().any(|member| is_elsewhere(&member.address.ip)) {
        config.protected_mode = Protection::Waived;
    }
}

impl Effects {
    /// Cron.
    pub fn remind_of_waiver(&mut self, view: &View) {
        let is_open = view.config.protected_mode == Protection::Waived && view.config.requirepass.is_empty();
        if is_open && view.now.mono >= self.clients.next_reminder {
            self.clients.next_reminder = view.now.mono + REMINDED_EVERY;
            log::warn!(
                "Anybody who reaches this host's port is served: there are members on other hosts and no password. Set 'requirepass' and \
                 'primaryauth', or say 'protected-mode no' if the network keeps strangers away"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::net::Net;

    #[test]
    fn strangers_are_refused_until_a_password_or_an_option_says_otherwise() {
        let mut config = Config::shipped();
        let from = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 5000);
        assert!(
            refusal(&config, from("10.0.0.9")).is_some_and(|text| text.starts_with(b"-DENIED ")) && refusal(&config, from("::2")).is_some()
        );
        assert!(refusal(&config, from("127.0.0.2")).is_none() && refusal(&config, from("::1")).is_none());
        config.requirepass = b"secret".to_vec();
        assert!(refusal(&config, from("10.0.0.9")).is_none());
        config.requirepass.clear();
        config.set(&[("protected-mode", "no")]).unwrap();
        assert!(refusal(&config, from("10.0.0.9")).is_none());
    }

    #[test]
    fn a_node_whose_members_are_elsewhere_stays_open_and_says_so() {
        let net = Net::with_members(2);
        let Net { nodes, .. } = &net;
        let (state, me) = (&nodes[0].metadata.state, nodes[0].metadata.me);
        let mut config = Config::shipped();
        waive(&mut config, state, &me);
        assert_eq!((config.protected_mode, config.get("protected-mode")), (Protection::Waived, vec![("protected-mode", b"no".to_vec())]));
        assert_eq!(config.rewrite("port 6379\n"), b"port 6379\n", "nobody has said it");
        config.set(&[("protected-mode", "yes")]).unwrap();
        waive(&mut config, state, &me);
        assert_eq!(config.protected_mode, Protection::On);
    }
}
