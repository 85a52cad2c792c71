//! The family from a client's side: replies and refusals word for word, and what is asked of the log.

use super::{SUBCOMMANDS, help};
use crate::cluster::change::{Failover, NodeFail, NodeForget, NodeInfo, NodeJoin, SetReplicaOf, SlotChange};
use crate::cluster::{Change, FailoverKind, Reason};
use crate::commands::tests::{Desk, ME, OTHER, slot};
use crate::commands::{ChangeOutcome, Flow, Upstream, UpstreamLink, Wait, WaitOutcome};
use crate::keyspace::key_slot;
use crate::raft::Payload;
use crate::types::{NodeId, ShardId, SlotRange};

const STRANGER: &str = "cccccccccccccccccccccccccccccccccccccccc";
const REPLICA: NodeId = NodeId::from_bytes([0xdd; 20]);

/// Nobody owns 100..=199, OTHER owns 200..=299.
fn desk() -> Desk {
    let mut desk = Desk::new();
    desk.add_other();
    desk.give_slots(Some(ME), None, 100, 199);
    desk.give_slots(Some(ME), Some(OTHER), 200, 299);
    desk
}

/// A member that replicates ME and has its keys.
fn add_replica(desk: &mut Desk) {
    let shard = ShardId::from_bytes([0x0d; 20]);
    let mut address: crate::cluster::Address = "127.0.0.1:7003@17003,host-3".parse().unwrap();
    address.set_shard_id(shard);
    desk.apply(Change::NodeJoin(NodeJoin { id: REPLICA, address, voter: false }));
    let epoch = desk.state.epoch(&shard);
    let mine = desk.state.member(&ME).unwrap().shard;
    let target = (mine, desk.state.epoch(&mine));
    desk.apply(Change::SetReplicaOf(SetReplicaOf { id: REPLICA, source: (shard, epoch), primary: Some(ME), target }));
    desk.offsets.insert(REPLICA, 77);
}

fn put(desk: &mut Desk, key: &str) {
    desk.keyspace.set_string(key_slot(key.as_bytes()), key.as_bytes(), b"v", crate::keyspace::Expiry::Never, desk.now.wall);
}

fn changes(desk: &mut Desk, line: &str) -> Vec<Change> {
    match desk.wait(line) {
        Wait::Changes(changes) => changes,
        other => panic!("{line}: {other:?}"),
    }
}

/// What was waited for came to be.
fn granted(desk: &mut Desk) {
    assert_eq!(desk.resume(WaitOutcome::Done), (Flow::Done, "+OK\r\n".to_owned()));
}

fn numbers(ranges: &[SlotRange]) -> Vec<(u16, u16)> {
    ranges.iter().map(|range| (range.first().number(), range.last().number())).collect()
}

#[test]
fn addslots_claims_free_slots_for_this_node() {
    let mut desk = desk();
    let claims = changes(&mut desk, "cluster ADDSLOTS 105 103 104 110");
    let target = Some((ME, desk.state.epoch_of(&ME).unwrap()));
    let ranges = vec![SlotRange::new(slot(103), slot(105)).unwrap(), slot(110).into()];
    assert_eq!(claims, [Change::SlotChange(SlotChange { source: None, target, ranges })]);
    granted(&mut desk);
    let claims = changes(&mut desk, "cluster addslotsrange 100 110 120 120");
    let Change::SlotChange(SlotChange { ranges, .. }) = &claims[0] else { panic!() };
    assert_eq!(numbers(ranges), [(100, 110), (120, 120)]);
}

