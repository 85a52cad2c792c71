//! Unknown commands, arities, and who serves a key. WATCH stands for a read, as it has keys and is always there.

use super::*;
use crate::cluster::change::{NodeInfo, SetReplicaOf};
use crate::config::EndpointType;

#[test]
fn unknown_commands_and_arities_in_redis_words() {
    let mut desk = Desk::new();
    assert_eq!(desk.ask("foo a b"), "-ERR unknown command 'foo', with args beginning with: 'a' 'b' \r\n");
    assert_eq!(desk.ask("FOO"), "-ERR unknown command 'FOO', with args beginning with: \r\n");
    let long = format!("foo {} rest", "x".repeat(200));
    assert_eq!(desk.ask(&long), format!("-ERR unknown command 'foo', with args beginning with: '{}' \r\n", "x".repeat(128)));
    assert_eq!(desk.ask("echo"), "-ERR wrong number of arguments for 'echo' command\r\n");
    assert_eq!(desk.ask("config nope x"), "-ERR unknown subcommand 'nope'. Try CONFIG HELP.\r\n");
    let (flow, reply) = desk.request([&b"\xff\r\n"[..], b"\x00"]);
    assert_eq!((flow, reply.iter().filter(|byte| **byte == b'\n').count()), (Flow::Done, 1), "an error stays one line");
    let (flow, reply) = desk.request(std::iter::empty::<&str>());
    assert_eq!((flow, reply.len()), (Flow::Done, 0));
}

#[test]
fn whose_key_it_is() {
    let mut desk = Desk::new();
    // foo: 12182, bar: 5061, hello: 866.
    assert_eq!(desk.ask("watch foo"), "+OK\r\n");
    assert_eq!(desk.ask("watch {foo}1 {foo}2"), "+OK\r\n");
    assert_eq!(desk.ask("watch foo bar"), "-CROSSSLOT Keys in request don't hash to the same slot\r\n");
    desk.add_other();
    desk.give_slots(Some(ME), Some(OTHER), 12182, 12182);
    assert_eq!(desk.ask("watch foo"), "-MOVED 12182 127.0.0.1:7002\r\n");
    desk.give_slots(Some(ME), None, 5061, 5061);
    assert_eq!(desk.ask("watch bar"), "-CLUSTERDOWN Hash slot not served\r\n");
    assert_eq!(desk.ask("watch bar foo"), "-CLUSTERDOWN Hash slot not served\r\n", "before CROSSSLOT, as in Redis");
    assert_eq!(desk.ask("watch hello"), "+OK\r\n");
    assert_eq!(desk.ask("ping"), "+PONG\r\n");
}

#[test]
fn a_cluster_that_is_down_serves_nothing_but_what_it_is_told_to() {
    let mut desk = Desk::new();
    desk.add_other();
    desk.give_slots(Some(ME), Some(OTHER), 12182, 12182);
    desk.usable = false;
    assert_eq!(desk.ask("watch hello"), "-CLUSTERDOWN The cluster is down\r\n");
    assert_eq!(desk.ask("watch foo"), "-CLUSTERDOWN The cluster is down\r\n");
    desk.config.cluster_allow_reads_when_down = true;
    assert_eq!(desk.ask("watch hello"), "+OK\r\n");
    assert_eq!(desk.ask("watch foo"), "-MOVED 12182 127.0.0.1:7002\r\n");
}

#[test]
fn a_slot_on_its_way_out_is_refused() {
    let mut desk = Desk::new();
    desk.leaving = vec![SlotRange::new(slot(12000), slot(12182)).unwrap()];
    assert!(desk.ask("watch foo").starts_with("-TRYAGAIN "));
    assert_eq!(desk.ask("watch bar"), "+OK\r\n");
}

