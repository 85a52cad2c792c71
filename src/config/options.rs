//! The table of options: the one place that knows a name, its bounds, its default and what it is for.
//!
//! Owns: every row. The file parser, the command line, CONFIG GET/SET/REWRITE and `--help` read it and nothing else.
//! Must not: act on a value. Contract: docs/operations.md, "Options".

use super::value::{EndpointType, Kind, LogLevel, Setting};
use super::{Config, inert};
use crate::types::STRING_MAX;
use crate::types::numbers::LEASE;

/// Where an option's value lives.
pub(super) enum Store {
    /// In a field of [`Config`].
    Field {
        /// The value as CONFIG GET shows it.
        show: fn(&Config) -> String,
        /// Reads words into the field.
        read: fn(&mut Config, &Kind, &[String]) -> Result<(), String>,
    },
    /// Kept as text for CONFIG GET, without effect.
    Inert,
}

/// One option.
pub(super) struct Opt {
    /// Its name in redis.conf.
    pub name: &'static str,
    /// Another name that Redis gives it.
    pub alias: Option<&'static str>,
    /// What its value may be.
    pub kind: Kind,
    /// What it is when nobody said anything, as CONFIG GET shows it.
    pub default: &'static str,
    /// True if CONFIG SET may change it.
    pub at_run_time: bool,
    /// Where the value lives.
    pub store: Store,
    /// One line for `--help`; empty for options without effect.
    pub help: &'static str,
}

impl Opt {
    /// True if this is one of its names, in any case.
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.names().any(|own| own.eq_ignore_ascii_case(name))
    }

    /// Its name, then its alias.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.alias)
    }

    /// The value as CONFIG GET shows it.
    pub(super) fn show(&self, config: &Config) -> String {
        match &self.store {
            Store::Field { show, .. } => show(config),
            Store::Inert => config.inert.get(self.name).cloned().unwrap_or_else(|| self.default.to_owned()),
        }
    }

    /// Sets the value from the words after the name.
    pub(super) fn read(&self, config: &mut Config, words: &[String]) -> Result<(), String> {
        if !self.kind.takes_words() && words.len() != 1 {
            return Err("wrong number of arguments".into());
        }
        match &self.store {
            Store::Field { read, .. } => read(config, &self.kind, words),
            Store::Inert => {
                let text = self.kind.canonical(words)?;
                config.inert.insert(self.name, text);
                Ok(())
            }
        }
    }

    /// True if it does something here.
    pub(super) fn has_effect(&self) -> bool {
        matches!(self.store, Store::Field { .. })
    }
}

/// Every option: those with a meaning, then those without.
pub(super) fn all() -> impl Iterator<Item = &'static Opt> {
    OPTIONS.iter().chain(inert::OPTIONS)
}

/// The option with this name or alias, in any case.
pub(super) fn find(name: &str) -> Option<&'static Opt> {
    all().find(|option| option.is_named(name))
}

macro_rules! option {
    ($name:literal $(| $alias:literal)?, $($field:ident).+, $kind:expr, $default:literal, $when:ident, $help:literal) => {
        Opt {
            name: $name,
            alias: option!(@alias $($alias)?),
            kind: $kind,
            default: $default,
            at_run_time: $when,
            store: Store::Field {
                show: |config| config.$($field).+.show(),
                read: |config, kind, words| {
                    config.$($field).+ = config.$($field).+.read_onto(kind, words)?;
                    Ok(())
                },
            },
            help: $help,
        }
    };
    (@alias) => { None };
    (@alias $alias:literal) => { Some($alias) };
}

/// Whether CONFIG SET may change an option.
const RUN_TIME: bool = true;
const START: bool = false;
/// A day in ms: no timeout is longer.
const DAY: i64 = 86_400_000;
const PORT: Kind = Kind::Number(0, 65535);
const BYTES: Kind = Kind::Memory(0, u64::MAX);

