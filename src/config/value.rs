//! What an option's text may be, and how a field reads and shows it.
//!
//! Owns: kinds with their bounds, the reasons a value is refused (Redis' words). Must not: know any option by name.
//! Contract: docs/operations.md, "Options".

use super::events::KeyspaceEvents;
use super::limits::OutputLimits;
use super::percentiles::Percentiles;
use super::save_points::SavePoints;
use super::shutdown::ShutdownOptions;
use super::texts;
use super::words::{Word, list, memory, one, one_word, plain};
use crate::types::decimal::parse_i64;
use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What an option's value may be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// `yes` or `no`.
    Switch,
    /// A whole number within bounds, both included.
    Number(i64, i64),
    /// Bytes with an optional unit (`1gb`, `64mb`, `1k`), within bounds, both included.
    Memory(u64, u64),
    /// Bytes as above, at least 1; less than this is taken for this.
    Raised(u64),
    /// One of these words, in any case.
    Choice(&'static [&'static str]),
    /// Any one word, of any bytes.
    Bytes,
    /// The same; nobody is shown it.
    Secret,
    /// The name of a file or directory, of any bytes.
    Path,
    /// One word that may enter records and replies: letters, digits, `.`, `_`, `:`, `-`, at most 253.
    SafeText,
    /// The same for people: they are told of a wrong one in Redis' words.
    Name,
    /// A hostname: letters, digits, `.` and `-`, at most 253. A `:` would be taken for a port's.
    Hostname,
    /// An IPv4 or IPv6 address that others can dial, or nothing.
    Ip,
    /// Any number of words up to a bound.
    Words(usize),
    /// `class hard soft seconds`, once or several times.
    OutputLimits,
    /// `seconds changes`, once or several times; nothing for none.
    SavePoints,
    /// Letters for classes of events about keys.
    KeyspaceEvents,
    /// Words of SHUTDOWN.
    ShutdownOptions,
    /// An octal number up to this one.
    Octal(i64),
    /// Bytes with an optional unit, or a percentage.
    MemoryOrPercent,
    /// Bytes with an optional unit, or -1 for no bound.
    MemoryOrNone,
    /// An IPv4 address, or nothing.
    Ipv4,
    /// An IPv6 address, or nothing.
    Ipv6,
    /// Three whole numbers of -2000 to 2000.
    OomScores,
    /// Numbers from 0 to 100.
    Percentiles,
    /// A host and a port; nothing for none.
    ReplicaOf,
}

impl Kind {
    /// True if a line may carry more than one word after the option's name.
    pub(super) const fn takes_words(&self) -> bool {
        matches!(
            self,
            Self::Words(_)
                | Self::OutputLimits
                | Self::SavePoints
                | Self::ShutdownOptions
                | Self::OomScores
                | Self::Percentiles
                | Self::ReplicaOf
        )
    }

    /// True if the lines of one file add up, so that the first of them must take away what was there before.
    pub(super) const fn adds_up(&self) -> bool {
        matches!(self, Self::SavePoints)
    }

    /// True if a line may have no value at all, which is an empty list.
    pub(super) const fn may_be_empty(&self) -> bool {
        matches!(self, Self::SavePoints | Self::OutputLimits | Self::Percentiles)
    }

    /// Checks `words` and gives the canonical value; for options that have no field.
    pub(super) fn canonical(&self, words: &[Word]) -> Result<Word, String> {
        match self {
            Self::Bytes | Self::Secret | Self::Path => one_word(words).cloned(),
            _ => self.canonical_text(words).map(String::into_bytes),
        }
    }

