//! The generic family: keys of any type.
//!
//! `keys` asks whether they are there and removes them, `expire` ends their lives, `scan` walks over them, `object` tells how they
//! are kept.

pub mod expire;
pub mod keys;
pub mod object;
pub mod scan;
