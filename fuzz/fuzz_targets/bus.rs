//! Any bytes as a frame's payload: what is taken must survive being sent on.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pontoon::wire::bus::{PROTOCOL_VERSION, decode, encode};

fuzz_target!(|payload: &[u8]| {
    let _ = decode(payload);
    let length = u32::try_from(payload.len() + 8).expect("the fuzzer's inputs are short");
    let bytes = [b"RAFT", &length.to_be_bytes()[..], payload].concat();
    if let Ok(Some((frame, used))) = decode(&bytes) {
        assert_eq!(used, bytes.len());
        let mut again = Vec::new();
        encode(&frame, PROTOCOL_VERSION, &mut again).expect("what was taken is short enough to send");
        assert_eq!(decode(&again), Ok(Some((frame, again.len()))));
    }
});
