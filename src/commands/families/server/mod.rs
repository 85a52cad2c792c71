//! The server family: the node as a whole.
//!
//! `command` shows the table, `config` the options, `info` everything that is counted; `persistence` saves the keys, `process` ends it.

pub mod command;
pub mod config;
pub mod info;
pub mod persistence;
pub mod process;
