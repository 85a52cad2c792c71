//! Messages on their way to other nodes, until the node takes them at the end of the turn.
//!
//! Owns: the frames, written once for all who get them. Must not: know who that is.

use crate::wire::bus::{self, FrameTooLong};

/// Frames one behind the other.
#[derive(Debug, Default)]
pub struct Batch {
    /// Their bytes.
    pub bytes: Vec<u8>,
    /// How many there are.
    pub frames: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// There are other members: they are told what is published to channels.
    pub to_all: bool,
    /// There are other members in this node's shard: they are told what is published to shard channels.
    pub to_shard: bool,
    all: Batch,
    shard: Batch,
}

impl Outgoing {
    /// Tells the others, if there are any.
    ///
    /// # Errors
    /// Nobody is told: the message is longer than a frame.
    pub fn publish(&mut self, sharded: bool, channel: &[u8], message: &[u8]) -> Result<(), FrameTooLong> {
        let (wanted, batch) = if sharded { (self.to_shard, &mut self.shard) } else { (self.to_all, &mut self.all) };
        if wanted {
            bus::encode_publish(sharded, channel, message, &mut batch.bytes)?;
            batch.frames += 1;
        }
        Ok(())
    }

    /// Whether there is anything to take.
    pub fn is_empty(&self) -> bool {
        self.all.frames + self.shard.frames == 0
    }

    /// What was published since this was last called: to everybody, and to the shard.
    pub fn take(&mut self) -> (Batch, Batch) {
        (std::mem::take(&mut self.all), std::mem::take(&mut self.shard))
    }
}
