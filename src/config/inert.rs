//! Options of Redis and Valkey that mean nothing here, so that a redis.conf written for them starts a node.
//!
//! Owns: their names, kinds and Redis' defaults for CONFIG GET; the few that are refused with a reason. Must not: grow a meaning; an option
//! that gets one moves to `options.rs`. Contract: docs/operations.md, "Options".

use super::options::{Opt, Store};
use super::value::Kind;

const fn inert(name: &'static str, kind: Kind, default: &'static str) -> Opt {
    Opt { name, alias: None, kind, default, at_run_time: true, store: Store::Inert, help: "" }
}

const fn also(mut option: Opt, alias: &'static str) -> Opt {
    option.alias = Some(alias);
    option
}

const YES_NO: Kind = Kind::Switch;
const NUMBER: Kind = Kind::Number(i64::MIN, i64::MAX);
const COUNT: Kind = Kind::Number(0, i32::MAX as i64);
const BYTES: Kind = Kind::Memory(0, u64::MAX);
const TEXT: Kind = Kind::Text;
const WORDS: Kind = Kind::Words(64);
const NO_TLS: &str = "TLS is not supported";

/// A directive that must not be taken in silence: doing nothing would be wrong.
pub(super) fn refused(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        "include" => "'include' is not supported: put everything into one file",
        "rename-command" => "'rename-command' is not supported",
        "user" | "aclfile" => "users and access lists are not supported: use 'requirepass'",
        "loadmodule" => "modules are not supported",
        "replicaof" | "slaveof" => "'replicaof' is not possible in a cluster: use CLUSTER REPLICATE",
        "tls-port" | "tls-cluster" | "tls-replication" => return None,
        name if name.starts_with("tls-") => NO_TLS,
        _ => return None,
    })
}