/// The options that mean something here.
#[rustfmt::skip]
const OPTIONS: &[Opt] = &[
    option!("port", port, Kind::Number(1, 65535), "6379", START, "TCP port for clients"),
    option!("bind", bind, Kind::Words(16), "* -::*", START, "addresses to listen on; one with a leading '-' may be missing"),
    option!("tcp-backlog", tcp_backlog, Kind::Number(1, 65535), "511", START, "length of the queue of connections not yet accepted"),
    option!("timeout", timeout, Kind::Number(0, DAY / 1000), "0", RUN_TIME, "close a client that is silent for so many seconds; 0: never"),
    option!("tcp-keepalive", tcp_keepalive, Kind::Number(0, DAY / 1000), "300", RUN_TIME, "seconds between TCP keepalive probes of new connections; 0: none"),
    option!("maxclients", maxclients, Kind::Number(1, 1_000_000), "10000", RUN_TIME, "most clients at a time"),
    option!("dir", dir, Kind::Text, "./", START, "working directory; the files below are relative to it"),
    option!("logfile", logfile, Kind::Text, "", START, "file to append the log to; empty: standard error"),
    option!("loglevel", loglevel, Kind::Choice(LogLevel::NAMES), "notice", RUN_TIME, "how much to log"),
    option!("pidfile", pidfile, Kind::Text, "", START, "file to write the process id to; empty: none"),
    option!("daemonize", daemonize, Kind::Only("no", "Pontoon stays in the foreground; let a supervisor (systemd, runit, a shell's &) run it"), "no", START, "only 'no': use a supervisor"),
    option!("requirepass", requirepass, Kind::Text, "", RUN_TIME, "password that clients must give; empty: none"),
    option!("proto-max-bulk-len", proto_max_bulk_len, Kind::Memory(1 << 20, STRING_MAX), "536870912", RUN_TIME, "longest argument of a command"),
    option!("client-query-buffer-limit", client_query_buffer_limit, Kind::Memory(1 << 20, 8 << 30), "1073741824", RUN_TIME, "most unprocessed input of a client"),
    option!("client-output-buffer-limit", client_output_buffer_limit, Kind::OutputLimits, "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60", RUN_TIME, "most unsent output by class (normal, replica, pubsub)"),
    option!("primaryauth" | "masterauth", primaryauth, Kind::Text, "", RUN_TIME, "password that a replica gives its primary; empty: none"),
    option!("primaryuser" | "masteruser", primaryuser, Kind::Text, "", RUN_TIME, "user that a replica names to its primary; empty: the default user"),
    option!("replica-serve-stale-data" | "slave-serve-stale-data", replica_serve_stale_data, Kind::Switch, "yes", RUN_TIME, "serve reads of a replica while its link to the primary is down"),
    option!("replica-announce-ip" | "slave-announce-ip", replica_announce_ip, Kind::Ip, "", RUN_TIME, "address that a replica tells its primary; empty: the connection's"),
    option!("replica-announce-port" | "slave-announce-port", replica_announce_port, PORT, "0", RUN_TIME, "port that a replica tells its primary; 0: the one that it announces to the cluster"),
    option!("save", save, Kind::SavePoints, "3600 1 300 100 60 10000", RUN_TIME, "save the keys once there were so many changes in so many seconds; empty: only by hand"),
    option!("dbfilename", dbfilename, Kind::Text, "dump.rdb", START, "file of the keys (RDB), loaded at start"),
    option!("rdbcompression", rdbcompression, Kind::Switch, "yes", RUN_TIME, "compress strings of 1 to 256 KiB in it"),
    option!("rdbchecksum", rdbchecksum, Kind::Switch, "yes", START, "put a checksum at its end"),
    option!("rdb-save-incremental-fsync", rdb_save_incremental_fsync, Kind::Switch, "yes", RUN_TIME, "bring it to the disk piece by piece; no: all at its end, which stops the node for as long as that takes"),
    option!("shutdown-timeout", shutdown_timeout, Kind::Number(0, i32::MAX as i64), "10", RUN_TIME, "seconds that an end in order waits for a replica to have everything; 0: it does not"),
    option!("shutdown-on-sigterm", shutdown_on_sigterm, Kind::ShutdownOptions, "default", RUN_TIME, "in which way SIGTERM ends the node: SHUTDOWN's words"),
    option!("shutdown-on-sigint", shutdown_on_sigint, Kind::ShutdownOptions, "default", RUN_TIME, "in which way SIGINT does"),
    option!("stop-writes-on-bgsave-error", stop_writes_on_bgsave_error, Kind::Switch, "yes", RUN_TIME, "refuse writes while the last save failed, if there are save points"),
    option!("notify-keyspace-events", notify_keyspace_events, Kind::KeyspaceEvents, "", RUN_TIME, "events about keys to publish, by their letters: K E g $ x n m A ...; empty: none"),
    option!("hash-max-listpack-entries" | "hash-max-ziplist-entries", thresholds.hash_entries, Kind::Number(0, i64::MAX), "512", RUN_TIME, "hashes of up to so many fields are kept in one packed piece"),
    option!("hash-max-listpack-value" | "hash-max-ziplist-value", thresholds.hash_value, Kind::Memory(0, i64::MAX as u64), "64", RUN_TIME, "if no field and no value has more bytes"),
    option!("cluster-enabled", cluster_enabled, Kind::Only("yes", "Pontoon is a cluster node; a cluster of one is its smallest form"), "yes", START, "only 'yes'"),
    option!("cluster-config-file", cluster_config_file, Kind::Text, "nodes.conf", START, "the node's own durable file; never edit it"),
    option!("cluster-node-timeout", cluster_node_timeout, Kind::Number(100, DAY), "15000", RUN_TIME, "ms without an answer until a node counts as failed"),
    option!("cluster-port", cluster_port, PORT, "0", START, "TCP port of the cluster bus; 0: port + 10000"),
    option!("cluster-announce-ip", cluster_announce_ip, Kind::Ip, "", RUN_TIME, "address that others reach this node by; empty: found out"),
    option!("cluster-announce-port", cluster_announce_port, PORT, "0", RUN_TIME, "client port to announce; 0: port"),
    option!("cluster-announce-bus-port", cluster_announce_bus_port, PORT, "0", RUN_TIME, "bus port to announce; 0: the bus port"),
    option!("cluster-announce-hostname", cluster_announce_hostname, Kind::SafeText, "", RUN_TIME, "hostname to announce"),
    option!("cluster-announce-human-nodename", cluster_announce_human_nodename, Kind::SafeText, "", RUN_TIME, "name to announce, for people"),
    option!("availability-zone", availability_zone, Kind::SafeText, "", RUN_TIME, "zone to announce; the leader spreads the voters over the zones"),
    option!("cluster-preferred-endpoint-type", cluster_preferred_endpoint_type, Kind::Choice(EndpointType::NAMES), "ip", RUN_TIME, "what clients are told to reach a node by"),
    option!("cluster-require-full-coverage", cluster_require_full_coverage, Kind::Switch, "yes", RUN_TIME, "serve no slot while one has no owner or a failed one"),
    option!("cluster-allow-reads-when-down", cluster_allow_reads_when_down, Kind::Switch, "no", RUN_TIME, "serve reads of own slots while the cluster is down"),
    option!("cluster-allow-pubsubshard-when-down", cluster_allow_pubsubshard_when_down, Kind::Switch, "yes", RUN_TIME, "serve shard channels of own slots while the cluster is down"),
    option!("cluster-replica-no-failover" | "cluster-slave-no-failover", cluster_replica_no_failover, Kind::Switch, "no", RUN_TIME, "flag this node as never to be promoted"),
    option!("replica-priority" | "slave-priority", replica_priority, Kind::Number(0, i32::MAX as i64), "100", RUN_TIME, "of replicas with equal data the one with the lowest takes over; 0: never"),
    option!("cluster-manual-failover-timeout", cluster_manual_failover_timeout, Kind::Number(1, DAY), "5000", RUN_TIME, "ms that a manual failover may hold writes; then it is called off"),
    option!("cluster-fast-failure-detection", cluster_fast_failure_detection, Kind::Switch, "yes", RUN_TIME, "a process whose connections end and whose ports refuse new ones is known to be dead at once, if it is a primary that a replica can take over from, or a replica; no: behind a proxy"),
    option!("min-replicas-to-write" | "min-slaves-to-write", min_replicas_to_write, Kind::Number(0, i32::MAX as i64), "0", RUN_TIME, "refuse writes while fewer replicas are there; 0: never"),
    option!("min-replicas-max-lag" | "min-slaves-max-lag", min_replicas_max_lag, Kind::Number(0, DAY / 1000), "10", RUN_TIME, "seconds of silence after which a replica does not count for min-replicas-to-write; 0: writes are not refused"),
    option!("repl-backlog-size", repl_backlog_size, Kind::Raised(16 << 10), "10485760", RUN_TIME, "bytes of changes kept for replicas that come back; at least 16 KiB are"),
    option!("repl-backlog-ttl", repl_backlog_ttl, Kind::Number(0, i32::MAX as i64), "3600", RUN_TIME, "seconds that they are kept without any replica; 0: for ever"),
    option!("repl-ping-replica-period" | "repl-ping-slave-period", repl_ping_replica_period, Kind::Number(1, DAY / 1000), "10", RUN_TIME, "seconds between the PINGs that a primary sends to its replicas"),
    option!("repl-timeout", repl_timeout, Kind::Number(1, DAY / 1000), "60", RUN_TIME, "seconds of silence after which primary and replica give up their link"),
    option!("cluster-link-sendbuf-limit", cluster_link_sendbuf_limit, BYTES, "0", RUN_TIME, "close a bus link with more unsent bytes; 0: no limit"),
    option!("cluster-raft-election-timeout", cluster_raft_election_timeout, Kind::Number(0, DAY), "0", RUN_TIME, "ms without a leader until an election; 0: min(1000, lease / 5)"),
    option!("cluster-raft-log-kept", cluster_raft_log_kept, Kind::Number(0, 1_000_000), "64", RUN_TIME, "applied log entries kept in memory for nodes that lag; trimmed to that when twice as many are held"),
    option!("cluster-raft-voters", cluster_raft_voters, Kind::Number(1, 9), "5", RUN_TIME, "how many nodes vote; an even number rests one below"),
    option!("cluster-write-lease", cluster_write_lease, Kind::Number(0, LEASE.greatest as i64), "0", RUN_TIME, "ms that this node, as leader, lets a primary write without it; 0: min(5000, node timeout)"),
];

/// The defaults, by reading the table's own.
pub(super) fn defaults() -> Config {
    let mut config = Config::default();
    for option in OPTIONS {
        let read = option.read(&mut config, &[option.default.to_owned()]);
        assert_eq!(read, Ok(()), "the default of {} is within its own bounds", option.name);
    }
    config
}
