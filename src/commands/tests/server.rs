//! INFO, CONFIG, SHUTDOWN and the rest about the process.

use super::*;
use crate::config::{LastSave, ShutdownOptions};
use crate::keyspace::{Expiry, key_slot};
use crate::session::Stopwatch;
use std::cell::Cell;
use std::collections::BTreeMap;

fn fields(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once(':')).collect()
}

#[test]
fn info_holds_what_clients_look_for() {
    let mut desk = Desk::new();
    desk.ask("nosuch");
    (desk.server.startup_bytes, desk.server.usage.resident_bytes) = (1000, 330_180);
    desk.server.stats.input.add(3072, false, desk.now.mono - 1000);
    desk.server.stats.input.add(1024, true, desk.now.mono - 1000);
    let text = desk.ask("info");
    let sections: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# ")).collect();
    let wanted = "Server Clients Memory Persistence Stats Replication CPU Modules Errorstats Cluster Keyspace";
    assert_eq!(sections.join(" "), wanted);
    let fields = fields(&text);
    for (name, value) in [
        ("redis_version", "7.2.4"),
        ("redis_mode", "cluster"),
        ("server_mode", "cluster"),
        ("server_name", "pontoon"),
        ("pontoon_version", PONTOON_VERSION),
        ("cluster_enabled", "1"),
        ("loading", "0"),
        ("role", "master"),
        ("connected_clients", "1"),
        ("uptime_in_seconds", "5"),
        ("errorstat_ERR", "count=1"),
        ("total_error_replies", "1"),
        ("tcp_port", "6379"),
        ("used_memory_startup", "1000"),
        ("used_memory_dataset", "131072"),
        ("mem_fragmentation_ratio", "2.50"),
        ("mem_fragmentation_bytes", "198108"),
        ("mem_clients_normal", "0"),
        ("lazyfree_pending_objects", "0"),
        ("instantaneous_input_kbps", "4.00"),
        ("instantaneous_output_kbps", "0.00"),
        ("total_net_repl_input_bytes", "1024"),
        ("total_net_repl_output_bytes", "0"),
        ("rdb_last_cow_size", "0"),
        ("expired_stale_perc", "0.00"),
    ] {
        assert_eq!(fields.get(name), Some(&value), "{name}");
    }
}

#[test]
fn nothing_in_info_looks_like_something_else() {
    let mut desk = Desk::new();
    let text = desk.ask("info everything");
    assert!(!text.contains("db0:"), "an empty node has no db0");
    assert_eq!(text.matches("cluster_enabled:").count(), 1);
    for name in fields(&text).keys().filter(|name| !name.contains('$')) {
        let starts = text.match_indices(&format!("{name}:")).filter(|(at, _)| *at == 0 || text.as_bytes()[at - 1] == b'\n').count();
        assert_eq!(starts, 1, "{name}");
    }
    desk.keyspace.set_string(key_slot(b"a"), b"a", b"v", Expiry::Never, desk.now.wall);
    assert!(desk.ask("info keyspace").contains("# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0\r\n"));
}

/// Both are counted: one is never above the other.
#[test]
fn the_peak_of_memory_is_of_what_is_shown() {
    let mut desk = Desk::new();
    let shown = |desk: &mut Desk| {
        let text = desk.ask("info memory");
        let fields = fields(&text);
        ["used_memory", "used_memory_peak"].map(|name| fields[name].parse::<u64>().unwrap())
    };
    desk.keyspace.set_string(key_slot(b"a"), b"a", &[0; 1 << 20], Expiry::Never, desk.now.wall);
    let [most, peak] = shown(&mut desk);
    assert_eq!(most, peak);
    desk.ask("del a");
    let [used, peak] = shown(&mut desk);
    assert!(used < 1 << 20 && peak == most, "{used} {peak}");
    desk.server.peak_memory = 5 << 20;
    assert_eq!(shown(&mut desk), [used, 5 << 20]);
}

#[test]
fn sections_of_info() {
    let mut desk = Desk::new();
    desk.ask("client id");
    assert_eq!(
        desk.ask("info CLUSTER"),
        "$78\r\n# Cluster\r\ncluster_enabled:1\r\ncluster_clocks_off:0\r\ncluster_lease_withheld:0\r\n\r\n"
    );
    assert_eq!(desk.ask("info nosuch"), "$0\r\n\r\n");
    let both = desk.ask("info keyspace cluster");
    assert!(both.contains("# Cluster\r\ncluster_enabled:1\r\n") && both.contains("\r\n\r\n# Keyspace\r\n"), "{both}");
    assert!(
        desk.ask("info commandstats").contains("cmdstat_client|id:calls=1,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=0\r\n")
    );
    assert!(desk.ask("info ALL").contains("# Commandstats") && !desk.ask("info default").contains("# Commandstats"));
    desk.ask("hello 3");
    assert!(desk.ask("info").starts_with('=') && desk.ask("info cluster").contains("\r\ntxt:# Cluster"));
}

