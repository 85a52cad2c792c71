//! redis.conf's lines: words, quotes and escapes, both ways.
//!
//! Owns: the syntax of one line. Must not: know any option.

use super::words::Word;

/// Splits a line into words as Redis does: blanks separate, `"..."` with `\n \r \t \b \a \xHH \\ \"`, `'...'` with `\'`.
/// `None`: a quote is not closed, or is followed by something else than a blank.
pub(super) fn split(line: &[u8]) -> Option<Vec<Word>> {
    let mut rest = line;
    let mut words = Vec::new();
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Some(words);
        }
        let (word, after) = word(rest)?;
        words.push(word);
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

/// A word as a line may hold it: quoted if it must be; bytes that are no text as `\xHH`.
pub(super) fn quote(word: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"'\\#".contains(byte) || *byte >= 0x80;
    if let Ok(text) = std::str::from_utf8(word)
        && !text.is_empty()
        && word.iter().all(plain)
    {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for chunk in word.utf8_chunks() {
        chunk.valid().chars().for_each(|symbol| escape(symbol, &mut out));
        chunk.invalid().iter().for_each(|byte| out.push_str(&format!("\\x{byte:02x}")));
    }
    out.push('"');
    out
}

fn escape(symbol: char, out: &mut String) {
    match symbol {
        '"' | '\\' => out.extend(['\\', symbol]),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        symbol if symbol.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(symbol))),
        symbol => out.push(symbol),
    }
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
            assert_eq!(split(line.as_bytes()).unwrap(), words.iter().map(|word| Word::from(*word)).collect::<Vec<_>>(), "{line}");
        }
        for bad in [r#"a "b"#, "a 'b", r#"a "b"c"#] {
            assert_eq!(split(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_quoted_reads_back(words in proptest::collection::vec(any::<Word>(), 0..5)) {
            let line = words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(split(line.as_bytes()), Some(words));
        }

        #[test]
        fn any_line_is_taken_without_a_panic(line in any::<Word>()) {
            let _ = split(&line);
        }
    }
}
