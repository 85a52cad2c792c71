//! Records: what is said once both ends have their keys.
//!
//! Owns: sealing and opening. A record is sealed under the number that it has in its direction: one that was changed, left out, repeated or
//! moved does not open.

use snow::TransportState;

use super::Fault;

/// The length before a record.
const LENGTH: usize = 2;
const TAG: usize = 16;
/// The longest record of the protocol (Noise, §3).
const MOST: usize = 65_535;
/// What one call seals, in one record: short enough to lie in a cache, long enough for length and tag to be nothing.
pub(super) const MOST_SEALED: usize = 32 << 10;

pub(super) struct Records(Box<TransportState>);

impl Records {
    pub fn new(transport: Box<TransportState>) -> Self {
        Self(transport)
    }

    /// Puts the beginning of `bytes` behind `out`, sealed; how much of them.
    pub fn seal(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> usize {
        let part = &bytes[..bytes.len().min(MOST_SEALED)];
        if part.is_empty() {
            return 0;
        }
        let start = out.len();
        out.extend_from_slice(&((part.len() + TAG) as u16).to_be_bytes());
        out.resize(start + LENGTH + part.len() + TAG, 0);
        match self.0.write_message(part, &mut out[start + LENGTH..]) {
            Ok(_) => part.len(),
            // The numbers of 2^64 records are used up: it is as a connection that takes nothing.
            Err(_) => {
                out.truncate(start);
                0
            }
        }
    }

    /// Opens the whole records at the start of `received` and puts what they say behind `out`; how much of it they are.
    pub fn open(&mut self, received: &[u8], out: &mut Vec<u8>) -> Result<usize, Fault> {
        let mut used = 0;
        while let Some((length, rest)) = received[used..].split_first_chunk::<LENGTH>() {
            let length = usize::from(u16::from_be_bytes(*length));
            if length <= TAG {
                return Err(Fault::Broken);
            }
            let Some(sealed) = rest.get(..length) else { break };
            let start = out.len();
            out.resize(start + length - TAG, 0);
            let opened = self.0.read_message(sealed, &mut out[start..]);
            if opened != Ok(length - TAG) {
                out.truncate(start);
                return Err(Fault::Broken);
            }
            used += LENGTH + length;
        }
        Ok(used)
    }
}

const _: () = assert!(MOST_SEALED + TAG <= MOST);
