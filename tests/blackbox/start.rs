//! How a process starts, or refuses to: options, the configuration file, nodes.conf, its lock, its ports.

use crate::cluster::{CALM, own_slots};
use crate::node::{Node, PONTOON, command};
use crate::ports::Port;
use crate::reply::{Raw, ask};
use crate::wait::{PATIENCE, until};
use std::fs;
use std::os::unix::net::UnixDatagram;

/// Runs the binary to its end: exit code, and what it printed.
fn pontoon(args: &[&str]) -> (i32, String) {
    let output = command(PONTOON).args(args).output().expect("pontoon can be started");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().expect("it ended by itself"), String::from_utf8_lossy(&text).into_owned())
}

/// Starts a node that must refuse; what it said this time.
#[track_caller]
fn refusal(node: &mut Node) -> String {
    let before = node.log().len();
    node.spawn();
    let status = node.exit_status();
    let said = node.log()[before..].to_owned();
    assert!(!matches!(status.code(), None | Some(0)), "{status}: {said}");
    said
}

#[test]
fn version_and_help() {
    let (code, text) = pontoon(&["--version"]);
    assert_eq!(code, 0);
    assert!(text.contains(concat!("v=", env!("CARGO_PKG_VERSION"))) && text.contains("7.2.4"), "{text}");
    let (code, text) = pontoon(&["--help"]);
    assert_eq!(code, 0);
    for word in ["Usage: pontoon", "--cluster-node-timeout", "--cluster-raft-voters", "--check-nodes-conf", "default 15000"] {
        assert!(text.contains(word), "{word}\n{text}");
    }
}

#[test]
fn options_that_are_wrong_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("some.conf");
    let path = file.to_str().unwrap();
    for (text, line, words) in [
        ("port 7000\n\n# a comment\nno-such-option 1\n", 4, "no-such-option"),
        ("port 7000\nmaxclients many\n", 2, "maxclients many"),
        ("port 70000\n", 1, "port 70000"),
        ("cluster-enabled no\n", 1, "cluster-enabled no"),
        ("port 7000\nrequirepass \"open\n", 2, "requirepass"),
        ("loglevel loud\n", 1, "loglevel loud"),
    ] {
        fs::write(&file, text).unwrap();
        let (code, said) = pontoon(&[path]);
        assert_ne!(code, 0, "{text}");
        assert!(said.contains(&format!("{path}:{line}")) && said.contains(words), "{text}\n{said}");
    }
    for args in [&["--no-such-option", "1"][..], &["--port"], &["--cluster-enabled", "no"], &["/no/such/file"], &["--check-nodes-conf"]] {
        let (code, said) = pontoon(args);
        assert!(code != 0 && !said.is_empty(), "{args:?}: {said}");
    }
}

#[test]
fn redis_options_without_meaning_are_taken_with_a_warning() {
    let mut node = Node::started(&[CALM, "appendonly no", "hz 50"]);
    let log = node.log();
    let file = node.config_file();
    assert!(log.contains(&format!("{}:9: option 'hz'", file.display())), "{log}");
    assert_eq!(node.ask("CONFIG GET hz"), "[hz 50]");
    assert_eq!(node.ask("CONFIG SET maxmemory-samples 7"), "OK");
    assert!(node.log().contains("option 'maxmemory-samples' is accepted, without effect"), "{}", node.log());
    let error = node.error("CONFIG SET appendonly yes");
    assert!(error.contains("argument 'appendonly'") && error.contains("use 'save' and replicas"), "{error}");
    node.kill();
}

