//! Publish and subscribe on one node. The replies are those of Redis 7.0.15, recorded from it.

use super::*;
use crate::keyspace::key_slot;
use crate::session::{Scope, Subscriptions};

impl Desk {
    /// The reply on one line.
    fn line(&mut self, line: &str) -> String {
        self.ask(line).replace("\r\n", " ").trim_end().to_owned()
    }

    /// What was pushed since this was last asked, without the receivers.
    pub fn pushed(&mut self) -> Vec<String> {
        std::mem::take(&mut self.others.pushed).into_iter().map(|(_, text)| text).collect()
    }

    /// Another client listens to a name.
    pub fn listen(&mut self, place: u32, scope: Scope, name: &str) -> (ConnId, Subscriptions) {
        let (conn, mut own) = (ConnId { place, generation: 0 }, Subscriptions::default());
        self.pubsub.subscribe(conn, &mut own, scope, name.as_bytes());
        (conn, own)
    }
}

#[test]
fn every_change_of_a_subscription_is_confirmed_with_the_count() {
    let mut desk = Desk::new();
    for (line, reply) in [
        ("SUBSCRIBE x y", "*3 $9 subscribe $1 x :1 *3 $9 subscribe $1 y :2"),
        ("SUBSCRIBE x", "*3 $9 subscribe $1 x :2"),
        ("PSUBSCRIBE * x*", "*3 $10 psubscribe $1 * :3 *3 $10 psubscribe $2 x* :4"),
        ("UNSUBSCRIBE", "*3 $11 unsubscribe $1 x :3 *3 $11 unsubscribe $1 y :2"),
        ("UNSUBSCRIBE", "*3 $11 unsubscribe $-1 :2"),
        ("PUNSUBSCRIBE x*", "*3 $12 punsubscribe $2 x* :1"),
        ("PUNSUBSCRIBE", "*3 $12 punsubscribe $1 * :0"),
        ("PUNSUBSCRIBE", "*3 $12 punsubscribe $-1 :0"),
        ("UNSUBSCRIBE nope other", "*3 $11 unsubscribe $4 nope :0 *3 $11 unsubscribe $5 other :0"),
        ("SSUBSCRIBE {t}a {t}b", "*3 $10 ssubscribe $4 {t}a :1 *3 $10 ssubscribe $4 {t}b :2"),
        ("SSUBSCRIBE {t}a u", "-CROSSSLOT Keys in request don't hash to the same slot"),
        ("SSUBSCRIBE other", "*3 $10 ssubscribe $5 other :3"),
        ("SUNSUBSCRIBE {t}a {t}z", "*3 $12 sunsubscribe $4 {t}a :2 *3 $12 sunsubscribe $4 {t}z :2"),
        ("SUNSUBSCRIBE", "*3 $12 sunsubscribe $5 other :1 *3 $12 sunsubscribe $4 {t}b :0"),
        ("SUNSUBSCRIBE", "*3 $12 sunsubscribe $-1 :0"),
    ] {
        assert_eq!(desk.line(line), reply, "{line}");
    }
    assert!(desk.pubsub.is_empty() && desk.client.subscriptions.is_empty());
    desk.ask("HELLO 3");
    assert_eq!(desk.line("SUBSCRIBE x"), ">3 $9 subscribe $1 x :1");
    assert_eq!(desk.line("UNSUBSCRIBE"), ">3 $11 unsubscribe $1 x :0");
    assert_eq!(desk.line("UNSUBSCRIBE"), ">3 $11 unsubscribe _ :0");
}

