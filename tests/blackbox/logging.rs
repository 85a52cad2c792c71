//! The log that nobody reads.

use crate::cluster::CALM;
use crate::node::Node;
use crate::wait::until;
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::Signal;
use std::fs::OpenOptions;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

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
