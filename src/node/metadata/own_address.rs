//! Where this node is reached: what the configuration says of it, what others show it, and telling the cluster.
//!
//! Owns: how far our own IP is to be relied on, and when NODE_INFO is proposed. Must not: dial (links does).
//! Contract: docs/protocol.md, "Addresses".

use crate::cluster::Address;
use crate::cluster::change::NodeInfo;
use crate::config::Config;
use crate::node::io::sessions::{BusEnd, Kind, Purpose};
use crate::node::metadata::Metadata;
use crate::node::metadata::links::bus_socket;
use crate::node::view::{Effects, View};
use crate::types::{ConnId, Millis, NodeId};
use crate::wire::bus::Greeting;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// What the cluster knows of us is compared with what is true this long after it was last proposed (ms).
const PERIOD: Millis = 10_000;

/// What we have found out about our own address.
#[derive(Default)]
pub(in crate::node) struct AddressCheck {
    /// A leader has reached us at our IP, or we as leader have reached others from it, since this process began.
    confirmed: bool,
    /// The leader's link by which the IP was last looked at.
    judged: Option<ConnId>,
    /// NODE_INFO is not proposed before (mono ms).
    due: Millis,
}

impl AddressCheck {
    /// Everything is to be found out again.
    pub fn doubt(&mut self) {
        *self = Self::default();
    }
}

/// The addresses that the bus is bound to, those that must be there first; none if that is a wildcard or a hostname: then it may be any.
/// Where members are taken in counts, also while `bind` has clients come elsewhere.
fn bound(config: &Config) -> Vec<IpAddr> {
    named(config.bus_bind())
}

/// The same of any `bind`.
fn named(bind: &[String]) -> Vec<IpAddr> {
    let (optional, needed): (Vec<&String>, Vec<&String>) = bind.iter().partition(|word| word.starts_with('-'));
    let ip = |word: &&String| word.trim_start_matches('-').parse().ok().filter(|ip: &IpAddr| !ip.is_unspecified());
    needed.iter().chain(&optional).map(ip).collect::<Option<_>>().unwrap_or_default()
}

/// Whether the configuration leaves no doubt which IP others reach us by, once it is known.
fn is_fixed(config: &Config) -> bool {
    !config.cluster_announce_ip.is_empty() || !bound(config).is_empty()
}

/// `ip`, or what it must be instead: a node that listens on certain addresses only is not reached at another one.
fn possible(config: &Config, ip: IpAddr) -> IpAddr {
    let bound = bound(config);
    if bound.is_empty() || bound.contains(&ip) {
        return ip;
    }
    bound.iter().find(|other| other.is_ipv4() == ip.is_ipv4()).or(bound.first()).copied().unwrap_or(ip)
}

/// Whether the ports that the node announces are its own, so that nobody else can refuse a connection to them, if the IP is its own as
/// well.
fn may_refuse_for_itself(config: &Config) -> bool {
    config.cluster_fast_failure_detection && config.announced_port() == config.port && config.announced_bus_port() == config.bus_port()
}

/// Whether a refused connection comes from the node's own kernel, as far as the configuration shows. Whose IP is announced beside a
/// wildcard in `bind` may be behind a translation of addresses: that shows when a connection ends here.
pub(in crate::node) fn refuses_for_itself(config: &Config) -> bool {
    let announced = &config.cluster_announce_ip;
    let own_ip = announced.is_empty() || announced.parse().is_ok_and(|ip| bound(config).contains(&ip));
    own_ip && may_refuse_for_itself(config)
}

/// The IP to begin with: the configured one, else the one that was known, if it still can be; and what had been found out about that.
pub(in crate::node) fn settle_ip(config: &Config, address: &mut Address, known: &Address) {
    if address.ip.is_empty() {
        address.ip = known.ip.parse().map_or_else(|_| known.ip.clone(), |ip| possible(config, ip).to_string());
    }
    if address.ip == known.ip && known.refuses_for_itself() && may_refuse_for_itself(config) {
        address.set_refuses_for_itself(true);
    }
}

impl Metadata {
    fn own_ip(&self) -> Option<IpAddr> {
        self.own_address.ip.parse().ok()
    }