#[test]
fn config_rewrite_keeps_comments_and_takes_new_values() {
    let mut node = Node::started(&["# how long until a node counts as failed", CALM]);
    assert_eq!(node.ask("CONFIG SET cluster-node-timeout 6000 maxclients 77"), "OK");
    assert!(node.error("CONFIG SET maxclients 88 cluster-node-timeout nonsense").starts_with("ERR "));
    assert_eq!(node.ask("CONFIG GET maxclients"), "[maxclients 77]", "all or nothing");
    assert_eq!(node.ask("CONFIG REWRITE"), "OK");
    node.kill();
    let text = fs::read_to_string(node.config_file()).unwrap();
    assert!(text.contains("# how long until a node counts as failed\ncluster-node-timeout 6000\n"), "{text}");
    node.start();
    assert_eq!(node.ask("CONFIG GET maxclients"), "[maxclients 77]");
    // Without a file there is nothing to rewrite.
    let (port, dir) = (Port::reserve(), tempfile::tempdir().unwrap());
    let number = port.number.to_string();
    let mut bare = command(PONTOON)
        .args(["--port", &number, "--bind", "127.0.0.1", "--logfile", "node.log", "--dir", dir.path().to_str().unwrap()])
        .spawn()
        .unwrap();
    let client = redis::Client::open(format!("redis://127.0.0.1:{number}/")).unwrap();
    let answer = until("the node to answer", || {
        let mut connection = client.get_connection().map_err(|error| error.to_string())?;
        Ok(crate::reply::ask(&mut connection, "CONFIG REWRITE"))
    });
    let _ = bare.kill();
    let _ = bare.wait();
    assert_eq!(answer, Err("ERR The server is running without a config file".to_owned()));
}

#[test]
fn few_open_files_are_few_clients_and_too_few_are_no_node() {
    let mut node = Node::new(&[CALM]);
    node.spawn_under("-n 32");
    assert_eq!(node.exit_status().code(), Some(1));
    let words =
        "Your current 'ulimit -n' of 32 is not enough for the server to start. Please increase your open file limit to at least 10128.";
    assert!(node.log().contains(words), "{}", node.log());
    node.spawn_under("-n 64");
    node.start();
    assert!(node.log().contains("You requested maxclients of 10000 requiring at least 10128 max file descriptors."), "{}", node.log());
    assert!(node.log().contains("Current maximum open files is 64. maxclients has been reduced to 32"), "{}", node.log());
    assert!(node.error("CONFIG SET maxclients 33").ends_with("try with 32"));
    // So many it has, and can still save what it must.
    let mut crowd = Vec::new();
    until("32 clients", || {
        let mut client = node.try_connect()?;
        ask(&mut client, "PING")?;
        crowd.push(client);
        if crowd.len() == 32 { Ok(()) } else { Err(format!("{} are here", crowd.len())) }
    });
    let okay = Ok(redis::Value::Okay);
    assert_eq!([ask(&mut crowd[0], "SAVE"), ask(&mut crowd[31], "CLUSTER SAVECONFIG")], [okay.clone(), okay]);
    assert!(node.try_ask("PING").is_err(), "no more than that");
}

#[test]
fn an_emptied_nodes_conf_is_no_fresh_node() {
    let mut node = Node::started(&[CALM]);
    assert_eq!(node.ask("CLUSTER ADDSLOTS 1 2 3"), "OK");
    node.kill();
    fs::write(node.nodes_conf(), "").unwrap();
    let said = refusal(&mut node);
    assert!(said.contains("nodes.conf") && said.contains("the file is empty") && said.contains("new identity"), "{said}");
    assert_eq!(fs::read(node.nodes_conf()).unwrap(), b"", "and it stays as it is");
    fs::remove_file(node.nodes_conf()).unwrap();
    node.start();
    assert_eq!(own_slots(&node), "", "without a file it is a new one");
}

#[test]
fn a_changed_byte_in_the_snapshot_is_refused() {
    let mut node = Node::started(&[CALM]);
    assert_eq!(node.ask("CLUSTER ADDSLOTSRANGE 0 99"), "OK");
    assert_eq!(node.ask("CLUSTER SAVECONFIG"), "OK");
    node.kill();
    let good = fs::read(node.nodes_conf()).unwrap();
    let path = node.nodes_conf();
    let (code, report) = pontoon(&["--check-nodes-conf", path.to_str().unwrap()]);
    assert_eq!(code, 0, "{report}");
    let end = good.windows(5).position(|bytes| bytes == b"\ncrc ").expect("a file has a crc line") + 14;
    for at in (0..end).step_by(end / 12) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, &bad).unwrap();
        let said = refusal(&mut node);
        assert!(said.contains("nodes.conf: line "), "byte {at}: {said}");
        let (code, report) = pontoon(&["--check-nodes-conf", path.to_str().unwrap()]);
        assert!(code == 1 && report.contains("a node would refuse it"), "byte {at}: {report}");
        assert_eq!(fs::read(&path).unwrap(), bad, "a refused file is left alone");
    }
    fs::write(&path, &good).unwrap();
    node.start();
    assert_eq!(own_slots(&node), "0-99");
}

