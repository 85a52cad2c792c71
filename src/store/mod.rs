//! wip
pub mod disk;
pub mod memory;
