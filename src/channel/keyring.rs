//! The cluster's secrets: the one that this node offers, and those that it takes.
//!
//! Owns: what a secret may be, and the key that comes of it. Must not: read files, or show a secret to anybody.

use snow::params::HashChoice;
use snow::resolvers::{CryptoResolver, DefaultResolver};

/// Bytes of a secret: who is dialled by a node can try guesses by itself, so it is not to be guessed.
const LEAST: usize = 32;
const MOST: usize = 1024;
/// The one in use, and the one before or after it.
const MOST_SECRETS: usize = 2;
/// A key of this use only, whatever else the same secret is used for.
const USE: &[u8] = b"Pontoon cluster bus, NNpsk0\n";

/// Why a text is no secret of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Too short or too long.
    #[error("a cluster secret has {LEAST} to {MOST} characters, for example what 'openssl rand -hex 32' prints")]
    Length,
    /// There is none.
    #[error("there is no cluster secret in it: one line, or two while it is changed")]
    None,
    /// A third.
    #[error("there are more than two cluster secrets in it: the first is used, and the second taken too")]
    TooMany,
}

/// What both ends must know.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// Of a text as it stands in a file.
    ///
    /// # Errors
    /// [`SecretError::Length`].
    pub fn new(text: &[u8]) -> Result<Self, SecretError> {
        if !(LEAST..=MOST).contains(&text.len()) {
            return Err(SecretError::Length);
        }
        let mut key = [0; 32];
        // The library has this hash: the handshake is built with it.
        if let Some(mut hash) = DefaultResolver.resolve_hash(&HashChoice::Blake2s) {
            hash.input(USE);
            hash.input(text);
            hash.result(&mut key);
        }
        Ok(Self(key))
    }

    pub(super) const fn key(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What a node knows, and whether it speaks without.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keyring {
    secrets: Vec<Secret>,
    is_required: bool,
}

impl Keyring {
    /// Of these secrets, the first of which is offered. Without one nothing is required.
    pub fn new(secrets: Vec<Secret>, is_required: bool) -> Self {
        Self { secrets, is_required }
    }

    /// The secrets of a file: a line each, without blanks around it; empty lines and those with a `#` first do not count.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn read(file: &[u8]) -> Result<Vec<Secret>, SecretError> {
        let lines = file.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty() && line[0] != b'#');
        let secrets: Vec<Secret> = lines.map(Secret::new).collect::<Result<_, _>>()?;
        match secrets.len() {
            0 => Err(SecretError::None),
            1..=MOST_SECRETS => Ok(secrets),
            _ => Err(SecretError::TooMany),
        }
    }

    /// Whether who has no secret is refused.
    pub fn requires(&self) -> bool {
        self.is_required && !self.secrets.is_empty()
    }

    /// Whether this is one of them.
    pub fn has(&self, secret: &Secret) -> bool {
        self.secrets.contains(secret)
    }

    pub(super) fn first(&self) -> Option<&Secret> {
        self.secrets.first()
    }

    pub(super) fn all(&self) -> &[Secret] {
        &self.secrets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &[u8] = b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &[u8] = b"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    #[test]
    fn a_file_has_one_secret_or_two() {
        let secrets = |text: &[&[u8]]| Keyring::read(&text.concat());
        let (a, b) = (Secret::new(A).unwrap(), Secret::new(B).unwrap());
        assert!(a != b && a.key() != &[0; 32]);
        assert_eq!(secrets(&[A]), Ok(vec![a.clone()]));
        assert_eq!(secrets(&[b"# new\n\n  ", B, b" \r\n", A, b"\n"]), Ok(vec![b, a]));
        assert_eq!(secrets(&[b"# nothing\n"]), Err(SecretError::None));
        assert_eq!(secrets(&[A, b"\n", B, b"\n", A]), Err(SecretError::TooMany));
        assert_eq!(secrets(&[&A[1..]]), Err(SecretError::Length));
        assert_eq!(Secret::new(&[b'x'; MOST + 1]), Err(SecretError::Length));
        assert_eq!(format!("{:?}", Secret::new(A)), "Ok(Secret)", "no log shows it");
    }
}