#[test]
fn nothing_is_cleared_while_a_slot_is_on_its_way_out() {
    let mut desk = Desk::new();
    desk.ask("set bar 1");
    desk.leaving = vec![SlotRange::new(slot(12000), slot(12182)).unwrap()];
    for line in ["flushall", "flushdb", "cluster flushslot 5061"] {
        assert!(desk.ask(line).starts_with("-TRYAGAIN "), "{line}");
    }
    desk.pause = Some(Pause { held: Held::Writes, until: 9000 });
    assert_eq!(desk.request(["flushall"]).0, Flow::Held);
    assert_eq!((desk.keyspace.len(), desk.ask("ping")), (1, "+PONG\r\n".to_owned()));
}

#[test]
fn the_end_of_a_primarys_stream_needs_no_lease_of_who_takes_over() {
    let mut desk = Desk::new();
    desk.ask("set bar 1");
    desk.client.is_primary = true;
    (desk.lease, desk.leaving) = (None, vec![SlotRange::new(slot(0), slot(16383)).unwrap()]);
    desk.config.min_replicas_to_write = 1;
    assert_eq!(desk.ask("cluster flushslot 5061"), "+OK\r\n");
    assert_eq!((desk.ask("flushall"), desk.keyspace.len()), ("+OK\r\n".to_owned(), 0));
}

#[test]
fn a_transaction_is_discarded_because_of_replicas_that_went_meanwhile() {
    let mut desk = Desk::new();
    desk.config.min_replicas_to_write = 1;
    desk.server.good_replicas = 1;
    assert_eq!((desk.ask("multi"), desk.ask("set bar 1")), ("+OK\r\n".to_owned(), "+QUEUED\r\n".to_owned()));
    desk.server.good_replicas = 0;
    let because = "-EXECABORT Transaction discarded because of: NOREPLICAS Not enough good replicas to write.\r\n";
    assert_eq!((desk.ask("exec").as_str(), desk.keyspace.len()), (because, 0));
    assert_eq!(desk.ask("exec"), "-ERR EXEC without MULTI\r\n", "it is over");
    desk.server.good_replicas = 1;
    assert_eq!((desk.ask("multi"), desk.ask("flushall")), ("+OK\r\n".to_owned(), "+QUEUED\r\n".to_owned()));
    desk.server.good_replicas = 0;
    assert_eq!(desk.ask("exec"), because, "a queue without keys may write too");
    assert_eq!(desk.ask("set bar 1"), "-NOREPLICAS Not enough good replicas to write.\r\n");
}

#[test]
fn what_a_primary_has_grown_grows_at_its_replica() {
    let mut desk = Desk::new();
    desk.config.proto_max_bulk_len = 3;
    assert!(desk.ask("append bar long").starts_with("-ERR string exceeds"));
    desk.client.is_primary = true;
    assert_eq!((desk.ask("append bar long"), desk.ask("setrange bar 4 x")), (":4\r\n".to_owned(), ":5\r\n".to_owned()));
    assert!(desk.ask("setrange bar 4294967296 x").starts_with("-ERR string exceeds"));
}

