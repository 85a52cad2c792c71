//! Inline commands: a line of words with Redis' quoting, as typed into telnet.
//!
//! Owns: splitting one line. Must not: find the line's end (resp does).

use super::args::Range32;

/// A quote was left open, or followed by something else than a space.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unbalanced;

/// What C's `isspace` takes for a space.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// Splits `line` into `ranges` of `out`, both emptied first.
pub(super) fn split(line: &[u8], out: &mut Vec<u8>, ranges: &mut Vec<Range32>) -> Result<(), Unbalanced> {
    out.clear();
    ranges.clear();
    let mut rest = skip_blanks(line);
    while !rest.is_empty() {
        let start = out.len() as u32;
        rest = skip_blanks(word(rest, out)?);
        ranges.push(Range32 { start, end: out.len() as u32 });
    }
    Ok(())
}

/// The line from its next word on. (`trim_ascii_start` forgets the vertical tab, which `isspace` does not.)
fn skip_blanks(line: &[u8]) -> &[u8] {
    let blanks = line.iter().take_while(|byte| is_space(**byte)).count();
    &line[blanks..]
}

/// Appends the word that `rest` begins with, and returns what follows it. Quotes may open in the middle of a word, but end it.
fn word<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    while let [byte, after @ ..] = rest {
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' => return Ok(rest),
            b'"' => return closed(double_quoted(after, out)?),
            b'\'' => return closed(single_quoted(after, out)?),
            byte => out.push(*byte),
        }
        rest = after;
    }
    Ok(rest)
}

/// A closing quote ends its word: a space or nothing must follow.
fn closed(rest: &[u8]) -> Result<&[u8], Unbalanced> {
    match rest {
        [byte, ..] if !is_space(*byte) => Err(Unbalanced),
        _ => Ok(rest),
    }
}

/// Between double quotes: `\xHH`, `\n`, `\r`, `\t`, `\b`, `\a`, and `\` before anything else means that.
fn double_quoted<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        rest = match rest {
            [] => return Err(Unbalanced),
            [b'"', after @ ..] => return Ok(after),
            [b'\\', b'x', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(nibble(*high) << 4 | nibble(*low));
                after
            }
            [b'\\', escaped, after @ ..] => {
                out.push(unescape(*escaped));
                after
            }
            [byte, after @ ..] => {
                out.push(*byte);
                after
            }
        };
    }
}

/// Between single quotes only `\'` is an escape.
fn single_quoted<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        rest = match rest {
            [] => return Err(Unbalanced),
            [b'\'', after @ ..] => return Ok(after),
            [b'\\', b'\'', after @ ..] => {
                out.push(b'\'');
                after
            }
            [byte, after @ ..] => {
                out.push(*byte);
                after
            }
        };
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

/// The value of a hex digit.
fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &[u8]) -> Result<Vec<Vec<u8>>, Unbalanced> {
        let (mut out, mut ranges) = (b"old".to_vec(), Vec::new());
        split(line, &mut out, &mut ranges)?;
        Ok(ranges.iter().map(|range| out[range.start as usize..range.end as usize].to_vec()).collect())
    }

    #[test]
    fn words_are_split_and_unquoted_as_in_redis() {
        let cases: [(&[u8], &[&[u8]]); 11] = [
            (b"", &[]),
            (b" \t \x0b ", &[]),
            (b"PING", &[b"PING"]),
            (b"  SET  a\tb ", &[b"SET", b"a", b"b"]),
            (br#"SET "a b" 'c d'"#, &[b"SET", b"a b", b"c d"]),
            (br#""\x41\x4a\xfF\n\r\t\b\a\q\"" "#, &[b"AJ\xff\n\r\t\x08\x07q\""]),
            (br#""\xg1\x4""#, &[b"xg1x4"]),
            (br#"'it\'s \n'"#, &[br"it's \n"]),
            (br#""" ''"#, &[b"", b""]),
            (br#"foo"bar baz""#, &[b"foobar baz"]),
            (b"a\x0bb c", &[b"a\x0bb", b"c"]),
        ];
        for (line, expected) in cases {
            assert_eq!(words(line).unwrap(), expected, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn open_or_glued_quotes_are_unbalanced() {
        for line in [&b"\""[..], b"'", b"\"a", b"'a", b"\"a\"b", b"'a'b", b"\"\\\"", b"'\\'", b"\"a\\", b"x\"\\x4"] {
            assert_eq!(words(line), Err(Unbalanced), "{}", line.escape_ascii());
        }
    }
}
