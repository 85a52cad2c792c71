//! How much waits for a replica that does not read, and what it may say.

use super::*;
use crate::node::net::Net;

/// More than waits of small values.
const LARGE: usize = 600_000;

/// A primary with eight large values in one slot, which keeps little for its replicas.
fn primary() -> Net {
    let mut net = Net::with_members(1);
    for (option, value) in [("repl-backlog-size", "16384"), ("client-output-buffer-limit", "\"replica 65536 0 0\"")] {
        assert_eq!(net.ask(0, &format!("CONFIG SET {option} {value}")), "+OK\r\n");
    }
    for number in 0..8 {
        let value = "x".repeat(LARGE);
        assert_eq!(net.ask(0, &format!("*3\r\n$3\r\nSET\r\n$4\r\n{{t}}{number}\r\n${LARGE}\r\n{value}")), "+OK\r\n");
    }
    net
}

fn unsent(net: &Net, conn: ConnId) -> usize {
    net.nodes[0].out.io.sessions.get(conn).expect("it is there").transmit.len()
}

/// It reads so much of what it has been sent.
fn read(net: &mut Net, conn: ConnId, most: usize) -> Vec<u8> {
    let transmit = net.transmit(0, conn);
    let bytes = transmit.as_slice()[..transmit.len().min(most)].to_vec();
    transmit.advance(bytes.len());
    net.nodes[0].flushed(conn, bytes.len());
    bytes
}

#[test]
fn little_of_an_rdb_waits_and_does_not_count_as_unsent_stream() {
    for request in ["REPLCONF capa eof\r\nPSYNC ? -1", "PSYNC ? -1"] {
        let mut net = primary();
        let replica = net.say(0, request);
        (0..50).for_each(|_| net.step());
        assert!((ROOM..ROOM + 100_000).contains(&unsent(&net, replica)), "{} wait", unsent(&net, replica));
        let mut got = 0;
        while got < 8 * LARGE {
            got += read(&mut net, replica, 50_000).len();
            net.step();
            assert!(unsent(&net, replica) < ROOM + 100_000, "{} wait", unsent(&net, replica));
        }
        // The stream that it is behind does count, but for what is on its way.
        let mut behind = 0;
        while net.nodes[0].out.io.sessions.get(replica).is_some() {
            net.ask(0, &format!("SET a {}", "x".repeat(20_000)));
            behind += 20_000;
        }
        assert!((60_000..ROOM + 100_000).contains(&behind), "{behind}");
    }
}

/// It gets the stream, and has read all of it.
fn follower(net: &mut Net) -> ConnId {
    let replica = net.say(0, "REPLCONF capa eof\r\nPSYNC ? -1");
    net.until("the end of the RDB", |net| {
        let Kind::Client(client) = &net.nodes[0].out.io.sessions.get(replica).expect("it is there").kind else { return false };
        client
            .client
            .replica
            .as_ref()
            .is_some_and(|replica| replica.state() == "send_bulk" && !replica.has_more(&net.nodes[0].dataset.stream))
    });
    net.give(0, replica, b"REPLCONF ACK 0\r\n");
    net.step();
    read(net, replica, usize::MAX);
    replica
}

#[test]
fn what_would_have_an_answer_ends_a_replica_s_link() {
    let mut net = Net::with_members(1);
    let answered =
        ["SET a 1", "GET a", "PING", "HELLO 3", "MULTI", "SUBSCRIBE x", "QUIT", "RESET", "NOSUCH", "CLIENT", "CLIENT NOSUCH", "SET a"];
    let words = ["REPLCONF", "REPLCONF ACK", "REPLCONF listening-port 1", "REPLCONF x y", "PSYNC ? -1 x y", "*1\r\n$x", "\"", "EXEC"];
    for line in answered.iter().chain(&words) {
        let replica = follower(&mut net);
        net.give(0, replica, format!("{line}\r\nSET b 1\r\n").as_bytes());
        net.step();
        assert!(net.nodes[0].out.io.sessions.get(replica).is_none(), "{line}");
    }
    assert_eq!(net.ask(0, "DBSIZE"), ":0\r\n");
    for line in ["", "REPLCONF ACK 5", "REPLCONF GETACK *", "PSYNC ? -1", "SYNC"] {
        let replica = follower(&mut net);
        net.give(0, replica, format!("{line}\r\n").as_bytes());
        net.step();
        assert_eq!(unsent(&net, replica), 0, "{line}");
    }
}

#[test]
fn a_subscriber_is_no_replica() {
    let mut net = Net::with_members(1);
    let client = net.say(0, "HELLO 3\r\nSUBSCRIBE news\r\nPSYNC ? -1");
    (0..3).for_each(|_| net.step());
    let answer = net.answer(0, client).unwrap();
    assert!(answer.ends_with("-ERR SYNC and PSYNC are not possible with subscriptions\r\n"), "{answer}");
    assert_eq!(net.info(0, "connected_slaves"), 0);
}
