//! Noise NNpsk0: two messages, by which two ends that know one secret draw keys that nobody else has.
//!
//! Owns: the pattern and its parameters. Must not: frame the messages (the channel does).

use snow::params::{CipherChoice, DHChoice, HashChoice, NoiseParams};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, Error, HandshakeState, TransportState};

use super::keyring::{Keyring, Secret};
use super::{Fault, MAGIC};

const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";
/// An X25519 key and the tag of nothing.
const MESSAGE: usize = 32 + 16;
/// An offer, or its answer.
pub(super) const ANSWER: usize = MAGIC.len() + MESSAGE;

/// Fills a buffer with what nobody can guess; false if that is not possible.
pub type Entropy = fn(&mut [u8]) -> bool;

/// The library's primitives, with our entropy.
struct Resolver(Entropy);

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Source(self.0)))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

struct Source(Entropy);

impl Random for Source {
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        if (self.0)(bytes) { Ok(()) } else { Err(Error::Rng) }
    }
}

fn builder<'a>(secret: &'a Secret, entropy: Entropy) -> Result<Builder<'a>, Error> {
    let params: NoiseParams = PATTERN.parse()?;
    Builder::with_resolver(params, Box::new(Resolver(entropy))).psk(0, secret.key())?.prologue(MAGIC)
}

/// Writes the message whose turn it is; it carries nothing.
fn write(state: &mut HandshakeState) -> Result<[u8; MESSAGE], Error> {
    let mut message = [0; MESSAGE];
    let len = state.write_message(&[], &mut message)?;
    debug_assert_eq!(len, MESSAGE, "a key and a tag");
    Ok(message)
}

/// Our end of a handshake that is not answered yet.
pub(super) struct Offer {
    state: Box<HandshakeState>,
    secret: Secret,
}

impl Offer {
    /// A new one, and its message.
    pub fn make(secret: &Secret, entropy: Entropy) -> Result<(Self, [u8; MESSAGE]), Fault> {
        let made = builder(secret, entropy).and_then(Builder::build_initiator).and_then(|mut state| Ok((write(&mut state)?, state)));
        let (message, state) = made.map_err(|_| Fault::Broken)?;
        Ok((Self { state: Box::new(state), secret: secret.clone() }, message))
    }

    /// Both ends know the secret: what they say from now on, and which secret that is.
    pub fn read_answer(mut self, message: &[u8]) -> Result<(Box<TransportState>, Secret), Fault> {
        self.state.read_message(message, &mut []).map_err(|_| Fault::Broken)?;
        let transport = self.state.into_transport_mode().map_err(|_| Fault::Broken)?;
        Ok((Box::new(transport), self.secret))
    }
}

/// Reads an offer by one of our secrets, and answers it. It is judged before anything is computed that takes long.
pub(super) fn accept(keys: &Keyring, message: &[u8], entropy: Entropy) -> Result<(Box<TransportState>, [u8; MESSAGE], Secret), Fault> {
    for secret in keys.all() {
        let mut state = builder(secret, entropy).and_then(Builder::build_responder).map_err(|_| Fault::Broken)?;
        if state.read_message(message, &mut []).is_err() {
            continue;
        }
        let answer = write(&mut state).map_err(|_| Fault::Broken)?;
        let transport = state.into_transport_mode().map_err(|_| Fault::Broken)?;
        return Ok((Box::new(transport), answer, secret.clone()));
    }
    Err(Fault::WrongSecret)
}
