//! One line of the log tail: `<word> <crc> <content>`.
//!
//! Owns: that line and its checksum. Must not: know what an entry says, or where a line may stand (tail does). Contract:
//! docs/nodes-conf.md, "The log tail".

use crate::cluster::fields::number;
use crate::types::LogIndex;
use crate::types::numbers::SYNCED_INDEX;

/// The word of a line that holds an entry.
pub const LOG: &str = "log";
/// The word of a line that says what was on disk before it.
pub const SYNCED: &str = "synced";

/// The longest `synced` line: word, checksum, the largest index, line end.
const SYNCED_MAX_BYTES: usize = 6 + 1 + 8 + 1 + 20 + 1;

/// A line whose checksum is right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Record<'a> {
    /// `<index> <entry>`, not read yet.
    Log(&'a str),
    /// All up to this index was on disk before the line was written.
    Synced(LogIndex),
    /// A word that this binary does not know.
    Unknown(&'a str),
}

/// Appends a line.
pub fn write(word: &str, content: &str, out: &mut String) {
    use std::fmt::Write;
    // Writing to a String never fails.
    let _ = writeln!(out, "{word} {:08x} {content}", crc32fast::hash(content.as_bytes()));
}

/// Exactly 8 lower-case hex digits: a checksum has one text only, so that no changed digit can pass.
pub fn parse_crc(digits: &[u8]) -> Option<u32> {
    let lower_hex = digits.len() == 8 && digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    if !lower_hex {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Reads a line with its line end, or says why it is bad. A torn write can make any bad line, and no good one.
pub fn read(line: &[u8]) -> Result<Record<'_>, &'static str> {
    let line = line.strip_suffix(b"\n").ok_or("it has no end")?;
    let word_end = line.iter().position(|byte| *byte == b' ').ok_or("it is not <word> <crc> <content>")?;
    let (word, rest) = (&line[..word_end], &line[word_end + 1..]);
    let (digits, content) = rest.split_at_checked(8).ok_or("it is not <word> <crc> <content>")?;
    let crc = parse_crc(digits).ok_or("its crc is not 8 lower-case hex digits")?;
    let content = content.strip_prefix(b" ").ok_or("it is not <word> <crc> <content>")?;
    if crc32fast::hash(content) != crc {
        return Err("its crc is wrong");
    }
    let content = std::str::from_utf8(content).map_err(|_| "it is not text")?;
    match std::str::from_utf8(word).map_err(|_| "it is not text")? {
        LOG => Ok(Record::Log(content)),
        SYNCED => number(content, &SYNCED_INDEX).map(Record::Synced).ok_or("its index is no number"),
        word if word.len() <= 16 && word.bytes().all(|byte| byte.is_ascii_lowercase()) => Ok(Record::Unknown(word)),
        _ => Err("it begins with no word"),
    }
}

/// Where the first good `synced` record at or after `from` begins, be it at the start of a line or not: damage to the line end before it
/// takes nothing from what it proves.
pub fn find_synced(bytes: &[u8], from: usize) -> Option<usize> {
    let is_synced = |at: &usize| {
        let window = &bytes[*at..bytes.len().min(at + SYNCED_MAX_BYTES)];
        let Some(end) = window.iter().position(|byte| *byte == b'\n') else { return false };
        matches!(read(&window[..=end]), Ok(Record::Synced(_)))
    };
    (from..bytes.len()).filter(|at| bytes[*at..].starts_with(SYNCED.as_bytes())).find(is_synced)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(word: &str, content: &str) -> String {
        let mut out = String::new();
        write(word, content, &mut out);
        out
    }

    #[test]
    fn a_line_reads_back_and_any_changed_byte_makes_it_bad_or_unknown() {
        for (word, content) in [(LOG, "7 3 NOOP 5000"), (SYNCED, "7")] {
            let good = line(word, content);
            assert!(matches!(read(good.as_bytes()), Ok(Record::Log("7 3 NOOP 5000") | Record::Synced(7))));
            for at in 0..good.len() {
                for value in 0..=255 {
                    let mut bytes = good.clone().into_bytes();
                    if std::mem::replace(&mut bytes[at], value) != value {
                        assert!(!matches!(read(&bytes), Ok(Record::Log(_) | Record::Synced(_))), "byte {at} = {value}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_line_cut_anywhere_is_bad() {
        let good = line(LOG, "7 3 NOOP 5000");
        assert!((0..good.len()).all(|end| read(&good.as_bytes()[..end]).is_err()));
        for bad in ["\n", " \n", "log\n", "log 00000000\n", "log 00000000", "log  00000000 x\n", "LOG 00000000 \n"] {
            assert!(read(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert_eq!(read(line("later", "x y").as_bytes()), Ok(Record::Unknown("later")));
        assert!(read(line(SYNCED, "07").as_bytes()).is_err() && read(line(SYNCED, "").as_bytes()).is_err());
    }

    #[test]
    fn a_synced_record_is_found_behind_a_lost_line_end() {
        let text = format!("log 00000000 junkX{}rest", line(SYNCED, "12"));
        assert_eq!(find_synced(text.as_bytes(), 0), text.find("synced"));
        assert_eq!(find_synced(text.as_bytes(), text.find("synced").unwrap() + 1), None);
        assert_eq!(find_synced(b"synced 00000000 1\nsynced", 0), None);
        let largest = line(SYNCED, &SYNCED_INDEX.greatest.to_string());
        assert_eq!(find_synced(largest.as_bytes(), 0), Some(0));
    }
}
