//! Replies to clients in RESP2 and RESP3.
//!
//! Owns: the bytes of each reply type, and what RESP2 gets in place of what it does not have.
//! Must not: know commands. Contract: the Redis protocol specification.

use super::chain::{Chain, Stretches};
use super::number::{push_i64, push_u64};
use crate::values::{Str, WHOLE};
use std::io::Write;
use std::ops::Range;

/// Writes replies to the end of a client's transmit buffer.
///
/// The aggregates (`array`, `map`, ...) write only the header; the caller writes as many elements as it announced.
#[derive(Debug)]
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    /// Where long strings go, if they need not be copied.
    shared: Option<&'a mut Stretches>,
    resp3: bool,
}

impl<'a> Reply<'a> {
    /// Appends to `out`, in RESP3 if the client asked for it with HELLO 3.
    pub fn new(out: &'a mut Vec<u8>, resp3: bool) -> Self {
        Self { out, shared: None, resp3 }
    }

    /// The same to a chain, in which long strings are shared.
    pub fn within(chain: &'a mut Chain, resp3: bool) -> Self {
        let (out, shared) = chain.ends();
        Self { out, shared: Some(shared), resp3 }
    }

    /// Whether the client speaks RESP3.
    pub fn resp3(&self) -> bool {
        self.resp3
    }

    /// Changes the protocol from the next reply on: HELLO answers in the one that it has just chosen.
    pub fn set_resp3(&mut self, resp3: bool) {
        self.resp3 = resp3;
    }

    /// Where the next reply begins; see [`Reply::since`].
    pub fn mark(&self) -> usize {
        self.out.len()
    }

    /// What was written since a mark was taken: dispatch counts the errors among the replies.
    pub fn since(&self, mark: usize) -> &[u8] {
        &self.out[mark..]
    }

    /// `+OK`.
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A simple string.
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// An error: the whole text, its code word first (`ERR ...`). What a client can put into it never ends the line.
    pub fn error(&mut self, text: impl AsRef<[u8]>) {
        self.line(b'-', text.as_ref());
    }

    /// An integer.
    pub fn int(&mut self, n: i64) {
        self.out.push(b':');
        push_i64(self.out, n);
        self.end_line();
    }

    /// A bulk string: any bytes.
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.header(b'$', bytes.len());
        self.out.extend_from_slice(bytes);
        self.end_line();
    }

    /// These bytes of a string as a bulk string.
    pub fn string(&mut self, string: Str<'_>, range: Range<usize>) {
        match string {
            Str::Short(bytes) => self.bulk(&bytes[range]),
            Str::Long(long) => {
                self.header(b'$', range.len());
                match &mut self.shared {
                    Some(shared) if range.len() > WHOLE => long.pieces(range).for_each(|piece| shared.push(self.out.len(), piece)),
                    _ => self.out.extend_from_slice(&long.bytes(range)),
                }
                self.end_line();
            }
        }
    }

    /// A bulk string that is written in pieces: the first says how many bytes there will be.
    pub fn piece(&mut self, length: Option<usize>, bytes: &[u8], ends: bool) {
        length.into_iter().for_each(|length| self.header(b'$', length));
        self.out.extend_from_slice(bytes);
        if ends {
            self.end_line();
        }
    }

    /// Pushes that were kept until here.
    pub fn pushes(&mut self, written: &[u8]) {
        self.out.extend_from_slice(written);
    }

    /// Nothing where a value could be.
    pub fn null(&mut self) {
        self.out.extend_from_slice(if self.resp3 { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// Nothing where an array could be: an EXEC that a WATCH stopped.
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(if self.resp3 { b"_\r\n" } else { b"*-1\r\n" });
    }

    /// `n` elements follow.
    pub fn array(&mut self, n: usize) {
        self.header(b'*', n);
    }

    /// `n` pairs of key and value follow; in RESP2 an array of 2n.
    pub fn map(&mut self, n: usize) {
        if self.resp3 { self.header(b'%', n) } else { self.header(b'*', 2 * n) }
    }

    /// `n` different elements follow, in no particular order; in RESP2 an array.
    pub fn set(&mut self, n: usize) {
        self.header(if self.resp3 { b'~' } else { b'*' }, n);
    }

    /// `n` elements follow that answer no request; in RESP2 an array.
    pub fn push(&mut self, n: usize) {
        self.header(if self.resp3 { b'>' } else { b'*' }, n);
    }

    /// Text for people, with a format of three letters (`txt`, `mkd`); in RESP2 a bulk string.
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        debug_assert_eq!(format.len(), 3, "a verbatim string's format has three letters");
        if !self.resp3 {
            return self.bulk(text);
        }
        self.header(b'=', text.len() + 4);
        self.out.extend_from_slice(format.as_bytes());
        self.out.push(b':');
        self.out.extend_from_slice(text);
        self.end_line();
    }

    /// A floating-point number in its shortest text; in RESP2 a bulk string of it.
    pub fn double(&mut self, n: f64) {
        let mut text = [0; 32];
        let text = double_text(n, &mut text);
        if !self.resp3 {
            return self.bulk(text);
        }
        self.out.push(b',');
        self.out.extend_from_slice(text);
        self.end_line();
    }

    /// True or false; in RESP2 the integer 1 or 0.
    pub fn boolean(&mut self, truth: bool) {
        match (self.resp3, truth) {
            (false, _) => self.int(i64::from(truth)),
            (true, true) => self.out.extend_from_slice(b"#t\r\n"),
            (true, false) => self.out.extend_from_slice(b"#f\r\n"),
        }
    }

    fn header(&mut self, kind: u8, n: usize) {
        self.out.push(kind);
        push_u64(self.out, n as u64);
        self.end_line();
    }

    /// A line of text; CR and LF would end it early, so they become spaces.
    fn line(&mut self, kind: u8, text: &[u8]) {
        self.out.push(kind);
        self.out.extend(text.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }));
        self.end_line();
    }

    fn end_line(&mut self) {
        self.out.extend_from_slice(b"\r\n");
    }
}

