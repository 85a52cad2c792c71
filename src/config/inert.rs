//! Options of Redis and Valkey that mean nothing here, so that a redis.conf written for them starts a node.
//!
//! Owns: their names, kinds and Redis' defaults for CONFIG GET; those that must stay off, and what to do instead. Must not: grow a meaning;
//! an option that gets one moves to `options.rs`. Contract: docs/operations.md, "Options".

use super::options::{Opt, Store};
use super::value::Kind;

const fn inert(name: &'static str, kind: Kind, default: &'static str) -> Opt {
    Opt { name, alias: None, kind, default, at_run_time: true, hidden: false, store: Store::Inert, help: "" }
}

/// One whose absence would cost data, memory or safety, if somebody counted on it: it must stay as it is, or off.
const fn missing(name: &'static str, kind: Kind, default: &'static str, instead: &'static str) -> Opt {
    Opt { store: Store::Missing(instead), ..inert(name, kind, default) }
}

/// One that Redis shows only to whom asks for it by its name.
const fn hidden(name: &'static str, kind: Kind, default: &'static str) -> Opt {
    Opt { hidden: true, ..inert(name, kind, default) }
}

const fn also(mut option: Opt, alias: &'static str) -> Opt {
    option.alias = Some(alias);
    option
}

const YES_NO: Kind = Kind::Switch;
const COUNT: Kind = Kind::Number(0, i64::MAX);
const INT: Kind = Kind::Number(0, i32::MAX as i64);
/// A threshold that -1 switches off.
const ABOVE: Kind = Kind::Number(-1, i64::MAX);
const BYTES: Kind = Kind::Memory(0, i64::MAX as u64);
const TEXT: Kind = Kind::Bytes;
const GUARDED: Kind = Kind::Choice(&["no", "yes", "local"]);
const NO_TLS: &str = "TLS is not supported: put a TLS proxy before the port, or a network that encrypts";
const NO_ACL: &str = "users and access lists are not supported: use 'requirepass'";
const NO_UNIX: &str =
    "Unix sockets are not supported: have clients connect to 'port', with 'bind 127.0.0.1' for those of this machine only";
const NO_RDMA: &str = "RDMA is not supported: have clients connect to 'port'";

/// A directive that is no option, and must not be taken in silence: doing nothing would be wrong.
pub(super) fn refused(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        "include" => "'include' is not supported: put everything into one file",
        "rename-command" => "'rename-command' is not supported: keep strangers out by 'requirepass' and 'bind'",
        "user" => NO_ACL,
        "loadmodule" | "loadmodule-ex" => "modules are not supported: leave the line out",
        _ => return None,
    })
}