#[test]
fn addslots_refuses_in_valkeys_words() {
    let mut desk = desk();
    for (line, error) in [
        ("addslots 0", "Slot 0 is already busy"),
        ("addslots 100 200", "Slot 200 is already busy"),
        ("addslots 100 100", "Slot 100 specified multiple times"),
        ("addslots 0 nonsense", "Invalid or out of range slot"),
        ("addslots 16384", "Invalid or out of range slot"),
        ("addslots -1", "Invalid or out of range slot"),
        ("addslots", "wrong number of arguments for 'cluster|addslots' command"),
        ("addslotsrange 100 102 102 103", "Slot 102 specified multiple times"),
        ("addslotsrange 102 100", "start slot number 102 is greater than end slot number 100"),
        ("addslotsrange 100 102 103", "wrong number of arguments for 'cluster|addslotsrange' command"),
        ("addslotsrange 90 110", "Slot 90 is already busy"),
    ] {
        assert_eq!(desk.ask(&format!("cluster {line}")), format!("-ERR {error}\r\n"), "{line}");
    }
}

#[test]
fn delslots_gives_each_owner_an_entry_of_its_own() {
    let mut desk = desk();
    assert_eq!(desk.ask("cluster delslots 101"), "-ERR Slot 101 is already unassigned\r\n");
    assert_eq!(desk.ask("cluster delslots 1 1"), "-ERR Slot 1 specified multiple times\r\n");
    assert_eq!(desk.ask("cluster delslotsrange 99 100"), "-ERR Slot 100 is already unassigned\r\n");
    let entries = changes(&mut desk, "cluster delslots 0 1 200 99 16383");
    let side = |id: NodeId| Some((id, desk.state.epoch_of(&id).unwrap()));
    let mine = vec![SlotRange::new(slot(0), slot(1)).unwrap(), slot(99).into(), slot(16383).into()];
    let expected = [
        Change::SlotChange(SlotChange { source: side(ME), target: None, ranges: mine }),
        Change::SlotChange(SlotChange { source: side(OTHER), target: None, ranges: vec![slot(200).into()] }),
    ];
    assert_eq!(entries, expected);
    let outcomes = vec![ChangeOutcome::Applied, ChangeOutcome::Rejected(Reason::UnknownNode)];
    assert_eq!(desk.resume(WaitOutcome::Changes(outcomes)).1, "-ERR Unknown node\r\n");
    assert_eq!(changes(&mut desk, "cluster delslotsrange 0 99 200 299").len(), 2);
}

#[test]
fn flushslots_needs_an_empty_database() {
    let mut desk = desk();
    let entries = changes(&mut desk, "cluster flushslots");
    let Change::SlotChange(SlotChange { source, target: None, ranges }) = &entries[0] else { panic!() };
    assert_eq!((source.unwrap().0, numbers(ranges)), (ME, vec![(0, 99), (300, 16383)]));
    granted(&mut desk);
    put(&mut desk, "foo");
    assert_eq!(desk.ask("cluster flushslots"), "-ERR DB must be empty to perform CLUSTER FLUSHSLOTS.\r\n");
    let mut idle = Desk::new();
    idle.give_slots(Some(ME), None, 0, 16383);
    assert_eq!(idle.ask("cluster flushslots"), "+OK\r\n");
}

#[test]
fn setslot_node_binds_whoever_owns_the_slot_now() {
    let mut desk = desk();
    for (number, source) in [(5, Some(ME)), (100, None), (200, Some(OTHER))] {
        let (target, name) = if source == Some(OTHER) { (ME, ME) } else { (OTHER, OTHER) };
        let entries = changes(&mut desk, &format!("cluster setslot {number} node {name}"));
        let side = |id: NodeId| (id, desk.state.epoch_of(&id).unwrap());
        let ranges = vec![slot(number).into()];
        assert_eq!(entries, [Change::SlotChange(SlotChange { source: source.map(side), target: Some(side(target)), ranges })]);
        granted(&mut desk);
    }
    let again = changes(&mut desk, &format!("cluster setslot 5 node {ME}"));
    assert_eq!(again.len(), 1, "it is so already as far as this node knows, which may lag");
    assert_eq!(again[0].deposes(), None, "nobody loses anything by it");
}

