//! The node's options: what was typed (redis.conf lines, `--options`, CONFIG SET) becomes a checked [`Config`].
//!
//! Owns: the typed values, one table of options (`options.rs`, `inert.rs`), the syntax of redis.conf and of the command line.
//! Must not: read a file (the caller passes a reader), act on a value. Contract: docs/operations.md, "Options".

mod error;
mod events;
mod glob;
mod inert;
mod limits;
mod lines;
mod load;
mod options;
mod rewrite;
mod save_points;
mod set;
mod shutdown;
mod value;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::types::Millis;
use crate::values::Thresholds;

pub use error::{ConfigError, Source};
pub use events::{EventClass, KeyspaceEvents};
pub use glob::matches as glob_matches;
pub use limits::{OutputLimit, OutputLimits};
pub use load::{Launch, from_args};
pub use save_points::SavePoints;
pub use set::SetError;
pub use shutdown::{LastSave, ShutdownOptions};
pub use value::{EndpointType, LogLevel};

/// Added to the client port for the bus port, unless `cluster-port` says another.
const BUS_PORT_OFFSET: u16 = 10_000;
/// The election timeout and the write lease are at most this by themselves (docs/protocol.md, §4).
const DEFAULT_ELECTION_TIMEOUT: Millis = 1000;
const DEFAULT_WRITE_LEASE: Millis = 5000;

/// Every option's value. Made by [`from_args`] or [`Config::shipped`], so that each value is within its bounds; [`Config::default`] has nothing set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The configuration file as typed, if there is one; the shell makes it absolute. CONFIG REWRITE writes to it.
    pub file: Option<PathBuf>,
    /// What an operator should be told once at start.
    pub warnings: Vec<String>,
    /// How many clients the system lets this process have, as far as that is known: `maxclients` goes no further.
    pub client_room: Option<u32>,
    /// TCP port for clients.
    pub port: u16,
    /// Addresses to listen on, in redis.conf's notation (`*`, `::*`, a leading `-` for "may be missing").
    pub bind: Vec<String>,
    /// Length of the listen queue.
    pub tcp_backlog: u32,
    /// Seconds after which a silent client is closed; 0: never.
    pub timeout: u64,
    /// Seconds between keepalive probes; 0: none.
    pub tcp_keepalive: u64,
    /// Most clients at a time.
    pub maxclients: u32,
    /// Working directory.
    pub dir: String,
    /// Log file; empty: standard error.
    pub logfile: String,
    /// How much is logged.
    pub loglevel: LogLevel,
    /// File for the process id; empty: none.
    pub pidfile: String,
    /// Always `no`.
    pub daemonize: String,
    /// Clients' password; empty: none.
    pub requirepass: String,
    /// Longest argument of a command, in bytes.
    pub proto_max_bulk_len: u64,
    /// Most unprocessed input of a client, in bytes.
    pub client_query_buffer_limit: u64,
    /// Most unsent output, by class.
    pub client_output_buffer_limit: OutputLimits,
    /// When keys are saved by themselves.
    pub save: SavePoints,
    /// The file of the keys, in `dir`.
    pub dbfilename: String,
    /// Strings are compressed in it.
    pub rdbcompression: bool,
    /// It ends with a checksum.
    pub rdbchecksum: bool,
    /// A save is brought to the disk piece by piece.
    pub rdb_save_incremental_fsync: bool,
    /// Seconds that a primary that is told to end waits for replicas.
    pub shutdown_timeout: u64,
    /// In which way SIGTERM ends the process.
    pub shutdown_on_sigterm: ShutdownOptions,
    /// And SIGINT.
    pub shutdown_on_sigint: ShutdownOptions,
    /// Writes are refused after a save that failed.
    pub stop_writes_on_bgsave_error: bool,
    /// Which events about keys are published.
    pub notify_keyspace_events: KeyspaceEvents,
    /// From which size on values take another form.
    pub thresholds: Thresholds,
    /// Always `yes`.
    pub cluster_enabled: String,
    /// The node's durable file, relative to `dir`.
    pub cluster_config_file: String,
    /// How long a node may be silent before it counts as failed.
    pub cluster_node_timeout: Millis,
    /// The bus port as typed; see [`Config::bus_port`].
    pub cluster_port: u16,
    /// Address to announce; empty: found out from peers.
    pub cluster_announce_ip: String,
    /// Client port to announce; 0: `port`.
    pub cluster_announce_port: u16,
    /// Bus port to announce; 0: the bus port.
    pub cluster_announce_bus_port: u16,
    /// Hostname to announce; empty: none.
    pub cluster_announce_hostname: String,
    /// Name for people to announce; empty: none.
    pub cluster_announce_human_nodename: String,
    /// Availability zone to announce; empty: none.
    pub availability_zone: String,
    /// What clients are told to reach a node by.
    pub cluster_preferred_endpoint_type: EndpointType,
    /// Serve nothing while a slot is not covered.
    pub cluster_require_full_coverage: bool,
    /// Serve reads while the cluster is down.
    pub cluster_allow_reads_when_down: bool,
    /// Serve shard channels while the cluster is down.
    pub cluster_allow_pubsubshard_when_down: bool,
    /// This node is flagged `nofailover`.
    pub cluster_replica_no_failover: bool,
    /// How much this node wants to take over as a replica: the lower, the rather; 0: never.
    pub replica_priority: u32,
    /// How long a manual failover may hold writes.
    pub cluster_manual_failover_timeout: Millis,
    /// A process whose ports refuse connections is known to be dead.
    pub cluster_fast_failure_detection: bool,
    /// How many replicas must be there for a write; 0: none.
    pub min_replicas_to_write: u32,
    /// Seconds of silence after which a replica is not there any more; 0: writes need none.
    pub min_replicas_max_lag: u64,
    /// Bytes of the stream that are kept for replicas that come back.
    pub repl_backlog_size: u64,
    /// Seconds that they are kept without any replica; 0: for ever.
    pub repl_backlog_ttl: u64,
    /// Seconds between two PINGs in the stream.
    pub repl_ping_replica_period: u64,
    /// Seconds of silence until a link between a primary and a replica is given up.
    pub repl_timeout: u64,
    /// Most unsent bytes on a bus link; 0: no limit.
    pub cluster_link_sendbuf_limit: u64,
    /// The election timeout as typed, 0 for automatic; see [`Config::election_timeout`].
    pub cluster_raft_election_timeout: Millis,
    /// User for the primary; empty: the default user.
    pub primaryuser: String,
    /// Password for the primary; empty: none is given.
    pub primaryauth: String,
    /// A replica without a link to its primary answers from what it has.
    pub replica_serve_stale_data: bool,
    /// Address that a replica tells its primary; empty: the connection's.
    pub replica_announce_ip: String,
    /// Port that a replica tells its primary; 0: the announced client port.
    pub replica_announce_port: u16,
    /// Applied log entries kept in memory; trimmed to that beyond twice as many.
    pub cluster_raft_log_kept: u64,
    /// How many nodes vote.
    pub cluster_raft_voters: u32,
    /// The write lease as typed, 0 for automatic; see [`Config::write_lease`].
    pub cluster_write_lease: Millis,
    /// Values of options without effect that are not at their default, by name.
    inert: BTreeMap<&'static str, String>,
}

