//! The keys on disk: saved by every way there is, there again after a restart, never half a file, and what is refused.

use crate::cluster::{CALM, Cluster};
use crate::node::Node;
use crate::redis_server::RedisServer;
use crate::reply::{error_text, text_of};
use crate::wait::{now, until, until_true};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// A cluster of one with every slot.
fn owner(lines: &[&str]) -> Node {
    let node = Node::started(&[&[CALM], lines].concat());
    assert_eq!(node.ask("CLUSTER ADDSLOTSRANGE 0 16383"), "OK");
    until("cluster_state:ok", || if node.field("cluster_state") == "ok" { Ok(()) } else { Err(node.field("cluster_state")) });
    node
}

/// One field of INFO persistence.
fn field(node: &Node, name: &str) -> String {
    let info = node.ask("INFO persistence");
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {info}")).to_owned()
}

fn fill(node: &Node, from: usize, to: usize, length: usize) {
    let mut connection = node.try_connect().expect("it answers");
    let value = "v".repeat(length);
    for some in (from..to).collect::<Vec<_>>().chunks(1000) {
        let mut pipe = redis::pipe();
        for number in some {
            pipe.cmd("SET").arg(format!("key:{number}")).arg(format!("{number}{value}")).ignore();
        }
        pipe.query::<()>(&mut connection).expect("keys can be set");
    }
}

/// Starts a node again, which must load as many keys.
#[track_caller]
fn comes_back(node: &mut Node, keys: usize) {
    node.spawn();
    node.start();
    until_true("exactly its keys", || node.ask("DBSIZE") == keys.to_string());
}

fn temporary(node: &Node) -> PathBuf {
    node.dir().join("dump.rdb.tmp")
}

#[test]
fn what_was_saved_is_there_after_a_restart() {
    let mut node = owner(&[]);
    fill(&node, 0, 5000, 10);
    assert_eq!(node.ask("SET short gone PX 5000"), "OK");
    let its_end = now() + Duration::from_secs(5);
    assert_eq!(node.ask("SET long here PX 10000000"), "OK");
    assert_eq!(field(&node, "rdb_changes_since_last_save"), "5002");
    assert_eq!(node.ask("SAVE"), "OK");
    assert_eq!((field(&node, "rdb_saves"), field(&node, "rdb_changes_since_last_save")), ("1".into(), "0".into()));
    fill(&node, 5000, 6000, 10);
    node.kill();
    // What has expired meanwhile is loaded, and goes as any key does.
    until_true("the short life to end", || now() > its_end);
    comes_back(&mut node, 5001);
    assert_eq!(node.ask("GET key:4999"), format!("4999{}", "v".repeat(10)));
    let ttl: u64 = node.ask("PTTL long").parse().unwrap();
    assert!((9_000_000..=10_000_000).contains(&ttl));
    assert_eq!(field(&node, "rdb_last_load_keys_loaded"), "5002");
    assert!(!temporary(&node).exists());
    // In the background.
    fill(&node, 5000, 6000, 10);
    assert_eq!(node.ask("BGSAVE"), "Background saving started");
    until("the save to end", || if field(&node, "rdb_bgsave_in_progress") == "0" { Ok(()) } else { Err(String::new()) });
    node.kill();
    comes_back(&mut node, 6001);
    // What is flushed does not come back, even though there is no save point.
    assert_eq!(node.ask("FLUSHALL"), "OK");
    assert_eq!(node.ask("SAVE"), "OK");
    node.kill();
    comes_back(&mut node, 0);
}

#[test]
fn a_node_that_is_told_to_end_saves_if_it_has_save_points() {
    let mut node = owner(&["save 3600 1000000"]);
    let ended = |node: &mut Node| {
        assert_eq!(node.exit_status().code(), Some(0));
    };
    fill(&node, 0, 100, 10);
    node.signal(Signal::TERM);
    ended(&mut node);
    comes_back(&mut node, 100);
    fill(&node, 100, 200, 10);
    assert!(node.try_ask("SHUTDOWN").is_err());
    ended(&mut node);
    comes_back(&mut node, 200);
    fill(&node, 200, 300, 10);
    assert!(node.try_ask("SHUTDOWN NOSAVE").is_err());
    ended(&mut node);
    comes_back(&mut node, 200);
    assert_eq!(
        node.try_ask("CONFIG SET save ''").err(),
        Some("ERR CONFIG SET failed (possibly related to argument 'save') - Invalid save parameters".into())
    );
    let mut connection = node.try_connect().unwrap();
    redis::cmd("CONFIG").arg("SET").arg("save").arg("").query::<()>(&mut connection).unwrap();
    fill(&node, 200, 300, 10);
    node.signal(Signal::TERM);
    ended(&mut node);
    comes_back(&mut node, 200);
    fill(&node, 200, 300, 10);
    assert!(node.try_ask("SHUTDOWN SAVE NOW").is_err());
    ended(&mut node);
    comes_back(&mut node, 300);
}