    fn canonical_text(&self, words: &[Word]) -> Result<String, String> {
        match self {
            Self::Switch => bool::read(self, words).map(|v| v.show()),
            Self::Number(..) => i64::read(self, words).map(|v| v.show()),
            Self::Memory(..) | Self::Raised(_) => u64::read(self, words).map(|v| v.show()),
            Self::Words(_) => Vec::<String>::read(self, words).map(|v| v.show()),
            Self::OutputLimits => OutputLimits::read(self, words).map(|v| v.show()),
            Self::SavePoints => SavePoints::read(self, words).map(|v| v.show()),
            Self::KeyspaceEvents => KeyspaceEvents::read(self, words).map(|v| v.show()),
            Self::ShutdownOptions => ShutdownOptions::read(self, words).map(|v| v.show()),
            Self::Choice(names) => choice(names, &plain(words)?).map(|at| names[at].to_owned()),
            Self::Bytes | Self::Secret | Self::Path | Self::SafeText | Self::Name | Self::Hostname | Self::Ip => String::read(self, words),
            Self::Octal(most) => texts::octal(&plain(words)?, *most),
            Self::MemoryOrPercent => texts::memory_or_percent(&plain(words)?),
            Self::MemoryOrNone => texts::memory_or_none(&plain(words)?),
            Self::Ipv4 => texts::address::<Ipv4Addr>(&plain(words)?, "Invalid IPv4 address"),
            Self::Ipv6 => texts::address::<Ipv6Addr>(&plain(words)?, "Invalid IPv6 address"),
            Self::OomScores => texts::oom_scores(words),
            Self::Percentiles => Percentiles::read(self, words).map(|v| v.show()),
            Self::ReplicaOf => texts::replica_of(words),
        }
    }

    /// The placeholder of this kind in `--help`.
    pub(super) fn placeholder(&self) -> String {
        match self {
            Self::Switch => "yes|no".into(),
            Self::Number(..) => "<number>".into(),
            Self::Memory(..) | Self::Raised(_) => "<bytes>".into(),
            Self::Choice(names) => names.join("|"),
            Self::Bytes | Self::Secret | Self::SafeText | Self::Name | Self::Hostname => "<text>".into(),
            Self::Path => "<path>".into(),
            Self::KeyspaceEvents => "<letters>".into(),
            Self::ShutdownOptions => "<word>...".into(),
            Self::Ip | Self::Ipv4 | Self::Ipv6 => "<ip>".into(),
            Self::Words(_) => "<word>...".into(),
            Self::OutputLimits => "<class> <hard> <soft> <seconds>".into(),
            Self::SavePoints => "<seconds> <changes>...".into(),
            Self::Octal(_) => "<octal number>".into(),
            Self::MemoryOrPercent => "<bytes>|<percent>%".into(),
            Self::MemoryOrNone => "<bytes>|-1".into(),
            Self::OomScores | Self::Percentiles => "<number>...".into(),
            Self::ReplicaOf => "<host> <port>".into(),
        }
    }
}

/// A type that a field of `Config` may have.
pub(super) trait Setting: Sized {
    /// Reads the words after an option's name.
    fn read(kind: &Kind, words: &[Word]) -> Result<Self, String>;
    /// As [`Setting::read`], where the new value may build on the old one.
    fn read_onto(&self, kind: &Kind, words: &[Word]) -> Result<Self, String> {
        Self::read(kind, words)
    }
    /// The value as text.
    fn show(&self) -> String;
    /// The value as CONFIG GET shows it.
    fn bytes(&self) -> Word {
        self.show().into_bytes()
    }
}

fn choice(names: &[&str], word: &str) -> Result<usize, String> {
    let found = names.iter().position(|name| name.eq_ignore_ascii_case(word));
    found.ok_or_else(|| format!("argument(s) must be one of the following: {}", names.join(", ")))
}

impl Setting for bool {
    fn read(_: &Kind, words: &[Word]) -> Result<Self, String> {
        match plain(words)?.to_ascii_lowercase().as_str() {
            "yes" => Ok(true),
            "no" => Ok(false),
            _ => Err("argument must be 'yes' or 'no'".into()),
        }
    }

    fn show(&self) -> String {
        if *self { "yes" } else { "no" }.into()
    }
}

/// Reads a number or a memory value, whichever `kind` asks for, within its bounds.
fn bounded(kind: &Kind, words: &[Word]) -> Result<i128, String> {
    let word = &*plain(words)?;
    let (value, low, high) = match *kind {
        Kind::Memory(low, high) => {
            let value = memory(word).ok_or("argument must be a memory value")?;
            (i128::from(value), i128::from(low), i128::from(high))
        }
        Kind::Raised(least) => return bounded(&Kind::Memory(1, i64::MAX as u64), words).map(|value| value.max(i128::from(least))),
        Kind::Number(low, high) => {
            let value = parse_i64(word.as_bytes()).ok_or("argument couldn't be parsed into an integer")?;
            (i128::from(value), i128::from(low), i128::from(high))
        }
        _ => return Err("argument couldn't be parsed into an integer".into()),
    };
    if (low..=high).contains(&value) { Ok(value) } else { Err(format!("argument must be between {low} and {high} inclusive")) }
}

