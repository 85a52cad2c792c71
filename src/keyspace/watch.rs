//! Keys that transactions watch, and whether something happened to them.
//!
//! Owns: a version for each watched key, so that a write to another key of the slot disturbs nobody and an unwatched keyspace pays nothing.
//! Must not: know clients; each keeps the version that it was given.

use std::collections::BTreeMap;

/// What a watcher compares: the key's version when it began to watch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Version(u64);

struct Watched {
    /// How many watch it, never 0.
    watchers: usize,
    version: Version,
}

#[derive(Default)]
pub(super) struct Watches {
    keys: BTreeMap<Box<[u8]>, Watched>,
    /// The last version given to any key: none is ever given twice.
    last: u64,
}

impl Watches {
    pub fn add(&mut self, key: &[u8]) -> Version {
        if let Some(watched) = self.keys.get_mut(key) {
            watched.watchers += 1;
            return watched.version;
        }
        let version = Version(self.last);
        self.keys.insert(key.into(), Watched { watchers: 1, version });
        version
    }

    pub fn remove(&mut self, key: &[u8]) {
        let Some(watched) = self.keys.get_mut(key) else { return };
        watched.watchers -= 1;
        if watched.watchers == 0 {
            self.keys.remove(key);
        }
    }

    /// The key was changed, or is gone.
    pub fn touch(&mut self, key: &[u8]) {
        if self.keys.is_empty() {
            return;
        }
        if let Some(watched) = self.keys.get_mut(key) {
            self.last += 1;
            watched.version = Version(self.last);
        }
    }

    /// Every watched key that `changed` names was changed.
    pub fn touch_if(&mut self, changed: impl Fn(&[u8]) -> bool) {
        for (_, watched) in self.keys.iter_mut().filter(|(key, _)| changed(key)) {
            self.last += 1;
            watched.version = Version(self.last);
        }
    }

    pub fn version(&self, key: &[u8]) -> Option<Version> {
        self.keys.get(key).map(|watched| watched.version)
    }
}
