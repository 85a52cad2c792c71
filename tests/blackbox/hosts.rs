//! Two hosts on one machine: network namespaces with a link between them, each with its own loopback.
//!
//! Owns: that no namespace outlives its test. Needs root and the program `ip` (Debian: iproute2).

use rustix::process::geteuid;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where each host is for the other.
pub const ADDRESSES: [&str; 2] = ["10.98.7.1", "10.98.7.2"];

static MADE: AtomicU32 = AtomicU32::new(0);

pub struct Hosts {
    names: [String; 2],
}

impl Hosts {
    /// Both; none, with a message, for who is not root.
    pub fn make() -> Option<Self> {
        if !geteuid().is_root() {
            eprintln!("skipped: network namespaces need root");
            return None;
        }
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let hosts = Self { names: ["a", "b"].map(|host| format!("pontoon-{}-{number}{host}", std::process::id())) };
        for name in &hosts.names {
            ip(&["netns", "add", name]);
            ip(&["-n", name, "link", "set", "lo", "up"]);
        }
        let [a, b] = &hosts.names;
        ip(&["-n", a, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", b]);
        for (name, address) in hosts.names.iter().zip(ADDRESSES) {
            ip(&["-n", name, "addr", "add", &format!("{address}/24"), "dev", "wire"]);
            ip(&["-n", name, "link", "set", "wire", "up"]);
        }
        Some(hosts)
    }

    /// Each host has this address of its own, on its loopback: there it means itself.
    pub fn both_have(&self, address: &str) {
        self.names.iter().for_each(|name| ip(&["-n", name, "addr", "add", &format!("{address}/32"), "dev", "lo"]));
    }

    /// What this thread opens or starts from now on is on this host.
    pub fn enter(&self, host: usize) {
        let namespace = File::open(format!("/run/netns/{}", self.names[host])).expect("the namespace is there");
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("root may enter it");
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

fn ip(words: &[&str]) {
    let status = Command::new("ip").args(words).status().expect("the program ip (Debian: iproute2) is there");
    assert!(status.success(), "ip {}: {status}", words.join(" "));
}