#[test]
fn in_resp2_a_subscriber_may_do_little_else() {
    let mut desk = Desk::new();
    let refused = |name: &str| {
        format!("-ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context")
    };
    desk.ask("SUBSCRIBE x");
    for (line, name) in
        [("GET k", "get"), ("MULTI", "multi"), ("CLIENT LIST", "client|list"), ("PUBLISH x m", "publish"), ("HELLO 3", "hello")]
    {
        assert_eq!(desk.line(line), refused(name));
    }
    assert_eq!(desk.line("GET"), "-ERR wrong number of arguments for 'get' command");
    assert_eq!(desk.line("PING"), "*2 $4 pong $0");
    assert_eq!(desk.line("PING hi"), "*2 $4 pong $2 hi");
    assert_eq!(desk.line("RESET"), "+RESET");
    assert!(desk.pubsub.is_empty() && desk.client.subscriptions.is_empty());
    assert_eq!(desk.line("PING"), "+PONG");
    desk.ask("HELLO 3");
    desk.ask("SUBSCRIBE x");
    assert_eq!((desk.line("GET k"), desk.line("PING")), ("_".to_owned(), "+PONG".to_owned()));
}

#[test]
fn a_message_goes_to_the_channel_and_to_every_pattern_that_matches() {
    let mut desk = Desk::new();
    let (first, mut own) = desk.listen(1, Scope::Channel, "news");
    desk.pubsub.subscribe(first, &mut own, Scope::Pattern, b"n*");
    let (second, _) = desk.listen(2, Scope::Pattern, "n*");
    desk.listen(4, Scope::Pattern, "x*");
    desk.listen(5, Scope::Shard(key_slot(b"news")), "news");
    assert_eq!(desk.line("PUBLISH news hello"), ":3");
    let by_pattern = "*4 $8 pmessage $2 n* $4 news $5 hello".to_owned();
    let pushed = [(first, "*3 $7 message $4 news $5 hello".to_owned()), (first, by_pattern.clone()), (second, by_pattern)];
    assert_eq!(std::mem::take(&mut desk.others.pushed), pushed);
    assert_eq!(desk.line("PUBLISH nothing m"), ":2");
    assert_eq!(desk.line("SPUBLISH news hello"), ":1");
    assert_eq!(desk.pushed().last().map(String::as_str), Some("*3 $8 smessage $4 news $5 hello"));
    desk.pubsub.leave(first, &mut own);
    assert_eq!(desk.line("PUBLISH news hello"), ":1");
    assert!(own.is_empty());
}

#[test]
fn pubsub_shows_what_is_there() {
    let mut desk = Desk::new();
    for (place, name) in [(1, "a"), (2, "a"), (1, "b1")] {
        desk.listen(place, Scope::Channel, name);
    }
    desk.listen(1, Scope::Pattern, "a*");
    desk.listen(2, Scope::Pattern, "a*");
    desk.listen(1, Scope::Shard(key_slot(b"{t}a")), "{t}a");
    for (line, reply) in [
        ("PUBSUB CHANNELS", "*2 $1 a $2 b1"),
        ("PUBSUB CHANNELS b?", "*1 $2 b1"),
        ("PUBSUB NUMSUB", "*0"),
        ("PUBSUB NUMSUB a q", "*4 $1 a :2 $1 q :0"),
        ("PUBSUB NUMPAT", ":1"),
        ("PUBSUB SHARDCHANNELS", "*1 $4 {t}a"),
        ("PUBSUB SHARDCHANNELS x*", "*0"),
        ("PUBSUB SHARDNUMSUB {t}a a", "*4 $4 {t}a :1 $1 a :0"),
        ("PUBSUB NUMPAT x", "-ERR wrong number of arguments for 'pubsub|numpat' command"),
        ("PUBSUB CHANNELS a b", "-ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB HELP."),
        ("PUBSUB foo", "-ERR unknown subcommand 'foo'. Try PUBSUB HELP."),
        ("COMMAND GETKEYS SPUBLISH a b", "-ERR The command has no key arguments"),
    ] {
        assert_eq!(desk.line(line), reply, "{line}");
    }
    desk.ask("HELLO 3");
    desk.ask("SUBSCRIBE a b c");
    desk.ask("PSUBSCRIBE a*");
    desk.ask("SSUBSCRIBE s");
    let list = desk.line("CLIENT LIST TYPE pubsub");
    assert!(list.contains(" flags=P ") && list.contains(" sub=3 psub=1 ssub=1 "), "{list}");
    assert_eq!(desk.line("CLIENT LIST TYPE normal"), "=4 txt:");
    let info = desk.line("INFO");
    for field in ["pubsub_clients:1", "pubsub_channels:4", "pubsub_patterns:1", "pubsubshard_channels:2"] {
        assert!(info.split(' ').any(|line| line == field), "{field} in {info}");
    }
}