    /// Whether others are told our IP. If not, they fill in where they hear us from: a node that was moved is found again by that.
    /// What is known to this host only is never told.
    pub fn tells_ip(&self, view: &View) -> bool {
        is_fixed(&view.config) || (self.address_check.confirmed && self.own_ip().is_some_and(|ip| !ip.is_loopback()))
    }

    /// A bus connection ends here at `local`: taken for our IP where none is known, and a sign that nothing stands before the one that is
    /// announced.
    pub fn learn_own_ip(&mut self, local: IpAddr, view: &View, out: &mut Effects) {
        if self.own_address.ip.is_empty() && !local.is_unspecified() {
            self.own_address.ip = possible(&view.config, local.to_canonical()).to_string();
            self.announce_now(view, out);
        }
        if !self.own_address.refuses_for_itself() && may_refuse_for_itself(&view.config) && self.own_ip() == Some(local.to_canonical()) {
            self.own_address.set_refuses_for_itself(true);
            self.announce_now(view, out);
        }
    }

    /// Where a peer is that does not tell its IP. One on this host is reached by others where we are.
    pub fn seen_at(&self, remote: IpAddr, view: &View) -> String {
        if remote.is_loopback() && self.tells_ip(view) { self.own_address.ip.clone() } else { remote.to_string() }
    }

    /// A member to be dialled because of the end that such a link has here: the cluster knows this node by what is a loopback address to
    /// each host, and that one by another \[N51 shared-host\].
    pub fn shows_own_ip(&self, view: &View) -> Option<NodeId> {
        let ip = |address: &Address| address.ip.parse().ok().map(|ip: IpAddr| ip.is_loopback());
        let is_hidden = ip(self.addresses.get(&self.me)?) == Some(true) && self.own_ip().is_some_and(|own| own.is_loopback());
        let tells = |(_, address): &(&NodeId, &Address)| ip(address) == Some(false);
        let tell = || self.addresses.iter().filter(|(id, _)| self.state.member(id).is_some_and(|member| !member.failed)).find(tells);
        if is_hidden && !is_fixed(&view.config) { tell().map(|(id, _)| *id) } else { None }
    }

    /// A link that was dialled is up, and ends here at `local`.
    pub fn shown_at(&mut self, local: IpAddr, view: &View, out: &mut Effects) {
        if self.shows_own_ip(view).is_some() && !local.is_loopback() {
            self.judge_ip(local.to_canonical(), view, out);
        }
    }

    /// The leader reaches us by this link.
    pub fn reached_by_leader(&mut self, conn: ConnId, view: &View, out: &mut Effects) {
        if self.address_check.judged == Some(conn) || is_fixed(&view.config) {
            return;
        }
        self.address_check.judged = Some(conn);
        if let Some(local) = out.io.sessions.bus(conn).and_then(|bus| bus.local_ip) {
            self.judge_ip(local.to_canonical(), view, out);
        }
    }

    /// Cron. Nobody dials a leader regularly: it goes by the ends of its own links.
    pub fn judge_own_links(&mut self, view: &View, out: &mut Effects) {
        if !self.raft.is_leader() || is_fixed(&view.config) || self.tells_ip(view) {
            return;
        }
        let ends: Vec<IpAddr> = out.io.sessions.iter().filter_map(|(_, session)| end_of_link(&session.kind)).collect();
        let real: Vec<IpAddr> = ends.iter().copied().filter(|ip| !ip.is_loopback()).collect();
        let telling = if real.is_empty() { &ends } else { &real };
        let mut counts: BTreeMap<IpAddr, usize> = BTreeMap::new();
        telling.iter().for_each(|ip| *counts.entry(*ip).or_default() += 1);
        let most = counts.iter().max_by_key(|(_, count)| **count).map(|(ip, _)| *ip);
        match self.own_ip().filter(|own| counts.contains_key(own)).or(most) {
            // One link may leave this host by another way than all the rest.
            Some(ip) if self.own_ip() == Some(ip) || 2 * ends.len() >= self.addresses.len() => self.judge_ip(ip, view, out),
            _ => {}
        }
    }

    /// Others reach us at `local`. The first look after a start decides, so that a host with several addresses keeps to one of them; an
    /// address that only this host knows gives way to any other, and never takes the place of one.
    fn judge_ip(&mut self, local: IpAddr, view: &View, out: &mut Effects) {
        let own = self.own_ip();
        let replaces = replaces(local, own, self.address_check.confirmed);
        self.address_check.confirmed |= replaces || own == Some(local);
        if replaces {
            log::info!("This node is reached at {local}");
            self.own_address.ip = local.to_string();
            self.announce_now(view, out);
        }
    }

