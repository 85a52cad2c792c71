//! The generic family: keys of any type.
//!
//! `keys` asks whether they are there and removes them, `expire` ends their lives, `scan` walks over them.

pub mod expire;
pub mod keys;
pub mod scan;
