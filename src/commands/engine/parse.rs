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

/// An argument for an error text: at most `limit` bytes of it, and as in C nothing from a NUL on; what is not UTF-8 is replaced.
pub fn shown(arg: &[u8], limit: usize) -> std::borrow::Cow<'_, str> {
    let end = arg.iter().take(limit).position(|byte| *byte == 0).unwrap_or(arg.len().min(limit));
    String::from_utf8_lossy(&arg[..end])
}
