//! Which machine stands on which host, which addresses hosts have, and where a dial leads.
//!
//! Owns: hosts, their power, clocks and addresses. Several machines may share a host: one kernel, one power supply, one clock, one loopback
//! interface.
//! Must not: know connections (network does).

use crate::sim::clock::Clock;
use pontoon::rng::Rng;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The client port of a host's first machine; every machine's bus port is 10,000 above its client port.
const FIRST_PORT: u16 = 7_000;
/// From here on ports are for the bus.
const FIRST_BUS_PORT: u16 = FIRST_PORT + BUS_OFFSET;
const BUS_OFFSET: u16 = 10_000;
/// Means the host itself, everywhere.
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Every host has this one too, in some runs: a bridge of its own, that leads nowhere else.
const BRIDGE: IpAddr = IpAddr::V4(Ipv4Addr::new(172, 30, 0, 2));

/// Whether a port is one of the bus.
pub fn is_bus(port: u16) -> bool {
    port >= FIRST_BUS_PORT
}

/// Where a packet to an address and port arrives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// A machine's port, whether or not its process runs.
    Machine(usize),
    /// The kernel of a host on which nobody has that port.
    Kernel(usize),
    /// No host has that address.
    Nowhere,
}

struct Host {
    /// The addresses that lead here from everywhere; others are dialled from the last one.
    ips: Vec<IpAddr>,
    powered: bool,
    /// Since its last boot, if it was ever switched on.
    clock: Option<Clock>,
}

/// An address that another host has for now.
#[derive(Clone, Copy)]
struct Loan {
    ip: IpAddr,
    home: usize,
    to: usize,
}

/// Every host of a run, and who is on it.
pub struct Hosts {
    /// By machine.
    of: Vec<usize>,
    /// By machine: its client port.
    ports: Vec<u16>,
    hosts: Vec<Host>,
    /// Addresses that a host has given up.
    free: Vec<IpAddr>,
    given: u8,
    loans: Vec<Loan>,
    /// Hosts have [`BRIDGE`].
    bridged: bool,
}

impl Hosts {
    /// In a third of the runs every machine has a host and all have the same ports. In the others machines share hosts; on different hosts
    /// they may have the same ports, or none has another one's.
    pub fn draw(machines: usize, rng: &mut Rng) -> Self {
        let is_shared = rng.below(3) > 0;
        let (by_machine, bridged) = (rng.one_in(2), rng.one_in(2));
        let count = rng.between(2, machines as u64);
        let of: Vec<usize> = (0..machines).map(|machine| if is_shared { rng.below(count) as usize } else { machine }).collect();
        let place = |machine: usize| of[..machine].iter().filter(|host| **host == of[machine]).count();
        let port = |machine| FIRST_PORT + if is_shared && by_machine { machine } else { place(machine) } as u16;
        let ports = (0..machines).map(port).collect();
        let mut hosts = Self { of, ports, hosts: Vec::new(), free: Vec::new(), given: 0, loans: Vec::new(), bridged: is_shared && bridged };
        (0..machines).for_each(|_| hosts.add(true, None));
        hosts
    }

    fn add(&mut self, powered: bool, ip: Option<IpAddr>) {
        let ip = ip.unwrap_or_else(|| self.new_ip());
        self.hosts.push(Host { ips: vec![ip], powered, clock: None });
    }

