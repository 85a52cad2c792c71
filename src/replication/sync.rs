//! A replica's sync: from its first word to its primary up to the moment from which on it follows the stream.
//!
//! Owns: the handshake, and the primary's data until all of it is here and good. Must not: touch the keys that the node has, or run the
//! stream.
//! Contract: docs/protocol.md, "Replication".

use super::History;
use super::handshake::{Handshake, Heard, Introduction, Refusal};
use super::rdb::{Loader, RdbError};
use crate::keyspace::Keyspace;
use crate::types::{Millis, ReplId};
use crate::values::Thresholds;

/// What the sync came to. The next byte of the primary is the stream's.
pub enum Synced {
    /// The stream goes on where this replica is; the history has this id from now on.
    Partial(ReplId),
    /// The primary's keys, and where they are in its history.
    Full(Box<Keyspace>, History),
}

/// The sync failed: the link is closed, and another one is tried later.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SyncError {
    /// The primary did not do what was asked.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What it sent cannot be taken.
    #[error("the primary's RDB cannot be loaded: {0}")]
    Rdb(#[from] RdbError),
    /// It ended too soon, or too late.
    #[error("the primary's RDB ends at byte {end}, {sent} were sent")]
    Length {
        /// Where it ends, or how much of it was read.
        end: u64,
        /// How much the primary took for it.
        sent: u64,
    },
}

/// The primary's data on its way.
struct Load {
    /// What it is the data of.
    history: History,
    loader: Loader,
    /// Bytes that the primary sent as part of it.
    sent: u64,
}

/// See the module.
pub struct Sync {
    handshake: Handshake,
    load: Option<Load>,
    /// For the keyspace that is filled.
    fresh: Fresh,
}

/// What the keyspace that is filled begins with.
#[derive(Clone, Copy, Debug)]
pub struct Fresh {
    /// For the hash of its keys.
    pub seed: u64,
    /// By which values take their forms.
    pub thresholds: Thresholds,
    /// When its keys count as used last (wall ms).
    pub now: Millis,
}

impl Sync {
    /// Begins: the first request is appended to `out`. A replica that `has` data asks to go on with it. `fresh` is for the new keys.
    pub fn begin(introduction: &Introduction<'_>, has: Option<&History>, fresh: Fresh, out: &mut Vec<u8>) -> Self {
        let has = has.map(|history| (history.id, history.offset));
        Self { handshake: Handshake::begin(introduction, has, out), load: None, fresh }
    }

    /// Takes what the bytes from `used` on say: all of them, unless the stream begins among them. Requests are appended to `out`.
    ///
    /// # Errors
    /// [`SyncError`]: the link is of no use.
    pub fn next(&mut self, bytes: &[u8], used: &mut usize, out: &mut Vec<u8>) -> Result<Option<Synced>, SyncError> {
        while let Some(heard) = self.handshake.next(bytes, used, out)? {
            match heard {
                Heard::Continue { id } => return Ok(Some(Synced::Partial(id))),
                Heard::FullResync { id, offset } => {
                    let mut keyspace = Keyspace::with_thresholds(self.fresh.seed, self.fresh.thresholds);
                    keyspace.prepare(self.fresh.now, true);
                    let loader = Loader::new(keyspace);
                    self.load = Some(Load { history: History::new(id, offset), loader, sent: 0 });
                }
                Heard::Rdb(piece) => self.load.as_mut().map_or(Ok(()), |load| load.take(piece))?,
                Heard::RdbEnd => return self.finish().map(Some),
            }
        }
        Ok(None)
    }

    fn finish(&mut self) -> Result<Synced, SyncError> {
        let load = self.load.take_if(|load| load.loader.is_complete());
        let Some(Load { history, loader, .. }) = load else { return Err(self.wrong_length()) };
        Ok(Synced::Full(Box::new(loader.finish()?.keyspace), history))
    }

    fn wrong_length(&self) -> SyncError {
        let (end, sent) = self.load.as_ref().map_or((0, 0), |load| (load.loader.bytes_read(), load.sent));
        SyncError::Length { end, sent }
    }

    /// The reign of the primary whose data this is; 0 before it has said so.
    pub fn reign(&self) -> u64 {
        self.handshake.reign()
    }

    /// The nonce of its process; none if it does not say one.
    pub fn process(&self) -> Option<u64> {
        self.handshake.process()
    }

    /// The history whose data is on its way; none while nothing is loaded.
    pub fn loads(&self) -> Option<&History> {
        self.load.as_ref().map(|load| &load.history)
    }

    /// How many bytes of the primary's data are here, and how many there will be, if it has said so.
    pub fn progress(&self) -> Option<(u64, Option<u64>)> {
        let sent = self.load.as_ref()?.sent;
        Some((sent, self.handshake.rdb_left().map(|left| sent + left)))
    }

    /// Gives up. What was loaded is to be freed ([`Keyspace::discard`]).
    pub fn abandon(self) -> Option<Keyspace> {
        self.load.map(|load| load.loader.abandon())
    }
}

impl Load {
    fn take(&mut self, piece: &[u8]) -> Result<(), SyncError> {
        self.sent += piece.len() as u64;
        match self.loader.feed(piece)? {
            taken if taken == piece.len() => Ok(()),
            _ => Err(SyncError::Length { end: self.loader.bytes_read(), sent: self.sent }),
        }
    }
}
