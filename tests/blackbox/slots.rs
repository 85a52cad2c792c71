//! Owners of slots: the CLUSTER commands that change them through Raft, their error texts, and what the views say then.

use crate::cluster::{CALM, Cluster, lines, own_slots};
use crate::node::Node;
use crate::reply::Raw;
use crate::wait::until;

#[test]
fn adding_and_deleting_in_valkeys_words() {
    let cluster = Cluster::formed(3, &[CALM]);
    let (a, b) = (&cluster.nodes[0], &cluster.nodes[1]);
    assert_eq!(a.ask("CLUSTER ADDSLOTS 0 1 2 100"), "OK");
    assert_eq!(b.ask("CLUSTER ADDSLOTSRANGE 3 9 200 209"), "OK");
    cluster.agreed();
    assert_eq!((own_slots(a), own_slots(b)), ("0-2 100".to_owned(), "3-9 200-209".to_owned()));
    for (line, error) in [
        ("ADDSLOTS 0", "ERR Slot 0 is already busy"),
        ("ADDSLOTS 300 301 300", "ERR Slot 300 specified multiple times"),
        ("ADDSLOTS 16384", "ERR Invalid or out of range slot"),
        ("ADDSLOTS abc", "ERR Invalid or out of range slot"),
        ("ADDSLOTSRANGE 1 5", "ERR Slot 1 is already busy"),
        ("ADDSLOTSRANGE 5 1", "ERR start slot number 5 is greater than end slot number 1"),
        ("ADDSLOTSRANGE 400 500 450 460", "ERR Slot 450 specified multiple times"),
        ("ADDSLOTSRANGE 1 2 3", "ERR wrong number of arguments for 'cluster|addslotsrange' command"),
        ("DELSLOTS 500", "ERR Slot 500 is already unassigned"),
        ("DELSLOTSRANGE 100 101", "ERR Slot 101 is already unassigned"),
        ("ADDSLOTS", "ERR wrong number of arguments for 'cluster|addslots' command"),
    ] {
        assert_eq!(a.error(&format!("CLUSTER {line}")), error, "{line}");
    }
    // Slots of two owners in one request: one change for each.
    assert_eq!(b.ask("CLUSTER DELSLOTSRANGE 2 4"), "OK");
    assert_eq!(a.ask("CLUSTER DELSLOTS 100 200"), "OK");
    cluster.agreed();
    assert_eq!((own_slots(a), own_slots(b)), ("0-1".to_owned(), "5-9 201-209".to_owned()));
    assert_eq!(a.ask("CLUSTER FLUSHSLOTS"), "OK");
    assert_eq!(a.ask("CLUSTER FLUSHSLOTS"), "OK");
    cluster.agreed();
    assert_eq!((own_slots(a), own_slots(b)), (String::new(), "5-9 201-209".to_owned()));
}

#[test]
fn redis_cli_adds_every_slot_by_its_number() {
    let node = Node::started(&[CALM]);
    let all: Vec<String> = (0..16384).map(|slot| slot.to_string()).collect();
    assert_eq!(node.ask(&format!("CLUSTER ADDSLOTS {}", all.join(" "))), "OK");
    assert_eq!(own_slots(&node), "0-16383");
    until("cluster_state:ok", || if node.field("cluster_state") == "ok" { Ok(()) } else { Err(String::new()) });
}

#[test]
fn setslot_gives_a_slot_to_a_member() {
    let cluster = Cluster::with_slots(3, &[CALM]);
    let (a, b, c) = (&cluster.nodes[0], &cluster.nodes[1], &cluster.nodes[2]);
    // Asked of its owner, of its new owner, of a third one; to an owner that it has already.
    assert_eq!(a.ask(&format!("CLUSTER SETSLOT 0 NODE {}", b.id())), "OK");
    assert_eq!(b.ask(&format!("CLUSTER SETSLOT 1 NODE {}", b.id())), "OK");
    assert_eq!(c.ask(&format!("CLUSTER SETSLOT 2 NODE {}", b.id())), "OK");
    assert_eq!(c.ask(&format!("cluster setslot 2 node {}", b.id())), "OK");
    cluster.agreed();
    assert!(own_slots(b).starts_with("0-2 "), "{}", own_slots(b));
    assert_eq!(a.error(&format!("CLUSTER SETSLOT 5 NODE {}", "b".repeat(40))), format!("ERR Unknown node {}", "b".repeat(40)));
    assert_eq!(a.error(&format!("CLUSTER SETSLOT 16384 NODE {}", b.id())), "ERR Invalid or out of range slot");
    let usage = "ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP";
    assert_eq!(a.error("CLUSTER SETSLOT 5 NODE"), usage);
    assert_eq!(a.error("CLUSTER SETSLOT 5 SIDEWAYS"), usage);
    // foo is in slot 12182, the third node's.
    assert_eq!(c.ask("SET foo bar"), "OK");
    assert_eq!(
        c.error(&format!("CLUSTER SETSLOT 12182 NODE {}", a.id())),
        "ERR Can't assign hashslot 12182 to a different node while I still hold keys for this hash slot."
    );
    assert_eq!(c.error("CLUSTER FLUSHSLOTS"), "ERR DB must be empty to perform CLUSTER FLUSHSLOTS.");
}

