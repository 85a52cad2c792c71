//! Clients' requests: arrays of bulk strings, or inline commands; incremental and bounded.
//!
//! Owns: finding one request at the start of a buffer, however the bytes arrive, without reading any of them twice.
//! Must not: copy arguments (inline ones excepted, which must be unquoted), nor keep bytes: they stay in the caller's buffer.
//! Contract: the Redis protocol specification; limits and error words as in Redis. Like Redis, it takes the two bytes after a
//! line or a bulk string for CR LF without looking at them.

use super::args::{Args, Range32};
use super::inline;
use super::number::parse_i64;
use crate::values::Shared;

/// What an unauthenticated client may send when a password is needed.
const UNAUTHENTICATED_MAX_ARGS: u32 = 10;
const UNAUTHENTICATED_MAX_BULK: u32 = 16 * 1024;
/// Room for ranges that a parser keeps from one request to the next; what a big request needed beyond is given back.
const KEPT_RANGES: usize = 512;
/// Room for unquoted inline words that a parser keeps.
const KEPT_WORDS: usize = 1024;

/// The bounds on one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Most arguments.
    pub max_args: u32,
    /// Longest argument (`proto-max-bulk-len`).
    pub max_bulk: u32,
    /// Longest inline command, and longest line with a count or length.
    pub max_inline: u32,
    /// Longest request as a whole (`client-query-buffer-limit`), by what has come of it, not by what is announced.
    pub max_request: u32,
    /// False while a password is needed and has not been given: 10 arguments of 16 KiB at most, as in Redis.
    pub authenticated: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_args: i32::MAX as u32, max_bulk: 512 << 20, max_inline: 64 * 1024, max_request: 1 << 30, authenticated: true }
    }
}

/// The client broke the protocol. It gets `ERR ` and this text, then the connection is closed; one whose request is
/// too big is closed at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProtocolError {
    /// `*` was followed by no number, or by one above the limit.
    #[error("Protocol error: invalid multibulk length")]
    InvalidMultibulkLength,
    /// More arguments than an unauthenticated client may send.
    #[error("Protocol error: unauthenticated multibulk length")]
    UnauthenticatedMultibulkLength,
    /// `$` was followed by no number, a negative one, or one above the limit.
    #[error("Protocol error: invalid bulk length")]
    InvalidBulkLength,
    /// A longer argument than an unauthenticated client may send.
    #[error("Protocol error: unauthenticated bulk length")]
    UnauthenticatedBulkLength,
    /// An argument did not begin with `$`.
    #[error("Protocol error: expected '$', got '{}'", in_line(*.0))]
    ExpectedDollar(u8),
    /// The line after `*` does not end.
    #[error("Protocol error: too big mbulk count string")]
    TooBigCountLine,
    /// The line after `$` does not end.
    #[error("Protocol error: too big bulk count string")]
    TooBigLengthLine,
    /// An inline command is longer than the limit.
    #[error("Protocol error: too big inline request")]
    TooBigInline,
    /// An inline command's quotes do not pair.
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    /// The request as a whole is longer than the limit.
    #[error("Protocol error: too big request")]
    TooBigRequest,
}

/// A whole request stands at the start of the buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parsed {
    /// How many bytes it takes; the next request begins there.
    pub used: usize,
}

/// Where in the request the parser stands.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Nothing read yet.
    Start,
    /// In an inline command.
    Inline,
    /// In the line `*<count>`.
    Count,
    /// In a line `$<length>`.
    Length,
    /// In an argument of this length.
    Bulk(u32),
}

/// Reads requests off the front of a receive buffer.
#[derive(Debug)]
pub struct Parser {
    limits: Limits,
    stage: Stage,
    /// Where the item of `stage` begins, counted from the request's start.
    position: usize,
    /// From where on a line's end is still to be looked for; never before `position`.
    scanned: usize,
    /// Arguments still to come, the one of `stage` included.
    missing: u32,
    /// Arguments read so far, as ranges of the request, or of `words` for an inline command.
    ranges: Vec<Range32>,
    /// The unquoted arguments of an inline command.
    words: Vec<u8>,
    /// The arguments stand in `words`.
    inline: bool,
}

