//! The cluster's secrets as the configuration names them, and channels made with them.
//!
//! Owns: reading the file, entropy, which secrets count now. Must not: judge a secret (channel does) or show one.
//! Contract: docs/security.md.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::rand::{GetRandomFlags, getrandom};

use crate::channel::{Channel, Fault, Keyring, Otherwise, Secret};
use crate::config::Config;
use crate::node::Port;

/// More of a file is not read: two secrets and some words about them.
const MOST_READ: u64 = 64 << 10;

/// The secrets in use.
#[derive(Debug, Default)]
pub struct Keys {
    ring: Keyring,
    /// Read, and not in use yet.
    next: Option<Keyring>,
    /// Connections may have been made with others.
    changed: bool,
}

impl Keys {
    /// Those that the configuration names.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn of(config: &Config) -> Result<Self, String> {
        Ok(Self { ring: read(config)?, ..Self::default() })
    }

    /// Reads those of another configuration, or of the same anew: they count from [`Keys::take_up`] on.
    ///
    /// # Errors
    /// What is wrong with it; nothing has changed.
    pub fn prepare(&mut self, config: &Config) -> Result<(), String> {
        self.next = Some(read(config)?);
        Ok(())
    }

    /// What was read counts.
    pub fn take_up(&mut self) {
        if let Some(ring) = self.next.take().filter(|ring| *ring != self.ring) {
            self.ring = ring;
            self.changed = true;
        }
    }

    /// The secrets, if they have changed since this was asked last.
    pub fn changed(&mut self) -> Option<Keyring> {
        std::mem::take(&mut self.changed).then(|| self.ring.clone())
    }

    /// For a connection that this node has made; none without a secret.
    ///
    /// # Errors
    /// See [`Channel::offer`].
    pub fn offer(&self) -> Result<Option<Channel>, Fault> {
        Channel::offer(&self.ring, fill)
    }

    /// For one that has come to this port. Clients need no secret.
    pub fn await_offer(&self, port: Port) -> Channel {
        let is_refused = port == Port::Bus && self.ring.requires();
        Channel::await_offer(self.ring.clone(), if is_refused { Otherwise::Refused } else { Otherwise::Taken }, fill)
    }
}

fn read(config: &Config) -> Result<Keyring, String> {
    let file = &config.cluster_secret_file;
    let secrets = if !config.cluster_secret.is_empty() {
        vec![Secret::new(&config.cluster_secret).map_err(|error| error.to_string())?]
    } else if !file.as_os_str().is_empty() {
        let text = read_file(file).map_err(|error| format!("Can't read the cluster secret '{}': {error}", file.display()))?;
        Keyring::read(&text).map_err(|error| format!("'{}': {error}", file.display()))?
    } else {
        Vec::new()
    };
    Ok(Keyring::new(secrets, config.cluster_secret_required))
}

fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let file = fs::File::open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        log::warn!("'{}' is open to others on this host: chmod 600 keeps the cluster secret to this user", path.display());
    }
    let mut text = Vec::new();
    file.take(MOST_READ).read_to_end(&mut text)?;
    Ok(text)
}

/// Fills it from the kernel's source; false if that is not possible.
fn fill(bytes: &mut [u8]) -> bool {
    let mut filled = 0;
    while filled < bytes.len() {
        match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    #[test]
    fn secrets_come_from_an_option_or_a_file_and_count_once_they_are_taken_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let mut config = Config::shipped();
        let mut keys = Keys::of(&config).unwrap();
        assert!(matches!(keys.offer(), Ok(None)), "none by default");
        config.set(&[("cluster-secret-file", path.to_str().unwrap())]).unwrap();
        let missing = keys.prepare(&config).unwrap_err();
        assert!(missing.contains(path.to_str().unwrap()), "{missing}");
        fs::write(&path, "too short\n").unwrap();
        assert!(keys.prepare(&config).unwrap_err().contains("32 to 1024"));
        keys.take_up();
        assert!(keys.changed().is_none() && matches!(keys.offer(), Ok(None)), "what is wrong changes nothing");
        fs::write(&path, format!("{A}\n{B}\n")).unwrap();
        keys.prepare(&config).unwrap();
        assert!(keys.changed().is_none());
        keys.take_up();
        let ring = keys.changed().expect("they count now");
        let [a, b] = [A, B].map(|text| Secret::new(text.as_bytes()).unwrap());
        assert!(ring.has(&a) && ring.has(&b) && ring.requires() && keys.changed().is_none());
        keys.prepare(&config).unwrap();
        keys.take_up();
        assert!(keys.changed().is_none(), "the same again is no change");
        config.set(&[("cluster-secret-file", ""), ("cluster-secret", B), ("cluster-secret-required", "no")]).unwrap();
        keys.prepare(&config).unwrap();
        keys.take_up();
        let ring = keys.changed().unwrap();
        assert!(!ring.has(&a) && ring.has(&b) && !ring.requires());
        assert!(matches!(keys.offer(), Ok(Some(_))));
    }
}
