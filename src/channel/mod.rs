//! The channel between two nodes that know one secret: who does not know it opens none, and what comes by it is from who does, whole and
//! in order.
//!
//! Owns: the cluster's secrets, the handshake, and records. Noise NNpsk0 (The Noise Protocol Framework, rev. 34, §7 and §9), by `snow`.
//! Must not: do a system call (the server room holds the sockets) or know frames: who both ends say they are is said within the channel.
//! Contract: docs/security.md.
//!
//! An offer is [`MAGIC`] and the first message; the answer is the same with the second, or [`NO_SECRET`]. Then come records: a length (2
//! bytes, big-endian) and so many sealed bytes. The first message can be a recording: the acceptor gives nothing on before the first
//! record, which is sealed under what both ends have drawn for this connection.

mod handshake;
mod keyring;
mod records;

pub use handshake::Entropy;
pub use keyring::{Keyring, Secret, SecretError};

use handshake::{ANSWER, Offer, accept};
use records::Records;

/// How an offer and its answer begin: to who reads frames, one that is too long; to a client's port, no request.
pub const MAGIC: &[u8; 8] = b"RAFT\xffKEY";
/// The answer of who has no secret; what follows in both directions is as it is without a channel.
pub const NO_SECRET: &[u8; 8] = b"RAFT\xffNOK";

/// Why nothing is given on, and nothing taken, any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It does not begin with an offer, and here nothing else is taken.
    #[error("it has no cluster secret, which this node requires (cluster-secret-file)")]
    Plain,
    /// Its offer was made with none of our secrets.
    #[error("its cluster secret is another one")]
    WrongSecret,
    /// It has answered our offer that it has no secret.
    #[error("it has no cluster secret (cluster-secret-file), and this node takes none without (cluster-secret-required)")]
    NoSecret,
    /// It answers what was said without an offer by [`MAGIC`].
    #[error("it takes only nodes with its cluster's secret, and this node has none: set cluster-secret-file")]
    Wanted,
    /// It has ended without an answer to our offer.
    #[error("it has closed the connection instead of answering: its cluster secret is another one, or its version knows of none")]
    Unanswered,
    /// It is no channel of ours: neither offer nor answer, or a record that was changed, cut, repeated or out of order.
    #[error("what it says is not of this channel")]
    Broken,
}

/// What comes instead of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// It is taken as it is.
    Taken,
    /// It is not.
    Refused,
}

enum Stage {
    /// Ours to accept: what it begins with has not come yet.
    Beginning { keys: Keyring, otherwise: Otherwise },
    /// Our offer is not answered yet.
    Offered { offer: Offer, may_be_plain: bool },
    /// Both have what they need; of an accepted one nothing has come that shows it.
    Keyed { records: Records, secret: Secret, is_proven: bool },
    /// As it comes.
    Plain,
}

/// One end of a connection.
pub struct Channel {
    stage: Stage,
    /// What came and is no whole message yet.
    received: Vec<u8>,
    /// What is to be written.
    unsent: Vec<u8>,
    /// So much of it has been.
    sent: usize,
    entropy: Entropy,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stage = match self.stage {
            Stage::Beginning { .. } => "beginning",
            Stage::Offered { .. } => "offered",
            Stage::Keyed { .. } => "keyed",
            Stage::Plain => "plain",
        };
        write!(f, "Channel({stage})")
    }
}

impl Channel {
    /// Of a connection that is up and was dialled: its offer is to be written. None without a secret: nothing is offered.
    ///
    /// # Errors
    /// [`Fault::Broken`] without entropy.
    pub fn offer(keys: &Keyring, entropy: Entropy) -> Result<Option<Self>, Fault> {
        let Some(secret) = keys.first() else { return Ok(None) };
        let (offer, message) = Offer::make(secret, entropy)?;
        let stage = Stage::Offered { offer, may_be_plain: !keys.requires() };
        Ok(Some(Self { stage, received: Vec::new(), unsent: [&MAGIC[..], &message].concat(), sent: 0, entropy }))
    }

    /// Of one that was accepted.
    pub fn await_offer(keys: Keyring, otherwise: Otherwise, entropy: Entropy) -> Self {
        Self { stage: Stage::Beginning { keys, otherwise }, received: Vec::new(), unsent: Vec::new(), sent: 0, entropy }
    }