#[test]
fn save_points_save_by_themselves() {
    let mut node = owner(&["save 1 10"]);
    fill(&node, 0, 9, 10);
    fill(&node, 9, 20, 10);
    until("a save", || if field(&node, "rdb_saves") != "0" { Ok(()) } else { Err(String::new()) });
    node.kill();
    comes_back(&mut node, 20);
}

/// Begins a save and kills the node when some of the file is there; whether that was before it was whole.
fn killed_while_it_saves(node: &mut Node) -> bool {
    assert_eq!(node.ask("BGSAVE"), "Background saving started");
    until_true("some of the file", || {
        fs::metadata(temporary(node)).is_ok_and(|file| file.len() > 1 << 20) || field(node, "rdb_bgsave_in_progress") == "0"
    });
    node.kill();
    temporary(node).exists()
}

#[test]
fn kill_9_in_the_middle_of_a_save_leaves_the_old_file_whole() {
    let mut node = owner(&["rdbcompression no"]);
    fill(&node, 0, 1000, 10);
    assert_eq!(node.ask("SAVE"), "OK");
    let old = fs::read(node.dump()).unwrap();
    fill(&node, 0, 60_000, 1000);
    // If this process gets no core in time the save is over: then the same once more.
    let killed = (0..20).any(|_| {
        let killed = killed_while_it_saves(&mut node);
        if !killed {
            fs::write(node.dump(), &old).unwrap();
            comes_back(&mut node, 1000);
            fill(&node, 0, 60_000, 1000);
        }
        killed
    });
    assert!(killed && fs::read(node.dump()).unwrap() == old && temporary(&node).exists());
    comes_back(&mut node, 1000);
    assert_eq!(node.ask("SAVE"), "OK");
    assert!(!temporary(&node).exists(), "what was left behind is gone with the next save");
}

/// A command and INFO persistence at once, so that no turn of the node comes between.
fn ask_with_info(connection: &mut redis::Connection, line: &[&str]) -> [Result<String, String>; 2] {
    let both = [line, &["INFO", "persistence"]].map(|words| redis::cmd(words[0]).arg(&words[1..]).get_packed_command());
    connection.send_packed_command(&both.concat()).expect("the node takes bytes");
    [(); 2].map(|()| connection.recv_response().map_err(|error| error_text(&error)).and_then(text_of))
}

/// Saves to the end; whether anybody was served meanwhile.
fn is_served_while_it_saves(node: &Node) -> bool {
    let [mut saving, mut client] = [(); 2].map(|()| node.try_connect().expect("the node takes connections"));
    let mut served = false;
    let saves = field(node, "rdb_saves");
    saving.send_packed_command(&redis::cmd("SAVE").get_packed_command()).expect("the node takes bytes");
    until_true("the save to end", || {
        let [answer, info] = ask_with_info(&mut client, &["SET", "key:0", "changed"]).map(|answer| answer.expect("no error"));
        assert_eq!(answer, "OK");
        let goes_on = info.contains("rdb_bgsave_in_progress:1");
        served |= goes_on;
        !goes_on && field(node, "rdb_saves") != saves
    });
    assert_eq!(saving.recv_response(), Ok(redis::Value::Okay));
    served
}

/// Starts the node anew: the error that a client meets while it loads, and INFO persistence at that moment.
fn seen_while_it_loads(node: &mut Node) -> Option<(String, String)> {
    node.kill();
    node.spawn();
    let mut client = until("the node to take connections", || node.try_connect());
    let [answer, info] = ask_with_info(&mut client, &["GET", "key:59999"]);
    answer.err().zip(info.ok())
}