/// The shortest text that reads back as `n`, with an exponent where Redis has one, written to `room`.
fn double_text(n: f64, room: &mut [u8; 32]) -> &[u8] {
    if n.is_nan() {
        return b"nan";
    }
    if n.is_infinite() {
        return if n > 0.0 { b"inf" } else { b"-inf" };
    }
    let plain = n == 0.0 || (1e-5..1e17).contains(&n.abs());
    let mut rest = &mut room[..];
    let written = if plain { write!(rest, "{n}") } else { write!(rest, "{n:e}") };
    written.expect("a double's shortest text has at most 17 digits, a sign, a point and five characters of exponent");
    let used = 32 - rest.len();
    with_plus(room, used)
}

/// `1e20` is `1e+20` in C and so in Redis.
fn with_plus(room: &mut [u8; 32], used: usize) -> &[u8] {
    match room[..used].iter().position(|byte| *byte == b'e') {
        Some(at) if room[at + 1] != b'-' => {
            room.copy_within(at + 1..used, at + 2);
            room[at + 1] = b'+';
            &room[..used + 1]
        }
        _ => &room[..used],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(resp3: bool, write: impl Fn(&mut Reply<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut Reply::new(&mut out, resp3));
        String::from_utf8(out).unwrap()
    }

    /// A reply type's name, how to write it, and its bytes in RESP2 and RESP3.
    type Case = (&'static str, fn(&mut Reply<'_>), &'static str, &'static str);

    #[test]
    fn every_type_in_both_protocols() {
        let cases: [Case; 16] = [
            ("ok", |reply| reply.ok(), "+OK\r\n", "+OK\r\n"),
            ("simple", |reply| reply.simple("PONG"), "+PONG\r\n", "+PONG\r\n"),
            ("int", |reply| reply.int(i64::MIN), ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"),
            ("bulk", |reply| reply.bulk(b"a\r\nb"), "$4\r\na\r\nb\r\n", "$4\r\na\r\nb\r\n"),
            ("empty bulk", |reply| reply.bulk(b""), "$0\r\n\r\n", "$0\r\n\r\n"),
            ("null", |reply| reply.null(), "$-1\r\n", "_\r\n"),
            ("null array", |reply| reply.null_array(), "*-1\r\n", "_\r\n"),
            ("array", |reply| reply.array(12), "*12\r\n", "*12\r\n"),
            ("map", |reply| reply.map(3), "*6\r\n", "%3\r\n"),
            ("set", |reply| reply.set(0), "*0\r\n", "~0\r\n"),
            ("push", |reply| reply.push(2), "*2\r\n", ">2\r\n"),
            ("verbatim", |reply| reply.verbatim("txt", b"a:1\r\n"), "$5\r\na:1\r\n\r\n", "=9\r\ntxt:a:1\r\n\r\n"),
            ("double", |reply| reply.double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n"),
            ("infinity", |reply| reply.double(f64::NEG_INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n"),
            ("true", |reply| reply.boolean(true), ":1\r\n", "#t\r\n"),
            ("false", |reply| reply.boolean(false), ":0\r\n", "#f\r\n"),
        ];
        for (name, write, resp2, resp3) in cases {
            assert_eq!(written(false, write), resp2, "{name} in RESP2");
            assert_eq!(written(true, write), resp3, "{name} in RESP3");
        }
    }

    #[test]
    fn a_line_cannot_be_ended_from_outside() {
        let evil = "ERR unknown command 'a\r\n+OK\n'";
        assert_eq!(written(true, |reply| reply.error(evil)), "-ERR unknown command 'a  +OK '\r\n");
        assert_eq!(written(false, |reply| reply.simple("a\rb\nc")), "+a b c\r\n");
    }

    #[test]
    fn hello_can_change_the_protocol_of_its_own_reply() {
        let text = written(false, |reply| {
            reply.set_resp3(true);
            assert!(reply.resp3());
            reply.map(7);
        });
        assert_eq!(text, "%7\r\n");
    }

    #[test]
    fn doubles_look_like_those_of_redis() {
        for (n, text) in [(0.0, "0"), (3.0, "3"), (-0.1, "-0.1"), (1e20, "1e+20"), (1.5e-7, "1.5e-7"), (-2e300, "-2e+300")] {
            assert_eq!(double_text(n, &mut [0; 32]), text.as_bytes());
        }
        assert_eq!(double_text(f64::NAN, &mut [0; 32]), b"nan");
    }

    proptest! {
        #[test]
        fn any_double_fits_and_reads_back(bits: u64) {
            let n = f64::from_bits(bits);
            let mut room = [0; 32];
            let text = std::str::from_utf8(double_text(n, &mut room)).unwrap();
            prop_assert!(n.is_nan() || text.parse::<f64>() == Ok(n));
        }
    }
}
