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

/// An argument for an error text: at most `limit` bytes of it, what is not UTF-8 replaced.
pub fn shown(arg: &[u8], limit: usize) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(&arg[..arg.len().min(limit)])
}
