//! The node's options: what was typed (redis.conf lines, `--options`, CONFIG SET) becomes a checked [`Config`].
//!
//! Owns: the typed values, one table of options, which makes their fields (`options.rs`, `inert.rs`), the syntax of redis.conf and of the
//! command line.
//! Must not: read a file (the caller passes a reader), act on a value. Contract: docs/operations.md, "Options".

mod error;
mod events;
mod glob;
mod inert;
mod limits;
mod lines;
mod load;
mod options;
mod percentiles;
mod protection;
mod rewrite;
mod save_points;
mod set;
mod shutdown;
mod texts;
mod value;
mod words;

#[cfg(test)]
mod tests;

use crate::types::Millis;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub use error::{ConfigError, Fault, Source};
pub use events::{EventClass, KeyspaceEvents};
pub use glob::matches as glob_matches;
pub use limits::{OutputLimit, OutputLimits};
pub use load::{Launch, MAX_FILE, STANDARD_INPUT, from_args};
pub use options::Config;
pub use protection::Protection;
pub use save_points::SavePoints;
pub use set::SetError;
pub use shutdown::{LastSave, ShutdownOptions};
pub use value::{EndpointType, LogLevel, Supervision};

/// Added to the client port for the bus port, unless `cluster-port` says another.
const BUS_PORT_OFFSET: u16 = 10_000;
/// The election timeout and the write lease are at most this by themselves (docs/protocol.md, §4).
const DEFAULT_ELECTION_TIMEOUT: Millis = 1000;
const DEFAULT_WRITE_LEASE: Millis = 5000;

/// Where the bus listens for as long as the process lives: members know it, and `port` and `bind` are the clients' once it does.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bus {
    bind: Vec<String>,
    port: u16,
}

/// Values that must not be together, or one that must not be at all.
struct Misfit {
    /// Whose values: the one that was set last is to blame.
    options: Vec<&'static str>,
    reason: String,
}

impl Misfit {
    fn new(options: &[&'static str], reason: &str) -> Self {
        Self { options: options.to_vec(), reason: reason.to_owned() }
    }
}

impl Config {
    /// What is used where nothing is said: the defaults of the table of options.
    pub fn shipped() -> Self {
        options::defaults()
    }

    /// The write lease W that this node grants as leader: never above the node timeout (docs/protocol.md, §4).
    pub fn write_lease(&self) -> Millis {
        let typed = if self.cluster_write_lease == 0 { DEFAULT_WRITE_LEASE } else { self.cluster_write_lease };
        typed.min(self.cluster_node_timeout)
    }

    /// The base election timeout E: as typed, else min(1000 ms, W/5).
    pub fn election_timeout(&self) -> Millis {
        match self.cluster_raft_election_timeout {
            0 => DEFAULT_ELECTION_TIMEOUT.min(self.write_lease() / 5),
            typed => typed,
        }
    }

    /// The node begins: from now on the bus stays where it is.
    pub fn settle_bus(&mut self) {
        self.bus = Some(Bus { bind: self.bind.clone(), port: self.bus_port() });
    }

    /// The port that the bus listens on.
    pub fn bus_port(&self) -> u16 {
        match &self.bus {
            Some(bus) => bus.port,
            // `check` has seen to it that the sum is a port.
            None if self.cluster_port == 0 => self.port.saturating_add(BUS_PORT_OFFSET),
            None => self.cluster_port,
        }
    }

    /// The addresses that the bus listens on, as `bind` has them.
    pub fn bus_bind(&self) -> &[String] {
        self.bus.as_ref().map_or(&self.bind, |bus| &bus.bind)
    }

    /// Whether clients are taken in where that one takes them.
    pub fn listens_as(&self, other: &Self) -> bool {
        (self.port, &self.bind) == (other.port, &other.bind)
    }

    /// The client port that others are told.
    pub fn announced_port(&self) -> u16 {
        if self.cluster_announce_port == 0 { self.port } else { self.cluster_announce_port }
    }

    /// The bus port that others are told.
    pub fn announced_bus_port(&self) -> u16 {
        if self.cluster_announce_bus_port == 0 { self.bus_port() } else { self.cluster_announce_bus_port }
    }

    /// Whether this node has a cluster secret.
    pub fn has_secret(&self) -> bool {
        !self.cluster_secret.is_empty() || !self.cluster_secret_file.as_os_str().is_empty()
    }

    /// Whether only who knows the secret is a node to this one.
    pub fn requires_secret(&self) -> bool {
        self.cluster_secret_required && self.has_secret()
    }