/// Known, without effect.
#[rustfmt::skip]
pub(super) const OPTIONS: &[Opt] = &[
    // The cluster's, for what is done otherwise here, or not at all.
    inert("cluster-announce-client-ipv4", TEXT, ""),
    inert("cluster-announce-client-ipv6", TEXT, ""),
    inert("cluster-announce-tls-port", NUMBER, "0"),
    also(inert("cluster-replica-validity-factor", NUMBER, "10"), "cluster-slave-validity-factor"),
    inert("cluster-allow-replica-migration", YES_NO, "yes"),
    inert("cluster-blacklist-ttl", NUMBER, "60"),
    inert("cluster-slot-stats-enabled", YES_NO, "no"),
    inert("cluster-migration-barrier", NUMBER, "1"),
    // Process and network.
    inert("supervised", Kind::Choice(&["upstart", "systemd", "auto", "no"]), "no"),
    inert("databases", NUMBER, "16"),
    inert("hz", NUMBER, "10"),
    inert("dynamic-hz", YES_NO, "yes"),
    inert("unixsocket", TEXT, ""),
    inert("unixsocketperm", TEXT, "0"),
    inert("protected-mode", YES_NO, "no"),
    inert("bind-source-addr", TEXT, ""),
    inert("socket-mark-id", NUMBER, "0"),
    inert("tls-port", Kind::Only("0", NO_TLS), "0"),
    inert("tls-cluster", Kind::Only("no", NO_TLS), "no"),
    inert("tls-replication", Kind::Only("no", NO_TLS), "no"),
    inert("io-threads", NUMBER, "1"),
    inert("io-threads-do-reads", YES_NO, "no"),
    inert("always-show-logo", YES_NO, "no"),
    inert("set-proc-title", YES_NO, "yes"),
    inert("proc-title-template", TEXT, "{title} {listen-addr} {server-mode}"),
    inert("locale-collate", TEXT, ""),
    inert("syslog-enabled", YES_NO, "no"),
    inert("syslog-ident", TEXT, "redis"),
    inert("syslog-facility", TEXT, "local0"),
    inert("crash-log-enabled", YES_NO, "yes"),
    inert("crash-memcheck-enabled", YES_NO, "yes"),
    inert("hide-user-data-from-log", YES_NO, "yes"),
    inert("disable-thp", YES_NO, "yes"),
    inert("oom-score-adj", TEXT, "no"),
    inert("oom-score-adj-values", WORDS, "0 200 800"),
    also(inert("server-cpulist", TEXT, ""), "server_cpulist"),
    also(inert("bio-cpulist", TEXT, ""), "bio_cpulist"),
    also(inert("aof-rewrite-cpulist", TEXT, ""), "aof_rewrite_cpulist"),
    also(inert("bgsave-cpulist", TEXT, ""), "bgsave_cpulist"),
    inert("enable-protected-configs", TEXT, "no"),
    inert("enable-debug-command", TEXT, "no"),
    inert("enable-module-command", TEXT, "no"),
    inert("ignore-warnings", TEXT, ""),
    inert("extended-redis-compatibility", YES_NO, "no"),
    inert("propagation-error-behavior", TEXT, "ignore"),
    // Access.
    inert("acllog-max-len", NUMBER, "128"),
    inert("acl-pubsub-default", TEXT, "resetchannels"),
    // Persistence of keys.
    inert("appendonly", YES_NO, "no"),
    inert("appendfsync", Kind::Choice(&["everysec", "always", "no"]), "everysec"),
    inert("appendfilename", TEXT, "appendonly.aof"),
    inert("appenddirname", TEXT, "appendonlydir"),
    inert("auto-aof-rewrite-percentage", NUMBER, "100"),
    inert("auto-aof-rewrite-min-size", BYTES, "67108864"),
    inert("aof-load-truncated", YES_NO, "yes"),
    inert("aof-use-rdb-preamble", YES_NO, "yes"),
    inert("aof-timestamp-enabled", YES_NO, "no"),
    inert("aof-rewrite-incremental-fsync", YES_NO, "yes"),
    inert("aof-disable-auto-gc", YES_NO, "no"),
    inert("no-appendfsync-on-rewrite", YES_NO, "no"),
    inert("rdb-del-sync-files", YES_NO, "no"),
    inert("rdb-key-save-delay", NUMBER, "0"),
    inert("key-load-delay", NUMBER, "0"),
    inert("loading-process-events-interval-bytes", BYTES, "2097152"),
    inert("sanitize-dump-payload", TEXT, "no"),
    // Replication.
    also(inert("replica-read-only", YES_NO, "yes"), "slave-read-only"),
    also(inert("replica-lazy-flush", YES_NO, "yes"), "slave-lazy-flush"),
    also(inert("replica-ignore-maxmemory", YES_NO, "yes"), "slave-ignore-maxmemory"),
    inert("replica-announced", YES_NO, "yes"),
    inert("replica-ignore-disk-write-errors", YES_NO, "no"),
    inert("repl-diskless-sync", YES_NO, "yes"),
    inert("repl-diskless-sync-delay", COUNT, "0"),
    inert("repl-diskless-sync-max-replicas", COUNT, "0"),
    inert("repl-diskless-load", TEXT, "disabled"),
    inert("repl-disable-tcp-nodelay", YES_NO, "no"),
    inert("dual-channel-replication-enabled", YES_NO, "no"),
    // Memory and encodings.
    inert("maxmemory", BYTES, "0"),
    inert("maxmemory-policy", Kind::Choice(&["noeviction", "allkeys-lru", "volatile-lru", "allkeys-lfu", "volatile-lfu", "allkeys-random", "volatile-random", "volatile-ttl"]), "noeviction"),
    inert("maxmemory-samples", NUMBER, "5"),
    inert("maxmemory-eviction-tenacity", NUMBER, "10"),
    inert("maxmemory-clients", TEXT, "0"),
    inert("lfu-log-factor", NUMBER, "10"),
    inert("lfu-decay-time", NUMBER, "1"),
    inert("lazyfree-lazy-eviction", YES_NO, "yes"),
    inert("lazyfree-lazy-expire", YES_NO, "yes"),
    inert("lazyfree-lazy-server-del", YES_NO, "yes"),
    inert("lazyfree-lazy-user-del", YES_NO, "yes"),
    inert("lazyfree-lazy-user-flush", YES_NO, "yes"),
    inert("activerehashing", YES_NO, "yes"),
    inert("active-expire-effort", NUMBER, "1"),
    inert("activedefrag", YES_NO, "no"),
    inert("active-defrag-ignore-bytes", BYTES, "104857600"),
    inert("active-defrag-threshold-lower", NUMBER, "10"),
    inert("active-defrag-threshold-upper", NUMBER, "100"),
    inert("active-defrag-cycle-min", NUMBER, "1"),
    inert("active-defrag-cycle-max", NUMBER, "25"),
    inert("active-defrag-max-scan-fields", NUMBER, "1000"),
    inert("jemalloc-bg-thread", YES_NO, "yes"),
    also(inert("list-max-listpack-size", NUMBER, "-2"), "list-max-ziplist-size"),
    inert("list-compress-depth", NUMBER, "0"),
    inert("set-max-intset-entries", NUMBER, "512"),
    inert("set-max-listpack-entries", NUMBER, "128"),
    inert("set-max-listpack-value", BYTES, "64"),
    also(inert("zset-max-listpack-entries", NUMBER, "128"), "zset-max-ziplist-entries"),
    also(inert("zset-max-listpack-value", BYTES, "64"), "zset-max-ziplist-value"),
    inert("hll-sparse-max-bytes", BYTES, "3000"),
    inert("stream-node-max-bytes", BYTES, "4096"),
    inert("stream-node-max-entries", NUMBER, "100"),
    // Observing.
    inert("slowlog-log-slower-than", NUMBER, "10000"),
    inert("slowlog-max-len", NUMBER, "128"),
    inert("latency-monitor-threshold", NUMBER, "0"),
    inert("latency-tracking", YES_NO, "yes"),
    inert("latency-tracking-info-percentiles", WORDS, "50 99 99.9"),
    inert("tracking-table-max-keys", NUMBER, "1000000"),
    also(inert("busy-reply-threshold", NUMBER, "5000"), "lua-time-limit"),
];