#[test]
fn clients_are_served_while_keys_are_saved_and_see_none_while_they_are_loaded() {
    let mut node = owner(&["rdbcompression no"]);
    fill(&node, 0, 60_000, 2000);
    // If this process gets no core in time all is over before it has asked: then once more.
    assert!((0..20).any(|_| is_served_while_it_saves(&node)), "nobody was served during twenty saves");
    let (error, info) = (0..20).find_map(|_| seen_while_it_loads(&mut node)).expect("keys are not loaded in no time twenty times");
    assert_eq!(error, "LOADING Redis is loading the dataset in memory");
    for name in ["\nloading:1\r", "\nloading_eta_seconds:", "\nloading_loaded_perc:"] {
        assert!(info.contains(name), "{name:?}: {info}");
    }
    node.start();
    assert_eq!(node.ask("DBSIZE"), "60000");
    assert_eq!(field(&node, "loading"), "0");
    assert_eq!(node.ask("GET key:59999"), format!("59999{}", "v".repeat(2000)), "the file holds the keys of one moment");
}

#[test]
fn a_file_that_cannot_be_read_ends_the_start_and_stays_as_it_is() {
    let mut node = owner(&[]);
    fill(&node, 0, 1000, 10);
    assert_eq!(node.ask("SAVE"), "OK");
    node.kill();
    let good = fs::read(node.dump()).unwrap();
    let flipped = |at: usize| [&good[..at], &[good[at] ^ 1], &good[at + 1..]].concat();
    let list = [&b"REDIS0010\x01\x04list"[..], b"\x01\x01a\xff\0\0\0\0\0\0\0\0"].concat();
    for (bad, what) in [
        (Vec::new(), "byte 0: the file ends in the middle"),
        (good[..good.len() / 2].to_vec(), &format!("byte {}: the file ends in the middle", good.len() / 2)),
        (flipped(good.len() - 1), "the checksum of the bytes is"),
        (flipped(good.len() / 2), "byte "),
        (b"REDIS0010\x00\x01k\x81\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(), "byte 9: a string of 18446744073709551615 bytes"),
        (b"no RDB at all".to_vec(), "byte 0: this is no RDB file"),
        (list, "byte 9: the key 'list' holds a list, which is not supported"),
    ] {
        fs::write(node.dump(), &bad).unwrap();
        let before = node.log().len();
        node.spawn();
        let status = node.exit_status();
        let said = node.log()[before..].to_owned();
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.contains("dump.rdb: ") && said.contains(what), "{what}: {said}");
        assert_eq!(fs::read(node.dump()).unwrap(), bad, "and it is left alone");
    }
    fs::write(node.dump(), &good).unwrap();
    comes_back(&mut node, 1000);
}

#[test]
fn writes_stop_while_they_cannot_be_saved() {
    let node = owner(&["save 3600 1"]);
    assert_eq!(node.ask("SET a 1"), "OK");
    // Nothing can take the name of a directory.
    fs::create_dir_all(node.dump().join("in the way")).unwrap();
    assert!(node.error("SAVE").starts_with("ERR "));
    assert_eq!(field(&node, "rdb_last_bgsave_status"), "err");
    assert!(!temporary(&node).exists());
    assert!(node.error("SET a 2").starts_with("MISCONF "));
    assert_eq!(node.ask("GET a"), "1");
    // It does not end and lose what it could not save, unless it is told to.
    assert_eq!(node.error("SHUTDOWN"), "ERR Errors trying to SHUTDOWN. Check logs.");
    assert_eq!(node.ask("GET a"), "1", "nobody is held any more");
    fs::remove_dir_all(node.dump()).unwrap();
    assert_eq!(node.ask("BGSAVE"), "Background saving started");
    until("a good save", || if field(&node, "rdb_last_bgsave_status") == "ok" { Ok(()) } else { Err(String::new()) });
    assert_eq!(node.ask("SET a 2"), "OK");
}

/// No file of this process grows beyond so many bytes from now on (`ulimit -f`).
fn limit_files(node: &Node, bytes: Option<u64>) {
    let pid = Pid::from_raw(node.pid().cast_signed());
    prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum: None }).expect("a child's limits can be changed");
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_of_the_save_and_no_end() {
    let mut node = owner(&["save 3600 1"]);
    fill(&node, 0, 1000, 1000);
    limit_files(&node, Some(100_000));
    assert!(node.error("SAVE").contains("File too large"));
    assert_eq!(node.ask("BGSAVE"), "Background saving started");
    until("the save to fail", || if field(&node, "rdb_bgsave_in_progress") == "0" { Ok(()) } else { Err(String::new()) });
    assert_eq!(field(&node, "rdb_last_bgsave_status"), "err");
    assert!(node.log().contains("File too large") && !temporary(&node).exists(), "{}", node.log());
    assert!(node.error("SET a 1").starts_with("MISCONF "));
    assert_eq!(node.ask("GET key:1"), format!("1{}", "v".repeat(1000)));
    limit_files(&node, None);
    assert_eq!(node.ask("SAVE"), "OK");
    node.kill();
    comes_back(&mut node, 1000);
}