    /// Takes what has come, and puts behind `out` what it says.
    ///
    /// # Errors
    /// [`Fault`]: the connection is to end, after what is [`Channel::unsent`] if that can be.
    pub fn receive(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        self.received.extend_from_slice(bytes);
        loop {
            let used = match &mut self.stage {
                Stage::Beginning { .. } => self.read_offer()?,
                Stage::Offered { .. } => self.read_answer()?,
                Stage::Keyed { records, is_proven, .. } => {
                    let used = records.open(&self.received, out)?;
                    *is_proven |= used > 0;
                    used
                }
                Stage::Plain => {
                    out.append(&mut self.received);
                    return Ok(());
                }
            };
            if used == 0 && !matches!(self.stage, Stage::Plain) {
                return Ok(());
            }
            self.received.drain(..used);
        }
    }

    /// Reads the beginning of an accepted connection; how much was used.
    fn read_offer(&mut self) -> Result<usize, Fault> {
        let Stage::Beginning { keys, otherwise } = &self.stage else { return Ok(0) };
        let begun = self.received.len().min(MAGIC.len());
        if self.received[..begun] != MAGIC[..begun] {
            if *otherwise == Otherwise::Refused {
                self.unsent.extend_from_slice(MAGIC);
                return Err(Fault::Plain);
            }
            self.stage = Stage::Plain;
            return Ok(0);
        }
        let Some(message) = self.received.get(MAGIC.len()..ANSWER) else { return Ok(0) };
        if keys.first().is_none() {
            self.unsent.extend_from_slice(NO_SECRET);
            self.stage = Stage::Plain;
            return Ok(ANSWER);
        }
        let (transport, answer, secret) = accept(keys, message, self.entropy)?;
        self.unsent.extend_from_slice(MAGIC);
        self.unsent.extend_from_slice(&answer);
        self.stage = Stage::Keyed { records: Records::new(transport), secret, is_proven: false };
        Ok(ANSWER)
    }

    /// Reads the answer to our offer; how much was used.
    fn read_answer(&mut self) -> Result<usize, Fault> {
        let Stage::Offered { may_be_plain, .. } = &self.stage else { return Ok(0) };
        let Some((begun, _)) = self.received.split_first_chunk::<{ MAGIC.len() }>() else { return Ok(0) };
        if begun == NO_SECRET {
            if !may_be_plain {
                return Err(Fault::NoSecret);
            }
            self.stage = Stage::Plain;
            return Ok(NO_SECRET.len());
        }
        if begun != MAGIC {
            return Err(Fault::Broken);
        }
        let Some(message) = self.received.get(MAGIC.len()..ANSWER) else { return Ok(0) };
        let Stage::Offered { offer, .. } = std::mem::replace(&mut self.stage, Stage::Plain) else { return Ok(0) };
        let (transport, secret) = offer.read_answer(message)?;
        self.stage = Stage::Keyed { records: Records::new(transport), secret, is_proven: true };
        Ok(ANSWER)
    }

    /// Seals the beginning of `bytes`, to be written; how much of them. Nothing before the other end has been heard.
    pub fn seal(&mut self, bytes: &[u8]) -> usize {
        match &mut self.stage {
            Stage::Keyed { records, .. } => records.seal(bytes, &mut self.unsent),
            Stage::Plain => {
                self.unsent.extend_from_slice(bytes);
                bytes.len()
            }
            Stage::Beginning { .. } | Stage::Offered { .. } => 0,
        }
    }

    /// What is to be written.
    pub fn unsent(&self) -> &[u8] {
        &self.unsent[self.sent..]
    }

    /// So much of it was.
    pub fn sent(&mut self, count: usize) {
        self.sent += count;
        if self.sent == self.unsent.len() {
            self.sent = 0;
            self.unsent.clear();
            self.unsent.shrink_to(records::MOST_SEALED);
        }
    }

    /// The other end has shown that it knows the secret, in this very connection.
    pub fn is_proven(&self) -> bool {
        matches!(self.stage, Stage::Keyed { is_proven: true, .. })
    }

    /// It is as without a channel, and all that came was given on.
    pub fn is_plain(&self) -> bool {
        matches!(self.stage, Stage::Plain) && self.received.is_empty() && self.unsent().is_empty()
    }

    /// Whether it may go on with these secrets: an accepted one that has not begun takes them.
    pub fn goes_on_with(&mut self, now: &Keyring) -> bool {
        match &mut self.stage {
            Stage::Beginning { keys, .. } => {
                keys.clone_from(now);
                true
            }
            Stage::Offered { .. } => false,
            Stage::Keyed { secret, .. } => now.has(secret),
            Stage::Plain => true,
        }
    }
}

#[cfg(test)]
mod tests;