#[test]
fn a_replica_serves_reads_of_its_primarys_slots_to_who_says_readonly() {
    let mut desk = Desk::new();
    desk.add_other();
    desk.give_slots(Some(ME), Some(OTHER), 12182, 16383);
    desk.give_slots(Some(ME), None, 0, 12181);
    let shard = |desk: &Desk, id: NodeId| {
        let shard = desk.state.member(&id).unwrap().shard;
        (shard, desk.state.epoch(&shard))
    };
    let (source, target) = (shard(&desk, ME), shard(&desk, OTHER));
    desk.apply(Change::SetReplicaOf(SetReplicaOf { id: ME, source, primary: Some(OTHER), target }));
    assert_eq!(desk.ask("get foo"), "-MOVED 12182 127.0.0.1:7002\r\n");
    assert_eq!(desk.ask("readonly"), "+OK\r\n");
    assert_eq!(desk.ask("get foo"), "-MOVED 12182 127.0.0.1:7002\r\n", "before its first sync it has no copies");
    let upstream = Upstream { in_sync: true, heard: None, link: UpstreamLink::Down { since: 0 } };
    desk.upstream = Some(upstream);
    assert_eq!((desk.ask("get foo"), desk.ask("dbsize")), ("$-1\r\n".to_owned(), ":0\r\n".to_owned()));
    desk.config.replica_serve_stale_data = false;
    let stale = "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n";
    assert_eq!((desk.ask("get foo").as_str(), desk.ask("dbsize").as_str(), desk.ask("ping").as_str()), (stale, stale, stale));
    assert_eq!(desk.ask("echo a"), "$1\r\na\r\n");
    desk.upstream = Some(Upstream { link: UpstreamLink::Up, ..upstream });
    assert_eq!(desk.ask("get foo"), "$-1\r\n");
    assert_eq!(desk.ask("get bar"), "-CLUSTERDOWN Hash slot not served\r\n");
    assert_eq!(desk.ask("set foo 1"), "-MOVED 12182 127.0.0.1:7002\r\n");
    assert_eq!(desk.ask("flushall"), "-READONLY You can't write against a read only replica.\r\n");
    assert_eq!((desk.ask("multi"), desk.ask("get foo")), ("+OK\r\n".to_owned(), "+QUEUED\r\n".to_owned()));
    assert_eq!(desk.ask("exec"), "*1\r\n$-1\r\n");
    desk.ask("multi");
    assert_eq!(desk.ask("set foo 1"), "-MOVED 12182 127.0.0.1:7002\r\n");
    assert!(desk.ask("exec").starts_with("-EXECABORT "));
    assert_eq!(desk.ask("readwrite"), "+OK\r\n");
    assert_eq!(desk.ask("get foo"), "-MOVED 12182 127.0.0.1:7002\r\n");
}

#[test]
fn a_primarys_stream_goes_by_no_slot_map() {
    let mut desk = Desk::new();
    desk.add_other();
    desk.give_slots(Some(ME), Some(OTHER), 12182, 16383);
    desk.client.is_primary = true;
    assert_eq!((desk.ask("set foo 1"), desk.ask("flushall")), ("+OK\r\n".to_owned(), "+OK\r\n".to_owned()));
    assert_eq!(desk.ask("del foo bar"), "-CROSSSLOT Keys in request don't hash to the same slot\r\n");
}

#[test]
fn redirects_name_what_the_option_says() {
    let mut desk = Desk::new();
    desk.add_other();
    desk.give_slots(Some(ME), Some(OTHER), 12182, 12182);
    desk.config.cluster_preferred_endpoint_type = EndpointType::Hostname;
    assert_eq!(desk.ask("watch foo"), "-MOVED 12182 ?:7002\r\n");
    desk.config.cluster_preferred_endpoint_type = EndpointType::Unknown;
    assert_eq!(desk.ask("watch foo"), "-MOVED 12182 :7002\r\n");
    let named = Address { hostname: "b.example".to_owned(), ..address(7002, "0b") };
    desk.apply(Change::NodeInfo(NodeInfo { id: OTHER, address: named, nofailover: false }));
    desk.config.cluster_preferred_endpoint_type = EndpointType::Hostname;
    assert_eq!(desk.ask("watch foo"), "-MOVED 12182 b.example:7002\r\n");
}

#[test]
fn calls_refusals_and_errors_are_counted() {
    let mut desk = Desk::new();
    desk.ask("ping");
    desk.ask("ping a b");
    desk.ask("echo");
    desk.ask("watch foo bar");
    desk.ask("nosuch");
    let calls = |desk: &Desk, name: &str| {
        let calls = desk.server.stats.calls(table().command(name.as_bytes()).unwrap());
        (calls.calls, calls.rejected, calls.failed)
    };
    assert_eq!(calls(&desk, "ping"), (2, 0, 1));
    assert_eq!(calls(&desk, "echo"), (0, 1, 0));
    assert_eq!(calls(&desk, "watch"), (0, 1, 0));
    assert_eq!(desk.server.stats.errors().collect::<Vec<_>>(), [("CROSSSLOT", 1), ("ERR", 3)]);
    assert_eq!((desk.server.stats.commands_processed, desk.server.stats.error_replies), (2, 4));
}

