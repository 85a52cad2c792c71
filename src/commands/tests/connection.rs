//! HELLO, AUTH and what else a client says about itself.

use super::*;
use crate::cluster::change::SetReplicaOf;

const HELLO_FIELDS: &str = "$6\r\nserver\r\n$7\r\npontoon\r\n$7\r\nversion\r\n$5\r\n7.2.4\r\n";

#[test]
fn hello_answers_in_the_protocol_that_it_chooses() {
    let mut desk = Desk::new();
    let tail = "$2\r\nid\r\n:7\r\n$4\r\nmode\r\n$7\r\ncluster\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n";
    assert_eq!(desk.ask("HELLO"), format!("*14\r\n{HELLO_FIELDS}$5\r\nproto\r\n:2\r\n{tail}"));
    assert_eq!(desk.ask("hello 3"), format!("%7\r\n{HELLO_FIELDS}$5\r\nproto\r\n:3\r\n{tail}"));
    assert!(desk.client.resp3);
    assert!(desk.ask("hello").starts_with("%7\r\n"), "no version: as it was");
    assert!(desk.ask("HELLO 2 SETNAME me").starts_with("*14\r\n"));
    assert_eq!((desk.client.resp3, desk.client.name.as_str()), (false, "me"));
    desk.config.availability_zone = "eu-1a".to_owned();
    let zone = "$17\r\navailability_zone\r\n$5\r\neu-1a\r\n";
    assert_eq!(desk.ask("hello 3"), format!("%8\r\n{HELLO_FIELDS}$5\r\nproto\r\n:3\r\n{tail}{zone}"));
    assert!(desk.ask("info server").contains("\r\navailability_zone:eu-1a\r\n"));
}

#[test]
fn a_bad_hello_changes_nothing() {
    let mut desk = Desk::new();
    for (line, error) in [
        ("hello 4", "-NOPROTO unsupported protocol version\r\n"),
        ("hello 1", "-NOPROTO unsupported protocol version\r\n"),
        ("hello x", "-ERR Protocol version is not an integer or out of range\r\n"),
        ("hello 3 setname", "-ERR Syntax error in HELLO option 'setname'\r\n"),
        ("hello 3 auth me", "-ERR Syntax error in HELLO option 'auth'\r\n"),
        ("hello 3 what", "-ERR Syntax error in HELLO option 'what'\r\n"),
        ("hello 3 setname a\nb", "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"),
        ("hello 3 auth joe x setname n", "-WRONGPASS invalid username-password pair or user is disabled.\r\n"),
    ] {
        assert_eq!(desk.ask(line), error, "{line}");
        assert_eq!((desk.client.resp3, desk.client.name.as_str()), (false, ""), "{line}");
    }
}

