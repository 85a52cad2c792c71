//! Requests as they should be read, however they arrive, and bytes that are none.

use super::*;
use proptest::prelude::*;

type Request = Vec<Vec<u8>>;

/// A connection's receive buffer, driven as a session drives it.
struct Stream {
    parser: Parser,
    buf: Vec<u8>,
    requests: Vec<Request>,
}

impl Stream {
    fn new(limits: Limits) -> Self {
        Self { parser: Parser::new(limits), buf: Vec::new(), requests: Vec::new() }
    }

    /// Bytes arrive; every whole request is taken off the front.
    fn receive(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        self.buf.extend_from_slice(bytes);
        let mut start = 0;
        while let Some(Parsed { used }) = self.parser.next(&self.buf[start..])? {
            let args = self.parser.args(&self.buf[start..]);
            if !args.is_empty() {
                self.requests.push(args.iter().map(<[u8]>::to_vec).collect());
            }
            start += used;
        }
        self.buf.drain(..start);
        Ok(())
    }
}

/// What these pieces are read as: the requests, and the error that ends the stream.
fn read<'a>(limits: Limits, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Request>, Option<ProtocolError>) {
    let mut stream = Stream::new(limits);
    let fault = pieces.into_iter().find_map(|piece| stream.receive(piece).err());
    (stream.requests, fault)
}

/// The same bytes at once, byte by byte, and cut once at every place must read the same.
fn read_every_way(limits: Limits, bytes: &[u8]) -> (Vec<Request>, Option<ProtocolError>) {
    let whole = read(limits, [bytes]);
    assert_eq!(read(limits, bytes.chunks(1)), whole, "byte by byte: {}", bytes.escape_ascii());
    for at in 0..bytes.len() {
        let (front, back) = bytes.split_at(at);
        assert_eq!(read(limits, [front, back]), whole, "cut at {at}: {}", bytes.escape_ascii());
    }
    whole
}