#[test]
fn info_tells_how_long_commands_took() {
    thread_local!(static NANOS: Cell<u64> = const { Cell::new(0) });
    let mut desk = Desk::new();
    // Each reading is 1.5 microseconds after the one before.
    desk.server.stats.set_stopwatch(Stopwatch(|| NANOS.replace(NANOS.get() + 1500)));
    desk.ask("set bar 1");
    desk.ask("set bar 1 nx");
    let line = "cmdstat_set:calls=2,usec=3,usec_per_call=1.50,rejected_calls=0,failed_calls=0\r\n";
    assert!(desk.ask("info commandstats").contains(line));
    let shown = desk.ask("info latencystats");
    assert!(shown.contains("latency_percentiles_usec_set:p50=1.503,p99=1.503,p99.9=1.503\r\n"), "{shown}");
    desk.ask("config set latency-tracking-info-percentiles 100");
    assert!(desk.ask("info everything").contains("latency_percentiles_usec_set:p100=1.503\r\n"));
    assert!(!desk.ask("info").contains("percentiles"));
    desk.ask("config set latency-tracking no");
    assert!(!desk.ask("info latencystats").contains("percentiles") && desk.ask("info commandstats").contains("cmdstat_set"));
    desk.ask("config resetstat");
    desk.ask("set bar 1");
    let line = "cmdstat_set:calls=1,usec=1,usec_per_call=1.50,rejected_calls=0,failed_calls=0\r\n";
    assert!(desk.ask("info commandstats").contains(line), "the stopwatch stays");
}

#[test]
fn options_come_and_go() {
    let mut desk = Desk::new();
    assert_eq!(desk.ask("config get PORT"), "*2\r\n$4\r\nport\r\n$4\r\n6379\r\n");
    assert_eq!(desk.ask("config get port p[o]rt nosuch"), "*2\r\n$4\r\nport\r\n$4\r\n6379\r\n");
    assert_eq!(desk.ask("config get nosuch"), "*0\r\n");
    assert!(!desk.server.config_changed);
    assert_eq!(desk.ask("config set cluster-node-timeout 1234"), "+OK\r\n");
    assert!(desk.server.config_changed);
    desk.ask("hello 3");
    assert_eq!(desk.ask("config get cluster-node-timeout"), "%1\r\n$20\r\ncluster-node-timeout\r\n$4\r\n1234\r\n");
    assert!(desk.ask("config set nosuch 1").starts_with("-ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'"));
    assert!(
        desk.ask("config set cluster-node-timeout x").starts_with("-ERR CONFIG SET failed (possibly related to argument 'cluster-node")
    );
    assert_eq!(desk.ask("config set a b c"), "-ERR syntax error\r\n");
    let (_, reply) = desk.request([&b"config"[..], b"set", b"loglevel", b"\xff"]);
    assert!(
        reply.starts_with(b"-ERR CONFIG SET failed (possibly related to argument 'loglevel') - argument(s) must be one of the following: ")
    );
    let (_, reply) = desk.request([&b"config"[..], b"set", b"requirepass", b"\xff\0"]);
    assert_eq!(reply, b"+OK\r\n");
    let (_, reply) = desk.request([&b"auth"[..], b"\xff\0"]);
    assert_eq!(reply, b"+OK\r\n");
    assert!(desk.request([&b"auth"[..], b"\xff"]).1.starts_with(b"-WRONGPASS"));
    let (_, reply) = desk.request([&b"config"[..], b"get", b"requirepass"]);
    assert_eq!(reply, b"%1\r\n$11\r\nrequirepass\r\n$2\r\n\xff\0\r\n");
    assert_eq!(desk.ask("config rewrite"), "-ERR The server is running without a config file\r\n");
    assert_eq!(desk.ask("config resetstat"), "+OK\r\n");
    assert_eq!(desk.server.stats.error_replies, 0);
}

#[test]
fn the_end_of_the_process() {
    let mut desk = Desk::new();
    assert_eq!(desk.wait("shutdown"), Wait::Shutdown(ShutdownOptions::default()));
    let failed = desk.resume(WaitOutcome::Failed("ERR Errors trying to SHUTDOWN. Check logs.".to_owned()));
    assert_eq!(failed, (Flow::Done, "-ERR Errors trying to SHUTDOWN. Check logs.\r\n".to_owned()));
    let all = ShutdownOptions { save: LastSave::No, now: true, force: true, safe: true, failover: true };
    assert_eq!(desk.wait("SHUTDOWN NOSAVE now FORCE safe FAILOVER"), Wait::Shutdown(all));
    desk.client.waiting = None;
    assert_eq!(desk.wait("shutdown save"), Wait::Shutdown(ShutdownOptions { save: LastSave::Yes, ..ShutdownOptions::default() }));
    desk.client.waiting = None;
    for refused in ["save nosave", "what", "default", "abort save"] {
        assert_eq!(desk.ask(&format!("shutdown {refused}")), "-ERR syntax error\r\n");
    }
    assert_eq!(desk.wait("shutdown abort"), Wait::AbortShutdown);
    desk.client.waiting = None;
    assert_eq!(desk.ask("shutdown abort now"), "-ERR syntax error\r\n");
}

