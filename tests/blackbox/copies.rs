//! What a replica copies, and how it comes by it: from a real redis-server, and from primaries that fail it in every way.
//!
//! The primary that the cluster knows announces the client port of whatever stands in for it.

use crate::cluster::{CALM, Cluster};
use crate::node::Node;
use crate::ports::Port;
use crate::proxy::Proxy;
use crate::redis_server::RedisServer;
use crate::reply::{ask, text_of};
use crate::wait::until;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

/// A primary of all slots whose clients are sent to this port, and its replica.
pub fn replica_of(port: u16, options: &[&str]) -> Cluster {
    let announced = format!("cluster-announce-port {port}");
    let mut cluster = Cluster::strangers(1, &[CALM, &announced]);
    cluster.nodes.push(Node::started(&[&[CALM], options].concat()));
    assert_eq!(cluster.nodes[0].ask("CLUSTER ADDSLOTSRANGE 0 16383"), "OK");
    cluster.nodes[0].meet(&cluster.nodes[1]);
    cluster.agreed();
    let primary = cluster.nodes[0].id();
    assert_eq!(cluster.nodes[1].ask(&format!("CLUSTER REPLICATE {primary}")), "OK");
    cluster
}

/// INFO by name.
pub fn replication(node: &Node) -> BTreeMap<String, String> {
    let text = node.try_ask("INFO").unwrap_or_default();
    text.lines().filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[track_caller]
pub fn linked(node: &Node) {
    until("the link to the primary", || match replication(node) {
        fields if fields.get("master_link_status").is_some_and(|status| status == "up") => Ok(()),
        fields => Err(format!("{fields:?}")),
    });
}

/// A copy, read as a client may.
fn copy_of(node: &Node, key: &str) -> Result<String, String> {
    let mut connection = node.try_connect()?;
    ask(&mut connection, "READONLY")?;
    text_of(ask(&mut connection, &format!("GET {key}"))?)
}

#[track_caller]
pub fn copied(node: &Node, key: &str, value: &str) {
    until(&format!("a copy of {key}"), || match copy_of(node, key) {
        Ok(found) if found == value => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

/// Carries a replica's requests to a primary that does not know whom they are meant for: in place of that it is asked for what the replica
/// wants to hear.
fn anonymous(from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
    let mut from = BufReader::new(from);
    loop {
        let mut request = String::new();
        from.read_line(&mut request)?;
        let words: usize = request.strip_prefix('*').map_or(Ok(0), |count| count.trim().parse()).map_err(io::Error::other)?;
        for _ in 0..2 * words {
            from.read_line(&mut request)?;
        }
        if request.is_empty() {
            return Ok(());
        }
        if request.contains("primary-id") {
            request = "EVAL \"return redis.status_reply('OK 1')\" 0\r\n".to_owned();
        }
        to.write_all(request.as_bytes())?;
    }
}

#[test]
fn a_real_redis_server_is_copied_and_followed() {
    let redis = RedisServer::started(&["--repl-diskless-sync-delay", "0"], |_| {});
    let mut primary = redis.connect();
    ask(&mut primary, "CONFIG SET requirepass secret").unwrap();
    for number in 0..5000 {
        redis::cmd("SET").arg(format!("key:{number}")).arg(number).exec(&mut primary).unwrap();
    }
    redis::cmd("SET").arg("long").arg("x".repeat(3_000_000)).exec(&mut primary).unwrap();
    let (proxy, listener) = Proxy::reserve();
    proxy.run_with(listener, redis.port.number, anonymous);
    let cluster = replica_of(proxy.port.number, &["masterauth secret"]);
    let replica = &cluster.nodes[1];
    linked(replica);
    assert_eq!(replica.ask("DBSIZE"), "5001");
    copied(replica, "key:4999", "4999");
    // The stream, with a transaction, what expires, and what is removed.
    redis::pipe().atomic().cmd("SET").arg("a").arg(1).cmd("INCR").arg("a").exec(&mut primary).unwrap();
    redis::cmd("SET").arg("b").arg("soon").arg("PX").arg(300).exec(&mut primary).unwrap();
    redis::cmd("DEL").arg("key:1").exec(&mut primary).unwrap();
    copied(replica, "a", "2");
    copied(replica, "key:1", "nil");
    copied(replica, "b", "nil");
    // Offsets and acknowledgements.
    assert_eq!(redis::cmd("WAIT").arg(1).arg(5000).query::<i64>(&mut primary).unwrap(), 1);
    until("equal offsets", || {
        let info: String = redis::cmd("INFO").arg("replication").query(&mut primary).unwrap();
        let own = replication(replica).remove("slave_repl_offset").unwrap_or_default();
        let port = replica.number();
        match info.contains(&format!("port={port},state=online,offset={own},")) && info.contains(&format!("master_repl_offset:{own}\r\n")) {
            true => Ok(()),
            false => Err(format!("{own}: {info}")),
        }
    });
    // The link breaks: the replica goes on where it was.
    assert_eq!(redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("replica").query::<i64>(&mut primary).unwrap(), 1);
    redis::cmd("SET").arg("after").arg("the break").exec(&mut primary).unwrap();
    copied(replica, "after", "the break");
    let info: String = redis::cmd("INFO").arg("stats").query(&mut primary).unwrap();
    assert!(info.contains("sync_full:1\r\n") && info.contains("sync_partial_ok:1\r\n"), "{info}");
    assert_eq!(replica.error("SET a 1").split(' ').next(), Some("MOVED"));
}

/// Stands in for a primary.
pub struct Fake {
    listener: TcpListener,
    pub port: Port,
}

impl Fake {
    pub fn new() -> Self {
        let port = Port::reserve();
        Self { listener: TcpListener::bind(("127.0.0.1", port.number)).expect("the port is reserved"), port }
    }

    /// The replica's next link, up to its PSYNC, and how it asks.
    pub fn psync(&self) -> (TcpStream, String) {
        let (mut stream, _) = self.listener.accept().expect("a replica dials");
        let mut heard = String::new();
        loop {
            let mut bytes = [0; 4096];
            let count = stream.read(&mut bytes).expect("the replica goes on");
            assert!(count > 0, "the replica hung up after {heard}");
            heard.push_str(&String::from_utf8_lossy(&bytes[..count]));
            if let Some((_, asked)) = heard.split_once("\r\nPSYNC\r\n") {
                return (
                    stream,
                    asked.split("\r\n").filter(|word| !word.starts_with('$') && !word.is_empty()).collect::<Vec<_>>().join(" "),
                );
            }
            let answers =
                if heard.contains("REPLCONF") { "+OK 1\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n".to_owned() } else { "+PONG\r\n".to_owned() };
            stream.write_all(answers.as_bytes()).expect("the replica reads");
        }
    }
}

/// An RDB file with one key, without a checksum.
fn rdb(key: &str, value: &str) -> Vec<u8> {
    rdb_of(&[], key, value)
}

/// The same, which says this about itself.
pub fn rdb_of(about: &[(&str, &str)], key: &str, value: &str) -> Vec<u8> {
    let string = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    let mut bytes = b"REDIS0010".to_vec();
    for (name, value) in about {
        bytes.extend([&b"\xfa"[..], &string(name), &string(value)].concat());
    }
    bytes.extend([&b"\xfe\x00\x00"[..], &string(key), &string(value), b"\xff\0\0\0\0\0\0\0\0"].concat());
    bytes
}

pub fn send(stream: &mut TcpStream, head: &str, body: &[u8]) {
    stream.write_all(&[head.as_bytes(), body].concat()).expect("the replica reads");
}

pub const ID: &str = "0123456789abcdef0123456789abcdef01234567";
const OTHER_ID: &str = "fedcba9876543210fedcba9876543210fedcba98";

#[test]
fn what_a_replica_has_stays_until_better_is_whole() {
    let fake = Fake::new();
    let cluster = replica_of(fake.port.number, &[]);
    let replica = &cluster.nodes[1];
    let (mut stream, asked) = fake.psync();
    assert_eq!(asked, "? -1");
    assert!(copy_of(replica, "k").unwrap_err().starts_with("MOVED "), "before the first sync there is no copy");
    let good = rdb("k", "old");
    send(&mut stream, &format!("+FULLRESYNC {ID} 1000\r\n${}\r\n", good.len()), &good);
    copied(replica, "k", "old");
    // Half a transaction is none, and counts for nothing.
    send(&mut stream, "", b"*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\nhalf\r\n");
    drop(stream);
    let (mut stream, asked) = fake.psync();
    assert_eq!(asked, format!("{ID} 1001"));
    // Damaged, cut short, too long, and no RDB at all.
    let mut bad = rdb("k", "new");
    bad[0] = b'X';
    let mut cut = good.clone();
    cut.truncate(20);
    for (length, body) in [(bad.len(), &bad[..]), (20, &cut), (good.len() + 5, &[&good[..], b"extra"].concat()), (1 << 40, &good[..10])] {
        send(&mut stream, &format!("+FULLRESYNC {ID} 2000\r\n${length}\r\n"), body);
        if length > 1 << 30 {
            drop(stream);
        }
        let (next, asked) = fake.psync();
        assert_eq!((asked, copy_of(replica, "k")), (format!("{ID} 1001"), Ok("old".to_owned())));
        stream = next;
    }
    // The history goes on under another id.
    send(&mut stream, &format!("+CONTINUE {OTHER_ID}\r\n"), b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\nnew\r\n");
    copied(replica, "k", "new");
    let fields = replication(replica);
    assert_eq!((fields["master_replid"].as_str(), fields["master_replid2"].as_str()), (OTHER_ID, ID));
    assert_eq!((fields["slave_repl_offset"].as_str(), fields["second_repl_offset"].as_str()), ("1029", "1001"));
    // Another history: what is here is no copy of it any more.
    drop(stream);
    let (mut stream, asked) = fake.psync();
    assert_eq!(asked, format!("{OTHER_ID} 1030"));
    send(&mut stream, &format!("+FULLRESYNC {ID} 7\r\n$EOF:{}\r\n", "m".repeat(40)), &rdb("k", "another")[..15]);
    until("no copy", || match copy_of(replica, "k") {
        Err(error) if error.starts_with("MOVED ") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(replica.ask("DBSIZE"), "1", "but it is kept");
    send(&mut stream, "", &[&rdb("k", "another")[15..], "m".repeat(40).as_bytes()].concat());
    copied(replica, "k", "another");
}

/// Every key of a node with what it holds and when it ends.
fn contents(node: &Node) -> BTreeMap<String, (String, i64)> {
    let mut connection = node.try_connect().expect("the node answers");
    ask(&mut connection, "READONLY").expect("READONLY is always possible");
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut connection).expect("KEYS is always possible");
    let entry = |key: String| {
        let value = redis::cmd("GET").arg(&key).query::<Option<String>>(&mut connection).ok()??;
        let end = redis::cmd("PEXPIRETIME").arg(&key).query(&mut connection).ok()?;
        Some((key, (value, end)))
    };
    keys.into_iter().filter_map(entry).collect()
}

/// Waits until the replica is where its primary is, and holds what it holds. Some keys expire meanwhile.
#[track_caller]
pub fn equal(primary: &Node, replica: &Node) {
    until("equal offsets and contents", || {
        let [own, copied] = [primary, replica].map(|node| replication(node).remove("master_repl_offset").unwrap_or_default());
        if own != copied {
            return Err(format!("offsets {own} and {copied}"));
        }
        let [own, copied] = [primary, replica].map(contents);
        let differs = own.keys().chain(copied.keys()).find(|key| own.get(*key) != copied.get(*key));
        differs.map_or(Ok(()), |key| Err(format!("{key}: {:?} and {:?}", own.get(key), copied.get(key))))
    });
}

/// Writes of every kind that a stream has to tell differently.
pub fn write(primary: &Node, round: usize) {
    let mut connection = primary.try_connect().expect("the node answers");
    let tag = format!("{{{}}}", round % 7);
    for number in 0..200 {
        ask(&mut connection, &format!("SET {tag}key:{number} {round}:{number}")).expect("SET is always possible");
    }
    for line in [
        "SET X:gone soon PX 30",
        "SET X:late later EX 1000",
        "INCRBYFLOAT X:float 0.1",
        "EXPIRE X:key:1 100",
        "GETEX X:key:2 EX 50",
        "APPEND X:key:3 more",
    ]
    .into_iter()
    .chain(["DEL X:key:4 X:key:5", "MSET X:a 1 X:b 2", "MULTI", "INCR X:counter", "SET X:m 1 EX 500", "GETDEL X:key:6", "EXEC"])
    {
        ask(&mut connection, &line.replace("X:", &tag)).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

#[test]
fn a_replica_follows_its_primary_over_broken_links_and_restarts() {
    let (proxy, listener) = Proxy::reserve();
    let mut cluster = replica_of(proxy.port.number, &[]);
    write(&cluster.nodes[0], 0);
    cluster.nodes[0].ask(&format!("SET long {}", "x".repeat(5_000_000)));
    proxy.run(listener, cluster.nodes[0].number());
    linked(&cluster.nodes[1]);
    let stat = |cluster: &Cluster, name: &str| replication(&cluster.nodes[0]).remove(name).unwrap_or_default();
    for round in 1..8 {
        write(&cluster.nodes[0], round);
        if round % 3 == 0 {
            proxy.cut();
            write(&cluster.nodes[0], round + 100);
        }
        equal(&cluster.nodes[0], &cluster.nodes[1]);
    }
    assert_eq!((stat(&cluster, "sync_full").as_str(), stat(&cluster, "sync_partial_ok").as_str()), ("1", "2"));
    // What was in memory only comes anew.
    cluster.nodes[1].kill();
    write(&cluster.nodes[0], 9);
    cluster.nodes[1].start();
    linked(&cluster.nodes[1]);
    equal(&cluster.nodes[0], &cluster.nodes[1]);
    assert_eq!(stat(&cluster, "sync_full"), "2");
}

#[test]
fn a_replica_of_another_primary_has_its_keys_and_no_others() {
    let mut cluster = Cluster::with_slots(2, &[CALM]);
    cluster.nodes.push(Node::started(&[CALM]));
    cluster.nodes[0].meet(&cluster.nodes[2]);
    cluster.agreed();
    // foo: 12182, hello: 866.
    assert_eq!((cluster.nodes[0].ask("SET hello 1"), cluster.nodes[1].ask("SET foo 2")), ("OK".to_owned(), "OK".to_owned()));
    let (replica, ids) = (&cluster.nodes[2], cluster.nodes.iter().map(Node::id).collect::<Vec<_>>());
    for (primary, key, value) in [(0, "hello", "1"), (1, "foo", "2"), (0, "hello", "1")] {
        assert_eq!(replica.ask(&format!("CLUSTER REPLICATE {}", ids[primary])), "OK");
        copied(replica, key, value);
        equal(&cluster.nodes[primary], replica);
    }
    assert_eq!(replica.ask("CLUSTER REPLICATE NO ONE"), "OK");
    until("no keys", || match replica.ask("DBSIZE").as_str() {
        "0" => Ok(()),
        other => Err(other.to_owned()),
    });
    assert_eq!(replica.ask(&format!("CLUSTER REPLICATE {}", ids[1])), "OK");
    copied(replica, "foo", "2");
    assert_eq!(cluster.nodes[1].ask("FLUSHALL"), "OK");
    copied(replica, "foo", "nil");
    equal(&cluster.nodes[1], replica);
}
