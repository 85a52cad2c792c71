//! What an option's text may be, and how a field reads and shows it.
//!
//! Owns: kinds with their bounds, the reasons a value is refused (Redis' words). Must not: know any option by name.
//! Contract: docs/operations.md, "Options".

use super::events::KeyspaceEvents;
use super::limits::OutputLimits;
use super::save_points::SavePoints;
use super::shutdown::ShutdownOptions;
use std::net::{IpAddr, Ipv4Addr};

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
    /// Any one word.
    Text,
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

    /// Checks `words` and gives the canonical text; for options that have no field.
    pub(super) fn canonical(&self, words: &[String]) -> Result<String, String> {
        match self {
            Self::Switch => bool::read(self, words).map(|v| v.show()),
            Self::Number(..) => i64::read(self, words).map(|v| v.show()),
            Self::Memory(..) | Self::Raised(_) => u64::read(self, words).map(|v| v.show()),
            Self::Words(_) => Vec::<String>::read(self, words).map(|v| v.show()),
            Self::OutputLimits => OutputLimits::read(self, words).map(|v| v.show()),
            Self::SavePoints => SavePoints::read(self, words).map(|v| v.show()),
            Self::KeyspaceEvents => KeyspaceEvents::read(self, words).map(|v| v.show()),
            Self::ShutdownOptions => ShutdownOptions::read(self, words).map(|v| v.show()),
            Self::Choice(names) => choice(names, one(words)?).map(|at| names[at].to_owned()),
            Self::Text | Self::SafeText | Self::Name | Self::Hostname | Self::Ip => String::read(self, words),
            Self::Octal(most) => octal(one(words)?, *most),
            Self::MemoryOrPercent => memory_or_percent(one(words)?),
            Self::OomScores => oom_scores(words),
            Self::Percentiles => percentiles(words),
            Self::ReplicaOf => replica_of(words),
        }
    }

    /// The placeholder of this kind in `--help`.
    pub(super) fn placeholder(&self) -> String {
        match self {
            Self::Switch => "yes|no".into(),
            Self::Number(..) => "<number>".into(),
            Self::Memory(..) | Self::Raised(_) => "<bytes>".into(),
            Self::Choice(names) => names.join("|"),
            Self::Text | Self::SafeText | Self::Name | Self::Hostname => "<text>".into(),
            Self::KeyspaceEvents => "<letters>".into(),
            Self::ShutdownOptions => "<word>...".into(),
            Self::Ip => "<ip>".into(),
            Self::Words(_) => "<word>...".into(),
            Self::OutputLimits => "<class> <hard> <soft> <seconds>".into(),
            Self::SavePoints => "<seconds> <changes>...".into(),
            Self::Octal(_) => "<octal number>".into(),
            Self::MemoryOrPercent => "<bytes>|<percent>%".into(),
            Self::OomScores | Self::Percentiles => "<number>...".into(),
            Self::ReplicaOf => "<host> <port>".into(),
        }
    }
}

/// A type that a field of `Config` may have.
pub(super) trait Setting: Sized {
    /// Reads the words after an option's name.
    fn read(kind: &Kind, words: &[String]) -> Result<Self, String>;
    /// As [`Setting::read`], where the new value may build on the old one.
    fn read_onto(&self, kind: &Kind, words: &[String]) -> Result<Self, String> {
        Self::read(kind, words)
    }
    /// The value as CONFIG GET shows it.
    fn show(&self) -> String;
}

/// The one word of `words`.
fn one(words: &[String]) -> Result<&str, String> {
    match words {
        [word] => Ok(word),
        _ => Err("wrong number of arguments".into()),
    }
}

fn choice(names: &[&str], word: &str) -> Result<usize, String> {
    let found = names.iter().position(|name| name.eq_ignore_ascii_case(word));
    found.ok_or_else(|| format!("argument(s) must be one of the following: {}", names.join(", ")))
}

fn octal(word: &str, most: i64) -> Result<String, String> {
    let value = i64::from_str_radix(word, 8).map_err(|_| "argument couldn't be parsed as an octal number")?;
    if (0..=most).contains(&value) { Ok(format!("{value:o}")) } else { Err(format!("argument must be between 0 and {most:o} inclusive")) }
}

fn memory_or_percent(word: &str) -> Result<String, String> {
    let percent = word.strip_suffix('%').and_then(|digits| digits.parse::<u32>().ok()).map(|percent| format!("{percent}%"));
    percent.or_else(|| memory(word).map(|bytes| bytes.to_string())).ok_or_else(|| "argument must be a memory or percent value".into())
}

/// The words of all of `words`: one word that holds spaces is a list typed within quotes.
fn list(words: &[String]) -> impl Iterator<Item = &str> {
    words.iter().flat_map(|word| word.split_ascii_whitespace())
}