#[test]
fn time_and_memory() {
    let mut desk = Desk::new();
    assert_eq!(desk.ask("time"), "*2\r\n$10\r\n1700000005\r\n$1\r\n0\r\n");
    assert_eq!(desk.ask("memory usage foo"), "$-1\r\n");
    desk.keyspace.set_string(key_slot(b"foo"), b"foo", b"value", Expiry::Never, desk.now.wall);
    assert_eq!(desk.ask("memory usage foo"), ":32\r\n");
    assert_eq!(desk.ask("memory usage foo samples 5"), ":32\r\n");
    assert_eq!(desk.ask("memory usage foo samples -1"), "-ERR syntax error\r\n");
    assert_eq!(desk.ask("memory usage foo samples x"), "-ERR value is not an integer or out of range\r\n");
    assert_eq!(desk.ask("memory usage foo 5"), "-ERR syntax error\r\n");
}

#[test]
fn functions_as_add_node_carries_them() {
    let mut desk = Desk::new();
    let (_, dump) = desk.request(["function", "dump"]);
    let payload = dump.strip_prefix(b"$10\r\n").and_then(|rest| rest.strip_suffix(b"\r\n")).unwrap();
    let (flow, reply) = desk.request([&b"function"[..], b"restore", payload]);
    assert_eq!((flow, reply), (Flow::Done, b"+OK\r\n".to_vec()));
    assert_eq!(desk.request([&b"function"[..], b"restore", payload, b"replace"]).1, b"+OK\r\n");
    assert!(desk.request([&b"function"[..], b"restore", payload, b"x"]).1.starts_with(b"-ERR Wrong restore policy given"));
    let mut broken = payload.to_vec();
    broken[3] ^= 1;
    for bad in [&broken[..], &payload[1..], b"", b"x"] {
        assert_eq!(desk.request([&b"function"[..], b"restore", bad]).1, b"-ERR DUMP payload version or checksum are wrong\r\n");
    }
    assert_eq!(desk.ask("function list"), "*0\r\n");
    assert_eq!(desk.ask("function list LIBRARYNAME x WITHCODE"), "*0\r\n");
    assert_eq!(desk.ask("function list what"), "-ERR Unknown argument what\r\n");
    assert_eq!(desk.ask("function list libraryname"), "-ERR library name argument was not given\r\n");
}

#[test]
fn every_help_prints() {
    let mut desk = Desk::new();
    for id in table().all().filter(|id| table().get(*id).command.name == "help") {
        let container = &table().get(table().get(id).parent.unwrap()).full_name;
        let text = desk.ask(&format!("{container} help"));
        assert_eq!(introspection::count_values(text.as_bytes()), 1, "{text}");
        assert!(text.contains(&format!("+{} <subcommand>", container.to_uppercase())), "{text}");
    }
}

#[test]
fn the_rate_of_commands_is_that_of_the_last_full_second() {
    let mut desk = Desk::new();
    for (ms, count) in [(5000, 3), (5999, 1), (6000, 2)] {
        desk.now.mono = ms;
        (0..count).for_each(|_| drop(desk.ask("ping")));
    }
    assert_eq!(desk.server.stats.commands_per_second(desk.now), 4);
    desk.now.mono = 9000;
    assert_eq!(desk.server.stats.commands_per_second(desk.now), 0);
}

#[test]
fn epochs_are_checked_and_stay_as_they_are() {
    let mut alone = Desk::new();
    for (epoch, reply) in [
        ("-7", "-ERR Invalid config epoch specified: -7"),
        ("x", "-ERR value is not an integer or out of range"),
        ("7", "+OK"),
        ("8", "-ERR Node config epoch is already non-zero"),
    ] {
        assert_eq!(alone.ask(&format!("cluster set-config-epoch {epoch}")), format!("{reply}\r\n"));
    }
    assert_eq!(alone.ask("cluster bumpepoch"), "+STILL 1\r\n");
    let known = "-ERR The user can assign a config epoch only when the node does not know any other node.\r\n";
    alone.add_other();
    assert_eq!(alone.ask("cluster set-config-epoch 7"), known);
    assert_eq!(alone.wait("cluster saveconfig"), Wait::SaveConfig);
}