    /// An address that nobody had before.
    fn new_ip(&mut self) -> IpAddr {
        self.given += 1;
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, self.given))
    }

    /// A machine's host.
    pub fn of(&self, machine: usize) -> usize {
        self.of[machine]
    }

    /// The machines on a host.
    pub fn on(&self, host: usize) -> impl Iterator<Item = usize> {
        self.of.iter().enumerate().filter(move |(_, of)| **of == host).map(|(machine, _)| machine)
    }

    /// The other machines on a machine's host.
    pub fn fellows(&self, machine: usize) -> Vec<usize> {
        self.on(self.of[machine]).filter(|other| *other != machine).collect()
    }

    /// Whether two machines, if these are two, have one kernel.
    pub fn share(&self, one: usize, other: usize) -> bool {
        self.of[one] == self.of[other]
    }

    /// A machine's client port.
    pub fn port(&self, machine: usize) -> u16 {
        self.ports[machine]
    }

    /// A machine's bus port.
    pub fn bus_port(&self, machine: usize) -> u16 {
        self.ports[machine] + BUS_OFFSET
    }

    /// Where a machine's host is reached, and where it dials others from.
    pub fn ip(&self, machine: usize) -> IpAddr {
        *self.hosts[self.of[machine]].ips.last().expect("a host with a machine has an address")
    }

    /// What somebody on the first machine may type to meet the second: on one host it may be an address that means another host elsewhere.
    pub fn local_names(&self, from: usize, to: usize) -> Vec<IpAddr> {
        let names = [Some(LOOPBACK), Some(BRIDGE).filter(|_| self.bridged)];
        names.into_iter().flatten().filter(|_| from != to && self.share(from, to)).collect()
    }

    /// Whether an address means whatever host it is used on.
    pub fn is_local(ip: IpAddr) -> bool {
        ip == LOOPBACK || ip == BRIDGE
    }

    /// The bridges are gone. Returns the address that each had.
    pub fn remove_bridges(&mut self) -> IpAddr {
        self.bridged = false;
        BRIDGE
    }

    fn is_own(&self, host: usize, ip: IpAddr) -> bool {
        ip == LOOPBACK || (self.bridged && ip == BRIDGE) || self.hosts[host].ips.contains(&ip)
    }

    /// Whether a machine's host has this address.
    pub fn has(&self, machine: usize, ip: IpAddr) -> bool {
        self.is_own(self.of[machine], ip)
    }

    /// Where a packet arrives that this machine, or none of them, sends.
    pub fn place(&self, from: Option<usize>, to: SocketAddr) -> Place {
        let own = from.map(|machine| self.of[machine]).filter(|host| self.is_own(*host, to.ip()));
        let host = own.or_else(|| self.hosts.iter().position(|host| host.ips.contains(&to.ip())));
        let Some(host) = host else { return Place::Nowhere };
        let machine = self.on(host).find(|machine| [self.port(*machine), self.bus_port(*machine)].contains(&to.port()));
        machine.map_or(Place::Kernel(host), Place::Machine)
    }

    /// The address of a packet's sender, as its receiver sees it.
    pub fn source(&self, machine: usize, to: IpAddr) -> IpAddr {
        if self.has(machine, to) { to } else { self.ip(machine) }
    }

    /// A host's kernel is switched on or off.
    pub fn set_powered(&mut self, machine: usize, on: bool) {
        self.hosts[self.of[machine]].powered = on;
    }

    /// Whether the kernel of a machine's host answers.
    pub fn is_powered(&self, machine: usize) -> bool {
        self.hosts[self.of[machine]].powered
    }

    /// Whether a host's kernel answers.
    pub fn is_host_powered(&self, host: usize) -> bool {
        self.hosts[host].powered
    }

    /// The clock of a machine's host since its last boot; none if it was never switched on.
    pub fn clock(&mut self, machine: usize) -> &mut Option<Clock> {
        &mut self.hosts[self.of[machine]].clock
    }

    /// A machine without a process goes to another host: to one that is there, where nobody has its ports, or to a new one, at an address
    /// that nobody had before or that another host has given up. Who stays behind alone is a kernel that refuses, or nobody. Returns
    /// whether the address was somebody else's.
    pub fn move_machine(&mut self, machine: usize, rng: &mut Rng) -> bool {
        let old = self.of[machine];
        let is_free = |host: usize| {
            host != old && !self.hosts[host].ips.is_empty() && self.on(host).all(|other| self.ports[other] != self.ports[machine])
        };
        let others: Vec<usize> = (0..self.hosts.len()).filter(|host| self.on(*host).next().is_some() && is_free(*host)).collect();
        if !others.is_empty() && rng.one_in(3) {
            self.of[machine] = others[rng.below(others.len() as u64) as usize];
            self.leave(old, rng);
            return false;
        }
        let reused = (rng.one_in(2) && !self.free.is_empty()).then(|| self.free.remove(rng.below(self.free.len() as u64) as usize));
        self.add(false, reused);
        self.of[machine] = self.hosts.len() - 1;
        self.leave(old, rng);
        reused.is_some()
    }

    /// A machine has left this host.
    fn leave(&mut self, host: usize, rng: &mut Rng) {
        let is_lending = self.loans.iter().any(|loan| loan.home == host || loan.to == host);
        if self.on(host).next().is_none() && !is_lending && rng.one_in(2) {
            let ips = std::mem::take(&mut self.hosts[host].ips);
            self.free.extend(ips);
        }
    }

    /// The hosts that could have a machine's address besides its own, those first where nobody has its ports.
    pub fn takers(&self, machine: usize) -> Vec<usize> {
        let is_other = |host: &usize| *host != self.of[machine] && self.hosts[*host].powered && !self.hosts[*host].ips.is_empty();
        let mut takers: Vec<usize> = (0..self.hosts.len()).filter(is_other).collect();
        takers.sort_by_key(|host| self.on(*host).any(|other| self.ports[other] == self.ports[machine]));
        takers
    }

    /// The address of a machine's host goes to another host. The first has a new one at once. None if the host's address is away already.
    pub fn lend_ip(&mut self, machine: usize, to: usize) -> Option<IpAddr> {
        let home = self.of[machine];
        if self.loans.iter().any(|loan| loan.home == home) {
            return None;
        }
        let ip = self.hosts[home].ips.pop()?;
        if self.hosts[home].ips.iter().all(|other| self.loans.iter().any(|loan| loan.ip == *other)) {
            let other = self.new_ip();
            self.hosts[home].ips.push(other);
        }
        self.hosts[to].ips.insert(0, ip);
        self.loans.push(Loan { ip, home, to });
        Some(ip)
    }

    /// It comes back. False if it has done so before.
    pub fn return_ip(&mut self, ip: IpAddr) -> bool {
        let Some(at) = self.loans.iter().position(|loan| loan.ip == ip) else { return false };
        let Loan { home, to, .. } = self.loans.swap_remove(at);
        self.hosts[to].ips.retain(|other| *other != ip);
        self.hosts[home].ips.push(ip);
        true
    }

    /// The addresses that are away.
    pub fn lent_ips(&self) -> Vec<IpAddr> {
        self.loans.iter().map(|loan| loan.ip).collect()
    }
}
