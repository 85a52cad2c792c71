//! The server family: the node as a whole.
//!
//! `command` shows the table, `config` the options, `info` everything that is counted; `persistence` saves the keys, `process` ends it.

mod call_stats;
pub mod command;
pub mod config;
pub mod info;
mod info_text;
pub mod persistence;
pub mod process;
