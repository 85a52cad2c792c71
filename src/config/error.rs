//! Why a configuration is refused.
//!
//! Owns: the message an operator reads, with file, line and reason. Must not: print.

use std::fmt;
use std::path::PathBuf;

/// Where an option was typed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A line of the configuration file, counted from 1.
    File(PathBuf, usize),
    /// The command line.
    CommandLine,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

/// A line that cannot be followed: its option is unknown, its value is bad, or what it asks for is not there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Where it stands.
    pub source: Source,
    /// What stands there.
    pub text: String,
    /// What is wrong with it, or what to do instead.
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, text, reason } = self;
        write!(f, "{source}: '{text}': {reason}")
    }
}

/// Why a node with this configuration does not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// These lines, in their order: all of them, so that nobody has to start a node once for each.
    Lines(Vec<Fault>),
    /// The file cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// The command line makes no sense.
    Usage(String),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("*** FATAL CONFIG FILE ERROR (Pontoon) ***\n")?;
        match self {
            Self::Lines(faults) => f.write_str(&faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n")),
            Self::Unreadable { path, reason } => write!(f, "can't open config file '{}': {reason}", path.display()),
            Self::Usage(reason) => write!(f, "{reason}\nTry 'pontoon --help'."),
        }
    }
}

impl std::error::Error for ConfigError {}
