//! Machines move, addresses go to other hosts and come back, and one word means different hosts to different hosts.
//!
//! Owns: nothing (hosts knows who has what). A host whose address is away has another one, and its processes go on: they are reached at
//! neither by whom they have told the first.

use crate::sim::clients::Mode;
use crate::sim::hosts::{Hosts, Place};
use crate::sim::queue::{Event, SECOND};
use crate::sim::trace::note;
use crate::sim::world::World;
use pontoon::cluster::Address;
use std::net::{IpAddr, SocketAddr};

impl World {
    /// The process is killed, and starts again on a host with the same disk and another address.
    pub(super) fn move_away(&mut self, index: usize) {
        if self.machines[index].node.is_some() {
            self.kill(index);
            let reused = self.net.hosts.move_machine(index, &mut self.faults.rng);
            note!("m{index} moves to {}", self.net.hosts.ip(index));
            self.read_host_clock(index);
            self.stats.moves += 1;
            self.stats.addresses_reused += u64::from(reused);
        }
    }

    /// The address of this machine, or of an owner of slots, goes to another host, whose kernel knows nothing of its connections and often
    /// refuses its ports.
    pub(super) fn lend_address(&mut self, index: usize) {
        let owners = self.owners_as_seen_by(index);
        let index = self.faults.pick(&owners).filter(|_| !self.faults.rng.one_in(4)).unwrap_or(index);
        let takers = self.net.hosts.takers(index);
        let first = takers.first().copied().filter(|_| !self.faults.rng.one_in(3));
        let Some(taker) = first.or_else(|| self.faults.pick(&takers)) else { return };
        let Some(ip) = self.net.hosts.lend_ip(index, taker) else { return };
        note!("m{index} loses {ip} to host {taker}, and has {}", self.net.hosts.ip(index));
        self.net.stray(index, ip, taker);
        self.stats.addresses_lent += 1;
        let longest = if self.faults.rng.one_in(4) { 20 * SECOND } else { 8 * SECOND };
        let until = self.now + self.faults.rng.between(SECOND / 2, longest);
        self.queue.push(until, Event::Homecoming(ip));
    }

    /// An address is where it was before.
    pub fn bring_address_home(&mut self, ip: IpAddr) {
        if self.net.hosts.return_ip(ip) {
            note!("{ip} comes home");
            let wakes = self.net.end_strays(ip, self.now, SECOND);
            self.wake_all(wakes);
            let wakes = self.net.end_at(ip, self.now, SECOND);
            self.wake_all(wakes);
        }
    }

    pub(super) fn bring_addresses_home(&mut self) {
        for ip in self.net.hosts.lent_ips() {
            self.bring_address_home(ip);
        }
    }

    /// What an operator who works on the first machine's host calls the second: mostly by a name that is good for that host only, if there
    /// is one. A bridge's address is used where the first is known by a better one.
    pub fn address_to_meet(&mut self, from: usize, to: usize) -> IpAddr {
        let is_known =
            self.id_of(from).and_then(|id| Some(self.state_of(from)?.member(&id)?.address.ip == self.net.hosts.ip(from).to_string()));
        let mut names = self.net.hosts.local_names(from, to);
        names.retain(|name| name.is_loopback() || is_known == Some(true));
        let name = self.pick(&names).filter(|_| self.clients.mode == Mode::Busy && !self.clients.rng.one_in(4));
        self.stats.local_meets += u64::from(name.is_some());
        name.unwrap_or_else(|| self.net.hosts.ip(to))
    }

    /// The machine whose port this is for everybody.
    pub fn machine_at(&self, socket: SocketAddr) -> Option<usize> {
        match self.net.hosts.place(None, socket) {
            Place::Machine(index) => Some(index),
            _ => None,
        }
    }

    /// Whether what the first machine sends to this address gets to the second.
    pub fn reaches(&self, from: usize, ip: &str, to: usize) -> bool {
        let port = self.net.hosts.port(to);
        ip.parse().is_ok_and(|ip| self.net.hosts.place(Some(from), SocketAddr::new(ip, port)) == Place::Machine(to))
    }

    /// Bridges are removed. Whoever says that it is reached where nobody reaches it, or is known by its bridge's address, is restarted: it
    /// would keep to that as long as its process lives.
    pub(super) fn remove_bridges(&mut self) {
        let bridge = self.net.hosts.remove_bridges();
        let wakes = self.net.end_at(bridge, self.now, SECOND);
        self.wake_all(wakes);
        for index in 0..self.machines.len() {
            let Some(node) = &self.machines[index].node else { continue };
            let ip_of = |address: &Address| address.ip.parse::<IpAddr>().ok().filter(|ip| !ip.is_loopback());
            let known = node.state().member(&node.id()).and_then(|member| ip_of(&member.address));
            let leads_here = |ip| self.machine_at(SocketAddr::new(ip, self.net.hosts.port(index))) == Some(index);
            if known.is_some_and(Hosts::is_local) || ip_of(node.address()).is_some_and(|ip| !leads_here(ip)) {
                self.kill(index);
            }
        }
    }
}
