//! Publish and subscribe over a cluster: channels, shard channels, slow and absent listeners, keyspace notifications.

use crate::cluster::{CALM, Cluster};
use crate::deaths::NEVER;
use crate::node::{Node, command};
use crate::reply::Raw;
use crate::tools::run;
use crate::wait::{now, until, until_true};
use rustix::process::Signal;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;
use std::time::Duration;

impl Raw {
    /// The next `count` lines on one.
    fn lines(&mut self, count: usize) -> String {
        let lines: Vec<String> = (0..count).map(|_| self.line()).collect();
        lines.join(" ")
    }

    fn resp3(&mut self) {
        assert_eq!(self.say("HELLO 3"), "%7");
        self.lines(25);
    }

    /// Subscribes by `words`, to one name.
    fn listen(&mut self, words: &str) {
        self.send(format!("{words}\r\n"));
        let confirmed = self.lines(6);
        assert!(confirmed.contains("subscribe"), "{words}: {confirmed}");
    }
}

fn listener(node: &Node, words: &str) -> Raw {
    let mut raw = Raw::connect(node.number());
    raw.listen(words);
    raw
}

/// A node that serves all slots by itself.
fn alone(lines: &[&str]) -> Node {
    let node = Node::started(&[&[CALM], lines].concat());
    assert_eq!(node.ask("CLUSTER ADDSLOTSRANGE 0 16383"), "OK");
    until("the slots to be served", || node.try_ask("GET foo"));
    node
}

/// The node's count of published messages that somebody was not told.
fn dropped(node: &Node) -> String {
    node.field("cluster_stats_messages_publish_dropped")
}

#[test]
fn a_message_reaches_the_subscribers_of_every_node() {
    let cluster = Cluster::with_slots(3, &[NEVER]);
    let mut listeners: Vec<Raw> = cluster.nodes.iter().map(|node| listener(node, "SUBSCRIBE news")).collect();
    let mut by_pattern = Raw::connect(cluster.nodes[2].number());
    by_pattern.resp3();
    by_pattern.listen("PSUBSCRIBE n?ws");
    // The first message finds no link there: it waits for one.
    for (at, node) in cluster.nodes.iter().enumerate() {
        let here = if at == 2 { "2" } else { "1" };
        assert_eq!(node.ask(&format!("PUBLISH news from-{at}")), here, "this node's listeners count");
    }
    for listener in &mut listeners {
        let mut heard: Vec<String> = (0..3).map(|_| listener.lines(7)).collect();
        heard.sort();
        assert_eq!(heard, [0, 1, 2].map(|at| format!("*3 $7 message $4 news $6 from-{at}")));
    }
    let mut heard: Vec<String> = (0..3).map(|_| by_pattern.lines(9)).collect();
    heard.sort();
    assert_eq!(heard, [0, 1, 2].map(|at| format!(">4 $8 pmessage $4 n?ws $4 news $6 from-{at}")));
    for node in &cluster.nodes {
        assert_eq!((node.field("cluster_stats_messages_publish_sent"), dropped(node)), ("2".to_owned(), "0".to_owned()));
    }
    // Any bytes, also many, and in their order.
    let long = "x".repeat(1 << 20);
    for number in 0..20 {
        assert_eq!(cluster.nodes[0].ask(&format!("PUBLISH news {number}{long}")), "1");
    }
    for number in 0..20 {
        let heard = listeners[1].lines(7);
        assert!(heard.len() > long.len() && heard.contains(&format!(" {number}xxx")), "message {number}");
    }
    assert!(cluster.nodes[0].error(&format!("PUBLISH news {}", "x".repeat(16 << 20))).starts_with("ERR the message is too long"));
}