#[test]
fn setslot_refuses_in_redis_words() {
    let mut desk = desk();
    add_replica(&mut desk);
    put(&mut desk, "foo");
    let invalid = "-ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP\r\n";
    let keys = "-ERR Can't assign hashslot 12182 to a different node while I still hold keys for this hash slot.\r\n";
    for (line, error) in [
        (format!("12182 node {OTHER}"), keys),
        (format!("5 node {STRANGER}"), "-ERR Unknown node cccccccccccccccccccccccccccccccccccccccc\r\n"),
        ("5 node abc".to_owned(), "-ERR Unknown node abc\r\n"),
        (format!("5 node {REPLICA}"), "-ERR Target node is not a master\r\n"),
        (format!("99999 node {OTHER}"), "-ERR Invalid or out of range slot\r\n"),
        ("5 node".to_owned(), invalid),
        ("5 stable now".to_owned(), invalid),
        (format!("5 migrating {OTHER}"), invalid),
        (format!("5 node {OTHER} more"), invalid),
    ] {
        assert_eq!(desk.ask(&format!("cluster setslot {line}")), error, "{line}");
    }
    assert_eq!(desk.ask("cluster setslot 5 STABLE"), "+OK\r\n");
}

#[test]
fn replicate_is_proposed_for_an_empty_node_without_slots() {
    let mut desk = desk();
    add_replica(&mut desk);
    for (line, error) in [
        (ME.to_string(), "Can't replicate myself"),
        (REPLICA.to_string(), "I can only replicate a master, not a replica."),
        (STRANGER.to_owned(), "Unknown node cccccccccccccccccccccccccccccccccccccccc"),
        (OTHER.to_string(), "To set a master the node must be empty and without assigned slots."),
        ("yes one".to_owned(), "unknown subcommand or wrong number of arguments for 'replicate'. Try CLUSTER HELP."),
        ("no one now".to_owned(), "unknown subcommand or wrong number of arguments for 'replicate'. Try CLUSTER HELP."),
    ] {
        assert_eq!(desk.ask(&format!("cluster replicate {line}")), format!("-ERR {error}\r\n"), "{line}");
    }
    assert_eq!(desk.ask("cluster replicate"), "-ERR wrong number of arguments for 'cluster|replicate' command\r\n");
    assert_eq!(desk.ask("cluster replicate no one"), "+OK\r\n", "a primary is one already");
    desk.give_slots(Some(ME), None, 0, 99);
    desk.give_slots(Some(ME), None, 300, 16383);
    assert_eq!(desk.ask(&format!("cluster replicate {OTHER}")), "-ERR The node has replicas\r\n");
    let shard = desk.state.member(&REPLICA).unwrap().shard;
    desk.apply(Change::NodeForget(NodeForget { id: REPLICA, epoch: desk.state.epoch(&shard) }));
    put(&mut desk, "foo");
    let not_empty = "-ERR To set a master the node must be empty and without assigned slots.\r\n";
    assert_eq!(desk.ask(&format!("cluster replicate {OTHER}")), not_empty);
    desk.keyspace.clear();
    let entries = changes(&mut desk, &format!("cluster replicate {OTHER}"));
    granted(&mut desk);
    desk.apply(entries[0].clone());
    assert_eq!(desk.state.member(&ME).unwrap().primary, Some(OTHER));
    // A replica's keys are copies: it may go elsewhere with them, or nowhere.
    put(&mut desk, "foo");
    assert_eq!(changes(&mut desk, &format!("cluster replicate {OTHER}")).len(), 1);
    granted(&mut desk);
    let entries = changes(&mut desk, "CLUSTER REPLICATE NO ONE");
    granted(&mut desk);
    desk.apply(entries[0].clone());
    assert!(desk.state.member(&ME).unwrap().is_primary());
}