/// Known, without effect; bounds as in Valkey 8.1 and 9.1, and Redis 7.0 where they are wider.
#[rustfmt::skip]
pub(super) const OPTIONS: &[Opt] = &[
    // The cluster's, for what is done otherwise here, or not at all.
    inert("cluster-announce-client-ipv4", Kind::Ipv4, ""),
    inert("cluster-announce-client-ipv6", Kind::Ipv6, ""),
    inert("cluster-announce-tls-port", Kind::Number(0, 65535), "0"),
    inert("cluster-announce-client-port", Kind::Number(0, 65535), "0"),
    inert("cluster-announce-client-tls-port", Kind::Number(0, 65535), "0"),
    also(inert("cluster-replica-validity-factor", INT, "10"), "cluster-slave-validity-factor"),
    inert("cluster-allow-replica-migration", YES_NO, "yes"),
    inert("cluster-blacklist-ttl", Kind::Number(i64::MIN, i64::MAX), "60"),
    inert("cluster-slot-stats-enabled", YES_NO, "no"),
    inert("cluster-migration-barrier", INT, "1"),
    inert("cluster-config-save-behavior", Kind::Choice(&["sync", "best-effort"]), "sync"),
    inert("cluster-databases", Kind::Number(1, i32::MAX as i64), "1"),
    inert("cluster-slot-migration-log-max-len", COUNT, "1000"),
    inert("slot-migration-max-failover-repl-bytes", Kind::MemoryOrNone, "0"),
    // Process and network.
    inert("databases", Kind::Number(1, i32::MAX as i64), "16"),
    inert("hz", INT, "10"),
    inert("dynamic-hz", YES_NO, "yes"),
    missing("unixsocket", TEXT, "", NO_UNIX),
    inert("unixsocketperm", Kind::Octal(0o777), "0"),
    inert("unixsocketgroup", TEXT, ""),
    inert("bind-source-addr", TEXT, ""),
    inert("socket-mark-id", Kind::Number(0, u32::MAX as i64), "0"),
    missing("tls-port", Kind::Number(0, 65535), "0", NO_TLS),
    missing("tls-cluster", YES_NO, "no", NO_TLS),
    missing("tls-replication", YES_NO, "no", NO_TLS),
    missing("tls-auth-clients", Kind::Choice(&["no", "yes", "optional"]), "yes", NO_TLS),
    missing("tls-auth-clients-user", Kind::Choice(&["CN", "URI", "off"]), "off", NO_TLS),
    missing("tls-auto-reload-interval", INT, "0", NO_TLS),
    missing("tls-ca-cert-dir", TEXT, "", NO_TLS),
    missing("tls-ca-cert-file", TEXT, "", NO_TLS),
    missing("tls-cert-file", TEXT, "", NO_TLS),
    missing("tls-ciphers", TEXT, "", NO_TLS),
    missing("tls-ciphersuites", TEXT, "", NO_TLS),
    missing("tls-client-cert-file", TEXT, "", NO_TLS),
    missing("tls-client-key-file", TEXT, "", NO_TLS),
    missing("tls-client-key-file-pass", TEXT, "", NO_TLS),
    missing("tls-dh-params-file", TEXT, "", NO_TLS),
    missing("tls-key-file", TEXT, "", NO_TLS),
    missing("tls-key-file-pass", TEXT, "", NO_TLS),
    missing("tls-protocols", TEXT, "", NO_TLS),
    missing("tls-prefer-server-ciphers", YES_NO, "no", NO_TLS),
    missing("tls-session-cache-size", INT, "20480", NO_TLS),
    missing("tls-session-cache-timeout", INT, "300", NO_TLS),
    missing("tls-session-caching", YES_NO, "yes", NO_TLS),
    missing("rdma-port", Kind::Number(0, 65535), "0", NO_RDMA),
    missing("rdma-bind", TEXT, "", NO_RDMA),
    inert("rdma-completion-vector", Kind::Number(-1, 1024), "-1"),
    inert("rdma-rx-size", Kind::Memory(64 << 10, 16 << 20), "1048576"),
    inert("mptcp", YES_NO, "no"),
    inert("repl-mptcp", YES_NO, "no"),
    inert("max-new-connections-per-cycle", Kind::Number(1, 1000), "10"),
    inert("max-new-tls-connections-per-cycle", Kind::Number(1, 1000), "1"),
    inert("prefetch-batch-max-size", Kind::Number(0, 128), "16"),
    inert("io-threads", Kind::Number(1, 256), "1"),
    inert("io-threads-do-reads", YES_NO, "no"),
    inert("always-show-logo", YES_NO, "no"),
    inert("set-proc-title", YES_NO, "yes"),
    inert("proc-title-template", TEXT, "{title} {listen-addr} {server-mode}"),
    inert("locale-collate", TEXT, ""),
    inert("syslog-enabled", YES_NO, "no"),
    inert("syslog-ident", TEXT, "redis"),
    inert("syslog-facility", Kind::Choice(&["user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"]), "local0"),
    inert("log-format", Kind::Choice(&["legacy", "logfmt", "json"]), "legacy"),
    inert("log-timestamp-format", Kind::Choice(&["legacy", "iso8601", "milliseconds"]), "legacy"),
    inert("crash-log-enabled", YES_NO, "yes"),
    inert("crash-memcheck-enabled", YES_NO, "yes"),
    inert("hide-user-data-from-log", YES_NO, "yes"),
    inert("disable-thp", YES_NO, "yes"),
    inert("oom-score-adj", Kind::Choice(&["no", "yes", "relative", "absolute"]), "no"),
    inert("oom-score-adj-values", Kind::OomScores, "0 200 800"),
    also(inert("server-cpulist", TEXT, ""), "server_cpulist"),
    also(inert("bio-cpulist", TEXT, ""), "bio_cpulist"),
    also(inert("aof-rewrite-cpulist", TEXT, ""), "aof_rewrite_cpulist"),
    also(inert("bgsave-cpulist", TEXT, ""), "bgsave_cpulist"),
    inert("enable-protected-configs", GUARDED, "no"),
    inert("enable-debug-command", GUARDED, "no"),
    inert("enable-module-command", GUARDED, "no"),
    inert("ignore-warnings", TEXT, ""),
    inert("extended-redis-compatibility", YES_NO, "no"),
    inert("propagation-error-behavior", Kind::Choice(&["ignore", "panic", "panic-on-replicas"]), "ignore"),
    // Access.
    inert("acllog-max-len", COUNT, "128"),
    missing("aclfile", TEXT, "", NO_ACL),
    inert("acl-pubsub-default", Kind::Choice(&["allchannels", "resetchannels"]), "resetchannels"),
    // Persistence of keys.
    missing("appendonly", YES_NO, "no", "append-only files are not supported: use 'save' and replicas (docs/operations.md, \"Saving keys\")"),
    inert("appendfsync", Kind::Choice(&["everysec", "always", "no"]), "everysec"),
    inert("appendfilename", TEXT, "appendonly.aof"),
    inert("appenddirname", TEXT, "appendonlydir"),
    inert("auto-aof-rewrite-percentage", INT, "100"),
    inert("auto-aof-rewrite-min-size", BYTES, "67108864"),
    inert("aof-load-truncated", YES_NO, "yes"),
    inert("aof-use-rdb-preamble", YES_NO, "yes"),
    inert("aof-timestamp-enabled", YES_NO, "no"),
    inert("aof-rewrite-incremental-fsync", YES_NO, "yes"),
    inert("aof-disable-auto-gc", YES_NO, "no"),
    inert("no-appendfsync-on-rewrite", YES_NO, "no"),
    inert("rdb-del-sync-files", YES_NO, "no"),
    hidden("rdb-key-save-delay", Kind::Number(i64::MIN, i64::MAX), "0"),
    hidden("key-load-delay", Kind::Number(i64::MIN, i64::MAX), "0"),
    hidden("loading-process-events-interval-bytes", BYTES, "2097152"),
    inert("sanitize-dump-payload", Kind::Choice(&["no", "yes", "clients"]), "no"),
    inert("rdb-version-check", Kind::Choice(&["strict", "relaxed"]), "strict"),
    missing("import-mode", YES_NO, "no", "keys expire while they are imported: give them their times to live afterwards"),
    // Replication.
    also(inert("replica-read-only", YES_NO, "yes"), "slave-read-only"),
    also(missing("replicaof", Kind::ReplicaOf, "", "'replicaof' is not possible in a cluster: use CLUSTER REPLICATE"), "slaveof"),
    also(inert("replica-lazy-flush", YES_NO, "yes"), "slave-lazy-flush"),
    also(inert("replica-ignore-maxmemory", YES_NO, "yes"), "slave-ignore-maxmemory"),
    inert("replica-announced", YES_NO, "yes"),
    inert("replica-ignore-disk-write-errors", YES_NO, "no"),
    inert("repl-diskless-sync", YES_NO, "yes"),
    inert("repl-diskless-sync-delay", INT, "0"),
    inert("repl-diskless-sync-max-replicas", INT, "0"),
    inert("repl-diskless-load", Kind::Choice(&["disabled", "on-empty-db", "swapdb", "flush-before-load"]), "disabled"),
    inert("repl-disable-tcp-nodelay", YES_NO, "no"),
    inert("dual-channel-replication-enabled", YES_NO, "no"),
    // Memory and encodings.
    missing("maxmemory", Kind::Memory(0, u64::MAX), "0", "there is no limit on memory and no eviction: bound what clients write, or the process by its supervisor"),
    inert("maxmemory-policy", Kind::Choice(&["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl", "allkeys-lru", "allkeys-lfu", "allkeys-random", "noeviction"]), "noeviction"),
    inert("maxmemory-samples", Kind::Number(1, i32::MAX as i64), "5"),
    inert("maxmemory-eviction-tenacity", Kind::Number(0, 100), "10"),
    missing("maxmemory-clients", Kind::MemoryOrPercent, "0", "there is no limit on the memory of all clients: use 'maxclients', 'client-query-buffer-limit' and 'client-output-buffer-limit'"),
    inert("lfu-log-factor", INT, "10"),
    inert("lfu-decay-time", INT, "1"),
    inert("lazyfree-lazy-eviction", YES_NO, "yes"),
    inert("lazyfree-lazy-expire", YES_NO, "yes"),
    inert("lazyfree-lazy-server-del", YES_NO, "yes"),
    inert("lazyfree-lazy-user-del", YES_NO, "yes"),
    inert("lazyfree-lazy-user-flush", YES_NO, "yes"),
    inert("activerehashing", YES_NO, "yes"),
    inert("active-expire-effort", Kind::Number(1, 10), "1"),
    inert("activedefrag", YES_NO, "no"),
    inert("active-defrag-ignore-bytes", Kind::Memory(1, i64::MAX as u64), "104857600"),
    inert("active-defrag-threshold-lower", Kind::Number(0, 1000), "10"),
    inert("active-defrag-threshold-upper", Kind::Number(0, 1000), "100"),
    inert("active-defrag-cycle-min", Kind::Number(1, 99), "1"),
    inert("active-defrag-cycle-max", Kind::Number(1, 99), "25"),
    inert("active-defrag-max-scan-fields", Kind::Number(1, i64::MAX), "1000"),
    inert("active-defrag-cycle-us", Kind::Number(0, 100_000), "500"),
    inert("hash-seed", TEXT, ""),
    inert("jemalloc-bg-thread", YES_NO, "yes"),
    also(inert("list-max-listpack-size", Kind::Number(i32::MIN as i64, i32::MAX as i64), "-2"), "list-max-ziplist-size"),
    inert("list-compress-depth", INT, "0"),
    inert("set-max-intset-entries", COUNT, "512"),
    inert("set-max-listpack-entries", COUNT, "128"),
    inert("set-max-listpack-value", COUNT, "64"),
    also(inert("zset-max-listpack-entries", COUNT, "128"), "zset-max-ziplist-entries"),
    also(inert("zset-max-listpack-value", BYTES, "64"), "zset-max-ziplist-value"),
    inert("hll-sparse-max-bytes", BYTES, "3000"),
    inert("stream-node-max-bytes", BYTES, "4096"),
    inert("stream-node-max-entries", COUNT, "100"),
    // Observing.
    also(inert("commandlog-execution-slower-than", ABOVE, "10000"), "slowlog-log-slower-than"),
    inert("commandlog-large-reply-max-len", COUNT, "128"),
    inert("commandlog-large-request-max-len", COUNT, "128"),
    inert("commandlog-reply-larger-than", ABOVE, "1048576"),
    inert("commandlog-request-larger-than", ABOVE, "1048576"),
    also(inert("commandlog-slow-execution-max-len", COUNT, "128"), "slowlog-max-len"),
    inert("latency-monitor-threshold", COUNT, "0"),
    inert("tracking-table-max-keys", COUNT, "1000000"),
    also(inert("busy-reply-threshold", COUNT, "5000"), "lua-time-limit"),
    hidden("list-max-ziplist-entries", TEXT, ""),
    hidden("list-max-ziplist-value", TEXT, ""),
    hidden("lua-replicate-commands", TEXT, ""),
];
