//! Reading records field by field: one space between fields, nothing else.
//!
//! Owns: strict forms of numbers, ids and slot ranges. Must not: guess. Contract: docs/protocol.md, "Log entries".

use crate::types::numbers::{Field, SLOT};
use crate::types::{NodeId, Slot, SlotRange};
use std::fmt::Write;

/// An unsigned decimal number without sign or leading zeros, within the field's bounds.
pub fn number(text: &str, field: &Field) -> Option<u64> {
    let canonical = text.bytes().all(|digit| digit.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if canonical { text.parse().ok().and_then(|number| field.take(number)) } else { None }
}

/// The fields of one line, from left to right.
pub struct Fields<'a> {
    rest: Option<&'a str>,
}

/// A field was missing or had the wrong form; names the field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadField(pub &'static str);

impl<'a> Fields<'a> {
    /// The fields of `line`.
    pub fn new(line: &'a str) -> Self {
        Self { rest: Some(line) }
    }

    /// The next field, or none at the end. Two spaces in a row make an empty field, which no reader below takes.
    pub fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest?;
        let (field, rest) = match rest.split_once(' ') {
            Some((field, rest)) => (field, Some(rest)),
            None => (rest, None),
        };
        self.rest = rest;
        Some(field)
    }

    /// The next field, which must be there.
    pub fn text(&mut self, name: &'static str) -> Result<&'a str, BadField> {
        self.next().filter(|field| !field.is_empty()).ok_or(BadField(name))
    }

    /// A number within the field's bounds.
    pub fn number(&mut self, field: &Field) -> Result<u64, BadField> {
        number(self.text(field.name)?, field).ok_or(BadField(field.name))
    }

    /// Anything that reads itself: ids, addresses.
    pub fn parse<T: std::str::FromStr>(&mut self, name: &'static str) -> Result<T, BadField> {
        self.text(name)?.parse().map_err(|_| BadField(name))
    }

    /// An id, or `-` for none.
    pub fn id_or_none(&mut self, name: &'static str) -> Result<Option<NodeId>, BadField> {
        match self.text(name)? {
            "-" => Ok(None),
            text => text.parse().map(Some).map_err(|_| BadField(name)),
        }
    }

    /// Whatever is left as slot ranges, ascending and not overlapping.
    pub fn ranges(&mut self, name: &'static str) -> Result<Vec<SlotRange>, BadField> {
        let mut ranges: Vec<SlotRange> = Vec::new();
        while let Some(field) = self.next() {
            let range = slot_range(field).ok_or(BadField(name))?;
            if ranges.last().is_some_and(|last| last.last() >= range.first()) {
                return Err(BadField(name));
            }
            ranges.push(range);
        }
        Ok(ranges)
    }

    /// Nothing may be left.
    pub fn end(&self) -> Result<(), BadField> {
        if self.rest.is_none() { Ok(()) } else { Err(BadField("more fields than the record has")) }
    }
}

/// `5` or `5-9`; `5-5` is written `5`.
fn slot_range(text: &str) -> Option<SlotRange> {
    let slot = |text| Slot::new(u16::try_from(number(text, &SLOT)?).ok()?);
    match text.split_once('-') {
        None => slot(text).map(SlotRange::from),
        Some((first, last)) => SlotRange::new(slot(first)?, slot(last)?).filter(|range| range.first() < range.last()),
    }
}

/// Appends ` 0-5460 7 9-10`: every range with a space before it.
pub fn write_ranges(ranges: &[SlotRange], out: &mut String) {
    for range in ranges {
        // Writing to a String never fails.
        let _ = write!(out, " {range}");
    }
}

/// Appends an id, or `-` for none.
pub fn write_id(id: Option<&NodeId>, out: &mut String) {
    let _ = match id {
        Some(id) => write!(out, "{id}"),
        None => out.write_char('-'),
    };
}