    /// After CONFIG SET bind clients may be sent to where nobody takes them in any more.
    pub fn warn_of_unserved_ip(&self, view: &View) {
        let (served, config) = (named(&view.config.bind), &view.config);
        let is_unserved = |ip: IpAddr| !served.is_empty() && !served.contains(&ip);
        if config.bind != config.bus_bind() && config.cluster_announce_ip.is_empty() && self.own_ip().is_some_and(is_unserved) {
            log::warn!(
                "Others send clients to {}, where 'bind' takes in none: the bus, and with it this node's address, stays where it was until a \
                 restart",
                self.own_address.ip
            );
        }
    }

    /// What we announce has changed.
    pub fn announce_now(&mut self, view: &View, out: &mut Effects) {
        if is_fixed(&view.config) {
            // Should the configuration say nothing of it one day, it is to be found out.
            self.address_check.doubt();
        }
        self.address_check.due = view.now.mono;
        self.announce_address(view, out);
    }

    /// Proposes NODE_INFO if the cluster knows another address or other flags of ours than are true: at once after a change, and again
    /// after [`PERIOD`] if that came to nothing.
    pub fn announce_address(&mut self, view: &View, out: &mut Effects) {
        if view.now.mono < self.address_check.due || self.proposals.informs_of(&self.me) {
            return;
        }
        let Some(member) = self.state.member(&self.me) else { return };
        let mut address = self.own_address.clone().without_shard_id();
        if !self.address_check.confirmed && !is_fixed(&view.config) && !member.address.ip.is_empty() {
            address.ip.clone_from(&member.address.ip);
        }
        let nofailover = view.config.cluster_replica_no_failover;
        if member.address == address && member.nofailover == nofailover {
            return;
        }
        self.address_check.due = view.now.mono + PERIOD;
        self.propose(NodeInfo { id: self.me, address, nofailover }, None, view, out);
    }

    /// An operator's MEET at `socket` led to a fellow: if the cluster knows it elsewhere, it has moved, and who leads may not hear from it.
    pub fn fellow_met(&mut self, socket: SocketAddr, peer: &Greeting, view: &View, out: &mut Effects) {
        let Some(known) = self.address_of(&peer.id).filter(|known| known.join_nonce() == peer.address.join_nonce()) else { return };
        let (before, now) = (bus_socket(known), bus_socket(&peer.address));
        let is_local = |socket: &SocketAddr| socket.ip().is_loopback();
        let worse = now.is_some_and(|now| is_local(&now)) && before.is_some_and(|before| !is_local(&before));
        self.found_at(peer.id, socket, out);
        if before == now || worse || self.proposals.informs_of(&peer.id) {
            return;
        }
        let nofailover = self.state.member(&peer.id).is_some_and(|member| member.nofailover);
        self.propose(NodeInfo { id: peer.id, address: peer.address.clone().without_shard_id(), nofailover }, None, view, out);
    }
}

/// Whether an IP that we are reached at takes the place of our own.
fn replaces(local: IpAddr, own: Option<IpAddr>, confirmed: bool) -> bool {
    match own {
        None => true,
        Some(own) if own.is_loopback() != local.is_loopback() => own.is_loopback(),
        Some(own) => own != local && !confirmed,
    }
}