fn oom_scores(words: &[String]) -> Result<String, String> {
    let scores: Vec<&str> = list(words).collect();
    if scores.len() != 3 {
        return Err("wrong number of arguments".into());
    }
    let is_one = |word: &&str| word.parse::<i32>().is_ok_and(|score| (-2000..=2000).contains(&score));
    if scores.iter().all(is_one) {
        Ok(scores.join(" "))
    } else {
        Err("Invalid oom-score-adj-values, elements must be between -2000 and 2000.".into())
    }
}

fn percentiles(words: &[String]) -> Result<String, String> {
    let is_one = |word: &str| word.parse::<f64>().is_ok_and(|percent| (0.0..=100.0).contains(&percent));
    if !list(words).all(is_one) {
        return Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]".into());
    }
    Ok(list(words).collect::<Vec<_>>().join(" "))
}

fn replica_of(words: &[String]) -> Result<String, String> {
    match *list(words).collect::<Vec<_>>() {
        [] => Ok(String::new()),
        [no, one] if no.eq_ignore_ascii_case("no") && one.eq_ignore_ascii_case("one") => Ok(String::new()),
        [host, port] if port.parse::<u16>().is_ok() => Ok(format!("{host} {port}")),
        [_, _] => Err("Invalid master port".into()),
        _ => Err("wrong number of arguments".into()),
    }
}

/// Bytes with an optional unit, as redis.conf has them: `k` = 1000, `kb` = 1024 and so on.
pub(super) fn memory(word: &str) -> Option<u64> {
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = word.split_at(digits);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

impl Setting for bool {
    fn read(_: &Kind, words: &[String]) -> Result<Self, String> {
        match one(words)?.to_ascii_lowercase().as_str() {
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
fn bounded(kind: &Kind, words: &[String]) -> Result<i128, String> {
    let word = one(words)?;
    let (value, low, high) = match *kind {
        Kind::Memory(low, high) => {
            let value = memory(word).ok_or("argument must be a memory value")?;
            (i128::from(value), i128::from(low), i128::from(high))
        }
        Kind::Raised(least) => return bounded(&Kind::Memory(1, u64::MAX), words).map(|value| value.max(i128::from(least))),
        Kind::Number(low, high) => {
            let value = word.parse::<i64>().map_err(|_| "argument couldn't be parsed into an integer")?;
            (i128::from(value), i128::from(low), i128::from(high))
        }
        _ => return Err("argument couldn't be parsed into an integer".into()),
    };
    if (low..=high).contains(&value) { Ok(value) } else { Err(format!("argument must be between {low} and {high} inclusive")) }
}

macro_rules! number_settings {
    ($($kind:ty)*) => { $(
        impl Setting for $kind {
            fn read(kind: &Kind, words: &[String]) -> Result<Self, String> {
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
    fn read(kind: &Kind, words: &[String]) -> Result<Self, String> {
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

impl Setting for Vec<String> {
    fn read(kind: &Kind, words: &[String]) -> Result<Self, String> {
        let most = if let Kind::Words(most) = kind { *most } else { 1 };
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
            fn read(_: &Kind, words: &[String]) -> Result<Self, String> {
                choice(Self::NAMES, one(words)?).map(|at| Self::ALL[at])
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

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn memory_values_have_units() {
        let cases = [("1", 1), ("1b", 1), ("2k", 2000), ("2kb", 2048), ("64mb", 64 << 20), ("1GB", 1 << 30), ("3m", 3_000_000)];
        for (text, bytes) in cases {
            assert_eq!(memory(text), Some(bytes), "{text}");
        }
        for bad in ["", "mb", "1tb", "-1", "1.5gb", "99999999999999999999", "18446744073709551615kb"] {
            assert_eq!(memory(bad), None, "{bad}");
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
        assert_eq!(refused(Kind::Text, "a b"), "wrong number of arguments");
        assert!(refused(Kind::SafeText, "a\nb").starts_with("argument may hold only letters"));
        for bad in ["host", "0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "ff02::1", "1.2.3"] {
            assert_eq!(refused(Kind::Ip, bad), "argument must be an IP address that others can dial, or empty");
        }
        for bad in ["a_b", "a:b", "a/b", "é"] {
            assert_eq!(refused(Kind::Hostname, bad), "Hostnames may only contain alphanumeric characters, hyphens or dots");
        }
        assert_eq!(Kind::Hostname.canonical(&words("host-1.example")).unwrap(), "host-1.example");
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
        assert_eq!(Kind::MemoryOrPercent.canonical(&words("5%")).unwrap(), "5%");
        assert_eq!(Kind::Choice(LogLevel::NAMES).canonical(&words("NOTICE")).unwrap(), "notice");
    }
}