/// Values that must not be together, or one that must not be at all.
struct Misfit {
    /// Whose values: the one that was set last is to blame.
    options: &'static [&'static str],
    reason: String,
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

    /// The port that the bus listens on.
    pub fn bus_port(&self) -> u16 {
        // `check` has seen to it that the sum is a port.
        if self.cluster_port == 0 { self.port.saturating_add(BUS_PORT_OFFSET) } else { self.cluster_port }
    }

    /// The client port that others are told.
    pub fn announced_port(&self) -> u16 {
        if self.cluster_announce_port == 0 { self.port } else { self.cluster_announce_port }
    }

    /// The bus port that others are told.
    pub fn announced_bus_port(&self) -> u16 {
        if self.cluster_announce_bus_port == 0 { self.bus_port() } else { self.cluster_announce_bus_port }
    }

    /// The values, by name, whose name or alias matches the glob `pattern` in any case; in the table's order.
    pub fn get(&self, pattern: impl AsRef<[u8]>) -> Vec<(&'static str, String)> {
        let pattern = pattern.as_ref();
        let matching = |name: &&str| glob::matches(pattern, name.as_bytes(), true);
        options::all().flat_map(|option| option.names().filter(matching).map(|name| (name, option.show(self)))).collect()
    }

    /// What the values must be together; the first reason why they are not.
    fn check(&self) -> Result<(), Misfit> {
        let misfit = |options, reason: &str| Err(Misfit { options, reason: reason.to_owned() });
        if self.cluster_port == 0 && u16::MAX - self.port < BUS_PORT_OFFSET {
            let port = self.port;
            let reason = format!("port {port} leaves no room for the bus port at port + {BUS_PORT_OFFSET}: set cluster-port too");
            return misfit(&["port", "cluster-port"], &reason);
        }
        if self.bus_port() == self.port {
            return misfit(&["port", "cluster-port"], "port and cluster-port must differ");
        }
        if let Some(room) = self.client_room.filter(|room| self.maxclients > *room) {
            let reason = format!("The operating system is not able to handle the specified number of clients, try with {room}");
            return misfit(&["maxclients"], &reason);
        }
        if self.bind.is_empty() {
            return misfit(&["bind"], "bind needs at least one address");
        }
        if self.cluster_config_file.is_empty() {
            return misfit(&["cluster-config-file"], "cluster-config-file must not be empty");
        }
        if self.dir.is_empty() {
            return misfit(&["dir"], "dir must not be empty");
        }
        if self.dbfilename.contains('/') {
            return misfit(&["dbfilename"], "dbfilename can't be a path, just a filename");
        }
        if self.dbfilename.is_empty() {
            return misfit(&["dbfilename"], "dbfilename must not be empty");
        }
        let taken = ["", ".tmp", ".lock"].map(|end| format!("{}{end}", self.cluster_config_file));
        if taken.contains(&self.dbfilename) {
            return misfit(&["dbfilename", "cluster-config-file"], "dbfilename must be a name of its own");
        }
        Ok(())
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
