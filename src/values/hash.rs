//! Hashes: fields, each with a value.
//!
//! Owns: the two forms: few and short fields are one listpack, all others a table; what was a table stays one. Must not: know keys.
//!
//! In an RDB: type 16, the listpack as a string, or type 4, the number of fields and their pairs. A place of the packed form is an item, of
//! the other a part, which is a chunk, and an item in it.

use super::elements::{PAIR, Parts, Piece, Place};
use super::listpack::{Element, Listpack};
use super::string::LoadString;
use super::table::Table;
use super::{Face, Load, Rules, Value};
use crate::rdb::{Output, Problem, Reader, Stop};
use std::collections::BTreeSet;
use std::rc::Rc;

const RDB_PAIRS: u8 = 4;
const RDB_LISTPACK: u8 = 16;
/// A hash is not packed, whatever the thresholds say, if it takes more bytes: all of it is looked through, and moved, at once.
const PACKED: usize = 256 << 10;

/// How large a hash is packed. Filled by the options of these names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Thresholds {
    /// `hash-max-listpack-entries`: one with more fields is not.
    pub entries: u64,
    /// `hash-max-listpack-value`: nor one with a longer field or value, in bytes.
    pub value: u64,
}

/// See the module.
#[derive(Clone, Debug)]
pub enum Hash {
    /// Fields and values in turn.
    Packed(Listpack),
    /// Shared by whoever looks at it.
    Table(Rc<Table>),
}

impl Default for Hash {
    fn default() -> Self {
        Self::Packed(Listpack::default())
    }
}

/// Where in a listpack the field's value lies, and where the field begins.
fn find<'a>(pack: &'a Listpack, field: &[u8]) -> Option<(usize, super::listpack::Found<'a>)> {
    let wanted = Element::of(field);
    let mut elements = pack.iter();
    while let (Some(found), Some(value)) = (elements.next(), elements.next()) {
        if found.element == wanted {
            return Some((found.start, value));
        }
    }
    None
}

impl Hash {
    /// How many fields there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Packed(pack) => pack.len() / PAIR,
            Self::Table(table) => table.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The field's value, which may need the buffer.
    pub fn get<'b>(&'b self, field: &[u8], buffer: &'b mut Vec<u8>) -> Option<&'b [u8]> {
        match self {
            Self::Packed(pack) => find(pack, field).map(|(_, value)| value.element.text(buffer)),
            Self::Table(table) => table.get(field),
        }
    }

    /// Before so many fields are set, of which and of whose values the longest has so many bytes: takes the form that they need.
    pub fn prepare(&mut self, fields: usize, longest: usize, rules: &Rules) {
        let limits = rules.thresholds.hash;
        if fields as u64 > limits.entries || longest as u64 > limits.value || longest > PACKED {
            self.unpack(rules);
        }
    }

    /// Gives the field this value; true if it was not there.
    pub fn set(&mut self, field: &[u8], value: &[u8], rules: &Rules) -> bool {
        self.prepare(1, field.len().max(value.len()), rules);
        match self {
            Self::Table(table) => Rc::make_mut(table).set(field, value),
            Self::Packed(pack) => {
                let place = find(pack, field).map(|(_, value)| value.start..value.end);
                let is_new = place.is_none();
                match place {
                    Some(place) => pack.replace(place, value),
                    None => {
                        pack.push(field);
                        pack.push(value);
                    }
                }
                if pack.as_bytes().len() > PACKED || is_new && self.len() as u64 > rules.thresholds.hash.entries {
                    self.unpack(rules);
                }
                is_new
            }
        }
    }