macro_rules! number_settings {
    ($($kind:ty)*) => { $(
        impl Setting for $kind {
            fn read(kind: &Kind, words: &[Word]) -> Result<Self, String> {
                let value = bounded(kind, words)?;
                <$kind>::try_from(value).map_err(|_| format!("argument must be at most {}", <$kind>::MAX))
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    )* };
}
number_settings!(u16 u32 u64 i64);

/// True if `text` may stand in a record or a reply: `[A-Za-z0-9._:-]`, at most 253 bytes.
fn is_safe(text: &str) -> bool {
    text.len() <= 253 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte))
}

/// Whether it can mean one host.
fn can_be_dialled(ip: &IpAddr) -> bool {
    !ip.is_unspecified() && !ip.is_multicast() && *ip != IpAddr::V4(Ipv4Addr::BROADCAST)
}

impl Setting for String {
    fn read(kind: &Kind, words: &[Word]) -> Result<Self, String> {
        let word = one(words)?;
        match kind {
            Kind::SafeText if !is_safe(word) => {
                Err("argument may hold only letters, digits, '.', '_', ':' and '-', at most 253 of them".into())
            }
            Kind::Name if !is_safe(word) => Err("Announced human node name contained invalid character".into()),
            Kind::Hostname if word.len() > 253 => Err("Hostnames must be less than 254 characters".into()),
            Kind::Hostname if !is_safe(word) || word.contains(['_', ':']) => {
                Err("Hostnames may only contain alphanumeric characters, hyphens or dots".into())
            }
            Kind::Ip if !word.is_empty() && !word.parse().is_ok_and(|ip| can_be_dialled(&ip)) => {
                Err("argument must be an IP address that others can dial, or empty".into())
            }
            _ => Ok(word.into()),
        }
    }

    fn show(&self) -> String {
        self.clone()
    }
}

impl Setting for Word {
    fn read(_: &Kind, words: &[Word]) -> Result<Self, String> {
        one_word(words).cloned()
    }

    fn show(&self) -> String {
        String::from_utf8_lossy(self).into_owned()
    }

    fn bytes(&self) -> Word {
        self.clone()
    }
}

impl Setting for PathBuf {
    fn read(_: &Kind, words: &[Word]) -> Result<Self, String> {
        one_word(words).map(|word| OsStr::from_bytes(word).into())
    }

    fn show(&self) -> String {
        self.display().to_string()
    }

    fn bytes(&self) -> Word {
        self.as_os_str().as_bytes().to_owned()
    }
}

impl Setting for Vec<String> {
    fn read(kind: &Kind, words: &[Word]) -> Result<Self, String> {
        let most = if let Kind::Words(most) = kind { *most } else { 1 };
        if words.iter().any(|word| std::str::from_utf8(word).is_err()) {
            return Err("arguments must be UTF-8 text".into());
        }
        let list: Self = list(words).map(str::to_owned).collect();
        if list.len() > most { Err(format!("at most {most} arguments are possible")) } else { Ok(list) }
    }

    fn show(&self) -> String {
        self.join(" ")
    }
}

macro_rules! choice_setting {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant),* }

        impl Default for $name {
            fn default() -> Self {
                Self::ALL[0]
            }
        }

        impl $name {
            /// Every value's word, in order.
            pub(super) const NAMES: &'static [&'static str] = &[$($text),*];
            const ALL: &'static [Self] = &[$(Self::$variant),*];
        }

        impl Setting for $name {
            fn read(_: &Kind, words: &[Word]) -> Result<Self, String> {
                choice(Self::NAMES, &plain(words)?).map(|at| Self::ALL[at])
            }

            fn show(&self) -> String {
                Self::NAMES[*self as usize].into()
            }
        }
    };
}