#[test]
fn meet_checks_the_address_and_leaves_the_rest_to_the_node() {
    let mut desk = desk();
    let meet = |ip: &str, port, bus_port| Wait::Meet { ip: ip.to_owned(), port, bus_port };
    assert_eq!(desk.wait("cluster meet 10.0.0.1 7000"), meet("10.0.0.1", 7000, 17000));
    granted(&mut desk);
    assert_eq!(desk.wait("cluster meet ::1 7000 9"), meet("::1", 7000, 9));
    assert_eq!(desk.resume(WaitOutcome::Timeout).1.split(' ').next(), Some("-TIMEOUT"));
    for (line, error) in [
        ("localhost 7000", "Invalid node address specified: localhost:7000"),
        ("10.0.0.1 0", "Invalid node address specified: 10.0.0.1:0"),
        ("10.0.0.1 65536", "Invalid node address specified: 10.0.0.1:65536"),
        ("10.0.0.1 60000", "Invalid node address specified: 10.0.0.1:60000"),
        ("10.0.0.1 7000 0", "Invalid node address specified: 10.0.0.1:7000"),
        ("10.0.0.1 x", "Invalid base port specified: x"),
        ("10.0.0.1 7000 x", "Invalid bus port specified: x"),
        ("10.0.0.1 7000 17000 x", "unknown subcommand or wrong number of arguments for 'meet'. Try CLUSTER HELP."),
    ] {
        assert_eq!(desk.ask(&format!("cluster meet {line}")), format!("-ERR {error}\r\n"), "{line}");
    }
}

#[test]
fn forget_refuses_what_can_never_be_and_asks_the_node_for_the_rest() {
    let mut desk = desk();
    add_replica(&mut desk);
    assert_eq!(desk.ask(&format!("cluster forget {ME}")), "-ERR I tried hard but I can't forget myself...\r\n");
    assert_eq!(desk.ask("cluster forget abc"), "-ERR Unknown node abc\r\n");
    assert_eq!(desk.ask(&format!("cluster forget {OTHER}")), "-ERR The node owns slots: move or delete them first\r\n");
    assert_eq!(desk.wait(&format!("cluster forget {REPLICA}")), Wait::Forget(REPLICA));
    granted(&mut desk);
    assert_eq!(
        desk.wait(&format!("cluster forget {STRANGER}")),
        Wait::Forget(STRANGER.parse().unwrap()),
        "it may have been forgotten just now"
    );
}

#[test]
fn failover_is_for_replicas() {
    let mut desk = desk();
    for line in ["cluster failover", "cluster failover force", "cluster failover TAKEOVER"] {
        assert_eq!(desk.ask(line), "-ERR You should send CLUSTER FAILOVER to a replica\r\n");
    }
    assert_eq!(desk.ask("cluster failover x"), "-ERR syntax error\r\n");
    let text = "-ERR unknown subcommand or wrong number of arguments for 'failover'. Try CLUSTER HELP.\r\n";
    assert_eq!(desk.ask("cluster failover force takeover"), text);
    // ME gives its slots away and becomes a replica of OTHER.
    desk.give_slots(Some(ME), Some(OTHER), 0, 99);
    desk.give_slots(Some(ME), Some(OTHER), 300, 16383);
    let place = |desk: &Desk, id: &NodeId| desk.state.member(id).map(|member| (member.shard, desk.state.epoch(&member.shard))).unwrap();
    let (source, target) = (place(&desk, &ME), place(&desk, &OTHER));
    desk.apply(Change::SetReplicaOf(SetReplicaOf { id: ME, source, primary: Some(OTHER), target }));
    for line in ["cluster failover", "cluster failover force"] {
        assert!(desk.ask(line).starts_with("-ERR This replica has "), "without a copy {line} would lose everything");
    }
    desk.upstream = Some(Upstream { in_sync: true, heard: None, link: UpstreamLink::Up });
    assert_eq!(desk.wait("cluster failover"), Wait::Failover);
    granted(&mut desk);
    let (shard, epoch) = place(&desk, &OTHER);
    for (word, kind) in [("force", FailoverKind::Force), ("takeover", FailoverKind::Takeover)] {
        let expected = Change::Failover(Failover { replica: ME, primary: OTHER, shard, epoch, kind });
        assert_eq!(changes(&mut desk, &format!("cluster failover {word}")), [expected]);
        granted(&mut desk);
    }
    desk.apply(Change::NodeFail(NodeFail { id: OTHER }));
    assert_eq!(desk.ask("cluster failover"), "-ERR Master is down or failed, please use CLUSTER FAILOVER FORCE\r\n");
}

