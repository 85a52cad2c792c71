//! An RDB into a fresh keyspace, as its bytes come.
//!
//! Owns: what the parts of an RDB mean, and which of them are refused. Must not: give the keys out before the last byte has been read and
//! found good.
//! Contract: [`super`].

use crate::keyspace::{Entry, Keyspace, key_slot};
use crate::rdb::{CRC, Digest, MAGIC, Packed, Problem, RdbError, Reader, Stop, VERSION_MAX, opcode, shown};
use crate::types::numbers::RDB_OFFSET;
use crate::types::{Millis, ReplId};
use crate::values::{LONG, Load, Value, View};
use crate::wire::number::parse_u64;

/// Memory that the buffers keep when a long string has passed.
const KEPT: usize = 1 << 20;
/// The first version that ends with a checksum.
const FIRST_WITH_CHECKSUM: u32 = 5;

/// What an RDB held.
pub struct Loaded {
    /// Its keys.
    pub keyspace: Keyspace,
    /// The history of changes that led to them, and how many bytes of it, if it says so.
    pub replication: Option<(ReplId, u64)>,
    /// It says one, with an offset that leaves no room to go on from: the keys are as good as any, and begin a new history
    /// \[N62 number-bounds\].
    pub beyond: bool,
}

/// Reads one RDB. Each call takes as long as the bytes that it is given ask for: give it few at a time.
pub struct Loader {
    keyspace: Keyspace,
    expected: Expected,
    /// Received and not read yet: the beginning of what is expected.
    buffer: Vec<u8>,
    /// How many bytes were read before those in the buffer.
    offset: u64,
    digest: Digest,
    db: u64,
    /// Of the next key.
    expiry: Option<Millis>,
    repl_id: Option<ReplId>,
    repl_offset: Option<u64>,
    /// The value that is read in parts.
    coming: Option<Coming>,
    /// For strings that are packed.
    unpacked: [Vec<u8>; 2],
}

/// A value as far as it has come.
struct Coming {
    key: Box<[u8]>,
    expiry: Option<Millis>,
    value: Box<dyn Load>,
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Version,
    /// An opcode or a key, in a file that will end with a checksum, or not.
    Part {
        checksum: bool,
    },
    Checksum,
    /// It was whole, and good.
    Nothing,
}

impl Loader {
    /// Will fill this keyspace, which is empty. Keys that have expired meanwhile are taken too: only the primary says which of them go, and
    /// in which place of its stream.
    pub fn new(keyspace: Keyspace) -> Self {
        Self {
            keyspace,
            expected: Expected::Version,
            buffer: Vec::new(),
            offset: 0,
            digest: CRC.digest(),
            db: 0,
            expiry: None,
            repl_id: None,
            repl_offset: None,
            coming: None,
            unpacked: Default::default(),
        }
    }