#[test]
fn without_a_lease_a_primary_serves_no_slots_of_its_own() {
    let mut desk = Desk::new();
    desk.add_other();
    desk.give_slots(Some(ME), Some(OTHER), 12182, 12182);
    assert_eq!((desk.ask("ping").as_str(), desk.client.under_lease), ("+PONG\r\n", None));
    assert_eq!((desk.ask("set hello 1").as_str(), desk.client.under_lease), ("+OK\r\n", Some(3)));
    desk.lease = Some(4);
    assert_eq!((desk.ask("get hello").as_str(), desk.client.under_lease), ("$1\r\n1\r\n", Some(3)), "the oldest counts");
    desk.lease = None;
    assert_eq!(desk.ask("get hello"), "-CLUSTERDOWN The cluster is down\r\n");
    assert_eq!(desk.ask("flushall"), "-CLUSTERDOWN The cluster is down\r\n");
    assert_eq!(desk.ask("get foo"), "-MOVED 12182 127.0.0.1:7002\r\n");
    assert_eq!(desk.ask("ping"), "+PONG\r\n");
    desk.config.cluster_allow_reads_when_down = true;
    assert_eq!(desk.ask("get hello"), "$1\r\n1\r\n");
    assert_eq!(desk.ask("set hello 2"), "-CLUSTERDOWN The cluster is down and only accepts read commands\r\n");
    assert_eq!(desk.ask("reset"), "+RESET\r\n");
    assert_eq!(desk.client.under_lease, Some(3));
}

#[test]
fn a_transaction_ends_with_the_lease() {
    let mut desk = Desk::new();
    for line in ["multi", "set hello 1"] {
        desk.ask(line);
    }
    desk.lease = None;
    assert_eq!(desk.ask("exec"), "-CLUSTERDOWN The cluster is down\r\n");
    assert_eq!(desk.ask("exec"), "-ERR EXEC without MULTI\r\n");
}

#[test]
fn nobody_is_sent_to_where_it_asks() {
    let mut desk = Desk::new();
    desk.apply(Change::NodeJoin(NodeJoin { id: OTHER, address: address(7001, "0b"), voter: false }));
    desk.give_slots(Some(ME), Some(OTHER), 12182, 16383);
    assert_eq!(desk.ask("get foo"), "-CLUSTERDOWN Hash slot not served\r\n", "the owner was where this node is");
    let mut desk = Desk::new();
    desk.add_other();
    desk.give_slots(Some(ME), Some(OTHER), 12182, 16383);
    assert_eq!(desk.ask("get foo"), "-MOVED 12182 127.0.0.1:7002\r\n");
    desk.client.laddr = "[::ffff:127.0.0.1]:7002".parse().unwrap();
    assert_eq!(desk.ask("get foo"), "-CLUSTERDOWN Hash slot not served\r\n", "the client asks there");
    // A pod that was started anew has its name, and another IP.
    let mut desk = Desk::new();
    let named = |ip: &str, name: &str| Address { ip: ip.to_owned(), hostname: name.to_owned(), ..address(7001, "0b") };
    desk.apply(Change::NodeJoin(NodeJoin { id: OTHER, address: named("10.0.0.9", "pod-1.example"), voter: false }));
    desk.give_slots(Some(ME), Some(OTHER), 12182, 16383);
    desk.config.cluster_preferred_endpoint_type = EndpointType::Hostname;
    assert_eq!(desk.ask("get foo"), "-MOVED 12182 pod-1.example:7001\r\n");
    desk.config.cluster_announce_hostname = "Pod-1.example".to_owned();
    assert_eq!(desk.ask("get foo"), "-CLUSTERDOWN Hash slot not served\r\n");
    desk.config.cluster_announce_port = 7009;
    assert_eq!(desk.ask("get foo"), "-MOVED 12182 pod-1.example:7001\r\n");
    desk.config.cluster_announce_port = 7001;
    desk.config.cluster_preferred_endpoint_type = EndpointType::Ip;
    assert_eq!(desk.ask("get foo"), "-MOVED 12182 10.0.0.9:7001\r\n");
}
