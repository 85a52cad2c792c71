//! Listpacks: strings one behind the other in one buffer, integers among them in binary.
//!
//! Owns: the form (Redis' "listpack" specification), which RDBs hold as it is. Must not: trust bytes from outside: [`Listpack::read`] looks
//! at each.
//!
//! `total bytes: u32`, `elements: u16` (65535: count them), elements, `0xff`. An element is an encoding byte that says its type and length,
//! its data, and the length of both backwards. Every string that is an integer's text is kept as that integer in its shortest form.

use crate::types::decimal::{parse_i64, push_i64};

const HEADER: usize = 6;
const END: u8 = 0xff;
/// The count that says that there are too many for it.
const UNCOUNTED: u16 = u16::MAX;

/// See the module. Well-formed throughout.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listpack(Vec<u8>);

/// An element, not copied.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Element<'a> {
    /// The integer whose text it is.
    Integer(i64),
    /// Any other string.
    Bytes(&'a [u8]),
}

impl<'a> Element<'a> {
    /// The form of this string.
    pub fn of(string: &'a [u8]) -> Self {
        parse_i64(string).map_or(Self::Bytes(string), Self::Integer)
    }

    /// Itself, or the integer whose text it turns out to be.
    fn shortest(self) -> Self {
        if let Self::Bytes(bytes) = self { Self::of(bytes) } else { self }
    }

    /// Shows its text, which may need the buffer.
    pub fn text<'b>(self, buffer: &'b mut Vec<u8>) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Integer(number) => {
                buffer.clear();
                push_i64(buffer, number);
                buffer
            }
        }
    }
}

/// An element in its place.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// Where it begins.
    pub start: usize,
    /// Where the next one does.
    pub end: usize,
    /// It.
    pub element: Element<'a>,
}

impl Default for Listpack {
    fn default() -> Self {
        Self(vec![HEADER as u8 + 1, 0, 0, 0, 0, 0, END])
    }
}

impl Listpack {
    /// Takes bytes from outside, if they are a listpack.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let total = u32::from_le_bytes(*bytes.first_chunk()?);
        if total as usize != bytes.len() || bytes.len() <= HEADER || bytes.last() != Some(&END) {
            return None;
        }
        let (mut at, mut count, mut canonical) = (HEADER, 0usize, true);
        while at < bytes.len() - 1 {
            let found = decode(&bytes[..bytes.len() - 1], at)?;
            canonical &= encoded(found.element.shortest()) == bytes[at..found.end];
            (at, count) = (found.end, count + 1);
        }
        let stored = u16::from_le_bytes([bytes[4], bytes[5]]);
        let known = stored == UNCOUNTED || usize::from(stored) == count;
        let taken = Self(bytes.to_vec());
        if !known {
            return None;
        }
        if canonical {
            return Some(taken);
        }
        // Another writer may have packed an integer's text as a string.
        Some(Self::of(taken.iter().map(|found| found.element.shortest()), count))
    }

    /// So many elements: as many bytes at most as some other listpack of them has.
    fn of<'a>(elements: impl Iterator<Item = Element<'a>>, count: usize) -> Self {
        let mut pack = Self(vec![0; HEADER]);
        elements.for_each(|element| pack.0.extend_from_slice(&encoded(element)));
        pack.0.push(END);
        pack.write_total();
        pack.write_count(count);
        pack
    }

    /// The buffer as it is.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Memory that it takes, in bytes.
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        match u16::from_le_bytes([self.0[4], self.0[5]]) {
            UNCOUNTED => self.iter().count(),
            count => count.into(),
        }
    }

    /// The elements in order.
    pub fn iter(&self) -> impl Iterator<Item = Found<'_>> {
        let mut at = HEADER;
        std::iter::from_fn(move || {
            let found = decode(&self.0[..self.0.len() - 1], at)?;
            at = found.end;
            Some(found)
        })
    }

    /// Adds a string at the end.
    pub fn push(&mut self, string: &[u8]) {
        self.push_element(Element::of(string));
    }

    fn push_element(&mut self, element: Element<'_>) {
        let end = self.0.len() - 1;
        self.splice(end..end, &encoded(element), 1);
    }

    /// Puts a string in the place of the element that lies there.
    pub fn replace(&mut self, place: std::ops::Range<usize>, string: &[u8]) {
        self.splice(place, &encoded(Element::of(string)), 0);
    }

    /// Removes so many elements, which lie there.
    pub fn remove(&mut self, place: std::ops::Range<usize>, elements: usize) {
        self.splice(place, &[], -(elements as isize));
        self.0.shrink_to(self.0.len() + self.0.len() / 4);
    }

    fn splice(&mut self, place: std::ops::Range<usize>, by: &[u8], more: isize) {
        let count = (more != 0).then(|| self.len().saturating_add_signed(more));
        self.0.reserve_exact(by.len().saturating_sub(place.len()));
        self.0.splice(place, by.iter().copied());
        self.write_total();
        if let Some(count) = count {
            self.write_count(count);
        }
    }

    fn write_total(&mut self) {
        let total = u32::try_from(self.0.len()).expect("what is packed is small: who packs sees to it").to_le_bytes();
        self.0[..4].copy_from_slice(&total);
    }

    fn write_count(&mut self, count: usize) {
        let count = u16::try_from(count).unwrap_or(UNCOUNTED);
        self.0[4..HEADER].copy_from_slice(&count.to_le_bytes());
    }
}

