//! Reading arguments, and the error texts that every family shares.
//!
//! Owns: Redis' reading of numbers and words, word for word in its refusals. Must not: write replies.

/// An option that the command does not know, or options that exclude each other.
pub const SYNTAX_ERROR: &str = "ERR syntax error";
/// A number that is none, or does not fit.
pub const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";

/// Whether an argument is this word in any case.
pub fn is(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}

/// A signed number as Redis takes it: no plus sign, no leading zero, no space, nothing after it.
pub use crate::wire::number::parse_i64 as integer;

/// A number in the range of the type asked for.
pub fn number<T: TryFrom<i64>>(arg: &[u8]) -> Option<T> {
    T::try_from(integer(arg)?).ok()
}

/// A number in the range of 32 bits, or the error: what is a number, but too large, is told so.
pub fn small(arg: &[u8]) -> Result<i32, &'static str> {
    let number = integer(arg).ok_or(NOT_AN_INTEGER)?;
    i32::try_from(number).map_err(|_| "ERR value is out of range, value must between -2147483648 and 2147483647")
}

/// Where a walk goes on. Unlike all other numbers it is read as C does it: up to a NUL, with spaces, a sign and zeros before it. What is
/// negative counts down from 2^64, unless it is written as Redis writes numbers.
pub fn cursor(arg: &[u8]) -> Option<u64> {
    let text = shown(arg, arg.len());
    if let Some(number) = integer(text) {
        return u64::try_from(number).ok();
    }
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | 0x09..=0x0d)).count();
    let (negative, digits) = match &text[blanks..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    let number: u64 = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()?;
    Some(if negative { number.wrapping_neg() } else { number })
}

/// So much of an argument is in an error text, at most: an argument may have 512 MB, and to copy them would hold up everybody.
pub const MOST_SHOWN: usize = 64 << 10;

/// An argument for an error text: at most `limit` bytes of it, whatever they are, and as in C nothing from a NUL on.
pub fn shown(arg: &[u8], limit: usize) -> &[u8] {
    let end = arg.iter().take(limit).position(|byte| *byte == 0).unwrap_or(arg.len().min(limit));
    &arg[..end]
}

/// An error text about an argument, between what stands before and after it.
pub fn about(before: &str, arg: &[u8], after: &str) -> Vec<u8> {
    [before.as_bytes(), shown(arg, MOST_SHOWN), after.as_bytes()].concat()
}
