//! The keys family.

use super::table::Command;

/// The family's commands.
pub const COMMANDS: &[Command] = &[];
