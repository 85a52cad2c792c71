//! What a client sees: redirections, transactions, passwords, ways to write a command.

use crate::cluster::{CALM, Cluster};
use crate::node::Node;
use crate::reply::Raw;
use crate::wait::until;
use redis::Commands;
use redis::cluster::ClusterClient;

/// A cluster of one that serves every slot.
fn whole(lines: &[&str]) -> Node {
    let node = Node::started(&[&[CALM], lines].concat());
    let mut client = Raw::connect(node.number());
    if let Some(password) = lines.iter().find_map(|line| line.strip_prefix("requirepass ")) {
        assert_eq!(client.say(&format!("AUTH {password}")), "+OK");
    }
    assert_eq!(client.say("CLUSTER ADDSLOTSRANGE 0 16383"), "+OK");
    until("the node to serve", || match client.say("DEL x").as_str() {
        ":0" => Ok(()),
        other => Err(other.to_owned()),
    });
    node
}

#[test]
fn the_redis_crate_finds_its_way() {
    let cluster = Cluster::with_slots(3, &[CALM]);
    let addresses: Vec<String> = cluster.nodes.iter().map(|node| format!("redis://127.0.0.1:{}/", node.number())).collect();
    for protocol in [redis::ProtocolVersion::RESP2, redis::ProtocolVersion::RESP3] {
        let client = ClusterClient::builder(addresses.clone()).use_protocol(protocol).build().unwrap();
        let mut connection = client.get_connection().unwrap();
        for number in 0..200 {
            let () = connection.set(format!("key-{number}"), number).unwrap();
        }
        for number in 0..200 {
            assert_eq!(connection.get::<_, i32>(format!("key-{number}")), Ok(number));
        }
    }
}

#[test]
fn redirections_and_refusals() {
    let cluster = Cluster::with_slots(2, &[CALM]);
    let (a, b) = (&cluster.nodes[0], &cluster.nodes[1]);
    // foo is in slot 12182, bar in 5061.
    assert_eq!(a.error("GET foo"), format!("MOVED 12182 127.0.0.1:{}", b.number()));
    assert_eq!(a.error("SET {foo}x 1"), format!("MOVED 12182 127.0.0.1:{}", b.number()));
    assert_eq!(b.error("MGET foo bar"), "CROSSSLOT Keys in request don't hash to the same slot");
    assert_eq!(b.ask("MSET {foo}1 a {foo}2 b"), "OK");
    assert_eq!(b.ask("MGET {foo}1 {foo}2 {foo}3"), "[a b nil]");
    assert_eq!(b.error("SELECT 1"), "ERR SELECT is not allowed in cluster mode");
    assert_eq!(b.ask("SELECT 0"), "OK");
    assert_eq!(a.error("CLUSTER NOPE"), "ERR unknown subcommand 'NOPE'. Try CLUSTER HELP.");
    assert!(a.error("NOPE x").starts_with("ERR unknown command 'NOPE'"));
    // A transaction with a key of another node.
    let mut client = Raw::connect(a.number());
    assert_eq!(client.say("MULTI"), "+OK");
    assert_eq!(client.say("GET foo"), format!("-MOVED 12182 127.0.0.1:{}", b.number()));
    assert_eq!(client.say("GET bar"), "+QUEUED");
    assert_eq!(client.say("EXEC"), "-EXECABORT Transaction discarded because of previous errors.");
}

#[test]
fn a_cluster_that_is_down_says_why() {
    let mut node = Node::started(&[CALM]);
    assert_eq!(node.error("GET foo"), "CLUSTERDOWN Hash slot not served");
    assert_eq!(node.ask("CLUSTER ADDSLOTSRANGE 10000 16383"), "OK");
    assert_eq!(node.error("GET foo"), "CLUSTERDOWN The cluster is down");
    assert_eq!(node.error("GET bar"), "CLUSTERDOWN Hash slot not served");
    assert_eq!(node.ask("CONFIG SET cluster-allow-reads-when-down yes"), "OK");
    assert_eq!(node.ask("GET foo"), "nil");
    assert_eq!(node.error("SET foo bar"), "CLUSTERDOWN The cluster is down and only accepts read commands");
    assert_eq!(node.ask("CONFIG SET cluster-require-full-coverage no"), "OK");
    until("the slots that are covered to be served", || node.try_ask("SET foo bar"));
    node.kill();
}