    /// Removes the field; false if it was not there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match self {
            Self::Table(table) => table.get(field).is_some() && Rc::make_mut(table).remove(field),
            Self::Packed(pack) => {
                let place = find(pack, field).map(|(start, value)| start..value.end);
                let found = place.is_some();
                place.into_iter().for_each(|place| pack.remove(place, PAIR));
                found
            }
        }
    }

    /// Becomes a table.
    fn unpack(&mut self, rules: &Rules) {
        let Self::Packed(pack) = self else { return };
        let mut table = Table::new(rules);
        let (mut elements, [mut one, mut other]) = (pack.iter(), [Vec::new(), Vec::new()]);
        while let (Some(field), Some(value)) = (elements.next(), elements.next()) {
            table.set(field.element.text(&mut one), value.element.text(&mut other));
        }
        drop(elements);
        *self = Self::Table(Rc::new(table));
    }

    /// Visits the pairs of one step of a scan, which begins with 0 and ends with it: about `count` of them. Whatever is there throughout is
    /// visited, and once.
    pub fn scan(&self, cursor: u64, count: usize, visit: &mut dyn FnMut(&[u8], &[u8])) -> u64 {
        match self {
            Self::Packed(pack) => {
                let (mut elements, [mut one, mut other]) = (pack.iter(), [Vec::new(), Vec::new()]);
                while let (Some(field), Some(value)) = (elements.next(), elements.next()) {
                    visit(field.element.text(&mut one), value.element.text(&mut other));
                }
                0
            }
            Self::Table(table) => {
                let (mut place, mut visited) = (cursor as u32, 0);
                loop {
                    let next = table.scan(place, &mut |field, value| {
                        visited += 1;
                        visit(field, value);
                    });
                    match next {
                        Some(next) if visited < count => place = next,
                        next => return next.map_or(0, u64::from),
                    }
                }
            }
        }
    }
}