#[test]
fn shard_channels_are_served_where_their_slot_is() {
    let mut desk = Desk::new();
    desk.add_other();
    let slot = key_slot(b"s").number();
    desk.give_slots(Some(ME), Some(OTHER), slot, slot);
    let moved = format!("-MOVED {slot} 127.0.0.1:7002");
    for line in ["SSUBSCRIBE s", "SUNSUBSCRIBE s", "SPUBLISH s m"] {
        assert_eq!(desk.line(line), moved, "{line}");
    }
    assert_eq!((desk.line("PUBLISH s m"), desk.line("SUNSUBSCRIBE")), (":0".to_owned(), "*3 $12 sunsubscribe $-1 :0".to_owned()));
    // Keys of a slot on its way are refused, channels are not: nothing is lost with them.
    desk.leaving.push(SlotRange::new(super::slot(0), super::slot(16383)).unwrap());
    assert_eq!(desk.line("SPUBLISH here m"), ":0");
    desk.usable = false;
    assert_eq!(desk.line("SPUBLISH here m"), ":0");
    desk.config.set(&[("cluster-allow-pubsubshard-when-down", "no")]).unwrap();
    assert_eq!(desk.line("SPUBLISH here m"), "-CLUSTERDOWN The cluster is down");
    assert_eq!(desk.line("PUBLISH here m"), ":0");
}

#[test]
fn a_transaction_of_channels_is_one_of_keys_as_soon_as_there_is_a_key_in_it() {
    let mut desk = Desk::new();
    desk.usable = false;
    for (with_key, end) in [("SPUBLISH {t} m", "*2 :0 :0"), ("GET {t}", "-CLUSTERDOWN The cluster is down")] {
        desk.ask("MULTI");
        desk.ask("SPUBLISH {t} m");
        desk.usable |= with_key.starts_with("GET");
        assert_eq!(desk.line(with_key), "+QUEUED");
        desk.usable = false;
        assert_eq!(desk.line("EXEC"), end);
    }
    desk.ask("MULTI");
    desk.ask("SUBSCRIBE a");
    desk.ask("PUBLISH a m");
    assert_eq!(desk.line("EXEC"), "*2 *3 $9 subscribe $1 a :1 :1");
    assert_eq!(desk.pushed(), ["*3 $7 message $1 a $1 m"], "after the reply");
}

#[test]
fn other_nodes_are_told_in_one_batch_if_there_are_any() {
    let mut desk = Desk::new();
    desk.ask("PUBLISH a m");
    assert!(desk.pubsub.outgoing.is_empty());
    desk.pubsub.outgoing.to_all = true;
    desk.ask("PUBLISH a m");
    desk.ask("PUBLISH b m");
    desk.ask("SPUBLISH s m");
    let (all, shard) = desk.pubsub.outgoing.take();
    assert_eq!((all.frames, shard.frames), (2, 0));
    assert!(all.bytes.starts_with(b"RAFT\0\0\0\x18PUBLISH 0 1 1\namRAFT"), "{:?}", String::from_utf8_lossy(&all.bytes));
    let long = "x".repeat(16 << 20);
    assert!(desk.line(&format!("PUBLISH a {long}")).starts_with("-ERR the message is too long for the cluster bus: a frame of 167772"));
    assert!(desk.pubsub.outgoing.is_empty());
}

#[test]
fn a_client_has_room_for_so_many_names_only() {
    let mut desk = Desk::new();
    let long = "x".repeat(40 << 20);
    assert!(desk.ask(&format!("SUBSCRIBE {long}")).starts_with("*3"));
    assert_eq!(desk.line(&format!("PSUBSCRIBE {long}")), "-ERR too many subscriptions");
    desk.ask("UNSUBSCRIBE");
    assert!(desk.ask(&format!("PSUBSCRIBE {long}")).starts_with("*3"));
}