#[test]
fn inline_commands_and_pipelines() {
    let node = whole(&[]);
    let mut client = Raw::connect(node.number());
    client.send("\r\n\r\nPING\r\n");
    assert_eq!(client.line(), "+PONG");
    assert_eq!(client.say(r#"SET "a key" "two\x20words\n""#), "+OK");
    client.send("*2\r\n$3\r\nGET\r\n$5\r\na key\r\n");
    assert_eq!((client.line(), client.line(), client.line()), ("$10".to_owned(), "two words".to_owned(), String::new()));
    // Split anywhere, and a thousand at once.
    for byte in b"*3\r\n$3\r\nSET\r\n$1\r\nn\r\n$1\r\n0\r\n" {
        client.send([*byte]);
    }
    assert_eq!(client.line(), "+OK");
    client.send("*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n".repeat(1000));
    for number in 1..=1000 {
        assert_eq!(client.line(), format!(":{number}"));
    }
    assert_eq!(client.say("QUIT"), "+OK");
    assert_eq!(client.rest(), b"");
}

#[test]
fn transactions() {
    let node = whole(&[]);
    let (mut one, mut other) = (Raw::connect(node.number()), Raw::connect(node.number()));
    one.send("MULTI\r\nSET {t}a 1\r\nINCR {t}a\r\nGET {t}a\r\nEXEC\r\n");
    let lines: Vec<String> = (0..9).map(|_| one.line()).collect();
    assert_eq!(lines, ["+OK", "+QUEUED", "+QUEUED", "+QUEUED", "*3", "+OK", ":2", "$1", "2"]);
    assert_eq!(one.say("WATCH {t}a"), "+OK");
    assert_eq!(other.say("INCR {t}a"), ":3");
    one.send("MULTI\r\nINCR {t}a\r\nEXEC\r\n");
    assert_eq!((one.line(), one.line(), one.line()), ("+OK".to_owned(), "+QUEUED".to_owned(), "*-1".to_owned()));
    assert_eq!(one.say("WATCH {t}a"), "+OK");
    one.send("MULTI\r\nINCR {t}a\r\nEXEC\r\n");
    assert_eq!([one.line(), one.line(), one.line(), one.line()], ["+OK", "+QUEUED", "*1", ":4"]);
    assert_eq!(one.say("EXEC"), "-ERR EXEC without MULTI");
    one.send("MULTI\r\nSET a 1\r\nSET b 2\r\nEXEC\r\n");
    let lines = [one.line(), one.line(), one.line(), one.line()];
    assert!(lines[3].starts_with("-CROSSSLOT") || lines[3].starts_with("-EXECABORT"), "{lines:?}");
}

#[test]
fn passwords() {
    let node = whole(&["requirepass secret"]);
    let mut client = Raw::connect(node.number());
    assert_eq!(client.say("GET foo"), "-NOAUTH Authentication required.");
    assert_eq!(client.say("CLUSTER NODES"), "-NOAUTH Authentication required.");
    assert!(client.say("HELLO 3").starts_with("-NOAUTH HELLO must be called"));
    assert_eq!(client.say("AUTH wrong"), "-WRONGPASS invalid username-password pair or user is disabled.");
    assert_eq!(client.say("AUTH nobody secret"), "-WRONGPASS invalid username-password pair or user is disabled.");
    assert_eq!(client.say("AUTH secret"), "+OK");
    assert_eq!(client.say("GET foo"), "$-1");
    let mut client = Raw::connect(node.number());
    assert_eq!(client.say("HELLO 3 AUTH default secret"), "%7");
    // A stranger may not make the node hold much.
    let mut stranger = Raw::connect(node.number());
    assert_eq!(stranger.say("*100000"), "-ERR Protocol error: unauthenticated multibulk length");
    let mut stranger = Raw::connect(node.number());
    stranger.send("*1\r\n");
    assert_eq!(stranger.say("$100000000"), "-ERR Protocol error: unauthenticated bulk length");
}

#[test]
fn hello_tells_who_answers() {
    let node = whole(&[]);
    let mut client = Raw::connect(node.number());
    assert_eq!(client.say("HELLO 4"), "-NOPROTO unsupported protocol version");
    assert_eq!(client.say("HELLO"), "*14");
    let fields: Vec<String> = (0..25).map(|_| client.line()).collect();
    let text = fields.join(" ");
    assert!(text.contains("mode $7 cluster") && text.contains("role $6 master") && text.contains("proto :2"), "{text}");
    let mut client = Raw::connect(node.number());
    assert_eq!(client.say("HELLO 3"), "%7");
    let info = node.ask("INFO");
    for line in ["redis_version:7.2.4", "redis_mode:cluster", "server_mode:cluster", "server_name:pontoon", "cluster_enabled:1"] {
        assert!(info.lines().any(|found| found == line), "{line}\n{info}");
    }
    assert!(!info.contains("db0:"), "an empty node must say so");
}

/// What a web page can have a browser send here ends with its first line; so does what is too much.
#[test]
fn safeguards_end_a_connection_at_once() {
    let node = whole(&["client-query-buffer-limit 1mb"]);
    let ends = |bytes: Vec<u8>| {
        let mut client = Raw::connect(node.number());
        client.send(bytes);
        client.rest()
    };
    for http in
        ["POST / HTTP/1.1\r\nHost: x\r\n\r\nSET pwned 1\r\n", "GET / HTTP/1.1\r\nHost: x\r\nSET pwned 1\r\n", "*1\r\n$4\r\npost\r\n"]
    {
        assert_eq!(ends(http.into()), b"", "{http}");
    }
    assert_eq!(node.ask("EXISTS pwned"), "0");
    assert_eq!(node.log().matches("Possible SECURITY ATTACK detected.").count(), 1, "{}", node.log());

    assert_eq!(ends(format!("*2147483647\r\n{}", "$1\r\nx\r\n".repeat(160_000)).into()), b"");
    assert_eq!(ends(format!("*2\r\n$4\r\nECHO\r\n$2000000\r\n{}", "x".repeat(1_100_000)).into()), b"");
    assert!(node.ask("INFO stats").contains("client_query_buffer_limit_disconnections:2\r\n"));
    // Of clients that are connected too, once it has changed.
    let mut client = Raw::connect(node.number());
    assert_eq!(client.say("CONFIG SET client-query-buffer-limit 2mb proto-max-bulk-len 3mb"), "+OK");
    client.send(format!("*2\r\n$4\r\nECHO\r\n$1500000\r\n{}\r\n", "x".repeat(1_500_000)));
    assert_eq!(client.line(), "$1500000");
    client.line();
    assert_eq!(node.ask("CONFIG SET client-query-buffer-limit 1mb proto-max-bulk-len 1mb"), "OK");
    client.send("*2\r\n$4\r\nECHO\r\n$1500000\r\n");
    assert_eq!(client.line(), "-ERR Protocol error: invalid bulk length");
    assert_eq!(client.rest(), b"");
    let mut many = Raw::connect(node.number());
    many.send(format!("*100001\r\n$4\r\nMGET\r\n{}", "$1\r\nx\r\n".repeat(100_000)));
    assert_eq!(many.line(), "*100000");
}

#[test]
fn replies_that_a_client_does_not_want() {
    let node = whole(&[]);
    let mut client = Raw::connect(node.number());
    client.send("CLIENT REPLY SKIP\r\nSET k 1\r\nGET\r\nCLIENT REPLY SKIP\r\nCLIENT REPLY SKIP\r\nINCR k\r\nGET k\r\n");
    assert_eq!(client.line(), "-ERR wrong number of arguments for 'get' command");
    assert_eq!([client.line(), client.line()], ["$1", "2"]);
    client.send("CLIENT REPLY SKIP\r\nCLIENT REPLY ON\r\nPING\r\nCLIENT REPLY SKIP\r\n\r\nPING\r\n");
    assert_eq!([(); 3].map(|()| client.line()), ["+OK", "+PONG", "+PONG"]);

    // Messages are no replies, nor is what SUBSCRIBE says.
    client.send("CLIENT REPLY OFF\r\nINCR k\r\nNOPE\r\nCLIENT REPLY SKIP\r\nMULTI\r\nINCR k\r\nEXEC\r\nSUBSCRIBE c\r\n");
    assert_eq!([(); 6].map(|()| client.line()), ["*3", "$9", "subscribe", "$1", "c", ":1"]);
    assert_eq!(node.ask("PUBLISH c hello"), "1");
    assert_eq!([(); 7].map(|()| client.line()), ["*3", "$7", "message", "$1", "c", "$5", "hello"]);
    client.send("UNSUBSCRIBE\r\nGET k\r\nCLIENT REPLY ON\r\nGET k\r\n");
    assert_eq!([(); 6].map(|()| client.line()), ["*3", "$11", "unsubscribe", "$1", "c", ":0"]);
    assert_eq!([(); 3].map(|()| client.line()), ["+OK", "$1", "4"]);

    // What waits is answered later, or would be.
    client.send("CLIENT REPLY SKIP\r\nWAIT 1 20\r\nPING\r\nCLIENT REPLY OFF\r\nWAIT 1 20\r\nCLUSTER BUMPEPOCH\r\nRESET\r\nPING\r\n");
    assert_eq!([(); 3].map(|()| client.line()), ["+PONG", "+RESET", "+PONG"]);
    client.send("CLIENT REPLY OFF\r\nPING\r\nQUIT\r\n");
    assert_eq!(client.rest(), b"");
    let mut client = Raw::connect(node.number());
    client.send("CLIENT REPLY OFF\r\n*x\r\n");
    assert_eq!(client.rest(), b"", "a protocol error is a reply");
}

#[test]
fn long_replies_that_a_client_does_not_want() {
    let node = whole(&[]);
    let mut client = Raw::connect(node.number());
    let fields = (0..20_000).map(|number| format!(" f{number} {number}")).collect::<String>();
    assert_eq!(node.ask(&format!("HSET h{fields}")), "20000");
    assert_eq!(node.ask("SETRANGE s 1000000 x"), "1000001");
    client.send("CLIENT REPLY OFF\r\nHGETALL h\r\nGET s\r\nHLEN h\r\nCLIENT REPLY ON\r\nCLIENT REPLY SKIP\r\nHVALS h\r\nHLEN h\r\n");
    assert_eq!([client.line(), client.line()], ["+OK", ":20000"]);
}

#[test]
fn killed_clients_are_gone() {
    let node = whole(&[]);
    let connect = || {
        let mut client = Raw::connect(node.number());
        let id: u64 = client.say("CLIENT ID")[1..].parse().unwrap();
        (client, id)
    };
    let ((mut killer, own), (mut a, a_id), (mut b, b_id), (mut waits, _), (mut hears, _)) =
        (connect(), connect(), connect(), connect(), connect());
    assert_eq!(a.say("MULTI"), "+OK");
    assert_eq!(killer.say(&format!("CLIENT KILL ID {own}")), ":0");
    assert_eq!(killer.say(&format!("CLIENT KILL ID {a_id} {b_id} USER default TYPE normal")), ":2");
    assert_eq!((a.rest(), b.rest()), (vec![], vec![]));
    assert_eq!(killer.say(&format!("CLIENT KILL ID {a_id} {b_id}")), ":0");
    assert_eq!(hears.say("SUBSCRIBE c"), "*3");
    assert_eq!([(); 5].map(|()| hears.line()), ["$9", "subscribe", "$1", "c", ":1"]);
    waits.send("WAIT 1 0\r\n");
    until("a client to wait", || match node.ask("CLIENT LIST") {
        list if list.contains("cmd=wait") => Ok(()),
        list => Err(list),
    });
    assert_eq!(killer.say("CLIENT KILL TYPE pubsub"), ":1");
    assert_eq!(killer.say("PUBLISH c x"), ":0");
    assert_eq!(hears.rest(), b"");
    let port = waits.stream().local_addr().unwrap().port();
    assert_eq!(killer.say(&format!("CLIENT KILL 127.0.0.1:{port}")), "+OK");
    assert_eq!(waits.rest(), b"");

    // Within a transaction once, and who kills itself hears that.
    let (mut other, id) = connect();
    killer
        .send(format!("MULTI\r\nCLIENT KILL ID {id}\r\nCLIENT KILL ID {id}\r\nCLIENT KILL SKIPME no ID {own}\r\nPING\r\nEXEC\r\nPING\r\n"));
    assert_eq!(other.rest(), b"");
    let answers = String::from_utf8(killer.rest()).unwrap();
    assert_eq!(answers, "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*4\r\n:1\r\n:0\r\n:1\r\n+PONG\r\n");
    assert_eq!(node.ask("PING"), "PONG");
}