impl Parser {
    /// A parser at the start of a stream.
    pub fn new(limits: Limits) -> Self {
        let (ranges, words) = (Vec::new(), Vec::new());
        Self { limits, stage: Stage::Start, position: 0, scanned: 0, missing: 0, ranges, words, inline: false }
    }

    /// Other limits, for what is read from now on (a client has authenticated, an operator has set an option).
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The request at the start of `buf`, once it is there as a whole. Then `args` has its arguments, and the next call takes the bytes
    /// after `used`. After `None` the next call takes the same bytes again, with more behind them. After an error the stream cannot be read
    /// on.
    ///
    /// A request can have no arguments (an empty line, `*0`): the caller drops it and reads on.
    pub fn next(&mut self, buf: &[u8]) -> Result<Option<Parsed>, ProtocolError> {
        loop {
            let advanced = match self.stage {
                Stage::Start => self.start(buf),
                Stage::Inline => return self.inline_command(buf),
                Stage::Count => self.count(buf)?,
                Stage::Length => self.length(buf)?,
                Stage::Bulk(length) => self.bulk(buf, length),
            };
            if !advanced {
                return self.bounded(buf.len()).map(|()| None);
            }
            if self.missing == 0 && matches!(self.stage, Stage::Length) {
                self.bounded(self.position)?;
                self.stage = Stage::Start;
                return Ok(Some(Parsed { used: self.position }));
            }
        }
    }

    /// The arguments of the request that `next` has just returned from this same `buf`.
    pub fn args<'a>(&'a self, buf: &'a [u8]) -> Args<'a> {
        Args::new(if self.inline { &self.words } else { buf }, &self.ranges)
    }

    /// The same, if others may hold that `buf` too.
    pub fn args_within<'a>(&'a self, buf: &'a Shared) -> Args<'a> {
        if self.inline { Args::new(&self.words, &self.ranges) } else { Args::within(buf, &self.ranges) }
    }

    /// How many bytes of the request there will be when the argument is whole that is to come; 0 before its length has been read.
    pub fn awaited(&self) -> usize {
        match self.stage {
            Stage::Bulk(length) => self.position + length as usize + 2,
            Stage::Start | Stage::Inline | Stage::Count | Stage::Length => 0,
        }
    }

    /// Forgets the last request, and the memory that only a big one needs.
    fn start(&mut self, buf: &[u8]) -> bool {
        self.ranges.clear();
        self.ranges.shrink_to(KEPT_RANGES);
        self.words.clear();
        self.words.shrink_to(KEPT_WORDS);
        (self.position, self.scanned, self.missing) = (0, 0, 0);
        let Some(first) = buf.first() else { return false };
        self.inline = *first != b'*';
        self.stage = if self.inline { Stage::Inline } else { Stage::Count };
        true
    }

    /// Refuses a request of which so much has come, if that is too much.
    fn bounded(&self, length: usize) -> Result<(), ProtocolError> {
        if length > self.limits.max_request as usize { Err(ProtocolError::TooBigRequest) } else { Ok(()) }
    }

    /// As in Redis, a line with a NUL has no end: what speaks another protocol is not served.
    fn inline_command(&mut self, buf: &[u8]) -> Result<Option<Parsed>, ProtocolError> {
        let stop = find(buf, self.scanned, |byte| matches!(byte, b'\n' | 0));
        let end = stop.filter(|at| buf[*at] == b'\n');
        if end.unwrap_or(buf.len()) > self.limits.max_inline as usize {
            return Err(ProtocolError::TooBigInline);
        }
        let Some(end) = end else {
            self.scanned = stop.unwrap_or(buf.len());
            return Ok(None);
        };
        let line = buf[..end].strip_suffix(b"\r").unwrap_or(&buf[..end]);
        inline::split(line, &mut self.words, &mut self.ranges).map_err(|_| ProtocolError::UnbalancedQuotes)?;
        self.stage = Stage::Start;
        Ok(Some(Parsed { used: end + 1 }))
    }