choice_setting! {
    /// How much is logged; Redis' levels.
    LogLevel {
        /// Everything, every message of the bus too.
        Debug = "debug",
        /// What helps when something is odd.
        Verbose = "verbose",
        /// What an operator wants to read.
        Notice = "notice",
        /// Only what needs attention.
        Warning = "warning",
        /// Nothing.
        Nothing = "nothing",
    }
}
choice_setting! {
    /// Who has started the process, and waits for it.
    Supervision {
        /// Upstart.
        Upstart = "upstart",
        /// systemd.
        Systemd = "systemd",
        /// systemd, if its socket is there.
        Auto = "auto",
        /// Nobody.
        No = "no",
    }
}
choice_setting! {
    /// What CLUSTER SLOTS and redirects name a node by.
    EndpointType {
        /// Its address.
        Ip = "ip",
        /// Its announced hostname, `?` without one.
        Hostname = "hostname",
        /// Nothing: clients go on with the address that they used.
        Unknown = "unknown-endpoint",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Word> {
        text.split(' ').map(Word::from).collect()
    }

    #[test]
    fn memory_values_have_units() {
        let cases = [("", 0), ("1", 1), ("1b", 1), ("2k", 2000), ("2kb", 2048), ("64mb", 64 << 20), ("1GB", 1 << 30), ("3m", 3_000_000)];
        for (text, bytes) in cases {
            assert_eq!(memory(text), Some(bytes), "{text}");
        }
        for bad in ["1tb", "-1", "1.5gb", "1 mb", "1mbb"] {
            assert_eq!(memory(bad), None, "{bad}");
        }
        // As Valkey reads them, but that there a product that is too large goes round.
        assert_eq!(memory("mb"), Some(0));
        for large in ["99999999999999999999", "18446744073709551615kb"] {
            assert_eq!(memory(large), Some(u64::MAX), "{large}");
        }
    }

    #[test]
    fn values_are_checked_in_redis_words() {
        let refused = |kind: Kind, text: &str| kind.canonical(&words(text)).unwrap_err();
        assert_eq!(refused(Kind::Switch, "true"), "argument must be 'yes' or 'no'");
        assert_eq!(refused(Kind::Number(0, 65535), "65536"), "argument must be between 0 and 65535 inclusive");
        assert_eq!(refused(Kind::Number(0, 9), "1x"), "argument couldn't be parsed into an integer");
        assert_eq!(refused(Kind::Memory(0, 9), "x"), "argument must be a memory value");
        assert_eq!(refused(Kind::Choice(LogLevel::NAMES), "loud").split(':').next(), Some("argument(s) must be one of the following"));
        assert_eq!(refused(Kind::Bytes, "a b"), "wrong number of arguments");
        assert!(refused(Kind::SafeText, "a\nb").starts_with("argument may hold only letters"));
        for bad in ["host", "0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "ff02::1", "1.2.3"] {
            assert_eq!(refused(Kind::Ip, bad), "argument must be an IP address that others can dial, or empty");
        }
        for bad in ["a_b", "a:b", "a/b", "é"] {
            assert_eq!(refused(Kind::Hostname, bad), "Hostnames may only contain alphanumeric characters, hyphens or dots");
        }
        assert_eq!(Kind::Hostname.canonical(&words("host-1.example")).unwrap(), b"host-1.example");
        for bad in ["a,b", "a#b", "a=b"] {
            assert_eq!(refused(Kind::Name, bad), "Announced human node name contained invalid character");
        }
        for bad in ["999999", "x", ""] {
            assert!(refused(Kind::Octal(0o777), bad).contains("octal number"), "{bad}");
        }
        assert_eq!(refused(Kind::Octal(0o777), "1000"), "argument must be between 0 and 777 inclusive");
        assert_eq!(refused(Kind::OomScores, "1 2"), "wrong number of arguments");
        assert!(
            refused(Kind::OomScores, "1 2 2001").contains("between -2000 and 2000")
                && refused(Kind::Percentiles, "50 101").contains("100.0")
        );
        assert_eq!(Kind::MemoryOrPercent.canonical(&words("5%")).unwrap(), b"5%");
        assert_eq!(Kind::Choice(LogLevel::NAMES).canonical(&words("NOTICE")).unwrap(), b"notice");
    }
}
