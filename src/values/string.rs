//! Strings that do not lie with their keys.
//!
//! Owns: their bytes; long ones are one buffer that is shared by count. Must not: copy a long one unless it is shared and written to.
//!
//! In an RDB: type 0, the string. Its place is a byte.

use super::elements::{Parts, Piece, Place, SLICE};
use super::{Face, Load, Rubble, Rules, Value};
use crate::rdb::{Output, Packed, Problem, Reader, Stop};
use crate::types::decimal::parse_i64;
use std::rc::Rc;

/// A string of so many bytes is shared, and of those that are loaded goes straight into its place.
pub const LONG: usize = 64 << 10;
/// What is freed at once.
const FREED: usize = 1 << 20;
/// The longest string that Redis keeps together with its object.
const EMBEDDED: usize = 44;

/// See the module.
#[derive(Clone, Debug)]
pub enum Text {
    /// Shorter than [`LONG`], or as good as.
    Short(Vec<u8>),
    /// Shared by whoever looks at it.
    Long(Rc<Long>),
}

/// A buffer in which a long string lies.
#[derive(Clone, Debug)]
pub struct Long {
    buffer: Vec<u8>,
    /// Where in the buffer it begins.
    start: usize,
    rubble: Rubble,
}

impl Drop for Long {
    fn drop(&mut self) {
        if self.buffer.capacity() > FREED {
            self.rubble.push(std::mem::take(&mut self.buffer));
        }
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::Short(Vec::new())
    }
}

/// The name of a short string's encoding.
pub fn encoding(bytes: &[u8]) -> &'static str {
    match parse_i64(bytes) {
        Some(_) => "int",
        None if bytes.len() <= EMBEDDED => "embstr",
        None => "raw",
    }
}

impl Text {
    /// What lies in the buffer from `start` on.
    pub fn within(buffer: Vec<u8>, start: usize, rules: &Rules) -> Self {
        if buffer.len() - start < LONG {
            return Self::Short(if start == 0 { buffer } else { buffer[start..].to_vec() });
        }
        Self::Long(Rc::new(Long { buffer, start, rubble: rules.rubble.clone() }))
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Short(bytes) => bytes,
            Self::Long(long) => &long.buffer[long.start..],
        }
    }

    /// Whether it is told in pieces.
    pub fn is_sliced(&self) -> bool {
        !Piece::of(self.bytes(), 0).ends()
    }

    /// Becomes these bytes, in the room that it has if that fits.
    pub fn set(&mut self, bytes: &[u8], rules: &Rules) {
        match self {
            Self::Short(old) if bytes.len() < LONG => {
                old.clear();
                old.extend_from_slice(bytes);
                old.shrink_to(bytes.len() * 2);
            }
            _ => *self = Self::within(bytes.to_vec(), 0, rules),
        }
    }

    /// Writes `part` from this byte on, with zeros between the end and it. What is shared is copied.
    pub fn overwrite(&mut self, offset: usize, part: &[u8], rules: &Rules) {
        match self {
            Self::Short(bytes) => {
                overwrite(bytes, offset, part);
                if bytes.len() >= LONG {
                    *self = Self::within(std::mem::take(bytes), 0, rules);
                }
            }
            Self::Long(long) => {
                let long = Rc::make_mut(long);
                overwrite(&mut long.buffer, long.start + offset, part);
            }
        }
    }
}

/// Writes `part` at this byte of a string that may end before, or grows.
pub fn overwrite(bytes: &mut Vec<u8>, offset: usize, part: &[u8]) {
    if bytes.len() == offset {
        return bytes.extend_from_slice(part);
    }
    let end = offset + part.len();
    bytes.resize(bytes.len().max(end), 0);
    bytes[offset..end].copy_from_slice(part);
}

impl Face for Text {
    const NAME: &'static str = "string";
    const RDB: &'static [u8] = &[0];
    type Thresholds = ();
    const SHIPPED: () = ();

    fn encoding(&self) -> &'static str {
        encoding(self.bytes())
    }

    fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    fn cost(&self) -> usize {
        match self {
            Self::Short(bytes) => bytes.capacity(),
            Self::Long(long) => size_of::<Long>() + long.buffer.capacity(),
        }
    }

    fn rdb_form(&self) -> u8 {
        Self::RDB[0]
    }

    fn walk(&self, mut from: Place, _: Parts, budget: usize, tell: &mut dyn FnMut(Piece<'_>)) -> Option<Place> {
        let end = from.byte.saturating_add(budget);
        loop {
            let piece = Piece::of(self.bytes(), from.byte);
            tell(piece);
            from.byte += piece.bytes.len();
            if piece.ends() {
                return None;
            }
            if from.byte >= end {
                return Some(from);
            }
        }
    }

    fn save(&self, from: Place, out: &mut Output<'_>) -> Option<Place> {
        self.walk(from, Parts::Both, out.left(), &mut |piece| piece.save(out))
    }

    fn load(_form: u8, rules: &Rules) -> Box<dyn Load> {
        Box::new(LoadText { string: LoadString::default(), rules: rules.clone() })
    }

    fn command(&self, from: Place, tell: &mut dyn FnMut(&[&[u8]])) -> Option<Place> {
        let bytes = self.bytes();
        let end = bytes.len().min(from.byte + SLICE);
        tell(&[if from.byte == 0 { b"SET" } else { b"APPEND" }, &bytes[from.byte..end]]);
        (end < bytes.len()).then_some(Place { byte: end, ..from })
    }

    #[cfg(test)]
    fn samples(rules: &Rules) -> Vec<Self> {
        [0, 5, LONG, 1_000_000].map(|length| Self::within(vec![b'x'; length], 0, rules)).to_vec()
    }
}

struct LoadText {
    string: LoadString,
    rules: Rules,
}

impl Load for LoadText {
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<Option<Value>, Stop> {
        Ok(self.string.read(reader)?.map(|bytes| Text::within(bytes, 0, &self.rules).into()))
    }
}

/// Reads one string; a long one in as many parts as it comes.
#[derive(Default)]
pub struct LoadString(Option<(Vec<u8>, usize)>);

impl LoadString {
    /// Reads on; the bytes, once they are whole. As [`Load::read`].
    pub fn read(&mut self, reader: &mut Reader<'_>) -> Result<Option<Vec<u8>>, Stop> {
        if let Some((bytes, length)) = &mut self.0 {
            let piece = reader.take_some(*length - bytes.len())?;
            bytes.extend_from_slice(piece);
            return Ok(if bytes.len() == *length { self.0.take().map(|(bytes, _)| bytes) } else { None });
        }
        if let Some(length) = reader.long_string(LONG)? {
            self.0 = Some((room(length)?, length));
            return Ok(None);
        }
        match reader.string()? {
            packed @ Packed::Lzf(_, length) if length >= LONG => {
                let mut bytes = room(length)?;
                packed.unpack(&mut bytes)?;
                Ok(Some(bytes))
            }
            packed => Ok(Some(packed.unpack(&mut Vec::new())?.to_vec())),
        }
    }
}

/// Memory for so many bytes. It is the system's only as they come.
fn room(length: usize) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).map_err(|_| Problem::Memory { length, key: String::new() })?;
    Ok(bytes)
}
