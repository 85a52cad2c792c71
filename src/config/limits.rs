//! `client-output-buffer-limit`: how much unsent output a connection may pile up, by class.
//!
//! Owns: the three classes and their text. Must not: count anything. Contract: docs/operations.md, "Options".

use super::value::{Kind, Setting};
use super::words::{Word, list, memory};

/// The limit of one class of connections; 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimit {
    /// Closed at once beyond this many bytes.
    pub hard: u64,
    /// Closed when beyond this many bytes for `soft_seconds`.
    pub soft: u64,
    /// See `soft`.
    pub soft_seconds: u64,
}

impl OutputLimit {
    /// The same, but no smaller than this: what is kept in any case is no burden.
    pub fn at_least(self, bytes: u64) -> Self {
        let raised = |limit: u64| if limit == 0 { 0 } else { limit.max(bytes) };
        Self { hard: raised(self.hard), soft: raised(self.soft), ..self }
    }
}

/// The limits of all classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimits {
    /// Ordinary clients.
    pub normal: OutputLimit,
    /// Replicas.
    pub replica: OutputLimit,
    /// Subscribers.
    pub pubsub: OutputLimit,
}

impl Default for OutputLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl OutputLimits {
    /// Redis' defaults.
    pub(super) const DEFAULT: Self = Self {
        normal: OutputLimit { hard: 0, soft: 0, soft_seconds: 0 },
        replica: OutputLimit { hard: 256 << 20, soft: 64 << 20, soft_seconds: 60 },
        pubsub: OutputLimit { hard: 32 << 20, soft: 8 << 20, soft_seconds: 60 },
    };

    fn class(&mut self, name: &str) -> Option<&mut OutputLimit> {
        match name.to_ascii_lowercase().as_str() {
            "normal" => Some(&mut self.normal),
            "slave" | "replica" => Some(&mut self.replica),
            "pubsub" => Some(&mut self.pubsub),
            _ => None,
        }
    }

    /// A line of redis.conf for each class.
    pub(super) fn lines(&self) -> [String; 3] {
        let line = |name: &str, limit: &OutputLimit| format!("{name} {} {} {}", limit.hard, limit.soft, limit.soft_seconds);
        [line("normal", &self.normal), line("slave", &self.replica), line("pubsub", &self.pubsub)]
    }
}

impl Setting for OutputLimits {
    fn read(kind: &Kind, words: &[Word]) -> Result<Self, String> {
        Self::DEFAULT.read_onto(kind, words)
    }

    fn read_onto(&self, _: &Kind, words: &[Word]) -> Result<Self, String> {
        if words.is_empty() {
            // As Redis takes an empty value of CONFIG SET.
            return Ok(*self);
        }
        let words: Vec<&str> = list(words).collect();
        if words.is_empty() || !words.len().is_multiple_of(4) {
            return Err("Wrong number of arguments in buffer limit configuration.".into());
        }
        let mut limits = *self;
        for group in words.chunks_exact(4) {
            let class = limits.class(group[0]).ok_or("Invalid client class specified in buffer limit configuration.")?;
            let parsed = (memory(group[1]), memory(group[2]), group[3].parse().ok());
            let (Some(hard), Some(soft), Some(soft_seconds)) = parsed else {
                return Err("Error in hard, soft or soft_seconds setting in buffer limit configuration.".into());
            };
            *class = OutputLimit { hard, soft, soft_seconds };
        }
        Ok(limits)
    }

    fn show(&self) -> String {
        self.lines().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_set_one_by_one() {
        let words = |text: &str| vec![Word::from(text)];
        let kind = Kind::OutputLimits;
        let limits = OutputLimits::read(&kind, &words("replica 1mb 512kb 5")).unwrap();
        assert_eq!(limits.show(), "normal 0 0 0 slave 1048576 524288 5 pubsub 33554432 8388608 60");
        for bad in ["", "normal 1 2", "foo 1 2 3", "normal 1 2 x", "normal -1 2 3"] {
            assert!(OutputLimits::read(&kind, &words(bad)).is_err(), "{bad}");
        }
    }
}