#[test]
fn reset_soft_is_the_default_and_needs_an_empty_primary() {
    let mut desk = desk();
    for (line, hard) in [("cluster reset", false), ("cluster reset Soft", false), ("cluster reset HARD", true)] {
        assert_eq!(desk.wait(line), Wait::Reset { hard });
        granted(&mut desk);
    }
    assert_eq!(desk.ask("cluster reset now"), "-ERR syntax error\r\n");
    put(&mut desk, "foo");
    assert_eq!(desk.ask("cluster reset"), "-ERR CLUSTER RESET can't be called with master nodes containing keys\r\n");
}

#[test]
fn voters_are_made_and_unmade_by_the_leader() {
    let mut desk = desk();
    assert_eq!(desk.wait(&format!("cluster addvoter {OTHER}")), Wait::AddVoter(OTHER));
    granted(&mut desk);
    assert_eq!(desk.wait(&format!("cluster delvoter {ME}")), Wait::DelVoter(ME));
    granted(&mut desk);
    assert_eq!(desk.ask(&format!("cluster addvoter {ME}")), format!("-ERR Node {ME} is already a voter\r\n"));
    assert_eq!(desk.ask(&format!("cluster delvoter {OTHER}")), format!("-ERR Node {OTHER} is not a voter\r\n"));
    assert_eq!(desk.ask(&format!("cluster delvoter {STRANGER}")), format!("-ERR Unknown node {STRANGER}\r\n"));
}

#[test]
fn a_leader_that_is_to_lead_does() {
    let mut desk = desk();
    assert_eq!(desk.ask("cluster RAFT transfer"), "+OK\r\n");
    let wrong = "-ERR unknown subcommand or wrong number of arguments for 'raft'. Try CLUSTER HELP.\r\n";
    assert_eq!(desk.ask("cluster raft transfer now"), wrong);
    assert_eq!(desk.ask("cluster raft nope"), wrong);
    assert!(desk.ask("cluster raft HELP").contains("+LOG [<count>]\r\n"));
    assert_eq!(desk.ask("cluster raft"), "-ERR wrong number of arguments for 'cluster|raft' command\r\n");
}

