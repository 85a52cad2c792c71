//! The fields of a frame's first line, from left to right.
//!
//! Owns: strict forms, and naming the message and the field when one is wrong.
//! Must not: mind fields that nobody asks for; a newer binary may send more.

use super::FrameError;
use crate::raft::Token;
use crate::types::Extent;
use crate::types::numbers::{CLOCK, Field, OFFSET, REIGN};
use crate::wire::number::parse_u64;
use std::str::FromStr;

/// Longest name that an error repeats.
const SHOWN_NAME: usize = 32;

/// A number within the field's bounds.
pub(super) fn number(text: &str, field: &Field) -> Option<u64> {
    parse_u64(text.as_bytes()).and_then(|number| field.take(number))
}

/// What is left of a first line.
pub(super) struct Fields<'a> {
    message: &'a str,
    rest: Option<&'a str>,
}

impl<'a> Fields<'a> {
    /// The line with its message's name taken off.
    pub(super) fn new(line: &'a [u8]) -> Result<Self, FrameError> {
        let Ok(line) = str::from_utf8(line) else { return Err(FrameError::NotText) };
        let mut fields = Self { message: "", rest: Some(line) };
        fields.message = fields.next().unwrap_or_default();
        Ok(fields)
    }

    /// The message's name.
    pub(super) fn message(&self) -> &'a str {
        self.message
    }

    /// All fields that are left, as they stand.
    pub(super) fn rest(&self) -> &'a str {
        self.rest.unwrap_or_default()
    }

    /// The next field, or none at the end.
    pub(super) fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest?;
        // Fields are short: a search made for long texts, as `split_once` is, costs more than all else about a message that is published.
        let (field, after) = match rest.bytes().position(|byte| byte == b' ') {
            Some(at) => (&rest[..at], Some(&rest[at + 1..])),
            None => (rest, None),
        };
        self.rest = after;
        Some(field)
    }

    /// The next field, which must be there.
    pub(super) fn text(&mut self, name: &'static str) -> Result<&'a str, FrameError> {
        self.next().ok_or_else(|| self.malformed(name))
    }

    /// A number within the field's bounds.
    pub(super) fn number(&mut self, field: &Field) -> Result<u64, FrameError> {
        number(self.text(field.name)?, field).ok_or_else(|| self.malformed(field.name))
    }

    /// A reign, and an offset in its history.
    pub(super) fn extent(&mut self) -> Result<Extent, FrameError> {
        Ok(Extent { reign: self.number(&REIGN)?, offset: self.number(&OFFSET)? })
    }

    /// A number that an older sender leaves out.
    pub(super) fn optional_number(&mut self, field: &Field) -> Result<Option<u64>, FrameError> {
        if self.rest().is_empty() { Ok(None) } else { self.number(field).map(Some) }
    }

    /// A number of all 64 bits, but not 0, that an older sender leaves out.
    pub(super) fn optional_nonce(&mut self, name: &'static str) -> Result<Option<u64>, FrameError> {
        let Some(text) = self.next() else { return Ok(None) };
        parse_u64(text.as_bytes()).filter(|nonce| *nonce != 0).map(Some).ok_or_else(|| self.malformed(name))
    }

    /// As [`Fields::number`], or `-`.
    pub(super) fn number_or_none(&mut self, field: &Field) -> Result<Option<u64>, FrameError> {
        let none = self.rest() == "-" || self.rest().starts_with("- ");
        if none { self.text(field.name).map(|_| None) } else { self.number(field).map(Some) }
    }

    /// Anything that reads itself: ids, addresses.
    pub(super) fn parse<T: FromStr>(&mut self, name: &'static str) -> Result<T, FrameError> {
        self.text(name)?.parse().map_err(|_| self.malformed(name))
    }

    /// One of two words; whether it was the second.
    pub(super) fn choice(&mut self, name: &'static str, no: &str, yes: &str) -> Result<bool, FrameError> {
        match self.text(name)? {
            word if word == yes => Ok(true),
            word if word == no => Ok(false),
            _ => Err(self.malformed(name)),
        }
    }

    /// Nonce and clock, or `-` and `-` for none.
    pub(super) fn token(&mut self) -> Result<Token, FrameError> {
        let nonce = match self.text("nonce")? {
            "-" => 0,
            text => parse_u64(text.as_bytes()).filter(|nonce| *nonce != 0).ok_or_else(|| self.malformed("nonce"))?,
        };
        if nonce != 0 {
            return Ok(Token { nonce, clock: self.number(&CLOCK)? });
        }
        if self.text("clock")? == "-" { Ok(Token::default()) } else { Err(self.malformed("clock")) }
    }

    /// Eight lower-case hex digits.
    pub(super) fn checksum(&mut self, name: &'static str) -> Result<u32, FrameError> {
        let text = self.text(name)?;
        let digits = text.len() == 8 && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        let value = if digits { u32::from_str_radix(text, 16).ok() } else { None };
        value.ok_or_else(|| self.malformed(name))
    }

    /// The error that names this message and `what` is wrong with it.
    pub(super) fn malformed(&self, what: &'static str) -> FrameError {
        FrameError::Malformed { message: self.shown_name(), what }
    }

    /// The error that names this message as unknown.
    pub(super) fn unknown(&self) -> FrameError {
        FrameError::UnknownMessage(self.shown_name())
    }

    /// Fit for a log, whatever the peer sent.
    fn shown_name(&self) -> String {
        self.message.chars().take(SHOWN_NAME).flat_map(char::escape_default).collect()
    }
}