    fn count(&mut self, buf: &[u8]) -> Result<bool, ProtocolError> {
        let Some(line) = self.line(buf, ProtocolError::TooBigCountLine)? else { return Ok(false) };
        let count = parse_i64(line).filter(|count| *count <= i64::from(self.limits.max_args));
        let count = count.ok_or(ProtocolError::InvalidMultibulkLength)?.max(0) as u32;
        if !self.limits.authenticated && count > UNAUTHENTICATED_MAX_ARGS {
            return Err(ProtocolError::UnauthenticatedMultibulkLength);
        }
        self.missing = count;
        self.stage = Stage::Length;
        Ok(true)
    }

    fn length(&mut self, buf: &[u8]) -> Result<bool, ProtocolError> {
        match buf.get(self.position) {
            None => return Ok(false),
            Some(b'$') => {}
            Some(other) => return Err(ProtocolError::ExpectedDollar(*other)),
        }
        let Some(line) = self.line(buf, ProtocolError::TooBigLengthLine)? else { return Ok(false) };
        let length = parse_i64(line).filter(|length| (0..=i64::from(self.limits.max_bulk)).contains(length));
        let length = length.ok_or(ProtocolError::InvalidBulkLength)? as u32;
        if !self.limits.authenticated && length > UNAUTHENTICATED_MAX_BULK {
            return Err(ProtocolError::UnauthenticatedBulkLength);
        }
        // So that a range fits 32 bits.
        if self.position as u64 + u64::from(length) + 2 > u64::from(u32::MAX) {
            return Err(ProtocolError::TooBigRequest);
        }
        self.stage = Stage::Bulk(length);
        Ok(true)
    }

    fn bulk(&mut self, buf: &[u8], length: u32) -> bool {
        let (start, end) = (self.position, self.position + length as usize);
        if buf.len() < end + 2 {
            return false;
        }
        self.ranges.push(Range32 { start: start as u32, end: end as u32 });
        self.missing -= 1;
        self.item_at(end + 2);
        self.stage = Stage::Length;
        true
    }

    /// The rest of the line that began with `*` or `$`, once its two last bytes are there; the next item begins behind them.
    fn line<'a>(&mut self, buf: &'a [u8], too_big: ProtocolError) -> Result<Option<&'a [u8]>, ProtocolError> {
        let end = find(buf, self.scanned, |byte| byte == b'\r');
        if end.unwrap_or(buf.len()).saturating_sub(self.position) > self.limits.max_inline as usize {
            return Err(too_big);
        }
        let Some(end) = end.filter(|end| end + 1 < buf.len()) else {
            // A CR that has come without its LF is looked at again.
            self.scanned = end.unwrap_or(buf.len());
            return Ok(None);
        };
        let line = &buf[self.position + 1..end];
        self.item_at(end + 2);
        Ok(Some(line))
    }

    fn item_at(&mut self, position: usize) {
        (self.position, self.scanned) = (position, position);
    }
}

/// The first byte in `buf` from `start` on that is wanted. A `start` beyond the end finds nothing.
fn find(buf: &[u8], start: usize, is_wanted: impl Fn(u8) -> bool) -> Option<usize> {
    buf.get(start..)?.iter().position(|byte| is_wanted(*byte)).map(|at| start + at)
}

/// As an error's line can hold it.
fn in_line(byte: u8) -> String {
    match byte {
        b'\r' | b'\n' => " ".to_owned(),
        byte if byte.is_ascii_graphic() => char::from(byte).to_string(),
        byte => byte.escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests;