#[test]
fn a_limit_on_the_size_of_files_ends_who_cannot_write_nodes_conf_with_a_word() {
    let mut node = Node::started(&[CALM]);
    let slots = |from: usize| (from..8000).step_by(2).map(|slot| format!(" {slot}")).collect::<String>();
    assert_eq!(node.ask(&format!("CLUSTER ADDSLOTS{}", slots(0))), "OK");
    // The log has room for some lines more, nodes.conf for none.
    limit_files(&node, Some(node.log().len() as u64 + 2000));
    assert!(node.try_ask(&format!("CLUSTER ADDSLOTS{}", slots(1))).is_err());
    assert_eq!(node.exit_status().code(), Some(1));
    assert!(node.log().contains("nodes.conf") && node.log().contains("File too large"), "{}", node.log());
    node.start();
    assert_eq!(node.field("cluster_slots_assigned"), "4000");
}

#[test]
fn a_terminal_that_hangs_up_does_not_end_a_node() {
    let node = Node::started(&[CALM]);
    node.signal(Signal::HUP);
    assert_eq!(node.ask("PING"), "PONG");
}

#[test]
fn redis_server_and_we_load_each_others_files() {
    let mut node = owner(&[]);
    fill(&node, 0, 5000, 2000);
    assert_eq!(node.ask("SAVE"), "OK");
    let bytes = fs::read(node.dump()).unwrap();
    let server = RedisServer::started(&[], |dir| fs::write(dir.join("dump.rdb"), &bytes).unwrap());
    let mut connection = server.connect();
    assert_eq!(redis::cmd("DBSIZE").query(&mut connection), Ok(5000));
    assert_eq!(redis::cmd("SET").arg("its").arg("own").query(&mut connection), Ok("OK".to_owned()));
    assert_eq!(redis::cmd("SAVE").query(&mut connection), Ok("OK".to_owned()));
    node.kill();
    fs::copy(server.dump(), node.dump()).unwrap();
    comes_back(&mut node, 5001);
    assert_eq!(node.ask("GET its"), "own");
}

/// An operator has put each one's file where the other's was [N58 last-copy].
#[test]
fn keys_of_another_node_s_file_are_not_lost_in_silence() {
    let mut cluster = Cluster::with_slots(2, &[CALM]);
    cluster.ok();
    for node in &cluster.nodes {
        let tag = ('a'..='z').find(|tag| node.try_ask(&format!("SET {{{tag}}} 1")).is_ok()).expect("one of them is in its slots");
        let mut connection = node.try_connect().expect("it answers");
        let mut pipe = redis::pipe();
        for number in 0..999 {
            pipe.cmd("SET").arg(format!("{{{tag}}}{number}")).arg(number).ignore();
        }
        pipe.query::<()>(&mut connection).expect("keys can be set");
        assert_eq!((node.ask("SAVE"), node.ask("DBSIZE")), ("OK".into(), "1000".into()));
    }
    cluster.nodes.iter_mut().for_each(Node::kill);
    let [one, other] = [0, 1].map(|at| cluster.nodes[at].dir().join("dump.rdb"));
    let files = [&one, &other].map(|path| fs::read(path).unwrap());
    fs::write(&one, &files[1]).unwrap();
    fs::write(&other, &files[0]).unwrap();
    cluster.start_all();
    cluster.ok();
    for (node, old) in cluster.nodes.iter().zip([&files[1], &files[0]]) {
        until_true("the keys to go", || node.ask("DBSIZE") == "0");
        let log = node.log();
        assert!(log.contains("1000 keys here are in 1 slots of other shards, and go"), "{log}");
        let kept = || -> Vec<PathBuf> {
            let names = fs::read_dir(node.dir()).unwrap().map(|entry| entry.unwrap().path());
            names.filter(|path| path.to_string_lossy().contains("dump.rdb.foreign.")).collect()
        };
        assert!(kept().is_empty());
        for _ in 0..2 {
            assert_eq!(node.ask("SAVE"), "OK");
            let [kept] = &kept()[..] else { panic!("one file, not {:?}", kept()) };
            assert_eq!(&fs::read(kept).unwrap(), old);
            assert!(log_names(node, kept), "{}", node.log());
        }
    }
}

fn log_names(node: &Node, file: &std::path::Path) -> bool {
    let name = file.file_name().expect("it has a name").to_string_lossy().into_owned();
    node.log().contains(&format!("others' slots had are in {name} now"))
}