/// The element that begins there; none if there is none that is whole.
fn decode(bytes: &[u8], start: usize) -> Option<Found<'_>> {
    let rest = bytes.get(start..)?;
    let (first, data) = rest.split_first()?;
    let integer = |value: i64, size: usize| Some((Element::Integer(value), 1 + size));
    let string = |head: usize, length: usize| Some((Element::Bytes(rest.get(head..)?.get(..length)?), head + length));
    let (element, length) = match first {
        0..0x80 => integer(i64::from(*first), 0),
        0x80..0xc0 => string(1, usize::from(first & 0x3f)),
        0xc0..0xe0 => {
            let value = i64::from(first & 0x1f) << 8 | i64::from(*data.first()?);
            integer(if value >= 1 << 12 { value - (1 << 13) } else { value }, 1)
        }
        0xe0..0xf0 => string(2, usize::from(first & 0x0f) << 8 | usize::from(*data.first()?)),
        0xf0 => string(5, u32::from_le_bytes(*data.first_chunk()?) as usize),
        0xf1 => integer(i16::from_le_bytes(*data.first_chunk()?).into(), 2),
        0xf2 => {
            let [low, middle, high] = *data.first_chunk()?;
            integer((i32::from_le_bytes([0, low, middle, high]) >> 8).into(), 3)
        }
        0xf3 => integer(i32::from_le_bytes(*data.first_chunk()?).into(), 4),
        0xf4 => integer(i64::from_le_bytes(*data.first_chunk()?), 8),
        _ => None,
    }?;
    let (back, size) = backwards(length);
    (rest.get(length..)?.get(..size)? == &back[..size]).then_some(Found { start, end: start + length + size, element })
}

/// The form of an element, with its length backwards.
fn encoded(element: Element<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    match element {
        Element::Integer(number) => encode_integer(number, &mut out),
        Element::Bytes(bytes) => {
            match bytes.len() {
                length @ 0..0x40 => out.push(0x80 | length as u8),
                length @ 0x40..0x1000 => out.extend([0xe0 | (length >> 8) as u8, length as u8]),
                length => {
                    out.push(0xf0);
                    out.extend((length as u32).to_le_bytes());
                }
            }
            out.extend_from_slice(bytes);
        }
    }
    let (back, size) = backwards(out.len());
    out.extend_from_slice(&back[..size]);
    out
}

fn encode_integer(number: i64, out: &mut Vec<u8>) {
    match number {
        0..0x80 => out.push(number as u8),
        -0x1000..0x1000 => out.extend((0xc000 | (number as u16 & 0x1fff)).to_be_bytes()),
        -0x8000..0x8000 => {
            out.push(0xf1);
            out.extend((number as i16).to_le_bytes());
        }
        -0x80_0000..0x80_0000 => {
            out.push(0xf2);
            out.extend_from_slice(&(number as i32).to_le_bytes()[..3]);
        }
        -0x8000_0000..0x8000_0000 => {
            out.push(0xf3);
            out.extend((number as i32).to_le_bytes());
        }
        _ => {
            out.push(0xf4);
            out.extend(number.to_le_bytes());
        }
    }
}