    /// Reads on. Returns how many of the bytes belong to the RDB: all of them, unless it ends before. After an error it must not be fed
    /// again.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<usize, RdbError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.extend_from_slice(bytes);
        let mut at = 0;
        while self.expected != Expected::Nothing {
            match self.read(&buffer[at..]) {
                Ok(length) => {
                    at += length;
                    self.offset += length as u64;
                }
                Err(Stop::Incomplete) => break,
                Err(Stop::Bad(problem)) => return Err(RdbError { offset: self.offset, problem }),
            }
        }
        let rest = buffer.len() - at;
        if self.is_complete() {
            return Ok(bytes.len() - rest);
        }
        buffer.drain(..at);
        buffer.shrink_to(rest.max(KEPT));
        self.buffer = buffer;
        Ok(bytes.len())
    }

    /// True if the RDB is whole, and good.
    pub fn is_complete(&self) -> bool {
        self.expected == Expected::Nothing
    }

    /// How many bytes were read so far.
    pub fn bytes_read(&self) -> u64 {
        self.offset + self.buffer.len() as u64
    }

    /// How many keys were loaded so far.
    pub fn keys(&self) -> usize {
        self.keyspace.len()
    }

    /// What was read, or that it was not all.
    pub fn finish(self) -> Result<Loaded, RdbError> {
        if !self.is_complete() {
            return Err(RdbError { offset: self.bytes_read(), problem: Problem::Truncated });
        }
        let replication = self.repl_id.zip(self.repl_offset);
        let bounded = |(_, offset): &(ReplId, u64)| RDB_OFFSET.take(*offset).is_some();
        Ok(Loaded {
            keyspace: self.keyspace,
            replication: replication.filter(bounded),
            beyond: replication.is_some_and(|history| !bounded(&history)),
        })
    }

    /// Gives up. What was loaded is to be freed ([`Keyspace::discard`]).
    pub fn abandon(self) -> Keyspace {
        self.keyspace
    }

    /// Reads one part; returns its length. Nothing happens before all of it is there.
    fn read(&mut self, bytes: &[u8]) -> Result<usize, Stop> {
        let mut reader = Reader::new(bytes);
        if self.coming.is_some() {
            self.go_on(&mut reader)?;
            self.digest.update(&bytes[..reader.position()]);
            return Ok(reader.position());
        }
        match self.expected {
            Expected::Version => self.expected = Expected::Part { checksum: version(&mut reader)? >= FIRST_WITH_CHECKSUM },
            Expected::Part { checksum } => {
                if self.part(&mut reader)? == opcode::END {
                    self.expected = if checksum { Expected::Checksum } else { Expected::Nothing };
                }
            }
            Expected::Checksum => {
                let stored = u64::from_le_bytes(reader.array()?);
                let computed = self.digest.clone().finalize();
                // Zero is what a writer without checksums leaves.
                if stored != 0 && stored != computed {
                    return Err(Problem::Checksum { computed, stored }.into());
                }
                self.expected = Expected::Nothing;
            }
            Expected::Nothing => {}
        }
        self.digest.update(&bytes[..reader.position()]);
        Ok(reader.position())
    }

    /// Reads the next part of a value.
    fn go_on(&mut self, reader: &mut Reader<'_>) -> Result<(), Stop> {
        let Some(coming) = &mut self.coming else { return Ok(()) };
        let read = coming.value.read(reader).map_err(|stop| match stop {
            Stop::Bad(Problem::Memory { length, .. }) => Problem::Memory { length, key: shown(&coming.key) }.into(),
            other => other,
        })?;
        if let Some(value) = read
            && let Some(Coming { key, expiry, .. }) = self.coming.take()
        {
            self.add(&key, View::Value(&value), expiry)?;
        }
        Ok(())
    }

    fn add(&mut self, key: &[u8], value: View<'_>, expiry: Option<Millis>) -> Result<(), Problem> {
        let access = self.keyspace.clock();
        let added = self.keyspace.add(key_slot(key), Entry { key, value, expiry, access });
        if added { Ok(()) } else { Err(Problem::Duplicate(shown(key))) }
    }

    /// Reads an opcode with what belongs to it, or a key; returns the opcode or type.
    fn part(&mut self, reader: &mut Reader<'_>) -> Result<u8, Stop> {
        let opcode = reader.byte()?;
        match opcode {
            opcode::AUX => self.aux(reader.string()?, reader.string()?)?,
            opcode::SELECT_DB => self.db = reader.length()?,
            opcode::RESIZE_DB => _ = (reader.length()?, reader.length()?),
            opcode::SLOT_INFO => _ = (reader.length()?, reader.length()?, reader.length()?),
            // Signed there: what is below zero ended before there were clocks.
            opcode::EXPIRE_MS => self.expiry = Some(i64::from_le_bytes(reader.array()?).max(0) as Millis),
            opcode::EXPIRE_SECONDS => self.expiry = Some(u64::from(u32::from_le_bytes(reader.array()?)) * 1000),
            // When a key was used last, and how often: there is no eviction.
            opcode::IDLE => _ = reader.length()?,
            opcode::FREQ => _ = reader.byte()?,
            opcode::END => {}
            opcode::FUNCTION | opcode::FUNCTION_PRE_RELEASE => {
                return Err(
                    Problem::Unsupported("it holds functions, which are not supported: FUNCTION FLUSH where it comes from".into()).into()
                );
            }
            opcode::MODULE_AUX => {
                return Err(Problem::Unsupported("it holds the data of a module: modules are not supported".into()).into());
            }
            kind => self.key(kind, reader)?,
        }
        Ok(opcode)
    }

    fn aux(&mut self, name: Packed<'_>, value: Packed<'_>) -> Result<(), Stop> {
        let [names, values] = &mut self.unpacked;
        let name = name.unpack(names)?;
        let value = std::str::from_utf8(value.unpack(values)?).unwrap_or_default();
        match name {
            b"repl-id" => self.repl_id = value.parse().ok(),
            b"repl-offset" => self.repl_offset = parse_u64(value.as_bytes()),
            _ => {}
        }
        Ok(())
    }

    /// Reads a key and its value, with the expiry that came before. Of a value that comes in parts none is read yet.
    fn key(&mut self, form: u8, reader: &mut Reader<'_>) -> Result<(), Stop> {
        let missing = (!Value::has_form(form)).then(|| type_name(form).ok_or(Problem::Opcode(form))).transpose()?;
        let key = reader.string()?;
        let short = if form == opcode::STRING && reader.clone().long_string(LONG)?.is_none() { Some(reader.string()?) } else { None };
        let [mut keys, mut values] = std::mem::take(&mut self.unpacked);
        let key = key.unpack(&mut keys)?;
        if let Some(kind) = missing {
            return Err(Problem::Type { kind, key: shown(key) }.into());
        }
        if self.db != 0 {
            return Err(Problem::Database { db: self.db, key: shown(key) }.into());
        }
        let expiry = self.expiry.take();
        match short {
            Some(bytes) => {
                let bytes = bytes.unpack(&mut values)?;
                self.add(key, View::Bytes(bytes), expiry)?;
            }
            None => {
                let value = Value::load(form, self.keyspace.rules());
                self.coming = value.map(|value| Coming { key: key.into(), expiry, value });
            }
        }
        keys.shrink_to(KEPT);
        values.shrink_to(KEPT);
        self.unpacked = [keys, values];
        Ok(())
    }
}

fn version(reader: &mut Reader<'_>) -> Result<u32, Stop> {
    let (magic, digits) = (reader.array()?, reader.array::<4>()?);
    if magic != *MAGIC || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Problem::Magic.into());
    }
    match digits.iter().fold(0, |version, digit| version * 10 + u32::from(digit - b'0')) {
        version @ 1..=VERSION_MAX => Ok(version),
        other => Err(Problem::Version(other).into()),
    }
}

/// What people call the forms that Redis has; asked of those that are not read here.
fn type_name(form: u8) -> Option<&'static str> {
    Some(match form {
        1 | 10 | 14 | 18 => "list",
        2 | 11 | 20 => "set",
        3 | 5 | 12 | 17 => "sorted set",
        9 | 13 => "hash in an old form",
        22..=25 => "hash with fields that expire",
        6 | 7 => "value of a module",
        15 | 19 | 21 => "stream",
        _ => return None,
    })
}
