//! CLIENT PAUSE: what is held is answered when it is over, in order and only once.

use crate::cluster::CALM;
use crate::node::Node;
use crate::reply::Raw;
use crate::wait::{now, until, until_true};
use std::time::Duration;

fn whole() -> Node {
    let node = Node::started(&[CALM]);
    assert_eq!(node.ask("CLUSTER ADDSLOTSRANGE 0 16383"), "OK");
    until("the node to serve", || node.try_ask("DEL x"));
    node
}

#[test]
fn writes_are_held_until_the_pause_is_over() {
    let node = whole();
    let mut client = Raw::connect(node.number());
    let begun = now();
    assert_eq!(node.ask("CLIENT PAUSE 2000 WRITE"), "OK");
    // One that is held keeps what comes behind it waiting, reads of others are served.
    client.send(b"INCR x\r\nGET x\r\nMULTI\r\nINCR x\r\nEXEC\r\n");
    until_true("the write to be held", || node.ask("INFO clients").contains("blocked_clients:1"));
    assert_eq!(node.ask("GET x"), "nil");
    // A shorter one changes nothing. It ends by itself.
    assert_eq!(node.ask("CLIENT PAUSE 1 WRITE"), "OK");
    assert_eq!([(); 7].map(|()| client.line()), [":1", "$1", "1", "+OK", "+QUEUED", "*1", ":2"]);
    assert!(begun.elapsed() >= Duration::from_millis(2000), "{:?}", begun.elapsed());
    assert!(node.ask("INFO clients").contains("paused_reason:none"));
}

#[test]
fn unpause_ends_it_and_all_means_all() {
    let node = whole();
    let (mut held, mut gone) = (Raw::connect(node.number()), Raw::connect(node.number()));
    assert_eq!(node.ask("CLIENT PAUSE 100000 WRITE"), "OK");
    held.send(b"SET x 1\r\n");
    gone.send(b"SET x 2\r\n");
    until_true("two to be held", || node.ask("INFO clients").contains("blocked_clients:2"));
    drop(gone);
    until_true("one to be gone", || node.ask("INFO clients").contains("blocked_clients:1"));
    assert_eq!(node.ask("CLIENT UNPAUSE"), "OK");
    assert_eq!(held.line(), "+OK");
    let begun = now();
    assert_eq!(node.ask("CLIENT PAUSE 300"), "OK");
    assert_eq!(node.ask("CLIENT UNPAUSE"), "OK");
    assert!(begun.elapsed() >= Duration::from_millis(300), "even UNPAUSE is held: {:?}", begun.elapsed());
    assert_eq!(node.ask("GET x"), "1");
}