#[test]
fn nodes_shards_and_slots_show_the_same_cluster() {
    let mut desk = desk();
    add_replica(&mut desk);
    let nodes = desk.ask("cluster nodes");
    let epoch = desk.state.epoch_of(&ME).unwrap();
    assert!(nodes.contains(&format!("{ME} 127.0.0.1:7001@17001 myself,master - 0 0 {epoch} connected 0-99 300-16383\n")), "{nodes}");
    assert!(nodes.contains(&format!("{REPLICA} 127.0.0.1:7003@17003,host-3 slave {ME} 0 0 {epoch} connected\n")), "{nodes}");
    let slots = desk.ask("cluster slots");
    assert!(slots.starts_with("*3\r\n*4\r\n:0\r\n:99\r\n*4\r\n$9\r\n127.0.0.1\r\n:7001\r\n$40\r\n"), "{slots}");
    let replica = format!("*4\r\n$9\r\n127.0.0.1\r\n:7003\r\n$40\r\n{REPLICA}\r\n*2\r\n$8\r\nhostname\r\n$6\r\nhost-3\r\n");
    assert_eq!(slots.matches(&replica).count(), 2);
    let shards = desk.ask("cluster shards");
    assert!(
        shards.starts_with("*2\r\n*4\r\n$5\r\nslots\r\n*4\r\n:0\r\n:99\r\n:300\r\n:16383\r\n$5\r\nnodes\r\n*2\r\n*14\r\n$2\r\nid\r\n"),
        "{shards}"
    );
    assert!(shards.contains("$4\r\nrole\r\n$7\r\nreplica\r\n$18\r\nreplication-offset\r\n:77\r\n$6\r\nhealth\r\n$6\r\nonline\r\n"));
    let mut zoned = desk.state.member(&OTHER).unwrap().address.clone();
    zoned.set_availability_zone("eu-1a");
    desk.apply(Change::NodeInfo(NodeInfo { id: OTHER, address: zoned, nofailover: false }));
    let zone = "$17\r\navailability-zone\r\n$5\r\neu-1a\r\n";
    assert!(desk.ask("cluster shards").ends_with(&format!("$6\r\nhealth\r\n$6\r\nonline\r\n{zone}")));
    assert!(desk.ask("cluster slots").contains(&format!("*2\r\n{zone}")));
    assert_eq!(desk.ask("cluster nodes").matches("eu-1a").count(), 0);
    desk.apply(Change::NodeFail(NodeFail { id: REPLICA }));
    assert_eq!(desk.ask("cluster slots").matches("7003").count(), 0);
    assert!(desk.ask("cluster shards").contains("$6\r\nhealth\r\n$4\r\nfail\r\n"));
}

#[test]
fn resp3_has_verbatim_text_and_maps() {
    let mut desk = desk();
    desk.client.resp3 = true;
    assert!(desk.ask("cluster nodes").starts_with('='));
    let info = desk.ask("cluster info");
    assert!(info.starts_with('=') && info.contains("\r\ntxt:cluster_state:ok\r\n"), "{info}");
    assert!(desk.ask("cluster slots").contains("%0\r\n"));
    assert!(desk.ask("cluster shards").contains("%2\r\n$5\r\nslots\r\n"));
}

#[test]
fn the_preferred_endpoint_is_what_clients_are_told() {
    let mut desk = desk();
    add_replica(&mut desk);
    desk.config.cluster_preferred_endpoint_type = crate::config::EndpointType::Hostname;
    let slots = desk.ask("cluster slots");
    assert!(slots.contains("*4\r\n$6\r\nhost-3\r\n:7003\r\n"), "{slots}");
    assert!(slots.contains("*4\r\n$1\r\n?\r\n:7001\r\n"), "{slots}");
    assert!(slots.contains("*2\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n"), "{slots}");
    desk.config.cluster_preferred_endpoint_type = crate::config::EndpointType::Unknown;
    assert!(desk.ask("cluster slots").contains("*4\r\n$-1\r\n:7003\r\n"));
}

