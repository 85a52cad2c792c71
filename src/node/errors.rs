//! Why a node does not start, or ends.
//!
//! Owns: those errors, in words for people. Must not: decide.

use crate::replication::rdb::RdbError;
use crate::store::{DiskError, LoadError};
use std::path::PathBuf;

/// The process ends, and nothing of this turn leaves.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// The disk failed.
    #[error("{0}")]
    Disk(#[from] DiskError),
    /// The keys cannot be loaded.
    #[error("{0}")]
    Keys(#[from] KeysError),
}

/// The node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// nodes.conf cannot be used.
    #[error("{0}")]
    Load(#[from] LoadError),
    /// The file of the keys cannot be opened.
    #[error("{0}")]
    Keys(#[from] KeysError),
}

/// The keys cannot be loaded: the node ends rather than to go on without them.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file cannot be read.
    #[error("{0}")]
    Disk(#[from] DiskError),
    /// The file is not what a node wrote.
    #[error(
        "{path}: {error}. The file was left as it is: bring a good one, or move it away to start without its keys", path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where and what.
        error: RdbError,
    },
}