#[test]
fn with_a_password_nothing_goes_before_it() {
    let mut desk = Desk::new();
    desk.config.requirepass = b"secret".to_vec();
    desk.client.authenticated = false;
    for line in ["ping", "watch a", "multi", "client id"] {
        assert_eq!(desk.ask(line), "-NOAUTH Authentication required.\r\n", "{line}");
    }
    assert!(desk.ask("hello 3").starts_with("-NOAUTH HELLO must be called with the client already authenticated"));
    assert!(!desk.client.resp3);
    for wrong in ["auth secre", "auth secrett", "auth secretsecret", "auth joe secret", "hello 3 auth default x"] {
        assert_eq!(desk.ask(wrong), "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    }
    let (_, reply) = desk.request(["auth", ""]);
    assert!(reply.starts_with(b"-WRONGPASS"));
    assert_eq!(desk.ask("auth a b c"), "-ERR syntax error\r\n");
    assert!(!desk.client.authenticated);
    assert!(desk.ask("hello 3 auth default secret setname n").starts_with("%7"));
    assert_eq!(desk.ask("ping"), "+PONG\r\n");
    assert_eq!(desk.ask("reset"), "+RESET\r\n");
    assert!(desk.ask("ping").starts_with("-NOAUTH"));
    assert_eq!(desk.ask("auth secret"), "+OK\r\n");
    assert_eq!(desk.ask("auth default secret"), "+OK\r\n");
}

#[test]
fn without_a_password_auth_says_so() {
    let mut desk = Desk::new();
    assert!(desk.ask("auth x").starts_with("-ERR AUTH <password> called without any password configured for the default user."));
    assert_eq!(desk.ask("auth default x"), "+OK\r\n");
}

#[test]
fn small_talk() {
    let mut desk = Desk::new();
    assert_eq!(desk.ask("PING"), "+PONG\r\n");
    assert_eq!(desk.ask("ping hi"), "$2\r\nhi\r\n");
    assert_eq!(desk.ask("ping a b"), "-ERR wrong number of arguments for 'ping' command\r\n");
    assert_eq!(desk.ask("echo hi"), "$2\r\nhi\r\n");
    assert_eq!(desk.ask("select 0"), "+OK\r\n");
    assert_eq!(desk.ask("select 1"), "-ERR SELECT is not allowed in cluster mode\r\n");
    assert_eq!(desk.ask("select x"), "-ERR value is not an integer or out of range\r\n");
    assert_eq!(desk.ask("quit"), "+OK\r\n");
    assert!(desk.client.close_after_reply);
}

#[test]
fn routing_modes_and_reset() {
    let mut desk = Desk::new();
    desk.ask("readonly");
    assert!(desk.client.readonly);
    desk.ask("readwrite");
    assert!(!desk.client.readonly);
    desk.ask("readonly");
    desk.ask("hello 3 setname n");
    desk.ask("watch a");
    desk.ask("multi");
    desk.ask("asking");
    assert_eq!(desk.ask("reset"), "+RESET\r\n");
    let client = &desk.client;
    assert!(client.multi.is_none() && client.watched.is_empty() && !client.resp3 && !client.readonly && client.name.is_empty());
}

#[test]
fn asking_holds_for_one_command_or_one_transaction() {
    let mut desk = Desk::new();
    desk.ask("asking");
    assert!(desk.client.asking);
    desk.ask("ping");
    assert!(!desk.client.asking);
    desk.ask("asking");
    desk.ask("multi");
    desk.ask("ping");
    assert!(desk.client.asking, "survives MULTI");
    desk.ask("exec");
    assert!(!desk.client.asking, "until EXEC");
    desk.ask("asking");
    desk.ask("nosuch");
    assert!(!desk.client.asking);
}

#[test]
fn names_and_libraries() {
    let mut desk = Desk::new();
    assert_eq!(desk.ask("client id"), ":7\r\n");
    assert_eq!(desk.ask("client getname"), "$-1\r\n");
    assert_eq!(desk.ask("client setname me"), "+OK\r\n");
    assert_eq!(desk.ask("client getname"), "$2\r\nme\r\n");
    assert!(desk.ask("client setname a\nb").starts_with("-ERR Client names cannot contain spaces"));
    assert_eq!(desk.ask("CLIENT SETINFO LIB-NAME redis-py"), "+OK\r\n");
    assert_eq!(desk.ask("client setinfo lib-ver 8.1.0"), "+OK\r\n");
    assert_eq!(desk.ask("client setinfo x 8.1.0"), "-ERR Unrecognized option 'x'\r\n");
    assert_eq!(desk.ask("client setinfo lib-ver a\tb"), "-ERR lib-ver cannot contain spaces, newlines or special characters.\r\n");
    assert_eq!(desk.ask("client setname"), "-ERR wrong number of arguments for 'client|setname' command\r\n");
    assert_eq!(desk.ask("client"), "-ERR wrong number of arguments for 'client' command\r\n");
    assert_eq!(
        desk.ask("CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type internal-ip"),
        "-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.\r\n"
    );
    assert_eq!(desk.ask("client no-evict on"), "+OK\r\n");
    assert_eq!(desk.ask("client no-touch off"), "+OK\r\n");
    assert_eq!(desk.ask("client no-touch maybe"), "-ERR syntax error\r\n");
    let info = desk.ask("client info");
    assert!(info.contains("id=7 addr=127.0.0.1:50000 laddr=127.0.0.1:6379 fd=-1 name=me age=4 idle=0 flags=e capa= db=0 "), "{info}");
    assert!(
        info.ends_with(" resp=2 lib-name=redis-py lib-ver=8.1.0 tot-net-in=0 tot-net-out=0 tot-cmds=12\n\r\n")
            && info.contains(" cmd=client|info "),
        "{info}"
    );
}

#[test]
fn the_list_of_clients() {
    let mut desk = Desk::new();
    desk.others.clients = vec![a_client(9), a_client(3)];
    let ids = |text: String| -> Vec<u64> {
        let after = |line: &str| line.split_once("id=").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        text.lines().filter_map(after).collect()
    };
    assert_eq!(ids(desk.ask("client list")), [3, 7, 9]);
    assert_eq!(ids(desk.ask("client list type NORMAL")), [3, 7, 9]);
    assert_eq!(ids(desk.ask("client list type replica")), []);
    assert_eq!(ids(desk.ask("client list id 9 7 100")), [7, 9]);
    desk.others.clients[0].addr = "10.0.0.9:5".parse().unwrap();
    desk.others.clients[1].created = desk.now;
    for (line, shown) in [
        ("addr 10.0.0.9:5", &[9][..]),
        ("laddr 127.0.0.1:6379", &[3, 7, 9]),
        ("laddr nowhere", &[]),
        ("skipme yes", &[3, 9]),
        ("skipme no", &[3, 7, 9]),
        ("user default", &[3, 7, 9]),
        ("maxage 4", &[7, 9]),
        ("maxage 5", &[]),
        ("type primary", &[]),
        ("id 3 9 type normal addr 10.0.0.9:5", &[9]),
        ("id 3 id 9", &[3, 9]),
    ] {
        assert_eq!(ids(desk.ask(&format!("client list {line}"))), shown, "{line}");
    }
    for (line, text) in [
        ("id 0", "client-id should be greater than 0"),
        ("id x", "syntax error"),
        ("id 1 x", "syntax error"),
        ("id", "syntax error"),
        ("type", "syntax error"),
        ("type x", "Unknown client type 'x'"),
        ("user x", "No such user 'x'"),
        ("skipme x", "syntax error"),
        ("maxage x", "maxage is not an integer or out of range"),
        ("maxage 0", "maxage should be greater than 0"),
        ("nope x", "syntax error"),
    ] {
        assert_eq!(desk.ask(&format!("client list {line}")), format!("-ERR {text}\r\n"), "{line}");
    }
    desk.ask("hello 3");
    assert!(desk.ask("client list").starts_with('='), "verbatim in RESP3");
}

#[test]
fn what_a_replica_says_of_itself_has_bounds() {
    let mut desk = Desk::new();
    for value in ["2", "-1", "9223372036854775807"] {
        assert_eq!(desk.ask(&format!("replconf rdb-only {value}")), "-ERR value is out of range, value must between 0 and 1\r\n");
    }
    assert_eq!(desk.ask("replconf rdb-only x"), "-ERR value is not an integer or out of range\r\n");
    for value in [1, 0] {
        assert_eq!(desk.ask(&format!("replconf rdb-only {value}")), "+OK\r\n");
        assert_eq!(desk.client.replica.as_ref().unwrap().profile.rdb_only, value == 1);
    }
}

#[test]
fn a_replica_is_told_if_another_node_is_meant() {
    let mut desk = Desk::new();
    let (cluster, other) = (desk.state.cluster_id(), ClusterId::from_bytes([2; 20]));
    let error = format!("-ERR This node is no member of the cluster that is meant: it is node {ME}, in cluster {cluster}\r\n");
    for value in [other.to_string(), String::from("x"), cluster.to_string().to_uppercase() + "0"] {
        assert_eq!(desk.ask(&format!("replconf cluster-id {value} primary-id {ME}")), error);
    }
    assert!(desk.client.replica.is_none());
    let error = format!("-ERR This node is not the primary that is meant: it is node {ME}\r\n");
    assert_eq!(desk.ask(&format!("replconf cluster-id {cluster} primary-id {OTHER}")), error);
    assert_eq!(desk.ask(&format!("replconf cluster-id {cluster} primary-id {ME}")), "+OK 5\r\n");
    for bad in [format!("{OTHER} process 0"), format!("{OTHER} process x"), "x process 7".to_owned()] {
        assert!(desk.ask(&format!("replconf node-id {bad}")).starts_with("-ERR REPLCONF "), "{bad}");
    }
    assert_eq!(desk.ask(&format!("replconf node-id {OTHER} process {}", u64::MAX)), "+OK 7\r\n");
    // Its last word has no answer.
    assert_eq!(desk.ask("replconf closing"), "");
    assert!(desk.client.replica.as_ref().is_some_and(|replica| replica.profile.is_member));
}

/// Its port is the one that it had when it came, and the cluster has learned another one since.
#[test]
fn a_replica_that_is_connected_is_known_by_its_id() {
    let mut desk = Desk::new();
    desk.add_other();
    let epoch = |state: &State, id: &NodeId| (state.member(id).unwrap().shard, state.epoch_of(id).unwrap());
    let (source, target) = (epoch(&desk.state, &OTHER), epoch(&desk.state, &ME));
    desk.apply(Change::SetReplicaOf(SetReplicaOf { id: OTHER, source, primary: Some(ME), target }));
    desk.offsets.insert(OTHER, 77);
    let cluster = desk.state.cluster_id();
    for (says, shown) in [(String::new(), "77"), (format!("cluster-id {cluster} "), "500")] {
        desk.ask(&format!("replconf {says}node-id {OTHER} listening-port 9999"));
        desk.ask("psync ? -1");
        let mut replica = std::mem::replace(&mut desk.client, a_client(9));
        replica.replica.as_mut().unwrap().acked = 500;
        desk.others.clients = vec![replica];
        let shards = desk.ask("cluster shards");
        let own = shards.split(&OTHER.to_string()).nth(1).unwrap().split("replication-offset\r\n:").nth(1).unwrap();
        assert_eq!(own.split('\r').next(), Some(shown), "{says}");
    }
}

#[test]
fn clients_are_killed_by_what_they_are() {
    let mut desk = Desk::new();
    let kill = |desk: &mut Desk, line: &str| {
        desk.others.clients = [8, 9, 10].map(a_client).into();
        desk.others.clients[1].addr = "[::1]:9".parse().unwrap();
        desk.others.clients[2].created.mono = desk.now.mono - 1999;
        let reply = desk.ask(&format!("CLIENT KILL {line}"));
        let left = desk.others.clients.iter().map(|client| client.id.to_string()).collect::<Vec<_>>().join(" ");
        let itself = if std::mem::take(&mut desk.client.close_after_reply) { ", and itself" } else { "" };
        format!("{} {left}{itself}", reply.trim_end())
    };
    for (line, answer) in [
        ("[::1]:9", "+OK 8 10"),
        ("127.0.0.1:50000", "+OK 9, and itself"),
        ("id", "-ERR No such client 8 9 10"),
        ("ID 9", ":1 8 10"),
        ("id 8 10 99", ":2 9"),
        ("id 7", ":0 8 9 10"),
        ("id 7 skipme no", ":1 8 9 10, and itself"),
        ("skipme yes", ":3 "),
        ("skipme no", ":4 , and itself"),
        ("addr 127.0.0.1:50000 laddr 127.0.0.1:6379 user default type normal", ":2 9"),
        ("laddr 127.0.0.1:1", ":0 8 9 10"),
        ("type pubsub", ":0 8 9 10"),
        ("type master", ":0 8 9 10"),
        ("maxage 2", ":2 10"),
        ("maxage 0", "-ERR maxage should be greater than 0 8 9 10"),
        ("user joe", "-ERR No such user 'joe' 8 9 10"),
        ("type x", "-ERR Unknown client type 'x' 8 9 10"),
        ("id 0", "-ERR client-id should be greater than 0 8 9 10"),
        ("id x", "-ERR syntax error 8 9 10"),
        ("skipme x", "-ERR syntax error 8 9 10"),
        ("id 8 maxage", "-ERR syntax error 8 9 10"),
        ("skipme no id", ":0 8 9 10"),
        ("id skipme no", ":0 8 9 10"),
        ("name x", "-ERR syntax error 8 9 10"),
    ] {
        assert_eq!(kill(&mut desk, line), answer, "{line}");
    }
    assert_eq!(desk.ask("CLIENT LIST ID"), "-ERR syntax error\r\n");
    assert_eq!(desk.ask("CLIENT LIST TYPE normal ID"), "$0\r\n\r\n");
}

#[test]
fn reply_says_which_replies_are_heard() {
    let mut desk = Desk::new();
    for (line, reply, replies) in [
        ("SKIP", "", Replies::SkipNext),
        ("OFF", "", Replies::Off),
        ("SKIP", "", Replies::Off),
        ("on", "+OK\r\n", Replies::On),
        ("x", "-ERR syntax error\r\n", Replies::On),
    ] {
        assert_eq!((desk.ask(&format!("CLIENT REPLY {line}")).as_str(), desk.client.replies), (reply, replies), "{line}");
    }
    desk.ask("CLIENT REPLY OFF");
    desk.ask("RESET");
    assert_eq!(desk.client.replies, Replies::On);
}
