//! Any bytes as a nodes.conf: no panic, and the report agrees with the loader. The first byte chooses whether the checksum of the snapshot
//! part is made right, so that the readers behind it are reached.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pontoon::store::{check, nodes_conf};

/// The same bytes with the digits of the crc line made right, if there is one.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let Some(end) = bytes.windows(5).position(|window| window == b"\ncrc ").map(|at| at + 1) else { return bytes };
    let crc = format!("{:08x}", crc32fast::hash(&bytes[..end]));
    if let Some(digits) = bytes.get_mut(end + 4..end + 12) {
        digits.copy_from_slice(crc.as_bytes());
    }
    bytes
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else { return };
    let bytes = if choice & 1 == 1 { sealed(bytes) } else { bytes.to_vec() };
    let (_, good) = check::report(&bytes);
    assert_eq!(good, nodes_conf::read(&bytes).is_ok());
});
