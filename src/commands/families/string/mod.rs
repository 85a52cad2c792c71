//! The string family: values that are bytes or numbers, one for each key.
//!
//! `bytes` reads and writes them, `counters` adds to those that are numbers (`long_double` does the sums of those with decimals), `set`
//! also says how long the key lives.

pub mod bytes;
pub mod counters;
pub mod set;

mod long_double;
