//! Any bytes as a client's requests: at once and in two pieces they must read the same. The first byte says where to cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pontoon::wire::{Limits, Parsed, Parser, ProtocolError};

/// What these pieces are read as, driven as a session drives its parser.
fn read(pieces: &[&[u8]]) -> (Vec<Vec<Vec<u8>>>, Option<ProtocolError>) {
    let mut parser = Parser::new(Limits { max_inline: 256, ..Limits::default() });
    let (mut buf, mut requests) = (Vec::new(), Vec::new());
    for piece in pieces {
        buf.extend_from_slice(piece);
        let mut start = 0;
        loop {
            match parser.next(&buf[start..]) {
                Ok(Some(Parsed { used })) => {
                    requests.push(parser.args(&buf[start..]).iter().map(<[u8]>::to_vec).collect());
                    start += used;
                }
                Ok(None) => break,
                Err(error) => return (requests, Some(error)),
            }
        }
        buf.drain(..start);
    }
    (requests, None)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, bytes)) = bytes.split_first() else { return };
    let (front, back) = bytes.split_at(usize::from(*cut).min(bytes.len()));
    assert_eq!(read(&[bytes]), read(&[front, back]));
});