#[test]
fn info_holds_what_redis_has_and_what_raft_adds() {
    let mut desk = desk();
    desk.stats.sent.insert("ae", 3);
    desk.stats.sent.insert("vote", 0);
    (desk.stats.bytes_sent, desk.stats.bytes_received) = (900, 800);
    (desk.stats.snapshots_sent, desk.stats.snapshots_installed) = (5, 6);
    (1..=200).for_each(|micros| desk.syncs.note(std::time::Duration::from_micros(micros)));
    desk.last_contact = Some(desk.now.mono - 30);
    desk.apply(Change::NodeFail(NodeFail { id: OTHER }));
    let reply = desk.ask("cluster info");
    let text = reply.split_once("\r\n").unwrap().1;
    let names: Vec<_> = text.split("\r\n").filter_map(|line| line.split_once(':')).collect();
    let value = |name: &str| names.iter().find(|(key, _)| *key == name).unwrap_or_else(|| panic!("no {name}")).1;
    for (name, expected) in [
        ("cluster_state", "ok"),
        ("cluster_slots_assigned", "16284"),
        ("cluster_slots_ok", "16184"),
        ("cluster_slots_pfail", "0"),
        ("cluster_slots_fail", "100"),
        ("cluster_known_nodes", "2"),
        ("cluster_size", "2"),
        ("cluster_current_epoch", "3"),
        ("cluster_my_epoch", "1"),
        ("cluster_stats_messages_ae_sent", "3"),
        ("cluster_stats_messages_sent", "3"),
        ("cluster_stats_messages_received", "0"),
        ("total_cluster_links_buffer_limit_exceeded", "0"),
        ("cluster_raft_voters", "1"),
        ("cluster_raft_learners", "1"),
        ("cluster_raft_last_applied", &desk.state.last_applied().to_string()),
        ("cluster_stats_bytes_sent", "900"),
        ("cluster_stats_bytes_received", "800"),
        ("cluster_lease_remaining_ms", "0"),
        ("cluster_lease_lapses", "3"),
        ("cluster_raft_last_contact_ms", "30"),
        ("cluster_raft_proposals_pending", "2"),
        ("cluster_raft_snapshots_sent", "5"),
        ("cluster_raft_snapshots_installed", "6"),
        ("cluster_raft_appends", "3"),
        ("cluster_raft_rewrites", "4"),
        ("cluster_raft_fsyncs", "200"),
        ("cluster_raft_fsync_p99_us", "198"),
        ("cluster_raft_state_hash", &format!("{:016x}", desk.state.hash())),
    ] {
        assert_eq!(value(name), expected, "{name}");
    }
    for name in
        ["role", "current_term", "leader", "commit_index", "last_index", "first_index", "snapshot_index", "snapshot_term", "log_entries"]
    {
        value(&format!("cluster_raft_{name}"));
    }
    assert!(!text.contains("vote_sent"), "types without messages are left out");
    desk.last_contact = None;
    assert!(desk.ask("cluster info").contains("\r\ncluster_raft_last_contact_ms:-1\r\n"), "no leader was ever heard");
}

#[test]
fn small_questions_have_small_answers() {
    let mut desk = desk();
    add_replica(&mut desk);
    put(&mut desk, "{foo}1");
    put(&mut desk, "{foo}2");
    assert_eq!(desk.ask("cluster myid"), format!("$40\r\n{ME}\r\n"));
    assert_eq!(desk.ask("cluster myshardid"), format!("$40\r\n{}\r\n", desk.state.member(&ME).unwrap().shard));
    assert_eq!(desk.ask("cluster keyslot {foo}1"), ":12182\r\n");
    assert_eq!(desk.ask("cluster countkeysinslot 12182"), ":2\r\n");
    assert_eq!(desk.ask("cluster countkeysinslot 16384"), "-ERR Invalid slot\r\n");
    assert_eq!(desk.ask("cluster countkeysinslot x"), "-ERR value is not an integer or out of range\r\n");
    assert_eq!(desk.ask("cluster getkeysinslot 12182 1").len(), "*1\r\n$6\r\n{foo}1\r\n".len());
    assert_eq!(desk.ask("cluster getkeysinslot 12182 10").split("\r\n").next(), Some("*2"));
    assert_eq!(desk.ask("cluster getkeysinslot 12182 -1"), "-ERR Invalid slot or number of keys\r\n");
    assert_eq!(desk.ask("cluster flushslot 16384"), "-ERR Invalid or out of range slot\r\n");
    assert_eq!(desk.ask("cluster flushslot 12182 soon"), "-ERR syntax error\r\n");
    assert_eq!(desk.ask("cluster flushslot 12182 async"), "+OK\r\n");
    assert!(desk.keyspace.is_empty());
    assert_eq!(desk.ask(&format!("cluster count-failure-reports {OTHER}")), ":0\r\n");
    assert_eq!(desk.ask(&format!("cluster count-failure-reports {STRANGER}")), format!("-ERR Unknown node {STRANGER}\r\n"));
    let line = desk.ask(&format!("cluster replicas {ME}"));
    assert!(line.starts_with("*1\r\n$") && line.ends_with(" connected\r\n"), "{line}");
    assert_eq!(desk.ask(&format!("cluster slaves {OTHER}")), "*0\r\n");
    assert_eq!(desk.ask(&format!("cluster replicas {REPLICA}")), "-ERR The specified node is not a master\r\n");
    assert_eq!(desk.ask("cluster links"), "*0\r\n");
    assert_eq!(desk.ask("cluster foo"), "-ERR unknown subcommand 'foo'. Try CLUSTER HELP.\r\n");
    assert_eq!(desk.ask("cluster"), "-ERR wrong number of arguments for 'cluster' command\r\n");
}

