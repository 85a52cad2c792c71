//! MULTI, EXEC, DISCARD, WATCH, UNWATCH.
//!
//! Owns: the queue, and running it command by command, over suspensions too. Must not: check a queued command; dispatch did before it queued it.
//!
//! A command that waits suspends its EXEC; other clients' commands run meanwhile. So a transaction with CLUSTER changes in it is ordered,
//! but atomic only between two of them; one without is atomic.

use super::context::{Context, Flow, NO_SLOT};
use super::dispatch;
use super::routing;
use super::table::{Command, CommandId, Flag, Group, KeyFlag, KeySpec};
use crate::types::Slot;
use crate::wire::{Args, OwnedArgs};

/// A queue may hold so many bytes; a client that queues more has its transaction aborted.
const MAX_QUEUED_BYTES: usize = 64 * 1024 * 1024;