#[test]
fn redis_cli_and_the_redis_crate_listen() {
    let cluster = Cluster::with_slots(2, &[NEVER]);
    let (here, there) = (&cluster.nodes[0], &cluster.nodes[1]);
    let mut cli = command("redis-cli");
    cli.args(["-p", &here.number().to_string(), "SUBSCRIBE", "news"]).stdout(Stdio::piped());
    let mut cli = cli.spawn().expect("redis-cli is needed here");
    let mut shown = BufReader::new(cli.stdout.take().expect("it is piped")).lines().map(|line| line.expect("it is text"));
    until("redis-cli to listen", || match here.ask("PUBSUB NUMSUB news").as_str() {
        "[news 1]" => Ok(()),
        other => Err(other.to_owned()),
    });
    let mut connection = here.try_connect().unwrap();
    let mut crate_listener = connection.as_pubsub();
    crate_listener.subscribe("news").unwrap();
    crate_listener.psubscribe("n*").unwrap();
    assert_eq!(there.ask("PUBLISH news hello"), "0");
    assert!(shown.any(|line| line.ends_with("hello") || line.contains("\"hello\"")));
    let messages = [crate_listener.get_message().unwrap(), crate_listener.get_message().unwrap()];
    assert!(messages.iter().all(|message| message.get_channel_name() == "news" && message.get_payload_bytes() == b"hello"));
    assert_eq!(messages.iter().filter(|message| message.from_pattern()).count(), 1);
    crate_listener.unsubscribe("news").unwrap();
    crate_listener.punsubscribe("n*").unwrap();
    drop(crate_listener);
    let _ = cli.kill();
    let _ = cli.wait();
    until_true("nobody to listen any more", || here.ask("PUBSUB CHANNELS") == "[]" && here.ask("PUBSUB NUMPAT") == "0");
}

#[test]
fn redis_py_listens_in_both_protocols() {
    let cluster = Cluster::with_slots(3, &[NEVER]);
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/blackbox/pubsub.py");
    for protocol in ["2", "3"] {
        let args = [script, &cluster.nodes[0].number().to_string(), protocol].map(str::to_owned);
        let (good, text) = run(&python, &args);
        assert!(good && text.trim_end().ends_with("all good"), "protocol {protocol}\n{text}");
    }
}

#[test]
fn a_shard_channel_lives_where_its_slot_does() {
    let cluster = Cluster::with_slots(2, &[NEVER]);
    let (owner, other) = (&cluster.nodes[0], &cluster.nodes[1]);
    let slot: u16 = other.ask("CLUSTER KEYSLOT {b}news").parse().unwrap();
    assert!(slot < 8192, "the first node owns the slot");
    let moved = format!("MOVED {slot} 127.0.0.1:{}", owner.number());
    for line in ["SSUBSCRIBE {b}news", "SPUBLISH {b}news m"] {
        assert_eq!(other.error(line), moved);
    }
    let mut two = listener(owner, "SSUBSCRIBE {b}news");
    let mut three = Raw::connect(owner.number());
    three.resp3();
    three.listen("SSUBSCRIBE {b}news");
    three.listen("SSUBSCRIBE {b}other");
    assert_eq!(owner.ask("SPUBLISH {b}news hello"), "2");
    assert_eq!(two.lines(7), "*3 $8 smessage $7 {b}news $5 hello");
    assert_eq!(three.lines(7), ">3 $8 smessage $7 {b}news $5 hello");
    assert_eq!(owner.ask("PUBLISH {b}news hello"), "0");
    // The slot goes: its listeners are told, and are ordinary clients again.
    assert_eq!(other.ask(&format!("CLUSTER SETSLOT {slot} NODE {}", other.id())), "OK");
    assert_eq!(two.lines(6), "*3 $12 sunsubscribe $7 {b}news :0");
    let told = [three.lines(6), three.lines(6)];
    assert_eq!(told, [">3 $12 sunsubscribe $7 {b}news :1", ">3 $12 sunsubscribe $8 {b}other :0"]);
    assert_eq!(two.say("PING"), "+PONG");
    assert_eq!(owner.ask("PUBSUB SHARDCHANNELS"), "[]");
    let mut listener = listener(other, "SSUBSCRIBE {b}news");
    assert_eq!(other.ask("SPUBLISH {b}news again"), "1");
    assert_eq!(listener.lines(7), "*3 $8 smessage $7 {b}news $5 again");
    // Nobody's slot is nobody's channel.
    assert_eq!(other.ask(&format!("CLUSTER DELSLOTS {slot}")), "OK");
    assert_eq!(listener.lines(6), "*3 $12 sunsubscribe $7 {b}news :0");
}

