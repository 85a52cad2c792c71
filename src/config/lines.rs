//! redis.conf's lines: words, quotes and escapes, both ways.
//!
//! Owns: the syntax of one line. Must not: know any option.

/// Splits a line into words as Redis does: blanks separate, `"..."` with `\n \r \t \b \a \xHH \\ \"`, `'...'` with `\'`.
/// `None`: a quote is not closed, is followed by something else than a blank, or the result is not UTF-8.
pub(super) fn split(line: &str) -> Option<Vec<String>> {
    let mut rest = line.as_bytes();
    let mut words = Vec::new();
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Some(words);
        }
        let (word, after) = word(rest)?;
        words.push(String::from_utf8(word).ok()?);
        rest = after;
    }
}

fn word(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    loop {
        match rest {
            [] => return Some((word, rest)),
            [first, ..] if first.is_ascii_whitespace() => return Some((word, rest)),
            [b'"', after @ ..] => return quoted(word, after),
            [b'\'', after @ ..] => return literal(word, after),
            [first, after @ ..] => {
                word.push(*first);
                rest = after;
            }
        }
    }
}

/// The closing quote must end the word.
fn end_of_quote(word: Vec<u8>, rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let ends = rest.first().is_none_or(u8::is_ascii_whitespace);
    ends.then_some((word, rest))
}

fn quoted(mut word: Vec<u8>, mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    loop {
        match rest {
            [b'"', after @ ..] => return end_of_quote(word, after),
            [b'\\', b'x', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap_or(0) as u8;
                word.push(digit(high) << 4 | digit(low));
                rest = after;
            }
            [b'\\', escaped, after @ ..] => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                rest = after;
            }
            [first, after @ ..] => {
                word.push(*first);
                rest = after;
            }
            [] => return None,
        }
    }
}

fn literal(mut word: Vec<u8>, mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    loop {
        match rest {
            [b'\'', after @ ..] => return end_of_quote(word, after),
            [b'\\', b'\'', after @ ..] => {
                word.push(b'\'');
                rest = after;
            }
            [first, after @ ..] => {
                word.push(*first);
                rest = after;
            }
            [] => return None,
        }
    }
}

/// A word as a line may hold it: quoted if it must be.
pub(super) fn quote(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"'\\#".contains(&byte) || byte >= 0x80;
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    let mut out = String::from("\"");
    for symbol in word.chars() {
        match symbol {
            '"' | '\\' => out.extend(['\\', symbol]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            symbol if symbol.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(symbol))),
            symbol => out.push(symbol),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_quotes_and_escapes() {
        let cases: &[(&str, &[&str])] = &[
            ("  port   7000 ", &["port", "7000"]),
            (r#"requirepass "a b\x41\n\"""#, &["requirepass", "a bA\n\""]),
            (r"x 'it\'s' ''", &["x", "it's", ""]),
            ("", &[]),
        ];
        for (line, words) in cases {
            assert_eq!(split(line).unwrap(), *words, "{line}");
        }
        for bad in [r#"a "b"#, "a 'b", r#"a "b"c"#, r#"a "\xff""#] {
            assert_eq!(split(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_quoted_reads_back(words in proptest::collection::vec(any::<String>(), 0..5)) {
            let line = words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(split(&line), Some(words));
        }

        #[test]
        fn any_line_is_taken_without_a_panic(line in any::<String>()) {
            let _ = split(&line);
        }
    }
}
