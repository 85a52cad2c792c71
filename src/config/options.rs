//! The table of options: the one place that knows a name, its bounds, its default and what it is for.
//!
//! Owns: every row. The file parser, the command line, CONFIG GET/SET/REWRITE and `--help` read it and nothing else.
//! Must not: act on a value. Contract: docs/operations.md, "Options".

use super::Bus;
use super::events::KeyspaceEvents;
use super::inert;
use super::limits::OutputLimits;
use super::percentiles::Percentiles;
use super::protection::Protection;
use super::save_points::SavePoints;
use super::shutdown::ShutdownOptions;
use super::value::{EndpointType, Kind, LogLevel, Setting, Supervision};
use super::words::Word;
use crate::types::numbers::LEASE;
use crate::types::{Millis, STRING_MAX};
use crate::values::Thresholds;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What CONFIG GET shows of a secret.
const HIDDEN: &str = "<hidden>";

/// Where an option's value lives.
pub(super) enum Store {
    /// In a field of [`Config`].
    Field {
        /// The value as CONFIG GET shows it.
        show: fn(&Config) -> Word,
        /// Reads words into the field.
        read: fn(&mut Config, &Kind, &[Word]) -> Result<(), String>,
    },
    /// Kept as text for CONFIG GET, without effect.
    Inert,
    /// The same, but refused unless it is off: the text says what to do instead.
    Missing(&'static str),
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
    /// True if CONFIG GET shows it only by its whole name.
    pub hidden: bool,
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
    pub(super) fn show(&self, config: &Config) -> Word {
        match &self.store {
            Store::Field { show, .. } => show(config),
            Store::Inert | Store::Missing(_) => config.inert.get(self.name).cloned().unwrap_or_else(|| self.default.into()),
        }
    }

    /// The same, unless it is a secret: who may ask for options need not be one that knows it.
    pub(super) fn show_to_clients(&self, config: &Config) -> Word {
        let value = self.show(config);
        if matches!(self.kind, Kind::Secret) && !value.is_empty() { HIDDEN.into() } else { value }
    }

    /// Sets the value from the words after the name.
    pub(super) fn read(&self, config: &mut Config, words: &[Word]) -> Result<(), String> {
        if !self.kind.takes_words() && words.len() != 1 {
            return Err("wrong number of arguments".into());
        }
        match &self.store {
            Store::Field { read, .. } => read(config, &self.kind, words),
            Store::Inert | Store::Missing(_) => {
                let value = self.kind.canonical(words)?;
                config.inert.insert(self.name, value);
                Ok(())
            }
        }
    }

    /// What to do instead, if something is asked of it that is not there.
    pub(super) fn missed(&self, config: &Config) -> Option<&'static str> {
        let Store::Missing(instead) = self.store else { return None };
        let value = config.inert.get(self.name)?;
        let is_off = value == self.default.as_bytes() || matches!(value.as_slice(), b"" | b"no" | b"off" | b"0");
        (!is_off).then_some(instead)
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

/// Makes [`Config`] and the table, with a field and a row for each line: names, field and type, what the value may be, default, when it may
/// change, what it is for. A field of a struct that a room below brings along is there already: such lines stand `in` that struct, without
/// a type.
macro_rules! options {
    (
        $(#[$about:meta])*
        struct $config:ident { $($(#[$about_other:meta])* $scope:vis $other:ident: $other_type:ty,)* }
        $($name:literal $(| $alias:literal)?, $field:ident: $type:ty, $kind:expr, $default:literal, $when:ident, $help:literal;)*
        $(in $whole:ident.$part:ident {
            $($part_name:literal $(| $part_alias:literal)?, $part_field:ident, $part_kind:expr, $part_default:literal, $part_when:ident, $part_help:literal;)*
        })*
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $config {
            $($(#[$about_other])* $scope $other: $other_type,)*
            $(#[doc = $help] pub $field: $type,)*
        }

        /// The options that mean something here.
        const OPTIONS: &[Opt] = &[
            $(options!(@row ($name $(| $alias)?) ($field) $kind, $default, $when, $help),)*
            $($(options!(@row ($part_name $(| $part_alias)?) ($whole.$part.$part_field) $part_kind, $part_default, $part_when, $part_help),)*)*
        ];
    };
    (@row ($name:literal $(| $alias:literal)?) ($($field:ident).+) $kind:expr, $default:literal, $when:ident, $help:literal) => {
        Opt {
            name: $name,
            alias: options!(@alias $($alias)?),
            kind: $kind,
            default: $default,
            at_run_time: $when,
            hidden: false,
            store: Store::Field {
                show: |config| config.$($field).+.bytes(),
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
const INT: Kind = Kind::Number(0, i32::MAX as i64);
const PORT: Kind = Kind::Number(0, 65535);
const BYTES: Kind = Kind::Memory(0, i64::MAX as u64);

options! {
    /// Every option's value. Made by [`from_args`](super::from_args) or [`Config::shipped`], so that each value is within its bounds;
    /// [`Config::default`] has nothing set.
    struct Config {
        /// The configuration file as typed, if there is one; the shell makes it absolute. CONFIG REWRITE writes to it.
        pub file: Option<PathBuf>,
        /// What an operator should be told once at start.
        pub warnings: Vec<String>,
        /// How many clients the system lets this process have, as far as that is known: `maxclients` goes no further.
        pub client_room: Option<u32>,
        /// Where the bus listens, from the start on.
        pub(super) bus: Option<Bus>,
        /// From which size on values take another form.
        pub thresholds: Thresholds,
        /// Values of options without effect that are not at their default, by name.
        inert: BTreeMap<&'static str, Word>,
    }

    "port", port: u16, PORT, "6379", RUN_TIME, "TCP port for clients";
    "bind", bind: Vec<String>, Kind::Words(16), "* -::*", RUN_TIME, "addresses to listen on; one with a leading '-' may be missing";
    "protected-mode", protected_mode: Protection, Kind::Switch, "yes", RUN_TIME, "refuse clients of other hosts while there is no password; not said, and members on other hosts at the start: no";
    "tcp-backlog", tcp_backlog: u32, INT, "511", START, "length of the queue of connections not yet accepted";
    "timeout", timeout: u64, INT, "0", RUN_TIME, "close a client that is silent for so many seconds; 0: never";
    "tcp-keepalive", tcp_keepalive: u64, INT, "300", RUN_TIME, "seconds between TCP keepalive probes of new connections; 0: none";
    "maxclients", maxclients: u32, Kind::Number(1, u32::MAX as i64), "10000", RUN_TIME, "most clients at a time";
    "dir", dir: PathBuf, Kind::Path, "./", START, "working directory; the files below are relative to it";
    "logfile", logfile: PathBuf, Kind::Path, "", START, "file to append the log to; empty: standard error";
    "loglevel", loglevel: LogLevel, Kind::Choice(LogLevel::NAMES), "notice", RUN_TIME, "how much to log";
    "pidfile", pidfile: PathBuf, Kind::Path, "", START, "file to write the process id to; empty: none";
    "daemonize", daemonize: bool, Kind::Switch, "no", START, "only 'no': use a supervisor";
    "supervised", supervised: Supervision, Kind::Choice(Supervision::NAMES), "no", START, "systemd, auto: tell the NOTIFY_SOCKET that the node is ready";
    "requirepass", requirepass: Vec<u8>, Kind::Bytes, "", RUN_TIME, "password that clients must give; empty: none";
    "proto-max-bulk-len", proto_max_bulk_len: u64, Kind::Memory(1 << 20, STRING_MAX), "536870912", RUN_TIME, "longest argument of a command";
    "client-query-buffer-limit", client_query_buffer_limit: u64, Kind::Memory(1 << 20, i64::MAX as u64), "1073741824", RUN_TIME, "most unprocessed input of a client";
    "client-output-buffer-limit", client_output_buffer_limit: OutputLimits, Kind::OutputLimits, "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60", RUN_TIME, "most unsent output by class (normal, replica, pubsub)";
    "primaryauth" | "masterauth", primaryauth: Vec<u8>, Kind::Bytes, "", RUN_TIME, "password that a replica gives its primary; empty: none";
    "primaryuser" | "masteruser", primaryuser: Vec<u8>, Kind::Bytes, "", RUN_TIME, "user that a replica names to its primary; empty: the default user";
    "replica-serve-stale-data" | "slave-serve-stale-data", replica_serve_stale_data: bool, Kind::Switch, "yes", RUN_TIME, "serve reads of a replica while its link to the primary is down";
    "replica-announce-ip" | "slave-announce-ip", replica_announce_ip: String, Kind::Ip, "", RUN_TIME, "address that a replica tells its primary; empty: the connection's";
    "replica-announce-port" | "slave-announce-port", replica_announce_port: u16, PORT, "0", RUN_TIME, "port that a replica tells its primary; 0: the one that it announces to the cluster";
    "save", save: SavePoints, Kind::SavePoints, "3600 1 300 100 60 10000", RUN_TIME, "save the keys once there were so many changes in so many seconds; empty: only by hand";
    "dbfilename", dbfilename: PathBuf, Kind::Path, "dump.rdb", START, "file of the keys (RDB), loaded at start";
    "rdbcompression", rdbcompression: bool, Kind::Switch, "yes", RUN_TIME, "compress strings of 1 to 256 KiB in it";
    "rdbchecksum", rdbchecksum: bool, Kind::Switch, "yes", START, "put a checksum at its end";
    "rdb-save-incremental-fsync", rdb_save_incremental_fsync: bool, Kind::Switch, "yes", RUN_TIME, "bring it to the disk piece by piece; no: all at its end, which stops the node for as long as that takes";
    "shutdown-timeout", shutdown_timeout: u64, INT, "10", RUN_TIME, "seconds that an end in order waits for a replica to have everything; 0: it does not";
    "shutdown-on-sigterm", shutdown_on_sigterm: ShutdownOptions, Kind::ShutdownOptions, "default", RUN_TIME, "in which way SIGTERM ends the node: SHUTDOWN's words";
    "shutdown-on-sigint", shutdown_on_sigint: ShutdownOptions, Kind::ShutdownOptions, "default", RUN_TIME, "in which way SIGINT does";
    "stop-writes-on-bgsave-error", stop_writes_on_bgsave_error: bool, Kind::Switch, "yes", RUN_TIME, "refuse writes while the last save failed, if there are save points";
    "notify-keyspace-events", notify_keyspace_events: KeyspaceEvents, Kind::KeyspaceEvents, "", RUN_TIME, "events about keys to publish, by their letters: K E g $ x n m A ...; empty: none";
    "latency-tracking", latency_tracking: bool, Kind::Switch, "yes", RUN_TIME, "keep how long the calls of each command took, for INFO latencystats";
    "latency-tracking-info-percentiles", latency_tracking_info_percentiles: Percentiles, Kind::Percentiles, "50 99 99.9", RUN_TIME, "what INFO latencystats shows of it";
    "cluster-enabled", cluster_enabled: bool, Kind::Switch, "yes", START, "only 'yes'";
    "cluster-config-file", cluster_config_file: PathBuf, Kind::Path, "nodes.conf", START, "the node's own durable file; never edit it";
    "cluster-node-timeout", cluster_node_timeout: Millis, Kind::Number(100, DAY), "15000", RUN_TIME, "ms without an answer until a node counts as failed";
    "cluster-port", cluster_port: u16, PORT, "0", START, "TCP port of the cluster bus; 0: port + 10000";
    "cluster-announce-ip", cluster_announce_ip: String, Kind::Ip, "", RUN_TIME, "address that others reach this node by; empty: found out";
    "cluster-announce-port", cluster_announce_port: u16, PORT, "0", RUN_TIME, "client port to announce; 0: port";
    "cluster-announce-bus-port", cluster_announce_bus_port: u16, PORT, "0", RUN_TIME, "bus port to announce; 0: the bus port";
    "cluster-announce-hostname", cluster_announce_hostname: String, Kind::Hostname, "", RUN_TIME, "hostname to announce";
    "cluster-announce-human-nodename", cluster_announce_human_nodename: String, Kind::Name, "", RUN_TIME, "name to announce, for people";
    "availability-zone", availability_zone: String, Kind::SafeText, "", RUN_TIME, "zone to announce; the leader spreads the voters over the zones";
    "cluster-preferred-endpoint-type", cluster_preferred_endpoint_type: EndpointType, Kind::Choice(EndpointType::NAMES), "ip", RUN_TIME, "what clients are told to reach a node by";
    "cluster-require-full-coverage", cluster_require_full_coverage: bool, Kind::Switch, "yes", RUN_TIME, "serve no slot while one has no owner or a failed one";
    "cluster-allow-reads-when-down", cluster_allow_reads_when_down: bool, Kind::Switch, "no", RUN_TIME, "serve reads of own slots while the cluster is down";
    "cluster-allow-pubsubshard-when-down", cluster_allow_pubsubshard_when_down: bool, Kind::Switch, "yes", RUN_TIME, "serve shard channels of own slots while the cluster is down";
    "cluster-replica-no-failover" | "cluster-slave-no-failover", cluster_replica_no_failover: bool, Kind::Switch, "no", RUN_TIME, "flag this node as never to be promoted";
    "replica-priority" | "slave-priority", replica_priority: u32, INT, "100", RUN_TIME, "of replicas with equal data the one with the lowest takes over; 0: never";
    "cluster-manual-failover-timeout", cluster_manual_failover_timeout: Millis, Kind::Number(1, i32::MAX as i64), "5000", RUN_TIME, "ms that a manual failover may hold writes; then it is called off";
    "cluster-fast-failure-detection", cluster_fast_failure_detection: bool, Kind::Switch, "yes", RUN_TIME, "a process whose connections end and whose ports refuse new ones is known to be dead at once, if it is a primary that a replica can take over from, or a replica; no: behind a proxy";
    "min-replicas-to-write" | "min-slaves-to-write", min_replicas_to_write: u32, INT, "0", RUN_TIME, "refuse writes while fewer replicas are there; 0: never";
    "min-replicas-max-lag" | "min-slaves-max-lag", min_replicas_max_lag: u64, INT, "10", RUN_TIME, "seconds of silence after which a replica does not count for min-replicas-to-write; 0: writes are not refused";
    "repl-backlog-size", repl_backlog_size: u64, Kind::Raised(16 << 10), "10485760", RUN_TIME, "bytes of changes kept for replicas that come back; at least 16 KiB are";
    "repl-backlog-ttl", repl_backlog_ttl: u64, Kind::Number(0, i64::MAX), "3600", RUN_TIME, "seconds that they are kept without any replica; 0: for ever";
    "repl-ping-replica-period" | "repl-ping-slave-period", repl_ping_replica_period: u64, Kind::Number(1, i32::MAX as i64), "10", RUN_TIME, "seconds between the PINGs that a primary sends to its replicas";
    "repl-timeout", repl_timeout: u64, Kind::Number(1, i32::MAX as i64), "60", RUN_TIME, "seconds of silence after which primary and replica give up their link";
    "cluster-link-sendbuf-limit", cluster_link_sendbuf_limit: u64, BYTES, "0", RUN_TIME, "close a bus link with more unsent bytes; 0: no limit";
    "cluster-secret-file", cluster_secret_file: PathBuf, Kind::Path, "", RUN_TIME, "file with the secret that all nodes share, one line, or two while it is changed; CONFIG SET and SIGHUP read it anew";
    "cluster-secret", cluster_secret: Vec<u8>, Kind::Secret, "", RUN_TIME, "the same secret itself; CONFIG GET does not show it";
    "cluster-secret-required", cluster_secret_required: bool, Kind::Switch, "yes", RUN_TIME, "no: nodes without the secret are taken too, while a cluster gets its first one";
    "cluster-secret-foreign-sync", cluster_secret_foreign_sync: bool, Kind::Switch, "yes", RUN_TIME, "no: only nodes that know the secret get a copy of the keys (SYNC, PSYNC)";
    "cluster-raft-election-timeout", cluster_raft_election_timeout: Millis, Kind::Number(0, DAY), "0", RUN_TIME, "ms without a leader until an election; 0: min(1000, lease / 5)";
    "cluster-raft-log-kept", cluster_raft_log_kept: u64, Kind::Number(0, 1_000_000), "64", RUN_TIME, "applied log entries kept in memory for nodes that lag; trimmed to that when twice as many are held";
    "cluster-raft-voters", cluster_raft_voters: u32, Kind::Number(1, 9), "5", RUN_TIME, "how many nodes vote; an even number rests one below";
    "cluster-write-lease", cluster_write_lease: Millis, Kind::Number(0, LEASE.greatest as i64), "0", RUN_TIME, "ms that this node, as leader, lets a primary write without it; 0: min(5000, node timeout)";

    in thresholds.hash {
        "hash-max-listpack-entries" | "hash-max-ziplist-entries", entries, Kind::Number(0, i64::MAX), "512", RUN_TIME, "hashes of up to so many fields, and 256 KiB, are kept in one packed piece";
        "hash-max-listpack-value" | "hash-max-ziplist-value", value, Kind::Memory(0, i64::MAX as u64), "64", RUN_TIME, "if no field and no value has more bytes";
    }
}

/// The defaults, by reading the table's own.
pub(super) fn defaults() -> Config {
    let mut config = Config::default();
    for option in OPTIONS {
        let read = option.read(&mut config, &[option.default.into()]);
        assert_eq!(read, Ok(()), "the default of {} is within its own bounds", option.name);
    }
    // Not as if somebody had said it.
    config.protected_mode = Protection::default();
    config
}