    /// The values, by name, whose name or alias matches the glob `pattern` in any case; in the table's order. A secret is not shown.
    pub fn get(&self, pattern: impl AsRef<[u8]>) -> Vec<(&'static str, Vec<u8>)> {
        let pattern = pattern.as_ref();
        let matching = |name: &&str| glob::matches(pattern, name.as_bytes(), true);
        let shown =
            options::all().filter(|option| !option.hidden || option.names().any(|name| name.as_bytes().eq_ignore_ascii_case(pattern)));
        shown.flat_map(|option| option.names().filter(matching).map(|name| (name, option.show_to_clients(self)))).collect()
    }

    /// Why the values cannot be used together, or at all.
    fn misfits(&self) -> Vec<Misfit> {
        let missed =
            options::all().filter_map(|option| Some(Misfit { options: vec![option.name], reason: option.missed(self)?.to_owned() }));
        missed.chain(self.misfits_of_ports()).chain(self.misfits_of_files()).chain(self.other_misfits()).collect()
    }

    fn misfits_of_ports(&self) -> Option<Misfit> {
        let port = self.port;
        if port == 0 {
            let reason = "port 0 would let nobody in: there is neither TLS nor a Unix socket; use 'bind' to keep other hosts out";
            return Some(Misfit::new(&["port"], reason));
        }
        if self.cluster_port == 0 && u16::MAX - port < BUS_PORT_OFFSET {
            let reason = format!("port {port} leaves no room for the bus port at port + {BUS_PORT_OFFSET}: set cluster-port too");
            return Some(Misfit::new(&["port", "cluster-port"], &reason));
        }
        (self.bus_port() == port).then(|| Misfit::new(&["port", "cluster-port"], "port and cluster-port must differ"))
    }

    fn misfits_of_files(&self) -> Option<Misfit> {
        let bytes = |path: &Path| path.as_os_str().as_bytes().to_owned();
        let (keys, nodes) = (bytes(&self.dbfilename), bytes(&self.cluster_config_file));
        let needed = [("cluster-config-file", &nodes), ("dir", &bytes(&self.dir)), ("dbfilename", &keys)];
        if let Some((name, _)) = needed.into_iter().find(|(_, value)| value.is_empty()) {
            return Some(Misfit::new(&[name], &format!("{name} must not be empty")));
        }
        if keys.contains(&b'/') {
            return Some(Misfit::new(&["dbfilename"], "dbfilename can't be a path, just a filename"));
        }
        let taken = ["", ".tmp", ".lock"].map(|end| [&nodes, end.as_bytes()].concat());
        taken.contains(&keys).then(|| Misfit::new(&["dbfilename", "cluster-config-file"], "dbfilename must be a name of its own"))
    }

    fn other_misfits(&self) -> Vec<Misfit> {
        let mut misfits = Vec::new();
        if self.daemonize {
            let reason = "only 'no' is possible: Pontoon stays in the foreground; let a supervisor (systemd, runit, a shell's &) run it";
            misfits.push(Misfit::new(&["daemonize"], reason));
        }
        if !self.cluster_enabled {
            let reason = "only 'yes' is possible: Pontoon is a cluster node; a cluster of one is its smallest form";
            misfits.push(Misfit::new(&["cluster-enabled"], reason));
        }
        if let Some(room) = self.client_room.filter(|room| self.maxclients > *room) {
            let reason = format!("The operating system is not able to handle the specified number of clients, try with {room}");
            misfits.push(Misfit::new(&["maxclients"], &reason));
        }
        if !self.cluster_secret.is_empty() && !self.cluster_secret_file.as_os_str().is_empty() {
            let reason = "either cluster-secret or cluster-secret-file: both would say which secret counts";
            misfits.push(Misfit::new(&["cluster-secret-file", "cluster-secret"], reason));
        }
        if self.bind.is_empty() {
            misfits.push(Misfit::new(&["bind"], "bind needs at least one address: without one nobody could connect"));
        }
        misfits
    }

    /// What is allowed but not wise, in the words of the log.
    pub fn cautions(&self) -> Vec<String> {
        let mut cautions = Vec::new();
        let (lease, election) = (self.write_lease(), self.election_timeout());
        if lease < 5 * election {
            cautions.push(format!(
                "the write lease ({lease} ms) is below five election timeouts ({election} ms): an election will stop writes"
            ));
        }
        if self.cluster_write_lease > self.cluster_node_timeout {
            cautions.push(format!("cluster-write-lease is above cluster-node-timeout: {lease} ms is used"));
        }
        cautions
    }
}
