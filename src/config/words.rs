//! The words of a line or of CONFIG SET, before anybody knows what they mean.
//!
//! Owns: what of them is text, and Redis' form of a number of bytes. Must not: know any option or kind.

use std::borrow::Cow;

/// A word of a line or of a command: a password may be of any bytes.
pub(super) type Word = Vec<u8>;

/// The one word of `words`, of whatever bytes.
pub(super) fn one_word(words: &[Word]) -> Result<&Word, String> {
    let [word] = words else { return Err("wrong number of arguments".into()) };
    Ok(word)
}

/// The one word of `words`, which must be text.
pub(super) fn one(words: &[Word]) -> Result<&str, String> {
    std::str::from_utf8(one_word(words)?).map_err(|_| "argument must be UTF-8 text".into())
}

/// The same, where no value has other bytes than text: what is none is a value that is not known.
pub(super) fn plain(words: &[Word]) -> Result<Cow<'_, str>, String> {
    Ok(String::from_utf8_lossy(one_word(words)?))
}

/// The words of all of `words`: one word that holds spaces is a list typed within quotes. What is no text is no word that any list has.
pub(super) fn list(words: &[Word]) -> impl Iterator<Item = &str> {
    words.iter().flat_map(|word| std::str::from_utf8(word).unwrap_or("\u{fffd}").split_ascii_whitespace())
}

/// Bytes with an optional unit, as redis.conf has them: `k` = 1000, `kb` = 1024 and so on; no number is 0, one that is too large the
/// largest.
pub(super) fn memory(word: &str) -> Option<u64> {
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = word.split_at(digits);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    let number = if number.is_empty() { 0 } else { number.parse().unwrap_or(u64::MAX) };
    Some(number.saturating_mul(factor))
}