#[test]
fn help_names_every_subcommand_and_no_other() {
    let named = |name: &str| help::LINES.iter().any(|line| line.split(' ').next() == Some(&name.to_ascii_uppercase()));
    for command in SUBCOMMANDS {
        assert!(named(command.name) || ["help", "slaves"].contains(&command.name), "{}", command.name);
    }
    let there = |line: &&&str| SUBCOMMANDS.iter().any(|command| line.split(' ').next() == Some(&command.name.to_ascii_uppercase()));
    assert_eq!(help::LINES.iter().filter(|line| !line.starts_with(' ')).filter(there).count(), SUBCOMMANDS.len() - 2);
    assert!(help::LINES.iter().filter(|line| !line.starts_with(' ')).all(|line| there(&line)));
    assert!(Desk::new().ask("cluster help").starts_with(&format!("*{}\r\n", help::LINES.len() + 3)));
}

#[test]
fn the_tools_repair_transaction_goes_through() {
    let mut desk = desk();
    assert_eq!(desk.ask("multi"), "+OK\r\n");
    for line in ["cluster delslots 101", "cluster addslots 101", "cluster bumpepoch"] {
        assert_eq!(desk.ask(line), "+QUEUED\r\n");
    }
    let (flow, reply) = desk.request(["exec"]);
    assert_eq!(String::from_utf8(reply).unwrap(), "*3\r\n-ERR Slot 101 is already unassigned\r\n");
    assert!(matches!(flow, Flow::Wait(Wait::Changes(_))));
    let (flow, reply) = desk.resume(WaitOutcome::Changes(vec![ChangeOutcome::Applied]));
    assert_eq!((flow, reply.as_str()), (Flow::Done, "+OK\r\n+STILL 1\r\n"));
}

#[test]
fn clients_are_shown_replicas_that_have_their_primary_s_keys() {
    let mut desk = desk();
    add_replica(&mut desk);
    let shown = |desk: &mut Desk| {
        let (slots, shards) = (desk.ask("cluster slots").contains(&REPLICA.to_string()), desk.ask("cluster shards"));
        let own = shards.split(&REPLICA.to_string()).nth(1).unwrap();
        let after = |name: &str| {
            own.split(name).nth(1).unwrap().split("\r\n").find(|word| word.starts_with(char::is_alphabetic)).unwrap().to_owned()
        };
        let offset = own.split("replication-offset\r\n:").nth(1).unwrap().split('\r').next().unwrap().to_owned();
        (slots, after("health"), offset)
    };
    assert_eq!(shown(&mut desk), (true, "online".to_owned(), "77".to_owned()));
    desk.offsets.clear();
    assert_eq!(shown(&mut desk), (false, "loading".to_owned(), "0".to_owned()));
    desk.apply(Change::NodeFail(NodeFail { id: REPLICA }));
    assert_eq!(shown(&mut desk), (false, "fail".to_owned(), "0".to_owned()));
}
