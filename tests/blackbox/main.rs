//! Real processes on free ports, driven from outside: redis-cli, redis-py, the `redis` crate, plain sockets, kill -9.
//!
//! Needs redis-cli and redis-check-rdb (Debian: redis-tools), redis-server, strace, and python3 with its redis module, 5 or newer; the
//! environment's PYTHON names another interpreter.
//! Every node has its own directory, configuration file and ports; a failed test shows the logs of its nodes (docs/testing.md).

mod cluster;
mod hosts;
mod ledger;
mod node;
mod ports;
mod proxy;
mod redis_server;
mod reply;
mod wait;

mod absence;
mod addresses;
mod clients;
mod compaction;
mod copies;
mod crash;
mod deaths;
mod disaster;
mod duplicates;
mod ending;
mod failover;
mod formations;
mod handover;
mod hostile;
mod lease;
mod leaving;
mod listening;
mod logging;
mod membership;
mod moves;
mod numbers;
mod options;
mod pausing;
mod pubsub;
mod rdb;
mod replicas;
mod replication;
mod restarts;
mod saving;
mod secret;
mod slots;
mod slow_disk;
mod start;
mod storms;
mod tools;
mod traces;
mod two_hosts;
mod voters;
