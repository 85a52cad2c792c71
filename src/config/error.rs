//! Why a configuration is refused.
//!
//! Owns: the message an operator reads, with file, line and reason. Must not: print.

use std::fmt;
use std::path::PathBuf;

/// Where an option was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// Why a node with this configuration does not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// An option is unknown or its value is bad.
    Option {
        /// Where it stands.
        source: Source,
        /// What stands there.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
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
            Self::Option { source, text, reason } => write!(f, "{source}\n>>> '{text}'\n{reason}"),
            Self::Unreadable { path, reason } => write!(f, "can't open config file '{}': {reason}", path.display()),
            Self::Usage(reason) => write!(f, "{reason}\nTry 'pontoon --help'."),
        }
    }
}

impl std::error::Error for ConfigError {}
