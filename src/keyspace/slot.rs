//! Which slot a key belongs to: CRC16 of the key, or of its hash tag.
//!
//! Owns: the function every client computes too (Redis cluster specification, "Key distribution model" and "Hash tags").

use crate::types::{SLOT_COUNT, Slot};

/// So many bytes are taken in one step: each byte alone would wait for the one before it.
const STEP: usize = 8;

/// CRC-16/XMODEM, polynomial 0x1021: what a byte adds to the sum when so many more follow it in its step.
const TABLES: [[u16; 256]; STEP] = {
    let mut tables = [[0; 256]; STEP];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut follow = 0;
        while follow < STEP {
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 0x8000 != 0 { crc << 1 ^ 0x1021 } else { crc << 1 };
                bit += 1;
            }
            tables[follow][byte] = crc;
            follow += 1;
        }
        byte += 1;
    }
    tables
};

fn crc16(bytes: &[u8]) -> u16 {
    let (steps, rest) = bytes.as_chunks::<STEP>();
    let crc = steps.iter().fold(0u16, |crc, &[a, b, c, d, e, f, g, h]| {
        let [high, low] = crc.to_be_bytes();
        let step = [h, g, f, e, d, c, b ^ low, a ^ high];
        TABLES.iter().zip(step).fold(0, |sum, (table, byte)| sum ^ table[usize::from(byte)])
    });
    rest.iter().fold(crc, |crc, byte| crc << 8 ^ TABLES[0][usize::from((crc >> 8) as u8 ^ byte)])
}

/// What of a key is hashed: between its first `{` and the first `}` after it, if anything stands there; else all of it.
fn hashed_part(key: &[u8]) -> &[u8] {
    let tag = || {
        let open = key.iter().position(|&byte| byte == b'{')?;
        let inside = &key[open + 1..];
        let close = inside.iter().position(|&byte| byte == b'}')?;
        (close > 0).then(|| &inside[..close])
    };
    tag().unwrap_or(key)
}

/// The slot of a key.
pub fn key_slot(key: &[u8]) -> Slot {
    Slot::new(crc16(hashed_part(key)) % SLOT_COUNT).expect("a remainder is below its divisor")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc16_is_the_specified_one() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(crc16(b""), 0);
        // Byte by byte and bit by bit, at every length of the last step.
        let text: Vec<u8> = (0..100u8).map(|n| n.wrapping_mul(151) ^ 0xa5).collect();
        for end in 0..text.len() {
            let bits = text[..end].iter().flat_map(|byte| (0..8).rev().map(move |bit| u16::from(byte >> bit & 1)));
            let slow = bits.fold(0u16, |crc, bit| crc << 1 ^ if crc >> 15 ^ bit == 1 { 0x1021 } else { 0 });
            assert_eq!(crc16(&text[..end]), slow, "{end}");
        }
        // As redis-cli answers CLUSTER KEYSLOT.
        for (key, slot) in [("foo", 12182), ("bar", 5061), ("hello", 866), ("somekey", 11058), ("foo{hash_tag}", 2515), ("", 0)] {
            assert_eq!(key_slot(key.as_bytes()).number(), slot, "{key}");
        }
    }

    #[test]
    fn hash_tags_follow_the_examples_of_the_specification() {
        for (key, part) in [
            ("{user1000}.following", "user1000"),
            ("foo{}{bar}", "foo{}{bar}"),
            ("foo{{bar}}zap", "{bar"),
            ("foo{bar}{zap}", "bar"),
            ("foo{bar", "foo{bar"),
            ("foo}bar{", "foo}bar{"),
            ("}{a}", "a"),
        ] {
            assert_eq!(hashed_part(key.as_bytes()), part.as_bytes(), "{key}");
        }
    }
}