#[test]
fn a_slot_without_an_owner_keeps_its_keys_until_another_node_has_it() {
    let cluster = Cluster::with_slots(2, &[CALM, "cluster-require-full-coverage no"]);
    let (a, b) = (&cluster.nodes[0], &cluster.nodes[1]);
    // foo is in slot 12182, the second node's.
    assert_eq!(b.ask("SET foo bar"), "OK");
    assert_eq!(a.ask("CLUSTER DELSLOTS 12182"), "OK");
    cluster.agreed();
    assert_eq!(b.error("GET foo"), "CLUSTERDOWN Hash slot not served");
    assert_eq!(b.ask("CLUSTER COUNTKEYSINSLOT 12182"), "1");
    assert_eq!(b.ask("CLUSTER ADDSLOTS 12182"), "OK");
    assert_eq!(b.ask("GET foo"), "bar");
    assert_eq!(b.ask("CLUSTER DELSLOTS 12182"), "OK");
    assert_eq!(a.ask("CLUSTER ADDSLOTS 12182"), "OK");
    cluster.agreed();
    until("the keys of a slot that is another's to go", || match b.ask("DBSIZE").as_str() {
        "0" => Ok(()),
        count => Err(format!("it holds {count}")),
    });
    assert_eq!(a.ask("GET foo"), "nil");
}

#[test]
fn the_fix_block_of_redis_cli_runs_inside_multi() {
    let cluster = Cluster::with_slots(3, &[CALM]);
    let node = &cluster.nodes[0];
    assert_eq!(node.ask("CLUSTER DELSLOTS 101"), "OK");
    let mut client = Raw::connect(node.number());
    client.send("MULTI\r\nCLUSTER DELSLOTS 101\r\nCLUSTER ADDSLOTS 101\r\nCLUSTER BUMPEPOCH\r\nEXEC\r\nPING\r\n");
    let epoch = node.field("cluster_my_epoch");
    let lines: Vec<String> = (0..9).map(|_| client.line()).collect();
    let expected =
        ["+OK", "+QUEUED", "+QUEUED", "+QUEUED", "*3", "-ERR Slot 101 is already unassigned", "+OK", &format!("+STILL {epoch}"), "+PONG"];
    assert_eq!(lines, expected);
    assert!(own_slots(node).starts_with("0-"), "{}", own_slots(node));
    cluster.ok();
    // All of them wait for Raft, one after the other.
    client.send("MULTI\r\nCLUSTER DELSLOTS 0\r\nCLUSTER ADDSLOTS 0\r\nCLUSTER DELSLOTSRANGE 1 5\r\nCLUSTER ADDSLOTSRANGE 1 5\r\nEXEC\r\n");
    let lines: Vec<String> = (0..10).map(|_| client.line()).collect();
    assert_eq!(lines, ["+OK", "+QUEUED", "+QUEUED", "+QUEUED", "+QUEUED", "*4", "+OK", "+OK", "+OK", "+OK"]);
    cluster.agreed();
}

#[test]
fn every_view_says_the_same() {
    let cluster = Cluster::with_slots(3, &[CALM]);
    for node in &cluster.nodes {
        let all = lines(node);
        assert_eq!(all.len(), 3);
        assert!(all.iter().all(|line| line.link == "connected" && line.flags.ends_with("master")), "{all:?}");
        let (slots, shards) = (node.ask("CLUSTER SLOTS"), node.ask("CLUSTER SHARDS"));
        for line in &all {
            let (first, last) = line.slots.split_once('-').expect("one range each");
            let port = line.address.split(['@', ':']).nth(1).expect("an address has a port");
            assert!(slots.contains(&format!("[{first} {last} [127.0.0.1 {port} {}", line.id)), "{slots}");
            assert!(shards.contains(&format!("[slots [{first} {last}] nodes [[id {} port {port} ip 127.0.0.1", line.id)), "{shards}");
            assert!(line.address.ends_with(&format!(":{port}@{}", port.parse::<u32>().unwrap() + 10000)), "{}", line.address);
        }
        for (question, answer) in [("KEYSLOT foo", "12182"), ("KEYSLOT {foo}bar", "12182"), ("COUNTKEYSINSLOT 12182", "0")] {
            assert_eq!(node.ask(&format!("CLUSTER {question}")), answer);
        }
        assert_eq!(node.ask("CLUSTER SAVECONFIG"), "OK");
        assert_eq!(node.ask(&format!("CLUSTER COUNT-FAILURE-REPORTS {}", all[0].id)), "0");
        assert_eq!(node.ask(&format!("CLUSTER REPLICAS {}", all[0].id)), "[]");
        assert_eq!(
            node.error("CLUSTER SET-CONFIG-EPOCH 7"),
            "ERR The user can assign a config epoch only when the node does not know any other node."
        );
    }
    let leader = &cluster.nodes[cluster.leader()];
    until("the leader's links to everyone", || {
        let links = leader.ask("CLUSTER LINKS");
        if links.matches("direction to").count() == 2 { Ok(()) } else { Err(links) }
    });
    let c = &cluster.nodes[2];
    assert_eq!(c.ask("MSET {foo}1 a {foo}2 b"), "OK");
    assert_eq!(c.ask("CLUSTER COUNTKEYSINSLOT 12182"), "2");
    let keys = c.ask("CLUSTER GETKEYSINSLOT 12182 10");
    assert!(keys == "[{foo}1 {foo}2]" || keys == "[{foo}2 {foo}1]", "{keys}");
}
