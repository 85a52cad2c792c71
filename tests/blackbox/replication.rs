//! A primary and those that replicate it: a real redis-server, redis-cli's tools, and hand-made ones.

use crate::cluster::CALM;
use crate::node::{Node, command};
use crate::redis_server::RedisServer;
use crate::reply::{Raw, ask, text_of};
use crate::tools::{at, cluster_cli};
use crate::wait::{until, until_true};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

fn whole(lines: &[&str]) -> Node {
    let node = Node::started(&[&[CALM], lines].concat());
    assert_eq!(node.ask("CLUSTER ADDSLOTSRANGE 0 16383"), "OK");
    until("the node to serve", || node.try_ask("GET x"));
    node
}

fn replica_of(node: &Node) -> RedisServer {
    RedisServer::started(&["--replicaof", &format!("127.0.0.1 {}", node.number())], |_| ())
}

/// A field of INFO; empty if it is not there.
fn info(connection: &mut redis::Connection, name: &str) -> String {
    let text = text_of(ask(connection, "INFO everything").expect("it answers")).expect("INFO is text");
    let field = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    field.unwrap_or_default().to_owned()
}

/// Every key with its value and the end of its life.
fn contents(connection: &mut redis::Connection) -> BTreeMap<String, (String, String)> {
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(connection).expect("it answers");
    if keys.is_empty() {
        return BTreeMap::new();
    }
    let (mut types, mut all) = (redis::pipe(), redis::pipe());
    keys.iter().for_each(|key| _ = types.cmd("TYPE").arg(key));
    let types: Vec<String> = types.query(connection).expect("it answers");
    for (key, kind) in keys.iter().zip(&types) {
        all.cmd(if kind == "hash" { "HGETALL" } else { "GET" }).arg(key).cmd("PEXPIRETIME").arg(key);
    }
    let found: Vec<redis::Value> = all.query(connection).expect("it answers");
    let mut texts = found.into_iter().map(shown);
    keys.into_iter().map(|key| (key, (texts.next().unwrap_or_default(), texts.next().unwrap_or_default()))).collect()
}

/// A value as text; a hash's pairs in their order.
fn shown(value: redis::Value) -> String {
    if !matches!(value, redis::Value::Array(_) | redis::Value::Map(_)) {
        return text_of(value).expect("it is no error");
    }
    let pairs: BTreeMap<String, String> = redis::from_redis_value(value).expect("these are pairs");
    format!("{pairs:?}")
}

/// Waits until the replica has run all that the primary has written, and both have the same keys: on each some may just expire.
#[track_caller]
fn same(node: &Node, replica: &RedisServer) -> BTreeMap<String, (String, String)> {
    let (mut here, mut there) = (node.try_connect().expect("the node answers"), replica.connect());
    until("the replica to have run the stream", || match (info(&mut here, "master_repl_offset"), info(&mut there, "slave_repl_offset")) {
        (primary, replica) if primary == replica && info(&mut there, "master_link_status") == "up" => {
            Some(contents(&mut there)).filter(|found| *found == contents(&mut here)).ok_or("the keys differ".to_owned())
        }
        offsets => Err(format!("the offsets are {offsets:?}")),
    })
}