fn array(request: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", request.len()).into_bytes();
    for arg in request.iter().map(AsRef::as_ref) {
        bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn words(requests: &[&[&str]]) -> Vec<Request> {
    requests.iter().map(|request| request.iter().map(|word| word.as_bytes().to_vec()).collect()).collect()
}

#[test]
fn arrays_inline_commands_and_what_is_ignored() {
    let cases: [(&str, &[&[&str]]); 10] = [
        ("*1\r\n$4\r\nPING\r\n", &[&["PING"]]),
        ("*3\r\n$3\r\nSET\r\n$0\r\n\r\n$5\r\na\r\nb\r\r\n", &[&["SET", "", "a\r\nb\r"]]),
        ("PING\r\n", &[&["PING"]]),
        ("PING\n", &[&["PING"]]),
        ("set \"a b\" 'c' \r\n", &[&["set", "a b", "c"]]),
        ("\r\n\n   \r\nPING\r\n\r\n", &[&["PING"]]),
        ("*0\r\n*-1\r\n*-10\r\nPING\r\n*0\r\n", &[&["PING"]]),
        ("*1\r\n$4\r\nPING\r\nECHO hi\r\n*2\r\n$4\r\nECHO\r\n$2\r\n*1\r\n", &[&["PING"], &["ECHO", "hi"], &["ECHO", "*1"]]),
        ("*2\r\n$4\r\nECHO\r\n$100\r\npart", &[]),
        ("PING", &[]),
    ];
    for (bytes, requests) in cases {
        assert_eq!(read_every_way(Limits::default(), bytes.as_bytes()), (words(requests), None), "{bytes:?}");
    }
}

#[test]
fn errors_have_the_words_of_redis_and_come_after_what_was_whole() {
    let limits = Limits { max_args: 20, max_bulk: 30_000, max_inline: 40, max_request: 40_000, authenticated: true };
    let cases = [
        ("*\r\n", "invalid multibulk length"),
        ("*1x\r\n", "invalid multibulk length"),
        ("*01\r\n", "invalid multibulk length"),
        ("* 1\r\n", "invalid multibulk length"),
        ("*21\r\n", "invalid multibulk length"),
        ("*99999999999999999999\r\n", "invalid multibulk length"),
        ("*1\r\nx", "expected '$', got 'x'"),
        ("*1\r\n\r", "expected '$', got ' '"),
        ("*1\r\n'", "expected '$', got '''"),
        ("*1\r\n$\r\n", "invalid bulk length"),
        ("*1\r\n$-1\r\n", "invalid bulk length"),
        ("*1\r\n$+1\r\n", "invalid bulk length"),
        ("*1\r\n$30001\r\n", "invalid bulk length"),
        ("SET \"a\r\n", "unbalanced quotes in request"),
        ("SET 'a'b\r\n", "unbalanced quotes in request"),
        ("12345678901234567890123456789012345678901", "too big inline request"),
        ("*12345678901234567890123456789012345678901", "too big mbulk count string"),
        ("*1\r\n$12345678901234567890123456789012345678901", "too big bulk count string"),
    ];
    for (bytes, text) in cases {
        let bytes = ["PING\r\n", bytes].concat();
        let (requests, fault) = read_every_way(limits, bytes.as_bytes());
        assert_eq!(requests, words(&[&["PING"]]));
        let fault = fault.map_or(String::from("Protocol error: none"), |fault| fault.to_string());
        assert_eq!(fault, format!("Protocol error: {text}"), "{bytes:?}");
    }
}

#[test]
fn a_request_is_bounded_by_what_has_come_of_it() {
    let limits = Limits { max_request: 100, ..Limits::default() };
    let announced = b"*2147483647\r\n$2\r\nab\r\n$500000\r\n";
    assert_eq!(read_every_way(limits, announced), (vec![], None), "nothing of it is here");
    assert_eq!(read_every_way(limits, &[&announced[..], &[b'x'; 71]].concat()), (vec![], Some(ProtocolError::TooBigRequest)));
    let whole = |length: usize| format!("*1\r\n${length}\r\n{}\r\n", "x".repeat(length)).into_bytes();
    assert_eq!((whole(89).len(), read_every_way(limits, &whole(89)).1), (100, None));
    assert_eq!(read_every_way(limits, &whole(90)).1, Some(ProtocolError::TooBigRequest));
    assert_eq!(read_every_way(limits, b"*2147483648\r\n").1, Some(ProtocolError::InvalidMultibulkLength));
}

#[test]
fn a_line_with_a_nul_has_no_end() {
    for line in ["PI\0NG\r\nPING\r\n", "\0\r\n", "PING\0\nPING\n", "SET k \"a\0b\"\r\n"] {
        assert_eq!(read_every_way(Limits::default(), ["PING\n", line].concat().as_bytes()), (words(&[&["PING"]]), None), "{line:?}");
    }
    let long = [b"\0", &[b'\n'; 41][..]].concat();
    assert_eq!(read_every_way(Limits { max_inline: 40, ..Limits::default() }, &long).1, Some(ProtocolError::TooBigInline));
}

#[test]
fn little_is_taken_before_the_password_and_more_after() {
    let mut stream = Stream::new(Limits { authenticated: false, ..Limits::default() });
    stream.receive(&array(&["AUTH", "secret"])).unwrap();
    stream.parser.set_limits(Limits::default());
    stream.receive(&array(&["ECHO"; 11])).unwrap();
    assert_eq!(stream.requests.len(), 2);

    let limits = Limits { authenticated: false, ..Limits::default() };
    let text = |bytes: &[u8]| read_every_way(limits, bytes).1.unwrap().to_string();
    assert_eq!(text(b"*11\r\n"), "Protocol error: unauthenticated multibulk length");
    assert_eq!(text(b"*1\r\n$16385\r\n"), "Protocol error: unauthenticated bulk length");
}

#[test]
fn nothing_is_read_twice() {
    // Byte by byte, a parser that began anew each time would need minutes for any of these.
    let slots: Vec<String> = (0..5461).map(|slot| slot.to_string()).collect();
    let request: Vec<&str> = ["CLUSTER", "ADDSLOTS"].into_iter().chain(slots.iter().map(String::as_str)).collect();
    let (requests, fault) = read(Limits::default(), array(&request).chunks(1));
    assert_eq!((requests[0].len(), requests[0][5462].as_slice(), fault), (5463, &b"5460"[..], None));

    let value = vec![b'\n'; 1 << 20];
    let mut stream = Stream::new(Limits::default());
    array(&[&b"SET"[..], b"key", &value]).chunks(1).for_each(|byte| stream.receive(byte).unwrap());
    assert_eq!(stream.requests[0][2], value);

    let line = format!("ECHO {}\r\n", "x".repeat(65_000));
    assert_eq!(read(Limits::default(), line.as_bytes().chunks(1)).0[0][1].len(), 65_000);

    let pipeline = array(&["GET", "key"]).repeat(50_000);
    assert_eq!(read(Limits::default(), pipeline.chunks(16 * 1024)).0.len(), 50_000);
}

#[test]
fn what_a_big_request_needed_is_given_back() {
    let mut stream = Stream::new(Limits::default());
    stream.receive(&array(&vec!["1"; 100_000])).unwrap();
    stream.receive(format!("ECHO {}\r\n", "x".repeat(65_000)).as_bytes()).unwrap();
    assert_eq!(stream.requests.len(), 2);
    assert!(stream.parser.ranges.capacity() <= KEPT_RANGES && stream.parser.words.capacity() <= KEPT_WORDS);
    let kept = stream.parser.ranges.capacity();
    stream.receive(&array(&["SET", "key", "value"])).unwrap();
    assert_eq!(stream.parser.ranges.capacity(), kept, "an ordinary request allocates nothing");
}

/// Bytes that get past the first checks now and then.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        Just(b"*".to_vec()),
        Just(b"$".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\"".to_vec()),
        Just(b"'".to_vec()),
        Just(b"\\x4".to_vec()),
        Just(b"*2\r\n$1\r\na\r\n".to_vec()),
        (-3i64..70_000).prop_map(|n| n.to_string().into_bytes()),
        any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(token, 0..24).prop_map(|tokens| tokens.concat())
}

/// Several requests of any bytes.
fn requests() -> impl Strategy<Value = Vec<Request>> {
    let arg = proptest::collection::vec(any::<u8>(), 0..20);
    proptest::collection::vec(proptest::collection::vec(arg, 1..6), 1..6)
}

proptest! {
    #[test]
    fn requests_come_back_however_they_arrive(requests in requests(), pieces in 1usize..40) {
        let bytes: Vec<u8> = requests.iter().flat_map(|request| array(request)).collect();
        prop_assert_eq!(read(Limits::default(), bytes.chunks(pieces)), (requests.clone(), None));
        prop_assert_eq!(read_every_way(Limits::default(), &bytes), (requests, None));
    }

    #[test]
    fn quoted_inline_arguments_come_back(request in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..12), 1..5)) {
        let quote = |arg: &Vec<u8>| arg.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
        let line: String = request.iter().map(|arg| format!("\"{}\" ", quote(arg))).collect();
        prop_assert_eq!(read_every_way(Limits::default(), format!("{line}\r\n").as_bytes()), (vec![request], None));
    }

    #[test]
    fn any_bytes_read_the_same_every_way_and_hold_no_more_than_came(bytes in hostile(), authenticated: bool) {
        let limits = Limits { max_inline: 64, authenticated, ..Limits::default() };
        read_every_way(limits, &bytes);
        let mut stream = Stream::new(limits);
        let _ = stream.receive(&bytes);
        // An argument takes six bytes of a request at least, and a range eight, doubled by a growing Vec.
        prop_assert!(stream.parser.ranges.capacity() * size_of::<Range32>() <= 64 + 3 * bytes.len());
        prop_assert!(stream.parser.words.capacity() <= 64 + 2 * bytes.len());
    }

    #[test]
    fn a_changed_byte_never_panics(requests in requests(), at: prop::sample::Index, byte: u8) {
        let mut bytes: Vec<u8> = requests.iter().flat_map(|request| array(request)).collect();
        *at.get_mut(&mut bytes) = byte;
        read_every_way(Limits::default(), &bytes);
    }
}