#[test]
fn a_shard_channel_is_heard_by_the_whole_shard_and_nobody_else() {
    let cluster = Cluster::with_slots(2, &[NEVER]);
    let replica = Node::started(&[NEVER]);
    cluster.nodes[0].meet(&replica);
    let primary = &cluster.nodes[0];
    until("the replica to be one", || replica.try_ask(&format!("CLUSTER REPLICATE {}", primary.id())));
    until_true("all to know", || {
        [primary, &cluster.nodes[1]].iter().all(|node| node.ask("CLUSTER NODES").contains(&format!("slave {}", primary.id())))
    });
    let (mut at_primary, mut at_replica) = (listener(primary, "SSUBSCRIBE {b}news"), listener(&replica, "SSUBSCRIBE {b}news"));
    for (at, node) in [primary, &replica].into_iter().enumerate() {
        assert_eq!(node.ask(&format!("SPUBLISH {{b}}news from-{at}")), "1");
        let heard = format!("*3 $8 smessage $7 {{b}}news $6 from-{at}");
        assert_eq!((at_primary.lines(7), at_replica.lines(7)), (heard.clone(), heard));
    }
    assert_eq!(cluster.nodes[1].field("cluster_stats_messages_publish_received"), "");
}

#[test]
fn keyspace_notifications_are_told_where_the_key_is() {
    let cluster = Cluster::with_slots(2, &[NEVER, "notify-keyspace-events AKE"]);
    let (owner, other) = (&cluster.nodes[0], &cluster.nodes[1]);
    let (mut here, mut there) = (listener(owner, "PSUBSCRIBE __key*__:*"), listener(other, "PSUBSCRIBE *"));
    assert_eq!(owner.ask("SET {b}k v"), "OK");
    assert_eq!(here.lines(9), "*4 $8 pmessage $10 __key*__:* $19 __keyspace@0__:{b}k $3 set");
    assert_eq!(here.lines(9), "*4 $8 pmessage $10 __key*__:* $18 __keyevent@0__:set $4 {b}k");
    // An expired key is told of when its time comes, though nobody looks for it.
    assert_eq!(owner.ask("CONFIG SET notify-keyspace-events Ex"), "OK");
    let began = now();
    assert_eq!(owner.ask("SET {b}k v PX 50"), "OK");
    assert_eq!(here.lines(9), "*4 $8 pmessage $10 __key*__:* $22 __keyevent@0__:expired $4 {b}k");
    assert!(began.elapsed() >= Duration::from_millis(50), "{:?}", began.elapsed());
    assert_eq!(owner.ask("CONFIG SET notify-keyspace-events "), "OK");
    assert_eq!(owner.ask("SET {b}k v"), "OK");
    assert_eq!(owner.ask("PUBLISH end end"), "0");
    assert_eq!(there.lines(9), "*4 $8 pmessage $1 * $3 end $3 end", "the other node was told nothing");
}

/// All who get it hold the same bytes.
#[test]
fn a_long_message_is_whole_in_both_protocols() {
    let node = alone(&[]);
    let (mut old, mut new) = (listener(&node, "SUBSCRIBE news"), Raw::connect(node.number()));
    new.resp3();
    new.listen("SUBSCRIBE news");
    new.listen("PSUBSCRIBE n*");
    for length in [16_383, 16_384, 16_385, 200_000] {
        let message = "x".repeat(length);
        assert_eq!(node.ask(&format!("PUBLISH news {message}")), "3");
        assert_eq!(old.lines(7), format!("*3 $7 message $4 news ${length} {message}"));
        assert_eq!(new.lines(7), format!(">3 $7 message $4 news ${length} {message}"));
        assert_eq!(new.lines(9), format!(">4 $8 pmessage $2 n* $4 news ${length} {message}"));
    }
    // Who has sent it gets it behind the reply.
    let message = "y".repeat(20_000);
    new.send(format!("PUBLISH news {message}\r\nPING\r\n"));
    assert_eq!(new.line(), ":3");
    assert_eq!(new.lines(7), format!(">3 $7 message $4 news $20000 {message}"));
    assert_eq!(new.lines(9), format!(">4 $8 pmessage $2 n* $4 news $20000 {message}"));
    assert_eq!(new.line(), "+PONG");
}

#[test]
fn who_does_not_read_is_closed_and_harms_nobody() {
    let node = alone(&["client-output-buffer-limit pubsub 1mb 0 0"]);
    let (mut slow, mut quick) = (listener(&node, "SUBSCRIBE flood"), listener(&node, "SUBSCRIBE flood"));
    let message = "x".repeat(100_000);
    until("the slow one to be closed", || {
        let told = node.ask(&format!("PUBLISH flood {message}"));
        assert!(quick.lines(7).ends_with(&message));
        if told == "1" { Ok(()) } else { Err(told) }
    });
    assert!(node.ask("INFO stats").contains("client_output_buffer_limit_disconnections:1"));
    assert!(slow.rest().len() < 20 << 20);
}