/// A length as it is read from its end: seven bits a byte, all but the first byte marked.
fn backwards(length: usize) -> ([u8; 5], usize) {
    let size = match length {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    };
    let mut bytes = [0; 5];
    for (at, byte) in bytes[..size].iter_mut().enumerate() {
        let mark = if at == 0 { 0 } else { 0x80 };
        *byte = (length >> (7 * (size - 1 - at))) as u8 & 0x7f | mark;
    }
    (bytes, size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn strings(pack: &Listpack) -> Vec<Vec<u8>> {
        pack.iter().map(|found| found.element.text(&mut Vec::new()).to_vec()).collect()
    }

    #[test]
    fn the_bytes_are_those_of_the_specification() {
        let mut pack = Listpack::default();
        ["a", "1", "-1", "4096", "-40000", "9000000", "5000000000", "01"].iter().for_each(|text| pack.push(text.as_bytes()));
        let expected = b"\x81a\x02\x01\x01\xdf\xff\x02\xf1\x00\x10\x03\xf2\xc0\x63\xff\x04\xf3\x40\x54\x89\x00\x05\xf4\x00\xf2\x05\x2a\x01\0\0\0\x09\x8201\x03\xff";
        assert_eq!(&pack.as_bytes()[6..], expected);
        assert_eq!(pack.as_bytes()[..6], [6 + expected.len() as u8, 0, 0, 0, 8, 0]);
        assert_eq!(Listpack::read(pack.as_bytes()), Some(pack));
        // An integer that was packed as a string.
        let odd = Listpack::read(b"\x0a\0\0\0\x01\0\x815\x02\xff").unwrap();
        assert_eq!(odd.as_bytes(), b"\x09\0\0\0\x01\0\x05\x01\xff");
    }

    #[test]
    fn what_is_no_listpack_is_refused() {
        let mut pack = Listpack::default();
        ["field", "12345", "x"].iter().for_each(|text| pack.push(text.as_bytes()));
        for end in 0..pack.as_bytes().len() {
            assert_eq!(Listpack::read(&pack.as_bytes()[..end]), None);
        }
        for bad in [
            &b""[..],
            b"\x07\0\0\0\x01\0\xff",
            b"\x08\0\0\0\x01\0\xf5\xff",
            b"\x09\0\0\0\x01\0\x05\x02\xff",
            b"\x0b\0\0\0\x01\0\xf0\xff\xff\xff\xff",
        ] {
            assert_eq!(Listpack::read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn many_integers_that_were_packed_as_strings_are_read_at_once() {
        let count = 150_000;
        let mut bytes = (7 + 3 * count as u32).to_le_bytes().to_vec();
        bytes.extend([0xff, 0xff]);
        (0..count).for_each(|_| bytes.extend(b"\x815\x02"));
        bytes.push(END);
        let pack = Listpack::read(&bytes).unwrap();
        assert_eq!((pack.len(), pack.as_bytes().len()), (count, 7 + 2 * count));
        assert!(pack.iter().all(|found| found.element == Element::Integer(5)));
    }

    proptest! {
        #[test]
        fn it_does_what_a_vector_does(
            steps in prop::collection::vec((0..3u8, any::<prop::sample::Index>(), prop_oneof![
                prop::collection::vec(any::<u8>(), 0..20),
                prop::collection::vec(any::<u8>(), 60..5000),
                any::<i64>().prop_map(|number| (number >> (number & 63)).to_string().into_bytes()),
            ]), 1..40),
        ) {
            let (mut pack, mut model) = (Listpack::default(), Vec::new());
            for (kind, index, string) in steps {
                let place = (!model.is_empty()).then(|| index.index(model.len()));
                let found = place.map(|place| pack.iter().nth(place).map(|found| found.start..found.end).unwrap());
                match (kind, place.zip(found)) {
                    (0, Some((place, found))) => { pack.replace(found, &string); model[place] = string; }
                    (1, Some((place, found))) => { pack.remove(found, 1); model.remove(place); }
                    _ => { pack.push(&string); model.push(string); }
                }
                prop_assert_eq!(pack.len(), model.len());
                prop_assert_eq!(strings(&pack), model.clone());
                prop_assert_eq!(Listpack::read(pack.as_bytes()), Some(pack.clone()));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 7..60)) {
            let total = (bytes.len() as u32).to_le_bytes();
            bytes[..4].copy_from_slice(&total);
            bytes[4..6].copy_from_slice(&[0xff, 0xff]);
            if let Some(pack) = Listpack::read(&bytes) {
                prop_assert_eq!(pack.iter().count(), pack.len());
            }
        }
    }
}
