//! The form of a small entry within a page.
//!
//! `key length: u8`, `value length: 7 bits, expiry bit`, `access: 3 bytes`, `expiry: u64 little endian` if the bit is set, key, value.
//! Owns: that form. Must not: be fed bytes that it did not write; what it reads was made in this process.

use super::Access;
use super::value::Entry;
use crate::types::Millis;
use crate::values::View;

/// The bit of the second byte that says that an expiry follows.
const EXPIRES: u8 = 0x80;
const KEY_MAX: usize = u8::MAX as usize;
const VALUE_MAX: usize = (EXPIRES - 1) as usize;
/// Where the access stands.
const ACCESS: usize = 2;
const HEADER_SIZE: usize = ACCESS + Access::SIZE;
/// How many bytes an expiry takes.
pub(super) const EXPIRY_SIZE: usize = size_of::<Millis>();

/// How many bytes the record of this entry takes; none if it does not fit the form.
pub(super) fn size(key: &[u8], value: &[u8], expiry: Option<Millis>) -> Option<usize> {
    let fits = key.len() <= KEY_MAX && value.len() <= VALUE_MAX;
    fits.then(|| HEADER_SIZE + expiry.map_or(0, |_| EXPIRY_SIZE) + key.len() + value.len())
}

/// The lengths of the record that begins these bytes: where its key begins, where its value, where it ends.
fn bounds(bytes: &[u8]) -> (usize, usize, usize) {
    let key = HEADER_SIZE + if bytes[1] & EXPIRES != 0 { EXPIRY_SIZE } else { 0 };
    let value = key + usize::from(bytes[0]);
    (key, value, value + usize::from(bytes[1] & !EXPIRES))
}

/// How many bytes the record that begins these bytes takes.
pub(super) fn size_at(bytes: &[u8]) -> usize {
    bounds(bytes).2
}

/// The key of the record that begins these bytes.
pub(super) fn key(bytes: &[u8]) -> &[u8] {
    let (key, value, _) = bounds(bytes);
    &bytes[key..value]
}

/// The value of the record that begins these bytes, to change it in place.
pub(super) fn value_mut(bytes: &mut [u8]) -> &mut [u8] {
    let (_, value, end) = bounds(bytes);
    &mut bytes[value..end]
}

/// The entry that begins these bytes.
pub(super) fn read(bytes: &[u8]) -> Entry<'_> {
    let (key, value, end) = bounds(bytes);
    let expiry = (key > HEADER_SIZE).then(|| {
        let mut word = [0; EXPIRY_SIZE];
        word.copy_from_slice(&bytes[HEADER_SIZE..key]);
        Millis::from_le_bytes(word)
    });
    let access = Access::from_bytes([bytes[ACCESS], bytes[ACCESS + 1], bytes[ACCESS + 2]]);
    Entry { key: &bytes[key..value], value: View::Bytes(&bytes[value..end]), expiry, access }
}

/// Writes the record of an entry that fits into exactly as many bytes as it takes.
pub(super) fn write(into: &mut [u8], key: &[u8], value: &[u8], expiry: Option<Millis>, access: Access) {
    let flag = if expiry.is_some() { EXPIRES } else { 0 };
    let (header, mut rest) = into.split_at_mut(HEADER_SIZE);
    header[..ACCESS].copy_from_slice(&[key.len() as u8, value.len() as u8 | flag]);
    header[ACCESS..].copy_from_slice(&access.to_bytes());
    if let Some(expiry) = expiry {
        let (word, behind) = rest.split_at_mut(EXPIRY_SIZE);
        word.copy_from_slice(&expiry.to_le_bytes());
        rest = behind;
    }
    let (key_bytes, value_bytes) = rest.split_at_mut(key.len());
    key_bytes.copy_from_slice(key);
    value_bytes.copy_from_slice(value);
}

/// The record that begins these bytes was used.
pub(super) fn touch(bytes: &mut [u8], access: Access) {
    bytes[ACCESS..HEADER_SIZE].copy_from_slice(&access.to_bytes());
}

/// Adds, changes or takes away the expiry of the record at `offset`, moving what lies behind.
pub(super) fn set_expiry(page: &mut Vec<u8>, offset: usize, expiry: Option<Millis>) {
    let start = offset + HEADER_SIZE;
    let key = offset + bounds(&page[offset..]).0;
    match expiry {
        Some(expiry) => {
            page[offset + 1] |= EXPIRES;
            page.splice(start..key, expiry.to_le_bytes());
        }
        None => {
            page[offset + 1] &= !EXPIRES;
            page.drain(start..key);
        }
    }
}