#[test]
fn the_torn_end_of_the_last_append_is_cut_off() {
    let mut node = Node::started(&[CALM]);
    assert_eq!(node.ask("CLUSTER SAVECONFIG"), "OK");
    assert_eq!(node.ask("CLUSTER ADDSLOTS 7"), "OK");
    node.kill();
    let path = node.nodes_conf();
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_slice(b"log 12345678 99 1 NOO");
    fs::write(&path, &bytes).unwrap();
    let (code, report) = pontoon(&["--check-nodes-conf", path.to_str().unwrap()]);
    assert!(code == 0 && report.contains("would be cut off"), "{report}");
    node.start();
    until("its slot", || if own_slots(&node) == "7" { Ok(()) } else { Err(own_slots(&node)) });
    assert!(node.log().contains("21 bytes"), "how much was cut is logged: {}", node.log());
}

#[test]
fn check_nodes_conf_of_what_is_no_such_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nodes.conf");
    let name = path.to_str().unwrap();
    let (code, report) = pontoon(&["--check-nodes-conf", name]);
    assert!(code == 1 && report.contains("there is no such file"), "{report}");
    fs::write(&path, b"\0\xff garbage").unwrap();
    let (code, report) = pontoon(&["--check-nodes-conf", name]);
    assert!(code == 1 && report.contains("would refuse it"), "{report}");
}

#[test]
fn two_processes_on_one_file() {
    let mut first = Node::started(&[CALM]);
    let dir = format!("dir \"{}\"", first.dir().display());
    // The later line of the two counts.
    let mut second = Node::new(&[CALM, &dir]);
    let said = refusal(&mut second);
    assert!(said.contains("in use by another process"), "{said}");
    first.kill();
    second.start();
}

#[test]
fn a_port_that_is_taken() {
    let first = Node::started(&[CALM]);
    let before = fs::read(first.nodes_conf()).unwrap();
    let (code, said) = pontoon(&[first.config_file().to_str().unwrap()]);
    assert!(code != 0 && said.contains("in use"), "{said}");
    assert_eq!(fs::read(first.nodes_conf()).unwrap(), before, "a second start of the same node harms nothing");
    assert_eq!(first.ask("PING"), "PONG");
}

/// Debian's file and the arguments of its unit; what names places of a real host is said anew.
#[test]
fn a_distribution_s_unit_starts_a_node_and_hears_when_it_is_ready() {
    let (port, dir) = (Port::reserve(), tempfile::tempdir().unwrap());
    let (file, socket) = (dir.path().join("redis.conf"), dir.path().join("notify"));
    fs::write(&file, include_str!("../options/debian-12.conf")).unwrap();
    let told = UnixDatagram::bind(&socket).unwrap();
    told.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut node = command(PONTOON)
        .arg(&file)
        .args([
            "--supervised",
            "systemd",
            "--daemonize",
            "no",
            "--port",
            &port.number.to_string(),
            "--logfile",
            "node.log",
            "--pidfile",
            "",
        ])
        .arg("--dir")
        .arg(dir.path())
        .env("NOTIFY_SOCKET", &socket)
        .spawn()
        .unwrap();
    let mut line = [0; 64];
    let length = told.recv(&mut line).expect("the supervisor is told");
    assert_eq!(&line[..length], b"READY=1\n");
    assert_eq!(Raw::connect(port.number).say("PING"), "+PONG");
    let _ = node.kill();
    let _ = node.wait();
}