/// All of it: it is small. False, for nothing is left.
fn walk_packed(pack: &Listpack, parts: Parts, tell: &mut dyn FnMut(Piece<'_>)) -> bool {
    let mut buffer = Vec::new();
    for (item, found) in pack.iter().enumerate().filter(|(item, _)| parts.takes(*item)) {
        let _ = item;
        let text = found.element.text(&mut buffer);
        tell(Piece { bytes: text, at: 0, length: text.len() });
    }
    false
}

/// One item of a chunk, or a piece of it; false if there is none left.
fn walk_chunk(table: &Table, from: &mut Place, parts: Parts, left: &mut usize, tell: &mut dyn FnMut(Piece<'_>)) -> bool {
    let Some(chunk) = table.chunk(from.part) else { return false };
    if from.item == chunk.len() * PAIR {
        *from = Place { part: from.part + 1, ..Place::default() };
        return true;
    }
    if parts.takes(from.item) {
        let (field, value) = chunk.pair(from.item / PAIR);
        let piece = Piece::of(if from.item.is_multiple_of(PAIR) { field } else { value }, from.byte);
        tell(piece);
        *left = left.saturating_sub(piece.bytes.len() + PAIR);
        if !piece.ends() {
            from.byte += piece.bytes.len();
            return true;
        }
    }
    *from = Place { item: from.item + 1, byte: 0, ..*from };
    true
}

impl Face for Hash {
    const NAME: &'static str = "hash";
    const RDB: &'static [u8] = &[RDB_PAIRS, RDB_LISTPACK];
    type Thresholds = Thresholds;
    const SHIPPED: Thresholds = Thresholds { entries: 512, value: 64 };

    fn encoding(&self) -> &'static str {
        match self {
            Self::Packed(_) => "listpack",
            Self::Table(_) => "hashtable",
        }
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn cost(&self) -> usize {
        match self {
            Self::Packed(pack) => pack.capacity(),
            Self::Table(table) => table.cost(),
        }
    }

    fn rdb_form(&self) -> u8 {
        match self {
            Self::Packed(_) => RDB_LISTPACK,
            Self::Table(_) => RDB_PAIRS,
        }
    }

    fn walk(&self, mut from: Place, parts: Parts, budget: usize, tell: &mut dyn FnMut(Piece<'_>)) -> Option<Place> {
        let mut left = budget.max(1);
        while left > 0 {
            let told = match self {
                Self::Packed(pack) => walk_packed(pack, parts, tell),
                Self::Table(table) => walk_chunk(table, &mut from, parts, &mut left, tell),
            };
            if !told {
                return None;
            }
        }
        Some(from)
    }

    fn save(&self, from: Place, out: &mut Output<'_>) -> Option<Place> {
        match self {
            Self::Packed(pack) => {
                out.string(pack.as_bytes());
                None
            }
            Self::Table(table) => {
                if from == Place::default() {
                    out.length(table.len());
                }
                self.walk(from, Parts::Both, out.left(), &mut |piece| piece.save(out))
            }
        }
    }

    fn load(form: u8, rules: &Rules) -> Box<dyn Load> {
        let rules = rules.clone();
        match form {
            RDB_LISTPACK => Box::new(LoadListpack { string: LoadString::default(), rules }),
            _ => Box::new(LoadPairs { left: None, field: None, string: LoadString::default(), hash: Hash::default(), rules }),
        }
    }

    fn command(&self, from: Place, tell: &mut dyn FnMut(&[&[u8]])) -> Option<Place> {
        let mut strings: Vec<Vec<u8>> = Vec::new();
        let next = match self {
            Self::Packed(pack) => {
                walk_packed(pack, Parts::Both, &mut |piece| strings.push(piece.bytes.to_vec()));
                None
            }
            Self::Table(table) => {
                let chunk = table.chunk(from.part)?;
                (0..chunk.len()).map(|at| chunk.pair(at)).for_each(|(field, value)| strings.extend([field.to_vec(), value.to_vec()]));
                (from.part + 1 < table.chunks()).then_some(Place { part: from.part + 1, ..from })
            }
        };
        if !strings.is_empty() {
            tell(&[&b"HSET"[..]].into_iter().chain(strings.iter().map(Vec::as_slice)).collect::<Vec<_>>());
        }
        next
    }

    #[cfg(test)]
    fn samples(rules: &Rules) -> Vec<Self> {
        let with = |fields: u32, longest: usize| {
            let mut hash = Self::default();
            (1..=fields).for_each(|field| _ = hash.set(&field.to_be_bytes(), b"value", rules));
            hash.set(b"long", &vec![b'x'; longest], rules);
            hash
        };
        vec![with(2, 0), with(2, 1_000_000), with(5000, 10)]
    }
}

/// Type 16.
struct LoadListpack {
    string: LoadString,
    rules: Rules,
}

impl Load for LoadListpack {
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<Option<Value>, Stop> {
        let Some(bytes) = self.string.read(reader)? else { return Ok(None) };
        let pack = Listpack::read(&bytes).filter(is_hash).ok_or(Problem::Damaged("hash"))?;
        let longest =
            pack.iter().filter_map(|found| if let Element::Bytes(bytes) = found.element { Some(bytes.len()) } else { None }).max();
        let is_large = pack.as_bytes().len() > PACKED;
        let mut hash = Hash::Packed(pack);
        hash.prepare(hash.len(), longest.unwrap_or(0), &self.rules);
        if is_large {
            hash.unpack(&self.rules);
        }
        Ok(Some(hash.into()))
    }
}

/// Whether these are pairs, each field once.
fn is_hash(pack: &Listpack) -> bool {
    let fields: Vec<Element<'_>> = pack.iter().step_by(PAIR).map(|found| found.element).collect();
    let count = pack.iter().count();
    count > 0 && count.is_multiple_of(PAIR) && fields.iter().collect::<BTreeSet<_>>().len() == fields.len()
}

/// Type 4.
struct LoadPairs {
    /// Pairs that are still to come, once their number was read.
    left: Option<u64>,
    /// The field whose value comes.
    field: Option<Vec<u8>>,
    string: LoadString,
    hash: Hash,
    rules: Rules,
}

impl Load for LoadPairs {
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<Option<Value>, Stop> {
        let Some(left) = self.left else {
            self.left = Some(reader.length()?);
            return if self.left == Some(0) { Err(Problem::Damaged("hash").into()) } else { Ok(None) };
        };
        let Some(string) = self.string.read(reader)? else { return Ok(None) };
        let Some(field) = self.field.take() else {
            self.field = Some(string);
            return Ok(None);
        };
        if !self.hash.set(&field, &string, &self.rules) {
            return Err(Problem::Damaged("hash").into());
        }
        self.left = Some(left - 1);
        Ok(if left == 1 { Some(std::mem::take(&mut self.hash).into()) } else { None })
    }
}
