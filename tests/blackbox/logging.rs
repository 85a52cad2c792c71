//! The log that nobody reads, the one that is moved away, and who has asked for what.

use crate::cluster::CALM;
use crate::node::Node;
use crate::reply;
use crate::wait::{until, until_true};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::Signal;
use std::fs::{self, OpenOptions};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A pipe that takes nothing more, and whose reader does not wait.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = io::pipe().expect("a pipe can be made");
    fcntl_setfl(&reader, OFlags::NONBLOCK).expect("it is a pipe");
    // Not to wait is a property of this opening only, not of the one that the node gets.
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let mut own = options.open(format!("/proc/self/fd/{}", writer.as_raw_fd())).expect("a pipe can be opened again");
    while own.write(&[b'x'; 4096]).is_ok() {}
    while own.write(b"x").is_ok() {}
    (reader, writer)
}

#[test]
fn a_log_that_nobody_reads_holds_nobody_up_and_says_later_what_is_missing() {
    let (mut reader, writer) = full_pipe();
    let mut node = Node::new(&[CALM]);
    node.spawn_onto(writer);
    node.start();
    assert_eq!(node.ask("CLUSTER ADDSLOTSRANGE 0 16383"), "OK");
    assert_eq!(node.ask("SAVE"), "OK");
    let mut text = Vec::new();
    until("the word of what is missing", || {
        let _ = reader.read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text);
        let told = text.trim_start_matches('x').lines().next().is_some_and(|line| line.ends_with("they could not be written"));
        if told { Ok(()) } else { Err(text.trim_start_matches('x').to_owned()) }
    });
    node.signal(Signal::TERM);
    assert_eq!(node.exit_status().code(), Some(0));
    let _ = reader.read_to_end(&mut text);
    assert!(String::from_utf8_lossy(&text).contains("Received SIGTERM"), "what comes behind it is whole");
}

/// A node with a log of its own, and where that is.
fn with_logfile() -> (Node, PathBuf) {
    let node = Node::started(&[CALM, "logfile node-own.log"]);
    let path = node.dir().join("node-own.log");
    (node, path)
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn a_log_that_is_moved_away_goes_on_in_a_new_file() {
    let (node, path) = with_logfile();
    let old = node.dir().join("node-own.log.1");
    fs::rename(&path, &old).expect("the log is there");
    until_true("a new log", || text(&path).contains("moved away"));
    fs::remove_file(&path).expect("it is there");
    node.signal(Signal::HUP);
    until_true("a new log again", || text(&path).contains("the log goes on here"));
    let said = text(&path);
    assert_eq!(node.ask("FLUSHALL"), "OK");
    until_true("more of it", || text(&path).len() > said.len());
    assert!(!text(&old).contains("FLUSHALL"), "{}", text(&old));
}

#[test]
fn signals_that_other_servers_take_for_their_logs_do_not_end_a_node() {
    let mut node = Node::started(&[CALM]);
    for signal in [Signal::HUP, Signal::USR1, Signal::USR2] {
        node.signal(signal);
        assert_eq!(node.ask("PING"), "PONG");
    }
    assert!(node.is_running());
}

#[test]
fn who_takes_something_away_for_all_is_named() {
    let mut node = Node::started(&[CALM]);
    let mut connection = node.try_connect().expect("the node takes connections");
    let mut ask = |line: &str| reply::ask(&mut connection, line).and_then(reply::text_of);
    let info = ask("CLIENT INFO").expect("it answers");
    let address = info.split(' ').find_map(|word| word.strip_prefix("addr=")).expect("it has one").to_owned();
    ask("CONFIG SET masterauth so-secret maxclients 500").expect("it is set");
    ask("FLUSHALL ASYNC").expect("it is done");
    ask("CLUSTER RESET HARD").expect("it is done");
    ask("CLUSTER FORGET 0123456789012345678901234567890123456789").expect_err("nobody has that id");
    let _ = ask("SHUTDOWN NOSAVE");
    assert_eq!(node.exit_status().code(), Some(0));
    let log = node.log();
    for asked in ["CONFIG SET masterauth maxclients", "FLUSHALL ASYNC", "CLUSTER RESET HARD", "CLUSTER FORGET 0123", "SHUTDOWN NOSAVE"] {
        let line = log.lines().find(|line| line.contains(asked)).unwrap_or_else(|| panic!("{asked}: {log}"));
        assert!(line.contains(&format!(", asked for by client {address}")), "{line}");
    }
    assert!(!log.contains("so-secret"));
}