fn ask_all(node: &Node, lines: &[&str]) {
    let mut connection = node.try_connect().expect("the node answers");
    for line in lines {
        ask(&mut connection, line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

/// So many keys with values of this length, written in one go.
fn fill(node: &Node, prefix: &str, count: usize, length: usize) {
    let mut connection = node.try_connect().expect("the node answers");
    for first in (0..count).step_by(1000) {
        let mut pipe = redis::pipe();
        for number in first..count.min(first + 1000) {
            pipe.cmd("SET").arg(format!("{prefix}:{number}")).arg(format!("{number:0length$}")).ignore();
        }
        pipe.exec(&mut connection).expect("the node writes");
    }
}

#[test]
fn redis_server_gets_all_keys_and_follows_every_change() {
    let node = whole(&[]);
    ask_all(&node, &["SET plain 1", "SET lived 1 PX 1", "SET lives 1 EX 1000", "SET num 10"]);
    let replica = replica_of(&node);
    assert!(same(&node, &replica).contains_key("lives"));
    ask_all(
        &node,
        &[
            "APPEND plain x",
            "SET soon 1 PX 50",
            "SET gone 1 PX 50",
            "EXPIRE lives 500",
            "INCRBYFLOAT num 0.25",
            "GETEX num EX 77",
            "MULTI",
            "SET {m}1 a",
            "SET {m}2 b EX 900",
            "INCR {m}3",
            "EXEC",
            "MSET {m}4 1 {m}5 2",
            "DEL {m}1",
        ],
    );
    until_true("an expired key to be found so", || node.ask("GET soon") == "nil");
    until_true("the other one to be removed by itself", || node.ask("DBSIZE") == same(&node, &replica).len().to_string());
    let found = same(&node, &replica);
    assert!(!found.contains_key("soon") && !found.contains_key("gone") && found.contains_key("{m}3"), "{found:?}");
    assert_eq!(node.ask("FLUSHALL"), "OK");
    fill(&node, "new", 2000, 30);
    assert_eq!(same(&node, &replica).len(), 2000);
    assert_eq!(info(&mut node.try_connect().unwrap(), "sync_full"), "1");
}

#[test]
fn redis_server_gets_hashes_and_follows_their_changes() {
    let node = whole(&[]);
    ask_all(&node, &["HSET small a 1 b two c 3", "HSET gone a 1"]);
    let mut connection = node.try_connect().expect("the node answers");
    let write = |connection: &mut redis::Connection, numbers: std::ops::Range<usize>, length: usize| {
        for first in numbers.step_by(500) {
            let mut set = redis::cmd("HSET");
            set.arg("large");
            (first..first + 500).for_each(|number| _ = set.arg(format!("field:{number}")).arg(format!("{number:0length$}")));
            set.exec(connection).expect("the node writes");
        }
    };
    write(&mut connection, 0..50_000, 20);
    let replica = replica_of(&node);
    // Changed while it is copied.
    write(&mut connection, 20_000..60_000, 30);
    ask_all(
        &node,
        &[
            "HDEL large field:1 field:59999",
            "HINCRBY small a 41",
            "HDEL gone a",
            "HSETNX small d 4",
            "HSET small long 1",
            "EXPIRE small 1000",
        ],
    );
    let found = same(&node, &replica);
    assert!(found.len() == 2 && found["small"].0.contains("\"a\": \"42\""), "{:?}", found.keys());
    assert_eq!(node.ask("HLEN large"), "59998");
    assert_eq!(node.ask("UNLINK large"), "1");
    assert_eq!(same(&node, &replica).len(), 1);
}

#[test]
fn a_full_sync_of_keys_that_change_meanwhile() {
    let node = whole(&[]);
    fill(&node, "key", 20_000, 2000);
    let replica = replica_of(&node);
    fill(&node, "key", 10_000, 100);
    fill(&node, "other", 10_000, 100);
    assert_eq!(same(&node, &replica).len(), 30_000);
}

#[test]
fn a_replica_that_comes_back_goes_on_where_it_was() {
    let node = whole(&["repl-backlog-size 1mb"]);
    ask_all(&node, &["SET a 1"]);
    let replica = replica_of(&node);
    same(&node, &replica);
    let mut at_replica = replica.connect();
    for number in 1..4 {
        assert_eq!(ask(&mut at_replica, "CLIENT KILL TYPE master").and_then(text_of), Ok("1".to_owned()));
        fill(&node, "while-away", 1000, number * 10);
        assert_eq!(same(&node, &replica).len(), 1001);
        assert_eq!(info(&mut node.try_connect().unwrap(), "sync_partial_ok"), number.to_string());
    }
    // Away for longer than the backlog lasts: it gets all keys again.
    ask(&mut at_replica, "REPLICAOF NO ONE").expect("it may");
    fill(&node, "while-away", 1000, 3000);
    ask(&mut at_replica, &format!("REPLICAOF 127.0.0.1 {}", node.number())).expect("it may");
    assert_eq!(same(&node, &replica).len(), 1001);
    let mut here = node.try_connect().unwrap();
    assert_eq!((info(&mut here, "sync_full"), info(&mut here, "sync_partial_err")), ("2".to_owned(), "1".to_owned()));
}

#[test]
fn redis_cli_fetches_rdb_files_and_follows() {
    let node = whole(&[]);
    fill(&node, "key", 5000, 200);
    let (port, dir) = (node.number().to_string(), node.dir());
    for (option, keys) in [("--rdb", 5000), ("--functions-rdb", 0)] {
        let file = dir.join("fetched.rdb");
        let fetched = command("redis-cli").args(["-p", &port, option]).arg(&file).output().expect("redis-cli is needed here");
        assert!(fetched.status.success(), "{fetched:?}");
        let check = command("redis-check-rdb").arg(&file).output().expect("redis-check-rdb is needed here");
        let said = String::from_utf8_lossy(&check.stdout);
        assert!(check.status.success() && said.contains("RDB looks OK!") && said.contains(&format!("{keys} keys read")), "{said}");
    }
    let mut follower = command("redis-cli");
    let mut follower = follower.args(["-p", &port, "--replica"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("redis-cli");
    let (told, said) = (follower.stdout.take().expect("it was asked for"), follower.stderr.take().expect("it was asked for"));
    // Not closed before the end: it says more.
    let mut said = BufReader::new(said).lines().map_while(Result::ok);
    assert!(said.any(|line| line.starts_with("SYNC done")));
    assert_eq!(node.ask("SET followed 1"), "OK");
    assert!(BufReader::new(told).lines().map_while(Result::ok).any(|line| line.contains("\"SET\",\"followed\",\"1\"")));
    let _ = follower.kill();
    let _ = follower.wait();
    until_true("the node to know that nobody is left", || node.ask("INFO replication").contains("connected_slaves:0"));
}

#[test]
fn who_wants_the_length_first_may_ask_for_more_than_is_kept_for_a_replica() {
    let node = whole(&["client-output-buffer-limit \"replica 2mb 0 0\"", "repl-backlog-size 1mb"]);
    fill(&node, "key", 8000, 1000);
    let mut old = Raw::connect(node.number());
    assert_eq!(old.say("REPLCONF rdb-only 1"), "+OK");
    old.send("SYNC\r\n");
    let said = std::iter::repeat_with(|| old.line()).find(|line| !line.is_empty()).expect("it goes on");
    let length: usize = said.strip_prefix('$').and_then(|length| length.parse().ok()).expect("a length");
    // Meanwhile the keys change, in less than what is kept.
    fill(&node, "key", 1000, 100);
    let bytes = old.rest();
    assert!(bytes.len() == length && length > 8_000_000, "{} of {length}", bytes.len());
    let file = node.dir().join("fetched.rdb");
    std::fs::write(&file, &bytes).expect("a file can be written");
    let check = command("redis-check-rdb").arg(&file).output().expect("redis-check-rdb is needed here");
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(said.contains("RDB looks OK!") && said.contains("8000 keys read"), "{said}");
}

#[test]
fn values_larger_than_what_is_kept_for_a_replica_are_fetched_and_followed() {
    let node = whole(&["client-output-buffer-limit \"replica 2mb 0 0\"", "repl-backlog-size 1mb"]);
    (0..6).for_each(|number| assert_eq!(node.ask(&format!("SETRANGE large:{number} 4999999 x")), "5000000"));
    let file = node.dir().join("fetched.rdb");
    let fetched =
        command("redis-cli").args(["-p", &node.number().to_string(), "--rdb"]).arg(&file).output().expect("redis-cli is needed here");
    assert!(fetched.status.success(), "{fetched:?}");
    let replica = replica_of(&node);
    assert_eq!(same(&node, &replica).len(), 6);
    ask_all(&node, &["APPEND large:1 x"]);
    assert_eq!(same(&node, &replica)["large:1"].0.len(), 5_000_001);
    assert_eq!(info(&mut node.try_connect().unwrap(), "sync_full"), "2");
}

#[test]
fn redis_cli_backs_the_cluster_up_and_redis_server_loads_that() {
    let node = whole(&[]);
    fill(&node, "key", 5000, 200);
    let backup = node.dir().join("backup");
    std::fs::create_dir(&backup).expect("a directory can be made");
    let said = cluster_cli(&format!("backup {} {}", at(&node), backup.display()));
    assert!(said.contains("Backup created into"), "{said}");
    let file = backup.join(format!("redis-node-{}-{}.rdb", at(&node).replace(':', "-"), node.id()));
    let server = RedisServer::started(&[], |dir| _ = std::fs::copy(&file, dir.join("dump.rdb")).expect("the backup is there"));
    until("redis-server to have loaded it", || match info(&mut server.connect(), "loading").as_str() {
        "0" => Ok(()),
        other => Err(other.to_owned()),
    });
    assert!(contents(&mut server.connect()) == contents(&mut node.try_connect().unwrap()));
}

#[test]
fn wait_counts_the_replicas_that_have_run_a_write() {
    let node = whole(&[]);
    assert_eq!((node.ask("WAIT 0 0"), node.ask("WAIT 1 50")), ("0".to_owned(), "0".to_owned()));
    let replicas = [replica_of(&node), replica_of(&node)];
    replicas.iter().for_each(|replica| _ = same(&node, replica));
    let mut connection = node.try_connect().unwrap();
    let mut say = |line: &str| ask(&mut connection, line).and_then(text_of);
    for number in 0..20 {
        say(&format!("SET a {number}")).unwrap();
        assert_eq!(say("WAIT 2 0").as_deref(), Ok("2"));
        for replica in &replicas {
            assert_eq!(ask(&mut replica.connect(), "GET a").and_then(text_of), Ok(number.to_string()));
        }
    }
    assert_eq!(say("WAIT 3 50").as_deref(), Ok("2"));
    for (line, error) in [
        ("WAIT x 0", "ERR value is not an integer or out of range"),
        ("WAIT 1 x", "ERR timeout is not an integer or out of range"),
        ("WAIT 1 -1", "ERR timeout is negative"),
        ("REPLICAOF NO ONE", "ERR REPLICAOF not allowed in cluster mode."),
        ("SLAVEOF 127.0.0.1 1", "ERR REPLICAOF not allowed in cluster mode."),
        ("FAILOVER", "ERR FAILOVER not allowed in cluster mode. Use CLUSTER FAILOVER command instead."),
        ("PSYNC ? x", "ERR value is not an integer or out of range"),
    ] {
        assert_eq!(say(line), Err(error.to_owned()), "{line}");
    }
    assert_eq!([say("MULTI"), say("WAIT 5 0"), say("EXEC")].map(Result::unwrap), ["OK", "QUEUED", "[2]"]);
    let role = say("ROLE").unwrap();
    assert!(role.starts_with("[master ") && replicas.iter().all(|replica| role.contains(&replica.port.number.to_string())), "{role}");
    assert_eq!(say("CLIENT LIST TYPE replica").unwrap().matches("flags=S").count(), 2);
}

#[test]
fn writes_need_as_many_replicas_as_the_operator_says() {
    let node = whole(&["min-replicas-to-write 1", "min-replicas-max-lag 10"]);
    let refused = "NOREPLICAS Not enough good replicas to write.";
    assert_eq!((node.error("SET a 1"), node.error("FLUSHALL")), (refused.to_owned(), refused.to_owned()));
    assert_eq!(node.ask("GET a"), "nil");
    let replica = replica_of(&node);
    until("a write with a replica", || node.try_ask("SET a 1"));
    assert!(node.ask("INFO replication").contains("min_slaves_good_slaves:1"));
    drop(replica);
    until_true("writes to be refused", || node.try_ask("SET a 2") == Err(refused.to_owned()));
}

#[test]
fn a_replica_that_does_not_read_costs_a_bounded_amount() {
    let node = whole(&["client-output-buffer-limit \"replica 4mb 0 0\"", "repl-backlog-size 1mb"]);
    fill(&node, "key", 2000, 1000);
    let mut slow = Raw::connect(node.number());
    slow.send(b"REPLCONF capa eof\r\nPSYNC ? -1\r\n");
    assert_eq!(slow.line(), "+OK");
    assert!(slow.line().starts_with("+FULLRESYNC "));
    until_true("it to be a replica", || node.ask("INFO replication").contains("connected_slaves:1"));
    // What it does not read stays unmade, and the stream behind it grows to its limit.
    fill(&node, "more", 10_000, 1000);
    until_true("it to be dropped", || node.ask("INFO replication").contains("connected_slaves:0"));
    let mut here = node.try_connect().unwrap();
    let kept: u64 = info(&mut here, "repl_backlog_histlen").parse().unwrap();
    assert!((1 << 20..2 << 20).contains(&kept), "{kept}");
    assert!(slow.rest().len() < 8 << 20);
}
