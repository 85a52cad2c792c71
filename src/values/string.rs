//! Strings that do not lie with their keys.
//!
//! Owns: which of two forms they have: long ones are made of stretches that are shared (`long.rs`). Must not: copy a long one.
//!
//! In an RDB: type 0, the string. Its place is a byte.

use super::elements::{Parts, Piece, Place, SLICE, WHOLE};
use super::{Bytes, Face, Load, Long, Rules, Shared, Value};
use crate::rdb::{Output, Packed, Problem, Reader, Stop};
use crate::types::decimal::parse_i64;
use std::borrow::Cow;
use std::ops::Range;
use std::rc::Rc;

/// A string of so many bytes is shared, and of those that are loaded goes straight into its place.
pub const LONG: usize = 64 << 10;
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

impl Default for Text {
    fn default() -> Self {
        Self::Short(Vec::new())
    }
}

/// A string as it is read.
#[derive(Clone, Copy, Debug)]
pub enum Str<'a> {
    /// As [`Text::Short`], or one that lies with its key.
    Short(&'a [u8]),
    /// As [`Text::Long`].
    Long(&'a Long),
}

impl<'a> Str<'a> {
    /// How many bytes it has.
    pub fn len(self) -> usize {
        match self {
            Self::Short(bytes) => bytes.len(),
            Self::Long(long) => long.len(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Its bytes; none if there are so many that they do not lie together.
    pub fn short(self) -> Option<&'a [u8]> {
        match self {
            Self::Short(bytes) => Some(bytes),
            Self::Long(_) => None,
        }
    }

    /// These bytes of it, copied if they do not lie together.
    pub fn bytes(self, range: Range<usize>) -> Cow<'a, [u8]> {
        match self {
            Self::Short(bytes) => Cow::Borrowed(&bytes[range]),
            Self::Long(long) => long.bytes(range),
        }
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
    /// A string of these bytes.
    pub fn new(bytes: &Bytes<'_>, rules: &Rules) -> Self {
        match bytes {
            Bytes::Lent(bytes) => Self::of_buffer(bytes.to_vec(), rules),
            Bytes::Shared(shared) if shared.len() < LONG => Self::Short(shared.to_vec()),
            Bytes::Shared(_) => Self::long(bytes, rules),
        }
    }

    /// A string of the bytes in this buffer, which are not copied.
    pub fn of_buffer(buffer: Vec<u8>, rules: &Rules) -> Self {
        if buffer.len() < LONG { Self::Short(buffer) } else { Self::long(&Shared::new(buffer, &rules.rubble).into(), rules) }
    }

    fn long(bytes: &Bytes<'_>, rules: &Rules) -> Self {
        let mut long = Long::new(&rules.rubble);
        long.write(0, bytes);
        Self::Long(Rc::new(long))
    }

    /// It, to be read.
    pub fn read(&self) -> Str<'_> {
        match self {
            Self::Short(bytes) => Str::Short(bytes),
            Self::Long(long) => Str::Long(long),
        }
    }

    /// Writes `part` from this byte on, with zeros between the end and it. What is shared is copied, as far as it is written to.
    pub fn overwrite(&mut self, offset: usize, part: &Bytes<'_>, rules: &Rules) {
        if let Self::Short(bytes) = self {
            if offset + part.len() < LONG {
                return overwrite(bytes, offset, part);
            }
            *self = Self::long(&std::mem::take(bytes).as_slice().into(), rules);
        }
        if let Self::Long(long) = self {
            Rc::make_mut(long).write(offset, part);
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
        match self {
            Self::Short(bytes) => encoding(bytes),
            Self::Long(_) => "raw",
        }
    }

    fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    fn cost(&self) -> usize {
        match self {
            Self::Short(bytes) => bytes.capacity(),
            Self::Long(long) => long.cost(),
        }
    }

    fn rdb_form(&self) -> u8 {
        Self::RDB[0]
    }

    fn walk(&self, mut from: Place, _: Parts, budget: usize, tell: &mut dyn FnMut(Piece<'_>)) -> Option<Place> {
        let (text, end) = (self.read(), from.byte.saturating_add(budget));
        let length = text.len();
        loop {
            let to = if length <= WHOLE { length } else { length.min(from.byte + SLICE) };
            tell(Piece { bytes: &text.bytes(from.byte..to), at: from.byte, length });
            from.byte = to;
            if to == length {
                return None;
            }
            if to >= end {
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
        let text = self.read();
        let end = text.len().min(from.byte + SLICE);
        tell(&[if from.byte == 0 { b"SET" } else { b"APPEND" }, &text.bytes(from.byte..end)]);
        (end < text.len()).then_some(Place { byte: end, ..from })
    }

    #[cfg(test)]
    fn samples(rules: &Rules) -> Vec<Self> {
        let mut samples = [0, 5, LONG, 1_000_000].map(|length| Self::of_buffer(vec![b'x'; length], rules)).to_vec();
        samples.iter_mut().skip(2).for_each(|text| text.overwrite(200_000, &b"more".into(), rules));
        samples
    }
}

struct LoadText {
    string: LoadString,
    rules: Rules,
}

impl Load for LoadText {
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<Option<Value>, Stop> {
        Ok(self.string.read(reader)?.map(|bytes| Text::of_buffer(bytes, &self.rules).into()))
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
