//! Real processes on free ports, driven from outside: redis-cli, redis-py, the `redis` crate, plain sockets, kill -9.
//!
//! Needs redis-cli and redis-check-rdb (Debian: redis-tools), redis-server, strace, and python3 with its redis module, 5 or newer; the environment's
//! PYTHON names another interpreter.
//! Every node has its own directory, configuration file and ports; a failed test shows the logs of its nodes (docs/testing.md).

#[path = "blackbox/cluster.rs"]
mod cluster;
#[path = "blackbox/hosts.rs"]
mod hosts;
#[path = "blackbox/ledger.rs"]
mod ledger;
#[path = "blackbox/node.rs"]
mod node;
#[path = "blackbox/ports.rs"]
mod ports;
#[path = "blackbox/proxy.rs"]
mod proxy;
#[path = "blackbox/redis_server.rs"]
mod redis_server;
#[path = "blackbox/reply.rs"]
mod reply;
#[path = "blackbox/wait.rs"]
mod wait;

#[path = "blackbox/absence.rs"]
mod absence;
#[path = "blackbox/addresses.rs"]
mod addresses;
#[path = "blackbox/clients.rs"]
mod clients;
#[path = "blackbox/compaction.rs"]
mod compaction;
#[path = "blackbox/copies.rs"]
mod copies;
#[path = "blackbox/crash.rs"]
mod crash;
#[path = "blackbox/deaths.rs"]
mod deaths;
#[path = "blackbox/disaster.rs"]
mod disaster;
#[path = "blackbox/duplicates.rs"]
mod duplicates;
#[path = "blackbox/ending.rs"]
mod ending;
#[path = "blackbox/failover.rs"]
mod failover;
#[path = "blackbox/formations.rs"]
mod formations;
#[path = "blackbox/handover.rs"]
mod handover;
#[path = "blackbox/hostile.rs"]
mod hostile;
#[path = "blackbox/lease.rs"]
mod lease;
#[path = "blackbox/leaving.rs"]
mod leaving;
#[path = "blackbox/logging.rs"]
mod logging;
#[path = "blackbox/membership.rs"]
mod membership;
#[path = "blackbox/moves.rs"]
mod moves;
#[path = "blackbox/numbers.rs"]
mod numbers;
#[path = "blackbox/pausing.rs"]
mod pausing;
#[path = "blackbox/pubsub.rs"]
mod pubsub;
#[path = "blackbox/rdb.rs"]
mod rdb;
#[path = "blackbox/replicas.rs"]
mod replicas;
#[path = "blackbox/replication.rs"]
mod replication;
#[path = "blackbox/restarts.rs"]
mod restarts;
#[path = "blackbox/saving.rs"]
mod saving;
#[path = "blackbox/slots.rs"]
mod slots;
#[path = "blackbox/slow_disk.rs"]
mod slow_disk;
#[path = "blackbox/start.rs"]
mod start;
#[path = "blackbox/storms.rs"]
mod storms;
#[path = "blackbox/tools.rs"]
mod tools;
#[path = "blackbox/traces.rs"]
mod traces;
#[path = "blackbox/two_hosts.rs"]
mod two_hosts;
#[path = "blackbox/voters.rs"]
mod voters;