/// Our end of a link with a member that we dialled and that has answered.
fn end_of_link(kind: &Kind) -> Option<IpAddr> {
    match kind {
        Kind::Bus(bus) if bus.peer.is_some() && matches!(bus.end, BusEnd::Outbound { purpose: Purpose::Link(_) }) => {
            bus.local_ip.map(|ip| ip.to_canonical())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::net::Net;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_look_decides_and_loopback_is_for_want_of_better() {
        let (first, second, loopback) = (ip("10.0.0.5"), ip("10.1.0.5"), ip("127.0.0.1"));
        assert!(replaces(loopback, None, false));
        assert!(replaces(second, Some(first), false) && !replaces(second, Some(first), true));
        assert!(!replaces(first, Some(first), false));
        for confirmed in [false, true] {
            assert!(!replaces(loopback, Some(first), confirmed) && replaces(first, Some(loopback), confirmed));
        }
        assert!(replaces(ip("127.0.0.2"), Some(loopback), false) && !replaces(ip("127.0.0.2"), Some(loopback), true));
    }

    /// It was met, and is reached by the leader, at a loopback address, which means another machine to others \[N51 shared-host\].
    #[test]
    fn who_is_known_by_a_loopback_address_while_others_are_not_finds_a_better_one() {
        let mut net = Net::with_members(3);
        assert_eq!(net.ask(1, "CONFIG SET cluster-announce-ip 127.0.0.1"), "+OK\r\n");
        let id = net.nodes[1].metadata.me;
        let known = |net: &Net, ip: &str| net.nodes.iter().all(|node| node.metadata.state.member(&id).unwrap().address.ip == ip);
        net.until("all to know it there", |net| known(net, "127.0.0.1"));
        let link = net.nodes[0].metadata.links.up(&id).unwrap();
        net.break_off(0, link);
        net.until("the leader to reach it there", |net| net.nodes[0].metadata.links.up(&id).is_some());
        let begun = net.now.mono;
        net.nodes[1].view.config.cluster_announce_ip.clear();
        net.nodes[1].out.todo.connect = true;
        net.until("all to know it elsewhere", |net| known(net, "10.0.0.1"));
        assert!(net.now.mono - begun <= 100, "after {} ms", net.now.mono - begun);
        assert!(net.nodes[1].metadata.shows_own_ip(&net.nodes[1].view).is_none());
    }

    #[test]
    fn who_is_announced_elsewhere_than_it_listens_does_not_refuse_for_itself() {
        let config = |announced: &str, bind: &str, port| {
            let mut config = Config::shipped();
            config.cluster_announce_ip = announced.to_owned();
            config.bind = vec![bind.to_owned()];
            config.cluster_announce_port = port;
            config
        };
        assert!(refuses_for_itself(&config("", "*", 0)) && refuses_for_itself(&config("10.0.0.5", "10.0.0.5", 6379)));
        assert!(!refuses_for_itself(&config("", "*", 7000)), "a mapped port");
        let behind_wildcard = config("10.0.0.5", "*", 0);
        assert!(!refuses_for_itself(&behind_wildcard) && may_refuse_for_itself(&behind_wildcard));
        // What a connection has shown stays known while the address stays.
        let mut known = Address { ip: "10.0.0.5".to_owned(), ..Address::default() };
        let settled = |config: &Config, known: &Address| {
            let mut address = Address { ip: config.cluster_announce_ip.clone(), ..Address::default() };
            address.set_refuses_for_itself(refuses_for_itself(config));
            settle_ip(config, &mut address, known);
            address.refuses_for_itself()
        };
        assert!(settled(&behind_wildcard, &known) && !settled(&config("10.0.0.5", "*", 7000), &known));
        known.set_refuses_for_itself(false);
        assert!(!settled(&behind_wildcard, &known));
        let mut off = config("", "*", 0);
        off.cluster_fast_failure_detection = false;
        assert!(!refuses_for_itself(&off));
    }

    #[test]
    fn bind_says_which_ip_it_can_be() {
        let config = |words: &[&str]| {
            let mut config = Config::shipped();
            config.bind = words.iter().map(|word| (*word).to_owned()).collect();
            config
        };
        for any in [&["*", "-::*"][..], &["0.0.0.0"], &["::", "10.0.0.5"], &["localhost"]] {
            let config = config(any);
            assert!(!is_fixed(&config) && possible(&config, ip("10.9.9.9")) == ip("10.9.9.9"), "{any:?}");
        }
        let config = config(&["-10.0.0.7", "10.0.0.5", "10.0.0.6", "-::1"]);
        assert!(is_fixed(&config));
        assert_eq!(possible(&config, ip("10.0.0.6")), ip("10.0.0.6"));
        assert_eq!(possible(&config, ip("127.0.0.1")), ip("10.0.0.5"));
        assert_eq!(possible(&config, ip("fd00::9")), ip("::1"));
        let settled = |known: &str| {
            let mut address = Address::default();
            settle_ip(&config, &mut address, &Address { ip: known.to_owned(), ..Address::default() });
            address.ip
        };
        assert_eq!((settled(""), settled("10.0.0.6"), settled("10.0.0.9")), (String::new(), "10.0.0.6".to_owned(), "10.0.0.5".to_owned()));
    }
}