#[test]
fn a_node_that_was_away_hears_what_is_published_after_it_is_back() {
    let mut cluster = Cluster::with_slots(3, &[CALM]);
    let (mut early, mut witness) = (listener(&cluster.nodes[1], "SUBSCRIBE news"), listener(&cluster.nodes[2], "SUBSCRIBE news"));
    assert_eq!(cluster.nodes[0].ask("PUBLISH news first"), "0");
    assert!(early.lines(7).ends_with("first") && witness.lines(7).ends_with("first"));
    cluster.nodes[1].kill();
    for number in 0..100 {
        assert_eq!(cluster.nodes[0].ask(&format!("PUBLISH news {number}")), "0");
        assert!(witness.lines(7).ends_with(&format!(" {number}")), "whoever is there hears everything");
    }
    cluster.nodes[1].start();
    let mut late = listener(&cluster.nodes[1], "SUBSCRIBE news");
    late.stream().set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    until("a message to arrive", || {
        cluster.nodes[0].ask("PUBLISH news again");
        late.stream().peek(&mut [0]).map_err(|error| error.to_string())
    });
    assert!(late.lines(7).ends_with("again"));
    assert_ne!(dropped(&cluster.nodes[0]), "0");
}

#[test]
fn for_a_node_that_stands_still_a_bounded_amount_waits() {
    let cluster = Cluster::with_slots(3, &[CALM, "cluster-link-sendbuf-limit 1mb"]);
    let leader = cluster.leader();
    let (sender, still, witness) = (&cluster.nodes[leader], &cluster.nodes[(leader + 1) % 3], &cluster.nodes[(leader + 2) % 3]);
    let (mut at_still, mut at_witness) = (listener(still, "SUBSCRIBE news"), listener(witness, "SUBSCRIBE news"));
    sender.ask("PUBLISH news begin");
    assert!(at_still.lines(7).ends_with("begin") && at_witness.lines(7).ends_with("begin"));
    still.signal(Signal::STOP);
    // Both kernels take some of it.
    let message = "x".repeat(200_000);
    until("something to be dropped", || {
        sender.ask(&format!("PUBLISH news {message}"));
        assert!(at_witness.lines(7).ends_with(&message), "whoever reads hears everything");
        if dropped(sender) == "0" { Err("nothing yet".to_owned()) } else { Ok(()) }
    });
    still.signal(Signal::CONT);
    until("the node to hear what is published again", || {
        sender.ask("PUBLISH news end");
        let heard = at_still.lines(7);
        assert!(heard.ends_with("end") || heard.ends_with(&message));
        if heard.ends_with("end") { Ok(()) } else { Err("it hears what waited".to_owned()) }
    });
}

/// Each node's term.
fn terms(cluster: &Cluster) -> Vec<String> {
    cluster.nodes.iter().map(|node| node.field("cluster_raft_current_term")).collect()
}

#[test]
fn a_flood_of_messages_does_not_disturb_the_consensus() {
    let cluster = Cluster::with_slots(3, &[CALM]);
    let (before, leader) = (terms(&cluster), cluster.leader());
    let publisher = &cluster.nodes[(leader + 1) % 3];
    let _heard: Vec<Raw> = cluster.nodes.iter().map(|node| listener(node, "PSUBSCRIBE nothing*")).collect();
    let (flood, mut room) = (Raw::connect(publisher.number()), vec![0; 1 << 16]);
    flood.stream().set_nonblocking(true).unwrap();
    let (batch, mut sent) = (format!("PUBLISH flood {}\r\n", "x".repeat(200)).repeat(2000), 0);
    let messages = || publisher.field("cluster_stats_messages_publish_sent").parse::<u64>().unwrap();
    // Fewer messages are no flood.
    let mut change = 0;
    while change < 40 || messages() < 5_000 {
        sent += flood.stream().write(&batch.as_bytes()[sent % batch.len()..]).unwrap_or(0);
        while flood.stream().read(&mut room).is_ok_and(|count| count > 0) {}
        let slots = if change % 2 == 0 { "DELSLOTS" } else { "ADDSLOTS" };
        assert_eq!(cluster.nodes[2].ask(&format!("CLUSTER {slots} 16000")), "OK");
        change += 1;
    }
    assert_eq!((terms(&cluster), cluster.leader()), (before, leader), "nobody was elected meanwhile");
}
