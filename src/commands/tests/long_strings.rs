//! Long strings are held by several at once, and not copied.

use super::*;

/// Where the long stretches of these bytes lie.
fn stretches(mut chain: Chain) -> Vec<(*const u8, usize)> {
    let mut places = Vec::new();
    chain.drain(|piece| places.extend(matches!(piece, Bytes::Shared(_)).then(|| (piece.as_ptr(), piece.len()))));
    places
}

#[test]
fn value_replies_stream_and_queue_share_the_buffer_in_which_a_string_came() {
    let mut desk = Desk::new();
    desk.stream.record(ReplId::from_bytes([1; 20]), &mut desk.keyspace);
    let long = vec![b'x'; 3 << 20];
    let mut begun = desk.stream.offset();
    for transaction in [false, true] {
        if transaction {
            desk.ask("MULTI");
        }
        desk.long_request(&[b"SET", b"s", &long, b"PX", b"100000"]);
        if transaction {
            desk.ask("EXEC");
        }
        let place = stretches(desk.long_request(&[b"GET", b"s"]))[0];
        assert_eq!(place.1, long.len());
        let backlog = desk.stream.backlog().unwrap();
        let mut told = None;
        while told.is_none() && begun < backlog.end() {
            let piece = backlog.piece(begun).unwrap();
            told = (piece.len() == long.len()).then_some(piece.as_ptr());
            begun += piece.len() as u64;
        }
        assert_eq!(told, Some(place.0));
        for request in
            [&[&b"GETRANGE"[..], b"s", b"5", b"-1"][..], &[b"GETEX", b"s"], &[b"SET", b"s", b"short", b"GET"], &[b"GETDEL", b"s"]]
        {
            let places = stretches(desk.long_request(request));
            assert!(places.iter().all(|(found, length)| *length > long.len() - 10 && found.addr() - place.0.addr() < 10), "{places:?}");
            assert!(places.len() == usize::from(request[0] != b"GETDEL"));
        }
    }
}

#[test]
fn what_is_appended_and_written_is_shared_too_and_all_of_it_is_told_in_order() {
    let mut desk = Desk::new();
    let long = vec![b'x'; 3 << 20];
    desk.long_request(&[b"MSET", b"{t}a", &long, b"{t}b", b"short"]);
    desk.long_request(&[b"APPEND", b"{t}a", &vec![b'y'; 1 << 20]]);
    desk.long_request(&[b"SETRANGE", b"{t}a", b"100", b"zzz"]);
    let reply = written(desk.long_request(&[b"MGET", b"{t}b", b"{t}a", b"{t}b"]));
    let expected = [&long[..100], b"zzz", &long[103..], &vec![b'y'; 1 << 20]].concat();
    let head = format!("*3\r\n$5\r\nshort\r\n${}\r\n", expected.len());
    assert!(reply == [head.as_bytes(), &expected, b"\r\n$5\r\nshort\r\n"].concat());
    assert_eq!(desk.ask("incr {t}a"), "-ERR value is not an integer or out of range\r\n");
    assert_eq!(desk.ask("incrbyfloat {t}a 1"), "-ERR value is not a valid float\r\n");
    assert_eq!(
        (desk.ask("strlen {t}a"), desk.ask("object encoding {t}a")),
        (format!(":{}\r\n", expected.len()), "$3\r\nraw\r\n".to_owned())
    );
    desk.keyspace.check();
}
